/*-------------------------------------------------------------------------
 * test_zone.c
 *	  codec/zone and io/zonefile: offsets are those that the C library finds.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/zonefile.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_fixed(void **state)
{
	static const struct
	{
		const char *name;
		bool ok;
		int32_t offset;
	} rows[] = {
		{ "UTC", true, 0 },
		{ "+05:30", true, 19800 },
		{ "-08", true, -28800 },
		{ "-00:30", true, -1800 },
		{ "+05:41:16", true, 20476 },
		{ "+14:00", true, 50400 },
		{ "utc", false, 0 },
		{ "+", false, 0 },
		{ "5", false, 0 },
		{ "+19", false, 0 },
		{ "+0530", false, 0 },
		{ "+05:60", false, 0 },
		{ "+05:30x", false, 0 },
		{ "+05:", false, 0 },
		{ "", false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Zone *z = zone_fixed(rows[i].name);
		int64_t until = 0;

		if (!z != !rows[i].ok)
			fail_msg("%s", rows[i].name);
		if (z)
		{
			assert_int_equal(zone_offset(z, 0, &until), rows[i].offset);
			assert_true(until == INT64_MAX);
		}
		zone_free(z);
	}
}

static const char *const zones[] = {
	"Europe/Berlin",    "America/New_York",    "Asia/Kolkata",
	"Asia/Kathmandu",   "Australia/Lord_Howe", "Australia/Adelaide",
	"America/Santiago", "Africa/Casablanca",   "Africa/Monrovia",
	"Pacific/Apia",     "Pacific/Chatham",     "Europe/Dublin",
	"Asia/Gaza",        "America/Nuuk",        "Etc/GMT+5"
};

static int32_t
of_library(int64_t unix_s)
{
	time_t t = (time_t) unix_s;
	struct tm tm;

	assert_non_null(localtime_r(&t, &tm));
	return (int32_t) tm.tm_gmtoff;
}

static bool
have_zone(const char *name)
{
	char path[128];

	(void) snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	return access(path, R_OK) == 0;
}

/* Random instants from 1890 to 2199, and both sides of each transition. */
static void
test_library(void **state)
{
	static const int64_t first = INT64_C(-2524521600);
	static const int64_t last = INT64_C(7258118400);
	uint64_t seed = 7;
	int compared = 0;

	(void) state;
	for (size_t i = 0; i < COUNT(zones); i++)
	{
		Zone *z;
		Err err;
		int64_t until = first;

		if (!have_zone(zones[i]))
			continue;
		if (!zone_open(zones[i], &z, &err))
			fail_msg("%s: %s", zones[i], err.msg);
		assert_int_equal(setenv("TZ", zones[i], 1), 0);
		tzset();
		for (int k = 0; k < 3000; k++)
		{
			int64_t at;

			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			at = first + (int64_t) ((seed >> 16) % (uint64_t) (last - first));
			if (zone_offset(z, at, NULL) != of_library(at))
				fail_msg("%s at %lld: %d, not %d", zones[i], (long long) at,
						 zone_offset(z, at, NULL), of_library(at));
		}
		while (until < last)
		{
			int64_t at = until;

			assert_int_equal(zone_offset(z, at, &until), of_library(at));
			assert_true(until > at);
			if (until < last)
				assert_int_equal(zone_offset(z, until - 1, NULL),
								 of_library(until - 1));
		}
		compared++;
		zone_free(z);
	}
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	print_message("# %d zones\n", compared);
}

static void
test_names(void **state)
{
	static const char *const bad[] = { "",         "Nowhere/City", "../passwd",
									   "/etc/UTC", "Europe/",      "Europe",
									   "a//b",     "tab\t" };

	(void) state;
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		Zone *z;
		Err err;

		assert_false(zone_open(bad[i], &z, &err));
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, bad[i]));
		assert_int_not_equal(err.hint[0], 0);
	}
}

/* Any damage is refused or makes other offsets; it is never read past the end.
 */
static void
test_damaged(void **state)
{
	Buf file;
	Err err;

	(void) state;
	if (!have_zone("Europe/Berlin"))
		skip();
	buf_init(&file, 1 << 20);
	assert_true(fs_read("/usr/share/zoneinfo/Europe/Berlin", &file, &err));
	for (size_t n = 0; n < file.n; n++)
	{
		uint8_t *exact = xmalloc(n + 1);
		Zone *z = NULL;

		memcpy(exact, file.p, n);
		assert_false(zone_parse((Slice){ exact, n }, &z, &err));
		assert_int_equal(err.kind, ERR_DATA);
		/* all of it, with one byte that is another one */
		exact = xrealloc(exact, file.n);
		memcpy(exact, file.p, file.n);
		exact[n] ^= (uint8_t) (1 + n % 255);
		if (zone_parse((Slice){ exact, file.n }, &z, &err))
		{
			int32_t offset = zone_offset(z, INT64_C(1700000000), NULL);

			assert_true(offset >= -ZONE_OFFSET_MAX &&
						offset <= ZONE_OFFSET_MAX);
			zone_free(z);
		}
		free(exact);
	}
	buf_done(&file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
