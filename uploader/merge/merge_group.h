/*-------------------------------------------------------------------------
 * merge_group.h
 *	  Staged tables to the target: which of them go together, and by which of
 *	  the two ways.
 *
 * Tables are in one group where a foreign key that is in force joins them,
 * or where they are stages of one table.  Of each group:
 *
 *	(1) The fast way (merge_apply.h) is taken where only the end counts: no
 *		trigger or rule would run, no action of a foreign key, the key has one
 *		definition over all objects, and no record was rejected before.
 *	(2) What the fast way cannot do, and what the target refuses, is undone by
 *		a savepoint, and the group goes the exact way (merge_exact.h).
 *	(3) Constraints that may wait for the commit are checked at its end.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_GROUP_H
#define MERGE_GROUP_H

#include "merge/merge_facts.h"
#include "merge/merge_stage.h"

typedef struct GroupTable
{
	Stage *stage; /* owned */
	Target *target;
	FactTable facts;
	char *triggers; /* what switches its triggers back; or NULL */
	bool several;   /* the table has more stages than this one */
	int result;     /* its line in the result */
} GroupTable;

/* Reads the target's catalog; takes stage and target, also on failure. */
bool group_table(MergeCx *cx, Stage *stage, Target *target, GroupTable *out,
				 Err *err) MUST_CHECK;
void group_table_done(GroupTable *t);

/* Applies all of them, group by group, and drops their staging tables. */
bool group_apply(MergeCx *cx, const Facts *facts, GroupTable *tables, int n,
				 MergeResult *result, Err *err) MUST_CHECK;

#endif
