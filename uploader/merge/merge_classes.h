/*-------------------------------------------------------------------------
 * merge_classes.h
 *	  A table's objects by what their schemas say the key is: that may change
 *	  and change back, and differ from partition to partition.
 *
 * Ownership: the schemas are the caller's to free, once nothing reads the
 * objects any more; classes_done() frees the rest.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_CLASSES_H
#define MERGE_CLASSES_H

#include "merge/merge_plan.h"
#include "merge/merge_sql.h"

/* Objects of one table whose schemas define the same key. */
typedef struct KeyClass
{
	int nobjects;
	const EntryObject **objects;
	int nschemas;
	Schema **schemas; /* in the order of their first use */
} KeyClass;

/* A table's objects; with several classes there is no one key to fold by. */
typedef struct TableRead
{
	PlanTable *table;
	KeyClass all; /* owns the schemas */
	int nclasses;
	KeyClass *classes;
} TableRead;

/* Of r->table; in the order of the log, with the columns' names of now. */
bool classes_read(MergeCx *cx, TableRead *r, Err *err) MUST_CHECK;
void classes_done(TableRead *r);

/* Is the newest schema the last of the first class, as target_open() wants? */
bool classes_last_is_now(const TableRead *r);

#endif
