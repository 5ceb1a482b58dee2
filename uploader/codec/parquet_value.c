/*-------------------------------------------------------------------------
 * parquet_value.c
 *	  Values of the wire as Parquet's PLAIN bytes.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_value.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/parquet_decimal.h"

/* Between 1970 and 2000. */
#define EPOCH_DAYS 10957
#define EPOCH_US (EPOCH_DAYS * INT64_C(86400000000))

/* 0001-01-01 and 9999-12-31: what every reader's dates hold. */
#define DAYS_MIN (-719162)
#define DAYS_MAX 2932896
#define US_MIN (DAYS_MIN * INT64_C(86400000000))
#define US_MAX ((DAYS_MAX + 1) * INT64_C(86400000000) - 1)

static bool
put_days(const ColView *v, uint8_t *room)
{
	int64_t days = (int32_t) get_u32(v->p);

	days += EPOCH_DAYS;
	parquet_put32(room, (uint32_t) days);
	return days >= DAYS_MIN && days <= DAYS_MAX;
}

static bool
put_micros(const ParquetLeaf *leaf, const ColView *v, uint8_t *room, bool *cut)
{
	int64_t us = (int64_t) get_u64(v->p);
	int64_t ms;

	if (us < US_MIN - EPOCH_US || us > US_MAX - EPOCH_US)
		return false;
	us += EPOCH_US;
	if (leaf->ms)
	{
		ms = (us - (us < 0 ? 999 : 0)) / 1000; /* down, also before 1970 */
		*cut = ms * 1000 != us;
		us = ms;
	}
	parquet_put64(room, (uint64_t) us);
	return true;
}

/* 24:00:00 is a time of PostgreSQL's, and of no other. */
static bool
put_time(const ColView *v, uint8_t *room)
{
	int64_t us = (int64_t) get_u64(v->p);

	parquet_put64(room, (uint64_t) us);
	return us >= 0 && us < INT64_C(86400000000);
}

static size_t
fixed_text(uint8_t kind, const uint8_t *p, char *o)
{
	switch (kind)
	{
		case CDC_S3_KIND_DATE:
			return fmt_date(o, (int32_t) get_u32(p));
		case CDC_S3_KIND_TIME:
			return fmt_time(o, (int64_t) get_u64(p));
		case CDC_S3_KIND_TIMETZ:
			return fmt_timetz(o, (int64_t) get_u64(p),
							  (int32_t) get_u32(p + 8));
		case CDC_S3_KIND_TIMESTAMP:
			return fmt_timestamp(o, (int64_t) get_u64(p), false);
		case CDC_S3_KIND_TIMESTAMPTZ:
			return fmt_timestamp(o, (int64_t) get_u64(p), true);
		case CDC_S3_KIND_INTERVAL:
			return fmt_interval(o, (int64_t) get_u64(p),
								(int32_t) get_u32(p + 8),
								(int32_t) get_u32(p + 12));
		default:
			return fmt_uuid(o, p);
	}
}

static void
numeric_text(const ColView *v, Buf *out)
{
	bool special;

	if (buf_room(out, fmt_numeric_size(v->p, v->n) + PGFMT_MAX))
		out->n += fmt_numeric((char *) out->p + out->n, v->p, v->n, &special);
}

/* The wire's bytes, or as many more. */
static Slice
plain_value(const ParquetLeaf *leaf, const ColView *v, uint8_t *room)
{
	switch (leaf->kind)
	{
		case CDC_S3_KIND_BOOL:
			room[0] = v->p[0] != 0;
			return (Slice){ room, 1 };
		case CDC_S3_KIND_INT2:
			parquet_put32(room, (uint32_t) (int16_t) get_u16(v->p));
			return (Slice){ room, 4 };
		case CDC_S3_KIND_OID:
			parquet_put64(room, get_u32(v->p));
			return (Slice){ room, 8 };
		default:
			return (Slice){ v->p, v->n };
	}
}

bool
parquet_value(const ParquetLeaf *leaf, const ColView *v,
			  uint8_t room[PARQUET_ROOM], Buf *text, Slice *out, bool *out_cut)
{
	bool ok = true;

	*out_cut = false;
	switch (leaf->form)
	{
		case PARQUET_DAYS:
			ok = put_days(v, room);
			*out = (Slice){ room, 4 };
			return ok;
		case PARQUET_MICROS:
		case PARQUET_MICROS_UTC:
			ok = put_micros(leaf, v, room, out_cut);
			*out = (Slice){ room, 8 };
			return ok;
		case PARQUET_TIME:
			*out = (Slice){ room, 8 };
			return put_time(v, room);
		case PARQUET_DECIMAL:
			*out = (Slice){ room, parquet_width(leaf) };
			return decimal_of_wire(leaf, v->p, v->n, room);
		case PARQUET_FIXED_TEXT:
			*out = (Slice){ room, fixed_text(leaf->kind, v->p, (char *) room) };
			return true;
		case PARQUET_NUMERIC_TEXT:
			buf_reset(text);
			numeric_text(v, text);
			*out = buf_slice(text);
			return true;
		default:
			*out = plain_value(leaf, v, room);
			return true;
	}
}

void
parquet_exact_text(uint8_t kind, const ColView *v, Buf *out)
{
	static const char digits[] = "0123456789abcdef";

	if (kind == CDC_S3_KIND_NUMERIC)
		numeric_text(v, out);
	else if (kind == CDC_S3_KIND_BYTEA)
	{
		buf_str(out, "\\x");
		for (size_t i = 0; i < v->n; i++)
		{
			buf_byte(out, (uint8_t) digits[v->p[i] >> 4]);
			buf_byte(out, (uint8_t) digits[v->p[i] & 15]);
		}
	}
	else if (kind > CDC_S3_KIND_NUMERIC)
		buf_add(out, v->p, v->n);
	else if (buf_room(out, PGFMT_MAX))
		out->n += fixed_text(kind, v->p, (char *) out->p + out->n);
}

void
parquet_first_room(Buf *b)
{
	if (b->p)
		return;
	b->p = xmalloc(PARQUET_FIRST_ROOM + 1);
	b->cap = PARQUET_FIRST_ROOM;
	b->p[0] = 0;
}

/*
 * Arrays
 */

/* A number's text that prints as it stands, of min to max. */
static bool
whole_number(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char again[PGFMT_MAX];
	size_t n = strlen(s);
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || *end != '\0' || v < min || v > max ||
		fmt_i64(again, v) != n || memcmp(again, s, n) != 0)
		return false;
	*out = v;
	return true;
}

static bool
float_number(const ParquetLeaf *leaf, const char *s, uint8_t *room)
{
	char again[PGFMT_MAX];
	size_t n;
	char *end;

	if (leaf->physical == PARQUET_FLOAT)
	{
		float f = strtof(s, &end);
		uint32_t bits;

		n = fmt_float4(again, f);
		memcpy(&bits, &f, sizeof(bits));
		parquet_put32(room, bits);
	}
	else
	{
		double f = strtod(s, &end);
		uint64_t bits;

		n = fmt_float8(again, f);
		memcpy(&bits, &f, sizeof(bits));
		parquet_put64(room, bits);
	}
	return *end == '\0' && n == strlen(s) && memcmp(again, s, n) == 0;
}

/* An element's text, a C string of n bytes, to its value. */
static bool
element_value(const ParquetLeaf *leaf, const char *s, size_t n, uint8_t *room,
			  Slice *out)
{
	int64_t v = 0;

	*out = (Slice){ room, parquet_width(leaf) };
	if (leaf->form == PARQUET_DECIMAL)
		return decimal_of_text(leaf, s, n, room);
	switch (leaf->physical)
	{
		case PARQUET_BOOLEAN:
			room[0] = s[0] == 't';
			return n == 1 && (s[0] == 't' || s[0] == 'f');
		case PARQUET_INT32:
			if (!whole_number(
					s, leaf->kind == CDC_S3_KIND_INT2 ? INT16_MIN : INT32_MIN,
					leaf->kind == CDC_S3_KIND_INT2 ? INT16_MAX : INT32_MAX, &v))
				return false;
			parquet_put32(room, (uint32_t) v);
			return true;
		case PARQUET_INT64:
			if (!whole_number(s, INT64_MIN, INT64_MAX, &v))
				return false;
			parquet_put64(room, (uint64_t) v);
			return true;
		case PARQUET_FLOAT:
		case PARQUET_DOUBLE:
			return float_number(leaf, s, room);
		default:
			*out = (Slice){ (const uint8_t *) s, n };
			return true;
	}
}

static bool
add_element(const ParquetLeaf *leaf, const Buf *element, bool quoted, Buf *out)
{
	uint8_t room[PARQUET_ROOM];
	uint8_t head[5] = { 1 };
	const char *s = buf_cstr(element);
	Slice value;

	if (!quoted && element->n == 4 && memcmp(s, "NULL", 4) == 0)
	{
		buf_byte(out, 0);
		return true;
	}
	if (!element_value(leaf, s, element->n, room, &value))
		return false;
	parquet_put32(head + 1, (uint32_t) value.n);
	buf_add(out, head, sizeof(head));
	buf_add(out, value.p, value.n);
	return true;
}

/* One element, from p[*at] on, without its quotes and backslashes. */
static bool
take_element(Slice s, size_t *at, Buf *element, bool *quoted)
{
	size_t i = *at;

	*quoted = s.p[i] == '"';
	buf_reset(element);
	if (s.p[i] == '{')
		return false;
	for (i += *quoted; i < s.n && s.p[i] != (*quoted ? '"' : ','); i++)
	{
		if (s.p[i] == '\\' && ++i == s.n)
			return false;
		buf_byte(element, s.p[i]);
	}
	*at = i + *quoted + 1; /* closing quote, comma */
	return *quoted || element->n > 0;
}

bool
parquet_array(const ParquetLeaf *leaf, Slice literal, Buf *out, size_t *out_n)
{
	Slice s = { literal.p, literal.n - 1 }; /* without the closing brace */
	Buf element;
	bool quoted;
	bool ok = true;

	*out_n = 0;
	if (literal.n < 2 || literal.p[0] != '{' || literal.p[s.n] != '}')
		return false;
	buf_init(&element, SIZE_MAX);
	for (size_t i = 1; ok && i < s.n; ++*out_n)
		ok = take_element(s, &i, &element, &quoted) &&
			 add_element(leaf, &element, quoted, out);
	buf_done(&element);
	return ok && !out->overflow;
}

/*
 * Back
 */
size_t
parquet_to_wire(const ParquetLeaf *leaf, Slice value,
				uint8_t room[PARQUET_ROOM])
{
	int64_t us;

	if (leaf->form == PARQUET_DAYS)
	{
		parquet_put32(room, get_u32(value.p) - EPOCH_DAYS);
		return 4;
	}
	if (leaf->form == PARQUET_MICROS || leaf->form == PARQUET_MICROS_UTC)
	{
		us = (int64_t) get_u64(value.p);
		if (leaf->ms)
			us = (int64_t) ((uint64_t) us * 1000);
		parquet_put64(room, (uint64_t) us - (uint64_t) EPOCH_US);
		return 8;
	}
	memcpy(room, value.p, value.n);
	switch (leaf->kind)
	{
		case CDC_S3_KIND_INT2:
			return 2; /* the lower half */
		case CDC_S3_KIND_OID:
			return 4;
		default:
			return value.n;
	}
}

size_t
parquet_decimal_text(const ParquetLeaf *leaf, Slice value, char *out)
{
	return decimal_to_text(leaf, value.p, out);
}

static void
put_quoted(Slice value, Buf *out)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < value.n; i++)
	{
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, value.p[i]);
	}
	buf_byte(out, '"');
}

void
parquet_put_element(const ParquetLeaf *leaf, Slice value, Buf *out)
{
	char *o;
	uint32_t u32;
	uint64_t u64;
	float f4;
	double f8;

	if (leaf->physical == PARQUET_BYTE_ARRAY)
	{
		/* a number's text is not quoted, so that it is read as one */
		if (leaf->form == PARQUET_NUMERIC_TEXT)
			buf_add(out, value.p, value.n);
		else
			put_quoted(value, out);
		return;
	}
	if (!buf_room(out, PGFMT_MAX))
		return;
	o = (char *) out->p + out->n;
	if (leaf->form == PARQUET_DECIMAL)
		out->n += parquet_decimal_text(leaf, value, o);
	else if (leaf->physical == PARQUET_BOOLEAN)
	{
		*o = value.p[0] ? 't' : 'f';
		out->n++;
	}
	else if (leaf->physical == PARQUET_INT32)
		out->n += fmt_i64(o, (int32_t) get_u32(value.p));
	else if (leaf->physical == PARQUET_INT64)
		out->n += fmt_i64(o, (int64_t) get_u64(value.p));
	else if (leaf->physical == PARQUET_FLOAT)
	{
		u32 = get_u32(value.p);
		memcpy(&f4, &u32, 4);
		out->n += fmt_float4(o, f4);
	}
	else
	{
		u64 = get_u64(value.p);
		memcpy(&f8, &u64, 8);
		out->n += fmt_float8(o, f8);
	}
	out->p[out->n] = 0;
}
