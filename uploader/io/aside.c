/*-------------------------------------------------------------------------
 * aside.c
 *	  A call that blocks, in a thread of its own.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/aside.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"

#define LOOK_MS 50 /* how late a stop is seen */

typedef struct Aside
{
	AsideCall call;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended; /* the call */
	bool left;  /* nobody waits */
} Aside;

static atomic_int nleft;

bool
aside_left(void)
{
	return atomic_load(&nleft) > 0;
}

static void
aside_free(Aside *a)
{
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void *
aside_main(void *arg)
{
	Aside *a = arg;
	bool left;

	a->call.run(a->call.arg);
	pthread_mutex_lock(&a->lock);
	a->ended = true;
	left = a->left;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (left)
	{
		a->call.drop(a->call.arg);
		aside_free(a);
		atomic_fetch_sub(&nleft, 1);
	}
	return NULL;
}

/* Until it has ended, or nobody is to wait any more. */
static bool
wait_for_end(Aside *a)
{
	const AsideCall *c = &a->call;
	int64_t until = clock_mono_ms() + c->limit_ms;
	bool ended;

	pthread_mutex_lock(&a->lock);
	while (!a->ended && clock_mono_ms() < until &&
		   !(c->stopped && c->stopped(c->stop_arg)))
		(void) cond_wait_ms(&a->changed, &a->lock, LOOK_MS);
	ended = a->ended;
	a->left = !ended;
	if (a->left)
		atomic_fetch_add(&nleft, 1);
	pthread_mutex_unlock(&a->lock);
	return ended;
}

bool
aside_run(const AsideCall *call)
{
	Aside *a = xcalloc(1, sizeof(*a));
	pthread_t thread;
	bool ended;

	a->call = *call;
	pthread_mutex_init(&a->lock, NULL);
	cond_init(&a->changed);
	if (pthread_create(&thread, NULL, aside_main, a) != 0)
	{
		aside_free(a);
		call->run(call->arg); /* better without a limit than not at all */
		return true;
	}
	beat_waits();
	ended = wait_for_end(a);
	beat_works();
	if (!ended)
	{
		(void) pthread_detach(thread);
		return false;
	}
	pthread_join(thread, NULL);
	aside_free(a);
	return true;
}
