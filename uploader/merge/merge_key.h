/*-------------------------------------------------------------------------
 * merge_key.h
 *	  The columns by which a table's rows are found, and their unique index.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_KEY_H
#define MERGE_KEY_H

#include "merge/merge_ddl.h"

/* Is each column of a's key one of b's? */
bool key_is_same(const Schema *a, const Schema *b);

/*
 * Unique indexes of a table of the target, quoted and qualified, over just the
 * columns of the key: rows of name and constraint, NULL without one.
 */
bool key_indexes(MergeCx *cx, const char *table, const Schema *s,
				 PGresult **out, Err *err) MUST_CHECK;

/*
 * Once all changes are applied: the key that the source has now, where it can
 * be had.
 */
bool key_make(Ddl *d, const PlanTable *t, Err *err) MUST_CHECK;

#endif
