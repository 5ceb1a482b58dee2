/*-------------------------------------------------------------------------
 * ddl_table.c
 *	  The statement that makes a table of a table's folder, for Spark,
 *	  ClickHouse and Snowflake; and what its columns are, for all engines.
 *
 * Its columns are those of the schema in force and of the record (doc/lake.md),
 * and where a column had another name before, that one too: the views need it.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "cmd/ddl_read.h"

/* Kinds of the record's own members that are one value. */
static const SchemaColumn as_text = { .kind = CDC_S3_KIND_STRING };
static const SchemaColumn as_int8 = { .kind = CDC_S3_KIND_INT8 };
static const SchemaColumn as_bool = { .kind = CDC_S3_KIND_BOOL };
static const SchemaColumn as_time = { .kind = CDC_S3_KIND_TIMESTAMPTZ };

static const char *const keys[] = { "year", "month", "day", "hour" };

static int
add_record_fields(const DdlJob *job, DdlField *f)
{
	const char *list = job->engine->list;
	const char *json = job->engine->json;
	const DdlField fields[] = {
		{ "_op", &as_text, NULL, false },
		{ "_lsn", &as_text, NULL, false },
		{ "_seq", &as_int8, NULL, false },
		{ "_xid", &as_int8, NULL, false },
		{ "_ts", &as_time, NULL, false },
		{ "_unchanged", NULL, list, false },
		{ "_key", NULL, json, false },
		{ "_before", NULL, json, false },
		{ "_nokey", &as_bool, NULL, false },
		{ "_moved", &as_bool, NULL, false },
		{ "_partial", NULL, json, false },
		{ "_reason", &as_text, NULL, false },
		{ "_withheld", NULL, json, false },
		{ "_jsonnull", NULL, list, false },
	};

	memcpy(f, fields, sizeof(fields));
	return (int) (sizeof(fields) / sizeof(fields[0]));
}

static DdlField *
find_field(DdlField *f, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(f[i].name, name) == 0)
			return &f[i];
	return NULL;
}

static const SchemaColumn *
column_of(const Schema *s, int attnum)
{
	for (int i = 0; i < s->ncols; i++)
		if (s->cols[i].attnum == attnum)
			return &s->cols[i];
	return NULL;
}

/* Names of other versions, and whether a name's type was always this one. */
static int
add_old_names(const DdlJob *job, const Schema *other, DdlField *f, int n)
{
	const Schema *now = ddl_schema(job->table);

	for (int i = 0; i < other->ncols; i++)
	{
		const SchemaColumn *c = &other->cols[i];
		DdlField *same = find_field(f, n, c->json_name);

		if (same && same->column && ddl_class(same->column) != ddl_class(c))
			same->conflict = true;
		if (!same && column_of(now, c->attnum))
			f[n++] = (DdlField){ c->json_name, c, NULL, false };
	}
	return n;
}

DdlField *
ddl_fields(const DdlJob *job, int *out_n)
{
	const DdlTable *t = job->table;
	const Schema *now = ddl_schema(t);
	size_t room = 32;
	DdlField *f;
	int n;

	for (int i = 0; i < t->nversions; i++)
		room += (size_t) t->versions[i].schema->ncols;
	f = xcalloc(room, sizeof(*f));
	n = add_record_fields(job, f);
	for (int i = 0; i < now->ncols; i++)
		f[n++] =
			(DdlField){ now->cols[i].json_name, &now->cols[i], NULL, false };
	for (int i = 0; i < t->nversions - 1; i++)
		n = add_old_names(job, t->versions[i].schema, f, n);
	*out_n = n;
	return f;
}

void
ddl_choose_key(DdlJob *job)
{
	int n;
	DdlField *f = ddl_fields(job, &n);
	size_t length = 2;
	bool taken;

	memcpy(job->key, "dh", 3);
	do
	{
		taken = false;
		for (int i = 0; i < n; i++)
			taken = taken || strcasecmp(f[i].name, job->key) == 0;
		if (taken)
			memcpy(job->key + length++, "_", 2);
	} while (taken && length < sizeof(job->key) - 1);
	free(f);
}

void
ddl_field_type(const DdlJob *job, const DdlField *f)
{
	if (f->conflict)
		buf_str(job->out, job->engine->types[DDL_TEXT].raw);
	else if (f->column)
		ddl_raw_type(job, f->column);
	else
		buf_str(job->out, f->type);
}

/* "name type" of all fields, one a line. */
static void
add_columns(const DdlJob *job)
{
	int n;
	DdlField *f = ddl_fields(job, &n);

	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n  " : "  ");
		ddl_name(job, f[i].name);
		buf_byte(job->out, ' ');
		ddl_field_type(job, &f[i]);
	}
	free(f);
}

static int
nkeys(const DdlTable *t)
{
	return t->folders == DDL_BY_HOUR ? 4 : t->folders == DDL_BY_DAY ? 3 : 0;
}

/* ---- Spark ---- */

void
ddl_create_spark(const DdlJob *job)
{
	int n = nkeys(job->table);

	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	buf_str(job->out, "CREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	add_columns(job);
	for (int i = 0; i < n; i++)
		buf_printf(job->out, ",\n  `%s` STRING", keys[i]);
	buf_str(job->out, "\n)\nUSING JSON\n");
	for (int i = 0; i < n; i++)
		buf_printf(job->out, "%s`%s`%s", i ? ", " : "PARTITIONED BY (", keys[i],
				   i == n - 1 ? ")\n" : "");
	buf_str(job->out, "LOCATION '");
	ddl_location(job, "file:");
	buf_str(job->out, "';\n");
	if (n)
	{
		ddl_comment(job, "again whenever new folders are to be seen:");
		buf_str(job->out, "MSCK REPAIR TABLE ");
		ddl_table_name(job, "");
		buf_str(job->out, ";\n");
	}
}

/* ---- ClickHouse ---- */

void
ddl_create_clickhouse(const DdlJob *job)
{
	const DdlTable *t = job->table;

	buf_str(job->out, "CREATE DATABASE IF NOT EXISTS ");
	ddl_name(job, t->schema);
	buf_str(job->out, ";\n");
	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	buf_str(job->out, "CREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	add_columns(job);
	buf_printf(job->out, "\n)\nENGINE = %s",
			   strncmp(job->url, "file:", 5) == 0 ? "File(JSONEachRow, '"
												  : "S3('");
	ddl_location(job, "");
	buf_printf(job->out, "/**/*%s'%s);\n",
			   t->mixed || !t->suffix ? ".json*" : t->suffix,
			   strncmp(job->url, "file:", 5) == 0 ? "" : ", 'JSONEachRow'");
}

/* ---- Snowflake ---- */

static void
snowflake_columns(const DdlJob *job)
{
	int n;
	DdlField *f = ddl_fields(job, &n);

	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n  " : "  ");
		ddl_name(job, f[i].name);
		buf_byte(job->out, ' ');
		ddl_field_type(job, &f[i]);
		buf_str(job->out, " AS (GET(VALUE, ");
		ddl_text(job, f[i].name);
		buf_str(job->out, ")::");
		ddl_field_type(job, &f[i]);
		buf_byte(job->out, ')');
	}
	free(f);
}

/* The stage, of all that the table has. */
static void
snowflake_stage(const DdlJob *job, bool whole)
{
	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	ddl_comment(job, "the stage needs a storage integration of yours: "
					 "STORAGE_INTEGRATION = name");
	buf_str(job->out, "CREATE STAGE IF NOT EXISTS ");
	ddl_table_name(job, whole ? "_lake" : "_stage");
	buf_str(job->out, " URL = '");
	if (whole)
		ddl_put_url(job, "file://");
	else
		ddl_location(job, "file://");
	buf_str(job->out, "/';\n");
}

static void
snowflake_refresh(const DdlJob *job, const char *suffix)
{
	ddl_comment(job, "again whenever new objects are to be seen:");
	buf_str(job->out, "ALTER EXTERNAL TABLE ");
	ddl_table_name(job, suffix);
	buf_str(job->out, " REFRESH;\n");
}

void
ddl_create_snowflake(const DdlJob *job)
{
	snowflake_stage(job, !ddl_is_plain(job));
	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	buf_str(job->out, "CREATE EXTERNAL TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	snowflake_columns(job);
	if (nkeys(job->table))
		buf_printf(job->out,
				   ",\n  \"%s\" VARCHAR AS (REGEXP_SUBSTR(METADATA$FILENAME, "
				   "'year=[^.]*/'))\n)\nPARTITION BY (\"%s\")\n",
				   job->key, job->key);
	else
		buf_str(job->out, "\n)\n");
	buf_str(job->out, "LOCATION = @");
	ddl_table_name(job, "_stage");
	buf_str(job->out, "\nAUTO_REFRESH = FALSE\nPATTERN = '.*[.]json.*'\n"
					  "FILE_FORMAT = (TYPE = JSON COMPRESSION = AUTO);\n");
	snowflake_refresh(job, "");
}

/* ---- Snowflake's table of a source ---- */

/* A pattern of files as a regular expression; letters are what they are. */
static void
put_regex(const DdlJob *job, const char *glob)
{
	for (; *glob; glob++)
	{
		if (*glob == '?')
			buf_str(job->out, "[0-9]");
		else if (strchr(".+-", *glob))
			buf_printf(job->out, "[%c]", *glob);
		else
			buf_byte(job->out, (uint8_t) *glob);
	}
}

static void
snowflake_file_column(const Reading *r, int i)
{
	DdlJob sub = *r->job;
	Reading in = *r;
	Buf type;

	buf_str(r->job->out, i ? ",\n  " : "  ");
	if (r->form == DDL_FORM_CSV)
	{
		buf_printf(r->job->out, "c%d VARCHAR AS (VALUE:c%d::VARCHAR)", i,
				   i + 1);
		return;
	}
	buf_init(&type, DDL_NAME_MAX);
	sub.out = &type;
	in.job = &sub;
	ddl_file_type(&in, &r->fields[i]);
	ddl_name(r->job, r->fields[i].name);
	buf_printf(r->job->out, " %s AS (GET(VALUE, ", buf_cstr(&type));
	ddl_text(r->job, r->fields[i].name);
	buf_printf(r->job->out, ")::%s)", buf_cstr(&type));
	buf_done(&type);
}

/* The folder is what stands before the file's name. */
static void
snowflake_key(const DdlJob *job, const DdlSource *s)
{
	const char *times = strchr(s->glob, '?');

	if (!times)
		return;
	while (times > s->glob && times[-1] != '/')
		times--;
	buf_printf(job->out,
			   ",\n  \"%s\" VARCHAR AS "
			   "(REGEXP_SUBSTR(METADATA$FILENAME, '(",
			   job->key);
	put_regex(job, times);
	buf_str(job->out, ")[^/]*$', 1, 1, 'e', 1))");
}

void
ddl_create_snowflake_files(const Reading *r, const DdlSource *s,
						   const char *suffix)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "TYPE = JSON COMPRESSION = AUTO",
		[DDL_FORM_CSV] = "TYPE = CSV COMPRESSION = AUTO SKIP_HEADER = 1 "
						 "FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE = NONE "
						 "ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ('\\\\N') "
						 "EMPTY_FIELD_AS_NULL = FALSE "
						 "ERROR_ON_COLUMN_COUNT_MISMATCH = FALSE",
		[DDL_FORM_PARQUET] = "TYPE = PARQUET BINARY_AS_TEXT = FALSE "
							 "USE_LOGICAL_TYPE = TRUE",
	};
	const DdlJob *job = r->job;
	int n = r->form == DDL_FORM_CSV ? ddl_csv_columns(job->table) : r->n;

	buf_str(job->out, "CREATE OR REPLACE EXTERNAL TABLE ");
	ddl_table_name(job, suffix);
	buf_str(job->out, " (\n");
	for (int i = 0; i < n; i++)
		snowflake_file_column(r, i);
	snowflake_key(job, s);
	buf_str(job->out, "\n)\n");
	if (strchr(s->glob, '?'))
		buf_printf(job->out, "PARTITION BY (\"%s\")\n", job->key);
	buf_str(job->out, "LOCATION = @");
	ddl_table_name(job, "_lake");
	buf_str(job->out, "\nAUTO_REFRESH = FALSE\nPATTERN = '.*");
	put_regex(job, s->glob);
	buf_str(job->out, "[^/]*");
	put_regex(job, s->suffix);
	buf_printf(job->out, "'\nFILE_FORMAT = (%s);\n", formats[r->form]);
	snowflake_refresh(job, suffix);
}
