/*-------------------------------------------------------------------------
 * merge_exact.h
 *	  The exact way: staged changes, one after the other in the order of the
 *	  source, to the tables of a group.
 *
 * What the source could do under its constraints the target can, whatever
 * the constraints of the two are.  Invariants:
 *
 *	(1) Order is by position (LSN, ordinal) alone, over all tables of the
 *		group and all definitions of their keys.
 *	(2) A statement holds changes of one table and kind, neighbours in that
 *		order, and no key twice by the target's own equality; keys that only
 *		the source tells apart are different rows (merge_equal.h).
 *	(3) How many rows a statement changed is compared with what was sent.
 *	(4) No row is touched that no change names: where an action of a foreign
 *		key would touch one, the parent's change does not run.
 *	(5) A change that is refused for the sake of another row waits for the end
 *		of its source transaction; what cannot be applied then is rejected,
 *		alone and by name.
 *	(6) Statements run under savepoints that hold many of them.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_EXACT_H
#define MERGE_EXACT_H

#include "merge/merge_step.h"

bool exact_apply(MergeCx *cx, const Facts *facts, const ExactMember *members,
				 int n, Err *err) MUST_CHECK;

#endif
