/*-------------------------------------------------------------------------
 * logfetch.h
 *	  A range of the commit log, read by several threads at once and handed
 *	  out in order.
 *
 * One after the other, a log costs one round trip an entry.  Each thread has a
 * store of its own; some entries ahead are read, and no more.
 * Threads: one that calls.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef LOGFETCH_H
#define LOGFETCH_H

#include "store/commitlog.h"

#define LOGFETCH_JOBS 8

typedef struct LogFetch LogFetch;

/* Entries from to to, both included; options are borrowed until the close. */
bool logfetch_open(const StoreOptions *options, int jobs, int64_t from,
				   int64_t to, LogFetch **out, Err *err) MUST_CHECK;

/*
 * Entries from "from" on, of a log whose end is not known: the first
 * ERR_NOT_FOUND may be the end.  So that a short log costs few requests that
 * find nothing, more is read ahead only as more is found.
 */
bool logfetch_open_end(const StoreOptions *options, int jobs, int64_t from,
					   LogFetch **out, Err *err) MUST_CHECK;

/*
 * The next one, which is the caller's; *out = NULL behind the last.  Errors as
 * of commitlog_read(), ERR_NOT_FOUND too; the next call goes on behind it.
 */
bool logfetch_next(LogFetch *f, Entry **out, Err *err) MUST_CHECK;

void logfetch_close(LogFetch *f); /* NULL is fine */

#endif
