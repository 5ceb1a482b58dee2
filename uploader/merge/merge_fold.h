/*-------------------------------------------------------------------------
 * merge_fold.h
 *	  From the staged changes of a table with a key to the last state of each
 *	  key, all in SQL at the target.
 *
 * The result has the staging table's columns and one row per key:
 *
 *	  op 'd'					the key is gone
 *	  op 'x'					the row cannot be told: a change to reject
 *	  op other, unk NULL		the whole row is known
 *	  op other, unk not NULL	the row is at the target under this key and
 *								keeps the columns numbered in unk; where it
 *								is not there the change is to be rejected
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FOLD_H
#define MERGE_FOLD_H

#include "merge/merge_stage.h"

/*
 * name (of size bytes) gets the result's name: the staging table itself
 * where it has one row per key already.
 */
bool fold_changes(Stage *s, char *name, size_t size, Err *err) MUST_CHECK;

#endif
