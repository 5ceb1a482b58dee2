/*-------------------------------------------------------------------------
 * test_parquet.c
 *	  codec/parquet: what is written as Parquet is read as the lines that the
 *	  json format writes for the same changes.
 *
 * With CDC_S3_PARQUET_OUT=folder each case leaves its object and its lines
 * there, NAME.parquet and NAME.jsonl, for test/engines/check_parquet.py.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "codec/json_part.h"
#include "codec/parquet.h"
#include "parquet_rows.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PIECE_BYTES ((size_t) 64 << 10)
#define LINE_MAX_BYTES ((size_t) 64 << 20)

typedef struct Case
{
	const char *name;
	char identity;
	FormatOptions options;
	int rows;
	int group;      /* records of a row group; 0: all in one */
	uint32_t nulls; /* of ten values */
	uint32_t parts; /* of ten rows come in parts */
} Case;

/* One case under way. */
typedef struct Lab
{
	Schema *schema;
	FormatTable *table;
	FormatWriter *writer;
	JsonTable *json_table;
	JsonWriter *json;
	JsonPart *json_part;
	size_t held; /* most that the writer held */
	Buf object;
	Buf lines;
	uint64_t random;
	Buf row_bytes;
	Buf old_bytes;
	ColView row[ROWS_COLUMNS];
	ColView old[ROWS_COLUMNS];
	ColView copy[2][ROWS_COLUMNS];
} Lab;

static void
lab_open(Lab *l, const Case *c)
{
	memset(l, 0, sizeof(*l));
	l->schema = rows_schema(c->identity == 'k' ? 'f' : c->identity);
	if (c->identity == 'k') /* full, and a primary key */
	{
		for (int i = 0; i < ROWS_COLUMNS; i++)
			l->schema->cols[i].key = i == 0;
		l->schema->cols[0].pk = 1;
	}
	l->table = parquet_format.table_new(l->schema, &c->options);
	l->writer = parquet_format.begin(l->table);
	l->json_table = json_table_new(l->schema, &c->options);
	l->json = json_writer_new(l->json_table);
	l->json_part = json_part_new();
	buf_init(&l->object, SIZE_MAX);
	buf_init(&l->lines, SIZE_MAX);
	buf_init(&l->row_bytes, SIZE_MAX);
	buf_init(&l->old_bytes, SIZE_MAX);
	l->random = 20261130;
}

static void
lab_close(Lab *l)
{
	parquet_format.close(l->writer);
	parquet_format.table_free(l->table);
	json_part_free(l->json_part);
	json_writer_free(l->json);
	json_table_free(l->json_table);
	schema_free(l->schema);
	buf_done(&l->object);
	buf_done(&l->lines);
	buf_done(&l->row_bytes);
	buf_done(&l->old_bytes);
}

static void
must(bool ok, const Err *err)
{
	if (!ok)
		fail_msg("%s", err->msg);
}

/* To the object, and to the lines. */
static void
lab_add(Lab *l, const Change *change)
{
	RowView row = { ROWS_COLUMNS, l->copy[0] };
	RowView old = { ROWS_COLUMNS, l->copy[1] };
	Change copy = *change;
	Err err;

	/* both may change what they are given */
	memcpy(l->copy[0], l->row, sizeof(l->row));
	memcpy(l->copy[1], l->old, sizeof(l->old));
	copy.row = change->row ? &row : NULL;
	copy.old = change->old ? &old : NULL;
	json_write(l->json, &copy, &l->lines);
	must(parquet_format.add(l->writer, change, &l->object, &err), &err);
}

/* One item of a row in parts, to both. */
static void
send_item(Lab *l, PartItem item)
{
	ColView view;
	Err err;

	if (item.view)
	{
		view = *item.view;
		item.view = &view;
	}
	must(json_part_item(l->json_part, &item, &l->lines, &err), &err);
	if (item.view)
		view = *item.view;
	must(parquet_format.add_item(l->writer, &item, &l->object, &err), &err);
	if (parquet_format.memory(l->writer) > l->held)
		l->held = parquet_format.memory(l->writer);
}

static void
send_row(Lab *l, PartItemType type, ColView *cols, size_t whole_max)
{
	send_item(l, (PartItem){ .type = type, .row = { ROWS_COLUMNS, cols } });
	for (int i = 0; i < ROWS_COLUMNS; i++)
	{
		ColView v = cols[i];
		size_t at = 0;

		if (v.state != COL_VALUE && v.state != COL_WITHHELD)
			continue;
		if (v.n <= whole_max || v.state == COL_WITHHELD ||
			rows_columns[i].kind <= CDC_S3_KIND_NUMERIC)
		{
			send_item(l,
					  (PartItem){ .type = PART_VALUE, .col = i, .view = &v });
			continue;
		}
		send_item(l, (PartItem){ .type = PART_BEGIN, .col = i, .view = &v });
		while (at < v.n)
		{
			size_t n = 1 + rows_random(&l->random, v.n - (uint32_t) at);

			if (n > PIECE_BYTES)
				n = PIECE_BYTES;

			send_item(l, (PartItem){ .type = PART_PIECE,
									 .col = i,
									 .piece = { v.p + at, n } });
			at += n;
		}
		send_item(l, (PartItem){ .type = PART_END, .col = i });
	}
	send_item(l, (PartItem){ .type = PART_ROW_END });
}

static void
lab_add_parts(Lab *l, const Change *change, size_t whole_max)
{
	Change bare = *change;
	Err err;

	bare.row = bare.old = NULL;
	json_part_begin(l->json_part, l->json, &bare, &l->lines);
	must(parquet_format.add_head(l->writer, &bare, &l->object, &err), &err);
	if (change->op == 'd')
		send_row(l, PART_ROW_OLD, l->row, whole_max);
	else
	{
		if (change->old)
			send_row(l, PART_ROW_OLD, l->old, whole_max);
		send_row(l, PART_ROW_NEW, l->row, whole_max);
	}
	send_item(l, (PartItem){ .type = PART_DONE });
}

/* Some columns that did not change, or cannot be sent. */
static void
spoil(Lab *l, bool unchanged)
{
	for (int i = 1; i < ROWS_COLUMNS; i++)
	{
		if (rows_columns[i].kind < CDC_S3_KIND_STRING)
			continue;
		if (unchanged && rows_random(&l->random, 3) == 0)
			l->row[i] = (ColView){ .state = COL_UNCHANGED };
		else if (rows_random(&l->random, 8) == 0)
			l->row[i] =
				(ColView){ .state = COL_WITHHELD,
						   .reason = (uint8_t) (1 + rows_random(&l->random, 3)),
						   .crc32c = 0x00abcdef,
						   .size = 4096,
						   .p = (const uint8_t *) "\x80\xff",
						   .n = rows_random(&l->random, 2) * 2 };
	}
}

/* Text of no encoding. */
static void
spoil_text(Lab *l, ColView *cols)
{
	static const char *const bad[] = { "\xff", "good, then \xe2\x82",
									   "\xe2\x82\xac and \x80 \xc3\xa9",
									   "\xf0\x9f\x98 cut, and long enough",
									   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" };

	for (int i = 1; i < ROWS_COLUMNS; i++)
	{
		const char *s = bad[rows_random(&l->random, COUNT(bad))];

		if (rows_columns[i].kind == CDC_S3_KIND_STRING &&
			cols[i].state == COL_VALUE)
			cols[i] = (ColView){ .state = COL_VALUE,
								 .p = (const uint8_t *) s,
								 .n = (uint32_t) strlen(s) };
	}
}

static void
only_key(const Lab *l, ColView *cols)
{
	for (int i = 0; i < ROWS_COLUMNS; i++)
	{
		if (!l->schema->cols[i].key)
			cols[i] = (ColView){ .state = COL_ABSENT };
	}
}

static void
one_change(Lab *l, const Case *c, int n)
{
	static const ChangePartition parts[] = { { "public",
											   "p\"1",
											   { (const uint8_t *) "(id > 0)",
												 sizeof("(id > 0)") - 1 } },
											 { "public", "p2", { NULL, 0 } } };
	RowView row = { ROWS_COLUMNS, l->row };
	RowView old = { ROWS_COLUMNS, l->old };
	uint32_t pick = rows_random(&l->random, 100);
	Change change = { .op = 'i',
					  .lsn = 0x16B374D8u + (Lsn) (n / 10),
					  .seq = n,
					  .xid = 712 + (uint32_t) (n / 10),
					  .time = INT64_C(848564047123456) + n / 10,
					  .row = &row };

	rows_pick(&l->random, c->nulls, &l->row_bytes, l->row);
	rows_pick(&l->random, c->nulls, &l->old_bytes, l->old);
	if (c->options.raw_text)
	{
		spoil_text(l, l->row);
		spoil_text(l, l->old);
	}
	if (pick < 10)
	{
		change.op = 'r';
		change.xid = 0;
	}
	else if (pick < 35)
	{
		change.op = 'u';
		change.key_changed = pick < 20;
		change.old = pick < 20 || c->identity != 'd' ? &old : NULL;
		if (c->identity == 'd')
			only_key(l, l->old);
		spoil(l, true);
	}
	else if (pick < 50)
	{
		change.op = 'd';
		if (c->identity == 'd')
			only_key(l, l->row);
	}
	else if (pick < 60)
		spoil(l, false);
	else if (pick < 65)
	{
		change.op = pick < 63 ? 't' : 's';
		change.reason = pick < 63 ? NULL : "rewrite";
		change.partial = parts;
		change.npartial = pick < 61 ? 2 : 0;
		change.row = NULL;
	}
	if (change.row && rows_random(&l->random, 10) < c->parts)
		lab_add_parts(l, &change, c->options.whole_max);
	else
		lab_add(l, &change);
}

/* The object's records are the lines. */
static void
check_read(const Lab *l, const char *name)
{
	const FormatSource source = { .object = buf_slice(&l->object),
								  .max_line = LINE_MAX_BYTES,
								  .schema = l->schema };
	FormatReader *r = parquet_format.open(&source);
	const char *want = buf_cstr(&l->lines);
	bool end = false;
	Slice line;
	Err err;

	for (int n = 0;; n++)
	{
		const char *feed = strchr(want, '\n');

		must(parquet_format.next(r, &line, &end, &err), &err);
		if (end)
			break;
		if (!feed || line.n != (size_t) (feed - want) ||
			memcmp(line.p, want, line.n) != 0)
			fail_msg("%s, record %d:\nwant %.*s\ngot  %.*s", name, n,
					 feed ? (int) (feed - want) : 0, want, (int) line.n,
					 (const char *) line.p);
		want = feed + 1;
	}
	assert_string_equal(want, "");
	must(parquet_format.next(r, &line, &end, &err), &err);
	assert_true(end);
	parquet_format.done(r);
}

static void
leave(const char *name, const char *suffix, const Buf *b)
{
	const char *folder = getenv("CDC_S3_PARQUET_OUT");
	char *path;
	FILE *f;

	if (!folder)
		return;
	path = xasprintf("%s/%s%s", folder, name, suffix);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void
run_case(const Case *c)
{
	Lab l;
	Err err;

	lab_open(&l, c);
	for (int i = 1; i <= c->rows; i++)
	{
		one_change(&l, c, i);
		if (c->group > 0 && i % c->group == 0)
			must(parquet_format.shrink(l.writer, &l.object, &err), &err);
	}
	must(parquet_format.end(l.writer, &l.object, &err), &err);
	leave(c->name, ".parquet", &l.object);
	leave(c->name, ".jsonl", &l.lines);
	check_read(&l, c->name);
	lab_close(&l);
}

#define OPTIONS(...) .options = { __VA_ARGS__ }
#define SNAPPY .compression = COMPRESS_SNAPPY

/* Which column is of which type, for the document's table. */
static void
leave_types(void)
{
	Buf b;

	buf_init(&b, SIZE_MAX);
	for (int i = 0; i < ROWS_COLUMNS; i++)
		buf_printf(&b, "%s\t%s\n", rows_columns[i].name, rows_columns[i].type);
	leave("types", ".txt", &b);
	buf_done(&b);
}

static const Case cases[] = {
	{ .name = "snappy",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 3000,
	  .nulls = 2 },
	{ .name = "zstd",
	  .identity = 'd',
	  OPTIONS(.compression = COMPRESS_ZSTD, .level = 1),
	  .rows = 3000,
	  .nulls = 2 },
	{ .name = "gzip",
	  .identity = 'd',
	  OPTIONS(.compression = COMPRESS_GZIP),
	  .rows = 300,
	  .nulls = 2 },
	{ .name = "none",
	  .identity = 'd',
	  OPTIONS(.compression = COMPRESS_NONE),
	  .rows = 3000,
	  .group = 700,
	  .nulls = 5 },
	{ .name = "groups",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 100,
	  .group = 7,
	  .nulls = 2 },
	{ .name = "no_nulls",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 500,
	  .nulls = 0 },
	{ .name = "all_nulls",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 500,
	  .nulls = 10 },
	{ .name = "full",
	  .identity = 'f',
	  OPTIONS(SNAPPY),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "full_key",
	  .identity = 'k',
	  OPTIONS(SNAPPY, .before = true),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "string",
	  .identity = 'd',
	  OPTIONS(SNAPPY, .numeric = NUMERIC_STRING),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "auto",
	  .identity = 'd',
	  OPTIONS(.numeric = NUMERIC_AUTO),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "ms",
	  .identity = 'd',
	  OPTIONS(.parquet_ms = true),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "exact",
	  .identity = 'd',
	  OPTIONS(SNAPPY, .parquet_exact = true),
	  .rows = 3000,
	  .nulls = 2 },
	{ .name = "exact_ms",
	  .identity = 'k',
	  OPTIONS(.compression = COMPRESS_ZSTD, .level = 1, .parquet_exact = true,
			  .parquet_ms = true, .before = true),
	  .rows = 500,
	  .group = 150,
	  .nulls = 5 },
	{ .name = "parts_exact",
	  .identity = 'd',
	  OPTIONS(.whole_max = 8, .parquet_exact = true),
	  .rows = 400,
	  .nulls = 2,
	  .parts = 5 },
	{ .name = "small_whole",
	  .identity = 'd',
	  OPTIONS(.whole_max = 8),
	  .rows = 500,
	  .nulls = 2 },
	{ .name = "pages",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 25000,
	  .nulls = 9 },
	{ .name = "parts",
	  .identity = 'd',
	  OPTIONS(SNAPPY, .whole_max = 8),
	  .rows = 400,
	  .nulls = 2,
	  .parts = 5 },
	{ .name = "parts_zstd",
	  .identity = 'd',
	  OPTIONS(.compression = COMPRESS_ZSTD, .whole_max = 8),
	  .rows = 300,
	  .nulls = 2,
	  .parts = 10 },
	{ .name = "parts_full",
	  .identity = 'f',
	  OPTIONS(.whole_max = 8),
	  .rows = 400,
	  .nulls = 2,
	  .parts = 5 },
	{ .name = "parts_full_key",
	  .identity = 'k',
	  OPTIONS(SNAPPY, .whole_max = 8, .before = true),
	  .rows = 400,
	  .nulls = 2,
	  .parts = 5 },
	{ .name = "parts_raw",
	  .identity = 'k',
	  OPTIONS(SNAPPY, .whole_max = 8, .before = true, .raw_text = true),
	  .rows = 400,
	  .nulls = 2,
	  .parts = 5 },
	{ .name = "one", .identity = 'd', OPTIONS(SNAPPY), .rows = 1, .nulls = 2 },
	{ .name = "empty",
	  .identity = 'd',
	  OPTIONS(SNAPPY),
	  .rows = 0,
	  .nulls = 2 },
};

static void
test_lines(void **state)
{
	(void) state;
	leave_types();
	for (size_t i = 0; i < COUNT(cases); i++)
		run_case(&cases[i]);
}

static int
column_named(const char *name)
{
	for (int i = 0; i < ROWS_COLUMNS; i++)
	{
		if (strcmp(rows_columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* n times the text. */
static void
repeat(Buf *b, const char *s, int n, ColView *v)
{
	buf_init(b, SIZE_MAX);
	for (int i = 0; i < n; i++)
		buf_str(b, s);
	if (s[0] == 'a' || s[0] == 'j') /* an array, a string of JSON */
	{
		b->p[0] = s[0] == 'a' ? '{' : '"';
		b->p[b->n - 1] = s[0] == 'a' ? '}' : '"';
	}
	*v = (ColView){ .state = COL_VALUE, .p = b->p, .n = (uint32_t) b->n };
}

/*
 * Values of some megabytes, to their columns and, behind the array, to
 * "_exact": the writer holds a piece of each.
 */
static void
test_long(void **state)
{
	static const struct
	{
		const char *column;
		const char *text;
	} texts[] = {
		{ "s", "\xe2\x82\xac\"uro\n" },
		{ "bin", "by\xff\x80tes" },
		{ "jb", "json\xc3\xa9 " },
		{ "ai4", "a12,-3," },
		{ "q\"\xc3\xa9", "\xf0\x9f\x98\x80" },
	};
	static const Case c = { .name = "parts_long",
							.identity = 'f',
							OPTIONS(SNAPPY) };
	RowView row = { 0, NULL };
	Change change = { .op = 'i', .lsn = 1, .xid = 2, .time = 3, .row = &row };
	Buf bytes[COUNT(texts)];
	Lab l;
	Err err;

	(void) state;
	lab_open(&l, &c);
	rows_pick(&l.random, 2, &l.row_bytes, l.row);
	rows_pick(&l.random, 2, &l.old_bytes, l.old);
	for (size_t i = 0; i < COUNT(texts); i++)
	{
		int at = column_named(texts[i].column);

		repeat(&bytes[i], texts[i].text, 300000 + (int) i, &l.row[at]);
		if (i == 0 || i == 3)
			l.old[at] = l.row[at];
	}
	for (int i = 0; i < 4; i++)
	{
		change.seq = i + 1;
		change.op = "iudu"[i];
		change.old = change.op == 'u' ? &row : NULL;
		lab_add_parts(&l, &change, (size_t) 1 << 20);
		if (i == 1)
			lab_add(&l, &(Change){ .op = 't', .lsn = 9, .xid = 1 });
	}
	assert_in_range(l.held, 1, 6 << 20);
	must(parquet_format.end(l.writer, &l.object, &err), &err);
	leave(c.name, ".parquet", &l.object);
	leave(c.name, ".jsonl", &l.lines);
	check_read(&l, c.name);
	lab_close(&l);
	for (size_t i = 0; i < COUNT(texts); i++)
		buf_done(&bytes[i]);
}

/* ---- what is refused ---- */

/* Reads all; the last error's kind, ERR_NONE where all was read. */
static ErrKind
read_all(const Schema *s, Slice object, size_t max_line, Err *err)
{
	const FormatSource source = { .object = object,
								  .max_line = max_line,
								  .schema = s };
	FormatReader *r = parquet_format.open(&source);
	bool end = false;
	bool ok = true;
	Slice line;

	while (ok && !end)
		ok = parquet_format.next(r, &line, &end, err);
	parquet_format.done(r);
	return ok ? ERR_NONE : err->kind;
}

/* An object of a few records, and its schema in l. */
static void
make_object(Lab *l, int rows)
{
	static const Case c = { .name = "refused", .identity = 'd', .nulls = 2 };
	Err err;

	lab_open(l, &c);
	for (int i = 0; i < rows; i++)
		one_change(l, &c, i);
	must(parquet_format.end(l->writer, &l->object, &err), &err);
}

static void
test_cut(void **state)
{
	Lab l;
	Err err;

	(void) state;
	make_object(&l, 3);
	for (size_t n = 0; n < l.object.n; n++)
	{
		uint8_t *exact = xmalloc(n ? n : 1); /* not a byte more */

		memcpy(exact, l.object.p, n);
		assert_int_equal(
			read_all(l.schema, (Slice){ exact, n }, LINE_MAX_BYTES, &err),
			ERR_DATA);
		free(exact);
	}
	lab_close(&l);
}

/* One byte is another: the object is read, or refused with one error. */
static void
test_flipped(void **state)
{
	Lab l;
	Err err;

	(void) state;
	make_object(&l, 3);
	for (size_t i = 0; i < l.object.n; i++)
	{
		ErrKind kind;

		l.object.p[i] ^= (uint8_t) (1 << i % 8);
		kind = read_all(l.schema, buf_slice(&l.object), 1 << 20, &err);
		assert_true(kind == ERR_NONE || kind == ERR_DATA || kind == ERR_LIMIT);
		l.object.p[i] ^= (uint8_t) (1 << i % 8);
	}
	lab_close(&l);
}

static void
test_other_schema(void **state)
{
	Schema *other = rows_schema('f');
	Lab l;
	Err err;

	(void) state;
	make_object(&l, 3);
	assert_int_equal(
		read_all(other, buf_slice(&l.object), LINE_MAX_BYTES, &err), ERR_DATA);
	assert_non_null(strstr(err.msg, "written with schema"));
	assert_non_null(strstr(err.msg, other->hash));
	schema_free(other);
	lab_close(&l);
}

static void
test_long_line(void **state)
{
	Lab l;
	Err err;

	(void) state;
	make_object(&l, 3);
	assert_int_equal(read_all(l.schema, buf_slice(&l.object), 100, &err),
					 ERR_LIMIT);
	assert_string_equal(err.msg, "line is longer than 100 bytes");
	lab_close(&l);
}

/* ---- memory ---- */

static Schema *
wide_schema(int ncols)
{
	Schema *s = schema_new("public", "wide", ncols);

	s->identity = 'd';
	for (int i = 0; i < ncols; i++)
	{
		s->cols[i].name = xasprintf("c%d", i);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("text");
		s->cols[i].kind = CDC_S3_KIND_STRING;
		s->cols[i].type_oid = s->cols[i].base_oid = 25;
		s->cols[i].typmod = -1;
		s->cols[i].attnum = i + 1;
		s->cols[i].key = i == 0;
		s->cols[i].pk = i == 0;
	}
	schema_finish(s);
	return s;
}

/* What a writer holds most, of rows of random text that fill all columns. */
static size_t
most_held(int ncols, int rows, size_t length, Compression compression)
{
	const FormatOptions options = { .compression = compression, .level = 1 };
	Schema *s = wide_schema(ncols);
	FormatTable *t = parquet_format.table_new(s, &options);
	FormatWriter *w = parquet_format.begin(t);
	ColView *cols = xcalloc((size_t) ncols, sizeof(*cols));
	RowView row = { ncols, cols };
	Change change = { .op = 'i', .row = &row };
	uint8_t *text = xmalloc((size_t) ncols * length);
	uint64_t random = 1;
	size_t most = 0;
	Buf out;
	Err err;

	buf_init(&out, SIZE_MAX);
	for (int i = 0; i < rows; i++)
	{
		change.seq = i;
		for (size_t k = 0; k < (size_t) ncols * length; k++)
			text[k] = (uint8_t) (' ' + rows_random(&random, 94));
		for (int k = 0; k < ncols; k++)
			cols[k] = (ColView){ .p = text + (size_t) k * length,
								 .n = (uint32_t) length,
								 .state = COL_VALUE };
		must(parquet_format.add(w, &change, &out, &err), &err);
		if (parquet_format.memory(w) > most)
			most = parquet_format.memory(w);
		buf_reset(&out);
	}
	must(parquet_format.end(w, &out, &err), &err);
	assert_int_equal(read_all(s, buf_slice(&out), 1 << 20, &err) == ERR_NONE,
					 out.n > 4 && memcmp(out.p, "PAR1", 4) == 0);
	parquet_format.close(w);
	parquet_format.table_free(t);
	schema_free(s);
	buf_done(&out);
	free(cols);
	free(text);
	return most;
}

static void
test_memory(void **state)
{
	(void) state;
	/* one row: bytes for each column that has a value, and none for others */
	assert_in_range(most_held(5, 1, 10, COMPRESS_ZSTD), 1, 10 << 10);
	assert_in_range(most_held(600, 1, 10, COMPRESS_ZSTD), 1, 1 << 20);
	assert_in_range(most_held(1600, 1, 10, COMPRESS_ZSTD), 1, 2 << 20);
	/* many pages: no page is long where there are many columns */
	assert_in_range(most_held(1600, 1000, 20, COMPRESS_ZSTD), 1, 72 << 20);
}

/* ---- row groups ---- */

/* Rows of one text of 1,000 bytes, with what ends groups between them. */
static void
test_groups(void **state)
{
	const FormatOptions options = { .compression = COMPRESS_SNAPPY };
	Schema *s = wide_schema(1);
	FormatTable *t = parquet_format.table_new(s, &options);
	FormatWriter *w = parquet_format.begin(t);
	uint8_t text[1000];
	ColView col = { .p = text, .n = sizeof(text), .state = COL_VALUE };
	RowView row = { 1, &col };
	Change change = { .op = 'i', .row = &row };
	uint64_t random = 1;
	const FormatGroups *g = parquet_format.groups(w);
	Buf out;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	for (int i = 0; i < 70000; i++)
	{
		for (size_t k = 0; k < sizeof(text); k += 10)
			text[k] = (uint8_t) (' ' + rows_random(&random, 94));
		for (size_t k = 1; k < sizeof(text); k++)
			text[k] = k % 10 ? 'x' : text[k];
		change.seq = i;
		must(parquet_format.add(w, &change, &out, &err), &err);
		/* small, and large: more than a thousand rows */
		if (i == 10 || i == 2000)
			must(parquet_format.shrink(w, &out, &err), &err);
		assert_in_range(parquet_format.waiting(w), 0, 64 << 20);
		assert_true(parquet_format.plain(w) >= (uint64_t) (i + 1) * 1000);
		assert_true(parquet_format.plain(w) < (uint64_t) (i + 1) * 1100);
	}
	assert_int_equal(g->all[GROUP_MEMORY], 2);
	assert_int_equal(g->small[GROUP_MEMORY], 1);
	assert_int_equal(g->all[GROUP_FULL], 1);
	assert_int_equal(g->small[GROUP_FULL], 0);
	must(parquet_format.end(w, &out, &err), &err);
	assert_int_equal(g->all[GROUP_OBJECT], 1);
	assert_int_equal(g->small[GROUP_OBJECT],
					 parquet_format.plain(w) < (66 << 20));
	assert_int_equal(read_all(s, buf_slice(&out), 1 << 20, &err), ERR_NONE);
	parquet_format.close(w);
	parquet_format.table_free(t);
	schema_free(s);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),        cmocka_unit_test(test_long),
		cmocka_unit_test(test_cut),          cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_other_schema), cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_memory),       cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
