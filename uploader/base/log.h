/*-------------------------------------------------------------------------
 * log.h
 *	  One line an event on stderr or in a file (log_sink.h): time, level,
 *	  event, then key=value pairs (or a JSON object, or an event of the
 *	  journal with a field for each).  The same keys everywhere: slot, lsn,
 *entry, object, table, rows, bytes, ms, attempt, error.
 *
 * Use: log_info("entry written", "entry", log_int(42), "lsn", log_lsn(l),
 *				 NULL);  pairs of key and value end with NULL.
 * The values made by log_int and friends live in a per-thread ring of 16
 * and are valid until the line is written.
 * Threads: any; a line is one write.  Secrets never come here.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lsn.h"

typedef enum LogLevel
{
	LOG_DEBUG = 0,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR
} LogLevel;

typedef enum LogForm
{
	LOG_TEXT,
	LOG_JSON,   /* objects with the names of the Elastic Common Schema */
	LOG_JOURNAL /* fields of the system's journal; text where it is not there */
} LogForm;

void log_init(LogLevel level, LogForm form);
bool log_enabled(LogLevel level);

/* event is a short phrase; pairs of const char * follow, then NULL. */
void log_event(LogLevel level, const char *event, ...)
	__attribute__((sentinel));

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)

/*
 * On a terminal lines stand that are written over and over, the cursor where
 * the first begins: they are taken away before the next event is written there.
 */
#define LOG_CLEAR_LINE "\r\033[J"
void log_over_line(bool there);

/* The error of a failed call: message, kind, hint. */
void log_err(LogLevel level, const char *event, const Err *err);

const char *log_int(int64_t v);
const char *log_lsn(Lsn lsn);

#endif
