/*-------------------------------------------------------------------------
 * open.c
 *	  The encoder's open batches: those that still grow.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/open.h"

#include <stdlib.h>

#include "base/mem.h"

static int64_t
chain_bytes(const Batch *b)
{
	int64_t bytes = 0;

	for (; b; b = b->older)
		bytes += b->charged;
	return bytes;
}

static void
open_add(OpenBatches *o, Batch *b)
{
	if (o->n == o->cap)
	{
		o->cap = o->cap ? 2 * o->cap : 64;
		o->all = xrealloc(o->all, (size_t) o->cap * sizeof(Batch *));
	}
	b->open_index = o->n;
	o->all[o->n++] = b;
	o->bytes += b->charged;
	b->next_open = b->table->open;
	b->table->open = b;
}

static void
open_remove(OpenBatches *o, Batch *b)
{
	Batch **link = &b->table->open;

	while (*link != b)
		link = &(*link)->next_open;
	*link = b->next_open;
	o->all[b->open_index] = o->all[--o->n];
	o->all[b->open_index]->open_index = b->open_index;
	o->bytes -= chain_bytes(b);
}

Batch *
open_batch(OpenBatches *o, Table *t, const Folders *folders)
{
	Batch *b = t->open;

	while (b && !batch_is_in(b, folders))
		b = b->next_open;
	if (!b)
	{
		b = batch_new(t, 0);
		batch_set_folders(b, folders);
		open_add(o, b);
	}
	return b;
}

static void
open_replace(OpenBatches *o, Batch *b, Batch *by)
{
	Batch **link = &b->table->open;

	while (*link != b)
		link = &(*link)->next_open;
	*link = by;
	by->next_open = b->next_open;
	by->open_index = b->open_index;
	o->all[by->open_index] = by;
}

/* b is full: the next one takes its place. */
static void
open_next(OpenBatches *o, Batch *b)
{
	Batch *after = batch_new_after(o->p, b);

	open_replace(o, b, after);
	o->bytes += after->charged;
	o->any_full = true;
}

bool
open_grown(OpenBatches *o, Batch *b, int64_t charged)
{
	bool taken = b->charged != charged;

	o->bytes += b->charged - charged;
	if (b == o->in_row || !batch_is_full(b))
		return taken;
	open_next(o, b);
	return true;
}

Batch *
open_largest(const OpenBatches *o)
{
	Batch *best = o->all[0];
	int64_t best_bytes = chain_bytes(best);

	for (int i = 1; i < o->n; i++)
	{
		int64_t bytes = chain_bytes(o->all[i]);

		if (bytes > best_bytes)
		{
			best = o->all[i];
			best_bytes = bytes;
		}
	}
	return best;
}

void
open_done(OpenBatches *o)
{
	while (o->n > 0)
	{
		Batch *b = o->all[0];

		open_remove(o, b);
		while (b)
		{
			Batch *older = b->older;

			batch_free(o->p, b);
			b = older;
		}
	}
	free(o->all);
}

/* Ships b and the older ones, in the order of their rows. */
static void
ship_chain(OpenBatches *o, Checkpoint *c, Batch *b)
{
	Batch *oldest = NULL;

	while (b)
	{
		Batch *older = b->older;

		b->older = oldest;
		oldest = b;
		b = older;
	}
	while (oldest)
	{
		b = oldest;
		oldest = b->older;
		b->older = NULL;
		if (b->rows == 0 && !b->more)
		{
			batch_free(o->p, b);
			continue;
		}
		checkpoint_ship(o->p, c, b);
	}
}

/*
 * The place in the chain where the rows of the open transaction begin: all
 * behind it are committed; in *it itself they are before the mark.
 */
static Batch **
first_of_txn(const OpenBatches *o, Batch **b)
{
	while ((*b)->older && (*b)->older->txn == o->txn)
		b = &(*b)->older;
	return b;
}

static bool
has_rows_of_txn(const OpenBatches *o, const Batch *b)
{
	return o->txn != 0 && b->txn == o->txn;
}

bool
open_has_committed(const OpenBatches *o, Batch *b)
{
	const Batch *first;

	if (!has_rows_of_txn(o, b))
		return true;
	first = *first_of_txn(o, &b);
	return first->older || first->mark_rows > 0;
}

void
open_seal(OpenBatches *o, Checkpoint *c, Batch *b)
{
	Batch *next = NULL;

	if (b == o->in_row)
	{
		if (b->buf.n == 0)
			return;
		next = o->in_row = batch_continue(o->p, b);
	}
	open_remove(o, b);
	if (next)
		open_add(o, next);
	ship_chain(o, c, b);
}

void
open_seal_committed(OpenBatches *o, Checkpoint *c, Batch *b)
{
	Batch **begin = &o->all[b->open_index];
	Batch *x;
	Batch *tail;

	if (!has_rows_of_txn(o, b))
	{
		open_seal(o, c, b);
		return;
	}
	begin = first_of_txn(o, begin);
	x = *begin;
	o->bytes -= chain_bytes(x);
	if (x->mark_rows == 0) /* all of it */
	{
		Batch *older = x->older;

		x->older = NULL;
		o->bytes += chain_bytes(x);
		ship_chain(o, c, older);
		return;
	}
	tail = batch_split(o->p, x, o->txn);
	if (!tail)
		tail = batch_new_like(x);
	if (x == b)
		open_replace(o, b, tail);
	else
		*begin = tail;
	o->bytes += chain_bytes(tail);
	ship_chain(o, c, x);
}

void
open_seal_all_committed(OpenBatches *o, Checkpoint *c)
{
	int n = o->n;
	Batch **all = xmalloc((size_t) n * sizeof(Batch *));

	if (n > 0) /* sealing changes the array */
		memcpy(all, o->all, (size_t) n * sizeof(Batch *));
	for (int i = 0; i < n; i++)
		open_seal_committed(o, c, all[i]);
	free(all);
}

void
open_seal_full(OpenBatches *o, Checkpoint *c)
{
	if (!o->any_full)
		return;
	o->any_full = false;
	for (int i = 0; i < o->n; i++)
	{
		Batch *older = o->all[i]->older;

		o->all[i]->older = NULL;
		o->bytes -= chain_bytes(older);
		ship_chain(o, c, older);
	}
}
