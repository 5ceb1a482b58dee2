/*-------------------------------------------------------------------------
 * merge_logread.h
 *	  The log read on from where a plan has come, ahead of who asks.
 *
 * Nobody knows beforehand where the log ends: entries are asked for by their
 * numbers, several at once, until one is not there.  Whether that is the end
 * or a hole, of any width, only a listing of what lies behind it can tell, so
 * that is made each time; it has one page.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_LOGREAD_H
#define MERGE_LOGREAD_H

#include "merge/merge_planlog.h"

/*
 * Entry seq, one higher with each call; *out = NULL at the end of the log,
 * ERR_GAP where it goes on behind a missing entry.
 */
bool logread_next(PlanRead *r, int64_t seq, Entry **out, Err *err) MUST_CHECK;

/* What was read ahead is not wanted any more. */
void logread_over(PlanRead *r);

/*
 * What lies before the log's first entry is read, back to entry seq; nothing
 * where that is there.
 */
bool logread_back(PlanRead *r, int64_t seq, Err *err) MUST_CHECK;

#endif
