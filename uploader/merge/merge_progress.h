/*-------------------------------------------------------------------------
 * merge_progress.h
 *	  How far a merge is: seconds by phase, and a line for who waits.
 *
 * On a terminal that is one line which is written over, else one event of
 * the log each interval, the first one after the first interval.  Nobody is
 * asked for it: progress_tick() is called wherever a merge waits for the
 * target or goes on to another entry, and mostly finds that it is too early.
 *
 * A merge goes table by table through all its entries, so what moves is rows,
 * not entries: read to the staging tables, then applied.  A table that is
 * applied by a few statements does not move; the time left takes for it what
 * others took, or what reading took, and is not told once that is over.
 * Threads: one.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PROGRESS_H
#define MERGE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

typedef enum MergePhase
{
	PHASE_PLAN,   /* lock, position, entries of the log */
	PHASE_READ,   /* objects from the store */
	PHASE_STAGE,  /* their rows to staging tables */
	PHASE_APPLY,  /* from there to the tables */
	PHASE_COMMIT, /* position and report, COMMIT */
	PHASES
} MergePhase;

#define PROGRESS_LINE_MAX 400

typedef struct Progress
{
	int64_t interval_ms; /* between two lines; 0: none */
	bool live;           /* one line, written over */
	bool drawn;          /* it stands there now */
	int64_t next_ms;     /* no line before that */

	/* of the transaction */
	int64_t began_ms;
	MergePhase phase;
	int64_t since_ms; /* the phase is on */
	int64_t spent_ms[PHASES];
	int64_t from_entry; /* with to_entry: what is merged, once planned */
	int64_t to_entry;
	int64_t rows;    /* of all objects that are to be read */
	int64_t read;    /* of these: read and staged */
	int64_t applied; /* of these: applied, as far as it is known */
	int64_t group;   /* the same, of the group that is applied now */
	char schema[64]; /* of the table at the target; "" before the first */
	char table[64];
} Progress;

/* terminal: the line that is written over is wanted and can be shown. */
void progress_init(Progress *p, int64_t interval_ms, bool terminal);

/* A transaction begins: counts and seconds do too. */
void progress_begin(Progress *p);
void progress_planned(Progress *p, int64_t from_entry, int64_t to_entry,
					  int64_t rows);
void progress_phase(Progress *p, MergePhase phase);
void progress_table(Progress *p, const char *schema, const char *table);

/* Milliseconds that the phase took in this transaction, so far. */
int64_t progress_spent(const Progress *p, MergePhase phase);
const char *progress_phase_name(MergePhase phase);

/* Writes a line if it is time. */
void progress_tick(Progress *p);

/* Takes the line away, before something else is written there. */
void progress_end(Progress *p);

/* Rows a second of what goes on now, and seconds left; -1: not known yet. */
int64_t progress_rate(const Progress *p);
int64_t progress_left(const Progress *p);

/* The live line, without its end. */
void progress_text(const Progress *p, Buf *out);

#endif
