/*-------------------------------------------------------------------------
 * pgfloat.c
 *	  Floats as the server prints them: the shortest digits that read back as
 *	  the same value, and of those the nearest (float8out, float4out in
 *	  src/backend/utils/adt/float.c, extra_float_digits being 1).
 *
 * A float is an integer c of 53 (24) bits times 2^q.  All that lies closer to
 * it than to its neighbours reads back as it; the server leaves out the two
 * ends of that interval.  Scaled by the power of ten that makes it one to ten
 * units long, the interval holds at most one multiple of ten, which is shorter
 * by a digit, and else the integers next to the value.  This way of
 * Giulietti's ("The Schubfach way to render doubles", 2020) shows that a
 * product with 128 bits of the power of ten is exact enough to compare.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "codec/pgfmt.h"
#include "codec/pow10.h"

__extension__ typedef unsigned __int128 U128;

/* digits * 10^exp */
typedef struct Decimal
{
	uint64_t digits;
	int exp;
} Decimal;

/* ---- the shortest digits ---- */

/* floor(log10(2^e)), less log10(4/3) where asked; |e| <= 1500. */
static int
log10_of_pow2(int e, bool three_quarters)
{
	return (e * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* floor(log2(10^e)), |e| <= 1233. */
static int
log2_of_pow10(int e)
{
	return (e * 1741647) >> 19;
}

/*
 * The highest 64 bits of power * x, of 192; the lowest one is set where some
 * below is, beyond what comes of the power's being rounded up.
 */
static uint64_t
scale(const uint64_t power[2], uint64_t x)
{
	U128 low = (U128) power[1] * x;
	U128 high = (U128) power[0] * x + (uint64_t) (low >> 64);

	return (uint64_t) (high >> 64) | ((uint64_t) high > 1);
}

/* Of c * 2^q; uneven: the next value below is nearer than that above. */
static Decimal
shortest(uint64_t c, int q, bool uneven)
{
	int k = log10_of_pow2(q, uneven);
	int shift = q + log2_of_pow10(-k) + 1;
	const uint64_t *power = pow10_bits[-k - POW10_FIRST];
	uint64_t low = scale(power, (4 * c - 2 + uneven) << shift) + 1;
	uint64_t value = scale(power, 4 * c << shift);
	uint64_t high = scale(power, (4 * c + 2) << shift) - 1;
	uint64_t tens = value / 40;
	uint64_t ones = value / 4;
	bool down, up;

	/* in units of a quarter of 10^k */
	if (ones >= 10)
	{
		down = low <= 40 * tens;
		up = 40 * tens + 40 <= high;
		if (down != up)
			return (Decimal){ tens + up, k + 1 };
	}
	down = low <= 4 * ones;
	up = 4 * ones + 4 <= high;
	if (down == up) /* the nearest; the even one of two */
		up = value > 4 * ones + 2 || (value == 4 * ones + 2 && ones % 2 == 1);
	return (Decimal){ ones + up, k };
}

/* ---- spelling ---- */

/*
 * As the server does: without trailing zeros, and with an exponent where that
 * is less than -4 or at least "fixed".
 */
static size_t
put_float(char *out, bool minus, Decimal d, int fixed)
{
	char digits[24];
	char *o = out;
	int n;
	int exp;

	for (; d.digits % 10 == 0 && d.digits != 0; d.exp++)
		d.digits /= 10;
	n = (int) fmt_u64(digits, d.digits);
	exp = d.exp + n - 1;
	if (minus)
		*o++ = '-';
	if (exp < -4 || exp >= fixed)
	{
		*o++ = digits[0];
		if (n > 1)
			*o++ = '.';
		memcpy(o, digits + 1, (size_t) n - 1);
		o += n - 1;
		*o++ = 'e';
		*o++ = exp < 0 ? '-' : '+';
		exp = exp < 0 ? -exp : exp;
		if (exp < 10)
			*o++ = '0';
		return (size_t) (o - out) + fmt_i64(o, exp);
	}
	for (int i = exp < 0 ? exp : 0; i < n || i <= exp; i++)
	{
		if (i == exp + 1)
			*o++ = '.';
		*o++ = (char) (i >= 0 && i < n ? digits[i] : '0');
	}
	return (size_t) (o - out);
}

/*
 * Writes scaled / 10^places, 10^places being pow10, without trailing zeros.
 */
static size_t
put_decimal(char *out, int64_t scaled, uint64_t pow10, int places)
{
	uint64_t abs =
		scaled < 0 ? UINT64_C(0) - (uint64_t) scaled : (uint64_t) scaled;
	uint64_t fraction = abs % pow10;
	char *o = out;

	if (scaled < 0)
		*o++ = '-';
	o += fmt_u64(o, abs / pow10);
	if (fraction == 0)
		return (size_t) (o - out);
	*o++ = '.';
	for (int i = places - 1; i >= 0; i--)
	{
		o[i] = (char) ('0' + fraction % 10);
		fraction /= 10;
	}
	o += places;
	while (o[-1] == '0')
		o--;
	return (size_t) (o - out);
}

/*
 * Most doubles in tables are short decimals.  Below 10^15 both the scaled
 * integer and the power of ten are exact, so that the quotient is what the
 * text reads back as; and no other text of 15 digits does.  0: not one.
 */
static size_t
put_short_float8(char *out, double v)
{
	double scaled = v * 1e6;
	int64_t n;

	if (!(fabs(scaled) < 1e15) || fabs(v) < 1e-4)
		return 0;
	n = (int64_t) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
	return (double) n / 1e6 == v ? put_decimal(out, n, 1000000, 6) : 0;
}

/* The same of six digits. */
static size_t
put_short_float4(char *out, float v)
{
	double scaled = (double) v * 1e3;
	int64_t n;

	if (!(fabs(scaled) < 1e6) || fabsf(v) < 1e-3F)
		return 0;
	n = (int64_t) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
	return (float) ((double) n / 1e3) == v ? put_decimal(out, n, 1000, 3) : 0;
}

static size_t
put_word(char *out, const char *word)
{
	size_t n = strlen(word);

	memcpy(out, word, n);
	return n;
}

/* Zero, NaN, the infinities. */
static size_t
put_special(char *out, double v)
{
	if (isnan(v))
		return put_word(out, "NaN");
	if (v == 0)
		return put_word(out, signbit(v) ? "-0" : "0");
	return put_word(out, v > 0 ? "Infinity" : "-Infinity");
}

size_t
fmt_float8(char *out, double v)
{
	size_t n = put_short_float8(out, v);
	uint64_t bits;
	uint64_t c;
	int q;

	if (n > 0)
		return n;
	if (!isfinite(v) || v == 0)
		return put_special(out, v);
	memcpy(&bits, &v, sizeof(bits));
	c = bits & ((UINT64_C(1) << 52) - 1);
	q = (int) (bits >> 52 & 0x7FF);
	return put_float(out, bits >> 63,
					 shortest(q > 0 ? c | UINT64_C(1) << 52 : c,
							  (q > 0 ? q : 1) - 1075, c == 0 && q > 1),
					 15);
}

size_t
fmt_float4(char *out, float v)
{
	size_t n = put_short_float4(out, v);
	uint32_t bits;
	uint32_t c;
	int q;

	if (n > 0)
		return n;
	if (!isfinite(v) || v == 0)
		return put_special(out, (double) v);
	memcpy(&bits, &v, sizeof(bits));
	c = bits & ((UINT32_C(1) << 23) - 1);
	q = (int) (bits >> 23 & 0xFF);
	return put_float(out, bits >> 31,
					 shortest(q > 0 ? c | UINT32_C(1) << 23 : c,
							  (q > 0 ? q : 1) - 150, c == 0 && q > 1),
					 6);
}
