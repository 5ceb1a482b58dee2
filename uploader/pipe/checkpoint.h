/*-------------------------------------------------------------------------
 * checkpoint.h
 *	  One entry of the log on its way, and the thread that writes it.
 *
 *	  open (encode.c fills it: objects, schemas, loads)
 *		-- checkpoint_close(): end LSN known, handed to the committer
 *	  closed: its batches are still being shipped
 *		-- all objects durable: schema files, then the entry, are written
 *	  durable: its end LSN may be confirmed
 *
 * Invariants: (1) entries are written in order of their number, one at a
 * time.  (2) An entry is written after all it names is durable.  (3) Pipe's
 * log_end, log_seq, closed_until and pending_checkpoints change here alone,
 * and log_end never goes back: the receiver confirms log_end and nothing
 * else.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "pipe/object.h"

struct Checkpoint
{
	QueueItem link;
	Entry *entry;    /* objects are guarded by Pipe.lock while shipped */
	int outstanding; /* objects not yet durable; guarded by Pipe.lock */
	int next_object; /* n in the object's name; guarded by Pipe.lock */
	Object *open;    /* that may get more batches, the latest first */
	bool closing;    /* each batch is the last of its object */
	Table **tables;  /* their schema files go before the entry, and no
					  * object brings them; borrowed */
	int ntables;
	int64_t no_key;    /* updates and deletes in it that name no row */
	int64_t rows;      /* streamed ones in it */
	int64_t since_ms;  /* its first row came; 0: it has none */
	int64_t closed_ms; /* mono */
	LagTrack lag;
	Checkpoint *next_dropped;
};

Checkpoint *checkpoint_new(int64_t seq);
void checkpoint_free(Checkpoint *c);

/*
 * Takes c, which will not be written.  It lives on until the session ends,
 * since shippers may still report to it.
 */
void checkpoint_drop(Pipe *p, Checkpoint *c);

/*
 * The entry will name this schema of a table, from "at" on.  NULL: of a table
 * of which nothing is known.  Returns what can be added to, until the next.
 */
EntrySchema *checkpoint_add_schema(Checkpoint *c, const Table *t, Position at);

/*
 * The committer writes the schema file.  Where objects come with it the first
 * of them brings it, so that files are not written one by one.
 */
void checkpoint_add_file(Checkpoint *c, Table *t);

/*
 * The entry will say that this load is over, and list its objects, which are
 * durable and move to it; and where it is done, name the table's schema, behind
 * all changes at its LSN.
 */
void checkpoint_add_load(Pipe *p, Checkpoint *c, LoadTable *load);

/*
 * Takes b: it goes into the object of its table and partition, which stays
 * open for more unless c is closing.
 */
void checkpoint_ship(Pipe *p, Checkpoint *c, Batch *b);

/* Takes c: no more objects will come; its rows end at "end". */
void checkpoint_close(Pipe *p, Checkpoint *c, Lsn end, int64_t closed_until);

/* The committer's thread; arg is the Pipe. */
void *checkpoint_main(void *arg);

#endif
