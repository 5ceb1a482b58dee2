/*-------------------------------------------------------------------------
 * warden.c
 *	  Sees to it that a stop ends a session, whatever it is at.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/warden.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/scale.h"

#define LOOK_MS (50 * SCALE) /* simulated time is not free */
/*
 * From being told to end to the end: 3 s of a process that runs, however long
 * it was stopped between.
 */
#define DEAF_LOOKS (3000 / LOOK_MS)

enum
{
	STARTING,
	STREAMING,
	STOPPED, /* before it streamed */
	OVER
};

static void
tell(Warden *w)
{
	Err err = { 0 };
	int starting = STARTING;

	if (atomic_compare_exchange_strong(&w->phase, &starting, STOPPED))
		(void) err_set(&err, ERR_STOP, 0, "stopped");
	else
		(void) err_set(&err, ERR_NET, 0,
					   "the last checkpoint was not durable within "
					   "shutdown.timeout; what it held is sent again");
	pipe_fail(w->p, &err);
}

/* What one thread knows. */
typedef struct Watch
{
	int64_t stop_ms; /* when the stop was seen; -1: not yet */
	bool told;
	int looks; /* since then, at shutdown.timeout or behind it */
} Watch;

static void
watch(Warden *w, Watch *at)
{
	const RunControl *c = w->p->options->control;
	int64_t now_ms = clock_mono_ms();
	int64_t limit_ms = atomic_load(&c->shutdown_ms);

	if (!atomic_load(&c->stop))
		return;
	if (at->stop_ms < 0)
		at->stop_ms = now_ms;
	if (!at->told && (atomic_load(&w->phase) == STARTING ||
					  now_ms - at->stop_ms >= limit_ms))
	{
		tell(w);
		at->told = true;
	}
	if (now_ms - at->stop_ms < limit_ms || ++at->looks < DEAF_LOOKS)
		return;
	log_error("the stop took longer than shutdown.timeout: ended at once; "
			  "what was not durable is sent again",
			  NULL);
	_exit(err_exit_code(ERR_NET));
}

static void *
warden_main(void *arg)
{
	Warden *w = arg;
	Watch at = { .stop_ms = -1 };

	pthread_mutex_lock(&w->lock);
	while (atomic_load(&w->phase) != OVER)
	{
		(void) cond_wait_ms(&w->changed, &w->lock, LOOK_MS);
		if (atomic_load(&w->phase) != OVER)
			watch(w, &at);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void
warden_begin(Warden *w, Pipe *p)
{
	w->p = p;
	atomic_init(&w->phase, STARTING);
	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->changed);
	if (pthread_create(&w->thread, NULL, warden_main, w) == 0)
		return;
	log_error("could not start a thread", NULL);
	abort(); /* nothing is confirmed that is not durable */
}

bool
warden_streams(Warden *w)
{
	int starting = STARTING;

	return atomic_compare_exchange_strong(&w->phase, &starting, STREAMING);
}

void
warden_end(Warden *w)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->phase, OVER);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}
