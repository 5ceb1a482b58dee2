/*-------------------------------------------------------------------------
 * merge_target.h
 *	  A table of the target: found, or created and widened from the source's
 *	  schema.
 *
 * Columns go by name: those of earlier schemas have the names of now
 * (merge_view.h).  A column that the source no longer has stays as it is; one
 * that the target generates is never written.
 * Ownership: target_free() frees all.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_TARGET_H
#define MERGE_TARGET_H

#include "codec/schema.h"
#include "merge/merge_form.h"
#include "merge/merge_sql.h"

typedef struct TargetColumn
{
	char *name;
	char *type;      /* below all domains, as SQL */
	char *collation; /* quoted and qualified, "" without one */
	char *equal;     /* "OPERATOR(schema.=)" of the type's default order */
	Form form;       /* is it as fine as the source's? */
	bool key;
	bool primary; /* in the source's primary key */
	bool identity_always;
} TargetColumn;

typedef struct Target
{
	char *schema;
	char *table;
	char *name;       /* both, quoted */
	bool partitioned; /* no system columns to rely on */
	bool planned;     /* of a preview: it is not there */
	bool arbiter;     /* a unique index that ON CONFLICT takes fits the key */
	bool unique;      /* one that may wait for the commit, or that */
	bool weak;        /* nothing says that the key tells all rows apart: not
					   * unique, and less than the source's primary key, as
					   * the identity of a partition may be */
	bool has_key;
	bool had_rows; /* as in OwnerTable */
	const char *incomplete;
	const char *unfit; /* why rows of the source cannot be brought there: a
						* reason for cdc_s3.resync, or NULL; static */
	int ncols;         /* the columns to be written, in the table's order */
	TargetColumn *cols;
} Target;

/*
 * True where rows are found by a key.  A table with REPLICA IDENTITY FULL and
 * no primary key has all its columns in the "key", and is a bag of rows.
 */
bool target_is_keyed(const Schema *s);

/* Where the rows of a table of the source go. */
typedef struct TargetPlace
{
	const char *from_schema; /* at the source */
	const char *from_table;
	const char *schema; /* NULL: where merge.map says */
	const char *table;
	bool altered; /* its columns are what the source's became, or would be */
} TargetPlace;

/*
 * versions[n-1] is the newest schema; all columns of all of them are mapped.
 * Creates what is missing.
 */
bool target_open(MergeCx *cx, const TargetPlace *place,
				 const Schema *const *versions, int n, Target **out,
				 Err *err) MUST_CHECK;

/* A column's type in the target's SQL; the caller frees. */
bool target_column_type(MergeCx *cx, const Schema *s, const SchemaColumn *c,
						char **out, Err *err) MUST_CHECK;
void target_free(Target *t);

#endif
