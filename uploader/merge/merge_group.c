/*-------------------------------------------------------------------------
 * merge_group.c
 *	  Staged tables to the target: which of them go together, and by which of
 *	  the two ways.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_apply.h"
#include "merge/merge_exact.h"
#include "merge/merge_limit.h"
#include "merge/merge_lines.h"
#include "merge/merge_report.h"
#include "merge/merge_state.h"
#include "merge/merge_trigger.h"

/* Members of one group, parents before their children. */
typedef struct Group
{
	MergeCx *cx;
	const Facts *facts;
	MergeResult *result;
	int n;
	GroupTable **tables;
} Group;

bool
group_table(MergeCx *cx, Stage *stage, Target *target, GroupTable *out,
			Err *err)
{
	Buf key;
	bool any = false;
	bool ok;

	*out = (GroupTable){ .stage = stage, .target = target };
	buf_init(&key, SQL_MAX);
	buf_byte(&key, '{');
	for (int i = 0; i < target->ncols; i++)
	{
		if (!target->cols[i].key)
			continue;
		sql_add_array_item(&key, target->cols[i].name, !any);
		any = true;
	}
	buf_byte(&key, '}');
	if (target->planned) /* any number that no other table has */
		out->facts.oid = (uint32_t) fnv1a(FNV1A_EMPTY, target->name) | 1u << 31;
	ok = target->planned ||
		 (trigger_enable(cx, target, &out->triggers, err) &&
		  facts_table(cx, target->name, buf_cstr(&key), &out->facts, err));
	buf_done(&key);
	return ok;
}

void
group_table_done(GroupTable *t)
{
	facts_table_done(&t->facts);
	free(t->triggers);
	stage_free(t->stage);
	target_free(t->target);
	*t = (GroupTable){ 0 };
}

/* ---- which go together ---- */

static int
group_of(int *group, int i)
{
	while (group[i] != i)
		i = group[i] = group[group[i]];
	return i;
}

static void
join_key(const GroupTable *tables, int n, const FactKey *k, int *group)
{
	int first = -1;

	for (int i = 0; i < n; i++)
	{
		uint32_t oid = tables[i].facts.oid;

		if (oid != k->child && oid != k->parent)
			continue;
		if (first < 0)
			first = i;
		group[group_of(group, i)] = group_of(group, first);
	}
}

static int *
find_groups(const Facts *facts, const GroupTable *tables, int n)
{
	int *group = xmalloc(((size_t) n + 1) * sizeof(int));

	for (int i = 0; i < n; i++)
		group[i] = i;
	for (int i = 0; i < n; i++)
	{
		const FactKey same = { .child = tables[i].facts.oid };

		if (tables[i].several)
			join_key(tables, n, &same, group);
	}
	for (int i = 0; i < facts->nkeys; i++)
		join_key(tables, n, &facts->keys[i], group);
	return group;
}

/* Does a table wait for a parent that was not taken yet? */
static bool
waits(const Group *g, GroupTable *const *sorted, int done, const GroupTable *t)
{
	for (int i = 0; i < g->facts->nkeys; i++)
	{
		const FactKey *k = &g->facts->keys[i];
		bool in_group = false;
		bool taken = false;

		if (k->child != t->facts.oid || k->parent == k->child)
			continue;
		for (int m = 0; m < g->n; m++)
			in_group = in_group || g->tables[m]->facts.oid == k->parent;
		for (int m = 0; m < done; m++)
			taken = taken || sorted[m]->facts.oid == k->parent;
		if (in_group && !taken)
			return true;
	}
	return false;
}

static void
sort_group(Group *g)
{
	GroupTable **sorted = xcalloc((size_t) g->n + 1, sizeof(*sorted));
	bool *taken = xcalloc((size_t) g->n + 1, sizeof(bool));

	for (int done = 0; done < g->n; done++)
	{
		int next = -1;
		int any = -1; /* of a circle one has to be first */

		for (int i = 0; next < 0 && i < g->n; i++)
		{
			if (taken[i])
				continue;
			if (any < 0)
				any = i;
			if (!waits(g, sorted, done, g->tables[i]))
				next = i;
		}
		if (next < 0)
			next = any;
		taken[next] = true;
		sorted[done] = g->tables[next];
	}
	free(taken);
	free(g->tables);
	g->tables = sorted;
}

/* ---- by which way ---- */

static bool
only_inserts(const Stage *s)
{
	return s->updates == 0 && s->moves == 0 && s->deletes == 0 &&
		   s->truncates == 0 && !s->empty_base;
}

/* Why it has to go the exact way, and which table asks for it; or NULL. */
static const char *
needs_exact(const Group *g, const Target **asks)
{
	for (int i = 0; i < g->n; i++)
	{
		const GroupTable *t = g->tables[i];

		*asks = t->target;
		if (t->several)
			return "its key changes in the range";
		if (t->facts.watched)
			return "a trigger or rule would run";
		for (int k = 0; k < g->facts->nkeys; k++)
		{
			const FactKey *f = &g->facts->keys[k];

			if (f->parent == t->facts.oid && !only_inserts(t->stage) &&
				(facts_acts(f->on_delete) || facts_acts(f->on_update)))
				return "a foreign key with an action refers to it";
		}
	}
	return NULL;
}

/* The same for what no choice may send the fast way. */
static const char *
cannot_fold(const Group *g, const Target **asks)
{
	for (int i = 0; i < g->n; i++)
	{
		*asks = g->tables[i]->target;
		if (g->tables[i]->several)
			return "its key changes in the range";
		if (g->tables[i]->stage->poisoned > 0)
			return "a row of it was rejected while it was read";
	}
	return NULL;
}

static MergeTable *
line(const Group *g, const GroupTable *t)
{
	return &g->result->tables[t->result];
}

/* Tables that nobody refers to: deletes first, so that values get free. */
static bool
fast_alone(const Group *g, GroupTable *t, bool *refused, Err *err)
{
	Apply a;

	if (!apply_steps(t->stage, line(g, t), refused, err) || *refused)
		return !*refused;
	if (!t->target->has_key)
		return apply_bag(t->stage, line(g, t), refused, err);
	return apply_open(&a, t->stage, line(g, t), refused, err) &&
		   (*refused || (apply_deletes(&a, err) && apply_rows(&a, err)));
}

/* Rows parents first, then deletes children first. */
static bool
fast_joined(const Group *g, bool *refused, Err *err)
{
	Apply *a = xcalloc((size_t) g->n + 1, sizeof(*a));
	bool ok = true;

	for (int i = 0; ok && !*refused && i < g->n; i++)
	{
		GroupTable *t = g->tables[i];

		*refused = t->stage->ncuts > 0;
		if (*refused || !ok)
			break;
		if (!t->target->has_key)
			ok = apply_bag(t->stage, line(g, t), refused, err);
		else
			ok = apply_open(&a[i], t->stage, line(g, t), refused, err) &&
				 (*refused || apply_rows(&a[i], err));
	}
	for (int i = g->n - 1; ok && !*refused && i >= 0; i--)
	{
		if (g->tables[i]->target->has_key)
			ok = apply_deletes(&a[i], err);
	}
	free(a);
	return ok;
}

static bool
check_deferred(const Group *g, Err *err)
{
	bool any = false;

	for (int i = 0; i < g->n; i++)
		any = any || (!g->cx->replica && g->tables[i]->facts.deferrable);
	return !any || sql_run(g->cx, "check constraints",
						   "SET CONSTRAINTS ALL IMMEDIATE;"
						   "SET CONSTRAINTS ALL DEFERRED",
						   NULL, err);
}

/* What the fast way changes in memory, to go back to. */
typedef struct Before
{
	Stage stage;
	MergeTable out;
} Before;

/* *refused: nothing is changed, the group has to go the exact way. */
static bool
try_fast(const Group *g, bool *refused, Err *err)
{
	Before *before = xcalloc((size_t) g->n + 1, sizeof(*before));
	bool ok;

	*refused = false;
	for (int i = 0; i < g->n; i++)
		before[i] = (Before){ *g->tables[i]->stage, *line(g, g->tables[i]) };
	ok = sql_savepoint(g->cx, "cdc_s3_fast", err) &&
		 (g->n == 1 ? fast_alone(g, g->tables[0], refused, err)
					: fast_joined(g, refused, err)) &&
		 (*refused || check_deferred(g, err));
	if (!ok)
		ok = *refused = *refused || sql_state_is_data(g->cx);
	if (ok && *refused)
	{
		for (int i = 0; i < g->n; i++)
		{
			*g->tables[i]->stage = before[i].stage;
			*line(g, g->tables[i]) = before[i].out;
		}
		ok = sql_rollback_to(g->cx, "cdc_s3_fast", err);
	}
	else if (ok)
		ok = sql_release(g->cx, "cdc_s3_fast", err);
	free(before);
	return ok;
}

static bool
go_exact(const Group *g, Err *err)
{
	ExactMember *m = xcalloc((size_t) g->n + 1, sizeof(*m));
	bool ok = true;

	for (int i = 0; ok && i < g->n; i++)
	{
		Stage *s = g->tables[i]->stage;
		bool again = s->dropped > 0;

		ok = stage_all(s, err) && (!again || lines_stage(s, err));
		m[i] = (ExactMember){ g->tables[i]->stage, line(g, g->tables[i]),
							  &g->tables[i]->facts };
	}
	log_debug("changes are applied in the order of the source", "table",
			  g->tables[0]->target->table, "tables", log_int(g->n), NULL);
	ok = ok && exact_apply(g->cx, g->facts, m, g->n, err);
	free(m);
	return ok;
}

/* Does the table have to be loaded anew, or not any more? */
static bool
note_resync(MergeCx *cx, const Stage *s, Err *err)
{
	if (s->whole_base && !state_resync_over(cx, s->table, err))
		return false;
	return !s->resync_set ||
		   state_resync(cx, s->table, s->resync, s->resync_reason, err);
}

static void
add_ops(MergeOps *to, const MergeOps *ops)
{
	to->loads += ops->loads;
	to->inserts += ops->inserts;
	to->updates += ops->updates;
	to->deletes += ops->deletes;
	to->truncates += ops->truncates;
	to->others += ops->others;
}

static bool
finish_group(const Group *g, Err *err)
{
	g->cx->progress->group = 0;
	for (int i = 0; i < g->n; i++)
	{
		GroupTable *t = g->tables[i];
		MergeTable *to = line(g, t);

		to->records += t->stage->records;
		to->created = t->target->planned;
		add_ops(&to->ops, &t->stage->ops);
		to->rejected += t->stage->rejected;
		to->loaded_now = to->loaded_now || t->stage->table->replace;
		to->replaced = to->replaced || to->loaded_now;
		g->result->retried += t->stage->retried ? t->stage->old_lines : 0;
		g->result->again += t->stage->again;
		g->cx->progress->applied += t->stage->lines;
		if (!lines_end(t->stage, err) || !note_resync(g->cx, t->stage, err) ||
			!apply_drop(t->stage, err) ||
			!trigger_back(g->cx, t->triggers, err))
			return false;
	}
	return limit_keep(g->cx, g->result, false, err);
}

/*
 * Of a table whose load went there by itself it counts what is left of it in
 * the end: that was inserted, whichever way it took.  It is a group alone.
 */
static void
count_load(const Group *g, const MergeTable *before)
{
	const Stage *s = g->tables[0]->stage;
	MergeTable *to = line(g, g->tables[0]);

	if (!s->direct)
		return;
	to->inserted += s->loaded - (to->deleted - before->deleted);
	to->updated = before->updated;
	to->deleted = before->deleted;
}

/* asks: the table on whose account, where one is named. */
static void
note_way(const Group *g, const char *way, const char *why, const Target *asks)
{
	for (int i = 0; i < g->n; i++)
	{
		const Target *t = g->tables[i]->target;

		report_way(line(g, g->tables[i]), way,
				   asks && strcmp(asks->name, t->name) != 0
					   ? xasprintf("joined with \"%s.%s\": %s", asks->schema,
								   asks->table, why)
					   : xstrdup(why));
	}
}

/* True: the exact way. */
static bool
choose_way(const Group *g)
{
	const char *set = g->cx->opt->way;
	const Target *asks;
	const char *why = cannot_fold(g, &asks);
	const char *needs = NULL;

	if (!why)
		why = needs = needs_exact(g, &asks);
	if (strcmp(set, "exact") == 0)
		note_way(g, "exact", "merge.way", NULL);
	else if (!why)
		note_way(g, "fast", "only the last state of each row counts", NULL);
	else if (needs && strcmp(set, "fast") == 0)
	{
		note_way(g, "fast", "merge.way", NULL);
		log_warn("changes are folded as merge.way says, although triggers or "
				 "foreign keys of the target may tell the difference",
				 "table", g->tables[0]->target->table, NULL);
		return false;
	}
	else
		note_way(g, "exact", why, asks);
	return why || strcmp(set, "exact") == 0;
}

/* The fast way was tried; what stood in its way is the last SQLSTATE. */
static void
note_refused(const Group *g)
{
	char *why = g->cx->state[0]
					? xasprintf("the target refused the fast way (SQLSTATE %s)",
								g->cx->state)
					: xstrdup("folding its changes cannot be exact");

	note_way(g, "exact", why, NULL);
	free(why);
}

static bool
run_group(Group *g, Err *err)
{
	MergeTable before;
	bool exact;
	bool refused;
	bool ok;

	sort_group(g);
	before = *line(g, g->tables[0]);
	progress_table(g->cx->progress, g->tables[0]->target->schema,
				   g->tables[0]->target->table);
	progress_phase(g->cx->progress, PHASE_APPLY);
	refused = exact = choose_way(g);
	if (g->cx->opt->preview)
		return finish_group(g, err);
	ok = exact || try_fast(g, &refused, err);
	if (ok && refused && !exact)
		note_refused(g);
	ok = ok && (!refused || go_exact(g, err)) && finish_group(g, err);
	if (ok)
		count_load(g, &before);
	if (!ok && g->n == 1)
		err_prefix(err, "table \"%s.%s\"", g->tables[0]->target->schema,
				   g->tables[0]->target->table);
	return ok;
}

bool
group_apply(MergeCx *cx, const Facts *facts, GroupTable *tables, int n,
			MergeResult *result, Err *err)
{
	int *group = find_groups(facts, tables, n);
	bool ok = true;

	for (int i = 0; ok && i < n; i++)
	{
		Group g = { .cx = cx, .facts = facts, .result = result };

		if (group_of(group, i) != i)
			continue;
		g.tables = xcalloc((size_t) n + 1, sizeof(*g.tables));
		for (int k = 0; k < n; k++)
		{
			if (group_of(group, k) == i)
				g.tables[g.n++] = &tables[k];
		}
		ok = run_group(&g, err);
		free(g.tables);
	}
	free(group);
	return ok;
}
