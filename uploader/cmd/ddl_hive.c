/*-------------------------------------------------------------------------
 * ddl_hive.c
 *	  Tables for engines that know those of Hive: Athena, Glue, Trino, Redshift.
 *
 * Such a table is a folder with all that is in it, or, by projection, folders
 * whose names the engine makes of dates.  The key of one column is all of a
 * folder's path behind its first segments: so any template of output.path can
 * be said, and few requests find the folders.
 *
 * CSV is OpenCSVSerDe's: it drops its escape character from all texts, so that
 * is one that hardly any has.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cmd/ddl_read.h"
#include "codec/json.h"

#define KEYS_MAX 5
#define PARTITIONS_A_STATEMENT 100 /* Redshift's limit */
#define MONTHS_AHEAD 120
#define YEARS_AHEAD 20

#define JSON_SERDE "org.openx.data.jsonserde.JsonSerDe"
#define CSV_SERDE "org.apache.hadoop.hive.serde2.OpenCSVSerde"
#define PARQUET_SERDE                                                          \
	"org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
#define TEXT_INPUT "org.apache.hadoop.mapred.TextInputFormat"
#define TEXT_OUTPUT "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
#define PARQUET_INPUT                                                          \
	"org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
#define PARQUET_OUTPUT                                                         \
	"org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

/* A property of the projection, as the caller's engine writes one. */
typedef void (*PropertyFn)(const DdlJob *job, const char *name,
						   const char *value);

/* ---- names and texts ---- */

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

static void
hive_table_name(const DdlJob *job, const char *suffix)
{
	char *name = xasprintf("%s%s", job->table->table, suffix);

	hive_name(job, job->table->schema);
	buf_byte(job->out, '.');
	hive_name(job, name);
	free(name);
}

/* Hive reads a text in either quotes, and only a format has quotes in it. */
static void
property(const DdlJob *job, const char *name, const char *value)
{
	const char *quote = strchr(value, '\'') ? "\"" : "'";

	buf_printf(job->out, ",\n  '%s' = %s%s%s", name, quote, value, quote);
}

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

/* "s3://…/orders/": what stands before the times. */
static void
put_base(const DdlJob *job, const DdlRun *run, const char *scheme)
{
	if (run)
	{
		ddl_put_url(job, scheme);
		buf_byte(job->out, '/');
		buf_add(job->out, run->form, ddl_form_base(run->form));
		return;
	}
	ddl_location(job, scheme);
	buf_byte(job->out, '/');
}

/* The only run of a table that is one folder, if it has any object. */
static const DdlRun *
only_run(const DdlTable *t)
{
	return t->nruns == 1 ? t->runs : NULL;
}

/* ---- keys of partitions ---- */

/* The time's own key, with an underscore where a column is called so. */
static char *
time_key(const DdlJob *job, const DdlTime *time)
{
	bool taken = false;
	int n;
	DdlField *f = ddl_fields(job, &n);

	for (int i = 0; i < n; i++)
		taken = taken || strcasecmp(f[i].name, time->key) == 0;
	free(f);
	return xasprintf("%s%s", time->key, taken ? "_" : "");
}

/* Names of the keys, which the caller frees. */
static int
keys_of(const DdlJob *job, const DdlRun *run, char *keys[KEYS_MAX])
{
	static const char *const all[] = { "{yyyy}", "{mm}", "{dd}", "{hh}",
									   "{mi}" };
	int n = 0;

	if (!run || ddl_unit(run->form) == DDL_NO_UNIT)
		return 0;
	if (job->one_key)
		keys[n++] = xstrdup(job->key);
	for (int i = 0; !job->one_key && i < KEYS_MAX; i++)
	{
		if (strstr(run->form, all[i]))
			keys[n++] = time_key(job, ddl_time_at(all[i]));
	}
	return n;
}

static void
keys_done(char *keys[KEYS_MAX], int n)
{
	for (int i = 0; i < n; i++)
		free(keys[i]);
}

/* Redshift has no projection: a table of one folder needs no partitions. */
static bool
is_partitioned(const DdlJob *job, const DdlRun *run)
{
	return ddl_unit(run->form) != DDL_NO_UNIT &&
		   (job->engine->create != ddl_create_redshift ||
			job->table->nruns > 1 || !run->own);
}

/* All selects have the keys of the first one that has any. */
void
ddl_put_run_keys(const DdlJob *job, const DdlRun *run)
{
	const DdlTable *t = job->table;
	const DdlRun *with = NULL;
	char *keys[KEYS_MAX];
	int n;

	for (int i = 0; !with && i < t->nruns; i++)
		with = is_partitioned(job, &t->runs[i]) ? &t->runs[i] : NULL;
	n = keys_of(job, with, keys);
	for (int i = 0; i < n; i++)
	{
		if (is_partitioned(job, run))
			buf_printf(job->out, ",\n  t.\"%s\" AS \"%s\"", keys[i], keys[i]);
		else
			buf_printf(job->out, ",\n  CAST(NULL AS varchar) AS \"%s\"",
					   keys[i]);
	}
	keys_done(keys, n);
}

/* ---- projection ---- */

static void
add_projection(const DdlJob *job, PropertyFn add, const char *key,
			   const char *what, const char *value)
{
	char *name = xasprintf("projection.%s.%s", key, what);

	add(job, name, value);
	free(name);
}

/* An open range: folders of other zones may be up to 14 hours ahead. */
static char *
range_end(const DdlJob *job, DdlUnit unit)
{
	int ahead = !job->zoned           ? 1
				: unit == DDL_MINUTES ? 15 * 60
				: unit == DDL_HOURS   ? 15
									  : 1;

	return xasprintf("NOW+%d%s", ahead, ddl_unit_name(unit));
}

/* From "begin" to "last", as a list; "between" with all quotes that it needs.
 */
static void
put_folders(Buf *out, const DdlRun *run, int64_t begin, int64_t last,
			const char *between)
{
	for (int64_t i = begin; i <= last; i++)
	{
		char *folder = ddl_folder_of(run->form, i);

		buf_printf(out, "%s%s", i == begin ? "" : between, folder);
		free(folder);
	}
}

/* One key: the folder's whole path, so that few requests find it. */
static void
project_one(const DdlJob *job, const DdlRun *run, PropertyFn add)
{
	DdlUnit unit = ddl_unit(run->form);
	int64_t begin = ddl_run_begin(job->table, run);
	int64_t last;
	bool ends = ddl_run_end(job->table, run, &last);
	char *first = ddl_folder_of(run->form, begin);
	char *end = ends ? ddl_folder_of(run->form, last) : range_end(job, unit);
	char *range = xasprintf("%s,%s", first, end);
	char *format = ddl_java_format(run->form);

	if (ends && begin == last)
	{
		add_projection(job, add, job->key, "type", "enum");
		add_projection(job, add, job->key, "values", first);
	}
	else
	{
		add_projection(job, add, job->key, "type", "date");
		add_projection(job, add, job->key, "format", format);
		add_projection(job, add, job->key, "range", range);
		add_projection(job, add, job->key, "interval", "1");
		add_projection(job, add, job->key, "interval.unit",
					   ddl_unit_name(unit));
	}
	free(format);
	free(range);
	free(end);
	free(first);
}

static void
project_time(const DdlJob *job, const DdlRun *run, const DdlTime *time,
			 PropertyFn add)
{
	char *key = time_key(job, time);
	char *first;
	char *range;

	if (time->unit != DDL_YEARS)
	{
		add_projection(job, add, key, "type", "integer");
		add_projection(job, add, key, "range", time->range);
		add_projection(job, add, key, "digits", "2");
		free(key);
		return;
	}
	first = ddl_first_year(job->table, run);
	range = xasprintf("%s,NOW%s", first, job->zoned ? "+1YEARS" : "");
	add_projection(job, add, key, "type", "date");
	add_projection(job, add, key, "format", "yyyy");
	add_projection(job, add, key, "range", range);
	add_projection(job, add, key, "interval", "1");
	add_projection(job, add, key, "interval.unit", "YEARS");
	free(range);
	free(first);
	free(key);
}

/* "s3://…/orders/${dh}" */
static char *
template_of(const DdlJob *job, const DdlRun *run, const char *scheme)
{
	DdlJob sub = *job;
	const char *p = run->form + ddl_form_base(run->form);
	char *text;
	Buf b;

	buf_init(&b, DDL_NAME_MAX);
	sub.out = &b;
	put_base(&sub, run, scheme);
	if (job->one_key)
		buf_printf(&b, "${%s}", job->key);
	while (!job->one_key && *p && (p[0] != '/' || p[1]))
	{
		const DdlTime *time = ddl_time_at(p);
		char *key = time ? time_key(job, time) : NULL;

		if (key)
			buf_printf(&b, "${%s}", key);
		else
			buf_byte(&b, (uint8_t) *p);
		p += time ? strlen(time->text) : 1;
		free(key);
	}
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

static void
project(const DdlJob *job, const DdlRun *run, PropertyFn add)
{
	static const char *const all[] = { "{yyyy}", "{mm}", "{dd}", "{hh}",
									   "{mi}" };
	char *template;

	if (!run || ddl_unit(run->form) == DDL_NO_UNIT)
		return;
	add(job, "projection.enabled", "true");
	if (job->one_key)
		project_one(job, run, add);
	for (int i = 0; !job->one_key && i < KEYS_MAX; i++)
	{
		if (strstr(run->form, all[i]))
			project_time(job, run, ddl_time_at(all[i]), add);
	}
	template = template_of(job, run, "file://");
	add(job, "storage.location.template", template);
	free(template);
}

/* ---- columns ---- */

/* A column of the files, by number: its name, and its type. */
typedef void (*NameFn)(const DdlJob *job, const char *name);

static int
ncolumns(const Reading *r)
{
	return r->form == DDL_FORM_CSV ? ddl_csv_columns(r->job->table) : r->n;
}

static void
put_column(const Reading *r, int i, NameFn put_name, const char *between)
{
	char *name = r->form == DDL_FORM_CSV ? xasprintf("c%d", i)
										 : xstrdup(r->fields[i].name);

	put_name(r->job, name);
	buf_str(r->job->out, between);
	if (r->form == DDL_FORM_CSV)
		buf_str(r->job->out, r->reader->text);
	else
		ddl_file_type(r, &r->fields[i]);
	free(name);
}

static void
put_columns(const Reading *r, NameFn put_name)
{
	int n = ncolumns(r);

	for (int i = 0; i < n; i++)
	{
		buf_str(r->job->out, i ? ",\n  " : "  ");
		put_column(r, i, put_name, " ");
	}
}

/* The reading of a plain table; the caller frees its fields. */
static Reading
plain_reading(const DdlJob *job)
{
	Reading r = { .job = job,
				  .reader = ddl_reader_of(job->engine),
				  .form = DDL_FORM_JSON };

	r.fields = ddl_fields(job, &r.n);
	return r;
}

/* ---- Athena ---- */

static void
hive_table(const Reading *r, const DdlRun *run, const char *suffix)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "ROW FORMAT SERDE '" JSON_SERDE "'\n",
		[DDL_FORM_CSV] =
			"ROW FORMAT SERDE '" CSV_SERDE "'\n"
			"WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '\"', "
			"'escapeChar' = '\\u0001')\nSTORED AS TEXTFILE\n",
		[DDL_FORM_PARQUET] = "STORED AS PARQUET\n",
	};
	static const char *const properties[] = {
		[DDL_FORM_JSON] = "'classification' = 'json'",
		[DDL_FORM_CSV] = "'classification' = 'csv',\n"
						 "  'skip.header.line.count' = '1'",
		[DDL_FORM_PARQUET] = "'classification' = 'parquet'",
	};
	const DdlJob *job = r->job;
	char *keys[KEYS_MAX];
	int n = keys_of(job, run, keys);

	buf_str(job->out, "CREATE EXTERNAL TABLE IF NOT EXISTS ");
	hive_table_name(job, suffix);
	buf_str(job->out, " (\n");
	put_columns(r, hive_name);
	buf_str(job->out, "\n)\n");
	for (int i = 0; i < n; i++)
		buf_printf(job->out, "%s`%s` string%s", i ? ", " : "PARTITIONED BY (",
				   keys[i], i == n - 1 ? ")\n" : "");
	keys_done(keys, n);
	buf_printf(job->out, "%sLOCATION '", formats[r->form]);
	put_base(job, run, "file://");
	buf_printf(job->out, "'\nTBLPROPERTIES (\n  %s", properties[r->form]);
	project(job, run, property);
	buf_str(job->out, "\n);\n");
}

void
ddl_create_hive(const DdlJob *job)
{
	Reading r;

	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	r = plain_reading(job);
	hive_table(&r, only_run(job->table), "");
	free((void *) r.fields);
}

/* ---- Trino ---- */

/* Of months and years Trino makes no dates: the folders are listed. */
static void
trino_enum(const DdlJob *job, const DdlRun *run, int64_t begin, int64_t last)
{
	buf_str(job->out, "partition_projection_type = 'ENUM', "
					  "partition_projection_values = ARRAY['");
	put_folders(job->out, run, begin, last, "', '");
	buf_str(job->out, "'])");
}

static void
trino_dates(const DdlJob *job, const DdlRun *run, const char *end)
{
	char *first = ddl_folder_of(run->form, ddl_run_begin(job->table, run));
	char *format = ddl_java_format(run->form);

	buf_str(job->out, "partition_projection_type = 'DATE', "
					  "partition_projection_format = ");
	ddl_text(job, format);
	buf_printf(job->out,
			   ", partition_projection_range = ARRAY['%s', '%s'], "
			   "partition_projection_interval = 1, "
			   "partition_projection_interval_unit = '%s')",
			   first, end, ddl_unit_name(ddl_unit(run->form)));
	free(format);
	free(first);
}

static void
trino_key(const DdlJob *job, const DdlRun *run)
{
	DdlUnit unit = ddl_unit(run->form);
	int64_t begin = ddl_run_begin(job->table, run);
	int64_t last = 0;
	bool ends = ddl_run_end(job->table, run, &last);
	char *end;

	buf_printf(job->out, ",\n  %s varchar WITH (", job->key);
	if (!ends && unit < DDL_DAYS)
		last = run->last + (unit == DDL_YEARS ? YEARS_AHEAD : MONTHS_AHEAD);
	if (unit < DDL_DAYS || (ends && begin == last))
	{
		trino_enum(job, run, begin, last);
		return;
	}
	end = ends ? ddl_folder_of(run->form, last) : range_end(job, unit);
	trino_dates(job, run, end);
	free(end);
}

static void
trino_format(const Reading *r)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "'OPENX_JSON'",
		[DDL_FORM_CSV] = "'CSV',\n  csv_escape = U&'\\0001',\n"
						 "  skip_header_line_count = 1",
		[DDL_FORM_PARQUET] = "'PARQUET'",
	};

	buf_printf(r->job->out,
			   "\n)\nWITH (\n  format = %s,\n"
			   "  external_location = '",
			   formats[r->form]);
}

static void
trino_table(const Reading *r, const DdlRun *run, const char *suffix)
{
	const DdlJob *job = r->job;
	char *keys[KEYS_MAX];
	int n = keys_of(job, run, keys);
	char *template = n ? template_of(job, run, "local://") : NULL;

	buf_str(job->out, "CREATE TABLE IF NOT EXISTS ");
	ddl_table_name(job, suffix);
	buf_str(job->out, " (\n");
	put_columns(r, ddl_name);
	if (n && job->one_key)
		trino_key(job, run);
	for (int i = 0; !job->one_key && i < n; i++)
		buf_printf(job->out, ",\n  %s varchar", keys[i]);
	trino_format(r);
	put_base(job, run, "local://");
	buf_str(job->out, "'");
	for (int i = 0; i < n; i++)
		buf_printf(job->out, "%s'%s'%s",
				   i ? ", " : ",\n  partitioned_by = ARRAY[", keys[i],
				   i == n - 1 ? "]" : "");
	keys_done(keys, n);
	if (n && job->one_key)
	{
		buf_str(job->out, ",\n  partition_projection_enabled = true,\n"
						  "  partition_projection_location_template = ");
		ddl_text(job, template);
	}
	free(template);
	buf_str(job->out, "\n);\n");
}

/* Four keys are Hive's own, and found by a listing. */
static void
trino_sync(const DdlJob *job)
{
	buf_str(job->out, "CALL system.sync_partition_metadata(");
	ddl_text(job, job->table->schema);
	buf_str(job->out, ", ");
	ddl_text(job, job->table->table);
	buf_str(job->out, ", 'ADD');\n");
}

void
ddl_create_trino(const DdlJob *job)
{
	const DdlRun *run = only_run(job->table);
	Reading r;

	ddl_comment(job, "in a catalog of the Hive connector: USE hive.anything");
	if (job->one_key)
		ddl_comment(job, "its property hive.ignore-absent-partitions=true is "
						 "needed for hours without objects");
	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	r = plain_reading(job);
	trino_table(&r, run, "");
	free((void *) r.fields);
	if (!job->one_key && run && ddl_unit(run->form) != DDL_NO_UNIT)
		trino_sync(job);
}

/* ---- Redshift ---- */

static void
redshift_partitions(const DdlJob *job, const DdlRun *run, const char *suffix)
{
	for (int64_t i = run->first; i <= run->last; i++)
	{
		char *folder = ddl_folder_of(run->form, i);
		bool begins = (i - run->first) % PARTITIONS_A_STATEMENT == 0;
		bool ends = i == run->last ||
					(i + 1 - run->first) % PARTITIONS_A_STATEMENT == 0;

		if (begins)
		{
			buf_str(job->out, "ALTER TABLE ");
			ddl_files_name(job, suffix);
			buf_str(job->out, " ADD IF NOT EXISTS");
		}
		buf_printf(job->out, "\n  PARTITION (\"%s\"='%s') LOCATION '", job->key,
				   folder);
		put_base(job, run, "file://");
		buf_printf(job->out, "%s/'%s", folder, ends ? ";\n" : "");
		free(folder);
	}
}

static void
redshift_table(const Reading *r, const DdlRun *run, const char *suffix)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "ROW FORMAT SERDE '" JSON_SERDE "'\n"
						  "STORED AS TEXTFILE",
		/* the byte itself, whatever escapes a text may have there */
		[DDL_FORM_CSV] =
			"ROW FORMAT SERDE '" CSV_SERDE "'\n"
			"WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '\"', "
			"'escapeChar' = '\001')\nSTORED AS TEXTFILE",
		[DDL_FORM_PARQUET] = "STORED AS PARQUET",
	};
	const DdlJob *job = r->job;
	bool parts = *suffix && is_partitioned(job, run);

	buf_str(job->out, "CREATE EXTERNAL TABLE ");
	ddl_files_name(job, suffix);
	buf_str(job->out, " (\n");
	put_columns(r, ddl_name);
	buf_str(job->out, "\n)\n");
	if (parts)
		buf_printf(job->out, "PARTITIONED BY (\"%s\" varchar(1024))\n",
				   job->key);
	buf_printf(job->out, "%s\nLOCATION '", formats[r->form]);
	put_base(job, *suffix ? run : NULL, "file://");
	buf_printf(job->out, "'%s;\n",
			   r->form == DDL_FORM_CSV
				   ? "\nTABLE PROPERTIES ('skip.header.line.count'='1')"
				   : "");
	if (parts)
		redshift_partitions(job, run, suffix);
}

void
ddl_create_redshift(const DdlJob *job)
{
	char *schema = xasprintf("%s" DDL_REDSHIFT_SUFFIX, job->table->schema);
	bool plain = ddl_is_plain(job);
	Reading r;

	buf_str(job->out, "CREATE EXTERNAL SCHEMA IF NOT EXISTS ");
	ddl_name(job, schema);
	buf_str(job->out, " FROM DATA CATALOG DATABASE ");
	ddl_text(job, schema);
	buf_str(job->out, "\n  IAM_ROLE default CREATE EXTERNAL DATABASE IF NOT "
					  "EXISTS;\n");
	if (plain)
	{
		r = plain_reading(job);
		redshift_table(&r, NULL, "");
		free((void *) r.fields);
	}
	buf_str(job->out, "CREATE SCHEMA IF NOT EXISTS ");
	ddl_name(job, job->table->schema);
	buf_str(job->out, ";\n");
	free(schema);
	if (!plain)
		ddl_create_sources(job);
}

/* ---- Glue: the input of "aws glue create-table --cli-input-json" ---- */

/* As a text of JSON; Hive's types in a catalog have no blanks, nor quotes. */
static void
glue_column(const Reading *r, int i)
{
	DdlJob sub = *r->job;
	Reading in = *r;
	Buf type;

	buf_init(&type, DDL_NAME_MAX);
	sub.out = &type;
	in.job = &sub;
	if (r->form == DDL_FORM_CSV)
		buf_str(&type, r->reader->text);
	else
		ddl_file_type(&in, &r->fields[i]);
	buf_str(r->job->out, i ? ",\n        {\"Name\": " : "        {\"Name\": ");
	if (r->form == DDL_FORM_CSV)
		buf_printf(r->job->out, "\"c%d\"", i);
	else
		glue_text(r->job, r->fields[i].name);
	buf_str(r->job->out, ", \"Type\": \"");
	for (const char *p = buf_cstr(&type); *p; p++)
	{
		if (*p != ' ' && *p != '`')
			buf_byte(r->job->out, (uint8_t) *p);
	}
	buf_str(r->job->out, "\"}");
	buf_done(&type);
}

static void
glue_storage(const Reading *r, const DdlRun *run)
{
	bool parquet = r->form == DDL_FORM_PARQUET;
	const DdlJob *job = r->job;
	int n = ncolumns(r);

	buf_str(job->out, "\n    },\n    \"StorageDescriptor\": {\n"
					  "      \"Columns\": [\n");
	for (int i = 0; i < n; i++)
		glue_column(r, i);
	buf_str(job->out, "\n      ],\n      \"Location\": \"");
	put_base(job, run, "file://");
	buf_printf(job->out,
			   "\",\n      \"InputFormat\": \"%s\",\n"
			   "      \"OutputFormat\": \"%s\",\n"
			   "      \"SerdeInfo\": {\"SerializationLibrary\": \"%s\"%s}\n"
			   "    }\n  }\n}\n",
			   parquet ? PARQUET_INPUT : TEXT_INPUT,
			   parquet ? PARQUET_OUTPUT : TEXT_OUTPUT,
			   parquet                   ? PARQUET_SERDE
			   : r->form == DDL_FORM_CSV ? CSV_SERDE
										 : JSON_SERDE,
			   r->form == DDL_FORM_CSV
				   ? ",\n        \"Parameters\": {\"separatorChar\": \",\", "
					 "\"quoteChar\": \"\\\"\", \"escapeChar\": \"\\u0001\"}"
				   : "");
}

static void
glue_table(const Reading *r, const DdlRun *run, const char *suffix)
{
	static const char *const names[] = {
		[DDL_FORM_JSON] = "json",
		[DDL_FORM_CSV] = "csv",
		[DDL_FORM_PARQUET] = "parquet",
	};
	const DdlJob *job = r->job;
	char *name = xasprintf("%s%s", job->table->table, suffix);
	char *keys[KEYS_MAX];
	int n = keys_of(job, run, keys);

	buf_str(job->out, "{\n  \"DatabaseName\": ");
	glue_text(job, job->table->schema);
	buf_str(job->out, ",\n  \"TableInput\": {\n    \"Name\": ");
	glue_text(job, name);
	buf_str(job->out, ",\n    \"TableType\": \"EXTERNAL_TABLE\",\n"
					  "    \"PartitionKeys\": [");
	for (int i = 0; i < n; i++)
		buf_printf(job->out, "%s{\"Name\": \"%s\", \"Type\": \"string\"}",
				   i ? ", " : "", keys[i]);
	buf_printf(job->out,
			   "],\n    \"Parameters\": {\n"
			   "      \"EXTERNAL\": \"TRUE\",\n"
			   "      \"classification\": \"%s\"",
			   names[r->form]);
	if (r->form == DDL_FORM_CSV)
		glue_property(job, "skip.header.line.count", "1");
	project(job, run, glue_property);
	glue_storage(r, run);
	keys_done(keys, n);
	free(name);
}

void
ddl_create_glue(const DdlJob *job)
{
	Reading r;

	if (!ddl_is_plain(job))
	{
		ddl_create_sources(job);
		return;
	}
	r = plain_reading(job);
	glue_table(&r, only_run(job->table), "");
	free((void *) r.fields);
}

/* ---- the table of a run ---- */

void
ddl_create_run(const Reading *r, const DdlRun *run, const char *suffix)
{
	const DdlJob *job = r->job;

	if (job->engine->create == ddl_create_glue)
	{
		glue_table(r, run, suffix);
		return;
	}
	buf_str(job->out, "DROP TABLE IF EXISTS ");
	if (job->engine->create == ddl_create_hive)
		hive_table_name(job, suffix);
	else
		ddl_files_name(job, suffix);
	buf_str(job->out, ";\n");
	if (job->engine->create == ddl_create_hive)
		hive_table(r, run, suffix);
	else if (job->engine->create == ddl_create_trino)
		trino_table(r, run, suffix);
	else
		redshift_table(r, run, suffix);
}
