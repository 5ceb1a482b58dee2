/*-------------------------------------------------------------------------
 * against.c
 *	  "verify --against": are the rows that the lake tells of a table those
 *	  that a server has?
 *
 * Exit codes: 0 all tables are equal; 3 some differ, or what the lake had of
 * them has expired; 8 none does, but some could not be compared, or not in
 * full; 75 stopped, or the log did not come so far in time.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/against.h"

#include <string.h>

#include "cmd/cmd.h"
#include "codec/pattern.h"
#include "merge/merge_range.h"

bool
against_wants(const Against *a, const char *schema, const char *table)
{
	return !a->tables || pattern_list_matches(a->tables, schema, table);
}

bool
against_plan(Against *a, PlanPosition at, Plan **out, Err *err)
{
	const PlanFrom from = { .position = { -1, 0 }, .ahead = at, .whole = true };

	return plan_make(a->store, &a->merge, &from, &a->progress, out, err);
}

/* Whatever decides the exit code. */
static bool
verdict(const Against *a, Err *err)
{
	if (a->ndiffers > 0)
	{
		err_set(err, ERR_GAP, 0, "%d tables differ", a->ndiffers);
		return err_hint(err, "\"cdc-s3 snapshot\" loads a table anew, and a "
							 "merge then replaces the target's");
	}
	if (a->nexpired > 0)
	{
		err_set(err, ERR_GAP, 0, "objects of %d tables have expired",
				a->nexpired);
		return err_hint(err, "\"cdc-s3 snapshot\" loads a table anew; what is "
							 "behind that can be compared");
	}
	if (a->ntables == 0)
		return err_set(err, ERR_USAGE, 0, "there is no table to be compared");
	if (a->nleft > 0)
		return err_set(err, ERR_OUTSTANDING, 0,
					   "%d tables were not compared, or not in full", a->nleft);
	return true;
}

static bool
check(const Against *a, const char *what, Err *err)
{
	if (strcmp(what, "source") != 0 && strcmp(what, "target") != 0)
		return err_set(err, ERR_USAGE, 0,
					   "--against is \"%.32s\", which is neither source nor "
					   "target",
					   what);
	if (a->tables && (!a->tables[0] || !pattern_list_valid(a->tables)))
		return err_set(err, ERR_USAGE, 0,
					   "--table is \"%.128s\", which is no list of tables",
					   a->tables);
	return true;
}

static bool
open_lake(Against *a, Err *err)
{
	a->options = config_store_options(a->cfg);
	a->options.stop = a->stop;
	a->merge = (MergeOptions){ .store = &a->options,
							   .conninfo = a->cfg->target_conninfo,
							   .until = "now",
							   .stop = a->stop,
							   .memory_limit = a->cfg->memory_limit };
	progress_init(&a->progress, 0, false);
	if (!store_open(&a->options, &a->store, err) ||
		!plan_source(a->store, &a->source, err))
		return false;
	a->cx = (MergeCx){ .store = a->store,
					   .opt = &a->merge,
					   .progress = &a->progress,
					   .system_identifier = a->source->system_identifier,
					   .database = a->source->database,
					   .slot = a->source->slot };
	a->side.stop = a->stop;
	return true;
}

bool
against_run(Against *a, const char *what, Err *err)
{
	Lsn lsn = 0;
	bool ok;

	if (!check(a, what, err))
		return false;
	a->target = strcmp(what, "target") == 0;
	ok = open_lake(a, err) && (a->target ? against_target(a, &lsn, err)
										 : against_source(a, &lsn, err));
	PQfinish(a->side.conn);
	entry_free(a->source);
	store_close(a->store);
	if (!ok && atomic_load(a->stop))
		return err_set(err, ERR_BUSY, 0, "stopped before all was compared");
	return ok && against_tell_end(a, lsn, err) && verdict(a, err);
}
