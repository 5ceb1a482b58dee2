/*-------------------------------------------------------------------------
 * store_retry.c
 *	  Tries calls of any store again, with full jitter, for a stated time.
 *
 * Invariants:
 *	(1) Only kinds that err_is_retryable() names are tried again.
 *	(2) The error that is returned holds the first cause, since later ones
 *		are often its echo, and how many tries there were.
 *	(3) *stop ends the waiting within STOP_STEP_MS.
 *	(4) fn of a listing sees a key once: a page is repeated only where its
 *		call failed before fn was called.
 *	(5) A begin that was tried again leaves one upload.
 *
 * Ownership: owns the inner store.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seen.h"
#include "base/stats.h"
#include "store/store.h"

#define BASE_MS 100
#define CAP_MS 20000
#define STOP_STEP_MS 100

typedef struct RetryStore
{
	Store base;
	StoreOps ops; /* ours, with the name of what is wrapped */
	Store *inner;
	StoreOptions o; /* its strings are not ours any more */
} RetryStore;

/* One call in its tries. */
typedef struct Tries
{
	const RetryStore *s;
	const char *what;
	const char *key;
	bool writes; /* bytes of an object */
	bool stores; /* it, or what is needed for it */
	int64_t start_ms;
	int64_t try_ms; /* when this try began */
	int n;          /* tries so far */
	Err first;
} Tries;

static Tries
tries_begin(Store *s, const char *what, const char *key)
{
	int64_t now_ms = clock_mono_ms();

	beat_waits(); /* for others, until the call is over */
	return (Tries){ .s = (const RetryStore *) s,
					.what = what,
					.key = key,
					.start_ms = now_ms,
					.try_ms = now_ms };
}

/* The same of a call without which nothing is stored. */
static Tries
store_begin(Store *s, const char *what, const char *key)
{
	Tries t = tries_begin(s, what, key);

	t.stores = true;
	return t;
}

static bool
stopped(const RetryStore *s)
{
	return s->o.stop && atomic_load(s->o.stop);
}

/* Waits before the next try; false where *stop was set. */
static bool
wait_ms(const RetryStore *s, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!stopped(s))
	{
		int64_t left = until - clock_mono_ms();

		if (left <= 0)
			return true;
		clock_sleep_ms(left < STOP_STEP_MS ? left : STOP_STEP_MS);
	}
	return false;
}

static bool
give_up(const Tries *t, ErrKind kind, Err *err)
{
	beat_works();
	*err = t->first;
	err->kind = kind;
	if (kind == ERR_STOP)
		return err_prefix(err, "stopped while trying again");
	if (t->n > 1)
		return err_prefix(err, "gave up after %d tries in %" PRId64 " ms", t->n,
						  clock_mono_ms() - t->start_ms);
	return false;
}

/* Not an answer that who called asked for. */
static bool
is_failure(ErrKind kind)
{
	return kind != ERR_EXISTS && kind != ERR_NOT_FOUND && kind != ERR_STOP;
}

/* That others can be made does not help whoever cannot store. */
static void
tell_failure(const Tries *t)
{
	StatsOutput *o = t->s->o.stats;

	if (!o)
		return;
	count_add(&o->errors, 1);
	if (t->stores && count_get(&o->failing_us) == 0)
		count_set(&o->failing_us, clock_unix_us());
}

/*
 * Called after a failed try.  True: try again.  False: err is what the
 * caller is to see.
 */
static bool
again(Tries *t, Err *err)
{
	int64_t elapsed = clock_mono_ms() - t->start_ms;
	int64_t wait;

	bool may_pass = err_is_retryable(err->kind);
	bool in_time = t->s->o.retry_ms > 0 && elapsed < t->s->o.retry_ms;

	t->n++;
	if (t->n == 1)
		t->first = *err;
	if (is_failure(err->kind))
	{
		seen_failure(t->what, err, may_pass && in_time);
		tell_failure(t);
	}
	if (!may_pass)
	{
		beat_works();
		return false;
	}
	if (!in_time)
		return give_up(t, t->first.kind, err);
	wait = backoff_ms(t->n, BASE_MS, CAP_MS);
	if (wait > t->s->o.retry_ms - elapsed)
		wait = t->s->o.retry_ms - elapsed; /* one last try at the end */
	if (t->n == 1 && t->s->o.on_outage)
		t->s->o.on_outage(t->s->o.outage_arg, t->what, err);
	log_debug("store call failed, trying again", "call", t->what, "object",
			  t->key, "attempt", log_int(t->n), "wait_ms", log_int(wait),
			  "error", err->msg, NULL);
	if (!wait_ms(t->s, wait))
		return give_up(t, ERR_STOP, err);
	t->try_ms = clock_mono_ms();
	return true;
}

/* The call worked. */
static bool
done(const Tries *t)
{
	beat_works();
	if (t->stores && t->s->o.stats)
		count_set(&t->s->o.stats->failing_us, 0);
	if (t->writes)
	{
		histogram_add(&stats.put, (clock_mono_ms() - t->try_ms) * 1000, 1);
		stats_moved();
	}
	if (t->n > 0 && t->s->o.on_outage)
		t->s->o.on_outage(t->s->o.outage_arg, t->what, NULL);
	return true;
}

static bool
retry_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = store_begin(s, "put", key);

	t.writes = true;
	do
		if (store_put(inner, key, body, only_if_absent, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_get(Store *s, const char *key, Buf *out, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "get", key);

	do
		if (store_get(inner, key, out, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "head", key);

	do
		if (store_head(inner, key, out_bytes, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		   Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "list", prefix);

	do
		if (inner->ops->list(inner, prefix, cursor, fn, arg, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_list_after(Store *s, const char *prefix, const char *after, Buf *cursor,
				 StoreListFn fn, void *arg, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "list", prefix);

	if (!inner->ops->list_after)
		return retry_list(s, prefix, cursor, fn, arg, err);
	do
		if (inner->ops->list_after(inner, prefix, after, cursor, fn, arg, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_del(Store *s, const char *key, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "delete", key);

	do
		if (store_del(inner, key, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

/* What an upload is told from when it is no stray. */
typedef struct Begun
{
	Store *inner;
	const char *key;
	const char *id;
} Begun;

static bool
abandon_stray(const StoreUpload *u, void *arg)
{
	const Begun *b = arg;
	Err err;

	/* Where this fails the sweep of old uploads finds it. */
	if (strcmp(u->key, b->key) == 0 && strcmp(u->id, b->id) != 0)
		(void) !store_abandon(b->inner, u->key, u->id, &err);
	return true;
}

/*
 * A try whose answer was lost may have begun an upload of which nobody knows
 * the id.
 */
static void
abandon_strays(Store *inner, const char *key, const char *id)
{
	Begun b = { inner, key, id };
	Err err;

	(void) !store_list_uploads(inner, key, abandon_stray, &b, &err);
}

static bool
retry_begin(Store *s, const char *key, char **out_id, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = store_begin(s, "begin upload", key);

	do
		if (inner->ops->begin(inner, key, out_id, err))
		{
			if (t.n > 0)
				abandon_strays(inner, key, *out_id);
			return done(&t);
		}
	while (again(&t, err));
	return false;
}

static bool
retry_part(Store *s, const char *key, const char *id, int n, Slice body,
		   StorePart *part, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = store_begin(s, "put part", key);

	t.writes = true;
	do
		if (inner->ops->part(inner, key, id, n, body, part, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_finish(Store *s, const char *key, const char *id, const StorePart *parts,
			 int nparts, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = store_begin(s, "finish upload", key);

	do
		if (inner->ops->finish(inner, key, id, parts, nparts, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_abandon(Store *s, const char *key, const char *id, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "abandon upload", key);

	do
		if (inner->ops->abandon(inner, key, id, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_list_uploads(Store *s, const char *key, Buf *cursor, StoreUploadFn fn,
				   void *arg, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "list uploads", key);

	do
		if (inner->ops->list_uploads(inner, key, cursor, fn, arg, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_rules(Store *s, Buf *out, Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "read the lifecycle rules of", "");
	size_t n = out->n;

	do
	{
		out->n = n;
		if (store_rules(inner, out, err))
			return done(&t);
	} while (again(&t, err));
	return false;
}

static bool
retry_count_parts(Store *s, const char *key, const char *id, int *out_n,
				  Err *err)
{
	Store *inner = ((RetryStore *) s)->inner;
	Tries t = tries_begin(s, "list parts", key);

	do
		if (inner->ops->count_parts(inner, key, id, out_n, err))
			return done(&t);
	while (again(&t, err));
	return false;
}

static bool
retry_about(Store *s, StoreAbout *out)
{
	return store_about(((RetryStore *) s)->inner, out);
}

static void
retry_close(Store *s)
{
	store_close(((RetryStore *) s)->inner);
	free(s);
}

Store *
store_retry_new(Store *inner, const StoreOptions *options)
{
	RetryStore *s = xcalloc(1, sizeof(*s));

	s->ops = (StoreOps){ .name = inner->ops->name,
						 .part_min = inner->ops->part_min,
						 .notes = inner->ops->notes,
						 .put = retry_put,
						 .get = retry_get,
						 .head = retry_head,
						 .list = retry_list,
						 .list_after = retry_list_after,
						 .del = retry_del,
						 .begin = retry_begin,
						 .part = retry_part,
						 .finish = retry_finish,
						 .abandon = retry_abandon,
						 .list_uploads = retry_list_uploads,
						 .rules = inner->ops->rules ? retry_rules : NULL,
						 .count_parts =
							 inner->ops->count_parts ? retry_count_parts : NULL,
						 .about = retry_about,
						 .close = retry_close };
	s->base.ops = &s->ops;
	s->inner = inner;
	s->o = *options;
	return &s->base;
}
