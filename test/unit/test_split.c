/*-------------------------------------------------------------------------
 * test_split.c
 *	  An update that changes the key as two records: the same in each format,
 *	  as a whole and in parts; which tables it is for, and what fills values
 *	  that an update did not touch.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/format.h"
#include "codec/jsonline.h"
#include "pipe/split.h"

#define WHOLE_MAX 16
#define LONG "a value that is longer than sixteen bytes"

#define META(op, seq)                                                          \
	"{\"_op\":\"" op "\",\"_lsn\":\"0000000016B374D8\",\"_seq\":" seq          \
	",\"_xid\":712,\"_ts\":\"2026-11-21T08:14:07.123456Z\""

static const char *const formats[] = { "json", "csv", "parquet" };
#define NFORMATS ((int) (sizeof(formats) / sizeof(formats[0])))

/* The key stands between two columns, as rows in parts may have it. */
static Schema *
make_schema(char identity, bool pk)
{
	static const char *const names[] = { "t", "id", "u" };
	static const uint8_t kinds[] = { CDC_S3_KIND_STRING, CDC_S3_KIND_INT4,
									 CDC_S3_KIND_STRING };
	Schema *s = schema_new("public", "t", 3);

	s->identity = identity;
	for (int i = 0; i < 3; i++)
	{
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(names[i]);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup("whatever");
		c->kind = kinds[i];
		c->type_oid = c->base_oid = 25;
		c->key = i == 1 || !pk;
		c->pk = pk && i == 1;
		c->typmod = -1;
		c->attnum = i + 1;
	}
	schema_finish(s);
	return s;
}

typedef struct Lab
{
	Schema *schema;
	Table table;
	const Format *format;
	FormatTable *form;
	FormatWriter *writer;
	Buf object;
} Lab;

static void
lab_init(Lab *l, const char *format, char identity, bool pk, bool before)
{
	const FormatOptions o = { .before = before, .whole_max = WHOLE_MAX };

	*l = (Lab){ .schema = make_schema(identity, pk),
				.format = format_find(format) };
	l->table = (Table){ .schema = l->schema->schema,
						.name = l->schema->table,
						.shape = row_shape_new(l->schema),
						.split_keys = !schema_is_bag(l->schema) };
	l->form = l->format->table_new(l->schema, &o);
	l->writer = l->format->begin(l->form);
	buf_init(&l->object, SIZE_MAX);
}

static void
lab_done(Lab *l)
{
	l->format->close(l->writer);
	l->format->table_free(l->form);
	row_shape_free(l->table.shape);
	buf_done(&l->object);
	schema_free(l->schema);
}

static void
add(Lab *l, const Change *change)
{
	Err err;

	if (!l->format->add(l->writer, change, &l->object, &err))
		fail_msg("%s: %s", l->format->name, err.msg);
}

/* The object's records are these lines; NULL ends them. */
static void
expect(Lab *l, const char *const *lines)
{
	FormatSource source = { .max_line = 4096, .schema = l->schema };
	FormatReader *r;
	Err err;
	Slice line;
	bool end = false;

	assert_true(l->format->end(l->writer, &l->object, &err));
	source.object = buf_slice(&l->object);
	r = l->format->open(&source);
	for (int i = 0; !end; i++)
	{
		if (!l->format->next(r, &line, &end, &err))
			fail_msg("%s: %s", l->format->name, err.msg);
		if (end)
			assert_null(lines[i]);
		else if (!lines[i] || strlen(lines[i]) != line.n ||
				 memcmp(lines[i], line.p, line.n) != 0)
			fail_msg("%s, line %d:\nwant %s\ngot  %.*s", l->format->name, i,
					 lines[i] ? lines[i] : "none", (int) line.n,
					 (const char *) line.p);
	}
	l->format->done(r);
}

#define TEXT(s)                                                                \
	{                                                                          \
		.p = (const uint8_t *) (s), .n = sizeof(s) - 1, .state = COL_VALUE     \
	}

static const Change update = {
	.op = 'u',
	.lsn = 0x16B374D8,
	.seq = 3,
	.xid = 712,
	.time = INT64_C(848564047123456),
	.key_changed = true,
};

static void
test_whole(void **state)
{
	static const char *const lines[] = {
		META("d", "3") ",\"_moved\":true,\"id\":1}",
		META("u", "4") ",\"_key\":{\"id\":1},\"_unchanged\":[\"u\"],"
					   "\"t\":\"new\",\"id\":2}",
		NULL
	};

	(void) state;
	for (int i = 0; i < NFORMATS; i++)
	{
		ColView old[] = { { .state = COL_ABSENT },
						  TEXT("\1\0\0\0"),
						  { .state = COL_ABSENT } };
		ColView new[] = { TEXT("new"),
						  TEXT("\2\0\0\0"),
						  { .state = COL_UNCHANGED } };
		const RowView old_row = { 3, old };
		const RowView new_row = { 3, new };
		Change change = update;
		Change half;
		Lab l;

		lab_init(&l, formats[i], 'd', true, false);
		change.old = &old_row;
		change.row = &new_row;
		assert_true(split_wants(&l.table, &change));
		half = split_gone(&change);
		add(&l, &half);
		half = split_come(&change);
		add(&l, &half);
		expect(&l, lines);
		lab_done(&l);
	}
}

/* The old row is told once. */
static void
test_before(void **state)
{
	static const char *const lines[] = {
		META("d", "3") ",\"_moved\":true,\"id\":1}",
		META("u", "4") ",\"_before\":{\"t\":\"old\",\"id\":1,\"u\":null},"
					   "\"_key\":{\"id\":1},\"t\":\"new\",\"id\":2,"
					   "\"u\":null}",
		NULL
	};

	(void) state;
	for (int i = 0; i < NFORMATS; i++)
	{
		ColView old[] = { TEXT("old"),
						  TEXT("\1\0\0\0"),
						  { .state = COL_NULL } };
		ColView new[] = { TEXT("new"),
						  TEXT("\2\0\0\0"),
						  { .state = COL_NULL } };
		const RowView old_row = { 3, old };
		const RowView new_row = { 3, new };
		Change change = update;
		Change half;
		Lab l;

		lab_init(&l, formats[i], 'f', true, true);
		change.old = &old_row;
		change.row = &new_row;
		half = split_gone(&change);
		add(&l, &half);
		half = split_come(&change);
		add(&l, &half);
		expect(&l, lines);
		lab_done(&l);
	}
}

/* As a shipper does it (ship.c). */
static void
run_parts(Lab *l, Slice bytes, uint8_t flags)
{
	FramePart *part = framepart_new(WHOLE_MAX);
	Change head = update;
	Split *split;
	PartItem item;
	Change half;
	bool end;
	Err err;

	head.old = head.row = NULL;
	assert_true(split_wants(&l->table, &head));
	assert_true(
		framepart_open(part, l->table.shape, CDC_S3_UPDATE, flags, &err));
	split = split_new(&head, l->table.shape->ncols);
	framepart_push(part, bytes, true);
	do
	{
		if (!framepart_next(part, &item, &err))
			fail_msg("%s", err.msg);
		if (!split_take(split, &l->table, &item, &end, &err))
			fail_msg("%s", err.msg);
	} while (!end);
	half = split_part_gone(split);
	add(l, &half);
	half = split_part_come(split);
	assert_true(l->format->add_head(l->writer, &half, &l->object, &err));
	while (split_next(split, &item))
		assert_true(l->format->add_item(l->writer, &item, &l->object, &err));
	split_free(split);
	do
	{
		assert_true(framepart_next(part, &item, &err));
		if (!l->format->add_item(l->writer, &item, &l->object, &err))
			fail_msg("%s: %s", l->format->name, err.msg);
	} while (item.type != PART_DONE);
	framepart_free(part);
}

static void
put_text(Buf *b, const char *s)
{
	buf_byte(b, (uint8_t) strlen(s));
	buf_str(b, s);
}

static void
test_parts(void **state)
{
	static const char *const lines[] = {
		META("d", "3") ",\"_moved\":true,\"id\":1}",
		META("u", "4") ",\"_key\":{\"id\":1},\"t\":\"" LONG "\",\"id\":2,"
					   "\"u\":\"" LONG "\"}",
		NULL
	};

	(void) state;
	for (int i = 0; i < NFORMATS; i++)
	{
		Buf bytes;
		Lab l;

		lab_init(&l, formats[i], 'd', true, false);
		buf_init(&bytes, 4096);
		buf_add(&bytes, "\0\1\0\0\0", 5); /* the old key */
		buf_byte(&bytes, 0);
		put_text(&bytes, LONG);
		buf_add(&bytes, "\2\0\0\0", 4);
		put_text(&bytes, LONG);
		run_parts(&l, buf_slice(&bytes), CDC_S3_OLD_KEY | CDC_S3_KEY_CHANGED);
		expect(&l, lines);
		buf_done(&bytes);
		lab_done(&l);
	}
}

/* Of an old row in parts only the key is kept. */
static void
test_parts_full(void **state)
{
	static const char *const lines[] = {
		META("d", "3") ",\"_moved\":true,\"id\":1}",
		META("u", "4") ",\"_key\":{\"id\":1},\"_unchanged\":[\"u\"],\"t\":"
					   "null,\"id\":2}",
		NULL
	};

	(void) state;
	for (int i = 0; i < NFORMATS; i++)
	{
		Buf bytes;
		Lab l;

		lab_init(&l, formats[i], 'f', true, true);
		buf_init(&bytes, 4096);
		buf_byte(&bytes, 0);
		put_text(&bytes, LONG);
		buf_add(&bytes, "\1\0\0\0", 4);
		put_text(&bytes, "short");
		buf_byte(&bytes, CDC_S3_ROW_NULLS | CDC_S3_ROW_UNCHANGED);
		buf_add(&bytes, "\1\4", 2);
		buf_add(&bytes, "\2\0\0\0", 4);
		run_parts(&l, buf_slice(&bytes), CDC_S3_OLD_FULL | CDC_S3_KEY_CHANGED);
		expect(&l, lines);
		buf_done(&bytes);
		lab_done(&l);
	}
}

/* Where nothing but the whole row is a key, and where no key changes. */
static void
test_wants(void **state)
{
	Change other = update;
	Lab l;

	(void) state;
	lab_init(&l, "json", 'f', false, false);
	assert_false(split_wants(&l.table, &update));
	lab_done(&l);
	lab_init(&l, "json", 'f', true, false);
	assert_true(split_wants(&l.table, &update));
	other.key_changed = false;
	assert_false(split_wants(&l.table, &other));
	other = update;
	other.op = 'd';
	assert_false(split_wants(&l.table, &other));
	l.table.split_keys = false;
	assert_false(split_wants(&l.table, &update));
	lab_done(&l);
}

static void
test_fill(void **state)
{
	ColView old[] = { TEXT("old"),
					  { .state = COL_NULL },
					  { .state = COL_ABSENT } };
	ColView new[] = { { .state = COL_UNCHANGED },
					  { .state = COL_UNCHANGED },
					  { .state = COL_UNCHANGED } };
	const RowView old_row = { 3, old };
	const RowView new_row = { 3, new };
	Change change = update;

	(void) state;
	change.row = &new_row;
	split_fill(&change); /* no old row: nothing to fill from */
	assert_int_equal(new[0].state, COL_UNCHANGED);
	change.old = &old_row;
	split_fill(&change);
	assert_int_equal(new[0].state, COL_VALUE);
	assert_memory_equal(new[0].p, "old", 3);
	assert_int_equal(new[1].state, COL_NULL);
	assert_int_equal(new[2].state, COL_UNCHANGED);
}

/* The mark is metadata, and no column or text is taken for it. */
static void
test_moved(void **state)
{
	static const struct
	{
		const char *line;
		bool moved;
	} rows[] = {
		{ META("d", "3") ",\"_moved\":true,\"id\":1}", true },
		{ META("d", "3") ",\"_nokey\":true,\"_moved\":true}", true },
		{ META("d", "3") ",\"id\":1}", false },
		{ META("d", "3") ",\"id\":1,\"_moved\":true}", false },
		{ META("d", "3") ",\"id\":{\"_moved\":true}}", false },
		{ META("u", "3") ",\"_before\":{\"_moved\":true},\"id\":1}", false },
		{ "no object", false },
	};
	Slice seq;

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(jsonline_moved(slice_cstr(rows[i].line), &seq),
						 rows[i].moved);
	assert_false(jsonline_moved(slice_cstr(rows[2].line), &seq));
	assert_int_equal(seq.n, 1);
	assert_memory_equal(seq.p, "3", 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_before),
		cmocka_unit_test(test_parts), cmocka_unit_test(test_parts_full),
		cmocka_unit_test(test_wants), cmocka_unit_test(test_fill),
		cmocka_unit_test(test_moved),
	};

	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
