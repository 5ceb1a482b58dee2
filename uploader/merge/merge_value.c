/*-------------------------------------------------------------------------
 * merge_value.c
 *	  A value of a record line as a field of COPY's text format.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types below all domains, by OID: the same in every PostgreSQL. */
#define OID_JSON 114
#define OID_JSONB 3802
#define OID_DATE 1082
#define OID_TIMESTAMP 1114
#define OID_TIMESTAMPTZ 1184
#define OID_DATE_ARRAY 1182
#define OID_TIMESTAMP_ARRAY 1115
#define OID_TIMESTAMPTZ_ARRAY 1185

#define YEAR_DIGITS_MAX 9

static bool
is_json(const SchemaColumn *col)
{
	return col->base_oid == OID_JSON || col->base_oid == OID_JSONB;
}

static bool
is_time(uint32_t oid)
{
	return oid == OID_DATE || oid == OID_TIMESTAMP || oid == OID_TIMESTAMPTZ;
}

static bool
is_time_array(uint32_t oid)
{
	return oid == OID_DATE_ARRAY || oid == OID_TIMESTAMP_ARRAY ||
		   oid == OID_TIMESTAMPTZ_ARRAY;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Is one of eight bytes a backslash, or below 14 as tab and line ends are? */
static inline bool
may_need_escape(const uint8_t *p)
{
	uint64_t w;
	uint64_t x;

	memcpy(&w, p, sizeof(w));
	x = w ^ EACH('\\');
	return (((w - EACH(14)) & ~w) | ((x - EACH(1)) & ~x)) & EACH(0x80);
}

void
value_add_escaped(Buf *out, Slice s)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++)
	{
		uint8_t c;

		while (i + 8 < s.n && !may_need_escape(s.p + i))
			i += 8;
		c = s.p[i];
		if (c != '\\' && c != '\n' && c != '\r' && c != '\t')
			continue;
		buf_add(out, s.p + from, i - from);
		buf_byte(out, '\\');
		buf_byte(out, c == '\\'   ? '\\'
					  : c == '\n' ? 'n'
					  : c == '\r' ? 'r'
								  : 't');
		from = i + 1;
	}
	if (s.n > from)
		buf_add(out, s.p + from, s.n - from);
}

/*
 * Text of a date or timestamp as PostgreSQL reads it: year 0000 is 1 BC,
 * -0043 is 44 BC; a '+' before a long year goes.  Infinities pass.
 */
static void
add_time(Buf *out, Slice s)
{
	bool minus = s.n > 1 && s.p[0] == '-';
	size_t at = minus || (s.n > 0 && s.p[0] == '+') ? 1 : 0;
	size_t digits = 0;
	long long year = 0;

	for (; at + digits < s.n && digits <= YEAR_DIGITS_MAX; digits++)
	{
		uint8_t c = s.p[at + digits];

		if (c < '0' || c > '9')
			break;
		year = year * 10 + (c - '0');
	}
	if (digits < 4 || digits > YEAR_DIGITS_MAX || (year > 0 && !minus))
	{
		/* "infinity" and anything else is the server's to judge */
		size_t skip = digits >= 4 && !minus ? at : 0;

		buf_add(out, s.p + skip, s.n - skip);
		return;
	}
	buf_printf(out, "%04lld", year + 1);
	for (size_t i = at + digits; i < s.n; i++)
	{
		if (s.p[i] == 'Z')
			buf_str(out, "+00");
		else
			buf_byte(out, s.p[i] == 'T' ? ' ' : s.p[i]);
	}
	buf_str(out, " BC");
}

/* A quoted element of an array literal. */
static void
add_element_text(Buf *out, Slice s)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < s.n; i++)
	{
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, s.p[i]);
	}
	buf_byte(out, '"');
}

static bool
add_element(Buf *out, const SchemaColumn *col, const JsonValue *v, Err *err)
{
	Buf b;
	Buf time;
	bool ok = true;

	switch (v->kind)
	{
		case JSON_NULL:
			buf_str(out, "NULL");
			return true;
		case JSON_TRUE:
		case JSON_FALSE:
			buf_str(out, v->kind == JSON_TRUE ? "t" : "f");
			return true;
		case JSON_NUMBER:
			buf_add(out, v->text.p, v->text.n);
			return true;
		case JSON_STRING:
			break;
		default: /* no simple type: the text as it stands */
			add_element_text(out, v->text);
			return true;
	}
	buf_init(&b, v->text.n + 1);
	buf_init(&time, 2 * v->text.n + 64);
	ok = json_unescape(json_inner(v), &b, err);
	if (ok && is_time_array(col->base_oid))
	{
		add_time(&time, buf_slice(&b));
		add_element_text(out, buf_slice(&time));
	}
	else if (ok)
		add_element_text(out, buf_slice(&b));
	buf_done(&b);
	buf_done(&time);
	return ok;
}

/* A JSON array as an array literal, not yet escaped for COPY. */
static bool
add_array(Buf *out, const SchemaColumn *col, Slice text, Err *err)
{
	JsonCursor c;
	JsonValue v;
	bool first = true;

	if (!json_open_array(&c, text, err))
		return false;
	buf_byte(out, '{');
	for (;; first = false)
	{
		if (!json_next_item(&c, &v, err))
			return false;
		if (c.done)
			break;
		if (!first)
			buf_byte(out, ',');
		if (!add_element(out, col, &v, err))
			return false;
	}
	buf_byte(out, '}');
	return true;
}

static bool
add_string(Buf *out, const SchemaColumn *col, const JsonValue *v, Buf *scratch,
		   Err *err)
{
	Slice s = json_inner(v);
	Buf time;

	if (v->escaped)
	{
		if (!json_unescape(s, scratch, err))
			return false;
		s = buf_slice(scratch);
	}
	if (!is_time(col->base_oid))
	{
		value_add_escaped(out, s);
		return true;
	}
	buf_init(&time, s.n + 64);
	add_time(&time, s);
	value_add_escaped(out, buf_slice(&time));
	buf_done(&time);
	return true;
}

bool
value_add_copy(Buf *out, const SchemaColumn *col, const JsonValue *v,
			   bool null_json, Buf *scratch, Err *err)
{
	bool ok = true;

	buf_reset(scratch);
	if (v->kind == JSON_NULL && !null_json)
		buf_str(out, "\\N");
	else if (is_json(col)) /* our lines have no space but that of values */
		value_add_escaped(out, v->raw);
	else if (v->kind == JSON_ARRAY)
	{
		ok = add_array(scratch, col, v->text, err);
		if (ok)
			value_add_escaped(out, buf_slice(scratch));
	}
	else if (v->kind == JSON_STRING)
		ok = add_string(out, col, v, scratch, err);
	else
		value_add_escaped(out, v->text);
	if (ok && (out->overflow || scratch->overflow))
		return err_set(err, ERR_LIMIT, 0, "value of column \"%s\" is too long",
					   col->name);
	if (!ok)
		err_prefix(err, "column \"%s\"", col->name);
	return ok;
}
