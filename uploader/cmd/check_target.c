/*-------------------------------------------------------------------------
 * check_target.c
 *	  "check" of the target where one is set: all that a merge needs there.
 *
 * Everything is asked in one transaction that a merge would begin, too, and
 * that is rolled back.  Which tables a merge will write is known from the
 * source, where it can be reached, and from what earlier merges wrote down.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/check.h"
#include "codec/pattern.h"
#include "merge/merge_map.h"
#include "pipe/wanted.h"

#define LIST_MAX_BYTES (64 * 1024 * 1024)

/* The database: one row. */
enum
{
	D_RECOVERY,
	D_TEMP,
	D_CREATE,
	D_REPLICA,
	D_SCHEMA,        /* cdc_s3 is there */
	D_SCHEMA_RIGHTS, /* and may be used, and made tables in */
	D_TABLES_BAD,    /* tables in it that cannot be written; "" if none */
	D_KNOWS_TABLES   /* cdc_s3.tables may be read */
};

static const char database_sql[] =
	"SELECT pg_is_in_recovery(),"
	" has_database_privilege(current_database(), 'TEMP'),"
	" has_database_privilege(current_database(), 'CREATE'),"
	" CASE WHEN current_setting('server_version_num')::int >= 150000"
	"  THEN has_parameter_privilege('session_replication_role', 'SET')"
	"  ELSE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) END,"
	" n.oid IS NOT NULL,"
	" coalesce(has_schema_privilege(n.oid, 'USAGE') AND"
	"  has_schema_privilege(n.oid, 'CREATE'), false),"
	" coalesce((SELECT string_agg(c.relname, ', ' ORDER BY c.relname)"
	"  FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'"
	"  AND NOT (has_table_privilege(c.oid, 'SELECT') AND"
	"   has_table_privilege(c.oid, 'INSERT') AND"
	"   has_table_privilege(c.oid, 'UPDATE') AND"
	"   has_table_privilege(c.oid, 'DELETE'))), ''),"
	" coalesce((SELECT has_table_privilege(c.oid, 'SELECT') FROM pg_class c"
	"  WHERE c.relnamespace = n.oid AND c.relname = 'tables'), false)"
	" FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = 'cdc_s3'";

static const char known_sql[] =
	"SELECT target_schema, target_table FROM cdc_s3.tables"
	" WHERE target_table IS NOT NULL ORDER BY 1, 2";

/* Of each pair of names: what stands in a merge's way, "" for nothing. */
enum
{
	T_NAME, /* quoted */
	T_WHY,
	T_MEND
};

static const char tables_sql[] =
	"WITH w AS MATERIALIZED (SELECT DISTINCT s, t, format('%I.%I', s, t) AS q,"
	" n.oid AS nsp, c.oid AS rel, c.relkind"
	" FROM unnest($1::text[], $2::text[]) u (s, t)"
	" LEFT JOIN pg_namespace n ON n.nspname = s"
	" LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t)"
	" SELECT q, why, mend FROM w, LATERAL (SELECT * FROM (VALUES"
	" (nsp IS NULL AND NOT"
	"  has_database_privilege(current_database(), 'CREATE'),"
	"  'its schema is not there, and the role may not create one',"
	"  format('CREATE SCHEMA %I AUTHORIZATION %I;', s, current_user)),"
	" (NOT has_schema_privilege(nsp, 'USAGE'),"
	"  'the role may not use its schema',"
	"  format('GRANT USAGE ON SCHEMA %I TO %I;', s, current_user)),"
	" (rel IS NULL AND nsp IS NOT NULL AND NOT"
	"  has_schema_privilege(nsp, 'CREATE'),"
	"  'it is not there, and the role may not create it',"
	"  format('GRANT CREATE ON SCHEMA %I TO %I; or create the table', s,"
	"   current_user)),"
	" (relkind NOT IN ('r', 'p'), 'it is not a table',"
	"  'rename it, or send the source table elsewhere with merge.map'),"
	" (NOT (has_table_privilege(rel, 'SELECT') AND"
	"   has_table_privilege(rel, 'INSERT') AND"
	"   has_table_privilege(rel, 'UPDATE') AND"
	"   has_table_privilege(rel, 'DELETE')),"
	"  'the role may not read and write it',"
	"  format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;', q,"
	"   current_user)),"
	" (row_security_active(rel), 'row security would hide rows of it from"
	" the role',"
	"  format('as a superuser: ALTER ROLE %I BYPASSRLS; or give the role the"
	" table, without FORCE ROW LEVEL SECURITY', current_user)),"
	" (EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e' AND"
	"   ((d.classid = 'pg_class'::regclass AND d.objid = rel) OR"
	"    (d.classid = 'pg_namespace'::regclass AND d.objid = nsp))),"
	"  'it belongs to an extension, and merge never writes such tables',"
	"  'leave it out with merge.exclude, or send it elsewhere with merge.map')"
	" ) v (bad, why, mend) WHERE bad LIMIT 1) x ORDER BY 1";

/* Names of tables at the target, as two array literals. */
typedef struct Names
{
	Buf schemas;
	Buf tables;
	int n;
} Names;

static void
add_item(Buf *b, const char *name, bool first)
{
	buf_str(b, first ? "{\"" : ",\"");
	for (; *name; name++)
	{
		if (*name == '"' || *name == '\\')
			buf_byte(b, '\\');
		buf_byte(b, (uint8_t) *name);
	}
	buf_byte(b, '"');
}

static void
add_names(Names *names, const char *schema, const char *table)
{
	add_item(&names->schemas, schema, names->n == 0);
	add_item(&names->tables, table, names->n == 0);
	names->n++;
}

/* The tables of the source, as the lake will have them. */
static bool
take_source(Check *c, Names *names)
{
	const RunOptions o = { .tables = c->cfg->source_tables,
						   .exclude = c->cfg->source_exclude,
						   .publication = c->cfg->source_publication };
	WantedList wanted = { 0 };
	Err err;
	bool ok = !c->conn || wanted_read(c->conn, &o, NULL, NULL, &wanted, &err);

	if (!ok)
		check_failed(c, "target tables", "they could not be checked", &err);
	for (int i = 0; ok && i < wanted.n; i++)
	{
		const char *schema = wanted.tables[i].schema;
		const char *table = wanted.tables[i].table;
		char *to_schema;
		char *to_table;

		if (pattern_list_matches(c->cfg->merge_exclude, schema, table))
			continue;
		map_target(c->cfg->merge_map, schema, table, &to_schema, &to_table);
		add_names(names, to_schema, to_table);
		free(to_schema);
		free(to_table);
	}
	wanted_done(&wanted);
	return ok;
}

static bool
take_known(Check *c, PGconn *target, Names *names)
{
	PGresult *res;
	Err err;

	if (!pg_exec(target, PG_TARGET, "read cdc_s3.tables", known_sql, &res,
				 &err))
	{
		check_failed(c, "target tables", "they could not be checked", &err);
		return false;
	}
	for (int i = 0; i < PQntuples(res); i++)
		add_names(names, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));
	PQclear(res);
	return true;
}

static void
report_tables(Check *c, PGconn *target, Names *names)
{
	const char *values[2];
	PGresult *res;
	Err err;

	buf_str(&names->schemas, names->n ? "}" : "{}");
	buf_str(&names->tables, names->n ? "}" : "{}");
	values[0] = buf_cstr(&names->schemas);
	values[1] = buf_cstr(&names->tables);
	if (!pg_exec_params(target, PG_TARGET, "read the target's tables",
						tables_sql, 2, values, &res, &err))
	{
		check_failed(c, "target tables", "they could not be checked", &err);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
	{
		const Finding f = {
			.level = CHECK_ERROR,
			.kind = ERR_TARGET,
			.name = "target table",
			.why = "a merge that has rows of it would fail",
			.mend = PQgetvalue(res, i, T_MEND),
		};

		check_report(c, &f, "%s: %s", PQgetvalue(res, i, T_NAME),
					 PQgetvalue(res, i, T_WHY));
	}
	if (PQntuples(res) == 0)
		check_ok(c, "target tables", "%d can be written, or made", names->n);
	PQclear(res);
}

static void
check_target_tables(Check *c, PGconn *target, bool known)
{
	Names names = { .n = 0 };

	buf_init(&names.schemas, LIST_MAX_BYTES);
	buf_init(&names.tables, LIST_MAX_BYTES);
	if (take_source(c, &names) && (!known || take_known(c, target, &names)))
		report_tables(c, target, &names);
	buf_done(&names.schemas);
	buf_done(&names.tables);
}

static bool
yes(const PGresult *res, int col)
{
	return PQgetvalue(res, 0, col)[0] == 't';
}

static void
lacks(Check *c, const char *why, const char *mend, const char *what)
{
	const Finding f = { .level = CHECK_ERROR,
						.kind = ERR_TARGET,
						.name = "target role",
						.why = why,
						.mend = mend };

	check_report(c, &f, "%s", what);
}

static void
report_role(Check *c, PGconn *target, const PGresult *res)
{
	int before = c->count[CHECK_ERROR];

	if (!yes(res, D_TEMP))
		lacks(c, "a merge stages rows in temporary tables",
			  "GRANT TEMPORARY ON DATABASE … TO …;",
			  "it may not make temporary tables");
	if (!yes(res, D_SCHEMA) && !yes(res, D_CREATE))
		lacks(c,
			  "merge keeps its position in the schema cdc_s3 and makes it "
			  "when it is missing",
			  "GRANT CREATE ON DATABASE … TO …; or as a superuser: CREATE "
			  "SCHEMA cdc_s3 AUTHORIZATION …;",
			  "it may not create a schema");
	if (yes(res, D_SCHEMA) && !yes(res, D_SCHEMA_RIGHTS))
		lacks(c, "merge keeps its position in the schema cdc_s3",
			  "GRANT USAGE, CREATE ON SCHEMA cdc_s3 TO …;",
			  "it may not use the schema cdc_s3, or make tables in it");
	if (PQgetvalue(res, 0, D_TABLES_BAD)[0])
		lacks(c, "merge keeps its position in the schema cdc_s3",
			  "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "
			  "cdc_s3 TO …;",
			  "it may not read and write all tables of the schema cdc_s3");
	if (c->count[CHECK_ERROR] == before)
		check_ok(c, "target role",
				 "\"%s\" may do what merge needs; triggers "
				 "and foreign keys %s during a merge",
				 PQuser(target), yes(res, D_REPLICA) ? "are off" : "work");
}

static void
check_target_rights(Check *c, PGconn *target)
{
	PGresult *res;
	Err err;

	if (!pg_exec(target, PG_TARGET, "begin a transaction as merge does",
				 pg_begin_target, NULL, &err) ||
		!pg_exec(target, PG_TARGET, "prepare the transaction", pg_pin_target,
				 NULL, &err) ||
		!pg_exec(target, PG_TARGET, "read the target's rights", database_sql,
				 &res, &err))
	{
		err_hint(&err, "see that it is no standby (target_session_attrs="
					   "read-write chooses the primary)");
		check_failed(c, "target server", "merge writes there", &err);
		return;
	}
	report_role(c, target, res);
	if (yes(res, D_SCHEMA) && yes(res, D_SCHEMA_RIGHTS))
		check_resync(c, target);
	check_target_tables(c, target, yes(res, D_KNOWS_TABLES));
	PQclear(res);
}

void
check_target(Check *c)
{
	PgWait wait = { .limit_ms = c->cfg->target_silence_limit_ms };
	PGconn *target;
	Err err;

	if (c->cfg->target_conninfo[0] == '\0')
		return; /* there is none: the lake is all that is wanted */
	if (!pg_connect_wait(c->cfg->target_conninfo, PG_TARGET, &wait, &target,
						 &err))
	{
		check_failed(c, "target", "merge applies the lake to it", &err);
		return;
	}
	check_ok(c, "target", "connected to database \"%s\" as \"%s\"",
			 PQdb(target), PQuser(target));
	check_target_rights(c, target);
	PQfinish(target); /* which rolls back */
}
