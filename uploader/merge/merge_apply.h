/*-------------------------------------------------------------------------
 * merge_apply.h
 *	  The last state of each key to the target's table.
 *
 * Where the session's triggers and foreign keys are off (MergeCx.replica)
 * each table is done by itself: deletes, then rows.  Else the caller runs
 * apply_rows() parents first and then apply_deletes() children first.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_APPLY_H
#define MERGE_APPLY_H

#include "merge/merge_stage.h"

typedef struct Apply
{
	Stage *stage;     /* borrowed */
	char final[48];   /* table with the last states */
	bool deleted;     /* deletes are done */
	bool emptied;     /* nothing of these keys is in the table */
	bool saved;       /* what was there for them was put aside */
	int64_t restored; /* rows put back, their change being rejected */
	MergeTable *out;  /* counts; borrowed */
} Apply;

/* Folds, and rejects what cannot be applied. */
bool apply_open(Apply *a, Stage *stage, MergeTable *out, Err *err) MUST_CHECK;

bool apply_deletes(Apply *a, Err *err) MUST_CHECK;
bool apply_rows(Apply *a, Err *err) MUST_CHECK;

/* The same, all of it, for a table without a key. */
bool apply_bag(Stage *stage, MergeTable *out, Err *err) MUST_CHECK;

/*
 * Where partitions were truncated: applies all before the last cut, and
 * deletes at each what it names.  What lies behind the last is left.
 */
bool apply_steps(Stage *stage, MergeTable *out, Err *err) MUST_CHECK;

/* Drops the temporary tables of a stage. */
bool apply_drop(Stage *stage, Err *err) MUST_CHECK;

/*
 * Calls write for ranges [lo, hi] of row numbers, each under a savepoint, and
 * halves a range whose data the target refuses.  single is called for a row
 * that stands alone, with the target's message.
 */
typedef struct ApplyRange
{
	Stage *stage;
	void *arg;
	bool (*write)(void *arg, int64_t lo, int64_t hi, Err *err);
	bool (*single)(void *arg, int64_t rn, const char *reason, Err *err);
} ApplyRange;

bool apply_range(const ApplyRange *r, int64_t lo, int64_t hi,
				 Err *err) MUST_CHECK;

/* Rejects a row of the named table (staging table or last states). */
bool apply_reject(Stage *s, const char *from, int64_t rn, const char *reason,
				  const char *state, Err *err) MUST_CHECK;

/* '"a", "b"', and 'prefix.c1, prefix.c2' */
void apply_add_names(const Stage *s, Buf *sql);
void apply_add_columns(const Stage *s, Buf *sql, const char *prefix);

#endif
