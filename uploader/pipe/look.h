/*-------------------------------------------------------------------------
 * look.h
 *	  What the receiver tells of the session twice a second, for whoever looks
 *	  at the process from outside: numbers of the pipe, and the slot's state as
 *	  the source has it, asked for on the control connection.
 *
 * Nobody waits for any of it: a scrape reads what was told last.
 * Threads: the receiver's.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOOK_H
#define LOOK_H

#include "io/stream.h"
#include "pipe/pipe.h"

/* All zero at the session's begin. */
typedef struct Look
{
	int64_t told_ms;
	int64_t asked_ms; /* for the slot's state */
} Look;

void look_begin(const Pipe *p);

/* received, reported: the receiver's own positions. */
void look_tick(Look *l, Pipe *p, Stream *s, Lsn received, Lsn reported,
			   int64_t now_ms);

/* Takes the answer about the slot, where it has arrived. */
void look_read(const Pipe *p, Stream *s);
void look_end(const Pipe *p);

#endif
