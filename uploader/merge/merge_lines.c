/*-------------------------------------------------------------------------
 * merge_lines.c
 *	  Lines of cdc_s3.rejected that earlier merges left.
 *
 * Their keys and rows are text there.  They are compared as the target's types
 * compare, so they are cast once, by the columns' input functions; a line that
 * does not cast is left alone, by halves.  merge_lines_end.c says which of
 * them are over.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merge/merge_lines_impl.h"
#include "merge/merge_reject.h"

/* How much of a line reaches the staging table. */
typedef enum Level
{
	LEVEL_RETRY, /* the change itself */
	LEVEL_ROW,   /* a mark with the row */
	LEVEL_KEY    /* a mark */
} Level;

/* operations of staged rows that are no changes */
#define MARKS "'x', 'y', 'w'"

const char *
lines_number(const Stage *s)
{
	return s->name + sizeof("pg_temp.cdc_s3_stage_") - 1;
}

bool
lines_of_table(const Stage *s, const char *doing, const char *sql,
			   PGresult **res, Err *err)
{
	const char *values[] = { s->cx->system_identifier, s->cx->database,
							 s->cx->slot, s->table->schema, s->table->table };

	return sql_params(s->cx, doing, sql, 5, values, res, err);
}

bool
lines_run(const Stage *s, const char *doing, Buf *sql, int64_t *rows, Err *err)
{
	bool ok = sql->overflow
				  ? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
				  : sql_run(s->cx, doing, buf_cstr(sql), rows, err);

	buf_reset(sql);
	return ok;
}

/* A table that waits for its load is left alone. */
bool
lines_plan(MergeCx *cx, Plan *plan, bool *any, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;

	*any = false;
	if (!cx->retrying)
		return true;
	if (!sql_params(cx, "look for rejected rows",
					"SELECT source_schema, source_table, (array_agg(schema_hash"
					" ORDER BY lsn DESC, seq DESC))[1] FROM cdc_s3.rejected r"
					" WHERE (system_identifier, database, slot) = ($1, $2, $3)"
					" AND unchanged IS NOT NULL AND NOT EXISTS (SELECT FROM"
					" cdc_s3.waiting w WHERE (w.system_identifier, w.database,"
					" w.slot, w.source_schema, w.source_table) ="
					" ($1, $2, $3, r.source_schema, r.source_table))"
					" GROUP BY 1, 2 ORDER BY 1, 2",
					3, values, &res, err))
		return false;
	for (int i = 0; i < PQntuples(res); i++)
		plan_retry(plan, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
				   PQgetvalue(res, i, 2));
	*any = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

/* ---- before the records ---- */

static bool
count_lines(Stage *s, Err *err)
{
	PGresult *res;

	if (!lines_of_table(s, "look for rejected rows",
						"SELECT count(*) FROM cdc_s3.rejected WHERE " OF_TABLE,
						&res, err))
		return false;
	s->old_lines = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return true;
}

static bool
copy_lines(const Stage *s, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "CREATE TEMP TABLE cdc_s3_lines_%s ON COMMIT DROP AS SELECT"
			   " row_number() OVER (ORDER BY lsn, seq) AS n, *"
			   " FROM cdc_s3.rejected WHERE (system_identifier, database, slot,"
			   " source_schema, source_table) = (",
			   lines_number(s));
	pg_add_literal(&sql, s->cx->system_identifier);
	buf_str(&sql, ", ");
	pg_add_literal(&sql, s->cx->database);
	buf_str(&sql, ", ");
	pg_add_literal(&sql, s->cx->slot);
	buf_str(&sql, ", ");
	pg_add_literal(&sql, s->table->schema);
	buf_str(&sql, ", ");
	pg_add_literal(&sql, s->table->table);
	buf_byte(&sql, ')');
	ok = lines_run(s, "read rejected rows", &sql, NULL, err);
	buf_done(&sql);
	return ok;
}

bool
lines_begin(Stage *s, Err *err)
{
	if (s->cx->opt->preview)
		return true;
	if (!count_lines(s, err))
		return false;
	if (s->old_lines == 0)
		return true;
	if (s->table->replace) /* what the load does not hold comes again */
	{
		s->old_lines = 0;
		return lines_of_table(s, "end rejected rows",
							  "DELETE FROM cdc_s3.rejected WHERE " OF_TABLE,
							  NULL, err);
	}
	return copy_lines(s, err) &&
		   (!s->cx->retrying ||
			lines_of_table(s, "retry rejected rows",
						   "DELETE FROM cdc_s3.rejected WHERE " OF_TABLE
						   " AND unchanged IS NOT NULL",
						   NULL, err));
}

/* ---- behind the records ---- */

static bool
is_json(const TargetColumn *c)
{
	return strcmp(c->type, "json") == 0 || strcmp(c->type, "jsonb") == 0;
}

/* Cast where it is used. */
static bool
as_text(const TargetColumn *c)
{
	return is_json(c) || c->form.type;
}

void
lines_add_record(const Stage *s, const char *from, const char *name, bool keys,
				 Buf *sql)
{
	bool first = true;

	if (s->target->ncols == 0)
	{
		buf_printf(sql, "(SELECT) %s", name);
		return;
	}
	buf_printf(sql, "%s AS %s (", from, name);
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (keys && !c->key)
			continue;
		buf_str(sql, first ? "" : ", ");
		pg_add_ident(sql, c->name);
		/* a string of JSON stays a string where the type is json */
		buf_printf(sql, " %s", as_text(c) ? "text" : c->type);
		first = false;
	}
	buf_byte(sql, ')');
}

/* name."a", or the staging table's column; as type, where that is not NULL. */
static void
add_column(const char *name, const TargetColumn *c, char which, int i,
		   const char *type, Buf *sql)
{
	if (!name)
	{
		buf_printf(sql, ", %c%d", which, i + 1);
		return;
	}
	buf_printf(sql, ", %s.", name);
	pg_add_ident(sql, c->name);
	if (type)
		buf_printf(sql, "::%s", type);
}

/* name."a", …, as the staging table's columns, or their names. */
static void
add_columns(const Stage *s, const char *name, bool keys, Buf *sql)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!keys || c->key)
			add_column(name, c, 'c', i, as_text(c) ? c->type : NULL, sql);
	}
	/* keys as the source has them (merge_form.h) */
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (c->form.type)
			add_column(name, c, 'k', i, c->form.type, sql);
	}
}

/* What tells moved rows; l is a line. */
static const char moved[] = "l.old_key <> l.new_key";

/* One of the two rows that a line makes: an old one at 2n - 1, a new at 2n. */
static void
add_staged(const Stage *s, bool old, const char *op, const char *from,
		   bool keys, bool unk, Buf *sql)
{
	buf_printf(sql, "INSERT INTO %s (rn, lsn, seq, sub, op, unk", s->name);
	add_columns(s, NULL, keys, sql);
	buf_printf(sql, ") SELECT %lld + 2 * l.n%s, l.lsn, l.seq, %d, %s, ",
			   (long long) s->next_rn, old ? " - 1" : "", old ? 0 : 1, op);
	if (unk)
	{
		buf_str(sql, "CASE WHEN l.unchanged <> '{}' THEN ARRAY(SELECT"
					 " array_position(");
		reject_add_names(s->target, sql, false);
		buf_str(sql, "::text[], u)::int2 FROM unnest(l.unchanged) u) END");
	}
	else
		buf_str(sql, "NULL");
	add_columns(s, "r", keys, sql);
	buf_printf(sql, " FROM cdc_s3_lines_%s l CROSS JOIN LATERAL ",
			   lines_number(s));
	lines_add_record(s, from, "r", keys, sql);
}

static void
add_retries(const Stage *s, const char *range, Buf *sql)
{
	bool keyed = s->target->has_key;

	add_staged(s, true, keyed ? "'m'" : "'d'",
			   "jsonb_to_record(coalesce(l.old_key, '{}'))", keyed, false, sql);
	buf_printf(sql, " WHERE %s AND l.op = 'u' AND %s;", range,
			   keyed ? moved : "l.old_key IS NOT NULL");
	add_staged(s, false,
			   keyed ? "CASE WHEN l.op = 'u' AND l.old_key <> l.new_key"
					   " THEN 'n' ELSE l.op::\"char\" END"
					 : "CASE WHEN l.op = 'd' THEN 'd' ELSE 'i' END::\"char\"",
			   "json_to_record(l.\"row\"::json)", false, true, sql);
	buf_printf(sql, " WHERE %s", range);
}

static void
add_marks(const Stage *s, const char *range, bool row, Buf *sql)
{
	add_staged(s, true, "'y'", "jsonb_to_record(coalesce(l.old_key, '{}'))",
			   true, false, sql);
	buf_printf(sql, " WHERE %s AND %s;", range, moved);
	if (row)
	{
		add_staged(s, false, "'w'", "json_to_record(l.\"row\"::json)", false,
				   true, sql);
		buf_printf(sql, " WHERE %s", range);
		return;
	}
	add_staged(s, false, "'x'",
			   "jsonb_to_record(coalesce(l.new_key, l.old_key, '{}'))", true,
			   false, sql);
	buf_printf(sql, " WHERE %s AND coalesce(l.new_key, l.old_key) IS NOT NULL",
			   range);
}

/* The line that a retry cannot even stage is kept again. */
static bool
keep_again(Stage *s, int64_t n, const char *state, const char *reason, Err *err)
{
	char number[32];
	const char *values[] = { number, state, reason };
	char sql[900];

	(void) snprintf(number, sizeof(number), "%lld", (long long) n); /* fits */
	(void) snprintf(
		sql, sizeof(sql),
		"INSERT INTO cdc_s3.rejected (rejected_at, system_identifier,"
		" database, slot, source_schema, source_table, lsn, seq, op, \"row\","
		" old_key, new_key, unchanged, schema_hash, sqlstate, reason)"
		" SELECT rejected_at, system_identifier, database, slot,"
		" source_schema, source_table, lsn, seq, op, \"row\", old_key,"
		" new_key, unchanged, schema_hash, $2, $3 FROM cdc_s3_lines_%s"
		" WHERE n = $1::int8",
		lines_number(s)); /* fits */
	s->rejected++;
	s->again++;
	return sql_params(s->cx, "keep a rejected row", sql, 3, values, NULL, err);
}

/* Lines that a level suits. */
typedef struct Pass
{
	Level level;
	const char *filter;
} Pass;

static bool stage_range(Stage *s, int64_t lo, int64_t hi, Pass pass, Err *err);

/* One that does not cast: with less of it. */
static bool
stage_less(Stage *s, int64_t n, Pass pass, const char *reason, Err *err)
{
	Pass less = { LEVEL_KEY, "true" };
	char state[sizeof(s->cx->state)];

	memcpy(state, s->cx->state, sizeof(state));
	if (pass.level == LEVEL_RETRY && !keep_again(s, n, state, reason, err))
		return false;
	return pass.level == LEVEL_KEY || !s->target->has_key ||
		   stage_range(s, n, n + 1, less, err);
}

/* Lines lo … hi - 1; by halves where one does not cast. */
static bool
stage_range(Stage *s, int64_t lo, int64_t hi, Pass pass, Err *err)
{
	char range[160];
	char reason[sizeof(err->msg)];
	int64_t mid = lo + (hi - lo) / 2;
	Buf sql;
	bool ok;

	(void) snprintf(range, sizeof(range), "l.n >= %lld AND l.n < %lld AND %s",
					(long long) lo, (long long) hi, pass.filter); /* fits */
	if (!sql_savepoint(s->cx, "cdc_s3_lines", err))
		return false;
	buf_init(&sql, SQL_MAX);
	if (pass.level == LEVEL_RETRY)
		add_retries(s, range, &sql);
	else
		add_marks(s, range, pass.level == LEVEL_ROW, &sql);
	ok = lines_run(s, "stage rejected rows", &sql, NULL, err);
	buf_done(&sql);
	if (ok)
		return sql_release(s->cx, "cdc_s3_lines", err);
	if (!sql_state_is_data(s->cx))
		return false;
	memcpy(reason, err->msg, sizeof(reason));
	if (!sql_rollback_to(s->cx, "cdc_s3_lines", err))
		return false;
	if (hi - lo == 1)
		return stage_less(s, lo, pass, reason, err);
	return stage_range(s, lo, mid, pass, err) &&
		   stage_range(s, mid, hi, pass, err);
}

/*
 * Does a change need the marks?  One that tells its whole row does not, unless
 * the row may stand under another key.
 */
static bool
marks_needed(Stage *s, bool *needed, Err *err)
{
	PGresult *res;
	bool first = true;
	bool ok;
	Buf sql;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "SELECT FROM %s x JOIN %s f ON f.op NOT IN (" MARKS ") AND ",
			   s->name, s->name);
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->key)
			continue;
		buf_printf(&sql, "%sx.c%d %s f.c%d", first ? "" : " AND ", i + 1,
				   c->equal, i + 1);
		first = false;
	}
	buf_printf(&sql,
			   " WHERE x.op IN (" MARKS ") AND (f.unk IS NOT NULL"
			   " OR f.op = 'm' OR EXISTS (SELECT FROM %s y WHERE y.op = 'y'))"
			   " LIMIT 1",
			   s->name);
	ok = sql_query(s->cx, "look for marks", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	*needed = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

static bool
forget_marks(Stage *s, Err *err)
{
	char sql[128];

	(void) snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE op IN (" MARKS ")",
					s->name); /* fits */
	s->poisoned = 0;
	return sql_run(s->cx, "forget marks", sql, NULL, err);
}

/* Marks of lines that a retry leaves alone are staged with it. */
static bool
stage_retries(Stage *s, Err *err)
{
	const Pass retries = { LEVEL_RETRY, "l.unchanged IS NOT NULL" };
	const Pass others = { LEVEL_KEY, "l.unchanged IS NULL" };

	if (!stage_range(s, 1, s->old_lines + 1, retries, err) ||
		(s->target->has_key &&
		 !stage_range(s, 1, s->old_lines + 1, others, err)))
		return false;
	s->retried = true;
	s->next_rn += 2 * s->old_lines;
	s->poisoned += s->old_lines; /* in the order of the source */
	s->moves++;
	return stage_analyze(s, err);
}

bool
lines_stage(Stage *s, Err *err)
{
	const Pass rows = { LEVEL_ROW, "l.unchanged IS NOT NULL AND l.op <> 'd'" };
	const Pass keys = { LEVEL_KEY, "(l.unchanged IS NULL OR l.op = 'd')" };
	bool needed = false;

	s->lines_rn = s->next_rn;
	if (s->cx->retrying && s->old_lines > 0)
		return stage_retries(s, err);
	if (s->cx->opt->preview || !s->target->has_key || s->rows == 0 ||
		s->old_lines + s->poisoned == 0)
		return true;
	if (s->old_lines > 0 && (!stage_range(s, 1, s->old_lines + 1, rows, err) ||
							 !stage_range(s, 1, s->old_lines + 1, keys, err)))
		return false;
	s->next_rn += 2 * s->old_lines;
	s->poisoned += s->old_lines;
	return marks_needed(s, &needed, err) &&
		   (needed ? stage_analyze(s, err) : forget_marks(s, err));
}
