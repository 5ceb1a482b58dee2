/*-------------------------------------------------------------------------
 * merge_stage.h
 *	  Records of one table from the lake to a temporary table of the target.
 *
 * The staging table has one row per change, typed like the target's columns,
 * so that all comparing is done by the target's types:
 *
 *	  rn			number of the row, unique
 *	  lsn, seq, sub	order; sub tells the halves of one change apart
 *	  op			'r' 'i' 'u' 'd'; a change of the key becomes 'm' (its row
 *					moved away from the old key) and 'n' (it came to the new
 *					one, with its known columns); 'x': a change of this key
 *					was rejected, and 'y' before it where it was another key
 *					before; 'w': as 'x', and the columns are those of the
 *					change
 *	  unk			numbers of the columns whose value this change does not
 *					tell; NULL: it tells all
 *	  c1 …			the target's columns
 *	  k1 …			of some of the key, the source's value (merge_equal.h)
 *
 * Of a table without a key an update is a 'd' of the old row and an 'i'.
 * What lies at or before the barrier (a truncate, the LSN of a load) does not
 * count; a query must leave it out (stage_add_condition).  Where partitions
 * were truncated the stage is applied in steps (apply_steps): up to each cut,
 * then the rows that it names are deleted, and it is the barrier.
 *
 * Memory: the compressed objects that overlap, a line of each, and a piece of
 * rows.
 * Ownership: stage_free() frees; plan table and target are borrowed.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_STAGE_H
#define MERGE_STAGE_H

#include "merge/merge_objects.h"
#include "merge/merge_plan.h"
#include "merge/merge_record.h"
#include "merge/merge_sql.h"
#include "merge/merge_target.h"
#include "merge/merge_window.h"

/* A schema version, and where the target's columns stand in it. */
typedef struct StageVersion
{
	Schema *schema;
	int *columns;   /* per target column: index in the schema, -1: not there */
	char **missing; /* per target column: COPY text of the value that rows of
					 * this version have, since it was added with a default */
	int front;      /* so many columns of the schema hold all of the key,
					 * and a row of it tells all of the target's columns; 0:
					 * it does not */
} StageVersion;

/* A truncate of some partitions: rows before it that fulfil this are gone. */
typedef struct StageCut
{
	RecordPos pos;
	char *condition; /* SQL on the target's columns */
} StageCut;

/* What one COPY takes; below. */
typedef struct StagePiece StagePiece;

typedef struct Stage
{
	MergeCx *cx;
	const PlanTable *table;
	const Target *target;
	int nversions;
	StageVersion *versions;
	char name[48];                  /* of the staging table */
	char hash[SCHEMA_HASH_LEN + 1]; /* of the newest schema */
	bool empty_base; /* the target's rows do not count any more */
	bool barrier_set;
	RecordPos barrier;
	bool whole_base; /* by the barrier all rows of the table are known */
	RecordPos base;  /* that barrier, which steps do not move */
	bool until_set;  /* what lies behind it does not count yet */
	RecordPos until;
	StageCut *cuts; /* those behind the barrier, in order, by stage_finish */
	int ncuts;

	/* Rows changed that no record tells; the last such place. */
	bool resync_set;
	RecordPos resync;
	char resync_reason[RECORD_REASON_MAX];
	bool *unknown; /* per target column: some row does not tell it */

	int64_t lines; /* of its objects, read so far */
	/* counts of records staged */
	int64_t records;
	MergeOps ops; /* of these */
	int64_t rows;
	int64_t partial; /* rows with unknown columns */
	int64_t moves;
	int64_t updates;
	int64_t deletes;
	int64_t truncates;
	int64_t poisoned;  /* changes before them were rejected */
	int64_t old_lines; /* of the table in cdc_s3.rejected (merge_lines.h) */
	int64_t lines_rn;  /* staged rows behind it come from them */
	bool retried;      /* and are changes again */
	int64_t again;     /* those of them that were rejected */
	int64_t rejected;

	int64_t next_rn; /* the last number given */
	StagePiece *piece;

	/* Set by choose_hurry, taken back on an objection (merge_hurry.h). */
	bool in_hurry;
	bool keep_all;   /* no change is left out */
	bool direct;     /* rows of the load go to the table itself: */
	bool one_text;   /* a key's value has one text */
	int64_t loaded;  /* how many went there */
	int64_t dropped; /* changes that are not staged: written over */
	int64_t late;    /* changes whose line was to be read as it leaves */
	bool distinct;   /* no key is staged twice */
	struct Hurry *hurry;
	int nobjects;
	const EntryObject **objects;
	bool start_empty; /* empty_base and barrier before anything was read */
	bool start_set;
	RecordPos start;
} Stage;

/*
 * Takes the schemas (all versions of the objects, the newest last); makes
 * the staging table, number telling it from others of the transaction.
 */
bool stage_open(MergeCx *cx, const PlanTable *table, const Target *target,
				Schema **schemas, int nschemas, int number, bool replace,
				Stage **out, Err *err) MUST_CHECK;
void stage_free(Stage *s);

/* Is it behind the barrier, as far as that is known? */
bool stage_counts(const Stage *s, const Record *r);
void stage_count_op(MergeOps *ops, char op);

/*
 * Reads the objects and stages their rows: in a hurry where choose_hurry said
 * so and nothing is refused.  The objects are borrowed, and so are the
 * schemas, until stage_free.
 */
bool stage_objects(Stage *s, const EntryObject *const *objects, int n,
				   Err *err) MUST_CHECK;
bool stage_analyze(Stage *s, Err *err) MUST_CHECK;

/* Rejects the change of a staged row (merge_reject.h). */
bool stage_reject(Stage *s, int64_t rn, const char *state, const char *reason,
				  Err *err) MUST_CHECK;

/*
 * Before the exact way: all changes in place of the last ones.  Rows of a
 * load that went to the table are there, and left out.
 */
bool stage_all(Stage *s, Err *err) MUST_CHECK;

/*
 * After stage_objects: another stage of the same table knows of a truncate or
 * load at pos; what lies at or before it does not count here either.
 */
void stage_set_barrier(Stage *s, RecordPos pos);

/* Rows changed at pos that no record tells of; the last such place counts. */
void stage_note_resync(Stage *s, RecordPos pos, const char *reason);

/* " WHERE …" that leaves out what the barrier ends; nothing without one. */
void stage_add_condition(const Stage *s, Buf *sql);

/* "c1, c4": the key's columns in the staging table, each after prefix. */
void stage_add_key(const Stage *s, Buf *sql, const char *prefix);

/* "a.c1 = b.id AND …": left's staging columns against the target's (b). */
void stage_add_match(const Stage *s, Buf *sql, const char *left,
					 const char *right);

/* ---- merge_piece: rows of records, and the COPYs that bring them ---- */

#define LSN_TEXT_MAX 24

/* One record of a piece: its rows for COPY and its line. */
typedef struct PieceItem
{
	size_t row;
	size_t line;
	RecordPos pos;
	char op;
	const StageVersion *version;
} PieceItem;

struct StagePiece
{
	Buf rows;
	Buf lines;
	Buf scratch;
	Buf copy_sql;
	PieceItem *items; /* n + 1: the last marks the end */
	int n;
	Record record;
	Lsn lsn; /* of the last row, and its text: */
	char lsn_text[LSN_TEXT_MAX];
};

/* For COPY to the table of that name. */
StagePiece *piece_new(const char *table);
void piece_free(StagePiece *p);

/* A long record's memory is not kept. */
void piece_empty(Buf *b);

/*
 * The rows of a record, appended to rows; ERR_DATA where it makes none.  In a
 * hurry the texts of its key go to lines.
 */
bool piece_add_rows(Stage *s, const StageVersion *v, const Record *r,
					Err *err) MUST_CHECK;
/* Its columns alone, as the table itself takes them; *whole: it has all. */
bool piece_add_values(Stage *s, const StageVersion *v, const Record *r,
					  bool *whole, Err *err) MUST_CHECK;

/* The record whose rows were added last stays in the piece. */
bool piece_keep(Stage *s, const PieceItem *item, Slice line,
				Err *err) MUST_CHECK;
bool piece_flush(Stage *s, Err *err) MUST_CHECK;

/* A record that does not reach the staging table; rows is what it made. */
bool piece_refuse(Stage *s, const PieceItem *item, Slice line, size_t rows,
				  size_t nrows, const char *state, const char *reason,
				  Err *err) MUST_CHECK;

/* ---- merge_late.c ---- */

/* Sets v->front. */
void late_map(const Target *t, StageVersion *v);

/* Takes the line, or leaves *taken false and all as it was. */
bool late_take(Stage *s, const StageVersion *v, Slice line, bool *taken,
			   Err *err) MUST_CHECK;

/* A WindowMake; arg is the stage. */
bool late_make(void *arg, const WindowLine *late, Slice *out,
			   Err *err) MUST_CHECK;

#endif
