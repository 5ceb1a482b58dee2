/*-------------------------------------------------------------------------
 * merge_key.c
 *	  The columns by which a table's rows are found, and their unique index.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_key.h"

#include "base/log.h"
#include "merge/merge_target.h"

static bool
in_key(const Schema *s, const SchemaColumn *c)
{
	bool primary = false;

	for (int i = 0; i < s->ncols; i++)
		primary = primary || s->cols[i].pk > 0;
	return primary ? c->pk > 0 : target_is_keyed(s) && c->key;
}

bool
key_is_same(const Schema *a, const Schema *b)
{
	for (int i = 0; i < a->ncols; i++)
	{
		const SchemaColumn *c = &a->cols[i];
		const SchemaColumn *o = view_find(b, c->attnum);

		if (in_key(a, c) != (o && in_key(b, o)))
			return false;
	}
	return true;
}

/* "{a,b}" of the names of a key, as the target has them. */
static void
add_key_array(const Schema *s, Buf *out)
{
	bool first = true;

	buf_byte(out, '{');
	for (int i = 0; i < s->ncols; i++)
	{
		if (!in_key(s, &s->cols[i]))
			continue;
		sql_add_array_item(out, s->cols[i].name, first);
		first = false;
	}
	buf_byte(out, '}');
}

/* Unique indexes over just these columns, and the constraints of some. */
static const char indexes_sql[] =
	"SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
	" k.conname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
	" JOIN pg_namespace n ON n.oid = c.relnamespace"
	" LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid"
	" AND k.contype IN ('p', 'u') AND k.conrelid = i.indrelid"
	" WHERE i.indrelid = to_regclass($1) AND i.indisunique"
	" AND i.indpred IS NULL AND i.indexprs IS NULL"
	" AND (SELECT array_agg(a.attname::text COLLATE \"C\""
	"   ORDER BY a.attname::text COLLATE \"C\")"
	"  FROM generate_series(0, i.indnkeyatts - 1) g"
	"  JOIN pg_attribute a ON a.attrelid = i.indrelid"
	"  AND a.attnum = i.indkey[g])"
	" = (SELECT array_agg(x COLLATE \"C\" ORDER BY x COLLATE \"C\")"
	"  FROM unnest($2::text[]) x)";

bool
key_indexes(MergeCx *cx, const char *table, const Schema *s, PGresult **out,
			Err *err)
{
	Buf names;
	const char *values[] = { table, NULL };
	bool ok;

	buf_init(&names, SQL_MAX);
	add_key_array(s, &names);
	values[1] = buf_cstr(&names);
	ok = sql_params(cx, "look for the indexes of a key", indexes_sql, 2, values,
					out, err);
	buf_done(&names);
	return ok;
}

/* ---- the new key ---- */

static void
add_key_list(const Schema *s, Buf *out)
{
	bool first = true;

	for (int pos = 0; pos <= s->ncols; pos++)
	{
		for (int i = 0; i < s->ncols; i++)
		{
			const SchemaColumn *c = &s->cols[i];

			if (c->pk != pos || !in_key(s, c))
				continue;
			buf_str(out, first ? "" : ", ");
			pg_add_ident(out, c->name);
			first = false;
		}
	}
}

static bool
make_key(Ddl *d, const char *table, bool primary, const char *columns, Err *err)
{
	Buf sql;
	Err refused;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   primary ? "ALTER TABLE %s ADD PRIMARY KEY (%s)"
					   : "CREATE UNIQUE INDEX ON %s (%s)",
			   table, columns);
	ok = sql_savepoint(d->cx, "cdc_s3_key", err);
	if (ok && sql_run(d->cx, "make a key", buf_cstr(&sql), NULL, &refused))
		ok = sql_release(d->cx, "cdc_s3_key", err);
	else if (ok)
	{
		log_warn("the target cannot have the key that the source has",
				 "statement", buf_cstr(&sql), "cause", refused.msg, NULL);
		ok = sql_rollback_to(d->cx, "cdc_s3_key", err);
	}
	buf_done(&sql);
	return ok;
}

static bool
rekey(Ddl *d, const PlanTable *t, const char *table, Err *err)
{
	Buf columns;
	PGresult *res = NULL;
	bool primary = false;
	bool ok = true;

	buf_init(&columns, SQL_MAX);
	add_key_list(t->now, &columns);
	for (int i = 0; i < t->now->ncols; i++)
		primary = primary || t->now->cols[i].pk > 0;
	if (columns.n > 0)
		ok = key_indexes(d->cx, table, t->now, &res, err) &&
			 (PQntuples(res) > 0 ||
			  make_key(d, table, primary, buf_cstr(&columns), err));
	PQclear(res);
	buf_done(&columns);
	return ok;
}

bool
key_make(Ddl *d, const PlanTable *t, Err *err)
{
	Buf name;
	bool ok;

	buf_init(&name, SQL_MAX);
	if (t->target_table)
		sql_add_qualified(&name, t->target_schema, t->target_table);
	else
		sql_add_qualified(&name, t->known->target_schema,
						  t->known->target_table);
	ok = rekey(d, t, buf_cstr(&name), err);
	buf_done(&name);
	return ok;
}
