/*-------------------------------------------------------------------------
 * expire.h
 *	  Old objects are given up: by lake.retention, or since "expire" asked.
 *
 * (1) No object is removed before an entry says that it may be gone.
 * (2) What lies in _cdc/ is never removed, and no object that an open load or
 *	   a target that is known may still need.
 * (3) Where a session ends in between, the next one goes on: the log has what
 *	   is given up (expired), and what is removed (removed).
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef EXPIRE_H
#define EXPIRE_H

#include "pipe/pipe.h"

/* What the log says is what the session begins with. */
void expire_begin(Pipe *p);

/* Into an entry that is about to be written; the committer's. */
void expire_fill(Pipe *p, Entry *e, const Entry *before);

/* It is in the log; the committer's. */
void expire_publish(Pipe *p, const Entry *e);

/* Is there something that wants an entry of its own? */
bool expire_waits(Pipe *p);

/* The thread; arg is the Pipe. */
void *expire_main(void *arg);

#endif
