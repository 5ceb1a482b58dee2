/*-------------------------------------------------------------------------
 * test_pgfmt.c
 *	  codec/pgfmt against what the server prints.
 *
 * The texts of times and intervals are those of PostgreSQL 15, and
 * the stored numerics are bytes that its heap holds; dates and timestamps
 * have the server's digits with astronomical years.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "codec/pgfmt.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
check(const char *name, const char *got, size_t n, const char *want)
{
	if (n > PGFMT_MAX || n != strlen(want) || memcmp(got, want, n) != 0)
		fail_msg("%s: want %s, got %.*s", name, want, (int) n, got);
}

static void
test_integers(void **state)
{
	static const struct
	{
		int64_t v;
		const char *want;
	} rows[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 99, "99" },
		{ 100, "100" },
		{ 101, "101" },
		{ -1, "-1" },
		{ -100, "-100" },
		{ 1000000007, "1000000007" },
		{ INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" },
	};
	char out[PGFMT_MAX];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check("int", out, fmt_i64(out, rows[i].v), rows[i].want);
	check("uint64 max", out, fmt_u64(out, UINT64_MAX), "18446744073709551615");
}

static void
test_date(void **state)
{
	static const struct
	{
		const char *name;
		int32_t days;
		const char *want;
	} rows[] = {
		{ "epoch", 0, "2000-01-01" },
		{ "the day before", -1, "1999-12-31" },
		{ "leap century", 59, "2000-02-29" },
		{ "no leap century", -36466, "1900-02-28" },
		{ "the day after", -36465, "1900-03-01" },
		{ "first of AD", -730119, "0001-01-01" },
		{ "last of 1 BC", -730120, "0000-12-31" },
		{ "29 February 1 BC", -730426, "0000-02-29" },
		{ "29 February 5 BC", -731887, "-0004-02-29" },
		{ "Ides of March", -746117, "-0043-03-15" },
		{ "101 BC", -767009, "-0100-01-01" },
		{ "year 100", -693596, "0100-12-31" },
		{ "the first", -2451545, "-4713-11-24" },
		{ "four digits", 2921939, "9999-12-31" },
		{ "five digits", 2921940, "10000-01-01" },
		{ "the last", 2145031948, "5874897-12-31" },
		{ "infinity", INT32_MAX, "infinity" },
		{ "-infinity", INT32_MIN, "-infinity" },
	};
	char out[PGFMT_MAX];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check(rows[i].name, out, fmt_date(out, rows[i].days), rows[i].want);
}

static void
test_timestamp(void **state)
{
	static const struct
	{
		const char *name;
		int64_t us;
		const char *want;
	} rows[] = {
		{ "epoch", 0, "2000-01-01T00:00:00" },
		{ "just before", -1, "1999-12-31T23:59:59.999999" },
		{ "half a second before", -500000, "1999-12-31T23:59:59.5" },
		{ "unix epoch", INT64_C(-946684799999999),
		  "1970-01-01T00:00:00.000001" },
		{ "the first", INT64_C(-211813488000000000), "-4713-11-24T00:00:00" },
		{ "the last", INT64_C(9223371331199999999),
		  "294276-12-31T23:59:59.999999" },
		{ "44 BC", INT64_C(-64464465600000000), "-0043-03-15T12:00:00" },
		{ "end of 1 BC", INT64_C(-63082281600000001),
		  "0000-12-31T23:59:59.999999" },
		{ "one digit", INT64_C(848564047100000), "2026-11-21T08:14:07.1" },
		{ "two digits", INT64_C(848564047120000), "2026-11-21T08:14:07.12" },
		{ "six digits", INT64_C(848564047000001),
		  "2026-11-21T08:14:07.000001" },
	};
	char out[PGFMT_MAX];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char z[64];

		check(rows[i].name, out, fmt_timestamp(out, rows[i].us, false),
			  rows[i].want);
		(void) snprintf(z, sizeof(z), "%sZ", rows[i].want);
		check(rows[i].name, out, fmt_timestamp(out, rows[i].us, true), z);
	}
	for (int z = 0; z < 2; z++)
	{
		check("infinity", out, fmt_timestamp(out, INT64_MAX, z), "infinity");
		check("-infinity", out, fmt_timestamp(out, INT64_MIN, z), "-infinity");
	}
	check("six digits always", out, fmt_timestamp_us(out, 848564047100000),
		  "2026-11-21T08:14:07.100000Z");
	check("no fraction", out, fmt_timestamp_us(out, 0),
		  "2000-01-01T00:00:00.000000Z");
}

static void
test_time(void **state)
{
	static const struct
	{
		int64_t us;
		const char *want;
	} rows[] = {
		{ 0, "00:00:00" },
		{ 1, "00:00:00.000001" },
		{ INT64_C(86400000000), "24:00:00" },
		{ INT64_C(86399999999), "23:59:59.999999" },
		{ INT64_C(45296100000), "12:34:56.1" },
		{ INT64_C(3723004500), "01:02:03.0045" },
	};
	static const struct
	{
		int64_t us;
		int32_t west_s;
		const char *want;
	} zoned[] = {
		{ 0, 0, "00:00:00+00" },
		{ INT64_C(86400000000), -50400, "24:00:00+14" },
		{ 0, -20476, "00:00:00+05:41:16" },
		{ INT64_C(43200000000), 57599, "12:00:00-15:59:59" },
		{ INT64_C(43200000000), -57599, "12:00:00+15:59:59" },
		{ INT64_C(29647123456), -19800, "08:14:07.123456+05:30" },
		{ INT64_C(43200000000), 1, "12:00:00-00:00:01" },
		{ INT64_C(43200000000), -1800, "12:00:00+00:30" },
		{ INT64_C(43200000000), 10800, "12:00:00-03" },
		{ INT64_C(86399999999), 2670, "23:59:59.999999-00:44:30" },
	};
	static const int64_t damaged[] = { -1, INT64_MIN, INT64_MAX, -86400000000 };
	char out[PGFMT_MAX];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check("time", out, fmt_time(out, rows[i].us), rows[i].want);
	for (size_t i = 0; i < COUNT(zoned); i++)
		check("timetz", out, fmt_timetz(out, zoned[i].us, zoned[i].west_s),
			  zoned[i].want);
	/* No value of the wire reads or writes where it should not. */
	for (size_t i = 0; i < COUNT(damaged); i++)
	{
		assert_true(fmt_time(out, damaged[i]) <= PGFMT_MAX);
		assert_true(fmt_timetz(out, damaged[i], INT32_MIN) <= PGFMT_MAX);
		assert_true(fmt_timetz(out, damaged[i], INT32_MAX) <= PGFMT_MAX);
		assert_true(fmt_timestamp(out, damaged[i], true) <= PGFMT_MAX);
	}
}

static void
test_interval(void **state)
{
	static const struct
	{
		int32_t months, days;
		int64_t us;
		const char *want;
	} rows[] = {
		{ 0, 0, 0, "00:00:00" },
		{ 1, -2, INT64_C(11045000000), "1 mon -2 days +03:04:05" },
		{ -1, 2, INT64_C(-11045000000), "-1 mons +2 days -03:04:05" },
		{ 14, 0, 0, "1 year 2 mons" },
		{ -14, 0, 0, "-1 years -2 mons" },
		{ -12, 0, 1, "-1 years +00:00:00.000001" },
		{ 12, -1, 0, "1 year -1 days" },
		{ 0, 1, 0, "1 day" },
		{ 0, -1, 0, "-1 days" },
		{ 0, -1, 1, "-1 days +00:00:00.000001" },
		{ 0, 1, -1, "1 day -00:00:00.000001" },
		{ 0, 0, -1, "-00:00:00.000001" },
		{ 0, 0, INT64_C(360000000000), "100:00:00" },
		{ 0, 0, INT64_C(3600000000000), "1000:00:00" },
		{ 0, 0, INT64_MAX, "2562047788:00:54.775807" },
		{ 0, 0, INT64_MIN, "-2562047788:00:54.775808" },
		{ INT32_MAX, INT32_MAX, INT64_MAX - 1,
		  "178956970 years 7 mons 2147483647 days 2562047788:00:54.775806" },
		{ INT32_MIN, INT32_MIN, 0,
		  "-178956970 years -8 mons -2147483648 days" },
		{ INT32_MIN, INT32_MIN, INT64_MIN + 1,
		  "-178956970 years -8 mons -2147483648 days "
		  "-2562047788:00:54.775807" },
		{ 11, 30, INT64_C(86399999999), "11 mons 30 days 23:59:59.999999" },
		{ 13, 1, 0, "1 year 1 mon 1 day" },
		{ -11, 0, 60000000, "-11 mons +00:01:00" },
		{ -13, 3, 0, "-1 years -1 mons +3 days" },
		{ INT32_MAX, INT32_MAX, INT64_MAX, "infinity" },
		{ INT32_MIN, INT32_MIN, INT64_MIN, "-infinity" },
	};
	char out[PGFMT_MAX];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check("interval", out,
			  fmt_interval(out, rows[i].us, rows[i].days, rows[i].months),
			  rows[i].want);
}

static void
test_uuid(void **state)
{
	uint8_t p[16];
	char out[PGFMT_MAX];

	(void) state;
	assert_true(hex_decode("a0eebc999c0b4ef8bb6d6bb9bd380a1f", 16, p));
	check("uuid", out, fmt_uuid(out, p),
		  "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1f");
}

/*
 * The text is lead, then so many zeros, then tail.  The bytes are those of
 * the heap: short and long headers, trailing digits of zero dropped.
 */
static const struct
{
	const char *stored;
	const char *lead;
	int zeros;
	const char *tail;
} numerics[] = {
	{ "0080", "0", 0, "" },
	{ "8080", "0.0", 0, "" },
	{ "0081", "0.00", 0, "" },
	{ "00800100", "1", 0, "" },
	{ "00a00100", "-1", 0, "" },
	{ "00800f27", "9999", 0, "" },
	{ "01800100", "1", 4, "" },
	{ "01808813", "5", 7, "" },
	{ "02800100", "1", 8, "" },
	{ "03800100", "1", 12, "" },
	{ "7f820100", "0.", 3, "1" },
	{ "ff820100", "0.", 3, "10" },
	{ "fe82e803", "0.", 4, "1" },
	{ "7e840100", "0.", 7, "1" },
	{ "ffa08813", "-0.5", 0, "" },
	{ "80817b00d011", "123.456", 0, "" },
	{ "00815900d007", "89.20", 0, "" },
	{ "00810100e803", "1.10", 0, "" },
	{ "0182010000000100", "10000.0001", 0, "" },
	{ "7f85d2048813", "0.1234500000", 0, "" },
	{ "009f0700", "7.", 62, "" },
	{ "04880f270f270f270f270f270f270f270f270f27",
	  "99999999999999999999.9999999999999999", 0, "" },
	{ "0c800c00800dd21ed2042e163423800dd21ed2042e163423800dd21e",
	  "12345678901234567890123456789012345678901234567890", 0, "" },
	{ "20806400", "1", 130, "" },
	/* the last short weight and the first long one, both ways */
	{ "3f80e803", "1", 255, "" },
	{ "000040000100", "1", 256, "" },
	{ "f09f0a00", "0.", 62, "1" },
	{ "4000f0ff0100", "0.", 63, "1" },
	{ "6400e7ff0100", "0.", 99, "1" },
	{ "fc00c1ff0100", "0.", 251, "1" },
	{ "0001c0ff0100", "0.", 255, "1" },
	{ "0401bfff0100", "0.", 259, "1" },
	{ "00004b000100", "1", 300, "" },
	{ "2c41b5ff0100", "-0.", 299, "1" },
	/* the largest and the smallest there are */
	{ "0000ff7f8813", "5", 131071, "" },
	{ "ff3f00f00a00", "0.", 16382, "1" },
};

static void
test_numeric(void **state)
{
	(void) state;
	for (size_t i = 0; i < COUNT(numerics); i++)
	{
		uint8_t stored[64];
		size_t n = strlen(numerics[i].stored) / 2;
		bool special = true;
		size_t size;
		size_t len;
		char *out;
		Buf want;

		assert_true(hex_decode(numerics[i].stored, n, stored));
		buf_init(&want, SIZE_MAX);
		buf_str(&want, numerics[i].lead);
		for (int k = 0; k < numerics[i].zeros; k++)
			buf_byte(&want, '0');
		buf_str(&want, numerics[i].tail);
		/* exactly as large as promised: ASan tells a lie */
		size = fmt_numeric_size(stored, n);
		out = xmalloc(size);
		len = fmt_numeric(out, stored, n, &special);
		assert_true(len <= size);
		if (special || len != want.n || memcmp(out, want.p, len) != 0)
			fail_msg("%s: want %.60s, got %.*s", numerics[i].stored,
					 buf_cstr(&want), len < 60 ? (int) len : 60, out);
		free(out);
		buf_done(&want);
	}
}

static void
test_numeric_special(void **state)
{
	static const struct
	{
		const char *stored;
		const char *want;
	} rows[] = {
		{ "00c0", "NaN" },
		{ "00d0", "Infinity" },
		{ "00f0", "-Infinity" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint8_t stored[2];
		char out[PGFMT_MAX];
		bool special = false;

		assert_true(hex_decode(rows[i].stored, 2, stored));
		assert_true(fmt_numeric_size(stored, 2) >= strlen(rows[i].want));
		check(rows[i].stored, out, fmt_numeric(out, stored, 2, &special),
			  rows[i].want);
		assert_true(special);
	}
}

/* Whatever the bytes, the text stays within what was promised. */
static void
test_numeric_damaged(void **state)
{
	uint32_t x = 1;

	(void) state;
	assert_int_equal(fmt_numeric_size((const uint8_t *) "", 0), 0);
	assert_int_equal(fmt_numeric_size((const uint8_t *) "\0", 1), 0);
	assert_int_equal(fmt_numeric_size((const uint8_t *) "\0\0\0", 3), 0);
	for (int i = 0; i < 20000; i++)
	{
		uint8_t stored[12];
		size_t n = 2 + (size_t) i % 11;
		bool special;
		uint8_t *exact = xmalloc(n);
		size_t size;

		for (size_t k = 0; k < sizeof(stored); k++)
		{
			x = x * 1664525 + 1013904223;
			stored[k] = (uint8_t) (x >> 24);
		}
		memcpy(exact, stored, n);
		size = fmt_numeric_size(exact, n);
		if (size > 0)
		{
			char *out = xmalloc(size);

			assert_true(fmt_numeric(out, exact, n, &special) <= size);
			free(out);
		}
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_timestamp),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_numeric_special),
		cmocka_unit_test(test_numeric_damaged),
	};

	return cmocka_run_group_tests_name("pgfmt", tests, NULL, NULL);
}
