/*-------------------------------------------------------------------------
 * merge_run.c
 *	  One merge: options, connection, transaction, report.
 *
 *	  connect > BEGIN > lock > position > plan > per table: stage, fold,
 *	  apply > store the position > COMMIT
 *
 * Invariants:
 *	(1) Everything that a merge does to the target, its own tables too, is
 *		in one transaction with the new position.
 *	(2) The position is stored by compare-and-set, under the lock.
 *	(3) A backlog with very many objects is merged in several transactions,
 *		each of which is whole in this sense.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"
#include "merge/merge_apply.h"
#include "merge/merge_map.h"
#include "merge/merge_owner.h"
#include "merge/merge_plan.h"
#include "merge/merge_session.h"
#include "merge/merge_state.h"

/* The changes of one table that are still to be applied. */
typedef struct Pending
{
	Stage *stage;
	Target *target;
	Apply apply;
	char *oid; /* of the target table, to order by foreign keys */
	int result;
} Pending;

typedef struct Run
{
	MergeCx cx;
	Plan *plan;
	MergeResult *out;
	int staged; /* staging tables made in this transaction */
	int npending;
	Pending *pending;
} Run;

/* Objects of one table that are staged together: their keys agree. */
typedef struct Group
{
	const PlanTable *table;
	const EntryObject **objects;
	int nobjects;
	Schema **schemas; /* in the order of their first use */
	int nschemas;
	bool replace; /* it begins with the load */
	bool last;
} Group;

bool
merge_check_options(const MergeOptions *o, Err *err)
{
	if (!plan_until_valid(o->until))
	{
		err_set(err, ERR_USAGE, 0, "cannot understand merge.until \"%s\"",
				o->until);
		return err_hint(err, "write hour, now, an LSN like 0/16B374D8, or a "
							 "UTC time like 2026-11-21T08:00:00Z");
	}
	if (strcmp(o->on_reject, "stop") != 0 &&
		strcmp(o->on_reject, "continue") != 0)
		return err_set(err, ERR_USAGE, 0,
					   "merge.on_reject is \"%s\", but must be \"stop\" or "
					   "\"continue\"",
					   o->on_reject);
	if (!pattern_list_valid(o->tables) || !pattern_list_valid(o->exclude))
	{
		err_set(err, ERR_USAGE, 0, "cannot understand merge.%s \"%s\"",
				pattern_list_valid(o->tables) ? "exclude" : "tables",
				pattern_list_valid(o->tables) ? o->exclude : o->tables);
		return err_hint(err, "write schema.table patterns with *, by comma");
	}
	return map_check(o->map, err);
}

void
merge_result_done(MergeResult *r)
{
	for (int i = 0; i < r->ntables; i++)
	{
		free(r->tables[i].schema);
		free(r->tables[i].table);
	}
	free(r->tables);
	merge_resync_done(r);
	memset(r, 0, sizeof(*r));
	r->to_entry = -1;
}

/* The line of a target table in the result. */
static int
result_table(MergeResult *r, const char *schema, const char *table)
{
	MergeTable *t;

	for (int i = 0; i < r->ntables; i++)
	{
		if (strcmp(r->tables[i].table, table) == 0 &&
			strcmp(r->tables[i].schema, schema) == 0)
			return i;
	}
	r->tables =
		xrealloc(r->tables, ((size_t) r->ntables + 1) * sizeof(*r->tables));
	t = &r->tables[r->ntables];
	*t = (MergeTable){ .schema = xstrdup(schema), .table = xstrdup(table) };
	return r->ntables++;
}

static bool
same_key(const Schema *a, const Schema *b)
{
	if (target_is_keyed(a) != target_is_keyed(b))
		return false;
	if (!target_is_keyed(a))
		return true;
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < a->ncols; i++)
		{
			bool found = false;

			if (!a->cols[i].key)
				continue;
			for (int k = 0; !found && k < b->ncols; k++)
				found = b->cols[k].key &&
						strcmp(a->cols[i].name, b->cols[k].name) == 0;
			if (!found)
				return false;
		}
		const Schema *swap = a;
		a = b;
		b = swap;
	}
	return true;
}

static int
compare_objects(const void *a, const void *b)
{
	const EntryObject *x = *(const EntryObject *const *) a;
	const EntryObject *y = *(const EntryObject *const *) b;

	if (x->first_lsn != y->first_lsn)
		return x->first_lsn < y->first_lsn ? -1 : 1;
	if (x->first_seq != y->first_seq)
		return x->first_seq < y->first_seq ? -1 : 1;
	return 0;
}

/* The group's schema of that hash; read where it is new. */
static bool
group_schema(MergeCx *cx, Group *g, const char *hash, Schema **out, Err *err)
{
	for (int i = 0; i < g->nschemas; i++)
	{
		if (strcmp(g->schemas[i]->hash, hash) == 0)
		{
			*out = g->schemas[i];
			return true;
		}
	}
	if (!commitlog_schema(cx->store, g->table->schema, g->table->table, hash,
						  out, err))
	{
		if (err->kind == ERR_NOT_FOUND || err->kind == ERR_DATA)
			err->kind = ERR_GAP;
		return err_prefix(err, "schema %s of table \"%s.%s\"", hash,
						  g->table->schema, g->table->table);
	}
	g->schemas =
		xrealloc(g->schemas, ((size_t) g->nschemas + 1) * sizeof(Schema *));
	g->schemas[g->nschemas++] = *out;
	return true;
}

static void
group_done(Group *g)
{
	for (int i = 0; i < g->nschemas; i++)
		schema_free(g->schemas[i]);
	free(g->schemas);
	g->schemas = NULL;
	g->nschemas = 0;
}

/* Stages the group's objects. */
static bool
stage_group(Run *run, const Group *g, const Target *target, Stage **out,
			Err *err)
{
	Stage *s;

	if (!stage_open(&run->cx, g->table, target, g->schemas, g->nschemas,
					run->staged++, g->replace, &s, err))
		return false;
	if (g->replace && target->had_rows) /* merge.on_existing = keep */
		s->empty_base = strcmp(run->cx.opt->on_existing, "keep") != 0;
	for (int i = 0; i < g->nobjects; i++)
	{
		if (!stage_object(s, g->objects[i], err))
			goto fail;
	}
	if (!stage_finish(s, err))
		goto fail;
	*out = s;
	return true;

fail:
	stage_free(s);
	return false;
}

static void
add_changes(MergeTable *to, const MergeTable *from)
{
	to->inserted += from->inserted;
	to->updated += from->updated;
	to->deleted += from->deleted;
}

static void
add_counts(MergeTable *t, const Stage *s, bool replaced)
{
	t->records += s->records;
	t->rejected += s->rejected;
	t->replaced = t->replaced || replaced;
}

/* Keeps what is folded for later; the stage and target are taken. */
static void
keep_pending(Run *run, Stage *s, Target *t, const Apply *apply, int result)
{
	run->pending = xrealloc(run->pending, ((size_t) run->npending + 1) *
											  sizeof(*run->pending));
	run->pending[run->npending++] =
		(Pending){ .stage = s, .target = t, .apply = *apply, .result = result };
}

/* The target cannot hold the table: all others go on. */
static bool
leave_out(Run *run, const Group *g, const Target *t, Err *err)
{
	RecordPos end = { run->plan->end.lsn, 0 };

	return state_resync(&run->cx, g->table, end, t->unfit, err);
}

/* The first load comes to a table that has rows of its own. */
static bool
check_existing(const Run *run, const Group *g, const Target *t, Err *err)
{
	if (!g->replace || !t->had_rows ||
		strcmp(run->cx.opt->on_existing, "stop") != 0)
		return true;
	err_set(err, ERR_USAGE, 0,
			"it has rows of its own, and its first load is here");
	return err_hint(err, "empty it, or say what becomes of them: "
						 "merge.on_existing=replace or keep");
}

/* Does the table have to be loaded anew, or not any more? */
static bool
note_resync(Run *run, const Stage *s, Err *err)
{
	RecordPos end = { run->plan->end.lsn, 0 };

	if (s->whole_base && !state_resync_over(&run->cx, s->table, err))
		return false;
	if (s->target->incomplete && !s->whole_base &&
		!state_resync(&run->cx, s->table, end, s->target->incomplete, err))
		return false;
	return !s->resync_set ||
		   state_resync(&run->cx, s->table, s->resync, s->resync_reason, err);
}

/*
 * One group from the lake to the table; where foreign keys are in force the
 * last one of a table is only folded, and applied in their order later.
 */
static bool
run_group(Run *run, const Group *g, Err *err)
{
	Target *target = NULL;
	Stage *s = NULL;
	Apply apply;
	MergeTable counts = { 0 };
	int result;
	bool ok;

	if (!target_open(&run->cx, (const Schema *const *) g->schemas, g->nschemas,
					 &target, err))
		return false;
	if (target->unfit)
	{
		ok = leave_out(run, g, target, err);
		target_free(target);
		return ok;
	}
	result = result_table(run->out, target->schema, target->table);
	ok = check_existing(run, g, target, err) &&
		 stage_group(run, g, target, &s, err) && apply_steps(s, &counts, err) &&
		 note_resync(run, s, err);
	if (ok && !target->has_key)
		ok = apply_bag(s, &counts, err);
	else if (ok)
	{
		ok = apply_open(&apply, s, &counts, err);
		if (ok && !run->cx.replica && g->last)
		{
			keep_pending(run, s, target, &apply, result);
			add_changes(&run->out->tables[result], &counts);
			return true;
		}
		ok = ok && apply_deletes(&apply, err) && apply_rows(&apply, err);
	}
	if (ok)
	{
		MergeTable *to = &run->out->tables[result];

		add_changes(to, &counts);
		add_counts(to, s, g->replace);
		ok = apply_drop(s, err);
	}
	if (!ok)
		err_prefix(err, "table \"%s.%s\"", target->schema, target->table);
	stage_free(s);
	target_free(target);
	return ok;
}

/*
 * A table's objects in groups: a new group where the key has other columns
 * than before.  All changes of one schema version lie before those of the
 * next, since a table's definition changes while nobody else writes it.
 */
static bool
run_table(Run *run, PlanTable *t, Err *err)
{
	Group g = { .table = t, .replace = t->replace };
	int from = 0;
	bool ok = true;

	if (t->nobjects > 1)
		qsort(t->objects, (size_t) t->nobjects, sizeof(*t->objects),
			  compare_objects);
	for (int i = 0; ok && i < t->nobjects; i++)
	{
		Schema *s;
		int before = g.nschemas;

		ok = group_schema(&run->cx, &g, t->objects[i]->hash, &s, err);
		if (!ok || before == g.nschemas || before == 0 ||
			same_key(g.schemas[0], s))
			continue;
		g.nschemas--; /* it begins the next group */
		g.objects = t->objects + from;
		g.nobjects = i - from;
		ok = run_group(run, &g, err);
		group_done(&g);
		g.schemas = xcalloc(1, sizeof(Schema *));
		g.schemas[g.nschemas++] = s;
		g.replace = false;
		from = i;
	}
	if (ok && t->nobjects == 0 && t->hash)
	{
		Schema *s;

		ok = group_schema(&run->cx, &g, t->hash, &s, err);
	}
	if (ok && g.nschemas > 0)
	{
		g.objects = t->objects + from;
		g.nobjects = t->nobjects - from;
		g.last = true;
		ok = run_group(run, &g, err);
	}
	else if (ok && t->replace && (ok = state_resync_over(&run->cx, t, err)))
		log_warn("load of an empty table whose columns are not known", "schema",
				 t->schema, "table", t->table, NULL);
	group_done(&g);
	return ok;
}

static bool
find_oids(Run *run, Err *err)
{
	for (int i = 0; i < run->npending; i++)
	{
		Pending *p = &run->pending[i];
		const char *values[] = { p->target->schema, p->target->table };
		PGresult *res;

		if (!sql_params(&run->cx, "look up a table",
						"SELECT c.oid FROM pg_class c JOIN pg_namespace n"
						" ON n.oid = c.relnamespace"
						" WHERE n.nspname = $1 AND c.relname = $2",
						2, values, &res, err))
			return false;
		p->oid = xstrdup(PQntuples(res) ? PQgetvalue(res, 0, 0) : "0");
		PQclear(res);
	}
	return true;
}

static int
pending_of(const Run *run, const char *oid)
{
	for (int i = 0; i < run->npending; i++)
	{
		if (strcmp(run->pending[i].oid, oid) == 0)
			return i;
	}
	return -1;
}

/* Orders the pending tables so that a parent comes before its children. */
static bool
order_pending(Run *run, Err *err)
{
	PGresult *res;
	int n = run->npending;
	int done = 0;
	Pending *sorted;
	bool *taken;

	if (!find_oids(run, err) ||
		!sql_query(&run->cx, "read foreign keys",
				   "SELECT DISTINCT conrelid, confrelid FROM pg_constraint"
				   " WHERE contype = 'f' AND conrelid <> confrelid",
				   &res, err))
		return false;
	sorted = xcalloc((size_t) n + 1, sizeof(*sorted));
	taken = xcalloc((size_t) n + 1, sizeof(*taken));
	while (done < n)
	{
		int next = -1;
		int any = -1;

		for (int i = 0; next < 0 && i < n; i++)
		{
			bool waits = false;

			if (taken[i])
				continue;
			if (any < 0)
				any = i; /* of a cycle, one has to be first */
			for (int k = 0; !waits && k < PQntuples(res); k++)
			{
				int parent = pending_of(run, PQgetvalue(res, k, 1));

				waits =
					strcmp(PQgetvalue(res, k, 0), run->pending[i].oid) == 0 &&
					parent >= 0 && !taken[parent];
			}
			if (!waits)
				next = i;
		}
		if (next < 0)
			next = any;
		taken[next] = true;
		sorted[done++] = run->pending[next];
	}
	PQclear(res);
	free(taken);
	free(run->pending);
	run->pending = sorted;
	return true;
}

/* With foreign keys in force: rows parents first, deletes children first. */
static bool
run_pending(Run *run, Err *err)
{
	if (run->npending == 0)
		return true;
	if (!order_pending(run, err))
		return false;
	for (int i = 0; i < run->npending; i++)
	{
		Pending *p = &run->pending[i];

		p->apply.out = &run->out->tables[p->result];
		if (!apply_rows(&p->apply, err))
			return err_prefix(err, "table \"%s.%s\"", p->target->schema,
							  p->target->table);
	}
	for (int i = run->npending - 1; i >= 0; i--)
	{
		Pending *p = &run->pending[i];

		if (!apply_deletes(&p->apply, err))
			return err_prefix(err, "table \"%s.%s\"", p->target->schema,
							  p->target->table);
		add_counts(p->apply.out, p->stage, p->stage->table->replace);
		if (!apply_drop(p->stage, err))
			return false;
	}
	return true;
}

static void
drop_pending(Run *run)
{
	for (int i = 0; i < run->npending; i++)
	{
		stage_free(run->pending[i].stage);
		target_free(run->pending[i].target);
		free(run->pending[i].oid);
	}
	free(run->pending);
	run->pending = NULL;
	run->npending = 0;
}

static bool
run_tables(Run *run, Err *err)
{
	Plan *plan = run->plan;

	run->staged = 0;
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->waiting)
			log_info("table waits for its load", "schema", t->schema, "table",
					 t->table, "load", t->waiting_load, NULL);
		if (t->nobjects == 0 && !t->replace)
			continue;
		if (owner_excludes(&run->cx, t))
		{
			if (!owner_note_excluded(&run->cx, t, plan->end.lsn, err))
				return false;
			continue;
		}
		if (!run_table(run, t, err))
			return false;
	}
	return run_pending(run, err);
}

/* One transaction: from the target's position to the plan's end. */
static bool
run_transaction(Run *run, bool *more, Err *err)
{
	MergeCx *cx = &run->cx;
	MergeState state = { .position = { -1, 0 } };
	bool older;
	bool ok;

	*more = false;
	ok = session_begin(cx, err) && state_lock(cx, err) &&
		 state_create(cx, &older, err) && state_read(cx, &state, err) &&
		 (!older || owner_adopt(cx, state.position.entry, err)) &&
		 plan_make(cx->store, cx->opt->until, state.position, state.waiting,
				   state.nwaiting, cx->opt->stop, &run->plan, err);
	state_done(&state);
	if (!ok)
		return false;
	run->out->lsn = run->plan->end.lsn;
	run->out->to_entry = run->plan->end.entry;
	run->out->log_entries = run->plan->behind;
	run->out->log_closed = run->plan->closed;
	if (run->plan->end.entry == run->plan->start.entry)
		return state_outstanding(cx, run->out, err) &&
			   sql_run(cx, "end a transaction", "COMMIT", NULL, err);
	if (!owner_check_plan(cx, run->plan, err) || !session_replica(cx, err) ||
		!run_tables(run, err) || !state_store(cx, run->plan, err) ||
		!state_outstanding(cx, run->out, err) ||
		!sql_run(cx, "commit the merge", "COMMIT", NULL, err))
		return false;
	if (run->out->entries == 0)
		run->out->from_entry = run->plan->start.entry + 1;
	run->out->entries += run->plan->end.entry - run->plan->start.entry;
	*more = run->plan->more;
	return true;
}

static bool
run_all(Run *run, Err *err)
{
	bool more = true;

	while (more)
	{
		int64_t started = clock_mono_ms();
		int64_t before = run->out->entries;

		if (!run_transaction(run, &more, err))
			return false;
		if (run->out->entries > before)
			log_info("merge done", "entry", log_int(run->plan->end.entry),
					 "lsn", log_lsn(run->plan->end.lsn), "ms",
					 log_int(clock_mono_ms() - started), NULL);
		drop_pending(run);
		plan_free(run->plan);
		run->plan = NULL;
	}
	return true;
}

bool
merge_run(Store *store, const MergeOptions *o, MergeResult *out, Err *err)
{
	MergeResult result = { .to_entry = -1 };
	Entry *source = NULL;
	Run run = { .cx = { .store = store, .opt = o }, .out = &result };
	bool ok;

	if (!merge_check_options(o, err) || !plan_source(store, &source, err))
		return false;
	run.cx.system_identifier = source->system_identifier;
	run.cx.database = source->database;
	run.cx.slot = source->slot;
	run.cx.keep_going = strcmp(o->on_reject, "continue") == 0;
	ok = pg_connect(o->conninfo, PG_TARGET, &run.cx.conn, err);
	if (ok && !(ok = run_all(&run, err)))
		session_judge(&run.cx, err);
	drop_pending(&run);
	plan_free(run.plan);
	PQfinish(run.cx.conn);
	entry_free(source);
	if (!ok)
	{
		merge_result_done(&result);
		return false;
	}
	*out = result;
	return true;
}
