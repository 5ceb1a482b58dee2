/*-------------------------------------------------------------------------
 * merge_report.h
 *	  cdc_s3.merge_run: one row a merge that took entries.
 *
 * It is written in the merge's own transaction, so it is there exactly if the
 * merge is: a merge that failed leaves none, and how long the COMMIT took is
 * told by the log alone.
 * Ownership: report_done() frees.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_REPORT_H
#define MERGE_REPORT_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

#define REPORT_RUNS_KEPT 1000 /* rows of one source; older ones go */

/* The table, for state_create(). */
extern const char report_create_sql[];

/* What the result's tables counted before the transaction. */
typedef struct Report
{
	int ntables;
	MergeTable *tables; /* their strings are borrowed */
} Report;

/* A transaction begins; ways and reasons of the one before it are forgotten. */
void report_begin(Report *r, MergeResult *result);
/* It was rolled back: the result is as it was when it began. */
void report_undo(const Report *r, MergeResult *result);
void report_done(Report *r);

/* By which way a table went, and why; why is taken. */
void report_way(MergeTable *t, const char *way, char *why);

bool report_store(MergeCx *cx, const Report *r, const Plan *plan,
				  const MergeResult *result, Err *err) MUST_CHECK;

#endif
