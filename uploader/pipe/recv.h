/*-------------------------------------------------------------------------
 * recv.h
 *	  The receiver: owns the replication connection and the control
 *	  connection, and never waits for anything else.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef RECV_H
#define RECV_H

#include "pipe/pipe.h"

/* Both connections stay the caller's. */
typedef struct Receiver
{
	Pipe *p;
	PGconn *repl;         /* in copy-both mode */
	PGconn *control;      /* idle */
	int64_t status_ms;    /* how often a status is due */
	int64_t status_at_ms; /* when the next one is */
	int64_t answered_ms;  /* when the last one was sent */
	Lsn reported;         /* the confirmed LSN in it */
	Lsn received;         /* highest end of WAL seen */
	bool owes_answer;     /* the server asked for one */
	unsigned checkpoints; /* RunSignals.checkpoints at the last look */
	bool asking;          /* a query runs on the control connection */
	int64_t ask_at_ms;    /* when it may be asked again */
	int64_t closing;      /* hour handed to the encoder, unix us */
	int64_t going_ms;     /* the server goes down: give up at this time */
	bool stopping;
	int64_t stop_ms;
} Receiver;

/*
 * Receives until a stop is asked for and all is durable (true), or the
 * session fails: ERR_SOURCE with code PG_TRANSIENT where a new session may
 * go on, and whatever another thread reported.
 */
bool recv_run(Receiver *r, Err *err) MUST_CHECK;

#endif
