/*-------------------------------------------------------------------------
 * merge_exact.c
 *	  The exact way: pieces of source transactions, begin and end of a group.
 *
 *	  begin		rows that a truncate or a load ended go, children first
 *	  pieces	steps in order; where constraints may wait for the commit they
 *				are checked at the end of each piece, and where one objects
 *				the piece is done again by halves, at last transaction by
 *				transaction with constraints that do not wait
 *	  end		rows that a load ended and that were still referred to
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_exact.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_equal.h"
#include "merge/merge_state.h"
#include "merge/merge_step.h"

#define PIECE_STEPS 20000

/* Pinned while plans are made (merge_shape.c). */
static const char *const settings[][2] = { { "plan_cache_mode",
											 "force_generic_plan" },
										   { "enable_seqscan", "off" },
										   { "enable_mergejoin", "off" },
										   { "enable_hashjoin", "off" },
										   { "jit", "off" } };
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

/* Counts and fates, to go back to. */
typedef struct Mark
{
	FateMap fates;
	MergeTable *out;
	int64_t *rejected;
	bool *by_default;
	Step *steps;
} Mark;

static bool
set_settings(Exact *x, char **old, bool back, Err *err)
{
	for (size_t i = 0; i < NSETTINGS; i++)
	{
		const char *values[] = { settings[i][0],
								 back ? old[i] : settings[i][1] };
		PGresult *res;

		if (!back)
		{
			if (!sql_params(x->cx, "read a setting",
							"SELECT current_setting($1)", 1, values, &res, err))
				return false;
			old[i] = xstrdup(PQgetvalue(res, 0, 0));
			PQclear(res);
		}
		if (!sql_params(x->cx, "pin a setting",
						"SELECT set_config($1, $2, true)", 2, values, NULL,
						err))
			return false;
	}
	return true;
}

static Mark
mark_set(const Exact *x, const Step *steps, int n)
{
	Mark m;
	size_t t = (size_t) x->ntables;

	fate_copy(&m.fates, &x->fates);
	m.out = xmalloc(t * sizeof(*m.out));
	m.rejected = xmalloc(t * sizeof(*m.rejected));
	m.by_default = xmalloc(t * sizeof(*m.by_default));
	m.steps = xmalloc((size_t) n * sizeof(*m.steps));
	memcpy(m.steps, steps, (size_t) n * sizeof(*m.steps));
	for (size_t i = 0; i < t; i++)
	{
		m.out[i] = *x->tables[i].m.out;
		m.rejected[i] = x->tables[i].m.stage->rejected;
		m.by_default[i] = x->tables[i].by_default;
	}
	return m;
}

static void
mark_done(Mark *m)
{
	fate_done(&m->fates);
	free(m->out);
	free(m->rejected);
	free(m->by_default);
	free(m->steps);
}

/* Members of one table share its counts: they are set back alike. */
static bool
mark_back(Exact *x, Mark *m, Step *steps, int n, Err *err)
{
	fate_done(&x->fates);
	fate_copy(&x->fates, &m->fates);
	memcpy(steps, m->steps, (size_t) n * sizeof(*steps));
	for (int i = 0; i < x->ntables; i++)
	{
		ExactTable *t = &x->tables[i];

		*t->m.out = m->out[i];
		t->m.stage->rejected = m->rejected[i];
		if (t->by_default == m->by_default[i])
			continue;
		t->by_default = m->by_default[i];
		if (!shape_forget(x, i, err))
			return false;
	}
	return true;
}

static bool
run_steps(Exact *x, Step *steps, int n, bool complete, Err *err)
{
	Step **list = xmalloc(((size_t) n + 1) * sizeof(*list));
	bool ok;

	for (int i = 0; i < n; i++)
		list[i] = &steps[i];
	ok = perform(x, list, n, err) && (!complete || settle(x, err));
	free(list);
	return ok;
}

/* The end of the transaction that lies nearest to the middle; 0: only one. */
static int
middle(const Step *steps, int n)
{
	for (int d = 0; d < n; d++)
	{
		int lo = n / 2 - d;
		int hi = n / 2 + d;

		if (lo > 0 && steps[lo].pos.lsn != steps[lo - 1].pos.lsn)
			return lo;
		if (hi > 0 && hi < n && steps[hi].pos.lsn != steps[hi - 1].pos.lsn)
			return hi;
	}
	return 0;
}

static bool run_checked(Exact *x, Step *steps, int n, Err *err);

/* Constraints objected at the end: by halves, or without waiting. */
static bool
run_smaller(Exact *x, Step *steps, int n, Err *err)
{
	int half = middle(steps, n);
	bool ok;

	if (half > 0)
		return run_checked(x, steps, half, err) &&
			   run_checked(x, steps + half, n - half, err);
	x->immediate = true;
	ok = sql_run(x->cx, "check constraints", "SET CONSTRAINTS ALL IMMEDIATE",
				 NULL, err) &&
		 run_steps(x, steps, n, true, err) &&
		 sql_run(x->cx, "check constraints",
				 "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED",
				 NULL, err);
	x->immediate = false;
	return ok;
}

/* Whole transactions, and what they left to be checked. */
static bool
run_checked(Exact *x, Step *steps, int n, Err *err)
{
	Mark m = mark_set(x, steps, n);
	bool ok = sql_savepoint(x->cx, "cdc_s3_checked", err) &&
			  run_steps(x, steps, n, true, err);
	bool objected = false;

	if (ok && !sql_run(x->cx, "check constraints",
					   "SET CONSTRAINTS ALL IMMEDIATE;"
					   "SET CONSTRAINTS ALL DEFERRED",
					   NULL, err))
		ok = objected = sql_state_is_data(x->cx);
	if (ok && objected)
		ok = sql_rollback_to(x->cx, "cdc_s3_checked", err) &&
			 mark_back(x, &m, steps, n, err) && run_smaller(x, steps, n, err);
	else if (ok)
		ok = sql_release(x->cx, "cdc_s3_checked", err);
	mark_done(&m);
	return ok;
}

/*
 * An update that the next change of its row writes over goes: a row that is
 * updated n times in a transaction would cost n * n.
 */
static void
drop_overwritten(Exact *x, Step *steps, int n)
{
	FateMap at = { 0 }; /* from: the step's place + 1 */

	for (int i = 0; i < n; i++)
	{
		Step *s = &steps[i];
		const Fate *f;

		if (s->kind != STEP_UPDATE || !x->tables[s->table].plain)
			continue;
		f = fate_get(&at, s->table, s->prev[0]);
		if (f)
		{
			Step *before = &steps[f->from - 1];

			if (before->unk == s->unk || s->unk == 0)
			{
				before->state = STEP_DONE;
				s->over = true;
				s->prev[0] = before->prev[0];
				s->prev_pos = before->prev_pos;
			}
		}
		fate_set(&at, s->table, s->rn, FATE_WAITS, i + 1);
	}
	fate_done(&at);
}

static bool
run_piece(Exact *x, Step *steps, int n, bool complete, Err *err)
{
	int whole = n;

	drop_overwritten(x, steps, n);
	if (!x->deferrable)
		return run_steps(x, steps, n, complete, err);
	if (x->nheld > 0) /* it goes on with a transaction of the last piece */
		return run_steps(x, steps, n, complete, err);
	while (!complete && whole > 0 &&
		   (whole == n || steps[whole].pos.lsn == steps[whole - 1].pos.lsn))
		whole--;
	return (whole == 0 || run_checked(x, steps, whole, err)) &&
		   (whole == n || run_steps(x, steps + whole, n - whole, false, err));
}

static bool
run_pieces(Exact *x, Err *err)
{
	Step *steps = xmalloc(PIECE_STEPS * sizeof(*steps));
	bool ok = read_open(x, err);
	bool complete = true;
	int n = 1;

	while (ok && n > 0)
	{
		ok = read_piece(x, steps, PIECE_STEPS, &n, &complete, err) &&
			 (n == 0 || run_piece(x, steps, n, complete, err));
		x->cx->progress->group += n;
	}
	free(steps);
	return ok && settle(x, err) && read_close(x, err);
}

/*
 * Rows that a truncate or a load ended: "FROM … t WHERE …".  At the group's
 * end that are rows which no change behind the load named either.
 */
static void
add_ended(const Exact *x, int table, bool last, Buf *sql)
{
	const ExactTable *t = &x->tables[table];
	const Stage *s = t->m.stage;

	buf_printf(sql, "FROM %s t WHERE true", s->target->name);
	if (!t->late)
		return;
	/* a row that the load brings stays, and is written over */
	for (int i = 0; i < x->ntables; i++)
	{
		const Stage *o = x->tables[i].m.stage;

		if (x->tables[i].m.facts->oid != t->m.facts->oid)
			continue;
		buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s f", o->name);
		stage_add_condition(o, sql);
		buf_printf(sql, " AND f.op IN (%s) AND ",
				   last ? "'i', 'r', 'u', 'n'" : "'r'");
		equal_add_same(o, sql, "f", "t");
		buf_byte(sql, ')');
	}
}

/*
 * These go over whole tables, where a hash join is the plan; all other plans of
 * this way are of single keys (settings above).  Within a savepoint.
 */
static bool
join_by_hash(Exact *x, bool on, Err *err)
{
	return sql_run(x->cx, "pin a setting",
				   on ? "SET LOCAL enable_hashjoin = on"
					  : "SET LOCAL enable_hashjoin = off",
				   NULL, err);
}

/* Deletes them; *left: some are still referred to. */
static bool
delete_ended(Exact *x, int table, bool last, bool *left, Err *err)
{
	ExactTable *t = &x->tables[table];
	Buf sql;
	int64_t rows = 0;
	bool ok;

	*left = false;
	if (!sql_savepoint(x->cx, "cdc_s3_ended", err) ||
		!join_by_hash(x, true, err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "DELETE ");
	add_ended(x, table, last, &sql);
	shape_add_guard(x, table, last ? GUARD_STRICT : GUARD_ENDED, &sql);
	ok = sql_run(x->cx, "delete rows", buf_cstr(&sql), &rows, err);
	if (ok && t->referenced)
	{
		PGresult *res;

		buf_reset(&sql);
		buf_str(&sql, "SELECT ");
		add_ended(x, table, last, &sql);
		buf_str(&sql, " LIMIT 1");
		ok = sql_query(x->cx, "look for rows", buf_cstr(&sql), &res, err);
		*left = ok && PQntuples(res) > 0;
		if (ok)
			PQclear(res);
	}
	buf_done(&sql);
	if (ok)
	{
		t->m.out->deleted += rows;
		return join_by_hash(x, false, err) &&
			   sql_release(x->cx, "cdc_s3_ended", err);
	}
	if (!sql_state_is_data(x->cx))
		return false;
	*left = true;
	return sql_rollback_to(x->cx, "cdc_s3_ended", err);
}

/*
 * All ended rows, again as long as rows go: those that refer to others go
 * first.  last: what is left then stands in cdc_s3.resync.
 */
static bool
end_rows(Exact *x, bool last, Err *err)
{
	bool more = true;
	bool *open = xcalloc((size_t) x->ntables, sizeof(bool));
	bool ok = true;

	for (int i = 0; i < x->ntables; i++)
		open[i] =
			x->tables[i].m.stage->empty_base && (!last || x->tables[i].late);
	for (int round = 0; ok && more && round <= x->ntables; round++)
	{
		more = false;
		for (int i = 0; ok && i < x->ntables; i++)
		{
			if (!open[i])
				continue;
			ok = delete_ended(x, i, last, &open[i], err);
			more = more || open[i];
		}
	}
	for (int i = 0; ok && i < x->ntables; i++)
	{
		Stage *s = x->tables[i].m.stage;

		if (open[i] && last == x->tables[i].late)
			stage_note_resync(s, s->barrier, "truncate");
	}
	free(open);
	return ok;
}

/* The number of a column, from 1; 0 where it is not written. */
static int
column_number(const Stage *s, const char *name)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (strcmp(s->target->cols[i].name, name) == 0)
			return i + 1;
	}
	return 0;
}

/* "o.c1, o.c3": all columns but those that refer. */
static void
add_others(const Stage *s, const FactKey *k, const char *prefix, Buf *sql)
{
	bool any = false;

	for (int i = 0; i < s->target->ncols; i++)
	{
		bool refers = false;

		for (int p = 0; p < k->npairs; p++)
			refers = refers ||
					 strcmp(k->pairs[p].child, s->target->cols[i].name) == 0;
		if (refers)
			continue;
		buf_printf(sql, "%s%s.c%d", any ? ", " : "", prefix, i + 1);
		any = true;
	}
}

/* " AND pm.c1 = q.c2 …": row q refers to the parent's old key. */
static void
add_refers(const Stage *c, const Stage *p, const FactKey *k, const char *q,
		   Buf *sql)
{
	for (int i = 0; i < k->npairs; i++)
	{
		int a = column_number(c, k->pairs[i].child);
		int b = column_number(p, k->pairs[i].parent);

		if (a && b)
			buf_printf(sql, " AND pm.c%d %s %s.c%d", b, k->pairs[i].equal, q,
					   a);
	}
}

/*
 * Of a bag: no other column changed, and no row came to the old key since the
 * parent's changed.  So the row was there, and the action took it along.
 */
static void
add_first(const Stage *c, const Stage *p, const FactKey *k, Buf *sql)
{
	buf_printf(sql,
			   " AND NOT EXISTS (SELECT FROM %s q WHERE q.lsn = o.lsn"
			   " AND q.seq > pm.seq AND q.seq < o.seq AND q.op = 'i'",
			   c->name);
	add_refers(c, p, k, "q", sql);
	buf_printf(sql,
			   " AND NOT EXISTS (SELECT FROM %s r WHERE r.rn = q.rn - 1"
			   " AND r.lsn = q.lsn AND r.seq = q.seq AND r.op = 'd'",
			   c->name);
	add_refers(c, p, k, "r", sql);
	buf_str(sql, ")) AND ROW(");
	add_others(c, k, "o", sql);
	buf_str(sql, ")::text COLLATE \"C\" = ROW(");
	add_others(c, k, "f", sql);
	buf_str(sql, ")::text COLLATE \"C\"");
}

/*
 * Changes of a child's key, or of a bag, that a parent's ON UPDATE action makes
 * at the target too, and earlier (merge_mend).
 */
static bool
note_cascades_of(Exact *x, int child, int parent, const FactKey *k, Err *err)
{
	const Stage *c = x->tables[child].m.stage;
	const Stage *p = x->tables[parent].m.stage;
	bool keyed = c->target->has_key;
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(
		&sql,
		"SELECT o.rn, min(pn.rn) FROM %s o JOIN %s f ON f.rn = o.rn + 1"
		" AND f.lsn = o.lsn AND f.seq = o.seq"
		" JOIN %s pm ON pm.lsn = o.lsn AND pm.seq < o.seq AND pm.op = 'm'"
		" JOIN %s pn ON pn.rn = pm.rn + 1 WHERE o.op = '%c'",
		c->name, c->name, p->name, p->name, keyed ? 'm' : 'd');
	for (int i = 0; i < k->npairs; i++)
	{
		int a = column_number(c, k->pairs[i].child);
		int b = column_number(p, k->pairs[i].parent);

		if (!a || !b)
		{
			buf_str(&sql, " AND false");
			continue;
		}
		buf_printf(&sql, " AND pm.c%d %s o.c%d", b, k->pairs[i].equal, a);
		if (k->on_update == 'c')
			buf_printf(&sql, " AND pn.c%d %s f.c%d", b, k->pairs[i].equal, a);
		else if (k->on_update == 'n')
			buf_printf(&sql, " AND f.c%d IS NULL", a);
		else
			buf_printf(&sql, " AND f.c%d IS NOT DISTINCT FROM (%s)", a,
					   k->pairs[i].preset);
	}
	if (!keyed)
		add_first(c, p, k, &sql);
	buf_str(&sql, " GROUP BY o.rn");
	ok = sql_query(x->cx, "look for cascades", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	for (int i = 0; i < PQntuples(res); i++)
		fate_set(&x->fates, child, strtoll(PQgetvalue(res, i, 0), NULL, 10),
				 FATE_CASCADED,
				 keyed ? 0
					   : fate_pack(parent,
								   strtoll(PQgetvalue(res, i, 1), NULL, 10)));
	PQclear(res);
	return true;
}

static bool
note_cascades(Exact *x, Err *err)
{
	for (int i = 0; i < x->facts->nkeys; i++)
	{
		const FactKey *k = &x->facts->keys[i];

		for (int c = 0; facts_acts(k->on_update) && c < x->ntables; c++)
		{
			for (int p = 0; p < x->ntables; p++)
			{
				if (x->tables[c].m.facts->oid == k->child &&
					x->tables[p].m.facts->oid == k->parent &&
					x->tables[p].m.stage->moves > 0 &&
					(k->on_update == 'c' ||
					 !x->tables[c].m.stage->target->has_key) &&
					!note_cascades_of(x, c, p, k, err))
					return false;
			}
		}
	}
	return true;
}

static bool
index_stages(Exact *x, Err *err)
{
	for (int i = 0; i < x->ntables; i++)
	{
		const char *name = x->tables[i].m.stage->name;
		Buf sql;
		bool ok;

		buf_init(&sql, SQL_MAX);
		buf_printf(&sql, "CREATE INDEX ON %s (rn); CREATE INDEX ON %s (lsn)",
				   name, name);
		ok = sql_run(x->cx, "index a staging table", buf_cstr(&sql), NULL, err);
		buf_done(&sql);
		if (!ok)
			return false;
	}
	return true;
}

static bool
run_group(Exact *x, Err *err)
{
	char *old[NSETTINGS] = { NULL };
	bool ok = index_stages(x, err) && set_settings(x, old, false, err) &&
			  (!x->deferrable ||
			   sql_run(x->cx, "defer constraints",
					   "SET CONSTRAINTS ALL DEFERRED", NULL, err)) &&
			  note_cascades(x, err) && end_rows(x, false, err) &&
			  run_pieces(x, err) && end_rows(x, true, err);

	for (int i = 0; ok && i < x->ntables; i++)
		ok = shape_forget(x, i, err);
	if (ok && x->deferrable) /* or ALTER TABLE is refused */
		ok = sql_run(x->cx, "check constraints",
					 "SET CONSTRAINTS ALL IMMEDIATE;"
					 "SET CONSTRAINTS ALL DEFERRED",
					 NULL, err);
	if (ok)
		FAULT_POINT("merge_steps_applied");
	ok = ok && mend_identity_back(x, err) && set_settings(x, old, true, err);
	for (size_t i = 0; i < NSETTINGS; i++)
		free(old[i]);
	return ok;
}

static void
exact_done(Exact *x)
{
	for (int i = 0; i < x->ntables; i++)
	{
		ExactTable *t = &x->tables[i];

		for (int k = 0; k < t->nshapes; k++)
			free(t->shapes[k]);
		free(t->shapes);
		for (int k = 0; k < t->nunknown; k++)
			free(t->unknown[k]);
		free(t->unknown);
		free(t->suspects);
	}
	for (int i = 0; i < x->nheld; i++)
		free(x->held[i].reason);
	free(x->held);
	free(x->tables);
	PQclear(x->read.res);
	fate_done(&x->fates);
	fate_done(&x->unmoved);
}

/* A table of which every member has a key, and which a load replaces. */
static bool
ends_late(const Exact *x, int table)
{
	const ExactTable *t = &x->tables[table];

	for (int i = 0; i < x->ntables; i++)
	{
		if (x->tables[i].m.facts->oid == t->m.facts->oid &&
			!x->tables[i].m.stage->target->has_key)
			return false;
	}
	return t->m.stage->table->replace;
}

static bool
is_key_column(const Target *t, const char *name)
{
	for (int i = 0; i < t->ncols; i++)
	{
		if (t->cols[i].key && strcmp(t->cols[i].name, name) == 0)
			return true;
	}
	return false;
}

/* No constraint but the key's, and no trigger, sees an update of a row. */
static bool
is_plain(const Exact *x, int table)
{
	const ExactTable *t = &x->tables[table];
	const FactTable *f = t->m.facts;

	if (f->watched || f->nunique > 0 || !t->m.stage->target->has_key)
		return false;
	for (int i = 0; i < x->ntables; i++)
	{
		if (i != table && x->tables[i].m.facts->oid == f->oid)
			return false;
	}
	for (int i = 0; i < x->facts->nkeys; i++)
	{
		const FactKey *k = &x->facts->keys[i];

		if (k->child == f->oid)
			return false;
		for (int p = 0; k->parent == f->oid && p < k->npairs; p++)
		{
			if (!is_key_column(t->m.stage->target, k->pairs[p].parent))
				return false;
		}
	}
	return true;
}

bool
exact_apply(MergeCx *cx, const Facts *facts, const ExactMember *members, int n,
			Err *err)
{
	Exact x = { .cx = cx, .facts = facts, .ntables = n };
	bool ok;

	x.tables = xcalloc((size_t) n + 1, sizeof(*x.tables));
	for (int i = 0; i < n; i++)
	{
		ExactTable *t = &x.tables[i];

		t->m = members[i];
		x.deferrable = x.deferrable || (!cx->replica && t->m.facts->deferrable);
		for (int k = 0; k < facts->nkeys; k++)
			t->referenced =
				t->referenced || facts->keys[k].parent == t->m.facts->oid;
	}
	for (int i = 0; i < n; i++)
	{
		x.tables[i].late = ends_late(&x, i);
		x.tables[i].emptied = members[i].stage->empty_base && !x.tables[i].late;
		x.tables[i].plain = is_plain(&x, i);
	}
	ok = run_group(&x, err);
	exact_done(&x);
	return ok;
}
