/*-------------------------------------------------------------------------
 * merge_range.c
 *	  Which entries a merge applies.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_range.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "merge/merge_logread.h"
#include "merge/merge_tables.h"

/* A range with more objects is cut behind the next entry that may end it. */
#define RANGE_MAX_OBJECTS 200000

typedef enum UntilKind
{
	UNTIL_HOUR,
	UNTIL_NOW,
	UNTIL_LSN,
	UNTIL_TIME,
	UNTIL_ENTRY /* where some tables are already */
} UntilKind;

typedef struct Until
{
	UntilKind kind;
	Lsn lsn;
	int64_t time; /* the end of the hour that holds it */
	PlanPosition ahead;
} Until;

static bool
parse_until(const char *s, Until *out)
{
	*out = (Until){ .kind = UNTIL_HOUR };
	if (strcmp(s, "hour") == 0)
		return true;
	out->kind = UNTIL_NOW;
	if (strcmp(s, "now") == 0)
		return true;
	out->kind = UNTIL_TIME;
	if (iso_parse(s, &out->time))
	{
		int64_t rest = out->time % US_PER_HOUR;

		if (rest < 0)
			rest += US_PER_HOUR;
		if (rest > 0)
			out->time += US_PER_HOUR - rest;
		return true;
	}
	out->kind = UNTIL_LSN;
	return lsn_parse(s, &out->lsn);
}

bool
plan_until_valid(const char *until)
{
	Until u;

	return parse_until(until, &u);
}

bool
plan_source(Store *store, Entry **out, Err *err)
{
	int64_t end;

	if (commitlog_read(store, 0, out, err))
		return true;
	if (err->kind != ERR_NOT_FOUND || !commitlog_end(store, 0, &end, err))
		return false;
	err_set(err, ERR_USAGE, 0, "the store holds no commit log");
	return err_hint(err, "correct store.url, or run \"cdc-s3 init\" first");
}

/* The entry where the target stands; ERR_GAP where it is not that one. */
static bool
read_start(PlanRead *r, Err *err)
{
	PlanPosition start = r->plan->start;
	Entry *e;

	if (start.entry < 0)
		return true;
	if (!commitlog_read(r->store, start.entry, &e, err))
	{
		if (err->kind != ERR_NOT_FOUND)
			return false;
		err_set(err, ERR_GAP, 0,
				"the target is at entry %lld (LSN " LSN_FMT
				"), which the commit log does not have",
				(long long) start.entry, LSN_ARGS(start.lsn));
		return err_hint(err, "the lake was emptied or made anew since the last "
							 "merge: merge into an empty target, or correct "
							 "store.url");
	}
	if (e->end != start.lsn)
	{
		err_set(err, ERR_GAP, 0,
				"the target is at entry %lld, LSN " LSN_FMT
				", but in the commit log this entry ends at " LSN_FMT,
				(long long) start.entry, LSN_ARGS(start.lsn), LSN_ARGS(e->end));
		entry_free(e);
		return err_hint(err, "the lake was made anew since the last merge: "
							 "merge into an empty target, or correct "
							 "store.url");
	}
	log_append(r->plan->log, e);
	return true;
}

/* Sets *may_end where a range may end with e, *full where it must. */
static void
judge_entry(const Until *u, const Entry *prev, const Entry *e, bool *may_end,
			bool *full)
{
	*full = false;
	switch (u->kind)
	{
		case UNTIL_NOW:
			*may_end = true;
			break;
		case UNTIL_HOUR:
			*may_end = e->closed_until > (prev ? prev->closed_until : 0);
			break;
		case UNTIL_LSN:
			*may_end = e->end <= u->lsn;
			*full = !*may_end;
			break;
		case UNTIL_TIME:
			*may_end = *full = e->closed_until >= u->time;
			break;
		case UNTIL_ENTRY:
			*may_end = *full = e->seq == u->ahead.entry;
			break;
	}
}

/* Some tables are where this log has never been. */
static bool
is_lost(const Until *u, Lsn found, Err *err)
{
	err_set(err, ERR_GAP, 0,
			"tables of the target are at entry %lld, LSN " LSN_FMT
			", but in the commit log it ends at " LSN_FMT,
			(long long) u->ahead.entry, LSN_ARGS(u->ahead.lsn),
			LSN_ARGS(found));
	return err_hint(err, "the lake was made anew since the last merge: merge "
						 "into an empty target, or correct store.url");
}

/* ERR_BUSY: what was asked for is not in the log yet, which ends with last. */
static bool
is_there(const Until *u, const Entry *last, Err *err)
{
	char iso[40];

	if (u->kind == UNTIL_LSN && (!last || last->end < u->lsn))
	{
		err_set(err, ERR_BUSY, 0,
				"the commit log ends at LSN " LSN_FMT ", before " LSN_FMT
				", which merge.until asks for",
				LSN_ARGS(last ? last->end : 0), LSN_ARGS(u->lsn));
		return err_hint(err, "try again later, or see whether \"cdc-s3 run\" "
							 "is still running");
	}
	if (u->kind == UNTIL_ENTRY)
		return is_lost(u, 0, err);
	if (u->kind != UNTIL_TIME)
		return true;
	iso_from_unix_us(u->time, false, iso, sizeof(iso));
	err_set(err, ERR_BUSY, 0, "the hours before %s are not complete yet", iso);
	return err_hint(err, "try again later, or see whether \"cdc-s3 run\" is "
						 "still running");
}

/*
 * Where objects have expired that the range has, the load that replaces them
 * has to be in it, wherever it lies.
 */
static bool
may_cut(const PlanRead *r, const Entry *e, bool *out, Err *err)
{
	Entry *last;

	if (!commitlog_head(r->store, e->seq, &last, err))
		return false;
	*out = !last || r->plan->start.entry >= last->expired;
	entry_free(last);
	return true;
}

/* Where the reading has come. */
typedef struct Forward
{
	Entry *prev;     /* read last */
	Entry *last;     /* where the range may end */
	int64_t objects; /* since it was seen that no cut is possible */
	bool full;       /* the range ends with last */
} Forward;

/* The target has what is asked for. */
static bool
is_past(const Until *u, const Entry *start)
{
	return start &&
		   ((u->kind == UNTIL_TIME && start->closed_until >= u->time) ||
			(u->kind == UNTIL_LSN && start->end >= u->lsn));
}

/* e is the next one; a range with very many objects is cut behind it. */
static bool
take_entry(PlanRead *r, const Until *u, Forward *f, Entry *e, Err *err)
{
	bool may_end = false;

	log_append(r->plan->log, e);
	if (!log_check_chain(r, f->prev, e, err))
		return false;
	judge_entry(u, f->prev, e, &may_end, &f->full);
	if (may_end)
		f->last = e;
	f->objects += e->nobjects;
	f->prev = e;
	if (f->last != e || f->objects <= RANGE_MAX_OBJECTS || f->full)
		return true;
	f->objects = 0;
	return may_cut(r, e, &r->plan->more, err);
}

static bool
read_entries(PlanRead *r, const Until *u, Forward *f, Err *err)
{
	int64_t seq = r->plan->start.entry + 1;

	for (; !f->full && !r->plan->more; seq++)
	{
		Entry *e;

		if (log_stopped(r, err) || !logread_next(r, seq, &e, err))
			return false;
		if (!e)
			break;
		if (!take_entry(r, u, f, e, err))
			return false;
	}
	return true;
}

/* Reads on from the start and finds the range's end. */
static bool
read_forward(PlanRead *r, const Until *u, Err *err)
{
	Plan *p = r->plan;
	Forward f = { .prev = p->log->n ? p->log->entries[0] : NULL };
	bool ok;

	p->closed = f.prev ? f.prev->closed_until : 0;
	if (is_past(u, f.prev))
		return true;
	ok = read_entries(r, u, &f, err);
	logread_over(r);
	if (!ok)
		return false;
	if (!f.full && !p->more && (!f.last || u->kind == UNTIL_LSN) &&
		!is_there(u, f.prev, err))
		return false;
	if (u->kind == UNTIL_ENTRY && f.last->end != u->ahead.lsn)
		return is_lost(u, f.last->end, err);
	p->more = p->more || u->kind == UNTIL_ENTRY;
	if (f.last)
		p->end = (PlanPosition){ f.last->seq, f.last->end };
	p->closed = f.prev ? f.prev->closed_until : 0;
	p->expired = f.prev ? f.prev->expired : 0;
	p->behind = f.prev ? f.prev->seq - p->end.entry : 0;
	return true;
}

/*
 * What changes a table of the target itself locks its readers out until the
 * transaction's end: that has the one entry, what lies before and behind it
 * has transactions of its own.
 */
static bool
cut_range(PlanRead *r, const PlanFrom *from, Err *err)
{
	Plan *p = r->plan;
	int64_t cut =
		p->ddl_entry > p->start.entry + 1 ? p->ddl_entry - 1 : p->ddl_entry;

	if (p->ddl_entry < 0 || from->whole || from->ahead.entry >= 0 ||
		cut >= p->end.entry || p->start.entry < p->expired)
		return true;
	for (int i = 0; i < p->ntables; i++)
		plan_table_done(&p->tables[i]);
	free(p->tables);
	p->tables = NULL;
	p->ntables = 0;
	p->behind += p->end.entry - cut;
	p->end = (PlanPosition){ cut, log_entry(p->log, cut)->end };
	p->more = true;
	return tables_plan(r, from, err);
}

bool
plan_make(Store *store, const MergeOptions *o, const PlanFrom *from,
		  Progress *progress, Plan **out, Err *err)
{
	Plan *p = xcalloc(1, sizeof(*p));
	PlanRead r = { .store = store,
				   .ahead = o->store,
				   .stop = o->stop,
				   .progress = progress,
				   .plan = p };
	Entry *source = NULL;
	Until u;

	p->log = xcalloc(1, sizeof(*p->log));
	p->start = p->end = from->position;
	if (!parse_until(o->until, &u))
	{
		err_set(err, ERR_USAGE, 0, "cannot understand merge.until \"%s\"",
				o->until);
		goto fail;
	}
	if (from->ahead.entry >= 0)
		u = (Until){ .kind = UNTIL_ENTRY, .ahead = from->ahead };
	if (!plan_source(store, &source, err))
		goto fail;
	p->system_identifier = xstrdup(source->system_identifier);
	p->database = xstrdup(source->database);
	p->slot = xstrdup(source->slot);
	if (!read_start(&r, err) || !read_forward(&r, &u, err))
		goto fail;
	if (!tables_plan(&r, from, err) || !cut_range(&r, from, err))
		goto fail;
	entry_free(source);
	*out = p;
	return true;

fail:
	entry_free(source);
	plan_free(p);
	return false;
}

void
plan_free(Plan *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->ntables; i++)
		plan_table_done(&p->tables[i]);
	free(p->tables);
	log_free(p->log);
	free(p->system_identifier);
	free(p->database);
	free(p->slot);
	free(p);
}
