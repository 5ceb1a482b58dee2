/*-------------------------------------------------------------------------
 * test_parquet.c
 *	  codec/parquet: what is written as Parquet is read as the lines that the
 *	  json format writes for the same changes.
 *
 * With CDC_S3_PARQUET_OUT=folder each case leaves its object and its lines
 * there, NAME.parquet and NAME.jsonl, for test/differential/parquet.py.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "codec/json.h"
#include "codec/parquet.h"
#include "parquet_rows.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LINE_MAX_BYTES ((size_t) 1 << 20)

typedef struct Case
{
	const char *name;
	char identity;
	FormatOptions options;
	int rows;
	int group;      /* records of a row group; 0: all in one */
	uint32_t nulls; /* of ten values */
} Case;

/* One case under way. */
typedef struct Lab
{
	Schema *schema;
	FormatTable *table;
	FormatWriter *writer;
	JsonTable *json;
	Buf object;
	Buf lines;
	uint64_t random;
	Buf row_bytes;
	Buf old_bytes;
	ColView row[ROWS_COLUMNS];
	ColView old[ROWS_COLUMNS];
	ColView copy[2][ROWS_COLUMNS];
} Lab;

static JsonOptions
json_options(const FormatOptions *o)
{
	return (JsonOptions){ .numeric = (JsonNumeric) o->numeric,
						  .before = o->before,
						  .raw_text = o->raw_text,
						  .whole_max = o->whole_max };
}

static void
lab_open(Lab *l, const Case *c)
{
	JsonOptions json = json_options(&c->options);

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
	l->json = json_table_new(l->schema, &json);
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
	json_table_free(l->json);
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
	JsonChange json = { .op = change->op,
						.seq = change->seq,
						.key_changed = change->key_changed,
						.no_identity = change->no_identity,
						.npartial = change->npartial,
						.reason = change->reason,
						.row = change->row ? &row : NULL,
						.old = change->old ? &old : NULL };
	JsonPartial parts[2];
	JsonTxn txn;
	Err err;

	for (int i = 0; i < change->npartial; i++)
		parts[i] =
			(JsonPartial){ change->partial[i].schema, change->partial[i].table,
						   change->partial[i].bound };
	json.partial = parts;
	/* both may change what they are given */
	memcpy(l->copy[0], l->row, sizeof(l->row));
	memcpy(l->copy[1], l->old, sizeof(l->old));
	json_txn_set(&txn, change->lsn, change->xid, change->time);
	json_write(l->json, &txn, &json, &l->lines);
	must(parquet_format.add(l->writer, change, &l->object, &err), &err);
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

static const Case cases[] = {
	{ "snappy", 'd', { .compression = COMPRESS_SNAPPY }, 3000, 0, 2 },
	{ "zstd", 'd', { .compression = COMPRESS_ZSTD, .level = 1 }, 3000, 0, 2 },
	{ "gzip", 'd', { .compression = COMPRESS_GZIP }, 300, 0, 2 },
	{ "none", 'd', { .compression = COMPRESS_NONE }, 3000, 700, 5 },
	{ "groups", 'd', { .compression = COMPRESS_SNAPPY }, 100, 7, 2 },
	{ "no_nulls", 'd', { .compression = COMPRESS_SNAPPY }, 500, 0, 0 },
	{ "all_nulls", 'd', { .compression = COMPRESS_SNAPPY }, 500, 0, 10 },
	{ "full", 'f', { .compression = COMPRESS_SNAPPY }, 500, 0, 2 },
	{ "full_key",
	  'k',
	  { .before = true, .compression = COMPRESS_SNAPPY },
	  500,
	  0,
	  2 },
	{ "string",
	  'd',
	  { .numeric = NUMERIC_STRING, .compression = COMPRESS_SNAPPY },
	  500,
	  0,
	  2 },
	{ "auto", 'd', { .numeric = NUMERIC_AUTO }, 500, 0, 2 },
	{ "ms", 'd', { .parquet_ms = true }, 500, 0, 2 },
	{ "small_whole", 'd', { .whole_max = 8 }, 500, 0, 2 },
	{ "pages", 'd', { .compression = COMPRESS_SNAPPY }, 25000, 0, 9 },
	{ "one", 'd', { .compression = COMPRESS_SNAPPY }, 1, 0, 2 },
	{ "empty", 'd', { .compression = COMPRESS_SNAPPY }, 0, 0, 2 },
};

static void
test_lines(void **state)
{
	(void) state;
	for (size_t i = 0; i < COUNT(cases); i++)
		run_case(&cases[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
