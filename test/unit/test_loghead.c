/*-------------------------------------------------------------------------
 * test_loghead.c
 *	  store/commitlog: the head of a log of any length takes few requests and
 *	  no listing; over a store that makes entries up as they are asked for.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "codec/key.h"
#include "store/commitlog.h"

#define REQUESTS_MAX 60

typedef struct Endless
{
	Store base;
	int64_t n; /* entries 0 … n - 1 are there, but for … */
	int64_t hole_from;
	int64_t hole_to; /* … these, both included */
	int heads;
	int gets;
	int lists;
} Endless;

static int64_t
number_of(const char *key)
{
	return strtoll(key + strlen(KEY_LOG_PREFIX), NULL, 10);
}

static bool
is_there(const Endless *s, int64_t seq)
{
	return seq < s->n && (seq < s->hole_from || seq > s->hole_to);
}

static bool
endless_head(Store *store, const char *key, int64_t *out_bytes, Err *err)
{
	Endless *s = (Endless *) store;

	s->heads++;
	*out_bytes = 1;
	return is_there(s, number_of(key)) ||
		   err_set(err, ERR_NOT_FOUND, 404, "no \"%s\"", key);
}

static bool
endless_get(Store *store, const char *key, Buf *out, Err *err)
{
	Endless *s = (Endless *) store;
	Entry *e;

	s->gets++;
	if (!is_there(s, number_of(key)))
		return err_set(err, ERR_NOT_FOUND, 404, "no \"%s\"", key);
	e = entry_new();
	e->seq = number_of(key);
	e->time = 1;
	entry_encode(e, NULL, out);
	entry_free(e);
	return true;
}

static bool
endless_list(Store *store, const char *prefix, Buf *cursor, StoreListFn fn,
			 void *arg, Err *err)
{
	Endless *s = (Endless *) store;
	Buf key;

	(void) prefix;
	(void) cursor;
	(void) err;
	s->lists++;
	buf_init(&key, KEY_TEXT_MAX);
	for (int64_t seq = 0; seq < s->n; seq++)
	{
		StoreItem item;

		if (!is_there(s, seq))
			continue;
		buf_reset(&key);
		key_add_entry(&key, seq);
		item = (StoreItem){ buf_cstr(&key), 1 };
		if (!fn(&item, arg))
			break;
	}
	buf_done(&key);
	return true;
}

static const StoreOps ops = { .name = "endless",
							  .head = endless_head,
							  .get = endless_get,
							  .list = endless_list };

static void
expect(int64_t n, int64_t hint)
{
	Endless s = { .base = { .ops = &ops }, .n = n, .hole_from = INT64_MAX };
	Entry *e = NULL;
	Err err;

	if (!commitlog_head(&s.base, hint, &e, &err))
		fail_msg("%s", err.msg);
	assert_non_null(e);
	assert_int_equal(e->seq, n - 1);
	assert_int_equal(s.lists, 0);
	assert_true(s.heads + s.gets <= REQUESTS_MAX);
	entry_free(e);
}

static void
any_length(void **state)
{
	(void) state;
	for (int64_t n = 1; n < 300; n++)
	{
		for (int64_t hint = 0; hint < n; hint += 7)
			expect(n, hint);
		expect(n, n - 1);
		expect(n, n + 40); /* a hint that is wrong */
	}
	for (int64_t n = 1000; n <= 2000000; n = n * 3 / 2 + 1)
		expect(n, 0);
	expect(1000000, 0);
	expect(1000000, 999000);
	expect(1 << 20, 0);
	expect((1 << 20) + 1, 0);
}

static void
no_log(void **state)
{
	Endless s = { .base = { .ops = &ops }, .hole_from = INT64_MAX };
	Entry *e = NULL;
	Err err;

	(void) state;
	assert_true(commitlog_head(&s.base, 0, &e, &err));
	assert_null(e);
}

/* A hole right before the end is never taken for the end. */
static void
holes(void **state)
{
	(void) state;
	for (int64_t from = 0; from < 64; from++)
	{
		for (int64_t width = 1; width < 5; width++)
		{
			/* what lies behind it is as wide, and more */
			Endless s = { .base = { .ops = &ops },
						  .n = from + width + 17,
						  .hole_from = from,
						  .hole_to = from + width - 1 };
			Entry *e = NULL;
			Err err;

			if (commitlog_head(&s.base, 0, &e, &err))
				assert_int_equal(e->seq, s.n - 1); /* it lies in the midst */
			else
			{
				assert_int_equal(err.kind, ERR_GAP);
				assert_null(e);
			}
			entry_free(e);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_length),
		cmocka_unit_test(no_log),
		cmocka_unit_test(holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
