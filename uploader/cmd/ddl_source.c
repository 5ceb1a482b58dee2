/*-------------------------------------------------------------------------
 * ddl_source.c
 *	  A table's objects of any format, in folders of any template, for engines
 *	  that take a pattern of files: ClickHouse and Spark.
 *
 * Objects of one format, compression and kind of folders are a source.  What
 * the engine reads of each is brought to what its JSON reader gives ("raw"),
 * all of them are put together, and the views stand on that.
 *
 * A record of CSV has its columns by name for ClickHouse, which reads headers.
 * Spark goes by position: columns are c0, c1, …, and which of them a column is
 * depends on the version of the table that the record was written with.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/ddl.h"
#include "cmd/ddl_view.h"

/* How an engine reads what the formats have. */
typedef struct Reader
{
	const char *types[DDL_CLASSES]; /* of Parquet's columns; of lists, of @ */
	const char *from_parquet[DDL_CLASSES]; /* % to raw; NULL: it is that */
	const char *from_csv[DDL_CLASSES];     /* from a text; NULL: it is that */
	const char *text;
	const char *names;    /* a list of names, in Parquet */
	const char *csv_list; /* from the text of a JSON array to such */
	const char *withheld; /* type, in Parquet, and … */
	const char *from_withheld;
} Reader;

#define SPARK_UTC                                                              \
	"CAST(TIMESTAMP_NTZ'1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, "     \
	"CAST(unix_micros(%) / CAST(1000000 AS DECIMAL(7, 0)) AS DECIMAL(18, "     \
	"6))) AS STRING) || 'Z'"

static const Reader spark = {
	.types = {
		[DDL_BOOL] = "BOOLEAN",
		[DDL_INT2] = "SMALLINT",
		[DDL_INT4] = "INT",
		[DDL_INT8] = "BIGINT",
		[DDL_FLOAT4] = "FLOAT",
		[DDL_FLOAT8] = "DOUBLE",
		[DDL_DECIMAL] = "DECIMAL(#)",
		[DDL_NUMERIC] = "STRING",
		[DDL_DATE] = "DATE",
		[DDL_TIME] = "STRING",
		[DDL_TIMESTAMP] = "TIMESTAMP_NTZ",
		[DDL_TIMESTAMPTZ] = "TIMESTAMP",
		[DDL_UUID] = "STRING",
		[DDL_BYTEA] = "BINARY",
		[DDL_JSON] = "STRING",
		[DDL_ARRAY] = "ARRAY<@>",
		[DDL_TEXT] = "STRING",
	},
	.from_parquet = {
		[DDL_DECIMAL] = "CAST(% AS STRING)",
		[DDL_DATE] = "CAST(% AS STRING)",
		[DDL_TIMESTAMP] = "CAST(% AS STRING)",
		[DDL_TIMESTAMPTZ] = SPARK_UTC,
		[DDL_BYTEA] = "'\\\\x' || lower(hex(%))",
		[DDL_ARRAY] = "to_json(%, map('ignoreNullFields', 'false'))",
	},
	.from_csv = {
		[DDL_BOOL] = "CAST(% AS BOOLEAN)",
		[DDL_INT2] = "CAST(% AS SMALLINT)",
		[DDL_INT4] = "CAST(% AS INT)",
		[DDL_INT8] = "CAST(% AS BIGINT)",
		[DDL_FLOAT4] = "CAST(% AS FLOAT)",
		[DDL_FLOAT8] = "CAST(% AS DOUBLE)",
	},
	.text = "STRING",
	.names = "ARRAY<STRING>",
	.csv_list = "from_json(%, 'array<string>')",
	.withheld = "ARRAY<STRUCT<`column`: STRING, reason: STRING, size: BIGINT, "
				"crc32c: STRING, bytes: BINARY>>",
	.from_withheld = "to_json(%)",
};

static const Reader clickhouse = {
	.types = {
		[DDL_BOOL] = "Nullable(Bool)",
		[DDL_INT2] = "Nullable(Int16)",
		[DDL_INT4] = "Nullable(Int32)",
		[DDL_INT8] = "Nullable(Int64)",
		[DDL_FLOAT4] = "Nullable(Float32)",
		[DDL_FLOAT8] = "Nullable(Float64)",
		[DDL_DECIMAL] = "Nullable(Decimal(#))",
		[DDL_NUMERIC] = "Nullable(String)",
		[DDL_DATE] = "Nullable(Date32)",
		[DDL_TIME] = "Nullable(String)",
		[DDL_TIMESTAMP] = "Nullable(DateTime64(6, 'UTC'))",
		[DDL_TIMESTAMPTZ] = "Nullable(DateTime64(6, 'UTC'))",
		[DDL_UUID] = "Nullable(String)",
		[DDL_BYTEA] = "Nullable(String)",
		[DDL_JSON] = "Nullable(String)",
		[DDL_ARRAY] = "Array(@)",
		[DDL_TEXT] = "Nullable(String)",
	},
	.from_parquet = {
		[DDL_DECIMAL] = "toString(%)",
		[DDL_DATE] = "toString(%)",
		[DDL_TIMESTAMP] = "toString(%)",
		[DDL_TIMESTAMPTZ] = "concat(toString(%), 'Z')",
		[DDL_BYTEA] = "concat('\\\\x', lower(hex(%)))",
		[DDL_ARRAY] = "CAST(toJSONString(%) AS Nullable(String))",
	},
	.from_csv = {
		[DDL_BOOL] = "CAST(% = 'true' AS Nullable(Bool))",
		[DDL_INT2] = "toInt16OrNull(%)",
		[DDL_INT4] = "toInt32OrNull(%)",
		[DDL_INT8] = "toInt64OrNull(%)",
		[DDL_FLOAT4] = "toFloat32OrNull(%)",
		[DDL_FLOAT8] = "toFloat64OrNull(%)",
	},
	.text = "Nullable(String)",
	.names = "Array(String)",
	.csv_list = "JSONExtract(ifNull(%, '[]'), 'Array(String)')",
	.withheld = "Array(Tuple(column Nullable(String), reason "
				"Nullable(String), size Nullable(Int64), crc32c "
				"Nullable(String), bytes Nullable(String)))",
	.from_withheld = "if(empty(%), NULL, toJSONString(%))",
};

/* One source as it is read and written about. */
typedef struct Reading
{
	const DdlJob *job;
	const Reader *reader;
	DdlForm form;
	const DdlField *fields;
	int n;
	View view; /* for conditions on versions */
} Reading;

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
ddl_is_plain(const DdlTable *t)
{
	return !t->other && !t->elsewhere;
}

/* ---- columns as they are read ---- */

static void
put_element(const Reading *r, const SchemaColumn *c)
{
	SchemaColumn element = *c;

	ddl_element(c, &element);
	ddl_fill_column(r->job, r->reader->types[ddl_class(&element)], &element);
}

static void
put_parquet_type(const Reading *r, const DdlField *f)
{
	const char *type;

	if (!f->column)
	{
		bool list = strcmp(f->type, r->job->engine->list) == 0;

		buf_str(r->job->out, strcmp(f->name, "_withheld") == 0
								 ? r->reader->withheld
							 : list ? r->reader->names
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

static void
put_type(const Reading *r, const DdlField *f)
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
	bool list = strcmp(f->type, r->job->engine->list) == 0;

	if (r->form == DDL_FORM_CSV)
		fill(r, list ? reader->csv_list : NULL, value);
	else
		fill(r,
			 strcmp(f->name, "_withheld") == 0 ? reader->from_withheld : NULL,
			 value);
}

/* What escapes stand for, where the object has any. */
static char *
unescaped(const Reading *r, const char *value, const char *escaped)
{
	const char *slash = r->job->engine->backslash ? "\\\\" : "\\";

	return xasprintf("CASE WHEN %s = 'true' THEN replace(replace(replace("
					 "replace(%s, '%s%s', char(1)), '%sn', char(10)), '%sr', "
					 "char(13)), char(1), '%s') ELSE %s END",
					 escaped, value, slash, slash, slash, slash, slash, value);
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
		put_type(&in, &r->fields[i]);
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

static int
csv_columns(const DdlTable *t)
{
	int most = 0;

	for (int i = 0; i < t->nversions; i++)
	{
		if (t->versions[i].schema->ncols > most)
			most = t->versions[i].schema->ncols;
	}
	return CSV_RECORD + 1 + most;
}

static char *
part_suffix(int number)
{
	return number ? xasprintf("_files%d", number + 1) : xstrdup("_files");
}

static void
put_spark_columns(const Reading *r)
{
	int n = r->form == DDL_FORM_CSV ? csv_columns(r->job->table) : r->n;

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
		put_type(r, &r->fields[i]);
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

/* "c17", or NULL; behind it all are one further where there is _escaped. */
static char *
csv_place(const Reading *r, int place)
{
	char *value;
	char *moved;

	if (place < 0)
		return xstrdup("NULL");
	if (place < CSV_RECORD || !r->job->escaped)
		return xasprintf("t.c%d", place);
	value = xasprintf("t.c%d", place + 1);
	moved = unescaped(r, value, "'true'");
	free(value);
	value = xasprintf("CASE WHEN t.c%d = 'true' THEN %s ELSE t.c%d END",
					  CSV_RECORD, moved, place);
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
put_select_of_table(const Reading *r, const char *suffix)
{
	bool csv = r->form == DDL_FORM_CSV;

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
	buf_str(r->job->out, "\nFROM ");
	if (csv) /* so that conditions find what they name */
		buf_str(r->job->out, "(SELECT *, c1 AS `_lsn`, CAST(c2 AS BIGINT) AS "
							 "`_seq` FROM ");
	ddl_table_name(r->job, suffix);
	buf_str(r->job->out, csv ? ") t" : " t");
}

/* ---- all sources ---- */

static void
say_csv(const DdlJob *job)
{
	ddl_comment(job, "arrays of CSV objects are PostgreSQL's text, {1,2}");
	if (job->engine->create == ddl_create_spark)
		ddl_comment(job, "Spark reads the text \\N in CSV objects as NULL");
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

void
ddl_create_sources(const DdlJob *job)
{
	const DdlTable *t = job->table;
	bool is_spark = job->engine->create == ddl_create_spark;
	Reading r = { .job = job, .reader = is_spark ? &spark : &clickhouse };
	int parts = 0;

	r.view = (View){ .job = job, .table = t, .engine = job->engine };
	r.fields = ddl_fields(job, &r.n);
	say_sources(job);
	say_taken(job, r.fields, r.n);
	for (int i = 0; is_spark && i < t->nsources; i++)
	{
		char *suffix = part_suffix(i);

		r.form = ddl_form(t->sources[i].suffix);
		if (r.form != DDL_FORM_OTHER)
			put_spark_table(&r, &t->sources[i], suffix);
		free(suffix);
	}
	buf_str(job->out, "CREATE OR REPLACE VIEW ");
	ddl_table_name(job, "");
	buf_str(job->out, " AS\n");
	for (int i = 0; i < t->nsources; i++)
	{
		char *suffix = part_suffix(i);

		r.form = ddl_form(t->sources[i].suffix);
		if (r.form != DDL_FORM_OTHER)
		{
			buf_str(job->out, parts++ ? "\nUNION ALL\n" : "");
			if (is_spark)
				put_select_of_table(&r, suffix);
			else
				put_select_by_name(&r, &t->sources[i]);
		}
		free(suffix);
	}
	if (parts == 0)
		put_nothing(&r);
	buf_str(job->out, ";\n");
	free((void *) r.fields);
}
