/*-------------------------------------------------------------------------
 * jsonb.c
 *	  The text of a jsonb, straight from its stored form.
 *
 * The type's output function builds a tree walk and appends byte by byte,
 * which takes longer than all else that decoding does for a row.  This file
 * makes the same bytes in one pass for what is common, and leaves the rest to
 * the output function: what is long or deeply nested, and numbers of many
 * digits.
 *
 * The stored form is described in the server's utils/jsonb.h, that of numbers
 * in cdc_s3_proto.h.  It is read where it lies in the tuple, at any address.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "cdc_s3.h"

/* Longer and deeper ones go to the output function. */
#define TEXT_MAX_STORED (64 * 1024)
#define TEXT_MAX_DEPTH 32

/*
 * No stored byte makes more bytes of text: a control character becomes an
 * escape of six.  The entry of a value, four bytes, has room for what stands
 * around it: two quotes and two bytes of separator, or "false".
 */
#define TEXT_PER_BYTE 6

/* A number that stays within that: see put_number(). */
#define NUMBER_WEIGHT_MAX 3
#define NUMBER_SCALE_MAX 16

/* A walk over the entries of one container. */
typedef struct Walk
{
	const char *entry; /* the next one */
	const char *base;  /* where offsets count from */
	uint32 offset;     /* where the next value begins */
} Walk;

static char *put_container(char *o, const char *container, int depth);

static uint32
load_u32(const char *p)
{
	uint32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* ---- strings ---- */

/* 0: as it is; 'u': \u00xx; else the character behind the backslash. */
static char
escape_of(unsigned char c)
{
	switch (c)
	{
		case '\b':
			return 'b';
		case '\f':
			return 'f';
		case '\n':
			return 'n';
		case '\r':
			return 'r';
		case '\t':
			return 't';
		case '"':
		case '\\':
			return (char) c;
		default:
			return c < ' ' ? 'u' : 0;
	}
}

/*
 * Whether none of eight bytes needs an escape.  Below 0x20, and a zero where
 * a quote or backslash was, borrow into the highest bit.  May say no where it
 * is so.
 */
static bool
all_plain(uint64 w)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64 quote = w ^ (ones * '"');
	uint64 backslash = w ^ (ones * '\\');

	return ((((w - ones * ' ') & ~w) | ((quote - ones) & ~quote) |
			 ((backslash - ones) & ~backslash)) &
			(ones * 0x80)) == 0;
}

static char *
put_char(char *o, char c)
{
	static const char hex[] = "0123456789abcdef";
	char escape = escape_of((unsigned char) c);

	if (escape == 0)
	{
		*o = c;
		return o + 1;
	}
	*o++ = '\\';
	*o++ = escape;
	if (escape == 'u')
	{
		*o++ = '0';
		*o++ = '0';
		*o++ = hex[(unsigned char) c >> 4];
		*o++ = hex[c & 15];
	}
	return o;
}

static char *
put_string(char *o, const char *s, Size n)
{
	const char *end = s + n;

	*o++ = '"';
	while (s < end)
	{
		const char *stop = Min(s + 8, end);
		uint64 w;

		if (end - s >= 8 && (memcpy(&w, s, 8), all_plain(w)))
		{
			memcpy(o, &w, 8);
			o += 8;
			s += 8;
			continue;
		}
		while (s < stop)
			o = put_char(o, *s++);
	}
	*o++ = '"';
	return o;
}

/* ---- numbers ---- */

/* The four decimal digits of group i; groups that are not stored are zero. */
static int
group_at(const char *digits, int ndigits, int i)
{
	int16 d = 0;

	if (i >= 0 && i < ndigits)
		memcpy(&d, digits + 2 * i, sizeof(d));
	return d;
}

/*
 * Returns NULL where the number is left to the output function: one of the
 * long form, NaN, or of many digits.  Others have at most 36 characters, and
 * at least 10 bytes with their entry: 4 of it, 4 of length, 2 of header.
 */
static char *
put_number(char *o, const char *p)
{
	uint32 size = load_u32(p) >> 2; /* of a varlena, its own length too */
	const char *digits = p + VARHDRSZ + sizeof(uint16);
	int ndigits = (int) (size - VARHDRSZ - sizeof(uint16)) / 2;
	int64 whole = 0;
	uint16 head;
	int weight;
	int scale;

	if (!VARATT_IS_4B_U(p))
		return NULL;
	memcpy(&head, p + VARHDRSZ, sizeof(head));
	weight = (head & 0x3F) - (head & 0x40);
	scale = (head & 0x1F80) >> 7;
	if ((head & 0xC000) != 0x8000 || weight > NUMBER_WEIGHT_MAX ||
		scale > NUMBER_SCALE_MAX)
		return NULL;
	if (head & 0x2000)
		*o++ = '-';
	for (int i = 0; i <= weight; i++)
		whole = whole * 10000 + group_at(digits, ndigits, i);
	o += pg_lltoa(whole, o);
	if (scale > 0)
		*o++ = '.';
	for (int i = weight + 1; scale > 0; i++, scale -= 4)
	{
		int d = group_at(digits, ndigits, i);
		char four[4] = { (char) ('0' + d / 1000), (char) ('0' + d / 100 % 10),
						 (char) ('0' + d / 10 % 10), (char) ('0' + d % 10) };

		memcpy(o, four, sizeof(four));
		o += Min(scale, 4);
	}
	return o;
}

/* ---- containers ---- */

/* Where value i begins: lengths are summed back to the last stored offset. */
static uint32
offset_of(const char *entries, uint32 i)
{
	uint32 offset = 0;

	while (i-- > 0)
	{
		JEntry e = load_u32(entries + i * sizeof(JEntry));

		offset += JBE_OFFLENFLD(e);
		if (JBE_HAS_OFF(e))
			break;
	}
	return offset;
}

/* The next value, written to o; NULL if that is to be given up. */
static char *
put_next(char *o, Walk *w, int depth)
{
	JEntry e = load_u32(w->entry);
	uint32 from = w->offset;
	uint32 to = JBE_OFFLENFLD(e) + (JBE_HAS_OFF(e) ? 0 : from);

	w->entry += sizeof(JEntry);
	w->offset = to;
	switch (e & JENTRY_TYPEMASK)
	{
		case JENTRY_ISSTRING:
			return put_string(o, w->base + from, to - from);
		case JENTRY_ISNUMERIC:
			return put_number(o, w->base + INTALIGN(from));
		case JENTRY_ISBOOL_FALSE:
			memcpy(o, "false", 5);
			return o + 5;
		case JENTRY_ISBOOL_TRUE:
			memcpy(o, "true", 4);
			return o + 4;
		case JENTRY_ISNULL:
			memcpy(o, "null", 4);
			return o + 4;
		case JENTRY_ISCONTAINER:
			return put_container(o, w->base + INTALIGN(from), depth + 1);
		default:
			return NULL;
	}
}

static char *
put_array(char *o, Walk w, uint32 count, bool scalar, int depth)
{
	if (!scalar)
		*o++ = '[';
	for (uint32 i = 0; o && i < count; i++)
	{
		if (i > 0)
		{
			*o++ = ',';
			*o++ = ' ';
		}
		o = put_next(o, &w, depth);
	}
	if (o && !scalar)
		*o++ = ']';
	return o;
}

/* All keys come first, then all values. */
static char *
put_object(char *o, Walk keys, uint32 count, int depth)
{
	Walk values = { .entry = keys.entry + count * sizeof(JEntry),
					.base = keys.base,
					.offset = offset_of(keys.entry, count) };

	*o++ = '{';
	for (uint32 i = 0; o && i < count; i++)
	{
		if (i > 0)
		{
			*o++ = ',';
			*o++ = ' ';
		}
		o = put_next(o, &keys, depth);
		if (!o)
			break;
		*o++ = ':';
		*o++ = ' ';
		o = put_next(o, &values, depth);
	}
	if (o)
		*o++ = '}';
	return o;
}

static char *
put_container(char *o, const char *container, int depth)
{
	uint32 header = load_u32(container);
	uint32 count = header & JB_CMASK;
	bool object = (header & JB_FOBJECT) != 0;
	Walk w = { .entry = container + sizeof(header) };

	if (depth > TEXT_MAX_DEPTH)
		return NULL;
	w.base = w.entry + (object ? 2 : 1) * count * sizeof(JEntry);
	if (object)
		return put_object(o, w, count, depth);
	return put_array(o, w, count, (header & JB_FSCALAR) != 0, depth);
}

/*
 * The text of a value that is neither compressed nor out of line, in the
 * server's encoding and not terminated, allocated in the current memory
 * context; NULL where the output function is to be called instead.
 */
char *
cdc_s3_jsonb_text(const struct varlena *v, Size *out_len)
{
	Size stored = VARSIZE_ANY_EXHDR(v);
	char *text;
	char *end;

	if (stored > TEXT_MAX_STORED)
		return NULL;
	text = palloc(stored * TEXT_PER_BYTE + 8);
	end = put_container(text, VARDATA_ANY(v), 0);
	if (end)
		*out_len = end - text;
	return end ? text : NULL;
}
