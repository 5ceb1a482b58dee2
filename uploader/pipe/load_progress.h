/*-------------------------------------------------------------------------
 * load_progress.h
 *	  How far a load is, for who waits: a line a table that is being read, and
 *	  one for all.
 *
 * On a terminal these lines stand below the log and are written over, else
 * they are events of the log, each interval, the first after the first one.
 * What a table has is guessed from its blocks and from the rows a block that
 * the catalog has, then from those of its chunks that are done.
 * Threads: one; what the workers do is read under Pipe.lock.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_PROGRESS_H
#define LOAD_PROGRESS_H

#include "pipe/load_pool.h"

#define LOAD_BLOCK_BYTES 8192 /* of a server that is built as usual */

typedef struct LoadLine
{
	const char *schema; /* NULL: all tables */
	const char *table;
	double share; /* 0 to 1 */
	int64_t rows;
	int64_t bytes; /* of COPY */
	int64_t ms;
	int tables_done;
	int tables;
} LoadLine;

typedef struct LoadProgress
{
	int64_t interval_ms; /* 0: none */
	bool live;
	int drawn; /* lines that stand there now */
	int64_t next_ms;
	int64_t seen_ms; /* when base/seen.h was told last */
	int64_t began_ms;
	int tables;
	int done;

	/* of tables that were loaded under earlier snapshots */
	int64_t rows;
	int64_t bytes;
	int64_t blocks;
} LoadProgress;

void load_progress_init(LoadProgress *p, const LoadOptions *o, int tables);

/* Writes lines if it is time, and tells base/seen.h once a second. */
void load_progress_tick(LoadProgress *p, LoadPool *pool);

/* The tables of the pool that are loaded are those of an earlier snapshot. */
void load_progress_keep(LoadProgress *p, const LoadPool *pool);

/* Takes the lines away. */
void load_progress_end(LoadProgress *p);

/* The share of so many blocks that is read; per_block: rows, 0: not known. */
double load_progress_share(int64_t rows, int64_t bytes, int64_t blocks,
						   double per_block);

/* Seconds left; -1: not known. */
int64_t load_progress_left(const LoadLine *l);

/* "public.t: 43 %, 1200 rows, 810 rows/s, 1.2 MB/s, 0:41 left" */
void load_progress_text(const LoadLine *l, Buf *out);

#endif
