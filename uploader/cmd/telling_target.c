/*-------------------------------------------------------------------------
 * telling_target.c
 *	  How far the target is, told by "run".
 *
 * A target that does not answer is no matter of the stream: what was told last
 * stays, with its time.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/telling_target.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/stats.h"
#include "cmd/status.h"

#define ASK_MS 60000
#define ASK_SOON_MS 5000 /* until there is something to tell */

struct TargetWatch
{
	const Config *cfg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_bool stop;
};

static void
tell(const Status *s)
{
	count_set(&stats.merge_lsn, (int64_t) s->merged_lsn);
	count_set(&stats.merge_entry, s->merged_entry);
	count_set(&stats.merge_behind, s->behind_entries);
	count_set(&stats.merge_entry_us, s->now - s->behind_seconds * US_PER_SEC);
	count_set(&stats.merge_at_us, s->merged_at);
	count_set(&stats.rejected_rows, s->rejected);
	count_set(&stats.resync_tables, s->nresync);
}

static bool
ask(TargetWatch *w)
{
	Status s;
	bool told;

	status_gather_target(w->cfg, &w->stop, &s);
	told = s.target.ok && s.merged;
	if (told)
		tell(&s);
	status_done(&s);
	return told;
}

static void *
watch(void *arg)
{
	TargetWatch *w = arg;

	beat_begin("target watch");
	beat_waits(); /* for others, always */
	while (!atomic_load(&w->stop))
	{
		int64_t wait_ms = ask(w) ? ASK_MS : ASK_SOON_MS;

		pthread_mutex_lock(&w->lock);
		if (!atomic_load(&w->stop))
			(void) cond_wait_ms(&w->changed, &w->lock, wait_ms);
		pthread_mutex_unlock(&w->lock);
		beat_waits();
	}
	beat_end();
	return NULL;
}

TargetWatch *
target_watch_start(const Config *cfg)
{
	TargetWatch *w = xcalloc(1, sizeof(*w));

	w->cfg = cfg;
	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->changed);
	if (pthread_create(&w->thread, NULL, watch, w) == 0)
		return w;
	free(w);
	return NULL;
}

void
target_watch_stop(TargetWatch *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
