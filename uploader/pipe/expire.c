/*-------------------------------------------------------------------------
 * expire.c
 *	  Old objects are given up.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/expire.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/expiry.h"
#include "store/logfetch.h"

#define LOOK_MIN_MS 1000
#define LOOK_MAX_MS 30000
#define RETENTION_EVERY_MS (INT64_C(10) * 60 * 1000)
#define FETCH_JOBS 2
#define WHY_MAX 1024

typedef struct Expirer
{
	Pipe *p;
	Store *store;
	int64_t retention_at_ms; /* when it is looked at again */
	int64_t by_retention;    /* up to this entry; 0: none */
	int64_t retry_at_ms;     /* removing was refused: not before then */
	char told[WHY_MAX];      /* what held it up, as it was told last */
	Err err;
} Expirer;

void
expire_begin(Pipe *p)
{
	atomic_store(&p->expire_to, p->start->expired);
	atomic_store(&p->expired, p->start->expired);
	atomic_store(&p->removed, p->start->removed);
	atomic_store(&p->removed_logged, p->start->removed);
}

void
expire_fill(Pipe *p, Entry *e, const Entry *before)
{
	int64_t to = atomic_load(&p->expire_to);
	int64_t removed = atomic_load(&p->removed);

	if (to >= e->seq)
		to = e->seq - 1;
	e->expired = to > before->expired ? to : before->expired;
	e->removed = removed > before->removed ? removed : before->removed;
}

void
expire_publish(Pipe *p, const Entry *e)
{
	atomic_store(&p->expired, e->expired);
	atomic_store(&p->removed_logged, e->removed);
}

bool
expire_waits(Pipe *p)
{
	return atomic_load(&p->expire_to) > atomic_load(&p->expired) ||
		   atomic_load(&p->removed) > atomic_load(&p->removed_logged);
}

static bool
is_over(const Pipe *p)
{
	return atomic_load(&p->stop) || atomic_load(&p->ending) ||
		   atomic_load(&p->options->control->stop);
}

static bool
wait_ms(Pipe *p, int64_t ms)
{
	beat_waits();
	pthread_mutex_lock(&p->lock);
	for (; ms > 0 && !is_over(p); ms -= LOOK_MIN_MS)
		(void) cond_wait_ms(&p->changed, &p->lock,
							ms < LOOK_MIN_MS ? ms : LOOK_MIN_MS);
	pthread_mutex_unlock(&p->lock);
	beat_works();
	return !is_over(p);
}

/* Nothing of this is worth more than a warning: it is done again. */
static void
warn(const Expirer *x, const char *event)
{
	if (!is_over(x->p))
		log_err(LOG_WARN, event, &x->err);
}

/* ---- how far ---- */

static bool
look_at_retention(Expirer *x)
{
	int64_t retention_ms = x->p->options->retention_ms;
	int64_t now = clock_mono_ms();

	if (retention_ms == 0 || now < x->retention_at_ms)
		return true;
	x->retention_at_ms = now + RETENTION_EVERY_MS;
	return expiry_find(
		x->store, atomic_load(&x->p->expired), atomic_load(&x->p->log_seq),
		clock_unix_us() - retention_ms * 1000, &x->by_retention, &x->err);
}

/* Once for each reason. */
static void
tell_held(Expirer *x, int64_t wanted, int64_t until, const Buf *why)
{
	if (until >= wanted || strncmp(x->told, buf_cstr(why), WHY_MAX - 1) == 0)
		return;
	(void) snprintf(x->told, sizeof(x->told), "%s", buf_cstr(why));
	log_warn("old objects are kept, since somebody needs them", "who", x->told,
			 "wanted", log_int(wanted), "until", log_int(until), "hint",
			 "merge into that target; of one that is no more: cdc-s3 expire "
			 "--forget ID",
			 NULL);
}

/* Asks for an entry that gives up what may be given up. */
static bool
give_up(Expirer *x, int64_t wanted)
{
	Pipe *p = x->p;
	int64_t until = wanted;
	Entry *last;
	Buf why;
	bool ok;

	if (wanted <= atomic_load(&p->expire_to))
		return true;
	if (!commitlog_read(x->store, atomic_load(&p->log_seq), &last, &x->err))
		return false;
	buf_init(&why, WHY_MAX);
	ok = expiry_hold(x->store, last, &until, &why, &x->err);
	if (ok)
		tell_held(x, wanted, until, &why);
	if (ok && until > atomic_load(&p->expire_to))
	{
		log_info("old objects are given up", "until", log_int(until), NULL);
		atomic_store(&p->expire_to, until);
		FAULT_POINT("expire_given_up");
	}
	buf_done(&why);
	entry_free(last);
	return ok;
}

/* ---- removing ---- */

static bool
remove_objects(Expirer *x, const Entry *e, int64_t *objects, int64_t *bytes)
{
	for (int i = 0; i < e->nobjects; i++)
	{
		if (is_over(x->p))
			return false;
		FAULT_POINT("expire_delete_before");
		if (!store_del(x->store, e->objects[i].key, &x->err))
			return false;
		FAULT_POINT("expire_delete_after");
		++*objects;
		*bytes += e->objects[i].bytes;
	}
	return true;
}

/* Of entries that the log says to be expired. */
static bool
remove_expired(Expirer *x)
{
	Pipe *p = x->p;
	int64_t from = atomic_load(&p->removed) + 1;
	int64_t to = atomic_load(&p->expired);
	int64_t done = from - 1;
	int64_t objects = 0;
	int64_t bytes = 0;
	LogFetch *f;
	bool ok;

	if (from > to || clock_mono_ms() < x->retry_at_ms)
		return true;
	if (!logfetch_open(&p->options->store, FETCH_JOBS, from, to, &f, &x->err))
		return false;
	for (ok = true; ok && done < to && !is_over(p);)
	{
		Entry *e;

		ok = logfetch_next(f, &e, &x->err);
		if (!ok)
			break;
		ok = remove_objects(x, e, &objects, &bytes);
		entry_free(e);
		done += ok;
	}
	logfetch_close(f);
	if (done >= from)
	{
		FAULT_POINT("expire_done");
		atomic_store(&p->removed, done);
		log_info("expired objects removed", "until", log_int(done), "objects",
				 log_int(objects), "bytes", log_int(bytes), NULL);
	}
	if (!ok)
		x->retry_at_ms = clock_mono_ms() + RETENTION_EVERY_MS;
	return ok || is_over(p);
}

/* ---- the thread ---- */

/* The furthest that somebody asks for; those that are done are taken away. */
static bool
look_at_requests(Expirer *x, int64_t *wanted)
{
	ExpiryRequests l;

	if (!expiry_requests(x->store, &l, &x->err))
		return false;
	for (int i = 0; i < l.n; i++)
	{
		const ExpiryRequest *r = &l.items[i];

		if (r->until < 0)
			log_warn("a request to expire objects is malformed", "id", r->id,
					 NULL);
		if (r->until > *wanted)
			*wanted = r->until;
		if ((r->until < 0 || r->until <= atomic_load(&x->p->removed_logged)) &&
			!expiry_request_remove(x->store, r->id, &x->err))
			warn(x, "could not take a request away");
	}
	expiry_requests_done(&l);
	return true;
}

static void
look(Expirer *x)
{
	int64_t wanted = 0;

	if (!look_at_requests(x, &wanted))
		warn(x, "could not look for requests to expire objects");
	if (!look_at_retention(x))
		warn(x, "could not look for objects that are past lake.retention");
	if (x->by_retention > wanted)
		wanted = x->by_retention;
	if (!give_up(x, wanted))
		warn(x, "could not tell who needs old objects");
	if (!remove_expired(x))
		warn(x, "could not remove expired objects");
}

static int64_t
look_every_ms(const Pipe *p)
{
	int64_t ms = atomic_load(&p->options->control->flush_interval_ms);

	return ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
}

void *
expire_main(void *arg)
{
	Expirer x = { .p = arg };

	beat_begin("expirer");
	if (!pipe_open_store(x.p, &x.store, &x.err))
		warn(&x, "could not look for objects to expire");
	else
	{
		while (wait_ms(x.p, look_every_ms(x.p)))
			look(&x);
	}
	store_close(x.store);
	beat_end();
	return NULL;
}
