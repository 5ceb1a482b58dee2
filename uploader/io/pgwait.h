/*-------------------------------------------------------------------------
 * pgwait.h
 *	  How a connection waits: the one way, with the stop and a limit.
 *
 * A statement may take as long as it works.  Who hears nothing for the limit
 * asks the server, by a connection of its own, whether the statement's process
 * is at work; if not, or where nobody answers, the connection is broken off.
 * At a stop the statement is cancelled, and where that brings no end soon the
 * connection is broken off as well.  What is broken off fails as a lost
 * connection does, and pg_error() tells why.
 *
 * Connections of pg_connect() send without blocking: whoever gives them data
 * to send calls pg_flush() then, or a wait, which flushes.
 * Threads: a connection is used by one thread at a time.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef PGWAIT_H
#define PGWAIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define PG_SILENCE_MS 120000

typedef struct PgWait
{
	bool (*stopped)(void *arg); /* NULL: nothing stops it */
	void (*tick)(void *arg);    /* now and then while it waits; may be NULL */
	void *arg;                  /* lives as long as the connection */
	int64_t limit_ms;           /* of silence; 0: PG_SILENCE_MS */
	bool final;                 /* after the limit nobody is asked */
} PgWait;

typedef enum PgEnd
{
	PG_GOES_ON,
	PG_STOPPED, /* cancelled, or broken off, for a stop */
	PG_SILENT   /* broken off for silence */
} PgEnd;

/* Where a connection came from, and who asks there whether it works. */
typedef struct PgOrigin PgOrigin;
struct PgOrigin
{
	const char *conninfo;
	bool target;
	bool (*works)(PGconn *conn, const PgWait *wait, const PgOrigin *origin);
};

/* conn is made: from now on it waits so; what is given is copied. */
void pg_wait_as(PGconn *conn, const PgWait *wait, const PgOrigin *origin);

/*
 * Waits until PQgetResult() does not block, all that is to be sent is, or the
 * connection is lost.  False where that took more than max_ms (< 0: any).
 */
bool pg_wait(PGconn *conn, int64_t max_ms);

/* Waits until there is something to read; false: the connection is lost. */
bool pg_wait_input(PGconn *conn);

/* Waits until all is sent, false: the connection is lost. */
bool pg_flush(PGconn *conn);

/*
 * The last of the results that were asked for, or the first that is an error;
 * one of a COPY or a pipeline's sync is returned at once.  NULL: none came.
 */
PGresult *pg_take(PGconn *conn);

/* Has the server end what runs there; who waits goes on waiting. */
void pg_cancel(PGconn *conn);

/* Why the last wait ended early. */
PgEnd pg_end(const PGconn *conn);

#endif
