/*-------------------------------------------------------------------------
 * merge_step.h
 *	  What the parts of the exact way share (merge_exact.h).
 *
 *	  merge_exact	 pieces of source transactions, begin and end of a group
 *	  merge_read	 staged changes as steps, in order
 *	  merge_perform	 steps as statements, taken apart where one is refused
 *	  merge_mend	 what to do where rows were there, or were not
 *	  merge_settle	 steps that wait for the end of their transaction
 *	  merge_release	 deletes that cannot wait so long
 *	  merge_shape	 the statements' SQL
 *	  merge_fate	 what became of a change that others follow
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_STEP_H
#define MERGE_STEP_H

#include "merge/merge_facts.h"
#include "merge/merge_fate.h"
#include "merge/merge_stage.h"

#define BATCH_MAX 1000 /* steps of one statement */

/* A staged table, or what was staged of it under one definition of its key. */
typedef struct ExactMember
{
	Stage *stage;     /* borrowed */
	MergeTable *out;  /* counts; borrowed */
	FactTable *facts; /* borrowed */
} ExactMember;

typedef enum StepKind
{
	STEP_INSERT, /* a new row; one that is there is updated */
	STEP_UPDATE, /* a row by its key */
	STEP_MOVE,   /* a row by its old key */
	STEP_DELETE,
	STEP_DELETE_ALONG, /* with rows that the same transaction deletes */
	STEP_BAG_INSERT,   /* the same of a table without a key */
	STEP_BAG_UPDATE,
	STEP_BAG_DELETE,
	STEP_MARK, /* a change of this key was rejected while it was staged */
	STEP_CUT   /* partitions were truncated; rn: number of the stage's cut */
} StepKind;

typedef enum StepState
{
	STEP_PENDING,
	STEP_WAITS, /* a copy of it waits (Exact.held) */
	STEP_ACTED, /* an action of the target did it, if the parent's step passes
				 */
	STEP_DONE   /* applied, rejected, or of no use any more */
} StepState;

typedef struct Step
{
	int table;
	StepKind kind;
	StepState state;
	int flips;      /* times that it became another kind, as rows were there */
	bool cascaded;  /* the target's ON UPDATE CASCADE may have done it */
	bool by_action; /* of a bag: it did, if the parent's key changed: */
	int parent;     /* table and row number of the step that changed it */
	int64_t parent_rn;
	bool renews; /* a new row for a key whose delete waited */
	bool absent; /* a delete that found nothing */
	bool over;   /* it writes over updates that were left out */
	bool asked;  /* the delete whose key it takes was tried (merge_release) */
	int unk;     /* names the columns that it does not tell; 0: it tells all */
	RecordPos pos;
	int64_t rn;         /* of the new row; of the key for a delete */
	int64_t old;        /* of the old key or old row, 0 without one; of a
						 * delete: the row left behind */
	int64_t prev[2];    /* changes of the same keys before it, 0 without one */
	RecordPos prev_pos; /* of the later one of them */
	char sqlstate[6];   /* of the last refusal */
	char *reason;       /* owned where the step waits */
} Step;

/* The staged row whose key says which row of the table is meant. */
static inline int64_t
step_row(const Step *s)
{
	return s->old && s->kind != STEP_INSERT && s->kind != STEP_UPDATE ? s->old
																	  : s->rn;
}

/* A prepared statement of a table. */
typedef struct Shape
{
	StepKind kind;
	int unk;
	char name[40];
} Shape;

typedef struct ExactTable
{
	ExactMember m;
	int nshapes;
	Shape **shapes;
	int nunknown; /* texts like "{3,5}"; Step.unk is a number + 1 */
	char **unknown;
	int next_cut;
	bool referenced; /* deletes wait for the end of their transaction */
	bool by_default; /* its identity columns take values now */
	bool late;       /* rows that a load ended may go at the group's end */
	bool emptied;    /* all rows that are there when the group begins go */
	bool plain;      /* nobody but its key sees an update of a row */
	bool suspected;  /* it was asked which rows may be refused: */
	int nsuspects;
	int64_t *suspects; /* numbers of staged rows, in order */
} ExactTable;

typedef struct ExactRead
{
	PGresult *res; /* what was fetched; the next row is at */
	int at;
	bool end;
} ExactRead;

typedef struct Exact
{
	MergeCx *cx;
	const Facts *facts;
	int ntables;
	ExactTable *tables;
	ExactRead read;
	FateMap fates;
	FateMap unmoved; /* changes of a key that became another kind of step */
	int releases;    /* times that its deletes were tried before its end */
	int nheld;       /* steps that wait, of one source transaction */
	int cap_held;
	Step *held;
	Lsn held_lsn;
	int names;       /* of prepared statements, given so far */
	bool deferrable; /* constraints may wait for the commit */
	bool immediate;  /* but do not, now */
	bool settling;   /* the transaction's end has come */
} Exact;

/* ---- merge_read ---- */

bool read_open(Exact *x, Err *err) MUST_CHECK;
bool read_close(Exact *x, Err *err) MUST_CHECK;
/*
 * Up to max steps, to the end of a transaction where that fits: then
 * *complete.  *n = 0 at the end.
 */
bool read_piece(Exact *x, Step *steps, int max, int *n, bool *complete,
				Err *err) MUST_CHECK;

/* ---- merge_shape ---- */

/* The name of the prepared statement for a step. */
bool shape_name(Exact *x, const Step *s, const char **out, Err *err) MUST_CHECK;
bool shape_forget(Exact *x, int table, Err *err) MUST_CHECK;
/* One statement for changes of keys of one table that tell all columns. */
void shape_add_moves(const Exact *x, Step *const *list, int n, Buf *sql);
/* Rows that may refer to a row that goes. */
typedef enum GuardKind
{
	GUARD_STRICT, /* none */
	GUARD_ALONG,  /* those that the transaction of "f" deletes too */
	GUARD_ENDED   /* those of tables that are emptied */
} GuardKind;

/* " AND NOT EXISTS (…)": rows "t" that others refer to stay. */
void shape_add_guard(const Exact *x, int table, GuardKind kind, Buf *sql);

/* ---- merge_perform ---- */

/* Performs those that are pending; some may wait afterwards (invariant 5). */
bool perform(Exact *x, Step **list, int n, Err *err) MUST_CHECK;
/*
 * Pending ones, all or none: *passed false where one was refused, and then
 * the transaction has failed or is to be rolled back by the caller.
 */
bool perform_all(Exact *x, Step **list, int n, bool *passed,
				 Err *err) MUST_CHECK;
bool perform_reject(Exact *x, Step *s, const char *state, const char *reason,
					Err *err) MUST_CHECK;
/* Lets it wait for the end of its transaction. */
void perform_hold(Exact *x, Step *s, const char *state, const char *reason);

/* ---- merge_suspect ---- */

/*
 * A constraint refused a statement of the table (state): once a table, the
 * staged rows that fulfil none of its constraints are looked for.
 */
bool suspect_look(Exact *x, int table, const char *state, Err *err) MUST_CHECK;
/* Is the step's row one of them? */
bool suspect_is(const Exact *x, const Step *s);

/* ---- merge_mend ---- */

/*
 * What can be done about steps whose statement changed fewer rows than it
 * was sent: *again where they are to be performed anew.
 */
bool mend(Exact *x, Step **list, int n, bool *again, Err *err) MUST_CHECK;
/* Sets present[i] where the row of list[i] is there; all are of one table. */
bool mend_look_up(Exact *x, Step **list, int n, bool *present,
				  Err *err) MUST_CHECK;
/* Columns that are always generated take values until exact_apply ends. */
bool mend_identity_back(Exact *x, Err *err) MUST_CHECK;

/* ---- merge_release ---- */

/* Is it a delete that could be tried before the end of its transaction? */
bool release_may(const Exact *x, int64_t place);
/* *passed: it is done, and waits no more. */
bool release_delete(Exact *x, int64_t place, bool *passed, Err *err) MUST_CHECK;
/* Those of a table, a few times a transaction; *any: some are done. */
bool release_deletes(Exact *x, int table, bool *any, Err *err) MUST_CHECK;

/* ---- merge_settle ---- */

bool settle(Exact *x, Err *err) MUST_CHECK;

#endif
