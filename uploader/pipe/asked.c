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
 * (4) One that no person made is served only where the log has no load behind
 *	   what it is about, and load.daily_max is not reached.  Where it cannot be
 *	   served it stays, so that it is not made again and again: until the day is
 *	   over, or the next session.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/asked.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"
#include "io/pgconn.h"
#include "pipe/describe.h"
#include "pipe/later.h"
#include "pipe/output.h"
#include "store/loadlog.h"

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

/* ---- what is to become of a request ---- */

typedef enum Verdict
{
	DUE,     /* to be served */
	OVER,    /* it was, or a load that is enough is there */
	TOO_OFT, /* load.daily_max is reached */
	LEFT     /* to be left alone: a person has to do it */
} Verdict;

typedef struct Judge
{
	Pipe *p;
	Store *store;
	const Entry *last; /* the end of the log */
	bool counted;
	LoadCounts counts;
} Judge;

typedef struct Served
{
	const Request *r;
	int64_t after;
	bool served;
} Served;

static bool
is_of(const Request *r, const EntryLoad *l)
{
	return strncmp(l->id, r->id, REQUEST_ID_LEN) == 0 ||
		   (r->reason && l->state == LOAD_DONE && l->lsn >= r->lsn &&
			pattern_list_matches(r->tables, l->schema, l->table));
}

static bool
look_for_loads(const Entry *e, void *arg)
{
	Served *s = arg;

	for (int i = 0; e->seq > s->after && i < e->nloads; i++)
		s->served |= is_of(s->r, &e->loads[i]);
	return !s->served;
}

static bool
too_often(Judge *j, const Request *r, bool *out, Err *err)
{
	*out = false;
	if (!j->counted &&
		!loadlog_count(j->store, j->last, clock_unix_us(), &j->counts, err))
		return false;
	j->counted = true;
	for (int i = 0; i < j->counts.n; i++)
	{
		const LoadCount *c = &j->counts.items[i];

		*out |= c->n >= j->p->options->daily_max &&
				pattern_list_matches(r->tables, c->schema, c->table);
	}
	return true;
}

static bool
judge(Judge *j, Request *r, Verdict *out, Err *err)
{
	Served s = { .r = r, .after = r->after > r->judged ? r->after : r->judged };
	bool often = false;

	*out = DUE;
	if (!r->tables)
		return true;
	if (!loadlog_walk(j->store, j->last, s.after + 1, look_for_loads, &s, err))
		return false;
	r->judged = j->last->seq;
	if (r->reason && !s.served && !too_often(j, r, &often, err))
		return false;
	if (s.served)
		*out = OVER;
	else if (r->reason && !j->p->by_itself)
		*out = LEFT;
	else if (often)
		*out = TOO_OFT;
	return true;
}

/* It stays in the lake, and is told once. */
static void
leave(Request *r, Verdict v)
{
	r->stays = true;
	r->too_often = v == TOO_OFT;
	if (v == TOO_OFT)
		log_warn("a table was loaded so often today that it is not loaded "
				 "again by itself",
				 "table", r->tables, "reason", r->reason, "hint",
				 "see what rewrites it; cdc-s3 snapshot loads it all the "
				 "same, load.daily_max is the limit",
				 NULL);
	else
		log_warn("a table is to be loaded, and a person has to ask for it",
				 "table", r->tables, "reason", r->reason, "hint",
				 "cdc-s3 snapshot loads it; by itself that is done where "
				 "load.resync is auto and load.mode was initial from the "
				 "start",
				 NULL);
}

/* ---- the plan ---- */

/* Is it one of the first n loads? */
static bool
is_planned(const Pipe *p, int n, const WantedTable *t)
{
	for (int i = 0; i < n; i++)
	{
		const EntryLoad *l = &p->loads->loads[i];

		if (l->state == LOAD_OPEN && strcmp(l->schema, t->schema) == 0 &&
			strcmp(l->table, t->table) == 0)
			return true;
	}
	return false;
}

static void
add_load(Pipe *p, const char *request, const WantedTable *t, const char *reason,
		 Lsn resync)
{
	EntryLoad *l = entry_add_load(p->loads);
	char id[LOAD_ID_LEN + 1];

	load_id_new(request, id);
	entry_set(&l->id, id);
	entry_set(&l->schema, t->schema);
	entry_set(&l->table, t->table);
	entry_set(&l->reason, reason);
	l->resync = resync;
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
		if (is_planned(p, p->loads->nloads, t))
			continue;
		add_load(p, r->id, t, NULL, 0);
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

/* The same of one that no person made: a load must not end the stream. */
static bool
plan_need(Pipe *p, PGconn *control, Request *r, const WantedList *wanted,
		  Err *err)
{
	const WantedTable *t = NULL;
	WantedFact fact = { 0 };

	for (int i = 0; !t && i < wanted->n; i++)
	{
		if (pattern_list_matches(r->tables, wanted->tables[i].schema,
								 wanted->tables[i].table))
			t = &wanted->tables[i];
	}
	if (t)
	{
		const WantedList one = { 1, (WantedTable *) t };

		if (!wanted_facts(control, p->options->slot, &one, &fact, err))
			return false;
	}
	r->stays = !fact.readable;
	if (!t)
		log_warn("no table that is wanted is of the load request", "id", r->id,
				 "tables", r->tables, "reason", r->reason, NULL);
	else if (!fact.readable)
		log_warn("a table is to be loaded, and the role may not read it", "id",
				 r->id, "tables", r->tables, "reason", r->reason, "hint",
				 WANTED_UNREADABLE, NULL);
	else if (!is_planned(p, p->loads->nloads, t))
	{
		add_load(p, r->id, t, r->reason, r->lsn);
		log_info("a table is loaded anew", "id", r->id, "table", r->tables,
				 "reason", r->reason, NULL);
	}
	return true;
}

static bool
plan_requests(Pipe *p, Store *store, PGconn *control, const WantedList *wanted,
			  Err *err)
{
	Judge j = { .p = p, .store = store, .last = p->start };
	bool ok = true;

	for (int i = 0; ok && i < p->asked.n; i++)
	{
		Request *r = &p->asked.items[i];
		Verdict v;

		ok = judge(&j, r, &v, err);
		if (!ok || v == OVER)
			continue;
		if (v != DUE)
			leave(r, v);
		else if (r->reason)
			ok = plan_need(p, control, r, wanted, err);
		else
			plan_request(p, r, wanted);
	}
	load_counts_done(&j.counts);
	return ok;
}

/* load.mode=never: what was there before is not wanted. */
static bool
may_by_itself(const Pipe *p, Store *store)
{
	Entry *first;
	Err err;
	bool never;

	if (!p->options->resync_auto || !p->options->load_initial)
		return false;
	if (!commitlog_read(store, 0, &first, &err))
	{
		warn("could not read the log's first entry", &err);
		return false;
	}
	never = first->loaded;
	entry_free(first);
	return !never;
}

/* Tables that became wanted since the first loads, as far as is known now. */
static bool
plan_later(Pipe *p, Store *store, PGconn *control, Err *err)
{
	WantedList later;
	int planned = p->loads->nloads;
	bool ok;

	p->by_itself = may_by_itself(p, store);
	p->reloads = atomic_load(&p->options->control->reloads);
	if (!p->by_itself || !p->start->loaded)
		return true;
	ok = later_look(p, store, control, &later, err);
	if (!ok && err->kind != ERR_SOURCE && err->kind != ERR_STOP)
	{
		warn("could not look for tables that are wanted later", err);
		ok = true; /* as with requests: it holds no stream up */
	}
	for (int i = 0; ok && i < later.n; i++)
	{
		const WantedTable *t = &later.tables[i];

		if (is_planned(p, planned, t)) /* they differ from each other */
			continue;
		add_load(p, NULL, t, "new", 0);
		log_info("a table is wanted that was never loaded", "schema", t->schema,
				 "table", t->table, NULL);
	}
	wanted_done(&later);
	return ok;
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
	ok = plan_later(p, store, control, err) &&
		 (p->asked.n == 0 ||
		  (wanted_read(control, p->options, NULL, NULL, &wanted, err) &&
		   plan_requests(p, store, control, &wanted, err)));
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
	beat_waits();
	pthread_mutex_lock(&p->lock);
	for (; ms > 0 && !is_over(p); ms -= LOOK_MIN_MS)
		(void) cond_wait_ms(&p->changed, &p->lock,
							ms < LOOK_MIN_MS ? ms : LOOK_MIN_MS);
	pthread_mutex_unlock(&p->lock);
	beat_works();
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

/* One that is gone may come again, and is a new one then. */
static void
take_away(Pipe *p, Store *store)
{
	RequestList *l = &p->asked;
	int kept = 0;

	for (int i = 0; i < l->n; i++)
	{
		Err err;
		bool gone = !l->items[i].stays;

		if (gone)
			FAULT_POINT("request_served");
		if (gone && !request_remove(store, l->items[i].id, &err))
		{
			warn("could not take a load request away", &err);
			gone = false;
		}
		if (gone)
			request_done(&l->items[i]);
		else
			l->items[kept++] = l->items[i];
	}
	l->n = kept;
}

/*
 * One that is new, or that was left alone: is it to be served by a session?
 * Only of those that were loaded too often the answer changes by itself.
 */
static bool
look_at(Judge *j, Request *r, bool *due, bool *gone, Err *err)
{
	bool left = r->stays && !r->too_often;
	Verdict v;

	if (!judge(j, r, &v, err))
		return false;
	*due |= v == DUE && !left;
	*gone = v == OVER && request_remove(j->store, r->id, err);
	if (v == OVER && !*gone)
		warn("could not take a load request away", err);
	else if (v != OVER && v != DUE && !r->stays)
		leave(r, v);
	return true;
}

static Request *
asked_for(const Pipe *p, const char *id)
{
	for (int i = 0; i < p->asked.n; i++)
	{
		if (strcmp(p->asked.items[i].id, id) == 0)
			return &p->asked.items[i];
	}
	return NULL;
}

static void
remember(Request *r, const Request *known)
{
	r->stays = known->stays;
	r->too_often = known->too_often;
	r->judged = known->judged;
}

/* now: the requests that are there; those that are not over are kept. */
static bool
look_at_all(Pipe *p, Store *store, RequestList *now, bool *due, Err *err)
{
	Judge j = { .p = p, .store = store };
	Entry *last = NULL;
	int kept = 0;
	bool ok = true;

	for (int i = 0; i < now->n; i++)
	{
		Request *r = &now->items[i];
		const Request *known = asked_for(p, r->id);
		bool gone = false;

		if (known)
			remember(r, known);
		if (ok && (!known || known->stays))
		{
			ok = last ||
				 commitlog_read(store, atomic_load(&p->log_seq), &last, err);
			j.last = last;
			ok = ok && look_at(&j, r, due, &gone, err);
		}
		if (gone)
			request_done(r);
		else
			now->items[kept++] = *r;
	}
	now->n = kept;
	load_counts_done(&j.counts);
	entry_free(last);
	return ok;
}

/* Does a session have to begin for a request? */
static bool
look(Pipe *p, Store *store, bool *warned)
{
	RequestList now;
	Err err;
	bool due = false;

	if (request_list(store, &now, &err) &&
		look_at_all(p, store, &now, &due, &err))
	{
		RequestList before = p->asked;

		p->asked = now;
		now = before;
		*warned = false;
	}
	else if (!*warned)
	{
		warn("could not look for load requests", &err);
		*warned = true;
	}
	request_list_done(&now);
	return due;
}

/* The configuration was read anew: a publication may have more tables now. */
static bool
look_later(Pipe *p, Store *store)
{
	unsigned reloads = atomic_load(&p->options->control->reloads);
	WantedList later = { 0 };
	PgWait wait = pipe_pg_wait(p);
	PGconn *conn = NULL;
	Err err;
	bool found = false;

	if (!p->by_itself || reloads == p->reloads)
		return false;
	p->reloads = reloads;
	if (!pg_connect_wait(p->options->conninfo, PG_SOURCE, &wait, &conn, &err) ||
		!later_look(p, store, conn, &later, &err))
		warn("could not look for tables that are wanted later", &err);
	else
		found = later.n > 0;
	wanted_done(&later);
	PQfinish(conn);
	return found;
}

/* Is there work for a session that begins now? */
static bool
is_renewal_due(Pipe *p, Store *store, bool *warned)
{
	Err err;

	/* A load that is done and not in the log yet would be asked for again. */
	if (atomic_load(&p->loads_active) > 0 ||
		atomic_load(&p->log_seq) < atomic_load(&p->loads_seq))
		return false;
	if (look_later(p, store))
	{
		log_info("a table is wanted that was never loaded: a new session "
				 "begins",
				 NULL);
		return true;
	}
	if (!later_settle(p, store, &err))
		warn("could not ask for tables that are wanted later", &err);
	if (outputs_are_filled(p, store))
	{
		log_info("an output was filled: a new session begins", NULL);
		return true;
	}
	if (!look(p, store, warned))
		return false;
	log_info("a load was asked for: a new session begins", NULL);
	return true;
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

	beat_begin("request watcher");
	if (!pipe_open_store(p, &store, &err))
		warn("could not look for load requests", &err);
	else if (wait_announced(p))
	{
		take_away(p, store);
		outputs_take_away(p, store);
		while (wait_ms(p, look_every_ms(p)))
		{
			if (!is_renewal_due(p, store, &warned))
				continue;
			atomic_store(&p->renew, true);
			pipe_wake(p);
			break;
		}
	}
	store_close(store);
	beat_end();
	return NULL;
}
