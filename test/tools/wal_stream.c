/*-------------------------------------------------------------------------
 * wal_stream.c
 *	  The bad client: its connections and streams, and how they may end.
 *-------------------------------------------------------------------------
 */
#include "wal_client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

#define STOPS_MS 10000 /* from a session's end to the server's */
#define CANCELS_MAX 10

/* ---- a stream ---- */

/* Whether the end is known, and has come. */
static bool
at_end(Client *c)
{
	if (!c->end && c->o->end_file)
	{
		FILE *f = fopen(c->o->end_file, "r");
		char line[64] = "";

		if (f && fgets(line, sizeof(line), f))
		{
			line[strcspn(line, "\n")] = '\0';
			(void) lsn_parse(line, &c->end);
		}
		if (f)
			(void) fclose(f);
	}
	if (!c->end || wal_check_inside(c->check))
		return false;
	return c->keepalive >= c->end || wal_check_written(c->check) >= c->end;
}

/* Nothing came for a moment. */
static Went
idle(Client *c, bool *done, Err *err)
{
	*done = at_end(c);
	if (*done)
	{
		wal_confirm(c, false);
		return wal_copydone(c, err);
	}
	if (clock_mono_ms() > c->status_ms)
		wal_confirm(c, c->end != 0);
	if (c->end && wal_hangs(c))
		return wal_wrong(err, ERR_SOURCE, "the walsender hangs");
	return wal_hear(c, 50) ? WENT_ON : WENT_DOWN;
}

static Went
stream(Client *c, bool *done, Err *err)
{
	Went went = WENT_ON;

	c->heard_ms = clock_mono_ms();
	wal_plan(c);
	while (went == WENT_ON)
	{
		bool taken;

		went = wal_take_one(c, &taken, err);
		if (went != WENT_ON)
			break;
		if (!taken)
			went = idle(c, done, err);
		else if (clock_mono_ms() > c->status_ms)
			wal_confirm(c, false);
		if (taken && c->nibbles > 0)
		{
			c->nibbles--;
			clock_sleep_ms(1);
		}
		if (went == WENT_ON)
			went = wal_act(c, err);
	}
	return went;
}

/* ---- its end ---- */

/*
 * The text of an error, "" if it is none, and whether the connection is at its
 * end: libpq's own messages have no severity.
 */
static void
take_error(Client *c, const PGresult *res, char *text)
{
	const char *severity =
		PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	(void) snprintf(text, TEXT_MAX, "%s", PQresultErrorMessage(res));
	if (PQstatus(c->conn) != CONNECTION_OK ||
		(text[0] && (!severity || strcmp(severity, "ERROR") != 0)))
		c->over = true;
}

/* Take all results; the last error's text is kept, "" if there was none. */
static bool
take_results(Client *c, char *text, Err *err)
{
	text[0] = '\0';
	c->heard_ms = clock_mono_ms();
	for (;;)
	{
		PGresult *res;

		while (PQisBusy(c->conn))
		{
			if (!wal_hear(c, 1000))
				break;
			if (wal_hangs(c))
				return err_set(err, ERR_SOURCE, 0,
							   "the walsender hangs at the end of a command");
		}
		res = PQgetResult(c->conn);
		if (!res)
			return true;
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			take_error(c, res, text);
		PQclear(res);
		if (PQstatus(c->conn) != CONNECTION_OK)
		{
			c->over = true;
			return true;
		}
	}
}

static bool
was_cancelled(const Client *c, const char *text)
{
	return c->cancelled && strstr(text, "canceling statement due to user");
}

/*
 * *anew: the server was started anew, or is about to be: where it ends at once
 * a walsender may be gone while other sessions still answer.
 */
static bool
server_is_new(Client *c, bool *anew, Err *err)
{
	int64_t until = clock_mono_ms() + STOPS_MS;
	char started[TEXT_MAX];

	do
	{
		if (!wal_ask_surely(c, SERVER_STARTED, started, err))
			return false;
		*anew = strcmp(started, c->server_started) != 0;
		if (!*anew)
			clock_sleep_ms(50);
	} while (!*anew && clock_mono_ms() < until);
	return true;
}

/* Whether there is a reason that the connection was lost. */
static bool
excuse(Client *c, const char *doing, const char *text, Err *err)
{
	bool anew;

	wal_said(c);
	if (c->excused || (c->timeout_ms > 0 && c->quiet_ms >= c->timeout_ms))
		return true;
	if (!server_is_new(c, &anew, err))
		return false;
	if (anew)
		return true;
	return err_set(err, ERR_SOURCE, 0,
				   "the connection was lost without a reason %s: %s%s", doing,
				   text, PQerrorMessage(c->conn));
}

/* Is a connection whose stream has ended of use?  *again: it is. */
static bool
second_command(Client *c, bool *again, Err *err)
{
	char text[TEXT_MAX] = "";

	/* Cancels may come that late. */
	for (int i = 0; i < CANCELS_MAX; i++)
	{
		PGresult *res = PQexec(c->conn, "IDENTIFY_SYSTEM");

		*again = PQresultStatus(res) == PGRES_TUPLES_OK;
		take_error(c, res, text);
		PQclear(res);
		if (*again)
			return true;
		if (!was_cancelled(c, text))
			break;
	}
	if (c->over)
		return excuse(c, "at a second command", text, err);
	return err_set(err, ERR_SOURCE, 0, "a second command fails: %s", text);
}

static bool
end_stream(Client *c, bool *again, Err *err)
{
	char text[TEXT_MAX];

	*again = false;
	if (!take_results(c, text, err))
		return false;
	wal_tell(c, text[0] ? text : "the stream has ended");
	if (c->over || PQstatus(c->conn) != CONNECTION_OK)
		return excuse(c, "in a stream", text, err);
	if (text[0] && !was_cancelled(c, text))
		return err_set(err, ERR_SOURCE, 0, "a stream fails: %s", text);
	return second_command(c, again, err);
}

/* ---- its beginning ---- */

/*
 * A window that is soon full, though not below two packets of the loopback:
 * those would go by the persist timer.  A Unix socket has none of its own.
 */
static void
narrow(Client *c)
{
	int bytes = 1 << 17;

	(void) setsockopt(PQsocket(c->conn), SOL_SOCKET, SO_RCVBUF, &bytes,
					  sizeof(bytes));
}

static void
ignore_notice(void *arg, const PGresult *res)
{
	(void) arg;
	(void) res;
}

static void
choose_settings(Client *c)
{
	static const int timeouts[] = { 0, 0, 1000, 2000, 3000 };
	static const char *const levels[] = { "error", "notice", "debug1",
										  "debug5" };
	Buf settings;
	uint64_t level = wal_chance(c, 4);

	c->timeout_ms = c->o->seed ? timeouts[wal_chance(c, 5)] : 0;
	c->unwarned = level == 0;
	buf_init(&settings, TEXT_MAX);
	buf_printf(&settings, "-c wal_sender_timeout=%d", c->timeout_ms);
	if (c->o->seed)
		buf_printf(&settings, " -c client_min_messages=%s", levels[level]);
	if (c->o->settings)
		buf_printf(&settings, " %s", c->o->settings);
	(void) setenv("PGOPTIONS", buf_cstr(&settings), 1);
	buf_done(&settings);
}

static bool
connect_walsender(Client *c, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char started[TEXT_MAX];

	c->silent = c->excused = c->cancelled = c->over = false;
	c->ended = 0;
	c->said_ms = clock_mono_ms();
	c->quiet_ms = 0;
	for (;;)
	{
		char *conninfo = xasprintf(
			"%s replication=database",
			c->o->via[c->o->nvia > 1 ? wal_chance(c, c->o->nvia) : 0]);

		(void) setenv("PGOPTIONS", "", 1);
		if (!wal_ask_surely(c, SERVER_STARTED, started, err))
			return false;
		(void) snprintf(c->server_started, sizeof(c->server_started), "%s",
						started);
		choose_settings(c);
		c->conn = PQconnectdb(conninfo);
		(void) setenv("PGOPTIONS", "", 1);
		free(conninfo);
		if (PQstatus(c->conn) == CONNECTION_OK)
			break;
		if (clock_mono_ms() > until)
			return err_set(err, ERR_SOURCE, 0, "could not connect: %s",
						   PQerrorMessage(c->conn));
		PQfinish(c->conn);
		clock_sleep_ms(50);
	}
	(void) PQsetNoticeReceiver(c->conn, ignore_notice, NULL);
	if (c->o->seed && wal_chance(c, 3) == 0)
		narrow(c);
	return true;
}

/*
 * Begin where the last stream ended.  *again: not now, the connection is of no
 * use any more.
 */
static bool
start_stream(Client *c, bool *again, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char *sql = xasprintf("START_REPLICATION SLOT \"%s\" LOGICAL " LSN_FMT
						  " (proto_version '1'%s%s)",
						  c->o->slot, LSN_ARGS(c->confirmed),
						  c->o->with ? ", " : "", c->o->with ? c->o->with : "");
	char text[TEXT_MAX] = "";
	bool started = false;
	bool ok = true;

	*again = false;
	while (ok && !started && !*again)
	{
		PGresult *res = PQexec(c->conn, sql);

		started = PQresultStatus(res) == PGRES_COPY_BOTH;
		take_error(c, res, text);
		PQclear(res);
		if (started)
			break;
		*again = c->over;
		if (*again)
			ok = excuse(c, "at START_REPLICATION", text, err);
		else if ((!strstr(text, " is active for PID") &&
				  !was_cancelled(c, text)) ||
				 clock_mono_ms() > until)
			ok = err_set(err, ERR_SOURCE, 0, "START_REPLICATION fails: %s",
						 text);
		else
			clock_sleep_ms(20);
	}
	free(sql);
	return ok;
}

static void
begin_stream(Client *c)
{
	uint64_t units = wal_check_counts(c->check)->units;

	c->fruitless = units > c->units ? 0 : c->fruitless + 1;
	c->units = units;
	c->bytes = 0;
	c->keepalive = 0;
	c->nibbles = 0;
	wal_check_stream(c->check, c->confirmed);
	wal_tell(c, "a stream begins");
}

/*
 * One connection, with any number of streams.  Behind a CopyDone there is one
 * more, which the server ends at once: in logical replication it does not
 * forget that it has seen one (walsender.c of 15 to 18).
 */
static bool
connection(Client *c, bool *done, Err *err)
{
	bool again = true;
	bool ok = true;

	while (ok && again && !*done)
	{
		Went went;

		ok = start_stream(c, &again, err);
		if (!ok || again)
			break;
		begin_stream(c);
		went = stream(c, done, err);
		ok = went != WENT_WRONG;
		if (went == WENT_DOWN)
		{
			ok = end_stream(c, &again, err);
			*done = *done && again; /* else it is not sure that all was sent */
			again = again && (c->ended == 0 || c->ended++ == 1);
		}
	}
	return ok;
}

bool
wal_run(Client *c, Err *err)
{
	bool done = false;
	bool ok = true;

	while (ok && !done)
	{
		ok = connect_walsender(c, err) && connection(c, &done, err);
		PQfinish(c->conn);
		c->conn = NULL;
	}
	return ok;
}
