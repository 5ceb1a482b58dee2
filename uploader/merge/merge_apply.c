/*-------------------------------------------------------------------------
 * merge_apply.c
 *	  The last state of each key to the target's table.
 *
 * The common way: deletes first, so that a unique value may pass from one
 * row to another; then rows that keep columns, by UPDATE; then whole rows by
 * INSERT … ON CONFLICT DO UPDATE.  When a unique constraint still objects
 * (two rows swap a value), all rows concerned are deleted and inserted.
 * When the data of some row is refused, ranges of rows are halved until it
 * stands alone.
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

#include "merge/merge_fold.h"
#include "merge/merge_state.h"

#define RANGE_ALL INT64_C(-1)

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

bool
apply_range(const ApplyRange *r, int64_t lo, int64_t hi, Err *err)
{
	MergeCx *cx = r->stage->cx;
	int64_t mid = lo + (hi - lo) / 2;
	char reason[sizeof(err->msg)];

	if (!sql_savepoint(cx, "cdc_s3_range", err))
		return false;
	if (r->write(r->arg, lo, hi, err))
		return sql_release(cx, "cdc_s3_range", err);
	if (!sql_state_is_data(cx))
		return false;
	memcpy(reason, err->msg, sizeof(reason));
	if (!sql_rollback_to(cx, "cdc_s3_range", err))
		return false;
	if (lo == hi)
		return r->single(r->arg, lo, reason, err);
	return apply_range(r, lo, mid, err) && apply_range(r, mid + 1, hi, err);
}

bool
apply_reject(Stage *s, const char *from, int64_t rn, const char *reason,
			 const char *state, Err *err)
{
	char kept[8];
	Buf sql;
	PGresult *res;
	bool ok;
	Reject r = { .schema = s->table->schema,
				 .table = s->table->table,
				 .state = kept,
				 .reason = reason };

	(void) snprintf(kept, sizeof(kept), "%s", state); /* fits */
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT f.lsn - '0/0'::pg_lsn, f.seq, f.op,"
				  " row_to_json(x) FROM ");
	buf_printf(&sql, "%s f CROSS JOIN LATERAL (SELECT ", from);
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_printf(&sql, "%sf.c%d AS ", i ? ", " : "", i + 1);
		pg_add_ident(&sql, s->target->cols[i].name);
	}
	buf_printf(&sql, ") x WHERE f.rn = %lld", (long long) rn);
	ok = sql_query(s->cx, "read a refused row", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	if (PQntuples(res) > 0)
	{
		r.pos.lsn = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
		r.pos.seq = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
		r.op = PQgetvalue(res, 0, 2)[0];
		if (r.op == 'x' || r.op == 'n') /* ours alone */
			r.op = 'u';
		r.row = slice_cstr(PQgetvalue(res, 0, 3));
		s->rejected++;
		ok = state_reject(s->cx, &r, err);
	}
	PQclear(res);
	return ok;
}

/* Rows to reject: their numbers come in the query's first column. */
static bool
reject_all(Apply *a, Buf *sql, const char *reason, Err *err)
{
	Stage *s = a->stage;
	PGresult *res;
	bool ok = sql_query(s->cx, "look for rows that cannot be applied",
						buf_cstr(sql), &res, err);

	buf_reset(sql);
	if (!ok)
		return false;
	for (int i = 0; ok && i < PQntuples(res); i++)
	{
		const char *rn = PQgetvalue(res, i, 0);

		ok = apply_reject(s, a->final, strtoll(rn, NULL, 10), reason, "", err);
		if (!ok)
			break;
		buf_printf(sql, "DELETE FROM %s WHERE rn = %s", a->final, rn);
		ok = run(s, "leave out a rejected row", sql, NULL, err);
	}
	PQclear(res);
	return ok;
}

/* Changes that do not tell their whole row need it at the target. */
static bool
reject_lost(Apply *a, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool ok;

	if (s->partial == 0 && s->poisoned == 0)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT rn FROM %s WHERE op = 'x' ORDER BY lsn, seq",
			   a->final);
	ok = reject_all(a, &sql,
					"columns that did not change are not known, and "
					"the row they belong to is not either",
					err);
	if (ok && !s->empty_base)
	{
		buf_printf(&sql,
				   "SELECT f.rn FROM %s f WHERE f.op <> 'd' AND f.unk IS NOT"
				   " NULL AND NOT EXISTS (SELECT FROM %s t WHERE ",
				   a->final, s->target->name);
		stage_add_match(s, &sql, "f", "t");
		buf_str(&sql, ") ORDER BY lsn, seq");
		ok = reject_all(a, &sql,
						"columns that did not change are not known, "
						"and the row is not at the target",
						err);
	}
	buf_done(&sql);
	return ok;
}

bool
apply_open(Apply *a, Stage *stage, MergeTable *out, Err *err)
{
	*a = (Apply){ .stage = stage, .out = out };
	return fold_changes(stage, a->final, sizeof(a->final), err) &&
		   reject_lost(a, err);
}

static void
add_range(Buf *sql, int64_t lo, int64_t hi)
{
	if (lo != RANGE_ALL)
		buf_printf(sql, " AND f.rn BETWEEN %lld AND %lld", (long long) lo,
				   (long long) hi);
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

	if (a->deleted)
		return true;
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
	{
		a->out->deleted += rows;
		a->deleted = true;
	}
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
update_rows(Apply *a, bool keep, int64_t lo, int64_t hi, int64_t *rows,
			Err *err)
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
		add_range(&sql, lo, hi);
		ok = run(s, "update rows", &sql, rows, err);
	}
	buf_done(&sql);
	return ok;
}

static void
add_insert(const Apply *a, Buf *sql, int64_t lo, int64_t hi)
{
	const Stage *s = a->stage;

	buf_printf(sql, "INSERT INTO %s (", s->target->name);
	apply_add_names(s, sql);
	buf_str(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	apply_add_columns(s, sql, "f");
	buf_printf(sql, " FROM %s f WHERE f.op NOT IN ('d', 'x') AND f.unk IS NULL",
			   a->final);
	add_range(sql, lo, hi);
}

/* How many rows are there already: where RETURNING cannot tell. */
static bool
count_present(Apply *a, int64_t lo, int64_t hi, int64_t *out, Err *err)
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
	add_range(&sql, lo, hi);
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
insert_on_conflict(Apply *a, int64_t lo, int64_t hi, int64_t *inserted,
				   int64_t *updated, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	Buf set;
	PGresult *res;
	int64_t present = 0;
	bool count = !s->target->partitioned;
	bool ok = count || count_present(a, lo, hi, &present, err);

	buf_init(&sql, SQL_MAX);
	buf_init(&set, SQL_MAX);
	buf_str(&sql, count ? "WITH w AS (" : "");
	add_insert(a, &sql, lo, hi);
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
update_and_insert(Apply *a, int64_t lo, int64_t hi, int64_t *inserted,
				  int64_t *updated, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
			   s->target->name);
	ok = run(s, "lock a table", &sql, NULL, err) &&
		 update_rows(a, false, lo, hi, updated, err);
	if (ok)
	{
		add_insert(a, &sql, lo, hi);
		buf_printf(&sql, " AND NOT EXISTS (SELECT FROM %s t WHERE ",
				   s->target->name);
		stage_add_match(s, &sql, "f", "t");
		buf_byte(&sql, ')');
		ok = run(s, "insert rows", &sql, inserted, err);
	}
	buf_done(&sql);
	return ok;
}

/* Rows of a range: those that keep columns, then whole ones. */
static bool
write_range(void *arg, int64_t lo, int64_t hi, Err *err)
{
	Apply *a = arg;
	Stage *s = a->stage;
	int64_t kept = 0;
	int64_t inserted = 0;
	int64_t updated = 0;
	Buf sql;
	bool ok = true;

	if (s->partial > 0 && !a->emptied)
		ok = update_rows(a, true, lo, hi, &kept, err);
	if (ok && a->emptied)
	{
		buf_init(&sql, SQL_MAX);
		add_insert(a, &sql, lo, hi);
		ok = run(s, "insert rows", &sql, &inserted, err);
		buf_done(&sql);
	}
	else if (ok && s->target->arbiter)
		ok = insert_on_conflict(a, lo, hi, &inserted, &updated, err);
	else if (ok)
		ok = update_and_insert(a, lo, hi, &inserted, &updated, err);
	if (ok)
	{
		a->out->inserted += inserted;
		a->out->updated += kept + updated;
	}
	return ok;
}

static bool
reject_one(void *arg, int64_t rn, const char *reason, Err *err)
{
	Apply *a = arg;
	Stage *s = a->stage;
	Buf sql;
	bool ok;

	if (!apply_reject(s, a->final, rn, reason, s->cx->state, err))
		return false;
	if (!a->saved)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s SET op = 'x' WHERE rn = %lld", a->final,
			   (long long) rn);
	ok = run(s, "note a rejected row", &sql, NULL, err);
	buf_done(&sql);
	return ok;
}

/* Rows that keep columns become whole rows, from what the target has. */
static bool
complete_rows(Apply *a, Buf *sql, Err *err)
{
	Stage *s = a->stage;

	if (s->partial == 0)
		return true;
	buf_printf(sql, "UPDATE %s f SET unk = NULL", a->final);
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->unknown[i])
			continue;
		buf_printf(sql, ", c%d = CASE WHEN %d = ANY (f.unk) THEN t.", i + 1,
				   i + 1);
		pg_add_ident(sql, s->target->cols[i].name);
		buf_printf(sql, " ELSE f.c%d END", i + 1);
	}
	buf_printf(sql, " FROM %s t WHERE ", s->target->name);
	stage_add_match(s, sql, "f", "t");
	buf_str(sql, " AND f.op <> 'd' AND f.unk IS NOT NULL");
	return run(s, "complete rows", sql, NULL, err);
}

/*
 * Takes out of the table all rows that will be written, so that their unique
 * values meet nobody, and keeps them aside.  *refused: foreign keys hold
 * them; then nothing is changed.
 */
static bool
delete_touched(Apply *a, int64_t *rows, bool *refused, Err *err)
{
	Stage *s = a->stage;
	const char *n = apply_number(s);
	Buf sql;
	bool ok;

	*refused = false;
	if (!sql_savepoint(s->cx, "cdc_s3_touched", err))
		return false;
	buf_init(&sql, SQL_MAX);
	ok = complete_rows(a, &sql, err);
	buf_printf(&sql,
			   "CREATE TEMP TABLE cdc_s3_old_%s ON COMMIT DROP AS"
			   " SELECT f.rn AS cdc_s3_rn, t.* FROM %s f, %s t WHERE false;"
			   "WITH gone AS (DELETE FROM %s t USING %s f WHERE ",
			   n, a->final, s->target->name, s->target->name, a->final);
	stage_add_match(s, &sql, "f", "t");
	buf_printf(&sql,
			   " RETURNING f.rn, t.*) INSERT INTO cdc_s3_old_%s"
			   " SELECT * FROM gone",
			   n);
	ok = ok && run(s, "delete rows to write them anew", &sql, rows, err);
	buf_done(&sql);
	if (ok)
		return sql_release(s->cx, "cdc_s3_touched", err);
	*refused = sql_state_is_data(s->cx);
	return *refused && sql_rollback_to(s->cx, "cdc_s3_touched", err);
}

/* A rejected change leaves its key as it was, unless that is taken now. */
static bool
restore_one(Apply *a, const char *rn, Err *err)
{
	Stage *s = a->stage;
	Buf sql;
	Err ignored;
	int64_t rows = 0;
	bool ok;

	if (!sql_savepoint(s->cx, "cdc_s3_restore", err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "INSERT INTO %s (", s->target->name);
	apply_add_names(s, &sql);
	buf_str(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	apply_add_names(s, &sql);
	buf_printf(&sql, " FROM cdc_s3_old_%s WHERE cdc_s3_rn = %s",
			   apply_number(s), rn);
	ok = run(s, "restore a row", &sql, &rows, &ignored);
	buf_done(&sql);
	if (!ok)
		return sql_rollback_to(s->cx, "cdc_s3_restore", err);
	a->restored += rows;
	return sql_release(s->cx, "cdc_s3_restore", err);
}

static bool
restore_rejected(Apply *a, Err *err)
{
	char sql[160];
	PGresult *res;
	bool ok = true;

	if (!a->saved)
		return true;
	(void) snprintf(sql, sizeof(sql), "SELECT rn FROM %s WHERE op = 'x'",
					a->final); /* fits */
	if (!sql_query(a->stage->cx, "look for rejected rows", sql, &res, err))
		return false;
	for (int i = 0; ok && i < PQntuples(res); i++)
		ok = restore_one(a, PQgetvalue(res, i, 0), err);
	PQclear(res);
	return ok;
}

/* All rows again, so that each refused one is found. */
static bool
write_halving(Apply *a, Err *err)
{
	ApplyRange r = { a->stage, a, write_range, reject_one };
	char sql[160];
	PGresult *res;
	int64_t lo = 0;
	int64_t hi = -1;

	(void) snprintf(sql, sizeof(sql),
					"SELECT min(rn), max(rn) FROM %s WHERE op <> 'd'",
					a->final); /* fits */
	if (!sql_query(a->stage->cx, "number the rows", sql, &res, err))
		return false;
	if (!PQgetisnull(res, 0, 0))
	{
		lo = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		hi = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	}
	PQclear(res);
	return (lo > hi || apply_range(&r, lo, hi, err)) &&
		   restore_rejected(a, err);
}

/* One try at all rows; *refused: the data did not pass, all is undone. */
static bool
try_all(Apply *a, bool *refused, Err *err)
{
	MergeCx *cx = a->stage->cx;

	*refused = false;
	if (!sql_savepoint(cx, "cdc_s3_rows", err))
		return false;
	if (write_range(a, RANGE_ALL, RANGE_ALL, err))
		return sql_release(cx, "cdc_s3_rows", err);
	*refused = sql_state_is_data(cx);
	return *refused && sql_rollback_to(cx, "cdc_s3_rows", err);
}

/* The way for rows that did not pass as they were. */
static bool
write_anew(Apply *a, Err *err)
{
	int64_t touched = 0;
	bool held;
	bool refused = true;

	if (!a->emptied)
	{
		if (!delete_touched(a, &touched, &held, err))
			return false;
		/* of all that these rows can meet by key */
		a->emptied = a->saved = !held;
		if (a->saved && !try_all(a, &refused, err))
			return false;
	}
	if (refused && !write_halving(a, err))
		return false;
	/* what was deleted and came again was updated */
	touched -= a->restored;
	a->out->updated += touched;
	a->out->inserted -= touched;
	return true;
}

bool
apply_rows(Apply *a, Err *err)
{
	bool refused;

	if (!try_all(a, &refused, err))
		return false;
	if (refused && !a->deleted && sql_state_is_unique(a->stage->cx))
	{
		if (!apply_deletes(a, err) || !try_all(a, &refused, err))
			return false;
	}
	return !refused || write_anew(a, err);
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
					" pg_temp.cdc_s3_bag_%s, pg_temp.cdc_s3_hit_%s,"
					" pg_temp.cdc_s3_old_%s",
					n, n, n, n, n, n); /* fits */
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
	if (!sql_state_is_data(s->cx))
		return false;
	stage_note_resync(s, cut->pos, "truncate");
	return sql_rollback_to(s->cx, "cdc_s3_cut", err);
}

static bool
apply_step(Stage *s, const StageCut *cut, MergeTable *out, Err *err)
{
	Apply apply;
	bool ok;

	s->until = cut->pos;
	s->until_set = true;
	if (s->target->has_key)
		ok = apply_open(&apply, s, out, err) && apply_deletes(&apply, err) &&
			 apply_rows(&apply, err);
	else
		ok = apply_bag(s, out, err);
	s->until_set = false;
	if (!ok || !drop_work(s, err) || !delete_cut(s, cut, out, err))
		return false;
	s->barrier = cut->pos;
	s->barrier_set = true;
	s->empty_base = false;
	return true;
}

bool
apply_steps(Stage *stage, MergeTable *out, Err *err)
{
	for (int i = 0; i < stage->ncuts; i++)
	{
		if (!apply_step(stage, &stage->cuts[i], out, err))
			return false;
	}
	return true;
}
