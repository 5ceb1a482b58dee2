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

/* Of a detached one that stays what it was. */
static void
tell_output(const Waiting *w, int output)
{
	int64_t us = 0;

	if (count_get(&stats.outputs[output].detached))
		return;
	for (int i = 0; i < w->n && us == 0; i++)
	{
		if (!w->entries[i].closed || w->entries[i].left[output] > 0)
			us = w->entries[i].us;
	}
	count_set(&stats.outputs[output].oldest_us, us);
}

/* Under the lock: the oldest by number is the oldest by position too. */
static void
tell(const Waiting *w)
{
	count_set(&stats.oldest_us, w->n > 0 ? w->entries[0].us : 0);
	count_set(&stats.oldest_large, w->n > 0 && w->entries[0].large);
	for (int i = 0; i < STATS_OUTPUTS; i++)
		tell_output(w, i);
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
		w->entries[w->n++] = (WaitingEntry){ .seq = seq, .us = commit_us };
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
waiting_close(Waiting *w, int64_t seq)
{
	WaitingEntry *e;

	pthread_mutex_lock(&w->lock);
	e = find(w, seq);
	if (e)
		e->closed = true;
	tell(w);
	pthread_mutex_unlock(&w->lock);
}

void
waiting_object(Waiting *w, int64_t seq, int output, int n)
{
	WaitingEntry *e;

	pthread_mutex_lock(&w->lock);
	e = find(w, seq);
	if (e)
		e->left[output] += n;
	if (e && e->left[output] == 0)
		tell_output(w, output);
	pthread_mutex_unlock(&w->lock);
}

void
waiting_detach(Waiting *w, int output, int64_t now_us)
{
	StatsOutput *o = &stats.outputs[output];

	pthread_mutex_lock(&w->lock);
	if (count_get(&o->oldest_us) == 0)
		count_set(&o->oldest_us, now_us);
	count_set(&o->detached, 1);
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
