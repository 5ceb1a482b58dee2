/*-------------------------------------------------------------------------
 * ddl_table.c
 *	  The statement that makes a table of a table's folder, for each engine.
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
#include <time.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "cmd/ddl.h"
#include "codec/json.h"

/* Kinds of the record's own members that are one value. */
static const SchemaColumn as_text = { .kind = CDC_S3_KIND_STRING };
static const SchemaColumn as_int8 = { .kind = CDC_S3_KIND_INT8 };
static const SchemaColumn as_bool = { .kind = CDC_S3_KIND_BOOL };
static const SchemaColumn as_time = { .kind = CDC_S3_KIND_TIMESTAMPTZ };

#define SECONDS_PER_DAY 86400

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

static void
hive_name(const DdlJob *job, const char *name)
{
	buf_byte(job->out, '`');
	for (; *name; name++)
	{
		if (*name == '`')
			buf_byte(job->out, '`');
		buf_byte(job->out, (uint8_t) *name);
	}
	buf_byte(job->out, '`');
}

/* "name type" of all fields, one a line. */
static void
add_columns(const DdlJob *job, void (*add_name)(const DdlJob *, const char *),
			const char *between)
{
	int n;
	DdlField *f = ddl_fields(job, &n);

	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n  " : "  ");
		add_name(job, f[i].name);
		buf_str(job->out, between);
		ddl_field_type(job, &f[i]);
	}
	free(f);
}

static int
nkeys(const DdlTable *t)
{
	return t->folders == DDL_BY_HOUR ? 4 : t->folders == DDL_BY_DAY ? 3 : 0;
}

/* ---- Athena ---- */

/* Hive reads a text in either quotes, and only a format has quotes in it. */
static void
hive_text(const DdlJob *job, const char *text)
{
	const char *quote = strchr(text, '\'') ? "\"" : "'";

	buf_printf(job->out, "%s%s%s", quote, text, quote);
}

static void
property(const DdlJob *job, const char *name, const char *value)
{
	buf_printf(job->out, ",\n  '%s' = ", name);
	hive_text(job, value);
}

static const char hour_format[] = "'year='yyyy'/month='MM'/day='dd'/hour='HH";
static const char day_format[] = "'year='yyyy'/month='MM'/day='dd";

/*
 * Where the projection begins: a day before the first object, since a commit
 * that is late may go to an older hour that is open.  As a folder:
 * "year=2026/month=11/day=20/hour=08".
 */
static char *
first_folder(const DdlTable *t)
{
	struct tm tm = { .tm_year = 2000, .tm_mon = 1, .tm_mday = 1 };
	time_t before;

	/* what is not there stays as it is */
	(void) sscanf(t->first_hour, "%d/%d/%d/%d", &tm.tm_year, &tm.tm_mon,
				  &tm.tm_mday, &tm.tm_hour);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	before = timegm(&tm) - SECONDS_PER_DAY;
	(void) gmtime_r(&before, &tm); /* fails past the year 2^31 only */
	if (t->folders == DDL_BY_HOUR)
		return xasprintf("year=%04d/month=%02d/day=%02d/hour=%02d",
						 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
						 tm.tm_hour);
	return xasprintf("year=%04d/month=%02d/day=%02d", tm.tm_year + 1900,
					 tm.tm_mon + 1, tm.tm_mday);
}

/* A property of the projection, as the caller's engine writes one. */
typedef void (*PropertyFn)(const DdlJob *job, const char *name,
						   const char *value);

static void
add_projection(const DdlJob *job, PropertyFn add, const char *key,
			   const char *what, const char *value)
{
	char *name = xasprintf("projection.%s.%s", key, what);

	add(job, name, value);
	free(name);
}

/* One key: the folder's whole path, so that few requests find it. */
static void
project_one(const DdlJob *job, PropertyFn add)
{
	const DdlTable *t = job->table;
	bool hours = t->folders == DDL_BY_HOUR;
	const char *unit = hours ? "HOURS" : "DAYS";
	char *first = first_folder(t);
	char *range = xasprintf("%s,NOW+1%s", first, unit);

	add_projection(job, add, job->key, "type", "date");
	add_projection(job, add, job->key, "format",
				   hours ? hour_format : day_format);
	add_projection(job, add, job->key, "range", range);
	add_projection(job, add, job->key, "interval", "1");
	add_projection(job, add, job->key, "interval.unit", unit);
	free(range);
	free(first);
}

static void
project_four(const DdlJob *job, PropertyFn add)
{
	static const char *const ranges[] = { "", "1,12", "1,31", "0,23" };
	char *first = first_folder(job->table);
	char *range = xasprintf("%.4s,NOW", first + strlen("year="));

	add_projection(job, add, "year", "type", "date");
	add_projection(job, add, "year", "format", "yyyy");
	add_projection(job, add, "year", "range", range);
	add_projection(job, add, "year", "interval", "1");
	add_projection(job, add, "year", "interval.unit", "YEARS");
	free(range);
	free(first);
	for (int i = 1; i < nkeys(job->table); i++)
	{
		add_projection(job, add, keys[i], "type", "integer");
		add_projection(job, add, keys[i], "range", ranges[i]);
		add_projection(job, add, keys[i], "digits", "2");
	}
}

/* "s3://…/orders/${dh}" */
static char *
template_of(const DdlJob *job)
{
	DdlJob sub = *job;
	Buf b;
	char *text;

	buf_init(&b, DDL_NAME_MAX);
	sub.out = &b;
	ddl_location(&sub, "file://");
	if (job->one_key)
		buf_printf(&b, "/${%s}", job->key);
	for (int i = 0; !job->one_key && i < nkeys(job->table); i++)
		buf_printf(&b, "/%s=${%s}", keys[i], keys[i]);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

static void
project(const DdlJob *job, PropertyFn add)
{
	char *template = template_of(job);

	add(job, "projection.enabled", "true");
	if (job->one_key)
		project_one(job, add);
	else
		project_four(job, add);
	add(job, "storage.location.template", template);
	free(template);
}

static void
hive_table_name(const DdlJob *job)
{
	hive_name(job, job->table->schema);
	buf_byte(job->out, '.');
	hive_name(job, job->table->table);
}

static void
hive_partitions(const DdlJob *job)
{
	if (job->one_key)
		buf_printf(job->out, "`%s` string", job->key);
	for (int i = 0; !job->one_key && i < nkeys(job->table); i++)
		buf_printf(job->out, "%s`%s` string", i ? ", " : "", keys[i]);
}

void
ddl_create_hive(const DdlJob *job)
{
	buf_str(job->out, "CREATE EXTERNAL TABLE IF NOT EXISTS ");
	hive_table_name(job);
	buf_str(job->out, " (\n");
	add_columns(job, hive_name, " ");
	buf_str(job->out, "\n)\n");
	if (nkeys(job->table))
	{
		buf_str(job->out, "PARTITIONED BY (");
		hive_partitions(job);
		buf_str(job->out, ")\n");
	}
	buf_str(job->out, "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\n"
					  "LOCATION '");
	ddl_location(job, "file://");
	buf_str(job->out, "/'\nTBLPROPERTIES (\n  'classification' = 'json'");
	if (nkeys(job->table))
		project(job, property);
	buf_str(job->out, "\n);\n");
}

/* ---- Trino ---- */

static void
trino_date_key(const DdlJob *job)
{
	bool hours = job->table->folders == DDL_BY_HOUR;
	char *first = first_folder(job->table);

	buf_printf(job->out,
			   ",\n  %s varchar WITH (partition_projection_type = 'DATE', "
			   "partition_projection_format = ",
			   job->key);
	ddl_text(job, hours ? hour_format : day_format);
	buf_printf(job->out,
			   ", partition_projection_range = ARRAY['%s', 'NOW'], "
			   "partition_projection_interval = 1, "
			   "partition_projection_interval_unit = '%s')",
			   first, hours ? "HOURS" : "DAYS");
	free(first);
}

static void
trino_keys(const DdlJob *job)
{
	if (job->one_key)
	{
		trino_date_key(job);
		return;
	}
	for (int i = 0; i < nkeys(job->table); i++)
		buf_printf(job->out, ",\n  %s varchar", keys[i]);
}

static void
trino_projection(const DdlJob *job)
{
	char *template = template_of(job);

	buf_str(job->out, ",\n  partition_projection_enabled = true,\n"
					  "  partition_projection_location_template = ");
	ddl_text(job, template);
	free(template);
}

void
ddl_create_trino(const DdlJob *job)
{
	int n = job->one_key ? 1 : nkeys(job->table);

	ddl_comment(job, "in a catalog of the Hive connector: USE hive.anything");
	if (job->one_key)
		ddl_comment(job, "its property hive.ignore-absent-partitions=true is "
						 "needed for hours without objects");
	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\nCREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	add_columns(job, ddl_name, " ");
	trino_keys(job);
	buf_str(job->out, "\n)\nWITH (\n  format = 'OPENX_JSON',\n"
					  "  external_location = '");
	ddl_location(job, "local://");
	buf_str(job->out, "'");
	if (n > 0)
	{
		buf_str(job->out, ",\n  partitioned_by = ARRAY[");
		for (int i = 0; i < n; i++)
			buf_printf(job->out, "%s'%s'", i ? ", " : "",
					   job->one_key ? job->key : keys[i]);
		buf_byte(job->out, ']');
	}
	if (job->one_key)
		trino_projection(job);
	buf_str(job->out, "\n);\n");
	if (n > 1)
	{
		buf_str(job->out, "CALL system.sync_partition_metadata(");
		ddl_text(job, job->table->schema);
		buf_str(job->out, ", ");
		ddl_text(job, job->table->table);
		buf_str(job->out, ", 'ADD');\n");
	}
}

/* ---- Spark ---- */

void
ddl_create_spark(const DdlJob *job)
{
	int n = nkeys(job->table);

	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	if (!ddl_is_plain(job->table))
	{
		ddl_create_sources(job);
		return;
	}
	buf_str(job->out, "CREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	add_columns(job, ddl_name, " ");
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
	if (!ddl_is_plain(job->table))
	{
		ddl_create_sources(job);
		return;
	}
	buf_str(job->out, "CREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, "");
	buf_str(job->out, " (\n");
	add_columns(job, ddl_name, " ");
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

void
ddl_create_snowflake(const DdlJob *job)
{
	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	ddl_comment(job, "the stage needs a storage integration of yours: "
					 "STORAGE_INTEGRATION = name");
	buf_str(job->out, "CREATE STAGE IF NOT EXISTS ");
	ddl_table_name(job, "_stage");
	buf_str(job->out, " URL = '");
	ddl_location(job, "file://");
	buf_str(job->out, "/';\nCREATE EXTERNAL TABLE IF NOT EXISTS ");
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
	ddl_comment(job, "again whenever new objects are to be seen:");
	buf_str(job->out, "ALTER EXTERNAL TABLE ");
	ddl_table_name(job, "");
	buf_str(job->out, " REFRESH;\n");
}

/* ---- Redshift ---- */

void
ddl_create_redshift(const DdlJob *job)
{
	char *schema = xasprintf("%s" DDL_REDSHIFT_SUFFIX, job->table->schema);

	buf_str(job->out, "CREATE EXTERNAL SCHEMA IF NOT EXISTS ");
	ddl_name(job, schema);
	buf_str(job->out, " FROM DATA CATALOG DATABASE ");
	ddl_text(job, schema);
	buf_str(job->out, "\n  IAM_ROLE default CREATE EXTERNAL DATABASE IF NOT "
					  "EXISTS;\nCREATE EXTERNAL TABLE ");
	ddl_name(job, schema);
	buf_byte(job->out, '.');
	ddl_name(job, job->table->table);
	buf_str(job->out, " (\n");
	add_columns(job, ddl_name, " ");
	buf_str(job->out,
			"\n)\nROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\n"
			"STORED AS TEXTFILE\nLOCATION '");
	ddl_location(job, "file://");
	buf_str(job->out, "/';\nCREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	free(schema);
}

/* ---- Glue: the input of "aws glue create-table --cli-input-json" ---- */

static void
glue_text(const DdlJob *job, const char *text)
{
	buf_byte(job->out, '"');
	json_add_escaped(job->out, (const uint8_t *) text, strlen(text));
	buf_byte(job->out, '"');
}

static void
glue_property(const DdlJob *job, const char *name, const char *value)
{
	buf_str(job->out, ",\n      ");
	glue_text(job, name);
	buf_str(job->out, ": ");
	glue_text(job, value);
}

static void
glue_columns(const DdlJob *job)
{
	int n;
	DdlField *f = ddl_fields(job, &n);

	for (int i = 0; i < n; i++)
	{
		buf_str(job->out, i ? ",\n        {\"Name\": " : "        {\"Name\": ");
		glue_text(job, f[i].name);
		buf_str(job->out, ", \"Type\": \"");
		ddl_field_type(job, &f[i]);
		buf_str(job->out, "\"}");
	}
	free(f);
}

static void
glue_keys(const DdlJob *job)
{
	int n = nkeys(job->table);

	if (n && job->one_key)
		buf_printf(job->out, "{\"Name\": \"%s\", \"Type\": \"string\"}",
				   job->key);
	for (int i = 0; !job->one_key && i < n; i++)
		buf_printf(job->out, "%s{\"Name\": \"%s\", \"Type\": \"string\"}",
				   i ? ", " : "", keys[i]);
}

void
ddl_create_glue(const DdlJob *job)
{
	buf_str(job->out, "{\n  \"DatabaseName\": ");
	glue_text(job, job->table->schema);
	buf_str(job->out, ",\n  \"TableInput\": {\n    \"Name\": ");
	glue_text(job, job->table->table);
	buf_str(job->out, ",\n    \"TableType\": \"EXTERNAL_TABLE\",\n"
					  "    \"PartitionKeys\": [");
	glue_keys(job);
	buf_str(job->out, "],\n    \"Parameters\": {\n"
					  "      \"EXTERNAL\": \"TRUE\",\n"
					  "      \"classification\": \"json\"");
	if (nkeys(job->table))
		project(job, glue_property);
	buf_str(job->out, "\n    },\n    \"StorageDescriptor\": {\n"
					  "      \"Columns\": [\n");
	glue_columns(job);
	buf_str(job->out, "\n      ],\n      \"Location\": \"");
	ddl_location(job, "file://");
	buf_str(
		job->out,
		"/\",\n"
		"      \"InputFormat\": \"org.apache.hadoop.mapred.TextInputFormat\",\n"
		"      \"OutputFormat\": "
		"\"org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat\",\n"
		"      \"SerdeInfo\": {\"SerializationLibrary\": "
		"\"org.openx.data.jsonserde.JsonSerDe\"}\n    }\n  }\n}\n");
}
