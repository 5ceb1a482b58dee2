/*-------------------------------------------------------------------------
 * stream_pg.c
 *	  The source server as a Stream, over libpq.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/pgconn.h"
#include "io/stream.h"

#define FINISH_MS 1000

/*
 * The plugin misses a publication that was there (plugin/publication.c), and
 * says what can be done.
 */
#define MISSING "42704"

typedef enum Asked
{
	ASKED_NOTHING,
	ASKED_CLOCK,
	ASKED_WORK, /* whether the server works for us */
	ASKED_SLOT
} Asked;

typedef struct PgStream
{
	Stream base;
	PGconn *repl;
	PGconn *control; /* NULL once it has ended */
	int64_t pid;     /* of repl's process */
	Asked asked;     /* by the control connection; one at a time */
	bool at_work;    /* the question for work is, or goes as soon as it can */
} PgStream;

static const char clock_sql[] =
	"SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * "
	"1000000)::pg_catalog.int8, CASE WHEN pg_catalog.pg_is_in_recovery() "
	"THEN pg_catalog.pg_last_wal_replay_lsn() "
	"ELSE pg_catalog.pg_current_wal_flush_lsn() END";

/*
 * A process that waits for WAL or for us would have answered.  Any other
 * wait, and none, is work.
 */
#define WORK_SQL                                                               \
	"SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots s "       \
	"JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid "              \
	"WHERE a.pid = %" PRId64 " AND COALESCE(a.wait_event, '') "                \
	"NOT LIKE 'WalSender%%'"
static const char slot_sql[] =
	"WITH w AS (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
	"THEN pg_catalog.pg_last_wal_replay_lsn() "
	"ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) "
	"SELECT w.lsn, coalesce(s.wal_status, 'unknown'), "
	"coalesce(s.safe_wal_size, -1), "
	"coalesce(pg_catalog.pg_wal_lsn_diff(w.lsn, s.restart_lsn), 0)"
	"::pg_catalog.int8 FROM w, pg_catalog.pg_replication_slots s "
	"WHERE s.slot_name OPERATOR(pg_catalog.=) $1";

static int
pg_next(Stream *s, char **out_data)
{
	int n = PQgetCopyData(((PgStream *) s)->repl, out_data, 1);

	return n < 0 ? -1 : n;
}

static bool
pg_read(Stream *s)
{
	return PQconsumeInput(((PgStream *) s)->repl);
}

static bool
pg_send(Stream *s, const char *msg, int n)
{
	PGconn *conn = ((PgStream *) s)->repl;

	return PQputCopyData(conn, msg, n) == 1 && PQflush(conn) >= 0;
}

static bool
pg_unsent(Stream *s)
{
	return PQflush(((PgStream *) s)->repl) > 0;
}

static bool
pg_stream_error(Stream *s, const char *doing, Err *err)
{
	PGconn *conn = ((PgStream *) s)->repl;
	PGresult *res = PQgetResult(conn);
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	pg_error(conn, res, PG_SOURCE_REPLICATION, doing, err);
	if (state && strcmp(state, MISSING) == 0)
		err->kind = ERR_GAP;
	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		err_set(err, ERR_SOURCE, PG_TRANSIENT, "the server ended the stream");
	PQclear(res);
	return false;
}

static void
pg_finish(Stream *s)
{
	PGconn *conn = ((PgStream *) s)->repl;
	int64_t until = clock_mono_ms() + FINISH_MS;

	if (PQputCopyEnd(conn, NULL) != 1)
		return;
	/* The server answers CopyDone behind what it has sent already. */
	while (clock_mono_ms() < until)
	{
		bool more = PQflush(conn) > 0;
		struct pollfd fd = { .fd = PQsocket(conn),
							 .events =
								 (short) (POLLIN | (more ? POLLOUT : 0)) };
		char *data = NULL;
		int n = PQgetCopyData(conn, &data, 1);

		if (n < 0)
			return;
		if (n > 0)
			PQfreemem(data);
		else if (poll(&fd, 1, 100) > 0 && !PQconsumeInput(conn))
			return;
	}
}

static int
pg_fd(const Stream *s)
{
	return PQsocket(((const PgStream *) s)->repl);
}

static int
pg_control_fd(const Stream *s)
{
	const PgStream *pg = (const PgStream *) s;

	return pg->control ? PQsocket(pg->control) : -1;
}

static bool
pg_control_read(Stream *s)
{
	PgStream *pg = (PgStream *) s;

	if (!pg->control)
		return true;
	if (PQconsumeInput(pg->control) && PQstatus(pg->control) == CONNECTION_OK)
		return true;
	PQfinish(pg->control);
	pg->control = NULL;
	pg->asked = ASKED_NOTHING;
	pg->at_work = false;
	return false;
}

/* One question at a time. */
static bool
may_ask(const PgStream *pg)
{
	return pg->control && pg->asked == ASKED_NOTHING;
}

static void
ask(PgStream *pg, Asked what, int sent)
{
	if (sent)
		pg->asked = what;
}

/* The next result of that question, for the caller; false: none is there. */
static bool
answer(PgStream *pg, Asked what, PGresult **out)
{
	if (pg->asked != what || PQisBusy(pg->control))
		return false;
	*out = PQgetResult(pg->control);
	if (!*out)
		pg->asked = ASKED_NOTHING;
	return *out != NULL;
}

static void
pg_ask_clock(Stream *s)
{
	PgStream *pg = (PgStream *) s;

	if (may_ask(pg))
		ask(pg, ASKED_CLOCK, PQsendQuery(pg->control, clock_sql));
}

static void
pg_ask_slot(Stream *s, const char *slot)
{
	PgStream *pg = (PgStream *) s;

	if (may_ask(pg))
		ask(pg, ASKED_SLOT,
			PQsendQueryParams(pg->control, slot_sql, 1, NULL, &slot, NULL, NULL,
							  0));
}

static bool
pg_clock(Stream *s, int64_t *out_unix_us, Lsn *out_lsn)
{
	PgStream *pg = (PgStream *) s;
	PGresult *res;
	bool got = false;

	while (answer(pg, ASKED_CLOCK, &res))
	{
		if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
			lsn_parse(PQgetvalue(res, 0, 1), out_lsn))
		{
			*out_unix_us = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
			got = true;
		}
		PQclear(res);
	}
	return got;
}

/*
 * Behind the answer that is still to come, if there is one.
 */
static void
send_work(PgStream *pg)
{
	char sql[sizeof(WORK_SQL) + 32];

	if (!pg->at_work || !may_ask(pg))
		return;
	(void) snprintf(sql, sizeof(sql), WORK_SQL, pg->pid);
	ask(pg, ASKED_WORK, PQsendQuery(pg->control, sql));
}

static bool
pg_ask_work(Stream *s)
{
	PgStream *pg = (PgStream *) s;

	pg->at_work = pg->control != NULL;
	send_work(pg);
	return pg->at_work;
}

static bool
pg_work(Stream *s, bool *out_works)
{
	PgStream *pg = (PgStream *) s;
	PGresult *res;
	bool got = false;

	send_work(pg);
	while (answer(pg, ASKED_WORK, &res))
	{
		*out_works = PQntuples(res) == 1 && PQgetvalue(res, 0, 0)[0] != '0';
		pg->at_work = false;
		got = true;
		PQclear(res);
	}
	return got;
}

static bool
pg_slot(Stream *s, StreamSlot *out)
{
	PgStream *pg = (PgStream *) s;
	PGresult *res;
	bool got = false;

	while (answer(pg, ASKED_SLOT, &res))
	{
		if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
			lsn_parse(PQgetvalue(res, 0, 0), &out->server_lsn))
		{
			(void) snprintf(out->wal_status, sizeof(out->wal_status), "%s",
							PQgetvalue(res, 0, 1)); /* fits */
			out->safe_bytes = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
			out->retained_bytes = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
			got = true;
		}
		PQclear(res);
	}
	return got;
}

static void
pg_close(Stream *s)
{
	PgStream *pg = (PgStream *) s;

	PQfinish(pg->repl);
	PQfinish(pg->control);
	free(pg);
}

static const StreamOps pg_ops = {
	.next = pg_next,
	.read = pg_read,
	.send = pg_send,
	.unsent = pg_unsent,
	.error = pg_stream_error,
	.finish = pg_finish,
	.fd = pg_fd,
	.control_fd = pg_control_fd,
	.control_read = pg_control_read,
	.ask_clock = pg_ask_clock,
	.clock = pg_clock,
	.ask_work = pg_ask_work,
	.work = pg_work,
	.ask_slot = pg_ask_slot,
	.slot = pg_slot,
	.close = pg_close,
};

Stream *
stream_pg_new(PGconn *repl, PGconn *control, int64_t pid)
{
	PgStream *pg = xcalloc(1, sizeof(*pg));

	pg->base.ops = &pg_ops;
	pg->repl = repl;
	pg->control = control;
	pg->pid = pid;
	/* It fails on a broken connection only, and that shows at the first use. */
	(void) PQsetnonblocking(repl, 1);
	return &pg->base;
}
