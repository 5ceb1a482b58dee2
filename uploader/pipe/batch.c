/*-------------------------------------------------------------------------
 * batch.c
 *	  Rows of one table and partition on their way into an object.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/batch.h"

#include <stdlib.h>

#include "base/mem.h"

/* A single row can be long; the budget counts it honestly. */
#define BATCH_MAX_BYTES ((size_t) 4 << 30)

Batch *
batch_new(Table *table, int64_t hour)
{
	Batch *b = xcalloc(1, sizeof(*b));

	b->table = table;
	b->hour = hour;
	buf_init(&b->buf, BATCH_MAX_BYTES);
	return b;
}

static void
charge(Pipe *p, Batch *b)
{
	int64_t size = (int64_t) b->buf.cap + (int64_t) sizeof(*b);

	if (size != b->charged)
	{
		budget_charge(&p->budget, size - b->charged);
		b->charged = size;
	}
}

Batch *
batch_new_after(Pipe *p, Batch *b)
{
	Batch *after = batch_new(b->table, b->hour);

	after->older = b;
	after->txn = b->txn;
	(void) buf_room(&after->buf, BATCH_BYTES);
	charge(p, after);
	return after;
}

void
batch_free(Pipe *p, Batch *b)
{
	if (!b)
		return;
	budget_charge(&p->budget, -b->charged);
	buf_done(&b->buf);
	free(b);
}

/* A row of transaction number txn begins. */
static void
enter(Batch *b, uint64_t txn, Position here)
{
	if (b->txn != txn)
	{
		b->txn = txn;
		b->mark_n = b->buf.n;
		b->mark_rows = b->rows;
		b->mark_last = b->last;
	}
	if (b->rows == b->mark_rows)
		b->mark_first = here;
	if (b->rows == 0)
		b->first = here;
	b->last = here;
}

void
batch_add(Pipe *p, Batch *b, uint64_t txn, const JsonTxn *head,
		  const JsonChange *change, Lsn commit_lsn)
{
	size_t start = b->buf.n;

	enter(b, txn, (Position){ commit_lsn, change->seq });
	json_write(b->table->json, head, change, &b->buf);
	b->last_n = b->buf.n - start;
	b->rows++;
	charge(p, b);
}

void
batch_begin_line(Batch *b, uint64_t txn, Position here)
{
	enter(b, txn, here);
}

void
batch_grown(Pipe *p, Batch *b, bool line_ended)
{
	b->rows += line_ended;
	charge(p, b);
}

Batch *
batch_continue(Pipe *p, Batch *b)
{
	Batch *next = batch_new(b->table, b->hour);

	b->more = true;
	enter(next, b->txn, b->last);
	charge(p, next);
	return next;
}

Batch *
batch_split(Pipe *p, Batch *b, uint64_t txn)
{
	Batch *tail;

	if (b->txn != txn || b->rows == b->mark_rows)
		return NULL;
	tail = batch_new(b->table, b->hour);
	tail->txn = txn;
	buf_add(&tail->buf, b->buf.p + b->mark_n, b->buf.n - b->mark_n);
	tail->rows = b->rows - b->mark_rows;
	tail->first = tail->mark_first = b->mark_first;
	tail->last = b->last;
	charge(p, tail);

	b->buf.n = b->mark_n;
	b->buf.p[b->mark_n] = 0; /* a Buf ends with a zero */
	b->rows = b->mark_rows;
	b->last = b->mark_last;
	return tail;
}
