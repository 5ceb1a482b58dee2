/*-------------------------------------------------------------------------
 * merge_state.h
 *	  What a merge keeps in the target: schema cdc_s3.
 *
 *	  position	how far each source was merged: entry and LSN
 *	  waiting	tables whose changes wait for a load
 *	  rejected	rows that the target refused
 *	  resync	tables whose rows changed at the source and no record tells how
 *	  tables	where each source table goes (merge_owner.h)
 *	  merge_run	what each merge did (merge_report.h)
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_STATE_H
#define MERGE_STATE_H

#include "merge/merge_plan.h"
#include "merge/merge_record.h"
#include "merge/merge_sql.h"

/*
 * Makes schema and tables where they are missing, in a transaction; *out_older
 * where an older release merged into this target.
 */
bool state_create(MergeCx *cx, bool *out_older, Err *err) MUST_CHECK;

/*
 * Takes the lock that keeps two merges apart until the transaction ends;
 * ERR_BUSY when opt->lock_wait_ms passed.
 */
bool state_lock(MergeCx *cx, Err *err) MUST_CHECK;

/* Does somebody have that lock now? */
bool state_look_lock(MergeCx *cx, bool *out_taken, Err *err) MUST_CHECK;

/*
 * ERR_GAP: the target was merged from another source under this slot name.
 * The caller calls state_done, also after a failure.
 */
bool state_read(MergeCx *cx, PlanFrom *out, Err *err) MUST_CHECK;
void state_done(PlanFrom *s);

/* Compare-and-set of the position, and the tables that wait now. */
bool state_store(MergeCx *cx, const Plan *plan, Err *err) MUST_CHECK;

/*
 * The table has to be loaded anew: its rows changed at pos and no record
 * tells how.  And the mark is taken back, once all its rows are known again.
 */
bool state_resync(MergeCx *cx, const PlanTable *t, RecordPos pos,
				  const char *reason, Err *err) MUST_CHECK;
bool state_resync_over(MergeCx *cx, const PlanTable *t, Err *err) MUST_CHECK;

/* What the target itself stands in the way of comes again with each load. */
bool state_is_lasting(const char *reason);

/* Its column "state". */
bool state_resync_state(MergeCx *cx, const MergeResync *r, const char *set_to,
						Err *err) MUST_CHECK;

/*
 * The target refuses what the table needs; detail: the statements, and why.
 * And the mark is taken back once they passed.
 */
bool state_blocked(MergeCx *cx, const PlanTable *t, const char *reason,
				   const char *statements, const char *why,
				   Err *err) MUST_CHECK;
bool state_unblocked(MergeCx *cx, const PlanKnown *k, Err *err) MUST_CHECK;

/* The source has the table still, and the stream does not. */
bool state_left(MergeCx *cx, const PlanTable *t, Err *err) MUST_CHECK;

/*
 * What waits for somebody: tables that are marked, and how many rows were
 * rejected; the caller frees (merge_result_done).
 */
bool state_outstanding(MergeCx *cx, MergeResult *out, Err *err) MUST_CHECK;
void merge_resync_done(MergeResult *r);

#endif
