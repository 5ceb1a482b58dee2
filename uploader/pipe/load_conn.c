/*-------------------------------------------------------------------------
 * load_conn.c
 *	  Connections of the loader: statements can take long there, and somebody
 *	  may want them to end.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_conn.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define STOP_POLL_MS 200

/*
 * A table is read by one process, as COPY of the table itself reads it, and
 * of a range of blocks these blocks only.
 */
static const char set_up[] = "SET max_parallel_workers_per_gather = 0;"
							 "SET jit = off;"
							 "SET enable_tidscan = on";

bool
load_conn_open(LoadConn *c)
{
	if (c->pg)
		return true;
	if (!pg_connect(c->p->options->conninfo, c->role, &c->pg, &c->err))
		return false;
	if (c->role != PG_SOURCE)
		return true;
	return load_conn_run(c, "set up the load", pg_pin_source) &&
		   load_conn_run(c, "set up the load", set_up);
}

/* What runs would go on for a while, with its locks. */
static void
cancel_statement(LoadConn *c)
{
	char why[256];
	PGcancel *cancel = PQgetCancel(c->pg);

	/* The connection is closed next: nothing depends on the answer. */
	if (cancel && !PQcancel(cancel, why, sizeof(why)))
		log_debug("could not cancel", "error", why, NULL);
	PQfreeCancel(cancel);
}

void
load_conn_close(LoadConn *c)
{
	if (c->pg && PQtransactionStatus(c->pg) == PQTRANS_ACTIVE)
		cancel_statement(c);
	PQfinish(c->pg);
	c->pg = NULL;
}

bool
load_conn_ended(LoadConn *c)
{
	const Pipe *p = c->p;

	if (!atomic_load(&p->stop) && !atomic_load(&p->ending) &&
		!atomic_load(&p->options->control->stop) &&
		!(c->end && atomic_load(c->end)))
		return false;
	return !err_set(&c->err, ERR_STOP, 0, "stopped");
}

bool
load_conn_wait(LoadConn *c)
{
	struct pollfd fd = { .fd = PQsocket(c->pg), .events = POLLIN };

	while (poll(&fd, 1, STOP_POLL_MS) <= 0)
	{
		if (load_conn_ended(c))
			return false;
	}
	return true;
}

/* Of several results the last; what follows an error is thrown away. */
static PGresult *
last_result(LoadConn *c)
{
	PGresult *res = PQgetResult(c->pg);
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COPY_OUT)
		return res;
	for (PGresult *more; (more = PQgetResult(c->pg)) != NULL;)
	{
		if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		{
			PQclear(res);
			res = more;
			status = PQresultStatus(res);
		}
		else
			PQclear(more);
	}
	return res;
}

PGresult *
load_conn_query(LoadConn *c, const char *doing, const char *sql)
{
	PGresult *res;
	ExecStatusType status;
	const char *state;

	c->state[0] = '\0';
	if (!PQsendQuery(c->pg, sql))
	{
		pg_error(c->pg, NULL, c->role, doing, &c->err);
		return NULL;
	}
	while (PQisBusy(c->pg))
	{
		if (!load_conn_wait(c))
			return NULL;
		if (!PQconsumeInput(c->pg))
			break;
	}
	res = last_result(c);
	status = PQresultStatus(res);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
		status == PGRES_COPY_OUT)
		return res;
	state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	(void) snprintf(c->state, sizeof(c->state), "%s", state ? state : "");
	pg_error(c->pg, res, c->role, doing, &c->err);
	PQclear(res);
	return NULL;
}

bool
load_conn_run(LoadConn *c, const char *doing, const char *sql)
{
	PGresult *res = load_conn_query(c, doing, sql);

	PQclear(res);
	return res != NULL;
}

void
load_conn_snapshot_gone(LoadConn *c)
{
	if (strcmp(c->state, "22023") == 0 ||
		strcmp(c->state, "42704") == 0) /* from 16 on */
		c->err.code = PG_TRANSIENT;
}
