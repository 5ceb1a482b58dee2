/*-------------------------------------------------------------------------
 * pgwait.c
 *	  How a connection waits.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/pgwait.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-events.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/aside.h"

#define LOOK_MS 200        /* how late a stop is seen, how often it ticks */
#define CANCEL_MS 1000     /* to reach the server */
#define STOP_GRACE_MS 2000 /* from the cancel to its effect */

/* Belongs to a connection. */
typedef struct Waiter
{
	PgWait wait;
	PgOrigin origin;
	PgEnd end;
	bool broken;
	int64_t cancelled_ms; /* 0: not yet */
} Waiter;

static int
on_event(PGEventId id, void *info, void *arg)
{
	(void) arg;
	if (id == PGEVT_CONNDESTROY)
	{
		PGEventConnDestroy *e = info;
		Waiter *w = PQinstanceData(e->conn, on_event);

		if (w)
			free((char *) w->origin.conninfo); /* ours */
		free(w);
	}
	return 1;
}

void
pg_wait_as(PGconn *conn, const PgWait *wait, const PgOrigin *origin)
{
	Waiter *w = xcalloc(1, sizeof(*w));
	char *conninfo = xstrdup(origin->conninfo);

	if (wait)
		w->wait = *wait;
	if (w->wait.limit_ms == 0)
		w->wait.limit_ms = PG_SILENCE_MS;
	w->origin = *origin;
	w->origin.conninfo = conninfo;
	if (PQregisterEventProc(conn, on_event, "cdc-s3", NULL) &&
		PQsetInstanceData(conn, on_event, w))
		return;
	free(conninfo); /* no memory: then it waits as libpq does */
	free(w);
}

static Waiter *
waiter_of(const PGconn *conn)
{
	return conn ? PQinstanceData(conn, on_event) : NULL;
}

PgEnd
pg_end(const PGconn *conn)
{
	const Waiter *w = waiter_of(conn);

	return w ? w->end : PG_GOES_ON;
}

/*
 * Cancelling: over a connection that libpq makes, without a limit.
 */
static void
cancel_run(void *arg)
{
	char why[256];

	if (!PQcancel(arg, why, sizeof(why)))
		log_debug("could not cancel", "error", why, NULL);
}

static void
cancel_drop(void *arg)
{
	PQfreeCancel(arg);
}

void
pg_cancel(PGconn *conn)
{
	AsideCall call = { .run = cancel_run,
					   .drop = cancel_drop,
					   .arg = PQgetCancel(conn),
					   .limit_ms = CANCEL_MS };

	if (call.arg && aside_run(&call))
		PQfreeCancel(call.arg);
}

/*
 * Waiting
 */

/* From now on every call of libpq fails, and none blocks. */
static bool
break_off(PGconn *conn, Waiter *w, PgEnd why)
{
	w->end = why;
	w->broken = true;
	(void) shutdown(PQsocket(conn), SHUT_RDWR);
	return false;
}

static bool
is_stopped(const Waiter *w)
{
	return w->wait.stopped && w->wait.stopped(w->wait.arg);
}

/* It answered while we slept: who was stopped for long has not looked yet. */
static bool
has_answered(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Goes on waiting?  *heard_ms: when the server was last known to be there. */
static bool
look(PGconn *conn, Waiter *w, int64_t *heard_ms)
{
	int64_t now_ms = clock_mono_ms();

	if (w->broken)
		return false;
	if (is_stopped(w))
	{
		w->end = PG_STOPPED;
		if (w->cancelled_ms == 0)
		{
			w->cancelled_ms = now_ms;
			pg_cancel(conn);
		}
		return now_ms - w->cancelled_ms < STOP_GRACE_MS ||
			   break_off(conn, w, PG_STOPPED);
	}
	if (now_ms - *heard_ms < w->wait.limit_ms || has_answered(conn))
		return true;
	if (w->wait.final || !w->origin.works(conn, &w->wait, &w->origin))
		return is_stopped(w) || has_answered(conn) ||
			   break_off(conn, w, PG_SILENT);
	log_warn("a statement takes long, and the server works, waiting", "ms",
			 log_int(now_ms - *heard_ms), NULL);
	*heard_ms = clock_mono_ms();
	return true;
}

/* Waits a moment; false where the connection is given up. */
static bool
wait_once(PGconn *conn, short events, int64_t max_ms, int64_t *heard_ms,
		  short *out_events)
{
	Waiter *w = waiter_of(conn);
	struct pollfd p = { .fd = PQsocket(conn), .events = events };

	*out_events = 0;
	if (w && !look(conn, w, heard_ms))
		return false;
	if (max_ms < 0 || max_ms > LOOK_MS)
		max_ms = LOOK_MS;
	if (poll(&p, 1, (int) max_ms) < 0 && errno != EINTR)
		return false;
	if (p.revents)
		*heard_ms = clock_mono_ms();
	*out_events = p.revents;
	if (w && w->wait.tick)
		w->wait.tick(w->wait.arg);
	return true;
}

/* The same, for others: who waits for a server is alive (beat.h). */
static bool
wait_a_moment(PGconn *conn, short events, int64_t max_ms, int64_t *heard_ms,
			  short *out_events)
{
	bool ok;

	beat_waits();
	ok = wait_once(conn, events, max_ms, heard_ms, out_events);
	beat_works();
	return ok;
}

bool
pg_wait(PGconn *conn, int64_t max_ms)
{
	int64_t heard_ms = clock_mono_ms();
	int64_t until = heard_ms + max_ms;

	while (PQisBusy(conn))
	{
		bool unsent = PQflush(conn) > 0;
		int64_t left = max_ms < 0 ? -1 : until - clock_mono_ms();
		short events = (short) (POLLIN | (unsent ? POLLOUT : 0));

		if (max_ms >= 0 && left <= 0)
			return false;
		if (!wait_a_moment(conn, events, left, &heard_ms, &events))
			return true;
		if (events && !PQconsumeInput(conn))
			return true;
	}
	return true;
}

bool
pg_wait_input(PGconn *conn)
{
	int64_t heard_ms = clock_mono_ms();
	short events = 0;

	while (events == 0)
	{
		bool unsent = PQflush(conn) > 0;

		events = (short) (POLLIN | (unsent ? POLLOUT : 0));
		if (!wait_a_moment(conn, events, -1, &heard_ms, &events))
			return false;
	}
	return pg_end(conn) == PG_GOES_ON;
}

bool
pg_flush(PGconn *conn)
{
	int64_t heard_ms = clock_mono_ms();
	int left;

	while ((left = PQflush(conn)) > 0)
	{
		short events = POLLIN | POLLOUT;

		if (!wait_a_moment(conn, events, -1, &heard_ms, &events))
			return false;
		if ((events & POLLIN) && !PQconsumeInput(conn))
			return false;
	}
	return left == 0;
}

static bool
is_error(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_FATAL_ERROR || s == PGRES_BAD_RESPONSE ||
		   s == PGRES_NONFATAL_ERROR;
}

/* The caller drives a copy; and a sync has no end of its own. */
static bool
is_the_callers(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH ||
		   s == PGRES_PIPELINE_SYNC;
}

PGresult *
pg_take(PGconn *conn)
{
	PGresult *kept = NULL;

	for (;;)
	{
		PGresult *res;

		(void) pg_wait(conn, -1);
		res = PQgetResult(conn);
		if (!res)
			return kept;
		if (kept && is_error(kept))
		{
			PQclear(res);
			continue;
		}
		PQclear(kept);
		kept = res;
		if (is_the_callers(res))
			return kept;
	}
}
