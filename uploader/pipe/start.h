/*-------------------------------------------------------------------------
 * start.h
 *	  The start of a session: connects, compares log and slot, and begins to
 *	  stream where the log ends.
 *
 * What does not fit is a gap (exit 3): changes are missing, or would be, and
 * a person must decide.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef START_H
#define START_H

#include "pipe/pipe.h"

typedef struct Connections
{
	PGconn *repl;    /* in copy-both mode */
	PGconn *control; /* ordinary */
	int64_t status_ms;
	int64_t silence_ms; /* of the server, until it is asked whether it works */
	int64_t pid;        /* of repl's process there */
} Connections;

/*
 * Fills p->start (the last entry, owned by p), p->raw_text, and c.  On
 * failure all is closed again.
 */
bool start_session(Pipe *p, Store *store, Connections *c, Err *err) MUST_CHECK;

void connections_close(Connections *c);

#endif
