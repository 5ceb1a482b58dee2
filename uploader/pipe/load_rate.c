/*-------------------------------------------------------------------------
 * load_rate.c
 *	  So many bytes a second over all that take from it, and no bursts.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_rate.h"

#include "base/clock.h"

void
load_rate_init(LoadRate *r, int64_t per_s)
{
	*r = (LoadRate){ .per_s = per_s };
	pthread_mutex_init(&r->lock, NULL);
}

void
load_rate_done(LoadRate *r)
{
	pthread_mutex_destroy(&r->lock);
}

int64_t
load_rate_take(LoadRate *r, int64_t bytes)
{
	int64_t now_us = clock_mono_ms() * 1000;
	int64_t wait_us;

	if (r->per_s == 0)
		return 0;
	pthread_mutex_lock(&r->lock);
	if (r->at_us < now_us)
		r->at_us = now_us;
	r->at_us += (int64_t) ((double) bytes * 1e6 / (double) r->per_s);
	wait_us = r->at_us - now_us;
	pthread_mutex_unlock(&r->lock);
	return wait_us / 1000;
}
