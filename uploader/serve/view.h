/*-------------------------------------------------------------------------
 * view.h
 *	  What is told of the process at one moment: the counters of base/, and
 *	  what follows from them: ready or not, lag, rates, time left.
 *
 * All that serve/ renders (metrics, status, page, DMS's names) is rendered
 * from a View, so that they never tell different things.
 * Ownership: view_new()'s is the caller's.  Threads: any, but for
 * view_sample(), which one thread calls.  Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef VIEW_H
#define VIEW_H

#include "base/seen.h"
#include "base/stats.h"

/* Per second, over the last minute. */
typedef struct Rates
{
	double rows_received;
	double bytes_received;
	double rows_durable;
	double bytes_written;
	double load_rows;
	double wal_bytes; /* that the source writes */
} Rates;

typedef struct Process
{
	int64_t resident_bytes;
	double cpu_seconds;
	int64_t threads;
	int64_t open_files;
} Process;

/* One output, the lake's own first ("main"). */
typedef struct ViewOutput
{
	const char *name;
	/* works; holds: writes fail and the stream waits; fails: it will be
	 * detached; detached */
	const char *state;
	int64_t objects;
	int64_t bytes;
	int64_t errors;
	double lag_seconds; /* age of the oldest change that it lacks */
} ViewOutput;

typedef struct View
{
	const char *version;
	int64_t now_us;
	StatsRole role;
	const char *unready; /* one word; NULL: ready */
	const char *silent;  /* the thread that is dead; NULL: all live */
	int64_t lag_bytes;
	double lag_seconds;
	double seconds_until_lost; /* the slot; < 0: never, as it looks */
	double merge_behind_seconds;
	Rates rates;
	Process process;
	int noutputs;
	ViewOutput outputs[STATS_OUTPUTS];
	SeenAll seen;
} View;

View *view_new(const char *version);
void view_free(View *v);

/*
 * Why the process is not ready, NULL where it is: a connection to the source,
 * and no change that waits for longer than max(3 * flush.interval, 60 s),
 * unless it is of a large transaction that moves.
 */
const char *view_unready(int64_t now_us, int64_t now_ms);

/* To be called every few seconds, from which rates follow. */
void view_sample(void);

/* Forgets the samples; for tests. */
void view_forget(void);

#endif
