/*-------------------------------------------------------------------------
 * lsn.c
 *	  WAL positions in their two spellings.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/lsn.h"

#include <stddef.h>

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads 1 to max hex digits; returns the first character behind them. */
static const char *
hex_run(const char *s, int max, uint64_t *out)
{
	uint64_t v = 0;
	int n = 0;

	for (; n < max && hex_digit(*s) >= 0; n++)
		v = v << 4 | (uint64_t) hex_digit(*s++);
	*out = v;
	return n > 0 ? s : NULL;
}

bool
lsn_parse(const char *s, Lsn *out)
{
	uint64_t hi;
	uint64_t lo;
	const char *p = hex_run(s, 8, &hi);

	if (p && *p == '/')
	{
		p = hex_run(p + 1, 8, &lo);
		if (!p || *p)
			return false;
		*out = hi << 32 | lo;
		return true;
	}
	p = hex_run(s, 16, &lo);
	if (!p || *p || p - s != 16)
		return false;
	*out = lo;
	return true;
}
