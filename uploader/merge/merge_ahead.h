/*-------------------------------------------------------------------------
 * merge_ahead.h
 *	  cdc_s3.ahead: tables of the target that are further than its position.
 *
 * A merge by groups (merge_parallel.h) commits each group of tables in a
 * transaction of its own.  Invariants:
 *
 *	(1) A table has a line here exactly if its rows are those of the line's
 *		entry; tables without one are at the position.  The line is written in
 *		the transaction that writes the rows.
 *	(2) All lines of a source are of one entry, behind the position.  While
 *		there are any, a merge goes to that entry, whatever it was asked for,
 *		and leaves these tables alone.
 *	(3) Who moves the position removes all lines in that transaction; they are
 *		as many as it knows of.
 *	(4) Who writes a line holds a lock on the position's row from before the
 *		first change to the commit.  So two merges that know nothing of each
 *		other (the lock of one was lost with its connection) never both apply
 *		the changes of one table: the one that is later ends with ERR_LOST.
 *
 * The table is made by the first merge that may need it.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_AHEAD_H
#define MERGE_AHEAD_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

/* Makes the table where it is missing, in a transaction of its own. */
bool ahead_create(MergeCx *cx, Err *err) MUST_CHECK;

/* The lines of the source, once the position is known. */
bool ahead_read(MergeCx *cx, PlanFrom *io, Err *err) MUST_CHECK;
void ahead_done(PlanFrom *s);

/* What another source left that the target does not go on with. */
bool ahead_adopt(MergeCx *cx, Err *err) MUST_CHECK;

/* Tables of the plan that have a line are left alone. */
bool ahead_mark(Plan *plan, const PlanFrom *from, Err *err) MUST_CHECK;

/* Their lines in the result: what was done was not told yet. */
void ahead_tell(const PlanFrom *from, MergeResult *result);

/*
 * The table gets its line, without what was done; ERR_LOST where another
 * merge was there.  And what was done.
 */
bool ahead_claim(MergeCx *cx, const Plan *plan, const PlanTable *t,
				 Err *err) MUST_CHECK;
bool ahead_note(MergeCx *cx, const PlanTable *t, const MergeTable *done,
				Err *err) MUST_CHECK;

/* The position moves: all lines go, of which there are n. */
bool ahead_close(MergeCx *cx, int n, Err *err) MUST_CHECK;

#endif
