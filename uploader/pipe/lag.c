/*-------------------------------------------------------------------------
 * lag.c
 *	  How long changes are on their way.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/lag.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/stats.h"

#define STEP_US 10000 /* commits so near are counted as one time */
#define STEPS_MAX 4096

void
lag_add(LagTrack *t, int64_t commit_us)
{
	LagStep *last = t->n > 0 ? &t->steps[t->n - 1] : NULL;

	/* A full one takes more into its last step: never more memory. */
	if (last && (t->n == STEPS_MAX ||
				 (commit_us >= last->us && commit_us - last->us < STEP_US)))
	{
		last->n++;
		return;
	}
	if (t->n == t->cap)
	{
		t->cap = t->cap ? 2 * t->cap : 16;
		t->steps = xrealloc(t->steps, (size_t) t->cap * sizeof(LagStep));
	}
	t->steps[t->n++] = (LagStep){ commit_us, 1 };
}

void
lag_settle(LagTrack *t, int64_t now_us)
{
	for (int i = 0; i < t->n; i++)
		histogram_add(&stats.lag, now_us - t->steps[i].us, t->steps[i].n);
	t->n = 0;
}

void
lag_done(LagTrack *t)
{
	free(t->steps);
	*t = (LagTrack){ 0 };
}

/* Under the lock: the oldest by number is the oldest by position too. */
static void
tell(const Waiting *w)
{
	count_set(&stats.oldest_us, w->n > 0 ? w->entries[0].us : 0);
	count_set(&stats.oldest_large, w->n > 0 && w->entries[0].large);
}

void
waiting_init(Waiting *w)
{
	pthread_mutex_init(&w->lock, NULL);
	w->n = 0;
	tell(w);
	count_set(&stats.rows_waiting, 0);
}

void
waiting_destroy(Waiting *w)
{
	w->n = 0;
	tell(w);
	count_set(&stats.rows_waiting, 0); /* they come again */
	pthread_mutex_destroy(&w->lock);
}

static WaitingEntry *
find(Waiting *w, int64_t seq)
{
	for (int i = 0; i < w->n; i++)
		if (w->entries[i].seq == seq)
			return &w->entries[i];
	return NULL;
}

void
waiting_begin(Waiting *w, int64_t seq, int64_t commit_us)
{
	pthread_mutex_lock(&w->lock);
	/* Where there are too many the oldest ones are what counts. */
	if (!find(w, seq) && w->n < WAITING_MAX)
		w->entries[w->n++] = (WaitingEntry){ seq, commit_us, false };
	tell(w);
	pthread_mutex_unlock(&w->lock);
}

void
waiting_large(Waiting *w, int64_t seq)
{
	WaitingEntry *e;

	pthread_mutex_lock(&w->lock);
	e = find(w, seq);
	if (e)
		e->large = true;
	tell(w);
	pthread_mutex_unlock(&w->lock);
}

void
waiting_done(Waiting *w, int64_t seq)
{
	int kept = 0;

	pthread_mutex_lock(&w->lock);
	for (int i = 0; i < w->n; i++)
		if (w->entries[i].seq > seq)
			w->entries[kept++] = w->entries[i];
	w->n = kept;
	tell(w);
	pthread_mutex_unlock(&w->lock);
}
