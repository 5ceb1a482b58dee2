/*-------------------------------------------------------------------------
 * notify.h
 *	  What a service manager hears of us: the protocol of sd_notify(3).
 *
 * Says nothing, at no cost, where no manager listens (NOTIFY_SOCKET is not
 * set).  A message that cannot be sent is lost: whoever supervises us must
 * never be able to hold us up.  All functions may be called by any thread
 * once notify_open has returned.
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.  A socket that cannot
 * be used is an error: the manager would wait for a word that never comes,
 * and end us.
 */
bool notify_open(Err *err) MUST_CHECK;

void notify_ready(void);

/* One line for people, as printf makes it; control characters become blanks. */
void notify_status(const char *format, ...) PRINTF(1, 2);

/* Around a reload of the configuration; the second one says that it ended. */
void notify_reloading(void);
void notify_reloaded(void);

/* A stop that may take so long has begun. */
void notify_stopping(int64_t timeout_ms);

/*
 * A thread that tells the manager's watchdog that we live, as often as it
 * wants to hear it, while alive(arg) is true.  Does nothing where there is no
 * watchdog.  Stop it before arg goes.
 */
bool notify_watchdog_start(bool (*alive)(void *arg), void *arg,
						   Err *err) MUST_CHECK;
void notify_watchdog_stop(void);

/* The watchdog's thread and the socket; then notify_open may be called anew. */
void notify_close(void);

#endif
