/*-------------------------------------------------------------------------
 * parquet_delta.c
 *	  Parquet's DELTA_BINARY_PACKED.
 *
 *	  block size, miniblocks of a block, number of values, first value
 *	  { least difference, a width for each miniblock, miniblocks } …
 *
 * Numbers of the heads are varints, signed ones in zigzag.  Differences are
 * made, and added again, in as many bits as the type has: they wrap around, so
 * that none needs a bit more than a value.  A miniblock holds what each
 * difference has above the least one, lowest bits first; the last one is
 * filled up with zeros, and those behind it have width 0 and no bytes.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_delta.h"

#include "codec/parquet_value.h"
#include "codec/row.h"

#define MINI 32 /* values of a miniblock */
#define MINIS 4 /* of a block */
#define BLOCK (MINI * MINIS)

static uint64_t
value_at(Slice plain, size_t width, size_t i)
{
	const uint8_t *p = plain.p + i * width;

	return width == 4 ? (uint64_t) (int32_t) get_u32(p) : get_u64(p);
}

/* In the type's bits, with its sign. */
static int64_t
wrapped(uint64_t v, size_t width)
{
	return width == 4 ? (int32_t) (uint32_t) v : (int64_t) v;
}

static void
put_varint(Buf *out, uint64_t v)
{
	while (v >= 0x80)
	{
		buf_byte(out, (uint8_t) (v | 0x80));
		v >>= 7;
	}
	buf_byte(out, (uint8_t) v);
}

static void
put_zigzag(Buf *out, int64_t v)
{
	put_varint(out, (uint64_t) v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

/* Bits that hold all of these. */
static int
bits_of(const uint64_t *v, int n)
{
	uint64_t any = 0;
	int bits = 0;

	for (int i = 0; i < n; i++)
		any |= v[i];
	for (; any > 0; any >>= 1)
		bits++;
	return bits;
}

/* MINI values of so many bits each. */
static void
put_mini(const uint64_t *v, int bits, Buf *out)
{
	uint64_t word = 0;
	int have = 0;

	for (int i = 0; i < MINI; i++)
	{
		for (int done = 0; done < bits;)
		{
			int take = bits - done < 8 - have ? bits - done : 8 - have;

			word |= (v[i] >> done & ((UINT64_C(1) << take) - 1)) << have;
			have += take;
			done += take;
			if (have < 8)
				continue;
			buf_byte(out, (uint8_t) word);
			word = 0;
			have = 0;
		}
	}
}

/* Differences of n <= BLOCK values to those before them. */
static void
put_block(const int64_t *differences, int n, size_t width, Buf *out)
{
	uint64_t above[BLOCK] = { 0 };
	uint8_t bits[MINIS] = { 0 };
	int64_t least = differences[0];

	for (int i = 1; i < n; i++)
		least = differences[i] < least ? differences[i] : least;
	for (int i = 0; i < n; i++)
	{
		above[i] = (uint64_t) differences[i] - (uint64_t) least;
		if (width == 4)
			above[i] = (uint32_t) above[i];
	}
	for (int i = 0; i * MINI < n; i++)
		bits[i] = (uint8_t) bits_of(above + (size_t) i * MINI, MINI);
	put_zigzag(out, least);
	buf_add(out, bits, sizeof(bits));
	for (int i = 0; i * MINI < n; i++)
		put_mini(above + (size_t) i * MINI, bits[i], out);
}

void
delta_encode(Slice plain, size_t width, Buf *out)
{
	size_t n = plain.n / width;
	int64_t differences[BLOCK];
	uint64_t last = n > 0 ? value_at(plain, width, 0) : 0;
	int held = 0;

	put_varint(out, BLOCK);
	put_varint(out, MINIS);
	put_varint(out, n);
	put_zigzag(out, (int64_t) last);
	for (size_t i = 1; i < n; i++)
	{
		uint64_t v = value_at(plain, width, i);

		differences[held++] = wrapped(v - last, width);
		last = v;
		if (held == BLOCK || i == n - 1)
		{
			put_block(differences, held, width, out);
			held = 0;
		}
	}
}

/*
 * Reading
 */
static bool
damaged(Err *err)
{
	return err_set(err, ERR_DATA, 0, "a page is damaged: its differences");
}

static bool
get_varint(Slice *s, uint64_t *out)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && s->n > 0; shift += 7)
	{
		uint8_t b = *s->p++;

		s->n--;
		v |= (uint64_t) (b & 0x7f) << shift;
		if (!(b & 0x80))
		{
			*out = v;
			return true;
		}
	}
	return false;
}

static bool
get_zigzag(Slice *s, uint64_t *out)
{
	uint64_t v;

	if (!get_varint(s, &v))
		return false;
	*out = v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
	return true;
}

static bool
get_head(Slice *s, uint64_t *out_n, uint64_t *out_first)
{
	uint64_t block;
	uint64_t minis;

	return get_varint(s, &block) && block == BLOCK && get_varint(s, &minis) &&
		   minis == MINIS && get_varint(s, out_n) && get_zigzag(s, out_first);
}

bool
delta_count(Slice bytes, uint64_t *out_n, Err *err)
{
	uint64_t first;

	return get_head(&bytes, out_n, &first) || damaged(err);
}

static uint64_t
packed_at(const uint8_t *p, int bits, int i)
{
	int at = i * bits;
	uint64_t v = 0;

	for (int got = 0; got < bits;)
	{
		int skip = (at + got) & 7;
		int take = bits - got < 8 - skip ? bits - got : 8 - skip;

		v |= (uint64_t) (p[(at + got) >> 3] >> skip & ((1 << take) - 1)) << got;
		got += take;
	}
	return v;
}

static void
put_value(uint8_t *out, size_t width, uint64_t v)
{
	if (width == 4)
		parquet_put32(out, (uint32_t) v);
	else
		parquet_put64(out, v);
}

/* A miniblock's values, at most n of them; returns how many. */
static uint64_t
get_mini(const uint8_t *p, int bits, uint64_t least, size_t width, uint64_t n,
		 uint64_t *last, uint8_t *out)
{
	int have = n < MINI ? (int) n : MINI;

	for (int i = 0; i < have; i++)
	{
		*last += least + packed_at(p, bits, i);
		put_value(out + (size_t) i * width, width, *last);
	}
	return (uint64_t) have;
}

bool
delta_decode(Slice bytes, size_t width, uint8_t *out, Err *err)
{
	uint64_t left;
	uint64_t last;
	uint64_t least;

	if (!get_head(&bytes, &left, &last))
		return damaged(err);
	if (left == 0)
		return true;
	put_value(out, width, last);
	out += width;
	for (left--; left > 0;)
	{
		uint8_t bits[MINIS];

		if (!get_zigzag(&bytes, &least) || bytes.n < MINIS)
			return damaged(err);
		memcpy(bits, bytes.p, MINIS);
		bytes = (Slice){ bytes.p + MINIS, bytes.n - MINIS };
		for (int m = 0; m < MINIS && left > 0; m++)
		{
			size_t size = (size_t) bits[m] * MINI / 8;
			uint64_t n;

			if (bits[m] > 8 * width || size > bytes.n)
				return damaged(err);
			n = get_mini(bytes.p, bits[m], least, width, left, &last, out);
			bytes = (Slice){ bytes.p + size, bytes.n - size };
			out += n * width;
			left -= n;
		}
	}
	return true;
}
