/*-------------------------------------------------------------------------
 * ddl_duckdb.c
 *	  DuckDB's view of a table's objects, of all formats and in all folders
 *	  that they lie in.
 *
 * Objects of one format, compression and kind of folders are a branch; all
 * branches give the same columns with the same types, and are put together by
 * name.  A branch begins with a row that is not there, so that a column of
 * which no file knows is NULL and no error.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cmd/ddl.h"

#define KEYS_MAX 16

/* What DuckDB reads from our Parquet files; NULL: a list of @. */
static const char *const parquet_types[DDL_CLASSES] = {
	[DDL_BOOL] = "BOOLEAN",        [DDL_INT2] = "SMALLINT",
	[DDL_INT4] = "INTEGER",        [DDL_INT8] = "BIGINT",
	[DDL_FLOAT4] = "FLOAT",        [DDL_FLOAT8] = "DOUBLE",
	[DDL_DECIMAL] = "DECIMAL(#)",  [DDL_NUMERIC] = "VARCHAR",
	[DDL_DATE] = "DATE",           [DDL_TIME] = "VARCHAR",
	[DDL_TIMESTAMP] = "TIMESTAMP", [DDL_TIMESTAMPTZ] = "TIMESTAMPTZ",
	[DDL_UUID] = "VARCHAR",        [DDL_BYTEA] = "BLOB",
	[DDL_JSON] = "VARCHAR",        [DDL_ARRAY] = "@[]",
	[DDL_TEXT] = "VARCHAR",
};

/* The types of the view, of a column that is no text. */
static const char *const view_types[DDL_CLASSES] = {
	[DDL_BOOL] = "BOOLEAN",        [DDL_INT2] = "SMALLINT",
	[DDL_INT4] = "INTEGER",        [DDL_INT8] = "BIGINT",
	[DDL_FLOAT4] = "FLOAT",        [DDL_FLOAT8] = "DOUBLE",
	[DDL_DECIMAL] = "DECIMAL(#)",  [DDL_NUMERIC] = "VARCHAR",
	[DDL_DATE] = "DATE",           [DDL_TIME] = "TIME",
	[DDL_TIMESTAMP] = "TIMESTAMP", [DDL_TIMESTAMPTZ] = "TIMESTAMPTZ",
	[DDL_UUID] = "UUID",           [DDL_BYTEA] = "BLOB",
	[DDL_JSON] = "JSON",           [DDL_ARRAY] = "@[]",
	[DDL_TEXT] = "VARCHAR",
};

/* The field's name, as SQL; the caller frees it. */
static char *
name_of(const DdlJob *job, const char *name)
{
	DdlJob sub = *job;
	Buf b;
	char *text;

	buf_init(&b, DDL_NAME_MAX);
	sub.out = &b;
	ddl_name(&sub, name);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

static bool
is_json(const DdlField *f)
{
	return f->column && ddl_class(f->column) == DDL_JSON && !f->conflict;
}

/* Of a json value the JSON null is one, too. */
static void
put_json(const DdlJob *job, const char *name, const char *value,
		 const char *list)
{
	buf_printf(job->out, "CASE WHEN list_contains(%s, ", list);
	ddl_text(job, name);
	buf_printf(job->out, ") THEN 'null'::JSON ELSE %s END", value);
}

static void
put_type(const DdlJob *job, const char *const *types, const DdlField *f)
{
	if (f->conflict)
		buf_str(job->out, "VARCHAR");
	else if (f->column)
		ddl_fill_column(job, types[ddl_class(f->column)], f->column);
	else
		buf_str(job->out, f->type);
}

/* ---- JSON ---- */

static void
json_value(const DdlJob *job, const DdlField *f, const char *name)
{
	if (is_json(f))
		put_json(job, f->name, name, "\"_jsonnull\"");
	else if (f->column && !f->conflict)
		ddl_cast(job, f->column, name);
	else
		buf_str(job->out, name);
}

static void
json_reader(const DdlJob *job, const DdlField *f, int n)
{
	buf_str(job->out, ",\n format = 'newline_delimited', columns = {\n");
	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n  " : "  ");
		ddl_name(job, f[i].name);
		buf_str(job->out, ": '");
		ddl_field_type(job, &f[i]);
		buf_byte(job->out, '\'');
	}
	buf_str(job->out, "\n }");
}

/* ---- CSV: all is text ---- */

/* Line ends and backslashes that were escaped. */
static char *
csv_text(const DdlJob *job, const char *name)
{
	if (!job->escaped)
		return xstrdup(name);
	return xasprintf(
		"CASE WHEN \"_escaped\" = 'true' THEN replace(replace(replace(replace("
		"%s, '\\\\', chr(1)), '\\n', chr(10)), '\\r', chr(13)), chr(1), "
		"'\\') ELSE %s END",
		name, name);
}

/* An array's text is PostgreSQL's; of one dimension it is nearly DuckDB's. */
static void
csv_array(const DdlJob *job, const DdlField *f, const char *text)
{
	buf_printf(job->out,
			   "CASE WHEN (%s) LIKE '{%%' AND (%s) NOT LIKE '{{%%' THEN ", text,
			   text);
	{
		char *list = xasprintf("'[' || substr((%s), 2, length(%s) - 2) || ']'",
							   text, text);

		ddl_cast(job, f->column, list);
		free(list);
	}
	buf_str(job->out, " END");
}

static void
csv_value(const DdlJob *job, const DdlField *f, const char *name)
{
	char *text = csv_text(job, name);
	DdlClass class = f->column ? ddl_class(f->column) : DDL_TEXT;

	if (f->conflict || (!f->column && strcmp(f->type, "VARCHAR") == 0))
		buf_str(job->out, text);
	else if (!f->column)
		buf_printf(job->out, "TRY_CAST(TRY_CAST(%s AS JSON) AS %s)", text,
				   f->type);
	else if (class == DDL_ARRAY)
		csv_array(job, f, text);
	else if (job->engine->types[class].cast)
		ddl_cast(job, f->column, text);
	else
	{
		buf_printf(job->out, "TRY_CAST(%s AS ", text);
		put_type(job, view_types, f);
		buf_byte(job->out, ')');
	}
	free(text);
}

/* ---- Parquet: most is what it is to be ---- */

static void
parquet_value(const DdlJob *job, const DdlField *f, const char *name)
{
	char *value;

	if (!f->column && strcmp(f->name, "_withheld") == 0)
		buf_printf(job->out, "to_json(%s)", name);
	else if (!f->column && strcmp(f->type, "JSON") == 0)
		buf_printf(job->out, "TRY_CAST(%s AS JSON)", name);
	else if (!f->column)
		buf_str(job->out, name);
	else if (is_json(f))
	{
		value = xasprintf("TRY_CAST(%s AS JSON)", name);
		put_json(job, f->name, value, "\"_jsonnull\"");
		free(value);
	}
	else
	{
		buf_printf(job->out, "TRY_CAST(%s AS ", name);
		put_type(job, view_types, f);
		buf_byte(job->out, ')');
	}
}

static void
parquet_type(const DdlJob *job, const DdlField *f)
{
	if (!f->column && strcmp(f->name, "_withheld") == 0)
		buf_str(job->out, "STRUCT(\"column\" VARCHAR, reason VARCHAR, size "
						  "BIGINT, crc32c VARCHAR, bytes BLOB)[]");
	else if (!f->column && strcmp(f->type, "JSON") == 0)
		buf_str(job->out, "VARCHAR");
	else
		put_type(job, parquet_types, f);
}

/* ---- branches ---- */

/* Segments of the glob such as "year=????": a key, unless a column has it. */
static int
keys_of(const char *glob, const DdlField *f, int n, char *keys[KEYS_MAX])
{
	int nkeys = 0;

	while (*glob && nkeys < KEYS_MAX)
	{
		size_t len = strcspn(glob, "/");
		size_t name = strcspn(glob, "=");
		bool taken = name == 0 || name >= len ||
					 strspn(glob + name + 1, "?") != len - name - 1;

		for (int i = 0; !taken && i < n; i++)
			taken = strlen(f[i].name) == name &&
					strncasecmp(f[i].name, glob, name) == 0;
		if (!taken)
			keys[nkeys++] = xstrndup(glob, name);
		glob += len + (glob[len] == '/');
	}
	return nkeys;
}

static void
put_location(const DdlJob *job, const DdlSource *s)
{
	const char *rest = strstr(job->url, "://");
	const char *scheme =
		rest && strncmp(job->url, "file:", 5) != 0 ? "s3://" : "";
	char *text = xasprintf("%s%s/%s*%s", scheme, rest ? rest + 3 : job->url,
						   s->glob, s->suffix);

	ddl_text(job, text);
	free(text);
}

/* The row that is not there. */
static void
put_nothing(const DdlJob *job, DdlForm form, const DdlField *f, int n)
{
	buf_str(job->out, "(SELECT ");
	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ", NULL::" : "NULL::");
		if (form == DDL_FORM_PARQUET)
			parquet_type(job, &f[i]);
		else
			buf_str(job->out, "VARCHAR");
		buf_str(job->out, " AS ");
		ddl_name(job, f[i].name);
	}
	if (form == DDL_FORM_CSV && job->escaped)
		buf_str(job->out, ", NULL::VARCHAR AS \"_escaped\"");
	buf_str(job->out, " WHERE false\n UNION ALL BY NAME SELECT * FROM ");
}

static void
put_reader(const DdlJob *job, DdlForm form, const DdlSource *s,
		   const DdlField *f, int n)
{
	static const char *const readers[] = {
		[DDL_FORM_JSON] = "read_json(",
		[DDL_FORM_CSV] = "read_csv(",
		[DDL_FORM_PARQUET] = "read_parquet(",
	};

	buf_str(job->out, readers[form]);
	put_location(job, s);
	if (form == DDL_FORM_JSON)
		json_reader(job, f, n);
	else if (form == DDL_FORM_CSV)
		buf_str(job->out, ",\n header = true, all_varchar = true, delim = ',', "
						  "quote = '\"', escape = '\"', nullstr = '\\N',\n "
						  "allow_quoted_nulls = false, union_by_name = true, "
						  "max_line_size = 16777216");
	else
		buf_str(job->out, ", union_by_name = true");
}

static void
put_branch(const DdlJob *job, const DdlSource *s, const DdlField *f, int n)
{
	DdlForm form = ddl_form(s->suffix);
	char *keys[KEYS_MAX];
	int nkeys = keys_of(s->glob, f, n, keys);

	buf_str(job->out, "SELECT");
	for (int i = 0; i < n; i++)
	{
		char *name = name_of(job, f[i].name);

		buf_str(job->out, i ? ",\n  " : "\n  ");
		(form == DDL_FORM_JSON  ? json_value
		 : form == DDL_FORM_CSV ? csv_value
								: parquet_value)(job, &f[i], name);
		buf_printf(job->out, " AS %s", name);
		free(name);
	}
	for (int i = 0; i < nkeys; i++)
		buf_printf(job->out, ",\n  \"%s\"", keys[i]);
	buf_str(job->out, "\nFROM ");
	if (form != DDL_FORM_JSON)
		put_nothing(job, form, f, n);
	put_reader(job, form, s, f, n);
	buf_printf(job->out, ", hive_partitioning = %s",
			   nkeys ? "true, hive_types = {" : "false");
	for (int i = 0; i < nkeys; i++)
		buf_printf(job->out, "%s'%s': INTEGER", i ? ", " : "", keys[i]);
	buf_str(job->out, nkeys ? "})" : ")");
	if (form != DDL_FORM_JSON)
		buf_byte(job->out, ')');
	for (int i = 0; i < nkeys; i++)
		free(keys[i]);
}

/* A table that has no object. */
static void
put_empty(const DdlJob *job, const DdlField *f, int n)
{
	buf_str(job->out, "SELECT");
	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n  NULL::" : "\n  NULL::");
		put_type(job, view_types, &f[i]);
		buf_str(job->out, " AS ");
		ddl_name(job, f[i].name);
	}
	buf_str(job->out, "\nWHERE false");
}

void
ddl_create_duckdb(const DdlJob *job)
{
	const DdlTable *t = job->table;
	int branches = 0;
	int n;
	DdlField *f = ddl_fields(job, &n);

	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, t->schema);
	buf_str(job->out, ";\nCREATE OR REPLACE VIEW ");
	ddl_table_name(job, "");
	buf_str(job->out, " AS ");
	for (int i = 0; i < t->nsources; i++)
	{
		if (ddl_form(t->sources[i].suffix) == DDL_FORM_OTHER)
			continue;
		buf_str(job->out, branches++ ? "\nUNION ALL BY NAME " : "");
		put_branch(job, &t->sources[i], f, n);
	}
	if (branches == 0)
		put_empty(job, f, n);
	buf_str(job->out, ";\n");
	free(f);
}
