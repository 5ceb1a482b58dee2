/*-------------------------------------------------------------------------
 * merge_range.h
 *	  Which entries a merge applies.
 *
 * Input is the chain of entries and what the target has: no listing, no
 * clock.  A range ends at an entry's end.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_RANGE_H
#define MERGE_RANGE_H

#include "merge/merge_plan.h"

/* Identity of the log: entry 0's source. ERR_USAGE: there is no log. */
bool plan_source(Store *store, Entry **out, Err *err) MUST_CHECK;

/*
 * Of the options until, stop and store count; "from" is borrowed as long as
 * the plan lives.
 * ERR_GAP: the log does not go on where the target stands.  ERR_BUSY: the
 * hour of a time asked for is not complete.
 */
bool plan_make(Store *store, const MergeOptions *o, const PlanFrom *from,
			   Progress *progress, Plan **out, Err *err) MUST_CHECK;
void plan_free(Plan *p);

/* True where until can be understood. */
bool plan_until_valid(const char *until);

#endif
