/*-------------------------------------------------------------------------
 * describe.c
 *	  Tables and columns from the source's catalogs, for the loader.
 *
 * The rules for kinds, key and identity are the plugin's
 * (plugin/relcache.c); test/t/020_stream.pl holds the two against each other.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/json.h"
#include "codec/rowbytes.h"

#define SQL_MAX ((size_t) 1 << 20)
#define MISSING_TEXT_MAX ((size_t) 1 << 20) /* of one value */
#define MISSING_MAX ((size_t) 2 << 20)      /* of all of a table */

static const struct
{
	uint32_t oid; /* of built-in types, fixed in pg_type.dat */
	uint8_t kind;
} kinds[] = {
	{ 16, CDC_S3_KIND_BOOL },        { 21, CDC_S3_KIND_INT2 },
	{ 23, CDC_S3_KIND_INT4 },        { 20, CDC_S3_KIND_INT8 },
	{ 26, CDC_S3_KIND_OID },         { 700, CDC_S3_KIND_FLOAT4 },
	{ 701, CDC_S3_KIND_FLOAT8 },     { 1082, CDC_S3_KIND_DATE },
	{ 1083, CDC_S3_KIND_TIME },      { 1266, CDC_S3_KIND_TIMETZ },
	{ 1114, CDC_S3_KIND_TIMESTAMP }, { 1184, CDC_S3_KIND_TIMESTAMPTZ },
	{ 1186, CDC_S3_KIND_INTERVAL },  { 2950, CDC_S3_KIND_UUID },
	{ 1700, CDC_S3_KIND_NUMERIC },   { 17, CDC_S3_KIND_BYTEA },
	{ 25, CDC_S3_KIND_STRING },      { 1043, CDC_S3_KIND_STRING },
	{ 1042, CDC_S3_KIND_STRING },    { 19, CDC_S3_KIND_STRING },
	{ 114, CDC_S3_KIND_JSON },
};

static uint8_t
kind_of(uint32_t base_oid, bool is_enum)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (kinds[i].oid == base_oid)
			return kinds[i].kind;
	}
	return is_enum ? CDC_S3_KIND_STRING : CDC_S3_KIND_TEXT;
}

void
load_id_new(const char *request, char *id)
{
	(void) snprintf(id, LOAD_ID_LEN + 1, "%08x%08x", random_u32(),
					random_u32()); /* fits */
	if (request)
		memcpy(id, request, REQUEST_ID_LEN);
}

/* See json_names_valid(). */
static bool
names_valid(const char *schema, const char *table, Err *err)
{
	Buf b;

	if (utf8_valid((const uint8_t *) schema, strlen(schema)) &&
		utf8_valid((const uint8_t *) table, strlen(table)))
		return true;
	buf_init(&b, 2048);
	key_add_table(&b, schema, table);
	(void) err_set(err, ERR_USAGE, 0,
				   "table \"%s\" has a name that is not UTF-8; rename it or "
				   "exclude the table",
				   buf_cstr(&b));
	buf_done(&b);
	return false;
}

bool
describe_tables(PGconn *conn, const RunOptions *o, Entry *list, Err *err)
{
	WantedList wanted;
	bool ok = wanted_read(conn, o, NULL, NULL, &wanted, err);

	for (int i = 0; ok && i < wanted.n; i++)
	{
		const WantedTable *t = &wanted.tables[i];
		char id[LOAD_ID_LEN + 1];
		EntryLoad *l;

		ok = names_valid(t->schema, t->table, err);
		if (!ok)
			break;
		load_id_new(NULL, id);
		l = entry_add_load(list);
		entry_set(&l->id, id);
		entry_set(&l->schema, t->schema);
		entry_set(&l->table, t->table);
		l->state = LOAD_OPEN;
	}
	wanted_done(&wanted);
	return ok;
}

/*
 * $1: OID of the table; $2: numbers of its columns, empty for all.  One row a
 * column.  "base" follows domains down to what is stored.  The key
 * is the replica identity's, or the primary key where the identity is full.
 * "missing": values of rows that are older than their column; a partitioned
 * table has those of the first table below it (plugin/body.c).
 */
static const char columns_sql[] =
	"WITH RECURSIVE rel AS (SELECT c.oid, c.relreplident, c.reltype "
	"  FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.oid), "
	"att AS (SELECT a.* FROM pg_catalog.pg_attribute a JOIN rel "
	"  ON a.attrelid = rel.oid WHERE a.attnum > 0 AND NOT a.attisdropped "
	"  AND a.attgenerated <> 'v' AND ($2 = '' OR a.attnum = ANY "
	"    (pg_catalog.string_to_array($2, ',')::pg_catalog.int2[]))), "
	"tree AS (SELECT c.oid, c.relkind, '{}'::pg_catalog.oid[] AS path "
	"  FROM pg_catalog.pg_class c JOIN rel ON rel.oid = c.oid UNION ALL "
	"  SELECT c.oid, c.relkind, tree.path OPERATOR(pg_catalog.||) c.oid "
	"  FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid "
	"  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
	"  WHERE tree.relkind = 'p'), "
	"missing AS (SELECT m.attname, "
	"    pg_catalog.array_to_string(m.attmissingval, '') AS value "
	"  FROM pg_catalog.pg_attribute m WHERE m.atthasmissing "
	"  AND NOT m.attisdropped AND m.attrelid = (SELECT oid FROM tree "
	"    WHERE relkind = 'r' ORDER BY path LIMIT 1)), "
	"base AS (SELECT attnum, atttypid AS typ, atttypmod AS typmod FROM att "
	"  UNION ALL SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b "
	"  JOIN pg_catalog.pg_type t ON t.oid = b.typ WHERE t.typtype = 'd'), "
	"pk AS (SELECT k.att, k.n FROM pg_catalog.pg_index i JOIN rel "
	"  ON i.indrelid = rel.oid, "
	"  unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(att, n) "
	"  WHERE i.indisprimary AND i.indimmediate AND i.indisvalid "
	"  AND k.n <= i.indnkeyatts), "
	"ri AS (SELECT k.att FROM pg_catalog.pg_index i JOIN rel "
	"  ON i.indrelid = rel.oid, "
	"  unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(att, n) "
	"  WHERE rel.relreplident = 'i' AND i.indisreplident AND i.indisvalid "
	"  AND k.n <= i.indnkeyatts) "
	"SELECT rel.oid, rel.relreplident, a.attname, a.attnum, a.atttypid, "
	"  tn.nspname, t.typname, b.typ, b.typmod, bt.typtype = 'e', "
	"  a.attnotnull, a.attgenerated <> '', coalesce(pk.n, 0), "
	"  CASE rel.relreplident WHEN 'f' THEN true WHEN 'd' THEN pk.n IS NOT NULL "
	"    WHEN 'i' THEN a.attnum IN (SELECT att FROM ri) ELSE false END, "
	"  CASE rel.relreplident WHEN 'f' THEN pk.n IS NOT NULL "
	"    OR NOT EXISTS (SELECT FROM pk) WHEN 'd' THEN pk.n IS NOT NULL "
	"    WHEN 'i' THEN a.attnum IN (SELECT att FROM ri) ELSE false END, "
	"  rel.reltype, missing.attname IS NOT NULL, missing.value "
	"FROM rel CROSS JOIN att a "
	"JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
	"JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace "
	"JOIN base b ON b.attnum = a.attnum "
	"JOIN pg_catalog.pg_type bt ON bt.oid = b.typ AND bt.typtype <> 'd' "
	"LEFT JOIN pk ON pk.att = a.attnum "
	"LEFT JOIN missing ON missing.attname = a.attname "
	"ORDER BY a.attnum";

static bool
is_true(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

static void
fill_column(const PGresult *res, int i, SchemaColumn *c)
{
	c->name = xstrdup(PQgetvalue(res, i, 2));
	c->attnum = (int) strtol(PQgetvalue(res, i, 3), NULL, 10);
	c->type_oid = (uint32_t) strtoul(PQgetvalue(res, i, 4), NULL, 10);
	c->type_schema = xstrdup(PQgetvalue(res, i, 5));
	c->type_name = xstrdup(PQgetvalue(res, i, 6));
	c->base_oid = (uint32_t) strtoul(PQgetvalue(res, i, 7), NULL, 10);
	c->typmod = (int32_t) strtol(PQgetvalue(res, i, 8), NULL, 10);
	c->kind = kind_of(c->base_oid, is_true(res, i, 9));
	c->not_null = is_true(res, i, 10);
	c->generated = is_true(res, i, 11);
	c->pk = (int) strtol(PQgetvalue(res, i, 12), NULL, 10);
	c->identity = is_true(res, i, 13);
	c->key = is_true(res, i, 14);
	c->has_missing = is_true(res, i, 16);
}

/* Texts that are too long have none, as in plugin/body.c. */
static void
fill_missing(const PGresult *res, Schema *s)
{
	size_t left = MISSING_MAX;

	for (int i = 0; i < s->ncols; i++)
	{
		const char *text = PQgetvalue(res, i, 17);
		size_t n = strlen(text);

		if (!s->cols[i].has_missing || PQgetisnull(res, i, 17) ||
			n > MISSING_TEXT_MAX || n > left ||
			!utf8_valid((const uint8_t *) text, n))
			continue;
		s->cols[i].missing = xstrdup(text);
		left -= n;
	}
}

/* A table without columns gives no row above. */
static bool
describe_empty(PGconn *conn, const WantedTable *t, const char *oid,
			   Schema **out, Err *err)
{
	PGresult *res;

	if (!pg_exec_params(conn, PG_SOURCE, "describe a table",
						"SELECT relreplident, reltype FROM pg_catalog.pg_class "
						"WHERE oid = $1::pg_catalog.oid",
						1, &oid, &res, err))
		return false;
	*out = NULL;
	if (PQntuples(res) == 1)
	{
		*out = schema_new(t->schema, t->table, 0);
		(*out)->relation_id = t->oid;
		(*out)->identity = PQgetvalue(res, 0, 0)[0];
		(*out)->row_type = (uint32_t) strtoul(PQgetvalue(res, 0, 1), NULL, 10);
		schema_finish(*out);
	}
	PQclear(res);
	return true;
}

bool
describe_table(PGconn *conn, const WantedTable *t, Schema **out, Err *err)
{
	char oid[16];
	const char *values[] = { oid, t->columns ? t->columns : "" };
	PGresult *res;
	Schema *s;

	(void) snprintf(oid, sizeof(oid), "%" PRIu32, t->oid); /* fits */
	if (!pg_exec_params(conn, PG_SOURCE, "describe a table", columns_sql, 2,
						values, &res, err))
		return false;
	if (PQntuples(res) == 0)
	{
		PQclear(res);
		return describe_empty(conn, t, oid, out, err);
	}
	s = schema_new(t->schema, t->table, PQntuples(res));
	s->relation_id = t->oid;
	s->identity = PQgetvalue(res, 0, 1)[0];
	s->row_type = (uint32_t) strtoul(PQgetvalue(res, 0, 15), NULL, 10);
	for (int i = 0; i < s->ncols; i++)
		fill_column(res, i, &s->cols[i]);
	fill_missing(res, s);
	PQclear(res);
	if (!json_names_valid(s))
	{
		schema_free(s);
		return err_set(err, ERR_USAGE, 0,
					   "a column of table \"%s.%s\" has a name that is not "
					   "UTF-8; rename it or exclude the table",
					   t->schema, t->table);
	}
	schema_finish(s);
	*out = s;
	return true;
}

static void
add_block(const char *sign, uint32_t block, Buf *sql)
{
	buf_printf(sql,
			   "ctid OPERATOR(pg_catalog.%s) '(%" PRIu32 ",0)'::pg_catalog.tid",
			   sign, block);
}

/* Rows of the table itself, or of those of its partitions that count. */
static void
add_from(const WantedTable *t, BlockRange range, Buf *sql)
{
	const char *and = " WHERE ";

	buf_str(sql, t->partitioned ? " FROM " : " FROM ONLY ");
	pg_add_ident(sql, t->schema);
	buf_byte(sql, '.');
	pg_add_ident(sql, t->table);
	if (range.from > 0)
	{
		buf_str(sql, and);
		add_block(">=", range.from, sql);
		and = " AND ";
	}
	if (range.to > 0)
	{
		buf_str(sql, and);
		add_block("<", range.to, sql);
		and = " AND ";
	}
	if (t->whole)
		return;
	buf_printf(sql, "%stableoid OPERATOR(pg_catalog.=) ANY ('{", and);
	for (int i = 0; i < t->nleaves; i++)
		buf_printf(sql, "%s%" PRIu32, i ? "," : "", t->leaves[i].oid);
	buf_str(sql, "}'::pg_catalog.oid[])");
}

void
describe_columns(const Schema *s, Buf *sql)
{
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		buf_str(sql, i ? ", " : "");
		if (c->kind != CDC_S3_KIND_TEXT || c->base_oid == OID_JSONB)
		{
			pg_add_ident(sql, c->name);
			continue;
		}
		/*
		 * format() calls the output function, where a cast to text may print
		 * something else (inet).  IS NULL would be true of a row of nulls.
		 */
		buf_str(sql, "CASE WHEN pg_catalog.num_nulls(");
		pg_add_ident(sql, c->name);
		buf_str(sql, ") = 0 THEN pg_catalog.format('%s', ");
		pg_add_ident(sql, c->name);
		buf_str(sql, ") END");
	}
}

void
describe_copy(const Schema *s, const WantedTable *t, BlockRange range, Buf *sql)
{
	buf_str(sql, "COPY (SELECT ");
	describe_columns(s, sql);
	add_from(t, range, sql);
	buf_str(sql, ") TO STDOUT (FORMAT binary)");
}
