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
 *		A merge by groups (merge_parallel.h) says of some tables that they are
 *		further, and closes to one position in the end.
 *	(3) A backlog with very many objects is merged in several transactions,
 *		each of which is whole in this sense.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"
#include "merge/merge_ahead.h"
#include "merge/merge_ask.h"
#include "merge/merge_bring.h"
#include "merge/merge_follow.h"
#include "merge/merge_hold.h"
#include "merge/merge_limit.h"
#include "merge/merge_lines.h"
#include "merge/merge_map.h"
#include "merge/merge_note.h"
#include "merge/merge_owner.h"
#include "merge/merge_parallel.h"
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
	Bring bring;
	Ddl ddl;
	Held held;    /* for the transaction that is begun anew */
	bool adopted; /* as cx.adopted when the transaction began */
	PlanFrom from;
	Report report;
	int ahead;     /* tables that groups brought further in this transaction */
	bool retrying; /* as cx.retrying, once no table is ahead */
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
	if (!stays && !(state_store(cx, run->plan, err) &&
					ahead_close(cx, run->from.naheads + run->ahead, err) &&
					report_store(cx, &run->report, run->plan, run->out, err)))
		return false;
	if (!outstanding(run, err))
		return false;
	FAULT_POINT("merge_commit_before");
	if (!sql_run(cx, "commit the merge", "COMMIT", NULL, err))
		return false;
	FAULT_POINT("merge_commit_after");
	return true;
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

	run->bring.plan = plan;
	run->bring.mirror = run->ddl.mirror;
	return owner_check_plan(cx, plan, err) &&
		   parallel_merge(&run->bring, &run->ahead, err) &&
		   bring_tables(&run->bring, err) &&
		   follow_store(&run->ddl, plan, err) &&
		   limit_keep(cx, run->out, true, err);
}

/* Where the target is, what it has, and what is to be done. */
static bool
plan_run(Run *run, bool *retry, Err *err)
{
	MergeCx *cx = &run->cx;
	PlanFrom *state = &run->from;
	bool older;

	if (!session_begin(cx, err) || !lock(run, err) ||
		!state_create(cx, &older, err) || !state_read(cx, state, err) ||
		(cx->opt->adopt && !ahead_adopt(cx, err)) ||
		!ahead_read(cx, state, err))
		return false;
	/* rows are retried once all tables are at one position */
	cx->retrying = run->retrying && state->naheads == 0;
	return (!older || cx->opt->preview ||
			owner_adopt(cx, state->position.entry, err)) &&
		   plan_make(cx->store, cx->opt, state, cx->progress, &run->plan,
					 err) &&
		   ahead_mark(run->plan, state, err) &&
		   lines_plan(cx, run->plan, retry, err);
}

/* One transaction: from the target's position to the plan's end. */
static bool
run_transaction(Run *run, bool *more, Err *err)
{
	MergeCx *cx = &run->cx;
	bool retry;
	bool stays;

	*more = false;
	run->ahead = 0;
	run->adopted = cx->adopted;
	if (!plan_run(run, &retry, err))
		return false;
	FAULT_POINT("merge_planned");
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
	ahead_tell(&run->from, run->out);
	progress_planned(cx->progress, run->plan->start.entry + 1,
					 run->plan->end.entry, plan_rows(run->plan));
	if (!follow(run, more, err))
		return false;
	if (*more)
		return true;
	FAULT_POINT("merge_followed");
	if (!apply_plan(run, err))
		return leave_waiting(run, more, err);
	FAULT_POINT("merge_applied");
	if (!store_run(run, stays && !plan_is_blocked(run->plan), err))
		return false;
	held_done(&run->held);
	if (run->out->entries == 0)
		run->out->from_entry = run->plan->start.entry + 1;
	run->out->entries += run->plan->end.entry - run->plan->start.entry;
	*more = run->plan->more && !cx->opt->preview;
	run->retrying = run->retrying && run->from.naheads > 0;
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
		bring_drop(&run->bring);
		plan_free(run->plan);
		run->plan = NULL;
		ahead_done(&run->from);
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
	run.retrying = o->retry_rejected && !o->preview;
	run.cx.keep_going = strcmp(o->on_reject, "continue") == 0;
	run.bring = (Bring){ .cx = &run.cx, .out = &result };
	ddl_init(&run.ddl, &run.cx);
	run.cx.ask_run = ask_may(o, source);
	ok = sql_connect(&run.cx, err);
	if (ok &&
		!(ok = (o->parallel < 2 || o->preview || ahead_create(&run.cx, err)) &&
			   run_all(&run, err)))
		session_judge(&run.cx, err);
	if (ok && !o->preview)
	{
		ask_for_loads(store, source, &result);
		FAULT_POINT("merge_asked");
		note_target(&run.cx);
	}
	progress_end(&progress);
	report_done(&run.report);
	bring_done(&run.bring);
	held_done(&run.held);
	plan_free(run.plan);
	ahead_done(&run.from);
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
