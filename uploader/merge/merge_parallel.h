/*-------------------------------------------------------------------------
 * merge_parallel.h
 *	  merge.parallel: groups of tables that commit one by one.
 *
 * A group is what foreign keys in force join.  Of a plan, the groups all of
 * whose tables have changes of rows and nothing else are merged by several
 * connections, each group in a transaction of its own, which also says how far
 * its tables are (merge_ahead.h).  All others are left to the transaction that
 * moves the position, and so is everything where that transaction has written
 * something by now: who waits for it would wait for ever.
 *
 * So one merge's promise becomes two: each group is a consistent cut of the
 * source at any time, and all tables together are one once the merge ends.
 * Threads: opt->parallel of them, each with a connection and a store.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PARALLEL_H
#define MERGE_PARALLEL_H

#include "merge/merge_bring.h"
#include "merge/merge_plan.h"

/*
 * Merges the groups that can be; b is of the transaction that has the lock.
 * Their tables are marked (PlanTable.ahead) and counted in *out_tables, and
 * what was done to them is in b's result.  A group that failed keeps no other
 * one back: the first error is told at the end.
 */
bool parallel_merge(Bring *b, int *out_tables, Err *err) MUST_CHECK;

#endif
