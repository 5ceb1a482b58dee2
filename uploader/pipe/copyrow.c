/*-------------------------------------------------------------------------
 * copyrow.c
 *	  Rows of COPY … (FORMAT binary) as row views.
 *
 * Fixed-width values come in network byte order and are turned around word
 * by word; a numeric comes as digits with a header and is put into the
 * stored form's long header.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/copyrow.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"

#define COPY_HEADER 19 /* signature, flags, length of the extension */
#define SCRATCH_MAX ((size_t) 1 << 24)
#define NUMERIC_HEAD 8 /* ndigits, weight, sign, scale */
#define NUMERIC_SPECIAL 0xC000

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t) (p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

void
copy_reader_init(CopyReader *r, const uint8_t *kinds, int ncols)
{
	*r = (CopyReader){ .kinds = kinds, .ncols = ncols };
	r->cols = xcalloc((size_t) ncols, sizeof(*r->cols));
	buf_init(&r->scratch, SCRATCH_MAX);
}

void
copy_reader_done(CopyReader *r)
{
	free(r->cols);
	buf_done(&r->scratch);
}

/* Words a fixed-width value consists of, high bits first: 0 = bytes. */
static const char *
words_of(uint8_t kind)
{
	switch (kind)
	{
		case CDC_S3_KIND_INT2:
			return "\2";
		case CDC_S3_KIND_INT4:
		case CDC_S3_KIND_OID:
		case CDC_S3_KIND_FLOAT4:
		case CDC_S3_KIND_DATE:
			return "\4";
		case CDC_S3_KIND_INT8:
		case CDC_S3_KIND_FLOAT8:
		case CDC_S3_KIND_TIME:
		case CDC_S3_KIND_TIMESTAMP:
		case CDC_S3_KIND_TIMESTAMPTZ:
			return "\10";
		case CDC_S3_KIND_TIMETZ:
			return "\10\4";
		case CDC_S3_KIND_INTERVAL:
			return "\10\4\4";
		default:
			return "";
	}
}

/* Appends the value in the wire's order; its room was made before. */
static void
turn_words(Buf *out, const uint8_t *p, const char *words)
{
	for (; *words; words++)
	{
		int n = *words;

		for (int i = n - 1; i >= 0; i--)
			buf_byte(out, p[i]);
		p += n;
	}
}

static void
add_le16(Buf *out, uint32_t v)
{
	buf_byte(out, (uint8_t) v);
	buf_byte(out, (uint8_t) (v >> 8));
}

static bool
turn_numeric(Buf *out, const uint8_t *p, size_t n)
{
	uint32_t ndigits;
	uint32_t sign;

	if (n < NUMERIC_HEAD)
		return false;
	ndigits = be16(p);
	sign = be16(p + 4);
	if (n != NUMERIC_HEAD + 2 * (size_t) ndigits)
		return false;
	if ((sign & NUMERIC_SPECIAL) == NUMERIC_SPECIAL)
	{
		add_le16(out, sign);
		return true;
	}
	add_le16(out, (sign & 0x4000) | (be16(p + 6) & 0x3FFF));
	add_le16(out, be16(p + 2));
	for (uint32_t i = 0; i < ndigits; i++)
		add_le16(out, be16(p + NUMERIC_HEAD + 2 * i));
	return true;
}

/* v holds the value as it came; makes it what the wire would have sent. */
static bool
turn_value(CopyReader *r, uint8_t kind, ColView *v)
{
	const char *words = words_of(kind);
	int width = kind_width(kind);
	size_t start = r->scratch.n;

	if (width > 0 && v->n != (uint32_t) width)
		return false;
	if (kind == CDC_S3_KIND_NUMERIC)
	{
		if (!turn_numeric(&r->scratch, v->p, v->n))
			return false;
	}
	else if (*words)
		turn_words(&r->scratch, v->p, words);
	else
		return true; /* bytes: as they are */
	v->p = r->scratch.p + start;
	v->n = (uint32_t) (r->scratch.n - start);
	return true;
}

static bool
read_row(CopyReader *r, Slice msg)
{
	const uint8_t *p = msg.p + 2;
	size_t left = msg.n - 2;

	buf_reset(&r->scratch);
	for (int i = 0; i < r->ncols; i++)
	{
		ColView *v = &r->cols[i];
		uint32_t n;

		if (left < 4)
			return false;
		n = be32(p);
		p += 4;
		left -= 4;
		*v = (ColView){ .state = COL_NULL };
		if (n == UINT32_MAX)
			continue;
		if (n > left)
			return false;
		v->state = COL_VALUE;
		v->p = p;
		v->n = n;
		p += n;
		left -= n;
	}
	return left == 0;
}

/* Bytes that turn_value() will need in scratch for this row. */
static size_t
scratch_needed(const CopyReader *r)
{
	size_t n = 0;

	for (int i = 0; i < r->ncols; i++)
	{
		if (r->cols[i].state == COL_VALUE && r->kinds[i] <= CDC_S3_KIND_NUMERIC)
			n += r->cols[i].n;
	}
	return n;
}

static bool
turn_row(CopyReader *r)
{
	if (!buf_room(&r->scratch, scratch_needed(r) + 1))
		return false;
	for (int i = 0; i < r->ncols; i++)
	{
		if (r->cols[i].state == COL_VALUE &&
			!turn_value(r, r->kinds[i], &r->cols[i]))
			return false;
	}
	return true;
}

bool
copy_reader_row(CopyReader *r, Slice msg, RowView *row, bool *out_row, Err *err)
{
	*out_row = false;
	if (!r->begun)
	{
		if (msg.n < COPY_HEADER || memcmp(msg.p, "PGCOPY\n\377\r\n", 11) != 0)
			return err_set(err, ERR_DATA, 0, "COPY did not begin as it should");
		msg.n -= COPY_HEADER;
		msg.p += COPY_HEADER;
		r->begun = true;
		if (msg.n == 0)
			return true;
	}
	if (msg.n == 2 && be16(msg.p) == 0xFFFF)
		return true; /* the trailer */
	if (msg.n < 2 || be16(msg.p) != (uint32_t) r->ncols || !read_row(r, msg) ||
		!turn_row(r))
		return err_set(err, ERR_DATA, 0, "COPY sent a row that is damaged");
	*row = (RowView){ r->ncols, r->cols };
	*out_row = true;
	return true;
}
