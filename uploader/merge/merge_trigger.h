/*-------------------------------------------------------------------------
 * merge_trigger.h
 *	  merge.triggers: tables of the target whose triggers run although this
 *	  role switches triggers off.
 *
 * They are enabled for the transaction of the merge, and foreign keys stay
 * off.  The table is then equal to the source as its triggers make it.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_TRIGGER_H
#define MERGE_TRIGGER_H

#include "merge/merge_sql.h"
#include "merge/merge_target.h"

/* ERR_USAGE where the setting is no list of patterns. */
bool trigger_check(const char *triggers, Err *err) MUST_CHECK;

/* *back: what switches them as they were, or NULL; the caller frees it. */
bool trigger_enable(MergeCx *cx, const Target *t, char **back,
					Err *err) MUST_CHECK;
bool trigger_back(MergeCx *cx, const char *back, Err *err) MUST_CHECK;

#endif
