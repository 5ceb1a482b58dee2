/*-------------------------------------------------------------------------
 * ddl_view.c
 *	  Views over a table's folder: each change once, and the rows of now.
 *
 * The rows of now, where rows have a key:
 *
 *	records	 each record that counts for today's table, once.  Position is a
 *			 text, so that every engine can order by it.
 *	cut		 the last truncate of the whole table
 *	halves	 a key change is two: the old key ends, the new one begins
 *	lives	 from what begins a row under a key to what ends it
 *	states	 what is known at the end of each life.  A TOAST column has the
 *			 value of the last record that tells it, and "t" says whether any
 *			 record of the life does.
 *	moves	 which life a key change continues
 *	chain	 for a row that lacks a TOAST column: its lives, back in time
 *	known	 what they tell
 *
 * Where all columns are the key, equal rows cannot be told apart; so many of
 * them are there as came more than went.
 *
 * Inside, columns are c0, c1, … whatever their names, and the table's own are
 * always written with "t." before them.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/ddl_view.h"
#include "merge/merge_bound.h"

#define BOUND_MAX ((size_t) 1 << 20)
#define ALL_ROWS "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
#define UP_TO_HERE "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
/* 16 digits of _lsn and 19 of _seq */
#define POS_DIGITS "35"

/* ---- what counts ---- */

static bool
waits(const DdlTable *t)
{
	return t->loads_open > 0 && !t->loaded && !t->created;
}

static void
add_lsn_is(const View *v, Lsn lsn)
{
	view_own(v, "_lsn");
	buf_printf(v->out, " = '%016" PRIX64 "'", (uint64_t) lsn);
}

/* An update that changes the key tells the old one, too: what else says that
 * this is gone (output.key_change = split) is not needed. */
static void
add_not_moved(const View *v)
{
	view_own(v, "_moved");
	buf_str(v->out, " IS NULL AND ");
}

/* Records of today's table: the rows of its last load, and all behind it. */
static void
where_now(const View *v)
{
	const DdlTable *t = v->table;

	buf_str(v->out, "WHERE ");
	add_not_moved(v);
	if (waits(t))
		buf_str(v->out, "1 = 0 AND ");
	if (t->loaded)
	{
		buf_str(v->out, "((t.");
		ddl_name(v->job, "_op");
		buf_str(v->out, " = 'r' AND ");
		add_lsn_is(v, t->load_lsn);
		buf_str(v->out, ") OR (");
	}
	view_own(v, "_op");
	buf_str(v->out, " <> 'r'");
	if (t->loaded)
	{
		buf_str(v->out, " AND ");
		view_own(v, "_lsn");
		buf_printf(v->out, " > '%016" PRIX64 "'))", (uint64_t) t->load_lsn);
	}
	else if (t->start_lsn)
	{
		buf_str(v->out, " AND NOT ");
		view_is_before(v, t->start_lsn, t->start_seq);
	}
}

static void
add_copy(const View *v)
{
	buf_str(v->out, "row_number() OVER (PARTITION BY ");
	view_own(v, "_lsn");
	buf_str(v->out, ", ");
	view_own(v, "_seq");
	buf_str(v->out, " ORDER BY ");
	view_own(v, "_lsn");
	buf_str(v->out, ") AS copy");
}

static void
add_position(const View *v)
{
	view_own(v, "_lsn");
	buf_str(v->out, " || lpad(CAST(");
	view_own(v, "_seq");
	buf_printf(v->out, " AS %s), 19, '0') AS pos", v->engine->text);
}

/* pos, op, whole, moved, c0…, t…, o…: "old" is "_key" or "_before". */
static void
records(const View *v, const char *old)
{
	const Schema *s = v->now;

	buf_str(v->out, "records AS (\n SELECT * FROM (\n  SELECT ");
	add_position(v);
	buf_str(v->out, ",\n   ");
	view_own(v, "_op");
	buf_str(v->out, " AS op, CASE WHEN ");
	view_own(v, "_partial");
	buf_str(v->out, " IS NULL THEN 1 ELSE 0 END AS whole,\n   CASE WHEN ");
	view_own(v, old);
	buf_str(v->out, " IS NULL THEN 0 ELSE 1 END AS moved");
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		buf_str(v->out, ",\n   ");
		view_value(v, c);
		buf_printf(v->out, " AS c%d", i);
		if (view_is_in(c, TOAST))
		{
			buf_str(v->out, ", ");
			view_told(v, c);
			buf_printf(v->out, " AS t%d", i);
		}
		if (view_is_in(c, KEYS))
		{
			buf_str(v->out, ", ");
			view_member(v, old, c);
			buf_printf(v->out, " AS o%d", i);
		}
	}
	buf_str(v->out, ",\n   ");
	add_copy(v);
	buf_str(v->out, "\n  FROM ");
	ddl_source_name(v->job);
	buf_str(v->out, " t\n  ");
	where_now(v);
	buf_str(v->out, "\n ) r WHERE copy = 1\n),\n"
					"cut AS (\n SELECT max(pos) AS pos FROM records WHERE op "
					"= 't' AND whole = 1\n),\n");
}

#define BEHIND_CUT "records.pos > coalesce(cut.pos, '')"

/* ---- rows that have a key ---- */

static void
halves(const View *v)
{
	buf_str(v->out,
			"halves AS (\n SELECT records.pos || '1' AS pos, 1 AS half, "
			"CASE WHEN op = 'd' THEN 1 ELSE 0 END AS dead,\n"
			"  CASE WHEN op IN ('i', 'r') OR moved = 1 THEN 1 ELSE 0 "
			"END AS born");
	view_also(v, ALL, "records.c#");
	view_also(v, TOAST, "CASE WHEN op = 'd' THEN 0 ELSE records.t# END AS t#");
	buf_str(v->out, "\n FROM records CROSS JOIN cut\n"
					" WHERE op IN ('r', 'i', 'u', 'd') AND " BEHIND_CUT "\n"
					" UNION ALL\n"
					" SELECT records.pos || '0', 0, 1, 0");
	for (int i = 0; i < v->now->ncols; i++)
		buf_printf(v->out, ", records.%c%d", v->now->cols[i].key ? 'o' : 'c',
				   i);
	view_also(v, TOAST, "0");
	buf_str(v->out, "\n FROM records CROSS JOIN cut\n"
					" WHERE op = 'u' AND moved = 1 AND " BEHIND_CUT "\n),\n");
}

static void
lives(const View *v)
{
	buf_str(v->out, "lives AS (\n SELECT halves.*, max(CASE WHEN born = 1 THEN "
					"pos END) OVER (\n  PARTITION BY ");
	view_each(v, KEYS, ", ", "c#");
	buf_str(v->out,
			" ORDER BY pos " UP_TO_HERE ") AS life\n FROM halves\n),\n");
}

/* TOAST columns of a life: the newest that is told. */
static void
toast_state(const View *v)
{
	Buf keys;
	View sub = *v;

	buf_init(&keys, DDL_NAME_MAX);
	sub.out = &keys;
	view_each(&sub, KEYS, ", ", "lives.c#");
	for (int i = 0; i < v->now->ncols; i++)
	{
		if (!view_is_in(&v->now->cols[i], TOAST))
			continue;
		buf_printf(v->out,
				   ",\n  CASE WHEN max(lives.t%d) OVER (PARTITION BY %s, "
				   "life) = 1 THEN first_value(lives.c%d)%s OVER (\n"
				   "   PARTITION BY %s, life ORDER BY CASE WHEN lives.t%d = 1 "
				   "THEN pos ELSE '' END DESC\n   " ALL_ROWS ") END AS c%d,\n"
				   "  max(lives.t%d) OVER (PARTITION BY %s, life) AS t%d",
				   i, buf_cstr(&keys), i, v->engine->respect, buf_cstr(&keys),
				   i, i, i, buf_cstr(&keys), i);
	}
	buf_done(&keys);
}

static void
states(const View *v)
{
	buf_str(v->out, "states AS (\n SELECT pos, dead, life");
	view_also(v, KEYS, "c#");
	view_also(v, PLAIN, "c#");
	toast_state(v);
	buf_str(v->out, ",\n  row_number() OVER (PARTITION BY ");
	view_each(v, KEYS, ", ", "lives.c#");
	buf_str(v->out, " ORDER BY pos DESC) AS newest");
	if (view_count(v, TOAST))
	{
		buf_str(v->out, ",\n  row_number() OVER (PARTITION BY ");
		view_each(v, KEYS, ", ", "lives.c#");
		buf_str(v->out, ", life ORDER BY pos DESC) AS final");
	}
	buf_str(v->out, "\n FROM lives\n)");
}

/* Where a chain begins: rows of now that lack a TOAST column. */
static void
chain_begin(const View *v)
{
	buf_str(v->out, "SELECT life AS root, life, 0 AS depth FROM states WHERE "
					"newest = 1 AND dead = 0 AND (");
	view_each(v, TOAST, " OR ", "t# = 0");
	buf_str(v->out, ")");
}

/* Back from a row that moved, for as long as there are lives before. */
static void
chain_recursive(const View *v)
{
	buf_str(v->out, "chain(root, life, depth) AS (\n ");
	chain_begin(v);
	buf_str(v->out, "\n UNION ALL\n SELECT chain.root, moves.parent, "
					"chain.depth + 1 FROM chain JOIN moves ON moves.child = "
					"chain.life\n),\n");
}

/* The same, so many lives back and no more. */
static void
chain_of(const View *v, int back)
{
	buf_str(v->out, "chain0 AS (\n ");
	chain_begin(v);
	for (int i = 1; i <= back; i++)
		buf_printf(v->out,
				   "\n),\nchain%d AS (\n SELECT chain%d.root, moves.parent AS "
				   "life, %d AS depth FROM chain%d JOIN moves ON moves.child = "
				   "chain%d.life",
				   i, i - 1, i, i - 1, i - 1);
	buf_str(v->out, "\n),\nchain AS (\n ");
	for (int i = 0; i <= back; i++)
		buf_printf(v->out, "%sSELECT root, life, depth FROM chain%d",
				   i ? " UNION ALL " : "", i);
	buf_str(v->out, "\n),\n");
}

static void
chain(const View *v)
{
	buf_str(v->out, ",\nmoves AS (\n SELECT substr(pos, 1, " POS_DIGITS
					") || '1' AS child, life AS parent FROM lives WHERE half = "
					"0\n),\n");
	if (v->engine->recursive)
		chain_recursive(v);
	else
		chain_of(v, v->engine->back);
	buf_str(v->out, "known AS (\n SELECT root");
	for (int i = 0; i < v->now->ncols; i++)
		if (view_is_in(&v->now->cols[i], TOAST))
			buf_printf(v->out,
					   ",\n  first_value(c%d)%s OVER (PARTITION BY root ORDER "
					   "BY t%d DESC, depth " ALL_ROWS ") AS c%d",
					   i, v->engine->respect, i, i);
	buf_str(v->out,
			",\n  row_number() OVER (PARTITION BY root ORDER BY depth) AS "
			"first\n FROM chain JOIN states ON states.life = chain.life AND "
			"states.final = 1\n)");
}

/* The columns under their names, with the right types. */
static void
outputs(const View *v, bool known)
{
	for (int i = 0; i < v->now->ncols; i++)
	{
		const SchemaColumn *c = &v->now->cols[i];
		char *text = known && view_is_in(c, TOAST)
						 ? xasprintf("CASE WHEN states.t%d = 1 THEN states.c%d "
									 "ELSE known.c%d END",
									 i, i, i)
						 : xasprintf("states.c%d", i);

		buf_str(v->out, i ? ",\n  " : "\n  ");
		view_typed(v, c, text);
		buf_str(v->out, " AS ");
		ddl_name(v->job, c->json_name);
		free(text);
	}
}

/* Bounds name columns as the source does. */
static void
source_names(const View *v)
{
	for (int i = 0; i < v->now->ncols; i++)
	{
		const SchemaColumn *c = &v->now->cols[i];
		char *text = xasprintf("states.c%d", i);

		if (strcmp(c->name, c->json_name) != 0)
		{
			buf_str(v->out, ",\n  ");
			view_typed(v, c, text);
			buf_str(v->out, " AS ");
			ddl_name(v->job, c->name);
		}
		free(text);
	}
}

/*
 * The truncate's bound as the engine reads it: what bound_to_sql() writes is
 * PostgreSQL's, with E'…' and ::type.  False where it cannot be said there.
 */
static bool
said_bound(const View *v, const DdlTruncate *t, Buf *out)
{
	Buf sql;
	bool ok;

	buf_init(&sql, BOUND_MAX);
	ok = !view_is_bag(v->now) && v->engine->quote == '"' && t->bound &&
		 bound_to_sql(slice_cstr(t->bound), v->now, &sql) &&
		 (v->engine->colons || !strstr(buf_cstr(&sql), "::")) &&
		 !strchr(buf_cstr(&sql), '\\');
	for (size_t i = 0; ok && i < sql.n; i++)
		if (sql.p[i] != 'E' || sql.p[i + 1] != '\'' || i == 0 ||
			!strchr(" (,", sql.p[i - 1]))
			buf_byte(out, sql.p[i]);
	buf_done(&sql);
	return ok;
}

/* Without rows that a truncate of their partition took, and nothing brought
 * back. */
static void
without_truncated(const View *v)
{
	for (int i = 0; i < v->table->ntruncates; i++)
	{
		const DdlTruncate *t = &v->table->truncates[i];
		Buf bound;

		buf_init(&bound, BOUND_MAX);
		buf_str(v->out, i ? "\n AND " : " ");
		if (said_bound(v, t, &bound))
			buf_printf(v->out,
					   "CASE WHEN _cdc_s3_pos < '%016" PRIX64 "%019" PRId64
					   "' AND (%s) THEN 1 ELSE 0 END = 0",
					   (uint64_t) t->lsn, t->seq, buf_cstr(&bound));
		else
			buf_str(v->out, "1 = 1");
		buf_done(&bound);
	}
}

static void
latest_of_key(const View *v)
{
	bool known = view_count(v, TOAST) > 0;
	bool bounds = v->table->ntruncates > 0;

	buf_printf(v->out, "WITH %s",
			   known && v->engine->recursive ? "RECURSIVE " : "");
	records(v, "_key");
	halves(v);
	lives(v);
	states(v);
	if (known)
		chain(v);
	if (bounds)
	{
		buf_str(v->out, "\nSELECT ");
		for (int i = 0; i < v->now->ncols; i++)
		{
			buf_str(v->out, i ? ", " : "");
			ddl_name(v->job, v->now->cols[i].json_name);
		}
		buf_str(v->out, " FROM (");
	}
	buf_str(v->out, "\nSELECT");
	outputs(v, known);
	if (bounds)
		source_names(v);
	if (bounds)
		buf_str(v->out, ",\n  states.pos AS _cdc_s3_pos");
	buf_str(v->out, "\nFROM states");
	if (known)
		buf_str(v->out, " LEFT JOIN known ON known.root = states.life AND "
						"known.first = 1");
	buf_str(v->out, "\nWHERE states.newest = 1 AND states.dead = 0");
	if (bounds)
	{
		buf_str(v->out, "\n) s WHERE");
		without_truncated(v);
	}
}

/* ---- rows that nothing tells apart ---- */

static void
latest_of_bag(const View *v)
{
	buf_str(v->out, "WITH ");
	records(v, "_before");
	buf_str(v->out, "both_ways AS (\n SELECT records.pos, 1 AS n");
	view_also(v, ALL, "records.c#");
	buf_str(v->out, "\n FROM records CROSS JOIN cut\n"
					" WHERE op IN ('r', 'i', 'u') AND " BEHIND_CUT "\n"
					" UNION ALL\n SELECT records.pos, -1");
	view_also(v, ALL, "CASE WHEN op = 'd' THEN records.c# ELSE records.o# END");
	buf_str(v->out, "\n FROM records CROSS JOIN cut\n"
					" WHERE op IN ('u', 'd') AND " BEHIND_CUT "\n),\n"
					"states AS (\n SELECT n");
	view_also(v, ALL, "c#");
	buf_str(v->out, ",\n  sum(n) OVER (PARTITION BY ");
	view_each(v, ALL, ", ", "c#");
	buf_str(v->out, ") AS there,\n  row_number() OVER (PARTITION BY ");
	view_each(v, ALL, ", ", "c#");
	buf_str(v->out, ", n ORDER BY pos) AS rank\n FROM both_ways\n)\nSELECT");
	outputs(v, false);
	buf_str(v->out, "\nFROM states WHERE n = 1 AND rank <= there");
}

/* ---- comments, and the statements ---- */

static void
say_loads(const DdlJob *job)
{
	const DdlTable *t = job->table;

	if (waits(t))
		ddl_comment(job, "NOT YET: the first load is not done, so the view is "
						 "empty; make it anew once \"cdc-s3 ls\" shows it "
						 "done");
	else if (t->loads_open)
		ddl_comment(job, "a load of the table is announced: make the view "
						 "anew once it is done");
	if (t->loaded)
		ddl_comment(job,
					"rows of the load at LSN " LSN_FMT
					", and the changes behind it",
					LSN_ARGS(t->load_lsn));
	else if (!t->created)
		ddl_comment(job, "NOT WHOLE: there was no load of the table, so rows "
						 "from before the log are not in the lake; \"cdc-s3 "
						 "snapshot\" loads it");
	if (t->lacks)
		ddl_comment(job,
					"NOT WHOLE: the output has nothing of the table from up "
					"to LSN " LSN_FMT "; \"cdc-s3 replay --into\" fills that "
					"in, and \"cdc-s3 snapshot\" loads the table; then make "
					"the view anew",
					LSN_ARGS(t->lacks));
	if (t->renamed_from)
		ddl_comment(job,
					"NOT WHOLE: up to LSN " LSN_FMT " the table was named "
					"\"%s\", and its rows lie there; \"cdc-s3 snapshot\" "
					"mends that, then make the view anew",
					LSN_ARGS(t->renamed_lsn), t->renamed_from);
	if (t->left)
		ddl_comment(job,
					"NOT CURRENT: the table is not streamed any more "
					"since LSN " LSN_FMT,
					LSN_ARGS(t->left_lsn));
}

static void
say_truncates(const View *v)
{
	const DdlTable *t = v->table;
	int unsaid = 0;

	for (int i = 0; i < t->ntruncates; i++)
	{
		Buf bound;

		buf_init(&bound, BOUND_MAX);
		unsaid += !said_bound(v, &t->truncates[i], &bound);
		buf_done(&bound);
	}
	if (unsaid)
		ddl_comment(v->job,
					"NOT RIGHT: which rows went with %d truncates of a "
					"partition cannot be said here; \"cdc-s3 snapshot\" mends "
					"that, then make the view anew",
					unsaid);
	ddl_comment(v->job,
				"not seen: rows that went with truncates of single partitions "
				"%s, and what no record tells (resync); \"cdc-s3 snapshot\" "
				"mends both",
				v->job->truncates ? "behind that entry"
								  : "(--truncates looks for them)");
	ddl_comment(v->job, "whether there are any: SELECT * FROM the table WHERE "
						"_op = 's' OR _partial IS NOT NULL");
}

/* Since the first of its rows: is the key the same columns? */
static bool
key_changed(const View *v)
{
	for (int i = v->first; i < v->table->nversions - 1; i++)
		for (int k = 0; k < v->now->ncols; k++)
		{
			const SchemaColumn *c = &v->now->cols[k];
			const SchemaColumn *then = view_in_version(v, i, c->attnum);

			if (then ? then->key != c->key : c->key)
				return true;
		}
	return false;
}

static void
say_columns(const View *v)
{
	if (key_changed(v))
		ddl_comment(v->job, "NOT RIGHT: the key of the table was another one; "
							"\"cdc-s3 snapshot\" mends that, then make the "
							"view anew");
	if (view_count(v, TOAST) && !v->engine->recursive && !view_is_bag(v->now))
		ddl_comment(
			v->job,
			"NULL where it should not be: a TOAST column of a row "
			"whose key changed more than %d time(s) since a record told "
			"it; REPLICA IDENTITY FULL at the source, on which "
			"output.unchanged=old relies, tells it always",
			v->engine->back);
	ddl_comment(v->job, "NULL, too: what a type of the engine cannot hold "
						"(infinity, NaN, years BC); the table has it as text");
	ddl_comment(v->job, "make it anew whenever columns, key or name of the "
						"table change, and after a load");
}

static View
view_of(const DdlJob *job)
{
	View v = { .job = job,
			   .table = job->table,
			   .engine = job->engine,
			   .now = ddl_schema(job->table),
			   .out = job->out };

	v.fields = ddl_fields(job, &v.nfields);
	return v;
}

static void
create_view(const DdlJob *job, const char *suffix)
{
	buf_printf(job->out, "CREATE OR REPLACE VIEW ");
	ddl_table_name(job, suffix);
	buf_printf(job->out, "%s\n", job->engine->view);
}

void
ddl_view_latest(const DdlJob *job)
{
	View v = view_of(job);

	v.first = ddl_first_version(job->table);
	if (!schema_has_key(v.now) && !view_is_bag(v.now))
	{
		ddl_comment(job, "no view of the rows of now: nothing tells which row "
						 "an update or delete meant; give the table a primary "
						 "key, or REPLICA IDENTITY FULL");
		free(v.fields);
		return;
	}
	say_loads(job);
	say_truncates(&v);
	say_columns(&v);
	create_view(job, "_latest");
	if (view_is_bag(v.now))
		latest_of_bag(&v);
	else
		latest_of_key(&v);
	buf_printf(job->out, "%s;\n", job->engine->view_end);
	free(v.fields);
}

/* The record's own members, and the columns of now. */
static void
change_columns(const View *v)
{
	int own_members = v->nfields;
	bool first = true;

	for (int i = 0; i < own_members && v->fields[i].name[0] == '_' &&
					(!v->fields[i].column || !v->fields[i].column->name);
		 i++)
	{
		char *text = view_own_text(v, v->fields[i].name);

		buf_str(v->out, first ? "\n  " : ",\n  ");
		first = false;
		if (v->fields[i].column && !v->engine->typed)
			ddl_cast(v->job, v->fields[i].column, text);
		else
			buf_str(v->out, text);
		buf_str(v->out, " AS ");
		ddl_name(v->job, v->fields[i].name);
		free(text);
	}
	for (int i = 0; i < v->now->ncols; i++)
	{
		const SchemaColumn *c = &v->now->cols[i];
		DdlJob job = *v->job;
		View sub = *v;
		Buf b;

		buf_init(&b, DDL_NAME_MAX);
		job.out = &b;
		sub.job = &job;
		sub.out = &b;
		view_value(&sub, c);
		buf_str(v->out, ",\n  ");
		view_typed(v, c, buf_cstr(&b));
		buf_str(v->out, " AS ");
		ddl_name(v->job, c->json_name);
		buf_done(&b);
	}
}

/* Loads that are done, and all changes, of today's table. */
static void
where_changes(const View *v)
{
	const DdlTable *t = v->table;

	buf_str(v->out, "WHERE ");
	add_not_moved(v);
	buf_byte(v->out, '(');
	view_own(v, "_op");
	buf_str(v->out, " <> 'r'");
	for (int i = 0; i < t->nloads; i++)
	{
		buf_str(v->out, " OR ");
		add_lsn_is(v, t->loads[i]);
	}
	buf_byte(v->out, ')');
	if (t->begin_lsn)
	{
		buf_str(v->out, " AND NOT ");
		view_is_before(v, t->begin_lsn, t->begin_seq);
	}
}

void
ddl_view_changes(const DdlJob *job)
{
	View v = view_of(job);

	ddl_comment(job, "each change once; make it anew whenever columns of the "
					 "table change, and after a load");
	create_view(job, "_changes");
	/* the window is below, so that no name of it meets a column's */
	buf_str(v.out, "SELECT");
	change_columns(&v);
	buf_str(v.out, "\nFROM (SELECT t.*, row_number() OVER (PARTITION BY ");
	view_own(&v, "_lsn");
	buf_str(v.out, ", ");
	view_own(&v, "_seq");
	buf_str(v.out, " ORDER BY ");
	view_own(&v, "_lsn");
	buf_str(v.out, ") AS ");
	ddl_name(job, "_copy");
	buf_str(v.out, "\n FROM ");
	ddl_source_name(job);
	buf_str(v.out, " t\n ");
	where_changes(&v);
	buf_str(v.out, "\n) t WHERE ");
	view_own(&v, "_copy");
	buf_printf(v.out, " = 1%s;\n", job->engine->view_end);
	free(v.fields);
}
