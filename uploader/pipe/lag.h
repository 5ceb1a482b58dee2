/*-------------------------------------------------------------------------
 * lag.h
 *	  How long changes are on their way: from their commit until they are
 *	  durable, and how old the oldest is that is not, in each output too.
 *
 *	  encoder: waiting_begin() at the first change of a checkpoint,
 *		lag_add() at each commit
 *	  committer: lag_settle() and waiting_done() once its entry is durable
 *
 * Time is the source's, as of the commit; what a replication origin says of it
 * is believed.  A transaction larger than memory is "large": it takes as long
 * as it takes, and is not behind while it moves.
 *
 * Threads: a LagTrack goes with its Checkpoint; Waiting is guarded by its own
 * mutex, taken once a checkpoint.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LAG_H
#define LAG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/stats.h"

/* Commits of a checkpoint, counted by steps of time. */
typedef struct LagStep
{
	int64_t us; /* unix: of the first in it */
	int64_t n;
} LagStep;

typedef struct LagTrack
{
	LagStep *steps;
	int n;
	int cap;
} LagTrack;

void lag_add(LagTrack *t, int64_t commit_us);

/* All of them are durable now: tells stats.lag. */
void lag_settle(LagTrack *t, int64_t now_us);
void lag_done(LagTrack *t);

#define WAITING_MAX 64

typedef struct WaitingEntry
{
	int64_t seq; /* of the checkpoint's entry */
	int64_t us;  /* commit of its first change */
	bool large;
	bool closed;             /* all its objects are begun */
	int left[STATS_OUTPUTS]; /* of these, by output, that are not durable */
} WaitingEntry;

/* Checkpoints with changes that are not durable, the oldest first. */
typedef struct Waiting
{
	pthread_mutex_t lock;
	int n;
	WaitingEntry entries[WAITING_MAX];
} Waiting;

void waiting_init(Waiting *w);
void waiting_destroy(Waiting *w);

/* Called again for a checkpoint that waits already it changes nothing. */
void waiting_begin(Waiting *w, int64_t seq, int64_t commit_us);
void waiting_large(Waiting *w, int64_t seq);
void waiting_close(Waiting *w, int64_t seq);

/* n more objects of that output, or less, are not durable. */
void waiting_object(Waiting *w, int64_t seq, int output, int n);

/* From now on it lacks what it lacks, or what comes. */
void waiting_detach(Waiting *w, int output, int64_t now_us);
void waiting_done(Waiting *w, int64_t seq);

#endif
