/*-------------------------------------------------------------------------
 * told.h
 *	  What a session has said of each table, and what its entries have to say:
 *	  from which change on a table has which name and schema, and where it
 *	  ends.  A table is what its OID names; with rows as root, the root's.
 *
 * Threads: the encoder's alone.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef TOLD_H
#define TOLD_H

#include "pipe/checkpoint.h"

/* What was said last of one table. */
typedef struct Said
{
	struct Said *next; /* in its bucket */
	uint32_t relation_id;
	Table *table;       /* borrowed */
	bool there;         /* neither gone nor left since */
	Table *root;        /* of a partition: whose rows it has; borrowed */
	uint64_t rewritten; /* transaction of its last resync record for that */
} Said;

typedef struct Told Told;

Told *told_new(void);
void told_free(Told *t);

/* Was this said last of the table?  Asked for each row. */
static inline bool
told_last(const Table *table)
{
	return table->said && table->said->there && table->said->table == table;
}

/*
 * The change at "at" has this schema: said where it differs from what was said
 * last, or the table was created in this transaction.  Positions never go
 * back.  The table's next object brings its schema file.
 */
void told_table(Told *t, Table *table, Position at, bool created);

/*
 * The table with this OID is gone, or not wanted any more.  It may be one of
 * which this session knows nothing; of very many such not all are said.
 */
void told_end(Told *t, uint32_t relation_id, bool gone, Position at);

/*
 * A relation is a partition by now: if it was a table of its own, it has left,
 * and its rows came to the root: true.
 */
bool told_partition(Told *t, uint32_t relation_id, Position at);

/* Rows of this partition are of that table. */
void told_leaf(Told *t, uint32_t relation_id, Table *root);

/*
 * A relation is gone, or a table of its own: the table that had its rows as a
 * partition's, as it is now, or NULL.
 */
Table *told_detached(Told *t, uint32_t relation_id);

/* Does anything at or before this position wait for an entry? */
bool told_waits(const Told *t, Lsn until);

/*
 * Puts all that waits, at or before this position, into the entry.  Schema
 * files that no object has brought are written before it.
 */
void told_take(Told *t, Lsn until, Checkpoint *c);

#endif
