/*-------------------------------------------------------------------------
 * test_governor.c
 *	  pipe/governor: what is left, how fast it goes, and what follows.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/governor.h"

#define MB (INT64_C(1) << 20)
#define GB (1024 * MB)

static GovernorVerdict
judged(Governor *g, int64_t s, int64_t retained, int64_t safe)
{
	GovernorSample sample = {
		.at_ms = s * 1000, .retained = retained, .lag = retained, .safe = safe
	};

	return governor_judge(g, &sample);
}

/* A server without a limit, and none of ours: nobody knows. */
static void
no_limit(void **state)
{
	Governor g = { .min_free = GB };

	(void) state;
	for (int i = 0; i < 100; i++)
	{
		GovernorVerdict v = judged(&g, 10 * i, 100 * GB * i, -1);

		assert_int_equal(v.level, GOVERNOR_CALM);
		assert_int_equal(v.left, -1);
		assert_int_equal(v.minutes, -1);
	}
}

static void
what_is_left(void **state)
{
	Governor ours = { .max_retained = 10 * GB };
	Governor none = { 0 };

	(void) state;
	assert_int_equal(judged(&none, 0, GB, 5 * GB).left, 5 * GB);
	assert_int_equal(judged(&ours, 0, GB, -1).left, 9 * GB);
	/* of two limits the nearer one */
	assert_int_equal(judged(&ours, 1, GB, 5 * GB).left, 5 * GB);
	assert_int_equal(judged(&ours, 2, GB, 50 * GB).left, 9 * GB);
	assert_int_equal(judged(&ours, 3, 20 * GB, 50 * GB).left, 0);
}

static void
levels(void **state)
{
	Governor g = { .max_retained = 16 * GB, .min_free = GB };

	(void) state;
	/* far apart in time, so that no rate speaks */
	assert_int_equal(judged(&g, 0, GB, -1).level, GOVERNOR_CALM);
	assert_int_equal(judged(&g, 100000, 7 * GB, -1).level, GOVERNOR_CALM);
	assert_int_equal(judged(&g, 200000, 9 * GB, -1).level, GOVERNOR_WARN);
	assert_int_equal(judged(&g, 300000, 13 * GB, -1).level, GOVERNOR_SHED);
	/* not taken up again at once */
	assert_int_equal(judged(&g, 400000, 9 * GB, -1).level, GOVERNOR_SHED);
	assert_int_equal(judged(&g, 500000, 7 * GB, -1).level, GOVERNOR_CALM);
	assert_int_equal(judged(&g, 600000, 15 * GB, -1).level, GOVERNOR_DROP);
	assert_int_equal(judged(&g, 700000, 40 * GB, -1).level, GOVERNOR_DROP);
}

/* 10 MB a second with 36 GB to go: an hour; and it is said before half. */
static void
minutes(void **state)
{
	Governor g = { .max_retained = 1024 * GB, .min_free = GB };
	GovernorVerdict v = { 0 };

	(void) state;
	for (int i = 0; i <= 30; i++)
		v = judged(&g, 5 * i, GB + 50 * MB * i, 600 * GB - 50 * MB * i);
	assert_int_equal(v.rate, 10 * MB);
	assert_int_equal(v.level, GOVERNOR_CALM);
	assert_int_equal(v.minutes, (600 * GB - 1500 * MB) / (10 * MB) / 60);
	for (int i = 31; i <= 60; i++)
		v = judged(&g, 5 * i, GB + 5 * GB * i, 600 * GB - 5 * GB * i);
	assert_int_equal(v.rate, GB);
	assert_true(v.minutes < 15);
	assert_int_equal(v.level, GOVERNOR_SHED);
	/* it stands still: no minutes any more, and calm after the window */
	for (int i = 61; i <= 61 + 2 * GOVERNOR_WINDOW; i++)
		v = judged(&g, 5 * i, GB, 600 * GB);
	assert_int_equal(v.rate, 0);
	assert_int_equal(v.minutes, -1);
	assert_int_equal(v.level, GOVERNOR_CALM);
}

/* What is held at any time is no alarm, however fast it came. */
static void
little_is_quiet(void **state)
{
	Governor g = { .max_retained = GB, .min_free = 10 * MB };
	GovernorVerdict v = { 0 };

	(void) state;
	for (int i = 0; i <= 6; i++)
		v = judged(&g, 5 * i, 10 * MB * i, -1);
	assert_int_equal(v.rate, 2 * MB);
	assert_true(v.minutes >= 0 && v.minutes < 60);
	assert_int_equal(v.level, GOVERNOR_CALM);
}

/* One sample, or two within moments, give no rate. */
static void
no_rate_yet(void **state)
{
	Governor g = { .max_retained = 100 * GB };

	(void) state;
	assert_int_equal(judged(&g, 0, 0, -1).rate, 0);
	assert_int_equal(judged(&g, 1, 10 * GB, -1).rate, 0);
	assert_int_equal(judged(&g, 1, 10 * GB, -1).minutes, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limit),        cmocka_unit_test(what_is_left),
		cmocka_unit_test(levels),          cmocka_unit_test(minutes),
		cmocka_unit_test(little_is_quiet), cmocka_unit_test(no_rate_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
