/*-------------------------------------------------------------------------
 * merge_alter.c
 *	  Columns and keys of a table of the target become what those of the
 *	  source became.
 *
 * Order: what stands in the way of changes goes first (keys, NOT NULL), then
 * columns get their names, then their types; new ones come last.  A new key
 * is made behind the changes (merge_key), since they may need it not to be
 * there.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_alter.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_key.h"
#include "merge/merge_name.h"
#include "merge/merge_relabel.h"
#include "merge/merge_target.h"

/* A column of the target that is one of the source's. */
typedef struct Col
{
	int attnum; /* 0: the source dropped it before this range */
	char *name; /* at the target */
	char *was;  /* before this merge */
	char *goal; /* NULL: it stays, or goes */
	bool not_null;
	bool dropped; /* at the source */
	char *type;
} Col;

typedef struct Alter
{
	Ddl *d;
	PlanTable *t;
	Schema *const *versions;
	int n;
	const Schema *old;
	const Schema *now;
	Buf name; /* of the table, quoted */
	Buf said; /* the same in statements, which may not be run (merge_ddl.h) */
	int ncols;
	Col *cols;
	PGresult *have; /* all columns of the target: name, NOT NULL, type */
} Alter;

/* ---- small change ---- */

/* ALTER TABLE t and what follows. */
static bool
run(Alter *a, Err *err, const char *fmt, const char *column, const char *rest)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "ALTER TABLE %s %s ", buf_cstr(&a->said), fmt);
	pg_add_ident(&sql, column);
	buf_str(&sql, rest);
	ok = ddl_run(a->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

static void
tell(const Alter *a, const char *what, const char *column)
{
	if (ddl_runs(a->d))
		log_info(what, "schema", a->t->target_schema, "table",
				 a->t->target_table, "column", column, NULL);
}

/* The table is to be loaded anew, for that reason. */
static void
rows_unknown(Alter *a, const char *why)
{
	a->t->strange = true;
	a->t->strange_why = why;
	a->t->strange_pos = a->t->pos;
}

/* The row of a column of the target; -1: there is none. */
static int
have_row(const Alter *a, const char *name)
{
	for (int i = 0; i < PQntuples(a->have); i++)
	{
		if (strcmp(PQgetvalue(a->have, i, 0), name) == 0)
			return i;
	}
	return -1;
}

static bool
read_columns(Alter *a, Err *err)
{
	const char *values[] = { buf_cstr(&a->name) };

	PQclear(a->have);
	a->have = NULL;
	return sql_params(a->d->cx, "read a table's columns",
					  "SELECT attname, attnotnull,"
					  " format_type(atttypid, atttypmod), attgenerated <> ''"
					  " FROM pg_attribute WHERE attrelid = to_regclass($1)"
					  " AND attnum > 0 AND NOT attisdropped",
					  1, values, &a->have, err);
}

/* Columns of the old schema, as far as the target has them. */
static void
find_columns(Alter *a)
{
	a->cols = xcalloc((size_t) a->old->ncols + 1, sizeof(*a->cols));
	for (int i = 0; i < a->old->ncols; i++)
	{
		const SchemaColumn *c = &a->old->cols[i];
		int row = have_row(a, c->name);

		if (row < 0 || PQgetvalue(a->have, row, 3)[0] == 't')
			continue;
		a->cols[a->ncols++] =
			(Col){ .attnum = c->attnum,
				   .name = xstrdup(c->name),
				   .was = xstrdup(c->name),
				   .not_null = PQgetvalue(a->have, row, 1)[0] == 't',
				   .dropped = !view_find(a->now, c->attnum),
				   .type = xstrdup(PQgetvalue(a->have, row, 2)) };
	}
}

/* The source dropped them before, and the target has them still. */
static bool
find_left(Alter *a, Err *err)
{
	const PlanKnown *k = a->t->known;
	const char *values[] = { a->d->cx->system_identifier,
							 a->d->cx->database,
							 a->d->cx->slot,
							 k->schema,
							 k->table,
							 buf_cstr(&a->name) };
	PGresult *res;
	size_t n;

	if (!sql_params(a->d->cx, "read which columns were dropped at the source",
					"SELECT attname, attnotnull FROM pg_attribute"
					" WHERE attrelid = to_regclass($6) AND attnum > 0"
					" AND NOT attisdropped AND attname::text IN (SELECT"
					"  jsonb_array_elements_text(to_jsonb(t) -> 'kept')"
					"  FROM cdc_s3.tables t WHERE (system_identifier, database,"
					"  slot, source_schema, source_table)"
					"  = ($1, $2, $3, $4, $5))",
					6, values, &res, err))
		return false;
	n = (size_t) a->ncols + (size_t) PQntuples(res);
	a->cols = xrealloc(a->cols, (n + 1) * sizeof(*a->cols));
	for (int i = 0; i < PQntuples(res); i++)
	{
		const char *name = PQgetvalue(res, i, 0);

		a->cols[a->ncols++] =
			(Col){ .name = xstrdup(name),
				   .was = xstrdup(name),
				   .not_null = PQgetvalue(res, i, 1)[0] == 't',
				   .dropped = true };
	}
	PQclear(res);
	return true;
}

/* Those that are dropped at the source by now, for the merges to come. */
static bool
store_left(const Alter *a, Err *err)
{
	const PlanKnown *k = a->t->known;
	Buf names;
	const char *values[] = { a->d->cx->system_identifier,
							 a->d->cx->database,
							 a->d->cx->slot,
							 k->schema,
							 k->table,
							 NULL };
	bool first = true;
	bool ok;

	buf_init(&names, SQL_MAX);
	buf_byte(&names, '{');
	for (int i = 0; i < a->ncols; i++)
	{
		if (!a->cols[i].dropped)
			continue;
		sql_add_array_item(&names, a->cols[i].name, first);
		first = false;
	}
	buf_byte(&names, '}');
	values[5] = buf_cstr(&names);
	ok = a->d->cx->opt->preview ||
		 sql_params(a->d->cx, "note which columns were dropped at the source",
					"UPDATE cdc_s3.tables SET kept = $6::text[]"
					" WHERE (system_identifier, database, slot, source_schema,"
					" source_table) = ($1, $2, $3, $4, $5)"
					" AND kept <> $6::text[]",
					6, values, NULL, err);
	buf_done(&names);
	return ok;
}

static void
alter_done(Alter *a)
{
	for (int i = 0; i < a->ncols; i++)
	{
		free(a->cols[i].name);
		free(a->cols[i].was);
		free(a->cols[i].goal);
		free(a->cols[i].type);
	}
	free(a->cols);
	buf_done(&a->name);
	buf_done(&a->said);
	PQclear(a->have);
}

/* ---- keys ---- */

static bool
drop_index(Alter *a, const char *index, const char *constraint, Err *err)
{
	Buf sql;
	bool ok;

	if (constraint)
		return run(a, err, "DROP CONSTRAINT", constraint, "");
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "DROP INDEX %s", index);
	ok = ddl_run(a->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

/* The key is another one: rows of the source may have the old one twice. */
static bool
relax_key(Alter *a, Err *err)
{
	PGresult *res;
	bool ok = true;

	if (key_is_same(a->old, a->now) && key_is_same(a->now, a->old))
		return true;
	a->t->rekey = true;
	if (!key_indexes(a->d->cx, buf_cstr(&a->name), a->old, &res, err))
		return false;
	for (int i = 0; ok && i < PQntuples(res); i++)
	{
		ok = drop_index(a, PQgetvalue(res, i, 0),
						PQgetisnull(res, i, 1) ? NULL : PQgetvalue(res, i, 1),
						err);
		if (ok)
			tell(a, "the source has another key: index dropped at the target",
				 PQgetvalue(res, i, 0));
	}
	PQclear(res);
	return ok;
}

/* ---- NOT NULL ---- */

static bool
may_be_null(const Alter *a, const Col *c)
{
	const SchemaColumn *was = view_find(a->old, c->attnum);
	const SchemaColumn *is = view_find(a->now, c->attnum);

	if (!c->not_null)
		return false;
	if (!is)
		return true;
	return (was->not_null || was->pk > 0) && !is->not_null && is->pk == 0;
}

static bool
relax_nulls(Alter *a, Err *err)
{
	for (int i = 0; i < a->ncols; i++)
	{
		const Col *c = &a->cols[i];

		if (!may_be_null(a, c) || (c->dropped && a->d->mirror))
			continue;
		if (!run(a, err, "ALTER COLUMN", c->name, " DROP NOT NULL"))
			return false;
		tell(a, "column may be NULL at the target, as at the source", c->name);
	}
	return true;
}

/* ---- names ---- */

static const SchemaColumn *
now_named(const Alter *a, const char *name)
{
	for (int i = 0; i < a->now->ncols; i++)
	{
		if (strcmp(a->now->cols[i].name, name) == 0)
			return &a->now->cols[i];
	}
	return NULL;
}

static void
set_goals(Alter *a)
{
	for (int i = 0; i < a->ncols; i++)
	{
		Col *c = &a->cols[i];
		const SchemaColumn *is = view_find(a->now, c->attnum);

		if (is && strcmp(is->name, c->name) != 0)
			c->goal = xstrdup(is->name);
		else if (!is && !a->d->mirror && now_named(a, c->name))
			c->goal = name_dropped(c->name, a->t->pos.lsn);
	}
}

static bool
drop_columns(Alter *a, Err *err)
{
	for (int i = 0; a->d->mirror && i < a->ncols; i++)
	{
		const Col *c = &a->cols[i];

		if (!c->dropped || (c->attnum == 0 && !now_named(a, c->name)))
			continue;
		if (!run(a, err, "DROP COLUMN", a->cols[i].name, ""))
			return false;
		tell(a, "column dropped at the target, as at the source",
			 a->cols[i].name);
	}
	return true;
}

static bool
rename_column(Alter *a, Col *c, const char *to, Err *err)
{
	Buf rest;
	bool ok;

	buf_init(&rest, SQL_MAX);
	buf_str(&rest, " TO ");
	pg_add_ident(&rest, to);
	ok = run(a, err, "RENAME COLUMN", c->name, buf_cstr(&rest));
	buf_done(&rest);
	free(c->name);
	c->name = xstrdup(to);
	return ok;
}

/* Another column that is still to get its name has this one. */
static bool
is_held(const Alter *a, const Col *c)
{
	for (int i = 0; i < a->ncols; i++)
	{
		const Col *o = &a->cols[i];

		if (o != c && o->goal && strcmp(o->name, c->goal) == 0)
			return true;
	}
	return false;
}

static bool
rename_columns(Alter *a, Err *err)
{
	bool left = true;

	set_goals(a);
	while (left)
	{
		Col *waits = NULL;
		bool moved = false;

		left = false;
		for (int i = 0; i < a->ncols; i++)
		{
			Col *c = &a->cols[i];

			if (!c->goal)
				continue;
			if (is_held(a, c))
			{
				waits = c;
				left = true;
				continue;
			}
			tell(a, "column renamed at the target, as at the source", c->goal);
			if (!rename_column(a, c, c->goal, err))
				return false;
			free(c->goal);
			c->goal = NULL;
			moved = true;
		}
		if (left && !moved) /* they go round: one steps aside */
		{
			char *aside = name_dropped(waits->name, a->t->pos.lsn + 1);
			bool ok = rename_column(a, waits, aside, err);

			free(aside);
			if (!ok)
				return false;
		}
	}
	return true;
}

/* ---- types ---- */

/* The values that are there do not fit: they are kept beside. */
static bool
replace_column(Alter *a, Col *c, const char *type, Err *err)
{
	char *name = xstrdup(c->name);
	char *kept = name_dropped(c->name, a->t->pos.lsn);
	Buf rest;
	bool ok;

	buf_init(&rest, SQL_MAX);
	buf_printf(&rest, " %s", type);
	rows_unknown(a, "type");
	ok = rename_column(a, c, kept, err) &&
		 (!c->not_null ||
		  run(a, err, "ALTER COLUMN", c->name, " DROP NOT NULL")) &&
		 run(a, err, "ADD COLUMN", name, buf_cstr(&rest));
	if (ok)
		tell(a, "values do not fit the column's new type: kept beside", kept);
	buf_done(&rest);
	free(name);
	free(kept);
	return ok;
}

static bool
cast_column(Alter *a, Col *c, const char *type, Err *err)
{
	Buf rest;
	bool ok;

	buf_init(&rest, SQL_MAX);
	buf_printf(&rest, " TYPE %s USING ", type);
	pg_add_ident(&rest, c->name);
	buf_printf(&rest, "::%s", type);
	if (!ddl_runs(a->d))
		ok = run(a, err, "ALTER COLUMN", c->name, buf_cstr(&rest));
	else
	{
		ok = sql_savepoint(a->d->cx, "cdc_s3_cast", err);
		if (ok && run(a, err, "ALTER COLUMN", c->name, buf_cstr(&rest)))
			ok = sql_release(a->d->cx, "cdc_s3_cast", err);
		else if (ok)
			ok = (sql_state_is_data(a->d->cx) ||
				  strcmp(a->d->cx->state, "42846") == 0) &&
				 sql_rollback_to(a->d->cx, "cdc_s3_cast", err) &&
				 replace_column(a, c, type, err);
	}
	buf_done(&rest);
	return ok;
}

static bool
change_type(Alter *a, Col *c, Err *err)
{
	const SchemaColumn *was = view_find(a->old, c->attnum);
	const SchemaColumn *is = view_find(a->now, c->attnum);
	char *old = NULL;
	char *type = NULL;
	bool ok = true;

	if (!is || schema_same_type(was, is))
		return true;
	if (!target_column_type(a->d->cx, a->old, was, &old, err) ||
		!target_column_type(a->d->cx, a->now, is, &type, err))
	{
		free(old);
		return false;
	}
	/* a type that somebody chose at the target stays */
	if (strcmp(old, c->type) == 0 && strcmp(old, type) != 0)
	{
		ok = cast_column(a, c, type, err);
		if (ok)
			tell(a, "column has another type at the target, as at the source",
				 c->name);
	}
	free(old);
	free(type);
	return ok;
}

static bool
change_types(Alter *a, Err *err)
{
	for (int i = 0; i < a->ncols; i++)
	{
		if (!change_type(a, &a->cols[i], err))
			return false;
	}
	return true;
}

/* ---- new columns ---- */

/* What older rows have in it; NULL: nothing. */
static const char *
missing_value(const Alter *a, int attnum)
{
	for (int i = 1; i < a->n; i++)
	{
		const SchemaColumn *c = view_find(a->versions[i], attnum);

		if (c)
			return c->missing;
	}
	return NULL;
}

/*
 * It is older than a column that was there: attnums only grow.  So it was not
 * added, but came into the publication's column list.
 */
static bool
was_hidden(const Alter *a, const SchemaColumn *c)
{
	bool found = false;

	for (int i = 0; !found && i < a->old->ncols; i++)
		found = a->old->cols[i].attnum > c->attnum;
	return found;
}

/* Is it there by now?  Statements that are not run changed nothing. */
static bool
is_there(const Alter *a, const char *name)
{
	for (int i = 0; !ddl_runs(a->d) && i < a->ncols; i++)
	{
		if (strcmp(a->cols[i].was, name) == 0 &&
			(a->d->mirror || strcmp(a->cols[i].name, name) != 0))
			return false;
	}
	return have_row(a, name) >= 0;
}

/* Somebody added it at the target beforehand. */
static bool
fill_column(Alter *a, const SchemaColumn *c, const char *missing, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s SET ", buf_cstr(&a->said));
	pg_add_ident(&sql, c->name);
	buf_str(&sql, " = ");
	pg_add_literal(&sql, missing);
	ok = ddl_run(a->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

/* The default is for the rows that are there, and then goes. */
static bool
add_column(Alter *a, const SchemaColumn *c, Err *err)
{
	const char *missing = missing_value(a, c->attnum);
	char *type = NULL;
	Buf rest;
	bool ok;

	if (was_hidden(a, c))
		rows_unknown(a, "published");
	else if (c->has_missing && !missing) /* it has no text form */
		rows_unknown(a, "default");
	if (is_there(a, c->name))
		return !missing || fill_column(a, c, missing, err);
	if (!target_column_type(a->d->cx, a->now, c, &type, err))
		return false;
	buf_init(&rest, SQL_MAX);
	buf_printf(&rest, " %s", type);
	if (missing)
	{
		buf_str(&rest, " DEFAULT ");
		pg_add_literal(&rest, missing);
	}
	ok = run(a, err, "ADD COLUMN", c->name, buf_cstr(&rest)) &&
		 (!missing || run(a, err, "ALTER COLUMN", c->name, " DROP DEFAULT"));
	if (ok)
		tell(a, "column added at the target", c->name);
	buf_done(&rest);
	free(type);
	return ok;
}

static bool
add_columns(Alter *a, Err *err)
{
	if (ddl_runs(a->d) && !read_columns(a, err))
		return false;
	for (int i = 0; i < a->now->ncols; i++)
	{
		const SchemaColumn *c = &a->now->cols[i];

		if (!view_find(a->old, c->attnum) && !add_column(a, c, err))
			return false;
	}
	return true;
}

/* ---- all of it ---- */

/* What earlier records mean now. */
static void
keep_view(Alter *a)
{
	for (int i = 0; i < a->now->ncols; i++)
	{
		int attnum = a->now->cols[i].attnum;
		const char *missing =
			view_find(a->old, attnum) ? NULL : missing_value(a, attnum);

		if (missing)
			view_add_missing(&a->t->view, attnum, missing);
	}
	for (int i = 0; i < a->ncols; i++)
	{
		if (a->cols[i].dropped && a->cols[i].attnum && !a->d->mirror)
			view_keep(&a->t->view, a->cols[i].attnum, a->cols[i].name);
	}
}

static bool
run_all(Alter *a, Err *err)
{
	return relax_key(a, err) && relax_nulls(a, err) && drop_columns(a, err) &&
		   rename_columns(a, err) && change_types(a, err) &&
		   add_columns(a, err);
}

bool
alter_table(Ddl *d, PlanTable *t, Schema *const *versions, int n, Err *err)
{
	Alter a = { .d = d,
				.t = t,
				.versions = versions,
				.n = n,
				.old = versions[0],
				.now = versions[n - 1] };
	bool ok;

	buf_init(&a.name, SQL_MAX);
	sql_add_qualified(&a.name, t->target_schema, t->target_table);
	buf_init(&a.said, SQL_MAX);
	if (t->said_table)
		sql_add_qualified(&a.said, t->said_schema, t->said_table);
	else
		buf_str(&a.said, buf_cstr(&a.name));
	ok = read_columns(&a, err);
	if (ok && PQntuples(a.have) > 0)
	{
		find_columns(&a);
		ok = find_left(&a, err) && ddl_begin(d, err);
		if (ok)
			ok = ddl_end(d, t, run_all(&a, err), err);
		if (ok && !t->refused)
		{
			keep_view(&a);
			ok = relabel_lines(d->cx, t, a.old, a.now, err) &&
				 store_left(&a, err);
		}
	}
	alter_done(&a);
	return ok;
}
