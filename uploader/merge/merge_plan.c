/*-------------------------------------------------------------------------
 * merge_plan.c
 *	  Which entries a merge applies, and of each table which objects.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fnv.h"
#include "base/mem.h"

/* A range with more objects is cut behind the next entry that may end it. */
#define RANGE_MAX_OBJECTS 200000

/* Entries base … base+n-1, read so far. */
typedef struct PlanLog
{
	int64_t base;
	int n;
	int cap;
	Entry **entries;
	int nslots; /* table number + 1 by hash of its name; a power of two */
	int *slots;
} PlanLog;

typedef enum UntilKind
{
	UNTIL_HOUR,
	UNTIL_NOW,
	UNTIL_LSN,
	UNTIL_TIME
} UntilKind;

typedef struct Until
{
	UntilKind kind;
	Lsn lsn;
	int64_t time; /* the end of the hour that holds it */
} Until;

typedef struct PlanRead
{
	Store *store;
	const PlanTarget *target;
	const atomic_bool *stop;
	Progress *progress;
	Plan *plan;
	Until until;
} PlanRead;

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

static Entry *
log_entry(const PlanLog *log, int64_t seq)
{
	return log->entries[seq - log->base];
}

static void
log_append(PlanLog *log, Entry *e)
{
	if (log->n == log->cap)
	{
		log->cap = log->cap ? log->cap * 2 : 64;
		log->entries =
			xrealloc(log->entries, (size_t) log->cap * sizeof(Entry *));
	}
	if (log->n == 0)
		log->base = e->seq;
	log->entries[log->n++] = e;
}

/* Puts an entry before the first; they are read backwards one by one. */
static void
log_prepend(PlanLog *log, Entry *e)
{
	log_append(log, e);
	memmove(log->entries + 1, log->entries,
			(size_t) (log->n - 1) * sizeof(Entry *));
	log->entries[0] = e;
	log->base = e->seq;
}

static bool
stopped(const PlanRead *r, Err *err)
{
	progress_tick(r->progress);
	if (!r->stop || !atomic_load(r->stop))
		return false;
	err_set(err, ERR_STOP, 0, "the merge was stopped");
	return true;
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

static bool
same_source(const Plan *p, const Entry *e)
{
	return strcmp(p->system_identifier, e->system_identifier) == 0 &&
		   strcmp(p->database, e->database) == 0 &&
		   strcmp(p->slot, e->slot) == 0;
}

/* e must go on where the entry before it ended. */
static bool
check_chain(const PlanRead *r, const Entry *prev, const Entry *e, Err *err)
{
	if (!same_source(r->plan, e))
		return err_set(err, ERR_GAP, 0,
					   "entry %lld of the commit log is of another source "
					   "(system %s, database \"%s\", slot \"%s\")",
					   (long long) e->seq, e->system_identifier, e->database,
					   e->slot);
	if (prev && prev->end != e->prev_end)
		return err_set(err, ERR_GAP, 0,
					   "the commit log is broken: entry %lld ends at " LSN_FMT
					   ", but entry %lld starts at " LSN_FMT,
					   (long long) prev->seq, LSN_ARGS(prev->end),
					   (long long) e->seq, LSN_ARGS(e->prev_end));
	return true;
}

/*
 * Reads entry seq; *out = NULL at the end of the log, which must not go on
 * behind a missing entry.
 */
static bool
read_next(const PlanRead *r, int64_t seq, Entry **out, Err *err)
{
	int64_t end;

	*out = NULL;
	if (commitlog_read(r->store, seq, out, err))
		return true;
	if (err->kind != ERR_NOT_FOUND || !commitlog_end(r->store, seq, &end, err))
		return false;
	/* it may have been written in the meantime */
	return end < seq || commitlog_read(r->store, seq, out, err);
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
	}
}

/* ERR_BUSY: what was asked for is not in the log yet, which ends with last. */
static bool
is_there(const PlanRead *r, const Entry *last, Err *err)
{
	char iso[40];

	if (r->until.kind == UNTIL_LSN && (!last || last->end < r->until.lsn))
	{
		err_set(err, ERR_BUSY, 0,
				"the commit log ends at LSN " LSN_FMT ", before " LSN_FMT
				", which merge.until asks for",
				LSN_ARGS(last ? last->end : 0), LSN_ARGS(r->until.lsn));
		return err_hint(err, "try again later, or see whether \"cdc-s3 run\" "
							 "is still running");
	}
	if (r->until.kind != UNTIL_TIME)
		return true;
	iso_from_unix_us(r->until.time, false, iso, sizeof(iso));
	err_set(err, ERR_BUSY, 0, "the hours before %s are not complete yet", iso);
	return err_hint(err, "try again later, or see whether \"cdc-s3 run\" is "
						 "still running");
}

/* Reads on from the start and finds the range's end. */
static bool
read_forward(PlanRead *r, Err *err)
{
	Plan *p = r->plan;
	Entry *prev = p->log->n ? p->log->entries[0] : NULL;
	Entry *last = NULL;
	int64_t objects = 0;
	bool may_end = false;
	bool full = false;

	p->closed = prev ? prev->closed_until : 0;
	if (prev &&
		((r->until.kind == UNTIL_TIME && prev->closed_until >= r->until.time) ||
		 (r->until.kind == UNTIL_LSN && prev->end >= r->until.lsn)))
		return true;
	for (int64_t seq = p->start.entry + 1; !full; seq++)
	{
		Entry *e;

		if (stopped(r, err) || !read_next(r, seq, &e, err))
			return false;
		if (!e)
			break;
		log_append(p->log, e);
		if (!check_chain(r, prev, e, err))
			return false;
		judge_entry(&r->until, prev, e, &may_end, &full);
		if (may_end)
			last = e;
		objects += e->nobjects;
		prev = e;
		if (last == e && objects > RANGE_MAX_OBJECTS && !full)
		{
			p->more = true;
			break;
		}
	}
	if (!full && !p->more && (!last || r->until.kind == UNTIL_LSN) &&
		!is_there(r, prev, err))
		return false;
	if (last)
		p->end = (PlanPosition){ last->seq, last->end };
	p->closed = prev ? prev->closed_until : 0;
	p->behind = prev ? prev->seq - p->end.entry : 0;
	return true;
}

/* Reads an entry that lies before others which are there. */
static bool
read_earlier(const PlanRead *r, int64_t seq, Entry **out, Err *err)
{
	if (stopped(r, err))
		return false;
	if (commitlog_read(r->store, seq, out, err))
		return true;
	if (err->kind != ERR_NOT_FOUND)
		return false;
	return err_set(err, ERR_GAP, 0, "entry %lld of the commit log is missing",
				   (long long) seq);
}

/* Reads backwards until the entry is there. */
static bool
read_back(PlanRead *r, int64_t seq, Err *err)
{
	PlanLog *log = r->plan->log;

	while (log->n == 0 || log->base > seq)
	{
		Entry *e;

		if (!read_earlier(r, log->base - 1, &e, err))
			return false;
		log_prepend(log, e);
		if (!check_chain(r, e, log->entries[1], err))
			return false;
	}
	return true;
}

static uint64_t
name_hash(const char *schema, const char *table)
{
	uint64_t h = fnv1a(FNV1A_EMPTY, schema);

	return fnv1a(fnv1a(h, "\xFF"), table);
}

static int *
table_slot(const Plan *p, const char *schema, const char *table)
{
	const PlanLog *log = p->log;
	uint32_t mask = (uint32_t) log->nslots - 1;

	for (uint32_t i = (uint32_t) name_hash(schema, table) & mask;;
		 i = (i + 1) & mask)
	{
		const PlanTable *t;

		if (log->slots[i] == 0)
			return &log->slots[i];
		t = &p->tables[log->slots[i] - 1];
		if (strcmp(t->table, table) == 0 && strcmp(t->schema, schema) == 0)
			return &log->slots[i];
	}
}

static void
grow_slots(Plan *p)
{
	PlanLog *log = p->log;

	log->nslots = log->nslots ? log->nslots * 2 : 64;
	free(log->slots);
	log->slots = xcalloc((size_t) log->nslots, sizeof(int));
	for (int i = 0; i < p->ntables; i++)
		*table_slot(p, p->tables[i].schema, p->tables[i].table) = i + 1;
}

/* The table of that name, made where it is new; valid until the next. */
static PlanTable *
plan_table(Plan *p, const char *schema, const char *table)
{
	int *slot;
	PlanTable *t;

	if (p->ntables * 2 >= p->log->nslots)
	{
		grow_slots(p);
		p->tables =
			xrealloc(p->tables, (size_t) p->log->nslots * sizeof(*p->tables));
	}
	slot = table_slot(p, schema, table);
	if (*slot > 0)
		return &p->tables[*slot - 1];
	t = &p->tables[p->ntables++];
	*slot = p->ntables;
	memset(t, 0, sizeof(*t));
	t->schema = xstrdup(schema);
	t->table = xstrdup(table);
	t->from = p->start.entry + 1;
	t->to = p->end.entry;
	return t;
}

static void
set_string(char **field, const char *value)
{
	char *old = *field;

	*field = value ? xstrdup(value) : NULL;
	free(old);
}

/* The first run announces the initial loads; all others are reloads. */
static bool
is_initial(const PlanLog *log, int64_t seq)
{
	return seq == 0 || !log_entry(log, seq - 1)->loaded;
}

/* A load given up for good: where the table goes on. */
static void
settle_give_up(PlanTable *t)
{
	if (!t->given_up)
		return;
	if (t->initial)
		t->from = t->given_up_at + 1;
	else if (t->since < t->from)
		t->from = t->since;
	t->given_up = t->initial = false;
}

static void
open_load(PlanTable *t, const EntryLoad *l, int64_t seq, bool initial)
{
	bool again = t->given_up && t->given_up_at == seq;

	if (again)
		t->given_up = false;
	settle_give_up(t);
	if (!again && !t->waiting)
	{
		t->since = seq;
		t->initial = initial;
	}
	t->waiting = true;
	set_string(&t->waiting_load, l->id);
}

static void
give_up_load(PlanTable *t, const EntryLoad *l, int64_t seq)
{
	if (!t->waiting || strcmp(t->waiting_load, l->id) != 0)
		return;
	t->waiting = false;
	t->given_up = true;
	t->given_up_at = seq;
}

static void
take_load(PlanTable *t, const EntryLoad *l, int64_t seq, bool initial)
{
	switch (l->state)
	{
		case LOAD_OPEN:
			open_load(t, l, seq, initial);
			break;
		case LOAD_DONE:
			t->waiting = t->given_up = t->initial = false;
			t->replace = true;
			set_string(&t->load, l->id);
			t->load_lsn = l->lsn;
			t->load_entry = seq;
			break;
		case LOAD_GIVEN_UP:
			give_up_load(t, l, seq);
			break;
	}
}

/* What one target lacks by what was done there. */
static bool
is_of_a_target(const char *reason)
{
	return strcmp(reason, "dropped") == 0 || strcmp(reason, "excluded") == 0 ||
		   strcmp(reason, "mapped") == 0;
}

/*
 * Loads that no person asked for: not where the target has passed what they
 * are to mend, and lacks nothing.
 */
static bool
is_needed(const PlanRead *r, const PlanTable *t, const EntryLoad *l, bool *out,
		  Err *err)
{
	bool whole;

	*out = true;
	if (!l->reason[0] || strcmp(l->reason, "new") == 0 || t->waiting ||
		(l->resync > r->plan->start.lsn && !is_of_a_target(l->reason)))
		return true;
	if (!r->target->whole(r->target->arg, l->schema, l->table, &whole, err))
		return false;
	*out = !whole;
	return true;
}

/* The first and last entry whose changes the table gets. */
static bool
set_range(PlanRead *r, PlanTable *t, Err *err)
{
	settle_give_up(t);
	if (t->waiting)
		t->to = t->since - 1;
	if (!t->replace)
		return true;
	/* back to the first entry with changes behind the load's LSN */
	for (t->from = t->load_entry; t->from > 0; t->from--)
	{
		if (!read_back(r, t->from, err))
			return false;
		if (log_entry(r->plan->log, t->from)->prev_end <= t->load_lsn)
			break;
	}
	return true;
}

/* How loads in the range move each table's own range. */
static bool
plan_loads(PlanRead *r, Err *err)
{
	const PlanWaiting *waiting = r->target->waiting;
	Plan *p = r->plan;

	for (int i = 0; i < r->target->nwaiting; i++)
	{
		PlanTable *t = plan_table(p, waiting[i].schema, waiting[i].table);

		t->waiting = true;
		t->since = waiting[i].since;
		t->initial = waiting[i].initial;
		set_string(&t->waiting_load, waiting[i].load);
	}
	for (int64_t seq = p->start.entry + 1; seq <= p->end.entry; seq++)
	{
		const Entry *e = log_entry(p->log, seq);

		for (int i = 0; i < e->nloads; i++)
		{
			const EntryLoad *l = &e->loads[i];
			PlanTable *t = plan_table(p, l->schema, l->table);
			bool needed;

			if (!is_needed(r, t, l, &needed, err))
				return false;
			if (needed)
				take_load(t, l, seq, is_initial(p->log, seq));
		}
	}
	for (int i = 0; i < p->ntables; i++)
	{
		if (!set_range(r, &p->tables[i], err))
			return false;
	}
	return true;
}

static bool
object_counts(const PlanTable *t, const EntryObject *o, int64_t seq)
{
	if (o->load[0])
		return t->replace && seq == t->load_entry &&
			   strcmp(o->load, t->load) == 0;
	return seq >= t->from && seq <= t->to &&
		   (!t->replace || o->last_lsn > t->load_lsn);
}

static void
add_object(PlanTable *t, const EntryObject *o)
{
	int n = t->nobjects;

	if ((n & (n - 1)) == 0) /* full at each power of two */
		t->objects = xrealloc(t->objects,
							  (n ? (size_t) n * 2 : 1) * sizeof(*t->objects));
	t->objects[t->nobjects++] = o;
}

static bool
plan_objects(PlanRead *r, Err *err)
{
	Plan *p = r->plan;
	int64_t first = p->start.entry + 1;

	for (int i = 0; i < p->ntables; i++)
	{
		if (p->tables[i].from < first)
			first = p->tables[i].from;
	}
	if (!read_back(r, first, err))
		return false;
	for (int64_t seq = first; seq <= p->end.entry; seq++)
	{
		const Entry *e = log_entry(p->log, seq);

		for (int i = 0; i < e->nschemas; i++)
		{
			PlanTable *t =
				plan_table(p, e->schemas[i].schema, e->schemas[i].table);

			if (seq <= t->to)
				t->hash = e->schemas[i].hash;
		}
		for (int i = 0; i < e->nobjects; i++)
		{
			const EntryObject *o = &e->objects[i];
			PlanTable *t = plan_table(p, o->schema, o->table);

			if (!object_counts(t, o, seq))
				continue;
			add_object(t, o);
			t->hash = o->hash;
		}
	}
	return true;
}

/* The schema that an entry names for the table, or NULL. */
static const char *
hash_in(const Entry *e, const PlanTable *t)
{
	for (int i = e->nobjects - 1; i >= 0; i--)
	{
		if (strcmp(e->objects[i].table, t->table) == 0 &&
			strcmp(e->objects[i].schema, t->schema) == 0)
			return e->objects[i].hash;
	}
	for (int i = e->nschemas - 1; i >= 0; i--)
	{
		if (strcmp(e->schemas[i].table, t->table) == 0 &&
			strcmp(e->schemas[i].schema, t->schema) == 0)
			return e->schemas[i].hash;
	}
	return NULL;
}

/*
 * A table whose load found no row, and of whose columns the range says
 * nothing: they are what the log said of them last.
 */
static bool
find_schema(const PlanRead *r, PlanTable *t, Err *err)
{
	const PlanLog *log = r->plan->log;

	for (int64_t seq = t->to; !t->hash && seq >= 0; seq--)
	{
		Entry *read = NULL;
		const Entry *e = seq >= log->base ? log_entry(log, seq) : NULL;
		const char *hash;

		if (!e && !read_earlier(r, seq, &read, err))
			return false;
		hash = hash_in(e ? e : read, t);
		if (hash)
		{
			set_string(&t->found_hash, hash);
			t->hash = t->found_hash;
		}
		entry_free(read);
	}
	return true;
}

static bool
find_schemas(const PlanRead *r, Err *err)
{
	for (int i = 0; i < r->plan->ntables; i++)
	{
		PlanTable *t = &r->plan->tables[i];

		if (t->replace && t->nobjects == 0 && !find_schema(r, t, err))
			return false;
	}
	return true;
}

bool
plan_make(Store *store, const char *until, const PlanTarget *target,
		  const atomic_bool *stop, Progress *progress, Plan **out, Err *err)
{
	Plan *p = xcalloc(1, sizeof(*p));
	PlanRead r = { .store = store,
				   .target = target,
				   .stop = stop,
				   .progress = progress,
				   .plan = p };
	Entry *source = NULL;

	p->log = xcalloc(1, sizeof(*p->log));
	p->start = p->end = target->start;
	if (!parse_until(until, &r.until))
	{
		err_set(err, ERR_USAGE, 0, "cannot understand merge.until \"%s\"",
				until);
		goto fail;
	}
	if (!plan_source(store, &source, err))
		goto fail;
	p->system_identifier = xstrdup(source->system_identifier);
	p->database = xstrdup(source->database);
	p->slot = xstrdup(source->slot);
	if (!read_start(&r, err) || !read_forward(&r, err))
		goto fail;
	if (p->end.entry > p->start.entry &&
		(!plan_loads(&r, err) || !plan_objects(&r, err) ||
		 !find_schemas(&r, err)))
		goto fail;
	entry_free(source);
	*out = p;
	return true;

fail:
	entry_free(source);
	plan_free(p);
	return false;
}

const Entry *
plan_last(const Plan *p)
{
	return p->log->n > 0 ? p->log->entries[p->log->n - 1] : NULL;
}

/* The newest word on each load is what counts. */
static bool
is_over(const PlanLog *log, int64_t seq, const char *id)
{
	for (seq++; seq < log->base + log->n; seq++)
	{
		const Entry *e = log_entry(log, seq);

		for (int i = 0; i < e->nloads; i++)
		{
			if (strcmp(e->loads[i].id, id) == 0)
				return true;
		}
	}
	return false;
}

bool
plan_load_ahead(const Plan *p, const char *schema, const char *table, Lsn lsn)
{
	const PlanLog *log = p->log;
	int64_t seq = p->end.entry + 1;

	if (log->n == 0)
		return false;
	for (seq = seq < log->base ? log->base : seq; seq < log->base + log->n;
		 seq++)
	{
		const Entry *e = log_entry(log, seq);

		for (int i = 0; i < e->nloads; i++)
		{
			const EntryLoad *l = &e->loads[i];

			if (strcmp(l->table, table) != 0 || strcmp(l->schema, schema) != 0)
				continue;
			if ((l->state == LOAD_DONE && l->lsn >= lsn) ||
				(l->state == LOAD_OPEN && !is_over(log, seq, l->id)))
				return true;
		}
	}
	return false;
}

int64_t
plan_rows(const Plan *p)
{
	int64_t rows = 0;

	for (int i = 0; i < p->ntables; i++)
	{
		for (int o = 0; o < p->tables[i].nobjects; o++)
			rows += p->tables[i].objects[o]->rows;
	}
	return rows;
}

void
plan_retry(Plan *p, const char *schema, const char *table, const char *hash)
{
	PlanTable *t = NULL;

	for (int i = 0; !t && i < p->ntables; i++)
	{
		if (strcmp(p->tables[i].schema, schema) == 0 &&
			strcmp(p->tables[i].table, table) == 0)
			t = &p->tables[i];
	}
	if (!t)
	{
		p->tables =
			xrealloc(p->tables, ((size_t) p->ntables + 1) * sizeof(*p->tables));
		t = &p->tables[p->ntables++];
		*t = (PlanTable){ .schema = xstrdup(schema), .table = xstrdup(table) };
	}
	t->retry = true;
	if (t->hash || !hash)
		return;
	set_string(&t->found_hash, hash);
	t->hash = t->found_hash;
}

void
plan_free(Plan *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->ntables; i++)
	{
		free(p->tables[i].schema);
		free(p->tables[i].table);
		free(p->tables[i].objects);
		free(p->tables[i].load);
		free(p->tables[i].waiting_load);
		free(p->tables[i].found_hash);
	}
	free(p->tables);
	for (int i = 0; i < p->log->n; i++)
		entry_free(p->log->entries[i]);
	free(p->log->entries);
	free(p->log->slots);
	free(p->log);
	free(p->system_identifier);
	free(p->database);
	free(p->slot);
	free(p);
}
