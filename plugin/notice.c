/*-------------------------------------------------------------------------
 * notice.c
 *	  Notices of schema changes, which the extension's event triggers leave as
 *	  transactional messages (cdc_s3--1.0.sql).
 *
 * With messages = ddl a client gets these alone, and of the tables that it
 * wants only: each comes behind the relation frame of its table.  Anybody can
 * emit such a message, so nothing in it is trusted, and what cannot be read is
 * left out: an error would come again for ever.
 *
 * Two notices are made here: of a table whose changes are left out, since a
 * publication had a row filter on it as they were made, and of one that was in
 * no publication, or not with all its changes, for a while (publication.c,
 * tables.c).  They stand for rows, so they come whatever the client asked for.
 *
 * What was said of messages = ddl holds where cdc_s3.allowed_tables leaves
 *tables out: a message belongs to no table, and what somebody wrote into it to
 *none either.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "cdc_s3.h"

#define NOTICE_PREFIX "cdc_s3.ddl"

/* Inside of a JSON string this cannot be: its quotes would be escaped. */
#define OID_MEMBER "\"oid\" : "

/* The number behind "oid" in the notice, or InvalidOid. */
static Oid
notice_oid(const char *p, Size size)
{
	const char *end = p + size;
	Size n = sizeof(OID_MEMBER) - 1;
	uint64 oid = 0;

	while ((Size) (end - p) > n && memcmp(p, OID_MEMBER, n) != 0)
		p++;
	if ((Size) (end - p) <= n)
		return InvalidOid;
	for (p += n; p < end && *p >= '0' && *p <= '9' && oid <= PG_UINT32_MAX; p++)
		oid = oid * 10 + (uint64) (*p - '0');
	return oid <= PG_UINT32_MAX ? (Oid) oid : InvalidOid;
}

/*
 * The table of a notice, as it is at this moment of its transaction; NULL if
 * the message is no notice, or of a table that is gone or not wanted.
 */
static CdcS3Rel *
notice_rel(CdcS3State *st, bool transactional, const char *prefix, Size size,
		   const char *message)
{
	CdcS3Rel *rel = NULL;
	Relation relation;
	Oid oid;

	if (!transactional || strcmp(prefix, NOTICE_PREFIX) != 0)
		return NULL;
	oid = notice_oid(message, size);
	if (!OidIsValid(oid))
		return NULL;
	relation = RelationIdGetRelation(oid);
	if (!RelationIsValid(relation))
		return NULL;
	if (relation->rd_rel->relkind == RELKIND_RELATION ||
		relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		rel = cdc_s3_rel_get(st, relation);
	RelationClose(relation);
	return rel && rel->actions != 0 ? rel : NULL;
}

/*
 * Whether a message is sent.  *out_rel is the table whose relation frame comes
 * before it, or NULL.
 */
bool
cdc_s3_message_wanted(CdcS3State *st, bool transactional, const char *prefix,
					  Size size, const char *message, CdcS3Rel **out_rel)
{
	*out_rel = NULL;
	if (st->opt.messages == MESSAGES_OFF)
		return false;
	if (!transactional) /* it belongs to no transaction that has begun */
		cdc_s3_rels_settings(st);
	if (st->opt.messages == MESSAGES_ON && !st->bounded)
		return true;
	*out_rel = notice_rel(st, transactional, prefix, size, message);
	return *out_rel != NULL;
}

/* ---- tables that are left out ---- */

/* Put a table on a list that lives as long as the stream; false if it is. */
static bool
list_add_new(CdcS3State *st, List **list, Oid table)
{
	MemoryContext old;

	if (list_member_oid(*list, table))
		return false;
	old = MemoryContextSwitchTo(st->cxt);
	*list = lappend_oid(*list, table);
	MemoryContextSwitchTo(old);
	return true;
}

/* Whether this is the table's first change in the transaction, or block. */
static bool
is_first_filtered(CdcS3State *st, Oid table)
{
	if (st->filtered_xid != st->xid || st->filtered_block != st->stream_block)
	{
		list_free(st->filtered);
		st->filtered = NIL;
		st->filtered_xid = st->xid;
		st->filtered_block = st->stream_block;
	}
	return list_add_new(st, &st->filtered, table);
}

/* A member of a JSON object whose value is a string. */
static void
put_member(CdcS3State *st, StringInfo s, const char *name, const char *value)
{
	Size len;
	const char *utf8 = cdc_s3_name_utf8(st, value, &len);

	appendStringInfo(s, "\"%s\" : ", name);
	escape_json(s, pnstrdup(utf8, len));
	appendStringInfoString(s, ", ");
}

/* A notice as the extension makes them. */
static void
put_notice(CdcS3State *st, CdcS3Rel *rel, const char *tag, const char *action,
		   XLogRecPtr lsn)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoString(&s, "{\"version\" : 1, ");
	put_member(st, &s, "tag", tag);
	put_member(st, &s, "table",
			   quote_qualified_identifier(rel->schema, rel->name));
	put_member(st, &s, "schema", rel->schema);
	put_member(st, &s, "name", rel->name);
	appendStringInfo(&s, OID_MEMBER "%u, ", rel->relid);
	put_member(st, &s, "action", action);
	appendStringInfoString(&s, "\"resync\" : true}");
	cdc_s3_txn_open(st);
	cdc_s3_put_relation(st, rel, lsn);
	cdc_s3_put_message(st, lsn, true, NOTICE_PREFIX, s.len, s.data);
}

/*
 * In the place of changes of a table that are left out: once in a transaction,
 * that it has to be loaded again; and once in a stream, a warning.
 */
void
cdc_s3_put_filtered(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn)
{
	Oid table = rel->as_root ? rel->rootid : rel->relid;
	MemoryContext old;

	if (!is_first_filtered(st, table))
		return;
	old = MemoryContextSwitchTo(st->scratch);
	put_notice(st, rel, "ALTER PUBLICATION", "filter", lsn);
	if (list_add_new(st, &st->filtered_warned, table))
		ereport(WARNING,
				errmsg("changes of table \"%s\" are not sent: a publication "
					   "had a row filter on it when they were made",
					   quote_qualified_identifier(rel->schema, rel->name)),
				errhint("The table has to be loaded again once no publication "
						"of the stream has a row filter on it."));
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}

/*
 * A publication that has the table was made anew, or was altered and left
 * something out: what was changed before is lost.  tag says which.  Of
 * partitions that is said of their root, once for each.
 */
void
cdc_s3_put_lacking(CdcS3State *st, CdcS3Rel *rel, const char *tag,
				   XLogRecPtr lsn)
{
	MemoryContext old;

	old = MemoryContextSwitchTo(st->scratch);
	put_notice(st, rel, tag, "publication", lsn);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}
