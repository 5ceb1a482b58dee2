/*-------------------------------------------------------------------------
 * json_value.c
 *	  Values, as they stand in the lake's JSON lines.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "cdc_s3_proto.h"
#include "codec/json_impl.h"
#include "codec/pgfmt.h"
#include "codec/value_text.h"

#define ESCAPE_CHUNK 4096
#define SCRATCH_MAX ((size_t) 1 << 31)

static const char hex_digits[] = "0123456789abcdef";

/*
 * Strings
 */

/* 0: plain; 'u': \u00xx; else the character behind the backslash. */
static const char escapes[256] = {
	['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
	['\r'] = 'r', ['\t'] = 't',  [0] = 'u',    [1] = 'u',    [2] = 'u',
	[3] = 'u',    [4] = 'u',     [5] = 'u',    [6] = 'u',    [7] = 'u',
	[11] = 'u',   [14] = 'u',    [15] = 'u',   [16] = 'u',   [17] = 'u',
	[18] = 'u',   [19] = 'u',    [20] = 'u',   [21] = 'u',   [22] = 'u',
	[23] = 'u',   [24] = 'u',    [25] = 'u',   [26] = 'u',   [27] = 'u',
	[28] = 'u',   [29] = 'u',    [30] = 'u',   [31] = 'u',   [127] = 'u',
};

/*
 * Whether none of eight bytes needs an escape: a zero byte, or one below
 * 0x20, borrows into its highest bit.  May say no where it is so.
 */
static bool
all_plain(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t quote = w ^ ones * '"';
	uint64_t backslash = w ^ ones * '\\';
	uint64_t del = w ^ ones * 0x7f;
	uint64_t borrows = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) |
					   ((backslash - ones) & ~backslash) |
					   ((del - ones) & ~del);

	return (borrows & ones * 0x80) == 0;
}

static uint8_t *
escape_byte(uint8_t *o, uint8_t c)
{
	char e = escapes[c];

	if (e == 0)
	{
		*o = c;
		return o + 1;
	}
	*o++ = '\\';
	*o++ = (uint8_t) e;
	if (e == 'u')
	{
		*o++ = '0';
		*o++ = '0';
		*o++ = (uint8_t) hex_digits[c >> 4];
		*o++ = (uint8_t) hex_digits[c & 15];
	}
	return o;
}

/* At most ESCAPE_CHUNK bytes; the room is made here. */
static void
escape_chunk(Buf *out, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint8_t *o;

	if (!buf_room(out, 6 * n))
		return;
	o = out->p + out->n;
	while (p < end)
	{
		const uint8_t *stop = end - p > 8 ? p + 8 : end;
		uint64_t w;

		if (end - p >= 8 && (memcpy(&w, p, 8), all_plain(w)))
		{
			memcpy(o, &w, 8);
			o += 8;
			p += 8;
			continue;
		}
		while (p < stop)
			o = escape_byte(o, *p++);
	}
	out->n = (size_t) (o - out->p);
	*o = 0;
}

void
json_add_escaped(Buf *out, const uint8_t *p, size_t n)
{
	while (n > ESCAPE_CHUNK)
	{
		escape_chunk(out, p, ESCAPE_CHUNK);
		p += ESCAPE_CHUNK;
		n -= ESCAPE_CHUNK;
	}
	escape_chunk(out, p, n);
}

void
json_put_string(Buf *out, const uint8_t *p, size_t n)
{
	buf_byte(out, '"');
	json_add_escaped(out, p, n);
	buf_byte(out, '"');
}

size_t
utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80;
	uint8_t hi = 0xBF;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (p[0] == 0xE0)
		lo = 0xA0;
	else if (p[0] == 0xED)
		hi = 0x9F;
	else if (p[0] == 0xF0)
		lo = 0x90;
	else if (p[0] == 0xF4)
		hi = 0x8F;
	if (left < len || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	return len;
}

bool
utf8_valid(const uint8_t *p, size_t n)
{
	while (n > 0)
	{
		size_t len = utf8_sequence(p, n);

		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static bool
name_valid(const char *s)
{
	return utf8_valid((const uint8_t *) s, strlen(s));
}

bool
json_names_valid(const Schema *s)
{
	bool ok = name_valid(s->schema) && name_valid(s->table);

	for (int i = 0; ok && i < s->ncols; i++)
		ok = name_valid(s->cols[i].name) &&
			 name_valid(s->cols[i].type_schema) &&
			 name_valid(s->cols[i].type_name);
	return ok;
}

/*
 * Values
 */
void
json_put_hex_digits(Buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += ESCAPE_CHUNK)
	{
		size_t chunk = n - i < ESCAPE_CHUNK ? n - i : ESCAPE_CHUNK;
		uint8_t *o;

		if (!buf_room(out, 2 * chunk))
			return;
		o = out->p + out->n;
		for (size_t k = 0; k < chunk; k++)
		{
			*o++ = (uint8_t) hex_digits[p[i + k] >> 4];
			*o++ = (uint8_t) hex_digits[p[i + k] & 15];
		}
		out->n += 2 * chunk;
		*o = 0;
	}
}

void
json_put_hex(Buf *out, const uint8_t *p, size_t n)
{
	buf_str(out, "\"\\\\x");
	json_put_hex_digits(out, p, n);
	buf_byte(out, '"');
}

static void
add_numeric(Buf *out, const ColView *v, bool as_string)
{
	size_t room = fmt_numeric_size(v->p, v->n) + 2;
	bool special;
	char *o;
	size_t n;

	if (!buf_room(out, room + PGFMT_MAX))
		return;
	o = (char *) out->p + out->n;
	n = fmt_numeric(o + 1, v->p, v->n, &special);
	if (special || as_string)
	{
		o[0] = '"';
		o[n + 1] = '"';
		out->n += n + 2;
	}
	else
	{
		memmove(o, o + 1, n);
		out->n += n;
	}
	out->p[out->n] = 0;
}

/*
 * Embeds JSON that the server has checked.  A line break can stand between
 * its tokens only, and becomes a blank: a record is one line.
 */
void
json_put_embedded(Buf *out, const uint8_t *p, size_t n)
{
	size_t start = out->n;

	buf_add(out, p, n);
	if (out->overflow)
		return;
	for (size_t i = start; i < out->n; i++)
	{
		if (out->p[i] == '\n' || out->p[i] == '\r')
			out->p[i] = ' ';
	}
}

/* As the server prints one; NaN and the infinities are none. */
static bool
is_number(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if ((p[i] < '0' || p[i] > '9') && p[i] != '-' && p[i] != '+' &&
			p[i] != '.' && p[i] != 'e')
			return false;
	}
	return n > 0 && p[n - 1] >= '0' && p[n - 1] <= '9';
}

static void
add_element(Buf *out, JsonForm form, const uint8_t *p, size_t n, bool quoted)
{
	if (!quoted && n == 4 && memcmp(p, "NULL", 4) == 0)
		buf_str(out, "null");
	else if (form == FORM_BOOLS)
		buf_str(out, p[0] == 't' ? "true" : "false");
	else if (form == FORM_NUMBERS && is_number(p, n))
	{
		buf_add(out, p, n);
		if (n == 2 && memcmp(p, "-0", 2) == 0)
			buf_str(out, ".0"); /* as value_text_fixed() has it */
	}
	else
		json_put_string(out, p, n);
}

/*
 * Writes a one-dimensional array literal with lower bound 1 as a JSON array
 * into out.  False where it is of another shape: out is to be forgotten.
 */
static bool
convert_array(Buf *out, Buf *element, JsonForm form, const uint8_t *p, size_t n)
{
	size_t i = 1;

	if (n < 2 || p[0] != '{' || p[n - 1] != '}')
		return false;
	n--; /* the closing brace */
	buf_byte(out, '[');
	while (i < n)
	{
		bool quoted = p[i] == '"';

		buf_reset(element);
		if (p[i] == '{')
			return false;
		for (i += quoted; i < n && p[i] != (quoted ? '"' : ','); i++)
		{
			if (p[i] == '\\')
				i++;
			buf_byte(element, p[i]);
		}
		if (!quoted && element->n == 0)
			return false;
		if (out->n > 1)
			buf_byte(out, ',');
		add_element(out, form, element->n ? element->p : (const uint8_t *) "",
					element->n, quoted);
		i += quoted; /* closing quote */
		i++;         /* comma */
	}
	buf_byte(out, ']');
	return !out->overflow && !element->overflow;
}

static void
add_array(JsonWriter *w, Buf *out, JsonForm form, const ColView *v)
{
	Buf element;
	bool ok;

	buf_init(&element, SCRATCH_MAX);
	buf_reset(&w->scratch);
	ok = convert_array(&w->scratch, &element, form, v->p, v->n);
	buf_done(&element);
	if (ok)
		buf_add(out, w->scratch.p, w->scratch.n);
	else
		json_put_string(out, v->p, v->n);
	if (w->scratch.cap > 64 * 1024)
		buf_done(&w->scratch);
}

static void
add_fixed(Buf *out, uint8_t kind, const uint8_t *p)
{
	char *o;
	size_t n;
	bool quote;

	if (!buf_room(out, PGFMT_MAX + 2))
		return;
	o = (char *) out->p + out->n;
	if (kind >= CDC_S3_KIND_DATE)
	{
		n = value_text_fixed(o + 1, kind, p, &quote);
		o[0] = '"';
		o[n + 1] = '"';
		n += 2;
	}
	else
	{
		n = value_text_fixed(o, kind, p, &quote);
		if (quote)
		{
			memmove(o + 1, o, n);
			o[0] = '"';
			o[n + 1] = '"';
			n += 2;
		}
	}
	out->n += n;
	out->p[out->n] = 0;
}

void
json_put_value(JsonWriter *w, Buf *out, const JsonColumn *c, const ColView *v)
{
	if (c->kind < CDC_S3_KIND_NUMERIC)
		add_fixed(out, c->kind, v->p);
	else if (c->kind == CDC_S3_KIND_NUMERIC)
		add_numeric(out, v, c->numeric_string);
	else if (c->form == FORM_JSON)
		json_put_embedded(out, v->p, v->n);
	else if (c->form != FORM_KIND && v->n <= w->table->whole_max)
		add_array(w, out, (JsonForm) c->form, v);
	else if (c->kind == CDC_S3_KIND_BYTEA)
		json_put_hex(out, v->p, v->n);
	else
		json_put_string(out, v->p, v->n);
}
