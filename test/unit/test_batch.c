/*-------------------------------------------------------------------------
 * test_batch.c
 *	  pipe/batch: rows, the mark of the open transaction, splitting there,
 *	  and the budget.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/json.h"
#include "pipe/batch_read.h"

#define HOUR 498680 /* 2026-11-21 08:00 UTC */

typedef struct Lab
{
	RunOptions options;
	Pipe pipe;
	Table *table;
} Lab;

static void
lab_init(Lab *l)
{
	Schema *s = schema_new("public", "_t", 0);

	s->identity = 'd';
	schema_finish(s);
	*l = (Lab){ .options = { .compression = COMPRESS_ZSTD,
							 .format = &json_format } };
	l->pipe.options = &l->options;
	budget_init(&l->pipe.budget, 1000000);
	l->table = table_new(&l->pipe, s);
	assert_string_equal(l->table->schema, "public");
	assert_string_equal(l->table->hash, s->hash);
	schema_free(s);
}

static void
lab_done(Lab *l)
{
	assert_int_equal(budget_used(&l->pipe.budget), 0);
	budget_done(&l->pipe.budget);
	table_free(l->table);
}

/* A row of transaction txn, which commits at txn * 100. */
static void
add(Lab *l, Batch *b, uint64_t txn, int64_t seq)
{
	BatchTxn head = { txn * 100, (uint32_t) txn, 0 };
	BatchRows rows = { .seq = seq, .n = 1, .type = CDC_S3_INSERT };

	batch_add_rows(&l->pipe, b, txn, &head, &rows, (const uint8_t *) "");
}

/* Rows in the buffer, as "txn:seq …". */
static const char *
rows_of(const Batch *b)
{
	static char text[1000];
	BatchReader *r = batch_reader_new(ROW_WHOLE_MAX);
	FramePart *part = NULL;
	size_t n = 0;
	int64_t rows = 0;
	BatchItem item;
	Err err;

	text[0] = '\0';
	batch_reader_open(r, b);
	for (;;)
	{
		assert_true(batch_reader_next(r, &part, &item, &err));
		if (item.type == ITEM_END)
			break;
		assert_int_equal(item.type, ITEM_CHANGE);
		assert_int_equal(item.change.op, 'i');
		assert_int_equal(item.change.lsn, item.change.xid * 100);
		assert_non_null(item.change.row);
		assert_null(item.change.old);
		n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%u:%d",
							   n ? " " : "", item.change.xid,
							   (int) item.change.seq);
		rows++;
	}
	assert_null(part);
	batch_reader_free(r);
	assert_int_equal(rows, b->rows);
	return text;
}

static void
check_ends(const Batch *b, Lsn first_lsn, int64_t first_seq, Lsn last_lsn,
		   int64_t last_seq)
{
	assert_true(b->first.lsn == first_lsn && b->first.seq == first_seq);
	assert_true(b->last.lsn == last_lsn && b->last.seq == last_seq);
}

static void
test_rows(void **state)
{
	Lab l;
	Batch *b;

	(void) state;
	lab_init(&l);
	b = batch_new(l.table, HOUR);
	assert_int_equal(budget_used(&l.pipe.budget), 0);
	add(&l, b, 1, 1);
	add(&l, b, 1, 5);
	add(&l, b, 2, 2);
	assert_string_equal(rows_of(b), "1:1 1:5 2:2");
	check_ends(b, 100, 1, 200, 2);
	batch_free(&l.pipe, b);
	batch_free(&l.pipe, NULL);
	lab_done(&l);
}

/* Charged by what is allocated, and given back. */
static void
test_budget(void **state)
{
	Lab l;
	Batch *b;
	Batch *tail;

	(void) state;
	lab_init(&l);
	b = batch_new(l.table, HOUR);
	for (int i = 1; i <= 200; i++)
	{
		add(&l, b, (uint64_t) i / 150 + 1, i);
		assert_int_equal(budget_used(&l.pipe.budget),
						 b->buf.cap + sizeof(Batch));
	}
	tail = batch_split(&l.pipe, b, 2);
	assert_non_null(tail);
	assert_int_equal(budget_used(&l.pipe.budget),
					 b->buf.cap + tail->buf.cap + 2 * sizeof(Batch));
	batch_free(&l.pipe, b);
	assert_int_equal(budget_used(&l.pipe.budget),
					 tail->buf.cap + sizeof(Batch));
	batch_free(&l.pipe, tail);
	lab_done(&l);
}

/* The open transaction's rows go, whatever was before them. */
static void
test_split(void **state)
{
	static const struct
	{
		const char *name;
		int before, open; /* rows of transactions 1 and 2 */
		uint64_t split;
		const char *head, *tail; /* tail NULL: no split */
	} rows[] = {
		{ "nothing there", 0, 0, 2, "", NULL },
		{ "nothing open", 2, 0, 2, "1:1 1:2", NULL },
		{ "all open", 0, 2, 2, "", "2:1 2:2" },
		{ "both", 2, 2, 2, "1:1 1:2", "2:1 2:2" },
		{ "one of each", 1, 1, 2, "1:1", "2:1" },
		{ "another one is open", 2, 2, 3, "1:1 1:2 2:1 2:2", NULL },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		Batch *tail;
		Batch *b;
		Lab l;

		lab_init(&l);
		b = batch_new(l.table, HOUR);
		for (int k = 1; k <= rows[i].before; k++)
			add(&l, b, 1, k);
		for (int k = 1; k <= rows[i].open; k++)
			add(&l, b, 2, k);
		tail = batch_split(&l.pipe, b, rows[i].split);
		assert_int_equal(tail != NULL, rows[i].tail != NULL);
		if (strcmp(rows_of(b), rows[i].head) != 0)
			fail_msg("%s: head %s", rows[i].name, rows_of(b));
		if (rows[i].head[0] && tail)
			check_ends(b, 100, 1, 100, rows[i].before);
		if (tail)
		{
			if (strcmp(rows_of(tail), rows[i].tail) != 0)
				fail_msg("%s: tail %s", rows[i].name, rows_of(tail));
			check_ends(tail, 200, 1, 200, rows[i].open);
			assert_ptr_equal(tail->table, l.table);
			assert_int_equal(tail->folder, HOUR);
			/* there is no more of it here */
			assert_null(batch_split(&l.pipe, b, rows[i].split));
		}
		batch_free(&l.pipe, b);
		batch_free(&l.pipe, tail);
		lab_done(&l);
	}
}

/* The tail goes on: it can be split again, and so can its next one. */
static void
test_split_again(void **state)
{
	Batch *second;
	Batch *third;
	Batch *b;
	Lab l;

	(void) state;
	lab_init(&l);
	b = batch_new(l.table, HOUR);
	add(&l, b, 1, 1);
	add(&l, b, 2, 1);
	second = batch_split(&l.pipe, b, 2);
	add(&l, second, 2, 2);
	check_ends(second, 200, 1, 200, 2);
	third = batch_split(&l.pipe, second, 2); /* all of it is still open */
	assert_string_equal(rows_of(second), "");
	assert_string_equal(rows_of(third), "2:1 2:2");
	check_ends(third, 200, 1, 200, 2);
	batch_free(&l.pipe, second);
	add(&l, third, 3, 7);
	second = batch_split(&l.pipe, third, 3);
	assert_string_equal(rows_of(third), "2:1 2:2");
	check_ends(third, 200, 1, 200, 2);
	check_ends(second, 300, 7, 300, 7);
	/* emptied, a batch begins anew */
	batch_free(&l.pipe, b);
	b = second;
	second = batch_split(&l.pipe, b, 3);
	add(&l, b, 4, 9);
	check_ends(b, 400, 9, 400, 9);
	batch_free(&l.pipe, b);
	batch_free(&l.pipe, second);
	batch_free(&l.pipe, third);
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_again),
	};

	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
