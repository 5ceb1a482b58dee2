/*-------------------------------------------------------------------------
 * split.h
 *	  An update that changes the key, as two changes (output.key_change =
 *	  split): a delete of the old key, and the update as it was.
 *
 * The delete has the position that the wire gives the update, the update the
 * one behind it, which the wire leaves free.  So a query that takes the last
 * change of each key sees that the old one is gone, also where an engine holds
 * old and new key for equal (1.0 and 1.00).  The update still tells its old
 * key: who applies changes needs no more than it, and skips the delete.
 *
 * A row in parts is held back until its old row is through: of that only the
 * key is kept, and the update tells no "_before" then.
 *
 * Where all columns are the key (replica identity full, no primary key),
 * nothing is split: equal rows cannot be told apart by any key.
 *
 * Ownership: a Split owns copies of a row's key.  Threads: one owner at a time.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SPLIT_H
#define SPLIT_H

#include "pipe/batch_read.h"

/* Is it a change of the key, of a table where that is split? */
bool split_wants(const Table *t, const Change *change);

/* The delete of the old key; change's old row is there, or NULL in parts. */
Change split_gone(const Change *change);

/* The update behind it. */
Change split_come(const Change *change);

/*
 * output.unchanged = old: values that the new row does not tell are those of
 * the old one, where that tells them.
 */
void split_fill(const Change *change);

/* A row in parts, from its head to the end of its old row. */
typedef struct Split Split;

Split *split_new(const Change *head, int ncols);
void split_free(Split *s); /* NULL is fine */

/* An item of the old row; *out_end: it was the last, and the key is known. */
bool split_take(Split *s, const Table *t, const PartItem *item, bool *out_end,
				Err *err) MUST_CHECK;

/* As above, for a row in parts whose key is known; the row is the Split's. */
Change split_part_gone(const Split *s);
Change split_part_come(const Split *s);

/*
 * The items of the old row again, as far as they are the key's; false behind
 * the last.
 */
bool split_next(Split *s, PartItem *out);

#endif
