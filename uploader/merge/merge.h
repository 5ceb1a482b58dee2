/*-------------------------------------------------------------------------
 * merge.h
 *	  Applies new entries of the commit log to a target database.
 *
 * One merge is one target transaction: it takes whole entries, so the target
 * is always a consistent cut of the source, and it stores the position it
 * came to in the same transaction (doc/merge.md).
 *
 * merge_run	  options, connection, transaction, report
 * merge_session  settings of the transaction, triggers on or off
 * merge_bring	  the tables of a plan, staged and applied
 * merge_parallel  groups of tables that commit one by one
 * merge_ahead	  cdc_s3.ahead: how far these are
 * merge_plan	  what is about to be applied: entries, tables, objects
 * merge_range	  which entries (merge_planlog: those that were read)
 * merge_logread  ... read ahead, several at once
 * merge_tables	  who the tables are, their schemas, loads and objects
 * merge_follow	  the target's tables become what the source's became:
 * merge_move	  ... their names
 * merge_alter	  ... their columns and keys
 * merge_ddl	  ... statements that the target may refuse
 * merge_view	  columns of earlier schemas as the target has them now
 * merge_state	  schema cdc_s3 in the target: position, waiting, rejected
 * merge_ask	  loads that a merge asks for
 * merge_report	  cdc_s3.merge_run: what each merge did
 * merge_progress  how far it is, seconds by phase
 * merge_preview  a merge that changes nothing
 * merge_sequence	sequences past the source's
 * merge_reject	  rejected rows: what is kept of them
 * merge_lines	  rejected rows of earlier merges: marked, retried, ended
 * merge_limit	  merge.reject_limit
 * merge_trigger  merge.triggers
 * merge_map	  merge.map: where a table goes
 * merge_owner	  which tables of the target may be written
 * merge_target	  tables of the target: found, created, widened
 * merge_stage	  objects to staging tables
 * merge_piece	  records as rows of these, by COPY
 * merge_choose  which tables are staged in a hurry
 * merge_hurry	  the same without halts, where nothing speaks against it
 * merge_window  changes that the next one of their row writes over
 * merge_form	  columns of the target that are coarser than the source's
 * merge_equal	  keys that the target holds equal and the source does not
 * merge_group	  which tables go together, and by which of two ways
 * merge_facts	  foreign keys, triggers and constraints of the target
 * merge_fold	  fast: many changes of a key to its last state
 * merge_apply	  fast: the last states to the table
 * merge_bag	  fast: tables without a key
 * merge_exact	  exact: changes in the order of the source (merge_step.h)
 * merge_suspect  exact: rows that a constraint is likely to refuse
 * merge_bound	  bounds of partitions, for truncates
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_H
#define MERGE_H

#include <stdatomic.h>

#include "base/lsn.h"
#include "store/store.h"

/* What becomes of a table of the source. */
typedef struct MergeNote
{
	char *schema;
	char *table;
	char *text;
} MergeNote;

/* What the next merge would do, beside the changes of tables. */
typedef struct MergePreview
{
	bool running;    /* another merge was under way */
	Lsn from_lsn;    /* the target's position */
	int64_t objects; /* what is read */
	int64_t rows;
	int64_t bytes;
	bool more; /* this is the first of several transactions */
	int nddl;  /* statements that change the target's schema */
	char **ddl;
	int nnotes;
	MergeNote *notes;
} MergePreview;

/* All strings are borrowed while merge_run runs. */
typedef struct MergeOptions
{
	const StoreOptions *store; /* of the store, to open it once more for what
								* is read ahead; NULL: nothing is */
	const char *conninfo;      /* the target; "" = PG* variables */
	const char *until;         /* "hour", "now", an LSN, or a UTC time */
	const char *on_reject;     /* "stop" or "continue" */
	const char *way;           /* "auto", "exact" or "fast" */
	const char *map;           /* "s.t=s2.t2,s.*=s3.*"; "" = same names */
	const char *tables;        /* patterns: tables of the target to be written
								* though merge did not make them */
	const char *exclude;       /* patterns: tables of the source left out */
	const char *reject_limit;  /* "0", a count, or "1%" of the changes */
	const char *triggers;      /* patterns: tables of the target whose triggers
								* run in any case; or "on", "off" */
	const char *schema;        /* changes of the source's schema: "follow",
								* "mirror" or "strict" */
	int64_t lock_timeout_ms;   /* for a table that such a change locks */
	const char *on_existing;   /* first load into a table with rows: "stop",
								* "replace" or "keep" */
	const char *resync;        /* "auto": loads are asked for; or "manual" */
	int daily_max;             /* loads that nobody asks for, of a table */
	bool adopt;                /* the lake is of another source than before */
	bool retry_rejected;       /* rows in cdc_s3.rejected are tried again */
	int64_t lock_wait_ms;      /* for another merge of the same target */
	int64_t silence_ms;        /* PgWait.limit_ms at the target */
	int64_t progress_ms;       /* between two lines on how far it is; 0: none */
	bool terminal;             /* one line that is written over */
	const char *version;       /* of the program, for cdc_s3.merge_run */
	MergePreview *preview;     /* not NULL: nothing is changed; filled */
	int parallel;              /* connections that merge groups of tables */
	int64_t memory_limit;      /* of it a merge takes about half for rows */
	const atomic_bool *stop;   /* ends the run with ERR_STOP; may be NULL */
} MergeOptions;

/* Records of a table by what happened at the source. */
typedef struct MergeOps
{
	int64_t loads; /* rows of a load */
	int64_t inserts;
	int64_t updates;
	int64_t deletes;
	int64_t truncates;
	int64_t others; /* resync */
} MergeOps;

typedef struct MergeTable
{
	char *schema; /* at the target */
	char *table;
	int64_t records; /* read from the lake */
	MergeOps ops;    /* of these */
	bool created;    /* it is not there yet: of a preview */
	int64_t inserted;
	int64_t updated;
	int64_t deleted;
	int64_t rejected;
	bool replaced;   /* a load was applied */
	bool loaded_now; /* in the last transaction */
	bool waiting;    /* its changes wait for a load */
	const char *way; /* "fast" or "exact" in the last transaction; NULL: it
					  * had nothing for the table */
	char *why;       /* and what decided so */
} MergeTable;

/* Who loads a table in cdc_s3.resync. */
typedef enum MergeAsk
{
	ASK_NOBODY,  /* no load would mend it */
	ASK_PERSON,  /* whoever calls "snapshot" */
	ASK_OFTEN,   /* the same, since it was loaded too often today */
	ASK_RUN,     /* run, which is (or was) asked for it */
	ASK_LOADING, /* run does, and the merge has not come so far */
	ASK_REFUSED  /* a person, since the store does not take the request */
} MergeAsk;

/* A table whose rows changed at the source and no record tells how. */
typedef struct MergeResync
{
	char *schema; /* at the source */
	char *table;
	char *reason;
	char *state;
	Lsn lsn;      /* the last place where they did */
	bool waiting; /* its changes wait for a load */
	MergeAsk ask;
} MergeResync;

typedef struct MergeResult
{
	int64_t entries;     /* applied */
	int64_t from_entry;  /* the first and last of them */
	int64_t to_entry;    /* -1: none ever */
	Lsn lsn;             /* the target's position now */
	int64_t log_entries; /* in the log behind it, not (yet) asked for */
	int64_t log_closed;  /* closed_until of the last of them */
	int64_t groups;      /* of tables, that were committed one by one */
	int ntables;
	MergeTable *tables;
	int64_t rejected; /* rows in cdc_s3.rejected, also from earlier merges */
	char rejected_of[160]; /* "s.t 3, …": tables with most of them */
	int64_t retried;       /* of those from earlier merges, and of these … */
	int64_t again;         /* … rejected again */
	int nresync; /* all that wait for a load, also from earlier merges */
	MergeResync *resync;
} MergeResult;

/*
 * Error kinds: ERR_TARGET (the target refused; a row was rejected and
 * on_reject is stop), ERR_GAP (log and target do not belong together, or
 * something the log lists is missing or damaged), ERR_BUSY (another merge
 * runs; an hour asked for is not complete), ERR_LOST (the position moved
 * under us), store errors, ERR_STOP.  Whatever fails leaves the target as
 * the last committed part of the run left it.
 */
bool merge_run(Store *store, const MergeOptions *o, MergeResult *out,
			   Err *err) MUST_CHECK;

void merge_result_done(MergeResult *r);
void merge_preview_done(MergePreview *p);

/* Checks options without connecting (ERR_USAGE). */
bool merge_check_options(const MergeOptions *o, Err *err) MUST_CHECK;

#endif
