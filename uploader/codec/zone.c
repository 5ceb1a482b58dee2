/*-------------------------------------------------------------------------
 * zone.c
 *	  Time zones: how far local time is from UTC at an instant.
 *
 * A file is turned into one list of transitions: those that it names, and those
 * that the rule in its last line (a TZ string of POSIX with RFC 9636's wider
 * range of hours) makes in the years behind them.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/zone.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define HEADER 44
#define TYPE_SIZE 6
#define TRANSITIONS_MAX 100000
#define FOOTER_MAX 255

typedef struct Transition
{
	int64_t at; /* unix seconds; the offset holds from here on */
	int32_t offset;
} Transition;

struct Zone
{
	int32_t first; /* before all transitions */
	int n;
	Transition *list;
};

void
zone_free(Zone *z)
{
	if (!z)
		return;
	free(z->list);
	free(z);
}

int32_t
zone_offset(const Zone *z, int64_t unix_s, int64_t *out_until)
{
	int low = 0;
	int high = z->n; /* the first transition behind the instant */

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (z->list[middle].at <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	if (out_until)
		*out_until = high < z->n ? z->list[high].at : INT64_MAX;
	return high > 0 ? z->list[high - 1].offset : z->first;
}

static void
add_transition(Zone *z, int64_t at, int32_t offset)
{
	int32_t before = z->n > 0 ? z->list[z->n - 1].offset : z->first;

	if (offset == before || (z->n > 0 && at <= z->list[z->n - 1].at))
		return; /* another name for the same, or nothing new */
	if ((z->n & (z->n - 1)) == 0)
		z->list = xrealloc(z->list,
						   (z->n ? 2 * (size_t) z->n : 1) * sizeof(*z->list));
	z->list[z->n++] = (Transition){ at, offset };
}

/*
 * Numbers of fixed offsets and of rules
 */

/* At most three digits; -1: there are none. */
static int
read_digits(const char **s)
{
	int n = 0;
	int v = 0;

	for (; **s >= '0' && **s <= '9' && n < 3; n++)
		v = v * 10 + *(*s)++ - '0';
	return n > 0 ? v : -1;
}

/* hh[:mm[:ss]] with a sign or none. */
static bool
read_hms(const char **s, int max_hours, int32_t *out)
{
	int sign = **s == '-' ? -1 : 1;
	int part[3] = { 0, 0, 0 };

	if (**s == '-' || **s == '+')
		++*s;
	for (int i = 0; i < 3; i++)
	{
		if (i > 0 && **s != ':')
			break;
		*s += i > 0;
		part[i] = read_digits(s);
		if (part[i] < 0 || part[i] > (i == 0 ? max_hours : 59))
			return false;
	}
	*out = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
	return true;
}

Zone *
zone_fixed(const char *name)
{
	const char *s = name;
	int32_t offset = 0;
	Zone *z;

	if (strcmp(name, "UTC") != 0)
	{
		if ((*s != '+' && *s != '-') || !read_hms(&s, 18, &offset) || *s)
			return NULL;
	}
	z = xcalloc(1, sizeof(*z));
	z->first = offset;
	return z;
}

/*
 * The rule for later years: "CET-1CEST,M3.5.0,M10.5.0/3"
 */

/* When in a year a time begins. */
typedef struct RuleDay
{
	char kind; /* 'M': a weekday of a month; 'J': day 1 to 365 without
				* the leap day; 'n': day 0 to 365 */
	int month;
	int week; /* 1 to 5, the last one */
	int day;
	int32_t time; /* seconds of that day */
} RuleDay;

typedef struct Rule
{
	int32_t standard; /* east */
	int32_t summer;
	bool has_summer;
	RuleDay begin; /* of summer, in standard time */
	RuleDay end;   /* in summer time */
} Rule;

/* Three letters and more, or anything in angle brackets. */
static bool
skip_name(const char **s)
{
	size_t n;

	if (**s == '<')
	{
		n = strcspn(*s, ">");
		if ((*s)[n] != '>')
			return false;
		*s += n + 1;
		return true;
	}
	n = strspn(*s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	*s += n;
	return n >= 3;
}

static bool
read_field(const char **s, int low, int high, int *out)
{
	*out = read_digits(s);
	return *out >= low && *out <= high;
}

static bool
read_day(const char **s, RuleDay *out)
{
	bool ok;

	*out = (RuleDay){ .kind = **s == 'M' || **s == 'J' ? **s : 'n',
					  .time = 2 * 3600 };
	if (out->kind != 'n')
		++*s;
	if (out->kind != 'M')
		ok = read_field(s, out->kind == 'J', 365, &out->day);
	else
	{
		ok = read_field(s, 1, 12, &out->month) && *(*s)++ == '.' &&
			 read_field(s, 1, 5, &out->week) && *(*s)++ == '.' &&
			 read_field(s, 0, 6, &out->day);
	}
	if (ok && **s == '/')
	{
		++*s;
		ok = read_hms(s, 167, &out->time);
	}
	return ok;
}

static bool
read_rule(const char *s, Rule *out)
{
	int32_t west;

	*out = (Rule){ .has_summer = false };
	if (!skip_name(&s) || !read_hms(&s, 24, &west))
		return false;
	out->standard = -west;
	if (!*s)
		return true;
	if (!skip_name(&s))
		return false;
	out->has_summer = true;
	out->summer = out->standard + 3600;
	if (*s != ',')
	{
		if (!read_hms(&s, 24, &west))
			return false;
		out->summer = -west;
	}
	return *s++ == ',' && read_day(&s, &out->begin) && *s++ == ',' &&
		   read_day(&s, &out->end) && !*s;
}

static int64_t
days_of(int year, int month, int day)
{
	CivilTime c = { .year = year, .month = month, .day = day };

	return unix_us_from_civil(&c) / US_PER_SEC / 86400;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds since 1970 at which the day's time is reached. */
static int64_t
local_of(const RuleDay *r, int year)
{
	int64_t day;

	if (r->kind == 'M')
	{
		int64_t first = days_of(year, r->month, 1);
		int64_t next = r->month == 12 ? days_of(year + 1, 1, 1)
									  : days_of(year, r->month + 1, 1);
		int weekday = (int) ((first + 4) % 7); /* 1970 began on a Thursday */

		day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
		if (day >= next)
			day -= 7;
	}
	else
	{
		day = days_of(year, 1, 1) + r->day;
		if (r->kind == 'J')
			day -= !(is_leap(year) && r->day >= 60);
	}
	return day * 86400 + r->time;
}

static int
year_of(int64_t unix_s)
{
	CivilTime c;

	civil_from_unix_us(unix_s * US_PER_SEC, &c);
	return (int) c.year;
}

static void
add_later_years(Zone *z, const Rule *r)
{
	int64_t last = z->n > 0 ? z->list[z->n - 1].at : 0;

	if (!r->has_summer)
		return; /* the last transition has led to it */
	for (int y = year_of(last); y <= ZONE_LAST_YEAR; y++)
	{
		int64_t begin = local_of(&r->begin, y) - r->standard;
		int64_t end = local_of(&r->end, y) - r->summer;

		/* In the south summer ends first. */
		if (begin < end)
			add_transition(z, begin, r->summer);
		add_transition(z, end, r->standard);
		if (begin >= end)
			add_transition(z, begin, r->summer);
	}
}

/*
 * Files
 */
static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 |
		   (uint32_t) p[2] << 8 | p[3];
}

static int64_t
be64(const uint8_t *p)
{
	return (int64_t) ((uint64_t) be32(p) << 32 | be32(p + 4));
}

/* Counts of a block, in the order in which a header has them. */
typedef struct Counts
{
	size_t isut, isstd, leap, time, type, chars;
} Counts;

static bool
read_header(Slice s, Counts *out)
{
	const uint8_t *p = s.p + 20;

	if (s.n < HEADER || memcmp(s.p, "TZif", 4) != 0 || s.p[4] < '2')
		return false;
	*out = (Counts){ be32(p),      be32(p + 4),  be32(p + 8),
					 be32(p + 12), be32(p + 16), be32(p + 20) };
	return out->isut <= TRANSITIONS_MAX && out->isstd <= TRANSITIONS_MAX &&
		   out->leap <= TRANSITIONS_MAX && out->time <= TRANSITIONS_MAX &&
		   out->type <= 256 && out->chars <= TRANSITIONS_MAX;
}

static size_t
block_size(const Counts *c, size_t width)
{
	return c->time * (width + 1) + c->type * TYPE_SIZE + c->chars +
		   c->leap * (width + 4) + c->isstd + c->isut;
}

/* The block of 8-byte times: p has all of it. */
static bool
read_block(Zone *z, const uint8_t *p, const Counts *c)
{
	const uint8_t *index = p + c->time * 8;
	const uint8_t *types = index + c->time;

	if (c->type == 0)
		return false;
	for (size_t i = 0; i < c->type; i++)
	{
		int32_t offset = (int32_t) be32(types + i * TYPE_SIZE);

		if (offset < -ZONE_OFFSET_MAX || offset > ZONE_OFFSET_MAX)
			return false;
	}
	z->first = (int32_t) be32(types);
	for (size_t i = 0; i < c->time; i++)
	{
		int64_t at = be64(p + i * 8);

		if (index[i] >= c->type || (i > 0 && at <= be64(p + (i - 1) * 8)) ||
			at > INT64_MAX / US_PER_SEC || at < INT64_MIN / US_PER_SEC)
			return false;
		add_transition(z, at,
					   (int32_t) be32(types + index[i] * (size_t) TYPE_SIZE));
	}
	return true;
}

/* "\n<rule>\n"; an empty one says nothing. */
static bool
read_footer(Zone *z, Slice s)
{
	char text[FOOTER_MAX + 1];
	const uint8_t *feed;
	size_t n;
	Rule rule;

	if (s.n < 2 || s.p[0] != '\n')
		return false;
	feed = memchr(s.p + 1, '\n', s.n - 1);
	n = feed ? (size_t) (feed - s.p) - 1 : FOOTER_MAX + 1;
	if (n > FOOTER_MAX)
		return false;
	memcpy(text, s.p + 1, n);
	text[n] = '\0';
	if (n == 0)
		return true;
	if (!read_rule(text, &rule))
		return false;
	add_later_years(z, &rule);
	return true;
}

static bool
read_file(Zone *z, Slice s)
{
	Counts c;
	size_t n;

	/* The first block has 4-byte times: it is for older readers. */
	if (!read_header(s, &c))
		return false;
	n = HEADER + block_size(&c, 4);
	if (s.n < n)
		return false;
	s = (Slice){ s.p + n, s.n - n };
	if (!read_header(s, &c))
		return false;
	n = HEADER + block_size(&c, 8);
	if (s.n < n || !read_block(z, s.p + HEADER, &c))
		return false;
	return read_footer(z, (Slice){ s.p + n, s.n - n });
}

bool
zone_parse(Slice file, Zone **out, Err *err)
{
	Zone *z = xcalloc(1, sizeof(*z));

	if (!read_file(z, file))
	{
		zone_free(z);
		return err_set(err, ERR_DATA, 0,
					   "not a time zone file (TZif, version 2 or later)");
	}
	*out = z;
	return true;
}
