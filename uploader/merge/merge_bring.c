/*-------------------------------------------------------------------------
 * merge_bring.c
 *	  The tables of a plan: staged, applied, told in the result.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_bring.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_choose.h"
#include "merge/merge_classes.h"
#include "merge/merge_lines.h"
#include "merge/merge_owner.h"
#include "merge/merge_preview.h"
#include "merge/merge_report.h"
#include "merge/merge_state.h"

int
bring_line(MergeResult *r, const char *schema, const char *table)
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

void
bring_add_line(MergeResult *r, const MergeTable *done)
{
	int i = bring_line(r, done->schema, done->table); /* it may move them */
	MergeTable *t = &r->tables[i];

	t->records += done->records;
	t->inserted += done->inserted;
	t->updated += done->updated;
	t->deleted += done->deleted;
	t->rejected += done->rejected;
	report_way(t, done->way, done->why ? xstrdup(done->why) : NULL);
}

/* The schemas stay here: a stage may read its objects again. */
static void
table_read_done(Bring *b, TableRead *r)
{
	size_t n = (size_t) b->nschemas + (size_t) r->all.nschemas;

	b->schemas = xrealloc(b->schemas, (n + 1) * sizeof(*b->schemas));
	for (int i = 0; i < r->all.nschemas; i++)
		b->schemas[b->nschemas++] = r->all.schemas[i];
	classes_done(r);
}

/* The target cannot hold the table: all others go on. */
static bool
leave_out(Bring *b, const PlanTable *table, const Target *t, Err *err)
{
	RecordPos end = { b->plan->end.lsn, 0 };

	return state_resync(b->cx, table, end, t->unfit, err);
}

/* The first load comes to a table that has rows of its own. */
static bool
check_existing(const Bring *b, const PlanTable *table, const Target *t,
			   Err *err)
{
	if (!table->replace || !t->had_rows ||
		strcmp(b->cx->opt->on_existing, "stop") != 0)
		return true;
	err_set(err, ERR_USAGE, 0,
			"it has rows of its own, and its first load is here");
	return err_hint(err, "empty it, or say what becomes of them: "
						 "merge.on_existing=replace or keep");
}

/* Some columns of the table are not at the target. */
static bool
note_incomplete(Bring *b, const Stage *s, Err *err)
{
	RecordPos end = { b->plan->end.lsn, 0 };

	return !s->target->incomplete || s->whole_base ||
		   state_resync(b->cx, s->table, end, s->target->incomplete, err);
}

static bool
open_target(Bring *b, const PlanTable *t, Schema *const *schemas, int n,
			Target **out, Err *err)
{
	/* in a preview nothing has its new name yet */
	bool old = t->known && b->cx->opt->preview;
	TargetPlace place = {
		.from_schema = old ? t->known->schema : t->schema,
		.from_table = old ? t->known->table : t->table,
		.schema = t->target_schema,
		.table = t->target_table,
		.altered = t->known && t->nevents > 0 && t->now,
	};

	return target_open(b->cx, &place, (const Schema *const *) schemas, n, out,
					   err);
}

/* Stages the objects of a class; keeps stage and target in b->tables. */
static bool
stage_class(Bring *b, const TableRead *r, const KeyClass *c, Err *err)
{
	GroupTable *to;
	Target *target;
	Stage *s;

	if (!open_target(b, r->table, c->schemas, c->nschemas, &target, err))
		return false;
	if (target->unfit)
	{
		bool ok = leave_out(b, r->table, target, err);

		target_free(target);
		return ok;
	}
	if (!check_existing(b, r->table, target, err) ||
		!stage_open(b->cx, r->table, target, c->schemas, c->nschemas,
					b->staged++, r->table->replace, &s, err))
	{
		target_free(target);
		return false;
	}
	FAULT_POINT("merge_stage_before");
	b->tables =
		xrealloc(b->tables, ((size_t) b->ntables + 1) * sizeof(*b->tables));
	to = &b->tables[b->ntables++];
	if (!group_table(b->cx, s, target, to, err) || !lines_begin(s, err))
		return false;
	if (r->table->replace && target->had_rows) /* merge.on_existing = keep */
		s->empty_base = strcmp(b->cx->opt->on_existing, "keep") != 0;
	to->several = r->nclasses > 1;
	to->result = bring_line(b->out, target->schema, target->table);
	if (!choose_hurry(s, &to->facts, to->several, err) ||
		!stage_objects(s, c->objects, c->nobjects, err) ||
		!lines_stage(s, err) || !note_incomplete(b, s, err))
		return false;
	FAULT_POINT("merge_stage_after");
	return true;
}

/* A truncate in one stage of a table ends what the others hold too. */
static void
share_barrier(Bring *b, int from)
{
	RecordPos barrier = { 0, 0 };
	bool set = false;

	for (int i = from; i < b->ntables; i++)
	{
		const Stage *s = b->tables[i].stage;

		if (s->barrier_set && (!set || record_pos_after(s->barrier, barrier)))
			barrier = s->barrier;
		set = set || s->barrier_set;
	}
	for (int i = from; set && i < b->ntables; i++)
		stage_set_barrier(b->tables[i].stage, barrier);
}

/* A table that has several keys is made and widened with all its columns. */
static bool
prepare_target(Bring *b, const TableRead *r, Err *err)
{
	Target *target;

	if (r->nclasses < 2 && classes_last_is_now(r))
		return true;
	if (!open_target(b, r->table, r->all.schemas, r->all.nschemas, &target,
					 err))
		return false;
	target_free(target);
	return true;
}

static bool
stage_classes(Bring *b, TableRead *r, Err *err)
{
	int from = b->ntables;

	if (!prepare_target(b, r, err))
		return false;
	for (int i = 0; i < r->nclasses; i++)
	{
		if (!stage_class(b, r, &r->classes[i], err))
			return err_prefix(err, "table \"%s.%s\"", r->table->schema,
							  r->table->table);
	}
	if (r->nclasses > 1)
		share_barrier(b, from);
	return true;
}

/*
 * Stages a table's objects, by what their schemas say the key is: that may
 * change and change back, and differ from partition to partition.
 */
static bool
stage_table(Bring *b, PlanTable *t, Err *err)
{
	TableRead r = { .table = t };
	bool ok = classes_read(b->cx, &r, err);

	if (ok && r.nclasses > 0)
		ok = stage_classes(b, &r, err);
	else if (ok && t->replace && (ok = state_resync_over(b->cx, t, err)))
		log_warn("load of an empty table whose columns are not known", "schema",
				 t->schema, "table", t->table, NULL);
	table_read_done(b, &r);
	return ok;
}

void
bring_drop(Bring *b)
{
	for (int i = 0; i < b->ntables; i++)
		group_table_done(&b->tables[i]);
	free(b->tables);
	b->tables = NULL;
	b->ntables = 0;
	for (int i = 0; i < b->nschemas; i++)
		schema_free(b->schemas[i]);
	free(b->schemas);
	b->schemas = NULL;
	b->nschemas = 0;
}

/* The source made it, and no merge yet. */
static bool
is_to_be_made(const PlanTable *t)
{
	return t->nevents > 0 && t->hash && !t->gone && !t->left && !t->waiting &&
		   !(t->known && t->known->target_table);
}

bool
bring_has_work(const Bring *b, const PlanTable *t)
{
	if (t->gone && (b->mirror || !(t->known && t->known->target_table)))
		return false; /* it came and went, or has just been dropped */
	return t->nobjects > 0 || t->lost || t->replace || t->strange ||
		   is_to_be_made(t) || (t->retry && !owner_excludes(b->cx, t));
}

/* Rows of a table are not known, for what happened to the table itself. */
static bool
note_strange(Bring *b, const PlanTable *t, Err *err)
{
	bool refused = false;

	for (int i = 0; t->recast && i < b->ntables; i++)
	{
		const Stage *s = b->tables[i].stage;

		refused = refused || (s->table == t && s->rejected > 0);
	}
	if (refused && !t->strange)
		return state_resync(b->cx, t, t->recast_pos, "type", err);
	return !t->strange ||
		   state_resync(b->cx, t, t->strange_pos, t->strange_why, err);
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
bool
bring_tables(Bring *b, Err *err)
{
	Plan *plan = b->plan;

	b->staged = 0;
	facts_done(&b->facts);
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->group != b->group)
			continue;
		if (t->waiting && !b->cx->opt->preview)
			log_info("table waits for its load", "schema", t->schema, "table",
					 t->table, "load", t->waiting_load, NULL);
		if (t->refused || !bring_has_work(b, t))
			continue;
		if (t->ahead)
		{
			if (b->cx->opt->preview)
				preview_note(b->cx->opt->preview, t->schema, t->table,
							 "is at the end of that already");
			continue;
		}
		if (owner_excludes(b->cx, t))
		{
			if (b->cx->opt->preview)
				preview_note(b->cx->opt->preview, t->schema, t->table,
							 "left out (merge.exclude)");
			if (!owner_note_excluded(b->cx, t, plan->end.lsn, err))
				return false;
			continue;
		}
		if (t->lost)
			return needs_expired(plan, t, err);
		if (!stage_table(b, t, err) || !note_strange(b, t, err))
			return false;
		if (!b->cx->replica)
			continue;
		if (!group_apply(b->cx, &b->facts, b->tables, b->ntables, b->out, err))
			return false;
		bring_drop(b);
	}
	return b->cx->replica ||
		   (facts_read(b->cx, &b->facts, err) &&
			group_apply(b->cx, &b->facts, b->tables, b->ntables, b->out, err));
}

void
bring_done(Bring *b)
{
	bring_drop(b);
	facts_done(&b->facts);
}
