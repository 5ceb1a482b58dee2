/*-------------------------------------------------------------------------
 * pgfmt.c
 *	  Stored values of PostgreSQL to text, without a server.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/pgfmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/row.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)
#define DAYS_2000 INT64_C(730425) /* 0000-03-01 to 2000-01-01 */
#define DAYS_PER_ERA 146097

static const char digit_pairs[] = "00010203040506070809"
								  "10111213141516171819"
								  "20212223242526272829"
								  "30313233343536373839"
								  "40414243444546474849"
								  "50515253545556575859"
								  "60616263646566676869"
								  "70717273747576777879"
								  "80818283848586878889"
								  "90919293949596979899";

static size_t
put_literal(char *out, const char *s)
{
	size_t n = strlen(s);

	memcpy(out, s, n);
	return n;
}

/* Two digits. */
static inline char *
put2(char *out, unsigned v)
{
	memcpy(out, digit_pairs + 2 * v, 2);
	return out + 2;
}

static size_t
count_digits(uint64_t v)
{
	size_t n = 1;

	for (; v >= 10000; v /= 10000)
		n += 4;
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

size_t
fmt_u64(char *out, uint64_t v)
{
	size_t n = count_digits(v);
	char *p = out + n;

	while (v >= 100)
	{
		p -= 2;
		memcpy(p, digit_pairs + 2 * (v % 100), 2);
		v /= 100;
	}
	if (v >= 10)
		memcpy(out, digit_pairs + 2 * v, 2);
	else
		*out = (char) ('0' + v);
	return n;
}

size_t
fmt_i64(char *out, int64_t v)
{
	if (v >= 0)
		return fmt_u64(out, (uint64_t) v);
	*out = '-';
	return 1 + fmt_u64(out + 1, UINT64_C(0) - (uint64_t) v);
}

/*
 * Dates and times
 */
static char *
compute_date(char *p, int64_t days)
{
	int64_t z = days + DAYS_2000;
	int64_t era = (z >= 0 ? z : z - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
	int64_t doe = z - era * DAYS_PER_ERA;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	unsigned day = (unsigned) (doy - (153 * mp + 2) / 5 + 1);
	unsigned month = (unsigned) (mp < 10 ? mp + 3 : mp - 9);
	int64_t year = yoe + era * 400 + (month <= 2);

	if (year < 0)
	{
		*p++ = '-';
		year = -year;
	}
	if (year < 10000)
	{
		p = put2(p, (unsigned) year / 100);
		p = put2(p, (unsigned) year % 100);
	}
	else
		p += fmt_u64(p, (uint64_t) year);
	*p++ = '-';
	p = put2(p, month);
	*p++ = '-';
	return put2(p, day);
}

/* Dates of one table repeat; the last one is kept. */
static char *
put_date(char *p, int64_t days)
{
	static _Thread_local int64_t last = INT64_MIN;
	static _Thread_local char text[16];
	static _Thread_local size_t n;

	if (days != last)
	{
		char *end = compute_date(p, days);

		if ((size_t) (end - p) > sizeof(text))
			return end;
		last = days;
		n = (size_t) (end - p);
		memcpy(text, p, n);
		return end;
	}
	memcpy(p, text, sizeof(text)); /* PGFMT_MAX leaves room */
	return p + n;
}

/* ".123456", less trailing zeros unless all are wanted; nothing for 0. */
static char *
put_fraction(char *p, unsigned us, bool all)
{
	if (us == 0 && !all)
		return p;
	*p++ = '.';
	p = put2(p, us / 10000);
	p = put2(p, us / 100 % 100);
	p = put2(p, us % 100);
	while (!all && p[-1] == '0')
		p--;
	return p;
}

/* us of the day, 24:00:00 included; unsigned, lest a damaged one hurts */
static char *
put_time(char *p, uint64_t us, bool all)
{
	uint64_t s = us / (uint64_t) US_PER_SECOND;

	p = put2(p, (unsigned) (s / 3600 % 100));
	*p++ = ':';
	p = put2(p, (unsigned) (s / 60 % 60));
	*p++ = ':';
	p = put2(p, (unsigned) (s % 60));
	return put_fraction(p, (unsigned) (us % (uint64_t) US_PER_SECOND), all);
}

size_t
fmt_date(char *out, int32_t days)
{
	if (days == INT32_MIN)
		return put_literal(out, "-infinity");
	if (days == INT32_MAX)
		return put_literal(out, "infinity");
	return (size_t) (put_date(out, days) - out);
}

size_t
fmt_time(char *out, int64_t us)
{
	return (size_t) (put_time(out, (uint64_t) us, false) - out);
}

size_t
fmt_timetz(char *out, int64_t us, int32_t west_s)
{
	char *p = put_time(out, (uint64_t) us, false);
	unsigned s = (unsigned) (west_s < 0 ? -(int64_t) west_s : west_s);

	*p++ = west_s > 0 ? '-' : '+';
	p = put2(p, s / 3600 % 100);
	if (s % 3600)
	{
		*p++ = ':';
		p = put2(p, s / 60 % 60);
	}
	if (s % 60)
	{
		*p++ = ':';
		p = put2(p, s % 60);
	}
	return (size_t) (p - out);
}

static char *
put_timestamp(char *p, int64_t us, bool all)
{
	int64_t days = us / US_PER_DAY;
	int64_t rest = us % US_PER_DAY;

	if (rest < 0)
	{
		rest += US_PER_DAY;
		days--;
	}
	p = put_date(p, days);
	*p++ = 'T';
	return put_time(p, (uint64_t) rest, all);
}

size_t
fmt_timestamp(char *out, int64_t us, bool z)
{
	char *p;

	if (us == INT64_MIN)
		return put_literal(out, "-infinity");
	if (us == INT64_MAX)
		return put_literal(out, "infinity");
	p = put_timestamp(out, us, false);
	if (z)
		*p++ = 'Z';
	return (size_t) (p - out);
}

size_t
fmt_timestamp_us(char *out, int64_t us)
{
	char *p = put_timestamp(out, us, true);

	*p++ = 'Z';
	return (size_t) (p - out);
}

/* "1 mon", with the sign rules of the server's IntervalStyle postgres. */
static char *
put_part(char *p, char *start, int64_t v, const char *unit, bool *before)
{
	if (v == 0)
		return p;
	if (p != start)
		*p++ = ' ';
	if (*before && v > 0)
		*p++ = '+';
	p += fmt_i64(p, v);
	*p++ = ' ';
	p += put_literal(p, unit);
	if (v != 1)
		*p++ = 's';
	*before = v < 0;
	return p;
}

size_t
fmt_interval(char *out, int64_t us, int32_t days, int32_t months)
{
	char *p = out;
	bool before = false;
	uint64_t abs_us;
	uint64_t s;

	if (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX)
		return put_literal(out, "infinity");
	if (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN)
		return put_literal(out, "-infinity");
	p = put_part(p, out, months / 12, "year", &before);
	p = put_part(p, out, months % 12, "mon", &before);
	p = put_part(p, out, days, "day", &before);
	if (us == 0 && p != out)
		return (size_t) (p - out);
	if (p != out)
		*p++ = ' ';
	if (us < 0)
		*p++ = '-';
	else if (before)
		*p++ = '+';
	abs_us = us < 0 ? UINT64_C(0) - (uint64_t) us : (uint64_t) us;
	s = abs_us / (uint64_t) US_PER_SECOND;
	if (s / 3600 < 100)
		p = put2(p, (unsigned) (s / 3600));
	else
		p += fmt_u64(p, s / 3600);
	*p++ = ':';
	p = put2(p, (unsigned) (s / 60 % 60));
	*p++ = ':';
	p = put2(p, (unsigned) (s % 60));
	p = put_fraction(p, (unsigned) (abs_us % (uint64_t) US_PER_SECOND), false);
	return (size_t) (p - out);
}

size_t
fmt_uuid(char *out, const uint8_t *p)
{
	static const char hex[] = "0123456789abcdef";
	char *o = out;

	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*o++ = '-';
		*o++ = hex[p[i] >> 4];
		*o++ = hex[p[i] & 15];
	}
	return (size_t) (o - out);
}

/*
 * numeric
 */
typedef struct NumericView
{
	const char *special; /* or NULL */
	bool negative;
	int scale;
	int weight;
	const uint8_t *digits; /* int16 each, to base 10000 */
	int ndigits;
} NumericView;

static bool
numeric_view(const uint8_t *p, size_t n, NumericView *v)
{
	uint16_t h;
	size_t head = 2;

	if (n < 2)
		return false;
	h = get_u16(p);
	*v = (NumericView){ 0 };
	if ((h & 0xC000) == 0xC000)
	{
		v->special = (h & 0xF000) == 0xC000   ? "NaN"
					 : (h & 0xF000) == 0xD000 ? "Infinity"
											  : "-Infinity";
		return true;
	}
	if ((h & 0xC000) == 0x8000)
	{
		v->negative = h & 0x2000;
		v->scale = (h & 0x1F80) >> 7;
		v->weight = (h & 0x3F) - (h & 0x40 ? 64 : 0);
	}
	else
	{
		if (n < 4)
			return false;
		v->negative = h & 0x4000;
		v->scale = h & 0x3FFF;
		v->weight = (int16_t) get_u16(p + 2);
		head = 4;
	}
	v->digits = p + head;
	v->ndigits = (int) ((n - head) / 2);
	return true;
}

size_t
fmt_numeric_size(const uint8_t *p, size_t n)
{
	NumericView v;

	if (!numeric_view(p, n, &v))
		return 0;
	if (v.special)
		return 16;
	return (size_t) ((v.weight > 0 ? v.weight : 0) + 1) * 4 + (size_t) v.scale +
		   16;
}

/* The i-th base-10000 digit, 0 outside of those stored; i may be < 0. */
static unsigned
digit_at(const NumericView *v, int i)
{
	unsigned d;

	if (i < 0 || i >= v->ndigits)
		return 0;
	d = get_u16(v->digits + 2 * (size_t) i);
	return d < 10000 ? d : 9999; /* never more than four characters */
}

size_t
fmt_numeric(char *out, const uint8_t *p, size_t n, bool *out_special)
{
	NumericView v;
	char *o = out;

	if (!numeric_view(p, n, &v))
	{
		*out_special = false;
		return put_literal(out, "0");
	}
	*out_special = v.special != NULL;
	if (v.special)
		return put_literal(out, v.special);
	if (v.negative)
		*o++ = '-';
	if (v.weight < 0)
		*o++ = '0';
	else
	{
		o += fmt_u64(o, digit_at(&v, 0));
		for (int i = 1; i <= v.weight; i++)
		{
			o = put2(o, digit_at(&v, i) / 100);
			o = put2(o, digit_at(&v, i) % 100);
		}
	}
	if (v.scale > 0)
	{
		char *end;

		*o++ = '.';
		end = o + v.scale;
		for (int i = v.weight + 1; o < end; i++)
		{
			o = put2(o, digit_at(&v, i) / 100);
			o = put2(o, digit_at(&v, i) % 100);
		}
		o = end;
	}
	return (size_t) (o - out);
}
