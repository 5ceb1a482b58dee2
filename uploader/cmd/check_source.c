/*-------------------------------------------------------------------------
 * check_source.c
 *	  "check" of the source server: version, settings, role, plugin, slot.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "cmd/check.h"
#include "pipe/published.h"
#include "pipe/wanted.h"

#define TEXT_MAX_BYTES 4096
#define MAX_SKEW_US (5 * US_PER_SEC)
#define PLUGIN_WAIT_MS 3000
#define SLOTS_WANTED 2   /* ours, and a temporary one of a load */
#define SENDERS_WANTED 2 /* their connections */

/* Below these, logical decoding has faults that we cannot mend. */
static const struct
{
	int major;
	int minor;
} good_minors[] = {
	{ 13, 22 }, { 14, 19 }, { 15, 14 }, { 16, 10 }, { 17, 6 }, { 18, 1 },
};

#define NMINORS (sizeof(good_minors) / sizeof(good_minors[0]))
#define OLDEST_MAJOR 13
#define NEWEST_MAJOR 18

static void
check_version(Check *c)
{
	int version = PQserverVersion(c->conn);
	int major = version / 10000;
	int minor = version % 10000;
	Finding f = { .level = CHECK_WARNING, .name = "server version" };
	char mend[256];

	f.mend = mend;
	for (size_t i = 0; i < NMINORS; i++)
	{
		if (good_minors[i].major != major || minor >= good_minors[i].minor)
			continue;
		f.why = "older minor releases lose correctness of logical decoding, "
				"or its memory grows without bounds";
		(void) snprintf(mend, sizeof(mend),
						"update the server to %d.%d or later; since the "
						"releases of August 2026 output_plugin_libraries must "
						"name the plugin",
						major, good_minors[i].minor);
		check_report(c, &f, "%d.%d", major, minor);
		return;
	}
	if (major < OLDEST_MAJOR)
	{
		f.level = CHECK_ERROR;
		f.kind = ERR_SOURCE;
		f.why = "the plugin needs callbacks that this release does not have";
		(void) snprintf(mend, sizeof(mend), "upgrade the server to %d or later",
						OLDEST_MAJOR);
		check_report(c, &f, "%d.%d", major, minor);
	}
	else if (major > NEWEST_MAJOR)
	{
		f.why = "this release was not tested";
		(void) snprintf(mend, sizeof(mend), "look for a newer cdc_s3");
		check_report(c, &f, "%d.%d", major, minor);
	}
	else
		check_ok(c, "server version", "%d.%d", major, minor);
}

static void
check_recovery(Check *c)
{
	const Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "server role",
		.why = "before release 16 a standby cannot decode",
		.mend = "point source.conninfo at the primary "
				"(target_session_attrs=read-write chooses it)",
	};
	Buf in_recovery;

	buf_init(&in_recovery, TEXT_MAX_BYTES);
	if (check_text(c, f.name, "SELECT pg_is_in_recovery()", &in_recovery))
	{
		bool standby = strcmp(buf_cstr(&in_recovery), "t") == 0;

		if (standby && PQserverVersion(c->conn) < 160000)
			check_report(c, &f, "the server is a standby");
		else
			check_ok(c, f.name, standby ? "standby" : "primary");
	}
	buf_done(&in_recovery);
}

static void
check_wal_level(Check *c)
{
	const Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "wal_level",
		.why = "the WAL holds no row changes unless it is logical",
		.mend = "as a superuser: ALTER SYSTEM SET wal_level = logical; then "
				"restart the server (managed: set it in the parameter group, "
				"as rds.logical_replication = 1)",
	};
	Buf level;

	buf_init(&level, TEXT_MAX_BYTES);
	if (check_text(c, f.name, "SHOW wal_level", &level))
	{
		if (strcmp(buf_cstr(&level), "logical") == 0)
			check_ok(c, f.name, "logical");
		else
		{
			check_report(c, &f, "%s", buf_cstr(&level));
			c->plugin_refused = true;
		}
	}
	buf_done(&level);
}

static void
check_plugin_list(Check *c)
{
	Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "output_plugin_libraries",
		.why = "the server loads only the output plugins that are listed, "
			   "when a slot is made and each time it is used",
	};
	SourcePluginList list;
	Buf mend;
	Err err;

	buf_init(&mend, TEXT_MAX_BYTES);
	buf_str(&mend, "as a superuser: ");
	if (!source_plugin_list(c->conn, &list, &mend, &err))
		check_failed(c, f.name, "it could not be checked", &err);
	else if (list == PLUGIN_LIST_NONE)
		check_ok(c, f.name, "this release has no such setting");
	else if (list == PLUGIN_LIST_HIDDEN)
		check_ok(c, f.name, "only a superuser may read it; see \"plugin\"");
	else if (list == PLUGIN_LIST_WITH)
		check_ok(c, f.name, "lists " SOURCE_PLUGIN);
	else
	{
		f.mend = buf_cstr(&mend);
		check_report(c, &f, "does not list " SOURCE_PLUGIN);
		c->plugin_refused = true;
	}
	buf_done(&mend);
}

/*
 * The bound on tables, which is firm where the server itself knows the
 * setting.  Else the server takes anything for it until the plugin is loaded.
 */
static void
check_allowed_tables(Check *c)
{
	static const char preloaded_sql[] =
		"SELECT count(*) FROM pg_catalog.pg_settings"
		" WHERE name = 'cdc_s3.allowed_tables'";
	static const char value_sql[] =
		"SELECT coalesce("
		"pg_catalog.current_setting('cdc_s3.allowed_tables', true), '*')";
	const Finding weak = {
		.level = CHECK_WARNING,
		.name = "cdc_s3.allowed_tables",
		.why = "until the plugin is loaded the server takes any value of this "
			   "setting from anybody; where one was taken nothing is sent",
		.mend = "let the server refuse it: as a superuser add " SOURCE_PLUGIN
				" to shared_preload_libraries, then restart the server",
	};
	Buf preloaded;
	Buf value;

	buf_init(&preloaded, TEXT_MAX_BYTES);
	buf_init(&value, TEXT_MAX_BYTES);
	if (check_text(c, weak.name, preloaded_sql, &preloaded) &&
		check_text(c, weak.name, value_sql, &value))
	{
		if (strcmp(buf_cstr(&value), "*") == 0)
			check_ok(
				c, weak.name,
				"a client with the right to replicate can have all tables");
		else if (strcmp(buf_cstr(&preloaded), "0") == 0)
			check_report(c, &weak, "%s, and " SOURCE_PLUGIN " is not preloaded",
						 buf_cstr(&value));
		else
			check_ok(c, weak.name, "%s", buf_cstr(&value));
	}
	buf_done(&preloaded);
	buf_done(&value);
}

/* How far the plugin takes part in the walsender's work. */
static void
check_read_ahead(Check *c)
{
	static const char name[] = "read-ahead";
	static const char sql[] =
		"SELECT coalesce(string_agg(n || ' = 0', ', ' ORDER BY n), '') "
		"FROM (VALUES ('cdc_s3.read_ahead'), ('cdc_s3.send_bytes')) s(n) "
		"WHERE pg_catalog.current_setting(n, true) ~ '^ *0+ *(B|kB|MB)? *$'";
	Buf off;

	if (PQserverVersion(c->conn) / 10000 > CDC_S3_CHECKED_MAJOR)
	{
		check_ok(c, name,
				 "off: the plugin was not checked against this release; a "
				 "backlog takes longer");
		return;
	}
	buf_init(&off, TEXT_MAX_BYTES);
	if (check_text(c, name, sql, &off))
	{
		if (off.n == 0)
			check_ok(c, name, "on");
		else
			check_ok(c, name, "off by %s; a backlog takes longer",
					 buf_cstr(&off));
	}
	buf_done(&off);
}

/* used of max, and how many more we need. */
static void
check_room(Check *c, const Finding *f, const char *sql, int64_t wanted)
{
	PGresult *res;
	Err err;
	int64_t used;
	int64_t max;

	if (!pg_exec(c->conn, PG_SOURCE, f->name, sql, &res, &err))
	{
		check_failed(c, f->name, "it could not be checked", &err);
		return;
	}
	used = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	max = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	PQclear(res);
	if (max - used >= wanted)
		check_ok(c, f->name, "%" PRId64 " of %" PRId64 " in use", used, max);
	else
		check_report(c, f,
					 "%" PRId64 " of %" PRId64 " in use, %" PRId64
					 " more are needed",
					 used, max, wanted);
	if (max - used < 1 && f->kind == ERR_SOURCE)
		c->plugin_refused = true;
}

static void
check_rooms(Check *c, bool slot_exists)
{
	const Finding slots = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "max_replication_slots",
		.why = "the stream has a slot, and a first load a temporary one",
		.mend = "drop slots that nobody uses, or ALTER SYSTEM SET "
				"max_replication_slots to a higher number and restart the "
				"server",
	};
	const Finding senders = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "max_wal_senders",
		.why = "each slot in use needs a sender",
		.mend = "ALTER SYSTEM SET max_wal_senders to a higher number and "
				"restart the server",
	};

	check_room(c, &slots,
			   "SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
			   " current_setting('max_replication_slots')",
			   slot_exists ? SLOTS_WANTED - 1 : SLOTS_WANTED);
	check_room(c, &senders,
			   "SELECT (SELECT count(*) FROM pg_catalog.pg_stat_replication),"
			   " current_setting('max_wal_senders')",
			   SENDERS_WANTED);
}

static void
check_wal_kept(Check *c)
{
	Buf kept;

	buf_init(&kept, TEXT_MAX_BYTES);
	if (check_text(c, "max_slot_wal_keep_size", "SHOW max_slot_wal_keep_size",
				   &kept))
	{
		if (strcmp(buf_cstr(&kept), "-1") == 0)
			check_ok(c, "max_slot_wal_keep_size",
					 "no limit: while the sidecar is down the server keeps "
					 "WAL until its disk is full");
		else
			check_ok(c, "max_slot_wal_keep_size",
					 "%s: a sidecar that is down for longer than that takes "
					 "to write loses its slot",
					 buf_cstr(&kept));
	}
	buf_done(&kept);
}

static void
check_encoding(Check *c)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "encoding",
		.why = "the server does not know the encoding of its text; what is "
			   "no UTF-8 goes to _withheld",
		.mend = "dump and restore into a database with ENCODING 'UTF8', if "
				"text matters",
	};
	Buf encoding;

	buf_init(&encoding, TEXT_MAX_BYTES);
	if (check_text(c, f.name, "SHOW server_encoding", &encoding))
	{
		if (strcmp(buf_cstr(&encoding), "SQL_ASCII") == 0)
			check_report(c, &f, "SQL_ASCII");
		else
			check_ok(c, f.name, "%s", buf_cstr(&encoding));
	}
	buf_done(&encoding);
}

static void
check_clock(Check *c)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "clock",
		.why = "an hour is closed when both clocks have passed it, and S3 "
			   "refuses requests that are 15 minutes off",
		.mend = "let both machines follow a time server (chronyc tracking "
				"shows whether they do)",
	};
	int64_t before = clock_unix_us();
	int64_t after;
	int64_t skew;
	Buf theirs;

	buf_init(&theirs, TEXT_MAX_BYTES);
	if (check_text(c, f.name,
				   "SELECT (extract(epoch FROM clock_timestamp())"
				   " * 1000000)::bigint",
				   &theirs))
	{
		after = clock_unix_us();
		skew = strtoll(buf_cstr(&theirs), NULL, 10) -
			   (before + (after - before) / 2);
		if (skew > MAX_SKEW_US || skew < -MAX_SKEW_US)
			check_report(c, &f, "the source is %" PRId64 " ms %s us",
						 (skew < 0 ? -skew : skew) / 1000,
						 skew < 0 ? "behind" : "ahead of");
		else
			check_ok(c, f.name,
					 "%" PRId64 " ms between the source and us (round trip "
					 "%" PRId64 " ms)",
					 (skew < 0 ? -skew : skew) / 1000, (after - before) / 1000);
	}
	buf_done(&theirs);
}

static void
check_role(Check *c)
{
	static const char sql[] =
		"SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles"
		" WHERE rolname = current_user";
	char mend[256];
	Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "role",
		.why = "only a role with REPLICATION may use a slot",
		.mend = mend,
	};
	Buf may;
	Buf role;

	buf_init(&may, TEXT_MAX_BYTES);
	buf_init(&role, TEXT_MAX_BYTES);
	pg_add_ident(&role, PQuser(c->conn));
	(void) snprintf(mend, sizeof(mend),
					"as a superuser: ALTER ROLE %s REPLICATION;",
					buf_cstr(&role));
	if (check_text(c, f.name, sql, &may))
	{
		if (strcmp(buf_cstr(&may), "t") == 0)
			check_ok(c, f.name, "%s may replicate", buf_cstr(&role));
		else
		{
			check_report(c, &f, "%s may not replicate", buf_cstr(&role));
			c->plugin_refused = true;
		}
	}
	buf_done(&may);
	buf_done(&role);
}

/* Only making a slot shows whether the server finds and takes the plugin. */
static void
check_plugin(Check *c)
{
	const Finding waits = {
		.level = CHECK_WARNING,
		.name = "plugin",
		.why = "a new slot becomes consistent once all transactions that are "
			   "open have ended; init and a load wait for them",
		.mend = "end them: SELECT pid, usename, xact_start, query FROM "
				"pg_stat_activity WHERE backend_xid IS NOT NULL;",
	};
	bool in_time;
	Err err;

	if (!c->replication || c->plugin_refused)
		return;
	if (!source_try_plugin(c->conn, c->replication, PLUGIN_WAIT_MS, &in_time,
						   &err))
	{
		check_failed(c, "plugin", "without it the WAL cannot be read", &err);
		c->plugin_refused = true;
	}
	else if (!in_time)
		check_report(c, &waits,
					 SOURCE_PLUGIN " is installed, but open transactions hold "
								   "up a new slot");
	else
		check_ok(c, "plugin",
				 SOURCE_PLUGIN " is installed and a slot can be made");
}

/* A load's workers have two connections each, and the loader one. */
static void
check_connections(Check *c)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "connections",
		.why = "load.jobs workers read tables over two connections each",
		.mend = "lower load.jobs, raise max_connections, or ALTER ROLE … "
				"CONNECTION LIMIT",
	};
	int wanted = 2 * (int) c->cfg->load_jobs + 1;
	PGconn **conns = xcalloc((size_t) wanted, sizeof(PGconn *));
	int n = 0;
	Err err;

	if (strcmp(c->cfg->load_mode, "never") == 0)
	{
		free(conns);
		return;
	}
	while (n < wanted &&
		   pg_connect(c->cfg->source_conninfo, PG_SOURCE, &conns[n], &err))
		n++;
	if (n == wanted)
		check_ok(c, f.name, "%d for a load", wanted);
	else
		check_report(c, &f, "a load needs %d, number %d failed: %s", wanted,
					 n + 1, err.msg);
	while (n > 0)
		PQfinish(conns[--n]);
	free(conns);
}

void
check_source(Check *c)
{
	const char *conninfo = c->cfg->source_conninfo;
	PgWait wait = { .limit_ms = c->cfg->source_silence_limit_ms };
	SourceSlot slot = { 0 };
	Err err;

	if (!pg_connect_wait(conninfo, PG_SOURCE, &wait, &c->conn, &err))
	{
		c->conn = NULL;
		check_failed(c, "source", "nothing works without the source", &err);
		return;
	}
	check_ok(c, "source", "connected to database \"%s\" as \"%s\"",
			 PQdb(c->conn), PQuser(c->conn));
	check_version(c);
	check_recovery(c);
	check_clock(c);
	check_wal_level(c);
	check_plugin_list(c);
	check_role(c);
	if (!source_slot(c->conn, c->cfg->source_slot, &slot, &err))
		check_failed(c, "slot", "it could not be checked", &err);
	check_rooms(c, slot.exists);
	check_wal_kept(c);
	check_encoding(c);
	check_allowed_tables(c);
	check_read_ahead(c);
	check_connections(c);
	if (!source_connect_replication(conninfo, c->conn, &c->replication, &err))
	{
		c->replication = NULL;
		if (!c->plugin_refused) /* else it was said why */
			check_failed(c, "replication connection",
						 "the stream runs over such a connection", &err);
	}
	else if (!source_identify(c->replication, &c->system, &err))
		check_failed(c, "replication connection",
					 "the stream runs over such a connection", &err);
	check_plugin(c);
}

/* Is it the one that the log knows? */
static bool
check_known(Check *c, const char *name, uint32_t oid)
{
	const Finding anew = {
		.level = CHECK_WARNING,
		.name = "publication",
		.why = "what was changed while there was none between the two is not "
			   "in the lake",
		.mend = "let cdc-s3 run tell its tables to lack rows, and load them "
				"anew (load.resync=auto, else cdc-s3 snapshot)",
	};
	uint32_t known = c->last ? publication_known(c->last, name, oid) : 0;

	if (known == 0 || known == oid)
		return true;
	check_report(c, &anew,
				 "\"%s\" is not the one that the log knows (OID %" PRIu32
				 ", now %" PRIu32 ")",
				 name, known, oid);
	return false;
}

static void
check_publication(Check *c, const char *name, uint32_t oid, bool filtered)
{
	const Finding missing = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "publication",
		.why = "it is to choose the tables",
		.mend = "CREATE PUBLICATION, or correct source.publication",
	};
	const Finding filter = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "publication",
		.why = "row filters are not applied, since one that fails on a row "
			   "would stop the slot for good; what is changed while one holds "
			   "is left out",
		.mend = "remove the row filter: ALTER PUBLICATION … SET TABLE …; then "
				"its table is loaded anew by itself (or by cdc-s3 snapshot); "
				"filter behind the lake",
	};

	if (oid == 0)
		check_report(c, &missing, "there is no \"%s\"", name);
	else if (filtered)
		check_report(c, &filter, "\"%s\" has a row filter", name);
	else if (check_known(c, name, oid))
		check_ok(c, "publication", "\"%s\"", name);
}

void
check_publication_names(const Check *c, Buf *out)
{
	Err ignored; /* check_publications() tells */

	if (wanted_names(c->cfg->source_publication, out, &ignored))
		return;
	buf_reset(out);
	buf_str(out, "{}");
}

void
check_publications(Check *c)
{
	static const char sql[] =
		"SELECT w.name, coalesce(p.oid, 0), EXISTS (SELECT FROM"
		" pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND %s)"
		" FROM (SELECT DISTINCT n AS name FROM"
		"  unnest($1::name[]) n) w"
		" LEFT JOIN pg_catalog.pg_publication p ON p.pubname = w.name"
		" ORDER BY 1";
	const char *names;
	PGresult *res;
	Buf list;
	Buf query;
	Err err;

	if (!c->conn || c->cfg->source_publication[0] == '\0')
		return;
	buf_init(&list, TEXT_MAX_BYTES);
	if (!wanted_names(c->cfg->source_publication, &list, &err))
	{
		check_failed(c, "publication", "it is to choose the tables", &err);
		buf_done(&list);
		return;
	}
	names = buf_cstr(&list);
	buf_init(&query, TEXT_MAX_BYTES);
	/* before release 15 there were no row filters */
	buf_printf(&query, sql,
			   PQserverVersion(c->conn) >= 150000 ? "r.prqual IS NOT NULL"
												  : "false");
	if (!pg_exec_params(c->conn, PG_SOURCE, "read the publications",
						buf_cstr(&query), 1, &names, &res, &err))
		check_failed(c, "publication", "it could not be checked", &err);
	else
	{
		for (int row = 0; row < PQntuples(res); row++)
			check_publication(
				c, PQgetvalue(res, row, 0),
				(uint32_t) strtoul(PQgetvalue(res, row, 1), NULL, 10),
				PQgetvalue(res, row, 2)[0] == 't');
		PQclear(res);
	}
	buf_done(&query);
	buf_done(&list);
}
