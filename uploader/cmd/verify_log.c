/*-------------------------------------------------------------------------
 * verify_log.c
 *	  "verify" of the chain: entry by entry, from 0 on.
 *
 * The chain is read as a whole each time; only objects that were found right
 * before are not read again.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "cmd/verify.h"
#include "codec/key.h"
#include "store/logfetch.h"

#define NO_OUTPUT "-" /* no name */

/* What the next entry is held against. */
typedef struct Chain
{
	Verify *v;
	VerifyPool *pool;
	bool begun;
	char *system_identifier;
	char *database;
	char *slot;
	Lsn end;
	int64_t closed;
	int64_t swept;
	int64_t expired;
	int64_t removed;
} Chain;

static void
wrong(const Chain *c, const Entry *e, VerifyKind kind, const char *what)
{
	verify_report(c->v, kind, e->seq, "", "%s", what);
}

static void
check_source(const Chain *c, const Entry *e)
{
	if (strcmp(c->system_identifier, e->system_identifier) != 0 ||
		strcmp(c->database, e->database) != 0 || strcmp(c->slot, e->slot) != 0)
		wrong(c, e, VERIFY_CHAIN,
			  "it is of another server, database or slot than the one before");
}

/* An hour is closed once it is over, and stays closed. */
static void
check_times(const Chain *c, const Entry *e)
{
	if (e->closed_until < c->closed)
		wrong(c, e, VERIFY_HOUR, "hours are open that were closed before");
	if (e->closed_until > e->time)
		wrong(c, e, VERIFY_HOUR,
			  "it closes an hour that was not over when it was written");
	if (e->closed_until % US_PER_HOUR != 0)
		wrong(c, e, VERIFY_HOUR, "closed_until is no full hour");
	if (e->swept_until < c->swept || e->swept_until > e->closed_until)
		wrong(c, e, VERIFY_HOUR,
			  "swept_until went back, or is past closed_until");
	if (e->expired < c->expired || e->removed < c->removed)
		wrong(c, e, VERIFY_CHAIN, "what expired is there again");
}

static void
check_follows(Chain *c, const Entry *e)
{
	if (c->begun && e->prev_end != c->end)
		verify_report(c->v, VERIFY_CHAIN, e->seq, "",
					  "it begins at " LSN_FMT
					  ", the one before ends at " LSN_FMT,
					  LSN_ARGS(e->prev_end), LSN_ARGS(c->end));
	if (!c->begun)
	{
		c->system_identifier = xstrdup(e->system_identifier);
		c->database = xstrdup(e->database);
		c->slot = xstrdup(e->slot);
	}
	check_source(c, e);
	check_times(c, e);
	c->begun = true;
	c->end = e->end;
	c->closed = e->closed_until;
	c->swept = e->swept_until;
	c->expired = e->expired;
	c->removed = e->removed;
}

static VerifyKey *
add_key(Verify *v)
{
	if ((v->nkeys & (v->nkeys - 1)) == 0)
		v->keys = xrealloc(v->keys, (v->nkeys ? 2 * (size_t) v->nkeys : 64) *
										sizeof(*v->keys));
	return &v->keys[v->nkeys++];
}

static void
note_loads(Verify *v, const Entry *e)
{
	for (int i = 0; i < e->nloads; i++)
	{
		VerifyLoad *l;

		if (e->loads[i].state == LOAD_OPEN)
			continue;
		v->loads =
			xrealloc(v->loads, ((size_t) v->nloads + 1) * sizeof(*v->loads));
		l = &v->loads[v->nloads++];
		*l = (VerifyLoad){ .over = true };
		memcpy(l->id, e->loads[i].id,
			   strnlen(e->loads[i].id, sizeof(l->id) - 1));
	}
}

void
verify_choose(const Verify *v, Entry *e)
{
	/* before, an output of that name was another one */
	if (v->further)
		entry_choose_output(e, e->seq < v->since ? NO_OUTPUT : v->further);
}

/* read: the pool reads its objects. */
static void
note_keys(Verify *v, const Entry *e, bool read)
{
	int nlists = v->further ? 0 : e->nlists; /* those are the lake's */

	for (int i = 0; i < e->nobjects; i++)
		*add_key(v) =
			(VerifyKey){ .hash = fnv1a(FNV1A_EMPTY, e->objects[i].key),
						 .bytes = e->objects[i].bytes,
						 .seq = e->seq,
						 .number = i,
						 .read = read };
	for (int i = 0; i < nlists; i++)
		*add_key(v) = (VerifyKey){ .hash = fnv1a(FNV1A_EMPTY, e->lists[i].key),
								   .bytes = -1,
								   .seq = e->seq,
								   .number = -1,
								   .read = true };
	note_loads(v, e);
	pthread_mutex_lock(&v->lock);
	v->counts.entries++;
	v->counts.objects += e->nobjects;
	if (e->seq <= v->expired)
		v->counts.expired += e->nobjects;
	pthread_mutex_unlock(&v->lock);
}

static bool
other_lake(const Verify *v, Err *err)
{
	err_set(err, ERR_USAGE, 0,
			"the state in \"%s\" is of another lake: entry %" PRId64
			" is not the one that was verified",
			v->state_file, v->state_seq);
	return err_hint(err, "name another file with --state, or remove this one "
						 "to begin anew");
}

/* A state that is of another lake must not hide anything. */
static bool
check_state(const Verify *v, const Entry *e, Err *err)
{
	return e->seq != v->state_seq ||
		   (e->end == v->state_end &&
			strcmp(e->writer, v->state_writer) == 0) ||
		   other_lake(v, err);
}

/* Takes e. */
static bool
take_entry(Chain *c, Entry *e, Err *err)
{
	Verify *v = c->v;
	int64_t closed = c->closed;
	bool read = !v->sizes && e->seq > v->expired && e->seq > v->state_seq;

	if (!check_state(v, e, err))
	{
		entry_free(e);
		return false;
	}
	check_follows(c, e);
	verify_choose(v, e);
	note_keys(v, e, read);
	verify_progress(v, e->seq);
	if (read)
		return verify_pool_add(c->pool, e, closed, err);
	entry_free(e);
	return true;
}

/* An entry that cannot be read is told, and the next one is looked at. */
static bool
walk(Chain *c, LogFetch *f, Err *err)
{
	for (int64_t seq = 0; seq <= c->v->last && !verify_stopped(); seq++)
	{
		Entry *e;

		if (logfetch_next(f, &e, err))
		{
			if (!take_entry(c, e, err))
				return false;
			continue;
		}
		if (err->kind != ERR_NOT_FOUND && err->kind != ERR_GAP)
			return false;
		verify_report(c->v, VERIFY_CHAIN, seq, "", "%s", err->msg);
		c->begun = false; /* what follows it has nothing to follow */
		free(c->system_identifier);
		free(c->database);
		free(c->slot);
		c->system_identifier = c->database = c->slot = NULL;
	}
	return true;
}

/* The greatest number there is, be there holes before it. */
static bool
take_number(const StoreItem *item, void *arg)
{
	int64_t *last = arg;
	const char *p = item->key + strlen(KEY_LOG_PREFIX);
	char *end;
	long long n = strtoll(p, &end, 10);

	if (end == p + 20 && strcmp(end, ".json") == 0 && n > *last)
		*last = n;
	return true;
}

static bool
find_last(Verify *v, Err *err)
{
	Entry *e;

	v->last = -1;
	if (!store_list(v->store, KEY_LOG_PREFIX, take_number, &v->last, err))
		return false;
	if (v->last < 0)
	{
		err_set(err, ERR_USAGE, 0, "there is no log in store.url");
		return err_hint(err,
						"correct store.url, or begin with \"cdc-s3 init\"");
	}
	if (commitlog_read(v->store, v->last, &e, err))
	{
		v->expired = e->expired;
		entry_free(e);
		return true;
	}
	return err->kind == ERR_GAP || err->kind == ERR_NOT_FOUND; /* told later */
}

bool
verify_log(Verify *v, Err *err)
{
	Chain c = { .v = v };
	LogFetch *f = NULL;
	bool ok;

	if (!v->further && !find_last(v, err))
		return false;
	if (v->state_seq > v->last)
		return other_lake(v, err);
	if (!verify_pool_open(v, &c.pool, err))
		return false;
	ok = logfetch_open(v->log_options ? v->log_options : &v->options, v->jobs,
					   0, v->last, &f, err) &&
		 walk(&c, f, err);
	ok = verify_pool_close(c.pool, ok, err);
	logfetch_close(f);
	free(c.system_identifier);
	free(c.database);
	free(c.slot);
	return ok;
}
