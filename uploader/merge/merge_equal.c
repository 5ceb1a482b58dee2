/*-------------------------------------------------------------------------
 * merge_equal.c
 *	  Keys that are different at the source and equal at the target only.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_equal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 24
#define SHOWN_MAX "100" /* characters of a key in a message */

bool
equal_is_coarse(const Target *t)
{
	for (int i = 0; i < t->ncols; i++)
	{
		if (t->cols[i].form.type)
			return true;
	}
	return false;
}

void
equal_add_forms(const Target *t, Buf *sql)
{
	for (int i = 0; i < t->ncols; i++)
	{
		if (t->cols[i].form.type)
			buf_printf(sql, ", k%d", i + 1);
	}
}

/* "(t."id"::text::numeric = f.k1 AND …)" */
static void
add_same_forms(const Stage *s, Buf *sql, const char *left, const char *right)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];
		Buf name;

		if (!c->form.type)
			continue;
		buf_init(&name, SQL_MAX);
		pg_add_ident(&name, c->name);
		buf_str(sql, first ? "(" : " AND ");
		form_add_back(&c->form, sql, right, buf_cstr(&name));
		buf_printf(sql, " %s %s.k%d", c->form.equal, left, i + 1);
		buf_done(&name);
		first = false;
	}
	buf_byte(sql, ')');
}

void
equal_add_same(const Stage *s, Buf *sql, const char *left, const char *right)
{
	stage_add_match(s, sql, left, right);
	if (!equal_is_coarse(s->target))
		return;
	buf_str(sql, " AND ");
	add_same_forms(s, sql, left, right);
}

/* "f.c1::text::numeric = f.k1" of a coarse column. */
static void
add_fit(const TargetColumn *c, int number, Buf *sql, const char *prefix)
{
	char what[NUMBER_MAX];

	(void) snprintf(what, sizeof(what), "c%d", number); /* fits */
	form_add_back(&c->form, sql, prefix, what);
	buf_printf(sql, " %s %s.k%d", c->form.equal, prefix, number);
}

void
equal_add_fits(const Stage *s, Buf *sql, const char *prefix)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].form.type)
			continue;
		buf_str(sql, " AND ");
		add_fit(&s->target->cols[i], i + 1, sql, prefix);
	}
}

void
equal_add_alone(const Stage *s, Buf *sql)
{
	if (s->target->unique)
		return;
	buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s d WHERE ",
			   s->target->name);
	equal_add_same(s, sql, "f", "d");
	buf_str(sql, " AND (d.tableoid, d.ctid) <> (t.tableoid, t.ctid)"
				 " OFFSET 0)");
}

/* " AND (f.c1, f.c2) IS DISTINCT FROM (t."a", t."b")" of the primary key. */
static void
add_other_primary(const Stage *s, Buf *sql)
{
	buf_str(sql, " AND NOT (true");
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->primary)
			continue;
		buf_printf(sql, " AND f.c%d %s t.", i + 1, c->equal);
		pg_add_ident(sql, c->name);
	}
	buf_byte(sql, ')');
}

bool
equal_other(Stage *s, const int64_t *rns, int n, bool *other, Err *err)
{
	PGresult *res;
	Buf sql;
	bool ok;

	memset(other, 0, (size_t) n * sizeof(*other));
	if (!s->target->weak)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT f.rn FROM %s f WHERE f.rn = ANY ('{", s->name);
	for (int i = 0; i < n; i++)
		buf_printf(&sql, "%s%lld", i ? "," : "", (long long) rns[i]);
	buf_printf(&sql, "}') AND EXISTS (SELECT FROM %s t WHERE ",
			   s->target->name);
	equal_add_same(s, &sql, "f", "t");
	add_other_primary(s, &sql);
	buf_str(&sql, " OFFSET 0)");
	ok = sql_query(s->cx, "look for rows", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	for (int k = 0; k < PQntuples(res); k++)
	{
		for (int i = 0; i < n; i++)
			other[i] =
				other[i] || strtoll(PQgetvalue(res, k, 0), NULL, 10) == rns[i];
	}
	PQclear(res);
	return true;
}

static bool
any_row(Stage *s, Buf *sql, bool *any, Err *err)
{
	PGresult *res;
	bool ok =
		sql->overflow
			? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
			: sql_query(s->cx, "look for keys that the target holds equal",
						buf_cstr(sql), &res, err);

	buf_reset(sql);
	if (!ok)
		return false;
	*any = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

/* Staged keys that do not survive, or that are one key with two forms. */
static bool
check_staged(Stage *s, Buf *sql, bool *refused, Err *err)
{
	buf_printf(sql, "SELECT FROM %s f", s->name);
	stage_add_condition(s, sql);
	buf_str(sql, s->barrier_set || s->until_set ? " AND" : " WHERE");
	buf_str(sql, " NOT (true");
	equal_add_fits(s, sql, "f");
	buf_str(sql, ") LIMIT 1");
	if (!any_row(s, sql, refused, err))
		return false;
	if (*refused)
		return true;
	buf_str(sql, "SELECT FROM (SELECT DISTINCT ");
	stage_add_key(s, sql, "");
	equal_add_forms(s->target, sql);
	buf_printf(sql, " FROM %s", s->name);
	stage_add_condition(s, sql);
	buf_str(sql, ") x GROUP BY ");
	stage_add_key(s, sql, "");
	buf_str(sql, " HAVING count(*) > 1 LIMIT 1");
	return any_row(s, sql, refused, err);
}

/* The key of a change belongs to several rows of the target. */
static bool
check_alone(Stage *s, Buf *sql, bool *refused, Err *err)
{
	buf_printf(sql, "SELECT FROM %s f JOIN %s t ON ", s->name, s->target->name);
	stage_add_match(s, sql, "f", "t");
	stage_add_condition(s, sql);
	buf_str(sql, " GROUP BY f.rn HAVING count(*) > 1 LIMIT 1");
	return any_row(s, sql, refused, err);
}

/* One key of the target with two forms, in the range or at the target. */
static bool
check_forms(Stage *s, Buf *sql, bool *refused, Err *err)
{
	if (!check_staged(s, sql, refused, err))
		return false;
	if (*refused || s->empty_base)
		return true;
	buf_printf(sql, "SELECT FROM %s f JOIN %s t ON ", s->name, s->target->name);
	stage_add_match(s, sql, "f", "t");
	stage_add_condition(s, sql);
	buf_str(sql, s->barrier_set || s->until_set ? " AND" : " WHERE");
	buf_str(sql, " NOT ");
	add_same_forms(s, sql, "f", "t");
	buf_str(sql, " LIMIT 1");
	return any_row(s, sql, refused, err);
}

bool
equal_check(Stage *s, bool *refused, Err *err)
{
	Buf sql;
	bool ok;

	*refused = s->target->weak;
	buf_init(&sql, SQL_MAX);
	ok = *refused || s->target->unique || s->empty_base ||
		 check_alone(s, &sql, refused, err);
	if (ok && !*refused && equal_is_coarse(s->target))
		ok = check_forms(s, &sql, refused, err);
	buf_done(&sql);
	return ok;
}

bool
equal_taken(Stage *s, const char *rows, const char *all, PGresult **out,
			Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT f.rn FROM (SELECT rn, count(*) OVER (PARTITION BY ");
	stage_add_key(s, &sql, "");
	buf_printf(&sql, ") AS n FROM %s WHERE rn = ANY ('%s')) w JOIN %s f",
			   s->name, all, s->name);
	buf_printf(&sql,
			   " ON f.rn = w.rn WHERE w.n = 1 AND f.rn = ANY ('%s')"
			   " AND EXISTS (SELECT FROM %s t WHERE ",
			   rows, s->target->name);
	stage_add_match(s, &sql, "f", "t");
	buf_str(&sql, " AND NOT ");
	add_same_forms(s, &sql, "f", "t");
	buf_str(&sql, " OFFSET 0) ORDER BY 1");
	ok = sql_query(s->cx, "look for keys that the target holds equal",
				   buf_cstr(&sql), out, err);
	buf_done(&sql);
	return ok;
}

/* "(a, b)=(…)" of the key, as an expression of type text. */
static void
add_shown(const Stage *s, Buf *sql, const char *prefix, bool staged)
{
	Buf name;
	bool first = true;

	buf_init(&name, SQL_MAX);
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->key)
			continue;
		buf_reset(&name);
		if (staged)
			buf_printf(&name, "%s%d", c->form.type ? "k" : "c", i + 1);
		else
			pg_add_ident(&name, c->name);
		buf_printf(sql, "%s%s.%s::pg_catalog.text",
				   first ? "left(concat(" : ", ', ', ", prefix,
				   buf_cstr(&name));
		first = false;
	}
	buf_str(sql, "), " SHOWN_MAX ")");
	buf_done(&name);
}

/* The row's key does not survive: which column, its type, what comes back. */
static void
add_lost(const Stage *s, Buf *sql)
{
	buf_str(sql, "SELECT CASE");
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->form.type)
			continue;
		buf_str(sql, " WHEN NOT (");
		add_fit(c, i + 1, sql, "f");
		buf_printf(sql,
				   ") THEN format('key value \"%%s\" of column \"%%s\" does not"
				   " survive the target''s type %%s, where it becomes \"%%s\"',"
				   " left(f.k%d::pg_catalog.text, " SHOWN_MAX "), ",
				   i + 1);
		pg_add_literal(sql, c->name);
		buf_str(sql, ", ");
		pg_add_literal(sql, c->type);
		buf_printf(sql, ", left(f.c%d::pg_catalog.text, " SHOWN_MAX "))",
				   i + 1);
	}
	buf_str(sql, " END");
}

bool
equal_reason(Stage *s, int64_t rn, char *reason, size_t size, Err *err)
{
	PGresult *res;
	Buf sql;
	bool ok;

	if (!equal_is_coarse(s->target))
		return true;
	buf_init(&sql, SQL_MAX);
	add_lost(s, &sql);
	buf_str(&sql, ", (SELECT format('key \"%s\" of the row is equal at the"
				  " target to key \"%s\" of another row', ");
	add_shown(s, &sql, "f", true);
	buf_str(&sql, ", ");
	add_shown(s, &sql, "t", false);
	buf_printf(&sql, ") FROM %s t WHERE ", s->target->name);
	stage_add_match(s, &sql, "f", "t");
	buf_str(&sql, " AND NOT ");
	add_same_forms(s, &sql, "f", "t");
	buf_printf(&sql, " LIMIT 1) FROM %s f WHERE f.rn = %lld", s->name,
			   (long long) rn);
	ok = sql_query(s->cx, "read a refused row", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	for (int i = 0; PQntuples(res) > 0 && i < 2; i++)
	{
		if (PQgetisnull(res, 0, i))
			continue;
		(void) snprintf(reason, size, "%s", PQgetvalue(res, 0, i)); /* cut */
		break;
	}
	PQclear(res);
	return true;
}
