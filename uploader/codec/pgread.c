/*-------------------------------------------------------------------------
 * pgread.c
 *	  Texts of pgfmt.h back to stored values.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/pgread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cdc_s3_proto.h"

#define US INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US)
#define DAYS_2000 INT64_C(730425) /* 0000-03-01 to 2000-01-01 */
#define TEXT_SIZE 128             /* PGFMT_MAX */
#define NUMERIC_DIGITS_MAX 150000 /* 131072 before the point, 16383 behind */
#define SHORT_SCALE_MAX 63

static void
put_int(uint8_t *out, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		out[i] = (uint8_t) (v >> (8 * i));
}

static bool
equals(Slice s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

/* A cursor over a text that ends with a zero. */
typedef struct Text
{
	char buf[TEXT_SIZE];
	const char *p;
} Text;

static bool
text_open(Text *t, Slice s)
{
	if (s.n == 0 || s.n >= TEXT_SIZE || memchr(s.p, '\0', s.n))
		return false;
	memcpy(t->buf, s.p, s.n);
	t->buf[s.n] = '\0';
	t->p = t->buf;
	return true;
}

static bool
skip(Text *t, char c)
{
	if (*t->p != c)
		return false;
	t->p++;
	return true;
}

/* Digits without a sign, at least that many. */
static bool
digits(Text *t, int least, int64_t *out)
{
	int n = 0;

	*out = 0;
	for (; *t->p >= '0' && *t->p <= '9'; t->p++, n++)
	{
		if (__builtin_mul_overflow(*out, 10, out) ||
			__builtin_add_overflow(*out, *t->p - '0', out))
			return false;
	}
	return n >= least;
}

static bool
read_int(Slice s, int64_t *out)
{
	Text t;
	char *end;

	if (!text_open(&t, s))
		return false;
	errno = 0;
	*out = strtoll(t.buf, &end, 10);
	return errno == 0 && *end == '\0' && end != t.buf;
}

static bool
read_float(uint8_t kind, Slice s, uint8_t *out)
{
	Text t;
	char *end;
	uint32_t u4;
	uint64_t u8;
	float f4;
	double f8;

	if (!text_open(&t, s))
		return false;
	if (kind == CDC_S3_KIND_FLOAT4)
	{
		f4 = strtof(t.buf, &end);
		memcpy(&u4, &f4, 4);
		put_int(out, u4, 4);
	}
	else
	{
		f8 = strtod(t.buf, &end);
		memcpy(&u8, &f8, 8);
		put_int(out, u8, 8);
	}
	return *end == '\0' && end != t.buf;
}

/*
 * Dates and times
 */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - DAYS_2000;
}

static bool
date(Text *t, int64_t *out)
{
	bool minus = skip(t, '-');
	int64_t year;
	int64_t month;
	int64_t day;

	if (!digits(t, 4, &year) || year > 10000000 || !skip(t, '-') ||
		!digits(t, 2, &month) || month < 1 || month > 12 || !skip(t, '-') ||
		!digits(t, 2, &day) || day < 1 || day > 31)
		return false;
	*out = days_of(minus ? -year : year, month, day);
	return true;
}

/* "08:14:07.123": hours of any number. */
static bool
time_of_day(Text *t, int64_t *out)
{
	int64_t h;
	int64_t m;
	int64_t s;
	int64_t us = 0;

	if (!digits(t, 2, &h) || h > INT64_C(3000000000) || !skip(t, ':') ||
		!digits(t, 2, &m) || m > 59 || !skip(t, ':') || !digits(t, 2, &s) ||
		s > 60)
		return false;
	if (skip(t, '.'))
	{
		int64_t unit = US / 10;

		for (; *t->p >= '0' && *t->p <= '9'; t->p++, unit /= 10)
			us += (*t->p - '0') * unit;
	}
	*out = (int64_t) ((uint64_t) (h * 3600 + m * 60 + s) * (uint64_t) US +
					  (uint64_t) us);
	return true;
}

static bool
read_infinity(Slice s, int64_t low, int64_t high, int64_t *out)
{
	if (equals(s, "infinity"))
		*out = high;
	else if (equals(s, "-infinity"))
		*out = low;
	else
		return false;
	return true;
}

static bool
read_date(Slice s, int64_t *out)
{
	Text t;

	return read_infinity(s, INT32_MIN, INT32_MAX, out) ||
		   (text_open(&t, s) && date(&t, out) && *t.p == '\0');
}

bool
read_timestamp(Slice s, int64_t *out)
{
	Text t;
	int64_t days;
	int64_t us;

	if (read_infinity(s, INT64_MIN, INT64_MAX, out))
		return true;
	if (!text_open(&t, s) || !date(&t, &days) || !skip(&t, 'T') ||
		!time_of_day(&t, &us))
		return false;
	(void) skip(&t, 'Z');
	*out = (int64_t) ((uint64_t) days * (uint64_t) US_PER_DAY + (uint64_t) us);
	return *t.p == '\0';
}

static bool
read_timetz(Slice s, uint8_t *out)
{
	Text t;
	int64_t us;
	int64_t h;
	int64_t m = 0;
	int64_t sec = 0;
	bool west;

	if (!text_open(&t, s) || !time_of_day(&t, &us))
		return false;
	west = skip(&t, '-');
	if (!west && !skip(&t, '+'))
		return false;
	if (!digits(&t, 2, &h) || (skip(&t, ':') && !digits(&t, 2, &m)) ||
		(skip(&t, ':') && !digits(&t, 2, &sec)) || *t.p)
		return false;
	h = h * 3600 + m * 60 + sec;
	put_int(out, (uint64_t) us, 8);
	put_int(out + 8, (uint64_t) (west ? h : -h), 4);
	return true;
}

/* Skips the unit, which may have an "s". */
static bool
unit(Text *t, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(t->p, name, n) != 0)
		return false;
	t->p += n;
	(void) skip(t, 's');
	return *t->p == ' ' || *t->p == '\0';
}

/* "-1 years +2 mons 3 days -04:05:06.7", each of them or none. */
static bool
interval(Text *t, int64_t *us, int64_t *days, int64_t *months)
{
	while (*t->p)
	{
		bool minus = skip(t, '-');
		const char *at;
		int64_t v;

		if (!minus)
			(void) skip(t, '+');
		at = t->p;
		if (!digits(t, 1, &v))
			return false;
		if (*t->p == ':')
		{
			t->p = at;
			if (!time_of_day(t, us))
				return false;
			*us = minus ? (int64_t) (UINT64_C(0) - (uint64_t) *us) : *us;
			return *t->p == '\0';
		}
		v = minus ? -v : v;
		if (!skip(t, ' '))
			return false;
		if (unit(t, "year"))
			*months += v * 12;
		else if (unit(t, "mon"))
			*months += v;
		else if (unit(t, "day"))
			*days = v;
		else
			return false;
		(void) skip(t, ' ');
	}
	return true;
}

static bool
read_interval(Slice s, uint8_t *out)
{
	int64_t us = 0;
	int64_t days = 0;
	int64_t months = 0;
	Text t;

	if (read_infinity(s, INT64_MIN, INT64_MAX, &us))
		days = months = us < 0 ? INT32_MIN : INT32_MAX;
	else if (!text_open(&t, s) || !interval(&t, &us, &days, &months))
		return false;
	put_int(out, (uint64_t) us, 8);
	put_int(out + 8, (uint64_t) days, 4);
	put_int(out + 12, (uint64_t) months, 4);
	return true;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_uuid(Slice s, uint8_t *out)
{
	int n = 0;

	for (size_t i = 0; i < s.n; i++)
	{
		int d = hex_digit(s.p[i]);

		if (s.p[i] == '-')
			continue;
		if (d < 0 || n == 32)
			return false;
		out[n / 2] = (uint8_t) (n % 2 ? out[n / 2] << 4 | d : d);
		n++;
	}
	return n == 32;
}

bool
read_fixed(uint8_t kind, Slice s, uint8_t *out)
{
	int64_t v = 0;
	bool ok = true;
	int bytes = 8;
	Text t;

	switch (kind)
	{
		case CDC_S3_KIND_BOOL:
			out[0] = equals(s, "true");
			return out[0] || equals(s, "false");
		case CDC_S3_KIND_FLOAT4:
		case CDC_S3_KIND_FLOAT8:
			return read_float(kind, s, out);
		case CDC_S3_KIND_TIMETZ:
			return read_timetz(s, out);
		case CDC_S3_KIND_INTERVAL:
			return read_interval(s, out);
		case CDC_S3_KIND_UUID:
			return read_uuid(s, out);
		case CDC_S3_KIND_INT2:
			bytes = 2;
			break;
		case CDC_S3_KIND_INT4:
		case CDC_S3_KIND_OID:
		case CDC_S3_KIND_DATE:
			bytes = 4;
			break;
		default:
			break;
	}
	if (kind == CDC_S3_KIND_DATE)
		ok = read_date(s, &v);
	else if (kind == CDC_S3_KIND_TIME)
		ok = text_open(&t, s) && time_of_day(&t, &v) && *t.p == '\0';
	else if (kind == CDC_S3_KIND_TIMESTAMP || kind == CDC_S3_KIND_TIMESTAMPTZ)
		ok = read_timestamp(s, &v);
	else
		ok = read_int(s, &v);
	put_int(out, (uint64_t) v, bytes);
	return ok;
}

/*
 * numeric
 */
typedef struct Decimal
{
	bool negative;
	const uint8_t *whole; /* its digits */
	size_t nwhole;
	const uint8_t *fraction;
	size_t scale;
} Decimal;

static bool
take_digits(Slice s, size_t *at, const uint8_t **out, size_t *n)
{
	size_t from = *at;

	while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9')
		++*at;
	*out = s.p + from;
	*n = *at - from;
	return *n > 0;
}

static bool
decimal(Slice s, Decimal *d)
{
	size_t at = 0;

	*d = (Decimal){ 0 };
	if (s.n == 0 || s.n > NUMERIC_DIGITS_MAX)
		return false;
	d->negative = s.p[0] == '-';
	at += d->negative;
	if (!take_digits(s, &at, &d->whole, &d->nwhole))
		return false;
	if (at < s.n && s.p[at] == '.')
	{
		at++;
		if (!take_digits(s, &at, &d->fraction, &d->scale))
			return false;
	}
	return at == s.n;
}

/* The digit of that power of ten; 0 where there is none. */
static unsigned
digit_of(const Decimal *d, int64_t power)
{
	if (power >= 0)
		return power < (int64_t) d->nwhole
				   ? d->whole[(int64_t) d->nwhole - 1 - power] - '0'
				   : 0;
	return -power <= (int64_t) d->scale ? d->fraction[-power - 1] - '0' : 0;
}

/* The digit to base 10000 of that weight. */
static unsigned
group_of(const Decimal *d, int64_t weight)
{
	unsigned v = 0;

	for (int64_t power = 4 * weight + 3; power >= 4 * weight; power--)
		v = v * 10 + digit_of(d, power);
	return v;
}

static void
put_head(Buf *out, const Decimal *d, bool zero, int64_t weight)
{
	uint8_t head[4];
	bool negative = d->negative && !zero;

	if (d->scale <= SHORT_SCALE_MAX && weight >= -64 && weight <= 63)
	{
		put_int(head,
				0x8000u | (negative ? 0x2000u : 0) | (unsigned) d->scale << 7 |
					((unsigned) weight & 0x7F),
				2);
		buf_add(out, head, 2);
		return;
	}
	put_int(head, (negative ? 0x4000u : 0) | (unsigned) d->scale, 2);
	put_int(head + 2, (uint64_t) weight, 2);
	buf_add(out, head, 4);
}

bool
read_numeric(Slice s, Buf *out)
{
	static const struct
	{
		const char *word;
		uint16_t head;
	} specials[] = { { "NaN", 0xC000 },
					 { "Infinity", 0xD000 },
					 { "-Infinity", 0xF000 } };
	Decimal d;
	int64_t first;
	int64_t last;

	for (size_t i = 0; i < 3; i++)
	{
		uint8_t head[2];

		if (!equals(s, specials[i].word))
			continue;
		put_int(head, specials[i].head, 2);
		buf_add(out, head, 2);
		return true;
	}
	if (!decimal(s, &d))
		return false;
	first = ((int64_t) d.nwhole - 1) / 4;
	last = -(((int64_t) d.scale + 3) / 4);
	while (first >= last && group_of(&d, first) == 0)
		first--;
	while (last <= first && group_of(&d, last) == 0)
		last++;
	put_head(out, &d, first < last, first < last ? 0 : first);
	for (int64_t w = first; w >= last; w--)
	{
		uint8_t group[2];

		put_int(group, group_of(&d, w), 2);
		buf_add(out, group, 2);
	}
	return true;
}
