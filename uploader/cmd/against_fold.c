/*-------------------------------------------------------------------------
 * against_fold.c
 *	  What is known of the rows of a table, in bounded memory.
 *
 * A shard is a table with open addressing; what is taken out leaves no mark,
 * since those behind it move up.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/against_fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEY_WORDS 2
#define CAP_FIRST 8

Fold *
fold_new(int nwords, size_t limit)
{
	Fold *f = xcalloc(1, sizeof(*f));

	f->nwords = nwords;
	f->limit = limit;
	f->to = FOLD_SHARDS;
	return f;
}

static void
drop(Fold *f, int shard)
{
	FoldShard *s = &f->shards[shard];

	f->bytes -= s->cap * (size_t) (KEY_WORDS + f->nwords) * sizeof(uint64_t);
	free(s->slots);
	*s = (FoldShard){ 0 };
}

void
fold_clear(Fold *f)
{
	for (int i = 0; i < FOLD_SHARDS; i++)
		drop(f, i);
	assert(f->bytes == 0);
}

void
fold_free(Fold *f)
{
	if (f)
		fold_clear(f);
	free(f);
}

void
fold_begin(Fold *f, int from)
{
	fold_clear(f);
	f->from = from;
	f->to = FOLD_SHARDS;
}

static int
shard_of(FoldKey key)
{
	return (int) (key.word[0] >> 52);
}

bool
fold_has_shard(const Fold *f, FoldKey key)
{
	return shard_of(key) >= f->from && shard_of(key) < f->to;
}

static size_t
stride(const Fold *f)
{
	return (size_t) (KEY_WORDS + f->nwords);
}

static size_t
home(const FoldShard *s, const uint64_t *key)
{
	return (size_t) key[1] & (s->cap - 1);
}

static bool
is_free(const uint64_t *slot)
{
	return slot[0] == 0 && slot[1] == 0;
}

/* Its slot, or the free one where it would be; there is always a free one. */
static uint64_t *
find(const Fold *f, const FoldShard *s, const uint64_t *key)
{
	size_t i = home(s, key);

	for (;; i = (i + 1) & (s->cap - 1))
	{
		uint64_t *slot = s->slots + i * stride(f);

		if (is_free(slot) || (slot[0] == key[0] && slot[1] == key[1]))
			return slot;
	}
}

uint64_t *
fold_get(Fold *f, FoldKey key)
{
	const FoldShard *s = &f->shards[shard_of(key)];
	uint64_t *slot;

	if (!fold_has_shard(f, key) || s->n == 0)
		return NULL;
	slot = find(f, s, key.word);
	return is_free(slot) ? NULL : slot + KEY_WORDS;
}

static void
grow(Fold *f, FoldShard *s)
{
	size_t bytes = stride(f) * sizeof(uint64_t);
	FoldShard old = *s;

	s->cap = old.cap ? old.cap * 2 : CAP_FIRST;
	s->slots = xcalloc(s->cap, bytes);
	for (size_t i = 0; i < old.cap; i++)
	{
		const uint64_t *slot = old.slots + i * stride(f);

		if (!is_free(slot))
			memcpy(find(f, s, slot), slot, bytes);
	}
	f->bytes += (s->cap - old.cap) * bytes;
	free(old.slots);
}

/* Room for one more in a shard of this pass, at the cost of the last ones. */
static bool
make_room(Fold *f, int shard, Err *err)
{
	FoldShard *s = &f->shards[shard];

	while (s->n * 4 >= s->cap * 3)
	{
		size_t more =
			(s->cap ? s->cap : CAP_FIRST) * stride(f) * sizeof(uint64_t);

		if (f->bytes + more <= f->limit)
		{
			grow(f, s);
			return true;
		}
		if (f->to - f->from < 2)
			return err_set(err, ERR_LIMIT, 0,
						   "the table has too many rows to be compared within "
						   "memory.limit") ||
				   err_hint(err, "a higher --memory.limit for this command");
		drop(f, --f->to);
		if (shard >= f->to)
			return true;
	}
	return true;
}

bool
fold_put(Fold *f, FoldKey key, uint64_t **out, Err *err)
{
	FoldShard *s = &f->shards[shard_of(key)];
	uint64_t *slot;

	*out = fold_get(f, key);
	if (*out || !fold_has_shard(f, key))
		return true;
	if (!make_room(f, shard_of(key), err))
		return false;
	if (!fold_has_shard(f, key))
		return true;
	slot = find(f, s, key.word);
	slot[0] = key.word[0];
	slot[1] = key.word[1];
	s->n++;
	*out = slot + KEY_WORDS;
	return true;
}

/* Those behind the hole that belong before it move up. */
static void
close_hole(const Fold *f, FoldShard *s, size_t hole)
{
	size_t bytes = stride(f) * sizeof(uint64_t);
	size_t mask = s->cap - 1;

	for (size_t i = (hole + 1) & mask;; i = (i + 1) & mask)
	{
		uint64_t *slot = s->slots + i * stride(f);

		if (is_free(slot))
			break;
		if (((i - home(s, slot)) & mask) < ((i - hole) & mask))
			continue; /* it lies where it should, or behind the hole */
		memcpy(s->slots + hole * stride(f), slot, bytes);
		hole = i;
	}
	memset(s->slots + hole * stride(f), 0, bytes);
}

void
fold_take(Fold *f, FoldKey key)
{
	FoldShard *s = &f->shards[shard_of(key)];
	const uint64_t *words = fold_get(f, key);

	if (!words)
		return;
	s->n--;
	close_hole(f, s, (size_t) (words - KEY_WORDS - s->slots) / stride(f));
}

void
fold_each(Fold *f, FoldEach each, void *arg)
{
	for (int k = f->from; k < f->to; k++)
	{
		const FoldShard *s = &f->shards[k];

		for (size_t i = 0; i < s->cap; i++)
		{
			uint64_t *slot = s->slots + i * stride(f);

			if (!is_free(slot))
				each(arg, (FoldKey){ { slot[0], slot[1] } }, slot + KEY_WORDS);
		}
	}
}
