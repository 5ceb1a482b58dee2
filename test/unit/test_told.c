/*-------------------------------------------------------------------------
 * test_told.c
 *	  pipe/told: what entries say of tables, once each, where it happened.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "pipe/told.h"

#define MANY 5000 /* more ends of unknown tables than are said */

typedef struct Lab
{
	RunOptions options;
	Pipe pipe;
	Told *told;
	Checkpoint *c;
	int ntables;
	Table *tables[8];
} Lab;

static void
lab_init(Lab *l)
{
	*l = (Lab){ 0 };
	log_init(LOG_ERROR, false);
	l->options.format = &json_format;
	l->pipe.options = &l->options;
	l->told = told_new();
	l->c = checkpoint_new(5);
}

static void
lab_done(Lab *l)
{
	told_free(l->told);
	checkpoint_free(l->c);
	for (int i = 0; i < l->ntables; i++)
		table_free(l->tables[i]);
}

/* A version of a table. */
static Table *
table(Lab *l, uint32_t id, const char *name)
{
	Schema *s = schema_new("public", name, 0);
	Table *t;

	s->relation_id = id;
	s->row_type = id + 1;
	s->identity = 'd';
	schema_finish(s);
	t = table_new(&l->pipe, s);
	schema_free(s);
	l->tables[l->ntables++] = t;
	return t;
}

static void
say(Lab *l, Table *t, Lsn lsn, int64_t seq)
{
	if (!told_last(t))
		told_table(l->told, t, (Position){ lsn, seq }, false);
}

/* What the entry says, one item after the other: name id lsn/seq flags. */
static void
check_items(const Lab *l, const char *want)
{
	Buf b;

	buf_init(&b, SIZE_MAX);
	for (int i = 0; i < l->c->entry->nschemas; i++)
	{
		const EntrySchema *s = &l->c->entry->schemas[i];

		assert_int_equal(strlen(s->hash),
						 s->gone || s->left ? 0 : SCHEMA_HASH_LEN);
		if (s->hash[0])
			assert_int_equal(s->row_type, s->relation_id + 1);
		buf_printf(&b, "%s%s %u %d/%d%s%s%s", i ? ", " : "", s->table,
				   s->relation_id, (int) s->lsn, (int) s->seq,
				   s->created ? " created" : "", s->gone ? " gone" : "",
				   s->left ? " left" : "");
	}
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

/* Said once; and again whenever it is not what was said last. */
static void
test_changes(void **state)
{
	Lab l;
	Table *a, *b, *other;

	(void) state;
	lab_init(&l);
	a = table(&l, 1, "a");
	b = table(&l, 1, "b");
	other = table(&l, 2, "a");
	say(&l, a, 10, 1);
	say(&l, a, 10, 2);
	say(&l, other, 10, 3);
	say(&l, a, 20, 1);
	say(&l, b, 20, 2);
	say(&l, other, 20, 3);
	say(&l, b, 20, 4);
	say(&l, a, 30, 1);
	assert_true(told_last(a) && !told_last(b) && told_last(other));
	told_take(l.told, 30, l.c);
	check_items(&l, "a 1 10/1, a 2 10/3, b 1 20/2, a 1 30/1");
	lab_done(&l);
}

/* Made in this transaction is said also where nothing differs. */
static void
test_created(void **state)
{
	Lab l;
	Table *a;

	(void) state;
	lab_init(&l);
	a = table(&l, 1, "a");
	told_table(l.told, a, (Position){ 10, 1 }, true);
	say(&l, a, 10, 1);
	told_table(l.told, a, (Position){ 20, 1 }, false);
	told_table(l.told, a, (Position){ 30, 1 }, true);
	told_take(l.told, 30, l.c);
	check_items(&l, "a 1 10/1 created, a 1 30/1 created");
	lab_done(&l);
}

/* An end has the last name; behind it the table is said again. */
static void
test_ends(void **state)
{
	Lab l;
	Table *a, *b;

	(void) state;
	lab_init(&l);
	a = table(&l, 1, "a");
	b = table(&l, 1, "b");
	say(&l, a, 10, 1);
	told_end(l.told, 1, false, (Position){ 10, 2 });
	assert_false(told_last(a));
	say(&l, a, 20, 1);
	say(&l, b, 20, 2);
	told_end(l.told, 1, true, (Position){ 30, 1 });
	told_end(l.told, 7, true, (Position){ 30, 2 });
	told_end(l.told, 8, false, (Position){ 30, 3 });
	told_take(l.told, 30, l.c);
	check_items(&l, "a 1 10/1, a 1 10/2 left, a 1 20/1, b 1 20/2, "
					"b 1 30/1 gone,  7 30/2 gone,  8 30/3 left");
	lab_done(&l);
}

/* A table that became a partition has left, if it was one. */
static void
test_partition(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	say(&l, table(&l, 1, "a"), 10, 1);
	assert_false(told_partition(l.told, 2, (Position){ 10, 2 }));
	assert_true(told_partition(l.told, 1, (Position){ 10, 3 }));
	assert_false(told_partition(l.told, 1, (Position){ 10, 4 }));
	told_take(l.told, 10, l.c);
	check_items(&l, "a 1 10/1, a 1 10/3 left");
	lab_done(&l);
}

/* Whose rows went with a partition; not once that table has ended. */
static void
test_detached(void **state)
{
	Lab l;
	Table *root;
	Table *later;

	(void) state;
	lab_init(&l);
	root = table(&l, 1, "a");
	later = table(&l, 1, "b");
	say(&l, root, 10, 1);
	told_leaf(l.told, 5, root);
	told_leaf(l.told, 6, root);
	told_leaf(l.told, 7, root);
	assert_null(told_detached(l.told, 4));
	assert_ptr_equal(told_detached(l.told, 5), root);
	assert_null(told_detached(l.told, 5)); /* once */
	say(&l, later, 10, 2);
	assert_ptr_equal(told_detached(l.told, 6), later);
	told_end(l.told, 1, true, (Position){ 20, 1 });
	assert_null(told_detached(l.told, 7));
	lab_done(&l);
}

/* What comes behind the entry's end waits for the next one. */
static void
test_until(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	assert_false(told_waits(l.told, UINT64_MAX));
	say(&l, table(&l, 1, "a"), 10, 1);
	say(&l, table(&l, 2, "b"), 20, 1);
	say(&l, table(&l, 3, "c"), 20, 2);
	assert_false(told_waits(l.told, 9));
	assert_true(told_waits(l.told, 10));
	told_take(l.told, 9, l.c);
	check_items(&l, "");
	told_take(l.told, 19, l.c);
	check_items(&l, "a 1 10/1");
	assert_false(told_waits(l.told, 19));
	told_take(l.told, 20, l.c);
	check_items(&l, "a 1 10/1, b 2 20/1, c 3 20/2");
	assert_false(told_waits(l.told, UINT64_MAX));
	lab_done(&l);
}

/* The schema file is written before the entry, unless an object brought it. */
static void
test_files(void **state)
{
	Lab l;
	Table *a, *b, *again;

	(void) state;
	lab_init(&l);
	a = table(&l, 1, "a");
	b = table(&l, 2, "b");
	again = table(&l, 1, "again");
	say(&l, a, 10, 1);
	say(&l, b, 10, 2);
	assert_true(a->file_due && b->file_due);
	b->file_due = false; /* an object took it */
	told_take(l.told, 10, l.c);
	assert_int_equal(l.c->ntables, 1);
	assert_ptr_equal(l.c->tables[0], a);
	assert_false(a->file_due);
	say(&l, again, 20, 1);
	say(&l, a, 20, 2);
	told_take(l.told, 20, l.c);
	assert_int_equal(l.c->ntables, 2);
	assert_ptr_equal(l.c->tables[1], again);
	lab_done(&l);
}

/* Ends of tables that nobody knows are bounded in an entry; others are not. */
static void
test_strangers(void **state)
{
	Lab l;
	int n;

	(void) state;
	lab_init(&l);
	say(&l, table(&l, 1, "a"), 10, 1);
	for (uint32_t i = 0; i < MANY; i++)
		told_end(l.told, 100 + i, true, (Position){ 10, 2 + i });
	told_end(l.told, 1, true, (Position){ 10, 2 + MANY });
	told_take(l.told, 10, l.c);
	n = l.c->entry->nschemas;
	assert_true(n > 1000 && n < MANY);
	assert_string_equal(l.c->entry->schemas[n - 1].table, "a");
	assert_true(l.c->entry->schemas[n - 1].gone);
	told_end(l.told, 50, true, (Position){ 20, 1 });
	told_take(l.told, 20, l.c);
	assert_int_equal(l.c->entry->nschemas, n + 1);
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),  cmocka_unit_test(test_created),
		cmocka_unit_test(test_ends),     cmocka_unit_test(test_partition),
		cmocka_unit_test(test_detached), cmocka_unit_test(test_until),
		cmocka_unit_test(test_files),    cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests_name("told", tests, NULL, NULL);
}
