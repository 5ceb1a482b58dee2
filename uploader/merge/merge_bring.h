/*-------------------------------------------------------------------------
 * merge_bring.h
 *	  The tables of a plan: staged, applied, told in the result.
 *
 * Ownership: bring_done() frees; plan and result are borrowed.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_BRING_H
#define MERGE_BRING_H

#include "merge/merge_group.h"
#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

typedef struct Bring
{
	MergeCx *cx;
	Plan *plan;
	MergeResult *out;
	bool mirror; /* merge.schema = mirror */
	int group;   /* whose tables are meant; 0: those of no group */
	Facts facts;
	int staged; /* staging tables made in this transaction */
	int ntables;
	GroupTable *tables; /* staged and still to be applied */
	int nschemas;
	Schema **schemas; /* that their stages use */
} Bring;

/* All tables of the plan that have something to be done. */
bool bring_tables(Bring *b, Err *err) MUST_CHECK;

/* What is staged is not wanted any more. */
void bring_drop(Bring *b);
void bring_done(Bring *b);

/* Has a merge anything to do for the table? */
bool bring_has_work(const Bring *b, const PlanTable *t);

/* The number of the line of a target table in the result, which has one. */
int bring_line(MergeResult *r, const char *schema, const char *table);

/* What was done to a table in another transaction is added to its line. */
void bring_add_line(MergeResult *r, const MergeTable *done);

#endif
