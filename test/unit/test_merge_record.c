/*-------------------------------------------------------------------------
 * test_merge_record.c
 *	  merge/merge_record and merge_value: a record line along its schema, and
 *	  its values as fields of COPY.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "merge/merge_record.h"
#include "merge/merge_value.h"

#define META "\"_op\":\"u\",\"_lsn\":\"0000000016B374D8\",\"_seq\":3"

static Schema *
make_schema(void)
{
	static const struct
	{
		const char *name;
		uint32_t oid;
	} cols[] = { { "id", 23 }, { "_seq", 25 }, { "j", 3802 }, { "t", 25 } };
	Schema *s = schema_new("public", "t", 4);

	for (int i = 0; i < 4; i++)
	{
		s->cols[i].name = xstrdup(cols[i].name);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("x");
		s->cols[i].type_oid = s->cols[i].base_oid = cols[i].oid;
		s->cols[i].kind = 16;
	}
	s->cols[0].key = true;
	s->cols[0].pk = 1;
	s->identity = 'd';
	schema_finish(s);
	return s;
}

static void
parts(void **state)
{
	static const char line[] =
		"{\"_key\":{\"id\":6},\"t\":\"x\",\"id\":7,\"_seq_\":\"own\","
		"\"_unchanged\":[\"t\"],\"j\":null,\"_jsonnull\":[\"j\"],"
		"\"_before\":{\"t\":\"old\"},\"_later\":{\"any\":[1]}," META "}";
	Schema *s = make_schema();
	Record r;
	Err err;

	(void) state;
	record_init(&r);
	assert_true(record_parse(&r, s, slice_cstr(line), &err));
	assert_int_equal(r.op, 'u');
	assert_int_equal(r.pos.lsn, 0x16B374D8);
	assert_int_equal(r.pos.seq, 3);
	assert_int_equal(r.row[0].state, FIELD_VALUE);
	assert_int_equal(r.row[1].state, FIELD_VALUE);
	assert_int_equal(r.row[2].state, FIELD_NULL_JSON);
	assert_int_equal(r.row[3].state, FIELD_UNCHANGED);
	assert_true(r.has_key && r.has_before && !r.no_key && !r.partial);
	assert_int_equal(r.key[0].state, FIELD_VALUE);
	assert_int_equal(r.key[3].state, FIELD_ABSENT);
	assert_int_equal(r.before[3].state, FIELD_VALUE);
	/* the next line begins anew */
	assert_true(record_parse(&r, s,
							 slice_cstr("{\"_op\":\"d\",\"_lsn\":\"0/1\","
										"\"_seq\":1,\"id\":7,\"_nokey\":true}"),
							 &err));
	assert_true(!r.has_key && !r.has_before && r.no_key);
	assert_int_equal(r.row[3].state, FIELD_ABSENT);
	record_done(&r);
	schema_free(s);
}

static void
refused(void **state)
{
	static const char *const lines[] = {
		"{\"id\":1,\"_seq_\":null,\"j\":null,\"t\":null}",
		"{\"_op\":\"y\",\"_lsn\":\"0/1\",\"_seq\":1}",
		"{\"_op\":\"t\",\"_lsn\":\"zz\",\"_seq\":1}",
		"{\"_op\":\"t\",\"_lsn\":\"0/1\",\"_seq\":-1}",
		"{\"_op\":\"t\",\"_lsn\":\"0/1\",\"_seq\":\"1\"}",
		"{" META ",\"id\":1,\"_seq_\":null,\"j\":null}",
		"{" META ",\"id\":1,\"_seq_\":null,\"j\":null,\"t\":1,\"other\":1}",
		"{" META ",\"id\":1,\"_seq_\":1,\"j\":1,\"_unchanged\":[\"no\"]}",
		"{" META ",\"id\":1,\"_seq_\":1,\"j\":1,\"_unchanged\":\"t\"}",
		"{\"_op\":\"d\",\"_lsn\":\"0/1\",\"_seq\":1}",
	};
	Schema *s = make_schema();
	Record r;
	Err err;

	(void) state;
	record_init(&r);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
	{
		if (record_parse(&r, s, slice_cstr(lines[i]), &err))
			fail_msg("%s was read", lines[i]);
		assert_int_equal(err.kind, ERR_DATA);
	}
	record_done(&r);
	schema_free(s);
}

/* What is said of a line at a glance is what its reading says. */
static void
glances(void **state)
{
#define FRONT "{" META ",\"_xid\":7,\"_ts\":\"now\""
	static const struct
	{
		const char *line;
		bool simple;
	} cases[] = {
		{ FRONT ",\"id\":1,\"a\":\"x\",\"b\":\"y\"}", true },
		{ FRONT ",\"id\":1,\"a\":\"x_y\",\"b\":\"_\"}", false },
		{ FRONT ",\"id\":1,\"a\":\"x_y\",\"b\":\"z _\"}", true },
		{ FRONT ",\"id\":1,\"a\":\"x\",\"_unchanged\":[\"b\"]}", false },
		{ FRONT ",\"_unchanged\":[\"b\"],\"id\":1,\"a\":\"x\"}", false },
		{ FRONT ",\"id\":1,\"a\":1,\"b\":1,\"_key\":{\"id\":2}}", false },
		{ FRONT ",\"id\":1,\"a\":1,\"b\":1, \"_key\":{\"id\":2}}", false },
		{ FRONT ",\"id\":1,\"a\":1,\"b\":1,\"\\u005fkey\":{\"id\":2}}", false },
		{ FRONT ",\"_nokey\":true,\"id\":1,\"a\":1,\"b\":1}", false },
		{ FRONT ",\"a\":1,\"id\":1,\"b\":1}", false },
		{ FRONT ", \"id\":1,\"a\":1,\"b\":1}", false },
		{ FRONT ",\"id\":1,\"a\":1,\"b\":1} ", false },
		{ FRONT ",\"id\":,\"a\":1,\"b\":1}", false },
		{ "{\"_op\":\"d\",\"_lsn\":\"0/1\",\"_seq\":1,\"id\":1}", false },
		{ "{\"_op\":\"t\",\"_lsn\":\"0/1\",\"_seq\":1,\"id\":1}", false },
		{ "{\"_op\":\"u\",\"_lsn\":\"0/1\",\"id\":1,\"a\":1,\"b\":1}", false },
		{ "{\"_lsn\":\"0/1\",\"_seq\":1,\"id\":1,\"a\":1,\"b\":1}", false },
		{ "", false },
		{ "}", false },
	};
	static const char *const names[] = { "id", "a", "b" };
	Schema *s = schema_new("public", "t", 3);
	Record r;

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		s->cols[i].name = xstrdup(names[i]);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("x");
		s->cols[i].kind = 16;
	}
	schema_finish(s);
	record_init(&r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Slice line = slice_cstr(cases[i].line);

		if (record_peek(&r, s, 1, line) != cases[i].simple)
			fail_msg("%s", cases[i].line);
		if (!cases[i].simple)
			continue;
		assert_int_equal(r.op, 'u');
		assert_int_equal(r.pos.lsn, 0x16B374D8);
		assert_int_equal(r.pos.seq, 3);
		assert_int_equal(r.row[0].state, FIELD_VALUE);
		assert_int_equal(r.row[0].value.text.p[0], '1');
		assert_int_equal(r.row[1].state, FIELD_ABSENT);
	}
	record_done(&r);
	schema_free(s);
#undef FRONT
}

static void
values(void **state)
{
	static const struct
	{
		uint32_t oid;
		JsonKind kind;
		const char *json;
		bool null_json;
		const char *copy;
	} cases[] = {
		{ 23, JSON_NULL, "null", false, "\\N" },
		{ 3802, JSON_NULL, "null", true, "null" },
		{ 1700, JSON_NUMBER, "1.10", false, "1.10" },
		{ 16, JSON_TRUE, "true", false, "true" },
		{ 25, JSON_STRING, "\"\\\\N\"", false, "\\\\N" },
		{ 25, JSON_STRING, "\"a\\tb\\nc\\\\\"", false, "a\\tb\\nc\\\\" },
		{ 17, JSON_STRING, "\"\\\\x00ff\"", false, "\\\\x00ff" },
		{ 114, JSON_STRING, "\"a\\n\"", false, "\"a\\\\n\"" },
		{ 3802, JSON_ARRAY, "[1, \"x\"]", false, "[1, \"x\"]" },
		{ 1082, JSON_STRING, "\"-0043-03-15\"", false, "0044-03-15 BC" },
		{ 1082, JSON_STRING, "\"0000-01-01\"", false, "0001-01-01 BC" },
		{ 1082, JSON_STRING, "\"0001-01-01\"", false, "0001-01-01" },
		{ 1082, JSON_STRING, "\"-infinity\"", false, "-infinity" },
		{ 1082, JSON_STRING, "\"+12026-01-01\"", false, "12026-01-01" },
		{ 1082, JSON_STRING, "\"\"", false, "" },
		{ 25, JSON_STRING, "\"-0043-03-15\"", false, "-0043-03-15" },
		{ 1184, JSON_STRING, "\"-4712-01-01T01:02:03.5Z\"", false,
		  "4713-01-01 01:02:03.5+00 BC" },
		{ 1007, JSON_ARRAY, "[1,null,-2]", false, "{1,NULL,-2}" },
		{ 1000, JSON_ARRAY, "[true,false]", false, "{t,f}" },
		{ 1009, JSON_ARRAY, "[\"a\\\"\\\\\",\"NULL\",null]", false,
		  "{\"a\\\\\"\\\\\\\\\",\"NULL\",NULL}" },
		{ 1182, JSON_ARRAY, "[\"-0043-03-15\"]", false, "{\"0044-03-15 BC\"}" },
		{ 1009, JSON_STRING, "\"[0:0]={a}\"", false, "[0:0]={a}" },
	};
	Buf out;
	Buf scratch;
	Err err;

	(void) state;
	buf_init(&out, 1000);
	buf_init(&scratch, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char name[] = "c";
		SchemaColumn col = { .name = name, .base_oid = cases[i].oid };
		const char *json = cases[i].json;
		JsonValue v = { cases[i].kind, strchr(json, '\\') != NULL,
						slice_cstr(json), slice_cstr(json) };

		buf_reset(&out);
		assert_true(
			value_add_copy(&out, &col, &v, cases[i].null_json, &scratch, &err));
		assert_string_equal(buf_cstr(&out), cases[i].copy);
	}
	buf_done(&out);
	buf_done(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(refused),
		cmocka_unit_test(glances),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
