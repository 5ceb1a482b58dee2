/*-------------------------------------------------------------------------
 * test_uri.c
 *	  codec/uri: every byte, and back.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/uri.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_encode(void **state)
{
	static const struct
	{
		const char *plain;
		bool keep_slash;
		const char *coded;
	} rows[] = {
		{ "", true, "" },
		{ "azAZ09-._~", false, "azAZ09-._~" },
		{ "year=2026/x", true, "year%3D2026/x" },
		{ "a/b", false, "a%2Fb" },
		{ "a b+c%d", true, "a%20b%2Bc%25d" },
		{ "\xc3\xa9", true, "%C3%A9" },
		{ "a//b/./../c", true, "a//b/./../c" },
		{ "'\"\n!*()", true, "%27%22%0A%21%2A%28%29" },
	};
	Buf b;

	(void) state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		buf_reset(&b);
		uri_add_encoded(&b, slice_cstr(rows[i].plain), rows[i].keep_slash);
		assert_string_equal(buf_cstr(&b), rows[i].coded);
		buf_reset(&b);
		assert_true(uri_add_decoded(&b, slice_cstr(rows[i].coded)));
		assert_string_equal(buf_cstr(&b), rows[i].plain);
	}
	buf_done(&b);
}

static void
test_all_bytes(void **state)
{
	uint8_t all[256];
	Buf coded, back;

	(void) state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t) i;
	buf_init(&coded, 1000);
	buf_init(&back, 1000);
	uri_add_encoded(&coded, (Slice){ all, 256 }, false);
	assert_int_equal(coded.n, 66 + 3 * (256 - 66));
	assert_true(uri_add_decoded(&back, buf_slice(&coded)));
	assert_int_equal(back.n, 256);
	assert_memory_equal(back.p, all, 256);
	buf_done(&coded);
	buf_done(&back);
}

static void
test_decode_refuses(void **state)
{
	static const char *const bad[] = { "%", "a%2", "%zz", "%2", "x%g0" };
	Buf b;

	(void) state;
	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (uri_add_decoded(&b, slice_cstr(bad[i])))
			fail_msg("%s was taken", bad[i]);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_all_bytes),
		cmocka_unit_test(test_decode_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
