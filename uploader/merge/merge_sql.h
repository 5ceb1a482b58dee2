/*-------------------------------------------------------------------------
 * merge_sql.h
 *	  Statements at the target: what all parts of a merge share.
 *
 * A statement is sent and waited for with an eye on the stop flag, so that
 * TERM ends a long one by a cancel.
 * Threads: one.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_SQL_H
#define MERGE_SQL_H

#include "io/pgconn.h"
#include "merge/merge.h"
#include "merge/merge_progress.h"

#define SQL_MAX (16 * 1024 * 1024)

typedef struct MergeCx
{
	Store *store;
	const MergeOptions *opt;
	Progress *progress;
	PGconn *conn;
	const char *system_identifier; /* the source's, from the log */
	const char *database;
	const char *slot;
	bool keep_going;   /* on_reject = continue */
	bool replica;      /* session_replication_role is replica */
	bool bare;         /* of a preview: the target has no schema cdc_s3 */
	bool older;        /* or none of its table "tables" */
	bool ask_run;      /* loads are asked for (merge_ask.h) */
	bool adopted;      /* what another source left, in this run */
	bool retrying;     /* rejected rows of earlier merges too */
	int64_t copy_line; /* where the last COPY failed, from 1; 0: not known */
	char why[256];     /* the first reason for a rejected row */
	uint32_t lacks_of; /* OID at the source of a table whose rows cannot be
						* applied before the target has something; 0: none */
	char lacks[512];   /* the statement, and why */
	char state[8];     /* SQLSTATE of the last failure, "" without one */
} MergeCx;

/* Opens the connection to the target; its waits hear the stop. */
bool sql_connect(MergeCx *cx, Err *err) MUST_CHECK;
bool sql_connect_source(MergeCx *cx, const char *conninfo, PGconn **out,
						Err *err) MUST_CHECK;

/* One or several statements; *rows of the last one, may be NULL. */
bool sql_run(MergeCx *cx, const char *doing, const char *sql, int64_t *rows,
			 Err *err) MUST_CHECK;

/* The same with a result that the caller clears. */
bool sql_query(MergeCx *cx, const char *doing, const char *sql, PGresult **out,
			   Err *err) MUST_CHECK;

/* One statement with text parameters; out may be NULL. */
bool sql_params(MergeCx *cx, const char *doing, const char *sql, int nparams,
				const char *const *values, PGresult **out, Err *err) MUST_CHECK;

/* rows as lines of COPY's text format, "sql" being COPY … FROM STDIN. */
bool sql_copy(MergeCx *cx, const char *doing, const char *sql, Slice rows,
			  Err *err) MUST_CHECK;

/*
 * The same in pieces: begin, put …, end, which waits for what the server says
 * of all of it.  sent: what put returned each time.  abort instead of end:
 * the statement has failed then, and the transaction with it.
 */
bool sql_copy_begin(MergeCx *cx, const char *doing, const char *sql,
					Err *err) MUST_CHECK;
bool sql_copy_put(MergeCx *cx, Slice rows) MUST_CHECK;
bool sql_copy_end(MergeCx *cx, const char *doing, bool sent, int64_t *rows,
				  Err *err) MUST_CHECK;
void sql_copy_abort(MergeCx *cx);

/* One execution of a prepared statement. */
typedef struct SqlCall
{
	const char *name;
	int nparams; /* 1 or 2 */
	const char *values[2];
	int64_t rows; /* out: how many it changed */
} SqlCall;

/*
 * Executes calls in one pipeline: one answer is waited for, not n.  *done:
 * how many passed; the next one is the one that failed.  What the answers
 * hold must fit into the buffers of a socket, so n is at most SQL_CALLS_MAX.
 */
#define SQL_CALLS_MAX 256
bool sql_pipeline(MergeCx *cx, const char *doing, SqlCall *calls, int n,
				  int *done, Err *err) MUST_CHECK;

bool sql_savepoint(MergeCx *cx, const char *name, Err *err) MUST_CHECK;
bool sql_release(MergeCx *cx, const char *name, Err *err) MUST_CHECK;
/* Back to the savepoint, which is then gone. */
bool sql_rollback_to(MergeCx *cx, const char *name, Err *err) MUST_CHECK;

/* The last failure was the data's: classes 22, 23, 44, 54, P0001. */
bool sql_state_is_data(const MergeCx *cx);
/* It was a unique or exclusion constraint. */
bool sql_state_is_unique(const MergeCx *cx);
/* Another row stands in the way, or one is missing: it may come or go. */
bool sql_state_is_order(const char *state);

/* True, with err set, once a stop was asked for. */
bool sql_stopped(const MergeCx *cx, Err *err);

/* A text[] literal of one name is added; first: no comma before it. */
void sql_add_array_item(Buf *out, const char *name, bool first);

/* "schema"."table" */
void sql_add_qualified(Buf *out, const char *schema, const char *table);

#endif
