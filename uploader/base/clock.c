/*-------------------------------------------------------------------------
 * clock.c
 *	  Time behind one pointer, and the calendar (days are counted from
 *	  1970-01-01 in the proleptic Gregorian calendar, in eras of 400 years).
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DAYS_PER_ERA 146097  /* 400 years */
#define DAYS_TO_EPOCH 719468 /* 0000-03-01 to 1970-01-01 */

static int64_t
real_unix_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

static int64_t
real_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
real_sleep_ms(int64_t ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

static const ClockOps real_ops = { real_unix_us, real_mono_ms, real_sleep_ms };
static const ClockOps *ops = &real_ops;

void
clock_set(const ClockOps *new_ops)
{
	ops = new_ops ? new_ops : &real_ops;
}

int64_t
clock_unix_us(void)
{
	return ops->unix_us();
}

int64_t
clock_mono_ms(void)
{
	return ops->mono_ms();
}

void
clock_sleep_ms(int64_t ms)
{
	ops->sleep_ms(ms);
}

static uint64_t
random_u64(void)
{
	uint64_t v;
	uint8_t *p = (uint8_t *) &v;
	size_t got = 0;

	while (got < sizeof(v))
	{
		ssize_t n = getrandom(p + got, sizeof(v) - got, 0);

		if (n > 0)
			got += (size_t) n;
		else if (n < 0 && errno != EINTR)
			abort(); /* Linux >= 3.17 always has it */
	}
	return v;
}

uint64_t
random_below(uint64_t n)
{
	return random_u64() % n;
}

uint32_t
random_u32(void)
{
	return (uint32_t) random_u64();
}

int64_t
backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms)
{
	int64_t top = base_ms;

	while (--attempt > 0 && top < cap_ms)
		top *= 2;
	if (top > cap_ms)
		top = cap_ms;
	return (int64_t) random_below((uint64_t) top + 1);
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void
civil_from_unix_us(int64_t unix_us, CivilTime *out)
{
	int64_t secs = floor_div(unix_us, US_PER_SEC);
	int64_t days = floor_div(secs, 86400);
	int64_t z = days + DAYS_TO_EPOCH;
	int64_t era = floor_div(z, DAYS_PER_ERA);
	int64_t doe = z - era * DAYS_PER_ERA;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int tod = (int) (secs - days * 86400);

	out->day = (int) (doy - (153 * mp + 2) / 5 + 1);
	out->month = (int) (mp < 10 ? mp + 3 : mp - 9);
	out->year = yoe + era * 400 + (out->month <= 2);
	out->hour = tod / 3600;
	out->minute = tod / 60 % 60;
	out->second = tod % 60;
	out->usec = (int) ((unix_us % US_PER_SEC + US_PER_SEC) % US_PER_SEC);
}

int64_t
unix_us_from_civil(const CivilTime *c)
{
	int64_t y = c->year - (c->month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t mp = (c->month + 9) % 12;
	int64_t doy = (153 * mp + 2) / 5 + c->day - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	int64_t days = era * DAYS_PER_ERA + doe - DAYS_TO_EPOCH;

	return (days * 86400 + c->hour * 3600 + c->minute * 60 + c->second) *
			   US_PER_SEC +
		   c->usec;
}

void
iso_from_unix_us(int64_t unix_us, bool us, char *buf, size_t size)
{
	CivilTime c;
	char fraction[16] = "";

	civil_from_unix_us(unix_us, &c);
	if (us)
		(void) snprintf(fraction, sizeof(fraction), ".%06d", c.usec);
	(void) snprintf(buf, size, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d%sZ",
					c.year, c.month, c.day, c.hour, c.minute, c.second,
					fraction);
}

bool
iso_parse(const char *s, int64_t *out_unix_us)
{
	CivilTime c = { 0 };
	int year;
	int n = 0;

	if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &c.month, &c.day, &c.hour,
			   &c.minute, &c.second, &n) != 6)
		return false;
	if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 || c.hour < 0 ||
		c.hour > 24 || c.minute < 0 || c.minute > 59 || c.second < 0 ||
		c.second > 60)
		return false;
	c.year = year;
	s += n;
	if (*s == '.')
	{
		int scale = 100000;

		for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
			c.usec += (*s - '0') * scale;
	}
	if (strcmp(s, "Z") != 0)
		return false;
	*out_unix_us = unix_us_from_civil(&c);
	return true;
}
