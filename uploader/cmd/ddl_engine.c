/*-------------------------------------------------------------------------
 * ddl_engine.c
 *	  The engines that read a lake, one row each, and how a name, a literal
 *	  and a value are written for them.
 *
 * A JSON reader fails on, or loses, a value that the column's type cannot
 * hold: infinity, a year BC, NaN, an array of two dimensions.  So "raw" is a
 * text wherever JSON has a string, and wherever a number may have more digits
 * than a double; "cast" gives NULL for what the engine cannot hold.
 *
 * Sources: the manuals of the engines.  What was run, and what was only
 * parsed, says doc/query.md.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "cmd/ddl.h"
#include "codec/key.h"

#define NUMERIC_OID 1700
#define JSONB_OID 3802
#define COMMENT_MAX 1024

static const DdlEngine engines[] = {
	{
		.name = "duckdb",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "BOOLEAN", NULL },
			[DDL_INT2] = { "SMALLINT", NULL },
			[DDL_INT4] = { "INTEGER", NULL },
			[DDL_INT8] = { "BIGINT", NULL },
			[DDL_FLOAT4] = { "FLOAT", NULL },
			[DDL_FLOAT8] = { "DOUBLE", NULL },
			[DDL_DECIMAL] = { "VARCHAR", "TRY_CAST(% AS DECIMAL(#))" },
			[DDL_NUMERIC] = { "VARCHAR", NULL },
			[DDL_DATE] = { "VARCHAR", "TRY_CAST(% AS DATE)" },
			[DDL_TIME] = { "VARCHAR", "TRY_CAST(% AS TIME)" },
			[DDL_TIMESTAMP] = { "VARCHAR", "TRY_CAST(% AS TIMESTAMP)" },
			[DDL_TIMESTAMPTZ] = { "VARCHAR", "TRY_CAST(% AS TIMESTAMPTZ)" },
			[DDL_UUID] = { "VARCHAR", "TRY_CAST(% AS UUID)" },
			[DDL_BYTEA] = { "VARCHAR", "unhex(substr(%, 3))" },
			[DDL_JSON] = { "JSON", NULL },
			[DDL_ARRAY] = { "JSON", "TRY_CAST(% AS @[])" },
			[DDL_TEXT] = { "VARCHAR", NULL },
		},
		.text = "VARCHAR",
		.list = "VARCHAR[]",
		.json = "JSON",
		.quote = '"',
		.typed = true,
		.colons = true,
		.recursive = true,
		.has_schema = true,
		.pointer = true,
		.respect = "",
		.contains = "list_contains(%, $)",
		.member = "json_extract_string(%, $)",
		.if_not_exists = "",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_duckdb,
	},
	{
		.name = "athena",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "boolean", NULL },
			[DDL_INT2] = { "smallint", NULL },
			[DDL_INT4] = { "int", NULL },
			[DDL_INT8] = { "bigint", NULL },
			[DDL_FLOAT4] = { "float", NULL, "real" },
			[DDL_FLOAT8] = { "double", NULL },
			[DDL_DECIMAL] = { "string", "TRY_CAST(% AS decimal(#))" },
			[DDL_NUMERIC] = { "string", NULL },
			[DDL_DATE] = { "string", "TRY_CAST(% AS date)" },
			[DDL_TIME] = { "string", NULL },
			/* a view there has no timestamp with time zone: all are UTC */
			[DDL_TIMESTAMP] = { "string", "TRY_CAST(replace(%, 'T', ' ') AS "
										  "timestamp(3))" },
			[DDL_TIMESTAMPTZ] = { "string",
								  "TRY_CAST(replace(replace(%, 'T', ' '), "
								  "'Z', '') AS timestamp(3))" },
			[DDL_UUID] = { "string", NULL },
			[DDL_BYTEA] = { "string", "from_hex(substr(%, 3))" },
			[DDL_JSON] = { "string", NULL },
			[DDL_ARRAY] = { "string", NULL },
			[DDL_TEXT] = { "string", NULL },
		},
		.text = "varchar",
		.list = "array<string>",
		.json = "string",
		.quote = '"',
		.json_path = true,
		.back = 2,
		.respect = "",
		.contains = "contains(%, $)",
		.member = "json_extract_scalar(%, $)",
		.if_not_exists = "",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_hive,
	},
	{
		.name = "trino",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "boolean", NULL },
			[DDL_INT2] = { "smallint", NULL },
			[DDL_INT4] = { "integer", NULL },
			[DDL_INT8] = { "bigint", NULL },
			[DDL_FLOAT4] = { "real", NULL },
			[DDL_FLOAT8] = { "double", NULL },
			[DDL_DECIMAL] = { "varchar", "TRY_CAST(% AS decimal(#))" },
			[DDL_NUMERIC] = { "varchar", NULL },
			[DDL_DATE] = { "varchar", "TRY_CAST(% AS date)" },
			[DDL_TIME] = { "varchar", NULL },
			[DDL_TIMESTAMP] = { "varchar", "TRY_CAST(replace(%, 'T', ' ') AS "
										   "timestamp(6))" },
			[DDL_TIMESTAMPTZ] = { "varchar",
								  "TRY_CAST(replace(replace(%, 'T', ' '), "
								  "'Z', ' UTC') AS timestamp(6) with time "
								  "zone)" },
			[DDL_UUID] = { "varchar", "TRY_CAST(% AS uuid)" },
			[DDL_BYTEA] = { "varchar", "from_hex(substr(%, 3))" },
			[DDL_JSON] = { "varchar", NULL },
			[DDL_ARRAY] = { "varchar", NULL },
			[DDL_TEXT] = { "varchar", NULL },
		},
		.text = "varchar",
		.list = "array(varchar)",
		.json = "varchar",
		.quote = '"',
		.has_schema = true,
		.json_path = true,
		.back = 2,
		.respect = "",
		.contains = "contains(%, $)",
		.member = "json_extract_scalar(%, $)",
		.if_not_exists = "IF NOT EXISTS ",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_trino,
	},
	{
		.name = "spark",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "BOOLEAN", NULL },
			[DDL_INT2] = { "SMALLINT", NULL },
			[DDL_INT4] = { "INT", NULL },
			[DDL_INT8] = { "BIGINT", NULL },
			[DDL_FLOAT4] = { "FLOAT", NULL },
			[DDL_FLOAT8] = { "DOUBLE", NULL },
			[DDL_DECIMAL] = { "STRING", "try_cast(% AS DECIMAL(#))" },
			[DDL_NUMERIC] = { "STRING", NULL },
			[DDL_DATE] = { "STRING", "try_cast(% AS DATE)" },
			[DDL_TIME] = { "STRING", NULL },
			[DDL_TIMESTAMP] = { "STRING", "try_cast(% AS TIMESTAMP_NTZ)" },
			[DDL_TIMESTAMPTZ] = { "STRING", "try_cast(% AS TIMESTAMP)" },
			[DDL_UUID] = { "STRING", NULL },
			[DDL_BYTEA] = { "STRING", "unhex(substring(%, 3))" },
			[DDL_JSON] = { "STRING", NULL },
			[DDL_ARRAY] = { "STRING", NULL },
			[DDL_TEXT] = { "STRING", NULL },
		},
		.text = "STRING",
		.list = "ARRAY<STRING>",
		.json = "STRING",
		.quote = '`',
		.backslash = true,
		.has_schema = true,
		.back = 3,
		.respect = "",
		.contains = "array_contains(%, $)",
		.member = "from_json(%, 'map<string,string>')[$]",
		.if_not_exists = "IF NOT EXISTS ",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_spark,
	},
	{
		.name = "clickhouse",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "Nullable(Bool)", NULL },
			[DDL_INT2] = { "Nullable(Int16)", NULL },
			[DDL_INT4] = { "Nullable(Int32)", NULL },
			[DDL_INT8] = { "Nullable(Int64)", NULL },
			[DDL_FLOAT4] = { "Nullable(Float32)", NULL },
			[DDL_FLOAT8] = { "Nullable(Float64)", NULL },
			[DDL_DECIMAL] = { "Nullable(String)",
							  "accurateCastOrNull(%, 'Decimal(#)')" },
			[DDL_NUMERIC] = { "Nullable(String)", NULL },
			[DDL_DATE] = { "Nullable(String)",
						   "accurateCastOrNull(%, 'Date32')" },
			[DDL_TIME] = { "Nullable(String)", NULL },
			[DDL_TIMESTAMP] = { "Nullable(String)",
								"parseDateTime64BestEffortOrNull(%, 6, "
								"'UTC')" },
			[DDL_TIMESTAMPTZ] = { "Nullable(String)",
								  "parseDateTime64BestEffortOrNull(%, 6, "
								  "'UTC')" },
			[DDL_UUID] = { "Nullable(String)", "toUUIDOrNull(%)" },
			[DDL_BYTEA] = { "Nullable(String)", "unhex(substring(%, 3))" },
			[DDL_JSON] = { "Nullable(String)", NULL },
			[DDL_ARRAY] = { "Nullable(String)", NULL },
			[DDL_TEXT] = { "Nullable(String)", NULL },
		},
		.text = "Nullable(String)",
		.list = "Array(String)",
		.json = "Nullable(String)",
		.quote = '`',
		.backslash = true,
		.recursive = true,
		.has_schema = true,
		.respect = " RESPECT NULLS",
		.contains = "has(%, $)",
		.member = "JSONExtract(%, $, 'Nullable(String)')",
		.if_not_exists = "IF NOT EXISTS ",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_clickhouse,
	},
	{
		.name = "snowflake",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "BOOLEAN", NULL },
			[DDL_INT2] = { "SMALLINT", NULL },
			[DDL_INT4] = { "INTEGER", NULL },
			[DDL_INT8] = { "BIGINT", NULL },
			[DDL_FLOAT4] = { "FLOAT", NULL },
			[DDL_FLOAT8] = { "FLOAT", NULL },
			[DDL_DECIMAL] = { "VARCHAR", "TRY_TO_DECIMAL(%, #)" },
			[DDL_NUMERIC] = { "VARCHAR", NULL },
			[DDL_DATE] = { "VARCHAR", "TRY_TO_DATE(%)" },
			[DDL_TIME] = { "VARCHAR", "TRY_TO_TIME(%)" },
			[DDL_TIMESTAMP] = { "VARCHAR", "TRY_TO_TIMESTAMP_NTZ(%)" },
			[DDL_TIMESTAMPTZ] = { "VARCHAR", "TRY_TO_TIMESTAMP_TZ(%)" },
			[DDL_UUID] = { "VARCHAR", NULL },
			[DDL_BYTEA] = { "VARCHAR", "TRY_TO_BINARY(SUBSTR(%, 3), 'HEX')" },
			[DDL_JSON] = { "VARIANT", NULL },
			[DDL_ARRAY] = { "VARIANT", NULL },
			[DDL_TEXT] = { "VARCHAR", NULL },
		},
		.text = "VARCHAR",
		.list = "ARRAY",
		.json = "VARIANT",
		.quote = '"',
		.backslash = true,
		.colons = true,
		.recursive = true,
		.has_schema = true,
		.respect = "",
		.contains = "ARRAY_CONTAINS($::VARIANT, %)",
		.member = "GET(%, $)::VARCHAR",
		.if_not_exists = "IF NOT EXISTS ",
		.view = " AS",
		.view_end = "",
		.create = ddl_create_snowflake,
	},
	{
		.name = "redshift",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "boolean", NULL },
			[DDL_INT2] = { "smallint", NULL },
			[DDL_INT4] = { "integer", NULL },
			[DDL_INT8] = { "bigint", NULL },
			[DDL_FLOAT4] = { "real", NULL },
			[DDL_FLOAT8] = { "double precision", NULL },
			[DDL_DECIMAL] = { "varchar(65535)", "TRY_CAST(% AS decimal(#))" },
			[DDL_NUMERIC] = { "varchar(65535)", NULL },
			[DDL_DATE] = { "varchar(65535)", "TRY_CAST(% AS date)" },
			[DDL_TIME] = { "varchar(65535)", NULL },
			[DDL_TIMESTAMP] = { "varchar(65535)", "TRY_CAST(% AS timestamp)" },
			[DDL_TIMESTAMPTZ] = { "varchar(65535)",
								  "TRY_CAST(% AS timestamptz)" },
			[DDL_UUID] = { "varchar(65535)", NULL },
			[DDL_BYTEA] = { "varchar(65535)", NULL },
			[DDL_JSON] = { "varchar(65535)", NULL },
			[DDL_ARRAY] = { "varchar(65535)", NULL },
			[DDL_TEXT] = { "varchar(65535)", NULL },
		},
		.text = "varchar",
		.list = "varchar(65535)",
		.json = "varchar(65535)",
		.quote = '"',
		.colons = true,
		.back = 2,
		.respect = "",
		/* a list is its JSON text there */
		.contains = "STRPOS(%, '\"' || $ || '\"') > 0",
		.member = "JSON_EXTRACT_PATH_TEXT(%, $, true)",
		.if_not_exists = "",
		.view = " AS",
		.view_end = " WITH NO SCHEMA BINDING",
		.create = ddl_create_redshift,
	},
	{
		/* the types of Athena, which reads Glue's tables */
		.name = "glue",
		.format = "json",
		.types = {
			[DDL_BOOL] = { "boolean", NULL },
			[DDL_INT2] = { "smallint", NULL },
			[DDL_INT4] = { "int", NULL },
			[DDL_INT8] = { "bigint", NULL },
			[DDL_FLOAT4] = { "float", NULL },
			[DDL_FLOAT8] = { "double", NULL },
			[DDL_DECIMAL] = { "string", NULL },
			[DDL_NUMERIC] = { "string", NULL },
			[DDL_DATE] = { "string", NULL },
			[DDL_TIME] = { "string", NULL },
			[DDL_TIMESTAMP] = { "string", NULL },
			[DDL_TIMESTAMPTZ] = { "string", NULL },
			[DDL_UUID] = { "string", NULL },
			[DDL_BYTEA] = { "string", NULL },
			[DDL_JSON] = { "string", NULL },
			[DDL_ARRAY] = { "string", NULL },
			[DDL_TEXT] = { "string", NULL },
		},
		.text = "string",
		.list = "array<string>",
		.json = "string",
		.quote = '"',
		.create = ddl_create_glue,
	},
};

#define NENGINES ((int) (sizeof(engines) / sizeof(engines[0])))

const DdlEngine *
ddl_engine_at(int i)
{
	return i < NENGINES ? &engines[i] : NULL;
}

const DdlEngine *
ddl_engine_find(const char *name, const char *format)
{
	for (int i = 0; i < NENGINES; i++)
		if (strcmp(engines[i].name, name) == 0 &&
			strcmp(engines[i].format, format) == 0)
			return &engines[i];
	return NULL;
}

/* ---- types ---- */

/* Arrays that a record has as a list, and what DuckDB calls an element. */
static const struct
{
	uint32_t oid;
	const char *element;
} arrays[] = {
	{ 1000, "BOOLEAN" },  /* bool */
	{ 1005, "SMALLINT" }, /* int2 */
	{ 1007, "INTEGER" },  /* int4 */
	{ 1016, "BIGINT" },   /* int8 */
	{ 1021, "FLOAT" },    /* float4 */
	{ 1022, "DOUBLE" },   /* float8 */
	{ 1231, "VARCHAR" },  /* numeric */
	{ 1009, "VARCHAR" },  /* text */
	{ 1015, "VARCHAR" },  /* varchar */
	{ 1014, "VARCHAR" },  /* char(n) */
	{ 1003, "VARCHAR" },  /* name */
	{ 2951, "UUID" },     /* uuid */
};

static const char *
element_of(const SchemaColumn *c)
{
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		if (arrays[i].oid == c->base_oid)
			return arrays[i].element;
	return NULL;
}

/*
 * Precision and scale of a numeric's modifier, as the server packs them
 * (PostgreSQL's numeric.c: 16 bits of precision, 11 of scale, signed).  False
 * where it has none, or no engine holds it.
 */
static bool
decimal_of(const SchemaColumn *c, int *precision, int *scale)
{
	int packed = c->typmod - 4;

	*precision = (packed >> 16) & 0xffff;
	*scale = ((packed & 0x7ff) ^ 1024) - 1024;
	return packed >= 0 && *scale >= 0 && *scale <= *precision &&
		   *precision <= 38;
}

DdlClass
ddl_class(const SchemaColumn *c)
{
	static const DdlClass classes[] = {
		[CDC_S3_KIND_BOOL] = DDL_BOOL,
		[CDC_S3_KIND_INT2] = DDL_INT2,
		[CDC_S3_KIND_INT4] = DDL_INT4,
		[CDC_S3_KIND_INT8] = DDL_INT8,
		[CDC_S3_KIND_OID] = DDL_INT8,
		[CDC_S3_KIND_FLOAT4] = DDL_FLOAT4,
		[CDC_S3_KIND_FLOAT8] = DDL_FLOAT8,
		[CDC_S3_KIND_DATE] = DDL_DATE,
		[CDC_S3_KIND_TIME] = DDL_TIME,
		[CDC_S3_KIND_TIMETZ] = DDL_TEXT,
		[CDC_S3_KIND_TIMESTAMP] = DDL_TIMESTAMP,
		[CDC_S3_KIND_TIMESTAMPTZ] = DDL_TIMESTAMPTZ,
		[CDC_S3_KIND_INTERVAL] = DDL_TEXT,
		[CDC_S3_KIND_UUID] = DDL_UUID,
		[CDC_S3_KIND_NUMERIC] = DDL_NUMERIC,
		[CDC_S3_KIND_STRING] = DDL_TEXT,
		[CDC_S3_KIND_BYTEA] = DDL_BYTEA,
		[CDC_S3_KIND_JSON] = DDL_JSON,
		[CDC_S3_KIND_TEXT] = DDL_TEXT,
	};
	int precision;
	int scale;

	if (c->kind == CDC_S3_KIND_NUMERIC && decimal_of(c, &precision, &scale))
		return DDL_DECIMAL;
	if (c->base_oid == JSONB_OID)
		return DDL_JSON;
	if (c->kind == CDC_S3_KIND_TEXT && element_of(c))
		return DDL_ARRAY;
	return classes[c->kind];
}

void
ddl_element(const SchemaColumn *c, SchemaColumn *out)
{
	static const struct
	{
		uint32_t oid;
		uint8_t kind;
	} kinds[] = {
		{ 1000, CDC_S3_KIND_BOOL },    { 1005, CDC_S3_KIND_INT2 },
		{ 1007, CDC_S3_KIND_INT4 },    { 1016, CDC_S3_KIND_INT8 },
		{ 1021, CDC_S3_KIND_FLOAT4 },  { 1022, CDC_S3_KIND_FLOAT8 },
		{ 1231, CDC_S3_KIND_NUMERIC },
	};

	*out = *c; /* with the array's modifier, which is its elements' */
	out->base_oid = 0;
	out->kind = CDC_S3_KIND_STRING;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (kinds[i].oid == c->base_oid)
			out->kind = kinds[i].kind;
	}
}

void
ddl_cast(const DdlJob *job, const SchemaColumn *c, const char *value)
{
	const DdlType *type = &job->engine->types[ddl_class(c)];
	DdlFill fill = { .value = value, .type = element_of(c) };

	(void) decimal_of(c, &fill.precision, &fill.scale); /* 0 where unused */
	ddl_fill(job, type->cast ? type->cast : "%", &fill);
}

void
ddl_fill_column(const DdlJob *job, const char *pattern, const SchemaColumn *c)
{
	DdlFill fill = { .value = "", .text = "", .type = element_of(c) };

	(void) decimal_of(c, &fill.precision, &fill.scale); /* 0 where unused */
	ddl_fill(job, pattern, &fill);
}

void
ddl_raw_type(const DdlJob *job, const SchemaColumn *c)
{
	buf_str(job->out, job->engine->types[ddl_class(c)].raw);
}

/* ---- pieces of SQL ---- */

void
ddl_fill(const DdlJob *job, const char *pattern, const DdlFill *fill)
{
	for (const char *p = pattern; *p; p++)
	{
		if (*p == '%')
			buf_str(job->out, fill->value);
		else if (*p == '$')
			ddl_text(job, fill->text);
		else if (*p == '@')
			buf_str(job->out, fill->type);
		else if (*p == '#')
			buf_printf(job->out, "%d, %d", fill->precision, fill->scale);
		else
			buf_byte(job->out, (uint8_t) *p);
	}
}

void
ddl_name(const DdlJob *job, const char *name)
{
	char quote = job->engine->quote;

	buf_byte(job->out, (uint8_t) quote);
	for (; *name; name++)
	{
		if (*name == quote || (*name == '\\' && quote == '`' &&
							   strcmp(job->engine->name, "clickhouse") == 0))
			buf_byte(job->out, (uint8_t) (*name == quote ? quote : '\\'));
		buf_byte(job->out, (uint8_t) *name);
	}
	buf_byte(job->out, (uint8_t) quote);
}

void
ddl_text(const DdlJob *job, const char *text)
{
	bool backslash = job->engine->backslash;

	buf_byte(job->out, '\'');
	for (; *text; text++)
	{
		if (*text == '\'')
			buf_byte(job->out, backslash ? '\\' : '\'');
		else if (*text == '\\' && backslash)
			buf_byte(job->out, '\\');
		buf_byte(job->out, (uint8_t) *text);
	}
	buf_byte(job->out, '\'');
}

void
ddl_table_name(const DdlJob *job, const char *suffix)
{
	char *name = xasprintf("%s%s", job->table->table, suffix);

	ddl_name(job, job->table->schema);
	buf_byte(job->out, '.');
	ddl_name(job, name);
	free(name);
}

void
ddl_files_name(const DdlJob *job, const char *suffix)
{
	DdlTable outside = *job->table;
	DdlJob sub = *job;

	sub.table = &outside;
	outside.schema = xasprintf(
		"%s%s", job->table->schema,
		job->engine->create == ddl_create_redshift ? DDL_REDSHIFT_SUFFIX : "");
	ddl_table_name(&sub, suffix);
	free(outside.schema);
}

void
ddl_source_name(const DdlJob *job)
{
	if (ddl_is_plain(job))
		ddl_files_name(job, "");
	else
		ddl_table_name(job, ""); /* a view */
}

/* A line break in a name must not end it. */
void
ddl_comment(const DdlJob *job, const char *fmt, ...)
{
	char text[COMMENT_MAX];
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args); /* a cut is fine */
	va_end(args);
	buf_str(job->out, "-- ");
	for (const char *p = text; *p; p++)
		buf_byte(job->out, (unsigned char) *p < 0x20 ? ' ' : (uint8_t) *p);
	buf_byte(job->out, '\n');
}

void
ddl_put_url(const DdlJob *job, const char *scheme)
{
	const char *rest = strstr(job->url, "://");

	/* an object store's scheme is each engine's own affair */
	if (rest && strncmp(job->url, "file:", 5) != 0)
		buf_printf(job->out, "s3%s", rest);
	else if (rest)
		buf_printf(job->out, "%s%s", scheme, rest + 3);
}

void
ddl_put_files(const DdlJob *job, const DdlSource *s, const char *scheme)
{
	ddl_put_url(job, scheme);
	buf_printf(job->out, "/%s*%s", s->glob, s->suffix);
}

void
ddl_location(const DdlJob *job, const char *scheme)
{
	ddl_put_url(job, scheme);
	buf_byte(job->out, '/');
	key_add_segment(job->out, job->table->schema);
	buf_byte(job->out, '/');
	key_add_segment(job->out, job->table->table);
}
