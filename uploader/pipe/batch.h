/*-------------------------------------------------------------------------
 * batch.h
 *	  Rows of one table and partition on their way into an object.
 *
 * A batch remembers where the rows of the transaction that is still open
 * begin (the mark), so that a checkpoint can end at the last commit at any
 * time: batch_split() leaves the rows behind the mark in a batch of their
 * own.
 *
 * A batch that is full is followed by the next one, and waits with it for its
 * transaction to end; "older" leads back to it.  Batches are as large as
 * what a processor has at hand, so that a line is compressed while it is
 * there, and of one size, so that the heap has memory for the next one.
 *
 * Ownership: one owner at any time: encoder or loader, Object, one shipper.
 * Memory is charged to the pipe's budget by capacity.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef BATCH_H
#define BATCH_H

#include "pipe/pipe.h"

#define BATCH_BYTES ((size_t) 256 << 10)

struct Batch
{
	Batch *next;  /* of its object */
	Batch *older; /* full, of the same table and partition */
	Table *table;
	int64_t hour; /* unix hour of the partition */
	Buf buf;
	int64_t charged; /* bytes charged to the budget */
	int64_t rows;
	Position first;
	Position last;
	size_t last_n; /* length of the last row */

	/* rows of transaction number txn begin at mark_n */
	uint64_t txn;
	size_t mark_n;
	int64_t mark_rows;
	Position mark_last;  /* the row before the mark */
	Position mark_first; /* the row at the mark */

	Batch *next_open; /* the table's next partition */
	int open_index;   /* in the encoder's array of open batches */

	/*
	 * The next batch of this table and partition continues the last line.
	 * "rows" counts the lines that end in a batch, "first" and "last" are
	 * set in each.
	 */
	bool more;
};

Batch *batch_new(Table *table, int64_t hour);

/* The one after b, which is full; it owns b until b is taken from it. */
Batch *batch_new_after(Pipe *p, Batch *b);

/* Another row like the last one would make it grow. */
static inline bool
batch_is_full(const Batch *b)
{
	return b->buf.n + b->last_n > BATCH_BYTES;
}

void batch_free(Pipe *p, Batch *b); /* not its older ones */

/* Appends a row of transaction number txn. */
void batch_add(Pipe *p, Batch *b, uint64_t txn, const JsonTxn *head,
			   const JsonChange *change, Lsn commit_lsn);

/*
 * A line that is written in pieces to b->buf: its beginning, and after each
 * piece, the last one too, what the buffer takes.
 */
void batch_begin_line(Batch *b, uint64_t txn, Position here);
void batch_grown(Pipe *p, Batch *b, bool line_ended);

/* A new batch in which the line goes on; b gets no more. */
Batch *batch_continue(Pipe *p, Batch *b);

/*
 * Moves the rows of transaction txn into a new batch, and returns that, or
 * NULL where the batch has none.
 */
Batch *batch_split(Pipe *p, Batch *b, uint64_t txn);

#endif
