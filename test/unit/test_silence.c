/*-------------------------------------------------------------------------
 * test_silence.c
 *	  When a silent source is asked, waited for, and given up.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pipe/silence.h"

#define LIMIT 10000
#define HOUR_MS 3600000

static const SilenceMark start = { 100, 7 };

static void
test_default(void **state)
{
	(void) state;
	assert_int_equal(silence_default_ms(60000), 120000);
	assert_int_equal(silence_default_ms(5000), 10000);
	assert_int_equal(silence_default_ms(0), 120000);
}

/* Who is heard is never asked. */
static void
test_heard(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;

	(void) state;
	silence_begin(&s, LIMIT, start, &w, 1000);
	for (int64_t now = 1000; now < 20 * LIMIT; now += LIMIT - 1)
	{
		assert_int_equal(silence_look(&w, start, now), SILENCE_NONE);
		silence_heard(&w, now);
	}
}

/* Asked once; without an answer it is over. */
static void
test_no_answer(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;

	(void) state;
	silence_begin(&s, LIMIT, start, &w, 0);
	assert_int_equal(silence_look(&w, start, LIMIT - 1), SILENCE_NONE);
	assert_int_equal(silence_look(&w, start, LIMIT), SILENCE_ASK);
	assert_int_equal(silence_look(&w, start, LIMIT + 1), SILENCE_NONE);
	assert_int_equal(silence_look(&w, start, 2 * LIMIT - 1), SILENCE_NONE);
	assert_int_equal(silence_look(&w, start, 2 * LIMIT), SILENCE_CUT);
}

/* It may speak after it was asked, and then nothing has happened. */
static void
test_speaks_late(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;

	(void) state;
	silence_begin(&s, LIMIT, start, &w, 0);
	assert_int_equal(silence_look(&w, start, LIMIT), SILENCE_ASK);
	silence_heard(&w, LIMIT + 5);
	assert_int_equal(silence_look(&w, start, 2 * LIMIT), SILENCE_NONE);
	assert_int_equal(silence_look(&w, start, 2 * LIMIT + 5), SILENCE_ASK);
}

/* A decode of any length: each limit is asked again. */
static void
test_works(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;

	(void) state;
	silence_begin(&s, LIMIT, start, &w, 0);
	for (int i = 1; i <= 50; i++)
	{
		assert_int_equal(silence_look(&w, start, i * LIMIT - 1), SILENCE_NONE);
		assert_int_equal(silence_look(&w, start, i * LIMIT), SILENCE_ASK);
		silence_works(&w, i * LIMIT);
	}
	assert_int_equal(w.heard_ms, 0);
}

/* Cuts without progress double the limit, up to an hour. */
static void
test_doubles(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;
	int64_t expected = LIMIT;

	(void) state;
	for (int i = 0; i < 20; i++)
	{
		silence_begin(&s, LIMIT, start, &w, 0);
		assert_int_equal(w.limit_ms, expected);
		silence_was_cut(&s, &w, start);
		expected = 2 * expected < HOUR_MS ? 2 * expected : HOUR_MS;
	}
	assert_int_equal(s.limit_ms, HOUR_MS);
}

static void
test_progress(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;
	SilenceMark on = { 101, 7 };
	SilenceMark closed = { 101, 8 };

	(void) state;
	silence_begin(&s, LIMIT, start, &w, 0);
	silence_was_cut(&s, &w, start);
	silence_begin(&s, LIMIT, start, &w, 0);
	assert_int_equal(w.limit_ms, 2 * LIMIT);
	/* in the session: the limit is the old one at once */
	assert_int_equal(silence_look(&w, on, LIMIT), SILENCE_ASK);
	assert_int_equal(w.limit_ms, LIMIT);
	silence_was_cut(&s, &w, on);
	silence_begin(&s, LIMIT, on, &w, 0);
	assert_int_equal(w.limit_ms, LIMIT);
	silence_was_cut(&s, &w, on);
	silence_begin(&s, LIMIT, on, &w, 0);
	assert_int_equal(w.limit_ms, 2 * LIMIT);
	/* an hour closed is progress as well */
	silence_was_cut(&s, &w, closed);
	assert_int_equal(s.limit_ms, LIMIT);
}

/* Where the limit as set is longer than an hour it stays. */
static void
test_long_limit(void **state)
{
	Silence s = { 0 };
	SilenceWatch w;

	(void) state;
	silence_begin(&s, 2 * HOUR_MS, start, &w, 0);
	silence_was_cut(&s, &w, start);
	silence_begin(&s, 2 * HOUR_MS, start, &w, 0);
	assert_int_equal(w.limit_ms, 2 * HOUR_MS);
}

static void
test_no_limit(void **state)
{
	SilenceWatch w = { 0 };

	(void) state;
	assert_int_equal(silence_look(&w, start, 10 * HOUR_MS), SILENCE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),   cmocka_unit_test(test_heard),
		cmocka_unit_test(test_no_answer), cmocka_unit_test(test_speaks_late),
		cmocka_unit_test(test_works),     cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_progress),  cmocka_unit_test(test_long_limit),
		cmocka_unit_test(test_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
