/*-------------------------------------------------------------------------
 * against_target.c
 *	  The target against the lake at the position that it was merged to.
 *
 * Position and rows are read in one snapshot, so a merge may go on meanwhile.
 * Before it the tables are locked as a reader does, since a table that is
 * emptied or rewritten after the snapshot would look empty in it.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/against.h"
#include "codec/pattern.h"
#include "merge/merge_ahead.h"
#include "merge/merge_range.h"
#include "merge/merge_state.h"

#define QUERY_MAX ((size_t) 16 << 20)

typedef struct Target
{
	Against *a;
	PlanFrom from;  /* as the snapshot has it */
	PlanFrom early; /* as it was when the tables were locked */
	bool *locked;   /* by early.known */
} Target;

static bool
may_use(const PlanKnown *k)
{
	return k->target_table && !k->gone;
}

/* The OID of the target's table, 0: there is none. */
static bool
find_relation(Against *a, const char *schema, const char *table,
			  WantedTable *out, Err *err)
{
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, QUERY_MAX);
	buf_str(&sql, "SELECT c.oid, c.relkind = 'p' FROM pg_catalog.pg_class c "
				  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
				  "WHERE c.relkind IN ('r', 'p') AND n.nspname = ");
	pg_add_literal(&sql, schema);
	buf_str(&sql, " AND c.relname = ");
	pg_add_literal(&sql, table);
	ok = side_query(&a->side, "look for a table", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	*out = (WantedTable){ .schema = (char *) schema,
						  .table = (char *) table,
						  .whole = true };
	if (PQntuples(res) == 1)
	{
		out->oid = (uint32_t) strtoul(PQgetvalue(res, 0, 0), NULL, 10);
		out->partitioned = PQgetvalue(res, 0, 1)[0] == 't';
	}
	PQclear(res);
	return true;
}

static bool
read_state(Against *a, PlanFrom *out, Err *err)
{
	return state_read(&a->cx, out, err) && ahead_read(&a->cx, out, err);
}

static bool
lock_table(Target *t, int i, Err *err)
{
	const PlanKnown *k = &t->early.known[i];
	WantedTable w;
	Buf sql;
	bool ok;

	if (!may_use(k) || !against_wants(t->a, k->schema, k->table))
		return true;
	if (!find_relation(t->a, k->target_schema, k->target_table, &w, err))
		return false;
	if (!w.oid)
		return true;
	buf_init(&sql, QUERY_MAX);
	buf_str(&sql, w.partitioned ? "LOCK TABLE " : "LOCK TABLE ONLY ");
	sql_add_qualified(&sql, k->target_schema, k->target_table);
	buf_str(&sql, " IN ACCESS SHARE MODE");
	ok = side_query(&t->a->side, "lock a table as a reader", buf_cstr(&sql),
					NULL, err);
	buf_done(&sql);
	t->locked[i] = ok;
	return ok || err_prefix(err, "table \"%s.%s\"", k->target_schema,
							k->target_table);
}

static bool
is_merged_into(Against *a, Err *err)
{
	PGresult *res;
	bool there;

	if (!side_query(
			&a->side, "look for schema cdc_s3",
			"SELECT pg_catalog.to_regclass('cdc_s3.tables') IS NOT NULL"
			" AND pg_catalog.to_regclass('cdc_s3.resync') IS NOT NULL"
			" AND pg_catalog.to_regclass('cdc_s3.rejected') IS NOT NULL",
			&res, err))
		return false;
	there = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return there ||
		   err_set(err, ERR_USAGE, 0, "nothing was merged into the target yet");
}

/*
 * To find what is to be locked takes a snapshot that is older than the locks.
 * So a first connection holds these, and a second one reads.
 */
static bool
lock_tables(Target *t, Err *err)
{
	bool ok;

	ok = side_query(&t->a->side, "begin a transaction", pg_begin_target, NULL,
					err) &&
		 side_query(&t->a->side, "prepare the transaction", pg_pin_target, NULL,
					err) &&
		 is_merged_into(t->a, err) && read_state(t->a, &t->early, err);
	t->locked = xcalloc((size_t) t->early.nknown + 1, sizeof(*t->locked));
	for (int i = 0; ok && i < t->early.nknown; i++)
		ok = lock_table(t, i, err);
	return ok;
}

static bool
take_snapshot(Target *t, Err *err)
{
	Against *a = t->a;

	if (!side_query(&a->side, "begin a transaction",
					"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
					"SET LOCAL statement_timeout = 0;"
					"SET LOCAL idle_in_transaction_session_timeout = 0;"
					"SET LOCAL search_path = ''",
					NULL, err) ||
		!side_query(&a->side, "prepare the transaction", pg_pin_target, NULL,
					err) ||
		!side_encoding(&a->side, err) || !read_state(a, &t->from, err))
		return false;
	return t->from.position.entry >= 0 ||
		   err_set(err, ERR_USAGE, 0, "nothing was merged into the target yet");
}

/* Was the table, under this name at the target, locked before the snapshot? */
static bool
is_locked(const Target *t, const PlanKnown *k)
{
	for (int i = 0; i < t->early.nknown; i++)
	{
		const PlanKnown *e = &t->early.known[i];

		if (t->locked[i] && strcmp(e->target_schema, k->target_schema) == 0 &&
			strcmp(e->target_table, k->target_table) == 0)
			return true;
	}
	return false;
}

/* ---- one table ---- */

static const PlanKnown *
find_known(const PlanFrom *from, const PlanTable *t)
{
	for (int i = 0; i < from->nknown; i++)
	{
		const PlanKnown *k = &from->known[i];

		if (k->relation_id ? k->relation_id == t->relation_id &&
								 (!k->row_type || !t->row_type ||
								  k->row_type == t->row_type)
						   : strcmp(k->schema, t->schema) == 0 &&
								 strcmp(k->table, t->table) == 0)
			return k;
	}
	return NULL;
}

/* Its line in cdc_s3.waiting: changes of it were not applied. */
static bool
is_waiting(const PlanFrom *from, const PlanKnown *k)
{
	for (int i = 0; i < from->nwaiting; i++)
	{
		if (strcmp(from->waiting[i].schema, k->schema) == 0 &&
			strcmp(from->waiting[i].table, k->table) == 0)
			return true;
	}
	return false;
}

static bool
is_ahead(const PlanFrom *from, const PlanTable *t, const PlanKnown *k)
{
	for (int i = 0; i < from->naheads; i++)
	{
		const PlanAhead *a = &from->aheads[i];

		if ((strcmp(a->schema, t->schema) == 0 &&
			 strcmp(a->table, t->table) == 0) ||
			(k && strcmp(a->schema, k->schema) == 0 &&
			 strcmp(a->table, k->table) == 0))
			return true;
	}
	return false;
}

/* Why the target is not what the lake says, and is known not to be. */
static const char *
why_not(const Target *t, const PlanTable *p, const PlanKnown *k,
		AgainstResult *r)
{
	const char *exclude = t->a->cfg->merge_exclude;

	if ((!k || k->skipped) &&
		pattern_list_matches(exclude, p->schema, p->table))
	{
		r->harmless = true;
		return "it is left out by merge.exclude";
	}
	if (k && k->skipped)
		return "changes of it were passed over (merge.exclude)";
	if (k && is_waiting(&t->from, k))
		return "the target waits for a load of it, or for a change of its "
			   "table (cdc_s3.waiting)";
	if (k && k->left)
		return "it is not streamed any more";
	if (k && k->unsure)
		return "it is to be loaded anew (cdc_s3.resync)";
	return "";
}

static bool
note_rejected(Target *t, AgainstResult *r, const PlanKnown *k, Err *err)
{
	const char *values[] = { t->a->cx.system_identifier, t->a->cx.database,
							 t->a->cx.slot, k->schema, k->table };
	PGresult *res;

	if (!sql_params(&t->a->cx, "count rejected rows",
					"SELECT pg_catalog.count(*) FROM cdc_s3.rejected WHERE "
					"(system_identifier, database, slot, source_schema, "
					"source_table) = ($1, $2, $3, $4, $5)",
					5, values, &res, err))
		return false;
	if (strcmp(PQgetvalue(res, 0, 0), "0") != 0)
		against_note(r, "%s rows of it were rejected (cdc_s3.rejected)",
					 PQgetvalue(res, 0, 0));
	PQclear(res);
	return true;
}

static bool
look_and_compare(Target *t, const PlanTable *p, const PlanKnown *k, Lsn lsn,
				 AgainstResult *r, Err *err)
{
	WantedTable w;

	if (!k || !k->target_table)
	{
		r->lacking = p->nobjects > 0;
		if (!r->lacking)
		{
			r->harmless = true;
			(void) snprintf(r->why, sizeof(r->why),
							"neither side has rows of it"); /* fits */
		}
		return true;
	}
	r->other_schema = k->target_schema;
	r->other_table = k->target_table;
	if (!find_relation(t->a, k->target_schema, k->target_table, &w, err))
		return false;
	r->lacking = w.oid == 0;
	if (r->lacking)
		return true;
	if (!is_locked(t, k))
		return err_set(err, ERR_BUSY, 0,
					   "table \"%s.%s\" of the target was made or renamed "
					   "meanwhile",
					   k->target_schema, k->target_table);
	return note_rejected(t, r, k, err) &&
		   against_table(t->a, p, lsn, &w, r, err);
}

static bool
compare_table(Target *t, const PlanTable *p, const PlanKnown *k, Lsn lsn,
			  Err *err)
{
	AgainstResult r;
	bool ok = true;

	against_result_init(&r);
	r.schema = p->schema;
	r.table = p->table;
	(void) snprintf(r.why, sizeof(r.why), "%s", why_not(t, p, k, &r));
	if (!r.why[0])
		ok = look_and_compare(t, p, k, lsn, &r, err);
	ok = ok && against_tell(t->a, &r, err);
	against_result_done(&r);
	return ok;
}

/* Tables that are where the position is, or those that are ahead of it. */
static bool
compare_at(Target *t, PlanPosition at, bool ahead, Err *err)
{
	Plan *plan;
	bool ok;

	if (!against_plan(t->a, at, &plan, err))
		return false;
	ok = at.lsn == plan->end.lsn ||
		 err_set(err, ERR_GAP, 0, "the target is not where this log has been");
	for (int i = 0; ok && i < plan->ntables; i++)
	{
		const PlanTable *p = &plan->tables[i];
		const PlanKnown *k = find_known(&t->from, p);

		if (p->gone || is_ahead(&t->from, p, k) != ahead ||
			!against_wants(t->a, p->schema, p->table))
			continue;
		ok = compare_table(t, p, k, at.lsn, err);
	}
	plan_free(plan);
	return ok;
}

/* They were held to the end; else a table may have looked empty. */
static bool
end_locks(Target *t, PGconn *locks, Err *err)
{
	AgainstSide side = t->a->side;

	side.conn = locks;
	return side_query(&side, "end the transaction that holds the locks",
					  "COMMIT", NULL, err);
}

bool
against_target(Against *a, Lsn *out_lsn, Err *err)
{
	Target t = { .a = a,
				 .from = { .ahead = { -1, 0 } },
				 .early = { .ahead = { -1, 0 } } };
	PGconn *locks = NULL;
	bool ok;

	a->side.role = PG_TARGET;
	ok = sql_connect(&a->cx, err);
	locks = a->side.conn = a->cx.conn;
	ok = ok && lock_tables(&t, err);
	a->side.conn = NULL;
	ok = ok && sql_connect(&a->cx, err);
	if (ok)
		a->side.conn = a->cx.conn;
	ok = ok && take_snapshot(&t, err);
	*out_lsn = t.from.position.lsn;
	ok = ok && compare_at(&t, t.from.position, false, err) &&
		 (t.from.naheads == 0 || compare_at(&t, t.from.ahead, true, err));
	ok = ok && end_locks(&t, locks, err);
	ahead_done(&t.from);
	state_done(&t.from);
	ahead_done(&t.early);
	state_done(&t.early);
	free(t.locked);
	PQfinish(locks);
	return ok;
}
