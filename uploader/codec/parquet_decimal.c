/*-------------------------------------------------------------------------
 * parquet_decimal.c
 *	  numeric(p, s) as Parquet's DECIMAL, and back.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_decimal.h"

#include "codec/row.h"

__extension__ typedef unsigned __int128 U128;

#define GROUP 10000 /* the base of the wire's digits */
#define GROUP_DIGITS 4

static const uint64_t powers[] = { 1,
								   10,
								   100,
								   1000,
								   10000,
								   100000,
								   1000000,
								   10000000,
								   100000000,
								   1000000000,
								   10000000000,
								   100000000000,
								   1000000000000,
								   10000000000000,
								   100000000000000,
								   1000000000000000,
								   10000000000000000,
								   100000000000000000,
								   1000000000000000000,
								   UINT64_C(10000000000000000000) };

#define POWERS_MAX 19

/* 10^n, n up to 38 */
static U128
power_of_ten(int n)
{
	return n <= POWERS_MAX ? (U128) powers[n]
						   : (U128) powers[POWERS_MAX] * powers[n - POWERS_MAX];
}

static bool
store(const ParquetLeaf *leaf, U128 v, bool negative, uint8_t *out)
{
	size_t n = parquet_width(leaf);

	if (v >= power_of_ten(leaf->precision))
		return false;
	if (negative)
		v = ~v + 1;
	if (leaf->physical != PARQUET_FIXED)
	{
		for (size_t i = 0; i < n; i++)
			out[i] = (uint8_t) ((uint64_t) v >> (8 * i));
		return true;
	}
	for (size_t i = 0; i < n; i++)
		out[n - 1 - i] = (uint8_t) (v >> (8 * i));
	return true;
}

/* *v times 10^digits and d; false where 38 digits do not hold it. */
static bool
push(U128 *v, unsigned d, int digits)
{
	/* up to 2^100 there is no need to look */
	if (*v >> 100 != 0 && *v >= power_of_ten(38) / powers[digits])
		return false;
	*v = *v * powers[digits] + d;
	return true;
}

bool
decimal_of_wire(const ParquetLeaf *leaf, const uint8_t *p, size_t n,
				uint8_t *out)
{
	uint16_t h = n >= 2 ? get_u16(p) : 0xC000;
	bool is_short = (h & 0xC000) == 0x8000;
	size_t head = is_short ? 2 : 4;
	int scale = is_short ? (h & 0x1F80) >> 7 : h & 0x3FFF;
	int weight = (h & 0x3F) - (h & 0x40 ? 64 : 0);
	int behind = (leaf->scale + GROUP_DIGITS - 1) / GROUP_DIGITS;
	int ndigits;
	bool negative;
	U128 v = 0;

	if ((h & 0xC000) == 0xC000 || n < head || scale != leaf->scale)
		return false;
	if (!is_short)
		weight = (int16_t) get_u16(p + 2);
	ndigits = (int) ((n - head) / 2);
	for (int i = weight < 0 ? weight + 1 : 0; i <= weight + behind; i++)
	{
		unsigned d =
			i >= 0 && i < ndigits ? get_u16(p + head + 2 * (size_t) i) : 0;
		int digits = GROUP_DIGITS;

		if (d >= GROUP)
			return false;
		if (i == weight + behind && behind > 0)
		{
			/* of the last group only some are behind the point */
			int extra = behind * GROUP_DIGITS - leaf->scale;
			unsigned cut = (unsigned) powers[extra];

			if (d % cut != 0)
				return false;
			d /= cut;
			digits -= extra;
		}
		if (!push(&v, d, digits))
			return false;
	}
	if (ndigits > weight + behind + 1)
		return false; /* digits behind those that are shown */
	negative = h & (is_short ? 0x2000 : 0x4000);
	return !(negative && v == 0) && store(leaf, v, negative, out);
}

bool
decimal_of_text(const ParquetLeaf *leaf, const char *s, size_t n, uint8_t *out)
{
	bool negative = n > 0 && s[0] == '-';
	int scale = -1; /* digits behind the point; -1: before it */
	U128 v = 0;

	for (size_t i = negative; i < n; i++)
	{
		if (s[i] == '.' && scale < 0)
			scale = 0;
		else if (s[i] < '0' || s[i] > '9' ||
				 !push(&v, (unsigned) (s[i] - '0'), 1))
			return false;
		else
			scale += scale >= 0;
	}
	if ((scale < 0 ? 0 : scale) != leaf->scale || (negative && v == 0))
		return false;
	return store(leaf, v, negative, out);
}

size_t
decimal_to_text(const ParquetLeaf *leaf, const uint8_t *p, char *out)
{
	size_t n = parquet_width(leaf);
	char digits[48];
	int count = 0;
	size_t at = 0;
	U128 v = 0;

	for (size_t i = 0; i < n; i++)
	{
		uint8_t b = p[leaf->physical == PARQUET_FIXED ? i : n - 1 - i];

		if (i == 0 && b & 0x80)
			v = ~(U128) 0;
		v = v << 8 | b;
	}
	if (v >> 127)
	{
		out[at++] = '-';
		v = ~v + 1;
	}
	for (; v >> 64 != 0; v /= 10)
		digits[count++] = (char) ('0' + (int) (v % 10));
	for (uint64_t low = (uint64_t) v; low > 0 || count <= leaf->scale;
		 low /= 10)
		digits[count++] = (char) ('0' + (int) (low % 10));
	while (count > 0)
	{
		if (count == leaf->scale)
			out[at++] = '.';
		out[at++] = digits[--count];
	}
	return at;
}
