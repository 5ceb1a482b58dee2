/*-------------------------------------------------------------------------
 * stats.c
 *	  Counters of what the process does.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/stats.h"

#include "base/clock.h"

#define MS INT64_C(1000)
#define SEC INT64_C(1000000)

static const int64_t lag_bounds[] = {
	500 * MS, 1 * SEC,   2 * SEC,   5 * SEC,   10 * SEC,   30 * SEC, 60 * SEC,
	90 * SEC, 120 * SEC, 300 * SEC, 900 * SEC, 3600 * SEC, 0
};
static const int64_t put_bounds[] = { 5 * MS,   10 * MS,  20 * MS,  50 * MS,
									  100 * MS, 200 * MS, 500 * MS, 1 * SEC,
									  2 * SEC,  5 * SEC,  10 * SEC, 30 * SEC,
									  0 };
static const int64_t phase_bounds[] = { 10 * MS,   50 * MS,   100 * MS,
										500 * MS,  1 * SEC,   5 * SEC,
										10 * SEC,  30 * SEC,  60 * SEC,
										120 * SEC, 600 * SEC, 0 };

Stats stats = {
	.lag = { .bounds_us = lag_bounds },
	.put = { .bounds_us = put_bounds },
	.checkpoint = { { .bounds_us = phase_bounds },
					{ .bounds_us = phase_bounds },
					{ .bounds_us = phase_bounds } },
};

void
histogram_add(Histogram *h, int64_t us, int64_t n)
{
	int i = 0;

	if (us < 0)
		us = 0; /* two clocks */
	while (h->bounds_us[i] && us > h->bounds_us[i])
		i++;
	count_add(&h->buckets[i], n);
	count_add(&h->sum_us, us * n);
}

int64_t
histogram_count(const Histogram *h)
{
	int64_t n = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += count_get(&h->buckets[i]);
	return n;
}

void
stats_moved(void)
{
	count_set(&stats.moved_ms, clock_mono_ms());
}
