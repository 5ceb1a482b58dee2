/*-------------------------------------------------------------------------
 * wanted.h
 *	  Which tables, rows and columns a load takes: by the plugin's rule, so
 *	  that load and stream have the same of each table.
 *
 * The rule is that of plugin/relcache.c (choose_shape) and
 * plugin/publication.c, asked of the catalogs as the connection's snapshot has
 * them; test/t/065_load_rule.pl holds the two against each other.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef WANTED_H
#define WANTED_H

#include "io/pgconn.h"
#include "pipe/pipe.h"

/* A stored table whose rows count. */
typedef struct WantedLeaf
{
	uint32_t oid;
	uint32_t filenode; /* another one: it was rewritten */
} WantedLeaf;

/* A table of the lake: itself, or in whose shape its partitions are sent. */
typedef struct WantedTable
{
	char *schema;
	char *table;
	uint32_t oid;
	bool partitioned;
	bool whole; /* all partitions count, not only those in "leaves" */
	int nleaves;
	WantedLeaf *leaves; /* by OID */
	char *columns;      /* attribute numbers "1,3"; NULL for all */
} WantedTable;

typedef struct WantedList
{
	int n;
	WantedTable *tables;
} WantedList;

/*
 * All that are wanted, or, where schema and table are not NULL, the one with
 * that name (none: it is not there, or not wanted).  wanted_done() also after
 * a failure.
 */
bool wanted_read(PGconn *conn, const RunOptions *o, const char *schema,
				 const char *table, WantedList *out, Err *err) MUST_CHECK;
void wanted_done(WantedList *l);
void wanted_table_done(WantedTable *t); /* one of its tables */

/* What a load that nobody asked for has to know of a table. */
typedef struct WantedFact
{
	bool readable; /* the role may read it, and the stored ones below it */
	bool old;      /* it was made before all that the slot will still bring */
} WantedFact;

#define WANTED_UNREADABLE                                                      \
	"grant SELECT on it, or BYPASSRLS where row security hides rows, then "    \
	"cdc-s3 snapshot; or leave it out with source.exclude"

/* out has room for l->n; of a table that is gone both are false. */
bool wanted_facts(PGconn *conn, const char *slot, const WantedList *l,
				  WantedFact *out, Err *err) MUST_CHECK;

/* The same table, of the same stored ones, with the same columns chosen. */
bool wanted_equal(const WantedTable *a, const WantedTable *b);

/*
 * Refuses what START_REPLICATION would refuse, before there is a slot: a
 * publication that is not there, or that has a row filter.
 */
bool wanted_publications(PGconn *conn, const char *list, Err *err) MUST_CHECK;

/*
 * source.publication as the plugin reads it (unquoted names in lower case), as
 * an array literal; "{}" for none.  ERR_USAGE where it is malformed.
 */
bool wanted_names(const char *list, Buf *out, Err *err) MUST_CHECK;

#endif
