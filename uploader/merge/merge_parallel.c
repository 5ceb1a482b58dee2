/*-------------------------------------------------------------------------
 * merge_parallel.c
 *	  merge.parallel: groups of tables that commit one by one.
 *
 * Invariants:
 *	(1) The transaction with the lock has written nothing and holds no lock on
 *		a table that a group could wait for, and stays open until all groups
 *		have ended.
 *	(2) The plan is shared and is only read, but for the tables of a group,
 *		which belong to the thread that merges it.
 *	(3) Under the lock of a Pool: which group is next, what was done, and the
 *		first error.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_ahead.h"
#include "merge/merge_facts.h"
#include "merge/merge_limit.h"
#include "merge/merge_map.h"
#include "merge/merge_owner.h"
#include "merge/merge_session.h"

#define TRIES 3 /* of a group that met another one, say in a deadlock */
#define TICK_MS 200

typedef struct Pool
{
	const Bring *lead;
	int ngroups;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int next; /* the group that is taken next, from 1 */
	int running;
	int merged;
	bool *done;   /* by group: it was committed */
	int64_t rows; /* of tables that were merged */
	bool failed;
	Err err; /* the first one */
} Pool;

typedef struct Worker
{
	Pool *pool;
	pthread_t thread;
	MergeOptions opt;
	Progress progress;
	MergeCx cx;
} Worker;

/* ---- which groups there are ---- */

/* Nothing but changes of its rows, and it is where it was. */
static bool
is_simple(const Bring *b, const PlanTable *t)
{
	const PlanKnown *k = t->known;
	char *schema;
	char *table;
	bool stays;

	if (!k || !k->target_table || !k->relation_id || k->skipped ||
		t->nobjects == 0 || t->nevents > 0 || t->replace || t->lost ||
		t->strange || t->blocked || t->refused || t->held || t->waiting ||
		t->given_up || t->displaced || t->retry || t->recast || t->rekey ||
		t->gone || t->left || owner_excludes(b->cx, t))
		return false;
	map_target(b->cx->opt->map, t->schema, t->table, &schema, &table);
	stays = strcmp(schema, k->target_schema) == 0 &&
			strcmp(table, k->target_table) == 0;
	free(schema);
	free(table);
	return stays;
}

/* All that waits, or changes a table itself, has an order of its own. */
static bool
may_split(const Bring *b)
{
	const Plan *p = b->plan;
	const MergeOptions *o = b->cx->opt;

	if (o->parallel < 2 || o->preview || !o->store || p->start.entry < 0 ||
		p->ddl_entry >= 0 || b->cx->retrying)
		return false;
	for (int i = 0; i < p->ntables; i++)
	{
		const PlanTable *t = &p->tables[i];

		if (t->waiting || t->refused || t->held || t->blocked)
			return false;
	}
	return true;
}

/* Has the transaction written nothing?  Invariant (1). */
static bool
is_clean(MergeCx *cx, bool *out, Err *err)
{
	PGresult *res;

	if (!sql_query(cx, "look what was written",
				   "SELECT txid_current_if_assigned() IS NULL", &res, err))
		return false;
	*out = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return true;
}

/*
 * The table of the target where its rows go.  One that no merge has seen may be
 * there all the same, with foreign keys of its user's.
 */
static void
add_place(const Bring *b, const PlanTable *t, Buf *name)
{
	const PlanKnown *k = t->known;
	char *schema;
	char *table;

	if (k && k->target_table)
	{
		sql_add_qualified(name, k->target_schema, k->target_table);
		return;
	}
	map_target(b->cx->opt->map, t->schema, t->table, &schema, &table);
	sql_add_qualified(name, schema, table);
	free(schema);
	free(table);
}

/* OIDs of the plan's tables at the target, 0 where there is none. */
static bool
read_oids(const Bring *b, uint32_t *oids, Err *err)
{
	const Plan *p = b->plan;
	const char *values[1];
	PGresult *res;
	Buf names;
	bool ok;

	buf_init(&names, SQL_MAX);
	buf_byte(&names, '{');
	for (int i = 0; i < p->ntables; i++)
	{
		Buf name;

		buf_init(&name, SQL_MAX);
		add_place(b, &p->tables[i], &name);
		sql_add_array_item(&names, buf_cstr(&name), i == 0);
		buf_done(&name);
	}
	buf_byte(&names, '}');
	values[0] = buf_cstr(&names);
	ok = !names.overflow || err_set(err, ERR_LIMIT, 0, "too many tables");
	ok = ok && sql_params(b->cx, "look for the tables of the merge",
						  "SELECT coalesce(to_regclass(n), 0)::oid"
						  " FROM unnest($1::text[]) WITH ORDINALITY AS u (n, i)"
						  " ORDER BY i",
						  1, values, &res, err);
	buf_done(&names);
	if (!ok)
		return false;
	for (int i = 0; i < p->ntables; i++)
		oids[i] = (uint32_t) strtoul(PQgetvalue(res, i, 0), NULL, 10);
	PQclear(res);
	return true;
}

static int
root_of(int *parent, int i)
{
	while (parent[i] != i)
		i = parent[i] = parent[parent[i]];
	return i;
}

static bool
is_wanted(const Bring *b, const PlanTable *t)
{
	return !t->ahead && bring_has_work(b, t);
}

/* Tables that have something to be done, and that a foreign key joins. */
static void
join_tables(const Bring *b, const Facts *facts, const uint32_t *oids,
			int *parent)
{
	const Plan *p = b->plan;

	for (int f = 0; f < facts->nkeys; f++)
	{
		int first = -1;

		for (int i = 0; i < p->ntables; i++)
		{
			if ((oids[i] != facts->keys[f].child &&
				 oids[i] != facts->keys[f].parent) ||
				!is_wanted(b, &p->tables[i]))
				continue;
			if (first < 0)
				first = i;
			parent[root_of(parent, i)] = root_of(parent, first);
		}
	}
}

/* Numbers the groups that can be merged alone: PlanTable.group, from 1. */
static int
number_groups(const Bring *b, const uint32_t *oids, int *parent)
{
	Plan *p = b->plan;
	int *number = xcalloc((size_t) p->ntables + 1, sizeof(int));
	int n = 0;

	for (int i = 0; i < p->ntables; i++)
	{
		const PlanTable *t = &p->tables[i];

		if (is_wanted(b, t) && (oids[i] == 0 || !is_simple(b, t)))
			number[root_of(parent, i)] = -1;
	}
	for (int i = 0; i < p->ntables; i++)
	{
		PlanTable *t = &p->tables[i];
		int *group = &number[root_of(parent, i)];

		if (*group < 0 || !is_wanted(b, t))
			continue;
		if (*group == 0)
			*group = ++n;
		t->group = *group;
	}
	free(number);
	return n;
}

static bool
find_groups(Bring *b, int *out, Err *err)
{
	Plan *p = b->plan;
	uint32_t *oids = xcalloc((size_t) p->ntables + 1, sizeof(*oids));
	int *parent = xcalloc((size_t) p->ntables + 1, sizeof(int));
	Facts facts = { 0 };
	bool ok = read_oids(b, oids, err) && facts_read(b->cx, &facts, err);

	*out = 0;
	for (int i = 0; i < p->ntables; i++)
		parent[i] = i;
	if (ok)
	{
		join_tables(b, &facts, oids, parent);
		*out = number_groups(b, oids, parent);
	}
	for (int i = 0; *out < 2 && i < p->ntables; i++)
		p->tables[i].group = 0; /* one alone goes with the position */
	facts_done(&facts);
	free(parent);
	free(oids);
	return ok;
}

/* ---- a group ---- */

static bool
for_group(Bring *b, int group, const MergeResult *done,
		  bool (*fn)(Bring *, PlanTable *, const MergeResult *, Err *),
		  Err *err)
{
	for (int i = 0; i < b->plan->ntables; i++)
	{
		PlanTable *t = &b->plan->tables[i];

		if (t->group == group && !fn(b, t, done, err))
			return false;
	}
	return true;
}

static bool
claim(Bring *b, PlanTable *t, const MergeResult *done, Err *err)
{
	(void) done;
	return ahead_claim(b->cx, b->plan, t, err);
}

static bool
note(Bring *b, PlanTable *t, const MergeResult *done, Err *err)
{
	for (int i = 0; i < done->ntables; i++)
	{
		const MergeTable *m = &done->tables[i];

		if (strcmp(m->table, t->known->target_table) == 0 &&
			strcmp(m->schema, t->known->target_schema) == 0)
			return ahead_note(b->cx, t, m, err);
	}
	return true;
}

/* One transaction; what it did is in out only if it was committed. */
static bool
merge_group(Worker *w, int group, MergeResult *out, Err *err)
{
	Bring b = {
		.cx = &w->cx, .plan = w->pool->lead->plan, .out = out, .group = group
	};
	Err ignored;
	bool ok = session_begin(&w->cx, err) && session_replica(&w->cx, err) &&
			  for_group(&b, group, NULL, claim, err) && bring_tables(&b, err) &&
			  limit_keep(&w->cx, out, true, err) &&
			  for_group(&b, group, out, note, err);

	if (ok)
		FAULT_POINT("merge_group_commit_before");
	ok = ok && sql_run(&w->cx, "commit a group", "COMMIT", NULL, err);
	bring_done(&b);
	if (ok)
	{
		FAULT_POINT("merge_group_commit_after");
		return true;
	}
	session_judge(&w->cx, err);
	merge_result_done(out);
	(void) !sql_run(&w->cx, "roll back", "ROLLBACK", NULL, &ignored);
	return false;
}

/* True: nothing is to be told as an error. */
static bool
try_group(Worker *w, int group, bool *merged, MergeResult *out, Err *err)
{
	*merged = false;
	for (int i = 0; i < TRIES && !*merged; i++)
	{
		w->cx.lacks_of = 0;
		w->cx.lacks[0] = w->cx.why[0] = '\0';
		*out = (MergeResult){ .to_entry = -1 };
		*merged = merge_group(w, group, out, err);
		if (!*merged && (w->cx.lacks_of || err->kind != ERR_BUSY ||
						 PQstatus(w->cx.conn) != CONNECTION_OK))
			break;
	}
	return *merged || w->cx.lacks_of;
}

/* ---- threads ---- */

static int64_t
rows_of(const MergeResult *r)
{
	int64_t n = 0;

	for (int i = 0; i < r->ntables; i++)
		n += r->tables[i].records;
	return n;
}

static void
settle(Pool *p, int group, const MergeResult *done)
{
	MergeResult *out = p->lead->out;

	for (int i = 0; i < done->ntables; i++)
		bring_add_line(out, &done->tables[i]);
	out->groups++;
	p->done[group] = true;
	p->merged++;
	p->rows += rows_of(done);
}

static bool
take_group(Pool *p, int *out)
{
	bool got;

	pthread_mutex_lock(&p->lock);
	got = p->next <= p->ngroups && !(p->failed && p->err.kind == ERR_STOP);
	if (got)
		*out = p->next++;
	pthread_mutex_unlock(&p->lock);
	return got;
}

static void
note_failure(Pool *p, const Err *err)
{
	if (!p->failed)
		p->err = *err;
	else
		log_err(LOG_ERROR, "another group failed", err);
	p->failed = true;
}

static void
work(Worker *w)
{
	Pool *p = w->pool;
	int group;

	while (take_group(p, &group))
	{
		MergeResult done;
		Err err = { 0 };
		bool merged;
		bool ok = try_group(w, group, &merged, &done, &err);

		pthread_mutex_lock(&p->lock);
		if (merged)
			settle(p, group, &done);
		else if (!ok)
			note_failure(p, &err);
		pthread_cond_signal(&p->moved);
		pthread_mutex_unlock(&p->lock);
		merge_result_done(&done);
		if (PQstatus(w->cx.conn) != CONNECTION_OK)
			return;
	}
}

static void *
worker_main(void *arg)
{
	Worker *w = arg;
	Pool *p = w->pool;
	Err err = { 0 };
	bool ok = store_open(w->opt.store, &w->cx.store, &err) &&
			  sql_connect(&w->cx, &err);

	if (ok)
		work(w);
	PQfinish(w->cx.conn);
	store_close(w->cx.store);
	pthread_mutex_lock(&p->lock);
	if (!ok)
		log_err(LOG_WARN, "a merge by groups has a connection less", &err);
	p->running--;
	pthread_cond_signal(&p->moved);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void
worker_init(Worker *w, Pool *p, int n)
{
	const MergeCx *lead = p->lead->cx;

	*w = (Worker){ .pool = p, .opt = *lead->opt };
	w->opt.memory_limit /= n;
	w->opt.progress_ms = 0;
	progress_init(&w->progress, 0, false);
	w->cx = (MergeCx){
		.opt = &w->opt,
		.progress = &w->progress,
		.system_identifier = lead->system_identifier,
		.database = lead->database,
		.slot = lead->slot,
		.keep_going = lead->keep_going,
		.ask_run = lead->ask_run,
	};
}

/* The thread that has the lock says how far they are. */
static void
await_workers(Pool *p)
{
	Progress *progress = p->lead->cx->progress;
	int64_t before = progress->applied;

	pthread_mutex_lock(&p->lock);
	while (p->running > 0)
	{
		struct timespec until;
		int64_t at_us = clock_unix_us() + TICK_MS * INT64_C(1000);

		until.tv_sec = (time_t) (at_us / 1000000);
		until.tv_nsec = (long) (at_us % 1000000) * 1000;
		(void) pthread_cond_timedwait(&p->moved, &p->lock, &until);
		progress->read = progress->applied = before + p->rows;
		progress_tick(progress);
	}
	pthread_mutex_unlock(&p->lock);
}

static bool
start_workers(Pool *p, Worker *workers, int n, int *started, Err *err)
{
	bool ok = true;

	for (*started = 0; ok && *started < n; *started += ok)
	{
		Worker *w = &workers[*started];

		worker_init(w, p, n);
		pthread_mutex_lock(&p->lock);
		ok = pthread_create(&w->thread, NULL, worker_main, w) == 0;
		p->running += ok;
		pthread_mutex_unlock(&p->lock);
	}
	return *started > 0 ||
		   err_set(err, ERR_INTERNAL, 0, "could not start a thread");
}

/*
 * What was committed is done; what was not, and did not fail, goes with the
 * position: there is seen to what a table lacks, and no connection is wanted.
 */
static int
mark_tables(const Pool *p)
{
	Plan *plan = p->lead->plan;
	int n = 0;

	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->group > 0 && p->done[t->group])
		{
			t->ahead = true;
			n++;
		}
		t->group = 0;
	}
	return n;
}

static void
tell_failure(const Pool *p)
{
	const Plan *plan = p->lead->plan;

	log_warn("tables are not consistent with each other until a merge ends",
			 "groups", log_int(p->ngroups), "merged", log_int(p->merged),
			 "entry", log_int(plan->end.entry), "lsn", log_lsn(plan->end.lsn),
			 NULL);
}

/* All groups, by n connections. */
static bool
run_groups(Pool *p, int n, Err *err)
{
	Worker *workers = xcalloc((size_t) n, sizeof(*workers));
	int started;
	bool ok;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->moved, NULL);
	log_info("groups of tables are merged one by one: they are consistent with "
			 "each other once the merge ends",
			 "groups", log_int(p->ngroups), "connections", log_int(n), NULL);
	progress_phase(p->lead->cx->progress, PHASE_APPLY);
	ok = start_workers(p, workers, n, &started, err);
	if (ok)
		await_workers(p);
	for (int i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_cond_destroy(&p->moved);
	pthread_mutex_destroy(&p->lock);
	free(workers);
	if (ok && p->failed)
	{
		*err = p->err;
		tell_failure(p);
	}
	return ok && !p->failed;
}

bool
parallel_merge(Bring *b, int *out_tables, Err *err)
{
	Pool p = { .lead = b, .next = 1 };
	bool clean = false;
	bool ok;
	int n = b->cx->opt->parallel;

	*out_tables = 0;
	if (!may_split(b))
		return true;
	if (!is_clean(b->cx, &clean, err) ||
		(clean && !find_groups(b, &p.ngroups, err)))
		return false;
	if (p.ngroups < 2)
		return true;
	p.done = xcalloc((size_t) p.ngroups + 1, sizeof(bool));
	ok = run_groups(&p, n < p.ngroups ? n : p.ngroups, err);
	*out_tables = mark_tables(&p);
	free(p.done);
	return ok;
}
