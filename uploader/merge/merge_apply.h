/*-------------------------------------------------------------------------
 * merge_apply.h
 *	  The fast way: the last state of each key to the target's table.
 *
 * *refused: the rows cannot be applied so, and the caller goes back to its
 * savepoint and takes the exact way (merge_group.c); the same where a
 * statement failed for the data's sake.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_APPLY_H
#define MERGE_APPLY_H

#include "merge/merge_stage.h"

typedef struct Apply
{
	Stage *stage;    /* borrowed */
	char final[48];  /* table with the last states */
	bool emptied;    /* nothing of these keys is in the table */
	MergeTable *out; /* counts; borrowed */
} Apply;

/* Folds, and looks for what cannot be applied. */
bool apply_open(Apply *a, Stage *stage, MergeTable *out, bool *refused,
				Err *err) MUST_CHECK;

bool apply_deletes(Apply *a, Err *err) MUST_CHECK;
bool apply_rows(Apply *a, Err *err) MUST_CHECK;

/* The same, all of it, for a table without a key. */
bool apply_bag(Stage *stage, MergeTable *out, bool *refused,
			   Err *err) MUST_CHECK;

/*
 * Where partitions were truncated: applies all before the last cut, and
 * deletes at each what it names.  What lies behind the last is left.
 */
bool apply_steps(Stage *stage, MergeTable *out, bool *refused,
				 Err *err) MUST_CHECK;

/* Drops the temporary tables of a stage. */
bool apply_drop(Stage *stage, Err *err) MUST_CHECK;

/* '"a", "b"', and 'prefix.c1, prefix.c2' */
void apply_add_names(const Stage *s, Buf *sql);
void apply_add_columns(const Stage *s, Buf *sql, const char *prefix);

#endif
