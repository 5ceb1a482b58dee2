/*-------------------------------------------------------------------------
 * truncate.c
 *	  One truncate may name many relations, roots and partitions alike.
 *
 * With rows in the shape of the root, a root that is named stands for all its
 * partitions; a partition named without its root is sent as partial, with the
 * condition that its rows fulfil.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/ruleutils.h"

#include "cdc_s3.h"

#define LOCK_TRIES 50
#define LOCK_PAUSE_US 5000L

typedef struct Truncated
{
	Relation relation;
	CdcS3Rel *rel;
	const char *condition; /* UTF-8, empty if not known or not partial */
	Size condition_len;
} Truncated;

/*
 * A lock that is not waited for: its holder may be waiting for us, as a commit
 * under synchronous replication does.  Else the truncate itself lets it go a
 * moment after its commit can be read, so it is tried for a moment.
 */
static bool
lock_ancestor(Oid relid)
{
	for (int i = 0; i < LOCK_TRIES; i++)
	{
		if (ConditionalLockRelationOid(relid, AccessShareLock))
			return true;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(LOCK_PAUSE_US);
	}
	return false;
}

/*
 * The partition's bound as a condition on the columns of its root, or an
 * empty string.  Reading it takes locks on the ancestors, not on the
 * partition, which the truncate may hold still.
 */
static const char *
partition_condition(CdcS3State *st, Relation relation)
{
	List *ancestors = get_partition_ancestors(RelationGetRelid(relation));
	Relation root;
	List *quals;
	ListCell *lc;
	Expr *condition;
	const char *text;

	foreach (lc, ancestors)
		if (!lock_ancestor(lfirst_oid(lc)))
			return "";
	quals = RelationGetPartitionQual(relation);
	if (quals == NIL)
		return "";
	root = RelationIdGetRelation(llast_oid(ancestors));
	if (!RelationIsValid(root))
		return "";
	if (!st->pinned)
		cdc_s3_pin_settings(st);
	quals = map_partition_varattnos(quals, 1, root, relation);
	condition = list_length(quals) > 1 ? makeBoolExpr(AND_EXPR, quals, -1)
									   : (Expr *) linitial(quals);
	text = deparse_expression((Node *) condition,
							  deparse_context_for(RelationGetRelationName(root),
												  RelationGetRelid(root)),
							  false, false);
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
choose(CdcS3State *st, int nrelations, Relation relations[], Truncated *out)
{
	int n = 0;

	for (int i = 0; i < nrelations; i++)
	{
		Form_pg_class form = relations[i]->rd_rel;
		CdcS3Rel *rel = cdc_s3_rel_get(st, relations[i]);

		if (!(rel->actions & ACTION_TRUNCATE))
			continue;
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
}

/* Send a truncate, if any of its relations is wanted. */
void
cdc_s3_put_truncate(CdcS3State *st, int nrelations, Relation relations[],
					ReorderBufferChange *change)
{
	Truncated *list = palloc(nrelations * sizeof(Truncated));
	int n = choose(st, nrelations, relations, list);
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
			cdc_s3_put_relation(st, list[i].rel);
		put_frame(st, change, list + at, count);
		MemoryContextSwitchTo(old);
		MemoryContextReset(st->scratch);
	}
	pfree(list);
}
