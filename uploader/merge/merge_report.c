/*-------------------------------------------------------------------------
 * merge_report.c
 *	  cdc_s3.merge_run: one row a merge that took entries.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#define NUMBER_MAX 40
#define TABLES_MAX ((size_t) 128 << 20) /* a jsonb takes twice that */

const char report_create_sql[] =
	"CREATE TABLE IF NOT EXISTS cdc_s3.merge_run ("
	" id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	" system_identifier text NOT NULL,"
	" database text NOT NULL,"
	" slot text NOT NULL,"
	" from_entry bigint NOT NULL,"
	" to_entry bigint NOT NULL,"
	" from_lsn pg_lsn NOT NULL,"
	" to_lsn pg_lsn NOT NULL,"
	" started timestamptz NOT NULL,"
	" finished timestamptz NOT NULL,"
	" inserted bigint NOT NULL,"
	" updated bigint NOT NULL,"
	" deleted bigint NOT NULL,"
	" rejected bigint NOT NULL,"
	" tables jsonb NOT NULL,"
	" seconds jsonb NOT NULL,"
	" version text NOT NULL);";

void
report_way(MergeTable *t, const char *way, char *why)
{
	free(t->why);
	t->way = way;
	t->why = why;
}

void
report_begin(Report *r, MergeResult *result)
{
	report_done(r);
	for (int i = 0; i < result->ntables; i++)
	{
		MergeTable *t = &result->tables[i];

		report_way(t, NULL, NULL);
		t->loaded_now = false;
	}
	r->ntables = result->ntables;
	r->tables = xcalloc((size_t) r->ntables + 1, sizeof(*r->tables));
	if (r->ntables > 0)
		memcpy(r->tables, result->tables,
			   (size_t) r->ntables * sizeof(*r->tables));
}

void
report_undo(const Report *r, MergeResult *result)
{
	for (int i = 0; i < result->ntables; i++)
	{
		MergeTable *t = &result->tables[i];

		free(t->why);
		if (i < r->ntables)
		{
			*t = r->tables[i];
			continue;
		}
		free(t->schema);
		free(t->table);
	}
	result->ntables = r->ntables;
}

void
report_done(Report *r)
{
	free(r->tables);
	*r = (Report){ 0 };
}

/* What one table got in this transaction. */
static MergeTable
gained(const Report *r, const MergeResult *result, int i)
{
	MergeTable t = result->tables[i];

	if (i < r->ntables)
	{
		const MergeTable *before = &r->tables[i];

		t.records -= before->records;
		t.inserted -= before->inserted;
		t.updated -= before->updated;
		t.deleted -= before->deleted;
		t.rejected -= before->rejected;
	}
	return t;
}

static void
add_text(Buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":\"", name);
	json_add_escaped(out, (const uint8_t *) value, strlen(value));
	buf_str(out, "\",");
}

/* A table that nothing was read of, and that no way was taken for, is none. */
static void
add_table(const MergeTable *t, MergeTable *sum, Buf *out)
{
	if (!t->way)
		return;
	sum->inserted += t->inserted;
	sum->updated += t->updated;
	sum->deleted += t->deleted;
	sum->rejected += t->rejected;
	buf_str(out, out->n > 1 ? ",{" : "{");
	add_text(out, "schema", t->schema);
	add_text(out, "table", t->table);
	add_text(out, "way", t->way);
	add_text(out, "why", t->why ? t->why : "");
	buf_printf(out,
			   "\"loaded\":%s,\"records\":%lld,\"inserted\":%lld,"
			   "\"updated\":%lld,\"deleted\":%lld,\"rejected\":%lld}",
			   t->loaded_now ? "true" : "false", (long long) t->records,
			   (long long) t->inserted, (long long) t->updated,
			   (long long) t->deleted, (long long) t->rejected);
}

static void
add_seconds(const Progress *p, Buf *out)
{
	static const MergePhase known[] = { PHASE_PLAN, PHASE_READ, PHASE_STAGE,
										PHASE_APPLY };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		buf_printf(out, "%s\"%s\":%.3f", i ? "," : "{",
				   progress_phase_name(known[i]),
				   (double) progress_spent(p, known[i]) / 1000);
	buf_byte(out, '}');
}

static bool
prune(MergeCx *cx, Err *err)
{
	char kept[NUMBER_MAX];
	const char *values[] = { cx->system_identifier, cx->database, cx->slot,
							 kept };

	(void) snprintf(kept, sizeof(kept), "%d", REPORT_RUNS_KEPT); /* fits */
	return sql_params(
		cx, "remove reports of old merges",
		"DELETE FROM cdc_s3.merge_run WHERE id <="
		" (SELECT id FROM cdc_s3.merge_run"
		" WHERE (system_identifier, database, slot) = ($1, $2, $3)"
		" ORDER BY id DESC OFFSET $4::bigint LIMIT 1)"
		" AND (system_identifier, database, slot) = ($1, $2, $3)",
		4, values, NULL, err);
}

static bool
insert(MergeCx *cx, const Plan *plan, const MergeTable *sum, const Buf *tables,
	   const Buf *seconds, Err *err)
{
	char n[7][NUMBER_MAX];
	char lsns[2][NUMBER_MAX];
	const int64_t numbers[] = { plan->start.entry + 1,
								plan->end.entry,
								sum->inserted,
								sum->updated,
								sum->deleted,
								sum->rejected,
								clock_mono_ms() - cx->progress->began_ms };
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 n[0],
							 n[1],
							 lsns[0],
							 lsns[1],
							 n[6],
							 n[2],
							 n[3],
							 n[4],
							 n[5],
							 buf_cstr(tables),
							 buf_cstr(seconds),
							 cx->opt->version };

	/* all fit */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void) snprintf(n[i], NUMBER_MAX, "%lld", (long long) numbers[i]);
	(void) snprintf(lsns[0], NUMBER_MAX, LSN_FMT, LSN_ARGS(plan->start.lsn));
	(void) snprintf(lsns[1], NUMBER_MAX, LSN_FMT, LSN_ARGS(plan->end.lsn));
	return sql_params(
		cx, "store the report of the merge",
		"INSERT INTO cdc_s3.merge_run (system_identifier, database, slot,"
		" from_entry, to_entry, from_lsn, to_lsn, started, finished,"
		" inserted, updated, deleted, rejected, tables, seconds, version)"
		" SELECT $1, $2, $3, $4::bigint, $5::bigint, $6::pg_lsn, $7::pg_lsn,"
		" t - $8::float8 * interval '1 ms', t, $9::bigint, $10::bigint,"
		" $11::bigint, $12::bigint, $13::jsonb, $14::jsonb, $15"
		" FROM (VALUES (clock_timestamp())) v (t)",
		15, values, NULL, err);
}

bool
report_store(MergeCx *cx, const Report *r, const Plan *plan,
			 const MergeResult *result, Err *err)
{
	MergeTable sum = { 0 };
	Buf tables;
	Buf seconds;
	bool ok;

	buf_init(&tables, TABLES_MAX);
	buf_init(&seconds, SQL_MAX);
	buf_byte(&tables, '[');
	for (int i = 0; i < result->ntables; i++)
	{
		MergeTable t = gained(r, result, i);

		add_table(&t, &sum, &tables);
	}
	buf_byte(&tables, ']');
	add_seconds(cx->progress, &seconds);
	ok = !tables.overflow ||
		 err_set(err, ERR_LIMIT, 0, "the report of the merge is too long");
	ok = ok && insert(cx, plan, &sum, &tables, &seconds, err) && prune(cx, err);
	buf_done(&tables);
	buf_done(&seconds);
	return ok;
}
