/*-------------------------------------------------------------------------
 * load_pool.h
 *	  What there is to load under one snapshot, and who does it.
 *
 *	  a table: new ── load_pool_take() ── begun, in chunks ── all chunks done:
 *		read ── all objects durable: load_pool_durable()
 *	  a chunk: waits ── load_pool_take() ── runs ── load_pool_give() ── done,
 *		or waits again for another try
 *
 * Invariants:
 *	(1) A table begins as one chunk that has all of it; who takes that first
 *		cuts it (load_pool_cut()) and goes on with the first of its chunks.
 *	(2) A table that has changed is left to the next snapshot, with all of its
 *		chunks: no more of them are taken, and those that run are ended.
 *	(3) Each reading has a LoadPart of its own; what a table loaded is the
 *		parts of its chunks that are done, one a chunk, and no other.
 *
 * Threads: any, guarded by Pipe.lock; waits are on Pipe.changed.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_POOL_H
#define LOAD_POOL_H

#include "pipe/load_chunk.h"
#include "pipe/pipe.h"

#define LOAD_ON_THEIR_WAY 16 /* tables that are read and not durable */

typedef struct LoadChunk
{
	BlockRange range;
	int64_t blocks; /* about */
	bool runs;
	bool done;
	int tries; /* that came to nothing */
	int64_t not_before_ms;
	LoadPart *part; /* of the reading that counts */
} LoadChunk;

typedef struct PoolTable
{
	LoadTable *load;
	bool begun;
	bool cut;
	bool left; /* to the next snapshot */
	int nchunks;
	LoadChunk *chunks;
	int ndone;

	/* for progress */
	int64_t blocks;
	double per_block; /* rows, as the catalog has it; 0: not known */
	int64_t rows;     /* of chunks that are done */
	int64_t rows_blocks;
	int64_t bytes;
	int64_t began_ms;
} PoolTable;

typedef struct LoadPool LoadPool;

/* Why a job is to end before it is done. */
enum
{
	LOAD_GOES_ON,
	LOAD_YIELDS, /* somebody waits for its lock */
	LOAD_DROPPED /* nothing of it would count */
};

/* A worker, and what it has at hand. */
typedef struct LoadJob
{
	PoolTable *table; /* NULL: nothing */
	LoadChunk *chunk;
	LoadPart *part;
	int fails;             /* jobs of its own that failed, since one was done */
	int64_t not_before_ms; /* it takes no other */
	atomic_int end;
	atomic_int pid;       /* of the process that reads for it; 0: none */
	_Atomic int64_t rows; /* so far */
	_Atomic int64_t bytes;
} LoadJob;

struct LoadPool
{
	Pipe *p;
	Lsn lsn; /* S */
	int njobs;
	LoadJob *jobs;
	int ntables;
	PoolTable *tables;
	int next; /* the first table that may not have begun */
	int nopen;
	PoolTable **open; /* begun and not read */
	int nread;
	PoolTable **read; /* read and not durable */
	bool over;        /* nothing more is taken */
};

/* How a job ended. */
typedef enum JobEnd
{
	JOB_DONE,
	JOB_GONE,    /* there is no such table any more */
	JOB_CHANGED, /* it is not the table that the snapshot has */
	JOB_AGAIN,   /* to be tried again */
} JobEnd;

/* The tables that are not loaded yet, for so many workers. */
void load_pool_init(LoadPool *l, Pipe *p, Lsn lsn, int njobs);
void load_pool_done(LoadPool *l);

/*
 * The next job: chunks of tables that have begun go first.  Waits where there
 * is none at the moment; false where there will be none.
 */
bool load_pool_take(LoadPool *l, LoadJob *j);

/* Takes the ranges; blocks[i] is about how many blocks ranges[i] has. */
void load_pool_cut(LoadPool *l, LoadJob *j, const BlockRange *ranges,
				   const int64_t *blocks, int n, double per_block);

/* The job has ended; true where the table is left only now. */
bool load_pool_give(LoadPool *l, LoadJob *j, JobEnd end);

/* Nothing more is taken; what runs is ended. */
void load_pool_stop(LoadPool *l);

/* The worker whose process has that id is to give its lock back. */
void load_pool_yield(LoadPool *l, int pid);

/*
 * Takes out a table of which all is durable: its LoadTable has what is to be
 * listed.  Waits for one so long; NULL where there was none.  *reads, *waits:
 * something is to be read still; is to become durable.
 */
LoadTable *load_pool_durable(LoadPool *l, int64_t wait_ms, bool *reads,
							 bool *waits);

/* A new part, whose objects are listed nowhere yet. */
LoadPart *load_part_new(Pipe *p, LoadTable *t, Schema *schema);

#endif
