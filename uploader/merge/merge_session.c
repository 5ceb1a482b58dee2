/*-------------------------------------------------------------------------
 * merge_session.c
 *	  The transaction of a merge: its settings, and whether triggers fire.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_session.h"

#include <string.h>

bool
session_begin(MergeCx *cx, Err *err)
{
	if (!sql_run(cx, "begin", pg_begin_target, NULL, err))
	{
		if (strcmp(cx->state, "0A000") == 0 || strcmp(cx->state, "25006") == 0)
			err_hint(err, "the target is a standby: connect to its primary "
						  "(target_session_attrs=read-write chooses it)");
		return false;
	}
	return sql_run(cx, "prepare the transaction", pg_pin_target, NULL, err) &&
		   (!cx->opt->preview ||
			sql_run(cx, "prepare the transaction", "SET TRANSACTION READ ONLY",
					NULL, err));
}

/* Sorts of a whole range want some memory. */
static const char memory_sql[] =
	"SELECT set_config('work_mem', '64MB', true)"
	" WHERE pg_size_bytes(current_setting('work_mem')) < 64 * 1024 * 1024";

/* The role may not set it, but somebody may have set it for the role. */
static bool
is_replica(MergeCx *cx, Err *err)
{
	PGresult *res;

	if (!sql_query(cx, "look whether triggers are off",
				   "SELECT current_setting('session_replication_role')", &res,
				   err))
		return false;
	cx->replica = strcmp(PQgetvalue(res, 0, 0), "replica") == 0;
	PQclear(res);
	return true;
}

bool
session_replica(MergeCx *cx, Err *err)
{
	Err ignored;

	if (!sql_run(cx, "prepare the transaction", memory_sql, NULL, err) ||
		!sql_savepoint(cx, "cdc_s3_role", err))
		return false;
	cx->replica =
		sql_run(cx, "switch triggers off",
				"SET LOCAL session_replication_role = replica", NULL, &ignored);
	if (cx->replica)
		return sql_release(cx, "cdc_s3_role", err);
	if (strcmp(cx->state, "42501") != 0)
	{
		*err = ignored;
		return false;
	}
	return sql_rollback_to(cx, "cdc_s3_role", err) && is_replica(cx, err) &&
		   sql_run(cx, "defer constraints", "SET CONSTRAINTS ALL DEFERRED",
				   NULL, err);
}

void
session_judge(const MergeCx *cx, Err *err)
{
	if (err->kind == ERR_TARGET && cx->conn &&
		PQstatus(cx->conn) == CONNECTION_BAD && cx->state[0] == '\0')
		err->kind = ERR_BUSY; /* it was there, and broke */
	else if (err->kind == ERR_TARGET && cx->state[0] &&
			 pg_state_is_transient(cx->state))
		err->kind = ERR_BUSY; /* deadlock, too busy, ends: worth a try */
}
