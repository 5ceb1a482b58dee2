/*-------------------------------------------------------------------------
 * merge_move.h
 *	  Tables of the target that get another name or schema, since theirs at the
 *	  source did, or another table has it now.
 *
 * All tables of a range move together, so that names may be swapped.  Sets
 * target_schema and target_table of the tables that the target has.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_MOVE_H
#define MERGE_MOVE_H

#include "merge/merge_ddl.h"

bool move_tables(Ddl *d, Plan *plan, Err *err) MUST_CHECK;

/*
 * Behind the merge: who could do something with the table of that name still
 * can.
 */
bool move_grants(Ddl *d, const Plan *plan, Err *err) MUST_CHECK;

#endif
