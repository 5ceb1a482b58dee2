/*-------------------------------------------------------------------------
 * merge_target.c
 *	  A table of the target: found, or created and widened from the source's
 *	  schema.
 *
 * All names come from the source and are quoted; types are looked up in the
 * target's catalog and taken from there.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_map.h"
#include "merge/merge_owner.h"

#define FIRST_USER_OID 16384
#define NUMBER_MAX 24
#define COLUMNS_MAX 1590 /* a staging table has some of its own */

/* Columns with what lies below their domains, in the table's order. */
static const char columns_sql[] =
	"WITH RECURSIVE d(attnum, typ, typmod) AS ("
	" SELECT attnum, atttypid, atttypmod FROM pg_attribute"
	" WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"
	" UNION ALL"
	" SELECT d.attnum, t.typbasetype,"
	" CASE WHEN d.typmod < 0 THEN t.typtypmod ELSE d.typmod END"
	" FROM d JOIN pg_type t ON t.oid = d.typ WHERE t.typtype = 'd')"
	"SELECT a.attname, a.attgenerated <> '', a.attidentity = 'a',"
	" format_type(d.typ, d.typmod),"
	" coalesce((SELECT format('%I.%I', n.nspname, c.collname)"
	"  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace"
	"  WHERE c.oid = a.attcollation), ''),"
	" coalesce((SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)"
	"  FROM pg_opclass k JOIN pg_am m ON m.oid = k.opcmethod"
	"  AND m.amname = 'btree'"
	"  JOIN pg_amop p ON p.amopfamily = k.opcfamily"
	"  AND p.amoplefttype = k.opcintype AND p.amoprighttype = k.opcintype"
	"  AND p.amopstrategy = 3"
	"  JOIN pg_operator o ON o.oid = p.amopopr"
	"  JOIN pg_namespace n ON n.oid = o.oprnamespace"
	"  WHERE k.opcdefault AND k.opcintype = d.typ LIMIT 1),"
	"  'OPERATOR(pg_catalog.=)'),"
	" d.typ, d.typmod, s.nspname, t.typname,"
	" EXISTS (SELECT FROM pg_collation c WHERE c.oid = a.attcollation"
	"  AND NOT c.collisdeterministic)"
	" FROM d JOIN pg_type t ON t.oid = d.typ AND t.typtype <> 'd'"
	" JOIN pg_namespace s ON s.oid = t.typnamespace"
	" JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = d.attnum"
	" ORDER BY a.attnum";

/*
 * Whether ON CONFLICT finds an arbiter for exactly these columns, and one that
 * tells apart what the columns do; whether any index makes them unique.
 */
static const char arbiter_sql[] =
	"SELECT coalesce(bool_or(i.indimmediate), false), count(*) > 0"
	" FROM pg_index i WHERE i.indrelid = $1::oid"
	" AND i.indisunique AND i.indisvalid"
	" AND i.indpred IS NULL AND i.indexprs IS NULL"
	" AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) g"
	"  JOIN pg_attribute a ON a.attrelid = i.indrelid"
	"  AND a.attnum = i.indkey[g]"
	"  JOIN pg_collation c ON c.oid = i.indcollation[g]"
	"  WHERE c.oid <> a.attcollation AND NOT c.collisdeterministic)"
	" AND (SELECT array_agg(a.attname::text COLLATE \"C\""
	"   ORDER BY a.attname::text COLLATE \"C\")"
	"  FROM generate_series(0, i.indnkeyatts - 1) g"
	"  JOIN pg_attribute a ON a.attrelid = i.indrelid"
	"  AND a.attnum = i.indkey[g])"
	" = (SELECT array_agg(x COLLATE \"C\" ORDER BY x COLLATE \"C\")"
	"  FROM unnest($2::text[]) x)";

bool
target_is_keyed(const Schema *s)
{
	bool primary = false;

	for (int i = 0; i < s->ncols; i++)
		primary = primary || s->cols[i].pk > 0;
	return schema_has_key(s) && (s->identity != 'f' || primary);
}

/* The only value of a query, NULL where it has no row; the caller frees. */
static bool
one_value(MergeCx *cx, const char *doing, const char *sql, int n,
		  const char *const *values, char **out, Err *err)
{
	PGresult *res;

	if (!sql_params(cx, doing, sql, n, values, &res, err))
		return false;
	*out = PQntuples(res) > 0 && !PQgetisnull(res, 0, 0)
			   ? xstrdup(PQgetvalue(res, 0, 0))
			   : NULL;
	PQclear(res);
	return true;
}

static bool
type_by_oid(MergeCx *cx, uint32_t oid, int32_t typmod, char **out, Err *err)
{
	char number[NUMBER_MAX];
	char mod[NUMBER_MAX];
	const char *values[] = { number, mod };

	*out = NULL;
	if (oid == 0 || oid >= FIRST_USER_OID)
		return true;
	(void) snprintf(number, sizeof(number), "%u", oid); /* both fit */
	(void) snprintf(mod, sizeof(mod), "%d", (int) typmod);
	return one_value(cx, "look up a type",
					 "SELECT format_type(oid, CASE WHEN typtype = 'd'"
					 " THEN -1 ELSE $2::int4 END) FROM pg_type"
					 " WHERE oid = $1::oid AND typtype <> 'p'",
					 2, values, out, err);
}

bool
target_column_type(MergeCx *cx, const Schema *s, const SchemaColumn *c,
				   char **out, Err *err)
{
	char mod[NUMBER_MAX];
	const char *values[] = { c->type_schema, c->type_name, mod };

	if (!type_by_oid(cx, c->type_oid, c->typmod, out, err))
		return false;
	if (*out)
		return true;
	(void) snprintf(mod, sizeof(mod), "%d", (int) c->typmod); /* fits */
	if (!one_value(cx, "look up a type",
				   "SELECT format_type(t.oid, CASE WHEN t.typtype = 'd'"
				   " THEN -1 ELSE $3::int4 END) FROM pg_type t"
				   " JOIN pg_namespace n ON n.oid = t.typnamespace"
				   " WHERE n.nspname = $1 AND t.typname = $2"
				   " AND t.typtype <> 'p' AND t.oid >= 16384",
				   3, values, out, err))
		return false;
	if (*out)
		return true;
	if (!type_by_oid(cx, c->base_oid, c->typmod, out, err))
		return false;
	if (*out)
		return true;
	log_warn("type is not known at the target, using text", "table", s->table,
			 "column", c->name, "type_schema", c->type_schema, "type",
			 c->type_name, NULL);
	*out = xstrdup("text");
	return true;
}

static bool
add_column(MergeCx *cx, const Schema *s, const SchemaColumn *c, Buf *sql,
		   Err *err)
{
	char *type;

	if (!target_column_type(cx, s, c, &type, err))
		return false;
	pg_add_ident(sql, c->name);
	buf_byte(sql, ' ');
	buf_str(sql, type);
	free(type);
	return true;
}

/* "a", "b" of the primary key in its order; of the key where none. */
static bool
add_key_names(const Schema *s, Buf *sql)
{
	bool first = true;
	bool primary = false;

	for (int pos = 1; pos <= s->ncols; pos++)
	{
		for (int i = 0; i < s->ncols; i++)
		{
			if (s->cols[i].pk != pos)
				continue;
			buf_str(sql, first ? "" : ", ");
			pg_add_ident(sql, s->cols[i].name);
			first = false;
			primary = true;
		}
	}
	for (int i = 0; !primary && target_is_keyed(s) && i < s->ncols; i++)
	{
		if (!s->cols[i].key)
			continue;
		buf_str(sql, first ? "" : ", ");
		pg_add_ident(sql, s->cols[i].name);
		first = false;
	}
	return primary;
}

static const SchemaColumn *
find_column(const Schema *s, const char *name)
{
	for (int i = 0; i < s->ncols; i++)
	{
		if (strcmp(s->cols[i].name, name) == 0)
			return &s->cols[i];
	}
	return NULL;
}

/* NOT NULL holds for rows of all versions; older ones may lack the column. */
static bool
never_null(const Schema *const *versions, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		const SchemaColumn *c = find_column(versions[i], name);

		if (!c || (!c->not_null && c->pk == 0))
			return false;
	}
	return true;
}

/* What a strict merge is not allowed to do. */
static bool
is_strict(MergeCx *cx, const char *sql, Err *err)
{
	if (strcmp(cx->opt->schema, "strict") != 0 || cx->opt->preview)
		return false;
	err_set(err, ERR_TARGET, 0,
			"merge.schema is strict, and the target needs: %s", sql);
	err_hint(err, "run this statement at the target, or set "
				  "merge.schema=follow or mirror");
	return true;
}

static bool
create_table(MergeCx *cx, const Schema *const *versions, int n, const Target *t,
			 Err *err)
{
	const Schema *s = versions[n - 1];
	Buf sql;
	Buf key;
	const char *values[] = { t->schema };
	char *found = NULL;
	bool primary;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_init(&key, SQL_MAX);
	ok = one_value(cx, "look for a schema",
				   "SELECT nspname FROM pg_namespace WHERE nspname = $1", 1,
				   values, &found, err);
	if (ok && !found)
	{
		buf_str(&sql, "CREATE SCHEMA ");
		pg_add_ident(&sql, t->schema);
		ok = sql_run(cx, "create a schema", buf_cstr(&sql), NULL, err);
		buf_reset(&sql);
	}
	buf_printf(&sql, "CREATE TABLE %s (", t->name);
	for (int i = 0; ok && i < s->ncols; i++)
	{
		buf_str(&sql, i ? ", " : "");
		ok = add_column(cx, s, &s->cols[i], &sql, err);
		if (never_null(versions, n, s->cols[i].name))
			buf_str(&sql, " NOT NULL");
	}
	primary = add_key_names(s, &key);
	if (primary)
		buf_printf(&sql, ", PRIMARY KEY (%s)", buf_cstr(&key));
	buf_byte(&sql, ')');
	ok = ok && !is_strict(cx, buf_cstr(&sql), err) &&
		 sql_run(cx, "create a table", buf_cstr(&sql), NULL, err);
	if (ok && !primary && key.n > 0)
	{
		buf_reset(&sql);
		buf_printf(&sql, "CREATE UNIQUE INDEX ON %s (%s)", t->name,
				   buf_cstr(&key));
		ok = sql_run(cx, "create an index", buf_cstr(&sql), NULL, err);
	}
	if (ok && !cx->opt->preview)
		log_info("table created at the target", "schema", t->schema, "table",
				 t->table, NULL);
	free(found);
	buf_done(&sql);
	buf_done(&key);
	return ok;
}

/* The table's OID as text in *out, NULL where there is none. */
static bool
find_table(MergeCx *cx, Target *t, char **out, Err *err)
{
	const char *values[] = { t->schema, t->table };
	PGresult *res;
	char kind;

	*out = NULL;
	if (!sql_params(cx, "look for a table",
					"SELECT c.oid, c.relkind FROM pg_class c"
					" JOIN pg_namespace n ON n.oid = c.relnamespace"
					" WHERE n.nspname = $1 AND c.relname = $2",
					2, values, &res, err))
		return false;
	if (PQntuples(res) == 0)
	{
		PQclear(res);
		return true;
	}
	kind = PQgetvalue(res, 0, 1)[0];
	*out = xstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	t->partitioned = kind == 'p';
	if (kind == 'r' || kind == 'p')
		return true;
	log_warn("what has a table's name at the target is not a table", "schema",
			 t->schema, "table", t->table, "hint",
			 "rename it, or send the source table elsewhere with merge.map",
			 NULL);
	t->unfit = "table";
	return true;
}

/*
 * True where the last statement failed for what a table is, and not for the
 * role, the server or the connection: then that table alone is left out.
 */
static bool
is_unfit(MergeCx *cx, Target *t, const Err *cause)
{
	const char *state = cx->state;

	if (strcmp(state, "54011") == 0)
		t->unfit = "columns";
	else if ((strncmp(state, "42", 2) == 0 && strcmp(state, "42501") != 0) ||
			 strncmp(state, "0A", 2) == 0 || strncmp(state, "54", 2) == 0)
		t->unfit = "table";
	if (t->unfit)
		log_warn("a table cannot be made as the source has it", "schema",
				 t->schema, "table", t->table, "cause", cause->msg, NULL);
	return t->unfit != NULL;
}

/*
 * A column more may be one more than a table can have, of which dropped ones
 * count, too.
 */
static bool
alter(MergeCx *cx, Target *t, const char *sql, Err *err)
{
	if (!sql_savepoint(cx, "cdc_s3_alter", err))
		return false;
	if (sql_run(cx, "add a column", sql, NULL, err))
		return sql_release(cx, "cdc_s3_alter", err);
	return is_unfit(cx, t, err) && sql_rollback_to(cx, "cdc_s3_alter", err);
}

/* Adds to the table what the newest schema has and res does not name. */
static bool
widen(MergeCx *cx, const Schema *s, Target *t, const PGresult *res,
	  bool *widened, Err *err)
{
	Buf sql;
	bool ok = true;

	buf_init(&sql, SQL_MAX);
	for (int i = 0; ok && !t->unfit && i < s->ncols; i++)
	{
		bool found = false;

		for (int k = 0; !found && k < PQntuples(res); k++)
			found = strcmp(PQgetvalue(res, k, 0), s->cols[i].name) == 0;
		if (found || s->cols[i].name[0] == '\0') /* it came and went */
			continue;
		buf_reset(&sql);
		buf_printf(&sql, "ALTER TABLE %s ADD COLUMN ", t->name);
		ok = add_column(cx, s, &s->cols[i], &sql, err) &&
			 !is_strict(cx, buf_cstr(&sql), err) &&
			 alter(cx, t, buf_cstr(&sql), err);
		*widened = true;
		if (ok && !t->unfit && !cx->opt->preview)
			log_info("column added at the target", "schema", t->schema, "table",
					 t->table, "column", s->cols[i].name, NULL);
	}
	buf_done(&sql);
	return ok;
}

static void
take_columns(Target *t, const Schema *const *versions, int n,
			 const PGresult *res)
{
	const Schema *newest = versions[n - 1];

	t->cols = xcalloc((size_t) PQntuples(res) + 1, sizeof(*t->cols));
	for (int i = 0; i < PQntuples(res); i++)
	{
		const char *name = PQgetvalue(res, i, 0);
		const SchemaColumn *c = find_column(newest, name);
		TargetColumn *to = &t->cols[t->ncols];
		bool wanted = c != NULL;

		for (int k = 0; !wanted && k < n - 1; k++)
			wanted = find_column(versions[k], name) != NULL;
		if (!wanted || PQgetvalue(res, i, 1)[0] == 't')
			continue;
		to->name = xstrdup(name);
		to->identity_always = PQgetvalue(res, i, 2)[0] == 't';
		to->type = xstrdup(PQgetvalue(res, i, 3));
		to->collation = xstrdup(PQgetvalue(res, i, 4));
		to->equal = xstrdup(PQgetvalue(res, i, 5));
		to->form.own_equal = to->equal;
		to->form.oid = (uint32_t) strtoul(PQgetvalue(res, i, 6), NULL, 10);
		to->form.typmod = (int32_t) strtol(PQgetvalue(res, i, 7), NULL, 10);
		to->form.type_schema = xstrdup(PQgetvalue(res, i, 8));
		to->form.type_name = xstrdup(PQgetvalue(res, i, 9));
		to->form.nondeterministic = PQgetvalue(res, i, 10)[0] == 't';
		to->primary = c && c->pk > 0;
		to->key = c && c->key && target_is_keyed(newest);
		t->ncols++;
	}
}

/* Of a preview: columns that are not there yet, as far as others ask. */
static void
plan_columns(Target *t, const Schema *newest, const PGresult *res)
{
	t->cols = xrealloc(t->cols, ((size_t) (t->ncols + newest->ncols) + 1) *
									sizeof(*t->cols));
	for (int i = 0; i < newest->ncols; i++)
	{
		const SchemaColumn *c = &newest->cols[i];
		bool found = false;

		for (int k = 0; !found && k < PQntuples(res); k++)
			found = strcmp(PQgetvalue(res, k, 0), c->name) == 0;
		if (found)
			continue;
		t->cols[t->ncols++] = (TargetColumn){
			.name = xstrdup(c->name),
			.type = xstrdup("text"),
			.collation = xstrdup(""),
			.equal = xstrdup(""),
			.key = c->key && target_is_keyed(newest),
		};
	}
}

/* Which columns are coarser than the source's? */
static bool
judge_columns(MergeCx *cx, const Schema *const *versions, int n, Target *t,
			  Err *err)
{
	const SchemaColumn **of = xcalloc((size_t) n + 1, sizeof(*of));
	bool ok = true;

	for (int i = 0; ok && i < t->ncols; i++)
	{
		int found = 0;

		if (!t->cols[i].form.own_equal) /* of a preview, not there yet */
			continue;
		for (int k = 0; k < n; k++)
		{
			of[found] = find_column(versions[k], t->cols[i].name);
			found += of[found] != NULL;
		}
		ok = form_judge(cx, of, found, t->cols[i].key, &t->cols[i].form, err);
	}
	free(of);
	return ok;
}

/* Is the source's primary key, where there is one, a part of the key? */
static bool
holds_primary(const Schema *newest)
{
	for (int i = 0; i < newest->ncols; i++)
	{
		if (newest->cols[i].pk > 0 && !newest->cols[i].key)
			return false;
	}
	return true;
}

/* The key's columns must all be there to be written. */
static bool
check_key(MergeCx *cx, const Schema *newest, Target *t, const char *oid,
		  Err *err)
{
	Buf names;
	const char *values[] = { oid, NULL };
	int want = 0;
	int have = 0;
	PGresult *res;
	bool ok;

	t->has_key = target_is_keyed(newest);
	if (!t->has_key)
		return true;
	for (int i = 0; i < newest->ncols; i++)
		want += newest->cols[i].key;
	buf_init(&names, SQL_MAX);
	buf_byte(&names, '{');
	for (int i = 0; i < t->ncols; i++)
	{
		if (t->cols[i].key)
			sql_add_array_item(&names, t->cols[i].name, have++ == 0);
	}
	buf_byte(&names, '}');
	values[1] = buf_cstr(&names);
	if (have != want)
		t->unfit = "key"; /* the target generates a column of it */
	ok = sql_params(cx, "look for a unique index", arbiter_sql, 2, values, &res,
					err);
	buf_done(&names);
	if (!ok)
		return false;
	t->arbiter = PQgetvalue(res, 0, 0)[0] == 't';
	t->unique = PQgetvalue(res, 0, 1)[0] == 't';
	t->weak = !t->unique && !holds_primary(newest);
	PQclear(res);
	return true;
}

/* May it be written, and what is in it? */
static bool
take(MergeCx *cx, const TargetPlace *place, Target *t, const char *oid,
	 Err *err)
{
	OwnerTable o = { .schema = t->schema, .table = t->table, .name = t->name };

	if (!owner_take(cx, place->from_schema, place->from_table, oid, &o, err))
		return false;
	t->had_rows = o.had_rows;
	t->incomplete = o.incomplete;
	return true;
}

/* Makes the table, and notes that we did, both or none. */
static bool
make(MergeCx *cx, const TargetPlace *place, const Schema *const *versions,
	 int n, Target *t, char **oid, Err *err)
{
	if (!sql_savepoint(cx, "cdc_s3_make", err))
		return false;
	if (take(cx, place, t, NULL, err) &&
		create_table(cx, versions, n, t, err) && find_table(cx, t, oid, err))
		return sql_release(cx, "cdc_s3_make", err);
	return is_unfit(cx, t, err) && sql_rollback_to(cx, "cdc_s3_make", err);
}

/* Finds the table or makes it; *oid is NULL where it cannot be had. */
static bool
find_or_make(MergeCx *cx, const TargetPlace *place,
			 const Schema *const *versions, int n, Target *t, char **oid,
			 Err *err)
{
	if (!find_table(cx, t, oid, err) || t->unfit)
		return t->unfit != NULL;
	return *oid ? take(cx, place, t, *oid, err)
				: make(cx, place, versions, n, t, oid, err);
}

/* The columns that are at the target, once what it lacked was added. */
static bool
open_columns(MergeCx *cx, const TargetPlace *place,
			 const Schema *const *versions, int n, Target *t, const char *oid,
			 Err *err)
{
	const char *values[] = { oid };
	PGresult *res = NULL;
	bool widened = false;
	bool ok;

	ok = sql_params(cx, "read a table's columns", columns_sql, 1, values, &res,
					err) &&
		 (t->planned || (place->altered && cx->opt->preview) ||
		  widen(cx, versions[n - 1], t, res, &widened, err));
	if (ok && widened)
	{
		PQclear(res);
		res = NULL;
		ok = sql_params(cx, "read a table's columns", columns_sql, 1, values,
						&res, err);
	}
	if (ok)
		take_columns(t, versions, n, res);
	if (ok && cx->opt->preview)
		plan_columns(t, versions[n - 1], res);
	if (ok && t->ncols > COLUMNS_MAX)
		t->unfit = "columns";
	PQclear(res);
	return ok && check_key(cx, versions[n - 1], t, oid, err) &&
		   judge_columns(cx, versions, n, t, err);
}

bool
target_open(MergeCx *cx, const TargetPlace *place,
			const Schema *const *versions, int n, Target **out, Err *err)
{
	Target *t = xcalloc(1, sizeof(*t));
	Buf name;
	char *oid = NULL;
	bool ok;

	if (place->table)
	{
		t->schema = xstrdup(place->schema);
		t->table = xstrdup(place->table);
	}
	else
		map_target(cx->opt->map, place->from_schema, place->from_table,
				   &t->schema, &t->table);
	buf_init(&name, SQL_MAX);
	sql_add_qualified(&name, t->schema, t->table);
	t->name = xstrdup(buf_cstr(&name));
	buf_done(&name);
	ok = find_or_make(cx, place, versions, n, t, &oid, err);
	t->planned = ok && !t->unfit && !oid;
	ok = ok && (t->unfit || open_columns(cx, place, versions, n, t, oid, err));
	free(oid);
	if (!ok)
	{
		err_prefix(err, "table \"%s.%s\"", t->schema, t->table);
		target_free(t);
		return false;
	}
	*out = t;
	return true;
}

void
target_free(Target *t)
{
	if (!t)
		return;
	for (int i = 0; i < t->ncols; i++)
	{
		free(t->cols[i].name);
		free(t->cols[i].type);
		free(t->cols[i].collation);
		free(t->cols[i].equal);
		form_done(&t->cols[i].form);
	}
	free(t->cols);
	free(t->schema);
	free(t->table);
	free(t->name);
	free(t);
}
