/*-------------------------------------------------------------------------
 * merge_follow.h
 *	  The target's tables become what the source's became in a range.
 *
 * It happens before any change is applied: changes are by identity and attnum,
 * so they find their table and columns whatever these are called.  What is
 * known then of each table goes to cdc_s3.tables.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FOLLOW_H
#define MERGE_FOLLOW_H

#include "merge/merge_ddl.h"

/*
 * Names, columns, keys.  Tables that the target refuses to change are
 * t->refused; ERR_TARGET where merge.schema is strict.
 */
bool follow_plan(Ddl *d, Plan *plan, Err *err) MUST_CHECK;

/* Tables whose changes waited and wait no more are not named any more. */
bool follow_unblocked(Ddl *d, const Plan *plan, Err *err) MUST_CHECK;

/*
 * Before anything is applied: what cdc_s3 keeps by a table's name goes by its
 * new one.
 */
bool follow_names(Ddl *d, const Plan *plan, Err *err) MUST_CHECK;

/* Once all changes are applied: keys, grants, and what is known now. */
bool follow_store(Ddl *d, const Plan *plan, Err *err) MUST_CHECK;

#endif
