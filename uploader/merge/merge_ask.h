/*-------------------------------------------------------------------------
 * merge_ask.h
 *	  Loads that a merge asks for: of tables in cdc_s3.resync.
 *
 * What is to be asked for is decided in the merge's transaction, by the
 * target and the log; asked is behind its commit, by a request in the lake
 * (store/request.h).  A merge that ends between the two leaves that to the next
 * one, since the table stands in cdc_s3.resync until its load is merged.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_ASK_H
#define MERGE_ASK_H

#include "merge/merge_planlog.h"
#include "merge/merge_sql.h"

/*
 * False where a person has to: merge.h's "resync" says so, or the tables'
 * first rows were never loaded (load.mode=never).  source: entry 0.
 */
bool ask_may(const MergeOptions *o, const Entry *source);

/* Sets "ask" of each table, and in the target its state "often". */
bool ask_judge(MergeCx *cx, const Plan *plan, MergeResult *out,
			   Err *err) MUST_CHECK;

/* A request for each with ASK_RUN; a failure is logged, and no more. */
void ask_for_loads(Store *store, const Entry *source, MergeResult *out);

#endif
