/*-------------------------------------------------------------------------
 * merge_choose.h
 *	  Whether a table may be staged in a hurry (merge_hurry.h).
 *
 * Nothing is left out where the exact way is bound to come, or likely: it
 * needs all changes.  A load's rows go to the table itself where it is empty,
 * and nobody but its own constraints sees a row come.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_CHOOSE_H
#define MERGE_CHOOSE_H

#include "merge/merge_facts.h"
#include "merge/merge_stage.h"

/* Says it in the stage; several: the table has more stages than this one. */
bool choose_hurry(Stage *s, const FactTable *facts, bool several,
				  Err *err) MUST_CHECK;

#endif
