/*-------------------------------------------------------------------------
 * log_sink.h
 *	  Where lines of the log go: standard error, a file that can be opened
 *	  anew, or the journal.
 *
 * Threads: any; a line is one write.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef LOG_SINK_H
#define LOG_SINK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* "": standard error.  Where it fails all goes where it went before. */
bool log_sink_file(const char *path, Err *err) MUST_CHECK;

/*
 * The file is opened anew before the next line: somebody has moved it away.
 * May be called by a signal handler.
 */
void log_sink_reopen(void);

/*
 * A pipe that nobody reads must not stop who logs: what finds no room within a
 * moment is lost, and counted.
 */
void log_sink_write(const void *p, size_t n);

/* How many lines were lost since the last call, once there is room again. */
int64_t log_sink_take_lost(void);

/* True while lines go to a file, where nothing can be written over. */
bool log_sink_is_file(void);

/* One datagram of the journal's own protocol; false: nobody listens. */
bool log_sink_journal(const void *p, size_t n);

/* Another socket than the system's, for tests; NULL: the system's. */
void log_sink_journal_path(const char *path);

#endif
