/*-------------------------------------------------------------------------
 * test_xml.c
 *	  codec/xml: what servers send, and what they should not.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/xml.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_find(void **state)
{
	static const struct
	{
		const char *name, *doc, *tag, *inside; /* inside NULL: not found */
	} rows[] = {
		{ "plain", "<a><b>x</b></a>", "b", "x" },
		{ "declaration", "<?xml version=\"1.0\"?>\n<a>x</a>", "a", "x" },
		{ "attributes", "<a xmlns=\"http://x/y\"><b c='d'>x</b></a>", "b",
		  "x" },
		{ "name space", "<s3:a><s3:b>x</s3:b></s3:a>", "b", "x" },
		{ "empty", "<a><b/></a>", "b", "" },
		{ "empty with space", "<a><b /></a>", "b", "" },
		{ "nested in itself", "<b>1<b>2</b>3</b>", "b", "1<b>2</b>3" },
		{ "name is a prefix", "<a><bc>1</bc><b>2</b></a>", "b", "2" },
		{ "comment", "<a><!-- <b>1</b> --><b>2</b></a>", "b", "2" },
		{ "cut in the text", "<a><b>x", "b", NULL },
		{ "cut in the end tag", "<a><b>x</b", "b", NULL },
		{ "cut in the tag", "<a><b", "b", NULL },
		{ "cut comment", "<a><!-- <b>1</b>", "b", NULL },
		{ "only an end", "<a></b></a>", "b", NULL },
		{ "no XML", "Bad gateway", "b", NULL },
		{ "nothing", "", "b", NULL },
		{ "a bracket", "<", "b", NULL },
		{ "nameless", "<><b>1</b></>", "b", "1" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Slice out = { NULL, 0 };
		bool found = xml_find(slice_cstr(rows[i].doc), rows[i].tag, &out);

		if (found != (rows[i].inside != NULL))
			fail_msg("%s: found %d", rows[i].name, found);
		if (found && (out.n != strlen(rows[i].inside) ||
					  memcmp(out.p, rows[i].inside, out.n) != 0))
			fail_msg("%s: \"%.*s\"", rows[i].name, (int) out.n, out.p);
	}
}

static void
test_next(void **state)
{
	Slice rest = slice_cstr("<l><c><k>1</k></c><c/><c><k>2</k></c></l>");
	Slice c;

	(void) state;
	assert_true(xml_next(&rest, "c", &c));
	assert_int_equal(c.n, strlen("<k>1</k>"));
	assert_true(xml_next(&rest, "c", &c));
	assert_int_equal(c.n, 0);
	assert_true(xml_next(&rest, "c", &c));
	assert_memory_equal(c.p, "<k>2</k>", c.n);
	assert_false(xml_next(&rest, "c", &c));
}

static void
test_root(void **state)
{
	static const struct
	{
		const char *doc;
		bool is;
	} rows[] = {
		{ "<Error><Code>x</Code></Error>", true },
		{ " \n<?xml version='1.0'?><Error/>", true },
		{ "<Error><Code>x</Code>", false },
		{ "<Result><Error>x</Error></Result>", false },
		{ "Error", false },
		{ "", false },
		{ "</Error>", false },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (xml_has_root(slice_cstr(rows[i].doc), "Error") != rows[i].is)
			fail_msg("%s", rows[i].doc);
}

static void
test_text(void **state)
{
	static const struct
	{
		const char *raw, *text; /* NULL: refused */
	} rows[] = {
		{ "a&amp;b", "a&b" },
		{ "&lt;&gt;&quot;&apos;", "<>\"'" },
		{ "&#65;&#x42;&#xe9;", "AB\xc3\xa9" },
		{ "&#8364;&#x1F600;", "\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "", "" },
		{ "&nbsp;", NULL },
		{ "&amp", NULL },
		{ "&", NULL },
		{ "&;", NULL },
		{ "&#;", NULL },
		{ "&#x;", NULL },
		{ "&#0;", NULL },
		{ "&#-65;", NULL },
		{ "&# 65;", NULL },
		{ "&#xD800;", NULL },
		{ "&#x110000;", NULL },
		{ "&averyveryverylongname;", NULL },
		{ "a<b/>", NULL },
	};
	Buf b;

	(void) state;
	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		bool ok;

		buf_reset(&b);
		buf_byte(&b, '>');
		ok = xml_add_text(&b, slice_cstr(rows[i].raw));
		if (ok != (rows[i].text != NULL))
			fail_msg("%s: %d", rows[i].raw, ok);
		assert_string_equal(buf_cstr(&b) + 1, ok ? rows[i].text : "");
	}
	buf_done(&b);
}

/* Cut at every byte, in memory of just that size, for the sanitizers. */
static void
test_cut_anywhere(void **state)
{
	static const char doc[] =
		"<?xml version=\"1.0\"?><!-- c --><s:L a=\"b\"><C><K>x&amp;y</K>"
		"</C><C/><!DOCTYPE x></s:L>";

	(void) state;
	for (size_t n = 0; n < sizeof(doc); n++)
	{
		uint8_t *copy = xmalloc(n);
		Slice rest = { copy, n };
		Slice c;
		Buf b;

		memcpy(copy, doc, n);
		buf_init(&b, 100);
		while (xml_next(&rest, "C", &c))
			(void) xml_add_text(&b, c); /* must only not read too far */
		(void) xml_add_text(&b, (Slice){ copy, n });
		assert_int_equal(xml_has_root((Slice){ copy, n }, "L"),
						 n == sizeof(doc) - 1 || n == sizeof(doc));
		buf_done(&b);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),         cmocka_unit_test(test_next),
		cmocka_unit_test(test_root),         cmocka_unit_test(test_text),
		cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
