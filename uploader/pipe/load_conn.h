/*-------------------------------------------------------------------------
 * load_conn.h
 *	  Connections of the loader: statements can take long there, and somebody
 *	  may want them to end.
 *
 * What fails sets "err" of the LoadConn, with kind ERR_STOP where it was
 * ended, and "state" where the server said no.  A connection on which
 * something failed is to be closed.
 * Threads: one.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_CONN_H
#define LOAD_CONN_H

#include "io/pgconn.h"
#include "pipe/pipe.h"

typedef struct LoadConn
{
	Pipe *p;
	const atomic_int *end; /* not zero: as if stopped; NULL: there is none */
	PgRole role;
	PGconn *pg;    /* NULL: not open */
	char state[6]; /* SQLSTATE of the last statement that failed, or "" */
	Err err;
} LoadConn;

/* Opens it if it is not open, with all settings that a load pins. */
bool load_conn_open(LoadConn *c) MUST_CHECK;

/* A statement that runs is ended before. */
void load_conn_close(LoadConn *c);

/* Is the work to end?  Then err says so. */
bool load_conn_ended(LoadConn *c);

/* Waits until there is something to read. */
bool load_conn_wait(LoadConn *c) MUST_CHECK;

/* The result of the last of the statements, or of a COPY; NULL on failure. */
PGresult *load_conn_query(LoadConn *c, const char *doing, const char *sql);

/* The same where only success counts. */
bool load_conn_run(LoadConn *c, const char *doing, const char *sql) MUST_CHECK;

/*
 * A statement took a snapshot over and failed.  Where that was gone, it went
 * with the connection that had exported it: another try gets a new one.
 */
void load_conn_snapshot_gone(LoadConn *c);

#endif
