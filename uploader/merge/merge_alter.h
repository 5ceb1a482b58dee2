/*-------------------------------------------------------------------------
 * merge_alter.h
 *	  Columns and keys of a table of the target become what those of the
 *	  source became.
 *
 * A column is its attnum.  One that the source dropped stays, for NULLs, under
 * its name, or under another one where a column of the source has it now; with
 * merge.schema = mirror it is dropped.  Columns of the target that the source
 * never had are left alone, and so is a type that somebody chose otherwise.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_ALTER_H
#define MERGE_ALTER_H

#include "merge/merge_ddl.h"

/*
 * From versions[0], which the target has, to versions[n - 1], over those
 * between; the table is at t->target_schema and t->target_table.  Fills in
 * t->view and t->rekey; t->refused where the target refuses.
 */
bool alter_table(Ddl *d, PlanTable *t, Schema *const *versions, int n,
				 Err *err) MUST_CHECK;

#endif
