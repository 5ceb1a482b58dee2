/*-------------------------------------------------------------------------
 * test_schema.c
 *	  codec/schema: names in records, the file's bytes, damage.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/schema.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ODD "q\"u\\o\x01\n\x7f\xc3\xa9"

static void
set_column(SchemaColumn *c, const char *name, uint8_t kind)
{
	c->name = xstrdup(name);
	c->type_schema = xstrdup("pg_catalog");
	c->type_name = xstrdup("int4");
	c->kind = kind;
	c->type_oid = c->base_oid = 23;
	c->typmod = -1;
	c->attnum = 1;
}

static Schema *
one_column(const char *name)
{
	Schema *s = schema_new("public", "t", 1);

	s->identity = 'd';
	set_column(&s->cols[0], name, CDC_S3_KIND_INT4);
	schema_finish(s);
	return s;
}

static char *
encode(const Schema *s)
{
	Buf b;
	char *text;

	buf_init(&b, SCHEMA_FILE_MAX);
	schema_encode(s, &b);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

static void
test_json_names(void **state)
{
	static const struct
	{
		const char *name, *want;
	} rows[] = {
		{ "id", "id" },
		{ "_op", "_op_" },
		{ "_op_", "_op__" },
		{ "_op____", "_op_____" },
		{ "_lsn", "_lsn_" },
		{ "_seq", "_seq_" },
		{ "_xid", "_xid_" },
		{ "_ts", "_ts_" },
		{ "_unchanged", "_unchanged_" },
		{ "_key", "_key_" },
		{ "_before", "_before_" },
		{ "_nokey", "_nokey_" },
		{ "_moved", "_moved_" },
		{ "_withheld", "_withheld_" },
		{ "_jsonnull", "_jsonnull_" },
		{ "_partial", "_partial_" },
		{ "year", "year_" },
		{ "month", "month_" },
		{ "day", "day_" },
		{ "hour", "hour_" },
		{ "hour_", "hour__" },
		{ "_hour", "_hour" },
		{ "_OP", "_OP_" },
		{ "Year", "Year_" },
		{ "HOUR_", "HOUR__" },
		{ "op", "op" },
		{ "_o", "_o" },
		{ "_opp", "_opp" },
		{ "_", "_" },
		{ "years", "years" },
		{ "trailing_", "trailing_" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Schema *s = one_column(rows[i].name);

		assert_string_equal(s->cols[0].json_name, rows[i].want);
		assert_string_equal(s->cols[0].name, rows[i].name);
		schema_finish(s); /* twice is once */
		assert_string_equal(s->cols[0].json_name, rows[i].want);
		schema_free(s);
	}
}

/* Names that differ by case only are one to the engines. */
static void
test_json_names_case(void **state)
{
	static const struct
	{
		const char *name, *want;
	} rows[] = {
		{ "a", "a" },
		{ "A", "A_" },
		{ "a_", "a__" },
		{ "year_", "year__" },
		{ "Year", "Year_" },
		{ "YEAR", "YEAR___" },
		{ "\303\244", "\303\244" },
		{ "\303\204", "\303\204" },
	};
	Schema *s = schema_new("public", "t", COUNT(rows));

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		s->cols[i].name = xstrdup(rows[i].name);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("int4");
		s->cols[i].kind = CDC_S3_KIND_INT4;
	}
	s->identity = 'd';
	schema_finish(s);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(s->cols[i].json_name, rows[i].want);
	schema_free(s);
}

/* A file of an earlier release keeps the names that its objects have. */
static void
test_old_names_stay(void **state)
{
	Schema *s = one_column("Year");
	char *file = encode(s);
	char *at = strstr(file, "Year_");
	Schema *old;
	Err err = { 0 };

	(void) state;
	memmove(at + 4, at + 5, strlen(at + 5) + 1);
	assert_true(schema_parse(slice_cstr(file), &old, &err));
	assert_string_equal(old->cols[0].json_name, "Year");
	schema_free(old);
	schema_free(s);
	free(file);
}

static void
test_bytes(void **state)
{
	Schema *s = schema_new("public", ODD, 2);
	uint8_t sum[SHA256_LEN];
	char hash[SCHEMA_HASH_LEN + 1];
	char *got;

	(void) state;
	s->relation_id = 4000000000u;
	s->row_type = 4000000001u;
	s->identity = 'i';
	set_column(&s->cols[0], "id", CDC_S3_KIND_INT4);
	s->cols[0].pk = 1;
	s->cols[0].identity = s->cols[0].key = s->cols[0].not_null = true;
	set_column(&s->cols[1], "hour", CDC_S3_KIND_NUMERIC);
	s->cols[1].attnum = 7;
	s->cols[1].typmod = 655366;
	s->cols[1].type_oid = UINT32_MAX;
	s->cols[1].generated = true;
	schema_finish(s);
	got = encode(s);
	assert_string_equal(
		got,
		"{\"version\":1,\"schema\":\"public\","
		"\"table\":\"q\\\"u\\\\o\\u0001\\u000a\x7f\xc3\xa9\","
		"\"relation_id\":4000000000,\"row_type\":4000000001,"
		"\"identity\":\"i\",\"columns\":[\n"
		"{\"name\":\"id\",\"json_name\":\"id\","
		"\"type_schema\":\"pg_catalog\",\"type\":\"int4\",\"kind\":\"int4\","
		"\"type_oid\":23,\"base_oid\":23,\"typmod\":-1,\"attnum\":1,"
		"\"pk\":1,\"identity\":true,\"key\":true,\"not_null\":true,"
		"\"generated\":false},\n"
		"{\"name\":\"hour\",\"json_name\":\"hour_\","
		"\"type_schema\":\"pg_catalog\",\"type\":\"int4\","
		"\"kind\":\"numeric\",\"type_oid\":4294967295,\"base_oid\":23,"
		"\"typmod\":655366,\"attnum\":7,\"pk\":0,\"identity\":false,"
		"\"key\":false,\"not_null\":false,\"generated\":true}]}\n");
	/* the hash is the first half of the file's SHA-256 */
	sha256((uint8_t *) got, strlen(got), sum);
	for (int i = 0; i < SCHEMA_HASH_LEN / 2; i++)
		(void) snprintf(hash + 2 * i, 3, "%02x", sum[i]);
	assert_string_equal(s->hash, hash);
	free(got);
	schema_free(s);
}

/* Every kind, there and back; hash and bytes are the same. */
static void
test_identity(void **state)
{
	(void) state;
	for (int ncols = 0; ncols <= CDC_S3_KIND_TEXT; ncols++)
	{
		Schema *s = schema_new(ODD, "t", ncols);
		Schema *again = NULL;
		char *first;
		char *second;
		Err err;

		s->identity = 'f';
		for (int i = 0; i < ncols; i++)
		{
			char name[32];

			(void) snprintf(name, sizeof(name), "%s%d", i % 2 ? ODD : "_op", i);
			set_column(&s->cols[i], name, (uint8_t) (i + 1));
			s->cols[i].key = i % 3 == 0;
			s->cols[i].typmod = INT32_MAX - i;
		}
		schema_finish(s);
		first = encode(s);
		if (!schema_parse(slice_cstr(first), &again, &err))
			fail_msg("%s", err.msg);
		second = encode(again);
		assert_string_equal(second, first);
		assert_string_equal(again->hash, s->hash);
		assert_int_equal(again->ncols, ncols);
		assert_int_equal(again->identity, 'f');
		for (int i = 0; i < ncols; i++)
		{
			assert_int_equal(again->cols[i].kind, i + 1);
			assert_string_equal(again->cols[i].name, s->cols[i].name);
			assert_int_equal(again->cols[i].typmod, INT32_MAX - i);
		}
		assert_int_equal(schema_has_key(again), ncols > 0);
		free(first);
		free(second);
		schema_free(s);
		schema_free(again);
	}
}

/* Anything that differs gives another file. */
static void
test_hash_differs(void **state)
{
	Schema *s = one_column("id");
	char first[SCHEMA_HASH_LEN + 1];

	(void) state;
	memcpy(first, s->hash, sizeof(first));
	schema_finish(s);
	assert_string_equal(s->hash, first);
	s->relation_id++;
	schema_finish(s);
	assert_string_not_equal(s->hash, first);
	s->relation_id--;
	s->row_type = 3;
	schema_finish(s);
	assert_string_not_equal(s->hash, first);
	s->row_type = 0;
	s->cols[0].has_missing = true;
	schema_finish(s);
	assert_string_not_equal(s->hash, first);
	s->cols[0].has_missing = false;
	s->cols[0].not_null = true;
	schema_finish(s);
	assert_string_not_equal(s->hash, first);
	s->cols[0].not_null = false;
	schema_finish(s);
	assert_string_equal(s->hash, first);
	schema_free(s);
}

/* A text, an empty one, none, and no missing value; and an older file. */
static void
test_missing(void **state)
{
	static const char file[] =
		"{\"version\":1,\"schema\":\"a\",\"table\":\"b\","
		"\"relation_id\":1,\"identity\":\"d\",\"columns\":[]}";
	Schema *s = schema_new("public", "t", 4);
	Schema *again = NULL;
	Err err;
	char *text;

	(void) state;
	for (int i = 0; i < 4; i++)
	{
		char name[2] = { (char) ('a' + i), '\0' };

		set_column(&s->cols[i], name, CDC_S3_KIND_STRING);
		s->cols[i].has_missing = i < 3;
	}
	s->row_type = 77;
	s->identity = 'd';
	s->cols[0].missing = xstrdup(ODD);
	s->cols[1].missing = xstrdup("");
	schema_finish(s);
	text = encode(s);
	assert_non_null(strstr(text, "\"generated\":false,\"missing\":\"q"));
	assert_non_null(strstr(text, "\"generated\":false,\"missing\":\"\"}"));
	assert_non_null(strstr(text, "\"generated\":false,\"missing\":null}"));
	assert_non_null(strstr(text, "\"generated\":false}]}"));
	assert_true(schema_parse(slice_cstr(text), &again, &err));
	assert_string_equal(again->hash, s->hash);
	assert_int_equal(again->row_type, 77);
	assert_string_equal(again->cols[0].missing, ODD);
	assert_string_equal(again->cols[1].missing, "");
	assert_true(again->cols[2].has_missing && !again->cols[2].missing);
	assert_false(again->cols[3].has_missing || again->cols[3].missing);
	free(text);
	schema_free(again);
	schema_free(s);

	assert_true(schema_parse(slice_cstr(file), &again, &err));
	assert_int_equal(again->row_type, 0);
	schema_free(again);
}

static void
refuse(json_t *doc, const char *what)
{
	char *text = json_dumps(doc, JSON_COMPACT);
	Schema *out = NULL;
	Err err;

	if (schema_parse(slice_cstr(text), &out, &err))
		fail_msg("%s: was taken", what);
	assert_int_equal(err.kind, ERR_DATA);
	assert_null(out);
	free(text);
}

static void
spoil_fields(json_t *doc, json_t *obj)
{
	json_t *fields = json_copy(obj);
	const char *name;
	json_t *value;

	json_object_foreach(fields, name, value)
	{
		json_object_del(obj, name);
		if (strcmp(name, "row_type") != 0 && strcmp(name, "missing") != 0)
			refuse(doc, name);
		json_object_set_new(obj, name, json_real(1.5));
		refuse(doc, name);
		json_object_set_new(obj, name, json_null());
		if (strcmp(name, "missing") != 0)
			refuse(doc, name);
		json_object_set(obj, name, value);
	}
	json_decref(fields);
}

static Schema *
one_missing(const char *name)
{
	Schema *s = one_column(name);

	s->cols[0].has_missing = true;
	schema_finish(s);
	return s;
}

static void
test_damaged(void **state)
{
	Schema *s = one_missing("id");
	char *text = encode(s);
	json_t *doc = json_loads(text, 0, NULL);
	json_t *column = json_array_get(json_object_get(doc, "columns"), 0);

	(void) state;
	for (size_t n = 0; n < strlen(text) - 1; n++)
	{
		Schema *out = NULL;
		Err err;

		assert_false(schema_parse((Slice){ (uint8_t *) text, n }, &out, &err));
		assert_int_equal(err.kind, ERR_DATA);
		assert_null(out);
	}
	spoil_fields(doc, doc);
	spoil_fields(doc, column);
	json_object_set_new(column, "kind", json_string("int16"));
	refuse(doc, "kind");
	json_object_set_new(column, "kind", json_string("int4"));
	json_object_set_new(doc, "version", json_integer(2));
	refuse(doc, "version");
	json_decref(doc);
	free(text);
	schema_free(s);
}

static void
test_has_key(void **state)
{
	Schema *s = schema_new("public", "t", 2);

	(void) state;
	set_column(&s->cols[0], "a", CDC_S3_KIND_INT4);
	set_column(&s->cols[1], "b", CDC_S3_KIND_INT4);
	schema_finish(s);
	assert_false(schema_has_key(s));
	s->cols[1].key = true;
	assert_true(schema_has_key(s));
	schema_free(s);
	schema_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_names),
		cmocka_unit_test(test_json_names_case),
		cmocka_unit_test(test_old_names_stay),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_hash_differs),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_has_key),
	};

	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
