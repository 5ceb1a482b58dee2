/*-------------------------------------------------------------------------
 * test_request.c
 *	  store/request: what is read of a folder that anybody may have written
 *	  to, and what is left of it where a call fails.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pattern.h"
#include "store/request.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ASKS "{\"version\":1,\"tables\":\"public.%c\",\"after_entry\":7}"

#define AB "\\\"a\\\".\\\"b\\\""
#define NEEDS(table, reason, lsn)                                              \
	"{\"version\":2,\"table\":\"" table "\",\"reason\":\"" reason              \
	"\",\"lsn\":\"" lsn "\",\"after_entry\":1}"

/* What lies under a key, or how reading it fails. */
typedef struct Lies
{
	const char *key;
	const char *text;
	ErrKind fails;
} Lies;

typedef struct FakeStore
{
	Store base;
	const Lies *lies;
	size_t n;
} FakeStore;

static bool
fake_get(Store *s, const char *key, Buf *out, Err *err)
{
	const FakeStore *f = (const FakeStore *) s;

	for (size_t i = 0; i < f->n; i++)
	{
		if (strcmp(f->lies[i].key, key) != 0)
			continue;
		if (f->lies[i].fails != ERR_NONE)
			return err_set(err, f->lies[i].fails, 0, "so it fails");
		buf_str(out, f->lies[i].text);
		return true;
	}
	fail_msg("nobody listed %s", key);
	return false;
}

static bool
fake_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	const FakeStore *f = (const FakeStore *) s;

	(void) err;
	buf_reset(cursor);
	assert_string_equal(prefix, "_cdc/request/");
	for (size_t i = 0; i < f->n; i++)
	{
		StoreItem item = { f->lies[i].key, 1 };

		(void) fn(&item, arg);
	}
	return true;
}

/* The one file that was put last. */
static char put_key[64];
static char put_text[1024];
static bool put_taken;

static bool
fake_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	(void) s;
	assert_true(only_if_absent);
	(void) snprintf(put_key, sizeof(put_key), "%s", key);
	(void) snprintf(put_text, sizeof(put_text), "%.*s", (int) body.n,
					(const char *) body.p);
	if (put_taken)
		return err_set(err, ERR_EXISTS, 0, "it is there");
	return true;
}

static const StoreOps fake_ops = {
	.name = "fake", .get = fake_get, .put = fake_put, .list = fake_list
};

static bool
list_of(const Lies *lies, size_t n, RequestList *out, Err *err)
{
	FakeStore f = { { .ops = &fake_ops }, lies, n };

	return request_list(&f.base, out, err);
}

static void
test_taken(void **state)
{
	static const Lies lies[] = {
		{ "_cdc/request/0000000a.json",
		  "{\"version\":1,\"tables\":\"a.b, c.*\",\"after_entry\":42}",
		  ERR_NONE },
		{ "_cdc/request/README", "x", ERR_NONE },
		{ "_cdc/request/0000000A.json", "x", ERR_NONE },
		{ "_cdc/request/0000000a.json.bak", "x", ERR_NONE },
		{ "_cdc/request/0000000ab.json", "x", ERR_NONE },
	};
	RequestList l;
	Err err;

	(void) state;
	assert_true(list_of(lies, COUNT(lies), &l, &err));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.items[0].id, "0000000a");
	assert_string_equal(l.items[0].tables, "a.b, c.*");
	assert_int_equal(l.items[0].after, 42);
	assert_true(request_is_in(&l, "0000000a"));
	assert_false(request_is_in(&l, "0000000b"));
	request_list_done(&l);
}

/* Each is there, by its id, and asks for nothing. */
static void
test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{\"version\":1",
		"{\"version\":2,\"tables\":\"a.b\",\"after_entry\":1}",
		"{\"version\":3,\"tables\":\"a.b\",\"after_entry\":1}",
		NEEDS("a.b", "rewrite", "0/1"),
		NEEDS("\\\"a\\\".b", "rewrite", "0/1"),
		NEEDS("\\\"a\\\".\\\"b\\\",*", "rewrite", "0/1"),
		NEEDS("\\\"a\\\".\\\"b\\\" ", "rewrite", "0/1"),
		NEEDS("\\\"a\\\".\\\"b", "rewrite", "0/1"),
		NEEDS("\\\"a\\\".\\\"b\\\"\\\"", "rewrite", "0/1"),
		NEEDS("\\\"\\\".\\\"b\\\"", "rewrite", "0/1"),
		NEEDS("\\\"", "rewrite", "0/1"),
		NEEDS("", "rewrite", "0/1"),
		NEEDS(AB, "", "0/1"),
		NEEDS(AB, "Rewrite", "0/1"),
		NEEDS(AB, "re\\u001b[31m", "0/1"),
		NEEDS(AB, "abcdefghijklmnopqrstuvwxyzabcdef", "0/1"),
		NEEDS(AB, "rewrite", "x"),
		"{\"version\":2,\"table\":\"" AB
		"\",\"lsn\":\"0/1\",\"after_entry\":1}",
		"{\"version\":2,\"table\":\"" AB
		"\",\"reason\":7,\"lsn\":\"0/1\",\"after_entry\":1}",
		"{\"version\":2,\"table\":\"" AB
		"\",\"reason\":\"rewrite\",\"after_entry\":1}",
		"{\"version\":2,\"table\":\"" AB
		"\",\"reason\":\"rewrite\",\"lsn\":7,\"after_entry\":1}",
		"{\"version\":2,\"table\":\"" AB
		"\",\"reason\":\"rewrite\",\"lsn\":\"0/1\"}",
		"{\"version\":1,\"tables\":7,\"after_entry\":1}",
		"{\"version\":1,\"after_entry\":1}",
		"{\"version\":1,\"tables\":\"a.b\"}",
		"{\"version\":1,\"tables\":\"a.b\",\"after_entry\":-1}",
		"{\"version\":1,\"tables\":\"a.b\",\"after_entry\":\"1\"}",
		"{\"version\":1,\"tables\":\"a.b\",\"after_entry\":1.5}",
	};

	(void) state;
	for (size_t i = 0; i <= COUNT(texts); i++)
	{
		bool last = i == COUNT(texts); /* one that is too long */
		Lies lies = { "_cdc/request/0badf00d.json", last ? "" : texts[i],
					  last ? ERR_LIMIT : ERR_NONE };
		RequestList l;
		Err err;

		assert_true(list_of(&lies, 1, &l, &err));
		assert_int_equal(l.n, 1);
		assert_string_equal(l.items[0].id, "0badf00d");
		assert_null(l.items[0].tables);
		request_list_done(&l);
	}
}

/* One is taken away meanwhile, and one behind it cannot be read. */
static void
test_fails(void **state)
{
	static const ErrKind kinds[] = { ERR_NONE, ERR_NOT_FOUND, ERR_NET };

	(void) state;
	for (size_t i = 0; i < COUNT(kinds) * COUNT(kinds) * COUNT(kinds); i++)
	{
		char keys[3][40];
		char texts[3][80];
		Lies lies[3];
		bool fails = false;
		int there = 0;
		RequestList l;
		Err err;

		for (size_t k = 0, rest = i; k < 3; k++, rest /= COUNT(kinds))
		{
			(void) snprintf(keys[k], sizeof(keys[k]),
							"_cdc/request/0000000%zu.json", k);
			(void) snprintf(texts[k], sizeof(texts[k]), ASKS, 'a' + (int) k);
			lies[k] = (Lies){ keys[k], texts[k], kinds[rest % COUNT(kinds)] };
			fails |= lies[k].fails == ERR_NET;
			there += !fails && lies[k].fails == ERR_NONE;
		}
		assert_int_equal(list_of(lies, 3, &l, &err), !fails);
		assert_int_equal(l.n, there);
		for (int k = 0; k < l.n; k++)
			assert_int_equal(l.items[k].tables[7],
							 'a' + l.items[k].id[7] - '0');
		request_list_done(&l);
	}
}

/* One that was put, as it is read. */
static void
read_back(RequestList *l)
{
	Lies lies = { put_key, put_text, ERR_NONE };
	Err err;

	assert_true(list_of(&lies, 1, l, &err));
	assert_int_equal(l->n, 1);
	assert_non_null(l->items[0].tables);
}

/* What is asked for without a person comes back, and has one id. */
static void
test_need(void **state)
{
	Entry *source = entry_new();
	RequestNeed need = { source,    "Odd \"s\"", "t*.\n\xc3\xa9",
						 "rewrite", 0x16B374D8,  42 };
	FakeStore f = { { .ops = &fake_ops }, NULL, 0 };
	RequestList l;
	char first[64];
	Err err;

	(void) state;
	entry_set(&source->slot, "s");
	assert_true(request_need(&f.base, &need, &err));
	read_back(&l);
	assert_string_equal(l.items[0].tables,
						"\"Odd \"\"s\"\"\".\"t*.\n\xc3\xa9\"");
	assert_true(
		pattern_list_matches(l.items[0].tables, need.schema, need.table));
	assert_false(
		pattern_list_matches(l.items[0].tables, need.schema, "tx.\n\xc3\xa9"));
	assert_string_equal(l.items[0].reason, "rewrite");
	assert_true(l.items[0].lsn == need.lsn && l.items[0].after == 42);
	assert_true(l.items[0].time > 0);
	request_list_done(&l);

	(void) snprintf(first, sizeof(first), "%s", put_key);
	need.after = 43;
	put_taken = true; /* it is no failure that it is there */
	assert_true(request_need(&f.base, &need, &err));
	put_taken = false;
	assert_string_equal(put_key, first);

	for (int i = 0; i < 5; i++)
	{
		RequestNeed other = need;

		other.schema = i == 0 ? "Odd" : need.schema;
		other.table = i == 1 ? "t" : need.table;
		other.reason = i == 2 ? "filter" : need.reason;
		other.lsn += i == 3;
		if (i == 4)
			entry_set(&source->slot, "t");
		assert_true(request_need(&f.base, &other, &err));
		assert_string_not_equal(put_key, first);
	}
	need.table = "\xff";
	assert_false(request_need(&f.base, &need, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	entry_free(source);
}

/* A person's is as it was. */
static void
test_person(void **state)
{
	FakeStore f = { { .ops = &fake_ops }, NULL, 0 };
	Request r = { .tables = (char *) "a.b, c.*",
				  .after = 7,
				  .time = INT64_C(1795248847123456) };
	RequestList l;
	Err err;

	(void) state;
	request_new_id(&r);
	assert_true(request_write(&f.base, &r, &err));
	read_back(&l);
	assert_string_equal(l.items[0].id, r.id);
	assert_string_equal(l.items[0].tables, r.tables);
	assert_null(l.items[0].reason);
	assert_true(l.items[0].after == 7 && l.items[0].time == r.time);
	request_list_done(&l);
	put_taken = true;
	assert_false(request_write(&f.base, &r, &err));
	put_taken = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),  cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_fails),  cmocka_unit_test(test_need),
		cmocka_unit_test(test_person),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
