/*-------------------------------------------------------------------------
 * merge_state.c
 *	  What a merge keeps in the target: schema cdc_s3.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_preview.h"
#include "merge/merge_reject.h"
#include "merge/merge_report.h"

#define LOCK_POLL_MS 250
#define NUMBER_MAX 40

static const char create_sql[] =
	"CREATE TABLE IF NOT EXISTS cdc_s3.position ("
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" entry bigint NOT NULL,"
	" lsn pg_lsn NOT NULL,"
	" merged_at timestamptz NOT NULL DEFAULT now(),"
	" PRIMARY KEY (system_identifier, database, slot));"
	"CREATE TABLE IF NOT EXISTS cdc_s3.waiting ("
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" source_schema text NOT NULL,"
	" source_table text NOT NULL,"
	" load_id text NOT NULL,"
	" since_entry bigint NOT NULL,"
	" initial boolean NOT NULL,"
	" PRIMARY KEY (system_identifier, database, slot,"
	" source_schema, source_table));"
	"CREATE TABLE IF NOT EXISTS cdc_s3.rejected ("
	" rejected_at timestamptz NOT NULL DEFAULT now(),"
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" source_schema text NOT NULL,"
	" source_table text NOT NULL,"
	" lsn pg_lsn NOT NULL,"
	" seq bigint NOT NULL,"
	" op text NOT NULL,"
	" \"row\" text,"
	" sqlstate text NOT NULL,"
	" reason text NOT NULL);"
	"CREATE TABLE IF NOT EXISTS cdc_s3.resync ("
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" source_schema text NOT NULL,"
	" source_table text NOT NULL,"
	" lsn pg_lsn NOT NULL,"
	" seq bigint NOT NULL,"
	" reason text NOT NULL,"
	" since timestamptz NOT NULL DEFAULT now(),"
	" PRIMARY KEY (system_identifier, database, slot,"
	" source_schema, source_table));"
	"CREATE TABLE IF NOT EXISTS cdc_s3.tables ("
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" source_schema text NOT NULL,"
	" source_table text NOT NULL,"
	" target_schema text,"
	" target_table text,"
	" made boolean NOT NULL,"
	" skipped pg_lsn,"
	" since timestamptz NOT NULL DEFAULT now(),"
	" PRIMARY KEY (system_identifier, database, slot,"
	" source_schema, source_table),"
	" UNIQUE (target_schema, target_table));";

/* Columns that tables of an older release lack. */
static const char upgrade_sql[] =
	"ALTER TABLE cdc_s3.resync"
	" ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'resync',"
	" ADD COLUMN IF NOT EXISTS detail text;"
	"ALTER TABLE cdc_s3.tables"
	" ADD COLUMN IF NOT EXISTS relation_id bigint,"
	" ADD COLUMN IF NOT EXISTS row_type bigint,"
	" ADD COLUMN IF NOT EXISTS schema_hash text,"
	" ADD COLUMN IF NOT EXISTS schema_lsn pg_lsn,"
	" ADD COLUMN IF NOT EXISTS schema_seq bigint,"
	" ADD COLUMN IF NOT EXISTS pinned boolean NOT NULL DEFAULT false,"
	" ADD COLUMN IF NOT EXISTS gone boolean NOT NULL DEFAULT false,"
	" ADD COLUMN IF NOT EXISTS kept text[] NOT NULL DEFAULT '{}';";

/* The upgrade is looked for first: ALTER TABLE takes a lock of its own. */
static bool
upgrade(MergeCx *cx, Err *err)
{
	PGresult *res;
	bool have;

	if (!sql_query(cx, "look for the columns of cdc_s3.resync and tables",
				   "SELECT count(*) = 10 FROM pg_attribute WHERE"
				   " (attrelid = 'cdc_s3.resync'::regclass AND attname IN"
				   " ('state', 'detail')) OR"
				   " (attrelid = 'cdc_s3.tables'::regclass AND attname IN"
				   " ('relation_id', 'row_type', 'schema_hash', 'schema_lsn',"
				   " 'schema_seq', 'pinned', 'gone', 'kept'))",
				   &res, err))
		return false;
	have = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return have ||
		   sql_run(cx, "add columns to schema cdc_s3", upgrade_sql, NULL, err);
}

bool
state_create(MergeCx *cx, bool *out_older, Err *err)
{
	PGresult *res;
	bool have_schema;
	bool have_tables;

	if (!sql_query(cx, "look for schema cdc_s3",
				   "SELECT to_regnamespace('cdc_s3') IS NOT NULL,"
				   " to_regclass('cdc_s3.position') IS NOT NULL"
				   " AND to_regclass('cdc_s3.waiting') IS NOT NULL"
				   " AND to_regclass('cdc_s3.rejected') IS NOT NULL"
				   " AND to_regclass('cdc_s3.resync') IS NOT NULL"
				   " AND to_regclass('cdc_s3.merge_run') IS NOT NULL"
				   " AND to_regclass('cdc_s3.tables') IS NOT NULL,"
				   " to_regclass('cdc_s3.position') IS NOT NULL"
				   " AND to_regclass('cdc_s3.tables') IS NULL,"
				   " to_regclass('cdc_s3.position') IS NULL",
				   &res, err))
		return false;
	have_schema = PQgetvalue(res, 0, 0)[0] == 't';
	have_tables = PQgetvalue(res, 0, 1)[0] == 't';
	*out_older = PQgetvalue(res, 0, 2)[0] == 't';
	cx->bare = cx->opt->preview && PQgetvalue(res, 0, 3)[0] == 't';
	cx->older = cx->opt->preview && *out_older;
	PQclear(res);
	if (have_tables)
		return cx->opt->preview || (reject_create(cx, err) && upgrade(cx, err));
	if (!have_schema &&
		!sql_run(cx, "create schema cdc_s3", "CREATE SCHEMA cdc_s3", NULL, err))
	{
		if (strcmp(cx->state, "42501") == 0)
			err_hint(err, "GRANT CREATE ON DATABASE to the merging role, or "
						  "create schema cdc_s3 with this role as its owner");
		return false;
	}
	if (cx->opt->preview)
	{
		preview_ddl(cx->opt->preview,
					"CREATE TABLE cdc_s3.…, what merge keeps for itself");
		return true;
	}
	if (sql_run(cx, "create the tables in schema cdc_s3", create_sql, NULL,
				err) &&
		sql_run(cx, "create table cdc_s3.merge_run", report_create_sql, NULL,
				err) &&
		reject_create(cx, err) && upgrade(cx, err))
		return true;
	if (strcmp(cx->state, "42501") == 0)
		err_hint(err, "GRANT CREATE ON SCHEMA cdc_s3 to the merging role, or "
					  "merge once as the schema's owner");
	return false;
}

bool
state_lock(MergeCx *cx, Err *err)
{
	int64_t deadline = clock_mono_ms() + cx->opt->lock_wait_ms;
	bool told = false;

	for (;;)
	{
		PGresult *res;
		bool got;

		if (!sql_query(cx, "lock the target for the merge",
					   "SELECT pg_try_advisory_xact_lock("
					   "hashtextextended('cdc_s3 merge', 0))",
					   &res, err))
			return false;
		got = PQgetvalue(res, 0, 0)[0] == 't';
		PQclear(res);
		if (got)
			return true;
		if (clock_mono_ms() >= deadline)
		{
			err_set(err, ERR_BUSY, 0,
					"another merge into this database is running");
			return err_hint(err, "wait until it is done");
		}
		if (!told)
			log_info("waiting for another merge into this database", NULL);
		told = true;
		clock_sleep_ms(LOCK_POLL_MS);
	}
}

bool
state_look_lock(MergeCx *cx, bool *out_taken, Err *err)
{
	PGresult *res;

	if (!sql_query(cx, "look whether a merge is running",
				   "SELECT EXISTS (SELECT FROM pg_locks WHERE granted"
				   " AND locktype = 'advisory' AND objsubid = 1"
				   " AND database = (SELECT oid FROM pg_database"
				   "  WHERE datname = current_database())"
				   " AND (classid::bigint << 32 | objid::bigint)"
				   " = hashtextextended('cdc_s3 merge', 0))",
				   &res, err))
		return false;
	*out_taken = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return true;
}

static bool
other_source(MergeCx *cx, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;
	bool found;

	if (!sql_params(cx, "read the target's position",
					"SELECT system_identifier, database FROM cdc_s3.position"
					" WHERE slot = $3"
					" AND (system_identifier, database) <> ($1, $2)",
					3, values, &res, err))
		return false;
	found = PQntuples(res) > 0;
	if (found)
	{
		err_set(err, ERR_GAP, 0,
				"the target was merged from another source: slot \"%s\" of "
				"system %s, database \"%s\"; the lake is of system %s, "
				"database \"%s\"",
				cx->slot, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
				cx->system_identifier, cx->database);
		err_hint(err, "correct store.url or target.conninfo; if it is the same "
					  "source on another server (pg_upgrade, dump and "
					  "restore), merge --adopt matches its tables by name and "
					  "loads them anew; or give each source a slot name of its "
					  "own");
	}
	PQclear(res);
	return !found;
}

/*
 * The source goes on elsewhere: what the target has is of tables of the same
 * names, and none of it is known to be theirs.
 */
static const char adopt_sql[] =
	"WITH other AS (DELETE FROM cdc_s3.position WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2) RETURNING 1),"
	" waits AS (DELETE FROM cdc_s3.waiting WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2)),"
	" lines AS (DELETE FROM cdc_s3.rejected WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2)),"
	" asks AS (DELETE FROM cdc_s3.resync WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2)),"
	" gone AS (DELETE FROM cdc_s3.tables WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2) AND gone),"
	" mine AS (UPDATE cdc_s3.tables SET system_identifier = $1, database = $2,"
	"  relation_id = NULL, row_type = NULL, schema_hash = NULL,"
	"  schema_lsn = NULL, schema_seq = NULL WHERE slot = $3"
	"  AND (system_identifier, database) <> ($1, $2) AND NOT gone"
	"  RETURNING source_schema, source_table, target_table),"
	" marks AS (INSERT INTO cdc_s3.resync (system_identifier, database, slot,"
	"  source_schema, source_table, lsn, seq, reason)"
	"  SELECT $1, $2, $3, source_schema, source_table, '0/0', 0, 'adopted'"
	"  FROM mine WHERE target_table IS NOT NULL)"
	" SELECT count(*) FROM other";

static bool
adopt(MergeCx *cx, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;
	bool any;

	if (!sql_params(cx, "adopt the tables of another source", adopt_sql, 3,
					values, &res, err))
		return false;
	any = strcmp(PQgetvalue(res, 0, 0), "0") != 0;
	PQclear(res);
	if (any)
		log_info("the target goes on with another source: its tables are to be "
				 "loaded anew",
				 "system_identifier", cx->system_identifier, "database",
				 cx->database, "slot", cx->slot, NULL);
	return any || err_set(err, ERR_USAGE, 0,
						  "there is nothing to adopt: no other source was "
						  "merged into this target with slot \"%s\"",
						  cx->slot);
}

/* A value of a result, NULL where it is NULL; the caller frees. */
static char *
text_of(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column)
			   ? NULL
			   : xstrdup(PQgetvalue(res, row, column));
}

static uint32_t
oid_of(const PGresult *res, int row, int column)
{
	return (uint32_t) strtoul(PQgetvalue(res, row, column), NULL, 10);
}

static bool
read_known(MergeCx *cx, PlanFrom *out, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;

	if (!sql_params(
			cx, "read which tables go where",
			/* a preview may meet a table of an older release */
			"SELECT t.source_schema, t.source_table, t.target_schema,"
			" t.target_table, j->>'relation_id', j->>'row_type',"
			" j->>'schema_hash',"
			" coalesce((j->>'schema_lsn')::pg_lsn - '0/0'::pg_lsn, 0),"
			" j->>'schema_seq', j->>'pinned', j->>'gone',"
			" EXISTS (SELECT FROM cdc_s3.resync r WHERE"
			"  (r.system_identifier, r.database, r.slot,"
			"   r.source_schema, r.source_table) = (t.system_identifier,"
			"   t.database, t.slot, t.source_schema, t.source_table)"
			"  AND to_jsonb(r)->>'state' = 'left'),"
			" EXISTS (SELECT FROM cdc_s3.resync r WHERE"
			"  (r.system_identifier, r.database, r.slot,"
			"   r.source_schema, r.source_table) = (t.system_identifier,"
			"   t.database, t.slot, t.source_schema, t.source_table)"
			"  AND r.reason NOT IN ('schema', 'parent')),"
			" t.skipped IS NOT NULL"
			" FROM cdc_s3.tables t, to_jsonb(t) j"
			" WHERE (system_identifier, database, slot)"
			" = ($1, $2, $3) ORDER BY t.since",
			3, values, &res, err))
		return false;
	out->nknown = PQntuples(res);
	out->known = xcalloc((size_t) out->nknown + 1, sizeof(*out->known));
	for (int i = 0; i < out->nknown; i++)
		out->known[i] = (PlanKnown){
			.schema = text_of(res, i, 0),
			.table = text_of(res, i, 1),
			.target_schema = text_of(res, i, 2),
			.target_table = text_of(res, i, 3),
			.relation_id = oid_of(res, i, 4),
			.row_type = oid_of(res, i, 5),
			.hash = text_of(res, i, 6),
			.pos = { strtoull(PQgetvalue(res, i, 7), NULL, 10),
					 strtoll(PQgetvalue(res, i, 8), NULL, 10) },
			.pinned = PQgetvalue(res, i, 9)[0] == 't',
			.gone = PQgetvalue(res, i, 10)[0] == 't',
			.left = PQgetvalue(res, i, 11)[0] == 't',
			.unsure = PQgetvalue(res, i, 12)[0] == 't',
			.skipped = PQgetvalue(res, i, 13)[0] == 't',
		};
	PQclear(res);
	return true;
}

static void
known_done(PlanKnown *k)
{
	free(k->schema);
	free(k->table);
	free(k->target_schema);
	free(k->target_table);
	free(k->hash);
}

bool
state_read(MergeCx *cx, PlanFrom *out, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;

	*out = (PlanFrom){ .position = { -1, 0 },
					   .ahead = { -1, 0 },
					   .whole = cx->opt->preview != NULL };
	if (cx->bare)
		return true;
	if (!(cx->opt->adopt && !cx->adopted ? adopt(cx, err)
										 : other_source(cx, err)))
		return false;
	cx->adopted = cx->opt->adopt;
	if (!sql_params(cx, "read the target's position",
					"SELECT entry, lsn - '0/0'::pg_lsn FROM cdc_s3.position"
					" WHERE (system_identifier, database, slot)"
					" = ($1, $2, $3)",
					3, values, &res, err))
		return false;
	if (PQntuples(res) > 0)
	{
		out->position.entry = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		out->position.lsn = strtoull(PQgetvalue(res, 0, 1), NULL, 10);
	}
	PQclear(res);
	if (!sql_params(cx, "read which tables wait for a load",
					"SELECT source_schema, source_table, load_id, since_entry,"
					" initial FROM cdc_s3.waiting"
					" WHERE (system_identifier, database, slot)"
					" = ($1, $2, $3)",
					3, values, &res, err))
		return false;
	out->nwaiting = PQntuples(res);
	out->waiting = xcalloc((size_t) out->nwaiting + 1, sizeof(*out->waiting));
	for (int i = 0; i < out->nwaiting; i++)
	{
		out->waiting[i].schema = xstrdup(PQgetvalue(res, i, 0));
		out->waiting[i].table = xstrdup(PQgetvalue(res, i, 1));
		out->waiting[i].load = xstrdup(PQgetvalue(res, i, 2));
		out->waiting[i].since = strtoll(PQgetvalue(res, i, 3), NULL, 10);
		out->waiting[i].initial = PQgetvalue(res, i, 4)[0] == 't';
	}
	PQclear(res);
	return cx->older || read_known(cx, out, err);
}

void
state_done(PlanFrom *s)
{
	for (int i = 0; i < s->nwaiting; i++)
	{
		free(s->waiting[i].schema);
		free(s->waiting[i].table);
		free(s->waiting[i].load);
	}
	free(s->waiting);
	for (int i = 0; i < s->nknown; i++)
		known_done(&s->known[i]);
	free(s->known);
	*s = (PlanFrom){ .position = { -1, 0 }, .ahead = { -1, 0 } };
}

static bool
store_position(MergeCx *cx, const Plan *plan, Err *err)
{
	char entry[NUMBER_MAX];
	char lsn[NUMBER_MAX];
	char old_entry[NUMBER_MAX];
	char old_lsn[NUMBER_MAX];
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 entry,
							 lsn,
							 old_entry,
							 old_lsn };
	bool first = plan->start.entry < 0;
	const char *sql =
		first ? "INSERT INTO cdc_s3.position"
				" (system_identifier, database, slot, entry, lsn)"
				" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
			  : "UPDATE cdc_s3.position SET entry = $4, lsn = $5,"
				" merged_at = now()"
				" WHERE (system_identifier, database, slot) = ($1, $2, $3)"
				" AND entry = $6 AND lsn = $7";
	PGresult *res;
	bool moved;

	/* all fit */
	(void) snprintf(entry, sizeof(entry), "%lld", (long long) plan->end.entry);
	(void) snprintf(lsn, sizeof(lsn), LSN_FMT, LSN_ARGS(plan->end.lsn));
	(void) snprintf(old_entry, sizeof(old_entry), "%lld",
					(long long) plan->start.entry);
	(void) snprintf(old_lsn, sizeof(old_lsn), LSN_FMT,
					LSN_ARGS(plan->start.lsn));
	if (!sql_params(cx, "store the target's position", sql, first ? 5 : 7,
					values, &res, err))
		return false;
	moved = strcmp(PQcmdTuples(res), "1") == 0;
	PQclear(res);
	return moved || err_set(err, ERR_LOST, 0,
							"the target's position changed during the merge");
}

bool
state_store(MergeCx *cx, const Plan *plan, Err *err)
{
	const char *source[] = { cx->system_identifier, cx->database, cx->slot };

	if (!store_position(cx, plan, err) ||
		!sql_params(cx, "store which tables wait for a load",
					"DELETE FROM cdc_s3.waiting"
					" WHERE (system_identifier, database, slot)"
					" = ($1, $2, $3)",
					3, source, NULL, err))
		return false;
	for (int i = 0; i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];
		char since[NUMBER_MAX];
		const char *values[] = { source[0], source[1],
								 source[2], t->schema,
								 t->table,  t->refused ? "" : t->waiting_load,
								 since,     t->initial ? "t" : "f" };

		if (!t->waiting && !t->refused)
			continue;
		(void) snprintf(
			since, sizeof(since), "%lld",
			(long long) (t->refused ? t->blocked_since : t->since)); /* fits */
		if (!sql_params(cx, "store which tables wait for a load",
						"INSERT INTO cdc_s3.waiting"
						" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
						8, values, NULL, err))
			return false;
	}
	return true;
}

/* As parameters of a statement. */
static void
print_pos(RecordPos pos, char lsn[static NUMBER_MAX],
		  char seq[static NUMBER_MAX])
{
	/* both fit */
	(void) snprintf(lsn, NUMBER_MAX, LSN_FMT, LSN_ARGS(pos.lsn));
	(void) snprintf(seq, NUMBER_MAX, "%lld", (long long) pos.seq);
}

bool
state_is_lasting(const char *reason)
{
	return strcmp(reason, "columns") == 0 || strcmp(reason, "key") == 0 ||
		   strcmp(reason, "table") == 0;
}

bool
state_resync(MergeCx *cx, const PlanTable *t, RecordPos pos, const char *reason,
			 Err *err)
{
	char lsn[NUMBER_MAX];
	char seq[NUMBER_MAX];
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 t->schema,
							 t->table,
							 lsn,
							 seq,
							 reason };

	print_pos(pos, lsn, seq);
	if (cx->opt->preview)
		preview_note(cx->opt->preview, t->schema, t->table,
					 "to be loaded anew from then on (%s at LSN %s)", reason,
					 lsn);
	else
		log_warn("table is to be loaded anew", "schema", t->schema, "table",
				 t->table, "lsn", lsn, "reason", reason, "hint",
				 state_is_lasting(reason)
					 ? "mend the target, then cdc-s3 snapshot loads it"
				 : cx->ask_run ? "run is asked for it once this is committed"
							   : "cdc-s3 snapshot loads it",
				 NULL);
	return sql_params(cx, "mark a table that is to be loaded anew",
					  "INSERT INTO cdc_s3.resync (system_identifier, database,"
					  " slot, source_schema, source_table, lsn, seq, reason)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
					  " ON CONFLICT (system_identifier, database, slot,"
					  " source_schema, source_table) DO UPDATE SET"
					  " lsn = EXCLUDED.lsn, seq = EXCLUDED.seq,"
					  " reason = EXCLUDED.reason,"
					  " state = CASE resync.state WHEN 'blocked'"
					  " THEN 'blocked' ELSE 'resync' END",
					  8, values, NULL, err);
}

bool
state_resync_state(MergeCx *cx, const MergeResync *r, const char *set_to,
				   Err *err)
{
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 r->schema,
							 r->table,
							 set_to };

	return sql_params(cx, "note what a table waits for",
					  "UPDATE cdc_s3.resync SET state = $6"
					  " WHERE (system_identifier, database, slot,"
					  " source_schema, source_table) = ($1, $2, $3, $4, $5)",
					  6, values, NULL, err);
}

bool
state_resync_over(MergeCx *cx, const PlanTable *t, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot,
							 t->schema, t->table };

	return sql_params(cx, "unmark a table that is whole again",
					  "DELETE FROM cdc_s3.resync"
					  " WHERE (system_identifier, database, slot,"
					  " source_schema, source_table) = ($1, $2, $3, $4, $5)",
					  5, values, NULL, err);
}

bool
state_blocked(MergeCx *cx, const PlanTable *t, const char *reason,
			  const char *statements, const char *why, Err *err)
{
	char lsn[NUMBER_MAX];
	char seq[NUMBER_MAX];
	char *detail =
		xasprintf("%s%s%s", statements, statements[0] ? " -- " : "", why);
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 t->schema,
							 t->table,
							 lsn,
							 seq,
							 detail,
							 reason };
	bool ok;

	print_pos(t->pos, lsn, seq);
	ok = sql_params(cx, "mark a table whose changes wait",
					"INSERT INTO cdc_s3.resync (system_identifier, database,"
					" slot, source_schema, source_table, lsn, seq, reason,"
					" state, detail)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7, $9, 'blocked',"
					" $8) ON CONFLICT (system_identifier, database, slot,"
					" source_schema, source_table) DO UPDATE SET"
					" reason = CASE WHEN resync.reason IN ('schema', 'parent')"
					"  THEN EXCLUDED.reason ELSE resync.reason END,"
					" state = 'blocked', detail = EXCLUDED.detail",
					9, values, NULL, err);
	free(detail);
	return ok;
}

/* A line that was there for another reason, too, goes on. */
bool
state_unblocked(MergeCx *cx, const PlanKnown *k, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot,
							 k->schema, k->table };

	return sql_params(
			   cx, "unmark a table whose changes waited",
			   "DELETE FROM cdc_s3.resync"
			   " WHERE (system_identifier, database, slot,"
			   " source_schema, source_table) = ($1, $2, $3, $4, $5)"
			   " AND state = 'blocked' AND reason IN ('schema', 'parent')",
			   5, values, NULL, err) &&
		   sql_params(cx, "unmark a table whose changes waited",
					  "UPDATE cdc_s3.resync SET state = 'resync', detail = NULL"
					  " WHERE (system_identifier, database, slot,"
					  " source_schema, source_table) = ($1, $2, $3, $4, $5)"
					  " AND state = 'blocked'",
					  5, values, NULL, err);
}

bool
state_left(MergeCx *cx, const PlanTable *t, Err *err)
{
	char lsn[NUMBER_MAX];
	char seq[NUMBER_MAX];
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 t->schema,
							 t->table,
							 lsn,
							 seq };

	print_pos(t->pos, lsn, seq);
	log_warn("the source no longer sends a table: the target's stays as it is",
			 "schema", t->schema, "table", t->table, "lsn", lsn, NULL);
	return sql_params(cx, "mark a table that is no longer sent",
					  "INSERT INTO cdc_s3.resync (system_identifier, database,"
					  " slot, source_schema, source_table, lsn, seq, reason,"
					  " state)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7, 'left', 'left')"
					  " ON CONFLICT (system_identifier, database, slot,"
					  " source_schema, source_table) DO UPDATE SET"
					  " lsn = EXCLUDED.lsn, seq = EXCLUDED.seq,"
					  " reason = EXCLUDED.reason, state = EXCLUDED.state",
					  7, values, NULL, err);
}

void
merge_resync_done(MergeResult *r)
{
	for (int i = 0; i < r->nresync; i++)
	{
		free(r->resync[i].schema);
		free(r->resync[i].table);
		free(r->resync[i].reason);
		free(r->resync[i].state);
	}
	free(r->resync);
	r->resync = NULL;
	r->nresync = 0;
}

static bool
list_resync(MergeCx *cx, MergeResult *out, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;

	if (!sql_params(cx, "read which tables are to be loaded anew",
					"SELECT source_schema, source_table, reason,"
					" lsn - '0/0'::pg_lsn,"
					" coalesce(to_jsonb(r) ->> 'state', 'resync'),"
					" EXISTS (SELECT FROM cdc_s3.waiting w WHERE"
					"  (w.system_identifier, w.database, w.slot,"
					"  w.source_schema, w.source_table) ="
					"  (r.system_identifier, r.database, r.slot,"
					"  r.source_schema, r.source_table)"
					"  AND w.load_id <> '')"
					" FROM cdc_s3.resync r"
					" WHERE (system_identifier, database, slot)"
					" = ($1, $2, $3) ORDER BY 1, 2",
					3, values, &res, err))
		return false;
	merge_resync_done(out); /* of a transaction before */
	out->nresync = PQntuples(res);
	out->resync = xcalloc((size_t) out->nresync + 1, sizeof(*out->resync));
	for (int i = 0; i < out->nresync; i++)
		out->resync[i] = (MergeResync){
			.schema = xstrdup(PQgetvalue(res, i, 0)),
			.table = xstrdup(PQgetvalue(res, i, 1)),
			.reason = xstrdup(PQgetvalue(res, i, 2)),
			.lsn = strtoull(PQgetvalue(res, i, 3), NULL, 10),
			.state = xstrdup(PQgetvalue(res, i, 4)),
			.waiting = PQgetvalue(res, i, 5)[0] == 't',
		};
	PQclear(res);
	return true;
}

bool
state_outstanding(MergeCx *cx, MergeResult *out, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;

	if (cx->bare)
		return true;
	if (!list_resync(cx, out, err) ||
		!sql_params(cx, "count rejected rows",
					"SELECT coalesce(sum(n), 0), left(translate(string_agg("
					"format('%s.%s %s', s, t, n), ', ' ORDER BY n DESC, s, t)"
					" FILTER (WHERE i <= 5), E'\\n\\r\\t', '   '), 120)"
					" || CASE WHEN count(*) > 5 THEN ', …' ELSE '' END"
					" FROM (SELECT source_schema AS s, source_table AS t,"
					" count(*) AS n, row_number() OVER (ORDER BY count(*) DESC)"
					" AS i FROM cdc_s3.rejected WHERE (system_identifier,"
					" database, slot) = ($1, $2, $3) GROUP BY 1, 2) x",
					3, values, &res, err))
		return false;
	out->rejected = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	(void) snprintf(out->rejected_of, sizeof(out->rejected_of), "%s",
					PQgetvalue(res, 0, 1)); /* a table's name may be cut */
	PQclear(res);
	return true;
}
