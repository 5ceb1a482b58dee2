/*-------------------------------------------------------------------------
 * parquet_rows.h
 *	  A table with a column of every kind, edge values of each, and changes
 *	  made of them: what the tests of Parquet write.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_ROWS_H
#define PARQUET_ROWS_H

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/change.h"
#include "codec/schema.h"

#define ROWS_VALUES 12
#define NUMERIC_TYPMOD(p, s) ((((p) << 16) | ((s) &0x7ff)) + 4)

/* A column and its values, as text that rows_value() makes the wire's. */
typedef struct RowsColumn
{
	const char *name;
	const char *type; /* as doc/parquet.md names it */
	uint8_t kind;
	uint32_t oid;
	int32_t typmod;
	const char *values[ROWS_VALUES];
} RowsColumn;

/*
 * Integers are decimal; floats C's; numerics as PostgreSQL has them; times
 * and uuids hex digits of the wire; blobs as they are ("\\0" is a zero byte).
 */
static const RowsColumn rows_columns[] = {
	{ "id",
	  "integer",
	  CDC_S3_KIND_INT4,
	  23,
	  -1,
	  { "1", "2", "3", "-7", "2147483647" } },
	{ "b", "boolean", CDC_S3_KIND_BOOL, 16, -1, { "1", "0", "1", "1" } },
	{ "i2", "smallint", CDC_S3_KIND_INT2, 21, -1, { "-32768", "32767", "0" } },
	{ "i4",
	  "integer",
	  CDC_S3_KIND_INT4,
	  23,
	  -1,
	  { "-2147483648", "2147483647", "12" } },
	{ "i8",
	  "bigint",
	  CDC_S3_KIND_INT8,
	  20,
	  -1,
	  { "-9223372036854775808", "9223372036854775807", "0" } },
	{ "oid", "oid", CDC_S3_KIND_OID, 26, -1, { "4294967295", "0", "16384" } },
	{ "f4",
	  "real",
	  CDC_S3_KIND_FLOAT4,
	  700,
	  -1,
	  { "0.1", "nan", "inf", "-inf", "-0.0", "1e-45", "3.4028235e38" } },
	{ "f8",
	  "double precision",
	  CDC_S3_KIND_FLOAT8,
	  701,
	  -1,
	  { "0.30000000000000004", "nan", "inf", "-inf", "-0.0", "5e-324",
		"1e308" } },
	/* 2026-11-21, 1970-01-01, 0001-01-01, 44 BC, 9999-12-31, 10000-01-01 */
	{ "d",
	  "date",
	  CDC_S3_KIND_DATE,
	  1082,
	  -1,
	  { "9821", "-10957", "-730119", "-746154", "2921939", "2921940",
		"2147483647", "-2147483648" } },
	{ "t",
	  "time",
	  CDC_S3_KIND_TIME,
	  1083,
	  -1,
	  { "29647500000", "0", "86400000000" } },
	{ "tz",
	  "timetz",
	  CDC_S3_KIND_TIMETZ,
	  1266,
	  -1,
	  { "29647500000 -20476", "86400000000 39600" } },
	{ "ts",
	  "timestamp",
	  CDC_S3_KIND_TIMESTAMP,
	  1114,
	  -1,
	  { "848564047123456", "-1", "0", "-946684800000000", "252455615999999999",
		"252455616000000000", "-63082281600000000", "-63082281600000001",
		"9223372036854775807", "-9223372036854775808" } },
	{ "tstz",
	  "timestamptz",
	  CDC_S3_KIND_TIMESTAMPTZ,
	  1184,
	  -1,
	  { "848564047123456", "-1", "848564047123000", "252455616000000000",
		"9223372036854775807" } },
	{ "iv",
	  "interval",
	  CDC_S3_KIND_INTERVAL,
	  1186,
	  -1,
	  { "11045006000 -2 1", "0 0 0", "0 0 -14" } },
	{ "u",
	  "uuid",
	  CDC_S3_KIND_UUID,
	  2950,
	  -1,
	  { "a0eebc999c0b4ef8bb6d6bb9bd380a11",
		"00000000000000000000000000000000" } },
	{ "n9",
	  "numeric(9,2)",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  NUMERIC_TYPMOD(9, 2),
	  { "89.20", "-0.01", "0.00", "9999999.99", "-9999999.99", "NaN", "1.1",
		"Infinity" } },
	{ "n18",
	  "numeric(18,6)",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  NUMERIC_TYPMOD(18, 6),
	  { "1.000001", "-999999999999.999999", "0.000000", "123456.000000" } },
	{ "n38",
	  "numeric(38,10)",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  NUMERIC_TYPMOD(38, 10),
	  { "-1.0000000001", "9999999999999999999999999999.9999999999",
		"-9999999999999999999999999999.9999999999", "0.0000000000", "NaN",
		"12.0000000000" } },
	{ "n5",
	  "numeric(5,0)",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  NUMERIC_TYPMOD(5, 0),
	  { "12345", "-99999", "0", "-Infinity" } },
	{ "nneg",
	  "numeric(3,-2)",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  NUMERIC_TYPMOD(3, -2),
	  { "12300", "-99900", "0" } },
	{ "n",
	  "numeric",
	  CDC_S3_KIND_NUMERIC,
	  1700,
	  -1,
	  { "1.10", "NaN", "-Infinity", "12345678901234567890.123456789012345678",
		"-0.000123", "100000000" } },
	{ "s",
	  "text",
	  CDC_S3_KIND_STRING,
	  25,
	  -1,
	  { "", "a\"b\\c\n\t\xe2\x82\xac", "\x01\x7f", "\xf0\x9f\x98\x80 \xc3\xa9",
		"a longer text, which is longer than sixty-four bytes and is "
		"therefore cut \xe2\x82\xac in statistics",
		"ab   " } },
	{ "bin",
	  "bytea",
	  CDC_S3_KIND_BYTEA,
	  17,
	  -1,
	  { "", "\\0\xff\x10", "plain" } },
	{ "js",
	  "json",
	  CDC_S3_KIND_JSON,
	  114,
	  -1,
	  { "{\"a\":1,\n \"a\" : 2}", "null", "  null ", "[1e999, -0]", " 5 ",
		"\"null\"" } },
	{ "jb",
	  "jsonb",
	  CDC_S3_KIND_TEXT,
	  3802,
	  -1,
	  { "{\"a\": [1.10, null]}", "null", "\"text\"" } },
	{ "ip", "inet", CDC_S3_KIND_TEXT, 869, -1, { "10.0.0.1", "::1/64" } },
	{ "ab",
	  "boolean[]",
	  CDC_S3_KIND_TEXT,
	  1000,
	  -1,
	  { "{t,f,NULL}", "{}", "{{t},{f}}" } },
	{ "ai2",
	  "smallint[]",
	  CDC_S3_KIND_TEXT,
	  1005,
	  -1,
	  { "{1,-32768}", "{NULL}" } },
	{ "ai4",
	  "integer[]",
	  CDC_S3_KIND_TEXT,
	  1007,
	  -1,
	  { "{1,NULL,-3}", "{}", "[2:3]={1,NULL}", "{{1,2},{3,4}}" } },
	{ "ai8",
	  "bigint[]",
	  CDC_S3_KIND_TEXT,
	  1016,
	  -1,
	  { "{9223372036854775807}", "{0,0}" } },
	{ "af4",
	  "real[]",
	  CDC_S3_KIND_TEXT,
	  1021,
	  -1,
	  { "{0.1,1e+20,NaN}", "{-0}" } },
	{ "af8",
	  "double precision[]",
	  CDC_S3_KIND_TEXT,
	  1022,
	  -1,
	  { "{1e+20,-Infinity}", "{0.1,NULL,-0}" } },
	{ "an",
	  "numeric[]",
	  CDC_S3_KIND_TEXT,
	  1231,
	  -1,
	  { "{1.10,NaN}", "{1,NULL}", "{}" } },
	{ "an9",
	  "numeric(9,2)[]",
	  CDC_S3_KIND_TEXT,
	  1231,
	  NUMERIC_TYPMOD(9, 2),
	  { "{1.10,-2.00,NULL}", "{1.10,NaN}", "{}", "{9999999.99}" } },
	{ "as",
	  "text[]",
	  CDC_S3_KIND_TEXT,
	  1009,
	  -1,
	  { "{\"NULL\",NULL,\"a,b\",\"q\\\"x\",\"\",\"{\",\"\\\\\"}", "{}",
		"{a,\xe2\x82\xac}", "[0:1]={a,b}" } },
	{ "au",
	  "uuid[]",
	  CDC_S3_KIND_TEXT,
	  2951,
	  -1,
	  { "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}" } },
	{ "ad",
	  "date[]",
	  CDC_S3_KIND_TEXT,
	  1182,
	  -1,
	  { "{2026-11-21,infinity}", "{}" } },
	{ "q\"\xc3\xa9",
	  "varchar(20)",
	  CDC_S3_KIND_STRING,
	  25,
	  -1,
	  { "odd name", "2" } },
};

#define ROWS_COLUMNS ((int) (sizeof(rows_columns) / sizeof(rows_columns[0])))

static inline void
rows_put_int(Buf *out, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_byte(out, (uint8_t) (v >> (8 * i)));
}

/* numeric's stored form in its long shape, of its text. */
static inline void
rows_put_numeric(Buf *out, const char *s)
{
	bool negative = *s == '-';
	const char *digits = s + negative;
	const char *point = strchr(digits, '.');
	int before = (int) (point ? point - digits : (long) strlen(digits));
	int scale = point ? (int) strlen(point + 1) : 0;
	int groups = (before + 3) / 4;
	int total = groups + (scale + 3) / 4;
	int first = 0;
	int words[64] = { 0 };

	if (strcmp(s, "NaN") == 0 || strstr(s, "Infinity"))
	{
		rows_put_int(out, *s == 'N' ? 0xC000 : *s == '-' ? 0xF000 : 0xD000, 2);
		return;
	}
	for (int i = 0; i < groups * 4; i++)
	{
		int at = i - (groups * 4 - before);

		words[i / 4] = words[i / 4] * 10 + (at < 0 ? 0 : digits[at] - '0');
	}
	for (int i = 0; i < (total - groups) * 4; i++)
		words[groups + i / 4] =
			words[groups + i / 4] * 10 + (i < scale ? point[1 + i] - '0' : 0);
	while (first < total && words[first] == 0)
		first++;
	while (total > first && words[total - 1] == 0)
		total--;
	if (total == first)
		groups = first + 1; /* zero has weight 0 */
	rows_put_int(out, (uint64_t) ((negative ? 0x4000 : 0) | scale), 2);
	rows_put_int(out, (uint64_t) (groups - first - 1), 2);
	for (int i = first; i < total; i++)
		rows_put_int(out, (uint64_t) words[i], 2);
}

/* The wire's bytes of a value's text. */
static inline void
rows_value(uint8_t kind, const char *s, Buf *out)
{
	static const uint8_t widths[] = {
		[CDC_S3_KIND_BOOL] = 1,      [CDC_S3_KIND_INT2] = 2,
		[CDC_S3_KIND_INT4] = 4,      [CDC_S3_KIND_INT8] = 8,
		[CDC_S3_KIND_OID] = 4,       [CDC_S3_KIND_DATE] = 4,
		[CDC_S3_KIND_TIME] = 8,      [CDC_S3_KIND_TIMETZ] = 8,
		[CDC_S3_KIND_TIMESTAMP] = 8, [CDC_S3_KIND_TIMESTAMPTZ] = 8,
		[CDC_S3_KIND_INTERVAL] = 8
	};
	float f4;
	double f8;
	uint32_t u32;
	uint64_t u64;
	char *end;

	if (kind == CDC_S3_KIND_FLOAT4)
	{
		f4 = strtof(s, NULL);
		memcpy(&u32, &f4, 4);
		rows_put_int(out, u32, 4);
	}
	else if (kind == CDC_S3_KIND_FLOAT8)
	{
		f8 = strtod(s, NULL);
		memcpy(&u64, &f8, 8);
		rows_put_int(out, u64, 8);
	}
	else if (kind == CDC_S3_KIND_UUID)
	{
		for (; *s; s += 2)
			buf_byte(out,
					 (uint8_t) strtoul((char[]){ s[0], s[1], 0 }, NULL, 16));
	}
	else if (kind == CDC_S3_KIND_NUMERIC)
		rows_put_numeric(out, s);
	else if (kind < CDC_S3_KIND_NUMERIC)
	{
		rows_put_int(out, (uint64_t) strtoll(s, &end, 10), widths[kind]);
		while (*end)
			rows_put_int(out, (uint64_t) strtoll(end, &end, 10), 4);
	}
	else
	{
		for (; *s; s++)
		{
			bool zero = s[0] == '\\' && s[1] == '0';

			buf_byte(out, zero ? 0 : (uint8_t) *s);
			s += zero;
		}
	}
}

/* The table: its first column is the primary key, or all are the key. */
static inline Schema *
rows_schema(char identity)
{
	Schema *s = schema_new("public", "all kinds", ROWS_COLUMNS);

	s->identity = identity;
	for (int i = 0; i < ROWS_COLUMNS; i++)
	{
		const RowsColumn *from = &rows_columns[i];
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(from->name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup(from->type);
		c->kind = from->kind;
		c->type_oid = c->base_oid = from->oid;
		c->typmod = from->typmod;
		c->attnum = i + 1;
		c->key = identity == 'f' || i == 0;
		c->pk = identity != 'f' && i == 0;
	}
	schema_finish(s);
	return s;
}

/* Numbers that look random, the same each time. */
static inline uint32_t
rows_random(uint64_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t) (*state >> 16) % below;
}

/* A row of picked values, their bytes in *bytes; "nulls" of ten are NULL. */
static inline void
rows_pick(uint64_t *state, uint32_t nulls, Buf *bytes, ColView *cols)
{
	size_t at[ROWS_COLUMNS];

	buf_reset(bytes);
	for (int i = 0; i < ROWS_COLUMNS; i++)
	{
		const RowsColumn *c = &rows_columns[i];
		uint32_t n = 0;

		while (n < ROWS_VALUES && c->values[n])
			n++;
		at[i] = bytes->n;
		cols[i] = (ColView){ .state = COL_VALUE };
		if (i > 0 && rows_random(state, 10) < nulls)
			cols[i].state = COL_NULL;
		else
			rows_value(c->kind, c->values[rows_random(state, n)], bytes);
		cols[i].n = (uint32_t) (bytes->n - at[i]);
	}
	for (int i = 0; i < ROWS_COLUMNS; i++)
		cols[i].p = bytes->p + at[i];
}

#endif
