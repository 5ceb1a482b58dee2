/*-------------------------------------------------------------------------
 * merge_target.h
 *	  A table of the target: found, or created and widened from the source's
 *	  schema.
 *
 * Columns go by name.  A column that the source no longer has stays as it
 * is; one that the target generates is never written.
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

/*
 * versions[n-1] is the newest schema; all columns of all of them are mapped.
 * Creates what is missing.
 */
bool target_open(MergeCx *cx, const Schema *const *versions, int n,
				 Target **out, Err *err) MUST_CHECK;
void target_free(Target *t);

#endif
