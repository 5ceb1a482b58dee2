/*-------------------------------------------------------------------------
 * truncate.c
 *	  One truncate may name many relations, roots and partitions alike.
 *
 * With rows in the shape of the root, a root that is named stands for all its
 * partitions; a partition named without its root is sent as partial, with the
 * condition that its rows fulfil.
 *
 * The walsender's transaction ends when all that it decodes has been sent, and
 * that may be long after.  So no lock on a user's table is taken here, neither
 * kept nor waited for.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "nodes/readfuncs.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

typedef struct Truncated
{
	Relation relation;
	CdcS3Rel *rel;
	const char *condition; /* UTF-8, empty if not known or not partial */
	Size condition_len;
} Truncated;

/* The bound of a partition among those of its parent, as conditions. */
static List *
level_quals(Oid relid, Relation parent)
{
	HeapTuple tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum bound;
	bool isnull = true;
	List *quals = NIL;

	if (!HeapTupleIsValid(tup))
		return NIL;
	bound = SysCacheGetAttr(RELOID, tup, Anum_pg_class_relpartbound, &isnull);
	if (!isnull)
		quals = get_qual_from_partbound(
			parent, castNode(PartitionBoundSpec,
							 stringToNode(TextDatumGetCString(bound))));
	ReleaseSysCache(tup);
	return quals;
}

/*
 * The same of all levels up to the root, whose columns they name; the root's
 * come first.
 */
static List *
partition_quals(Oid relid, List *ancestors, Relation root)
{
	List *quals = NIL;
	ListCell *lc;

	foreach (lc, ancestors)
	{
		Relation parent = RelationIdGetRelation(lfirst_oid(lc));
		List *level;

		if (!RelationIsValid(parent))
			return NIL;
		level = map_partition_varattnos(level_quals(relid, parent), 1, root,
										parent);
		quals = list_concat(level, quals);
		RelationClose(parent);
		relid = lfirst_oid(lc);
	}
	return quals;
}

/*
 * What ruleutils.c needs to know of a relation to print conditions on it.  Of
 * something that only has columns it opens no relation, which would wait for
 * a lock on the table as it is now.
 */
static List *
columns_context(Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	char *name = RelationGetRelationName(relation);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	PlannedStmt *plan = makeNode(PlannedStmt);
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		names = lappend(
			names, makeString(att->attisdropped ? "" : NameStr(att->attname)));
	}
	rte->rtekind = RTE_VALUES;
	rte->eref = makeAlias(name, names);
	plan->rtable = list_make1(rte);
	return deparse_context_for_plan_tree(plan, list_make1(name));
}

/*
 * The partition's bound as a condition on the columns of its root, or an
 * empty string: from the catalog as it was at the truncate, without a lock.
 */
static const char *
partition_condition(CdcS3State *st, Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	List *ancestors = get_partition_ancestors(relid);
	const char *text = "";
	Relation root;
	List *quals;

	if (ancestors == NIL)
		return text;
	root = RelationIdGetRelation(llast_oid(ancestors));
	if (!RelationIsValid(root))
		return text;
	if (!st->pinned)
		cdc_s3_pin_settings(st);
	quals = partition_quals(relid, ancestors, root);
	if (quals != NIL)
		text = deparse_expression((Node *) make_ands_explicit(quals),
								  columns_context(root), false, false);
	RelationClose(root);
	return text;
}

static bool
is_named(Oid relid, int nrelations, Relation relations[])
{
	for (int i = 0; i < nrelations; i++)
		if (RelationGetRelid(relations[i]) == relid)
			return true;
	return false;
}

/* Which of the relations go on the wire; returns their number. */
static int
choose(CdcS3State *st, int nrelations, Relation relations[], XLogRecPtr lsn,
	   Truncated *out)
{
	int n = 0;

	for (int i = 0; i < nrelations; i++)
	{
		Form_pg_class form = relations[i]->rd_rel;
		CdcS3Rel *rel = cdc_s3_rel_get(st, relations[i]);

		if (!(rel->actions & ACTION_TRUNCATE))
		{
			cdc_s3_rel_pass(st, rel, ACTION_TRUNCATE);
			continue;
		}
		if (rel->filtered)
		{
			cdc_s3_put_filtered(st, rel, lsn);
			continue;
		}
		/* Of partitioned tables, only the root stands for its rows. */
		if (form->relkind != RELKIND_RELATION && rel->as_root)
			continue;
		if (rel->as_root && is_named(rel->rootid, nrelations, relations))
			continue;
		out[n].relation = relations[i];
		out[n++].rel = rel;
	}
	return n;
}

static void
look_condition(CdcS3State *st, Truncated *t)
{
	const char *text;

	t->condition = "";
	t->condition_len = 0;
	if (!t->rel->as_root)
		return;
	text = partition_condition(st, t->relation);
	if (!cdc_s3_convert(st, text, strlen(text), &t->condition,
						&t->condition_len))
		t->condition_len = 0;
}

static void
put_truncated(CdcS3State *st, const Truncated *t)
{
	uint8 flags = t->rel->as_root ? CDC_S3_TRUNC_PARTIAL : 0;
	uint32 len = (uint32) t->condition_len;

	cdc_s3_put_bytes(st, &t->rel->relid, sizeof(uint32));
	cdc_s3_put_bytes(st, &t->rel->version, sizeof(uint32));
	cdc_s3_put_bytes(st, &flags, sizeof(flags));
	if (!t->rel->as_root)
		return;
	cdc_s3_put_bytes(st, &len, sizeof(len));
	cdc_s3_put_bytes(st, t->condition, len);
}

static void
put_frame(CdcS3State *st, ReorderBufferChange *change, const Truncated *list,
		  int n)
{
	uint8 flags = 0;
	uint64 ordinal = ++st->txn->ordinal;
	uint16 count = (uint16) n;

	if (change->data.truncate.cascade)
		flags |= CDC_S3_TRUNC_CASCADE;
	if (change->data.truncate.restart_seqs)
		flags |= CDC_S3_TRUNC_RESTART;
	if (st->in_stream)
		flags |= CDC_S3_CHANGE_XID;
	cdc_s3_frame_begin(st, CDC_S3_TRUNCATE, flags);
	cdc_s3_put_bytes(st, &change->lsn, sizeof(uint64));
	cdc_s3_put_bytes(st, &ordinal, sizeof(ordinal));
	if (st->in_stream)
		cdc_s3_put_bytes(st, &change->txn->xid, sizeof(uint32));
	cdc_s3_put_bytes(st, &count, sizeof(count));
	for (int i = 0; i < n; i++)
		put_truncated(st, &list[i]);
	cdc_s3_frame_end(st);
	st->txn->ordinal += n - 1; /* one for each of them */
}

/* Send a truncate, if any of its relations is wanted. */
void
cdc_s3_put_truncate(CdcS3State *st, int nrelations, Relation relations[],
					ReorderBufferChange *change)
{
	Truncated *list = palloc(nrelations * sizeof(Truncated));
	int locks PG_USED_FOR_ASSERTS_ONLY = cdc_s3_user_locks();
	int n = choose(st, nrelations, relations, change->lsn, list);
	MemoryContext old;

	/* A frame counts to 65535; more, which nobody has seen, are split. */
	for (int at = 0; at < n; at += PG_UINT16_MAX)
	{
		int count = Min(n - at, PG_UINT16_MAX);

		old = MemoryContextSwitchTo(st->scratch);
		for (int i = at; i < at + count; i++)
			look_condition(st, &list[i]);
		cdc_s3_txn_open(st);
		for (int i = at; i < at + count; i++)
			cdc_s3_put_relation(st, list[i].rel, change->lsn);
		put_frame(st, change, list + at, count);
		MemoryContextSwitchTo(old);
		MemoryContextReset(st->scratch);
	}
	pfree(list);
	Assert(cdc_s3_user_locks() == locks);
}
