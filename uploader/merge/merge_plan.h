/*-------------------------------------------------------------------------
 * merge_plan.h
 *	  Which entries a merge applies, and of each table which objects.
 *
 * Input is the chain of entries alone: no listing, no clock.  A range ends
 * at an entry's end.  Per table:
 *
 *	(1) A load that was done in the range replaces the table: its objects,
 *		then the changes behind its LSN, also those of entries that were
 *		merged or skipped before.
 *	(2) While a load is open the table's changes wait: its range ends before
 *		the entry that announced it, and that entry is remembered.
 *	(3) A load given up ends the waiting: the table goes on where it stopped.
 *		If that was its initial load, the table was dropped before it could
 *		be read: what it had in the log until then is dropped too.  A load
 *		given up and opened again in one entry waits on.
 *	(4) Without any load its changes apply from the start.
 *	(5) A load that no person asked for is of the targets that lack rows: for
 *		one that has all of the table's it is not there.
 *
 * Ownership: plan_free() frees all; objects are borrowed from the plan's
 * entries.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PLAN_H
#define MERGE_PLAN_H

#include "merge/merge.h"
#include "merge/merge_progress.h"
#include "store/commitlog.h"

/* What the target holds about this source. */
typedef struct PlanPosition
{
	int64_t entry; /* the last one applied; -1: none */
	Lsn lsn;       /* its end */
} PlanPosition;

typedef struct PlanTable
{
	char *schema; /* at the source */
	char *table;
	const EntryObject **objects; /* in the order of the log */
	int nobjects;
	bool replace; /* by the load with that id and LSN */
	char *load;
	Lsn load_lsn;
	int64_t load_entry; /* that declared it done */
	bool given_up;      /* its load was, in entry given_up_at */
	int64_t given_up_at;
	bool retry;   /* rows of it that were rejected are retried */
	bool waiting; /* at the range's end, for this load, since … */
	char *waiting_load;
	int64_t since;
	bool initial;     /* it is the first one: the target has no rows yet */
	const char *hash; /* of its last schema in the range; of an empty load
					   * the last one in the log; or NULL */
	char *found_hash; /* that one */
	int64_t from;     /* entries that apply to it */
	int64_t to;
} PlanTable;

typedef struct Plan
{
	char *system_identifier;
	char *database;
	char *slot;
	PlanPosition start;
	PlanPosition end; /* equal to start: nothing to do */
	int64_t behind;   /* entries read that lie behind the end */
	int64_t closed;   /* closed_until of the last entry read */
	bool more;        /* the range was cut for its size: plan again */
	int ntables;
	PlanTable *tables;
	struct PlanLog *log;
} Plan;

/* A table that was waiting when the last merge ended. */
typedef struct PlanWaiting
{
	char *schema;
	char *table;
	char *load;
	int64_t since;
	bool initial;
} PlanWaiting;

/* What the target has, and what it can be asked. */
typedef struct PlanTarget
{
	PlanPosition start;
	int nwaiting;
	const PlanWaiting *waiting;
	/* *out: it has all rows of the table, as of "start". */
	bool (*whole)(void *arg, const char *schema, const char *table, bool *out,
				  Err *err);
	void *arg;
} PlanTarget;

/* Identity of the log: entry 0's source. ERR_USAGE: there is no log. */
bool plan_source(Store *store, Entry **out, Err *err) MUST_CHECK;

/*
 * until as in MergeOptions.  ERR_GAP: the log does not go on where the
 * target stands.  ERR_BUSY: the hour of a time asked for is not complete.
 */
bool plan_make(Store *store, const char *until, const PlanTarget *target,
			   const atomic_bool *stop, Progress *progress, Plan **out,
			   Err *err) MUST_CHECK;
/* Rejected rows of the table are retried; hash: its schema then. */
void plan_retry(Plan *p, const char *schema, const char *table,
				const char *hash);

void plan_free(Plan *p);

/*
 * Behind the range the log has a load of the table that is not over, or that
 * has all up to lsn.
 */
bool plan_load_ahead(const Plan *p, const char *schema, const char *table,
					 Lsn lsn);

/* The last entry that was read; NULL where there is none. */
const Entry *plan_last(const Plan *p);

/* True where until can be understood. */
bool plan_until_valid(const char *until);

/* Rows of all objects that the plan reads. */
int64_t plan_rows(const Plan *p);

#endif
