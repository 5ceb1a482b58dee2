/*-------------------------------------------------------------------------
 * batch.c
 *	  Changes of one table and partition on their way into an object.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A single row can be long; the budget counts it honestly. */
#define BATCH_MAX_BYTES ((size_t) 4 << 30)

Batch *
batch_new(Table *table, int64_t folder)
{
	Batch *b = xcalloc(1, sizeof(*b));

	b->table = table;
	b->folder = folder;
	buf_init(&b->buf, BATCH_MAX_BYTES);
	return b;
}

Batch *
batch_new_like(const Batch *b)
{
	Batch *like = batch_new(b->table, b->folder);

	memcpy(like->further, b->further, sizeof(like->further));
	return like;
}

void
batch_set_folders(Batch *b, const Folders *folders)
{
	b->folder = folders->at[0];
	memcpy(b->further, folders->at + 1, sizeof(b->further));
}

bool
batch_is_in(const Batch *b, const Folders *folders)
{
	return b->folder == folders->at[0] &&
		   memcmp(b->further, folders->at + 1, sizeof(b->further)) == 0;
}

int64_t
batch_folder(const Batch *b, int output)
{
	return output > 0 ? b->further[output - 1] : b->folder;
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
batch_share(Pipe *p, Batch *b)
{
	Batch *share = batch_new_like(b);

	assert(!b->origin);
	atomic_fetch_add(&b->shares, 1);
	share->origin = b;
	share->buf = b->buf;
	share->rows = b->rows;
	share->first = b->first;
	share->last = b->last;
	share->more = b->more;
	share->charged = (int64_t) sizeof(*share);
	budget_charge(&p->budget, share->charged);
	return share;
}

void
batch_free(Pipe *p, Batch *b)
{
	Batch *origin = b ? b->origin : NULL;

	if (origin)
	{
		budget_charge(&p->budget, -b->charged);
		free(b);
		b = origin;
	}
	if (!b || atomic_fetch_sub(&b->shares, 1) > 0)
		return;
	budget_charge(&p->budget, -b->charged);
	buf_done(&b->buf);
	free(b);
}

static void
put(Batch *b, BatchTag tag, const void *what, size_t n)
{
	buf_byte(&b->buf, (uint8_t) tag);
	buf_add(&b->buf, what, n);
}

/* The first record of a batch, and where another transaction begins. */
static void
put_txn(Batch *b, const BatchTxn *head)
{
	b->head = *head;
	put(b, BATCH_TXN, head, sizeof(*head));
}

/* A row of transaction number txn begins. */
static void
enter(Batch *b, uint64_t txn, const BatchTxn *head, int64_t seq)
{
	Position here = { head->lsn, seq };

	if (b->txn != txn)
	{
		b->txn = txn;
		b->mark_n = b->buf.n;
		b->mark_rows = b->rows;
		b->mark_last = b->last;
		put_txn(b, head);
	}
	if (b->rows == b->mark_rows)
		b->mark_first = here;
	if (b->rows == 0)
		b->first = here;
	b->last = here;
}

static void
added(Pipe *p, Batch *b, size_t start)
{
	b->last_n = b->buf.n - start;
	b->rows++;
	charge(p, b);
}

void
batch_add_rows(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
			   const BatchRows *rows, const uint8_t *bytes)
{
	size_t start = b->buf.n;

	enter(b, txn, head, rows->seq);
	put(b, BATCH_ROWS, rows, sizeof(*rows));
	buf_add(&b->buf, bytes, rows->n);
	added(p, b, start);
}

void
batch_add_tuple(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
				int64_t seq, Slice tuple)
{
	size_t start = b->buf.n;
	BatchRows rows = { .seq = seq, .n = (uint32_t) tuple.n };

	enter(b, txn, head, seq);
	put(b, BATCH_TUPLE, &rows, sizeof(rows));
	buf_add(&b->buf, tuple.p, tuple.n);
	added(p, b, start);
}

static void
put_string(Batch *b, const void *p, size_t n)
{
	uint32_t length = (uint32_t) n;

	buf_add(&b->buf, &length, sizeof(length));
	if (n > 0)
		buf_add(&b->buf, p, n);
}

/* Strings with their zero; a bound without. */
void
batch_add_plain(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
				const Change *change)
{
	size_t start = b->buf.n;
	BatchPlain plain = { .seq = change->seq,
						 .npartial = change->npartial,
						 .op = change->op,
						 .has_reason = change->reason != NULL };

	enter(b, txn, head, change->seq);
	put(b, BATCH_PLAIN, &plain, sizeof(plain));
	if (change->reason)
		put_string(b, change->reason, strlen(change->reason) + 1);
	for (int i = 0; i < change->npartial; i++)
	{
		const ChangePartition *part = &change->partial[i];

		put_string(b, part->schema, strlen(part->schema) + 1);
		put_string(b, part->table, strlen(part->table) + 1);
		put_string(b, part->bound.p, part->bound.n);
	}
	added(p, b, start);
}

void
batch_begin_row(Pipe *p, Batch *b, uint64_t txn, const BatchTxn *head,
				const BatchRows *rows)
{
	enter(b, txn, head, rows->seq);
	put(b, BATCH_HEAD, rows, sizeof(*rows));
	charge(p, b);
}

void
batch_add_part(Pipe *p, Batch *b, Slice bytes, bool last)
{
	BatchPart part = { (uint32_t) bytes.n, last };

	put(b, BATCH_PART, &part, sizeof(part));
	buf_add(&b->buf, bytes.p, bytes.n);
	b->rows += last;
	charge(p, b);
}

Batch *
batch_new_after(Pipe *p, Batch *b)
{
	Batch *after = batch_new_like(b);

	after->older = b;
	after->txn = b->txn; /* all of it belongs to that */
	(void) buf_room(&after->buf, BATCH_BYTES);
	put_txn(after, &b->head);
	charge(p, after);
	return after;
}

Batch *
batch_continue(Pipe *p, Batch *b)
{
	Batch *next = batch_new_like(b);

	b->more = true;
	enter(next, b->txn, &b->head, b->last.seq);
	charge(p, next);
	return next;
}

Batch *
batch_split(Pipe *p, Batch *b, uint64_t txn)
{
	Batch *tail;

	if (b->txn != txn || b->rows == b->mark_rows)
		return NULL;
	tail = batch_new_like(b);
	tail->txn = txn;
	tail->head = b->head;
	assert(b->buf.p[b->mark_n] == BATCH_TXN); /* what follows needs it */
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
