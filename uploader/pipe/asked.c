/*-------------------------------------------------------------------------
 * asked.c
 *	  Loads that somebody asked for.
 *
 * (1) A load's id begins with that of the request it comes from.  So where a
 *	   request was served and could not be taken away, the log tells, and it is
 *	   not served again.
 * (2) A table is loaded once, however often it is asked for: one that this
 *	   session loads anyway is not added.
 * (3) The session ends for a request only where it was not there when the
 *	   session began: what cannot be taken away ends none.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/asked.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"
#include "pipe/describe.h"
#include "store/commitlog.h"

#define LOOK_MIN_MS 1000
#define LOOK_MAX_MS 30000

static_assert(REQUEST_ID_LEN < LOAD_ID_LEN, "a load's id has room for more");

/* A request is never worth more than a warning. */
static void
warn(const char *what, const Err *err)
{
	log_event(LOG_WARN, what, "error", err->msg, "hint",
			  err->hint[0] ? err->hint : NULL, NULL);
}

/* ---- the plan ---- */

/* Does the log have loads of this request? */
static bool
was_served(Pipe *p, Store *store, const Request *r, bool *served, Err *err)
{
	*served = false;
	for (int64_t seq = r->after + 1; !*served && seq <= p->start->seq; seq++)
	{
		Entry *e;

		if (!commitlog_read(store, seq, &e, err))
			return false;
		for (int i = 0; i < e->nloads; i++)
			*served |= strncmp(e->loads[i].id, r->id, REQUEST_ID_LEN) == 0;
		entry_free(e);
	}
	return true;
}

static bool
is_planned(const Pipe *p, const WantedTable *t)
{
	for (int i = 0; i < p->loads->nloads; i++)
	{
		const EntryLoad *l = &p->loads->loads[i];

		if (l->state == LOAD_OPEN && strcmp(l->schema, t->schema) == 0 &&
			strcmp(l->table, t->table) == 0)
			return true;
	}
	return false;
}

static void
add_load(Pipe *p, const Request *r, const WantedTable *t)
{
	EntryLoad *l = entry_add_load(p->loads);
	char id[LOAD_ID_LEN + 1];

	load_id_new(id);
	memcpy(id, r->id, REQUEST_ID_LEN);
	entry_set(&l->id, id);
	entry_set(&l->schema, t->schema);
	entry_set(&l->table, t->table);
	l->state = LOAD_OPEN;
}

/* What is asked for and wanted. */
static void
plan_request(Pipe *p, const Request *r, const WantedList *wanted)
{
	int matched = 0;
	int added = 0;

	for (int i = 0; r->tables && i < wanted->n; i++)
	{
		const WantedTable *t = &wanted->tables[i];

		if (!pattern_list_matches(r->tables, t->schema, t->table))
			continue;
		matched++;
		if (is_planned(p, t))
			continue;
		add_load(p, r, t);
		added++;
	}
	if (!r->tables)
		log_warn("a load request is malformed and is not served", "id", r->id,
				 NULL);
	else if (matched == 0)
		log_warn("no table that is wanted is of the load request", "id", r->id,
				 "tables", r->tables, NULL);
	else
		log_info("loads were asked for", "id", r->id, "tables", r->tables,
				 "loads", log_int(added), NULL);
}

bool
asked_plan(Pipe *p, Store *store, PGconn *control, Err *err)
{
	WantedList wanted = { 0 };
	bool ok;

	/* That nobody can ask holds no stream up; the watcher looks again. */
	if (!request_list(store, &p->asked, err))
	{
		warn("could not look for load requests", err);
		request_list_done(&p->asked);
	}
	ok = p->asked.n == 0 ||
		 wanted_read(control, p->options, NULL, NULL, &wanted, err);

	for (int i = 0; ok && i < p->asked.n; i++)
	{
		bool served;

		ok = was_served(p, store, &p->asked.items[i], &served, err);
		if (ok && !served)
			plan_request(p, &p->asked.items[i], &wanted);
	}
	wanted_done(&wanted);
	return ok;
}

/* ---- the watcher ---- */

static bool
is_over(const Pipe *p)
{
	return atomic_load(&p->stop) || atomic_load(&p->ending) ||
		   atomic_load(&p->options->control->stop);
}

/* So long, or until it is over: then false. */
static bool
wait_ms(Pipe *p, int64_t ms)
{
	pthread_mutex_lock(&p->lock);
	for (; ms > 0 && !is_over(p); ms -= LOOK_MIN_MS)
		(void) cond_wait_ms(&p->changed, &p->lock,
							ms < LOOK_MIN_MS ? ms : LOOK_MIN_MS);
	pthread_mutex_unlock(&p->lock);
	return !is_over(p);
}

/* The session's first entry, which announces the loads, is in the log. */
static bool
wait_announced(Pipe *p)
{
	while (p->loads->nloads > 0 && atomic_load(&p->log_seq) <= p->start->seq)
	{
		if (!wait_ms(p, LOOK_MIN_MS))
			return false;
	}
	return !is_over(p);
}

static void
take_away(Pipe *p, Store *store)
{
	for (int i = 0; i < p->asked.n; i++)
	{
		Err err;

		if (!request_remove(store, p->asked.items[i].id, &err))
			warn("could not take a load request away", &err);
	}
}

/* Is there one that the session did not begin with? */
static bool
look(Pipe *p, Store *store, bool *warned)
{
	RequestList now;
	Err err;
	bool found = false;

	if (request_list(store, &now, &err))
		*warned = false;
	else if (!*warned)
	{
		warn("could not look for load requests", &err);
		*warned = true;
	}
	for (int i = 0; i < now.n; i++)
		found |= !request_is_in(&p->asked, now.items[i].id);
	request_list_done(&now);
	return found;
}

static int64_t
look_every_ms(const Pipe *p)
{
	int64_t ms = atomic_load(&p->options->control->flush_interval_ms);

	return ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
}

void *
asked_main(void *arg)
{
	Pipe *p = arg;
	Store *store = NULL;
	bool warned = false;
	Err err;

	if (!pipe_open_store(p, &store, &err))
	{
		warn("could not look for load requests", &err);
		return NULL;
	}
	if (wait_announced(p))
	{
		take_away(p, store);
		while (wait_ms(p, look_every_ms(p)))
		{
			if (atomic_load(&p->loads_active) > 0 || !look(p, store, &warned))
				continue;
			log_info("a load was asked for: a new session begins", NULL);
			atomic_store(&p->renew, true);
			pipe_wake(p);
			break;
		}
	}
	store_close(store);
	return NULL;
}
