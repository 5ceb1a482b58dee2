/*-------------------------------------------------------------------------
 * load_rate.h
 *	  So many bytes a second over all that take from it, and no bursts.
 *
 * Threads: any.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_RATE_H
#define LOAD_RATE_H

#include <pthread.h>
#include <stdint.h>

typedef struct LoadRate
{
	pthread_mutex_t lock;
	int64_t per_s; /* 0: no limit */
	int64_t at_us; /* when all that was taken has its time behind it */
} LoadRate;

void load_rate_init(LoadRate *r, int64_t per_s);
void load_rate_done(LoadRate *r);

/* Takes bytes; the milliseconds that the caller has to wait for them. */
int64_t load_rate_take(LoadRate *r, int64_t bytes);

#endif
