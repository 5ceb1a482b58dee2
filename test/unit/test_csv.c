/*-------------------------------------------------------------------------
 * test_csv.c
 *	  codec/csv: what is written can be read back as the json format's lines,
 *	  and files that are none are refused.
 *
 * With CSV_TEST_OUT=FOLDER the random rows stay there, for
 * test/engines/csv_readers.py.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/csv.h"
#include "codec/json.h"
#include "codec/json_part.h"
#include "codec/jsonline.h"
#include "codec/line_change.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_COLS 24
#define MAX_LINE ((size_t) 1 << 20)
#define LSN UINT64_C(0x16B374D8)
#define TIME INT64_C(848564047123456)
#define SMALL 9 /* longer values come in pieces */

#define VALUE(s)                                                               \
	{                                                                          \
		(const uint8_t *) (s), sizeof(s) - 1, COL_VALUE, 0, 0, 0               \
	}
#define STATE(st)                                                              \
	{                                                                          \
		NULL, 0, (st), 0, 0, 0                                                 \
	}

#define META                                                                   \
	"_op,_lsn,_seq,_xid,_ts,_nokey,_moved,_partial,_reason,_before,_key,_"     \
	"unchanged,"                                                               \
	"_withheld,_jsonnull"
#define HEAD(op)                                                               \
	"\"" op "\",\"0000000016B374D8\",3,712,\"2026-11-21T08:14:07.123456Z\""
#define PLAIN(op) HEAD(op) ",\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N"

/*
 * Tables and changes
 */
typedef struct Col
{
	const char *name;
	uint8_t kind;
	uint32_t oid;
	bool key;
	int32_t typmod;
} Col;

static Schema *
make_schema(const Col *cols, int n, char identity, bool all_key)
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
		c->key = all_key || cols[i].key;
		c->pk = !all_key && cols[i].key ? i + 1 : 0;
		c->typmod = cols[i].typmod;
		c->attnum = i + 1;
	}
	schema_finish(s);
	return s;
}

/* Both formats, writing the same changes. */
typedef struct Lab
{
	Schema *schema;
	FormatTable *table;
	FormatWriter *csv;
	JsonTable *json;
	JsonWriter *writer;
	JsonPart *part;
	Buf object;
	Buf lines;
} Lab;

static void
lab_init(Lab *l, Schema *schema, const FormatOptions *o)
{
	*l = (Lab){ .schema = schema };
	l->table = csv_format.table_new(schema, o);
	l->csv = csv_format.begin(l->table);
	l->json = json_table_new(schema, o);
	l->writer = json_writer_new(l->json);
	l->part = json_part_new();
	buf_init(&l->object, SIZE_MAX);
	buf_init(&l->lines, SIZE_MAX);
}

static void
lab_done(Lab *l)
{
	csv_format.close(l->csv);
	csv_format.table_free(l->table);
	json_writer_free(l->writer);
	json_table_free(l->json);
	json_part_free(l->part);
	buf_done(&l->object);
	buf_done(&l->lines);
	schema_free(l->schema);
}

static void
add_json_line(Lab *l, const Change *change)
{
	json_write(l->writer, change, &l->lines);
}

static void
add_change(Lab *l, const Change *change)
{
	Err err;

	if (!csv_format.add(l->csv, change, &l->object, &err))
		fail_msg("%s", err.msg);
	add_json_line(l, change);
}

/*
 * Rows in parts: items of the rows, without a frame
 */
typedef bool (*TakeItem)(Lab *l, const PartItem *item, Err *err);

static bool
csv_takes(Lab *l, const PartItem *item, Err *err)
{
	return csv_format.add_item(l->csv, item, &l->object, err);
}

static bool
json_takes(Lab *l, const PartItem *item, Err *err)
{
	return json_part_item(l->part, item, &l->lines, err);
}

static void
send_value(Lab *l, int col, const ColView *v, size_t whole_max, size_t cut,
		   TakeItem take)
{
	ColView copy = *v;
	PartItem item = { .col = col, .view = &copy };
	size_t from = 0;
	Err err;

	if (v->n <= whole_max || l->schema->cols[col].kind <= CDC_S3_KIND_NUMERIC)
	{
		item.type = PART_VALUE;
		assert_true(take(l, &item, &err));
		return;
	}
	if (v->state == COL_WITHHELD)
	{
		item.type = PART_VALUE;
		copy.n = 0;
		assert_true(take(l, &item, &err));
		return;
	}
	item.type = PART_BEGIN;
	assert_true(take(l, &item, &err));
	item.type = PART_PIECE;
	while (from < v->n)
	{
		size_t n = v->n - from < cut ? v->n - from : cut;

		item.piece = (Slice){ v->p + from, n };
		assert_true(take(l, &item, &err));
		from += n;
	}
	item.type = PART_END;
	assert_true(take(l, &item, &err));
}

static void
send_row(Lab *l, PartItemType type, const RowView *row, size_t whole_max,
		 size_t cut, TakeItem take)
{
	ColView states[MAX_COLS];
	PartItem item = { .type = type, .row = { row->ncols, states } };
	Err err;

	for (int i = 0; i < row->ncols; i++)
		states[i] = (ColView){ .state = row->cols[i].state };
	assert_true(take(l, &item, &err));
	for (int i = 0; i < row->ncols; i++)
	{
		if (row->cols[i].state == COL_VALUE ||
			row->cols[i].state == COL_WITHHELD)
			send_value(l, i, &row->cols[i], whole_max, cut, take);
	}
	item.type = PART_ROW_END;
	assert_true(take(l, &item, &err));
}

static void
send_change(Lab *l, const Change *change, size_t whole_max, size_t cut,
			TakeItem take)
{
	const RowView *old = change->op == 'd' ? change->row : change->old;
	PartItem item = { .type = PART_DONE };
	Err err;

	if (old && old->ncols > 0)
		send_row(l, PART_ROW_OLD, old, whole_max, cut, take);
	if (change->op != 'd' && change->row)
		send_row(l, PART_ROW_NEW, change->row, whole_max, cut, take);
	assert_true(take(l, &item, &err));
}

static void
add_change_in_parts(Lab *l, const Change *change, size_t whole_max, size_t cut)
{
	Change bare = *change;
	Err err;

	bare.row = bare.old = NULL;
	assert_true(csv_format.add_head(l->csv, &bare, &l->object, &err));
	send_change(l, change, whole_max, cut, csv_takes);
	json_part_begin(l->part, l->writer, &bare, &l->lines);
	send_change(l, change, whole_max, cut, json_takes);
}

/*
 * Reading
 */

/* The lines of the object, each with its line feed; ERR_NONE: all of them. */
static ErrKind
read_object(const Schema *s, Slice object, Compression compression,
			size_t max_line, Buf *out, Err *err)
{
	FormatSource source = { object, compression, max_line, s };
	FormatReader *r = csv_format.open(&source);
	Slice line;
	bool end = false;
	ErrKind kind = ERR_NONE;

	for (;;)
	{
		if (!csv_format.next(r, &line, &end, err))
		{
			kind = err->kind;
			break;
		}
		if (end)
			break;
		buf_add(out, line.p, line.n);
		buf_byte(out, '\n');
	}
	csv_format.done(r);
	return kind;
}

/* Where two texts part, with what stands there. */
static void
check_same(const char *name, Slice want, Slice got)
{
	size_t at = 0;
	size_t from;

	while (at < want.n && at < got.n && want.p[at] == got.p[at])
		at++;
	if (at == want.n && at == got.n)
		return;
	from = at;
	while (from > 0 && want.p[from - 1] != '\n')
		from--;
	fail_msg("%s: differ at byte %zu of the line\nwant %.*s\ngot  %.*s", name,
			 at - from, (int) (want.n - from > 3000 ? 3000 : want.n - from),
			 want.p + from, (int) (got.n - from > 3000 ? 3000 : got.n - from),
			 got.p + from);
}

static void
check_read(Lab *l, const char *name)
{
	Buf got;
	Err err;

	buf_init(&got, SIZE_MAX);
	if (read_object(l->schema, buf_slice(&l->object), COMPRESS_NONE, MAX_LINE,
					&got, &err) != ERR_NONE)
		fail_msg("%s: %s\n%.3000s", name, err.msg, buf_cstr(&l->object));
	check_same(name, buf_slice(&l->lines), buf_slice(&got));
	buf_done(&got);
}

static const FormatOptions plain = { .numeric = NUMERIC_NUMBER };
static const FormatOptions escape = { .csv_escape = true };

/* One change of a table: its record is this, and it is read back. */
static void
check_record(const char *name, Schema *s, const FormatOptions *o,
			 const Change *change, const char *header, const char *want)
{
	char *text = xasprintf("%s\n%s\n", header, want);
	Lab l;

	lab_init(&l, s, o);
	add_change(&l, change);
	check_same(name, slice_cstr(text), buf_slice(&l.object));
	check_read(&l, name);
	lab_done(&l);
	free(text);
}

static void
check_value(const char *name, Col col, ColView v, const FormatOptions *o,
			const char *want)
{
	RowView row = { 1, &v };
	Change change = {
		.op = 'i', .lsn = LSN, .seq = 3, .xid = 712, .time = TIME, .row = &row
	};
	char *record =
		xasprintf("%s,%s%s", PLAIN("i"), o->csv_escape ? "true," : "", want);
	char *header = xasprintf("%s,%sv", META, o->csv_escape ? "_escaped," : "");

	col.name = "v";
	check_record(name, make_schema(&col, 1, 'd', false), o, &change, header,
				 record);
	free(record);
	free(header);
}

static void
test_kinds(void **state)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
		ColView v;
		const char *want;
	} rows[] = {
		{ "true", CDC_S3_KIND_BOOL, VALUE("\1"), "true" },
		{ "false", CDC_S3_KIND_BOOL, VALUE("\0"), "false" },
		{ "int2", CDC_S3_KIND_INT2, VALUE("\x00\x80"), "-32768" },
		{ "int4", CDC_S3_KIND_INT4, VALUE("\xff\xff\xff\x7f"), "2147483647" },
		{ "int8", CDC_S3_KIND_INT8, VALUE("\0\0\0\0\0\0\0\x80"),
		  "-9223372036854775808" },
		{ "oid", CDC_S3_KIND_OID, VALUE("\xff\xff\xff\xff"), "4294967295" },
		{ "float4", CDC_S3_KIND_FLOAT4, VALUE("\xcd\xcc\xcc\x3d"), "0.1" },
		{ "float4 NaN", CDC_S3_KIND_FLOAT4, VALUE("\0\0\xc0\x7f"), "\"NaN\"" },
		{ "float8 -0", CDC_S3_KIND_FLOAT8, VALUE("\0\0\0\0\0\0\0\x80"),
		  "-0.0" },
		{ "float8 -inf", CDC_S3_KIND_FLOAT8, VALUE("\0\0\0\0\0\0\xf0\xff"),
		  "\"-Infinity\"" },
		{ "date BC", CDC_S3_KIND_DATE, VALUE("\x7b\x9d\xf4\xff"),
		  "\"-0043-03-15\"" },
		{ "date infinity", CDC_S3_KIND_DATE, VALUE("\xff\xff\xff\x7f"),
		  "\"infinity\"" },
		{ "time", CDC_S3_KIND_TIME, VALUE("\x00\x60\xd7\x1d\x14\0\0\0"),
		  "\"24:00:00\"" },
		{ "timetz", CDC_S3_KIND_TIMETZ,
		  VALUE("\0\0\0\0\0\0\0\0\x04\xb0\xff\xff"), "\"00:00:00+05:41:16\"" },
		{ "timestamp", CDC_S3_KIND_TIMESTAMP,
		  VALUE("\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "\"1999-12-31T23:59:59.999999\"" },
		{ "timestamptz", CDC_S3_KIND_TIMESTAMPTZ,
		  VALUE("\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "\"1999-12-31T23:59:59.999999Z\"" },
		{ "interval", CDC_S3_KIND_INTERVAL,
		  VALUE("\x40\x53\x55\x92\x02\0\0\0\xfe\xff\xff\xff\1\0\0\0"),
		  "\"1 mon -2 days +03:04:05\"" },
		{ "uuid", CDC_S3_KIND_UUID,
		  VALUE("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a"
				"\x11"),
		  "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"" },
		{ "numeric", CDC_S3_KIND_NUMERIC, VALUE("\x00\x81\x59\x00\xd0\x07"),
		  "89.20" },
		{ "numeric NaN", CDC_S3_KIND_NUMERIC, VALUE("\x00\xc0"), "\"NaN\"" },
		{ "text", CDC_S3_KIND_STRING, VALUE("plain"), "\"plain\"" },
		{ "empty", CDC_S3_KIND_STRING, VALUE(""), "\"\"" },
		{ "null", CDC_S3_KIND_STRING, STATE(COL_NULL), "\\N" },
		{ "text \\N", CDC_S3_KIND_STRING, VALUE("\\N"), "\"\\N\"" },
		{ "quotes", CDC_S3_KIND_STRING, VALUE("\"a\"\"b"),
		  "\"\"\"a\"\"\"\"b\"" },
		{ "a quote", CDC_S3_KIND_STRING, VALUE("\""), "\"\"\"\"" },
		{ "commas", CDC_S3_KIND_STRING, VALUE(",a,"), "\",a,\"" },
		{ "line ends", CDC_S3_KIND_STRING, VALUE("\r\na\r\n\"\n"),
		  "\"\r\na\r\n\"\"\n\"" },
		{ "spaces", CDC_S3_KIND_STRING, VALUE("  a  "), "\"  a  \"" },
		{ "backslashes", CDC_S3_KIND_STRING, VALUE("\\n\\\\"), "\"\\n\\\\\"" },
		{ "emoji", CDC_S3_KIND_STRING, VALUE("\xf0\x9f\x98\x80"),
		  "\"\xf0\x9f\x98\x80\"" },
		{ "control", CDC_S3_KIND_STRING, VALUE("\1\t\177"), "\"\1\t\177\"" },
		{ "bytea", CDC_S3_KIND_BYTEA, VALUE("\x00\xff\x10"), "\"\\x00ff10\"" },
		{ "bytea, empty", CDC_S3_KIND_BYTEA, VALUE(""), "\"\\x\"" },
		{ "json", CDC_S3_KIND_JSON, VALUE("{\"a\":\n 1}"),
		  "\"{\"\"a\"\":\n 1}\"" },
		{ "json number", CDC_S3_KIND_JSON, VALUE(" 5 "), "\" 5 \"" },
		{ "json string", CDC_S3_KIND_JSON, VALUE("\"a\\\"b\""),
		  "\"\"\"a\\\"\"b\"\"\"" },
		{ "other", CDC_S3_KIND_TEXT, VALUE("(1,\"a,\"\"b\")"),
		  "\"(1,\"\"a,\"\"\"\"b\"\")\"" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_value(rows[i].name, (Col){ .kind = rows[i].kind }, rows[i].v,
					&plain, rows[i].want);
}

static void
test_arrays(void **state)
{
	static const struct
	{
		uint32_t oid;
		ColView v;
		const char *want;
	} rows[] = {
		{ 1007, VALUE("{}"), "\"{}\"" },
		{ 1007, VALUE("{1,NULL,-3}"), "\"{1,NULL,-3}\"" },
		{ 1007, VALUE("{{1,2},{3,4}}"), "\"{{1,2},{3,4}}\"" },
		{ 1007, VALUE("[2:3]={1,NULL}"), "\"[2:3]={1,NULL}\"" },
		{ 1000, VALUE("{t,f,NULL}"), "\"{t,f,NULL}\"" },
		{ 1022, VALUE("{NaN,1e+20}"), "\"{NaN,1e+20}\"" },
		{ 1009, VALUE("{\"NULL\",NULL,\"q\\\"x\\\\\",\"\"}"),
		  "\"{\"\"NULL\"\",NULL,\"\"q\\\"\"x\\\\\"\",\"\"\"\"}\"" },
		{ 1182, VALUE("{2026-11-21}"), "\"{2026-11-21}\"" },
		{ 3802, VALUE("null"), NULL },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		if (rows[i].want)
			check_value("array",
						(Col){ .kind = CDC_S3_KIND_TEXT, .oid = rows[i].oid },
						rows[i].v, &plain, rows[i].want);
	}
}

/* Line ends and backslashes within quotes; quotes stay doubled. */
static void
test_escape(void **state)
{
	static const struct
	{
		uint8_t kind;
		ColView v;
		const char *want;
	} rows[] = {
		{ CDC_S3_KIND_STRING, VALUE("a\nb\r\n"), "\"a\\nb\\r\\n\"" },
		{ CDC_S3_KIND_STRING, VALUE("\\n\\"), "\"\\\\n\\\\\"" },
		{ CDC_S3_KIND_STRING, VALUE("\\N"), "\"\\\\N\"" },
		{ CDC_S3_KIND_STRING, VALUE("\"\n\\\""), "\"\"\"\\n\\\\\"\"\"" },
		{ CDC_S3_KIND_STRING, VALUE(""), "\"\"" },
		{ CDC_S3_KIND_STRING, STATE(COL_NULL), "\\N" },
		{ CDC_S3_KIND_BYTEA, VALUE("\x0a\\"), "\"\\\\x0a5c\"" },
		{ CDC_S3_KIND_JSON, VALUE("[\r\n\"\\n\"]"),
		  "\"[\\r\\n\"\"\\\\n\"\"]\"" },
		{ CDC_S3_KIND_INT4, VALUE("\1\0\0\0"), "1" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_value("escape", (Col){ .kind = rows[i].kind }, rows[i].v, &escape,
					rows[i].want);
}

static void
test_numeric(void **state)
{
	static const ColView price = VALUE("\x00\x81\x59\x00\xd0\x07");
	static const int32_t mod15 = ((15 << 16) | 2) + 4;
	static const int32_t mod16 = ((16 << 16) | 2) + 4;
	static const struct
	{
		FormatNumeric as;
		int32_t typmod;
		const char *want;
	} rows[] = {
		{ NUMERIC_NUMBER, -1, "89.20" },
		{ NUMERIC_STRING, mod15, "\"89.20\"" },
		{ NUMERIC_AUTO, mod15, "89.20" },
		{ NUMERIC_AUTO, mod16, "\"89.20\"" },
		{ NUMERIC_AUTO, -1, "\"89.20\"" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FormatOptions o = { .numeric = rows[i].as };

		check_value(
			"numeric",
			(Col){ .kind = CDC_S3_KIND_NUMERIC, .typmod = rows[i].typmod },
			price, &o, rows[i].want);
	}
}

static const Col two[] = { { "id", CDC_S3_KIND_INT4, 23, true, -1 },
						   { "t", CDC_S3_KIND_STRING, 25, false, -1 } };

#define ID(n) VALUE(n "\0\0\0")

static ColView row_a[] = { ID("\1"), VALUE("a") };
static ColView row_b[] = { ID("\2"), VALUE("b") };
static ColView row_unchanged[] = { ID("\1"), STATE(COL_UNCHANGED) };
static ColView row_key[] = { ID("\2"), STATE(COL_ABSENT) };
static ColView row_withheld[] = { ID("\1"),
								  { (const uint8_t *) "\xff", 1, COL_WITHHELD,
									CDC_S3_WITHHELD_ENCODING, 0xABCD, 1234 } };

static const RowView view_a = { 2, row_a };
static const RowView view_b = { 2, row_b };
static const RowView view_unchanged = { 2, row_unchanged };
static const RowView view_key = { 2, row_key };
static const RowView view_withheld = { 2, row_withheld };
static const ChangePartition partition = { "s", "p\"1", { NULL, 0 } };

#define CHANGE(o, ...)                                                         \
	{                                                                          \
		.op = (o), .lsn = LSN, .seq = 3, .xid = 712, .time = TIME, __VA_ARGS__ \
	}

/* Each member of a record. */
static void
test_metadata(void **state)
{
	static const struct
	{
		const char *name;
		char identity;
		bool all_key;
		bool before;
		Change change;
		const char *want;
	} rows[] = {
		{ "insert", 'd', false, false, CHANGE('i', .row = &view_a),
		  PLAIN("i") ",1,\"a\"" },
		{ "update", 'd', false, false, CHANGE('u', .row = &view_a),
		  PLAIN("u") ",1,\"a\"" },
		{ "unchanged", 'd', false, false, CHANGE('u', .row = &view_unchanged),
		  HEAD("u") ",\\N,\\N,\\N,\\N,\\N,\\N,\"[\"\"t\"\"]\",\\N,\\N,1,\\N" },
		{ "key", 'd', false, false,
		  CHANGE('u', .row = &view_a, .old = &view_key, .key_changed = true),
		  HEAD("u") ",\\N,\\N,\\N,\\N,\\N,\"{\"\"id\"\":2}\",\\N,\\N,\\N,1,"
					"\"a\"" },
		{ "before", 'f', false, true,
		  CHANGE('u', .row = &view_a, .old = &view_b, .key_changed = true),
		  HEAD("u") ",\\N,\\N,\\N,\\N,\"{\"\"id\"\":2,\"\"t\"\":\"\"b\"\"}\","
					"\"{\"\"id\"\":2}\",\\N,\\N,\\N,1,\"a\"" },
		{ "old row that is not asked for", 'f', false, false,
		  CHANGE('u', .row = &view_a, .old = &view_b), PLAIN("u") ",1,\"a\"" },
		{ "no primary key", 'f', true, false,
		  CHANGE('u', .row = &view_a, .old = &view_b, .key_changed = true),
		  HEAD("u") ",\\N,\\N,\\N,\\N,\"{\"\"id\"\":2,\"\"t\"\":\"\"b\"\"}\","
					"\\N,\\N,\\N,\\N,1,\"a\"" },
		{ "no identity", 'n', false, false,
		  CHANGE('u', .row = &view_a, .no_identity = true),
		  HEAD("u") ",true,\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N,1,\"a\"" },
		{ "withheld", 'd', false, false, CHANGE('i', .row = &view_withheld),
		  HEAD("i") ",\\N,\\N,\\N,\\N,\\N,\\N,\\N,\"{\"\"t\"\":{\"\"reason\"\":"
					"\"\"encoding\"\",\"\"size\"\":1234,\"\"crc32c\"\":"
					"\"\"0000abcd\"\",\"\"bytes\"\":\"\"\\\\xff\"\"}}\",\\N,1,"
					"\\N" },
		{ "delete", 'd', false, false, CHANGE('d', .row = &view_key),
		  PLAIN("d") ",2,\\N" },
		{ "delete of a full row", 'f', false, false,
		  CHANGE('d', .row = &view_a), PLAIN("d") ",1,\\N" },
		{ "delete with before", 'f', false, true, CHANGE('d', .row = &view_a),
		  HEAD("d") ",\\N,\\N,\\N,\\N,\"{\"\"id\"\":1,\"\"t\"\":\"\"a\"\"}\","
					"\\N,"
					"\\N,\\N,\\N,1,\\N" },
		{ "delete without identity", 'n', false, false,
		  CHANGE('d', .no_identity = true),
		  HEAD("d") ",true,\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N" },
		{ "truncate", 'd', false, false, CHANGE('t'), PLAIN("t") ",\\N,\\N" },
		{ "truncate of a partition", 'd', false, false,
		  CHANGE('t', .partial = &partition, .npartial = 1),
		  HEAD("t") ",\\N,\\N,\"[{\"\"schema\"\":\"\"s\"\",\"\"table\"\":"
					"\"\"p\\\"\"1\"\",\"\"bound\"\":null}]\",\\N,\\N,\\N,\\N,"
					"\\N,\\N,\\N,\\N" },
		{ "resync", 'd', false, false, CHANGE('s', .reason = "rewrite"),
		  HEAD("s") ",\\N,\\N,\\N,\"rewrite\",\\N,\\N,\\N,\\N,\\N,\\N,\\N" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FormatOptions o = { .before = rows[i].before };

		check_record(rows[i].name,
					 make_schema(two, 2, rows[i].identity, rows[i].all_key), &o,
					 &rows[i].change, META ",id,t", rows[i].want);
	}
}

static void
test_load(void **state)
{
	Change change = { .op = 'r',
					  .lsn = LSN,
					  .seq = INT64_C(1) << 40,
					  .time = TIME,
					  .row = &view_a };

	(void) state;
	check_record(
		"load", make_schema(two, 2, 'd', false), &plain, &change, META ",id,t",
		"\"r\",\"0000000016B374D8\",1099511627776,\\N,"
		"\"2026-11-21T08:14:07.123456Z\",\\N,\\N,\\N,\\N,\\N,\\N,\\N,\\N,"
		"\\N,1,\"a\"");
}

/* Names of columns that want quotes, and such as are taken. */
static void
test_header(void **state)
{
	static const Col cols[] = {
		{ "a b", CDC_S3_KIND_INT4, 23, true, -1 },
		{ "q\"\n\\n", CDC_S3_KIND_INT4, 23, false, -1 },
		{ "\xc3\xa4", CDC_S3_KIND_INT4, 23, false, -1 },
		{ "_op", CDC_S3_KIND_INT4, 23, false, -1 },
		{ "_escaped", CDC_S3_KIND_INT4, 23, false, -1 },
		{ "\\N", CDC_S3_KIND_INT4, 23, false, -1 },
	};
	ColView values[] = { ID("\1"), ID("\2"), ID("\3"),
						 ID("\4"), ID("\5"), STATE(COL_NULL) };
	RowView row = { 6, values };
	Change change = CHANGE('i', .row = &row);

	(void) state;
	check_record("keep", make_schema(cols, 6, 'd', false), &plain, &change,
				 META ",\"a b\",\"q\"\"\n\\n\",\"\xc3\xa4\",_op_,_escaped,"
					  "\"\\N\"",
				 PLAIN("i") ",1,2,3,4,5,\\N");
	check_record("escape", make_schema(cols, 6, 'd', false), &escape, &change,
				 META ",_escaped,\"a b\",\"q\"\"\\n\\\\n\",\"\xc3\xa4\",_op_,"
					  "_escaped,\"\\\\N\"",
				 PLAIN("i") ",true,1,2,3,4,5,\\N");
}

static void
test_no_columns(void **state)
{
	RowView row = { 0, NULL };
	Change change = CHANGE('i', .row = &row);

	(void) state;
	check_record("no columns", make_schema(two, 0, 'd', false), &plain, &change,
				 META, PLAIN("i"));
}

/* One header, also of an object without records, and where it is asked twice */
static void
test_one_header(void **state)
{
	Change change = CHANGE('i', .row = &view_a);
	Buf got;
	Lab l;
	Err err;

	(void) state;
	buf_init(&got, SIZE_MAX);
	lab_init(&l, make_schema(two, 2, 'd', false), &plain);
	assert_true(csv_format.end(l.csv, &l.object, &err));
	assert_string_equal(buf_cstr(&l.object), META ",id,t\n");
	assert_int_equal(read_object(l.schema, buf_slice(&l.object), COMPRESS_NONE,
								 MAX_LINE, &got, &err),
					 ERR_NONE);
	assert_int_equal(got.n, 0);
	lab_done(&l);

	lab_init(&l, make_schema(two, 2, 'd', false), &plain);
	add_change(&l, &change);
	add_change(&l, &change);
	assert_true(csv_format.end(l.csv, &l.object, &err));
	assert_string_equal(
		buf_cstr(&l.object),
		META ",id,t\n" PLAIN("i") ",1,\"a\"\n" PLAIN("i") ",1,\"a\"\n");
	check_read(&l, "two rows");
	assert_true(csv_format.memory(l.csv) < 4096);
	lab_done(&l);
	buf_done(&got);
}

/*
 * Random rows: 10,000, and 1,500 for each other way to write them
 */
static const Col many[] = {
	{ "id", CDC_S3_KIND_INT4, 23, true, -1 },
	{ "te,\"xt", CDC_S3_KIND_STRING, 25, true, -1 },
	{ "b", CDC_S3_KIND_BOOL, 16, false, -1 },
	{ "i2", CDC_S3_KIND_INT2, 21, false, -1 },
	{ "i8", CDC_S3_KIND_INT8, 20, false, -1 },
	{ "o", CDC_S3_KIND_OID, 26, false, -1 },
	{ "f4", CDC_S3_KIND_FLOAT4, 700, false, -1 },
	{ "f8", CDC_S3_KIND_FLOAT8, 701, false, -1 },
	{ "d", CDC_S3_KIND_DATE, 1082, false, -1 },
	{ "tm", CDC_S3_KIND_TIME, 1083, false, -1 },
	{ "tz", CDC_S3_KIND_TIMETZ, 1266, false, -1 },
	{ "ts", CDC_S3_KIND_TIMESTAMP, 1114, false, -1 },
	{ "tstz", CDC_S3_KIND_TIMESTAMPTZ, 1184, false, -1 },
	{ "iv", CDC_S3_KIND_INTERVAL, 1186, false, -1 },
	{ "u", CDC_S3_KIND_UUID, 2950, false, -1 },
	{ "n", CDC_S3_KIND_NUMERIC, 1700, false, -1 },
	{ "n12", CDC_S3_KIND_NUMERIC, 1700, false, ((12 << 16) | 2) + 4 },
	{ "s", CDC_S3_KIND_STRING, 25, false, -1 },
	{ "by", CDC_S3_KIND_BYTEA, 17, false, -1 },
	{ "js", CDC_S3_KIND_JSON, 114, false, -1 },
	{ "jb", CDC_S3_KIND_TEXT, 3802, false, -1 },
	{ "any", CDC_S3_KIND_TEXT, 869, false, -1 },
	{ "ints", CDC_S3_KIND_TEXT, 1007, false, -1 },
	{ "texts", CDC_S3_KIND_TEXT, 1009, false, -1 },
};

static uint64_t random_state;

static uint64_t
random_next(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* Bytes that random values are made of; a row's are thrown away at once. */
typedef struct Arena
{
	uint8_t bytes[64 * 1024];
	size_t n;
} Arena;

static uint8_t *
arena_take(Arena *a, size_t n)
{
	uint8_t *p = a->bytes + a->n;

	assert_true(n <= sizeof(a->bytes) - a->n);
	a->n += n;
	return p;
}

static ColView
random_text(Arena *a, bool valid)
{
	static const char *const pieces[] = {
		"\"",   ",",        "\n",   "\r",   "\r\n", "\\",
		"\\N",  "N",        "n",    " ",    "\t",   "a",
		"word", "\xc3\xa9", "\1",   "\177", "null", "\xf0\x9f\x98\x80",
		"{",    "}",        "\"\"", "\\n",  "'",    ";",
		"#",    "\\\\",     "0",    "true"
	};
	ColView v = { .p = a->bytes + a->n, .state = COL_VALUE };

	for (uint64_t k = random_next(8); k > 0; k--)
	{
		const char *s = pieces[random_next(COUNT(pieces))];

		memcpy(arena_take(a, strlen(s)), s, strlen(s));
		v.n += (uint32_t) strlen(s);
	}
	if (!valid && random_next(10) == 0)
	{
		*arena_take(a, 1) = 0xE4;
		v.n++;
	}
	return v;
}

static ColView
pick(const ColView *values, size_t n)
{
	return values[random_next(n)];
}

static ColView
random_value(Arena *a, const Col *c, bool valid)
{
	static const ColView numerics[] = { VALUE("\x00\x81\x59\x00\xd0\x07"),
										VALUE("\x00\xc0"),
										VALUE("\x00\xd0"),
										VALUE("\x00\xf0"),
										VALUE("\x00\x80"),
										VALUE("\x80\x81\x0c\x00"),
										VALUE("\x00\xa1\x59\x00\xd0\x07") };
	static const ColView jsons[] = {
		VALUE("null"),
		VALUE(" \n null\t"),
		VALUE("{\"a\":\r\n [1, \"\\\"x\\n\"],\n\"b\": null}"),
		VALUE("\"null\""),
		VALUE("[]"),
		VALUE("-1.5e10"),
		VALUE("true"),
		VALUE("\"\\\\N, \xc3\xa9\"")
	};
	static const ColView ints[] = { VALUE("{}"), VALUE("{1,NULL,-3}"),
									VALUE("{{1},{2}}"), VALUE("[0:1]={1,2}") };
	static const ColView texts[] = {
		VALUE("{\"NULL\",NULL,\"a,\nb\",\"\\\"\\\\\",\"\"}"), VALUE("{a}"),
		VALUE("{\"\\\\N\"}"), VALUE("{{\"x\"}}")
	};
	ColView v = { .state = COL_VALUE };
	uint8_t *p;

	switch (c->oid)
	{
		case 114:
		case 3802:
			return pick(jsons, COUNT(jsons));
		case 1007:
			return pick(ints, COUNT(ints));
		case 1009:
			return pick(texts, COUNT(texts));
		case 1700:
			return pick(numerics, COUNT(numerics));
		default:
			break;
	}
	if (c->kind > CDC_S3_KIND_NUMERIC)
		return random_text(a, valid || c->kind == CDC_S3_KIND_BYTEA);
	v.n = (uint32_t) kind_width(c->kind);
	v.p = p = arena_take(a, v.n);
	for (uint32_t i = 0; i < v.n; i++)
		p[i] = (uint8_t) random_next(256);
	if (random_next(4) == 0)
		memset(p, random_next(2) ? 0 : 0xff, v.n);
	if (c->kind == CDC_S3_KIND_BOOL)
		p[0] &= 1;
	return v;
}

/* May values of this row be withheld, unchanged, absent but for the key? */
typedef struct RowWants
{
	bool withheld;
	bool unchanged;
	bool key_only;
	bool valid; /* text is UTF-8 */
} RowWants;

static void
random_row(Arena *a, const Schema *s, RowWants want, ColView *cols)
{
	for (int i = 0; i < s->ncols; i++)
	{
		uint64_t dice = random_next(20);

		cols[i] = random_value(a, &many[i], want.valid);
		if (want.key_only && !s->cols[i].key)
			cols[i] = (ColView){ .state = COL_ABSENT };
		else if (dice < 3)
			cols[i] = (ColView){ .state = COL_NULL };
		else if (dice < 5 && want.unchanged &&
				 many[i].kind > CDC_S3_KIND_NUMERIC)
			cols[i] = (ColView){ .state = COL_UNCHANGED };
		else if (dice == 5 && want.withheld &&
				 many[i].kind > CDC_S3_KIND_NUMERIC)
		{
			cols[i].state = COL_WITHHELD;
			cols[i].reason = (uint8_t) (1 + random_next(3));
			cols[i].size = random_next(1 << 30);
			cols[i].crc32c = (uint32_t) random_next(UINT32_MAX);
		}
	}
}

/* A change and what it points to. */
typedef struct RandomChange
{
	Change change;
	RowView row;
	RowView old;
	ColView cols[2][MAX_COLS];
	Arena arena;
} RandomChange;

static void
random_change(RandomChange *r, const Schema *s, bool valid, bool withheld)
{
	static const ChangePartition parts[] = {
		{ "public", "p,1", { NULL, 0 } },
		{ "a\"b", "p\n2", { (const uint8_t *) "(x = '\"')", 9 } }
	};
	bool full = s->identity == 'f';
	RowWants want = { withheld, true, false, valid };

	memset(&r->change, 0, sizeof(r->change));
	r->arena.n = 0;
	r->change.op = "riuuuudddts"[random_next(11)];
	r->change.lsn = random_next(UINT64_MAX);
	r->change.seq = (int64_t) random_next(INT64_MAX);
	r->change.xid = (uint32_t) random_next(3);
	r->change.time = (int64_t) random_next(INT64_C(1) << 60);
	r->row = (RowView){ s->ncols, r->cols[0] };
	r->old = (RowView){ s->ncols, r->cols[1] };
	if (r->change.op == 't' || r->change.op == 's')
	{
		if (r->change.op == 's')
			r->change.reason = "partition";
		else if (random_next(2))
		{
			r->change.partial = parts;
			r->change.npartial = 1 + (int) random_next(2);
		}
		return;
	}
	want.unchanged = r->change.op == 'u';
	want.key_only = r->change.op == 'd' && !full;
	random_row(&r->arena, s, want, r->cols[0]);
	r->change.row = &r->row;
	r->change.no_identity =
		s->identity == 'n' && (r->change.op == 'u' || r->change.op == 'd');
	if (r->change.no_identity && r->change.op == 'd')
		r->change.row = NULL;
	if (r->change.op != 'u' || s->identity == 'n' || (!full && random_next(2)))
		return;
	want.unchanged = false;
	want.key_only = !full;
	random_row(&r->arena, s, want, r->cols[1]);
	r->change.old = &r->old;
	r->change.key_changed = random_next(2);
}

/* Ways to write a table. */
static const struct
{
	char identity;
	bool all_key;
	FormatOptions options;
} ways[] = {
	{ 'd', false, { .numeric = NUMERIC_NUMBER } },
	{ 'd', false, { .numeric = NUMERIC_STRING, .csv_escape = true } },
	{ 'f', false, { .numeric = NUMERIC_AUTO } },
	{ 'f', false, { .before = true } },
	{ 'f', false, { .before = true, .csv_escape = true } },
	{ 'f', true, { .before = false } },
	{ 'f', true, { .before = true, .raw_text = true } },
	{ 'n', false, { .raw_text = true, .csv_escape = true } },
};

/* The object through a compression, and back to the same lines. */
static void
check_compressed(Lab *l, Compression kind)
{
	Compressor *c = compressor_new(kind, 0);
	Buf packed;
	Buf got;
	Err err;

	buf_init(&packed, SIZE_MAX);
	buf_init(&got, SIZE_MAX);
	assert_true(compressor_run(c, buf_slice(&l->object), &packed, &err));
	if (read_object(l->schema, buf_slice(&packed), kind, MAX_LINE, &got,
					&err) != ERR_NONE)
		fail_msg("%s", err.msg);
	check_same(compression_name(kind), buf_slice(&l->lines), buf_slice(&got));
	/* cut off */
	packed.n -= 5;
	assert_int_equal(
		read_object(l->schema, buf_slice(&packed), kind, MAX_LINE, &got, &err),
		ERR_DATA);
	buf_done(&packed);
	buf_done(&got);
	compressor_free(c);
}

static void
keep_file(const char *name, const Buf *b)
{
	const char *folder = getenv("CSV_TEST_OUT");
	char *path;
	FILE *f;

	if (!folder)
		return;
	path = xasprintf("%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void
test_random(void **state)
{
	static RandomChange r;

	(void) state;
	random_state = 42;
	for (size_t i = 0; i < COUNT(ways); i++)
	{
		Lab l;
		char name[32];

		lab_init(
			&l,
			make_schema(many, COUNT(many), ways[i].identity, ways[i].all_key),
			&ways[i].options);
		for (int k = 0; k < (i == 0 ? 10000 : 1500); k++)
		{
			random_change(&r, l.schema, !ways[i].options.raw_text, true);
			add_change(&l, &r.change);
		}
		(void) snprintf(name, sizeof(name), "way %zu", i);
		check_read(&l, name);
		if (ways[i].options.csv_escape)
			assert_null(memchr(l.object.p, '\r', l.object.n));
		check_compressed(&l, COMPRESS_ZSTD);
		check_compressed(&l, COMPRESS_GZIP);
		(void) snprintf(name, sizeof(name), "%zu.csv", i);
		keep_file(name, &l.object);
		(void) snprintf(name, sizeof(name), "%zu.json", i);
		keep_file(name, &l.lines);
		lab_done(&l);
	}
}

/* A record line is taken back to a change, of which the same line is made. */
static void
test_line_back(void **state)
{
	static RandomChange r;

	(void) state;
	random_state = 4711;
	for (size_t i = 0; i < COUNT(ways); i++)
	{
		LineChange *back;
		Lab l;
		Lab again;

		lab_init(
			&l,
			make_schema(many, COUNT(many), ways[i].identity, ways[i].all_key),
			&ways[i].options);
		lab_init(&again, schema_ref(l.schema), &ways[i].options);
		back = line_change_new(l.schema);
		for (int k = 0; k < 3000; k++)
		{
			size_t from = l.lines.n;
			Change change;
			Err err;

			random_change(&r, l.schema, !ways[i].options.raw_text, true);
			r.change.seq %= INT64_C(100000000000000000);
			add_change(&l, &r.change);
			if (!line_change_read(
					back, (Slice){ l.lines.p + from, l.lines.n - from - 1 },
					&change, &err))
				fail_msg("%s: %s", err.msg, buf_cstr(&l.lines) + from);
			add_change(&again, &change);
		}
		check_same("the lines again", buf_slice(&l.lines),
				   buf_slice(&again.lines));
		check_read(&again, "the lines again");
		line_change_free(back);
		lab_done(&again);
		lab_done(&l);
	}
}

/* What is no record of the table is refused. */
static void
test_no_line(void **state)
{
	static const char *const rows[] = {
		"",
		"[]",
		"{}",
		"{\"_op\":\"i\",\"none\":1}",
		"{\"_op\":\"i\",\"_lsn\":\"x\"}",
		"{\"_op\":\"i\",\"_seq\":\"x\"}",
		"{\"_op\":\"i\",\"_ts\":\"2026\"}",
		"{\"_op\":\"i\",\"id\":\"x\"}",
		"{\"_op\":\"u\",\"_unchanged\":[\"none\"]}",
		"{\"_op\":\"u\",\"_key\":{\"none\":1}}",
		"{\"_op\":\"u\",\"_withheld\":{\"none\":{}}}",
		"{\"_op\":\"s\",\"_reason\":"
		"\"a word that is much too long to be a reason\"}",
	};
	Schema *schema = make_schema(many, COUNT(many), 'd', false);
	LineChange *l = line_change_new(schema);

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Change change;
		Err err;

		if (line_change_read(l, slice_cstr(rows[i]), &change, &err))
			fail_msg("taken: %s", rows[i]);
		assert_int_equal(err.kind, ERR_DATA);
	}
	line_change_free(l);
	schema_free(schema);
}

/*
 * Parts
 */

/* Does the record of the row in parts differ from that of the whole row? */
static bool
has_late(const RandomChange *r)
{
	for (int i = 0; r->change.row && i < r->row.ncols; i++)
	{
		const ColView *v = &r->row.cols[i];

		if (v->state == COL_WITHHELD)
			return true;
		if (v->state == COL_VALUE &&
			(many[i].oid == 114 || many[i].oid == 3802))
		{
			JsonValue value;
			Err err;

			assert_true(json_read_value((Slice){ v->p, v->n }, &value, &err));
			if (value.kind == JSON_NULL)
				return true;
		}
	}
	return false;
}

/* Arrays are written as wholes where they are short: not of interest here. */
#define PART_COLS (MAX_COLS - 2)

static void
test_parts(void **state)
{
	static RandomChange r;
	int same = 0;

	(void) state;
	random_state = 43;
	for (size_t i = 0; i < COUNT(ways); i++)
	{
		FormatOptions o = ways[i].options;
		Lab whole;
		Lab parts;

		o.whole_max = SMALL;
		lab_init(
			&whole,
			make_schema(many, PART_COLS, ways[i].identity, ways[i].all_key),
			&o);
		lab_init(
			&parts,
			make_schema(many, PART_COLS, ways[i].identity, ways[i].all_key),
			&o);
		for (int k = 0; k < 2000; k++)
		{
			random_change(&r, whole.schema, true, true);
			if (!strchr("iud", r.change.op))
				continue; /* these never come in parts */
			buf_reset(&whole.object);
			buf_reset(&parts.object);
			add_change_in_parts(&parts, &r.change, SMALL, 1 + random_next(7));
			add_change(&whole, &r.change);
			if (has_late(&r))
				continue;
			same++;
			check_same("parts", buf_slice(&whole.object),
					   buf_slice(&parts.object));
		}
		lab_done(&whole);
		lab_done(&parts);
	}
	assert_true(same > 1000);
}

/* And the reader makes the json format's line of either. */
static void
test_parts_read(void **state)
{
	static RandomChange r;

	(void) state;
	random_state = 44;
	for (size_t i = 0; i < COUNT(ways); i++)
	{
		FormatOptions o = ways[i].options;
		Lab l;

		o.whole_max = SMALL;
		lab_init(
			&l, make_schema(many, PART_COLS, ways[i].identity, ways[i].all_key),
			&o);
		for (int k = 0; k < 3000; k++)
		{
			random_change(&r, l.schema, true, true);
			if (strchr("iud", r.change.op))
				add_change_in_parts(&l, &r.change, SMALL, 1 + random_next(7));
		}
		check_read(&l, "parts");
		lab_done(&l);
	}
}

/* Long text of a SQL_ASCII server, which is not UTF-8. */
static void
test_parts_raw(void **state)
{
	static const Col cols[] = { { "id", CDC_S3_KIND_INT4, 23, true, -1 },
								{ "short", CDC_S3_KIND_STRING, 25, false, -1 },
								{ "long", CDC_S3_KIND_STRING, 25, false, -1 } };
	FormatOptions o = { .raw_text = true };
	size_t n = ROW_WHOLE_MAX + 3;
	uint8_t *text = xmalloc(n);
	ColView values[] = { ID("\1"),
						 VALUE("\xff\"\n"),
						 { .p = text, .n = (uint32_t) n, .state = COL_VALUE } };
	RowView row = { 3, values };
	Change change = CHANGE('i', .row = &row);
	Buf got;
	Err err;
	Lab l;

	(void) state;
	memset(text, 'x', n);
	memcpy(text + 70000, "\"\n\xc3\x28\xe4", 5);
	text[n - 1] = 0xC3;
	buf_init(&got, SIZE_MAX);
	for (int i = 0; i < 2; i++)
	{
		o.csv_escape = i > 0;
		buf_reset(&got);
		lab_init(&l, make_schema(cols, 3, 'd', false), &o);
		add_change_in_parts(&l, &change, ROW_WHOLE_MAX, 65536);
		assert_int_equal(read_object(l.schema, buf_slice(&l.object),
									 COMPRESS_NONE, 4 * ROW_WHOLE_MAX, &got,
									 &err),
						 ERR_NONE);
		check_same("raw", buf_slice(&l.lines), buf_slice(&got));
		lab_done(&l);
	}
	buf_done(&got);
	free(text);
}

/*
 * What is refused
 */
static void
check_refused(const char *name, const char *text, ErrKind want, const char *msg)
{
	Schema *s = make_schema(two, 2, 'd', false);
	Buf got;
	Err err = { .kind = ERR_NONE };
	ErrKind kind;

	buf_init(&got, SIZE_MAX);
	kind = read_object(s, slice_cstr(text), COMPRESS_NONE, 4000, &got, &err);
	if (kind != want || !strstr(err.msg, msg))
		fail_msg("%s: want \"%s\", got %d \"%s\"", name, msg, kind, err.msg);
	buf_done(&got);
	schema_free(s);
}

#define FILE_OF(record) META ",id,t\n" record "\n"

static void
test_refused(void **state)
{
	static const struct
	{
		const char *name;
		const char *text;
		const char *msg;
	} rows[] = {
		{ "nothing", "", "header" },
		{ "no line feed", META ",id,t", "truncated" },
		{ "other header", "a,b\n", "header" },
		{ "other columns", META ",id,u\n", "header" },
		{ "columns too many", META ",_escaped,id,t,u\n", "header" },
		{ "columns too few", META ",id\n", "header" },
		{ "metadata in another order", "_lsn,_op" META ",id,t\n", "header" },
		{ "fields too few", FILE_OF(PLAIN("i") ",1"), "fields" },
		{ "fields too many", FILE_OF(PLAIN("i") ",1,\"a\",2"), "fields" },
		{ "empty line", FILE_OF(""), "fields" },
		{ "quote that does not end", FILE_OF(PLAIN("i") ",1,\"a"),
		  "truncated" },
		{ "quote in the middle", FILE_OF(PLAIN("i") ",1,a\"b\""), "fields" },
		{ "text behind a quote", FILE_OF(PLAIN("i") ",1,\"a\"b"), "fields" },
		{ "CR LF", FILE_OF(PLAIN("i") ",1,\"a\"\r"), "fields" },
		{ "text without quotes", FILE_OF(PLAIN("i") ",1,a"), "no number" },
		{ "empty field", FILE_OF(PLAIN("i") ",1,"), "no number" },
		{ "members in a number", FILE_OF(PLAIN("i") ",1}{,\"a\""),
		  "no number" },
		{ "space", FILE_OF(PLAIN("i") ", 1,\"a\""), "no number" },
		{ "op", FILE_OF(PLAIN("x") ",1,\"a\""), "_op" },
		{ "long op", FILE_OF(PLAIN("ii") ",1,\"a\""), "_op" },
		{ "empty op", FILE_OF(PLAIN("") ",1,\"a\""), "_op" },
		{ "unchanged that is none",
		  FILE_OF(
			  HEAD("u") ",\\N,\\N,\\N,\\N,\\N,\\N,\"[\"\"x\"\"]\",\\N,\\N,1,"
						"\\N"),
		  "_unchanged" },
		{ "unchanged with a value",
		  FILE_OF(
			  HEAD("u") ",\\N,\\N,\\N,\\N,\\N,\\N,\"[\"\"t\"\"]\",\\N,\\N,1,"
						"\"a\""),
		  "value of a column" },
		{ "before that is none",
		  FILE_OF(HEAD("u") ",\\N,\\N,\\N,\\N,\"{}{\",\\N,\\N,\\N,\\N,1,\"a\""),
		  "_before" },
		{ "before of another kind",
		  FILE_OF(HEAD("u") ",\\N,\\N,\\N,\\N,\"[]\",\\N,\\N,\\N,\\N,1,\"a\""),
		  "kind" },
		{ "before with a line feed",
		  FILE_OF(
			  HEAD("u") ",\\N,\\N,\\N,\\N,\"{\n}\",\\N,\\N,\\N,\\N,1,\"a\""),
		  "line feed" },
		{ "details that are none",
		  FILE_OF(
			  HEAD("i") ",\\N,\\N,\\N,\\N,\\N,\\N,\\N,\"{\"\"t\"\":null}\",\\N,"
						"1,\"[]\""),
		  "details" },
		{ "a value in a truncate", FILE_OF(PLAIN("t") ",1,\\N"),
		  "value of a column" },
		{ "escape", META ",_escaped,id,t\n" PLAIN("i") ",true,1,\"a\\tb\"\n",
		  "escape" },
		{ "escape at the end",
		  META ",_escaped,id,t\n" PLAIN("i") ",true,1,\"a\\\"\n", "escape" },
	};
	char *longer = xmalloc(20001);

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_refused(rows[i].name, rows[i].text, ERR_DATA, rows[i].msg);
	memset(longer, 'x', 20000);
	longer[20000] = 0;
	check_refused("no end", longer, ERR_LIMIT, "longer than");
	free(longer);
}

/* A record whose line is one byte too long, and one that just fits. */
static void
test_max_line(void **state)
{
	Change change = CHANGE('i', .row = &view_a);
	size_t n;
	Lab l;
	Buf got;
	Err err;

	(void) state;
	buf_init(&got, SIZE_MAX);
	lab_init(&l, make_schema(two, 2, 'd', false), &plain);
	add_change(&l, &change);
	n = l.lines.n - 1;
	assert_int_equal(read_object(l.schema, buf_slice(&l.object), COMPRESS_NONE,
								 n, &got, &err),
					 ERR_NONE);
	assert_int_equal(read_object(l.schema, buf_slice(&l.object), COMPRESS_NONE,
								 n - 1, &got, &err),
					 ERR_LIMIT);
	lab_done(&l);
	buf_done(&got);
}

/* A line may take half of its record: what is written can always be read. */
static void
test_longest_record(void **state)
{
	static ColView wide[1600];
	static Col cols[1600];
	static char names[1600][16];
	RowView row = { 1600, wide };
	Change change = CHANGE('d', .row = &row);
	Buf got;
	Err err;
	Lab l;

	(void) state;
	for (int i = 0; i < 1600; i++)
	{
		(void) snprintf(names[i], sizeof(names[i]), "c%d", i);
		cols[i] = (Col){ names[i], CDC_S3_KIND_STRING, 25, i == 0, -1 };
		wide[i] = (ColView){ .state = COL_ABSENT };
	}
	wide[0] = (ColView) VALUE("\"\"\"\"\\\\\\\\");
	buf_init(&got, SIZE_MAX);
	lab_init(&l, make_schema(cols, 1600, 'd', false), &plain);
	add_change(&l, &change);
	assert_true(l.lines.n < 300);
	if (read_object(l.schema, buf_slice(&l.object), COMPRESS_NONE, l.lines.n,
					&got, &err) != ERR_NONE)
		fail_msg("%s", err.msg);
	check_same("wide", buf_slice(&l.lines), buf_slice(&got));
	lab_done(&l);
	buf_done(&got);
}

/* Equal changes, equal bytes; full buffers are told. */
static void
test_full(void **state)
{
	Change change = CHANGE('i', .row = &view_a);
	Lab l;
	Buf out;
	Err err;

	(void) state;
	lab_init(&l, make_schema(two, 2, 'd', false), &plain);
	buf_init(&out, 200);
	assert_false(csv_format.add(l.csv, &change, &out, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_done(&out);
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_no_columns),
		cmocka_unit_test(test_one_header),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_line_back),
		cmocka_unit_test(test_no_line),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parts_read),
		cmocka_unit_test(test_parts_raw),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_max_line),
		cmocka_unit_test(test_longest_record),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
