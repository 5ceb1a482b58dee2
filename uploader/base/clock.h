/*-------------------------------------------------------------------------
 * clock.h
 *	  Time behind one pointer, so that a test can turn the clock.
 *
 * Two clocks: wall time in microseconds since 1970-01-01 UTC ("unix_us"),
 * which may jump, and monotonic milliseconds ("mono_ms") for intervals and
 * deadlines.  PostgreSQL's epoch is 2000-01-01 ("pg_us").
 * Threads: any; clock_set() before the first thread only.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_EPOCH_UNIX_US INT64_C(946684800000000)
#define US_PER_SEC INT64_C(1000000)
#define US_PER_HOUR (INT64_C(3600) * US_PER_SEC)

typedef struct ClockOps
{
	int64_t (*unix_us)(void);
	int64_t (*mono_ms)(void);
	void (*sleep_ms)(int64_t ms);
} ClockOps;

void clock_set(const ClockOps *ops); /* NULL: the machine's */

int64_t clock_unix_us(void);
int64_t clock_mono_ms(void);
void clock_sleep_ms(int64_t ms);

/* A number in [0, n), from the system's random source; n > 0. */
uint64_t random_below(uint64_t n);
uint32_t random_u32(void);

/*
 * Full jitter: how long to wait before try number "attempt" (from 1):
 * random in [0, min(cap, base * 2^(attempt-1))].
 */
int64_t backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms);

/* Broken-down UTC; proleptic Gregorian, year may be negative. */
typedef struct CivilTime
{
	int64_t year;
	int month, day, hour, minute, second, usec;
} CivilTime;

void civil_from_unix_us(int64_t unix_us, CivilTime *out);
int64_t unix_us_from_civil(const CivilTime *c);

/*
 * "2026-11-21T08:00:00Z" (20 characters) of a unix time, and with six
 * fraction digits where us is set.  buf holds at least 40 bytes.
 */
void iso_from_unix_us(int64_t unix_us, bool us, char *buf, size_t size);

/* Reads what iso_from_unix_us wrote, with or without the fraction. */
bool iso_parse(const char *s, int64_t *out_unix_us);

#endif
