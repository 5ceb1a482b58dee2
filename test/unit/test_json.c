/*-------------------------------------------------------------------------
 * test_json.c
 *	  codec/json: the bytes of record lines.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_COLS 8

/* A value given as a string literal, NULs included. */
#define VALUE(s)                                                               \
	{                                                                          \
		(const uint8_t *) (s), sizeof(s) - 1, COL_VALUE, 0, 0, 0               \
	}
#define STATE(st)                                                              \
	{                                                                          \
		NULL, 0, (st), 0, 0, 0                                                 \
	}

#define LSN UINT64_C(0x16B374D8)
#define XID 712
#define TIME INT64_C(848564047123456)
#define META(op)                                                               \
	"{\"_op\":\"" op "\",\"_lsn\":\"0000000016B374D8\",\"_seq\":3,"            \
	"\"_xid\":712,\"_ts\":\"2026-11-21T08:14:07.123456Z\""

typedef struct Col
{
	const char *name;
	uint8_t kind;
	uint32_t oid;
	bool key;
	bool pk;
	int32_t typmod;
} Col;

static Schema *
make_schema(const Col *cols, int n, char identity)
{
	Schema *s = schema_new("public", "t", n);

	s->identity = identity;
	for (int i = 0; i < n; i++)
	{
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(cols[i].name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup("whatever");
		c->kind = cols[i].kind;
		c->type_oid = c->base_oid = cols[i].oid;
		c->key = cols[i].key;
		c->pk = cols[i].pk;
		c->typmod = cols[i].typmod;
		c->attnum = i + 1;
	}
	schema_finish(s);
	return s;
}

static void
set_txn(Change *c, Lsn lsn, uint32_t xid, int64_t time)
{
	c->lsn = lsn;
	c->xid = xid;
	c->time = time;
}

/* The line without its line break, which must be there. */
static char *
line_of(const Schema *s, const FormatOptions *o, const Change *change)
{
	JsonTable *t = json_table_new(s, o);
	JsonWriter *w = json_writer_new(t);
	Change c = *change;
	Buf out;
	char *line;
	json_t *doc;

	buf_init(&out, SIZE_MAX);
	set_txn(&c, LSN, XID, TIME);
	json_write(w, &c, &out);
	assert_true(out.n > 2);
	assert_int_equal(out.p[out.n - 1], '\n');
	assert_int_equal(out.p[out.n], 0);
	out.p[--out.n] = 0;
	assert_null(memchr(out.p, '\n', out.n));
	/* another reader finds it to be JSON as well */
	doc = json_loadb((char *) out.p, out.n,
					 JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	if (!doc && !strstr((char *) out.p, "e999"))
		fail_msg("no JSON: %s", (char *) out.p);
	json_decref(doc);
	line = xstrdup((char *) out.p);
	buf_done(&out);
	json_writer_free(w);
	json_table_free(t);
	return line;
}

static void
check_line(const char *name, const Schema *s, const FormatOptions *o,
		   const Change *change, const char *want)
{
	char *got = line_of(s, o, change);

	if (strcmp(got, want) != 0)
		fail_msg("%s:\nwant %s\ngot  %s", name, want, got);
	free(got);
}

/* A table of one column "v", one value: the line ends with this. */
static void
check_value(const char *name, Col col, ColView v, const FormatOptions *o,
			const char *want)
{
	Schema *s;
	RowView row = { 1, &v };
	Change change = { .op = 'i', .seq = 3, .row = &row };
	char *line = xasprintf(META("i") ",%s}", want);

	col.name = "v";
	s = make_schema(&col, 1, 'd');
	check_line(name, s, o, &change, line);
	schema_free(s);
	free(line);
}

static const FormatOptions plain = { .numeric = NUMERIC_NUMBER };
static const FormatOptions raw = { .raw_text = true };

/* Little-endian values as the wire has them. */
static void
test_fixed(void **state)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
		const char *hex;
		const char *want;
	} rows[] = {
		{ "true", CDC_S3_KIND_BOOL, "01", "true" },
		{ "false", CDC_S3_KIND_BOOL, "00", "false" },
		{ "int2 min", CDC_S3_KIND_INT2, "0080", "-32768" },
		{ "int2 max", CDC_S3_KIND_INT2, "ff7f", "32767" },
		{ "int4 min", CDC_S3_KIND_INT4, "00000080", "-2147483648" },
		{ "int4 max", CDC_S3_KIND_INT4, "ffffff7f", "2147483647" },
		{ "int8 min", CDC_S3_KIND_INT8, "0000000000000080",
		  "-9223372036854775808" },
		{ "int8 max", CDC_S3_KIND_INT8, "ffffffffffffff7f",
		  "9223372036854775807" },
		{ "oid", CDC_S3_KIND_OID, "ffffffff", "4294967295" },
		{ "float4", CDC_S3_KIND_FLOAT4, "cdcccc3d", "0.1" },
		{ "float4 -0", CDC_S3_KIND_FLOAT4, "00000080", "-0.0" },
		{ "float4 NaN", CDC_S3_KIND_FLOAT4, "0000c07f", "\"NaN\"" },
		{ "float4 inf", CDC_S3_KIND_FLOAT4, "0000807f", "\"Infinity\"" },
		{ "float8", CDC_S3_KIND_FLOAT8, "9a9999999999b93f", "0.1" },
		{ "float8 least", CDC_S3_KIND_FLOAT8, "0100000000000000", "5e-324" },
		{ "float8 -0", CDC_S3_KIND_FLOAT8, "0000000000000080", "-0.0" },
		{ "float8 NaN", CDC_S3_KIND_FLOAT8, "000000000000f87f", "\"NaN\"" },
		{ "float8 -inf", CDC_S3_KIND_FLOAT8, "000000000000f0ff",
		  "\"-Infinity\"" },
		{ "date", CDC_S3_KIND_DATE, "5d260000", "\"2026-11-21\"" },
		{ "date BC", CDC_S3_KIND_DATE, "7b9df4ff", "\"-0043-03-15\"" },
		{ "date inf", CDC_S3_KIND_DATE, "ffffff7f", "\"infinity\"" },
		{ "date -inf", CDC_S3_KIND_DATE, "00000080", "\"-infinity\"" },
		{ "time", CDC_S3_KIND_TIME, "0060d71d14000000", "\"24:00:00\"" },
		{ "timetz", CDC_S3_KIND_TIMETZ, "000000000000000004b0ffff",
		  "\"00:00:00+05:41:16\"" },
		{ "timestamp", CDC_S3_KIND_TIMESTAMP, "ffffffffffffffff",
		  "\"1999-12-31T23:59:59.999999\"" },
		{ "timestamptz", CDC_S3_KIND_TIMESTAMPTZ, "ffffffffffffffff",
		  "\"1999-12-31T23:59:59.999999Z\"" },
		{ "timestamptz inf", CDC_S3_KIND_TIMESTAMPTZ, "ffffffffffffff7f",
		  "\"infinity\"" },
		{ "timestamp -inf", CDC_S3_KIND_TIMESTAMP, "0000000000000080",
		  "\"-infinity\"" },
		{ "interval", CDC_S3_KIND_INTERVAL, "4053559202000000feffffff01000000",
		  "\"1 mon -2 days +03:04:05\"" },
		{ "uuid", CDC_S3_KIND_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11",
		  "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint8_t bytes[16];
		size_t n = strlen(rows[i].hex) / 2;
		ColView v = { .p = bytes, .n = (uint32_t) n, .state = COL_VALUE };
		char want[80];

		assert_int_equal(n, kind_width(rows[i].kind));
		assert_true(hex_decode(rows[i].hex, n, bytes));
		(void) snprintf(want, sizeof(want), "\"v\":%s", rows[i].want);
		check_value(rows[i].name, (Col){ .kind = rows[i].kind }, v, &plain,
					want);
	}
}

static void
test_numeric(void **state)
{
	static const ColView price = VALUE("\x00\x81\x59\x00\xd0\x07");
	static const ColView nan = VALUE("\x00\xc0");
	static const ColView infinity = VALUE("\x00\xd0");
	/* numeric(15,2) and numeric(16,2), as the catalog says it */
	static const int32_t mod15 = ((15 << 16) | 2) + 4;
	static const int32_t mod16 = ((16 << 16) | 2) + 4;
	static const struct
	{
		const char *name;
		FormatNumeric as;
		int32_t typmod;
		const ColView *v;
		const char *want;
	} rows[] = {
		{ "number", NUMERIC_NUMBER, -1, &price, "\"v\":89.20" },
		{ "string", NUMERIC_STRING, mod15, &price, "\"v\":\"89.20\"" },
		{ "auto, 15", NUMERIC_AUTO, mod15, &price, "\"v\":89.20" },
		{ "auto, 16", NUMERIC_AUTO, mod16, &price, "\"v\":\"89.20\"" },
		{ "auto, none", NUMERIC_AUTO, -1, &price, "\"v\":\"89.20\"" },
		{ "NaN", NUMERIC_NUMBER, -1, &nan, "\"v\":\"NaN\"" },
		{ "infinity", NUMERIC_AUTO, mod15, &infinity, "\"v\":\"Infinity\"" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FormatOptions o = { .numeric = rows[i].as };

		check_value(rows[i].name,
					(Col){ .kind = CDC_S3_KIND_NUMERIC,
						   .oid = 1700,
						   .typmod = rows[i].typmod },
					*rows[i].v, &o, rows[i].want);
	}
}

/* The longest number there is, alone in its line. */
static void
test_numeric_long(void **state)
{
	ColView v = VALUE("\x00\x00\xff\x7f\x88\x13");
	Col col = { .name = "v", .kind = CDC_S3_KIND_NUMERIC };
	Schema *s = make_schema(&col, 1, 'd');
	RowView row = { 1, &v };
	Change change = { .op = 'i', .seq = 3, .row = &row };
	JsonTable *t = json_table_new(s, &plain);
	const char *head = META("i") ",\"v\":5";
	JsonWriter *w = json_writer_new(t);
	Buf out;

	(void) state;
	buf_init(&out, SIZE_MAX);
	set_txn(&change, LSN, XID, TIME);
	json_write(w, &change, &out);
	assert_int_equal(out.n, strlen(head) + 131071 + 2);
	assert_memory_equal(out.p, head, strlen(head));
	for (size_t i = strlen(head); i < out.n - 2; i++)
		assert_int_equal(out.p[i], '0');
	assert_memory_equal(out.p + out.n - 2, "}\n", 2);
	buf_done(&out);
	json_writer_free(w);
	json_table_free(t);
	schema_free(s);
}

static void
test_strings(void **state)
{
	static const struct
	{
		const char *name;
		ColView v;
		const char *want;
	} rows[] = {
		{ "empty", VALUE(""), "\"v\":\"\"" },
		{ "quote and backslash", VALUE("a\"b\\c/d"),
		  "\"v\":\"a\\\"b\\\\c/d\"" },
		{ "controls 00-0f", VALUE("\0\1\2\3\4\5\6\7\b\t\n\13\f\r\16\17"),
		  "\"v\":\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007"
		  "\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\"" },
		{ "controls 10-1f",
		  VALUE("\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37"),
		  "\"v\":\"\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017"
		  "\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\"" },
		{ "delete", VALUE("a\177b"), "\"v\":\"a\\u007fb\"" },
		{ "line separator", VALUE("\xe2\x80\xa8"), "\"v\":\"\xe2\x80\xa8\"" },
		{ "four bytes", VALUE("\xf0\x9f\x98\x80"),
		  "\"v\":\"\xf0\x9f\x98\x80\"" },
		{ "padding of char(n)", VALUE("ab   "), "\"v\":\"ab   \"" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		check_value(rows[i].name, (Col){ .kind = CDC_S3_KIND_STRING },
					rows[i].v, &plain, rows[i].want);
		check_value(rows[i].name, (Col){ .kind = CDC_S3_KIND_TEXT }, rows[i].v,
					&plain, rows[i].want);
	}
}

/* Around the chunk in which strings and bytea are converted. */
static void
test_long_strings(void **state)
{
	static const size_t sizes[] = { 4095, 4096, 4097, 8192, 8193, 20000 };

	(void) state;
	for (size_t i = 0; i < COUNT(sizes); i++)
	{
		uint8_t *p = xmalloc(sizes[i]);
		ColView v = { .p = p, .n = (uint32_t) sizes[i], .state = COL_VALUE };
		Buf text;
		Buf hex;

		buf_init(&text, SIZE_MAX);
		buf_init(&hex, SIZE_MAX);
		buf_str(&text, "\"v\":\"");
		buf_str(&hex, "\"v\":\"\\\\x");
		for (size_t k = 0; k < sizes[i]; k++)
		{
			p[k] = (uint8_t) (k % 127);
			if (p[k] == '"' || p[k] == '\\' || p[k] < ' ')
				p[k] = k % 3 ? 'x' : 1;
			buf_printf(&text, p[k] == 1 ? "\\u%04x" : "%c", p[k]);
			buf_printf(&hex, "%02x", p[k]);
		}
		buf_byte(&text, '"');
		buf_byte(&hex, '"');
		check_value("long text", (Col){ .kind = CDC_S3_KIND_STRING }, v, &plain,
					buf_cstr(&text));
		check_value("long bytea", (Col){ .kind = CDC_S3_KIND_BYTEA }, v, &plain,
					buf_cstr(&hex));
		free(p);
		buf_done(&text);
		buf_done(&hex);
	}
	check_value("empty bytea", (Col){ .kind = CDC_S3_KIND_BYTEA },
				(ColView) VALUE(""), &plain, "\"v\":\"\\\\x\"");
}

enum
{
	JSONB = 3802,
	BOOLS = 1000,
	INT4S = 1007,
	TEXTS = 1009,
	INT8S = 1016,
	FLOAT8S = 1022,
	NUMERICS = 1231,
	UUIDS = 2951
};

static void
test_arrays(void **state)
{
	static const struct
	{
		const char *name;
		uint32_t oid;
		ColView v;
		const char *want;
	} rows[] = {
		{ "empty", INT4S, VALUE("{}"), "\"v\":[]" },
		{ "one", INT4S, VALUE("{-1}"), "\"v\":[-1]" },
		{ "numbers", INT8S, VALUE("{1,NULL,-9223372036854775808}"),
		  "\"v\":[1,null,-9223372036854775808]" },
		{ "only null", INT4S, VALUE("{NULL}"), "\"v\":[null]" },
		{ "numerics", NUMERICS, VALUE("{1.10,NaN,Infinity,-0.5}"),
		  "\"v\":[1.10,\"NaN\",\"Infinity\",-0.5]" },
		{ "floats", FLOAT8S, VALUE("{NaN,-Infinity,5e-324,-0,1e+15}"),
		  "\"v\":[\"NaN\",\"-Infinity\",5e-324,-0.0,1e+15]" },
		{ "booleans", BOOLS, VALUE("{t,f,NULL}"), "\"v\":[true,false,null]" },
		{ "uuids", UUIDS, VALUE("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
		  "\"v\":[\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"]" },
		{ "strings", TEXTS,
		  VALUE("{\"NULL\",NULL,\"a,b\",\"q\\\"x\",\"\",\"{}\",plain}"),
		  "\"v\":[\"NULL\",null,\"a,b\",\"q\\\"x\",\"\",\"{}\",\"plain\"]" },
		{ "backslashes", TEXTS, VALUE("{\"a\\\\b\",\"\\\\\"}"),
		  "\"v\":[\"a\\\\b\",\"\\\\\"]" },
		{ "control in a string", TEXTS, VALUE("{\"a\nb\"}"),
		  "\"v\":[\"a\\nb\"]" },
		{ "space in a string", TEXTS, VALUE("{\" a \"}"), "\"v\":[\" a \"]" },
		/* as the server prints them */
		{ "two dimensions", INT4S, VALUE("{{1,2},{3,4}}"),
		  "\"v\":\"{{1,2},{3,4}}\"" },
		{ "lower bound", INT4S, VALUE("[2:3]={1,NULL}"),
		  "\"v\":\"[2:3]={1,NULL}\"" },
		{ "of another type", 1182, VALUE("{2026-11-21}"),
		  "\"v\":\"{2026-11-21}\"" },
		/* what no server prints */
		{ "no array", INT4S, VALUE("1"), "\"v\":\"1\"" },
		{ "nothing", INT4S, VALUE(""), "\"v\":\"\"" },
		{ "open", INT4S, VALUE("{1"), "\"v\":\"{1\"" },
		{ "comma alone", INT4S, VALUE("{,}"), "\"v\":\"{,}\"" },
		{ "empty number", INT4S, VALUE("{\"\"}"), "\"v\":[\"\"]" },
		{ "empty boolean", BOOLS, VALUE("{\"\"}"), "\"v\":[false]" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_value(rows[i].name,
					(Col){ .kind = CDC_S3_KIND_TEXT, .oid = rows[i].oid },
					rows[i].v, &plain, rows[i].want);
}

#define BLANKS_40 "                                        "

static void
test_embedded(void **state)
{
	static const struct
	{
		const char *name;
		ColView v;
		const char *want;
	} rows[] = {
		{ "object", VALUE("{\"a\": 1, \"a\":2}"), "\"v\":{\"a\": 1, \"a\":2}" },
		{ "line breaks", VALUE("[\r\n1,\n\t2]\n"), "\"v\":[  1, \t2] " },
		{ "escapes stay", VALUE("\"a\\nb\\u2028\""), "\"v\":\"a\\nb\\u2028\"" },
		{ "number", VALUE("1e999"), "\"v\":1e999" },
		{ "digits", VALUE("12345678901234567890.10"),
		  "\"v\":12345678901234567890.10" },
		{ "null", VALUE("null"), "\"v\":null,\"_jsonnull\":[\"v\"]" },
		{ "null in blanks", VALUE(" \n\r\tnull\n "),
		  "\"v\":   \tnull  ,\"_jsonnull\":[\"v\"]" },
		{ "null in many blanks", VALUE(BLANKS_40 "null" BLANKS_40),
		  "\"v\":" BLANKS_40 "null" BLANKS_40 ",\"_jsonnull\":[\"v\"]" },
		{ "a string null", VALUE("\"null\""), "\"v\":\"null\"" },
		{ "null inside", VALUE("[null]"), "\"v\":[null]" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		check_value(rows[i].name, (Col){ .kind = CDC_S3_KIND_JSON, .oid = 114 },
					rows[i].v, &plain, rows[i].want);
		check_value(rows[i].name,
					(Col){ .kind = CDC_S3_KIND_TEXT, .oid = JSONB }, rows[i].v,
					&plain, rows[i].want);
	}
	/* SQL's null is told apart */
	check_value("SQL null", (Col){ .kind = CDC_S3_KIND_JSON, .oid = 114 },
				(ColView) STATE(COL_NULL), &plain, "\"v\":null");
}

/* Bytes of a server without encoding: those that are no text are withheld. */
static void
test_raw_text(void **state)
{
	static const struct
	{
		const char *name;
		ColView v;
		const char *hex; /* NULL: it is text */
	} rows[] = {
		{ "ascii", VALUE("abc"), NULL },
		{ "two bytes", VALUE("\xc3\xa4"), NULL },
		{ "highest", VALUE("\xf4\x8f\xbf\xbf"), NULL },
		{ "lone continuation", VALUE("ok\x80"), "6f6b80" },
		{ "cut off", VALUE("ok\xff\xc3"), "6f6bffc3" },
		{ "overlong slash", VALUE("\xc0\xaf"), "c0af" },
		{ "overlong, three", VALUE("\xe0\x80\xaf"), "e080af" },
		{ "surrogate", VALUE("\xed\xa0\x80"), "eda080" },
		{ "too high", VALUE("\xf4\x90\x80\x80"), "f4908080" },
		{ "latin 1", VALUE("caf\xe9"), "636166e9" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		const ColView *v = &rows[i].v;
		char *want;

		assert_int_equal(utf8_valid(v->p, v->n), !rows[i].hex);
		if (rows[i].hex)
			want = xasprintf("\"_withheld\":{\"v\":{\"reason\":\"encoding\","
							 "\"size\":%u,\"crc32c\":\"%08x\","
							 "\"bytes\":\"\\\\x%s\"}}",
							 v->n, crc32c(0, v->p, v->n), rows[i].hex);
		else
			want = xasprintf("\"v\":\"%.*s\"", (int) v->n, (const char *) v->p);
		check_value(rows[i].name, (Col){ .kind = CDC_S3_KIND_STRING }, *v, &raw,
					want);
		check_value(rows[i].name, (Col){ .kind = CDC_S3_KIND_TEXT }, *v, &raw,
					want);
		free(want);
	}
	check_value("bytea", (Col){ .kind = CDC_S3_KIND_BYTEA },
				(ColView) VALUE("\xff"), &raw, "\"v\":\"\\\\xff\"");
	check_value("json", (Col){ .kind = CDC_S3_KIND_JSON },
				(ColView) VALUE("\"\xff\""), &raw,
				"\"_withheld\":{\"v\":{\"reason\":\"encoding\",\"size\":3,"
				"\"crc32c\":\"ac2ad0c9\",\"bytes\":\"\\\\x22ff22\"}}");
}

static void
test_withheld(void **state)
{
	ColView encoding = { .p = (const uint8_t *) "ab\xa9\xa1",
						 .n = 4,
						 .state = COL_WITHHELD,
						 .reason = CDC_S3_WITHHELD_ENCODING,
						 .crc32c = 0x0badcafe,
						 .size = 4 };
	ColView too_long = { .state = COL_WITHHELD,
						 .reason = CDC_S3_WITHHELD_TOO_LONG,
						 .crc32c = 1,
						 .size = UINT64_C(5000000000) };

	(void) state;
	check_value("with bytes", (Col){ .kind = CDC_S3_KIND_STRING }, encoding,
				&plain,
				"\"_withheld\":{\"v\":{\"reason\":\"encoding\",\"size\":4,"
				"\"crc32c\":\"0badcafe\",\"bytes\":\"\\\\x6162a9a1\"}}");
	check_value("without", (Col){ .kind = CDC_S3_KIND_BYTEA }, too_long, &plain,
				"\"_withheld\":{\"v\":{\"reason\":\"too_long\","
				"\"size\":5000000000,\"crc32c\":\"00000001\"}}");
}

/*
 * Lines as a whole.  Columns: id (key), note, doc (jsonb), big.
 */
static const Col four[] = {
	{ .name = "id", .kind = CDC_S3_KIND_INT4, .key = true, .pk = true },
	{ .name = "note", .kind = CDC_S3_KIND_STRING },
	{ .name = "doc", .kind = CDC_S3_KIND_TEXT, .oid = JSONB },
	{ .name = "a\"b", .kind = CDC_S3_KIND_STRING },
};

#define ID_1 VALUE("\1\0\0\0")
#define ID_2 VALUE("\2\0\0\0")

static void
test_lines(void **state)
{
	static ColView row_1[] = { ID_1, VALUE("x"), VALUE("{}"), STATE(COL_NULL) };
	static ColView unchanged[] = { ID_2, STATE(COL_UNCHANGED), VALUE("null"),
								   STATE(COL_UNCHANGED) };
	static ColView old_key[] = { ID_1, STATE(COL_ABSENT), STATE(COL_ABSENT),
								 STATE(COL_ABSENT) };
	static ColView old_null[] = { ID_1, VALUE("old"), VALUE("null"),
								  STATE(COL_NULL) };
	static ColView withheld[] = {
		ID_1,
		{ .state = COL_WITHHELD,
		  .reason = CDC_S3_WITHHELD_ENCODING,
		  .size = 9 },
		VALUE("null"),
		{ .state = COL_WITHHELD, .reason = CDC_S3_WITHHELD_TOO_LONG, .size = 8 }
	};
	static const RowView r1 = { 4, row_1 };
	static const RowView ru = { 4, unchanged };
	static const RowView rk = { 4, old_key };
	static const RowView rn = { 4, old_null };
	static const RowView rw = { 4, withheld };
	static const RowView none = { 0, NULL };
	static const ChangePartition parts[] = {
		{ "public", "p\"1", { (const uint8_t *) "(id = 'a\\'::text)", 17 } },
		{ "s", "not \xff UTF-8", { (const uint8_t *) "(\xff)", 3 } },
		{ "s", "p", { NULL, 0 } },
	};
	static const struct
	{
		const char *name;
		char identity;
		bool before;
		Change change;
		const char *want;
	} rows[] = {
		{ "insert",
		  'd',
		  false,
		  { .op = 'i', .row = &r1 },
		  META("i") ",\"id\":1,\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "insert has no before",
		  'f',
		  true,
		  { .op = 'i', .row = &r1 },
		  META("i") ",\"id\":1,\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "update, unchanged",
		  'd',
		  false,
		  { .op = 'u', .row = &ru },
		  META("u") ",\"_unchanged\":[\"note\",\"a\\\"b\"],\"id\":2,"
					"\"doc\":null,\"_jsonnull\":[\"doc\"]}" },
		{ "update, key changed",
		  'd',
		  false,
		  { .op = 'u', .row = &r1, .old = &rk, .key_changed = true },
		  META("u") ",\"_key\":{\"id\":1},\"id\":1,\"note\":\"x\",\"doc\":{},"
					"\"a\\\"b\":null}" },
		{ "update, old row with the same key",
		  'd',
		  false,
		  { .op = 'u', .row = &r1, .old = &rk },
		  META("u") ",\"id\":1,\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "update, before",
		  'f',
		  true,
		  { .op = 'u', .row = &r1, .old = &rn },
		  META("u") ",\"_before\":{\"id\":1,\"note\":\"old\",\"doc\":null,"
					"\"a\\\"b\":null,\"_jsonnull\":[\"doc\"]},\"id\":1,"
					"\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "update, identity full has a key",
		  'f',
		  false,
		  { .op = 'u', .row = &r1, .old = &rn },
		  META("u") ",\"id\":1,\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "update, key and before",
		  'f',
		  true,
		  { .op = 'u', .row = &r1, .old = &rk, .key_changed = true },
		  META("u") ",\"_before\":{\"id\":1},\"_key\":{\"id\":1},\"id\":1,"
					"\"note\":\"x\",\"doc\":{},\"a\\\"b\":null}" },
		{ "update without identity",
		  'n',
		  false,
		  { .op = 'u', .row = &r1, .no_identity = true },
		  META("u") ",\"_nokey\":true,\"id\":1,\"note\":\"x\",\"doc\":{},"
					"\"a\\\"b\":null}" },
		{ "delete by key",
		  'd',
		  false,
		  { .op = 'd', .row = &rk },
		  META("d") ",\"id\":1}" },
		{ "delete of a full row has the key only",
		  'f',
		  false,
		  { .op = 'd', .row = &rn },
		  META("d") ",\"id\":1}" },
		{ "delete, before",
		  'f',
		  true,
		  { .op = 'd', .row = &rn },
		  META("d") ",\"_before\":{\"id\":1,\"note\":\"old\",\"doc\":null,"
					"\"a\\\"b\":null,\"_jsonnull\":[\"doc\"]},\"id\":1}" },
		{ "delete without identity",
		  'n',
		  true,
		  { .op = 'd', .row = &none, .no_identity = true },
		  META("d") ",\"_nokey\":true}" },
		{ "truncate", 'd', true, { .op = 't' }, META("t") "}" },
		{ "truncate of partitions",
		  'd',
		  false,
		  { .op = 't', .partial = parts, .npartial = COUNT(parts) },
		  META("t") ",\"_partial\":["
					"{\"schema\":\"public\",\"table\":\"p\\\"1\","
					"\"bound\":\"(id = 'a\\\\'::text)\"},"
					"{\"schema\":\"s\",\"table\":null,\"bound\":null},"
					"{\"schema\":\"s\",\"table\":\"p\",\"bound\":null}]}" },
		{ "resync",
		  'd',
		  false,
		  { .op = 's', .reason = "rewrite" },
		  META("s") ",\"_reason\":\"rewrite\"}" },
		{ "two withheld and a null",
		  'd',
		  false,
		  { .op = 'i', .row = &rw },
		  META("i") ",\"id\":1,\"doc\":null,\"_withheld\":{"
					"\"note\":{\"reason\":\"encoding\",\"size\":9,"
					"\"crc32c\":\"00000000\"},"
					"\"a\\\"b\":{\"reason\":\"too_long\",\"size\":8,"
					"\"crc32c\":\"00000000\"}},\"_jsonnull\":[\"doc\"]}" },
		{ "what is withheld in the old row is not told of the new",
		  'f',
		  true,
		  { .op = 'u', .row = &r1, .old = &rw },
		  META("u") ",\"_before\":{\"id\":1,\"doc\":null,"
					"\"_jsonnull\":[\"doc\"]},\"id\":1,\"note\":\"x\","
					"\"doc\":{},\"a\\\"b\":null}" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Schema *s = make_schema(four, COUNT(four), rows[i].identity);
		FormatOptions o = { .before = rows[i].before };
		Change change = rows[i].change;

		change.seq = 3;
		check_line(rows[i].name, s, &o, &change, rows[i].want);
		schema_free(s);
	}
}

/* Identity full without a primary key: the old row is the only key. */
static void
test_before_always(void **state)
{
	static const Col cols[] = {
		{ .name = "id", .kind = CDC_S3_KIND_INT4, .key = true },
		{ .name = "doc", .kind = CDC_S3_KIND_TEXT, .oid = JSONB, .key = true },
	};
	ColView old[] = { ID_1, VALUE("null") };
	ColView new[] = { ID_2, VALUE("[]") };
	RowView old_row = { 2, old };
	RowView new_row = { 2, new };
	Change update = { .op = 'u', .seq = 3, .row = &new_row, .old = &old_row };
	Change gone = { .op = 'd', .seq = 3, .row = &old_row };
	Schema *s = make_schema(cols, 2, 'f');

	(void) state;
	check_line("update", s, &plain, &update,
			   META("u") ",\"_before\":{\"id\":1,\"doc\":null,"
						 "\"_jsonnull\":[\"doc\"]},\"id\":2,\"doc\":[]}");
	check_line("delete", s, &plain, &gone,
			   META("d") ",\"id\":1,\"doc\":null,\"_jsonnull\":[\"doc\"]}");
	schema_free(s);
}

static void
test_no_columns(void **state)
{
	Schema *s = make_schema(NULL, 0, 'f');
	RowView row = { 0, NULL };
	Change change = { .op = 'i', .seq = 3, .row = &row };

	(void) state;
	check_line("insert", s, &plain, &change, META("i") "}");
	change.op = 'u';
	change.old = &row;
	check_line("update", s, &plain, &change, META("u") ",\"_before\":{}}");
	change.op = 'd';
	change.old = NULL;
	check_line("delete", s, &plain, &change, META("d") "}");
	schema_free(s);
}

/* Names that the record takes are moved out of the way. */
static void
test_reserved_columns(void **state)
{
	static const Col cols[] = {
		{ .name = "_op", .kind = CDC_S3_KIND_STRING },
		{ .name = "_partial", .kind = CDC_S3_KIND_STRING },
		{ .name = "hour", .kind = CDC_S3_KIND_STRING },
		{ .name = "hour_", .kind = CDC_S3_KIND_STRING },
	};
	ColView v[] = { VALUE("a"), VALUE("b"), STATE(COL_UNCHANGED),
					STATE(COL_UNCHANGED) };
	RowView row = { 4, v };
	Change change = { .op = 'u', .seq = 3, .row = &row };
	Schema *s = make_schema(cols, 4, 'd');

	(void) state;
	check_line("reserved", s, &plain, &change,
			   META("u") ",\"_unchanged\":[\"hour_\",\"hour__\"],"
						 "\"_op_\":\"a\",\"_partial_\":\"b\"}");
	schema_free(s);
}

/* The head of a line: LSN, xid or none, large ordinals, time. */
static void
test_metadata(void **state)
{
	static const struct
	{
		Lsn lsn;
		uint32_t xid;
		int64_t time, seq;
		const char *want;
	} rows[] = {
		{ 0, 0, 0, 1,
		  "{\"_op\":\"r\",\"_lsn\":\"0000000000000000\",\"_seq\":1,"
		  "\"_ts\":\"2000-01-01T00:00:00.000000Z\"}\n" },
		{ UINT64_MAX, UINT32_MAX, -1, INT64_C(1) << 40,
		  "{\"_op\":\"r\",\"_lsn\":\"FFFFFFFFFFFFFFFF\","
		  "\"_seq\":1099511627776,\"_xid\":4294967295,"
		  "\"_ts\":\"1999-12-31T23:59:59.999999Z\"}\n" },
		{ UINT64_C(0x0123456789ABCDEF), 3, INT64_MAX, INT64_MAX,
		  "{\"_op\":\"r\",\"_lsn\":\"0123456789ABCDEF\","
		  "\"_seq\":9223372036854775807,\"_xid\":3,"
		  "\"_ts\":\"294277-01-09T04:00:54.775807Z\"}\n" },
		{ 1, 3, INT64_MIN, 1,
		  "{\"_op\":\"r\",\"_lsn\":\"0000000000000001\",\"_seq\":1,"
		  "\"_xid\":3,\"_ts\":\"-290278-12-22T19:59:05.224192Z\"}\n" },
	};
	Schema *s = make_schema(NULL, 0, 'd');
	JsonTable *t = json_table_new(s, &plain);
	JsonWriter *w = json_writer_new(t);
	Buf out;

	(void) state;
	buf_init(&out, SIZE_MAX);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Change change = { .op = 'r', .seq = rows[i].seq };

		buf_reset(&out);
		set_txn(&change, rows[i].lsn, rows[i].xid, rows[i].time);
		json_write(w, &change, &out);
		assert_string_equal(buf_cstr(&out), rows[i].want);
	}
	buf_done(&out);
	json_writer_free(w);
	json_table_free(t);
	schema_free(s);
}

/* One writer, whatever comes next: only what differs differs. */
static void
test_transactions(void **state)
{
	Schema *s = make_schema(NULL, 0, 'd');
	JsonTable *t = json_table_new(s, &plain);
	JsonWriter *one = json_writer_new(t);
	Buf got;
	Buf want;

	(void) state;
	buf_init(&got, SIZE_MAX);
	buf_init(&want, SIZE_MAX);
	for (int i = 0; i < 16; i++)
	{
		Change change = { .op = 'i', .seq = i };
		JsonWriter *w = json_writer_new(t);

		set_txn(&change, i & 1 ? LSN : 7, i & 2 ? XID : 0, i & 4 ? TIME : -1);
		json_write(one, &change, &got);
		json_write(w, &change, &want);
		json_writer_free(w);
	}
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, got.n);
	buf_done(&got);
	buf_done(&want);
	json_writer_free(one);
	json_table_free(t);
	schema_free(s);
}

/* Out of room the buffer says so and holds no byte more than it may. */
static void
test_overflow(void **state)
{
	ColView v[] = { ID_1, VALUE("some text"), VALUE("null"),
					VALUE("\1\2\3\4\5\6\7") };
	RowView row = { 4, v };
	Change change = { .op = 'u', .seq = 3, .row = &row, .old = &row };
	Schema *s = make_schema(four, 4, 'f');
	FormatOptions o = { .before = true };
	JsonTable *t = json_table_new(s, &o);
	JsonWriter *w = json_writer_new(t);
	size_t whole;
	Buf out;

	(void) state;
	set_txn(&change, LSN, XID, TIME);
	buf_init(&out, SIZE_MAX);
	json_write(w, &change, &out);
	whole = out.n;
	buf_done(&out);
	for (size_t max = 0; max < whole; max++)
	{
		buf_init(&out, max);
		json_write(w, &change, &out);
		assert_true(out.overflow);
		assert_true(out.n <= max);
		buf_done(&out);
	}
	json_writer_free(w);
	json_table_free(t);
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_numeric_long),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_long_strings),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_raw_text),
		cmocka_unit_test(test_withheld),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_before_always),
		cmocka_unit_test(test_no_columns),
		cmocka_unit_test(test_reserved_columns),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
