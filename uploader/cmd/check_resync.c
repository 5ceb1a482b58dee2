/*-------------------------------------------------------------------------
 * check_resync.c
 *	  "check" of tables that lack rows at the target, and of those that are
 *	  loaded again and again.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "base/clock.h"
#include "cmd/check.h"
#include "store/loadlog.h"
#include "store/request.h"

#define WORD_MAX ((size_t) 8192)

enum
{
	R_SCHEMA,
	R_TABLE,
	R_REASON,
	R_STATE,
	R_DETAIL,
	R_SINCE
};

/* $1: the slot.  Columns that an older release did not make are not named. */
static const char resync_sql[] =
	"SELECT source_schema, source_table, reason,"
	" coalesce(to_jsonb(r) ->> 'state', 'resync'),"
	" coalesce(to_jsonb(r) ->> 'detail', ''),"
	" to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
	" FROM cdc_s3.resync r WHERE slot = $1 ORDER BY 1, 2";

static const char may_sql[] =
	"SELECT coalesce(has_table_privilege(to_regclass('cdc_s3.resync'),"
	" 'SELECT'), false)";

static void
add_mend(const char *reason, const char *state, const char *schema,
		 const char *table, Buf *out)
{
	if (strcmp(reason, "parent") == 0)
		buf_str(out, "mend the table that it refers to, or wait for its load");
	else if (strcmp(state, "blocked") == 0)
		buf_str(out, "mend the target, so that its changes can be applied");
	else if (strcmp(state, "left") == 0)
		buf_str(out, "it is not wanted any more: want it again, or delete its "
					 "line from cdc_s3.resync");
	else
	{
		buf_str(out,
				strcmp(state, "often") == 0
					? "load.daily_max is reached, see what changes it so; "
					: "a merge asks run for it where load.resync is auto; ");
		buf_str(out, "at once: cdc-s3 snapshot '");
		request_add_table(out, schema, table);
		buf_str(out, "'");
	}
}

static void
report_table(Check *c, const PGresult *res, int row)
{
	const char *state = PQgetvalue(res, row, R_STATE);
	const char *detail = PQgetvalue(res, row, R_DETAIL);
	Finding f = { .level = CHECK_WARNING,
				  .name = "resync",
				  .why = "the target does not have all rows of the source" };
	Buf mend;

	buf_init(&mend, WORD_MAX);
	add_mend(PQgetvalue(res, row, R_REASON), state,
			 PQgetvalue(res, row, R_SCHEMA), PQgetvalue(res, row, R_TABLE),
			 &mend);
	f.mend = buf_cstr(&mend);
	check_report(c, &f, "%s.%s stands in cdc_s3.resync since %s (%s, %s%s%s)",
				 PQgetvalue(res, row, R_SCHEMA), PQgetvalue(res, row, R_TABLE),
				 PQgetvalue(res, row, R_SINCE), PQgetvalue(res, row, R_REASON),
				 state, detail[0] ? ": " : "", detail);
	buf_done(&mend);
}

void
check_resync(Check *c, PGconn *target)
{
	const char *values[] = { c->cfg->source_slot };
	PGresult *res;
	Err err;
	bool may;

	if (!pg_exec(target, PG_TARGET, "look for cdc_s3.resync", may_sql, &res,
				 &err))
	{
		check_failed(c, "resync", "it could not be checked", &err);
		return;
	}
	may = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (!may)
		return; /* no merge yet, or "target role" says that the right lacks */
	if (!pg_exec_params(target, PG_TARGET, "read cdc_s3.resync", resync_sql, 1,
						values, &res, &err))
	{
		check_failed(c, "resync", "it could not be checked", &err);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		report_table(c, res, i);
	PQclear(res);
}

void
check_loads(Check *c)
{
	LoadCounts counts = { 0 };
	Err err;

	if (!c->store || !c->last)
		return;
	if (!loadlog_count(c->store, c->last, clock_unix_us(), &counts, &err))
		check_failed(c, "loads", "the commit log could not be read", &err);
	for (int i = 0; i < counts.n; i++)
	{
		const LoadCount *l = &counts.items[i];
		const Finding f = {
			.level = CHECK_WARNING,
			.name = "loads",
			.why = "load.daily_max is reached, so it is not loaded again by "
				   "itself before a day is over",
			.mend = "see what rewrites it; cdc-s3 snapshot loads it all the "
					"same",
		};

		if (l->n >= c->cfg->load_daily_max)
			check_report(c, &f,
						 "%s.%s was loaded %d times by itself within 24 "
						 "hours",
						 l->schema, l->table, l->n);
	}
	load_counts_done(&counts);
}
