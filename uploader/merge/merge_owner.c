/*-------------------------------------------------------------------------
 * merge_owner.c
 *	  Which tables of the target a merge may write, and whose rows they hold.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"
#include "merge/merge_map.h"

/* Does an extension own the table or its schema? */
static bool
check_members(MergeCx *cx, const OwnerTable *t, const char *oid, Err *err)
{
	const char *values[] = { oid, t->schema };
	PGresult *res;
	bool ok = true;

	if (!sql_params(cx, "look who owns a table",
					"SELECT e.extname FROM pg_catalog.pg_depend d"
					" JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"
					" WHERE d.deptype = 'e'"
					" AND d.refclassid = 'pg_catalog.pg_extension'::regclass"
					" AND ((d.classid = 'pg_catalog.pg_class'::regclass"
					"   AND d.objid = $1::oid)"
					"  OR (d.classid = 'pg_catalog.pg_namespace'::regclass"
					"   AND d.objid = (SELECT oid FROM pg_catalog.pg_namespace"
					"    WHERE nspname = $2)))",
					2, values, &res, err))
		return false;
	if (PQntuples(res) > 0)
	{
		ok = err_set(err, ERR_USAGE, 0,
					 "\"%s.%s\" at the target belongs to extension \"%s\", and "
					 "merge never writes such tables",
					 t->schema, t->table, PQgetvalue(res, 0, 0));
		err_hint(err, "leave it out with merge.exclude, or send it elsewhere "
					  "with merge.map");
	}
	PQclear(res);
	return ok;
}

/* What cdc_s3.tables says of a source table. */
typedef struct Known
{
	bool known;
	bool here;    /* it goes to the table that is asked for */
	bool skipped; /* changes of it were passed over */
} Known;

/* Another source table has the target table. */
static bool
shared(MergeCx *cx, const PGresult *res, int row, const char *schema,
	   const char *table, const OwnerTable *t, Err *err)
{
	bool same_source =
		strcmp(PQgetvalue(res, row, 0), cx->system_identifier) == 0 &&
		strcmp(PQgetvalue(res, row, 1), cx->database) == 0 &&
		strcmp(PQgetvalue(res, row, 2), cx->slot) == 0;

	err_set(err, ERR_USAGE, 0,
			"\"%s.%s\" (slot \"%s\", database \"%s\") would go to the table "
			"\"%s.%s\" of the target, which has the rows of \"%s.%s\" (%s%s%s%s"
			"%s)",
			schema, table, cx->slot, cx->database, t->schema, t->table,
			PQgetvalue(res, row, 3), PQgetvalue(res, row, 4),
			same_source ? "the same source" : "slot \"",
			same_source ? "" : PQgetvalue(res, row, 2),
			same_source ? "" : "\", database \"",
			same_source ? "" : PQgetvalue(res, row, 1),
			same_source ? "" : "\"");
	return err_hint(err, "send one of them elsewhere with merge.map, or leave "
						 "it out with merge.exclude; if the other one is over, "
						 "delete its line from cdc_s3.tables");
}

/* What cdc_s3.tables knows of the target table. */
static bool
look_up(MergeCx *cx, const char *schema, const char *table, const OwnerTable *t,
		Known *out, Err *err)
{
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 schema,
							 table,
							 t->schema,
							 t->table };
	PGresult *res;
	bool ok = true;

	*out = (Known){ .here = cx->older };
	if (cx->bare || cx->older) /* owner_adopt() is not for a preview */
		return true;
	if (!sql_params(
			cx, "look up whose rows a table has",
			"SELECT system_identifier, database, slot, source_schema,"
			" source_table, skipped IS NOT NULL,"
			" (system_identifier, database, slot, source_schema, source_table)"
			" = ($1, $2, $3, $4, $5),"
			" (target_schema, target_table) IS NOT DISTINCT FROM"
			" ($6::text, $7::text), target_table IS NOT NULL"
			" FROM cdc_s3.tables"
			" WHERE (target_schema, target_table) = ($6, $7) OR"
			" (system_identifier, database, slot, source_schema, source_table)"
			" = ($1, $2, $3, $4, $5)",
			7, values, &res, err))
		return false;
	for (int i = 0; ok && i < PQntuples(res); i++)
	{
		bool own = PQgetvalue(res, i, 6)[0] == 't';
		bool there = PQgetvalue(res, i, 7)[0] == 't';

		if (there && !own)
			ok = shared(cx, res, i, schema, table, t, err);
		if (!own)
			continue;
		out->known = PQgetvalue(res, i, 8)[0] == 't';
		out->here = there;
		out->skipped = PQgetvalue(res, i, 5)[0] == 't';
	}
	PQclear(res);
	return ok;
}

static bool
has_rows(MergeCx *cx, const OwnerTable *t, bool *out, Err *err)
{
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT EXISTS (SELECT FROM %s)", t->name);
	ok = sql_query(cx, "look whether a table is empty", buf_cstr(&sql), &res,
				   err);
	buf_done(&sql);
	if (!ok)
		return false;
	*out = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return true;
}

static bool
remember(MergeCx *cx, const char *schema, const char *table,
		 const OwnerTable *t, bool made, Err *err)
{
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 schema,
							 table,
							 t->schema,
							 t->table,
							 made ? "t" : "f" };

	return sql_params(cx, "remember whose rows a table has",
					  "INSERT INTO cdc_s3.tables (system_identifier, database,"
					  " slot, source_schema, source_table, target_schema,"
					  " target_table, made)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
					  " ON CONFLICT (system_identifier, database, slot,"
					  " source_schema, source_table) DO UPDATE SET"
					  " target_schema = $6, target_table = $7, made = $8,"
					  " skipped = NULL, since = now()",
					  8, values, NULL, err);
}

static bool
not_ours(const OwnerTable *t, Err *err)
{
	err_set(err, ERR_USAGE, 0,
			"it is at the target and has rows, and no merge made it");
	return err_hint(err,
					"name it in merge.tables (as merge.tables=%s.%s) to "
					"let merge write it, or send the source's elsewhere "
					"with merge.map",
					t->schema, t->table);
}

bool
owner_is_named(const MergeCx *cx, const char *schema, const char *table,
			   const char *target_schema, const char *target_table)
{
	return map_has(cx->opt->map, schema, table) ||
		   pattern_list_matches(cx->opt->tables, target_schema, target_table);
}

bool
owner_take(MergeCx *cx, const char *schema, const char *table, const char *oid,
		   OwnerTable *t, Err *err)
{
	Known known;
	bool named = owner_is_named(cx, schema, table, t->schema, t->table);

	t->had_rows = false;
	t->incomplete = NULL;
	if (!map_check_schema(t->schema, t->table, err) ||
		!look_up(cx, schema, table, t, &known, err))
		return false;
	if (oid && !check_members(cx, t, oid, err))
		return false;
	if (known.here && oid && !known.skipped)
		return true;
	if (oid && !known.here && !has_rows(cx, t, &t->had_rows, err))
		return false;
	if (t->had_rows && !named)
		return not_ours(t, err);
	if (known.skipped)
		t->incomplete = "excluded";
	else if (known.known)
		t->incomplete = known.here ? "dropped" : "mapped";
	return remember(cx, schema, table, t, oid == NULL, err);
}

typedef struct Goal
{
	char *schema;
	char *table;
	const PlanTable *from;
} Goal;

static int
compare_goals(const void *a, const void *b)
{
	const Goal *x = a;
	const Goal *y = b;
	int c = strcmp(x->schema, y->schema);

	return c ? c : strcmp(x->table, y->table);
}

static bool
two_in_one(const Goal *a, const Goal *b, Err *err)
{
	err_set(err, ERR_USAGE, 0,
			"\"%s.%s\" and \"%s.%s\" would both go to the table \"%s.%s\" of "
			"the target",
			a->from->schema, a->from->table, b->from->schema, b->from->table,
			a->schema, a->table);
	return err_hint(err, "send one of them elsewhere with merge.map, or leave "
						 "it out with merge.exclude");
}

bool
owner_check_plan(const MergeCx *cx, const Plan *plan, Err *err)
{
	Goal *goals = xcalloc((size_t) plan->ntables + 1, sizeof(*goals));
	int n = 0;
	bool ok = true;

	for (int i = 0; i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];

		if (owner_excludes(cx, t) || t->refused || t->target_table ||
			(t->nobjects == 0 && !t->replace))
			continue; /* or it has a place of its own */
		map_target(cx->opt->map, t->schema, t->table, &goals[n].schema,
				   &goals[n].table);
		goals[n++].from = t;
	}
	qsort(goals, (size_t) n, sizeof(*goals), compare_goals);
	for (int i = 1; ok && i < n; i++)
		if (compare_goals(&goals[i - 1], &goals[i]) == 0)
			ok = two_in_one(&goals[i - 1], &goals[i], err);
	for (int i = 0; i < n; i++)
	{
		free(goals[i].schema);
		free(goals[i].table);
	}
	free(goals);
	return ok;
}

bool
owner_excludes(const MergeCx *cx, const PlanTable *t)
{
	return pattern_list_matches(cx->opt->exclude, t->schema, t->table);
}

bool
owner_note_excluded(MergeCx *cx, const PlanTable *t, Lsn lsn, Err *err)
{
	char text[32];
	const char *values[] = {
		cx->system_identifier, cx->database, cx->slot, t->schema, t->table, text
	};

	(void) snprintf(text, sizeof(text), LSN_FMT, LSN_ARGS(lsn)); /* fits */
	return sql_params(cx, "remember that a table was left out",
					  "INSERT INTO cdc_s3.tables (system_identifier, database,"
					  " slot, source_schema, source_table, made, skipped)"
					  " VALUES ($1, $2, $3, $4, $5, false, $6)"
					  " ON CONFLICT (system_identifier, database, slot,"
					  " source_schema, source_table) DO UPDATE SET"
					  " skipped = $6",
					  6, values, NULL, err);
}

static bool
adopt(MergeCx *cx, const char *schema, const char *table, Err *err)
{
	char *tschema;
	char *ttable;
	const char *values[] = {
		cx->system_identifier, cx->database, cx->slot, schema, table, NULL, NULL
	};
	bool ok;

	map_target(cx->opt->map, schema, table, &tschema, &ttable);
	values[5] = tschema;
	values[6] = ttable;
	ok = sql_params(cx, "remember whose rows a table has",
					"INSERT INTO cdc_s3.tables (system_identifier, database,"
					" slot, source_schema, source_table, target_schema,"
					" target_table, made)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7, true)"
					" ON CONFLICT DO NOTHING",
					7, values, NULL, err);
	free(tschema);
	free(ttable);
	return ok;
}

bool
owner_adopt(MergeCx *cx, int64_t to, Err *err)
{
	bool ok = true;

	for (int64_t seq = 0; ok && seq <= to; seq++)
	{
		Entry *e;

		if (sql_stopped(cx, err) || !commitlog_read(cx->store, seq, &e, err))
			return false;
		for (int i = 0; ok && i < e->nschemas; i++)
			ok = !e->schemas[i].hash[0] ||
				 adopt(cx, e->schemas[i].schema, e->schemas[i].table, err);
		for (int i = 0; ok && i < e->nobjects; i++)
			ok =
				(i > 0 &&
				 strcmp(e->objects[i].table, e->objects[i - 1].table) == 0 &&
				 strcmp(e->objects[i].schema, e->objects[i - 1].schema) == 0) ||
				adopt(cx, e->objects[i].schema, e->objects[i].table, err);
		entry_free(e);
	}
	return ok;
}
