/*-------------------------------------------------------------------------
 * wanted.c
 *	  Which tables, rows and columns a load takes.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/wanted.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pattern.h"

#define NAMES_MAX ((size_t) 1 << 20)
#define OIDS_MAX ((size_t) 1 << 28)

/*
 * $1: names of publications; $2, $3: of one table, or empty.
 *
 *	base	tables that could be stored ones, and the partitions below
 *	chain	each with itself and the tables above it
 *	shape	how many levels up the table is in whose shape it is sent
 *
 * Catalog functions that look at the present are not used: this is to be true
 * of a snapshot.
 */
static const char wanted_sql[] =
	"WITH RECURSIVE base AS ("
	"  SELECT c.oid AS rel FROM pg_catalog.pg_class c"
	"  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	"  WHERE c.relkind IN ('r', 'p', 'f')"
	"  AND ($2 = '' OR (n.nspname = $2 AND c.relname = $3))"
	"  UNION SELECT i.inhrelid FROM base"
	"  JOIN pg_catalog.pg_inherits i ON i.inhparent = base.rel"
	"  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition), "
	"chain AS ("
	"  SELECT rel, rel AS up, 0 AS level FROM base UNION ALL"
	"  SELECT chain.rel, i.inhparent, chain.level + 1 FROM chain"
	"  JOIN pg_catalog.pg_class c ON c.oid = chain.up AND c.relispartition"
	"  JOIN pg_catalog.pg_inherits i ON i.inhrelid = chain.up), "
	"pub AS (SELECT p.oid, p.puballtables AS every, p.pubviaroot AS via_root"
	"  FROM pg_catalog.pg_publication p"
	"  WHERE p.pubname = ANY ($1::pg_catalog.name[])), "
	"published AS ("
	"  SELECT pub.oid AS pub, chain.rel,"
	"    CASE WHEN pub.via_root THEN pg_catalog.max(chain.level) ELSE 0 END"
	"    AS level"
	"  FROM pub CROSS JOIN chain"
	"  JOIN pg_catalog.pg_class c ON c.oid = chain.up"
	"  JOIN pg_catalog.pg_class b ON b.oid = chain.rel"
	"  WHERE (b.relkind <> 'p' OR pub.via_root) AND (pub.every"
	"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r"
	"      WHERE r.prpubid = pub.oid AND r.prrelid = chain.up)"
	"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s"
	"      WHERE s.pnpubid = pub.oid AND s.pnnspid = c.relnamespace))"
	"  GROUP BY pub.oid, pub.via_root, chain.rel), "
	"shape AS ("
	"  SELECT rel, pg_catalog.max(level) AS level FROM published GROUP BY rel"
	"  UNION ALL SELECT rel, pg_catalog.max(level) FROM chain"
	"  WHERE $1 = '{}' GROUP BY rel), "
	"root AS (SELECT DISTINCT ON (rel) rel, up FROM chain"
	"  ORDER BY rel, level DESC) "
	"SELECT a.oid, an.nspname, a.relname, a.relkind = 'p', b.oid,"
	"  b.relfilenode, bn.nspname, b.relname, b.relkind,"
	"  b.relpersistence = 'p' AND b.relkind = 'r', rn.nspname, r.relname,"
	"  CASE WHEN $1 <> '{}' AND NOT EXISTS (SELECT FROM published p"
	"    WHERE p.rel = shape.rel AND p.level = shape.level"
	"    AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel l"
	"      WHERE l.prpubid = p.pub AND l.prrelid = a.oid"
	"      AND l.prattrs IS NOT NULL))"
	"  THEN (SELECT pg_catalog.string_agg(DISTINCT att::pg_catalog.text, ',')"
	"    FROM published p JOIN pg_catalog.pg_publication_rel l"
	"    ON l.prpubid = p.pub AND l.prrelid = a.oid,"
	"    LATERAL pg_catalog.unnest(l.prattrs::pg_catalog.int2[]) att"
	"    WHERE p.rel = shape.rel AND p.level = shape.level) END,"
	"  pg_catalog.current_setting('cdc_s3.allowed_tables', true) "
	"FROM shape"
	"  JOIN chain ON chain.rel = shape.rel AND chain.level = shape.level"
	"  JOIN pg_catalog.pg_class a ON a.oid = chain.up"
	"  JOIN pg_catalog.pg_namespace an ON an.oid = a.relnamespace"
	"  JOIN pg_catalog.pg_class b ON b.oid = shape.rel"
	"  JOIN pg_catalog.pg_namespace bn ON bn.oid = b.relnamespace"
	"  JOIN root ON root.rel = shape.rel"
	"  JOIN pg_catalog.pg_class r ON r.oid = root.up"
	"  JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace "
	"WHERE a.relkind IN ('r', 'p') AND a.relpersistence = 'p'"
	"  AND bn.nspname NOT IN ('pg_catalog', 'information_schema', 'cdc_s3')"
	"  AND bn.nspname !~ '^pg_toast' "
	"ORDER BY an.nspname, a.relname, a.oid, b.oid";

/* The columns of the result, in their order. */
enum
{
	W_OID,
	W_SCHEMA,
	W_TABLE,
	W_PARTITIONED,
	W_LEAF_OID,
	W_FILENODE,
	W_LEAF_SCHEMA,
	W_LEAF,
	W_KIND,
	W_STREAMED,
	W_ROOT_SCHEMA,
	W_ROOT,
	W_COLUMNS,
	W_ALLOWED
};

/* ---- names ---- */

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		p++;
	return p;
}

/* Adds a byte of a quoted item of an array literal. */
static void
add_byte(Buf *out, char c)
{
	if (c == '"' || c == '\\')
		buf_byte(out, '\\');
	buf_byte(out, (uint8_t) c);
}

/* One name; what follows it, or NULL where it is malformed. */
static const char *
add_name(const char *p, Buf *out)
{
	size_t before = out->n + 1;

	buf_byte(out, '"');
	if (*p == '"')
	{
		for (p++; !(p[0] == '"' && p[1] != '"'); p++)
		{
			if (*p == '\0')
				return NULL;
			if (*p == '"')
				p++;
			add_byte(out, *p);
		}
		p++;
	}
	else
	{
		for (; *p && !strchr(", \t\n\v\f\r", *p); p++)
			add_byte(out, *p >= 'A' && *p <= 'Z' ? (char) (*p + 32) : *p);
	}
	if (out->n == before)
		return NULL;
	buf_byte(out, '"');
	return skip_space(p);
}

static bool
add_names(const char *list, Buf *out)
{
	const char *p = skip_space(list ? list : "");

	buf_byte(out, '{');
	for (bool first = true; *p; first = false)
	{
		if (!first)
		{
			if (*p != ',')
				return false;
			p = skip_space(p + 1);
			buf_byte(out, ',');
		}
		p = *p ? add_name(p, out) : NULL;
		if (!p)
			return false;
	}
	buf_byte(out, '}');
	return !out->overflow;
}

bool
wanted_names(const char *list, Buf *out, Err *err)
{
	if (add_names(list, out))
		return true;
	err_set(err, ERR_USAGE, 0, "source.publication is no list of names: %s",
			list);
	return err_hint(err, "give names with commas between; those with odd "
						 "characters stand in double quotes");
}

static bool
is_true(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

bool
wanted_publications(PGconn *conn, const char *list, Err *err)
{
	static const char sql[] =
		"SELECT w.name, p.oid IS NOT NULL FROM"
		" pg_catalog.unnest($1::pg_catalog.name[]) w (name)"
		" LEFT JOIN pg_catalog.pg_publication p ON p.pubname = w.name"
		" WHERE p.oid IS NULL OR EXISTS (SELECT FROM"
		"  pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid"
		"  AND r.prqual IS NOT NULL)";
	const char *value;
	PGresult *res;
	Buf names;
	bool ok;

	buf_init(&names, NAMES_MAX);
	ok = wanted_names(list, &names, err);
	value = buf_cstr(&names);
	if (ok && strcmp(value, "{}") == 0)
	{
		buf_done(&names);
		return true;
	}
	ok = ok && pg_exec_params(conn, PG_SOURCE, "read the publications", sql, 1,
							  &value, &res, err);
	buf_done(&names);
	if (!ok)
		return false;
	if (PQntuples(res) > 0 && is_true(res, 0, 1))
	{
		err_set(err, ERR_SOURCE, 0,
				"publication \"%s\" has a row filter, and row filters are "
				"not applied",
				PQgetvalue(res, 0, 0));
		err_hint(err, "remove the row filter: ALTER PUBLICATION ... SET "
					  "TABLE ...; filter behind the lake");
	}
	else if (PQntuples(res) > 0)
	{
		err_set(err, ERR_SOURCE, 0, "publication \"%s\" does not exist",
				PQgetvalue(res, 0, 0));
		err_hint(err, "create it, or correct source.publication");
	}
	ok = PQntuples(res) == 0;
	PQclear(res);
	return ok;
}

/* ---- tables ---- */

static uint32_t
oid_at(const PGresult *res, int row, int col)
{
	return (uint32_t) strtoul(PQgetvalue(res, row, col), NULL, 10);
}

/* One of the patterns matches the stored table, or the topmost above it. */
static bool
matches(const char *list, const PGresult *res, int row)
{
	return pattern_list_matches(list, PQgetvalue(res, row, W_ROOT_SCHEMA),
								PQgetvalue(res, row, W_ROOT)) ||
		   pattern_list_matches(list, PQgetvalue(res, row, W_LEAF_SCHEMA),
								PQgetvalue(res, row, W_LEAF));
}

static bool
is_wanted(const RunOptions *o, const PGresult *res, int row)
{
	const char *allowed = PQgetvalue(res, row, W_ALLOWED);

	return (!o->tables || !o->tables[0] || matches(o->tables, res, row)) &&
		   !matches(o->exclude, res, row) &&
		   (allowed[0] == '\0' || matches(allowed, res, row));
}

static WantedTable *
add_table(WantedList *l, const PGresult *res, int row)
{
	WantedTable *t;

	l->tables = xrealloc(l->tables, ((size_t) l->n + 1) * sizeof(*l->tables));
	t = &l->tables[l->n++];
	*t = (WantedTable){
		.schema = xstrdup(PQgetvalue(res, row, W_SCHEMA)),
		.table = xstrdup(PQgetvalue(res, row, W_TABLE)),
		.oid = oid_at(res, row, W_OID),
		.partitioned = is_true(res, row, W_PARTITIONED),
		.whole = true,
		.columns = PQgetisnull(res, row, W_COLUMNS)
					   ? NULL
					   : xstrdup(PQgetvalue(res, row, W_COLUMNS)),
	};
	return t;
}

static void
add_leaf(WantedTable *t, const PGresult *res, int row)
{
	t->leaves =
		xrealloc(t->leaves, ((size_t) t->nleaves + 1) * sizeof(*t->leaves));
	t->leaves[t->nleaves++] = (WantedLeaf){ oid_at(res, row, W_LEAF_OID),
											oid_at(res, row, W_FILENODE) };
}

void
wanted_table_done(WantedTable *t)
{
	free(t->schema);
	free(t->table);
	free(t->leaves);
	free(t->columns);
}

/*
 * The rows from *row on that are of one table, which is added if something of
 * it is wanted: a partition, or a partitioned table that has none.
 */
static void
take_group(WantedList *l, const RunOptions *o, const PGresult *res, int *row)
{
	uint32_t oid = oid_at(res, *row, W_OID);
	WantedTable *t = add_table(l, res, *row);
	bool wanted = false;

	for (; *row < PQntuples(res) && oid_at(res, *row, W_OID) == oid; (*row)++)
	{
		bool stored = PQgetvalue(res, *row, W_KIND)[0] != 'p';
		bool counts = is_wanted(o, res, *row) &&
					  (!stored || is_true(res, *row, W_STREAMED));

		wanted |= counts;
		t->whole &= !stored || counts;
		if (stored && counts)
			add_leaf(t, res, *row);
	}
	if (!wanted)
		wanted_table_done(&l->tables[--l->n]);
}

bool
wanted_read(PGconn *conn, const RunOptions *o, const char *schema,
			const char *table, WantedList *out, Err *err)
{
	const char *values[] = { NULL, schema ? schema : "", table ? table : "" };
	PGresult *res;
	Buf names;
	bool ok;

	*out = (WantedList){ 0 };
	buf_init(&names, NAMES_MAX);
	ok = wanted_names(o->publication, &names, err);
	values[0] = buf_cstr(&names);
	ok = ok && pg_exec_params(conn, PG_SOURCE, "choose the tables", wanted_sql,
							  3, values, &res, err);
	for (int row = 0; ok && row < PQntuples(res);)
	{
		take_group(out, o, res, &row);
		/* the one asked for may be a partition of another */
		if (schema && out->n > 0 &&
			(strcmp(out->tables[out->n - 1].schema, schema) != 0 ||
			 strcmp(out->tables[out->n - 1].table, table) != 0))
			wanted_table_done(&out->tables[--out->n]);
	}
	if (ok)
		PQclear(res);
	buf_done(&names);
	return ok;
}

void
wanted_done(WantedList *l)
{
	for (int i = 0; i < l->n; i++)
		wanted_table_done(&l->tables[i]);
	free(l->tables);
	*l = (WantedList){ 0 };
}

/*
 * $1, $2: number and OID of each table, and of the stored ones below it; $3:
 * the slot.  A table's row for a system column is never updated: its xmin is
 * the transaction that made the table.
 */
static const char facts_sql[] =
	"SELECT u.i,"
	" pg_catalog.bool_and(pg_catalog.has_schema_privilege(c.relnamespace,"
	"  'USAGE')"
	"  AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')"
	"  AND NOT pg_catalog.row_security_active(c.oid)),"
	" (pg_catalog.array_agg(pg_catalog.age(a.xmin) > pg_catalog.age("
	"   (SELECT s.catalog_xmin FROM pg_catalog.pg_replication_slots s"
	"   WHERE s.slot_name = $3)) ORDER BY u.n))[1] "
	"FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[]),"
	"  pg_catalog.unnest($2::pg_catalog.oid[])) WITH ORDINALITY u (i, rel, n)"
	" JOIN pg_catalog.pg_class c ON c.oid = u.rel"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = -1 "
	"GROUP BY u.i";

static void
add_number(Buf *b, int64_t n)
{
	buf_printf(b, "%s%" PRId64, b->n > 1 ? "," : "", n);
}

/* The first two parameters. */
static void
add_oids(const WantedList *l, Buf *numbers, Buf *oids)
{
	buf_byte(numbers, '{');
	buf_byte(oids, '{');
	for (int i = 0; i < l->n; i++)
	{
		const WantedTable *t = &l->tables[i];

		add_number(numbers, i);
		add_number(oids, t->oid);
		for (int k = 0; k < t->nleaves; k++)
		{
			add_number(numbers, i);
			add_number(oids, t->leaves[k].oid);
		}
	}
	buf_byte(numbers, '}');
	buf_byte(oids, '}');
}

bool
wanted_facts(PGconn *conn, const char *slot, const WantedList *l,
			 WantedFact *out, Err *err)
{
	const char *values[3] = { NULL, NULL, slot };
	PGresult *res;
	Buf numbers;
	Buf oids;
	bool ok;

	buf_init(&numbers, OIDS_MAX);
	buf_init(&oids, OIDS_MAX);
	add_oids(l, &numbers, &oids);
	values[0] = buf_cstr(&numbers);
	values[1] = buf_cstr(&oids);
	ok = pg_exec_params(conn, PG_SOURCE, "look at tables that are wanted",
						facts_sql, 3, values, &res, err);
	buf_done(&numbers);
	buf_done(&oids);
	if (!ok)
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		out[strtol(PQgetvalue(res, row, 0), NULL, 10)] =
			(WantedFact){ is_true(res, row, 1), is_true(res, row, 2) };
	PQclear(res);
	return true;
}

bool
wanted_equal(const WantedTable *a, const WantedTable *b)
{
	if (a->oid != b->oid || a->partitioned != b->partitioned ||
		a->whole != b->whole || a->nleaves != b->nleaves ||
		strcmp(a->schema, b->schema) != 0 || strcmp(a->table, b->table) != 0 ||
		(a->columns == NULL) != (b->columns == NULL) ||
		(a->columns && strcmp(a->columns, b->columns) != 0))
		return false;
	for (int i = 0; i < a->nleaves; i++)
	{
		if (a->leaves[i].oid != b->leaves[i].oid ||
			a->leaves[i].filenode != b->leaves[i].filenode)
			return false;
	}
	return true;
}
