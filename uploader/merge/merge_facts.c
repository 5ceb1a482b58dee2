/*-------------------------------------------------------------------------
 * merge_facts.c
 *	  What the target's catalog says about the tables of a merge.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One row per pair of columns; the copies that partitions have are left out. */
static const char keys_sql[] =
	"SELECT c.oid, coalesce(pg_partition_root(c.conrelid), c.conrelid)::oid,"
	" coalesce(pg_partition_root(c.confrelid), c.confrelid)::oid,"
	" format('%I.%I', n.nspname, k.relname), c.confdeltype, c.confupdtype,"
	" a.attname, b.attname, format('OPERATOR(%I.%s)', m.nspname, o.oprname),"
	" coalesce((SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
	"  WHERE d.adrelid = c.conrelid AND d.adnum = a.attnum), 'NULL')"
	" FROM pg_constraint c"
	" JOIN pg_class k ON k.oid = c.conrelid"
	" JOIN pg_namespace n ON n.oid = k.relnamespace"
	" CROSS JOIN LATERAL generate_series(1, cardinality(c.conkey)) g"
	" JOIN pg_attribute a ON a.attrelid = c.conrelid"
	"  AND a.attnum = c.conkey[g]"
	" JOIN pg_attribute b ON b.attrelid = c.confrelid"
	"  AND b.attnum = c.confkey[g]"
	" JOIN pg_operator o ON o.oid = c.conpfeqop[g]"
	" JOIN pg_namespace m ON m.oid = o.oprnamespace"
	" WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY c.oid, g";

static const char table_sql[] =
	"WITH r AS (SELECT $1::regclass::oid AS oid UNION"
	" SELECT relid FROM pg_partition_tree($1::regclass))"
	"SELECT $1::regclass::oid,"
	" EXISTS (SELECT FROM pg_trigger t JOIN r ON r.oid = t.tgrelid"
	"  WHERE NOT t.tgisinternal AND t.tgenabled = ANY ($2::\"char\"[]))"
	" OR EXISTS (SELECT FROM pg_rewrite w JOIN r ON r.oid = w.ev_class"
	"  WHERE w.ev_type <> '1' AND w.ev_enabled = ANY ($2::\"char\"[])),"
	" EXISTS (SELECT FROM pg_constraint c JOIN r"
	"  ON r.oid IN (c.conrelid, c.confrelid) WHERE c.condeferrable)"
	" OR EXISTS (SELECT FROM pg_trigger t JOIN r ON r.oid = t.tgrelid"
	"  WHERE t.tgdeferrable AND NOT t.tgisinternal),"
	" EXISTS (SELECT FROM pg_index i JOIN pg_attribute a"
	"  ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
	"  WHERE i.indrelid = $1::regclass AND i.indisvalid"
	"  AND i.indpred IS NULL AND a.attname = ANY ($3::text[]))";

static const char unique_sql[] =
	"SELECT DISTINCT a.attname, format_type(a.atttypid, NULL),"
	" NOT a.attnotnull FROM pg_index i"
	" JOIN pg_attribute a ON a.attrelid = i.indrelid"
	" AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) AND a.attnum > 0"
	" AND a.attgenerated = ''"
	" WHERE i.indrelid = $1::regclass AND (i.indisunique OR i.indisexclusion)"
	" AND NOT a.attname = ANY ($2::text[])"
	" UNION SELECT a.attname, format_type(a.atttypid, NULL), true"
	" FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid"
	" AND a.attnum = ANY (c.conkey) AND NOT a.attnotnull"
	" AND a.attgenerated = ''"
	" WHERE c.conrelid = $1::regclass AND c.contype = 'f'"
	" AND NOT a.attname = ANY ($2::text[])";

static uint32_t
oid_of(const PGresult *res, int row, int column)
{
	return (uint32_t) strtoul(PQgetvalue(res, row, column), NULL, 10);
}

static void
add_pair(FactKey *k, const PGresult *res, int row)
{
	k->pairs = xrealloc(k->pairs, ((size_t) k->npairs + 1) * sizeof(*k->pairs));
	k->pairs[k->npairs++] = (FactPair){
		.child = xstrdup(PQgetvalue(res, row, 6)),
		.parent = xstrdup(PQgetvalue(res, row, 7)),
		.equal = xstrdup(PQgetvalue(res, row, 8)),
		.preset = xstrdup(PQgetvalue(res, row, 9)),
	};
}

bool
facts_read(MergeCx *cx, Facts *out, Err *err)
{
	PGresult *res;
	uint32_t last = 0;

	*out = (Facts){ 0 };
	if (cx->replica)
		return true;
	if (!sql_query(cx, "read foreign keys", keys_sql, &res, err))
		return false;
	out->keys = xcalloc((size_t) PQntuples(res) + 1, sizeof(*out->keys));
	for (int i = 0; i < PQntuples(res); i++)
	{
		uint32_t oid = oid_of(res, i, 0);

		if (oid != last)
			out->keys[out->nkeys++] = (FactKey){
				.child = oid_of(res, i, 1),
				.parent = oid_of(res, i, 2),
				.child_name = xstrdup(PQgetvalue(res, i, 3)),
				.on_delete = PQgetvalue(res, i, 4)[0],
				.on_update = PQgetvalue(res, i, 5)[0],
			};
		last = oid;
		add_pair(&out->keys[out->nkeys - 1], res, i);
	}
	PQclear(res);
	return true;
}

void
facts_done(Facts *f)
{
	for (int i = 0; i < f->nkeys; i++)
	{
		FactKey *k = &f->keys[i];

		for (int p = 0; p < k->npairs; p++)
		{
			free(k->pairs[p].child);
			free(k->pairs[p].parent);
			free(k->pairs[p].equal);
			free(k->pairs[p].preset);
		}
		free(k->pairs);
		free(k->child_name);
	}
	free(f->keys);
	*f = (Facts){ 0 };
}

static bool
read_unique(MergeCx *cx, const char *name, const char *key, FactTable *out,
			Err *err)
{
	const char *values[] = { name, key };
	PGresult *res;

	if (!sql_params(cx, "read unique constraints", unique_sql, 2, values, &res,
					err))
		return false;
	out->unique = xcalloc((size_t) PQntuples(res) + 1, sizeof(*out->unique));
	for (int i = 0; i < PQntuples(res); i++)
		out->unique[out->nunique++] = (FactColumn){
			.name = xstrdup(PQgetvalue(res, i, 0)),
			.type = xstrdup(PQgetvalue(res, i, 1)),
			.nullable = PQgetvalue(res, i, 2)[0] == 't',
		};
	PQclear(res);
	return true;
}

bool
facts_table(MergeCx *cx, const char *name, const char *key, FactTable *out,
			Err *err)
{
	const char *values[] = { name, cx->replica ? "{A,R}" : "{O,A}", key };
	PGresult *res;

	*out = (FactTable){ 0 };
	if (!sql_params(cx, "read a table's triggers", table_sql, 3, values, &res,
					err))
		return false;
	out->oid = oid_of(res, 0, 0);
	out->watched = PQgetvalue(res, 0, 1)[0] == 't';
	out->deferrable = PQgetvalue(res, 0, 2)[0] == 't';
	out->indexed = PQgetvalue(res, 0, 3)[0] == 't';
	PQclear(res);
	return read_unique(cx, name, key, out, err);
}

void
facts_table_done(FactTable *t)
{
	for (int i = 0; i < t->nunique; i++)
	{
		free(t->unique[i].name);
		free(t->unique[i].type);
	}
	free(t->unique);
	*t = (FactTable){ 0 };
}
