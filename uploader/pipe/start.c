/*-------------------------------------------------------------------------
 * start.c
 *	  The start of a session: compares log and slot before a row counts.
 *
 * Positions of log and slot are compared after START_REPLICATION, since only
 * then nobody else can move the slot.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/start.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/pgconn.h"
#include "io/source.h"
#include "pipe/published.h"
#include "pipe/silence.h"
#include "store/commitlog.h"

#define MAX_STATUS_MS 10000
#define SHORT_LOG 1000 /* entries */

#define WAYS_OUT                                                               \
	"bring back the server or the lake that belong together; or give up what " \
	"is missing: drop the slot with pg_drop_replication_slot(), take a new "   \
	"store.url or slot, run cdc-s3 init, and load again"

static bool gap(Err *err, const char *fmt, ...) PRINTF(2, 3);

static bool
gap(Err *err, const char *fmt, ...)
{
	char msg[sizeof(err->msg)];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(msg, sizeof(msg), fmt, ap); /* cut is fine */
	va_end(ap);
	err_set(err, ERR_GAP, 0, "%s", msg);
	return err_hint(err, "%s", WAYS_OUT);
}

void
connections_close(Connections *c)
{
	PQfinish(c->repl);
	PQfinish(c->control);
	*c = (Connections){ 0 };
}

/* Our timeline must be an ancestor of the server's, cut off behind our end. */
static bool
check_timeline(PGconn *repl, const Entry *log, int64_t timeline, Err *err)
{
	char sql[64];
	PGresult *res;
	char *history;
	bool ok = false;

	if (timeline == log->timeline)
		return true;
	if (timeline < log->timeline)
		return gap(err,
				   "the source server is on timeline %" PRId64
				   ", the log was written on %" PRId64,
				   timeline, log->timeline);
	(void) snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %" PRId64, timeline);
	if (!pg_exec(repl, PG_SOURCE_REPLICATION, "read the timeline's history",
				 sql, &res, err))
		return false;
	history = PQntuples(res) == 1 ? PQgetvalue(res, 0, 1) : NULL;
	for (char *line = history; line && *line;)
	{
		char lsn_text[32];
		int64_t tli;
		Lsn lsn;

		if (sscanf(line, "%" SCNd64 " %31s", &tli, lsn_text) == 2 &&
			tli == log->timeline && lsn_parse(lsn_text, &lsn))
			ok = log->end <= lsn;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	PQclear(res);
	if (ok)
		return true;
	return gap(err,
			   "timeline %" PRId64 " of the source server does not contain the "
			   "log's end " LSN_FMT " on timeline %" PRId64,
			   timeline, LSN_ARGS(log->end), log->timeline);
}

static bool
check_system(PGconn *repl, Entry *log, Err *err)
{
	PGresult *res;
	Lsn wal_end;
	int64_t timeline;
	bool ok;

	if (!pg_exec(repl, PG_SOURCE_REPLICATION, "identify the source server",
				 "IDENTIFY_SYSTEM", &res, err))
		return false;
	timeline = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	if (strcmp(PQgetvalue(res, 0, 0), log->system_identifier) != 0)
		ok = gap(err,
				 "the lake belongs to the server with system identifier %s, "
				 "this one has %s",
				 log->system_identifier, PQgetvalue(res, 0, 0));
	else if (strcmp(PQgetvalue(res, 0, 3), log->database) != 0)
		ok = gap(err, "the lake belongs to database \"%s\", this one is \"%s\"",
				 log->database, PQgetvalue(res, 0, 3));
	else if (lsn_parse(PQgetvalue(res, 0, 2), &wal_end) && wal_end < log->end)
		ok = gap(err,
				 "the source server's WAL ends at " LSN_FMT
				 ", before the log's end " LSN_FMT ": the server was set back",
				 LSN_ARGS(wal_end), LSN_ARGS(log->end));
	else
		ok = check_timeline(repl, log, timeline, err);
	PQclear(res);
	if (ok)
		log->timeline = timeline;
	return ok;
}

/* name 'value' of a replication command; the grammar knows no escapes. */
static void
add_option(Buf *sql, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	buf_printf(sql, ", %s '", name);
	for (; *value; value++)
	{
		if (*value == '\'')
			buf_byte(sql, '\'');
		buf_byte(sql, (uint8_t) *value);
	}
	buf_byte(sql, '\'');
}

static bool
slot_is_gone(PGconn *control, const char *slot)
{
	const char *values[] = { slot };
	PGresult *res;
	Err ignored = { 0 };
	bool gone;

	if (!pg_exec_params(control, PG_SOURCE, "look for the slot",
						"SELECT FROM pg_catalog.pg_replication_slots "
						"WHERE slot_name = $1",
						1, values, &res, &ignored))
		return false;
	gone = PQntuples(res) == 0;
	PQclear(res);
	return gone;
}

/* Who has the slot, as far as we may see it. */
static bool
hint_holder(PGconn *control, const char *slot, Err *err)
{
	static const char sql[] =
		"SELECT s.active_pid, COALESCE(a.application_name, ''),"
		" COALESCE(host(a.client_addr), 'this host'),"
		" COALESCE(a.backend_start::text, '')"
		" FROM pg_catalog.pg_replication_slots s"
		" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid"
		" WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL";
	PGresult *res;
	Err ignored;
	bool known = pg_exec_params(control, PG_SOURCE, "look who has the slot",
								sql, 1, &slot, &res, &ignored);

	if (known && PQntuples(res) == 1)
		err_hint(err,
				 "the process with pid %s of the source server holds it: "
				 "\"%s\" from %s, since %s; stop that one, or wait until the "
				 "server notices it is gone",
				 PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
				 PQgetvalue(res, 0, 2), PQgetvalue(res, 0, 3));
	else
		err_hint(err, "another process streams from this slot; stop it, or "
					  "wait until the server notices it is gone");
	if (known)
		PQclear(res);
	return false;
}

/* Adds the mend to what the server said when it did not start the slot. */
static bool
explain_start(PGconn *control, const RunOptions *o, const char *state, Err *err)
{
	if (strcmp(state, "42704") == 0 && slot_is_gone(control, o->slot))
		return gap(err, "the slot \"%s\" does not exist any more", o->slot);
	if (strcmp(state, "42704") == 0) /* the plugin said it, of a publication */
		return err_hint(err, "create it, or correct source.publication");
	if (strcmp(state, "57P01") == 0)
	{
		err->kind = ERR_BUSY; /* ended by an administrator: tells nothing */
		return false;
	}
	if (strcmp(state, "55006") == 0)
	{
		err->kind = ERR_BUSY; /* worth waiting for, at the first start too */
		err->code = PG_SLOT_TAKEN;
		return hint_holder(control, o->slot, err);
	}
	(void) source_explain_refusal(control, state, err); /* the mend only */
	if (err->hint[0] || strcmp(state, "55000") != 0)
		return false;
	return gap(err, "the slot \"%s\" cannot be used any more (%s)", o->slot,
			   err->msg);
}

/* known: the publications' OIDs that the log knows. */
static bool
start_with(Connections *c, const RunOptions *o, Lsn from, const char *known,
		   Err *err)
{
	Buf sql;
	PGresult *res;
	bool ok;

	buf_init(&sql, 1024 * 1024);
	buf_str(&sql, "START_REPLICATION SLOT ");
	pg_add_ident(&sql, o->slot);
	buf_printf(&sql, " LOGICAL " LSN_FMT " (proto_version '1', messages 'ddl'",
			   LSN_ARGS(from));
	add_option(&sql, "tables", o->tables);
	add_option(&sql, "exclude", o->exclude);
	add_option(&sql, "publication_names", o->publication);
	add_option(&sql, "publication_oids", known);
	buf_byte(&sql, ')');
	/* Not PQexec(): of a FATAL error it keeps the text, not the SQLSTATE. */
	res = PQsendQuery(c->repl, buf_cstr(&sql)) ? pg_take(c->repl) : NULL;
	buf_done(&sql);
	ok = PQresultStatus(res) == PGRES_COPY_BOTH;
	if (!ok)
	{
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		pg_error(c->repl, res, PG_SOURCE_REPLICATION, "start the slot", err);
		(void) explain_start(c->control, o, state ? state : "", err);
	}
	PQclear(res);
	return ok;
}

static bool
start_replication(Pipe *p, Connections *c, Err *err)
{
	Buf known;
	bool ok;

	buf_init(&known, 1024 * 1024);
	ok = publications_plan(p, c->control, &known, err) &&
		 start_with(c, p->options, p->start->end, buf_cstr(&known), err);
	buf_done(&known);
	return ok;
}

/*
 * The slot is beyond the end of the log as it was read before the slot was
 * ours.  Whoever had it may have written an entry in between: then the log is
 * longer by now.
 */
static bool
check_log_again(Store *store, const RunOptions *o, const Entry *log,
				Lsn confirmed, Err *err)
{
	Entry *now;
	Lsn end;

	if (!commitlog_last(store, log->seq, &now, err))
		return err_prefix(err, "could not read the log");
	end = now->end;
	entry_free(now);
	if (confirmed > end)
		return gap(err,
				   "the slot \"%s\" is at " LSN_FMT
				   ", ahead of the log, which ends at " LSN_FMT
				   ": what lies between was consumed by somebody else, or the "
				   "slot was made anew",
				   o->slot, LSN_ARGS(confirmed), LSN_ARGS(end));
	return err_set(err, ERR_BUSY, 0,
				   "another run wrote the log's end while this one started");
}

/* The slot may stand at the log's end or before it, never beyond. */
static bool
check_slot(Connections *c, Store *store, const RunOptions *o, const Entry *log,
		   Err *err)
{
	const char *values[] = { o->slot };
	PGresult *res;
	Lsn confirmed;
	bool ok;

	if (!pg_exec_params(c->control, PG_SOURCE, "look at the slot",
						"SELECT confirmed_flush_lsn, plugin, "
						"COALESCE(active_pid, 0) "
						"FROM pg_catalog.pg_replication_slots "
						"WHERE slot_name = $1",
						1, values, &res, err))
		return false;
	if (PQntuples(res) != 1)
		ok = gap(err, "the slot \"%s\" does not exist any more", o->slot);
	else if (strcmp(PQgetvalue(res, 0, 1), "cdc_s3") != 0)
	{
		err_set(err, ERR_USAGE, 0, "the slot \"%s\" uses the plugin \"%s\"",
				o->slot, PQgetvalue(res, 0, 1));
		ok = err_hint(err, "choose another source.slot; cdc-s3 init makes it");
	}
	else if (lsn_parse(PQgetvalue(res, 0, 0), &confirmed) &&
			 confirmed > log->end)
		ok = check_log_again(store, o, log, confirmed, err);
	else
	{
		c->pid = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
		ok = true;
	}
	PQclear(res);
	return ok;
}

/* One value of one row. */
static bool
show(PGconn *control, const char *sql, char *out, size_t size, Err *err)
{
	PGresult *res;

	if (!pg_exec(control, PG_SOURCE, "read the server's settings", sql, &res,
				 err))
		return false;
	(void) snprintf(out, size, "%s", PQgetvalue(res, 0, 0)); /* cut is fine */
	PQclear(res);
	return true;
}

static bool
read_settings(Pipe *p, Connections *c, Err *err)
{
	char value[64];
	int64_t timeout_ms;

	if (!show(c->control, "SHOW server_encoding", value, sizeof(value), err))
		return false;
	p->raw_text = strcmp(value, "SQL_ASCII") == 0;
	if (!show(c->control,
			  "SELECT setting FROM pg_catalog.pg_settings "
			  "WHERE name = 'wal_sender_timeout'",
			  value, sizeof(value), err))
		return false;
	timeout_ms = strtoll(value, NULL, 10);
	c->silence_ms = p->options->silence_ms ? p->options->silence_ms
										   : silence_default_ms(timeout_ms);
	c->status_ms = MAX_STATUS_MS;
	if (timeout_ms > 0 && timeout_ms / 3 < c->status_ms)
		c->status_ms = timeout_ms / 3 > 100 ? timeout_ms / 3 : 100;
	if (c->silence_ms < SILENCE_MIN_MS)
		c->silence_ms = SILENCE_MIN_MS;
	if (c->silence_ms / 3 < c->status_ms) /* each asks for an answer */
		c->status_ms = c->silence_ms / 3;
	return true;
}

/*
 * In a short log a hole is found wherever it is; in a long one that would take
 * a request for a thousand entries, and who reads the log finds it.
 */
static bool
read_last(Store *store, Entry **out, Err *err)
{
	if (!commitlog_head(store, 0, out, err))
		return false;
	if (!*out || (*out)->seq >= SHORT_LOG)
		return true;
	entry_free(*out);
	*out = NULL; /* as it stays where the listing fails */
	return commitlog_last(store, 0, out, err);
}

static bool
read_log(Pipe *p, Store *store, Err *err)
{
	if (!read_last(store, &p->start, err))
		return err_prefix(err, "could not read the log");
	if (!p->start)
	{
		err_set(err, ERR_USAGE, 0, "there is no log at \"%s\"",
				p->options->store.url);
		return err_hint(err, "run cdc-s3 init first");
	}
	if (p->start->is_signed && !store_has_key(store))
	{
		err_set(
			err, ERR_USAGE, 0,
			"the log at \"%s\" is signed, and there is no key to go on with",
			p->options->store.url);
		return err_hint(err, "set log.key_file");
	}
	if (strcmp(p->start->slot, p->options->slot) != 0)
	{
		err_set(err, ERR_USAGE, 0,
				"the log at \"%s\" belongs to the slot \"%s\", source.slot "
				"says \"%s\"",
				p->options->store.url, p->start->slot, p->options->slot);
		return err_hint(err, "correct source.slot or store.url");
	}
	return true;
}

static bool
start(Pipe *p, Store *store, Connections *c, Err *err)
{
	const RunOptions *o = p->options;
	PgWait wait = pipe_pg_wait(p);

	return pg_connect_wait(o->conninfo, PG_SOURCE, &wait, &c->control, err) &&
		   pg_connect_wait(o->conninfo, PG_SOURCE_REPLICATION, &wait, &c->repl,
						   err) &&
		   read_log(p, store, err) && read_settings(p, c, err) &&
		   check_system(c->repl, p->start, err) &&
		   start_replication(p, c, err) &&
		   check_slot(c, store, o, p->start, err);
}

bool
start_session(Pipe *p, Store *store, Connections *c, Err *err)
{
	*c = (Connections){ 0 };
	if (start(p, store, c, err))
	{
		FAULT_POINT("session_begun");
		return true;
	}
	connections_close(c); /* p->start stays: it tells how the log stood */
	return false;
}
