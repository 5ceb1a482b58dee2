/*-------------------------------------------------------------------------
 * parquet_stats.c
 *	  Least and greatest value of a page or a column chunk.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json_impl.h"
#include "codec/parquet_value.h"

static bool
is_bytes(const ParquetLeaf *leaf)
{
	return leaf->physical == PARQUET_BYTE_ARRAY ||
		   leaf->physical == PARQUET_FIXED;
}

static bool
is_float(const ParquetLeaf *leaf)
{
	return leaf->physical == PARQUET_FLOAT || leaf->physical == PARQUET_DOUBLE;
}

void
stats_reset(ParquetStats *s)
{
	s->any = false;
}

void
stats_done(ParquetStats *s)
{
	free(s->bounds);
	*s = (ParquetStats){ 0 };
}

static void
keep(ParquetBound *b, Slice value)
{
	b->cut = value.n > STATS_BYTES;
	b->n = (uint8_t) (b->cut ? STATS_BYTES : value.n);
	if (b->n > 0)
		memcpy(b->p, value.p, b->n);
}

/* Of a decimal the first byte has the sign: flipped, bytes are in order. */
static int
compare(const ParquetLeaf *leaf, Slice value, const ParquetBound *b)
{
	size_t n = value.n < b->n ? value.n : b->n;
	size_t len = value.n > STATS_BYTES ? STATS_BYTES + 1 : value.n;
	size_t other = b->cut ? STATS_BYTES + 1 : b->n;
	int c = 0;

	if (n > 0 && leaf->form == PARQUET_DECIMAL)
		c = (value.p[0] ^ 0x80) - (b->p[0] ^ 0x80);
	if (n > 0 && c == 0)
		c = memcmp(value.p, b->p, n);
	if (c == 0)
		c = (len > other) - (len < other);
	return c;
}

static void
add_bytes(ParquetStats *s, const ParquetLeaf *leaf, Slice value)
{
	if (!s->bounds)
		s->bounds = xmalloc(2 * sizeof(*s->bounds));
	if (!s->any || compare(leaf, value, &s->bounds[0]) < 0)
		keep(&s->bounds[0], value);
	if (!s->any || compare(leaf, value, &s->bounds[1]) > 0)
		keep(&s->bounds[1], value);
	s->any = true;
}

static void
add_float(ParquetStats *s, double d)
{
	if (isnan(d))
		return;
	if (!s->any || d < s->min.d)
		s->min.d = d;
	if (!s->any || d > s->max.d)
		s->max.d = d;
	s->any = true;
}

void
stats_add(ParquetStats *s, const ParquetLeaf *leaf, Slice value)
{
	uint64_t bits;
	int64_t i;
	float f;
	double d;

	if (is_bytes(leaf))
	{
		add_bytes(s, leaf, value);
		return;
	}
	if (is_float(leaf))
	{
		if (leaf->physical == PARQUET_FLOAT)
		{
			uint32_t half = get_u32(value.p);

			memcpy(&f, &half, sizeof(f));
			d = f;
		}
		else
		{
			bits = get_u64(value.p);
			memcpy(&d, &bits, sizeof(d));
		}
		add_float(s, d);
		return;
	}
	i = leaf->physical == PARQUET_INT64   ? (int64_t) get_u64(value.p)
		: leaf->physical == PARQUET_INT32 ? (int32_t) get_u32(value.p)
										  : value.p[0];
	if (!s->any || i < s->min.i)
		s->min.i = i;
	if (!s->any || i > s->max.i)
		s->max.i = i;
	s->any = true;
}

void
stats_merge(ParquetStats *s, const ParquetLeaf *leaf, const ParquetStats *other)
{
	bool less;
	bool more;

	if (!other->any)
		return;
	if (!is_bytes(leaf))
	{
		less =
			is_float(leaf) ? other->min.d < s->min.d : other->min.i < s->min.i;
		more =
			is_float(leaf) ? other->max.d > s->max.d : other->max.i > s->max.i;
		if (!s->any || less)
			s->min = other->min;
		if (!s->any || more)
			s->max = other->max;
		s->any = true;
		return;
	}
	for (int i = 0; i < 2; i++)
	{
		const ParquetBound *b = &other->bounds[i];
		ParquetBound *mine;
		Slice value = { b->p, b->n };
		int c;

		if (!s->bounds)
			s->bounds = xmalloc(2 * sizeof(*s->bounds));
		mine = &s->bounds[i];
		c = s->any ? compare(leaf, value, mine) : 0;
		/* of equal beginnings the one that goes on is the greater one */
		if (c == 0 && s->any && b->n == mine->n)
			c = (int) b->cut - (int) mine->cut;
		if (!s->any || (i == 0 ? c < 0 : c > 0))
			*mine = *b;
	}
	s->any = true;
}

/* A number in its PLAIN bytes; of zeros the least is -0 and the greatest 0. */
static void
put_number(const ParquetLeaf *leaf, int64_t i, double d, bool least,
		   ParquetBound *out)
{
	uint64_t bits = (uint64_t) i;
	uint32_t half;
	float f;

	if (is_float(leaf) && d == 0)
		d = least ? -0.0 : 0.0;
	if (leaf->physical == PARQUET_DOUBLE)
		memcpy(&bits, &d, sizeof(bits));
	if (leaf->physical == PARQUET_FLOAT)
	{
		f = (float) d;
		memcpy(&half, &f, sizeof(half));
		bits = half;
	}
	out->n = (uint8_t) parquet_width(leaf);
	out->cut = false;
	for (int k = 0; k < out->n; k++)
		out->p[k] = (uint8_t) (bits >> (8 * k));
}

/* Bytes at the end of a cut text that begin a character. */
static void
drop_partial(const ParquetLeaf *leaf, ParquetBound *b)
{
	size_t at = b->n;

	if (!leaf->text || !b->cut)
		return;
	while (at > 0 && (b->p[at - 1] & 0xC0) == 0x80)
		at--;
	if (at > 0 && utf8_sequence(b->p + at - 1, b->n - at + 1) == 0)
		b->n = (uint8_t) (at - 1);
}

bool
stats_min(const ParquetStats *s, const ParquetLeaf *leaf, ParquetBound *out,
		  bool *out_exact)
{
	if (!s->any || !leaf->ordered)
		return false;
	if (is_bytes(leaf))
	{
		*out = s->bounds[0];
		drop_partial(leaf, out);
	}
	else
		put_number(leaf, s->min.i, s->min.d, true, out);
	*out_exact = !out->cut;
	return true;
}

/* The next greater one among bytes or characters; false: there is none. */
static bool
increment(const ParquetLeaf *leaf, ParquetBound *b)
{
	while (b->n > 0)
	{
		uint8_t *last = &b->p[b->n - 1];

		/* of text only ASCII grows, so that it stays text */
		if (leaf->text ? *last < 0x7f : *last < 0xff)
		{
			++*last;
			return true;
		}
		b->n--;
	}
	return false;
}

bool
stats_max(const ParquetStats *s, const ParquetLeaf *leaf, ParquetBound *out,
		  bool *out_exact)
{
	if (!s->any || !leaf->ordered)
		return false;
	if (!is_bytes(leaf))
		put_number(leaf, s->max.i, s->max.d, false, out);
	else
	{
		*out = s->bounds[1];
		if (out->cut)
		{
			drop_partial(leaf, out);
			if (!increment(leaf, out))
				return false;
		}
	}
	*out_exact = !out->cut;
	return true;
}
