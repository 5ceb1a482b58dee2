/*-------------------------------------------------------------------------
 * batch_read.h
 *	  The changes of a batch: the decoders of its records.
 *
 * Use: batch_reader_open() with each batch, then batch_reader_next() until it
 * says ITEM_END.  An item and all it points to are borrowed until the next
 * call; rows are views into the batch.
 * Threads: one owner at a time.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef BATCH_READ_H
#define BATCH_READ_H

#include "codec/framepart.h"
#include "pipe/batch.h"

typedef enum BatchItemType
{
	ITEM_END,
	ITEM_CHANGE,
	ITEM_HEAD, /* a row in parts begins: the change without rows */
	ITEM_PART  /* an item of it */
} BatchItemType;

typedef struct BatchItem
{
	BatchItemType type;
	Change change;
	PartItem part;
} BatchItem;

typedef struct BatchReader BatchReader;

/* whole_max: ROW_WHOLE_MAX, or less in a test. */
BatchReader *batch_reader_new(size_t whole_max);
void batch_reader_free(BatchReader *r);

/* Borrows b until ITEM_END. */
void batch_reader_open(BatchReader *r, const Batch *b);

/*
 * *part is the state of a row in parts, which may go on in the next batch of
 * the same object; NULL before the first one.  The caller owns it
 * (framepart_free).  ERR_DATA: the server sent what breaks the contract.
 */
bool batch_reader_next(BatchReader *r, FramePart **part, BatchItem *out,
					   Err *err) MUST_CHECK;

/* Held between batches, about. */
size_t batch_reader_memory(const BatchReader *r);

#endif
