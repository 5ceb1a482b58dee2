/*-------------------------------------------------------------------------
 * open.h
 *	  The encoder's open batches: those that still grow.
 *
 * There is one of each table and partition, the newest; it leads to older
 * ones that are full (Batch.older).  Rows of the transaction that is still
 * open are the last ones in it, so "committed" is all that is before them.
 *
 *	  open_batch() > append a row > open_grown()
 *	  open_seal…() hand batches to the shippers, in the order of their rows
 *
 * Threads: the encoder's.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef OPEN_H
#define OPEN_H

#include "pipe/checkpoint.h"

/* Set p; the rest is zero. */
typedef struct OpenBatches
{
	Pipe *p;
	Batch **all; /* the newest ones */
	int n;
	int cap;
	int64_t bytes; /* charged for them and their older ones */
	bool any_full; /* some have older ones */
	uint64_t txn;  /* number of the open transaction; 0: none is open */
	Batch *in_row; /* where a line is being written in pieces; or NULL */
} OpenBatches;

/* Frees all of them. */
void open_done(OpenBatches *o);

/* The one to append to, made if there is none. */
Batch *open_batch(OpenBatches *o, Table *t, const Folders *folders);

/*
 * To be called when b was appended to; charged is what it was charged before.
 * When it is full another one takes its place.  True if memory was taken.
 */
bool open_grown(OpenBatches *o, Batch *b, int64_t charged);

/* The one with most memory; there must be one. */
Batch *open_largest(const OpenBatches *o);

/* Has b, or an older one, rows before those of the open transaction? */
bool open_has_committed(const OpenBatches *o, Batch *b);

/*
 * Ships all of b and its older ones for c.  A line that is not at its end
 * goes on in a new batch.
 */
void open_seal(OpenBatches *o, Checkpoint *c, Batch *b);

/* The same, but rows of the open transaction stay; of b, or of all. */
void open_seal_committed(OpenBatches *o, Checkpoint *c, Batch *b);
void open_seal_all_committed(OpenBatches *o, Checkpoint *c);

/* A transaction has ended: what is full need not wait any more. */
void open_seal_full(OpenBatches *o, Checkpoint *c);

#endif
