/*-------------------------------------------------------------------------
 * merge_reject.h
 *	  cdc_s3.rejected: what is kept there of a change that was refused.
 *
 *	  "row"		the columns by name as a JSON object, each as the text that
 *				its type reads; of a delete the key; without columns that the
 *				change does not tell.  Where the record makes no such row it
 *				is the record's line
 *	  old_key	the key of the row before the change, new_key behind it: JSON
 *				objects of the same form.  An insert has no old one, a delete
 *				no new one; old_key is NULL too once another row took its
 *				place.  A table without a key has no keys, and old_key of an
 *				update is the whole old row
 *	  unchanged	names of the columns that the change does not tell; NULL: no
 *				retry can read the line
 *	  schema_hash	the schema by which a retry finds the table
 *
 * What becomes of the lines later is merge_lines.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_REJECT_H
#define MERGE_REJECT_H

#include "merge/merge_plan.h"
#include "merge/merge_record.h"
#include "merge/merge_sql.h"
#include "merge/merge_target.h"

/* Whose lines they are; all borrowed. */
typedef struct RejectTo
{
	MergeCx *cx;
	const PlanTable *table;
	const Target *target;
	const char *stage; /* the staging table */
	const char *hash;  /* of the newest schema */
	bool goes_on;      /* a row that is refused does not stop the merge */
} RejectTo;

/* A record that the staging table did not take. */
typedef struct Refused
{
	RecordPos pos;
	char op;
	Slice line;        /* of the object */
	Slice rows;        /* as COPY was sent them; empty where it makes none */
	Slice keys;        /* its old and new key, the same way; or empty */
	const char *hash;  /* of its schema */
	const char *state; /* SQLSTATE, "" where no statement failed */
	const char *reason;
} Refused;

/*
 * Keep it in cdc_s3.rejected, or fail with ERR_TARGET where a reject stops
 * the run.
 */
bool reject_record(const RejectTo *s, const Refused *r, Err *err) MUST_CHECK;

/*
 * The same of a staged row; the old row of a change of a key precedes it.
 * again: an earlier merge rejected it too, so that it stops nothing.
 */
bool reject_staged(const RejectTo *s, int64_t rn, bool again, const char *state,
				   const char *reason, Err *err) MUST_CHECK;

/* Columns and indexes that a target of an older release lacks. */
bool reject_create(MergeCx *cx, Err *err) MUST_CHECK;

/* "'{"a","b"}'": names of the target's columns, or of its key's. */
void reject_add_names(const Target *t, Buf *sql, bool keys);

#endif
