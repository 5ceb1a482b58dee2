/*-------------------------------------------------------------------------
 * test_describe.c
 *	  pipe/describe: the COPY that loads a table, and load ids.  What the
 *	  catalogs say is tested against a server in test/t.
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
#include "pipe/describe.h"

static void
set_column(SchemaColumn *c, const char *name, uint8_t kind)
{
	c->name = xstrdup(name);
	c->kind = kind;
}

/* Values of kind text as the output function prints them, others as stored. */
static void
test_copy(void **state)
{
	Schema *s = schema_new("pub\"lic", "a.b;--", 5);
	Buf sql;
	WantedTable t = { .schema = s->schema, .table = s->table, .whole = true };

	(void) state;
	set_column(&s->cols[0], "id", CDC_S3_KIND_INT4);
	set_column(&s->cols[1], "Or\"der", CDC_S3_KIND_TEXT);
	set_column(&s->cols[2], "n", CDC_S3_KIND_NUMERIC);
	set_column(&s->cols[3], "a", CDC_S3_KIND_TEXT);
	set_column(&s->cols[4], "j", CDC_S3_KIND_TEXT);
	s->cols[4].base_oid = 3802; /* jsonb */
	buf_init(&sql, SIZE_MAX);
	buf_str(&sql, "BEGIN; ");
	describe_copy(s, &t, (BlockRange){ 0 }, &sql);
	assert_string_equal(
		buf_cstr(&sql),
		"BEGIN; COPY (SELECT \"id\", "
		"CASE WHEN pg_catalog.num_nulls(\"Or\"\"der\") = 0 "
		"THEN pg_catalog.format('%s', \"Or\"\"der\") END, \"n\", "
		"CASE WHEN pg_catalog.num_nulls(\"a\") = 0 "
		"THEN pg_catalog.format('%s', \"a\") END, \"j\""
		" FROM ONLY \"pub\"\"lic\".\"a.b;--\") TO STDOUT (FORMAT binary)");
	buf_done(&sql);
	schema_free(s);
}

static void
test_copy_no_columns(void **state)
{
	Schema *s = schema_new("public", "empty", 0);
	WantedTable t = { .schema = s->schema, .table = s->table, .whole = true };
	Buf sql;

	(void) state;
	buf_init(&sql, SIZE_MAX);
	describe_copy(s, &t, (BlockRange){ 0 }, &sql);
	assert_string_equal(buf_cstr(&sql),
						"COPY (SELECT  FROM ONLY \"public\".\"empty\")"
						" TO STDOUT (FORMAT binary)");
	buf_done(&sql);
	schema_free(s);
}

/* A partitioned table, whole and without some of its partitions. */
static void
test_copy_partitions(void **state)
{
	Schema *s = schema_new("public", "root", 1);
	WantedLeaf leaves[] = { { 16400, 1 }, { UINT32_MAX, 2 } };
	WantedTable t = { .schema = s->schema,
					  .table = s->table,
					  .partitioned = true,
					  .whole = true,
					  .nleaves = 2,
					  .leaves = leaves };
	Buf sql;

	(void) state;
	set_column(&s->cols[0], "id", CDC_S3_KIND_INT4);
	buf_init(&sql, SIZE_MAX);
	describe_copy(s, &t, (BlockRange){ 0 }, &sql);
	assert_string_equal(buf_cstr(&sql),
						"COPY (SELECT \"id\" FROM \"public\".\"root\")"
						" TO STDOUT (FORMAT binary)");
	buf_reset(&sql);
	t.whole = false;
	describe_copy(s, &t, (BlockRange){ 0 }, &sql);
	assert_non_null(strstr(
		buf_cstr(&sql), " FROM \"public\".\"root\" WHERE tableoid "
						"OPERATOR(pg_catalog.=) ANY "
						"('{16400,4294967295}'::pg_catalog.oid[])) TO STDOUT"));
	buf_reset(&sql);
	describe_copy(s, &t, (BlockRange){ 7, UINT32_MAX }, &sql);
	assert_non_null(
		strstr(buf_cstr(&sql),
			   " FROM \"public\".\"root\" WHERE ctid OPERATOR(pg_catalog.>=)"
			   " '(7,0)'::pg_catalog.tid AND ctid OPERATOR(pg_catalog.<)"
			   " '(4294967295,0)'::pg_catalog.tid AND tableoid OPERATOR"));
	buf_reset(&sql);
	t.whole = true;
	describe_copy(s, &t, (BlockRange){ 0, 5 }, &sql);
	assert_non_null(strstr(buf_cstr(&sql),
						   " WHERE ctid OPERATOR(pg_catalog.<) "
						   "'(5,0)'::pg_catalog.tid) TO STDOUT"));
	buf_reset(&sql);
	describe_copy(s, &t, (BlockRange){ 5, 0 }, &sql);
	assert_non_null(strstr(buf_cstr(&sql),
						   " WHERE ctid OPERATOR(pg_catalog.>=) "
						   "'(5,0)'::pg_catalog.tid) TO STDOUT"));
	buf_done(&sql);
	schema_free(s);
}

static void
names_are(const char *list, const char *expected)
{
	Buf out;
	Err err;
	bool ok;

	buf_init(&out, SIZE_MAX);
	ok = wanted_names(list, &out, &err);
	assert_int_equal(ok, expected != NULL);
	if (expected)
		assert_string_equal(buf_cstr(&out), expected);
	buf_done(&out);
}

static void
test_names(void **state)
{
	(void) state;
	names_are(NULL, "{}");
	names_are("  ", "{}");
	names_are("Pub, other\t,\"Odd, \"\"One\\\"",
			  "{\"pub\",\"other\",\"Odd, \\\"One\\\\\"}");
	names_are("a,", NULL);
	names_are(",a", NULL);
	names_are("a b", NULL);
	names_are("\"a", NULL);
	names_are("\"\"", NULL);
}

static void
test_load_id(void **state)
{
	char first[LOAD_ID_LEN + 1];
	char second[LOAD_ID_LEN + 1];

	(void) state;
	load_id_new(NULL, first);
	load_id_new(NULL, second);
	assert_int_equal(strlen(first), LOAD_ID_LEN);
	assert_int_equal(strspn(first, "0123456789abcdef"), LOAD_ID_LEN);
	assert_string_not_equal(first, second);
	/* of a request, and of a load of that request again */
	load_id_new("0badf00d", first);
	load_id_new(first, second);
	assert_int_equal(strspn(second, "0123456789abcdef"), LOAD_ID_LEN);
	assert_memory_equal(second, "0badf00d", 8);
	assert_string_not_equal(first, second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_no_columns),
		cmocka_unit_test(test_copy_partitions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_load_id),
	};

	return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
