/*-------------------------------------------------------------------------
 * test_entry.c
 *	  codec/entry: written, read, and written again are the same bytes; what
 *	  is damaged or lacks a field is refused.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/entry.h"
#include "codec/hash.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Names with all that JSON escapes. */
#define ODD "q\"u\\o\x01\n\t\x1f\x7f\xc3\xa9"

static void
add_object(Entry *e, const char *key, const char *load)
{
	EntryObject *o = entry_add_object(e);

	entry_set(&o->key, key);
	entry_set(&o->schema, "public");
	entry_set(&o->table, ODD);
	entry_set(&o->hash, "0123456789abcdef");
	entry_set(&o->load, load);
	o->rows = 3;
	o->bytes = INT64_MAX;
	o->first_lsn = 0x16B374D8;
	o->first_seq = 1;
	o->last_lsn = UINT64_MAX;
	o->last_seq = INT64_C(1) << 40;
	o->crc32c = 0x00c0ffee;
}

static Entry *
full_entry(void)
{
	Entry *e = entry_new();
	EntryLoad *l;
	EntrySchema *s;
	EntryList *list;

	e->seq = 42;
	e->timeline = 3;
	e->prev_end = 0x16B36000;
	e->end = 0x16B374D8;
	e->closed_until = INT64_C(1795248000000000);
	e->swept_until = INT64_C(1795244400000000);
	e->loads_open = 1;
	e->loads_since = 7;
	e->loads_before = 7;
	e->loaded = true;
	e->time = INT64_C(1795248847123456);
	entry_set(&e->system_identifier, "7574000000000000001");
	entry_set(&e->database, ODD);
	entry_set(&e->slot, "cdc_s3");
	entry_set(&e->writer, "0a0b0c0d");
	for (int i = LOAD_OPEN; i <= LOAD_GIVEN_UP; i++)
	{
		l = entry_add_load(e);
		entry_set(&l->id, "00000000000000aa");
		entry_set(&l->schema, "public");
		entry_set(&l->table, "t");
		l->state = (LoadState) i;
		l->lsn = i == LOAD_OPEN ? 0 : 0x1000;
		entry_set(&l->hash, i == LOAD_DONE ? "fedcba9876543210" : "");
		entry_set(&l->reason, i == LOAD_DONE ? "rewrite" : "");
		l->resync = i == LOAD_DONE ? 0x16B36002 : 0;
	}
	s = entry_add_schema(e);
	entry_set(&s->hash, "0123456789abcdef");
	entry_set(&s->schema, ODD);
	entry_set(&s->table, "t");
	s->lsn = 0x16B36001;
	s->seq = INT64_C(1) << 40;
	s->relation_id = UINT32_MAX;
	s->row_type = 16386;
	s->created = true;
	for (int i = 0; i < 2; i++)
	{
		s = entry_add_schema(e);
		s->lsn = 0x16B36002;
		s->seq = 7;
		s->relation_id = 16384;
		s->gone = i == 0;
		s->left = i == 1;
	}
	list = entry_add_list(e);
	entry_set(&list->key, "_cdc/list/1.json");
	list->objects = 2;
	list->crc32c = 0xdeadbeef;
	/* the first two stand in the list */
	add_object(e, "a", "");
	add_object(e, "b", "");
	add_object(e, "c", "00000000000000aa");
	add_object(e, "d", "");
	return e;
}

static char *
encode(const Entry *e)
{
	Buf b;
	char *s;

	buf_init(&b, SIZE_MAX);
	entry_encode(e, NULL, &b);
	s = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return s;
}

/* JSON with the checksum that belongs to it, whatever it had. */
static char *
seal(const char *json)
{
	const char *end = strstr(json, ",\n\"crc32c\"");
	size_t n = (size_t) ((end ? end : strrchr(json, '}')) - json);

	return xasprintf("%.*s,\n\"crc32c\":\"%08x\"}\n", (int) n, json,
					 crc32c(0, json, n));
}

static Entry *
parse(const char *json)
{
	Entry *e = NULL;
	Err err;

	if (!entry_parse(slice_cstr(json), NULL, &e, &err))
		fail_msg("%s: %s", err.msg, json);
	return e;
}

/* The form of doc/lake.md, to the byte. */
static void
test_bytes(void **state)
{
	Entry *e = entry_new();
	char *got;

	(void) state;
	e->end = e->prev_end = 100;
	e->time = INT64_C(1795248847123456);
	entry_set(&e->slot, "s");
	got = encode(e);
	assert_string_equal(
		got,
		"{\"version\":2,\"entry\":0,\"source\":{\"system_identifier\":\"\","
		"\"timeline\":0,\"database\":\"\",\"slot\":\"s\"},"
		"\"prev_end_lsn\":\"0000000000000064\","
		"\"end_lsn\":\"0000000000000064\",\"closed_until\":null,"
		"\"swept_until\":null,\"loaded\":false,\"loads_open\":0,"
		"\"loads_since\":0,\"writer\":\"\","
		"\"time\":\"2026-11-21T08:14:07.123456Z\",\n"
		"\"loads\":[],\n\"schemas\":[],\n\"lists\":[],\n"
		"\"objects\":[],\n\"crc32c\":\"1deef511\"}\n");
	free(got);
	entry_free(e);

	e = full_entry();
	got = encode(e);
	assert_non_null(
		strstr(got, "\n{\"key\":\"c\",\"schema\":\"public\","
					"\"table\":\"q\\\"u\\\\o\\u0001\\u000a\\u0009\\u001f\x7f"
					"\xc3\xa9\",\"hash\":\"0123456789abcdef\","
					"\"load\":\"00000000000000aa\",\"rows\":3,"
					"\"bytes\":9223372036854775807,"
					"\"first_lsn\":\"0000000016B374D8\",\"first_seq\":1,"
					"\"last_lsn\":\"FFFFFFFFFFFFFFFF\","
					"\"last_seq\":1099511627776,\"crc32c\":\"00c0ffee\"},\n"));
	assert_non_null(strstr(got, "\"closed_until\":\"2026-11-21T08:00:00Z\""));
	assert_non_null(strstr(got, "\"state\":\"open\"},\n"));
	assert_non_null(strstr(
		got, "\"state\":\"done\",\"hash\":\"fedcba9876543210\",\"reason\":"
			 "\"rewrite\",\"resync_lsn\":\"0000000016B36002\"},\n"));
	assert_non_null(
		strstr(got, ",\"table\":\"t\",\"lsn\":\"0000000016B36001\","
					"\"seq\":1099511627776,\"relation_id\":4294967295,"
					"\"row_type\":16386,\"created\":true},\n"
					"{\"hash\":\"\",\"schema\":\"\",\"table\":\"\","
					"\"lsn\":\"0000000016B36002\",\"seq\":7,"
					"\"relation_id\":16384,\"row_type\":0,\"gone\":true},\n"));
	assert_non_null(strstr(got, "\"row_type\":0,\"left\":true}]"));
	assert_non_null(strstr(got, ",\"loads_before\":7,"));
	assert_non_null(strstr(got, "\"state\":\"given_up\"}]"));
	/* what stands in a list does not stand here */
	assert_null(strstr(got, "{\"key\":\"a\""));
	assert_null(strstr(got, "{\"key\":\"b\""));
	free(got);
	entry_free(e);
}

static void
test_identity(void **state)
{
	Entry *e = full_entry();
	char *first = encode(e);
	Entry *again = parse(first);
	Buf list;
	char *second;
	EntryObject *o;
	Err err;

	(void) state;
	assert_int_equal(again->seq, 42);
	assert_int_equal(again->timeline, 3);
	assert_true(again->prev_end == e->prev_end && again->end == e->end);
	assert_true(again->closed_until == e->closed_until);
	assert_true(again->swept_until == e->swept_until);
	assert_true(again->time == e->time && again->loaded);
	assert_int_equal(again->loads_open, 1);
	assert_int_equal(again->loads_since, 7);
	assert_string_equal(again->database, ODD);
	assert_string_equal(again->writer, "0a0b0c0d");
	assert_int_equal(again->nloads, 3);
	for (int i = 0; i < 3; i++)
	{
		assert_int_equal(again->loads[i].state, i);
		assert_string_equal(again->loads[i].reason,
							i == LOAD_DONE ? "rewrite" : "");
		assert_true(again->loads[i].resync == e->loads[i].resync);
	}
	assert_int_equal(again->loads_before, 7);
	assert_string_equal(again->schemas[0].schema, ODD);
	assert_true(again->schemas[0].lsn == 0x16B36001);
	assert_true(again->schemas[0].seq == INT64_C(1) << 40);
	assert_true(again->schemas[0].relation_id == UINT32_MAX);
	assert_int_equal(again->schemas[0].row_type, 16386);
	assert_true(again->schemas[0].created && !again->schemas[0].gone);
	assert_true(again->schemas[1].gone && again->schemas[2].left);
	assert_string_equal(again->loads[LOAD_DONE].hash, "fedcba9876543210");
	assert_int_equal(again->lists[0].crc32c, 0xdeadbeef);
	assert_int_equal(again->lists[0].objects, 2);
	assert_int_equal(again->nobjects, 2);
	o = &again->objects[0];
	assert_string_equal(o->key, "c");
	assert_string_equal(o->load, "00000000000000aa");
	assert_string_equal(o->table, ODD);
	assert_true(o->bytes == INT64_MAX && o->rows == 3 && o->first_seq == 1);
	assert_true(o->first_lsn == 0x16B374D8 && o->last_lsn == UINT64_MAX);
	assert_true(o->last_seq == INT64_C(1) << 40);
	assert_int_equal(o->crc32c, 0x00c0ffee);
	assert_string_equal(again->objects[1].load, "");

	/* with the list's objects before its own it is the same again */
	buf_init(&list, SIZE_MAX);
	entry_encode_list(e, 0, 2, &list);
	entry_free(again);
	again = parse(first);
	o = again->objects;
	again->objects = NULL;
	again->nobjects = 0;
	assert_true(entry_parse_list(buf_slice(&list), again, &err));
	assert_int_equal(again->nobjects, 2);
	assert_string_equal(again->objects[0].key, "a");
	assert_string_equal(again->objects[1].key, "b");
	entry_move_objects(&again->objects, &again->nobjects, o, 2);
	second = encode(again);
	assert_string_equal(second, first);
	free(first);
	free(second);
	buf_done(&list);
	entry_free(e);
	entry_free(again);
}

/* Every byte that may be cut off makes it no entry. */
static void
test_cut(void **state)
{
	Entry *e = full_entry();
	char *json = encode(e);
	size_t n = strlen(json);

	(void) state;
	for (size_t i = 0; i < n - 1; i++) /* the last is a line break */
	{
		Entry *out = NULL;
		Err err;

		assert_false(
			entry_parse((Slice){ (uint8_t *) json, i }, NULL, &out, &err));
		assert_int_equal(err.kind, ERR_DATA);
		assert_null(out);
	}
	free(json);
	entry_free(e);
}

/* Every bit that may be wrong, in the checks too, makes it no entry. */
static void
test_bits(void **state)
{
	const EntryKeys keys = { 1, { (char *) "0123456789abcdef" } };
	Entry *e = full_entry();
	Buf b;
	Err err;

	(void) state;
	for (int k = 0; k < 2; k++)
	{
		buf_init(&b, SIZE_MAX);
		entry_encode(e, k ? &keys : NULL, &b);
		for (size_t i = 0; i < b.n; i++)
		{
			for (int bit = 0; bit < 8; bit++)
			{
				Entry *out = NULL;

				b.p[i] ^= (uint8_t) (1 << bit);
				if (entry_parse(buf_slice(&b), NULL, &out, &err))
					fail_msg("bit %d of byte %zu", bit, i);
				assert_int_equal(err.kind, ERR_DATA);
				b.p[i] ^= (uint8_t) (1 << bit);
			}
		}
		buf_done(&b);
	}
	entry_free(e);
}

/* Who may read what: signed by a, by b, by nobody; with no key, a, b, both. */
static void
test_keys(void **state)
{
	char *a = (char *) "aaaaaaaaaaaaaaaa";
	char *b = (char *) "bbbbbbbbbbbbbbbb";
	const EntryKeys keys[] = {
		{ 1, { a } }, { 1, { b } }, { 2, { a, b } }, { 2, { b, a } }, { 0 }
	};
	static const bool taken[5][5] = {
		/* read with		 a		b	   a, b	 b, a  none */
		/* by a */ { true, false, true, true, true },
		/* by b */ { false, true, true, true, true },
		/* by a, b: a */ { true, false, true, true, true },
		/* by b, a: b */ { false, true, true, true, true },
		/* by none */ { false, false, false, false, true },
	};
	Entry *e = full_entry();

	(void) state;
	for (int w = 0; w < 5; w++)
	{
		for (int r = 0; r < 5; r++)
		{
			Entry *out = NULL;
			Buf text;
			Err err;
			bool ok;

			buf_init(&text, SIZE_MAX);
			entry_encode(e, &keys[w], &text);
			ok = entry_parse(buf_slice(&text), &keys[r], &out, &err);
			if (ok != taken[w][r])
				fail_msg("written %d, read %d: %s", w, r,
						 ok ? "taken" : err.msg);
			if (ok)
				assert_int_equal(out->is_signed, w < 4);
			else
				assert_non_null(strstr(err.msg, "HMAC"));
			entry_free(out);
			/* a forger has no key, but CRCs he can */
			if (ok && w < 4 && r < 4)
			{
				char *forged;

				strstr((char *) text.p, "\"load\":\"")[8] = '1';
				forged = seal(buf_cstr(&text));
				out = NULL;
				assert_false(
					entry_parse(slice_cstr(forged), &keys[r], &out, &err));
				assert_non_null(strstr(err.msg, "HMAC"));
				free(forged);
			}
			buf_done(&text);
		}
	}
	entry_free(e);
}

static void
test_keys_parse(void **state)
{
	static const struct
	{
		const char *text;
		int n; /* -1: refused */
		const char *first, *second;
	} rows[] = {
		{ "", 0, NULL, NULL },
		{ "\n \n", 0, NULL, NULL },
		{ "0123456789abcdef", 1, "0123456789abcdef", NULL },
		{ "0123456789abcdef\r\n", 1, "0123456789abcdef", NULL },
		{ "0123456789abcdef\nABCDEFGHIJKLMNOP\n", 2, "0123456789abcdef",
		  "ABCDEFGHIJKLMNOP" },
		{ "0123456789abcde", -1, NULL, NULL },
		{ "0123456789abcdef short", -1, NULL, NULL },
		{ "0123456789abcdef 0123456789abcdef 0123456789abcdef", -1, NULL,
		  NULL },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		EntryKeys k;
		Err err;
		bool ok = entry_keys_parse(rows[i].text, &k, &err);

		assert_int_equal(ok ? k.n : -1, rows[i].n);
		if (rows[i].n > 0)
			assert_string_equal(k.key[0], rows[i].first);
		if (rows[i].n > 1)
			assert_string_equal(k.key[1], rows[i].second);
		if (!ok)
		{
			assert_int_equal(err.kind, ERR_USAGE);
			assert_null(strstr(err.msg, "0123"));
			assert_null(strstr(err.hint, "0123"));
		}
		entry_keys_done(&k);
	}
}

/* Dumps doc, and wants it refused. */
static void
refuse(json_t *doc, const char *what)
{
	char *plain = json_dumps(doc, JSON_COMPACT);
	char *text = seal(plain);
	Entry *out = NULL;
	Err err;

	if (entry_parse(slice_cstr(text), NULL, &out, &err))
		fail_msg("%s: was taken", what);
	assert_int_equal(err.kind, ERR_DATA);
	assert_null(strstr(err.msg, "checksum"));
	assert_null(out);
	free(plain);
	free(text);
}

/* What a writer may leave out. */
static bool
is_optional(const char *name, const char *but)
{
	char *item = xasprintf(",%s,", name);
	bool found = but && strstr(but, item);

	free(item);
	return found || strcmp(name, "loads_before") == 0 ||
		   strcmp(name, "reason") == 0 || strcmp(name, "resync_lsn") == 0;
}

/*
 * Each field of obj, taken away and then of a wrong type; those in "but", each
 * between commas, are optional.
 */
static void
spoil_fields(json_t *doc, json_t *obj, const char *but)
{
	json_t *fields = json_copy(obj);
	const char *name;
	json_t *value;

	json_object_foreach(fields, name, value)
	{
		if (!is_optional(name, but))
		{
			json_object_del(obj, name);
			if (!strstr(name, "_until") && strcmp(name, "time") != 0)
				refuse(doc, name);
		}
		json_object_set_new(obj, name, json_real(1.5));
		refuse(doc, name);
		json_object_set_new(obj, name,
							json_is_string(value) ? json_integer(7)
												  : json_string("x"));
		refuse(doc, name);
		if (json_is_integer(value))
		{
			json_object_set_new(obj, name, json_integer(-1));
			refuse(doc, name);
		}
		json_object_set(obj, name, value);
	}
	json_decref(fields);
}

static void
test_fields(void **state)
{
	Entry *e = full_entry();
	char *json = encode(e);
	json_t *doc = json_loads(json, 0, NULL);

	(void) state;
	assert_non_null(doc);
	json_object_del(doc, "crc32c");
	spoil_fields(doc, doc, NULL);
	spoil_fields(doc, json_object_get(doc, "source"), NULL);
	spoil_fields(doc, json_array_get(json_object_get(doc, "loads"), 1),
				 ",hash,");
	spoil_fields(doc, json_array_get(json_object_get(doc, "schemas"), 0),
				 ",seq,relation_id,row_type,created,");
	spoil_fields(doc, json_array_get(json_object_get(doc, "schemas"), 1),
				 ",seq,relation_id,row_type,");
	spoil_fields(doc, json_array_get(json_object_get(doc, "schemas"), 2),
				 ",seq,relation_id,row_type,");
	spoil_fields(doc, json_array_get(json_object_get(doc, "lists"), 0), NULL);
	spoil_fields(doc, json_array_get(json_object_get(doc, "objects"), 0),
				 ",load,");
	json_decref(doc);
	free(json);
	entry_free(e);
}

/* Values that have the right type. */
static void
test_values(void **state)
{
	static const struct
	{
		const char *name;
		const char *from, *to;
	} rows[] = {
		{ "version", "\"version\":2", "\"version\":3" },
		{ "ends before it begins", "0000000016B374D8\",\"closed",
		  "0000000000000001\",\"closed" },
		{ "LSN", "\"end_lsn\":\"0000000016B374D8\"",
		  "\"end_lsn\":\"16B374D8\"" },
		{ "load state", "\"given_up\"", "\"gone\"" },
		{ "CRC too short", "\"00c0ffee\"", "\"c0ffee\"" },
		{ "CRC no hex", "\"00c0ffee\"", "\"00coffee\"" },
		{ "time", "2026-11-21T08:00:00Z", "2026-11-21 08:00:00" },
		{ "too large", "9223372036854775807", "9223372036854775808" },
		{ "behind the end", "],\n\"crc32c\"", "]}\n{},\n\"crc32c\"" },
		{ "no UTF-8", "\xc3\xa9", "\xc3\x28" },
		{ "raw control", "\\u0001", "\x01" },
		{ "an object that is none", "\"objects\":[", "\"objects\":[1," },
		{ "a list", "{\"version\"", "[{\"version\"" },
	};
	Entry *e = full_entry();
	char *json = encode(e);

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char *at = strstr(json, rows[i].from);
		Entry *out = NULL;
		Err err;
		char *plain;
		char *bad;

		assert_non_null(at);
		plain = xasprintf("%.*s%s%s", (int) (at - json), json, rows[i].to,
						  at + strlen(rows[i].from));
		bad = seal(plain);
		if (entry_parse(slice_cstr(bad), NULL, &out, &err))
			fail_msg("%s was taken", rows[i].name);
		assert_int_equal(err.kind, ERR_DATA);
		assert_null(strstr(err.msg, "checksum"));
		assert_null(out);
		free(plain);
		free(bad);
	}
	free(json);
	entry_free(e);
}

/* A later version may know more. */
static void
test_unknown_fields(void **state)
{
	Entry *e = full_entry();
	char *json = encode(e);
	char *plain = xasprintf("{\"new\":[1],%s", json + 1);
	char *more = seal(plain);
	Entry *again = parse(more);
	char *second = encode(again);

	(void) state;
	assert_int_equal(again->nobjects, 2);
	free(json);
	free(plain);
	free(more);
	free(second);
	entry_free(again);
	entry_free(e);
}

static void
test_lists(void **state)
{
	static const struct
	{
		const char *name;
		const char *json;
		int objects; /* -1: refused */
	} rows[] = {
		{ "empty", "{\"version\":1,\"objects\":[]}", 0 },
		{ "one",
		  "{\"version\":1,\"objects\":[{\"key\":\"k\",\"schema\":\"s\","
		  "\"table\":\"t\",\"hash\":\"h\",\"rows\":1,\"bytes\":2,"
		  "\"first_lsn\":\"0/1\",\"first_seq\":1,\"last_lsn\":\"0/2\","
		  "\"last_seq\":2,\"crc32c\":\"00000001\"}]}",
		  1 },
		{ "no objects", "{\"version\":1}", -1 },
		{ "objects is none", "{\"version\":1,\"objects\":{}}", -1 },
		{ "no version", "{\"objects\":[]}", -1 },
		{ "a later version", "{\"version\":2,\"objects\":[]}", -1 },
		{ "half an object", "{\"version\":1,\"objects\":[{\"key\":\"k\"}]}",
		  -1 },
		{ "no JSON", "{\"version\":1,\"objects\":[", -1 },
		{ "nothing", "", -1 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Entry *e = entry_new();
		Err err;
		bool ok = entry_parse_list(slice_cstr(rows[i].json), e, &err);

		if (ok != (rows[i].objects >= 0))
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (ok)
			assert_int_equal(e->nobjects, rows[i].objects);
		else
			assert_int_equal(err.kind, ERR_DATA);
		entry_free(e);
	}
}

/* Arrays grow by doubling, and what is in them stays. */
static void
test_many(void **state)
{
	Entry *e = entry_new();
	Entry *again;
	char *json;

	(void) state;
	for (int i = 0; i < 1025; i++)
	{
		char *key = xasprintf("key-%d", i);

		add_object(e, key, "");
		entry_set(&entry_add_load(e)->id, key);
		entry_set(&entry_add_schema(e)->hash, key);
		entry_set(&entry_add_list(e)->key, key);
		free(key);
	}
	json = encode(e);
	again = parse(json);
	assert_int_equal(again->nobjects, 1025);
	for (int i = 0; i < 1025; i++)
	{
		char *key = xasprintf("key-%d", i);

		assert_string_equal(again->objects[i].key, key);
		assert_string_equal(again->loads[i].id, key);
		assert_string_equal(again->schemas[i].hash, key);
		assert_string_equal(again->lists[i].key, key);
		free(key);
	}
	free(json);
	entry_free(e);
	entry_free(again);
	entry_free(NULL);
}

/* Two runs and a late one; what is at one place stays in its order. */
static void
test_sort(void **state)
{
	static const struct
	{
		Lsn lsn;
		int64_t seq;
	} rows[] = { { 5, 2 }, { 5, 3 }, { 9, 1 }, { 5, INT64_C(1) << 40 },
				 { 7, 1 }, { 5, 2 }, { 9, 1 }, { 1, 1 } };
	static const uint32_t want[] = { 8, 1, 6, 2, 4, 5, 3, 7 };

	(void) state;
	for (int n = 0; n <= 8; n++)
	{
		Entry *e = entry_new();

		for (int i = 0; i < n; i++)
		{
			EntrySchema *s = entry_add_schema(e);

			s->lsn = rows[i].lsn;
			s->seq = rows[i].seq;
			s->relation_id = (uint32_t) i + 1;
		}
		entry_sort_schemas(e);
		for (int i = 0, k = 0; k < 8; k++)
		{
			if (want[k] <= (uint32_t) n)
				assert_int_equal(e->schemas[i++].relation_id, want[k]);
		}
		entry_free(e);
	}
}

static void
add_further(Entry *e, const char *output, const char *key)
{
	EntryObject *o = entry_add_further(e);

	entry_set(&o->output, output);
	entry_set(&o->key, key);
	o->rows = 2;
}

static Entry *
entry_with_outputs(void)
{
	Entry *e = full_entry();
	EntryOutput *o;

	e->objects[0].rows = 1;
	for (int i = OUTPUT_ATTACHED; i <= OUTPUT_ENDED; i++)
	{
		o = entry_add_output(e);
		entry_set(&o->name, i == OUTPUT_ENDED ? "old" : "report");
		entry_set(&o->url, "s3://b/" ODD);
		entry_set(&o->tables, "public.*");
		entry_set(&o->exclude, "x.y");
		o->state = (OutputState) i;
		o->since = 7 + i;
		o->first = 0x16B36000;
		o->filled = i == OUTPUT_DETACHED;
		o->last = i == OUTPUT_ATTACHED ? 0 : 0x16B36001;
		o->swept_until = i == OUTPUT_ENDED ? INT64_C(1795248000000000) : 0;
		if (i != OUTPUT_DETACHED)
			continue;
		o->nlayouts = 2;
		o->layouts = xcalloc(2, sizeof(*o->layouts));
		for (int k = 0; k < 2; k++)
		{
			entry_layout_init(&o->layouts[k]);
			entry_set(&o->layouts[k].format, k ? "csv" : "json");
			entry_set(&o->layouts[k].variant, k ? "1,ts\t" : "");
			entry_set(&o->layouts[k].compression, "none");
			entry_set(&o->layouts[k].path, "{schema}/{table}");
			entry_set(&o->layouts[k].zone, "UTC");
			o->layouts[k].start = k * INT64_C(1795248000000000);
		}
	}
	add_further(e, "report", "x");
	add_further(e, "old", "y");
	add_further(e, "report", "z");
	return e;
}

/* Outputs and their objects come back; "objects" has none of these. */
static void
test_outputs(void **state)
{
	Entry *e = entry_with_outputs();
	char *first = encode(e);
	Entry *again = parse(first);
	char *second;

	(void) state;
	assert_int_equal(again->nobjects, 2);
	assert_int_equal(again->noutputs, 3);
	for (int i = 0; i < 3; i++)
	{
		const EntryOutput *o = &again->outputs[i];

		assert_string_equal(o->name, e->outputs[i].name);
		assert_string_equal(o->url, "s3://b/" ODD);
		assert_string_equal(o->tables, "public.*");
		assert_string_equal(o->exclude, "x.y");
		assert_int_equal(o->state, i);
		assert_int_equal(o->since, 7 + i);
		assert_true(o->first == e->outputs[i].first);
		assert_true(o->last == e->outputs[i].last);
		assert_int_equal(o->filled, e->outputs[i].filled);
		assert_true(o->swept_until == e->outputs[i].swept_until);
		assert_int_equal(o->nlayouts, e->outputs[i].nlayouts);
		for (int k = 0; k < o->nlayouts; k++)
		{
			assert_string_equal(o->layouts[k].format, k ? "csv" : "json");
			assert_string_equal(o->layouts[k].variant, k ? "1,ts\t" : "");
			assert_int_equal(o->layouts[k].start != 0, k);
		}
	}
	assert_int_equal(again->nfurther, 3);
	assert_string_equal(again->further[1].output, "old");
	assert_string_equal(again->further[1].key, "y");

	entry_free(again);
	again = parse(first);
	entry_drop_output(again, "old");
	assert_int_equal(again->nfurther, 2);
	assert_int_equal(again->nobjects, 2);
	entry_choose_output(again, "");
	assert_string_equal(again->objects[0].key, "c");
	entry_choose_output(again, "report");
	assert_int_equal(again->nfurther, 0);
	assert_int_equal(again->nobjects, 2);
	assert_string_equal(again->objects[0].key, "x");
	assert_string_equal(again->objects[1].key, "z");
	entry_choose_output(again, "none");
	assert_int_equal(again->nobjects, 0);
	second = encode(e);
	assert_string_equal(first, second);
	free(first);
	free(second);
	entry_free(e);
	entry_free(again);
}

static char *
replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	assert_non_null(at);
	return xasprintf("%.*s%s%s", (int) (at - text), text, to,
					 at + strlen(from));
}

/* Half an output is none. */
static void
test_damaged_outputs(void **state)
{
	static const char *const rows[][2] = {
		{ "\"name\":\"report\",", "" },
		{ "\"url\":", "\"ur\":" },
		{ "\"tables\":\"public.*\",", "" },
		{ "\"state\":\"attached\"", "\"state\":\"on\"" },
		{ "\"state\":\"attached\"", "\"state\":\"ended\"" },
		{ "\"since_entry\":7", "\"since_entry\":-7" },
		{ "\"filled\":false", "\"filled\":0" },
		{ "{\"output\":\"report\",", "{" },
		{ "{\"output\":\"report\",", "{\"output\":\"\"," },
	};
	Entry *e = entry_with_outputs();
	char *text = encode(e);

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		char *damaged = replaced(text, rows[i][0], rows[i][1]);
		char *sealed = seal(damaged);
		Entry *out;
		Err err;

		if (entry_parse((Slice){ (const uint8_t *) sealed, strlen(sealed) },
						NULL, &out, &err))
			fail_msg("row %zu was taken", i);
		assert_int_equal(err.kind, ERR_DATA);
		free(damaged);
		free(sealed);
	}
	free(text);
	entry_free(e);
}

/* What expired is in the entry, and never what the entry itself lists. */
static void
test_expired(void **state)
{
	static const struct
	{
		int64_t expired;
		int64_t removed;
		bool ok;
	} cases[] = { { 0, 0, true },  { 1, 0, true },   { 41, 41, true },
				  { 41, 7, true }, { 42, 7, false }, { 3, 4, false } };

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Entry *e = full_entry();
		Entry *back = NULL;
		char *text;
		Err err;

		e->seq = 42;
		e->expired = cases[i].expired;
		e->removed = cases[i].removed;
		text = encode(e);
		assert_int_equal(strstr(text, "\"expired_entry\":") != NULL,
						 e->expired > 0);
		assert_int_equal(entry_parse(slice_cstr(text), NULL, &back, &err),
						 cases[i].ok);
		if (cases[i].ok)
		{
			assert_int_equal(back->expired, e->expired);
			assert_int_equal(back->removed, e->removed);
		}
		entry_free(back);
		entry_free(e);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_keys_parse),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_damaged_outputs),
		cmocka_unit_test(test_expired),
	};

	return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
