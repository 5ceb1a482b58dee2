/*-------------------------------------------------------------------------
 * nokey.h
 *	  Changes that nobody can apply, since they do not say which row they
 *	  change: counted, and told.
 *
 * Threads: the encoder's alone.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef NOKEY_H
#define NOKEY_H

#include "pipe/pipe.h"

/* Counts one; the first of a table is told at once. */
void nokey_count(Pipe *p, Table *t);

/* At the end of the session: how many there were. */
void nokey_tell(const Pipe *p);

#endif
