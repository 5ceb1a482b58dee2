/*-------------------------------------------------------------------------
 * aside.h
 *	  A call that blocks and takes no limit, as a library's that looks up a
 *	  name: it runs in a thread of its own, and who waits for it can turn
 *	  away.
 *
 * Ownership: arg is the call's while it runs, then the caller's where
 * aside_run() returned true; else drop(arg) is called once it has ended.
 * Threads: any.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef ASIDE_H
#define ASIDE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct AsideCall
{
	void (*run)(void *arg);
	void (*drop)(void *arg);
	void *arg;
	int64_t limit_ms;
	bool (*stopped)(void *stop_arg); /* may be NULL */
	void *stop_arg;
} AsideCall;

/* True when it has run to its end; false after the limit or the stop. */
bool aside_run(const AsideCall *call);

/*
 * True while a call goes on that nobody waits for.  The process is to end by
 * _exit() then: what a library cleans up at exit() may be in use.
 */
bool aside_left(void);

#endif
