/*-------------------------------------------------------------------------
 * logfetch.c
 *	  A range of the commit log, read by several threads at once.
 *
 * Invariants, under the lock:
 *	(1) next_out <= claimed <= next_out + ahead, and ahead <= window: a slot
 *		has one entry at most.
 *	(2) The slot of entry n is n modulo the window.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/logfetch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

#define JOBS_MAX 64
#define AHEAD 4       /* entries a thread */
#define AHEAD_FIRST 2 /* of all, where the end is not known */

typedef struct Slot
{
	bool filled;
	bool ok;
	Entry *entry;
	Err err;
} Slot;

struct LogFetch
{
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool over;
	int64_t next_out;
	int64_t claimed; /* the next one that a thread takes */
	int64_t to;
	int64_t window;
	int64_t ahead; /* how many may be asked for; grows to the window */
	Slot *slots;
	int nthreads;
	pthread_t threads[JOBS_MAX];
	Store *stores[JOBS_MAX];
	int started; /* threads that took their store */
};

static Slot *
slot_of(LogFetch *f, int64_t seq)
{
	return &f->slots[seq % f->window];
}

/* Which one to read; false: there is nothing left. */
static bool
claim(LogFetch *f, int64_t *out)
{
	bool got;

	pthread_mutex_lock(&f->lock);
	while (!f->over && f->claimed <= f->to &&
		   f->claimed >= f->next_out + f->ahead)
		pthread_cond_wait(&f->moved, &f->lock);
	got = !f->over && f->claimed <= f->to;
	if (got)
		*out = f->claimed++;
	pthread_mutex_unlock(&f->lock);
	return got;
}

static void
fill(LogFetch *f, int64_t seq, bool ok, Entry *entry, const Err *err)
{
	Slot *s;

	pthread_mutex_lock(&f->lock);
	s = slot_of(f, seq);
	assert(!s->filled);
	s->filled = true;
	s->ok = ok;
	s->entry = ok ? entry : NULL;
	if (!ok)
		s->err = *err;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
}

static void *
fetch_main(void *arg)
{
	LogFetch *f = arg;
	Store *store;
	int64_t seq;

	pthread_mutex_lock(&f->lock);
	store = f->stores[f->started++];
	pthread_mutex_unlock(&f->lock);
	while (claim(f, &seq))
	{
		Entry *e = NULL;
		Err err = { 0 };
		bool ok = commitlog_read(store, seq, &e, &err);

		fill(f, seq, ok, e, &err);
	}
	return NULL;
}

bool
logfetch_open(const StoreOptions *options, int jobs, int64_t from, int64_t to,
			  LogFetch **out, Err *err)
{
	LogFetch *f = xcalloc(1, sizeof(*f));
	bool ok = true;

	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	if (jobs > to - from) /* + 1 might not fit */
		jobs = (int) (to - from + 1);
	if (jobs < 1)
		jobs = 1;
	f->next_out = f->claimed = from;
	f->to = to;
	f->window = (int64_t) jobs * AHEAD;
	f->ahead = to == INT64_MAX ? AHEAD_FIRST : f->window;
	f->slots = xcalloc((size_t) f->window, sizeof(*f->slots));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->moved, NULL);
	for (int i = 0; ok && i < jobs; i++)
		ok = store_open(options, &f->stores[i], err);
	for (; ok && f->nthreads < jobs; f->nthreads += ok)
		ok = pthread_create(&f->threads[f->nthreads], NULL, fetch_main, f) ==
				 0 ||
			 err_set(err, ERR_INTERNAL, 0, "could not start a thread");
	if (!ok)
	{
		logfetch_close(f);
		return false;
	}
	*out = f;
	return true;
}

bool
logfetch_open_end(const StoreOptions *options, int jobs, int64_t from,
				  LogFetch **out, Err *err)
{
	return logfetch_open(options, jobs, from, INT64_MAX, out, err);
}

bool
logfetch_next(LogFetch *f, Entry **out, Err *err)
{
	Slot *s;
	bool ok;

	*out = NULL;
	if (f->next_out > f->to)
		return true;
	pthread_mutex_lock(&f->lock);
	s = slot_of(f, f->next_out);
	while (!s->filled)
		pthread_cond_wait(&f->moved, &f->lock);
	ok = s->ok;
	*out = s->entry;
	if (!ok)
		*err = s->err;
	*s = (Slot){ 0 };
	f->next_out++;
	if (ok && f->ahead < f->window)
		f->ahead = 2 * f->ahead < f->window ? 2 * f->ahead : f->window;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
	return ok;
}

void
logfetch_close(LogFetch *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->over = true;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
	for (int i = 0; i < f->nthreads; i++)
		pthread_join(f->threads[i], NULL);
	for (int i = 0; i < JOBS_MAX; i++)
		store_close(f->stores[i]);
	for (int64_t i = 0; i < f->window; i++)
		entry_free(f->slots[i].entry);
	free(f->slots);
	pthread_cond_destroy(&f->moved);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
