/*-------------------------------------------------------------------------
 * merge_planlog.h
 *	  The entries that a plan has read: a stretch of the log without holes,
 *	  which grows at both ends.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PLANLOG_H
#define MERGE_PLANLOG_H

#include "merge/merge_plan.h"
#include "store/logfetch.h"

/* Entries base … base+n-1. */
typedef struct PlanLog
{
	int64_t base;
	int n;
	int cap;
	Entry **entries;
} PlanLog;

typedef struct PlanRead
{
	Store *store;
	const StoreOptions *ahead; /* entries are read ahead; NULL: one by one */
	LogFetch *fetch;           /* by logread_next() */
	const atomic_bool *stop;
	Progress *progress;
	Plan *plan;
} PlanRead;

Entry *log_entry(const PlanLog *log, int64_t seq);

/* Behind the last one; the log owns it. */
void log_append(PlanLog *log, Entry *e);
/* Before the first one; there is one. */
void log_prepend(PlanLog *log, Entry *const *entries, int n);
void log_free(PlanLog *log);

/* True, with err set, once a stop was asked for. */
bool log_stopped(const PlanRead *r, Err *err);

/* e must go on where the entry before it (or NULL) ended. */
bool log_check_chain(const PlanRead *r, const Entry *prev, const Entry *e,
					 Err *err) MUST_CHECK;

/* Reads an entry that lies before others which are there; the caller frees. */
bool log_read_earlier(const PlanRead *r, int64_t seq, Entry **out,
					  Err *err) MUST_CHECK;

/* The last entry that was read; NULL where there is none. */
const Entry *plan_last(const Plan *p);

/*
 * Behind the range the log has a load of the table that is not over, or that
 * has all up to lsn.
 */
bool plan_load_ahead(const Plan *p, const char *schema, const char *table,
					 Lsn lsn);

#endif
