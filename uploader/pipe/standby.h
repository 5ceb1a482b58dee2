/*-------------------------------------------------------------------------
 * standby.h
 *	  run --standby: waits while another process has the slot.
 *
 *	  waits -> takes over: a session, as any -> somebody else has the slot and
 *	  wrote an entry: fenced, the process ends with 75
 *
 * Invariants:
 *	(1) A process is in standby only until its first session begins; never
 *		again after that, so that what it knows of the log is never old.
 *	(2) It only looks: neither slot nor lake is touched.
 *	(3) What makes it safe is not this wait but the log: of two that write,
 *		one loses (commitlog.h).
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef STANDBY_H
#define STANDBY_H

#include "pipe/pipe.h"

/*
 * How long the slot has to be free before it is taken over: a session that
 * ends for the next one of the same process lets it go for a moment.
 */
#define STANDBY_FREE_MS 3000

/* What is known of the slot, as time goes by. */
typedef struct Standby
{
	int64_t free_ms; /* since then it is free, as far as we looked; -1: not */
	int64_t told_ms; /* when its holder was last told of; -1: never */
	int64_t holder;  /* pid at the source; 0: nobody */
} Standby;

typedef enum StandbyStep
{
	STANDBY_WAITS,
	STANDBY_TELLS, /* waits, and it is time to say so */
	STANDBY_TAKES_OVER
} StandbyStep;

void standby_init(Standby *s);

/* One look: who has the slot (0: nobody) at now_ms. */
StandbyStep standby_look(Standby *s, int64_t holder, int64_t now_ms);

/*
 * Returns true once the slot is free, or is not there: what that means is for
 * the session to say.  ERR_STOP at a stop; what never worked is an error at
 * once, and what worked before is tried again for as long as it may help.
 */
bool standby_wait(const RunOptions *options, Err *err) MUST_CHECK;

#endif
