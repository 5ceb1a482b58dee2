/*-------------------------------------------------------------------------
 * jsonline.c
 *	  Reads the record lines of the lake.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/jsonline.h"

#include <string.h>

static bool
bad(const JsonCursor *c, const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "%s at byte %zu of the record", what,
				   (size_t) (c->p - c->start) + 1);
}

static void
skip_space(JsonCursor *c)
{
	while (c->p < c->end &&
		   (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
		c->p++;
}

static bool
open_with(JsonCursor *c, Slice text, uint8_t open, uint8_t close, Err *err)
{
	*c = (JsonCursor){ .start = text.p,
					   .p = text.p,
					   .end = text.p + text.n,
					   .close = close,
					   .first = true };
	if (text.n == 0)
		return err_set(err, ERR_DATA, 0, "empty record");
	skip_space(c);
	if (c->p == c->end || *c->p != open)
		return bad(c, open == '{' ? "expected \"{\"" : "expected \"[\"", err);
	c->p++;
	return true;
}

bool
json_open_object(JsonCursor *c, Slice text, Err *err)
{
	return open_with(c, text, '{', '}', err);
}

bool
json_open_array(JsonCursor *c, Slice text, Err *err)
{
	return open_with(c, text, '[', ']', err);
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Is one of eight bytes a quote or a backslash?  At times yes, if none is. */
static inline bool
may_end(const uint8_t *p)
{
	uint64_t w;
	uint64_t quote;
	uint64_t backslash;

	memcpy(&w, p, sizeof(w));
	quote = w ^ EACH('"');
	backslash = w ^ EACH('\\');
	return (((quote - EACH(1)) & ~quote) |
			((backslash - EACH(1)) & ~backslash)) &
		   EACH(0x80);
}

/* From behind the opening quote to behind the closing one. */
static bool
skip_string(JsonCursor *c, bool *out_escaped, Err *err)
{
	bool escaped = false;

	for (; c->p < c->end; c->p++)
	{
		while (c->end - c->p > 8 && !may_end(c->p))
			c->p += 8;
		if (*c->p == '"')
		{
			c->p++;
			*out_escaped = escaped;
			return true;
		}
		if (*c->p == '\\')
		{
			escaped = true;
			c->p++;
		}
	}
	c->p = c->end;
	return bad(c, "unterminated string", err);
}

/* From the opening bracket to behind its partner. */
static bool
skip_nested(JsonCursor *c, Err *err)
{
	size_t depth = 0;
	bool escaped;

	while (c->p < c->end)
	{
		uint8_t b = *c->p++;

		if (b == '"')
		{
			if (!skip_string(c, &escaped, err))
				return false;
		}
		else if (b == '{' || b == '[')
			depth++;
		else if ((b == '}' || b == ']') && --depth == 0)
			return true;
	}
	return bad(c, "unterminated object or array", err);
}

static bool
skip_word(JsonCursor *c, const char *word, Err *err)
{
	size_t n = strlen(word);

	if ((size_t) (c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return bad(c, "not a value", err);
	c->p += n;
	return true;
}

static bool
is_digit(uint8_t b)
{
	return b >= '0' && b <= '9';
}

static bool
skip_digits(JsonCursor *c, Err *err)
{
	if (c->p == c->end || !is_digit(*c->p))
		return bad(c, "not a number", err);
	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	return true;
}

static bool
skip_number(JsonCursor *c, Err *err)
{
	if (*c->p == '-')
		c->p++;
	if (!skip_digits(c, err))
		return false;
	if (c->p < c->end && *c->p == '.')
	{
		c->p++;
		if (!skip_digits(c, err))
			return false;
	}
	if (c->p < c->end && (*c->p == 'e' || *c->p == 'E'))
	{
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		return skip_digits(c, err);
	}
	return true;
}

static bool
read_value(JsonCursor *c, JsonValue *out, Err *err)
{
	const uint8_t *begin = c->p;
	const uint8_t *from;
	JsonValue v = { .kind = JSON_NULL };
	bool ok;

	skip_space(c);
	from = c->p;
	switch (c->p < c->end ? *c->p : 0)
	{
		case '"':
			v.kind = JSON_STRING;
			c->p++;
			ok = skip_string(c, &v.escaped, err);
			break;
		case '{':
		case '[':
			v.kind = *c->p == '{' ? JSON_OBJECT : JSON_ARRAY;
			ok = skip_nested(c, err);
			break;
		case 'n':
			ok = skip_word(c, "null", err);
			break;
		case 't':
			v.kind = JSON_TRUE;
			ok = skip_word(c, "true", err);
			break;
		case 'f':
			v.kind = JSON_FALSE;
			ok = skip_word(c, "false", err);
			break;
		default:
			if (c->p == c->end || (*c->p != '-' && !is_digit(*c->p)))
				return bad(c, "not a value", err);
			v.kind = JSON_NUMBER;
			ok = skip_number(c, err);
			break;
	}
	v.text = (Slice){ from, (size_t) (c->p - from) };
	skip_space(c);
	v.raw = (Slice){ begin, (size_t) (c->p - begin) };
	if (ok)
		*out = v;
	return ok;
}

/* Before a member or item: true with c->done set at the end. */
static bool
separator(JsonCursor *c, Err *err)
{
	skip_space(c);
	if (c->p < c->end && *c->p == c->close)
	{
		c->p++;
		skip_space(c);
		if (c->p != c->end)
			return bad(c, "text behind the end", err);
		c->done = true;
		return true;
	}
	if (c->first)
	{
		c->first = false;
		return true;
	}
	if (c->p == c->end || *c->p != ',')
		return bad(c, "expected \",\"", err);
	c->p++;
	return true;
}

bool
json_next_member(JsonCursor *c, JsonMember *out, Err *err)
{
	JsonMember m = { .escaped = false };
	const uint8_t *from;

	if (!separator(c, err))
		return false;
	if (c->done)
		return true;
	skip_space(c);
	if (c->p == c->end || *c->p != '"')
		return bad(c, "expected a name", err);
	from = ++c->p;
	if (!skip_string(c, &m.escaped, err))
		return false;
	m.name = (Slice){ from, (size_t) (c->p - from) - 1 };
	skip_space(c);
	if (c->p == c->end || *c->p != ':')
		return bad(c, "expected \":\"", err);
	c->p++;
	if (!read_value(c, &m.value, err))
		return false;
	*out = m;
	return true;
}

bool
json_next_named(JsonCursor *c, Slice head, JsonValue *out, bool *is, Err *err)
{
	*is = !c->first && (size_t) (c->end - c->p) >= head.n &&
		  memcmp(c->p, head.p, head.n) == 0;
	if (!*is)
		return true;
	c->p += head.n;
	return read_value(c, out, err);
}

bool
json_next_item(JsonCursor *c, JsonValue *out, Err *err)
{
	if (!separator(c, err))
		return false;
	return c->done || read_value(c, out, err);
}

bool
json_read_value(Slice text, JsonValue *out, Err *err)
{
	JsonCursor c = { .start = text.p, .p = text.p, .end = text.p + text.n };
	JsonValue v;

	if (text.n == 0)
		return err_set(err, ERR_DATA, 0, "empty value");
	if (!read_value(&c, &v, err))
		return false;
	if (c.p != c.end)
		return bad(&c, "text behind the value", err);
	*out = v;
	return true;
}

static int
hex_digit(uint8_t b)
{
	if (is_digit(b))
		return b - '0';
	b |= 0x20;
	return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

/* Four hex digits at s->p[at]; -1 where they are none. */
static int32_t
hex4(Slice s, size_t at)
{
	int32_t v = 0;

	if (s.n < at + 4)
		return -1;
	for (size_t i = at; i < at + 4; i++)
	{
		int d = hex_digit(s.p[i]);

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

static void
add_utf8(Buf *out, uint32_t u)
{
	if (u < 0x80)
		buf_byte(out, (uint8_t) u);
	else if (u < 0x800)
	{
		buf_byte(out, (uint8_t) (0xC0 | (u >> 6)));
		buf_byte(out, (uint8_t) (0x80 | (u & 0x3F)));
	}
	else if (u < 0x10000)
	{
		buf_byte(out, (uint8_t) (0xE0 | (u >> 12)));
		buf_byte(out, (uint8_t) (0x80 | ((u >> 6) & 0x3F)));
		buf_byte(out, (uint8_t) (0x80 | (u & 0x3F)));
	}
	else
	{
		buf_byte(out, (uint8_t) (0xF0 | (u >> 18)));
		buf_byte(out, (uint8_t) (0x80 | ((u >> 12) & 0x3F)));
		buf_byte(out, (uint8_t) (0x80 | ((u >> 6) & 0x3F)));
		buf_byte(out, (uint8_t) (0x80 | (u & 0x3F)));
	}
}

/* s starts behind "\u"; *used is how many bytes of s were taken. */
static bool
unescape_unicode(Slice s, Buf *out, size_t *used, Err *err)
{
	int32_t high = hex4(s, 0);
	int32_t low;

	if (high < 0)
		return err_set(err, ERR_DATA, 0, "bad \\u escape in the record");
	*used = 4;
	if (high < 0xD800 || high > 0xDFFF)
	{
		add_utf8(out, (uint32_t) high);
		return true;
	}
	low = s.n >= 10 && s.p[4] == '\\' && s.p[5] == 'u' ? hex4(s, 6) : -1;
	if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
		return err_set(err, ERR_DATA, 0, "lone surrogate in the record");
	*used = 10;
	add_utf8(out, 0x10000 + ((uint32_t) (high - 0xD800) << 10) +
					  (uint32_t) (low - 0xDC00));
	return true;
}

bool
json_unescape(Slice inner, Buf *out, Err *err)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";

	for (size_t i = 0; i < inner.n;)
	{
		const uint8_t *at = memchr(inner.p + i, '\\', inner.n - i);
		size_t plain = at ? (size_t) (at - inner.p) - i : inner.n - i;
		const char *known;
		size_t used;

		buf_add(out, inner.p + i, plain);
		i += plain + 1;
		if (!at)
			break;
		if (i == inner.n)
			return err_set(err, ERR_DATA, 0, "bad escape in the record");
		if (inner.p[i] == 'u')
		{
			i++;
			if (!unescape_unicode((Slice){ inner.p + i, inner.n - i }, out,
								  &used, err))
				return false;
			i += used;
			continue;
		}
		known = inner.p[i] ? strchr(from, inner.p[i]) : NULL;
		if (!known)
			return err_set(err, ERR_DATA, 0, "bad escape in the record");
		buf_byte(out, (uint8_t) to[known - from]);
		i++;
	}
	if (out->overflow)
		return err_set(err, ERR_LIMIT, 0, "string in the record is too long");
	return true;
}

bool
json_equals(Slice inner, bool escaped, const char *s)
{
	size_t n = strlen(s);
	Buf b;
	Err err;
	bool equal;

	if (!escaped)
		return inner.n == n && memcmp(inner.p, s, n) == 0;
	buf_init(&b, inner.n + 1);
	equal = json_unescape(inner, &b, &err) && b.n == n &&
			memcmp(buf_cstr(&b), s, n) == 0;
	buf_done(&b);
	return equal;
}

bool
json_int64(const JsonValue *v, int64_t *out)
{
	const uint8_t *p = v->text.p;
	size_t n = v->text.n;
	bool minus = v->kind == JSON_NUMBER && *p == '-';
	int64_t r = 0;

	if (v->kind != JSON_NUMBER)
		return false;
	if (minus)
	{
		p++;
		n--;
	}
	if (n > 18)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		if (!is_digit(p[i]))
			return false;
		r = r * 10 + (p[i] - '0');
	}
	*out = minus ? -r : r;
	return true;
}

#define LSN_DIGITS 16

static bool
read_lsn(const JsonValue *v, Lsn *out)
{
	char text[LSN_DIGITS + 1] = "";

	if (v->kind != JSON_STRING || v->text.n != LSN_DIGITS + 2)
		return false;
	memcpy(text, v->text.p + 1, LSN_DIGITS);
	return lsn_parse(text, out);
}

bool
jsonline_place(Slice line, Lsn *out_lsn, int64_t *out_seq, Err *err)
{
	JsonCursor c;
	JsonMember m;
	bool lsn = false;
	bool seq = false;

	if (!json_open_object(&c, line, err))
		return false;
	while (!lsn || !seq)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			return err_set(err, ERR_DATA, 0, "record without _lsn or _seq");
		if (json_equals(m.name, m.escaped, "_lsn"))
			lsn = read_lsn(&m.value, out_lsn);
		else if (json_equals(m.name, m.escaped, "_seq"))
			seq = json_int64(&m.value, out_seq);
	}
	return true;
}

bool
jsonline_moved(Slice line, Slice *out_seq)
{
	JsonCursor c;
	JsonMember m;
	Err err; /* a line that is none is somebody else's to refuse */

	*out_seq = (Slice){ NULL, 0 };
	if (!json_open_object(&c, line, &err))
		return false;
	while (json_next_member(&c, &m, &err) && !c.done && m.name.n > 0 &&
		   m.name.p[0] == '_')
	{
		if (json_equals(m.name, m.escaped, "_seq"))
			*out_seq = m.value.text;
		else if (json_equals(m.name, m.escaped, "_moved"))
			return m.value.kind == JSON_TRUE;
	}
	return false;
}
