/*-------------------------------------------------------------------------
 * merge_ask.c
 *	  Loads that a merge asks for.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_ask.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "merge/merge_state.h"
#include "store/loadlog.h"
#include "store/request.h"

bool
ask_may(const MergeOptions *o, const Entry *source)
{
	return strcmp(o->resync, "auto") == 0 && !source->loaded;
}

static bool
is_mended(const MergeResync *r)
{
	return !state_is_lasting(r->reason) &&
		   (strcmp(r->state, "resync") == 0 || strcmp(r->state, "often") == 0);
}

static MergeAsk
who(const MergeCx *cx, const Plan *plan, const LoadCounts *counts,
	const MergeResync *r)
{
	if (!is_mended(r))
		return ASK_NOBODY;
	if (r->waiting || plan_load_ahead(plan, r->schema, r->table, r->lsn))
		return ASK_LOADING;
	if (!cx->ask_run)
		return ASK_PERSON;
	return load_counts_of(counts, r->schema, r->table) < cx->opt->daily_max
			   ? ASK_RUN
			   : ASK_OFTEN;
}

/* The state says "often" as long as that is so. */
static bool
note(MergeCx *cx, MergeResync *r, Err *err)
{
	const char *state = r->ask == ASK_OFTEN ? "often" : "resync";

	if (r->ask == ASK_NOBODY || strcmp(r->state, state) == 0)
		return true;
	if (r->ask == ASK_OFTEN)
		log_warn("table was loaded too often today", "schema", r->schema,
				 "table", r->table, "loads", log_int(cx->opt->daily_max), NULL);
	if (!cx->opt->preview && !state_resync_state(cx, r, state, err))
		return false;
	entry_set(&r->state, state);
	return true;
}

bool
ask_judge(MergeCx *cx, const Plan *plan, MergeResult *out, Err *err)
{
	const Entry *last = plan_last(plan);
	LoadCounts counts = { 0 };
	bool ok = true;

	if (out->nresync > 0 && cx->ask_run && last)
		ok = loadlog_count(cx->store, last, clock_unix_us(), &counts, err);
	for (int i = 0; ok && i < out->nresync; i++)
	{
		MergeResync *r = &out->resync[i];

		r->ask = who(cx, plan, &counts, r);
		ok = note(cx, r, err);
	}
	load_counts_done(&counts);
	return ok;
}

void
ask_for_loads(Store *store, const Entry *source, MergeResult *out)
{
	Err err;

	for (int i = 0; i < out->nresync; i++)
	{
		MergeResync *r = &out->resync[i];
		const RequestNeed need = { .source = source,
								   .schema = r->schema,
								   .table = r->table,
								   .reason = r->reason,
								   .lsn = r->lsn,
								   .after = out->to_entry };

		if (r->ask != ASK_RUN || request_need(store, &need, &err))
			continue;
		r->ask = ASK_REFUSED;
		log_warn("could not ask for the load of a table", "schema", r->schema,
				 "table", r->table, "error", err.msg, NULL);
	}
}
