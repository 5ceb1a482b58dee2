/*-------------------------------------------------------------------------
 * merge_view.h
 *	  Columns of earlier schemas of a table, as the target has them now.
 *
 * A column is its attnum.  What a record says of attnum 3 goes to the column
 * of the target that is attnum 3 now, whatever its name was when the record
 * was written.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_VIEW_H
#define MERGE_VIEW_H

#include "codec/schema.h"

/* Columns that the source dropped and the target still has. */
typedef struct ViewColumn
{
	int attnum;
	char *name; /* at the target */
} ViewColumn;

typedef struct View
{
	int nkept;
	ViewColumn *kept;
	int nmissing;
	ViewColumn *missing; /* name: the value, as text */
} View;

/* The name of such a column, or NULL. */
const char *view_kept(const View *v, int attnum);
void view_keep(View *v, int attnum, const char *name);
void view_done(View *v);

/* Rows from before it have this in a column that was added. */
void view_add_missing(View *v, int attnum, const char *value);

/* That value, or what the column itself tells; NULL: none. */
const char *view_missing(const View *v, const SchemaColumn *c);

/* The column with that attnum, or NULL. */
const SchemaColumn *view_find(const Schema *s, int attnum);

/*
 * Gives s, a version of the same table as now, the names of now; json_name
 * stays what its records say.  A column that is nowhere at the target has the
 * name "", which no column has; without "kept" so has one that the source
 * dropped: where rows are found by all that they hold, it would hide them.
 */
void view_through(const View *v, const Schema *now, bool kept, Schema *s);

#endif
