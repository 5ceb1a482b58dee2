/*-------------------------------------------------------------------------
 * load_conn.c
 *	  Connections of the loader: statements can take long there, and somebody
 *	  may want them to end.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_conn.h"

#include <stdio.h>
#include <string.h>

/*
 * A table is read by one process, as COPY of the table itself reads it, and
 * of a range of blocks these blocks only.
 */
static const char set_up[] = "SET max_parallel_workers_per_gather = 0;"
							 "SET jit = off;"
							 "SET enable_tidscan = on";

static bool
is_stopped(void *arg)
{
	return load_conn_ended(arg);
}

bool
load_conn_open(LoadConn *c)
{
	PgWait wait = { .stopped = is_stopped,
					.arg = c,
					.limit_ms = c->p->options->silence_ms };

	if (c->pg)
		return true;
	if (!pg_connect_wait(c->p->options->conninfo, c->role, &wait, &c->pg,
						 &c->err))
		return false;
	if (c->role != PG_SOURCE)
		return true;
	return load_conn_run(c, "set up the load", pg_pin_source) &&
		   load_conn_run(c, "set up the load", set_up);
}

void
load_conn_close(LoadConn *c)
{
	if (c->pg && PQtransactionStatus(c->pg) == PQTRANS_ACTIVE)
		pg_cancel(c->pg); /* else it goes on for a while, with its locks */
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
	if (load_conn_ended(c))
		return false;
	return pg_wait_input(c->pg) ||
		   pg_error(c->pg, NULL, c->role, "read from the source", &c->err);
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
	res = pg_take(c->pg);
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
