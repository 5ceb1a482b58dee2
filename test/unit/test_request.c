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
#include "store/request.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ASKS "{\"version\":1,\"tables\":\"public.%c\",\"after_entry\":7}"

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

static const StoreOps fake_ops = { .name = "fake",
								   .get = fake_get,
								   .list = fake_list };

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_fails),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
