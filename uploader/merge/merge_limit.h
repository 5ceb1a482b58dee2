/*-------------------------------------------------------------------------
 * merge_limit.h
 *	  merge.reject_limit: how many changes of a merge may be rejected.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_LIMIT_H
#define MERGE_LIMIT_H

#include "merge/merge_sql.h"

/* ERR_USAGE where it is neither a count nor a percentage. */
bool limit_check(const char *limit, Err *err) MUST_CHECK;

/*
 * ERR_TARGET where more changes were rejected than the limit lets through;
 * whole: all changes of the merge are counted, so that a share can be told.
 * Rows that were rejected before and are again do not count.
 */
bool limit_keep(const MergeCx *cx, const MergeResult *r, bool whole,
				Err *err) MUST_CHECK;

#endif
