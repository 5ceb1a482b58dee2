/*-------------------------------------------------------------------------
 * test_csv_dms.c
 *	  CSV as AWS DMS writes it: its settings, what stands in quotes, rows in
 *	  parts, and that nobody reads it back.
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
#include "codec/csv_dms.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define VALUE(s)                                                               \
	{                                                                          \
		.p = (const uint8_t *) (s), .n = sizeof(s) - 1, .state = COL_VALUE     \
	}
#define STATE(s)                                                               \
	{                                                                          \
		.state = (s)                                                           \
	}

static Schema *
make_schema(void)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
	} cols[] = { { "id", CDC_S3_KIND_INT4 },
				 { "a b", CDC_S3_KIND_STRING },
				 { "at", CDC_S3_KIND_TIMESTAMPTZ },
				 { "by", CDC_S3_KIND_BYTEA } };
	Schema *s = schema_new("public", "t", (int) COUNT(cols));

	s->identity = 'd';
	for (int i = 0; i < s->ncols; i++)
	{
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(cols[i].name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup("whatever");
		c->kind = cols[i].kind;
		c->typmod = -1;
		c->attnum = i + 1;
		c->key = i == 0;
		c->pk = i == 0;
	}
	schema_finish(s);
	return s;
}

typedef struct Lab
{
	Schema *schema;
	FormatTable *table;
	FormatWriter *writer;
	Buf out;
} Lab;

static void
lab_init(Lab *l, const char *how)
{
	const FormatOptions o = { .dms = how };

	l->schema = make_schema();
	l->table = csv_dms_format.table_new(l->schema, &o);
	l->writer = csv_dms_format.begin(l->table);
	buf_init(&l->out, SIZE_MAX);
}

static void
lab_done(Lab *l, const char *want)
{
	Err err;

	assert_true(csv_dms_format.end(l->writer, &l->out, &err));
	assert_string_equal(buf_cstr(&l->out), want);
	csv_dms_format.close(l->writer);
	csv_dms_format.table_free(l->table);
	buf_done(&l->out);
	schema_free(l->schema);
}

static void
add(Lab *l, char op, ColView *cols, int n)
{
	const RowView row = { n, cols };
	const Change change = { .op = op,
							.lsn = 1,
							.seq = 1,
							.time = INT64_C(848564047123456),
							.row = n > 0 ? &row : NULL };
	Err err;

	assert_true(csv_dms_format.add(l->writer, &change, &l->out, &err));
}

/* 2026-11-21 08:14:07.123456 */
#define AT "\x00\x14\x99\xb6\xc3\x03\x03\x00"

static void
test_ops(void **state)
{
	ColView row[] = { VALUE("\7\0\0\0"), VALUE("x"), VALUE(AT),
					  VALUE("\x01\xff") };
	ColView key[] = { VALUE("\7\0\0\0"), STATE(COL_ABSENT), STATE(COL_ABSENT),
					  STATE(COL_ABSENT) };
	ColView half[] = { VALUE("\7\0\0\0"), STATE(COL_UNCHANGED), STATE(COL_NULL),
					   STATE(COL_WITHHELD) };
	Lab l;

	(void) state;
	lab_init(&l, "0,\t");
	add(&l, 'r', row, 4);
	add(&l, 'i', row, 4);
	add(&l, 'u', half, 4);
	add(&l, 'd', key, 4);
	add(&l, 't', NULL, 0);
	add(&l, 's', NULL, 0);
	lab_done(&l, "I,7,x,2026-11-21 08:14:07.123456,\\x01ff\n"
				 "I,7,x,2026-11-21 08:14:07.123456,\\x01ff\n"
				 "U,7,,,\nD,7,,,\nT,,,,\nS,,,,\n");
}

static void
test_settings(void **state)
{
	ColView row[] = { VALUE("\7\0\0\0"), VALUE("x"), STATE(COL_NULL),
					  STATE(COL_NULL) };
	Lab l;

	(void) state;
	lab_init(&l, "1,ts\tNULL");
	add(&l, 'i', row, 4);
	add(&l, 'i', row, 4);
	lab_done(&l, "Op,ts,id,a b,at,by\n"
				 "I,2026-11-21 08:14:07.123456,7,x,NULL,NULL\n"
				 "I,2026-11-21 08:14:07.123456,7,x,NULL,NULL\n");
	lab_init(&l, "1|\t");
	add(&l, 'i', row, 4);
	lab_done(&l, "Op|id|a b|at|by\nI|7|x||\n");
	lab_init(&l, "0\x01\t");
	add(&l, 'i', row, 4);
	lab_done(&l, "I\t7\tx\t\t\n");
	lab_init(&l, "1,\t"); /* an object without rows */
	lab_done(&l, "Op,id,a b,at,by\n");
}

static void
test_quotes(void **state)
{
	static const struct
	{
		const char *text;
		const char *how;
		const char *want;
	} rows[] = {
		{ "plain", "0,\t", "plain" },       { "", "0,\t", "\"\"" },
		{ "a,b", "0,\t", "\"a,b\"" },       { "a,b", "0|\t", "a,b" },
		{ "a|b", "0|\t", "\"a|b\"" },       { "a\"b", "0,\t", "\"a\"\"b\"" },
		{ "a\nb\r", "0,\t", "\"a\nb\r\"" }, { " a", "0,\t", "\" a\"" },
		{ "NULL", "0,\tNULL", "\"NULL\"" }, { "NULL", "0,\t", "NULL" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		ColView row[] = { VALUE("\7\0\0\0"), STATE(COL_VALUE), STATE(COL_NULL),
						  STATE(COL_NULL) };
		const char *null = strchr(rows[i].how, '\t') + 1;
		char d = rows[i].how[1];
		char *want;
		Lab l;

		row[1].p = (const uint8_t *) rows[i].text;
		row[1].n = (uint32_t) strlen(rows[i].text);
		lab_init(&l, rows[i].how);
		add(&l, 'i', row, 4);
		want = xasprintf("I%c7%c%s%c%s%c%s\n", d, d, rows[i].want, d, null, d,
						 null);
		lab_done(&l, want);
		free(want);
	}
}

static void
item(Lab *l, PartItem it)
{
	Err err;

	assert_true(csv_dms_format.add_item(l->writer, &it, &l->out, &err));
}

/* The old row of an update is not shown; a delete has no other. */
static void
test_parts(void **state)
{
	ColView id = VALUE("\7\0\0\0");
	ColView text = { .n = 4, .state = COL_VALUE };
	Change change = { .op = 'u', .lsn = 1, .seq = 1 };
	Lab l;
	Err err;

	(void) state;
	lab_init(&l, "0,\tN");
	assert_true(csv_dms_format.add_head(l.writer, &change, &l.out, &err));
	item(&l, (PartItem){ .type = PART_ROW_OLD });
	item(&l, (PartItem){ .type = PART_VALUE, .col = 0, .view = &id });
	item(&l, (PartItem){ .type = PART_ROW_END });
	item(&l, (PartItem){ .type = PART_ROW_NEW });
	item(&l, (PartItem){ .type = PART_VALUE, .col = 0, .view = &id });
	item(&l, (PartItem){ .type = PART_BEGIN, .col = 1, .view = &text });
	item(&l, (PartItem){ .type = PART_PIECE,
						 .col = 1,
						 .piece = { (const uint8_t *) "a\"", 2 } });
	item(&l, (PartItem){ .type = PART_PIECE,
						 .col = 1,
						 .piece = { (const uint8_t *) "b,", 2 } });
	item(&l, (PartItem){ .type = PART_END, .col = 1 });
	item(&l, (PartItem){ .type = PART_BEGIN, .col = 3, .view = &text });
	item(&l, (PartItem){ .type = PART_PIECE,
						 .col = 3,
						 .piece = { (const uint8_t *) "\1\2", 2 } });
	item(&l, (PartItem){ .type = PART_END, .col = 3 });
	item(&l, (PartItem){ .type = PART_ROW_END });
	item(&l, (PartItem){ .type = PART_DONE });
	change.op = 'd';
	assert_true(csv_dms_format.add_head(l.writer, &change, &l.out, &err));
	item(&l, (PartItem){ .type = PART_ROW_OLD });
	item(&l, (PartItem){ .type = PART_VALUE, .col = 0, .view = &id });
	item(&l, (PartItem){ .type = PART_ROW_END });
	item(&l, (PartItem){ .type = PART_DONE });
	lab_done(&l, "U,7,\"a\"\"b,\",N,\"\\x0102\"\nD,7,N,N,N\n");
}

static void
test_refused(void **state)
{
	const FormatSource source = { .max_line = 100 };
	FormatReader *r = csv_dms_format.open(&source);
	Slice line;
	bool end;
	Err err;

	(void) state;
	assert_false(csv_dms_format.next(r, &line, &end, &err));
	assert_int_equal(err.kind, ERR_DATA);
	csv_dms_format.done(r);
	/* the suffix is csv's, whose reader takes it for what it is not */
	assert_string_equal(format_of_key("a/LOAD00000001-x-y.csv.gz")->name,
						"csv");
	assert_ptr_equal(format_find("csv-dms"), &csv_dms_format);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ops),     cmocka_unit_test(test_settings),
		cmocka_unit_test(test_quotes),  cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("csv_dms", tests, NULL, NULL);
}
