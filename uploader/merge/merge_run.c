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
#include "merge/merge_ask.h"
#include "merge/merge_choose.h"
#include "merge/merge_classes.h"
#include "merge/merge_follow.h"
#include "merge/merge_group.h"
#include "merge/merge_hold.h"
#include "merge/merge_limit.h"
#include "merge/merge_lines.h"
#include "merge/merge_map.h"
#include "merge/merge_note.h"
#include "merge/merge_owner.h"
#include "merge/merge_plan.h"
#include "merge/merge_preview.h"
#include "merge/merge_range.h"
#include "merge/merge_report.h"
#include "merge/merge_session.h"
#include "merge/merge_state.h"
#include "merge/merge_trigger.h"

typedef struct Run
{
	MergeCx cx;
	Plan *plan;
	MergeResult *out;
	Facts facts;
	Ddl ddl;
	Held held;    /* for the transaction that is begun anew */
	bool adopted; /* as cx.adopted when the transaction began */
	PlanFrom from;
	Report report;
	int staged; /* staging tables made in this transaction */
	int ntables;
	GroupTable *tables; /* staged and still to be applied */
	int nschemas;
	Schema **schemas; /* that their stages use */
} Run;

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
	if (strcmp(o->way, "auto") != 0 && strcmp(o->way, "exact") != 0 &&
		strcmp(o->way, "fast") != 0)
		return err_set(err, ERR_USAGE, 0,
					   "merge.way is \"%s\", but must be \"auto\", "
					   "\"exact\" or \"fast\"",
					   o->way);
	if (!pattern_list_valid(o->tables) || !pattern_list_valid(o->exclude))
	{
		err_set(err, ERR_USAGE, 0, "cannot understand merge.%s \"%s\"",
				pattern_list_valid(o->tables) ? "exclude" : "tables",
				pattern_list_valid(o->tables) ? o->exclude : o->tables);
		return err_hint(err, "write schema.table patterns with *, by comma");
	}
	return limit_check(o->reject_limit, err) &&
		   trigger_check(o->triggers, err) && map_check(o->map, err);
}

void
merge_result_done(MergeResult *r)
{
	for (int i = 0; i < r->ntables; i++)
	{
		free(r->tables[i].schema);
		free(r->tables[i].table);
		free(r->tables[i].why);
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

/* The schemas go to run: a stage may read its objects again. */
static void
table_read_done(Run *run, TableRead *r)
{
	size_t n = (size_t) run->nschemas + (size_t) r->all.nschemas;

	run->schemas = xrealloc(run->schemas, (n + 1) * sizeof(*run->schemas));
	for (int i = 0; i < r->all.nschemas; i++)
		run->schemas[run->nschemas++] = r->all.schemas[i];
	classes_done(r);
}

/* The target cannot hold the table: all others go on. */
static bool
leave_out(Run *run, const PlanTable *table, const Target *t, Err *err)
{
	RecordPos end = { run->plan->end.lsn, 0 };

	return state_resync(&run->cx, table, end, t->unfit, err);
}

/* The first load comes to a table that has rows of its own. */
static bool
check_existing(const Run *run, const PlanTable *table, const Target *t,
			   Err *err)
{
	if (!table->replace || !t->had_rows ||
		strcmp(run->cx.opt->on_existing, "stop") != 0)
		return true;
	err_set(err, ERR_USAGE, 0,
			"it has rows of its own, and its first load is here");
	return err_hint(err, "empty it, or say what becomes of them: "
						 "merge.on_existing=replace or keep");
}

/* Some columns of the table are not at the target. */
static bool
note_incomplete(Run *run, const Stage *s, Err *err)
{
	RecordPos end = { run->plan->end.lsn, 0 };

	return !s->target->incomplete || s->whole_base ||
		   state_resync(&run->cx, s->table, end, s->target->incomplete, err);
}

static bool
open_target(Run *run, const PlanTable *t, Schema *const *schemas, int n,
			Target **out, Err *err)
{
	/* in a preview nothing has its new name yet */
	bool old = t->known && run->cx.opt->preview;
	TargetPlace place = {
		.from_schema = old ? t->known->schema : t->schema,
		.from_table = old ? t->known->table : t->table,
		.schema = t->target_schema,
		.table = t->target_table,
		.altered = t->known && t->nevents > 0 && t->now,
	};

	return target_open(&run->cx, &place, (const Schema *const *) schemas, n,
					   out, err);
}

/* Stages the objects of a class; keeps stage and target in run->tables. */
static bool
stage_class(Run *run, const TableRead *r, const KeyClass *c, Err *err)
{
	GroupTable *to;
	Target *target;
	Stage *s;

	if (!open_target(run, r->table, c->schemas, c->nschemas, &target, err))
		return false;
	if (target->unfit)
	{
		bool ok = leave_out(run, r->table, target, err);

		target_free(target);
		return ok;
	}
	if (!check_existing(run, r->table, target, err) ||
		!stage_open(&run->cx, r->table, target, c->schemas, c->nschemas,
					run->staged++, r->table->replace, &s, err))
	{
		target_free(target);
		return false;
	}
	run->tables = xrealloc(run->tables,
						   ((size_t) run->ntables + 1) * sizeof(*run->tables));
	to = &run->tables[run->ntables++];
	if (!group_table(&run->cx, s, target, to, err) || !lines_begin(s, err))
		return false;
	if (r->table->replace && target->had_rows) /* merge.on_existing = keep */
		s->empty_base = strcmp(run->cx.opt->on_existing, "keep") != 0;
	to->several = r->nclasses > 1;
	to->result = result_table(run->out, target->schema, target->table);
	return choose_hurry(s, &to->facts, to->several, err) &&
		   stage_objects(s, c->objects, c->nobjects, err) &&
		   lines_stage(s, err) && note_incomplete(run, s, err);
}

/* A truncate in one stage of a table ends what the others hold too. */
static void
share_barrier(Run *run, int from)
{
	RecordPos barrier = { 0, 0 };
	bool set = false;

	for (int i = from; i < run->ntables; i++)
	{
		const Stage *s = run->tables[i].stage;

		if (s->barrier_set && (!set || record_pos_after(s->barrier, barrier)))
			barrier = s->barrier;
		set = set || s->barrier_set;
	}
	for (int i = from; set && i < run->ntables; i++)
		stage_set_barrier(run->tables[i].stage, barrier);
}

/* A table that has several keys is made and widened with all its columns. */
static bool
prepare_target(Run *run, const TableRead *r, Err *err)
{
	Target *target;

	if (r->nclasses < 2 && classes_last_is_now(r))
		return true;
	if (!open_target(run, r->table, r->all.schemas, r->all.nschemas, &target,
					 err))
		return false;
	target_free(target);
	return true;
}

static bool
stage_classes(Run *run, TableRead *r, Err *err)
{
	int from = run->ntables;

	if (!prepare_target(run, r, err))
		return false;
	for (int i = 0; i < r->nclasses; i++)
	{
		if (!stage_class(run, r, &r->classes[i], err))
			return err_prefix(err, "table \"%s.%s\"", r->table->schema,
							  r->table->table);
	}
	if (r->nclasses > 1)
		share_barrier(run, from);
	return true;
}

/*
 * Stages a table's objects, by what their schemas say the key is: that may
 * change and change back, and differ from partition to partition.
 */
static bool
stage_table(Run *run, PlanTable *t, Err *err)
{
	TableRead r = { .table = t };
	bool ok = classes_read(&run->cx, &r, err);

	if (ok && r.nclasses > 0)
		ok = stage_classes(run, &r, err);
	else if (ok && t->replace && (ok = state_resync_over(&run->cx, t, err)))
		log_warn("load of an empty table whose columns are not known", "schema",
				 t->schema, "table", t->table, NULL);
	table_read_done(run, &r);
	return ok;
}

static void
drop_tables(Run *run)
{
	for (int i = 0; i < run->ntables; i++)
		group_table_done(&run->tables[i]);
	free(run->tables);
	run->tables = NULL;
	run->ntables = 0;
	for (int i = 0; i < run->nschemas; i++)
		schema_free(run->schemas[i]);
	free(run->schemas);
	run->schemas = NULL;
	run->nschemas = 0;
}

/* The source made it, and no merge yet. */
static bool
is_to_be_made(const PlanTable *t)
{
	return t->nevents > 0 && t->hash && !t->gone && !t->left && !t->waiting &&
		   !(t->known && t->known->target_table);
}

static bool
has_work(const Run *run, const PlanTable *t)
{
	if (t->gone && (run->ddl.mirror || !(t->known && t->known->target_table)))
		return false; /* it came and went, or has just been dropped */
	return t->nobjects > 0 || t->lost || t->replace || t->strange ||
		   is_to_be_made(t) || (t->retry && !owner_excludes(&run->cx, t));
}

/* Rows of a table are not known, for what happened to the table itself. */
static bool
note_strange(Run *run, const PlanTable *t, Err *err)
{
	bool refused = false;

	for (int i = 0; t->recast && i < run->ntables; i++)
	{
		const Stage *s = run->tables[i].stage;

		refused = refused || (s->table == t && s->rejected > 0);
	}
	if (refused && !t->strange)
		return state_resync(&run->cx, t, t->recast_pos, "type", err);
	return !t->strange ||
		   state_resync(&run->cx, t, t->strange_pos, t->strange_why, err);
}

/* What a table needs is not there any more, and no later load replaces it. */
static bool
needs_expired(const Plan *plan, const PlanTable *t, Err *err)
{
	err_set(err, ERR_GAP, 0,
			"table \"%s\".\"%s\" needs object \"%s\", which has expired: "
			"entries up to %lld have no objects any more",
			t->schema, t->table, t->lost->key, (long long) plan->expired);
	return err_hint(err,
					"have it loaded anew: cdc-s3 snapshot --wait '%s.%s' (or "
					"all tables, '*.*'), then merge with merge.until=now; "
					"nothing was changed at the target",
					t->schema, t->table);
}

/* Where no foreign key is in force tables are brought over one by one. */
static bool
run_tables(Run *run, Err *err)
{
	Plan *plan = run->plan;

	run->staged = 0;
	facts_done(&run->facts);
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->waiting && !run->cx.opt->preview)
			log_info("table waits for its load", "schema", t->schema, "table",
					 t->table, "load", t->waiting_load, NULL);
		if (t->refused || !has_work(run, t))
			continue;
		if (owner_excludes(&run->cx, t))
		{
			if (run->cx.opt->preview)
				preview_note(run->cx.opt->preview, t->schema, t->table,
							 "left out (merge.exclude)");
			if (!owner_note_excluded(&run->cx, t, plan->end.lsn, err))
				return false;
			continue;
		}
		if (t->lost)
			return needs_expired(plan, t, err);
		if (!stage_table(run, t, err) || !note_strange(run, t, err))
			return false;
		if (!run->cx.replica)
			continue;
		if (!group_apply(&run->cx, &run->facts, run->tables, run->ntables,
						 run->out, err))
			return false;
		drop_tables(run);
	}
	return run->cx.replica || (facts_read(&run->cx, &run->facts, err) &&
							   group_apply(&run->cx, &run->facts, run->tables,
										   run->ntables, run->out, err));
}

/* A preview waits for nobody, and nobody for it. */
static bool
lock(Run *run, Err *err)
{
	MergePreview *p = run->cx.opt->preview;

	return p ? state_look_lock(&run->cx, &p->running, err)
			 : state_lock(&run->cx, err);
}

/* What waits for somebody, and for whom. */
static bool
outstanding(Run *run, Err *err)
{
	return state_outstanding(&run->cx, run->out, err) &&
		   ask_judge(&run->cx, run->plan, run->out, err);
}

/* The position and what else is kept of the merge, and the end. */
static bool
store_run(Run *run, bool stays, Err *err)
{
	MergeCx *cx = &run->cx;

	progress_phase(cx->progress, PHASE_COMMIT);
	if (cx->opt->preview)
		return outstanding(run, err) &&
			   sql_run(cx, "end a transaction", "ROLLBACK", NULL, err);
	return (stays ||
			(state_store(cx, run->plan, err) &&
			 report_store(cx, &run->report, run->plan, run->out, err))) &&
		   outstanding(run, err) &&
		   sql_run(cx, "commit the merge", "COMMIT", NULL, err);
}

/* Another transaction is to do it. */
static bool
roll_back(Run *run, Err *err)
{
	run->cx.adopted = run->adopted;
	report_undo(&run->report, run->out);
	return sql_run(&run->cx, "begin a transaction anew", "ROLLBACK", NULL, err);
}

/*
 * Rows of a table cannot be applied before the target has something: the
 * others go on.  False where it is not that.
 */
static bool
leave_waiting(Run *run, bool *again, Err *err)
{
	MergeCx *cx = &run->cx;
	uint32_t relation = cx->lacks_of;

	cx->lacks_of = 0;
	for (int i = 0; i < run->held.n; i++)
	{
		if (run->held.tables[i].relation == relation)
			return false;
	}
	if (relation == 0)
		return false;
	held_add(&run->held, relation, cx->lacks);
	*again = true;
	return roll_back(run, err);
}

/* The target's tables become the source's; *again: in another transaction. */
static bool
follow(Run *run, bool *again, Err *err)
{
	Ddl *d = &run->ddl;
	Plan *plan = run->plan;

	hold_known(&run->held, plan);
	if (!session_replica(&run->cx, err) || !follow_plan(d, plan, err) ||
		!hold_others(d, plan, &run->held, again, err))
		return false;
	if (*again)
		return roll_back(run, err);
	return follow_unblocked(d, plan, err) && follow_names(d, plan, err);
}

/* Row by row. */
static bool
apply_plan(Run *run, Err *err)
{
	MergeCx *cx = &run->cx;
	Plan *plan = run->plan;

	return owner_check_plan(cx, plan, err) && run_tables(run, err) &&
		   follow_store(&run->ddl, plan, err) &&
		   limit_keep(cx, run->out, true, err);
}

/* One transaction: from the target's position to the plan's end. */
static bool
run_transaction(Run *run, bool *more, Err *err)
{
	MergeCx *cx = &run->cx;
	PlanFrom *state = &run->from;
	bool older;
	bool retry;
	bool stays;
	bool ok;

	*more = false;
	run->adopted = cx->adopted;
	ok = session_begin(cx, err) && lock(run, err) &&
		 state_create(cx, &older, err) && state_read(cx, state, err) &&
		 (!older || cx->opt->preview ||
		  owner_adopt(cx, state->position.entry, err)) &&
		 plan_make(cx->store, cx->opt->until, state, cx->opt->stop,
				   cx->progress, &run->plan, err) &&
		 lines_plan(cx, run->plan, &retry, err);
	if (!ok)
		return false;
	run->out->lsn = run->plan->end.lsn;
	run->out->to_entry = run->plan->end.entry;
	run->out->log_entries = run->plan->behind;
	run->out->log_closed = run->plan->closed;
	stays = run->plan->end.entry == run->plan->start.entry;
	if (stays && !retry && !plan_is_blocked(run->plan))
		return outstanding(run, err) &&
			   sql_run(cx, "end a transaction", "COMMIT", NULL, err);
	if (cx->opt->preview)
		preview_plan(cx->opt->preview, run->plan);
	report_begin(&run->report, run->out);
	progress_planned(cx->progress, run->plan->start.entry + 1,
					 run->plan->end.entry, plan_rows(run->plan));
	if (!follow(run, more, err))
		return false;
	if (*more)
		return true;
	if (!apply_plan(run, err))
		return leave_waiting(run, more, err);
	if (!store_run(run, stays && !plan_is_blocked(run->plan), err))
		return false;
	held_done(&run->held);
	if (run->out->entries == 0)
		run->out->from_entry = run->plan->start.entry + 1;
	run->out->entries += run->plan->end.entry - run->plan->start.entry;
	*more = run->plan->more && !cx->opt->preview;
	cx->retrying = false;
	return true;
}

static void
log_done(const Run *run)
{
	const Progress *p = run->cx.progress;

	log_info("merge done", "entry", log_int(run->plan->end.entry), "lsn",
			 log_lsn(run->plan->end.lsn), "ms",
			 log_int(clock_mono_ms() - p->began_ms), "plan_ms",
			 log_int(progress_spent(p, PHASE_PLAN)), "read_ms",
			 log_int(progress_spent(p, PHASE_READ)), "stage_ms",
			 log_int(progress_spent(p, PHASE_STAGE)), "apply_ms",
			 log_int(progress_spent(p, PHASE_APPLY)), "commit_ms",
			 log_int(progress_spent(p, PHASE_COMMIT)), NULL);
}

static bool
run_all(Run *run, Err *err)
{
	bool more = true;

	while (more)
	{
		int64_t before = run->out->entries;

		progress_begin(run->cx.progress);
		if (!run_transaction(run, &more, err))
			return false;
		progress_end(run->cx.progress);
		if (run->out->entries > before && !run->cx.opt->preview)
			log_done(run);
		drop_tables(run);
		plan_free(run->plan);
		run->plan = NULL;
		state_done(&run->from);
		ddl_done(&run->ddl);
		ddl_init(&run->ddl, &run->cx);
	}
	return true;
}

bool
merge_run(Store *store, const MergeOptions *o, MergeResult *out, Err *err)
{
	MergeResult result = { .to_entry = -1 };
	Entry *source = NULL;
	Progress progress;
	Run run = { .cx = { .store = store, .opt = o, .progress = &progress },
				.out = &result };
	bool ok;

	if (!merge_check_options(o, err) || !plan_source(store, &source, err))
		return false;
	progress_init(&progress, o->progress_ms, o->terminal);
	run.cx.system_identifier = source->system_identifier;
	run.cx.database = source->database;
	run.cx.slot = source->slot;
	run.cx.retrying = o->retry_rejected && !o->preview;
	run.cx.keep_going = strcmp(o->on_reject, "continue") == 0;
	ddl_init(&run.ddl, &run.cx);
	run.cx.ask_run = ask_may(o, source);
	ok = sql_connect(&run.cx, err);
	if (ok && !(ok = run_all(&run, err)))
		session_judge(&run.cx, err);
	if (ok && !o->preview)
	{
		ask_for_loads(store, source, &result);
		note_target(&run.cx);
	}
	progress_end(&progress);
	report_done(&run.report);
	drop_tables(&run);
	facts_done(&run.facts);
	held_done(&run.held);
	plan_free(run.plan);
	state_done(&run.from);
	ddl_done(&run.ddl);
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
