/*-------------------------------------------------------------------------
 * merge_form.h
 *	  Whether a column of the target is as fine as the source's, and if not
 *	  so, in which type the source's values are told apart.
 *
 * A column is *coarse* where its type, modifier or collation may hold equal,
 * or may not hold at all, what the source tells apart.  Of one of the key the
 * source's value is kept beside it in the staging table, as "k<n>" in a type
 * whose equality is the source's: its *form* (merge_equal.h).
 *
 * Ownership: form_done() frees all.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FORM_H
#define MERGE_FORM_H

#include "codec/schema.h"
#include "merge/merge_sql.h"

typedef struct Form
{
	/* the target's column, below all domains */
	uint32_t oid;
	int32_t typmod;
	char *type_schema;
	char *type_name;
	const char *own_equal; /* its equality; borrowed */
	bool nondeterministic; /* its collation */

	bool coarse;
	char *type; /* of the form; NULL but for a coarse column of the key */
	const char *equal; /* "OPERATOR(schema.=)" of that type; borrowed */
	bool bytes;        /* compared by bytes */
} Form;

/*
 * The column at the source, in n versions of the table, the newest last; the
 * target's side of f is filled in.
 */
bool form_judge(MergeCx *cx, const SchemaColumn *const *versions, int n,
				bool key, Form *f, Err *err) MUST_CHECK;
void form_done(Form *f);

/* ", k2 numeric" where it has a form. */
void form_add_column(const Form *f, int number, Buf *sql);

/* A value of the target's type, read back in the form's; column is quoted. */
void form_add_back(const Form *f, Buf *sql, const char *prefix,
				   const char *column);

#endif
