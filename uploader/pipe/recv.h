/*-------------------------------------------------------------------------
 * recv.h
 *	  The receiver: owns the connections to the source, and never waits for
 *	  anything else.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef RECV_H
#define RECV_H

#include "io/stream.h"
#include "pipe/event.h"
#include "pipe/look.h"
#include "pipe/silence.h"

/* Fill the first three, the rest is zero. */
typedef struct Receiver
{
	Pipe *p;
	Stream *stream;       /* stays the caller's */
	int64_t status_ms;    /* how often a status is due */
	int64_t status_at_ms; /* when the next one is */
	int64_t answered_ms;  /* when the last one was sent */
	Lsn reported;         /* the confirmed LSN in it */
	Lsn received;         /* highest end of WAL seen */
	bool owes_answer;     /* the server asked for one */
	unsigned checkpoints; /* RunControl's counts at the last look */
	unsigned reloads;
	int64_t ask_at_ms; /* when the server's clock may be asked again */
	int64_t closing;   /* hour handed to the encoder, unix us */
	int64_t leap_ms; /* since when the clocks tell of a leap; 0: they do not */
	int64_t leap_hour; /* the hour that they would close then */
	int64_t going_ms;  /* the server goes down: give up at this time */
	bool stopping;
	int64_t stop_ms;
	Event *block;       /* packets that were received and not handed on */
	bool control_waits; /* the control connection has something to say */
	SilenceWatch
		silence; /* to be begun by the caller, where there is a limit */
	bool cut;    /* out: the session ended for silence */
	Look look;
} Receiver;

/*
 * Receives until a stop is asked for and all is durable (true), or the
 * session fails: ERR_SOURCE with code PG_TRANSIENT where a new session may
 * go on, and whatever another thread reported.
 */
bool recv_run(Receiver *r, Err *err) MUST_CHECK;

#endif
