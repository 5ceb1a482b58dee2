/*-------------------------------------------------------------------------
 * merge_tables.h
 *	  The tables of a range: who they are, what happens to their schemas, which
 *	  loads count, and which objects each of them gets.
 *
 * A table is one by the OID and the row type's OID that its schema files and
 * the entries' "schemas" tell.  What the target has of an older release, or
 * what a load announces, is known by its name only, until the first schema of
 * that name binds it.  Per table:
 *
 *	(1) A load that was done in the range replaces the table: its objects,
 *		then the changes behind its LSN, also those of entries that were
 *		merged or skipped before.
 *	(2) While a load is open the table's changes wait: its range ends before
 *		the entry that announced it, and that entry is remembered.
 *	(3) A load given up ends the waiting: the table goes on where it stopped.
 *		If that was its initial load, the table was dropped before it could
 *		be read: what it had in the log until then is dropped too.  A load
 *		given up and opened again in one entry waits on.
 *	(4) Without any load its changes apply from the start.  Where the log has
 *		it neither from its creation nor from a load it is "strange".
 *	(5) A load that no person asked for is of the targets that lack rows: for
 *		one that has all of the table's it is not there.
 *	(6) Of two tables with one name the later one has it.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_TABLES_H
#define MERGE_TABLES_H

#include "merge/merge_planlog.h"

/* Fills in the tables of r->plan, whose range is known. */
bool tables_plan(PlanRead *r, const PlanFrom *from, Err *err) MUST_CHECK;

#endif
