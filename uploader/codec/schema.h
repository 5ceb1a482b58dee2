/*-------------------------------------------------------------------------
 * schema.h
 *	  What a row means: the columns of one table at one moment, as the source
 *	  described them.  In the lake it is an immutable file
 *	  _cdc/schema/<schema>/<table>/<hash>.json, the hash being the first 16
 *	  hex digits of the SHA-256 of its bytes.
 *
 * Ownership: schema_free() frees everything in it.
 * Threads: immutable once finished; may be shared then.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SCHEMA_HASH_LEN 16
#define SCHEMA_FILE_MAX (16 * 1024 * 1024)

typedef struct SchemaColumn
{
	char *name;      /* at the source */
	char *json_name; /* in records: name, or with one '_' more where it is
					  * taken by metadata or a partition key */
	char *type_schema;
	char *type_name;   /* as in pg_type: "int4", "_text", "mood" */
	uint32_t type_oid; /* the source's; below 16384 the same everywhere */
	uint32_t base_oid; /* of the type below all domains */
	int32_t typmod;
	char *missing; /* what rows have that are older than the column, as text;
					* NULL: none, or no text */
	bool has_missing;
	int attnum;
	int pk;        /* position in the primary key, from 1; 0: none */
	uint8_t kind;  /* CdcS3Kind of the wire */
	bool identity; /* in the replica identity */
	bool key;      /* in the key by which rows are found */
	bool not_null;
	bool generated; /* stored generated: never to be written */
} SchemaColumn;

typedef struct Schema
{
	char *schema;
	char *table;
	uint32_t relation_id; /* OID at the source; another one: another table */
	uint32_t row_type;    /* OID of its row type; 0: not known */
	int field_base;       /* above it stand Parquet's field ids (fields.h) */
	char identity;        /* 'd', 'i', 'f', 'n' */
	int ncols;
	SchemaColumn *cols;
	char hash[SCHEMA_HASH_LEN + 1]; /* set by schema_finish, schema_parse */
	atomic_int users; /* schema_ref() and schema_free() count them */
	char *strings; /* set by schema_finish: those of the columns, in one piece
					*/
} Schema;

/* An empty schema with room for ncols columns, all zero. */
Schema *schema_new(const char *schema, const char *table, int ncols);

/*
 * One more user of a finished schema, which nobody changes then; each frees
 * it, in any thread, and the last one ends it.
 */
Schema *schema_ref(Schema *s);
void schema_free(Schema *s);

/*
 * Once all columns have their names: derives json_name and hash.  A column
 * whose name, less trailing underscores, is one of the metadata names (_op,
 * _lsn, _seq, _xid, _ts, _unchanged, _key, _before, _nokey, _moved, _withheld,
 * _jsonnull, _partial, _reason, _exact) or partition keys (year, month, day,
 * hour) gets one underscore more.  A name that a column before it has takes
 * more, until no other has it.  All that without regard to case, as engines
 * compare names (ASCII letters; others are told apart).
 */
void schema_finish(Schema *s);

/* The file's bytes, appended; and back (ERR_DATA). */
void schema_encode(const Schema *s, Buf *out);
bool schema_parse(Slice json, Schema **out, Err *err) MUST_CHECK;

/* Of two versions of a column. */
bool schema_same_type(const SchemaColumn *a, const SchemaColumn *b);

/* True where at least one column is in the key. */
bool schema_has_key(const Schema *s);

/* All columns are the key, with no primary key: equal rows are told apart by
 * nothing. */
bool schema_is_bag(const Schema *s);

#endif
