/*-------------------------------------------------------------------------
 * merge_relabel.h
 *	  Lines of rejected rows name columns as the target's are named.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_RELABEL_H
#define MERGE_RELABEL_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

/* Columns of the old schema have the names that they have now. */
bool relabel_lines(MergeCx *cx, const PlanTable *t, const Schema *old,
				   const Schema *now, Err *err) MUST_CHECK;

#endif
