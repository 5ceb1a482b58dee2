/*-------------------------------------------------------------------------
 * ddl_view.h
 *	  What the makers of views share; for ddl_value.c and ddl_view.c only.
 *
 * All of these append to View.out, but for what returns something.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef DDL_VIEW_H
#define DDL_VIEW_H

#include "cmd/ddl.h"

typedef enum Which
{
	ALL,
	KEYS,
	PLAIN, /* not in the key, and told by each record */
	TOAST  /* not in the key, and an update may leave it out */
} Which;

typedef struct View
{
	const DdlJob *job;
	const DdlTable *table;
	const DdlEngine *engine;
	const Schema *now;
	Buf *out;
	DdlField *fields;
	int nfields;
	int first; /* version that the view's first record may have */
} View;

/* ---- which columns ---- */

bool view_is_in(const SchemaColumn *c, Which which);
int view_count(const View *v, Which which);

/* All columns are the key: equal rows cannot be told apart. */
bool view_is_bag(const Schema *s);

/* "pattern" for each of these columns, # being its number. */
void view_each(const View *v, Which which, const char *between,
			   const char *pattern);

/* The same in a list that has begun. */
void view_also(const View *v, Which which, const char *pattern);

/* ---- what they are in the table ---- */

/* t."name", the table's own column; the same as a text, which is owned. */
void view_own(const View *v, const char *name);
char *view_own_text(const View *v, const char *name);

/* An expression of the table's type as the right one, that of the view. */
void view_typed(const View *v, const SchemaColumn *c, const char *text);

/* The column's value in "_key" or "_before". */
void view_member(const View *v, const char *object, const SchemaColumn *c);

/* ---- and in each version ---- */

const SchemaColumn *view_in_version(const View *v, int version, int attnum);
void view_is_before(const View *v, Lsn lsn, int64_t seq);

/* The value of column c in any record: a CASE where versions differ. */
void view_value(const View *v, const SchemaColumn *c);

/* 1 where the column is told by this record: it is not unchanged. */
void view_told(const View *v, const SchemaColumn *c);

#endif
