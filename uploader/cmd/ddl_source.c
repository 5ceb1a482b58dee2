/*-------------------------------------------------------------------------
 * ddl_source.c
 *	  A table's objects of any format, in folders of any template: for each
 *	  kind of them a table, and a view on all these tables.
 *
 * Objects of one format, compression and kind of folders are a source, for
 * engines that take a pattern of files (ClickHouse, Spark, Snowflake); for the
 * others (Athena, Trino, Redshift) it is a run of folders (ddl_run.c).  What
 * the engine reads of each is brought to what its JSON reader gives ("raw"),
 * all of them are put together, and the views stand on that.
 *
 * A record of CSV has its columns by name for ClickHouse, which reads headers.
 * The others go by position: columns are c0, c1, …, and which of them a column
 * is depends on the version of the table that the record was written with.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/ddl_read.h"

DdlForm
ddl_form(const char *suffix)
{
	if (strncmp(suffix, ".json", 5) == 0)
		return DDL_FORM_JSON;
	if (strncmp(suffix, ".csv", 4) == 0)
		return DDL_FORM_CSV;
	return strcmp(suffix, ".parquet") == 0 ? DDL_FORM_PARQUET : DDL_FORM_OTHER;
}

/* Is one table over the default folders all that it takes? */
bool
ddl_is_plain(const DdlJob *job)
{
	const DdlTable *t = job->table;
	const Reader *reader = ddl_reader_of(job->engine);

	/* a projection is of one kind of folders; Redshift has none */
	return !t->other && !t->elsewhere &&
		   (!reader || !reader->by_run || t->nruns <= 1 ||
			job->engine->create == ddl_create_redshift);
}

/* ---- columns as they are read ---- */

static void
put_element(const Reading *r, const SchemaColumn *c)
{
	SchemaColumn element = *c;

	ddl_element(c, &element);
	ddl_fill_column(r->job, r->reader->types[ddl_class(&element)], &element);
}

/* Of a field of the record: a list of names. */
static bool
is_list(const DdlField *f)
{
	return strcmp(f->name, "_unchanged") == 0 ||
		   strcmp(f->name, "_jsonnull") == 0;
}

static void
put_parquet_type(const Reading *r, const DdlField *f)
{
	const char *type;

	if (!f->column)
	{
		buf_str(r->job->out, strcmp(f->name, "_withheld") == 0
								 ? r->reader->withheld
							 : is_list(f) ? r->reader->names
										  : r->reader->text);
		return;
	}
	type = r->reader->types[ddl_class(f->column)];
	if (ddl_class(f->column) != DDL_ARRAY)
	{
		ddl_fill_column(r->job, type, f->column);
		return;
	}
	for (; *type; type++)
	{
		if (*type == '@')
			put_element(r, f->column);
		else
			buf_byte(r->job->out, (uint8_t) *type);
	}
}

void
ddl_file_type(const Reading *r, const DdlField *f)
{
	if (r->form == DDL_FORM_JSON)
		ddl_field_type(r->job, f);
	else if (r->form == DDL_FORM_PARQUET)
		put_parquet_type(r, f);
	else
		buf_str(r->job->out, r->reader->text);
}

/* ---- and as raw ---- */

static void
fill(const Reading *r, const char *pattern, const char *value)
{
	ddl_fill(r->job, pattern ? pattern : "%", &(DdlFill){ .value = value });
}

/* "list" is the JSON text of one in CSV, and a list in Parquet. */
static void
put_own(const Reading *r, const DdlField *f, const char *value)
{
	const Reader *reader = r->reader;

	if (strcmp(f->name, "_withheld") == 0 && r->form == DDL_FORM_PARQUET)
		fill(r, reader->from_withheld, value);
	else if (is_list(f))
		fill(r, r->form == DDL_FORM_CSV ? reader->csv_list : reader->from_names,
			 value);
	else
		fill(r, reader->json, value);
}

/* A backslash and what follows it, as a literal; the caller frees it. */
static char *
after_slash(const Reading *r, const char *rest)
{
	const char *slash = r->job->engine->backslash ? "\\\\" : "\\";

	if (r->reader->slash_by_number)
		return xasprintf("chr(92) || '%s'", rest);
	return xasprintf("'%s%s'", slash, *rest == '\\' ? slash : rest);
}

/* What escapes stand for, where the object has any. */
static char *
unescaped(const Reading *r, const char *value, const char *escaped)
{
	const char *chr = r->reader->chr;
	char *both = r->reader->slash_by_number ? xstrdup("chr(92) || chr(92)")
											: after_slash(r, "\\");
	char *feed = after_slash(r, "n");
	char *back = after_slash(r, "r");
	char *slash = after_slash(r, "");
	char *text = xasprintf(
		"CASE WHEN %s = 'true' THEN replace(replace(replace(replace(%s, %s, "
		"%s(1)), %s, %s(10)), %s, %s(13)), %s(1), %s) ELSE %s END",
		escaped, value, both, chr, feed, chr, back, chr, chr, slash, value);

	free(slash);
	free(back);
	free(feed);
	free(both);
	return text;
}

static void
put_raw(const Reading *r, const DdlField *f, const char *value)
{
	DdlClass class = f->column ? ddl_class(f->column) : DDL_TEXT;
	const char *pattern = r->form == DDL_FORM_CSV
							  ? r->reader->from_csv[class]
							  : r->reader->from_parquet[class];

	if (r->form == DDL_FORM_JSON || (f->conflict && r->form == DDL_FORM_CSV))
		fill(r, NULL, value);
	else if (!f->column)
		put_own(r, f, value);
	else if (f->conflict && pattern)
		fill(r, pattern, value);
	else if (f->conflict)
		ddl_fill(r->job, "CAST(% AS @)",
				 &(DdlFill){ .value = value, .type = r->reader->text });
	else
		fill(r, pattern, value);
}

/* The name, as SQL; the caller frees it. */
static char *
name_of(const Reading *r, const char *name)
{
	DdlJob sub = *r->job;
	Buf b;
	char *text;

	buf_init(&b, DDL_NAME_MAX);
	sub.out = &b;
	ddl_name(&sub, name);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

/* ---- ClickHouse: functions that read files ---- */

static void
put_function(const Reading *r, const DdlSource *s)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "JSONEachRow",
		[DDL_FORM_CSV] = "CSVWithNames",
		[DDL_FORM_PARQUET] = "Parquet",
	};
	DdlJob sub = *r->job;
	Reading in = *r;
	Buf structure;

	buf_init(&structure, (size_t) 16 << 20);
	sub.out = &structure;
	in.job = &sub;
	for (int i = 0; i < r->n; i++)
	{
		buf_str(&structure, i ? ", " : "");
		ddl_name(&sub, r->fields[i].name);
		buf_byte(&structure, ' ');
		ddl_file_type(&in, &r->fields[i]);
	}
	if (r->form == DDL_FORM_CSV && r->job->escaped)
		buf_str(&structure, ", `_escaped` Nullable(String)");
	buf_str(r->job->out,
			strncmp(r->job->url, "file:", 5) == 0 ? "file('" : "s3('");
	ddl_put_files(r->job, s, "");
	buf_printf(r->job->out, "', '%s', ", formats[r->form]);
	ddl_text(r->job, buf_cstr(&structure));
	buf_byte(r->job->out, ')');
	buf_done(&structure);
}

static void
put_select_by_name(const Reading *r, const DdlSource *s)
{
	buf_str(r->job->out, "SELECT");
	for (int i = 0; i < r->n; i++)
	{
		char *name = name_of(r, r->fields[i].name);
		char *value = xasprintf("f.%s", name);

		if (r->form == DDL_FORM_CSV && r->job->escaped)
		{
			char *plain = value;

			value = unescaped(r, plain, "f.`_escaped`");
			free(plain);
		}
		buf_str(r->job->out, i ? ",\n  " : "\n  ");
		put_raw(r, &r->fields[i], value);
		buf_printf(r->job->out, " AS %s", name);
		free(value);
		free(name);
	}
	buf_str(r->job->out, "\nFROM ");
	put_function(r, s);
	buf_str(r->job->out, " AS f");
}

/* ---- Spark: tables of files ---- */

/* Columns of the record in CSV, in their order (doc/csv.md). */
static const char *const csv_record[] = {
	"_op",    "_lsn",       "_seq",      "_xid",      "_ts",
	"_nokey", "_moved",     "_partial",  "_reason",   "_before",
	"_key",   "_unchanged", "_withheld", "_jsonnull",
};

#define CSV_RECORD ((int) (sizeof(csv_record) / sizeof(csv_record[0])))

int
ddl_csv_columns(const DdlTable *t)
{
	int most = 0;

	for (int i = 0; i < t->nversions; i++)
	{
		if (t->versions[i].schema->ncols > most)
			most = t->versions[i].schema->ncols;
	}
	return CSV_RECORD + 1 + most;
}

char *
ddl_part_suffix(int number)
{
	return number ? xasprintf("_files%d", number + 1) : xstrdup("_files");
}

static void
put_spark_columns(const Reading *r)
{
	int n = r->form == DDL_FORM_CSV ? ddl_csv_columns(r->job->table) : r->n;

	for (int i = 0; i < n; i++)
	{
		buf_str(r->job->out, i ? ",\n  " : "  ");
		if (r->form == DDL_FORM_CSV)
		{
			buf_printf(r->job->out, "c%d STRING", i);
			continue;
		}
		ddl_name(r->job, r->fields[i].name);
		buf_byte(r->job->out, ' ');
		ddl_file_type(r, &r->fields[i]);
	}
}

static void
put_spark_table(const Reading *r, const DdlSource *s, const char *suffix)
{
	static const char *const formats[] = {
		[DDL_FORM_JSON] = "JSON",
		[DDL_FORM_CSV] = "CSV",
		[DDL_FORM_PARQUET] = "PARQUET",
	};

	buf_str(r->job->out, "DROP TABLE IF EXISTS ");
	ddl_table_name(r->job, suffix);
	buf_str(r->job->out, ";\nCREATE TABLE ");
	ddl_table_name(r->job, suffix);
	buf_str(r->job->out, " (\n");
	put_spark_columns(r);
	buf_printf(r->job->out, "\n)\nUSING %s\nOPTIONS (path '", formats[r->form]);
	ddl_put_files(r->job, s, "file:");
	buf_byte(r->job->out, '\'');
	if (r->form == DDL_FORM_CSV)
		buf_str(r->job->out, ", header 'true', quote '\"', escape '\"', "
							 "multiLine 'true', nullValue '\\\\N', emptyValue "
							 "''");
	buf_str(r->job->out, ");\n");
}

/* Where the field stands in a record of that version; -1: nowhere. */
static int
place_in(const Schema *s, const char *name)
{
	for (int i = 0; i < s->ncols; i++)
	{
		if (strcmp(s->cols[i].json_name, name) == 0)
			return CSV_RECORD + i;
	}
	return -1;
}

/* A field, with NULL for what stands for it. */
static char *
csv_text(const Reading *r, int place)
{
	char *null;
	char *text;

	if (!r->reader->text_is_null)
		return xasprintf("t.c%d", place);
	null = after_slash(r, "N");
	text = xasprintf("nullif(t.c%d, %s)", place, null);
	free(null);
	return text;
}

/* "c17", or NULL; behind it all are one further where there is _escaped. */
static char *
csv_place(const Reading *r, int place)
{
	char *value;
	char *moved;
	char *plain;

	if (place < 0)
		return xstrdup("NULL");
	if (place < CSV_RECORD || !r->job->escaped)
		return csv_text(r, place);
	value = csv_text(r, place + 1);
	moved = unescaped(r, value, "'true'");
	plain = csv_text(r, place);
	free(value);
	value = xasprintf("CASE WHEN t.c%d = 'true' THEN %s ELSE %s END",
					  CSV_RECORD, moved, plain);
	free(plain);
	free(moved);
	return value;
}

/* The field's text in a record of any version. */
static char *
csv_field(const Reading *r, const char *name)
{
	const DdlTable *t = r->job->table;
	DdlJob job = *r->job;
	View v = r->view;
	int last = t->nversions - 1;
	bool differ = false;
	char *value;
	Buf b;

	for (int i = 0; i < CSV_RECORD; i++)
	{
		if (strcmp(csv_record[i], name) == 0)
			return csv_place(r, i);
	}
	buf_init(&b, DDL_NAME_MAX);
	job.out = v.out = &b;
	v.job = &job;
	for (int i = 0; i < last; i++)
	{
		if (place_in(t->versions[i].schema, name) ==
			place_in(t->versions[i + 1].schema, name))
			continue;
		value = csv_place(r, place_in(t->versions[i].schema, name));
		buf_str(&b, differ ? " WHEN " : "CASE WHEN ");
		view_is_before(&v, t->versions[i + 1].lsn, t->versions[i + 1].seq);
		buf_printf(&b, " THEN %s", value);
		free(value);
		differ = true;
	}
	value = csv_place(r, place_in(t->versions[last].schema, name));
	buf_printf(&b, "%s%s%s", differ ? " ELSE " : "", value,
			   differ ? " END" : "");
	free(value);
	value = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return value;
}

static void
put_select_of_table(const Reading *r, const DdlRun *run, const char *suffix)
{
	bool csv = r->form == DDL_FORM_CSV;
	char quote = r->job->engine->quote;

	buf_str(r->job->out, "SELECT");
	for (int i = 0; i < r->n; i++)
	{
		char *name = name_of(r, r->fields[i].name);
		char *value =
			csv ? csv_field(r, r->fields[i].name) : xasprintf("t.%s", name);

		buf_str(r->job->out, i ? ",\n  " : "\n  ");
		put_raw(r, &r->fields[i], value);
		buf_printf(r->job->out, " AS %s", name);
		free(value);
		free(name);
	}
	if (run)
		ddl_put_run_keys(r->job, run);
	buf_str(r->job->out, "\nFROM ");
	if (csv) /* so that conditions find what they name */
		buf_printf(r->job->out,
				   "(SELECT f.*, f.c1 AS %c_lsn%c, CAST(f.c2 AS %s) AS "
				   "%c_seq%c FROM ",
				   quote, quote, r->reader->int8, quote, quote);
	ddl_files_name(r->job, suffix);
	buf_str(r->job->out, csv ? " f) t" : " t");
}

/* ---- all sources ---- */

static void
say_csv(const DdlJob *job)
{
	const Reader *reader = ddl_reader_of(job->engine);

	ddl_comment(job, "arrays of CSV objects are PostgreSQL's text, {1,2}");
	if (job->engine->create == ddl_create_clickhouse)
		return;
	ddl_comment(job, "the text \\N in CSV objects reads as NULL%s",
				reader->text_is_null ? ", unless output.csv_newlines is escape"
									 : "");
	if (reader->by_run)
		ddl_comment(job, "NOT RIGHT: a record of CSV that has a line end in a "
						 "field is two to this engine, unless "
						 "output.csv_newlines is escape");
}

/* Has a folder's "name=" the name of a column? */
static bool
takes_column(const DdlSource *s, const DdlField *f, int n)
{
	for (int i = 0; i < n; i++)
	{
		char *key = xasprintf("/%s=", f[i].name);
		bool taken = strstr(s->glob, key) != NULL;

		free(key);
		if (taken)
			return true;
	}
	return false;
}

/* ClickHouse would read such a column from the folder's name. */
static void
say_taken(const DdlJob *job, const DdlField *f, int n)
{
	bool taken = false;

	for (int i = 0; i < job->table->nsources; i++)
		taken |= takes_column(&job->table->sources[i], f, n);
	if (!taken || job->engine->create != ddl_create_clickhouse)
		return;
	ddl_comment(job, "NOT RIGHT in a session without this setting: folders "
					 "have a key that is called as a column");
	buf_str(job->out, "SET use_hive_partitioning = 0;\n");
}

static void
say_sources(const DdlJob *job)
{
	const DdlTable *t = job->table;
	bool csv = false;
	bool parquet = false;

	for (int i = 0; i < t->nsources; i++)
	{
		csv |= ddl_form(t->sources[i].suffix) == DDL_FORM_CSV;
		parquet |= ddl_form(t->sources[i].suffix) == DDL_FORM_PARQUET;
	}
	if (csv)
		say_csv(job);
	if (parquet)
		ddl_comment(job, "NULL in Parquet objects: what their types do not "
						 "hold (_exact has its text)");
	if (parquet && job->engine->create == ddl_create_redshift)
		ddl_comment(job, "NULL, too: arrays in Parquet objects, and _withheld");
	if (parquet && job->engine->create == ddl_create_trino)
		ddl_comment(job, "microseconds need hive.timestamp-precision="
						 "MICROSECONDS in the catalog");
	if (parquet && job->engine->create == ddl_create_clickhouse)
		ddl_comment(job, "ClickHouse reads an array that is NULL in Parquet "
						 "objects as an empty one");
}

/* What a reader of no files gives. */
static void
put_nothing(const Reading *r)
{
	buf_str(r->job->out, "SELECT");
	for (int i = 0; i < r->n; i++)
	{
		buf_str(r->job->out, i ? ",\n  CAST(NULL AS " : "\n  CAST(NULL AS ");
		ddl_field_type(r->job, &r->fields[i]);
		buf_str(r->job->out, ") AS ");
		ddl_name(r->job, r->fields[i].name);
	}
	buf_str(r->job->out, "\nWHERE 1 = 0");
}

/* A select a source, or run. */
static void
put_selects(Reading *r)
{
	const DdlTable *t = r->job->table;
	bool by_run = r->reader->by_run;
	int n = by_run ? t->nruns : t->nsources;
	int parts = 0;

	for (int i = 0; i < n; i++)
	{
		char *suffix = ddl_part_suffix(i);

		r->form = by_run ? t->runs[i].format : ddl_form(t->sources[i].suffix);
		if (r->form != DDL_FORM_OTHER)
		{
			buf_str(r->job->out, parts++ ? "\nUNION ALL\n" : "");
			if (r->job->engine->create == ddl_create_clickhouse)
				put_select_by_name(r, &t->sources[i]);
			else
				put_select_of_table(r, by_run ? &t->runs[i] : NULL, suffix);
		}
		free(suffix);
	}
	if (parts == 0)
		put_nothing(r);
}

static void
put_tables(Reading *r)
{
	const DdlTable *t = r->job->table;
	bool by_run = r->reader->by_run;
	int n = by_run ? t->nruns : t->nsources;

	for (int i = 0; i < n; i++)
	{
		char *suffix = ddl_part_suffix(i);

		r->form = by_run ? t->runs[i].format : ddl_form(t->sources[i].suffix);
		if (by_run)
			ddl_create_run(r, &t->runs[i], suffix);
		else if (r->form != DDL_FORM_OTHER &&
				 r->job->engine->create == ddl_create_spark)
			put_spark_table(r, &t->sources[i], suffix);
		else if (r->form != DDL_FORM_OTHER &&
				 r->job->engine->create == ddl_create_snowflake)
			ddl_create_snowflake_files(r, &t->sources[i], suffix);
		free(suffix);
	}
}

void
ddl_create_sources(const DdlJob *job)
{
	bool glue = job->engine->create == ddl_create_glue;
	Reading r = { .job = job, .reader = ddl_reader_of(job->engine) };

	r.view = (View){ .job = job, .table = job->table, .engine = job->engine };
	r.fields = ddl_fields(job, &r.n);
	if (!glue)
	{
		say_sources(job);
		say_taken(job, r.fields, r.n);
	}
	put_tables(&r);
	if (!glue)
	{
		buf_str(job->out, "CREATE OR REPLACE VIEW ");
		ddl_table_name(job, "");
		buf_printf(job->out, "%s\n", job->engine->view);
		put_selects(&r);
		buf_printf(job->out, "%s;\n", job->engine->view_end);
	}
	free((void *) r.fields);
}
