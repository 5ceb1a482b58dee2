/*-------------------------------------------------------------------------
 * merge_ahead.c
 *	  cdc_s3.ahead: tables of the target that are further than its position.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_bring.h"
#include "merge/merge_report.h"
#include "merge/merge_session.h"
#include "merge/merge_state.h"

#define NUMBER_MAX 32

#define OF_SOURCE " WHERE (system_identifier, database, slot) = ($1, $2, $3)"

static const char create_sql[] =
	"CREATE TABLE IF NOT EXISTS cdc_s3.ahead ("
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" source_schema text NOT NULL,"
	" source_table text NOT NULL,"
	" entry bigint NOT NULL,"
	" lsn pg_lsn NOT NULL,"
	" merged_at timestamptz NOT NULL DEFAULT now(),"
	" target_schema text,"
	" target_table text,"
	" way text,"
	" why text,"
	" records bigint NOT NULL DEFAULT 0,"
	" inserted bigint NOT NULL DEFAULT 0,"
	" updated bigint NOT NULL DEFAULT 0,"
	" deleted bigint NOT NULL DEFAULT 0,"
	" rejected bigint NOT NULL DEFAULT 0,"
	" PRIMARY KEY (system_identifier, database, slot,"
	" source_schema, source_table));";

/* Is the table there, and (out_schema, may be NULL) its schema? */
static bool
look(MergeCx *cx, bool *out, bool *out_schema, Err *err)
{
	PGresult *res;

	if (!sql_query(cx, "look for table cdc_s3.ahead",
				   "SELECT to_regclass('cdc_s3.ahead') IS NOT NULL,"
				   " to_regclass('cdc_s3.position') IS NOT NULL",
				   &res, err))
		return false;
	*out = PQgetvalue(res, 0, 0)[0] == 't';
	if (out_schema)
		*out_schema = PQgetvalue(res, 0, 1)[0] == 't';
	PQclear(res);
	return true;
}

bool
ahead_create(MergeCx *cx, Err *err)
{
	bool there;
	bool schema;

	if (!session_begin(cx, err) || !look(cx, &there, &schema, err))
		return false;
	/* into an empty target nothing is merged by groups */
	if (!there && schema &&
		(!state_lock(cx, err) ||
		 !sql_run(cx, "create table cdc_s3.ahead", create_sql, NULL, err)))
	{
		if (strcmp(cx->state, "42501") == 0)
			err_hint(err, "GRANT CREATE ON SCHEMA cdc_s3 to the merging role, "
						  "or set merge.parallel=1");
		return false;
	}
	return sql_run(cx, "end a transaction", "COMMIT", NULL, err);
}

/* A value of a result, NULL where it is NULL; the caller frees. */
static char *
text_of(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column)
			   ? NULL
			   : xstrdup(PQgetvalue(res, row, column));
}

static int64_t
number_of(const PGresult *res, int row, int column)
{
	return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

static void
take_line(const PGresult *res, int row, PlanAhead *out)
{
	const char *way = PQgetvalue(res, row, 6);

	*out = (PlanAhead){
		.schema = xstrdup(PQgetvalue(res, row, 0)),
		.table = xstrdup(PQgetvalue(res, row, 1)),
		.done = { .schema = text_of(res, row, 4),
				  .table = text_of(res, row, 5),
				  .way = strcmp(way, "exact") == 0  ? "exact"
						 : strcmp(way, "fast") == 0 ? "fast"
													: NULL,
				  .why = text_of(res, row, 7),
				  .records = number_of(res, row, 8),
				  .inserted = number_of(res, row, 9),
				  .updated = number_of(res, row, 10),
				  .deleted = number_of(res, row, 11),
				  .rejected = number_of(res, row, 12) },
	};
}

/* Invariant (2). */
static bool
check_lines(const PGresult *res, const PlanFrom *s, Err *err)
{
	for (int i = 0; i < PQntuples(res); i++)
	{
		int64_t entry = number_of(res, i, 2);

		if (entry > s->position.entry && s->position.entry >= 0 &&
			entry == s->ahead.entry)
			continue;
		err_set(err, ERR_GAP, 0,
				"table \"%s.%s\" is at entry %lld as cdc_s3.ahead says, but "
				"the target's position is entry %lld, and other tables are at "
				"entry %lld",
				PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), (long long) entry,
				(long long) s->position.entry, (long long) s->ahead.entry);
		return err_hint(err, "an older cdc-s3 merged before a merge by groups "
							 "was ended: have these tables loaded anew (cdc-s3 "
							 "snapshot), and empty cdc_s3.ahead");
	}
	return true;
}

bool
ahead_read(MergeCx *cx, PlanFrom *io, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;
	bool there;
	bool ok;

	io->ahead = (PlanPosition){ -1, 0 };
	if (!look(cx, &there, NULL, err))
		return false;
	if (!there)
		return true;
	if (!sql_params(cx, "read which tables are ahead of the position",
					"SELECT source_schema, source_table, entry,"
					" lsn - '0/0'::pg_lsn, target_schema, target_table, way,"
					" why, records, inserted, updated, deleted, rejected"
					" FROM cdc_s3.ahead" OF_SOURCE " ORDER BY 1, 2",
					3, values, &res, err))
		return false;
	io->naheads = PQntuples(res);
	io->aheads = xcalloc((size_t) io->naheads + 1, sizeof(*io->aheads));
	for (int i = 0; i < io->naheads; i++)
		take_line(res, i, &io->aheads[i]);
	if (io->naheads > 0)
		io->ahead = (PlanPosition){ number_of(res, 0, 2),
									strtoull(PQgetvalue(res, 0, 3), NULL, 10) };
	ok = check_lines(res, io, err);
	PQclear(res);
	if (ok && io->naheads > 0)
		log_info("an earlier merge by groups was not ended: the other tables "
				 "follow first",
				 "entry", log_int(io->ahead.entry), "lsn",
				 log_lsn(io->ahead.lsn), "tables", log_int(io->naheads), NULL);
	return ok;
}

void
ahead_done(PlanFrom *s)
{
	for (int i = 0; i < s->naheads; i++)
	{
		PlanAhead *a = &s->aheads[i];

		free(a->schema);
		free(a->table);
		free(a->done.schema);
		free(a->done.table);
		free(a->done.why);
	}
	free(s->aheads);
	s->aheads = NULL;
	s->naheads = 0;
}

bool
ahead_adopt(MergeCx *cx, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	bool there;

	return look(cx, &there, NULL, err) &&
		   (!there ||
			sql_params(cx, "forget what is ahead of another source's position",
					   "DELETE FROM cdc_s3.ahead WHERE slot = $3"
					   " AND (system_identifier, database) <> ($1, $2)",
					   3, values, NULL, err));
}

static PlanTable *
find_table(Plan *plan, const PlanAhead *a)
{
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->known && strcmp(t->known->schema, a->schema) == 0 &&
			strcmp(t->known->table, a->table) == 0)
			return t;
	}
	return NULL;
}

bool
ahead_mark(Plan *plan, const PlanFrom *from, Err *err)
{
	for (int i = 0; i < from->naheads; i++)
	{
		const PlanAhead *a = &from->aheads[i];
		PlanTable *t = find_table(plan, a);

		if (!t)
		{
			err_set(err, ERR_GAP, 0,
					"table \"%s.%s\" is ahead of the target's position, and "
					"cdc_s3.tables does not have it any more",
					a->schema, a->table);
			return err_hint(err, "have it loaded anew (cdc-s3 snapshot), and "
								 "delete its line from cdc_s3.ahead");
		}
		t->ahead = true;
	}
	return true;
}

void
ahead_tell(const PlanFrom *from, MergeResult *result)
{
	for (int i = 0; i < from->naheads; i++)
	{
		const MergeTable *done = &from->aheads[i].done;

		if (done->table)
			bring_add_line(result, done);
	}
}

static void
print_position(PlanPosition p, char entry[static NUMBER_MAX],
			   char lsn[static NUMBER_MAX])
{
	/* both fit */
	(void) snprintf(entry, NUMBER_MAX, "%lld", (long long) p.entry);
	(void) snprintf(lsn, NUMBER_MAX, LSN_FMT, LSN_ARGS(p.lsn));
}

/* Invariant (4): nobody moves the position before we commit. */
static bool
hold_position(MergeCx *cx, PlanPosition start, Err *err)
{
	char entry[NUMBER_MAX];
	char lsn[NUMBER_MAX];
	const char *values[] = { cx->system_identifier, cx->database, cx->slot,
							 entry, lsn };
	PGresult *res;
	bool there;

	print_position(start, entry, lsn);
	if (!sql_params(cx, "hold the target's position",
					"SELECT FROM cdc_s3.position" OF_SOURCE
					" AND entry = $4 AND lsn = $5 FOR SHARE",
					5, values, &res, err))
		return false;
	there = PQntuples(res) == 1;
	PQclear(res);
	return there || err_set(err, ERR_LOST, 0,
							"the target's position changed during the merge");
}

bool
ahead_claim(MergeCx *cx, const Plan *plan, const PlanTable *t, Err *err)
{
	char entry[NUMBER_MAX];
	char lsn[NUMBER_MAX];
	const char *values[] = {
		cx->system_identifier, cx->database, cx->slot, t->known->schema,
		t->known->table,       entry,        lsn
	};
	PGresult *res;
	bool ours;

	if (!hold_position(cx, plan->start, err))
		return false;
	print_position(plan->end, entry, lsn);
	if (!sql_params(cx, "store how far a table is",
					"INSERT INTO cdc_s3.ahead (system_identifier, database,"
					" slot, source_schema, source_table, entry, lsn)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7)"
					" ON CONFLICT DO NOTHING",
					7, values, &res, err))
		return false;
	ours = strcmp(PQcmdTuples(res), "1") == 0;
	PQclear(res);
	return ours || err_set(err, ERR_LOST, 0,
						   "another merge brought table \"%s.%s\" further",
						   t->schema, t->table);
}

bool
ahead_note(MergeCx *cx, const PlanTable *t, const MergeTable *done, Err *err)
{
	const int64_t counts[] = { done->records, done->inserted, done->updated,
							   done->deleted, done->rejected };
	char n[5][NUMBER_MAX];
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 t->known->schema,
							 t->known->table,
							 done->schema,
							 done->table,
							 done->way,
							 done->why,
							 n[0],
							 n[1],
							 n[2],
							 n[3],
							 n[4] };

	for (int i = 0; i < 5; i++)
		(void) snprintf(n[i], NUMBER_MAX, "%lld",
						(long long) counts[i]); /* fits */
	return sql_params(cx, "store what was done to a table",
					  "UPDATE cdc_s3.ahead SET target_schema = $6,"
					  " target_table = $7, way = $8, why = $9, records = $10,"
					  " inserted = $11, updated = $12, deleted = $13,"
					  " rejected = $14" OF_SOURCE
					  " AND (source_schema, source_table) = ($4, $5)",
					  14, values, NULL, err);
}

bool
ahead_close(MergeCx *cx, int n, Err *err)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;
	bool there;
	bool all;

	if (!look(cx, &there, NULL, err))
		return false;
	if (!there && n == 0)
		return true;
	if (!sql_params(cx, "end a merge by groups",
					"DELETE FROM cdc_s3.ahead" OF_SOURCE, 3, values, &res, err))
		return false;
	all = strtoll(PQcmdTuples(res), NULL, 10) == n;
	PQclear(res);
	return all || err_set(err, ERR_LOST, 0,
						  "another merge brought tables further meanwhile");
}
