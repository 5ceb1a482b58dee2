/*-------------------------------------------------------------------------
 * against_source.c
 *	  The source against the lake at one LSN, while others write there.
 *
 * A temporary slot gives a snapshot that has exactly the commits up to its
 * consistent point, S; then the log is waited for, and the lake's records up
 * to S are compared.  Before that the tables are locked as a reader does, by a
 * connection of its own, since a table that is rewritten or emptied behind the
 * snapshot looks empty in it.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/against.h"
#include "io/source.h"
#include "merge/merge_range.h"

#define QUERY_MAX ((size_t) 16 << 20)
#define POLL_MS 200
#define LOOK_POLLS 50 /* so often it is looked whether anything would come, */
#define LOOK_FIRST 10 /* … the first time after so many */
#define NAME_SIZE 256

typedef struct Source
{
	Against *a;
	RunOptions options;
	PGconn *locks;
	PGconn *repl;
	WantedList early; /* that were locked */
	WantedList wanted;
	Lsn lsn;
	Plan *plan;
	bool *met; /* by the plan's tables */
} Source;

static bool
connect_one(Source *s, PGconn **out, Err *err)
{
	return sql_connect_source(&s->a->cx, s->a->cfg->source_conninfo, out, err);
}

static bool
begin_locks(Source *s, Err *err)
{
	AgainstSide side = s->a->side;

	if (!connect_one(s, &s->locks, err))
		return false;
	side.conn = s->locks;
	return side_query(&side, "set up the session", pg_pin_source, NULL, err) &&
		   wanted_read(s->locks, &s->options, NULL, NULL, &s->early, err) &&
		   side_query(&side, "begin a transaction", "BEGIN", NULL, err);
}

static bool
lock_tables(Source *s, Err *err)
{
	AgainstSide side = s->a->side;
	bool ok = begin_locks(s, err);
	Buf sql;

	side.conn = s->locks;
	buf_init(&sql, QUERY_MAX);
	for (int i = 0; ok && i < s->early.n; i++)
	{
		const WantedTable *t = &s->early.tables[i];

		if (!against_wants(s->a, t->schema, t->table))
			continue;
		buf_reset(&sql);
		buf_str(&sql, t->partitioned ? "LOCK TABLE " : "LOCK TABLE ONLY ");
		sql_add_qualified(&sql, t->schema, t->table);
		buf_str(&sql, " IN ACCESS SHARE MODE");
		ok = side_query(&side, "lock a table as a reader", buf_cstr(&sql), NULL,
						err) ||
			 err_prefix(err, "table \"%s.%s\"", t->schema, t->table);
	}
	buf_done(&sql);
	return ok;
}

static bool
check_system(Source *s, Err *err)
{
	const Entry *log = s->a->source;
	SourceSystem sys;

	if (!source_identify(s->repl, &sys, err))
		return false;
	if (strcmp(sys.system_identifier, log->system_identifier) == 0 &&
		strcmp(sys.database, log->database) == 0)
		return true;
	err_set(err, ERR_GAP, 0,
			"the lake is of system %s, database \"%s\"; the source is system "
			"%s, database \"%s\"",
			log->system_identifier, log->database, sys.system_identifier,
			sys.database);
	return err_hint(err, "correct source.conninfo or store.url");
}

/* The snapshot's name; it lives as long as s->repl has no other command. */
static bool
make_slot(Source *s, char *name, Err *err)
{
	AgainstSide side = s->a->side;
	PGresult *res;
	Buf sql;
	bool ok;

	side.conn = s->repl;
	buf_init(&sql, QUERY_MAX);
	buf_printf(&sql,
			   "CREATE_REPLICATION_SLOT \"cdc_s3_verify_%08" PRIx32
			   "\" TEMPORARY LOGICAL " SOURCE_PLUGIN " %s",
			   random_u32(),
			   PQserverVersion(s->repl) >= 150000 ? "(SNAPSHOT 'export')"
												  : "EXPORT_SNAPSHOT");
	ok =
		side_query(&side, "create a temporary slot", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	ok = PQntuples(res) == 1 && lsn_parse(PQgetvalue(res, 0, 1), &s->lsn);
	(void) snprintf(name, NAME_SIZE, "%s", ok ? PQgetvalue(res, 0, 2) : "");
	PQclear(res);
	return ok ||
		   err_set(err, ERR_SOURCE, 0, "the server gave no consistent point");
}

static bool
take_snapshot(Source *s, Err *err)
{
	Against *a = s->a;
	char name[NAME_SIZE];
	Buf sql;
	bool ok;

	if (!source_connect_replication(a->cfg->source_conninfo, s->locks, &s->repl,
									err) ||
		!check_system(s, err) || !make_slot(s, name, err) ||
		!connect_one(s, &a->side.conn, err) ||
		!side_query(&a->side, "set up the session", pg_pin_source, NULL, err))
		return false;
	buf_init(&sql, QUERY_MAX);
	buf_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
				  "SET TRANSACTION SNAPSHOT ");
	pg_add_literal(&sql, name);
	ok = side_query(&a->side, "take the snapshot over", buf_cstr(&sql), NULL,
					err);
	buf_done(&sql);
	PQfinish(s->repl); /* and with it goes the slot */
	s->repl = NULL;
	return ok && side_encoding(&a->side, err) &&
		   wanted_read(a->side.conn, &s->options, NULL, NULL, &s->wanted, err);
}

/* ---- the log ---- */

static bool
too_late(const Source *s, Lsn end, Err *err)
{
	err_set(err, ERR_BUSY, 0,
			"the log ends at LSN " LSN_FMT
			", and the rows were read at " LSN_FMT,
			LSN_ARGS(end), LSN_ARGS(s->lsn));
	return err_hint(err, "see whether \"cdc-s3 run\" is running and how far it "
						 "is (cdc-s3 status); where nothing that is streamed "
						 "changes, a signal USR1 has it write an entry; --wait "
						 "says how long it is waited for");
}

static void
add_option(Buf *sql, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	buf_printf(sql, ", '%s', ", name);
	pg_add_literal(sql, value);
}

/*
 * The slot's changes up to S, decoded by a copy of it which goes with the
 * connection: those that the log lacks, if the copy begins before its end.
 */
static void
add_decode_sql(const Source *s, Lsn end, const char *copy, Buf *sql)
{
	const Config *cfg = s->a->cfg;

	buf_str(sql, "SELECT c.lsn OPERATOR(pg_catalog.<=) '");
	buf_printf(sql, LSN_FMT, LSN_ARGS(end));
	buf_str(sql, "' AND pg_catalog.pg_current_wal_flush_lsn() "
				 "OPERATOR(pg_catalog.>=) '");
	buf_printf(sql, LSN_FMT, LSN_ARGS(s->lsn));
	buf_str(sql, "' FROM pg_catalog.pg_copy_logical_replication_slot(");
	pg_add_literal(sql, cfg->source_slot);
	buf_printf(sql,
			   ", '%s', true) c; SELECT pg_catalog.count(*) FROM "
			   "pg_catalog.pg_logical_slot_get_binary_changes('%s', '",
			   copy, copy);
	buf_printf(sql, LSN_FMT, LSN_ARGS(s->lsn));
	buf_str(sql, "', NULL, 'proto_version', '1', 'messages', 'ddl'");
	add_option(sql, "tables", cfg->source_tables);
	add_option(sql, "exclude", cfg->source_exclude);
	add_option(sql, "publication_names", cfg->source_publication);
	buf_byte(sql, ')');
}

/* Sends both statements; true where they say yes, and 0. */
static bool
ask_quiet(AgainstSide *side, char *sql)
{
	char *second = strchr(sql, ';');
	PGresult *res;
	bool yes;
	Err ignored;

	*second++ = '\0';
	if (!side_query(side, "copy the slot", sql, &res, &ignored))
		return false;
	yes = PQntuples(res) == 1 && PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (!yes || !side_query(side, "decode", second, &res, &ignored))
		return false;
	yes = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "0") == 0;
	PQclear(res);
	return yes;
}

/*
 * Is there nothing between the log's end and S?  On an idle source no entry
 * would tell so for an hour.  Where it cannot be found out it is waited on.
 */
static bool
is_quiet(Source *s, Lsn end)
{
	AgainstSide side = s->a->side;
	char copy[NAME_SIZE];
	Buf sql;
	bool yes;
	Err ignored;

	(void) snprintf(copy, sizeof(copy), "cdc_s3_verify_%08" PRIx32,
					random_u32()); /* fits */
	if (!connect_one(s, &side.conn, &ignored))
		return false;
	buf_init(&sql, QUERY_MAX);
	add_decode_sql(s, end, copy, &sql);
	yes = side_query(&side, "set up the session", pg_pin_source, NULL,
					 &ignored) &&
		  ask_quiet(&side, (char *) sql.p);
	buf_done(&sql);
	PQfinish(side.conn);
	return yes;
}

/* Waits until the log has passed S. */
static bool
await_log(Source *s, PlanPosition *out, Err *err)
{
	int64_t until = clock_mono_ms() + s->a->wait_ms;

	*out = (PlanPosition){ 0, 0 };
	for (int polls = 0;; polls++)
	{
		Entry *last;

		if (!commitlog_head(s->a->store, out->entry, &last, err))
			return false;
		if (last)
			*out = (PlanPosition){ last->seq, last->end };
		entry_free(last);
		if (out->lsn >= s->lsn)
			return true;
		if (atomic_load(s->a->stop))
			return err_set(err, ERR_STOP, 0, "stopped");
		if (clock_mono_ms() >= until)
			return too_late(s, out->lsn, err);
		if (polls % LOOK_POLLS == LOOK_FIRST && is_quiet(s, out->lsn))
			return true;
		if (polls == 0)
			log_info("waiting for the log to come to the snapshot's LSN", "lsn",
					 log_lsn(s->lsn), NULL);
		clock_sleep_ms(POLL_MS);
	}
}

/* ---- tables ---- */

static const PlanTable *
find_planned(const Source *s, uint32_t oid)
{
	for (int i = 0; i < s->plan->ntables; i++)
	{
		const PlanTable *t = &s->plan->tables[i];

		if (t->relation_id == oid && !t->gone)
		{
			s->met[i] = true;
			return t;
		}
	}
	return NULL;
}

static bool
is_locked(const Source *s, const WantedTable *t)
{
	for (int i = 0; i < s->early.n; i++)
	{
		if (s->early.tables[i].oid == t->oid)
			return strcmp(s->early.tables[i].schema, t->schema) == 0 &&
				   strcmp(s->early.tables[i].table, t->table) == 0;
	}
	return false;
}

/* The log has never heard of it. */
static bool
look_for_rows(Source *s, const WantedTable *t, AgainstResult *r, Err *err)
{
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, QUERY_MAX);
	buf_str(&sql, t->partitioned ? "SELECT EXISTS (SELECT FROM "
								 : "SELECT EXISTS (SELECT FROM ONLY ");
	sql_add_qualified(&sql, t->schema, t->table);
	buf_byte(&sql, ')');
	ok = side_query(&s->a->side, "look for rows", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	r->harmless = PQgetvalue(res, 0, 0)[0] != 't';
	(void) snprintf(r->why, sizeof(r->why), "%s",
					r->harmless ? "neither side has rows of it"
								: "the log does not tell of it; cdc-s3 "
								  "snapshot loads it"); /* fits */
	PQclear(res);
	return true;
}

static bool
compare_table(Source *s, const WantedTable *t, Err *err)
{
	const PlanTable *p = find_planned(s, t->oid);
	AgainstResult r;
	bool ok;

	if (!is_locked(s, t))
		return err_set(err, ERR_BUSY, 0,
					   "table \"%s.%s\" was made or renamed just now",
					   t->schema, t->table);
	against_result_init(&r);
	r.schema = t->schema;
	r.table = t->table;
	ok = (p ? against_table(s->a, p, s->lsn, t, &r, err)
			: look_for_rows(s, t, &r, err)) &&
		 against_tell(s->a, &r, err);
	against_result_done(&r);
	return ok;
}

/* Tables of the log that the source does not have, or send, any more. */
static bool
tell_others(Source *s, Err *err)
{
	bool ok = true;

	for (int i = 0; ok && i < s->plan->ntables; i++)
	{
		const PlanTable *t = &s->plan->tables[i];
		AgainstResult r;

		if (s->met[i] || t->gone || !against_wants(s->a, t->schema, t->table))
			continue;
		against_result_init(&r);
		r.schema = t->schema;
		r.table = t->table;
		(void) snprintf(r.why, sizeof(r.why),
						"the source does not have it, or does not send it any "
						"more"); /* fits */
		ok = against_tell(s->a, &r, err);
		against_result_done(&r);
	}
	return ok;
}

static bool
compare_all(Source *s, Err *err)
{
	PlanPosition at;
	bool ok;

	if (!await_log(s, &at, err) || !against_plan(s->a, at, &s->plan, err))
		return false;
	s->met = xcalloc((size_t) s->plan->ntables + 1, sizeof(*s->met));
	ok = true;
	for (int i = 0; ok && i < s->wanted.n; i++)
	{
		const WantedTable *t = &s->wanted.tables[i];

		if (against_wants(s->a, t->schema, t->table))
			ok = compare_table(s, t, err);
	}
	return ok && tell_others(s, err);
}

/* The locks were held to the end; else a table may have looked empty. */
static bool
end_locks(Source *s, Err *err)
{
	AgainstSide side = s->a->side;

	side.conn = s->locks;
	return side_query(&side, "end the transaction that holds the locks",
					  "COMMIT", NULL, err);
}

bool
against_source(Against *a, Lsn *out_lsn, Err *err)
{
	Source s = { .a = a,
				 .options = { .conninfo = a->cfg->source_conninfo,
							  .tables = a->cfg->source_tables,
							  .exclude = a->cfg->source_exclude,
							  .publication = a->cfg->source_publication } };
	bool ok;

	a->side.role = PG_SOURCE;
	ok = lock_tables(&s, err) && take_snapshot(&s, err) &&
		 compare_all(&s, err) && end_locks(&s, err);
	*out_lsn = s.lsn;
	wanted_done(&s.early);
	wanted_done(&s.wanted);
	free(s.met);
	plan_free(s.plan);
	PQfinish(s.repl);
	PQfinish(s.locks);
	return ok;
}
