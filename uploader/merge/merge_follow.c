/*-------------------------------------------------------------------------
 * merge_follow.c
 *	  The target's tables become what the source's became in a range.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_alter.h"
#include "merge/merge_key.h"
#include "merge/merge_move.h"
#include "merge/merge_state.h"

#define NUMBER_MAX 32

/* ---- columns ---- */

typedef struct Versions
{
	int n;
	Schema **list;
} Versions;

static bool
read_version(Ddl *d, Versions *v, const char *schema, const char *table,
			 const char *hash, Err *err)
{
	Schema *s;

	if (!commitlog_schema(d->cx->store, schema, table, hash, &s, err))
	{
		if (err->kind == ERR_NOT_FOUND || err->kind == ERR_DATA)
			err->kind = ERR_GAP;
		return err_prefix(err, "schema %s of table \"%s.%s\"", hash, schema,
						  table);
	}
	v->list = xrealloc(v->list, ((size_t) v->n + 1) * sizeof(*v->list));
	v->list[v->n++] = s;
	return true;
}

/* The one that the target has, and each that the range brings. */
static bool
read_versions(Ddl *d, const PlanTable *t, Versions *v, Err *err)
{
	const PlanKnown *k = t->known;

	if (!read_version(d, v, k->schema, k->table, k->hash, err))
		return false;
	for (int i = 0; i < t->nevents; i++)
	{
		const PlanEvent *e = &t->events[i];

		if (e->gone || e->left || strcmp(e->hash, v->list[v->n - 1]->hash) == 0)
			continue;
		if (!read_version(d, v, e->schema, e->table, e->hash, err))
			return false;
	}
	return true;
}

static void
versions_done(Versions *v)
{
	for (int i = 0; i < v->n; i++)
		schema_free(v->list[i]);
	free(v->list);
}

/* The target has rows of another table that had this name. */
static void
is_another(PlanTable *t)
{
	t->strange = true;
	t->strange_why = "recreated";
	t->strange_pos = t->pos;
}

static bool
follow_columns(Ddl *d, PlanTable *t, Err *err)
{
	Versions v = { 0 };
	bool ok;

	if (!t->known || !t->known->hash || !t->target_table || t->refused ||
		t->held || t->nevents == 0)
		return true;
	ok = read_versions(d, t, &v, err);
	if (ok && v.n > 1)
	{
		const Schema *now = v.list[v.n - 1];

		if (v.list[0]->relation_id != now->relation_id)
			is_another(t);
		else
			ok = alter_table(d, t, v.list, v.n, err);
		t->now = schema_ref(v.list[v.n - 1]);
	}
	versions_done(&v);
	return ok || err_prefix(err, "table \"%s.%s\"", t->schema, t->table);
}

/* Where a known table is, though its name stays. */
static bool
find_target(PlanTable *t)
{
	const PlanKnown *k = t->known;

	if (t->target_table || !k || !k->target_table)
		return false;
	t->target_schema = xstrdup(k->target_schema);
	t->target_table = xstrdup(k->target_table);
	return true;
}

static void
forget_target(PlanTable *t)
{
	free(t->target_schema);
	free(t->target_table);
	t->target_schema = t->target_table = NULL;
}

bool
follow_plan(Ddl *d, Plan *plan, Err *err)
{
	if (!move_tables(d, plan, err))
		return false;
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];
		bool found = t->nevents > 0 && find_target(t);

		if (!follow_columns(d, t, err))
			return false;
		if (found)
			forget_target(t); /* merge.map may send it elsewhere now */
	}
	return ddl_finish(d, err);
}

bool
follow_unblocked(Ddl *d, const Plan *plan, Err *err)
{
	for (int i = 0; !d->cx->opt->preview && i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];

		if (t->blocked && !t->refused && t->known &&
			!state_unblocked(d->cx, t->known, err))
			return false;
	}
	return true;
}

/* ---- what is known ---- */

/* Rows by a source name, in the tables that keep some. */
static const char *const named[] = { "tables", "rejected", "resync" };

static bool
rename_rows(Ddl *d, const char *of, const char *from_schema, const char *from,
			const char *to_schema, const char *to, Err *err)
{
	const char *values[] = { d->cx->system_identifier,
							 d->cx->database,
							 d->cx->slot,
							 from_schema,
							 from,
							 to_schema,
							 to };
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "UPDATE cdc_s3.%s SET source_schema = $6, source_table = $7"
			   " WHERE (system_identifier, database, slot, source_schema,"
			   " source_table) = ($1, $2, $3, $4, $5)",
			   of);
	ok = sql_params(d->cx, "rename what is kept of a table", buf_cstr(&sql), 7,
					values, NULL, err);
	buf_done(&sql);
	return ok;
}

/* A name that no table can have, as names are never empty. */
static void
aside(const PlanTable *t, char out[static NUMBER_MAX])
{
	(void) snprintf(out, NUMBER_MAX, "%u/%u", t->relation_id,
					t->row_type); /* fits */
}

static bool
is_renamed(const PlanTable *t)
{
	return t->known && (strcmp(t->known->schema, t->schema) != 0 ||
						strcmp(t->known->table, t->table) != 0);
}

/* Names may be swapped, so all of them are put aside first. */
static bool
store_names(Ddl *d, const Plan *plan, Err *err)
{
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < plan->ntables; i++)
		{
			const PlanTable *t = &plan->tables[i];
			char between[NUMBER_MAX];

			if (!is_renamed(t))
				continue;
			aside(t, between);
			for (size_t k = 0; k < sizeof(named) / sizeof(named[0]); k++)
			{
				if (pass == 0 ? !rename_rows(d, named[k], t->known->schema,
											 t->known->table, "", between, err)
							  : !rename_rows(d, named[k], "", between,
											 t->schema, t->table, err))
					return false;
			}
		}
	}
	return true;
}

/* Two tables may have changed places, and a place belongs to one. */
static bool
store_places(Ddl *d, const Plan *plan, Err *err)
{
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < plan->ntables; i++)
		{
			const PlanTable *t = &plan->tables[i];
			const char *values[] = { d->cx->system_identifier,
									 d->cx->database,
									 d->cx->slot,
									 t->schema,
									 t->table,
									 pass ? t->target_schema : NULL,
									 pass ? t->target_table : NULL };

			if (!t->known || !t->target_table || !t->known->target_table)
				continue;
			if (!sql_params(d->cx, "remember where a table is",
							"UPDATE cdc_s3.tables SET target_schema = $6,"
							" target_table = $7"
							" WHERE (system_identifier, database, slot,"
							" source_schema, source_table)"
							" = ($1, $2, $3, $4, $5)",
							7, values, NULL, err))
				return false;
		}
	}
	return true;
}

bool
follow_names(Ddl *d, const Plan *plan, Err *err)
{
	return d->cx->opt->preview ||
		   (store_names(d, plan, err) && store_places(d, plan, err));
}

/* The source dropped it, and so did the target: nothing is known any more. */
static bool
forget(Ddl *d, const PlanTable *t, Err *err)
{
	const char *values[] = { d->cx->system_identifier, d->cx->database,
							 d->cx->slot, t->schema, t->table };

	for (size_t k = 0; k < sizeof(named) / sizeof(named[0]); k++)
	{
		Buf sql;
		bool ok;

		if (k == 0 && !d->mirror)
			continue;
		buf_init(&sql, SQL_MAX);
		buf_printf(&sql,
				   "DELETE FROM cdc_s3.%s"
				   " WHERE (system_identifier, database, slot, source_schema,"
				   " source_table) = ($1, $2, $3, $4, $5)",
				   named[k]);
		ok = sql_params(d->cx, "forget a table", buf_cstr(&sql), 5, values,
						NULL, err);
		buf_done(&sql);
		if (!ok)
			return false;
	}
	return true;
}

static bool
store_table(Ddl *d, const PlanTable *t, Err *err)
{
	char oid[NUMBER_MAX];
	char type[NUMBER_MAX];
	char lsn[NUMBER_MAX];
	char seq[NUMBER_MAX];
	const char *values[] = { d->cx->system_identifier,
							 d->cx->database,
							 d->cx->slot,
							 t->schema,
							 t->table,
							 oid,
							 type,
							 t->refused ? NULL : t->hash,
							 t->refused ? NULL : lsn,
							 seq,
							 t->gone ? "t" : "f",
							 t->pinned ? "t" : "f" };

	/* all fit */
	(void) snprintf(oid, sizeof(oid), "%u", t->relation_id);
	(void) snprintf(type, sizeof(type), "%u", t->row_type);
	(void) snprintf(lsn, sizeof(lsn), LSN_FMT, LSN_ARGS(t->pos.lsn));
	(void) snprintf(seq, sizeof(seq), "%lld", (long long) t->pos.seq);
	return sql_params(
		d->cx, "remember who a table is",
		t->known || !t->refused
			? "UPDATE cdc_s3.tables SET relation_id = $6, row_type = $7,"
			  " schema_hash = coalesce($8, schema_hash),"
			  " schema_lsn = coalesce($9::pg_lsn, schema_lsn),"
			  " schema_seq = CASE WHEN $9 IS NULL THEN schema_seq"
			  "  ELSE $10::bigint END,"
			  " gone = CASE WHEN $9 IS NULL THEN gone ELSE $11::boolean END,"
			  " pinned = $12::boolean"
			  " WHERE (system_identifier, database, slot, source_schema,"
			  " source_table) = ($1, $2, $3, $4, $5)"
			: "INSERT INTO cdc_s3.tables (system_identifier, database, slot,"
			  " source_schema, source_table, relation_id, row_type,"
			  " schema_hash, schema_lsn, schema_seq, gone, pinned, made)"
			  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::bigint,"
			  " $11::boolean, $12::boolean, false)",
		12, values, NULL, err);
}

bool
follow_store(Ddl *d, const Plan *plan, Err *err)
{
	if (d->cx->opt->preview)
		return true;
	for (int i = 0; i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];

		if (t->rekey && !t->refused && t->now && !key_make(d, t, err))
			return false;
		if (t->relation_id == 0 || (t->nevents == 0 && !t->refused &&
									t->known && t->known->relation_id))
			continue;
		if (!store_table(d, t, err))
			return false;
		if (t->refused)
			continue; /* what else became of it is still to be done */
		if ((t->left && t->nevents > 0 && !state_left(d->cx, t, err)) ||
			(t->gone && !forget(d, t, err)))
			return false;
	}
	return move_grants(d, plan, err);
}
