/*-------------------------------------------------------------------------
 * test_clock.c
 *	  base/clock and base/lsn: the calendar, jitter, and spellings.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lsn.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int64_t fake_unix_us;
static int64_t fake_mono_ms;

static int64_t
get_unix_us(void)
{
	return fake_unix_us;
}

static int64_t
get_mono_ms(void)
{
	return fake_mono_ms;
}

static void
do_sleep(int64_t ms)
{
	fake_mono_ms += ms;
}

static void
test_pointer(void **state)
{
	static const ClockOps ops = { get_unix_us, get_mono_ms, do_sleep };

	(void) state;
	fake_unix_us = 42;
	fake_mono_ms = 7;
	clock_set(&ops);
	assert_int_equal(clock_unix_us(), 42);
	clock_sleep_ms(100000);
	assert_int_equal(clock_mono_ms(), 100007);
	clock_set(NULL);
	assert_true(clock_unix_us() > INT64_C(1700000000) * US_PER_SEC);
	fake_mono_ms = clock_mono_ms();
	clock_sleep_ms(3);
	assert_true(clock_mono_ms() >= fake_mono_ms + 3);
}

static void
test_iso(void **state)
{
	static const struct
	{
		int64_t unix_us;
		bool us;
		const char *want;
	} rows[] = {
		{ 0, false, "1970-01-01T00:00:00Z" },
		{ 0, true, "1970-01-01T00:00:00.000000Z" },
		{ -1, true, "1969-12-31T23:59:59.999999Z" },
		{ -1, false, "1969-12-31T23:59:59Z" },
		{ PG_EPOCH_UNIX_US, false, "2000-01-01T00:00:00Z" },
		{ INT64_C(951782400000000), false, "2000-02-29T00:00:00Z" },
		{ INT64_C(951868800000000), false, "2000-03-01T00:00:00Z" },
		{ INT64_C(-2203977600000000), false, "1900-02-28T00:00:00Z" },
		{ INT64_C(-2203891200000000), false, "1900-03-01T00:00:00Z" },
		{ INT64_C(1795248847123456), true, "2026-11-21T08:14:07.123456Z" },
		{ INT64_C(253402300799999999), true, "9999-12-31T23:59:59.999999Z" },
		{ INT64_C(-62135596800000000), false, "0001-01-01T00:00:00Z" },
	};
	char buf[40];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int64_t back = 1;

		iso_from_unix_us(rows[i].unix_us, rows[i].us, buf, sizeof(buf));
		assert_string_equal(buf, rows[i].want);
		assert_true(iso_parse(buf, &back));
		assert_true(back == rows[i].unix_us ||
					(!rows[i].us && back == rows[i].unix_us - 999999));
	}
	iso_from_unix_us(INT64_MIN, true, buf, sizeof(buf));
	assert_string_equal(buf, "-290308-12-21T19:59:05.224192Z");
	iso_from_unix_us(INT64_MAX, true, buf, sizeof(buf));
	assert_string_equal(buf, "294247-01-10T04:00:54.775807Z");
}

static void
test_iso_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"Z",
		"2026-11-21",
		"2026-11-21T08:14:07",
		"2026-11-21 08:14:07Z",
		"2026-11-21T08:14:07+00",
		"2026-11-21T08:14:07Zx",
		"2026-11-21T08:14:07.12",
		"2026-11-21T08:14:07.1aZ",
		"2026-13-21T08:14:07Z",
		"2026-00-21T08:14:07Z",
		"2026-11-32T08:14:07Z",
		"2026-11-00T08:14:07Z",
		"2026-11-21T25:14:07Z",
		"2026-11-21T08:60:07Z",
		"2026-11-21T08:14:61Z",
		"2026-11-21T-8:14:07Z",
		"x026-11-21T08:14:07Z",
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int64_t v = 4711;

		if (iso_parse(rows[i], &v))
			fail_msg("taken: %s", rows[i]);
		assert_int_equal(v, 4711);
	}
}

/* There and back, over eras, at odd steps. */
static void
test_civil(void **state)
{
	CivilTime last = { .year = INT64_MIN };

	(void) state;
	for (int64_t day = -800000; day < 800000; day += 13)
	{
		int64_t us = (day * 86400 + day % 86400) * US_PER_SEC - 1;
		CivilTime c;

		civil_from_unix_us(us, &c);
		assert_true(unix_us_from_civil(&c) == us);
		assert_true(c.month >= 1 && c.month <= 12 && c.day >= 1 &&
					c.day <= 31 && c.hour >= 0 && c.hour < 24 &&
					c.usec == 999999);
		assert_true(c.year > last.year ||
					(c.year == last.year && c.month >= last.month));
		last = c;
	}
}

static void
test_backoff(void **state)
{
	static const struct
	{
		int attempt;
		int64_t base, cap, top;
	} rows[] = {
		{ 1, 100, 10000, 100 },
		{ 2, 100, 10000, 200 },
		{ 5, 100, 10000, 1600 },
		{ 8, 100, 10000, 10000 },
		{ 1000, 100, 10000, 10000 },
		{ 1, 100, 50, 50 },
		{ 3, 0, 10, 0 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int64_t highest = 0;

		for (int k = 0; k < 400; k++)
		{
			int64_t ms = backoff_ms(rows[i].attempt, rows[i].base, rows[i].cap);

			assert_true(ms >= 0 && ms <= rows[i].top);
			highest = ms > highest ? ms : highest;
		}
		/* full jitter: (3/4)^400 is never */
		assert_true(highest >= rows[i].top * 3 / 4);
	}
}

static void
test_random(void **state)
{
	bool seen[7] = { false };
	uint32_t a = random_u32();
	int same = 0;

	(void) state;
	for (int i = 0; i < 1000; i++)
		seen[random_below(7)] = true;
	for (int i = 0; i < 7; i++)
		assert_true(seen[i]);
	assert_int_equal(random_below(1), 0);
	for (int i = 0; i < 10; i++)
		same += random_u32() == a;
	assert_true(same < 10);
}

static void
test_lsn(void **state)
{
	static const struct
	{
		const char *text;
		bool ok;
		Lsn lsn;
	} rows[] = {
		{ "0/0", true, 0 },
		{ "0/16B374D8", true, 0x16B374D8 },
		{ "16/b374d848", true, UINT64_C(0x16B374D848) },
		{ "FFFFFFFF/FFFFFFFF", true, UINT64_MAX },
		{ "0000000016B374D8", true, 0x16B374D8 },
		{ "ffffffffffffffff", true, UINT64_MAX },
		{ "1/00000001", true, UINT64_C(0x100000001) },
		{ "", false, 0 },
		{ "/", false, 0 },
		{ "0/", false, 0 },
		{ "/0", false, 0 },
		{ "0", false, 0 },
		{ "16B374D8", false, 0 },
		{ "000000016B374D8", false, 0 },
		{ "00000000016B374D8", false, 0 },
		{ "123456789/0", false, 0 },
		{ "0/123456789", false, 0 },
		{ "0/0 ", false, 0 },
		{ " 0/0", false, 0 },
		{ "0/0/0", false, 0 },
		{ "0x1/0", false, 0 },
		{ "-1/0", false, 0 },
		{ "g/0", false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Lsn lsn = 4711;

		if (lsn_parse(rows[i].text, &lsn) != rows[i].ok)
			fail_msg("\"%s\"", rows[i].text);
		assert_true(lsn == (rows[i].ok ? rows[i].lsn : 4711));
	}
}

static void
test_lsn_formats(void **state)
{
	static const Lsn rows[] = { 0, 1, UINT64_C(0x16B374D848), UINT64_MAX };
	static const char *const slash[] = { "0/0", "0/1", "16/B374D848",
										 "FFFFFFFF/FFFFFFFF" };
	static const char *const hex[] = { "0000000000000000", "0000000000000001",
									   "00000016B374D848", "FFFFFFFFFFFFFFFF" };
	char buf[32];
	Lsn back;

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		(void) snprintf(buf, sizeof(buf), LSN_FMT, LSN_ARGS(rows[i]));
		assert_string_equal(buf, slash[i]);
		assert_true(lsn_parse(buf, &back) && back == rows[i]);
		(void) snprintf(buf, sizeof(buf), LSN_HEX_FMT, rows[i]);
		assert_string_equal(buf, hex[i]);
		assert_true(lsn_parse(buf, &back) && back == rows[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pointer),     cmocka_unit_test(test_iso),
		cmocka_unit_test(test_iso_refused), cmocka_unit_test(test_civil),
		cmocka_unit_test(test_backoff),     cmocka_unit_test(test_random),
		cmocka_unit_test(test_lsn),         cmocka_unit_test(test_lsn_formats),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
