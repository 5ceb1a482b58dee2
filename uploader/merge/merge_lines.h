/*-------------------------------------------------------------------------
 * merge_lines.h
 *	  Lines of cdc_s3.rejected that earlier merges left, while a later one
 *	  brings more of their tables.
 *
 * A line says where a row of the source should be (new_key) and where it still
 * is (old_key).  Invariants:
 *
 *	(1) Every row of the table that is not what the source has is named by a
 *		line.
 *	(2) A line ends with the first later change that passed and that tells
 *		the whole row of its new key, or deletes it; with a truncate or a load
 *		of the table; and with a line behind it that goes on from its key and
 *		ends.
 *	(3) So what is left is the last thing that the source said of its key, and
 *		a retry never writes over a later one.
 *	(4) Changes behind a line's position that do not tell the whole row find
 *		its mark in the staging table, and are completed from it or rejected.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_LINES_H
#define MERGE_LINES_H

#include "merge/merge_stage.h"

/* A merge that retries: tables with lines become tables of the plan. */
bool lines_plan(MergeCx *cx, Plan *plan, bool *any, Err *err) MUST_CHECK;

/*
 * Before the first record: reads the table's lines, in a merge that retries
 * those too that it is going to stage, which are no lines any more.
 */
bool lines_begin(Stage *s, Err *err) MUST_CHECK;

/* After stage_finish: stages marks where changes need them, or retries. */
bool lines_stage(Stage *s, Err *err) MUST_CHECK;

/* Once the stage was applied: lines that are over go. */
bool lines_end(Stage *s, Err *err) MUST_CHECK;

#endif
