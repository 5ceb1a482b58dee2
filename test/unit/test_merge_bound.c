/*-------------------------------------------------------------------------
 * test_merge_bound.c
 *	  merge/merge_bound: bounds of partitions as conditions at the target.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "merge/merge_bound.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static Schema *
make_schema(void)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
	} cols[] = {
		{ "at", CDC_S3_KIND_DATE },       { "id", CDC_S3_KIND_INT8 },
		{ "region", CDC_S3_KIND_STRING }, { "Odd \"name", CDC_S3_KIND_INT4 },
		{ "ts", CDC_S3_KIND_TIMESTAMP },  { "b", CDC_S3_KIND_BOOL },
		{ "net", CDC_S3_KIND_TEXT },      { "notes", CDC_S3_KIND_INT2 },
	};
	Schema *s = schema_new("public", "t", COUNT(cols));

	for (size_t i = 0; i < COUNT(cols); i++)
	{
		s->cols[i].name = xstrdup(cols[i].name);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("whatever");
		s->cols[i].kind = cols[i].kind;
	}
	schema_finish(s);
	return s;
}

/* As pg_get_partition_constraintdef() and the plugin write them. */
static const struct
{
	const char *bound;
	const char *want; /* NULL: cannot be said */
} rows[] = {
	{ "((at IS NOT NULL) AND (at >= '2026-02-01'::date) AND "
	  "(at < '2026-03-01'::date))",
	  "((\"at\" IS NOT NULL) AND (\"at\"::pg_catalog.date >= E'2026-02-01') "
	  "AND (\"at\"::pg_catalog.date < E'2026-03-01'))" },
	{ "((id IS NOT NULL) AND (id >= '-5'::bigint) AND (id < 100))",
	  "((\"id\" IS NOT NULL) AND (\"id\"::pg_catalog.int8 >= E'-5') AND "
	  "(\"id\"::pg_catalog.int8 < E'100'))" },
	{ "((region IS NOT NULL) AND (region = ANY (ARRAY['eu'::text, "
	  "'it''s'::text])))",
	  "((\"region\" IS NOT NULL) AND (\"region\" IN (E'eu', E'it''s')))" },
	{ "(((region)::text = ANY ((ARRAY['a'::character varying, "
	  "'b'::character varying(10)])::text[])) OR (region IS NULL))",
	  "((\"region\" IN (E'a', E'b')) OR (\"region\" IS NULL))" },
	{ "(region = E'back\\\\slash'::text)", "(\"region\" = E'back\\\\slash')" },
	{ "(region = 'plain \\'::text)", "(\"region\" = E'plain \\\\')" },
	{ "(\"Odd \"\"name\" = 5)", "(\"Odd \"\"name\"::pg_catalog.int4 = E'5')" },
	{ "(ts >= '2026-01-01 00:00:00'::timestamp(3) without time zone)",
	  "(\"ts\"::pg_catalog.timestamp >= E'2026-01-01 00:00:00')" },
	{ "((b IS NOT NULL) AND (b = true))",
	  "((\"b\" IS NOT NULL) AND (\"b\"::pg_catalog.bool = E'true'))" },
	{ "(NOT ((id IS NOT NULL) AND ((id < 1) OR ((id = 1) AND "
	  "(at >= '2026-01-01'::date)))))",
	  "(NOT ((\"id\" IS NOT NULL) AND ((\"id\"::pg_catalog.int8 < E'1') OR "
	  "((\"id\"::pg_catalog.int8 = E'1') AND "
	  "(\"at\"::pg_catalog.date >= E'2026-01-01')))))" },
	{ "notes = 1 and id <= 2", "\"notes\"::pg_catalog.int2 = E'1' AND "
							   "\"id\"::pg_catalog.int8 <= E'2'" },
	/* what another server may order otherwise, or not know */
	{ "((region >= 'a'::text) AND (region < 'm'::text))", NULL },
	{ "(region = 'a'::text COLLATE \"C\")", NULL },
	{ "(net = '10.0.0.0/8'::cidr)", NULL },
	{ "satisfies_hash_partition('16385'::oid, 4, 0, id)", NULL },
	{ "(date_trunc('month'::text, ts) = '2026-01-01'::timestamp)", NULL },
	{ "(lower(region) = 'a'::text)", NULL },
	{ "(missing = 1)", NULL },
	/* what no server writes */
	{ "", NULL },
	{ " ", NULL },
	{ "(", NULL },
	{ "(id = 1", NULL },
	{ "(id = 1))", NULL },
	{ "id = 1; DROP TABLE t", NULL },
	{ "(id = (SELECT 1))", NULL },
	{ "(id = 1) OR pg_sleep(1)", NULL },
	{ "(id = '1' || '2')", NULL },
	{ "(region = 'open", NULL },
	{ "(region = E'a\\'::text)", NULL },
	{ "(region = E'\\' OR true)", NULL },
	{ "(id = ANY (ARRAY[]))", NULL },
	{ "(id = ANY (ARRAY[1))", NULL },
	{ "(id =)", NULL },
	{ "(id IS)", NULL },
	{ "(id IS NOT)", NULL },
	{ "(\"id)", NULL },
	{ "(id = 1::)", NULL },
	{ "(id = 1) AND", NULL },
	{ "NOT", NULL },
};

static void
test_bounds(void **state)
{
	Schema *s = make_schema();

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Buf out;
		bool ok;

		buf_init(&out, 1 << 16);
		ok = bound_to_sql(slice_cstr(rows[i].bound), s, &out);
		if (ok != (rows[i].want != NULL) ||
			strcmp(buf_cstr(&out), ok ? rows[i].want : "") != 0)
			fail_msg("%s:\nwant %s\ngot  %s", rows[i].bound,
					 rows[i].want ? rows[i].want : "nothing", buf_cstr(&out));
		buf_done(&out);
	}
	schema_free(s);
}

/* Cut anywhere, in memory of just that size: refused, or a shorter one. */
static void
test_cut(void **state)
{
	Schema *s = make_schema();

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		for (size_t n = 0; n < strlen(rows[i].bound); n++)
		{
			uint8_t *exact = xmalloc(n + 1);
			Buf out;

			memcpy(exact, rows[i].bound, n);
			exact = xrealloc(exact, n ? n : 1);
			buf_init(&out, 1 << 16);
			if (bound_to_sql((Slice){ exact, n }, s, &out))
				assert_true(out.n > 0);
			else
				assert_int_equal(out.n, 0);
			buf_done(&out);
			free(exact);
		}
	}
	schema_free(s);
}

static void
test_deep(void **state)
{
	static const char *const opening[] = { "(", "NOT ", "((id" };
	Schema *s = make_schema();

	(void) state;
	for (size_t i = 0; i < COUNT(opening); i++)
	{
		Buf deep;
		Buf out;

		buf_init(&deep, 1 << 22);
		buf_init(&out, 1 << 16);
		for (int k = 0; k < 100000; k++)
			buf_str(&deep, opening[i]);
		assert_false(bound_to_sql(buf_slice(&deep), s, &out));
		buf_done(&deep);
		buf_done(&out);
	}
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests_name("merge_bound", tests, NULL, NULL);
}
