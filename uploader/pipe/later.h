/*-------------------------------------------------------------------------
 * later.h
 *	  Tables that became wanted after the first loads, so that their rows are
 *	  not in the lake: they were added to source.tables or to a publication, or
 *	  renamed.
 *
 * Such a table has no schema file.  One that was created lately has none
 * either, and the stream brings all its rows.  Which of the two it is the
 * transaction tells that created it: where that is older than what the slot
 * needs of the catalogs, the slot is behind it.  Else the log tells, once it
 * ends behind the look: who is not in it by then does not come.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LATER_H
#define LATER_H

#include "pipe/wanted.h"

/* *out: those to be loaded; p->later becomes those that the log will tell. */
bool later_look(Pipe *p, Store *store, PGconn *conn, WantedList *out,
				Err *err) MUST_CHECK;

/*
 * Leaves a request in the lake for each of p->later that the log has not
 * brought, once it could: then p->later is empty.  Until then it does nothing.
 */
bool later_settle(Pipe *p, Store *store, Err *err) MUST_CHECK;

void later_done(Later *l);

#endif
