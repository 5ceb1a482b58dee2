/*-------------------------------------------------------------------------
 * merge_sql.c
 *	  Statements at the target.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "merge/merge_preview.h"

#define COPY_PIECE (64 * 1024)

bool
sql_stopped(const MergeCx *cx, Err *err)
{
	if (!cx->opt->stop || !atomic_load(cx->opt->stop))
		return false;
	err_set(err, ERR_STOP, 0, "the merge was stopped");
	return true;
}

static bool
is_stopped(void *arg)
{
	Err ignored;

	return sql_stopped(arg, &ignored);
}

static void
tick(void *arg)
{
	const MergeCx *cx = arg;

	progress_tick(cx->progress);
}

static bool
is_error(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_FATAL_ERROR || s == PGRES_BAD_RESPONSE ||
		   s == PGRES_NONFATAL_ERROR;
}

bool
sql_connect(MergeCx *cx, Err *err)
{
	PgWait wait = { .stopped = is_stopped,
					.tick = tick,
					.arg = cx,
					.limit_ms = cx->opt->silence_ms };

	return pg_connect_wait(cx->opt->conninfo, PG_TARGET, &wait, &cx->conn, err);
}

bool
sql_connect_source(MergeCx *cx, const char *conninfo, PGconn **out, Err *err)
{
	PgWait wait = { .stopped = is_stopped, .tick = tick, .arg = cx };

	return pg_connect_wait(conninfo, PG_SOURCE, &wait, out, err);
}

/* "COPY t, line 5, column c": the line, whatever the language. */
static int64_t
failed_line(const PGresult *res)
{
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
	const char *p = context ? strstr(context, "COPY cdc_s3_stage_") : NULL;

	p = p ? strpbrk(p, ", ") : NULL;
	p = p ? strpbrk(p + 1, " ") : NULL;
	p = p ? strpbrk(p, "0123456789") : NULL;
	return p ? strtoll(p, NULL, 10) : 0;
}

static PGresult *
take(MergeCx *cx)
{
	progress_tick(cx->progress);
	return pg_take(cx->conn);
}

/* Takes res; false with state and err set where it is a failure. */
static bool
judge(MergeCx *cx, const char *doing, PGresult *res, PGresult **out, Err *err)
{
	const char *state;

	cx->state[0] = '\0';
	cx->copy_line = 0;
	if (res && !is_error(res))
	{
		if (out)
			*out = res;
		else
			PQclear(res);
		return true;
	}
	state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	if (res)
		cx->copy_line = failed_line(res);
	if (state)
		(void) snprintf(cx->state, sizeof(cx->state), "%s", state); /* fits */
	pg_error(cx->conn, res, PG_TARGET, doing, err);
	PQclear(res);
	(void) sql_stopped(cx, err); /* then that is the reason */
	return false;
}

static bool
send_failed(MergeCx *cx, const char *doing, Err *err)
{
	cx->state[0] = '\0';
	return pg_error(cx->conn, NULL, PG_TARGET, doing, err);
}

/* Of a preview: a statement that would write is not sent. */
static bool
skipped(MergeCx *cx, const char *sql, PGresult **out)
{
	if (!cx->opt->preview || !preview_skips(cx->opt->preview, sql))
		return false;
	if (out)
		*out = PQmakeEmptyPGresult(cx->conn, PGRES_COMMAND_OK);
	return true;
}

bool
sql_query(MergeCx *cx, const char *doing, const char *sql, PGresult **out,
		  Err *err)
{
	if (sql_stopped(cx, err))
		return false;
	if (skipped(cx, sql, out))
		return true;
	if (!PQsendQuery(cx->conn, sql))
		return send_failed(cx, doing, err);
	return judge(cx, doing, take(cx), out, err);
}

bool
sql_params(MergeCx *cx, const char *doing, const char *sql, int nparams,
		   const char *const *values, PGresult **out, Err *err)
{
	if (sql_stopped(cx, err))
		return false;
	if (skipped(cx, sql, out))
		return true;
	if (!PQsendQueryParams(cx->conn, sql, nparams, NULL, values, NULL, NULL, 0))
		return send_failed(cx, doing, err);
	return judge(cx, doing, take(cx), out, err);
}

bool
sql_run(MergeCx *cx, const char *doing, const char *sql, int64_t *rows,
		Err *err)
{
	PGresult *res;

	if (!sql_query(cx, doing, sql, &res, err))
		return false;
	if (rows)
		*rows = strtoll(PQcmdTuples(res), NULL, 10);
	PQclear(res);
	return true;
}

bool
sql_copy_begin(MergeCx *cx, const char *doing, const char *sql, Err *err)
{
	return sql_run(cx, doing, sql, NULL, err);
}

bool
sql_copy_put(MergeCx *cx, Slice rows)
{
	bool sent = true;

	for (size_t at = 0; sent && at < rows.n; at += COPY_PIECE)
	{
		size_t n = rows.n - at < COPY_PIECE ? rows.n - at : COPY_PIECE;

		sent =
			PQputCopyData(cx->conn, (const char *) rows.p + at, (int) n) > 0 &&
			pg_flush(cx->conn);
	}
	return sent;
}

bool
sql_copy_end(MergeCx *cx, const char *doing, bool sent, int64_t *rows, Err *err)
{
	PGresult *res;

	/* a copy that failed tells it by its result */
	if (PQputCopyEnd(cx->conn, NULL) <= 0 || !sent)
		(void) PQconsumeInput(cx->conn);
	if (!judge(cx, doing, take(cx), &res, err))
		return false;
	if (rows)
		*rows = res ? strtoll(PQcmdTuples(res), NULL, 10) : 0;
	PQclear(res);
	return true;
}

void
sql_copy_abort(MergeCx *cx)
{
	if (PQputCopyEnd(cx->conn, "not wanted any more") <= 0)
		(void) PQconsumeInput(cx->conn);
	PQclear(take(cx));
}

bool
sql_copy(MergeCx *cx, const char *doing, const char *sql, Slice rows, Err *err)
{
	if (skipped(cx, sql, NULL))
		return true;
	return sql_copy_begin(cx, doing, sql, err) &&
		   sql_copy_end(cx, doing, sql_copy_put(cx, rows), NULL, err);
}

/* Takes the answers of a pipeline; the first failure is told. */
static bool
take_answers(MergeCx *cx, const char *doing, SqlCall *calls, int n, int *done,
			 Err *err)
{
	bool ok = true;

	for (int i = 0; i < n; i++)
	{
		PGresult *res = take(cx);

		if (ok && judge(cx, doing, res, &res, err))
		{
			calls[i].rows = strtoll(PQcmdTuples(res), NULL, 10);
			*done = i + 1;
			PQclear(res);
		}
		else if (ok)
			ok = false; /* judge took res */
		else
			PQclear(res); /* of a statement that the server skipped */
		if (PQstatus(cx->conn) == CONNECTION_BAD)
			return false;
	}
	PQclear(take(cx)); /* of the sync */
	return ok;
}

bool
sql_pipeline(MergeCx *cx, const char *doing, SqlCall *calls, int n, int *done,
			 Err *err)
{
	bool sent = true;
	bool ok;

	assert(n <= SQL_CALLS_MAX);
	*done = 0;
	if (n == 0)
		return true;
	if (sql_stopped(cx, err))
		return false;
	if (!PQenterPipelineMode(cx->conn))
		return send_failed(cx, doing, err);
	for (int i = 0; sent && i < n; i++)
		sent = PQsendQueryPrepared(cx->conn, calls[i].name, calls[i].nparams,
								   calls[i].values, NULL, NULL, 0);
	if (!sent || !PQpipelineSync(cx->conn))
		return send_failed(cx, doing, err);
	ok = take_answers(cx, doing, calls, n, done, err);
	if (!PQexitPipelineMode(cx->conn) && ok)
		return send_failed(cx, doing, err);
	return ok;
}

static bool
savepoint_command(MergeCx *cx, const char *before, const char *name,
				  const char *between, Err *err)
{
	char sql[128];

	(void) snprintf(sql, sizeof(sql), "%s %s%s%s", before, name, between,
					between[0] ? name : ""); /* names are ours and short */
	return sql_run(cx, "use a savepoint at the target", sql, NULL, err);
}

bool
sql_savepoint(MergeCx *cx, const char *name, Err *err)
{
	return savepoint_command(cx, "SAVEPOINT", name, "", err);
}

bool
sql_release(MergeCx *cx, const char *name, Err *err)
{
	return savepoint_command(cx, "RELEASE", name, "", err);
}

bool
sql_rollback_to(MergeCx *cx, const char *name, Err *err)
{
	char state[sizeof(cx->state)];
	bool ok;

	memcpy(state, cx->state, sizeof(state)); /* the cause is still wanted */
	ok = savepoint_command(cx, "ROLLBACK TO", name, "; RELEASE ", err);
	if (ok)
		memcpy(cx->state, state, sizeof(state));
	return ok;
}

bool
sql_state_is_data(const MergeCx *cx)
{
	return strncmp(cx->state, "22", 2) == 0 ||
		   strncmp(cx->state, "23", 2) == 0 ||
		   strcmp(cx->state, "21000") == 0 || /* a key twice */
		   strncmp(cx->state, "44", 2) == 0 ||
		   strncmp(cx->state, "54", 2) == 0 || /* longer than its limits */
		   strcmp(cx->state, "P0001") == 0;
}

bool
sql_state_is_unique(const MergeCx *cx)
{
	return strcmp(cx->state, "23505") == 0 || strcmp(cx->state, "23P01") == 0;
}

bool
sql_state_is_order(const char *state)
{
	return strcmp(state, "23505") == 0 || strcmp(state, "23P01") == 0 ||
		   strcmp(state, "23503") == 0 || strcmp(state, "23001") == 0;
}

void
sql_add_array_item(Buf *out, const char *name, bool first)
{
	if (!first)
		buf_byte(out, ',');
	buf_byte(out, '"');
	for (; *name; name++)
	{
		if (*name == '"' || *name == '\\')
			buf_byte(out, '\\');
		buf_byte(out, (uint8_t) *name);
	}
	buf_byte(out, '"');
}

void
sql_add_qualified(Buf *out, const char *schema, const char *table)
{
	pg_add_ident(out, schema);
	buf_byte(out, '.');
	pg_add_ident(out, table);
}
