/*-------------------------------------------------------------------------
 * merge_ddl.h
 *	  Statements that change a table of the target as the source changed.
 *
 * Those of one table are one step under a savepoint.  What the target refuses
 * (a view depends on it, it is not the owner's, no lock in time) blocks that
 * table alone: its line in cdc_s3.resync has the statements, its changes wait
 * in the lake, and the next merge tries again.  With merge.schema = strict
 * nothing is run: the statements are gathered.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_DDL_H
#define MERGE_DDL_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

typedef struct Ddl
{
	MergeCx *cx;
	bool mirror;
	bool strict;
	bool timed; /* lock_timeout is set */
	int nwanted;
	Buf wanted; /* of a strict merge: all statements */
	Buf step;   /* those of this step */
} Ddl;

void ddl_init(Ddl *d, MergeCx *cx);
void ddl_done(Ddl *d);

/* Are statements really run?  Not in a preview, nor in a strict merge. */
bool ddl_runs(const Ddl *d);

bool ddl_begin(Ddl *d, Err *err) MUST_CHECK;
bool ddl_run(Ddl *d, const char *sql, Err *err) MUST_CHECK;

/*
 * The step's end; ok: all of it passed.  False where it failed for another
 * reason than that the target refuses it; else t->refused tells.
 */
bool ddl_end(Ddl *d, PlanTable *t, bool ok, Err *err) MUST_CHECK;

/* The same without a step: why its changes wait. */
bool ddl_block(Ddl *d, PlanTable *t, const char *statements, const char *why,
			   Err *err) MUST_CHECK;

/* The changes of t wait, though the target did not refuse anything of it. */
bool ddl_wait(Ddl *d, PlanTable *t, const char *reason, const char *why,
			  Err *err) MUST_CHECK;

/* Behind all steps: ERR_TARGET where a strict merge would need some. */
bool ddl_finish(Ddl *d, Err *err) MUST_CHECK;

#endif
