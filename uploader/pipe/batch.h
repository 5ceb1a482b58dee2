/*-------------------------------------------------------------------------
 * batch.h
 *	  Changes of one table and partition on their way into an object.
 *
 * A batch holds copies of the changes' bytes as they came (rows of the wire,
 * tuples of a COPY); who ships it makes Changes of them (batch_read.h).  So
 * the thread that routes looks at no value.
 *
 * A batch remembers where the changes of the transaction that is still open
 * begin (the mark), so that a checkpoint can end at the last commit at any
 * time: batch_split() leaves the changes behind the mark in a batch of their
 * own.
 *
 * A batch that is full is followed by the next one, and waits with it for its
 * transaction to end; "older" leads back to it.  Batches are as large as
 * what a processor has at hand, and of one size, so that the heap has memory
 * for the next one.
 *
 * Where there are further outputs one batch goes into an object of each: then
 * others share its bytes (batch_share()), which live as long as the last.
 *
 * Ownership: one owner at any time: encoder or loader, Object, one shipper.
 * Memory is charged to the pipe's budget by capacity.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef BATCH_H
#define BATCH_H

#include "base/scale.h"
#include "codec/change.h"
#include "pipe/pipe.h"

#define BATCH_BYTES ((size_t) (256 << 10) / SCALE)

/* What begins a record of a batch; private to batch.c and batch_read.c. */
typedef enum BatchTag
{
	BATCH_TXN,   /* BatchTxn: of all that follow */
	BATCH_ROWS,  /* BatchRows, then the rows' bytes */
	BATCH_TUPLE, /* BatchRows, then a tuple of a binary COPY */
	BATCH_PLAIN, /* BatchPlain: a change without rows, and its strings */
	BATCH_HEAD,  /* BatchRows: of a row that comes in parts */
	BATCH_PART   /* BatchPart, then bytes of that row */
} BatchTag;

/* What the changes of one transaction share. */
typedef struct BatchTxn
{
	Lsn lsn;      /* of the commit */
	uint32_t xid; /* 0: a load */
	int64_t time; /* microseconds since 2000-01-01 */
} BatchTxn;

typedef struct BatchRows
{
	int64_t seq;
	uint32_t n;
	uint8_t type; /* of the frame */
	uint8_t flags;
} BatchRows;

typedef struct BatchPart
{
	uint32_t n;
	bool last;
} BatchPart;

typedef struct BatchPlain
{
	int64_t seq;
	int32_t npartial; /* each: schema, table, bound */
	char op;
	bool has_reason; /* before those */
} BatchPlain;

struct Batch
{
	Batch *next;  /* of its object */
	Batch *older; /* full, of the same table and partition */
	Table *table;
	int64_t folder;                   /* its begin: unix us (path.h) */
	int64_t further[OUTPUTS_MAX - 1]; /* the same of further outputs */
	Batch *origin;                    /* whose bytes these are; NULL: its own */
	atomic_int shares;                /* others that have its bytes */
	Buf buf;         /* records: a BatchTag each, and what belongs to it */
	int64_t charged; /* bytes charged to the budget */
	int64_t rows;
	Position first;
	Position last;
	size_t last_n; /* length of the last row's record */

	/* rows of transaction number txn begin at mark_n */
	uint64_t txn;
	BatchTxn head; /* its own */
	size_t mark_n;
	int64_t mark_rows;
	Position mark_last;  /* the row before the mark */
	Position mark_first; /* the row at the mark */

	Batch *next_open; /* the table's next partition */
	int open_index;   /* in the encoder's array of open batches */

	/*
	 * The next batch of this table and partition continues the last row.
	 * "rows" counts those that end in a batch, "first" and "last" are set in
	 * each.
	 */
	bool more;
};

Batch *batch_new(Table *table, int64_t folder);

/* An empty one of the same folders. */
Batch *batch_new_like(const Batch *b);
void batch_set_folders(Batch *b, const Folders *folders);
bool batch_is_in(const Batch *b, const Folders *folders);
int64_t batch_folder(const Batch *b, int output);

/* The same changes once more, to be read only; b gets no more from now on. */
Batch *batch_share(Pipe *p, Batch *b);

/* The one after b, which is full; it owns b until b is taken from it. */
Batch *batch_new_after(Pipe *p, Batch *b);

/* Another row like the last one would make it grow. */
static inline bool
batch_is_full(const Batch *b)
{
	return b->buf.n + b->last_n > BATCH_BYTES;
}

void batch_free(Pipe *p, Batch *b); /* not its older ones */

/*
 * Appends a change of transaction number txn.  Rows as they are on the wire,
 * type and flags of their frame; a tuple of a COPY; a change without rows.
 */
void batch_add_rows(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
					const BatchRows *rows, const uint8_t *bytes);
void batch_add_tuple(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
					 int64_t seq, Slice tuple);
void batch_add_plain(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
					 const Change *change);

/*
 * A row in parts: its beginning, without bytes, and its parts, the last one
 * too.
 */
void batch_begin_row(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
					 const BatchRows *rows);
void batch_add_part(Pipe *p, Batch *b, Slice bytes, bool last);

/* A new batch in which the row goes on; b gets no more. */
Batch *batch_continue(Pipe *p, Batch *b);

/*
 * Moves the rows of transaction txn into a new batch, and returns that, or
 * NULL where the batch has none.
 */
Batch *batch_split(Pipe *p, Batch *b, uint64_t txn);

#endif
