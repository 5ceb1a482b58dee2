/*-------------------------------------------------------------------------
 * merge_lines_impl.h
 *	  What merge_lines.c and merge_lines_end.c share; for these two only.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_LINES_IMPL_H
#define MERGE_LINES_IMPL_H

#include "merge/merge_stage.h"

/* source and table of the lines: parameters $1 to $5 */
#define OF_TABLE                                                               \
	"(system_identifier, database, slot, source_schema,"                       \
	" source_table) = ($1, $2, $3, $4, $5)"

/* Tells the table's temporary tables from others of the transaction. */
const char *lines_number(const Stage *s);

/* A statement about the lines of the table, by $1 to $5. */
bool lines_of_table(const Stage *s, const char *doing, const char *sql,
					PGresult **res, Err *err) MUST_CHECK;

/* Runs the statement and empties it; rows may be NULL. */
bool lines_run(const Stage *s, const char *doing, Buf *sql, int64_t *rows,
			   Err *err) MUST_CHECK;

/* json_to_record(from) AS name ("a" integer, …), of the key or of all. */
void lines_add_record(const Stage *s, const char *from, const char *name,
					  bool keys, Buf *sql);

#endif
