/*-------------------------------------------------------------------------
 * describe.h
 *	  Tables and columns from the source's catalogs, for the loader: the same
 *	  description that the plugin's relation frames give of a table.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "io/pgconn.h"
#include "pipe/load_chunk.h"
#include "pipe/pipe.h"
#include "pipe/wanted.h"

/* The tables to be loaded, added to list->loads with state open. */
bool describe_tables(PGconn *conn, const RunOptions *o, Entry *list,
					 Err *err) MUST_CHECK;

/*
 * The schema of one table, with the columns that are wanted; *out = NULL where
 * there is no such table (any more).  The caller frees it.
 */
bool describe_table(PGconn *conn, const WantedTable *t, Schema **out,
					Err *err) MUST_CHECK;

/*
 * A load id: 16 hex digits, random; the first ones those of the request (or of
 * a load of it) where it is not NULL.  Size LOAD_ID_LEN + 1.
 */
void load_id_new(const char *request, char *id);

/*
 * COPY (…) TO STDOUT (FORMAT binary) of the table: each value in the binary
 * form of its kind, and those of kind text as the output function prints, but
 * for jsonb (copyrow.h).  Of all blocks where the range is zero.
 */
void describe_copy(const Schema *s, const WantedTable *t, BlockRange range,
				   Buf *sql);

/* What it selects: each column in the form that copyrow.h reads. */
void describe_columns(const Schema *s, Buf *sql);

#endif
