/*-------------------------------------------------------------------------
 * asked.h
 *	  Loads that somebody asked for (store/request.h).
 *
 * A request is served by a session that begins: it announces the loads in its
 * first entry, like any other, and the request is taken away once that entry is
 * in the log.  So a session that runs ends when it finds a new request, as for
 *a stop, and the next one begins at once.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef ASKED_H
#define ASKED_H

#include "pipe/pipe.h"

/* Adds to p->loads what is asked for, behind load_plan(). */
bool asked_plan(Pipe *p, Store *store, PGconn *control, Err *err) MUST_CHECK;

/* The watcher's thread; arg is the Pipe. */
void *asked_main(void *arg);

#endif
