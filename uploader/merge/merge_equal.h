/*-------------------------------------------------------------------------
 * merge_equal.h
 *	  Keys that are different at the source and equal at the target only:
 *	  'ab' and 'ab ' in a char(5), 'ab' and 'AB' in a citext, 1.4 and 1.0 in
 *	  a numeric(10,0); and keys that may belong to several rows of the target.
 *
 * Such columns have a form beside them in the staging table (merge_form.h).
 * Invariants:
 *
 *	(1) A row of the target is a staged change's row only where its key is
 *		equal by the target and its stored key, read back in the source's
 *		type, is equal by the source (equal_add_same).
 *	(2) A key value that does not come back from the target's type as it was
 *		is never stored (equal_add_fits); so what is stored tells the form.
 *	(3) The fast way, which knows the target's equality only, is left where
 *		one key of it has two forms, in the range or at the target
 *		(equal_check).
 *	(4) Where no unique index of the target stands behind the key, a change
 *		whose key several rows have changes none of them (equal_add_alone).
 *
 * Tables with a unique index and no coarse column of the key pay nothing.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_EQUAL_H
#define MERGE_EQUAL_H

#include "merge/merge_stage.h"

/* Has the key a coarse column? */
bool equal_is_coarse(const Target *t);

/* ", k2": the source's key, less what the target's tells; or nothing. */
void equal_add_forms(const Target *t, Buf *sql);

/* As stage_add_match, and the same key at the source, too. */
void equal_add_same(const Stage *s, Buf *sql, const char *left,
					const char *right);

/* " AND …": the key of a staged row survives the target's type. */
void equal_add_fits(const Stage *s, Buf *sql, const char *prefix);

/* " AND …": no other row "t" of the target has the key of row "f". */
void equal_add_alone(const Stage *s, Buf *sql);

/*
 * Sets other[i] where the target has a row with the key of staged row rns[i]
 * that is another one: by the source's primary key, where the key is weak.
 */
bool equal_other(Stage *s, const int64_t *rns, int n, bool *other,
				 Err *err) MUST_CHECK;

/* *refused: rows that only the exact way tells apart. */
bool equal_check(Stage *s, bool *refused, Err *err) MUST_CHECK;

/*
 * The result: numbers of those staged rows (array literals) whose key another
 * row of the target has that no row of "all" names: it will not go.
 */
bool equal_taken(Stage *s, const char *rows, const char *all, PGresult **out,
				 Err *err) MUST_CHECK;

/* Where the row's key is why it was refused, reason (of size bytes) says so. */
bool equal_reason(Stage *s, int64_t rn, char *reason, size_t size,
				  Err *err) MUST_CHECK;

#endif
