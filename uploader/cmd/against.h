/*-------------------------------------------------------------------------
 * against.h
 *	  "verify --against": are the rows that the lake tells of a table those
 *	  that a server has?
 *
 * against			 options, the log, one table after the other, the verdict
 * against_source	 the source at an LSN, without stopping who writes there
 * against_target	 the target at its position
 * against_lake		 records of a table, those that count, in their order
 * against_side		 a server's rows, as records of the same form
 * against_row		 a record's values as hashes, by the columns that are
 *compared against_fold		 rows by the hashes of their keys, in bounded memory
 * against_table	 the comparison of one table, pass by pass
 * against_tell		 what was found, as text or JSON
 *
 * Values are compared by 64 bits of a hash of the text that a merge would
 * give to the target; what the server has is first written as a record of the
 * lake would be, so that both go the same way.  Keys are 128 bits.
 *
 * Threads: one, but for what reads objects ahead.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef AGAINST_H
#define AGAINST_H

#include "cmd/against_fold.h"
#include "cmd/config.h"
#include "merge/merge_plan.h"
#include "merge/merge_sql.h"
#include "pipe/wanted.h"

#define AGAINST_WHY_MAX 512

/* A value: a hash of it, or one of these. */
enum
{
	CELL_ABSENT,    /* the record does not have the column */
	CELL_NULL,      /* SQL's */
	CELL_UNCHANGED, /* what the row had before */
	CELL_UNKNOWN,   /* the lake does not have it */
	CELL_VALUES     /* hashes are not below */
};

/* A column that both sides have. */
typedef struct AgainstColumn
{
	char *name; /* at the source */
	int attnum;
	bool key;
	int number;       /* in the server's schema */
	uint64_t missing; /* of rows that are older than the column */
	uint64_t missing_key;
} AgainstColumn;

typedef struct AgainstShape
{
	int n;
	AgainstColumn *cols;
	bool bag; /* no key: equal rows are counted */
} AgainstShape;

void against_shape_done(AgainstShape *s);

/* A schema that records were written with, along the shape. */
typedef struct AgainstVersion
{
	Schema *schema;
	int *columns; /* of the schema, by the shape's; -1: it has none */
} AgainstVersion;

typedef struct AgainstRow
{
	uint64_t *cells;
	uint64_t *second; /* another hash of each value, for keys */
	Buf text;
	Buf scratch;
} AgainstRow;

void against_row_init(AgainstRow *r, int n);
void against_row_done(AgainstRow *r);

/* fields: of a record of that version (its row, key or old row). */
bool against_row_fill(AgainstRow *r, const AgainstShape *s,
					  const AgainstVersion *v, const RecordField *fields,
					  Err *err) MUST_CHECK;

/* Of the key's columns, or of all of a bag; false: one of them is missing. */
bool against_row_key(const AgainstRow *r, const AgainstShape *s, FoldKey *out);

/* 64 bits of a whole row; sums of them are a hash of the table. */
uint64_t against_row_hash(FoldKey key, const uint64_t *cells, int n);

/* "id=5, name=x" of the key's columns, for who reads it. */
bool against_row_text(const AgainstShape *s, const AgainstVersion *v,
					  const RecordField *fields, Buf *out, Err *err) MUST_CHECK;

/* ---- the lake ---- */

typedef struct LakeTable
{
	MergeCx *cx;
	const PlanTable *plan;
	Lsn until; /* records behind it do not count */
	Schema *now;
	int nversions;
	AgainstVersion *versions;
	int nobjects;
	const EntryObject **objects; /* a load's first */
	const Schema **schemas;      /* of each */
	int *version_of;             /* likewise */
} LakeTable;

/* Reads the schemas; why: what keeps the table from being compared. */
bool lake_open(MergeCx *cx, const PlanTable *t, Lsn until, LakeTable *out,
			   char *why, Err *err) MUST_CHECK;
void lake_done(LakeTable *t);
void lake_shape(LakeTable *t, const AgainstShape *s);

/* Each record that counts, in order; loads and changes. */
typedef bool (*LakeFn)(void *arg, const Record *r, const AgainstVersion *v,
					   Err *err);
bool lake_walk(LakeTable *t, LakeFn fn, void *arg, Err *err) MUST_CHECK;

/* ---- a server ---- */

typedef struct AgainstSide
{
	PGconn *conn;
	PgRole role;
	bool raw_text;           /* the server is SQL_ASCII */
	const atomic_bool *stop; /* read between rows, too */
} AgainstSide;

bool side_encoding(AgainstSide *s, Err *err) MUST_CHECK;
bool side_query(AgainstSide *s, const char *doing, const char *sql,
				PGresult **out, Err *err) MUST_CHECK;
bool side_describe(AgainstSide *s, const WantedTable *t, Schema **out,
				   Err *err) MUST_CHECK;

typedef bool (*SideFn)(void *arg, const Record *r, Err *err);
bool side_rows(AgainstSide *s, const Schema *schema, const WantedTable *t,
			   SideFn fn, void *arg, Err *err) MUST_CHECK;

/* One row of these texts, by column; NULL is NULL. */
bool side_values(AgainstSide *s, const Schema *schema, const char *const *texts,
				 SideFn fn, void *arg, Err *err) MUST_CHECK;

/* ---- what was found ---- */

typedef enum AgainstKind
{
	AGAINST_MISSING, /* the server has no such row */
	AGAINST_EXTRA,   /* the lake tells of no such row */
	AGAINST_CHANGED,
	AGAINST_KINDS
} AgainstKind;

typedef struct AgainstDiff
{
	AgainstKind kind;
	FoldKey key;
	char *text;    /* of the key; NULL: not read yet */
	char *columns; /* of a row that changed: those that differ */
} AgainstDiff;

typedef struct AgainstResult
{
	const char *schema; /* at the source; borrowed */
	const char *table;
	const char *other_schema; /* at the server */
	const char *other_table;
	bool compared;
	bool harmless; /* not compared, and nobody has to do anything */
	bool expired;
	bool lacking;              /* the server has no such table */
	char why[AGAINST_WHY_MAX]; /* it was not compared */
	Buf notes;                 /* columns that were not compared, and such */
	int64_t rows;              /* of the lake */
	int64_t other_rows;
	uint64_t hash;
	uint64_t other_hash;
	int64_t unknown; /* values that the lake does not have */
	int64_t found[AGAINST_KINDS];
	int passes;
	int ndiffs;
	AgainstDiff *diffs; /* the first ones of each kind */
} AgainstResult;

void against_result_init(AgainstResult *r);
void against_result_done(AgainstResult *r);
void against_note(AgainstResult *r, const char *fmt, ...) PRINTF(2, 3);

typedef struct Against
{
	const Config *cfg;
	const atomic_bool *stop;
	const char *tables; /* patterns; NULL: all */
	int keys;           /* keys of each kind that are named */
	int64_t wait_ms;    /* for the log to come to the source's LSN */
	bool json;

	StoreOptions options;
	Store *store;
	MergeOptions merge;
	Progress progress;
	MergeCx cx;
	Entry *source; /* entry 0 */
	AgainstSide side;
	bool target;

	int ntables;
	int nequal;
	int ndiffers;
	int nleft; /* tables that were not compared, and somebody should know */
	int nexpired;
} Against;

bool against_wants(const Against *a, const char *schema, const char *table);

/* The tables of the log at an entry. */
bool against_plan(Against *a, PlanPosition at, Plan **out, Err *err) MUST_CHECK;

/*
 * Compares one table with what "wanted" names at the server.  Columns go
 * together by name at the target, else by attribute number.
 */
bool against_table(Against *a, const PlanTable *t, Lsn until,
				   const WantedTable *wanted, AgainstResult *r,
				   Err *err) MUST_CHECK;

/* Prints it and counts it. */
bool against_tell(Against *a, const AgainstResult *r, Err *err) MUST_CHECK;
bool against_tell_end(const Against *a, Lsn lsn, Err *err) MUST_CHECK;

bool against_source(Against *a, Lsn *out_lsn, Err *err) MUST_CHECK;
bool against_target(Against *a, Lsn *out_lsn, Err *err) MUST_CHECK;

/* "verify --against": what, tables and the rest as in the struct. */
bool against_run(Against *a, const char *what, Err *err) MUST_CHECK;

#endif
