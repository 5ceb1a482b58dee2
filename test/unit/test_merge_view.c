/*-------------------------------------------------------------------------
 * test_merge_view.c
 *	  merge/merge_view, merge_name: columns of earlier schemas under the names
 *of now; names of what is kept.
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
#include "merge/merge_name.h"
#include "merge/merge_view.h"

/* A schema of the columns, each "name attnum". */
static Schema *
make(uint32_t relation_id, int n, const char *const *names, const int *attnums)
{
	Schema *s = schema_new("public", "t", n);

	s->relation_id = relation_id;
	for (int i = 0; i < n; i++)
	{
		s->cols[i].name = xstrdup(names[i]);
		s->cols[i].json_name = xstrdup(names[i]);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("text");
		s->cols[i].attnum = attnums[i];
	}
	return s;
}

static void
test_names(void **state)
{
	const char *old_names[] = { "id", "a", "b", "c", "d" };
	const int old_nums[] = { 1, 2, 3, 4, 5 };
	const char *now_names[] = { "id", "b", "a", "c" };
	const int now_nums[] = { 1, 2, 3, 6 };
	Schema *old = make(7, 5, old_names, old_nums);
	Schema *now = make(7, 4, now_names, now_nums);
	View v = { 0 };

	(void) state;
	view_keep(&v, 4, "c_dropped");
	view_through(&v, now, true, old);
	assert_string_equal(old->cols[0].name, "id");
	assert_string_equal(old->cols[1].name, "b");
	assert_string_equal(old->cols[2].name, "a");
	assert_string_equal(old->cols[3].name, "c_dropped");
	assert_string_equal(old->cols[4].name, ""); /* nowhere */
	assert_string_equal(old->cols[1].json_name, "a");
	view_through(&v, now, false, old);
	assert_string_equal(old->cols[3].name, "");
	view_done(&v);
	schema_free(old);
	schema_free(now);
}

static void
test_another_table(void **state)
{
	const char *old_names[] = { "a" };
	const char *now_names[] = { "b" };
	const int nums[] = { 1 };
	Schema *old = make(7, 1, old_names, nums);
	Schema *now = make(8, 1, now_names, nums);
	View v = { 0 };

	(void) state;
	view_through(&v, now, true, old);
	assert_string_equal(old->cols[0].name, "a");
	schema_free(old);
	schema_free(now);
}

static void
test_missing(void **state)
{
	SchemaColumn c = { .attnum = 2, .missing = (char *) "own" };
	View v = { 0 };

	(void) state;
	assert_string_equal(view_missing(&v, &c), "own");
	view_add_missing(&v, 2, "first");
	assert_string_equal(view_missing(&v, &c), "first");
	c.attnum = 3;
	c.missing = NULL;
	assert_null(view_missing(&v, &c));
	view_done(&v);
}

static void
test_dropped(void **state)
{
	char long_name[64];
	char *name = name_dropped("orders", 0x16B374D8);

	(void) state;
	assert_string_equal(name, "orders_dropped_0000000016B374D8");
	free(name);
	memset(long_name, 'x', 63);
	long_name[63] = '\0';
	name = name_dropped(long_name, 1);
	assert_int_equal(strlen(name), 63);
	free(name);
	for (int i = 0; i + 1 < 63; i += 2) /* letters of two bytes */
		memcpy(long_name + i, "\xC3\xA4", 2);
	long_name[62] = '\0';
	name = name_dropped(long_name, 1);
	assert_int_equal(strlen(name), 63);
	assert_string_equal(strrchr(name, '\xA4') + 1, "_dropped_0000000000000001");
	memcpy(long_name, "x", 1); /* the cut falls into a letter */
	memmove(long_name + 1, long_name + 2, 60);
	free(name);
	name = name_dropped(long_name, 1);
	assert_int_equal(strlen(name), 62);
	assert_string_equal(strrchr(name, '\xA4') + 1, "_dropped_0000000000000001");
	free(name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_another_table),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
