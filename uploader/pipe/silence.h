/*-------------------------------------------------------------------------
 * silence.h
 *	  How long the source may say nothing, and what is done then.
 *
 * Each status asks for an answer, so a server that works and can be reached
 * is heard every few seconds.  One that is not heard has either a long
 * decode to do, in which it looks at no socket, or is not there any more
 * for us: a box between us forgot the connection, and acknowledges its
 * packets still.  So the control connection is asked before the connection
 * is given up:
 *
 *	  heard --limit--> asked --works--> heard (and a line in the log)
 *	                     |---works not, or no answer--> cut
 *
 * Invariants:
 *	(1) Nothing is cut that the control connection says is at work.
 *	(2) Each cut without progress between doubles the limit, up to an hour:
 *		a decode that takes longer than any limit known beforehand gets
 *		through.  Progress is an entry of the log that goes further.
 *
 * Threads: the receiver's.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SILENCE_H
#define SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lsn.h"

#define SILENCE_MIN_MS 1000

/* How far the log was. */
typedef struct SilenceMark
{
	Lsn log_end;
	int64_t closed_until;
} SilenceMark;

/* Lives as long as run, over all sessions; zero at first. */
typedef struct Silence
{
	int64_t limit_ms; /* of the session that begins next; 0: the base */
	SilenceMark mark; /* at the last cut, or the begin of the first session */
} Silence;

/* One session's. */
typedef struct SilenceWatch
{
	int64_t base_ms;  /* as it is set; 0: no limit */
	int64_t limit_ms; /* as it is by now */
	SilenceMark mark; /* what is beyond it is progress */
	int64_t since_ms; /* heard then, or known to work */
	int64_t heard_ms; /* heard then */
	int64_t asked_ms; /* 0: not asked */
} SilenceWatch;

typedef enum SilenceStep
{
	SILENCE_NONE,
	SILENCE_ASK, /* the control connection, now */
	SILENCE_CUT
} SilenceStep;

/*
 * The limit where none is set: twice the server's own, so that it has given
 * us up before; where it has none (0), two minutes.
 */
int64_t silence_default_ms(int64_t wal_sender_timeout_ms);

/* A session begins, and the log is at "at"; base_ms: the limit as set. */
void silence_begin(Silence *s, int64_t base_ms, SilenceMark at,
				   SilenceWatch *out, int64_t now_ms);

/* It ended because it was cut. */
void silence_was_cut(Silence *s, const SilenceWatch *w, SilenceMark at);

/* Something came; or nothing could, since we do not read. */
void silence_heard(SilenceWatch *w, int64_t now_ms);

SilenceStep silence_look(SilenceWatch *w, SilenceMark at, int64_t now_ms);

/* The answer was that the server is at work for us. */
void silence_works(SilenceWatch *w, int64_t now_ms);

#endif
