/*-------------------------------------------------------------------------
 * check_tables.c
 *	  "check" of the tables that are wanted: identity, rights, names.
 *
 * A partitioned table is known by its root's name, while identity and rows
 * are its leaves'; so leaves are looked at, and patterns may name either.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cmd/check.h"
#include "codec/schema.h"

#define TEXT_MAX_BYTES 4096

/* What is never streamed; the plugin has the same rule. */
#define WANTED_RELATIONS                                                       \
	" c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog',"                     \
	" 'information_schema', 'cdc_s3') AND n.nspname NOT LIKE 'pg\\_toast%'"    \
	" AND ($1 = '{}' OR EXISTS (SELECT FROM"                                   \
	" pg_catalog.pg_publication_tables p WHERE p.pubname = ANY ($1::name[])"   \
	" AND ((p.schemaname = n.nspname AND p.tablename = c.relname)"             \
	" OR (p.schemaname = rn.nspname AND p.tablename = r.relname))))"

#define FROM_RELATIONS                                                         \
	" FROM pg_catalog.pg_class c"                                              \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"                \
	" LEFT JOIN pg_catalog.pg_class r ON c.relispartition"                     \
	" AND r.oid = pg_partition_root(c.oid)"                                    \
	" LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace"

/* The columns of the result, in their order. */
enum
{
	T_SCHEMA,
	T_TABLE,
	T_ROOT_SCHEMA,
	T_ROOT,
	T_QUOTED,
	T_PERSISTENCE,
	T_IDENTITY,
	T_PK,         /* has one, of any kind */
	T_GOOD_PK,    /* not deferrable, valid */
	T_GOOD_INDEX, /* the index of REPLICA IDENTITY USING INDEX is there */
	T_CANDIDATE,  /* an index that could be the identity; "" if none */
	T_READABLE,   /* the root, which is what a load reads */
	T_LEFT_OUT    /* columns that an update may leave out; "" if none */
};

static const char tables_sql[] =
	"SELECT n.nspname, c.relname, coalesce(rn.nspname, n.nspname),"
	" coalesce(r.relname, c.relname), format('%I.%I', n.nspname, c.relname),"
	" c.relpersistence, c.relreplident,"
	" EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
	"  AND i.indisprimary),"
	" EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
	"  AND i.indisprimary AND i.indimmediate AND i.indisvalid),"
	" EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
	"  AND i.indisreplident AND i.indimmediate AND i.indisvalid),"
	" coalesce((SELECT quote_ident(x.relname) FROM pg_catalog.pg_index i"
	"  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid"
	"  WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate"
	"  AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
	"  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a"
	"   WHERE a.attrelid = c.oid AND NOT a.attnotnull"
	"   AND a.attnum = ANY (i.indkey::int2[]))"
	"  ORDER BY i.indisprimary DESC, i.indnatts, x.relname LIMIT 1), ''),"
	" has_schema_privilege(coalesce(rn.oid, n.oid), 'USAGE')"
	"  AND has_table_privilege(coalesce(r.oid, c.oid), 'SELECT'),"
	" coalesce((SELECT string_agg(quote_ident(a.attname), ', '"
	"  ORDER BY a.attnum) FROM pg_catalog.pg_attribute a"
	"  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
	"  AND a.attlen = -1 AND a.attstorage <> 'p' AND c.reltoastrelid <> 0"
	"  AND c.relreplident <> 'f' AND NOT EXISTS (SELECT"
	"   FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
	"   AND CASE c.relreplident WHEN 'i' THEN i.indisreplident"
	"    ELSE i.indisprimary END"
	"   AND a.attnum = ANY (i.indkey::int2[]))), '')" FROM_RELATIONS
	" WHERE c.relpersistence IN ('p', 'u') AND" WANTED_RELATIONS
	" ORDER BY 3, 4, 1, 2";

static const char columns_sql[] =
	"SELECT coalesce(rn.nspname, n.nspname), coalesce(r.relname, c.relname),"
	" format('%I.%I', coalesce(rn.nspname, n.nspname),"
	"  coalesce(r.relname, c.relname)), a.attname" FROM_RELATIONS
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
	" AND NOT a.attisdropped"
	" WHERE c.relpersistence = 'p' AND" WANTED_RELATIONS
	" GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, lower(a.attname), a.attname";

static bool
yes(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

static bool
wants_row(const Check *c, const PGresult *res, int row)
{
	return check_wants(c, PQgetvalue(res, row, T_SCHEMA),
					   PQgetvalue(res, row, T_TABLE)) ||
		   (check_wants(c, PQgetvalue(res, row, T_ROOT_SCHEMA),
						PQgetvalue(res, row, T_ROOT)));
}

/* Why nobody can tell which row was changed; NULL where one can. */
static const char *
identity_flaw(const PGresult *res, int row)
{
	switch (PQgetvalue(res, row, T_IDENTITY)[0])
	{
		case 'f':
			return NULL;
		case 'n':
			return "has REPLICA IDENTITY NOTHING";
		case 'i':
			return yes(res, row, T_GOOD_INDEX)
					   ? NULL
					   : "has lost the index of its replica identity";
		default:
			if (yes(res, row, T_GOOD_PK))
				return NULL;
			return yes(res, row, T_PK)
					   ? "has a deferrable or invalid primary key, which is "
						 "no identity"
					   : "has no primary key and no replica identity";
	}
}

static void
add_identity_mend(const PGresult *res, int row, Buf *mend)
{
	const char *candidate = PQgetvalue(res, row, T_CANDIDATE);

	buf_printf(mend, "ALTER TABLE %s REPLICA IDENTITY ",
			   PQgetvalue(res, row, T_QUOTED));
	if (yes(res, row, T_GOOD_PK))
		buf_str(mend, "DEFAULT;");
	else if (*candidate)
		buf_printf(mend, "USING INDEX %s;", candidate);
	else
		buf_str(mend, "FULL; or give it a primary key that is not deferrable");
}

static void
report_identity(Check *c, const PGresult *res, int row, const char *flaw)
{
	Finding f = {
		.level = CHECK_WARNING,
		.name = "identity",
		.why = "updates and deletes do not say which row they change, so a "
			   "merge cannot apply them; inserts are not affected",
	};
	Buf mend;

	buf_init(&mend, TEXT_MAX_BYTES);
	add_identity_mend(res, row, &mend);
	f.mend = buf_cstr(&mend);
	check_report(c, &f, "%s %s", PQgetvalue(res, row, T_QUOTED), flaw);
	buf_done(&mend);
}

static void
report_unlogged(Check *c, const PGresult *res, int row)
{
	Finding f = {
		.level = CHECK_WARNING,
		.name = "unlogged table",
		.why = "its changes are not in the WAL and never reach the lake",
	};
	Buf mend;

	buf_init(&mend, TEXT_MAX_BYTES);
	buf_printf(&mend,
			   "ALTER TABLE %s SET LOGGED; before the first load, or name it "
			   "in source.exclude",
			   PQgetvalue(res, row, T_QUOTED));
	f.mend = buf_cstr(&mend);
	check_report(c, &f, "%s", PQgetvalue(res, row, T_QUOTED));
	buf_done(&mend);
}

static void
report_unreadable(Check *c, const PGresult *res, int row)
{
	Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "right to load",
		.why = "the first load reads the table as an ordinary query",
	};
	const char *schema = PQgetvalue(res, row, T_ROOT_SCHEMA);
	const char *table = PQgetvalue(res, row, T_ROOT);
	Buf mend;

	buf_init(&mend, TEXT_MAX_BYTES);
	buf_str(&mend, "GRANT USAGE ON SCHEMA ");
	pg_add_ident(&mend, schema);
	buf_str(&mend, " TO ");
	pg_add_ident(&mend, PQuser(c->conn));
	buf_str(&mend, "; GRANT SELECT ON ");
	pg_add_ident(&mend, schema);
	buf_byte(&mend, '.');
	pg_add_ident(&mend, table);
	buf_str(&mend, " TO ");
	pg_add_ident(&mend, PQuser(c->conn));
	buf_str(&mend, "; or load.mode=never, or source.exclude");
	f.mend = buf_cstr(&mend);
	check_report(c, &f, "\"%s\".\"%s\" cannot be read by \"%s\"", schema, table,
				 PQuser(c->conn));
	buf_done(&mend);
}

/*
 * Who sets output.key_change or output.unchanged wants the query for the last
 * change of each key to be right: for which tables is it not?
 */
static void
report_last_change(Check *c, const PGresult *res, int row, const char *flaw)
{
	Finding f = { .level = CHECK_WARNING,
				  .name = "last change of a key",
				  .mend = "the view of \"cdc-s3 ddl --view latest\"" };
	const char *columns = PQgetvalue(res, row, T_LEFT_OUT);
	const char *table = PQgetvalue(res, row, T_QUOTED);
	bool bag =
		PQgetvalue(res, row, T_IDENTITY)[0] == 'f' && !yes(res, row, T_PK);
	Buf mend;

	if (flaw || bag)
	{
		f.why = "output.key_change and output.unchanged do not make a query "
				"for the last change of each key right: nothing tells which "
				"rows are one";
		f.mend = bag ? "give it a primary key; or the view of \"cdc-s3 ddl "
					   "--view latest\""
					 : "give it a primary key";
		check_report(c, &f, "%s has no key", table);
		return;
	}
	if (!*columns)
		return;
	f.why = "an update that does not touch a TOAST value does not tell it, "
			"and the old row that would is not at hand: such a query reads "
			"NULL there";
	buf_init(&mend, TEXT_MAX_BYTES);
	buf_printf(&mend, "ALTER TABLE %s REPLICA IDENTITY FULL; or %s", table,
			   f.mend);
	f.mend = buf_cstr(&mend);
	check_report(c, &f, "%s: updates may leave out %s", table, columns);
	buf_done(&mend);
}

static bool
wants_last_change(const Check *c)
{
	return strcmp(c->cfg->output_key_change, "split") == 0 ||
		   strcmp(c->cfg->output_unchanged, "old") == 0;
}

/* Will there be a load whose rights matter? */
static bool
load_is_due(const Check *c)
{
	if (strcmp(c->cfg->load_mode, "never") == 0)
		return false;
	return !c->last || !c->last->loaded || c->last->loads_open > 0;
}

/* Rows come sorted by root. */
static bool
same_root(const PGresult *res, int row)
{
	return row > 0 &&
		   strcmp(PQgetvalue(res, row, T_ROOT_SCHEMA),
				  PQgetvalue(res, row - 1, T_ROOT_SCHEMA)) == 0 &&
		   strcmp(PQgetvalue(res, row, T_ROOT),
				  PQgetvalue(res, row - 1, T_ROOT)) == 0;
}

static void
check_rows(Check *c, const PGresult *res)
{
	int wanted = 0;
	int no_identity = 0;
	int unreadable = 0;
	const Finding none = {
		.level = CHECK_WARNING,
		.name = "tables",
		.why = "nothing would be streamed",
		.mend = "correct source.tables, source.exclude and "
				"source.publication, or create the tables",
	};

	for (int row = 0; row < PQntuples(res); row++)
	{
		const char *flaw = identity_flaw(res, row);

		if (!wants_row(c, res, row))
			continue;
		if (PQgetvalue(res, row, T_PERSISTENCE)[0] == 'u')
		{
			report_unlogged(c, res, row);
			continue;
		}
		wanted++;
		if (flaw)
		{
			report_identity(c, res, row, flaw);
			no_identity++;
		}
		if (wants_last_change(c))
			report_last_change(c, res, row, flaw);
		if (!yes(res, row, T_READABLE) && load_is_due(c) &&
			!same_root(res, row))
		{
			report_unreadable(c, res, row);
			unreadable++;
		}
	}
	if (wanted == 0)
		check_report(c, &none, "none is wanted");
	else
		check_ok(c, "tables",
				 "%d wanted, %d without a usable identity, %d that a load "
				 "could not read",
				 wanted, no_identity, unreadable);
}

static const char notices_sql[] =
	"SELECT count(*) FROM pg_catalog.pg_event_trigger WHERE evtname IN"
	" ('cdc_s3_ddl_start', 'cdc_s3_ddl_end', 'cdc_s3_drop', 'cdc_s3_rewrite')"
	" AND evtenabled <> 'D'";

/* It tells what happens, either way. */
static void
check_notices(Check *c)
{
	Buf n;
	bool ok;

	buf_init(&n, TEXT_MAX_BYTES);
	ok = check_text(c, "ddl notices", notices_sql, &n);
	if (ok && strcmp(buf_cstr(&n), "4") == 0)
		check_ok(c, "ddl notices",
				 "DDL that changes rows without row events is noted");
	else if (ok)
		check_ok(c, "ddl notices",
				 "some DDL that changes rows without row events goes unseen "
				 "(ATTACH, DETACH, DROP of partitions, attributes of composite "
				 "types, labels of enums) unless CREATE EXTENSION cdc_s3 is "
				 "run");
	buf_done(&n);
}

/* $1 is the list of publications. */
static bool
ask(const Check *c, const char *doing, const char *sql, PGresult **res,
	Err *err)
{
	const char *value;
	Buf names;
	bool ok;

	buf_init(&names, TEXT_MAX_BYTES);
	check_publication_names(c, &names);
	value = buf_cstr(&names);
	ok = pg_exec_params(c->conn, PG_SOURCE, doing, sql, 1, &value, res, err);
	buf_done(&names);
	return ok;
}

void
check_tables(Check *c)
{
	PGresult *res;
	Err err;

	if (!c->conn)
		return;
	if (!ask(c, "list the tables", tables_sql, &res, &err))
	{
		check_failed(c, "tables", "they could not be checked", &err);
		return;
	}
	check_rows(c, res);
	PQclear(res);
	check_notices(c);
}

/* Does the lake have to call a column by another name? */
static bool
is_renamed(const char *name, char **out_as)
{
	Schema *s = schema_new("", "", 1);
	bool renamed;

	free(s->cols[0].name);
	free(s->cols[0].type_schema);
	free(s->cols[0].type_name);
	s->cols[0].name = xstrdup(name);
	s->cols[0].type_schema = xstrdup("");
	s->cols[0].type_name = xstrdup("");
	s->cols[0].kind = 1;
	s->identity = 'd';
	schema_finish(s);
	renamed = strcmp(s->cols[0].json_name, name) != 0;
	*out_as = renamed ? xstrdup(s->cols[0].json_name) : NULL;
	schema_free(s);
	return renamed;
}

static void
report_renamed(Check *c, const char *table, const char *column, const char *as)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "column name",
		.why = "the name belongs to the record's metadata or to the "
			   "partitions, and engines would show that in its place",
		.mend = "use the name of the lake in queries there, or rename the "
				"column; a merge restores its own name",
	};

	check_report(c, &f, "%s.\"%s\" is \"%s\" in the lake", table, column, as);
}

static void
report_case(Check *c, const char *table, const char *a, const char *b)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "column name",
		.why = "engines read names without case, so the column that was added "
			   "later gets underscores in the lake",
		.mend = "use that name in queries there (\"cdc-s3 ddl\" prints it), or "
				"rename the column; a merge restores its own name",
	};

	check_report(c, &f, "%s: \"%s\" and \"%s\" differ by case only", table, a,
				 b);
}

/* Rows come sorted by table and by lower-case name. */
static bool
same_but_case(const PGresult *res, int row)
{
	return row > 0 &&
		   strcmp(PQgetvalue(res, row, 2), PQgetvalue(res, row - 1, 2)) == 0 &&
		   strcasecmp(PQgetvalue(res, row, 3), PQgetvalue(res, row - 1, 3)) ==
			   0;
}

void
check_columns(Check *c)
{
	PGresult *res;
	Err err;

	if (!c->conn)
		return;
	if (!ask(c, "list the columns", columns_sql, &res, &err))
	{
		check_failed(c, "column name", "they could not be checked", &err);
		return;
	}
	for (int row = 0; row < PQntuples(res); row++)
	{
		char *as;

		if (!check_wants(c, PQgetvalue(res, row, 0), PQgetvalue(res, row, 1)))
			continue;
		if (is_renamed(PQgetvalue(res, row, 3), &as))
		{
			report_renamed(c, PQgetvalue(res, row, 2), PQgetvalue(res, row, 3),
						   as);
			free(as);
		}
		if (same_but_case(res, row))
			report_case(c, PQgetvalue(res, row, 2), PQgetvalue(res, row - 1, 3),
						PQgetvalue(res, row, 3));
	}
	PQclear(res);
}
