/*-------------------------------------------------------------------------
 * merge_facts.h
 *	  What the target's catalog says about the tables of a merge: foreign
 *	  keys in force, triggers and rules that would run, unique columns.
 *
 * A partition counts for the table that it belongs to.
 * Ownership: facts_done() frees all.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FACTS_H
#define MERGE_FACTS_H

#include "merge/merge_sql.h"

/* A pair of columns of a foreign key. */
typedef struct FactPair
{
	char *child;
	char *parent;
	char *equal;  /* "OPERATOR(schema.=)", the parent's column on the left */
	char *preset; /* the child's default, an expression; "NULL" without one */
} FactPair;

/* Actions are those of pg_constraint: a no action, r restrict, c n d. */
typedef struct FactKey
{
	uint32_t child; /* OIDs of the tables, not of their partitions */
	uint32_t parent;
	char *child_name; /* quoted; of a partition where it has the key alone */
	char on_delete;
	char on_update;
	int npairs;
	FactPair *pairs;
} FactKey;

typedef struct Facts
{
	int nkeys;
	FactKey *keys;
} Facts;

/* A column of a unique or exclusion constraint. */
typedef struct FactColumn
{
	char *name;
	char *type;
	bool nullable;
} FactColumn;

typedef struct FactTable
{
	uint32_t oid;
	bool watched;    /* a trigger or rule of a user would run */
	bool deferrable; /* it has constraints that may wait for the commit */
	bool indexed;    /* an index begins with a column of the key */
	int nunique;
	FactColumn *unique;
} FactTable;

/* All foreign keys of the database; none where they are not in force. */
bool facts_read(MergeCx *cx, Facts *out, Err *err) MUST_CHECK;
void facts_done(Facts *f);

/* name: quoted and qualified; key: an array literal of the key's columns. */
bool facts_table(MergeCx *cx, const char *name, const char *key, FactTable *out,
				 Err *err) MUST_CHECK;
void facts_table_done(FactTable *t);

static inline bool
facts_acts(char action)
{
	return action == 'c' || action == 'n' || action == 'd';
}

#endif
