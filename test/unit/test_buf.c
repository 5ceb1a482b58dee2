/*-------------------------------------------------------------------------
 * test_buf.c
 *	  base/buf and base/mem: growth, the maximum, the zero at the end.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

static void
test_empty(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, 100);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_slice(&b).n, 0);
	buf_add(&b, NULL, 0);
	buf_str(&b, "");
	buf_reset(&b);
	assert_null(b.p);
	assert_false(b.overflow);
	buf_done(&b);
	assert_int_equal(b.max, 100);
}

/* One by one, by every way in: the content is zero-terminated at each step. */
static void
test_growth(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, 100000);
	for (int i = 0; i < 20000; i++)
	{
		if (i % 4 == 0)
			buf_byte(&b, 'a');
		else if (i % 4 == 1)
			buf_str(&b, "a");
		else if (i % 4 == 2)
			buf_printf(&b, "%c", 'a');
		else
			buf_add(&b, "a", 1);
		assert_int_equal(b.n, i + 1);
		assert_int_equal(b.p[i], 'a');
		assert_int_equal(b.p[i + 1], 0);
		assert_true(b.cap <= 2 * 20000);
	}
	assert_false(b.overflow);
	buf_reset(&b);
	assert_int_equal(b.n, 0);
	assert_string_equal(buf_cstr(&b), "");
	assert_true(b.cap >= 20000);
	buf_done(&b);
	assert_null(b.p);
	assert_int_equal(b.cap, 0);
}

/* The maximum is reached exactly, and not passed by a byte. */
static void
test_maximum(void **state)
{
	static const size_t maxima[] = { 0, 1, 255, 256, 257, 1000 };

	(void) state;
	for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++)
	{
		size_t max = maxima[i];
		Buf b;

		buf_init(&b, max);
		for (size_t k = 0; k < max; k++)
			buf_byte(&b, 'x');
		assert_false(b.overflow);
		assert_int_equal(b.n, max);
		assert_true(b.cap <= max);
		buf_byte(&b, 'y');
		assert_true(b.overflow);
		assert_int_equal(b.n, max);
		buf_done(&b);
		assert_false(b.overflow);
	}
}

/* After one append that did not fit nothing is written any more. */
static void
test_overflow_stays(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, 10);
	buf_str(&b, "12345678");
	buf_str(&b, "too long");
	assert_true(b.overflow);
	assert_string_equal(buf_cstr(&b), "12345678");
	buf_byte(&b, '9');
	buf_str(&b, "9");
	buf_printf(&b, "%d", 9);
	buf_add(&b, "9", 1);
	assert_false(buf_room(&b, 1));
	assert_string_equal(buf_cstr(&b), "12345678");
	buf_reset(&b);
	assert_false(b.overflow);
	buf_str(&b, "1234567890");
	assert_string_equal(buf_cstr(&b), "1234567890");
	assert_false(b.overflow);
	/* sums that pass SIZE_MAX */
	assert_false(buf_room(&b, SIZE_MAX));
	buf_done(&b);
	buf_init(&b, SIZE_MAX);
	buf_str(&b, "x");
	assert_false(buf_room(&b, SIZE_MAX));
	assert_true(b.overflow);
	buf_done(&b);
}

static void
test_bytes(void **state)
{
	Buf b;
	Slice s;

	(void) state;
	buf_init(&b, 100);
	buf_add(&b, "a\0b", 3);
	buf_printf(&b, "%s-%03d", "x", 7);
	buf_printf(&b, "%s", "");
	s = buf_slice(&b);
	assert_int_equal(s.n, 8);
	assert_memory_equal(s.p, "a\0bx-007", 9);
	s = slice_cstr("abc");
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "abc", 3);
	buf_done(&b);
}

static void
test_mem(void **state)
{
	char *s = xstrndup("abcdef", 3);
	int *zeros = xcalloc(10, sizeof(int));
	void *nothing = xmalloc(0);
	char *long_text;

	(void) state;
	assert_string_equal(s, "abc");
	s = xrealloc(s, 1000);
	assert_string_equal(s, "abc");
	free(s);
	for (int i = 0; i < 10; i++)
		assert_int_equal(zeros[i], 0);
	free(zeros);
	assert_non_null(nothing);
	nothing = xrealloc(nothing, 0);
	assert_non_null(nothing);
	free(nothing);
	nothing = xcalloc(0, 8);
	assert_non_null(nothing);
	free(nothing);
	s = xstrdup("");
	assert_string_equal(s, "");
	free(s);
	s = xasprintf("%s/%d", "a", INT_MIN);
	assert_string_equal(s, "a/-2147483648");
	free(s);
	long_text = xasprintf("%05000d", 1);
	assert_int_equal(strlen(long_text), 5000);
	free(long_text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),   cmocka_unit_test(test_growth),
		cmocka_unit_test(test_maximum), cmocka_unit_test(test_overflow_stays),
		cmocka_unit_test(test_bytes),   cmocka_unit_test(test_mem),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
