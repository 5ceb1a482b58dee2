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
 * The same holds where cdc_s3.allowed_tables leaves tables out: a message
 * belongs to no table, and what somebody wrote into it to none either.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"

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
