/*-------------------------------------------------------------------------
 * test_pgfloat.c
 *	  codec/pgfloat against what the server prints, and against a slow way to
 *	  the same digits that the C library helps with.
 *
 * The texts in the tables are those of PostgreSQL 15.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/pgfmt.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RANDOM_ROUNDS 60000

static void
check(const char *name, const char *got, size_t n, const char *want)
{
	if (n > PGFMT_MAX || n != strlen(want) || memcmp(got, want, n) != 0)
		fail_msg("%s: want %s, got %.*s", name, want, (int) n, got);
}

static void
test_float8(void **state)
{
	static const struct
	{
		uint64_t bits;
		const char *want;
	} rows[] = {
		{ 0x3fb999999999999a, "0.1" },
		{ 0x3fd3333333333334, "0.30000000000000004" },
		{ 0x0000000000000000, "0" },
		{ 0x8000000000000000, "-0" },
		{ 0x0000000000000001, "5e-324" },
		{ 0x8000000000000001, "-5e-324" },
		{ 0x000fffffffffffff, "2.225073858507201e-308" },
		{ 0x0010000000000000, "2.2250738585072014e-308" },
		{ 0x7fefffffffffffff, "1.7976931348623157e+308" },
		{ 0xffefffffffffffff, "-1.7976931348623157e+308" },
		{ 0x7ff8000000000000, "NaN" },
		{ 0xfff8000000000001, "NaN" },
		{ 0x7ff0000000000000, "Infinity" },
		{ 0xfff0000000000000, "-Infinity" },
		/* where an exponent begins */
		{ 0x430c6bf52633fff8, "999999999999999" },
		{ 0x430c6bf526340000, "1e+15" },
		{ 0x42d6bcc41e900000, "100000000000000" },
		{ 0x43118b54f22aeb03, "1.2345678901234568e+15" },
		{ 0x4341c37937e08000, "1e+16" },
		{ 0x437b69b4ba630f35, "1.2345678901234568e+17" },
		{ 0x3f1a36e2eb1c432d, "0.0001" },
		{ 0x3f202e4b6ce5dc68, "0.00012345" },
		{ 0x3ee4f8b588e368f1, "1e-05" },
		{ 0x40fe240c9fbe76c9, "123456.789" },
		{ 0x4059000000000000, "100" },
		{ 0xc004000000000000, "-2.5" },
		{ 0x54b249ad2594c37d, "1e+100" },
		{ 0x44dfe185ca57c517, "6.02214076e+23" },
		{ 0x400921fb54442d18, "3.141592653589793" },
		/* a power of two: its neighbour below is nearer */
		{ 0x3d30000000000000, "5.684341886080802e-14" },
		{ 0x4330000000000000, "4.503599627370496e+15" },
		{ 0x4340000000000000, "9.007199254740992e+15" },
		{ 0x4360000000000000, "3.602879701896397e+16" },
		{ 0x435ffffffffffffe, "3.602879701896396e+16" },
		{ 0x43e0000000000000, "9.223372036854776e+18" },
		{ 0xc3e0000000000000, "-9.223372036854776e+18" },
		/* 1e23 and 8.41e21 are half-way between two values, 8.07e29 is not */
		{ 0x44b52d02c7e14af6, "9.999999999999999e+22" },
		{ 0x447c7e83209e90b2, "8.409999999999999e+21" },
		{ 0x46245f1d82379488, "8.07e+29" },
		{ 0x4480f0cf064dd592, "1e+22" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char out[PGFMT_MAX];
		double v;

		memcpy(&v, &rows[i].bits, sizeof(v));
		check("float8", out, fmt_float8(out, v), rows[i].want);
	}
}

static void
test_float4(void **state)
{
	static const struct
	{
		uint32_t bits;
		const char *want;
	} rows[] = {
		{ 0x3dcccccd, "0.1" },
		{ 0x00000000, "0" },
		{ 0x80000000, "-0" },
		{ 0x00000001, "1e-45" },
		{ 0x00000007, "1e-44" },
		{ 0x007fffff, "1.1754942e-38" },
		{ 0x00800000, "1.1754944e-38" },
		{ 0x7f7fffff, "3.4028235e+38" },
		{ 0x7fc00000, "NaN" },
		{ 0x7f800000, "Infinity" },
		{ 0xff800000, "-Infinity" },
		{ 0x47f12000, "123456" },
		{ 0x497423f0, "999999" },
		{ 0x49742400, "1e+06" },
		{ 0x4996b438, "1.234567e+06" },
		{ 0x4b000000, "8.388608e+06" },
		{ 0x4b800000, "1.6777216e+07" },
		{ 0x4c000004, "3.3554448e+07" }, /* 3.355445e+07 is half-way */
		{ 0x38d1b717, "0.0001" },
		{ 0x3727c5ac, "1e-05" },
		{ 0x33800000, "5.9604645e-08" },
		{ 0x3fc00000, "1.5" },
		{ 0x501502f9, "1e+10" },
		{ 0xcf000000, "-2.1474836e+09" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char out[PGFMT_MAX];
		float v;

		memcpy(&v, &rows[i].bits, sizeof(v));
		check("float4", out, fmt_float4(out, v), rows[i].want);
	}
}

/* Powers of two and of ten read back as themselves, with no digit to spare. */
static void
test_floats_read_back(void **state)
{
	char out[PGFMT_MAX + 1];
	double v = 5e-324;

	(void) state;
	for (int i = 0; i < 2098; i++, v *= 2)
	{
		out[fmt_float8(out, v)] = '\0';
		if (strtod(out, NULL) != v)
			fail_msg("2^%d: %s", i - 1074, out);
		out[fmt_float8(out, -v * 0.3)] = '\0';
		if (strtod(out, NULL) != -v * 0.3)
			fail_msg("-0.3 * 2^%d: %s", i - 1074, out);
	}
	for (int i = -323; i <= 308; i++)
	{
		char text[16];

		(void) snprintf(text, sizeof(text), "1e%d", i);
		v = strtod(text, NULL);
		out[fmt_float8(out, v)] = '\0';
		if (strtod(out, NULL) != v)
			fail_msg("%s: %s", text, out);
		if (i <= 22 && strlen(out) > 15)
			fail_msg("%s: %s is not the shortest", text, out);
	}
}

/* ---- the slow way ---- */

/*
 * Is "1.6777217e+07" half-way between two values of that many bits, an
 * integer whose odd part has one bit more?  Readers round such a text to one
 * of the two; the server spends one more digit.
 */
static bool
is_half_way(const char *e, int bits)
{
	uint64_t odd = 0;
	int zeros = 1;

	for (; *e != 'e'; e++)
	{
		if (*e >= '0' && *e <= '9')
		{
			odd = odd * 10 + (uint64_t) (*e - '0');
			zeros--;
		}
	}
	zeros += (int) strtol(e + 1, NULL, 10);
	if (odd == 0)
		return false;
	for (; odd % 10 == 0; zeros++)
		odd /= 10;
	if (zeros < 0)
		return false;
	while (odd % 2 == 0)
		odd /= 2;
	for (; zeros > 0 && odd >> (bits + 1) == 0; zeros--)
		odd *= 5;
	return zeros == 0 && odd >> bits == 1;
}

/*
 * Adds one to the last digit of "9.99e+22".  At a power of two the values
 * above lie farther apart than those below, so that the nearest text of some
 * length may be another value's when the next one up is not.
 */
static bool
next_up(char *e, double v)
{
	int exp;
	char *p = strchr(e, 'e');

	if (!p || fabs(frexp(v, &exp)) != 0.5)
		return false;
	while (--p >= e && (*p == '9' || *p == '.'))
	{
		if (*p == '9')
			*p = '0';
	}
	if (p < e || *p == '-')
		return false;
	++*p;
	return true;
}

/* Does the text read back as v, and is it no end of an interval? */
static bool
reads_back(const char *e, double v, bool single)
{
	if (is_half_way(e, single ? FLT_MANT_DIG : DBL_MANT_DIG))
		return false;
	return single ? strtof(e, NULL) == (float) v : strtod(e, NULL) == v;
}

/* The fewest digits that do, as "-1.2300e+02". */
static void
slow_digits(char *e, size_t size, double v, bool single)
{
	for (int digits = 1; digits <= 17; digits++)
	{
		(void) snprintf(e, size, "%.*e", digits - 1, v);
		if (reads_back(e, v, single) ||
			(next_up(e, v) && reads_back(e, v, single)))
			return;
	}
}

/* The same digits, wherever the point or exponent stands. */
static void
same_digits(const char *got, const char *e)
{
	char a[2][64] = { { 0 } };
	const char *text[] = { got, e };

	for (int i = 0; i < 2; i++)
	{
		size_t n = 0;

		for (const char *p = text[i]; *p && *p != 'e'; p++)
		{
			if (*p >= '1' && *p <= '9')
				a[i][n++] = *p;
			else if (*p == '0' && n > 0)
				a[i][n++] = '0';
		}
		while (n > 0 && a[i][n - 1] == '0')
			a[i][--n] = 0;
	}
	if (strcmp(a[0], a[1]) != 0)
		fail_msg("%s, but the slow way says %s", got, e);
}

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Bits of all sorts: any, of usual size, powers of two, decimals, subnormal. */
static uint64_t
random_bits(uint64_t *x, int sort)
{
	static const double powers[] = { 1e1, 1e2, 1e5, 1e9, 1e11, 1e17 };
	uint64_t bits = next_random(x);
	double v;

	switch (sort)
	{
		case 0:
			return (bits & 0x800fffffffffffffU) | (963 + next_random(x) % 120)
													  << 52;
		case 1:
			return (bits % 2047 << 52) + next_random(x) % 3;
		case 2:
			v = (double) (bits % 1000000000000) / powers[next_random(x) % 6];
			memcpy(&bits, &v, sizeof(bits));
			return bits + next_random(x) % 3;
		case 3:
			return bits & 0x800fffffffffffffU >> next_random(x) % 52;
		default:
			return bits;
	}
}

static void
test_random(void **state)
{
	uint64_t x = 88172645463325252U;
	char out[PGFMT_MAX + 1];
	char e[PGFMT_MAX];

	(void) state;
	for (int i = 0; i < RANDOM_ROUNDS; i++)
	{
		uint64_t bits = random_bits(&x, i % 5);
		uint32_t bits4 = (uint32_t) (bits >> 20);
		double v;
		float f;

		memcpy(&v, &bits, sizeof(v));
		memcpy(&f, &bits4, sizeof(f));
		if (isfinite(v))
		{
			out[fmt_float8(out, v)] = '\0';
			slow_digits(e, sizeof(e), v, false);
			same_digits(out, e);
			assert_true(strtod(out, NULL) == v);
		}
		if (isfinite(f))
		{
			out[fmt_float4(out, f)] = '\0';
			slow_digits(e, sizeof(e), (double) f, true);
			same_digits(out, e);
			assert_true(strtof(out, NULL) == f);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_float8),
		cmocka_unit_test(test_float4),
		cmocka_unit_test(test_floats_read_back),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("pgfloat", tests, NULL, NULL);
}
