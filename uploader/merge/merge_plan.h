/*-------------------------------------------------------------------------
 * merge_plan.h
 *	  What a merge is about to apply: a range of entries, and of each table
 *	  who it is, its objects, and what happens to its schema.
 *
 * Ownership: plan_free() (merge_range.h) frees all; objects are borrowed from
 * the plan's entries.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PLAN_H
#define MERGE_PLAN_H

#include "merge/merge.h"
#include "merge/merge_progress.h"
#include "merge/merge_record.h"
#include "merge/merge_view.h"
#include "store/commitlog.h"

/* First ordinal of a load's rows: behind all changes its snapshot holds. */
#define PLAN_LOAD_SEQ (INT64_C(1) << 40)

/* What the target holds about this source. */
typedef struct PlanPosition
{
	int64_t entry; /* the last one applied; -1: none */
	Lsn lsn;       /* its end */
} PlanPosition;

/* A table of the source, as cdc_s3.tables has it. */
typedef struct PlanKnown
{
	char *schema; /* its last name at the source */
	char *table;
	char *target_schema; /* where it goes; NULL: nowhere yet */
	char *target_table;
	uint32_t relation_id; /* 0: of an older release, only the name is known */
	uint32_t row_type;
	char *hash; /* its schema in force; NULL: not known */
	RecordPos pos;
	char *said_schema; /* of a preview or strict merge: its place, were */
	char *said_table;  /* the statements run; else NULL */
	bool pinned;       /* it keeps its target though merge.map says otherwise */
	bool gone;         /* dropped at the source; the target has it still */
	bool left;         /* the stream does not have it any more */
	bool skipped;      /* changes of it were passed over (merge.exclude) */
	bool unsure; /* it waits for a load: its rows may not be the source's */
} PlanKnown;

/* From pos on the table had this name and schema; gone and left have none. */
typedef struct PlanEvent
{
	RecordPos pos;
	const char *schema; /* borrowed, as hash is, from the entry */
	const char *table;
	const char *hash;
	bool gone;
	bool left;
} PlanEvent;

/*
 * A table is who it is by (OID, OID of its row type), whatever its name
 * (merge_tables.h).
 */
typedef struct PlanTable
{
	char *schema; /* at the source, at the range's end; of one that lost its
				   * name to another table a name that nobody has */
	char *table;
	uint32_t relation_id; /* 0: not known yet */
	uint32_t row_type;
	PlanKnown *known;  /* borrowed; NULL: it is new */
	PlanEvent *events; /* behind known->pos, in order */
	int nevents;
	RecordPos pos;  /* of the last schema or event */
	bool created;   /* the log has it from its creation on */
	bool gone;      /* at the range's end: dropped, … */
	bool left;      /* … or no longer wanted */
	bool displaced; /* another table has its name, since … */
	Lsn displaced_at;
	bool unsure;             /* as in PlanKnown */
	bool strange;            /* it has rows that the log does not tell */
	const char *strange_why; /* a reason for cdc_s3.resync; static */
	RecordPos strange_pos;

	const EntryObject **objects; /* in the order of the log */
	int nobjects;
	const EntryObject *lost; /* one that has expired; NULL: none */
	bool replace;            /* by the load with that id and LSN */
	char *load;
	Lsn load_lsn;
	int64_t load_entry; /* that declared it done */
	bool given_up;      /* its load was, in entry given_up_at */
	int64_t given_up_at;
	bool retry;   /* rows of it that were rejected are retried */
	bool waiting; /* at the range's end, for this load, since … */
	char *waiting_load;
	int64_t since;
	bool initial; /* it is the first one: the target has no rows yet */
	bool blocked; /* DDL that it needs was refused before: all that entries
				   * from blocked_since on say of it is still to be done */
	int64_t blocked_since;
	bool refused;         /* it is refused now, or held: nothing is applied */
	bool ahead;           /* it is at the range's end already (merge_ahead.h) */
	int group;            /* that is merged alone (merge_parallel.h); 0: with
						   * the position */
	bool held;            /* its schema is left alone (merge_hold.h), … */
	const char *held_why; /* … for this; borrowed */
	char *hash;           /* its schema in force at the range's end, or NULL */
	Schema *now;          /* that one, where merge_follow read it */
	View view;            /* of its earlier ones */
	char *target_schema;  /* where it goes; NULL: where merge.map says */
	char *target_table;
	bool rekey;           /* its key is to be made anew, once all is applied */
	bool recast;          /* a type changed at recast_pos: … */
	RecordPos recast_pos; /* … what came before may not fit any more */
	char *said_schema;    /* of a preview or a strict merge: its place, were the
						   * statements run; else NULL */
	char *said_table;
	bool pinned;       /* it is not where merge.map says */
	char *grants_from; /* OID of the table that had its name, or NULL */
	int64_t from;      /* entries that apply to it */
	int64_t to;
} PlanTable;

typedef struct Plan
{
	char *system_identifier;
	char *database;
	char *slot;
	PlanPosition start;
	PlanPosition end;  /* equal to start: nothing to do */
	int64_t behind;    /* entries read that lie behind the end */
	int64_t closed;    /* closed_until of the last entry read */
	int64_t expired;   /* up to this entry objects are gone, as it says */
	bool more;         /* the range was cut: plan again */
	int64_t ddl_entry; /* the first one that changes a table of the target
						* itself; -1: none */
	int ntables;
	PlanTable *tables;
	struct PlanLog *log;
} Plan;

/* A table that was waiting when the last merge ended. */
typedef struct PlanWaiting
{
	char *schema;
	char *table;
	char *load; /* "": for DDL that was refused */
	int64_t since;
	bool initial;
} PlanWaiting;

/* A table whose rows are further than the position (merge_ahead.h). */
typedef struct PlanAhead
{
	char *schema; /* at the source */
	char *table;
	MergeTable done; /* its strings are owned, but for way */
} PlanAhead;

/* What the target has of this source: all that a plan starts from. */
typedef struct PlanFrom
{
	PlanPosition position;
	bool whole; /* a range is not cut for what it locks */
	int nwaiting;
	PlanWaiting *waiting;
	int nknown;
	PlanKnown *known;
	PlanPosition ahead; /* where these tables are; entry -1: there are none */
	int naheads;
	PlanAhead *aheads;
} PlanFrom;

/* Rejected rows of the table are retried; hash: its schema then. */
void plan_retry(Plan *p, const char *schema, const char *table,
				const char *hash);

/* Does a table wait for DDL that was refused? */
bool plan_is_blocked(const Plan *p);

/* Frees what is in it, not itself. */
void plan_table_done(PlanTable *t);

/* Rows of all objects that the plan reads. */
int64_t plan_rows(const Plan *p);

#endif
