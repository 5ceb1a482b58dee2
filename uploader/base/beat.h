/*-------------------------------------------------------------------------
 * beat.h
 *	  Heartbeats of our own threads, from which /livez is answered.
 *
 *	  beat_begin() ── works: beat() again and again ── beat_end()
 *		works ── beat_waits() ── waits for something outside of the
 *			process, or for another thread ── beat_works() ── works
 *
 * Invariants:
 *	(1) A thread that waits is alive, however long: a store or a server that
 *		does not answer never makes the process look dead.
 *	(2) A thread that works and has given no beat for the limit is not.
 *
 * Each call is an atomic store into the thread's own slot, and does nothing
 * in a thread that has none (the 257th, a test).
 * Threads: any; beat_silent() from another one.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef BEAT_H
#define BEAT_H

#include <stdbool.h>
#include <stdint.h>

/* So long a thread may work without a beat. */
#define BEAT_LIMIT_MS 120000

/* name: static.  Begins as a thread that works. */
void beat_begin(const char *name);
void beat_end(void);

void beat(void);
void beat_waits(void);
void beat_works(void);

/* The name of a thread that works and is silent for so long; or NULL. */
const char *beat_silent(int64_t limit_ms);

/* A thread as it is at a moment. */
typedef struct BeatThread
{
	const char *name;
	bool waits;
	int64_t silent_ms; /* since its last beat; 0 for one that waits */
} BeatThread;

#define BEAT_THREADS_MAX 256

/* Fills out; how many there are. */
int beat_list(BeatThread out[BEAT_THREADS_MAX]);

/* How many threads have a slot. */
int beat_threads(void);

#endif
