/*-------------------------------------------------------------------------
 * ddl.c
 *	  What a transaction did to the catalog: evidence from the rows that are
 *	  there, and from its invalidation messages of those that are not.
 *
 * The server keeps the messages of a transaction with it, its subtransactions'
 * among them, also of those that were rolled back.  A message of a syscache
 * has the hash of a row's key: one for each time that a row with that key was
 * inserted, updated or deleted, and two where an update changes the key.  That
 * is nobody else's doing, unlike what a callback hears: invalidations of the
 * present come there as well.
 *
 * Invariants:
 *	(1) A transaction that changed no catalog costs nothing here.
 *	(2) Nothing here raises an error for what it finds.
 *	(3) What was read is of the transaction, or stream block, that st->txn is
 *		in, all of whose messages are there when it is replayed.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* ---- messages and transaction ids ---- */

static int
compare_keys(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

static int
compare_xids(const void *a, const void *b)
{
	TransactionId x = *(const TransactionId *) a;
	TransactionId y = *(const TransactionId *) b;

	return x < y ? -1 : x > y;
}

static bool
message_key(const SharedInvalidationMessage *m, uint64 *key)
{
	if (m->id >= 0)
	{
		*key = DDL_KEY(m->cc.id, m->cc.hashValue);
		return m->cc.dbId == MyDatabaseId;
	}
	if (m->id != SHAREDINVALRELCACHE_ID)
		return false;
	*key = m->rc.relId;
	return m->rc.dbId == MyDatabaseId;
}

static void
read_messages(CdcS3Ddl *ddl, const ReorderBufferTXN *txn)
{
	ddl->keys = MemoryContextAllocExtended(
		ddl->cxt, sizeof(uint64) * txn->ninvalidations, MCXT_ALLOC_HUGE);
	ddl->nkeys = 0;
	for (uint32 i = 0; i < txn->ninvalidations; i++)
		if (message_key(&txn->invalidations[i], &ddl->keys[ddl->nkeys]))
			ddl->nkeys++;
	qsort(ddl->keys, ddl->nkeys, sizeof(uint64), compare_keys);
}

static void
read_xids(CdcS3Ddl *ddl, ReorderBufferTXN *txn)
{
	dlist_iter iter;

	ddl->xids = MemoryContextAllocExtended(
		ddl->cxt, sizeof(TransactionId) * ((Size) txn->nsubtxns + 1),
		MCXT_ALLOC_HUGE);
	ddl->xids[0] = txn->xid;
	ddl->nxids = 1;
	dlist_foreach(iter, &txn->subtxns)
	{
		ReorderBufferTXN *sub =
			dlist_container(ReorderBufferTXN, node, iter.cur);

		if (ddl->nxids > (int) txn->nsubtxns)
			break;
		ddl->xids[ddl->nxids++] = sub->xid;
	}
	qsort(ddl->xids, ddl->nxids, sizeof(TransactionId), compare_xids);
}

/*
 * Whether the transaction that is replayed changed the catalog.  To be called
 * before what follows.
 */
bool
cdc_s3_ddl_read(CdcS3State *st)
{
	CdcS3Ddl *ddl = &st->ddl;

	if (!st->txn || st->rtxn->ninvalidations == 0)
		return false;
	if (ddl->ready)
		return true;
	read_messages(ddl, st->rtxn);
	read_xids(ddl, st->rtxn);
	ddl->ready = true;
	return true;
}

/* Nothing was altered then, as far as anybody asks. */
void
cdc_s3_ddl_forget(CdcS3State *st)
{
	MemoryContextReset(st->ddl.cxt);
	st->ddl.ready = false;
	st->ddl.nkeys = 0;
	st->ddl.nxids = 0;
}

/* What was read is another transaction's, or another stream block's. */
void
cdc_s3_ddl_leave(CdcS3State *st)
{
	if (unlikely(st->ddl.ready))
		cdc_s3_ddl_forget(st);
}

/* Where keys from this one on begin. */
Size
cdc_s3_ddl_first(CdcS3State *st, uint64 key)
{
	Size low = 0;
	Size high = st->ddl.nkeys;

	while (low < high)
	{
		Size middle = low + (high - low) / 2;

		if (st->ddl.keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

Size
cdc_s3_ddl_count(CdcS3State *st, uint64 key)
{
	return cdc_s3_ddl_first(st, key + 1) - cdc_s3_ddl_first(st, key);
}

/* All messages of a syscache. */
Size
cdc_s3_ddl_count_cache(CdcS3State *st, int cache)
{
	return cdc_s3_ddl_first(st, DDL_KEY(cache + 1, 0)) -
		   cdc_s3_ddl_first(st, DDL_KEY(cache, 0));
}

static Size
count_column(CdcS3State *st, Oid relid, AttrNumber attnum)
{
	return cdc_s3_ddl_count(
		st,
		DDL_KEY(ATTNUM, GetSysCacheHashValue2(ATTNUM, ObjectIdGetDatum(relid),
											  Int16GetDatum(attnum))));
}

static Size
count_column_name(CdcS3State *st, Oid relid, const char *name)
{
	return cdc_s3_ddl_count(
		st,
		DDL_KEY(ATTNAME, GetSysCacheHashValue2(ATTNAME, ObjectIdGetDatum(relid),
											   CStringGetDatum(name))));
}

/* ---- rows of the catalog ---- */

static bool
is_ours(CdcS3State *st, HeapTuple tup)
{
	TransactionId xid = HeapTupleHeaderGetRawXmin(tup->t_data);

	return !HeapTupleHeaderXminFrozen(tup->t_data) &&
		   bsearch(&xid, st->ddl.xids, st->ddl.nxids, sizeof(xid),
				   compare_xids) != NULL;
}

/* Whether a row was inserted or updated in this transaction. */
bool
cdc_s3_ddl_wrote(CdcS3State *st, int cache, Datum key1, Datum key2)
{
	HeapTuple tup = SearchSysCache(cache, key1, key2, 0, 0);
	bool ours;

	if (!HeapTupleIsValid(tup))
		return false;
	ours = is_ours(st, tup);
	ReleaseSysCache(tup);
	return ours;
}

static bool
wrote_column(CdcS3State *st, Oid relid, AttrNumber attnum)
{
	return cdc_s3_ddl_wrote(st, ATTNUM, ObjectIdGetDatum(relid),
							Int16GetDatum(attnum));
}

/*
 * Whether a table was made in this transaction.  Rows of system columns are
 * written with it and never again, but by a GRANT on such a column; nobody
 * grants two of them in one transaction.
 */
bool
cdc_s3_ddl_created(CdcS3State *st, Oid relid)
{
	return wrote_column(st, relid, TableOidAttributeNumber) &&
		   wrote_column(st, relid, MaxCommandIdAttributeNumber);
}

/*
 * Whether an OID that names nothing any more was a table's before this
 * transaction.  All that has rows has a system column; it is written twice
 * where it was made here too.  Sequences and TOAST tables are known by their
 * columns.
 */
bool
cdc_s3_ddl_dropped(CdcS3State *st, Oid relid)
{
	return count_column(st, relid, TableOidAttributeNumber) == 1 &&
		   count_column_name(st, relid, "log_cnt") == 0 &&
		   count_column_name(st, relid, "chunk_seq") == 0;
}

/*
 * Whether its rows were written to another file by something else than a
 * truncate: the server makes a table of this name for that, and drops it.
 */
static bool
was_copied(CdcS3State *st, Oid relid, Oid namespace)
{
	char name[NAMEDATALEN];

	snprintf(name, sizeof(name), "pg_temp_%u", relid);
	return cdc_s3_ddl_count(
			   st, DDL_KEY(RELNAMENSP, GetSysCacheHashValue2(
										   RELNAMENSP, CStringGetDatum(name),
										   ObjectIdGetDatum(namespace)))) > 0;
}

/*
 * Whether a table of which the stream has said nothing yet was altered in this
 * transaction.  That the row in pg_class is another one says nothing, as GRANT
 * does that too; with a name or schema, that of the row type changes.
 */
bool
cdc_s3_ddl_altered(CdcS3State *st, Relation relation)
{
	Oid relid = RelationGetRelid(relation);

	if (cdc_s3_ddl_wrote(st, TYPEOID,
						 ObjectIdGetDatum(relation->rd_rel->reltype), 0) ||
		was_copied(st, relid, RelationGetNamespace(relation)))
		return true;
	for (int i = 0; i < RelationGetNumberOfAttributes(relation); i++)
		if (wrote_column(st, relid, (AttrNumber) (i + 1)))
			return true;
	return false;
}

/* ---- rows that changed without row changes ---- */

/* Whether a column that came in this transaction has to be written to rows. */
static bool
new_column_is_written(Form_pg_attribute att)
{
	if (att->atthasmissing)
		return false;
	return att->atthasdef || att->attidentity != '\0' ||
		   att->attgenerated != '\0' ||
		   get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
}

/*
 * Whether a column is a reason for its table to be copied.  Whoever copies a
 * table clears what columns have as missing values; that writes their rows in
 * the catalog, once, while another type is one more time.
 */
static bool
column_is_written(CdcS3State *st, const CdcS3Rel *rel, Form_pg_attribute att)
{
	if (att->attisdropped || att->atthasmissing ||
		!wrote_column(st, rel->relid, att->attnum))
		return false;
	if (!rel->looked)
		return true;
	if (att->attnum > rel->natts)
		return new_column_is_written(att);
	return !bms_is_member(att->attnum, rel->missing) ||
		   count_column(st, rel->relid, att->attnum) > 1;
}

static bool
was_rewritten(CdcS3State *st, const CdcS3Rel *rel, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	Form_pg_class form = relation->rd_rel;

	if (rel->looked && rel->filenode == form->relfilenode)
		return false;
	if (!was_copied(st, rel->relid, form->relnamespace) &&
		!(rel->looked && was_copied(st, rel->relid, rel->namespace)))
		return false;
	if (cdc_s3_ddl_created(st, rel->relid))
		return false;
	/* Nothing of what it had while it was unlogged was sent. */
	if (rel->looked && rel->persistence != form->relpersistence)
		return true;
	for (int i = 0; i < desc->natts; i++)
		if (column_is_written(st, rel, TupleDescAttr(desc, i)))
			return true;
	return false;
}

static void
keep_missing(CdcS3State *st, CdcS3Rel *rel, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(st->cxt);

	bms_free(rel->missing);
	rel->missing = NULL;
	for (int i = 0; desc->constr && desc->constr->missing && i < desc->natts;
		 i++)
		if (TupleDescAttr(desc, i)->atthasmissing)
			rel->missing = bms_add_member(rel->missing, i + 1);
	MemoryContextSwitchTo(old);
}

/*
 * An entry was made anew: what a table frame has to say, if one is due, and
 * what will be asked for the next time.
 */
void
cdc_s3_ddl_look(CdcS3State *st, CdcS3Rel *rel, Relation relation)
{
	Form_pg_class form = relation->rd_rel;
	Oid table = rel->as_root ? rel->rootid : rel->relid;

	if (rel->actions == 0)
		rel->tell = rel->created_due = rel->rewritten_due = false;
	else if (cdc_s3_ddl_read(st))
	{
		if (rel->created != st->xid && cdc_s3_ddl_created(st, table))
		{
			rel->created = st->xid;
			rel->tell = rel->created_due = true;
		}
		rel->rewritten_due |= was_rewritten(st, rel, relation);
	}
	rel->looked = true;
	rel->persistence = form->relpersistence;
	rel->filenode = form->relfilenode;
	rel->namespace = form->relnamespace;
	rel->natts = RelationGetNumberOfAttributes(relation);
	keep_missing(st, rel, RelationGetDescr(relation));
}
