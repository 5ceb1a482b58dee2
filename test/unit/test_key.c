/*-------------------------------------------------------------------------
 * test_key.c
 *	  codec/key and codec/pattern: names of objects, and lists of tables.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/key.h"
#include "codec/pattern.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_segments(void **state)
{
	static const struct
	{
		const char *name, *want;
	} rows[] = {
		{ "orders", "orders" },
		{ "Orders-2.x_y", "Orders-2.x_y" },
		{ "_cdc", "%5Fcdc" },
		{ "__x", "%5F_x" },
		{ ".", "%2E" },
		{ "..", "%2E." },
		{ ".hidden", "%2Ehidden" },
		{ "a.b", "a.b" },
		{ "a b", "a%20b" },
		{ "a/../b", "a%2F..%2Fb" },
		{ "a%2Fb", "a%252Fb" },
		{ "year=2026", "year%3D2026" },
		{ "q\"'\\\n\x7f", "q%22%27%5C%0A%7F" },
		{ "\xc3\xa4", "%C3%A4" },
		{ "caf\xe9", "caf%E9" },
		{ "a+b~c*d", "a%2Bb%7Ec%2Ad" },
	};
	Buf b;

	(void) state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		buf_reset(&b);
		key_add_segment(&b, rows[i].name);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		/* and back */
		buf_reset(&b);
		assert_true(key_parse_segment(slice_cstr(rows[i].want), &b));
		assert_string_equal(buf_cstr(&b), rows[i].name);
	}
	buf_done(&b);
}

static void
test_no_segments(void **state)
{
	static const char *const rows[] = { "",    "%",   "a%2", "%2",
										"%zz", "%2f", "%00", "a%" };
	Buf b;

	(void) state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_false(key_parse_segment(slice_cstr(rows[i]), &b));
	buf_done(&b);
}

typedef struct Pair
{
	char name[24];
	char segment[72];
} Pair;

static int
by_segment(const void *a, const void *b)
{
	return strcmp(((const Pair *) a)->segment, ((const Pair *) b)->segment);
}

/* Different names have different segments, and none leaves its folder. */
static void
test_injective(void **state)
{
	enum
	{
		NAMES = 100000
	};
	/* what is special to the mapping or to a store comes often */
	static const char alphabet[] = "_._.%%25FEa/\\=-\"\xc3\xa4\x01";
	Pair *pairs = xcalloc(NAMES, sizeof(*pairs));
	uint32_t x = 1;
	int same_name = 0;
	Buf b;

	(void) state;
	buf_init(&b, 1024);
	for (int i = 0; i < NAMES; i++)
	{
		Pair *p = &pairs[i];
		size_t n;

		x = x * 1664525 + 1013904223;
		n = 1 + (x >> 16) % 8;
		for (size_t k = 0; k < n; k++)
		{
			x = x * 1664525 + 1013904223;
			p->name[k] = (x >> 12) % 8 == 0
							 ? (char) ((x >> 16) % 255 + 1)
							 : alphabet[(x >> 16) % (sizeof(alphabet) - 1)];
		}
		buf_reset(&b);
		key_add_segment(&b, p->name);
		assert_true(b.n > 0 && b.n < sizeof(p->segment));
		assert_true(b.p[0] != '.' && b.p[0] != '_');
		for (size_t k = 0; k < b.n; k++)
		{
			if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
						"0123456789_-.%",
						b.p[k]))
				fail_msg("\"%s\" has '%c'", buf_cstr(&b), b.p[k]);
		}
		memcpy(p->segment, b.p, b.n + 1);
	}
	qsort(pairs, NAMES, sizeof(*pairs), by_segment);
	for (int i = 1; i < NAMES; i++)
	{
		bool same = strcmp(pairs[i].name, pairs[i - 1].name) == 0;

		same_name += same;
		if (strcmp(pairs[i].segment, pairs[i - 1].segment) == 0 && !same)
			fail_msg("two names are \"%s\"", pairs[i].segment);
	}
	assert_true(same_name < NAMES / 2);
	free(pairs);
	buf_done(&b);
}

static void
test_keys(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, 1024);
	key_add_table(&b, "_s", "a/b");
	assert_string_equal(buf_cstr(&b), "%5Fs/a%2Fb/");
	buf_reset(&b);
	key_add_entry(&b, 42);
	assert_string_equal(buf_cstr(&b), "_cdc/log/00000000000000000042.json");
	buf_reset(&b);
	key_add_entry(&b, INT64_MAX);
	assert_string_equal(buf_cstr(&b), "_cdc/log/09223372036854775807.json");
	buf_reset(&b);
	key_add_schema(&b, "public", ".t", "0123456789abcdef");
	assert_string_equal(buf_cstr(&b),
						"_cdc/schema/public/%2Et/0123456789abcdef.json");
	buf_done(&b);
}

static void
test_parse(void **state)
{
	static const struct
	{
		const char *key;
		int64_t seq;      /* -1: no part */
		const char *load; /* NULL: no load */
	} rows[] = {
		{ "s/t/year=2026/part-000000000042-0000-9f3a1c07.json.zst", 42, NULL },
		{ "s/t/part-999999999999999999-0-x", 999999999999999999, NULL },
		{ "part-1-0-x", 1, NULL },
		{ "s/t/part-1000000000000000000-0-x", -1, NULL },
		{ "s/t/20261130-103125108-42-0000-9f3a1c07.csv", 42, NULL },
		{ "20261130-103125108-1-0-x", 1, NULL },
		{ "s/t/20261130-103125108.csv", -1, NULL },
		{ "s/t/20261130-10312510-42-0000-9f3a1c07.csv", -1, NULL },
		{ "s/t/2026113-103125108-42-0000-9f3a1c07.csv", -1, NULL },
		{ "s/t/20261130-103125108-x-0", -1, NULL },
		{ "s/t/LOAD0000000A-00000000000000aa-9f3a1c07.csv.gz", -1,
		  "00000000000000aa" },
		{ "s/t/LOAD0000000a-00000000000000aa-9f3a1c07.csv", -1, NULL },
		{ "s/t/LOAD00000001.csv", -1, NULL },
		{ "s/t/part--0-x", -1, NULL },
		{ "s/t/part-1.json", -1, NULL },
		{ "s/t/part-x-1", -1, NULL },
		{ "s/t/part-", -1, NULL },
		{ "s/t/xpart-1-0", -1, NULL },
		{ "s/part-1-0/t", -1, NULL },
		{ "s/t/load-00000000000000aa-0000-9f3a1c07.json.zst", -1,
		  "00000000000000aa" },
		{ "load-a-0", -1, "a" },
		{ "s/t/load-00000000000000aab-0", -1, NULL },
		{ "s/t/load--0", -1, NULL },
		{ "s/t/load-aa", -1, NULL },
		{ "s/load-aa-0/t", -1, NULL },
		{ "", -1, NULL },
		{ "s/t/", -1, NULL },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int64_t seq = -1;
		char id[17] = "untouched";
		bool part = key_parse_part(rows[i].key, &seq);
		bool load = key_parse_load(rows[i].key, id, sizeof(id));

		if (part != (rows[i].seq >= 0) || load != (rows[i].load != NULL))
			fail_msg("%s", rows[i].key);
		assert_int_equal(seq, rows[i].seq);
		assert_string_equal(id, rows[i].load ? rows[i].load : "untouched");
	}
}

static void
test_dms_time(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, 64);
	key_add_dms_time(&b, INT64_C(1795262400000000) + 7005999);
	assert_string_equal(buf_cstr(&b), "20261121-120007005");
	buf_done(&b);
}

static void
test_writer(void **state)
{
	static const struct
	{
		const char *key;
		bool by;
	} rows[] = {
		{ "s/t/part-000000000042-0000-9f3a1c07.json.zst", true },
		{ "s/t/part-000000000042-0000-9f3a1c07", true },
		{ "s/t/load-00000000000000aa-0000-9f3a1c07.json", true },
		{ "s/t/part-000000000042-0000-9f3a1c08.json.zst", false },
		{ "s/t/part-000000000042-0000-9f3a1c070.json", false },
		{ "s/t/part-000000000042-9f3a1c07-0000.json", false },
		{ "s/9f3a1c07/part-42-0000", false },
		{ "s/t/20261130-103125108-42-0000-9f3a1c07.csv", true },
		{ "s/t/LOAD00000001-00000000000000aa-9f3a1c07.csv", true },
		{ "s/t-9f3a1c07/part", false },
		{ "", false },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		if (key_is_by(rows[i].key, "9f3a1c07") != rows[i].by)
			fail_msg("%s", rows[i].key);
	}
}

static void
test_patterns(void **state)
{
	static const struct
	{
		const char *list, *schema, *table;
		bool want;
	} rows[] = {
		{ "public.orders", "public", "orders", true },
		{ "public.orders", "public", "order", false },
		{ "public.orders", "publi", "orders", false },
		{ "public.*", "public", "anything", true },
		{ "public.*", "other", "anything", false },
		{ "*", "any", "thing", true },
		{ " * ", "any", "thing", true },
		{ "*.*", "any", "thing", true },
		{ "*.log", "any", "log", true },
		{ "*.log", "any", "logs", false },
		{ "p*c.o*s", "public", "orders", true },
		{ "p*c.o*s", "public", "order", false },
		{ "public.a*b*c", "public", "axxbyyc", true },
		{ "public.a*b*c", "public", "abbc", true },
		{ "public.a*b*c", "public", "acb", false },
		{ "public.**", "public", "x", true },
		{ "public.*a*a*a*a*b", "public", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  false },
		{ "Public.ORDERS", "public", "orders", true },
		{ "Public.ORDERS", "Public", "ORDERS", false },
		{ "\"Public\".\"ORDERS\"", "Public", "ORDERS", true },
		{ "public.\"a*\"", "public", "a*", true },
		{ "public.\"a*\"", "public", "ab", false },
		{ "public.\"a\"\"b\"", "public", "a\"b", true },
		{ "public.\"a.b,c d\"", "public", "a.b,c d", true },
		{ "\"*\"", "any", "thing", false },
		{ "a.b, c.d", "c", "d", true },
		{ "a.b,c.d", "a", "b", true },
		{ "\n a . b \t,\f c.d", "c", "d", true },
		{ "a.b,c.d", "a", "d", false },
		{ "", "a", "b", false },
		{ "  ", "a", "b", false },
		{ "public.\xc3\x84", "public", "\xc3\x84", true },
		/* malformed: the plugin refuses to start */
		{ "orders", "public", "orders", false },
		{ "a.b,", "a", "b", false },
		{ "a.b,,c.d", "a", "b", false },
		{ ",a.b", "a", "b", false },
		{ "a.", "a", "b", false },
		{ ".b", "a", "b", false },
		{ "a.b c.d", "a", "b", false },
		{ "a.b.c", "a", "b", false },
		{ "a.\"b", "a", "b", false },
		{ "a.\"\"", "a", "", false },
		{ "a.\"b\"c", "a", "b", false },
		{ "a.b,c", "a", "b", false },
		{ "a.b,\"*\"", "a", "b", false },
		{ "a.b,**", "x", "y", true },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		if (pattern_list_matches(rows[i].list, rows[i].schema, rows[i].table) !=
			rows[i].want)
			fail_msg("\"%s\" for %s.%s", rows[i].list, rows[i].schema,
					 rows[i].table);
	}
	assert_false(pattern_list_matches(NULL, "a", "b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),  cmocka_unit_test(test_no_segments),
		cmocka_unit_test(test_injective), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_parse),     cmocka_unit_test(test_writer),
		cmocka_unit_test(test_dms_time),  cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
