/*-------------------------------------------------------------------------
 * ddl_reader.c
 *	  What each engine reads of Parquet and CSV, and how it becomes what its
 *	  JSON reader gives ("raw").
 *
 * Of CSV all is text to an engine.  Those that know no text but a field's bytes
 * (OpenCSVSerDe, and Trino's) tell "\N" from \N as little as NULL from it.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "cmd/ddl_read.h"

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
	.chr = "char",
	.int8 = "BIGINT",
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
	.chr = "char",
	.int8 = "Int64",
	.withheld = "Array(Tuple(column Nullable(String), reason "
				"Nullable(String), size Nullable(Int64), crc32c "
				"Nullable(String), bytes Nullable(String)))",
	.from_withheld = "if(empty(%), NULL, toJSONString(%))",
};

/* Athena and Trino speak the same of values, and other names of types. */
#define TRINO_FROM_PARQUET                                                     \
	{                                                                          \
		[DDL_DECIMAL] = "CAST(% AS varchar)",                                  \
		[DDL_DATE] = "CAST(% AS varchar)",                                     \
		[DDL_TIMESTAMP] = "replace(CAST(% AS varchar), ' ', 'T')",             \
		[DDL_TIMESTAMPTZ] = "replace(CAST(% AS varchar), ' ', 'T') || 'Z'",    \
		[DDL_BYTEA] = "'\\x' || lower(to_hex(%))",                             \
		[DDL_ARRAY] = "json_format(CAST(% AS json))",                          \
	}
#define TRINO_FROM_CSV                                                         \
	{                                                                          \
		[DDL_BOOL] = "CAST(% AS boolean)", [DDL_INT2] = "CAST(% AS smallint)", \
		[DDL_INT4] = "CAST(% AS integer)", [DDL_INT8] = "CAST(% AS bigint)",   \
		[DDL_FLOAT4] = "CAST(% AS real)", [DDL_FLOAT8] = "CAST(% AS double)",  \
	}
#define TRINO_LIST "CAST(json_parse(%) AS array(varchar))"
#define TRINO_WITHHELD "json_format(CAST(% AS json))"

static const Reader athena = {
	.types = {
		[DDL_BOOL] = "boolean",
		[DDL_INT2] = "smallint",
		[DDL_INT4] = "int",
		[DDL_INT8] = "bigint",
		[DDL_FLOAT4] = "float",
		[DDL_FLOAT8] = "double",
		[DDL_DECIMAL] = "decimal(#)",
		[DDL_NUMERIC] = "string",
		[DDL_DATE] = "date",
		[DDL_TIME] = "string",
		[DDL_TIMESTAMP] = "timestamp",
		[DDL_TIMESTAMPTZ] = "timestamp",
		[DDL_UUID] = "string",
		[DDL_BYTEA] = "binary",
		[DDL_JSON] = "string",
		[DDL_ARRAY] = "array<@>",
		[DDL_TEXT] = "string",
	},
	.from_parquet = TRINO_FROM_PARQUET,
	.from_csv = TRINO_FROM_CSV,
	.text = "string",
	.names = "array<string>",
	.csv_list = TRINO_LIST,
	.withheld = "array<struct<`column`:string,reason:string,size:bigint,"
				"crc32c:string>>",
	.from_withheld = TRINO_WITHHELD,
	.chr = "chr",
	.int8 = "bigint",
	.text_is_null = true,
	.by_run = true,
};

static const Reader trino = {
	.types = {
		[DDL_BOOL] = "boolean",
		[DDL_INT2] = "smallint",
		[DDL_INT4] = "integer",
		[DDL_INT8] = "bigint",
		[DDL_FLOAT4] = "real",
		[DDL_FLOAT8] = "double",
		[DDL_DECIMAL] = "decimal(#)",
		[DDL_NUMERIC] = "varchar",
		[DDL_DATE] = "date",
		[DDL_TIME] = "varchar",
		[DDL_TIMESTAMP] = "timestamp(6)",
		[DDL_TIMESTAMPTZ] = "timestamp(6)",
		[DDL_UUID] = "varchar",
		[DDL_BYTEA] = "varbinary",
		[DDL_JSON] = "varchar",
		[DDL_ARRAY] = "array(@)",
		[DDL_TEXT] = "varchar",
	},
	.from_parquet = TRINO_FROM_PARQUET,
	.from_csv = TRINO_FROM_CSV,
	.text = "varchar",
	.names = "array(varchar)",
	.csv_list = TRINO_LIST,
	.withheld = "array(row(\"column\" varchar, reason varchar, size bigint, "
				"crc32c varchar))",
	.from_withheld = TRINO_WITHHELD,
	.chr = "chr",
	.int8 = "bigint",
	.text_is_null = true,
	.by_run = true,
};

/* Lists as a list, or as what Parquet has three levels for. */
#define SNOWFLAKE_LIST                                                         \
	"IFF(IS_ARRAY(%), %, TRANSFORM(GET(%, 'list'), e -> GET(e, 'element')))"

static const Reader snowflake = {
	.types = {
		[DDL_BOOL] = "BOOLEAN",
		[DDL_INT2] = "SMALLINT",
		[DDL_INT4] = "INTEGER",
		[DDL_INT8] = "BIGINT",
		[DDL_FLOAT4] = "FLOAT",
		[DDL_FLOAT8] = "FLOAT",
		[DDL_DECIMAL] = "DECIMAL(#)",
		[DDL_NUMERIC] = "VARCHAR",
		[DDL_DATE] = "DATE",
		[DDL_TIME] = "VARCHAR",
		[DDL_TIMESTAMP] = "TIMESTAMP_NTZ",
		[DDL_TIMESTAMPTZ] = "TIMESTAMP_LTZ",
		[DDL_UUID] = "VARCHAR",
		[DDL_BYTEA] = "BINARY",
		[DDL_JSON] = "VARCHAR",
		[DDL_ARRAY] = "VARIANT",
		[DDL_TEXT] = "VARCHAR",
	},
	.from_parquet = {
		[DDL_DECIMAL] = "TO_VARCHAR(%)",
		[DDL_DATE] = "TO_VARCHAR(%, 'YYYY-MM-DD')",
		[DDL_TIMESTAMP] = "TO_VARCHAR(%, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')",
		[DDL_TIMESTAMPTZ] = "TO_VARCHAR(CONVERT_TIMEZONE('UTC', %), "
							"'YYYY-MM-DD\"T\"HH24:MI:SS.FF6') || 'Z'",
		[DDL_BYTEA] = "'\\\\x' || HEX_ENCODE(%, 0)",
		[DDL_JSON] = "TRY_PARSE_JSON(%)",
		[DDL_ARRAY] = SNOWFLAKE_LIST "::VARIANT",
	},
	.from_csv = {
		[DDL_BOOL] = "CAST(% AS BOOLEAN)",
		[DDL_INT2] = "CAST(% AS SMALLINT)",
		[DDL_INT4] = "CAST(% AS INTEGER)",
		[DDL_INT8] = "CAST(% AS BIGINT)",
		[DDL_FLOAT4] = "CAST(% AS FLOAT)",
		[DDL_FLOAT8] = "CAST(% AS FLOAT)",
		[DDL_JSON] = "TRY_PARSE_JSON(%)",
		[DDL_ARRAY] = "TO_VARIANT(%)",
	},
	.text = "VARCHAR",
	.names = "VARIANT",
	.from_names = SNOWFLAKE_LIST "::ARRAY",
	.csv_list = "PARSE_JSON(%)::ARRAY",
	.json = "PARSE_JSON(%)",
	.withheld = "VARIANT",
	.chr = "CHR",
	.int8 = "BIGINT",
};

#define REDSHIFT_LIST                                                          \
	"(SELECT '[' || listagg('\"' || u || '\"', ',') || ']' FROM % u)"

static const Reader redshift = {
	.types = {
		[DDL_BOOL] = "boolean",
		[DDL_INT2] = "smallint",
		[DDL_INT4] = "integer",
		[DDL_INT8] = "bigint",
		[DDL_FLOAT4] = "real",
		[DDL_FLOAT8] = "double precision",
		[DDL_DECIMAL] = "decimal(#)",
		[DDL_NUMERIC] = "varchar(65535)",
		[DDL_DATE] = "date",
		[DDL_TIME] = "varchar(65535)",
		[DDL_TIMESTAMP] = "timestamp",
		[DDL_TIMESTAMPTZ] = "timestamp",
		[DDL_UUID] = "varchar(65535)",
		[DDL_BYTEA] = "varbyte(1000000)",
		[DDL_JSON] = "varchar(65535)",
		[DDL_ARRAY] = "array<@>",
		[DDL_TEXT] = "varchar(65535)",
	},
	.from_parquet = {
		[DDL_DECIMAL] = "CAST(% AS varchar)",
		[DDL_DATE] = "CAST(% AS varchar)",
		[DDL_TIMESTAMP] = "to_char(%, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')",
		[DDL_TIMESTAMPTZ] = "to_char(%, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z'",
		[DDL_BYTEA] = "chr(92) || 'x' || to_hex(%)",
		[DDL_ARRAY] = "CAST(NULL AS varchar(65535))",
	},
	.from_csv = {
		[DDL_BOOL] = "CAST(% AS boolean)",
		[DDL_INT2] = "CAST(% AS smallint)",
		[DDL_INT4] = "CAST(% AS integer)",
		[DDL_INT8] = "CAST(% AS bigint)",
		[DDL_FLOAT4] = "CAST(% AS real)",
		[DDL_FLOAT8] = "CAST(% AS double precision)",
	},
	.text = "varchar(65535)",
	.names = "array<varchar(65535)>",
	.from_names = REDSHIFT_LIST,
	.withheld = "array<struct<\"column\":varchar(65535),reason:varchar(65535)>>",
	.from_withheld = "CAST(NULL AS varchar(65535))",
	.chr = "chr",
	.int8 = "bigint",
	.slash_by_number = true,
	.text_is_null = true,
	.by_run = true,
};

const Reader *
ddl_reader_of(const DdlEngine *engine)
{
	static const struct
	{
		void (*create)(const DdlJob *job);
		const Reader *reader;
	} readers[] = {
		{ ddl_create_spark, &spark },
		{ ddl_create_clickhouse, &clickhouse },
		{ ddl_create_hive, &athena },
		{ ddl_create_glue, &athena },
		{ ddl_create_trino, &trino },
		{ ddl_create_snowflake, &snowflake },
		{ ddl_create_redshift, &redshift },
	};

	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
	{
		if (readers[i].create == engine->create)
			return readers[i].reader;
	}
	return NULL; /* DuckDB has its own way */
}
