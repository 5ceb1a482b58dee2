/*-------------------------------------------------------------------------
 * merge_owner.h
 *	  Which tables of the target a merge may write, and whose rows they hold.
 *
 * What the lake says is not trusted with the choice: a merge writes tables
 * that it made, that were empty when it first came to them, or that
 * merge.tables or merge.map name; never those of the server, of an extension,
 * or its own.  cdc_s3.tables keeps for each source table where it goes, so
 * that two of them, of one source or of two, never share a table.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_OWNER_H
#define MERGE_OWNER_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

/* A table of the target, and what is found there. */
typedef struct OwnerTable
{
	const char *schema; /* borrowed */
	const char *table;
	const char *name;       /* both, quoted */
	bool had_rows;          /* of its own, when the first merge came to it */
	const char *incomplete; /* why it lacks rows that earlier entries had:
							 * a reason for cdc_s3.resync, or NULL; static */
} OwnerTable;

/*
 * The source table goes to t, which is there (oid) or will be made (NULL);
 * ERR_USAGE where it may not.  Remembers it, and sets t->had_rows and
 * t->incomplete.
 */
bool owner_take(MergeCx *cx, const char *schema, const char *table,
				const char *oid, OwnerTable *t, Err *err) MUST_CHECK;

/* ERR_USAGE where two tables of the plan go to one table. */
bool owner_check_plan(const MergeCx *cx, const Plan *plan, Err *err) MUST_CHECK;

/*
 * merge.map names the source table, or merge.tables that of the target: it
 * may be written though no merge made it.
 */
bool owner_is_named(const MergeCx *cx, const char *schema, const char *table,
					const char *target_schema, const char *target_table);

/* merge.exclude names the table. */
bool owner_excludes(const MergeCx *cx, const PlanTable *t);

/*
 * The changes of an excluded table were passed over; owner_take() of it then
 * asks for a load, unless one is at hand.
 */
bool owner_note_excluded(MergeCx *cx, const PlanTable *t, Lsn lsn,
						 Err *err) MUST_CHECK;

/*
 * A target that was merged before cdc_s3.tables was there: all tables that
 * the log named up to entry "to" count as made by merge.
 */
bool owner_adopt(MergeCx *cx, int64_t to, Err *err) MUST_CHECK;

#endif
