/*-------------------------------------------------------------------------
 * merge_fate.c
 *	  What became of a staged change that later changes of its key follow.
 *
 * Open addressing; an entry is not removed, its kind becomes FATE_NONE until
 * fate_forget makes the map anew.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_fate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TABLE_SHIFT 44
#define CAP_FIRST 64
#define FORGET_MIN 4096

static uint64_t
key_of(int table, int64_t rn)
{
	return ((uint64_t) (table + 1) << TABLE_SHIFT) ^ (uint64_t) rn;
}

static Fate *
find(const FateMap *m, uint64_t key)
{
	uint32_t mask = m->cap - 1;
	uint64_t h = key * UINT64_C(0x9E3779B97F4A7C15);

	for (uint32_t i = (uint32_t) (h >> 32) & mask;; i = (i + 1) & mask)
	{
		if (m->slots[i].key == 0 || m->slots[i].key == key)
			return &m->slots[i];
	}
}

static void
grow(FateMap *m)
{
	FateMap old = *m;

	m->cap = old.cap ? old.cap * 2 : CAP_FIRST;
	m->slots = xcalloc(m->cap, sizeof(*m->slots));
	for (uint32_t i = 0; i < old.cap; i++)
	{
		if (old.slots[i].key)
			*find(m, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
}

void
fate_set(FateMap *m, int table, int64_t rn, FateKind kind, int64_t from)
{
	uint64_t key = key_of(table, rn);
	Fate *f;

	if (m->n * 2 >= m->cap)
		grow(m);
	f = find(m, key);
	m->n += f->key == 0;
	*f = (Fate){ key, kind, from };
}

const Fate *
fate_get(const FateMap *m, int table, int64_t rn)
{
	const Fate *f;

	if (m->n == 0 || rn == 0)
		return NULL;
	f = find(m, key_of(table, rn));
	return f->key && f->kind != FATE_NONE ? f : NULL;
}

void
fate_forget(FateMap *m)
{
	FateMap old = *m;

	if (m->n < 2 * m->kept + FORGET_MIN)
		return;
	*m = (FateMap){ 0 };
	for (uint32_t i = 0; i < old.cap; i++)
	{
		const Fate *f = &old.slots[i];

		assert(f->key == 0 || f->kind != FATE_WAITS);
		if (f->key == 0 || f->kind == FATE_NONE)
			continue;
		if (m->n * 2 >= m->cap)
			grow(m);
		*find(m, f->key) = *f;
		m->n++;
	}
	m->kept = m->n;
	free(old.slots);
}

void
fate_copy(FateMap *to, const FateMap *from)
{
	*to = *from;
	if (!from->cap)
		return;
	to->slots = xmalloc(from->cap * sizeof(*to->slots));
	memcpy(to->slots, from->slots, from->cap * sizeof(*to->slots));
}

void
fate_done(FateMap *m)
{
	free(m->slots);
	*m = (FateMap){ 0 };
}

int64_t
fate_pack(int table, int64_t rn)
{
	return (int64_t) (((uint64_t) (table + 1) << TABLE_SHIFT) | (uint64_t) rn);
}

void
fate_unpack(int64_t packed, int *table, int64_t *rn)
{
	*table = (int) (packed >> TABLE_SHIFT) - 1;
	*rn = packed & ((INT64_C(1) << TABLE_SHIFT) - 1);
}
