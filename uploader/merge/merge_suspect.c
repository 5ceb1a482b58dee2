/*-------------------------------------------------------------------------
 * merge_suspect.c
 *	  Steps that a check or NOT NULL constraint is likely to refuse.
 *
 * A statement that is refused is taken apart by halves, some fifteen statements
 * for each row that is bad.  Once a constraint has refused one, the server is
 * asked which staged rows fulfil none: these go alone from then on, each
 * under a savepoint of its own, and all between them together.  It is a guess
 * and no more: what becomes of a row is seen when it is applied, and where the
 * question cannot be asked, halves find the rows.
 *
 * Memory: SUSPECTS_MAX numbers a table.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_step.h"

#define SUSPECTS_MAX 100000
#define SUSPECTS_MAX_TEXT "100000"

static int
compare_numbers(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a;
	int64_t y = *(const int64_t *) b;

	return x < y ? -1 : x > y;
}

bool
suspect_is(const Exact *x, const Step *s)
{
	const ExactTable *t = &x->tables[s->table];

	return t->nsuspects > 0 &&
		   bsearch(&s->rn, t->suspects, (size_t) t->nsuspects,
				   sizeof(*t->suspects), compare_numbers) != NULL;
}

/* The columns of a staged row "f" by the names that they have in the table. */
static void
add_row(const Target *t, Buf *sql)
{
	buf_str(sql, "(SELECT ");
	for (int i = 0; i < t->ncols; i++)
	{
		buf_printf(sql, "%sf.c%d AS ", i ? ", " : "", i + 1);
		pg_add_ident(sql, t->cols[i].name);
	}
	buf_str(sql, ") t");
}

/* conditions: of the table's constraints, in its columns. */
static void
add_question(const Stage *s, const PGresult *conditions, Buf *sql)
{
	buf_printf(sql,
			   "SELECT f.rn FROM %s f WHERE f.unk IS NULL"
			   " AND f.op IN ('r', 'i', 'u', 'n') AND EXISTS (SELECT FROM ",
			   s->name);
	add_row(s->target, sql);
	buf_str(sql, " WHERE ");
	for (int i = 0; i < PQntuples(conditions); i++)
		buf_printf(sql, "%sNOT (%s)", i ? " OR " : "",
				   PQgetvalue(conditions, i, 0));
	buf_str(sql, ") ORDER BY f.rn LIMIT " SUSPECTS_MAX_TEXT);
}

/*
 * What is not null is asked for where the column is staged: others have
 * defaults.
 */
static bool
read_conditions(Exact *x, const Stage *s, PGresult **out, Err *err)
{
	const char *values[2] = { s->target->name, NULL };
	Buf names;
	bool ok;

	buf_init(&names, SQL_MAX);
	buf_byte(&names, '{');
	for (int i = 0; i < s->target->ncols; i++)
		sql_add_array_item(&names, s->target->cols[i].name, i == 0);
	buf_byte(&names, '}');
	values[1] = buf_cstr(&names);
	ok = sql_params(x->cx, "read a table's constraints",
					"SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint"
					" WHERE conrelid = $1::regclass AND contype = 'c'"
					" UNION ALL SELECT format('%I IS NOT NULL', attname)"
					" FROM pg_attribute WHERE attrelid = $1::regclass"
					" AND attnum > 0 AND attnotnull"
					" AND attname = ANY ($2::text[])",
					2, values, out, err);
	buf_done(&names);
	return ok;
}

static bool
ask(Exact *x, ExactTable *t, const PGresult *conditions, Err *err)
{
	PGresult *res = NULL;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	add_question(t->m.stage, conditions, &sql);
	ok = !sql.overflow && sql_query(x->cx, "look which rows fulfil constraints",
									buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	t->nsuspects = PQntuples(res);
	t->suspects = xcalloc((size_t) t->nsuspects + 1, sizeof(*t->suspects));
	for (int i = 0; i < t->nsuspects; i++)
		t->suspects[i] = strtoll(PQgetvalue(res, i, 0), NULL, 10);
	PQclear(res);
	return true;
}

static bool
ask_saved(Exact *x, ExactTable *t, Err *err)
{
	PGresult *conditions = NULL;
	Err ignored = { 0 };
	bool ok;

	if (!sql_savepoint(x->cx, "cdc_s3_suspects", err))
		return false;
	ok = read_conditions(x, t->m.stage, &conditions, &ignored) &&
		 (PQntuples(conditions) == 0 || ask(x, t, conditions, &ignored));
	PQclear(conditions);
	if (!ok && ignored.kind == ERR_STOP)
	{
		*err = ignored;
		return false;
	}
	return ok ? sql_release(x->cx, "cdc_s3_suspects", err)
			  : sql_rollback_to(x->cx, "cdc_s3_suspects", err);
}

bool
suspect_look(Exact *x, int table, const char *state, Err *err)
{
	ExactTable *t = &x->tables[table];

	if (t->suspected || t->m.stage->target->ncols == 0 ||
		(strcmp(state, "23514") != 0 && strcmp(state, "23502") != 0))
		return true;
	t->suspected = true;
	return ask_saved(x, t, err);
}
