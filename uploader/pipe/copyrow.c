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
#define ROW_USUAL ((size_t) 64 << 10)
#define SCRATCH_MAX ((size_t) 1 << 24)
#define NUMERIC_HEAD 8 /* ndigits, weight, sign, scale */
#define NUMERIC_SPECIAL 0xC000
#define JSONB_VERSION 1

/* What is turned around in a value. */
enum
{
	TURN_NOTHING,
	TURN_2,
	TURN_4,
	TURN_8,
	TURN_TIMETZ,   /* 8, 4 */
	TURN_INTERVAL, /* 8, 4, 4 */
	TURN_NUMERIC,
	TURN_JSONB /* its version is taken off */
};

static inline uint32_t
be16(const uint8_t *p)
{
	return (uint32_t) (p[0] << 8 | p[1]);
}

static inline uint32_t
be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static uint8_t
turn_of(uint8_t kind)
{
	switch (kind)
	{
		case CDC_S3_KIND_INT2:
			return TURN_2;
		case CDC_S3_KIND_INT4:
		case CDC_S3_KIND_OID:
		case CDC_S3_KIND_FLOAT4:
		case CDC_S3_KIND_DATE:
			return TURN_4;
		case CDC_S3_KIND_INT8:
		case CDC_S3_KIND_FLOAT8:
		case CDC_S3_KIND_TIME:
		case CDC_S3_KIND_TIMESTAMP:
		case CDC_S3_KIND_TIMESTAMPTZ:
			return TURN_8;
		case CDC_S3_KIND_TIMETZ:
			return TURN_TIMETZ;
		case CDC_S3_KIND_INTERVAL:
			return TURN_INTERVAL;
		case CDC_S3_KIND_NUMERIC:
			return TURN_NUMERIC;
		default:
			return TURN_NOTHING;
	}
}

void
copy_reader_init(CopyReader *r, const RowShape *shape)
{
	size_t n = (size_t) shape->ncols;

	*r = (CopyReader){ .ncols = shape->ncols };
	r->cols = xcalloc(n + 1, sizeof(*r->cols));
	r->how = xcalloc(n + 1, sizeof(*r->how));
	for (size_t i = 0; i < n; i++)
	{
		const RowShapeColumn *col = &shape->cols[i];

		/* the wire has jsonb as text; its binary form has a version before */
		r->how[i].turn =
			(uint8_t) (col->jsonb ? TURN_JSONB : turn_of(col->kind));
		r->how[i].width = col->jsonb ? 0 : (uint32_t) kind_width(col->kind);
	}
	buf_init(&r->scratch, SCRATCH_MAX);
}

void
copy_reader_done(CopyReader *r)
{
	free(r->cols);
	free(r->how);
	buf_done(&r->scratch);
}

static inline uint8_t *
put16(uint8_t *out, uint32_t v)
{
	uint16_t le = (uint16_t) v;

	memcpy(out, &le, sizeof(le));
	return out + sizeof(le);
}

static inline uint8_t *
turn32(uint8_t *out, const uint8_t *p)
{
	uint32_t v = be32(p);

	memcpy(out, &v, sizeof(v));
	return out + sizeof(v);
}

static inline uint8_t *
turn64(uint8_t *out, const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	v = __builtin_bswap64(v);
	memcpy(out, &v, sizeof(v));
	return out + sizeof(v);
}

/* NULL where it is none. */
static uint8_t *
turn_numeric(uint8_t *out, const uint8_t *p, size_t n)
{
	uint32_t ndigits;
	uint32_t sign;

	if (n < NUMERIC_HEAD)
		return NULL;
	ndigits = be16(p);
	sign = be16(p + 4);
	if (n != NUMERIC_HEAD + 2 * (size_t) ndigits)
		return NULL;
	if ((sign & NUMERIC_SPECIAL) == NUMERIC_SPECIAL)
		return put16(out, sign);
	out = put16(out, (sign & 0x4000) | (be16(p + 6) & 0x3FFF));
	out = put16(out, be16(p + 2));
	for (uint32_t i = 0; i < ndigits; i++)
		out = put16(out, be16(p + NUMERIC_HEAD + 2 * i));
	return out;
}

/*
 * The value at p in the wire's form, which is never longer; what follows it,
 * or NULL where it is damaged.
 */
static inline uint8_t *
turn_value(uint8_t *out, uint8_t turn, const uint8_t *p, size_t n)
{
	switch (turn)
	{
		case TURN_2:
			return put16(out, be16(p));
		case TURN_4:
			return turn32(out, p);
		case TURN_8:
			return turn64(out, p);
		case TURN_TIMETZ:
			return turn32(turn64(out, p), p + 8);
		case TURN_INTERVAL:
			return turn32(turn32(turn64(out, p), p + 8), p + 12);
		default:
			return turn_numeric(out, p, n);
	}
}

/* Bytes that the values which are turned take: of a long row they are few. */
static size_t
scratch_needed(const CopyReader *r, Slice msg)
{
	size_t at = 2;
	size_t sum = 0;

	if (msg.n <= ROW_USUAL)
		return msg.n;
	for (int i = 0; i < r->ncols && msg.n - at >= 4; i++)
	{
		uint32_t n = be32(msg.p + at);

		at += 4;
		if (n == UINT32_MAX)
			continue;
		if (n > msg.n - at)
			break; /* damaged, as read_row() finds */
		at += n;
		if (r->how[i].turn != TURN_NOTHING && r->how[i].turn != TURN_JSONB)
			sum += n;
	}
	return sum + 1;
}

static bool
read_row(CopyReader *r, Slice msg)
{
	const uint8_t *p = msg.p + 2;
	size_t left = msg.n - 2;
	uint8_t *out;

	if (!buf_room(&r->scratch, scratch_needed(r, msg)))
		return false;
	out = r->scratch.p;
	for (int i = 0; i < r->ncols; i++)
	{
		ColView *v = &r->cols[i];
		CopyColumn how = r->how[i];
		uint32_t n;

		if (left < 4)
			return false;
		n = be32(p);
		p += 4;
		left -= 4;
		*v = (ColView){ .state = COL_NULL };
		if (n == UINT32_MAX)
			continue;
		if (n > left || (how.width > 0 && n != how.width))
			return false;
		*v = (ColView){ .state = COL_VALUE, .p = p, .n = n };
		if (how.turn == TURN_JSONB)
		{
			if (n == 0 || *p != JSONB_VERSION)
				return false;
			v->p++;
			v->n--;
		}
		else if (how.turn != TURN_NOTHING)
		{
			v->p = out;
			out = turn_value(out, how.turn, p, n);
			if (!out)
				return false;
			v->n = (uint32_t) (out - v->p);
		}
		p += n;
		left -= n;
	}
	return left == 0;
}

bool
copy_next_tuple(bool *begun, Slice msg, Slice *out_tuple, Err *err)
{
	*out_tuple = (Slice){ NULL, 0 };
	if (!*begun)
	{
		if (msg.n < COPY_HEADER || memcmp(msg.p, "PGCOPY\n\377\r\n", 11) != 0)
			return err_set(err, ERR_DATA, 0, "COPY did not begin as it should");
		msg.n -= COPY_HEADER;
		msg.p += COPY_HEADER;
		*begun = true;
		if (msg.n == 0)
			return true;
	}
	if (msg.n < 2)
		return err_set(err, ERR_DATA, 0, "COPY sent a row that is damaged");
	if (msg.n > 2 || be16(msg.p) != 0xFFFF) /* the trailer */
		*out_tuple = msg;
	return true;
}

bool
copy_reader_row(CopyReader *r, Slice tuple, RowView *row, Err *err)
{
	if (tuple.n < 2 || be16(tuple.p) != (uint32_t) r->ncols ||
		!read_row(r, tuple))
		return err_set(err, ERR_DATA, 0, "COPY sent a row that is damaged");
	*row = (RowView){ r->ncols, r->cols };
	return true;
}
