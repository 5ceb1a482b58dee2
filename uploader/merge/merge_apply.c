/*-------------------------------------------------------------------------
 * merge_apply.c
 *	  The fast way: the last state of each key to the target's table.
 *
 * Deletes; then rows that keep columns, by UPDATE; then whole rows by
 * INSERT … ON CONFLICT DO UPDATE.  One statement takes all rows.  What the
 * target refuses, and what cannot be done so, goes the exact way: nothing is
 * rejected here.
 *
 * A column GENERATED ALWAYS AS IDENTITY is inserted (OVERRIDING SYSTEM
 * VALUE) and never updated.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "merge/merge_equal.h"
#include "merge/merge_fold.h"

static bool
run(Stage *s, const char *doing, Buf *sql, int64_t *rows, Err *err)
{
	bool ok = sql->overflow
				  ? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
				  : sql_run(s->cx, doing, buf_cstr(sql), rows, err);

	buf_reset(sql);
	return ok;
}

/* What the names of all temporary tables of a stage end with. */
static const char *
apply_number(const Stage *s)
{
	return s->name + sizeof("pg_temp.cdc_s3_stage_") - 1;
}

void
apply_add_names(const Stage *s, Buf *sql)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_str(sql, i ? ", " : "");
		pg_add_ident(sql, s->target->cols[i].name);
	}
}

void
apply_add_columns(const Stage *s, Buf *sql, const char *prefix)
{
	for (int i = 0; i < s->target->ncols; i++)
		buf_printf(sql, "%s%s.c%d", i ? ", " : "", prefix, i + 1);
}

/* Does the query find a row? */
static bool
any_row(Stage *s, const char *doing, Buf *sql, bool *any, Err *err)
{
	PGresult *res;
	bool ok = sql_query(s->cx, doing, buf_cstr(sql), &res, err);

	buf_reset(sql);
	if (!ok)
		return false;
	*any = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

/* Changes that do not tell their whole row need it at the target. */
static bool
look_for_lost(Apply *a, bool *refused, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool ok;

	if (s->partial == 0)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "SELECT FROM %s f WHERE f.op = 'x' OR f.op <> 'd'"
			   " AND f.unk IS NOT NULL",
			   a->final);
	if (!s->empty_base)
	{
		buf_printf(&sql, " AND NOT EXISTS (SELECT FROM %s t WHERE ",
				   s->target->name);
		stage_add_match(s, &sql, "f", "t");
		buf_byte(&sql, ')');
	}
	buf_str(&sql, " LIMIT 1");
	ok = any_row(s, "look for rows that cannot be applied", &sql, refused, err);
	buf_done(&sql);
	return ok;
}

/* A column that the target always generates must hold the value already. */
static bool
look_for_fixed(Apply *a, bool *refused, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool any = false;
	bool ok = true;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT FROM %s f JOIN %s t ON ", a->final,
			   s->target->name);
	stage_add_match(s, &sql, "f", "t");
	buf_str(&sql, " WHERE f.op <> 'd' AND (false");
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->identity_always || c->key)
			continue;
		buf_printf(&sql,
				   " OR %d <> ALL (coalesce(f.unk, '{}')) AND f.c%d <> t.",
				   i + 1, i + 1);
		pg_add_ident(&sql, c->name);
		any = true;
	}
	buf_str(&sql, ") LIMIT 1");
	if (any)
		ok = any_row(s, "look for rows that cannot be applied", &sql, refused,
					 err);
	buf_done(&sql);
	return ok;
}

bool
apply_open(Apply *a, Stage *stage, MergeTable *out, bool *refused, Err *err)
{
	*a = (Apply){ .stage = stage, .out = out };
	return equal_check(stage, refused, err) &&
		   (*refused || (fold_changes(stage, a->final, sizeof(a->final), err) &&
						 look_for_lost(a, refused, err))) &&
		   (*refused || look_for_fixed(a, refused, err));
}

/*
 * Deletes keys that are gone; all rows where the base does not count.  With
 * foreign keys in force rows that stay are not touched.
 */
bool
apply_deletes(Apply *a, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	int64_t rows = 0;
	bool ok = true;

	buf_init(&sql, SQL_MAX);
	if (s->empty_base && s->cx->replica)
	{
		buf_printf(&sql, "DELETE FROM %s", s->target->name);
		a->emptied = true;
	}
	else if (s->empty_base)
	{
		buf_printf(&sql,
				   "DELETE FROM %s t WHERE NOT EXISTS (SELECT FROM %s f WHERE ",
				   s->target->name, a->final);
		stage_add_match(s, &sql, "f", "t");
		buf_str(&sql, " AND f.op <> 'd')");
	}
	else if (s->deletes > 0 || s->moves > 0)
	{
		buf_printf(&sql, "DELETE FROM %s t USING %s f WHERE ", s->target->name,
				   a->final);
		stage_add_match(s, &sql, "f", "t");
		buf_str(&sql, " AND f.op = 'd'");
	}
	if (sql.n > 0)
		ok = run(s, "delete rows", &sql, &rows, err);
	if (ok)
		a->out->deleted += rows;
	buf_done(&sql);
	return ok;
}

/* "a" = f.c1, …; keep: columns numbered in f.unk stay as they are. */
static bool
add_set(const Stage *s, Buf *sql, const char *from, bool keep)
{
	bool any = false;

	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (c->identity_always)
			continue;
		buf_str(sql, any ? ", " : "");
		pg_add_ident(sql, c->name);
		buf_str(sql, " = ");
		if (strcmp(from, "EXCLUDED") == 0)
		{
			buf_str(sql, "EXCLUDED.");
			pg_add_ident(sql, c->name);
		}
		else if (keep && s->unknown[i])
		{
			buf_printf(sql, "CASE WHEN %d = ANY (f.unk) THEN t.", i + 1);
			pg_add_ident(sql, c->name);
			buf_printf(sql, " ELSE f.c%d END", i + 1);
		}
		else
			buf_printf(sql, "f.c%d", i + 1);
		any = true;
	}
	return any;
}

/* UPDATE of rows that are there; keep: those with unknown columns only. */
static bool
update_rows(Apply *a, bool keep, int64_t *rows, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool ok = true;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s t SET ", s->target->name);
	if (add_set(s, &sql, "f", keep))
	{
		buf_printf(&sql, " FROM %s f WHERE ", a->final);
		stage_add_match(s, &sql, "f", "t");
		buf_printf(&sql, " AND f.op <> 'd' AND f.unk IS %sNULL",
				   keep ? "NOT " : "");
		ok = run(s, "update rows", &sql, rows, err);
	}
	buf_done(&sql);
	return ok;
}

static void
add_insert(const Apply *a, Buf *sql)
{
	const Stage *s = a->stage;

	buf_printf(sql, "INSERT INTO %s AS t (", s->target->name);
	apply_add_names(s, sql);
	buf_str(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	apply_add_columns(s, sql, "f");
	buf_printf(sql, " FROM %s f WHERE f.op NOT IN ('d', 'x') AND f.unk IS NULL",
			   a->final);
}

/* How many rows are there already: where RETURNING cannot tell. */
static bool
count_present(Apply *a, int64_t *out, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	PGresult *res;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT count(*) FROM %s t, %s f WHERE ", s->target->name,
			   a->final);
	stage_add_match(s, &sql, "f", "t");
	buf_str(&sql, " AND f.op <> 'd' AND f.unk IS NULL");
	ok = sql_query(s->cx, "count rows", buf_cstr(&sql), &res, err);
	if (ok)
	{
		*out = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		PQclear(res);
	}
	buf_done(&sql);
	return ok;
}

static bool
insert_on_conflict(Apply *a, int64_t *inserted, int64_t *updated, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	Buf set;
	PGresult *res;
	int64_t present = 0;
	bool count = !s->target->partitioned;
	bool ok = count || count_present(a, &present, err);

	buf_init(&sql, SQL_MAX);
	buf_init(&set, SQL_MAX);
	buf_str(&sql, count ? "WITH w AS (" : "");
	add_insert(a, &sql);
	buf_str(&sql, " ON CONFLICT (");
	for (int i = 0, n = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].key)
			continue;
		buf_str(&sql, n++ ? ", " : "");
		pg_add_ident(&sql, s->target->cols[i].name);
	}
	if (add_set(s, &set, "EXCLUDED", false))
		buf_printf(&sql, ") DO UPDATE SET %s", buf_cstr(&set));
	else
		buf_str(&sql, ") DO NOTHING");
	if (count)
		buf_str(&sql, " RETURNING xmax = 0 AS fresh) SELECT count(*) FILTER"
					  " (WHERE fresh), count(*) FILTER (WHERE NOT fresh)"
					  " FROM w");
	ok = ok && sql_query(s->cx, "insert rows", buf_cstr(&sql), &res, err);
	if (ok)
	{
		*updated = count ? strtoll(PQgetvalue(res, 0, 1), NULL, 10) : present;
		*inserted = count ? strtoll(PQgetvalue(res, 0, 0), NULL, 10)
						  : strtoll(PQcmdTuples(res), NULL, 10) - present;
		PQclear(res);
	}
	buf_done(&sql);
	buf_done(&set);
	return ok;
}

/* No unique index fits: UPDATE and INSERT under a lock of the table. */
static bool
update_and_insert(Apply *a, int64_t *inserted, int64_t *updated, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
			   s->target->name);
	ok = run(s, "lock a table", &sql, NULL, err) &&
		 update_rows(a, false, updated, err);
	if (ok)
	{
		add_insert(a, &sql);
		buf_printf(&sql, " AND NOT EXISTS (SELECT FROM %s t WHERE ",
				   s->target->name);
		stage_add_match(s, &sql, "f", "t");
		buf_byte(&sql, ')');
		ok = run(s, "insert rows", &sql, inserted, err);
	}
	buf_done(&sql);
	return ok;
}

/* Rows that keep columns, then whole ones. */
bool
apply_rows(Apply *a, Err *err)
{
	Stage *s = a->stage;
	int64_t kept = 0;
	int64_t inserted = 0;
	int64_t updated = 0;
	Buf sql;
	bool ok = true;

	if (s->partial > 0 && !a->emptied)
		ok = update_rows(a, true, &kept, err);
	if (ok && a->emptied)
	{
		buf_init(&sql, SQL_MAX);
		add_insert(a, &sql);
		ok = run(s, "insert rows", &sql, &inserted, err);
		buf_done(&sql);
	}
	else if (ok && s->target->arbiter)
		ok = insert_on_conflict(a, &inserted, &updated, err);
	else if (ok)
		ok = update_and_insert(a, &inserted, &updated, err);
	a->out->inserted += inserted;
	a->out->updated += kept + updated;
	if (ok)
		FAULT_POINT("merge_rows_applied");
	return ok;
}

/* All but the stage itself. */
static bool
drop_work(Stage *stage, Err *err)
{
	const char *n = apply_number(stage);
	char sql[400];

	(void) snprintf(sql, sizeof(sql),
					"DROP TABLE IF EXISTS pg_temp.cdc_s3_last_%s,"
					" pg_temp.cdc_s3_ev_%s, pg_temp.cdc_s3_sg_%s,"
					" pg_temp.cdc_s3_bag_%s, pg_temp.cdc_s3_hit_%s",
					n, n, n, n, n); /* fits */
	return sql_run(stage->cx, "drop a staging table", sql, NULL, err);
}

bool
apply_drop(Stage *stage, Err *err)
{
	char sql[80];

	(void) snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS %s",
					stage->name); /* fits */
	return drop_work(stage, err) &&
		   sql_run(stage->cx, "drop a staging table", sql, NULL, err);
}

/*
 * Deletes the rows that a cut names.  Where the target cannot compare them
 * (its column holds what is no date), nobody knows which they are.
 */
static bool
delete_cut(Stage *s, const StageCut *cut, MergeTable *out, Err *err)
{
	Buf sql;
	int64_t rows = 0;
	bool ok;

	if (!sql_savepoint(s->cx, "cdc_s3_cut", err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "DELETE FROM %s WHERE %s", s->target->name,
			   cut->condition);
	ok = run(s, "delete the rows of truncated partitions", &sql, &rows, err);
	buf_done(&sql);
	if (ok)
	{
		out->deleted += rows;
		return sql_release(s->cx, "cdc_s3_cut", err);
	}
	if (!sql_state_is_data(s->cx) || sql_state_is_order(s->cx->state))
		return false;
	stage_note_resync(s, cut->pos, "truncate");
	return sql_rollback_to(s->cx, "cdc_s3_cut", err);
}

static bool
apply_step(Stage *s, const StageCut *cut, MergeTable *out, bool *refused,
		   Err *err)
{
	Apply apply;
	bool ok;

	s->until = cut->pos;
	s->until_set = true;
	if (s->target->has_key)
		ok = apply_open(&apply, s, out, refused, err) &&
			 (*refused ||
			  (apply_deletes(&apply, err) && apply_rows(&apply, err)));
	else
		ok = apply_bag(s, out, refused, err);
	s->until_set = false;
	if (ok && *refused)
		return true;
	if (!ok || !drop_work(s, err) || !delete_cut(s, cut, out, err))
		return false;
	s->barrier = cut->pos;
	s->barrier_set = true;
	s->empty_base = false;
	return true;
}

bool
apply_steps(Stage *stage, MergeTable *out, bool *refused, Err *err)
{
	*refused = false;
	for (int i = 0; !*refused && i < stage->ncuts; i++)
	{
		if (!apply_step(stage, &stage->cuts[i], out, refused, err))
			return false;
	}
	return true;
}
