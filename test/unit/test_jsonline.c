/*-------------------------------------------------------------------------
 * test_jsonline.c
 *	  codec/jsonline: the tokenizer of record lines, and what it refuses.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "codec/jsonline.h"

static bool
is_text(Slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void
members(void **state)
{
	static const char line[] =
		"{\"_op\":\"u\", \"n\" : -1.50e+3 ,\"t\":true,\"f\":false,\"z\":null,"
		"\"a\":[1,[\"]\"],{}],\"o\":{\"x\":\"}\\\"\"},\"e\\\"\":\"\\u0041\"}";
	static const struct
	{
		const char *name;
		JsonKind kind;
		const char *text;
	} want[] = {
		{ "_op", JSON_STRING, "\"u\"" },
		{ "n", JSON_NUMBER, "-1.50e+3" },
		{ "t", JSON_TRUE, "true" },
		{ "f", JSON_FALSE, "false" },
		{ "z", JSON_NULL, "null" },
		{ "a", JSON_ARRAY, "[1,[\"]\"],{}]" },
		{ "o", JSON_OBJECT, "{\"x\":\"}\\\"\"}" },
		{ "e\"", JSON_STRING, "\"\\u0041\"" },
	};
	JsonCursor c;
	JsonMember m;
	Err err;

	(void) state;
	assert_true(json_open_object(&c, slice_cstr(line), &err));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
	{
		assert_true(json_next_member(&c, &m, &err));
		assert_false(c.done);
		assert_true(json_equals(m.name, m.escaped, want[i].name));
		assert_false(json_equals(m.name, m.escaped, "other"));
		assert_int_equal(m.value.kind, want[i].kind);
		assert_true(is_text(m.value.text, want[i].text));
		assert_true(is_text(m.value.raw, i == 1 ? " -1.50e+3 " : want[i].text));
	}
	assert_true(m.value.escaped);
	assert_true(json_next_member(&c, &m, &err));
	assert_true(c.done);
}

static void
items(void **state)
{
	JsonCursor c;
	JsonValue v;
	Err err;

	(void) state;
	assert_true(json_open_array(&c, slice_cstr(" [ ] "), &err));
	assert_true(json_next_item(&c, &v, &err));
	assert_true(c.done);
	assert_true(json_open_array(&c, slice_cstr("[null,\"a\"]"), &err));
	assert_true(json_next_item(&c, &v, &err));
	assert_int_equal(v.kind, JSON_NULL);
	assert_true(json_next_item(&c, &v, &err));
	assert_true(is_text(json_inner(&v), "a"));
	assert_true(json_next_item(&c, &v, &err));
	assert_true(c.done);
}

/* Reads all members of a line; false where one is refused. */
static bool
read_line(Slice line)
{
	JsonCursor c;
	JsonMember m;
	Err err;

	if (!json_open_object(&c, line, &err))
		return false;
	while (!c.done)
	{
		if (!json_next_member(&c, &m, &err))
		{
			assert_int_equal(err.kind, ERR_DATA);
			return false;
		}
	}
	return true;
}

static void
refused(void **state)
{
	static const char *const lines[] = {
		"",           " ",           "[]",
		"{",          "}",           "{\"a\"}",
		"{\"a\":}",   "{\"a\":1",    "{\"a\":1,}",
		"{,}",        "{\"a\":1}x",  "{\"a\":1 \"b\":2}",
		"{a:1}",      "{\"a\":01x}", "{\"a\":-}",
		"{\"a\":1.}", "{\"a\":1e}",  "{\"a\":nul}",
		"{\"a\":[1}", "{\"a\":\"x",  "{\"a\":\"\\\"}",
		"{\"a",       "{\"a\":NaN}", "{\"a\":+1}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
	{
		if (read_line(slice_cstr(lines[i])))
			fail_msg("%s was read", lines[i]);
	}
}

/* Every cut of a good line is refused, and nothing behind its end is read. */
static void
cut(void **state)
{
	static const char line[] = "{\"a\\u00e9\":\"x\\ud83d\\ude00\",\"b\":[1,"
							   "{\"c\":-1.5e-3}],\"d\":true}";

	(void) state;
	for (size_t n = 0; n < strlen(line); n++)
	{
		uint8_t *copy = xmalloc(n ? n : 1);

		memcpy(copy, line, n);
		assert_false(read_line((Slice){ copy, n }));
		free(copy);
	}
	assert_true(read_line(slice_cstr(line)));
}

static void
unescape(void **state)
{
	static const struct
	{
		const char *in;
		const char *out; /* NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "a\\tb\\n\\r\\b\\f\\\"\\\\\\/", "a\tb\n\r\b\f\"\\/" },
		{ "\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac" },
		{ "\\ud83d\\ude00!", "\xf0\x9f\x98\x80!" },
		{ "\\ud83d", NULL },
		{ "\\ud83d\\u0041", NULL },
		{ "\\ude00", NULL },
		{ "\\u12", NULL },
		{ "\\u12g4", NULL },
		{ "\\x", NULL },
		{ "x\\", NULL },
	};
	Buf b;
	Err err;

	(void) state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		buf_reset(&b);
		assert_int_equal(json_unescape(slice_cstr(cases[i].in), &b, &err),
						 cases[i].out != NULL);
		if (cases[i].out)
			assert_string_equal(buf_cstr(&b), cases[i].out);
	}
	buf_reset(&b);
	assert_true(json_unescape(slice_cstr("\\u0000"), &b, &err));
	assert_int_equal(b.n, 1);
	buf_done(&b);
	buf_init(&b, 3);
	assert_false(json_unescape(slice_cstr("four"), &b, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_done(&b);
}

static void
whole_numbers(void **state)
{
	static const struct
	{
		const char *text;
		bool ok;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-7", true, -7 },
		{ "999999999999999999", true, INT64_C(999999999999999999) },
		{ "1000000000000000000", false, 0 },
		{ "1.0", false, 0 },
		{ "1e3", false, 0 },
	};
	int64_t n;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		JsonValue v = { .kind = JSON_NUMBER,
						.text = slice_cstr(cases[i].text) };

		n = 0;
		assert_int_equal(json_int64(&v, &n), cases[i].ok);
		assert_int_equal(n, cases[i].value);
	}
}

/* One value, and nothing behind it. */
static void
one_value(void **state)
{
	static const struct
	{
		const char *text;
		bool ok;
		JsonKind kind;
	} rows[] = {
		{ " null ", true, JSON_NULL },
		{ "-1.5e3", true, JSON_NUMBER },
		{ "\t{\"a\":[1]}\n", true, JSON_OBJECT },
		{ "[]", true, JSON_ARRAY },
		{ "\"\\\"\"", true, JSON_STRING },
		{ "true", true, JSON_TRUE },
		{ "", false, JSON_NULL },
		{ " ", false, JSON_NULL },
		{ "nul", false, JSON_NULL },
		{ "1 2", false, JSON_NULL },
		{ "{}{", false, JSON_NULL },
		{ "1,\"a\":2", false, JSON_NULL },
		{ "\"a", false, JSON_NULL },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		JsonValue v;
		Err err;
		bool ok = json_read_value(slice_cstr(rows[i].text), &v, &err);

		if (ok != rows[i].ok || (ok && v.kind != rows[i].kind))
			fail_msg("%s", rows[i].text);
		assert_true(ok || err.kind == ERR_DATA);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),       cmocka_unit_test(items),
		cmocka_unit_test(refused),       cmocka_unit_test(cut),
		cmocka_unit_test(one_value),     cmocka_unit_test(unescape),
		cmocka_unit_test(whole_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
