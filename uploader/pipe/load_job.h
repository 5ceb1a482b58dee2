/*-------------------------------------------------------------------------
 * load_job.h
 *	  A worker of the loader: reads one table, or chunk of a table, after the
 *	  other.
 *
 * Each is a transaction of its own, which takes the snapshot over: no lock
 * outlives the COPY that needed it.  A snapshot does not hold for what
 * rewrites a table, and COPY reads it by the columns that it has now.  So
 * once COPY has its locks, the table as the snapshot has it is compared with
 * the one that is there; where they differ, nothing of the table counts.
 *
 * What may pass (a connection that is lost, a statement that somebody ends) is
 * tried again, in a chunk alone; what may not ends the session.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_JOB_H
#define LOAD_JOB_H

#include "pipe/load_pool.h"
#include "pipe/load_rate.h"

/* The snapshot, and what all workers under it share. */
typedef struct LoadShared
{
	Pipe *p;
	LoadPool *pool;
	LoadRate *rate;
	const char *snapshot;      /* its name */
	Lsn lsn;                   /* S */
	int64_t time;              /* of the snapshot, microseconds since 2000 */
	_Atomic int64_t *next_seq; /* of rows; taken in blocks */
} LoadShared;

typedef struct LoadWorker
{
	const LoadShared *shared;
	LoadJob *job;
} LoadWorker;

/* The worker's thread; arg is its LoadWorker.  Ends when nothing is left. */
void *load_worker_main(void *arg);

#endif
