/*-------------------------------------------------------------------------
 * governor.h
 *	  Watches how much WAL the slot holds at the source, and what is left until
 *	  the server, or its disk, has no more room.
 *
 * It works beside the sessions, also while none can begin: that is when WAL
 * piles up.  What it does it does by flags in RunControl, which others read:
 *
 *	  warn	says early how much is left, and in how many minutes it is gone
 *	  shed	besides: loads pause, entries are written at once, compression is
 *			the cheapest
 *	  drop	besides: at governor.min_free the run ends as for a stop, the slot
 *			is dropped, and the exit code is 3: the source lives, and a person
 *			begins a new lake
 *
 * governor_judge() decides by samples alone, and is the same each time.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef GOVERNOR_H
#define GOVERNOR_H

#include "pipe/pipe.h"

/* What is left is a limit of the server less what the slot holds, or … */
typedef struct GovernorSample
{
	int64_t at_ms;
	int64_t retained; /* bytes of WAL, from the slot's restart to its end */
	int64_t lag;      /* bytes of these that are not confirmed */
	int64_t safe;     /* … safe_wal_size; -1: the server has no limit */
} GovernorSample;

typedef enum GovernorLevel
{
	GOVERNOR_CALM,
	GOVERNOR_WARN,
	GOVERNOR_SHED,
	GOVERNOR_DROP
} GovernorLevel;

typedef struct GovernorVerdict
{
	GovernorLevel level; /* what is so, whatever the action allows */
	int64_t left;        /* bytes; -1: nobody knows */
	int64_t rate;        /* bytes a second by which that shrinks; <= 0: none */
	int64_t minutes;     /* until nothing is left at this rate; -1: never */
} GovernorVerdict;

#define GOVERNOR_WINDOW 12 /* samples that make a rate */

typedef struct Governor
{
	int64_t max_retained; /* 0: none */
	int64_t min_free;
	GovernorSample samples[GOVERNOR_WINDOW]; /* a ring */
	int n;                                   /* ever taken */
	GovernorLevel level;
} Governor;

GovernorVerdict governor_judge(Governor *g, const GovernorSample *s);

/* The thread; NULL where it could not be started (an event says so). */
typedef struct GovernorThread GovernorThread;

GovernorThread *governor_begin(const RunOptions *o);

/*
 * Ends it, once run is over.  ERR_GAP, in place of what err is, where it was
 * over since the slot was to be dropped.
 */
bool governor_end(GovernorThread *t, bool ok, Err *err);

#endif
