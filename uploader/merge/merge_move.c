/*-------------------------------------------------------------------------
 * merge_move.c
 *	  Tables of the target that get another name or schema.
 *
 * A table moves once the name it goes to is free.  Where all that are left
 * wait for each other, one of them is parked under a name that nobody has.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_move.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_map.h"
#include "merge/merge_name.h"
#include "merge/merge_owner.h"
#include "merge/merge_preview.h"

/* A table that goes from one name to another. */
typedef struct Move
{
	PlanTable *table;
	char *schema; /* where it is; NULL: it is still to be made */
	char *name;
	char *to_schema;
	char *to_name;
	char *before; /* its name, once it is parked */
	bool over;
	bool parked;
} Move;

typedef struct Moves
{
	Ddl *d;
	Plan *plan;
	int n;
	Move *moves;
} Moves;

/* ---- what is to be done ---- */

static bool
is_renamed(const PlanTable *t)
{
	return strcmp(t->schema, t->known->schema) != 0 ||
		   strcmp(t->table, t->known->table) != 0;
}

/* The source dropped it, and so does the target. */
static bool
is_dropped(const Moves *m, const PlanTable *t)
{
	return m->d->mirror && t->gone;
}

/* Where it belongs now; the caller frees. */
static void
find_goal(const Moves *m, PlanTable *t, char **schema, char **table)
{
	const PlanKnown *k = t->known;
	const char *map = m->d->cx->opt->map;

	if (t->displaced)
	{
		*schema = xstrdup(k->target_schema);
		*table = name_dropped(k->target_table, t->displaced_at);
	}
	else if ((k->pinned || map_has_exactly(map, k->schema, k->table)) &&
			 !map_has_exactly(map, t->schema, t->table))
	{
		t->pinned = true;
		*schema = xstrdup(k->target_schema); /* merge.map sent it there */
		*table = xstrdup(k->target_table);
	}
	else
		map_target(map, t->schema, t->table, schema, table);
}

static void
add_move(Moves *m, PlanTable *t, char *schema, char *name, char *to_schema,
		 char *to_name)
{
	m->moves = xrealloc(m->moves, ((size_t) m->n + 1) * sizeof(*m->moves));
	m->moves[m->n++] = (Move){ .table = t,
							   .schema = schema,
							   .name = name,
							   .to_schema = to_schema,
							   .to_name = to_name };
}

static void
take_target(PlanTable *t, const char *schema, const char *name)
{
	free(t->target_schema);
	free(t->target_table);
	t->target_schema = xstrdup(schema);
	t->target_table = xstrdup(name);
}

/* Tables that are known go where their names say. */
static void
plan_known(Moves *m, PlanTable *t)
{
	const PlanKnown *k = t->known;
	char *schema;
	char *name;

	if (t->held)
		return;
	t->pinned = k->pinned && !is_renamed(t);
	if (k->pinned)
		take_target(t, k->target_schema, k->target_table);
	if (is_dropped(m, t) && !t->displaced)
		add_move(m, t, xstrdup(k->target_schema), xstrdup(k->target_table),
				 xstrdup(k->target_schema), xstrdup(k->target_table));
	if (!is_renamed(t))
		return; /* where merge.map sends it is merge_target's */
	take_target(t, k->target_schema, k->target_table);
	find_goal(m, t, &schema, &name);
	if (strcmp(schema, k->target_schema) == 0 &&
		strcmp(name, k->target_table) == 0)
	{
		free(schema);
		free(name);
		return;
	}
	add_move(m, t, xstrdup(k->target_schema), xstrdup(k->target_table), schema,
			 name);
}

/*
 * New ones only wait for their place, where somebody has it that goes.  What
 * appears as a detached partition does may be at the target all the while.
 */
static void
plan_new(Moves *m, PlanTable *t)
{
	char *schema;
	char *name;

	if (t->gone || t->displaced || t->held || t->nevents == 0 ||
		owner_excludes(m->d->cx, t))
		return;
	map_target(m->d->cx->opt->map, t->schema, t->table, &schema, &name);
	if (t->strange &&
		!owner_is_named(m->d->cx, t->schema, t->table, schema, name))
	{
		add_move(m, t, NULL, NULL, schema, name);
		return;
	}
	for (int i = 0; i < m->plan->ntables; i++)
	{
		const PlanKnown *k = m->plan->tables[i].known;

		if (k && k->target_table && strcmp(k->target_table, name) == 0 &&
			strcmp(k->target_schema, schema) == 0)
		{
			add_move(m, t, NULL, NULL, schema, name);
			return;
		}
	}
	free(schema);
	free(name);
}

static void
moves_done(Moves *m)
{
	for (int i = 0; i < m->n; i++)
	{
		free(m->moves[i].schema);
		free(m->moves[i].name);
		free(m->moves[i].to_schema);
		free(m->moves[i].to_name);
		free(m->moves[i].before);
	}
	free(m->moves);
}

/* ---- one table ---- */

/* The OID of what has that name; NULL: nothing. */
static bool
look(const Moves *m, const char *schema, const char *name, char **out, Err *err)
{
	const char *values[] = { schema, name };
	PGresult *res;

	if (!sql_params(m->d->cx, "look who has a name",
					"SELECT c.oid FROM pg_class c JOIN pg_namespace n"
					" ON n.oid = c.relnamespace"
					" WHERE n.nspname = $1 AND c.relname = $2",
					2, values, &res, err))
		return false;
	*out = PQntuples(res) > 0 ? xstrdup(PQgetvalue(res, 0, 0)) : NULL;
	PQclear(res);
	return true;
}

/* What still goes by the table that loses its name. */
static bool
tell_dependents(const Moves *m, const Move *v, const char *oid, Err *err)
{
	const char *values[] = { oid };
	PGresult *res;

	if (!sql_params(
			m->d->cx, "look what depends on a table",
			"SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass"
			" THEN (SELECT 'view ' || r.ev_class::regclass FROM pg_rewrite r"
			"  WHERE r.oid = d.objid)"
			" WHEN d.classid = 'pg_proc'::regclass"
			" THEN 'function ' || d.objid::regprocedure"
			" ELSE (SELECT 'foreign key ' || quote_ident(k.conname) || ' of '"
			"  || k.conrelid::regclass FROM pg_constraint k"
			"  WHERE k.oid = d.objid) END"
			" FROM pg_depend d WHERE d.refobjid = $1::oid"
			" AND d.refclassid = 'pg_class'::regclass AND ("
			" (d.classid = 'pg_rewrite'::regclass AND d.deptype = 'n') OR"
			" d.classid = 'pg_proc'::regclass OR"
			" (d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM"
			"  pg_constraint k WHERE k.oid = d.objid AND k.contype = 'f'"
			"  AND k.conrelid <> $1::oid))) ORDER BY 1",
			1, values, &res, err))
		return false;
	for (int i = 0; i < PQntuples(res); i++)
		log_warn("what depends on a table goes on with the one that had its "
				 "name",
				 "schema", v->schema, "table", v->name, "now", v->to_name,
				 "what", PQgetvalue(res, i, 0), NULL);
	PQclear(res);
	return true;
}

static bool
make_schema(const Moves *m, const char *schema, Err *err)
{
	const char *values[] = { schema };
	PGresult *res;
	Buf sql;
	bool have;
	bool ok;

	if (!sql_params(m->d->cx, "look for a schema",
					"SELECT FROM pg_namespace WHERE nspname = $1", 1, values,
					&res, err))
		return false;
	have = PQntuples(res) > 0;
	PQclear(res);
	if (have)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "CREATE SCHEMA ");
	pg_add_ident(&sql, schema);
	ok = ddl_run(m->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

/* ALTER TABLE s.t RENAME TO name, or SET SCHEMA name. */
static bool
alter_name(const Moves *m, const char *schema, const char *name,
		   const char *what, const char *to, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "ALTER TABLE ");
	sql_add_qualified(&sql, schema, name);
	buf_printf(&sql, " %s ", what);
	pg_add_ident(&sql, to);
	ok = ddl_run(m->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

/* What goes along with a table, and has a name that is taken in the schema. */
static const char along_sql[] =
	"WITH t AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n"
	"  ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2),"
	" a AS (SELECT indexrelid AS oid FROM pg_index"
	"  WHERE indrelid IN (SELECT oid FROM t)"
	"  UNION SELECT objid FROM pg_depend WHERE refobjid IN (SELECT oid FROM t)"
	"  AND refclassid = 'pg_class'::regclass"
	"  AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i'))"
	" SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END,"
	" c.relname, '_' || c.oid FROM a JOIN pg_class c ON c.oid = a.oid"
	" WHERE c.relkind IN ('i', 'I', 'S') AND EXISTS (SELECT FROM pg_class o"
	"  JOIN pg_namespace n ON n.oid = o.relnamespace"
	"  WHERE n.nspname = $3 AND o.relname = c.relname) ORDER BY 2";

static bool
rename_along(const Moves *m, const char *schema, const char *name,
			 const char *to_schema, Err *err)
{
	const char *values[] = { schema, name, to_schema };
	PGresult *res;
	bool ok = true;

	if (!sql_params(m->d->cx, "look what goes along with a table", along_sql, 3,
					values, &res, err))
		return false;
	for (int i = 0; ok && i < PQntuples(res); i++)
	{
		char *to = name_with(PQgetvalue(res, i, 1), PQgetvalue(res, i, 2));
		Buf sql;

		buf_init(&sql, SQL_MAX);
		buf_printf(&sql, "ALTER %s ", PQgetvalue(res, i, 0));
		sql_add_qualified(&sql, schema, PQgetvalue(res, i, 1));
		buf_str(&sql, " RENAME TO ");
		pg_add_ident(&sql, to);
		ok = ddl_run(m->d, buf_cstr(&sql), err);
		if (ok && ddl_runs(m->d))
			log_info("renamed at the target, since another one has its name",
					 "schema", schema, "what", PQgetvalue(res, i, 1),
					 "to_schema", to_schema, "to_name", to, NULL);
		buf_done(&sql);
		free(to);
	}
	PQclear(res);
	return ok;
}

/* Its way may lead over a name that it has in neither schema. */
static bool
run_move(const Moves *m, const char *schema, const char *name,
		 const char *to_schema, const char *to_name, Err *err)
{
	char *between;
	bool ok;

	if (strcmp(schema, to_schema) == 0)
		return alter_name(m, schema, name, "RENAME TO", to_name, err);
	if (!make_schema(m, to_schema, err) ||
		!rename_along(m, schema, name, to_schema, err))
		return false;
	if (strcmp(name, to_name) == 0)
		return alter_name(m, schema, name, "SET SCHEMA", to_schema, err);
	between = name_dropped(name, m->plan->end.lsn);
	ok = alter_name(m, schema, name, "RENAME TO", between, err) &&
		 alter_name(m, schema, between, "SET SCHEMA", to_schema, err) &&
		 alter_name(m, to_schema, between, "RENAME TO", to_name, err);
	free(between);
	return ok;
}

/* A table that the source dropped, and whose name is wanted. */
static bool
drop_table(const Moves *m, const Move *v, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "DROP TABLE ");
	sql_add_qualified(&sql, v->schema, v->name);
	ok = ddl_run(m->d, buf_cstr(&sql), err);
	buf_done(&sql);
	return ok;
}

static void
tell(const Moves *m, const Move *v, bool dropped)
{
	if (!ddl_runs(m->d))
		return;
	if (dropped)
		log_info("table dropped at the target, as at the source", "schema",
				 v->schema, "table", v->name, NULL);
	else
		log_info("table renamed at the target", "schema", v->schema, "table",
				 v->name, "to_schema", v->to_schema, "to_table", v->to_name,
				 NULL);
}

/* Its place is free. */
static bool
move(const Moves *m, Move *v, Err *err)
{
	PlanTable *t = v->table;
	bool drop = is_dropped(m, t);
	char *oid = NULL;
	bool ok;

	v->over = true;
	if (!v->schema)
	{
		take_target(t, v->to_schema, v->to_name); /* it is made there */
		return true;
	}
	if (!look(m, v->schema, v->name, &oid, err))
		return false;
	if (!oid) /* somebody dropped it: there is nothing to move */
	{
		take_target(t, v->to_schema, v->to_name);
		return true;
	}
	ok = (!t->displaced || drop || tell_dependents(m, v, oid, err)) &&
		 ddl_begin(m->d, err);
	free(oid);
	if (!ok)
		return false;
	ok = drop ? drop_table(m, v, err)
			  : run_move(m, v->schema, v->name, v->to_schema, v->to_name, err);
	if (!ddl_end(m->d, t, ok, err))
		return false;
	if (t->refused)
		return true;
	tell(m, v, drop);
	if (ddl_runs(m->d))
	{
		take_target(t, v->to_schema, v->to_name);
		return true;
	}
	free(t->said_schema);
	free(t->said_table);
	t->said_schema = xstrdup(v->to_schema);
	t->said_table = xstrdup(v->to_name);
	return true;
}

/* ---- all of them ---- */

/* Who is still to leave that place? */
static Move *
holder(const Moves *m, const Move *v)
{
	for (int i = 0; i < m->n; i++)
	{
		Move *o = &m->moves[i];

		if (o != v && !o->over && o->schema &&
			strcmp(o->name, v->to_name) == 0 &&
			strcmp(o->schema, v->to_schema) == 0)
			return o;
	}
	return NULL;
}

/* Where nobody came to its place it goes back there. */
static bool
unpark(const Moves *m, Move *v, Err *err)
{
	char *oid;
	bool ok;

	if (!v->parked || !look(m, v->schema, v->before, &oid, err))
		return !v->parked;
	if (oid)
	{
		free(oid);
		return true;
	}
	ok = ddl_begin(m->d, err);
	if (ok)
		ok = ddl_end(
			m->d, v->table,
			alter_name(m, v->schema, v->name, "RENAME TO", v->before, err),
			err);
	if (ok && !v->table->refused)
		take_target(v->table, v->schema, v->before);
	return ok;
}

static bool
taken(const Moves *m, Move *v, Err *err)
{
	Buf why;
	bool ok;

	buf_init(&why, SQL_MAX);
	buf_str(&why, "the name is taken at the target: ");
	sql_add_qualified(&why, v->to_schema, v->to_name);
	v->over = true;
	ok =
		!ddl_runs(m->d) || (unpark(m, v, err) &&
							ddl_block(m->d, v->table, "", buf_cstr(&why), err));
	buf_done(&why);
	return ok;
}

/* Of a table that merge did not make; what is no table counts as full. */
static bool
has_rows(const Moves *m, const Move *v, bool *out, Err *err)
{
	const char *values[] = { v->to_schema, v->to_name };
	PGresult *res;
	Buf sql;
	bool ok;

	*out = true;
	if (!sql_params(m->d->cx, "look whether a name is a table's",
					"SELECT FROM pg_class c JOIN pg_namespace n"
					" ON n.oid = c.relnamespace WHERE n.nspname = $1"
					" AND c.relname = $2 AND c.relkind IN ('r', 'p')"
					" AND has_table_privilege(c.oid, 'SELECT')",
					2, values, &res, err))
		return false;
	ok = PQntuples(res) > 0;
	PQclear(res);
	if (!ok)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT EXISTS (SELECT FROM ");
	sql_add_qualified(&sql, v->to_schema, v->to_name);
	buf_byte(&sql, ')');
	ok = sql_query(m->d->cx, "look whether a table is empty", buf_cstr(&sql),
				   &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	*out = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return true;
}

/* Another table of the source is in that place, and stays there. */
static bool
is_kept(const Moves *m, const Move *v)
{
	for (int i = 0; i < m->plan->ntables; i++)
	{
		const PlanTable *t = &m->plan->tables[i];
		const PlanKnown *k = t->known;
		const char *schema = t->target_table ? t->target_schema
							 : k             ? k->target_schema
											 : NULL;
		const char *name = t->target_table ? t->target_table
						   : k             ? k->target_table
										   : NULL;

		if (t != v->table && name && strcmp(name, v->to_name) == 0 &&
			strcmp(schema, v->to_schema) == 0)
			return true;
	}
	return false;
}

/* *moved: it is out of the way, or never will be. */
static bool
try(const Moves *m, Move *v, bool *moved, Err *err)
{
	char *oid = NULL;
	bool full = true;

	if (holder(m, v))
		return true;
	*moved = true;
	if (!is_dropped(m, v->table) && ddl_runs(m->d) &&
		!look(m, v->to_schema, v->to_name, &oid, err))
		return false;
	if (!oid)
		return move(m, v, err);
	if (!v->schema && !is_kept(m, v) && !has_rows(m, v, &full, err))
	{
		free(oid);
		return false;
	}
	free(oid);
	return full ? taken(m, v, err) : move(m, v, err);
}

/* All that are left wait for each other. */
static bool
park(const Moves *m, Move *v, Err *err)
{
	PlanTable *t = v->table;
	char *between = name_dropped(v->name, m->plan->end.lsn);
	bool ok;

	assert(v->schema && !v->parked);
	v->parked = true;
	if (!ddl_begin(m->d, err))
	{
		free(between);
		return false;
	}
	ok = alter_name(m, v->schema, v->name, "RENAME TO", between, err);
	ok = ddl_end(m->d, t, ok, err);
	if (ok && t->refused)
	{
		v->over = true;
		free(between);
		return true;
	}
	free(v->before);
	v->before = v->name;
	v->name = between;
	if (ok && ddl_runs(m->d))
		take_target(t, v->schema, between);
	return ok;
}

static bool
run_moves(const Moves *m, Err *err)
{
	int left = m->n;

	while (left > 0)
	{
		Move *waits = NULL;
		bool moved = false;

		left = 0;
		for (int i = 0; i < m->n; i++)
		{
			if (!m->moves[i].over && !try(m, &m->moves[i], &moved, err))
				return false;
			if (m->moves[i].over)
				continue;
			left++;
			if (m->moves[i].schema && !m->moves[i].parked)
				waits = &m->moves[i];
		}
		if (left > 0 && !moved && (!waits || !park(m, waits, err)))
			return waits ? false
						 : err_set(err, ERR_INTERNAL, 0,
								   "tables wait for each other's names");
	}
	return true;
}

/* Who had the place that a table comes to? */
static bool
note_grants(const Moves *m, Err *err)
{
	for (int i = 0; i < m->n; i++)
	{
		Move *v = &m->moves[i];

		if (v->table->displaced || v->table->gone)
			continue;
		if (!look(m, v->to_schema, v->to_name, &v->table->grants_from, err))
			return false;
	}
	return true;
}

bool
move_tables(Ddl *d, Plan *plan, Err *err)
{
	Moves m = { .d = d, .plan = plan };
	bool ok;

	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->known && t->known->target_table)
			plan_known(&m, t);
		else
			plan_new(&m, t);
	}
	ok = note_grants(&m, err) && run_moves(&m, err);
	moves_done(&m);
	return ok;
}

/* ---- grants ---- */

static const char grants_sql[] =
	"SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type,"
	" to_regclass($2), CASE WHEN a.grantee = 0 THEN 'PUBLIC'"
	"  ELSE quote_ident(g.rolname) END,"
	" CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
	" FROM pg_class c, aclexplode(c.relacl) a"
	" LEFT JOIN pg_roles g ON g.oid = a.grantee"
	" WHERE c.oid = $1::oid AND a.grantee <> c.relowner"
	" AND to_regclass($2) IS NOT NULL"; /* it may wait for its load */

static bool
copy_grants(Ddl *d, const PlanTable *t, Err *err)
{
	Buf name;
	const char *values[] = { t->grants_from, NULL };
	PGresult *res = NULL;
	bool ok;

	buf_init(&name, SQL_MAX);
	sql_add_qualified(&name, t->target_schema, t->target_table);
	values[1] = buf_cstr(&name);
	ok = sql_params(d->cx, "read grants", grants_sql, 2, values, &res, err);
	for (int i = 0; ok && i < PQntuples(res); i++)
	{
		Err refused;

		ok = sql_savepoint(d->cx, "cdc_s3_grant", err);
		if (ok && sql_run(d->cx, "grant as before", PQgetvalue(res, i, 0), NULL,
						  &refused))
			ok = sql_release(d->cx, "cdc_s3_grant", err);
		else if (ok)
		{
			log_warn("a grant could not be given to the table that has the "
					 "name now",
					 "grant", PQgetvalue(res, i, 0), "cause", refused.msg,
					 NULL);
			ok = sql_rollback_to(d->cx, "cdc_s3_grant", err);
		}
	}
	PQclear(res);
	buf_done(&name);
	return ok;
}

bool
move_grants(Ddl *d, const Plan *plan, Err *err)
{
	for (int i = 0; ddl_runs(d) && i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];

		if (t->grants_from && t->target_table && !t->refused &&
			!copy_grants(d, t, err))
			return false;
	}
	return true;
}
