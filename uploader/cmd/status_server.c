/*-------------------------------------------------------------------------
 * status_server.c
 *	  How source and target stand, by what they say of themselves.
 *
 * Nothing is changed there, and no right is needed but to connect: what the
 * role may not see is not known.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/status.h"
#include "store/commitlog.h"

#define LIST_MAX_BYTES ((size_t) 64 << 20)

static const char server_sql[] =
	"SELECT pg_catalog.current_setting('server_version'),"
	" pg_catalog.current_database(), pg_catalog.pg_is_in_recovery(),"
	" CASE WHEN pg_catalog.pg_is_in_recovery()"
	"  THEN pg_catalog.pg_last_wal_replay_lsn()"
	"  ELSE pg_catalog.pg_current_wal_lsn() END";

/* $1, $2: schemas and tables; what COPYs of ours have read of each now. */
static const char loads_sql[] =
	"WITH w AS (SELECT s, t, ord, pg_catalog.to_regclass("
	"  pg_catalog.format('%I.%I', s, t)) AS rel"
	" FROM ROWS FROM (pg_catalog.unnest($1::text[]),"
	"  pg_catalog.unnest($2::text[])) WITH ORDINALITY u (s, t, ord)),"
	" copies AS (SELECT a.query, p.tuples_processed AS n"
	" FROM pg_catalog.pg_stat_progress_copy p"
	" JOIN pg_catalog.pg_stat_activity a USING (pid)"
	" WHERE p.command = 'COPY TO'"
	"  AND a.datname = pg_catalog.current_database())"
	" SELECT coalesce((SELECT sum(pg_catalog.pg_table_size(c.oid))"
	"  FROM pg_catalog.pg_class c WHERE c.oid = w.rel OR c.oid IN (SELECT relid"
	"   FROM pg_catalog.pg_partition_tree(w.rel) WHERE isleaf)), -1),"
	" coalesce((SELECT sum(greatest(c.reltuples, 0))::bigint"
	"  FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT relid"
	"   FROM pg_catalog.pg_partition_tree(w.rel) WHERE isleaf)"
	"  OR (c.oid = w.rel AND c.relkind = 'r')), -1),"
	" coalesce((SELECT sum(n)::bigint FROM copies WHERE "
	"pg_catalog.strpos(query,"
	"  '\"' || pg_catalog.replace(s, '\"', '\"\"') || '\".\"' ||"
	"  pg_catalog.replace(t, '\"', '\"\"') || '\"') > 0), 0)"
	" FROM w ORDER BY ord";

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

static bool
read_loads(PGconn *conn, Status *s, Err *err)
{
	const char *values[2];
	PGresult *res;
	Buf schemas;
	Buf tables;
	bool ok;

	if (s->nloads == 0)
		return true;
	buf_init(&schemas, LIST_MAX_BYTES);
	buf_init(&tables, LIST_MAX_BYTES);
	for (int i = 0; i < s->nloads; i++)
	{
		add_item(&schemas, s->loads[i].schema, i == 0);
		add_item(&tables, s->loads[i].table, i == 0);
	}
	buf_byte(&schemas, '}');
	buf_byte(&tables, '}');
	values[0] = buf_cstr(&schemas);
	values[1] = buf_cstr(&tables);
	ok = pg_exec_params(conn, PG_SOURCE, "read how far loads are", loads_sql, 2,
						values, &res, err);
	for (int i = 0; ok && i < PQntuples(res) && i < s->nloads; i++)
	{
		StatusLoad *l = &s->loads[i];

		l->table_bytes = strtoll(PQgetvalue(res, i, 0), NULL, 10);
		l->table_rows = strtoll(PQgetvalue(res, i, 1), NULL, 10);
		if (l->state == LOAD_OPEN)
			l->rows = strtoll(PQgetvalue(res, i, 2), NULL, 10);
	}
	if (ok)
		PQclear(res);
	buf_done(&schemas);
	buf_done(&tables);
	return ok;
}

static bool
read_server(PGconn *conn, Status *s, Err *err)
{
	PGresult *res;

	if (!pg_exec(conn, PG_SOURCE, "read the source's position", server_sql,
				 &res, err))
		return false;
	(void) snprintf(s->server_version, sizeof(s->server_version), "%s",
					PQgetvalue(res, 0, 0)); /* a cut is fine */
	(void) snprintf(s->source_database, sizeof(s->source_database), "%s",
					PQgetvalue(res, 0, 1));
	s->standby = PQgetvalue(res, 0, 2)[0] == 't';
	(void) lsn_parse(PQgetvalue(res, 0, 3), &s->wal_end);
	PQclear(res);
	return true;
}

void
status_source(const Config *cfg, Status *s)
{
	PGconn *conn = NULL;
	Err *err = &s->source.err;

	s->source.asked = true;
	s->source.ok = pg_connect(cfg->source_conninfo, PG_SOURCE, &conn, err) &&
				   read_server(conn, s, err) &&
				   source_slot(conn, cfg->source_slot, &s->slot_now, err) &&
				   read_loads(conn, s, err);
	if (s->source.ok && s->slot_now.exists && s->slot_now.restart > 0 &&
		s->wal_end >= s->slot_now.restart)
		s->retained = (int64_t) (s->wal_end - s->slot_now.restart);
	PQfinish(conn);
}

/*
 * The target
 */
static const char there_sql[] =
	"SELECT pg_catalog.to_regclass('cdc_s3.position') IS NOT NULL"
	" AND pg_catalog.to_regclass('cdc_s3.resync') IS NOT NULL"
	" AND pg_catalog.to_regclass('cdc_s3.rejected') IS NOT NULL"
	" AND pg_catalog.to_regclass('cdc_s3.waiting') IS NOT NULL";

#define OF_SOURCE                                                              \
	" WHERE system_identifier = $1 AND database = $2 AND slot = $3"

static const char position_sql[] =
	"SELECT entry, lsn, (extract(epoch FROM merged_at) * 1000000)::bigint,"
	" (SELECT count(*) FROM cdc_s3.rejected" OF_SOURCE "),"
	" (SELECT count(*) FROM cdc_s3.waiting" OF_SOURCE "),"
	" coalesce((SELECT min(since_entry) FROM cdc_s3.waiting" OF_SOURCE "),"
	"  entry + 1)"
	" FROM cdc_s3.position" OF_SOURCE;

static const char resync_sql[] =
	"SELECT source_schema, source_table, reason,"
	" coalesce(pg_catalog.to_jsonb(r) ->> 'state', 'resync'),"
	" pg_catalog.to_char(since AT TIME ZONE 'UTC',"
	"  'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
	" FROM cdc_s3.resync r" OF_SOURCE " ORDER BY 1, 2";

static void
take_resync(Status *s, const PGresult *res)
{
	int n = PQntuples(res);

	s->resync = xcalloc((size_t) n + 1, sizeof(*s->resync));
	for (s->nresync = 0; s->nresync < n; s->nresync++)
	{
		int i = s->nresync;

		s->resync[i] =
			(StatusResync){ .schema = xstrdup(PQgetvalue(res, i, 0)),
							.table = xstrdup(PQgetvalue(res, i, 1)),
							.reason = xstrdup(PQgetvalue(res, i, 2)),
							.state = xstrdup(PQgetvalue(res, i, 3)),
							.since = xstrdup(PQgetvalue(res, i, 4)) };
	}
}

static bool
read_position(PGconn *conn, Status *s, Err *err)
{
	const char *values[] = { s->system_identifier, s->database, s->slot };
	PGresult *res;

	if (!pg_exec_params(conn, PG_TARGET, "read the target's position",
						position_sql, 3, values, &res, err))
		return false;
	s->merged = PQntuples(res) > 0;
	if (s->merged)
	{
		s->merged_entry = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		(void) lsn_parse(PQgetvalue(res, 0, 1), &s->merged_lsn);
		s->merged_at = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
		s->rejected = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
		s->waiting = strtoll(PQgetvalue(res, 0, 4), NULL, 10);
		s->needs = strtoll(PQgetvalue(res, 0, 5), NULL, 10);
		if (s->needs > s->merged_entry + 1)
			s->needs = s->merged_entry + 1;
	}
	PQclear(res);
	if (!pg_exec_params(conn, PG_TARGET, "read cdc_s3.resync", resync_sql, 3,
						values, &res, err))
		return false;
	take_resync(s, res);
	PQclear(res);
	return true;
}

/* Where a merge has come to in the log. */
static bool
read_behind(Store *store, Status *s, Err *err)
{
	Entry *e;

	if (!s->merged || !s->lake.ok)
		return true;
	s->behind_entries =
		s->entry > s->merged_entry ? s->entry - s->merged_entry : 0;
	s->behind_bytes =
		s->log_end > s->merged_lsn ? (int64_t) (s->log_end - s->merged_lsn) : 0;
	if (s->merged_entry < 0)
		return true;
	if (!commitlog_read(store, s->merged_entry, &e, err))
		return err_prefix(err, "the entry that the target came to");
	s->merged_closed = e->closed_until;
	if (s->behind_entries > 0 && s->now > e->time)
		s->behind_seconds = (s->now - e->time) / US_PER_SEC;
	entry_free(e);
	return true;
}

static bool
read_target(PGconn *conn, Store *store, Status *s, Err *err)
{
	PGresult *res;
	bool there;

	if (!pg_exec(conn, PG_TARGET, "begin a transaction", pg_begin_target, NULL,
				 err) ||
		!pg_exec(conn, PG_TARGET, "prepare the transaction", pg_pin_target,
				 NULL, err) ||
		!pg_exec(conn, PG_TARGET, "look for schema cdc_s3", there_sql, &res,
				 err))
		return false;
	there = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (!there || !s->has_log)
		return true; /* nothing was ever merged, or nobody knows of what */
	return read_position(conn, s, err) && read_behind(store, s, err);
}

void
status_target(const Config *cfg, Store *store, const PgWait *wait, Status *s)
{
	PGconn *conn = NULL;
	Err *err = &s->target.err;

	s->target.asked = cfg->target_conninfo[0] != '\0';
	if (!s->target.asked)
		return;
	s->target.ok =
		(wait ? pg_connect_wait(cfg->target_conninfo, PG_TARGET, wait, &conn,
								err)
			  : pg_connect(cfg->target_conninfo, PG_TARGET, &conn, err)) &&
		read_target(conn, store, s, err);
	PQfinish(conn); /* which rolls back */
}
