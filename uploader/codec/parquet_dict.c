/*-------------------------------------------------------------------------
 * parquet_dict.c
 *	  The different values of a column chunk.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_dict.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/parquet_value.h"

#define FIRST_SLOTS 16
#define MULTIPLIER UINT64_C(0x9E3779B97F4A7C15)

void
dict_init(ParquetDict *d, size_t width)
{
	*d = (ParquetDict){ .width = width };
	buf_init(&d->plain, UINT32_MAX);
}

void
dict_done(ParquetDict *d)
{
	buf_done(&d->plain);
	free(d->at);
	free(d->table);
	*d = (ParquetDict){ .width = d->width, .plain = d->plain };
}

static inline uint32_t
hash(Slice v)
{
	uint64_t h = v.n * MULTIPLIER;
	uint64_t w = 0;
	size_t i = 0;

	if (v.n == 4)
	{
		uint32_t half;

		memcpy(&half, v.p, 4);
		return (uint32_t) (half * MULTIPLIER >> 32);
	}

	for (; i + 8 <= v.n; i += 8)
	{
		memcpy(&w, v.p + i, 8);
		h = (h ^ w) * MULTIPLIER;
		h ^= h >> 32;
	}
	if (i < v.n)
	{
		w = 0;
		memcpy(&w, v.p + i, v.n - i);
		h = (h ^ w) * MULTIPLIER;
	}
	return (uint32_t) (h >> 32);
}

Slice
dict_value(const ParquetDict *d, uint32_t index)
{
	const uint8_t *p;

	if (d->width > 0)
		return (Slice){ d->plain.p + index * d->width, d->width };
	p = d->plain.p + d->at[index];
	return (Slice){ p + 4, get_u32(p) };
}

static inline bool
same(const ParquetDict *d, uint32_t index, Slice value)
{
	Slice v = dict_value(d, index);

	if (d->width == 8)
		return memcmp(v.p, value.p, 8) == 0; /* an instruction, not a call */
	if (d->width == 4)
		return memcmp(v.p, value.p, 4) == 0;
	return v.n == value.n && (v.n == 0 || memcmp(v.p, value.p, v.n) == 0);
}

/* The table for twice as many. */
static void
grow(ParquetDict *d)
{
	uint32_t slots = d->table ? 2 * (d->mask + 1) : FIRST_SLOTS;

	free(d->table);
	d->table = xcalloc(slots, sizeof(*d->table));
	d->mask = slots - 1;
	if (d->width == 0)
		d->at = xrealloc(d->at, (size_t) slots / 2 * sizeof(*d->at));
	for (uint32_t i = 0; i < d->n; i++)
	{
		uint32_t slot = hash(dict_value(d, i)) & d->mask;

		while (d->table[slot] != 0)
			slot = (slot + 1) & d->mask;
		d->table[slot] = i + 1;
	}
}

static void
add(ParquetDict *d, Slice value)
{
	uint8_t head[4];

	parquet_first_room(&d->plain);
	if (d->width == 0)
	{
		d->at[d->n] = (uint32_t) d->plain.n;
		parquet_put32(head, (uint32_t) value.n);
		buf_add(&d->plain, head, sizeof(head));
	}
	buf_add(&d->plain, value.p, value.n);
	d->n++;
}

uint32_t
dict_index(ParquetDict *d, Slice value)
{
	uint32_t slot;

	if (d->n > 0 && same(d, d->last, value))
		return d->last;
	if (!d->table || d->n >= (d->mask + 1) / 2)
		grow(d);
	slot = hash(value) & d->mask;
	while (d->table[slot] != 0 && !same(d, d->table[slot] - 1, value))
		slot = (slot + 1) & d->mask;
	if (d->table[slot] == 0)
	{
		add(d, value);
		d->table[slot] = d->n;
	}
	d->last = d->table[slot] - 1;
	return d->last;
}

size_t
dict_memory(const ParquetDict *d)
{
	size_t slots = d->table ? (size_t) d->mask + 1 : 0;

	return d->plain.cap + slots * sizeof(*d->table) +
		   (d->at ? slots / 2 * sizeof(*d->at) : 0);
}
