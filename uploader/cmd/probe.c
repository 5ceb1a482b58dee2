/*-------------------------------------------------------------------------
 * probe.c
 *	  What a store promises is tried out.
 *
 * That a second conditional put is refused proves little: there are servers
 * that look first and write then, and let several win that come at once.
 * With those, two sidecars would both believe that an entry of the log is
 * theirs.  So they are raced, each thread on a connection of its own that
 * was opened before.
 *
 * Threads: probe_race starts its own and joins them.  They share the barrier,
 * and each owns its Racer while a round runs; between rounds the caller does.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/probe.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"

#define PROBE_PREFIX "_cdc/probe/"
#define KEY_SIZE 64
#define BIG_BYTES (1024 * 1024)
#define SMALL_BYTES 64

static void
new_key(char *key, size_t size)
{
	(void) snprintf(key, size, PROBE_PREFIX "%08" PRIx32 "%08" PRIx32,
					random_u32(), random_u32());
}

/* Deletes the key; an error that was there before is more important. */
static bool
probe_end(Store *store, const char *key, bool ok, Err *err)
{
	Err own;

	if (store_del(store, key, &own))
		return ok;
	if (ok)
	{
		*err = own;
		err_prefix(err, "could not delete");
	}
	return false;
}

static bool
not_conditional(Err *err)
{
	err_set(err, ERR_STORE, 0,
			"the store does not honour conditional puts: a key was written "
			"twice with If-None-Match");
	return err_hint(err, "use a store that does, as AWS S3, MinIO, Ceph or R2 "
						 "in a current release; else two sidecars could both "
						 "write the log");
}

bool
probe_conditional_put(Store *store, Err *err)
{
	char key[KEY_SIZE];
	Slice first = slice_cstr("first\n");
	Slice second = slice_cstr("second\n");
	bool ok;

	new_key(key, sizeof(key));
	ok = store_put(store, key, first, true, err);
	if (!ok)
		return err_prefix(err, "could not write below \"%s\"", PROBE_PREFIX);
	if (store_put(store, key, second, true, err))
		ok = not_conditional(err);
	else if (err->kind != ERR_EXISTS)
		ok = err_prefix(err, "could not put under a condition");
	return probe_end(store, key, ok, err);
}

typedef struct Seen
{
	const char *key;
	bool found;
} Seen;

static bool
see(const StoreItem *item, void *arg)
{
	Seen *seen = arg;

	seen->found = seen->found || strcmp(item->key, seen->key) == 0;
	return !seen->found;
}

static bool
compare_bytes(Store *store, const char *key, Slice body, Err *err)
{
	Buf b;
	bool ok;

	buf_init(&b, 2 * BIG_BYTES);
	ok = store_get(store, key, &b, err) || err_prefix(err, "could not read");
	if (ok && (b.n != body.n || memcmp(b.p, body.p, b.n) != 0))
		ok = err_set(err, ERR_STORE, 0,
					 "the store gave back other bytes than it got");
	buf_done(&b);
	return ok;
}

static bool
read_back(Store *store, const char *key, Slice body, Err *err)
{
	Seen seen = { .key = key };

	if (!compare_bytes(store, key, body, err))
		return false;
	if (!store_list(store, PROBE_PREFIX, see, &seen, err))
		return err_prefix(err, "could not list");
	return seen.found ||
		   err_set(err, ERR_STORE, 0,
				   "the store does not list an object just written");
}

bool
probe_round_trip(Store *store, Err *err)
{
	char key[KEY_SIZE];
	Slice body = slice_cstr("written by cdc-s3 check; may be deleted\n");
	int64_t bytes;
	bool ok;

	new_key(key, sizeof(key));
	if (!store_put(store, key, body, false, err))
		return err_prefix(err, "could not write");
	ok = read_back(store, key, body, err);
	if (!probe_end(store, key, ok, err))
		return false;
	if (store_head(store, key, &bytes, err))
		return err_set(err, ERR_STORE, 0,
					   "the store still has an object that was deleted");
	return err->kind == ERR_NOT_FOUND;
}

static bool
write_parts(Store *store, const char *key, Slice body, Err *err)
{
	StorePart part = { .bytes = (int64_t) body.n,
					   .crc32c = crc32c(0, body.p, body.n) };
	char *id = NULL;
	Err ignored;
	bool ok;

	if (!store->ops->begin(store, key, &id, err))
		return false;
	ok = store->ops->part(store, key, id, 0, body, &part, err) &&
		 store->ops->finish(store, key, id, &part, 1, err);
	if (!ok)
		(void) !store_abandon(store, key, id, &ignored);
	free(part.tag);
	free(id);
	return ok;
}

bool
probe_parts(Store *store, Err *err)
{
	char key[KEY_SIZE];
	Slice body = slice_cstr("written by cdc-s3 check; may be deleted\n");
	bool ok;

	new_key(key, sizeof(key));
	if (!write_parts(store, key, body, err))
		return err_prefix(err, "could not write in parts");
	ok = compare_bytes(store, key, body, err);
	return probe_end(store, key, ok, err);
}

static bool
ignore_upload(const StoreUpload *upload, void *arg)
{
	(void) upload, (void) arg; /* some servers list it a little later */
	return true;
}

bool
probe_leftovers(Store *store, Err *err)
{
	char key[KEY_SIZE];
	char *id = NULL;
	Err own;
	bool ok;

	new_key(key, sizeof(key));
	if (!store->ops->begin(store, key, &id, err))
		return err_prefix(err, "could not write in parts");
	ok = store_list_uploads(store, PROBE_PREFIX, ignore_upload, NULL, err);
	if (!store_abandon(store, key, id, &own) && ok)
	{
		*err = own;
		ok = false;
	}
	free(id);
	return ok;
}

/*
 * The race
 */
typedef struct Race
{
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int round;    /* under lock: racers run when it changes */
	int running;  /* under lock: racers that have not ended the round */
	bool over;    /* under lock */
	size_t bytes; /* of the body; fixed while a round runs, as the key is */
	char key[KEY_SIZE];
} Race;

typedef struct Racer
{
	Race *race;
	Store *store;
	uint8_t *body;
	bool won;
	Err err; /* ERR_NONE where it won or lost in good order */
	pthread_t thread;
} Racer;

/* Waits for a round behind "seen"; false when there will be none. */
static bool
next_round(Race *race, int *seen)
{
	bool more;

	pthread_mutex_lock(&race->lock);
	while (race->round == *seen && !race->over)
		pthread_cond_wait(&race->changed, &race->lock);
	more = !race->over;
	*seen = race->round;
	pthread_mutex_unlock(&race->lock);
	return more;
}

static void
end_round(Race *race)
{
	pthread_mutex_lock(&race->lock);
	if (--race->running == 0)
		pthread_cond_broadcast(&race->changed);
	pthread_mutex_unlock(&race->lock);
}

static void *
racer_main(void *arg)
{
	Racer *r = arg;
	Race *race = r->race;
	int seen = 0;

	while (next_round(race, &seen))
	{
		r->err = (Err){ .kind = ERR_NONE };
		r->won = store_put(r->store, race->key, (Slice){ r->body, race->bytes },
						   true, &r->err);
		if (!r->won && r->err.kind == ERR_EXISTS)
			r->err.kind = ERR_NONE;
		end_round(race);
	}
	return NULL;
}

/* Lets all run once and waits for the last. */
static void
run_round(Race *race)
{
	pthread_mutex_lock(&race->lock);
	race->round++;
	race->running = PROBE_RACERS;
	pthread_cond_broadcast(&race->changed);
	while (race->running > 0)
		pthread_cond_wait(&race->changed, &race->lock);
	pthread_mutex_unlock(&race->lock);
}

static void
end_race(Race *race, Racer *racers, int started)
{
	pthread_mutex_lock(&race->lock);
	race->over = true;
	pthread_cond_broadcast(&race->changed);
	pthread_mutex_unlock(&race->lock);
	for (int i = 0; i < started; i++)
		(void) pthread_join(racers[i].thread, NULL);
}

/* The bytes that are there are the winner's; all of a body is its number. */
static bool
check_winner(const Racer *racers, const Race *race, int winner, Err *err)
{
	Buf b;
	bool ok;

	buf_init(&b, 2 * BIG_BYTES);
	ok = store_get(racers[0].store, race->key, &b, err) ||
		 err_prefix(err, "could not read the winner's object");
	if (ok && (b.n != race->bytes ||
			   (winner >= 0 && memcmp(b.p, racers[winner].body, b.n) != 0)))
		ok = err_set(err, ERR_STORE, 0,
					 "the store holds other bytes than those of the one "
					 "conditional put it confirmed");
	buf_done(&b);
	return ok;
}

static bool
check_round(const Racer *racers, const Race *race, Err *err)
{
	int winners = 0;
	int winner = -1;

	for (int i = 0; i < PROBE_RACERS; i++)
	{
		if (racers[i].err.kind != ERR_NONE)
		{
			*err = racers[i].err;
			return err_prefix(err, "could not put under a condition");
		}
		if (racers[i].won)
		{
			winners++;
			winner = i;
		}
	}
	/* none: the winner's answer was lost and its second try was refused */
	if (winners <= 1)
		return check_winner(racers, race, winner, err);
	err_set(err, ERR_STORE, 0,
			"the store's conditional put is not atomic: %d of %d that came at "
			"once for one key of %zu bytes won",
			winners, PROBE_RACERS, race->bytes);
	return err_hint(err, "use a store whose If-None-Match has one winner, as "
						 "AWS S3; else two sidecars could both write the log");
}

static bool
run_rounds(Racer *racers, Race *race, int rounds, Err *err)
{
	bool ok = true;

	for (int i = 0; ok && i < rounds; i++)
	{
		/* every third body is large: such puts are written in other ways */
		race->bytes = i % 3 == 2 ? BIG_BYTES : SMALL_BYTES;
		new_key(race->key, sizeof(race->key));
		run_round(race);
		ok = check_round(racers, race, err);
		ok = probe_end(racers[0].store, race->key, ok, err);
	}
	return ok;
}

bool
probe_race(ProbeOpenFn open, void *arg, int rounds, Err *err)
{
	Racer racers[PROBE_RACERS] = { 0 };
	Race race = { .lock = PTHREAD_MUTEX_INITIALIZER,
				  .changed = PTHREAD_COND_INITIALIZER };
	int started = 0;
	bool ok = true;

	for (int i = 0; ok && i < PROBE_RACERS; i++)
	{
		racers[i].race = &race;
		racers[i].body = xmalloc(BIG_BYTES);
		memset(racers[i].body, 'a' + i, BIG_BYTES);
		ok = open(arg, &racers[i].store, err);
	}
	while (ok && started < PROBE_RACERS)
	{
		Racer *r = &racers[started];

		if (pthread_create(&r->thread, NULL, racer_main, r) != 0)
			ok = err_set(err, ERR_INTERNAL, 0, "could not start a thread");
		else
			started++;
	}
	ok = ok && run_rounds(racers, &race, rounds, err);
	end_race(&race, racers, started);
	for (int i = 0; i < PROBE_RACERS; i++)
	{
		store_close(racers[i].store);
		free(racers[i].body);
	}
	return ok;
}

static bool
open_another(void *arg, Store **out, Err *err)
{
	return store_open(arg, out, err);
}

bool
probe_one_writer(Store *store, StoreOptions *options, Err *err)
{
	return probe_conditional_put(store, err) &&
		   probe_race(open_another, options, PROBE_ROUNDS, err);
}
