/*-------------------------------------------------------------------------
 * warden.h
 *	  Sees to it that a stop ends a session, whatever it is at.
 *
 * A session that starts has nothing to lose: a stop ends it at once.  One
 * that streams makes its last checkpoint (recv.c); after shutdown.timeout all
 * its waits are told to end, and where one does not hear it the process ends:
 * nothing is confirmed that is not durable, so that costs nothing but time.
 *
 *	  starting --warden_streams()--> streaming --warden_end()--> over
 *
 * Threads: one of its own, which a session has from begin to end.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef WARDEN_H
#define WARDEN_H

#include "pipe/pipe.h"

typedef struct Warden
{
	Pipe *p;
	pthread_t thread;
	atomic_int phase;
	pthread_mutex_t lock;
	pthread_cond_t changed;
} Warden;

void warden_begin(Warden *w, Pipe *p);

/* False where the stop was faster: then the session is not to begin. */
bool warden_streams(Warden *w);

void warden_end(Warden *w);

#endif
