/*-------------------------------------------------------------------------
 * fields.h
 *	  Parquet's field ids: what a table's columns are numbered from.
 *
 * A column's id is its attnum above its table's base (Schema.field_base),
 * which stands in the schema file.  Engines that know columns by their ids thus
 * never take a column for one of an earlier table of that name.
 *
 * Invariants:
 *	(1) Of one name, tables with different OIDs have different bases; the
 *		first one has 0.
 *	(2) A table has the same base as in any of its schema files, whatever
 *		happened to the name meanwhile.
 *	(3) No base reaches into the ids of metadata (PARQUET_FIELD_META).
 *
 * What the lake has is known from its schema files: their names are listed at
 * a session's start.  Those of one table are read only where it is there with
 * another version than any that they are of: it was altered, or made anew.
 *
 * Threads: any; one mutex, held while the store is asked.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef FIELDS_H
#define FIELDS_H

#include "pipe/pipe.h"

typedef struct Fields Fields;

/*
 * For the session: into Pipe.fields.  A listing that is refused is a warning
 * where no output is Parquet: then (1) does not hold.
 */
bool fields_open(Pipe *p, Store *store, Err *err) MUST_CHECK;
void fields_free(Fields *f); /* NULL is fine */

/*
 * Gives the schema, which nobody else has yet, its base and the hash that
 * comes of it.  Where the store fails for good, so does the session.
 */
void fields_resolve(Pipe *p, Schema *s);

/* The base behind that one. */
int fields_next(int base);

#endif
