/*-------------------------------------------------------------------------
 * parquet_rle.c
 *	  Parquet's hybrid of run lengths and packed bits.
 *
 * A run of equal values is a varint of its length times two and the value in
 * whole bytes; a packed run is a varint of its groups times two plus one and
 * groups of eight values, lowest bits first.  Only the last group of all may
 * be filled up with zeros, so a run of equal values gives away as many as the
 * group before it lacks.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_rle.h"

#define RUN_MIN 8
#define GROUPS_MAX 63 /* so that a packed run's head is one byte */

int
rle_bits(uint32_t max)
{
	int bits = 0;

	for (; max > 0; max >>= 1)
		bits++;
	return bits;
}

void
rle_begin(RleOut *r, Buf *out, int bits)
{
	*r = (RleOut){ .out = out, .bits = bits };
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
end_packed(RleOut *r)
{
	if (r->groups > 0 && r->head < r->out->n)
		r->out->p[r->head] = (uint8_t) (r->groups << 1 | 1);
	r->groups = 0;
}

/* Eight values, or at the very end fewer. */
static void
put_group(RleOut *r)
{
	uint64_t bits = 0;
	int nbits = 0;

	if (r->groups == 0)
	{
		r->head = r->out->n;
		buf_byte(r->out, 0);
	}
	for (int i = 0; i < 8; i++)
	{
		bits |= (uint64_t) (i < r->nheld ? r->held[i] : 0) << nbits;
		for (nbits += r->bits; nbits >= 8; nbits -= 8)
		{
			buf_byte(r->out, (uint8_t) bits);
			bits >>= 8;
		}
	}
	r->nheld = 0;
	if (++r->groups == GROUPS_MAX)
		end_packed(r);
}

static void
put_run(RleOut *r)
{
	uint64_t n = r->run;

	r->run = 0;
	while (n > 0 && (r->nheld > 0 || n < RUN_MIN))
	{
		r->held[r->nheld++] = r->value;
		n--;
		if (r->nheld == 8)
			put_group(r);
		else if (r->nheld > 0 && n == 0)
			return;
	}
	if (n == 0)
		return;
	end_packed(r);
	put_varint(r->out, n << 1);
	for (int i = 0; i < r->bits; i += 8)
		buf_byte(r->out, (uint8_t) (r->value >> i));
}

void
rle_add_run(RleOut *r, uint32_t value, uint64_t n)
{
	if (n == 0 || r->bits == 0)
		return;
	if (r->run > 0 && r->value != value)
		put_run(r);
	r->value = value;
	r->run += n;
}

void
rle_end(RleOut *r)
{
	if (r->run > 0)
		put_run(r);
	if (r->nheld > 0)
		put_group(r);
	end_packed(r);
}

/*
 * Reading
 */
void
rle_in(RleIn *r, Slice bytes, int bits)
{
	*r = (RleIn){ .p = bytes.p,
				  .end = bytes.n ? bytes.p + bytes.n : bytes.p,
				  .bits = bits };
}

static bool
get_varint(RleIn *r, uint64_t *out)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 63 && r->p < r->end; shift += 7)
	{
		uint8_t b = *r->p++;

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
begin_run(RleIn *r)
{
	uint64_t head;
	size_t left;
	size_t bytes = (size_t) (r->bits + 7) / 8;

	if (!get_varint(r, &head) || head >> 1 == 0)
		return false;
	left = (size_t) (r->end - r->p);
	r->packed = head & 1;
	r->left = head >> 1;
	if (r->packed)
	{
		if (r->left > left / (size_t) r->bits)
			return false;
		r->pack = r->p;
		r->at = 0;
		r->p += r->left * (size_t) r->bits;
		r->left *= 8;
		return true;
	}
	if (bytes > left)
		return false;
	r->value = 0;
	for (size_t i = 0; i < bytes; i++)
		r->value |= (uint32_t) *r->p++ << (8 * i);
	return true;
}

bool
rle_next_slow(RleIn *r, uint32_t *out)
{
	if (r->bits == 0)
	{
		*out = 0;
		return true;
	}
	if (r->left == 0 && !begin_run(r))
		return false;
	r->left--;
	if (!r->packed)
	{
		*out = r->value;
		return true;
	}

	const uint8_t *p = r->pack + (r->at >> 3);
	int skip = (int) (r->at & 7);
	uint64_t v = 0;

	for (int got = 0; got < skip + r->bits; got += 8)
		v |= (uint64_t) *p++ << got;
	*out = (uint32_t) (v >> skip & ((UINT64_C(1) << r->bits) - 1));
	r->at += (uint64_t) r->bits;
	return true;
}
