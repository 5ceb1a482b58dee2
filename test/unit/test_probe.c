/*-------------------------------------------------------------------------
 * test_probe.c
 *	  cmd/probe: stores that keep their promises, and those that do not.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/probe.h"

/* How a store breaks its promise. */
typedef enum Fault
{
	GOOD,
	IGNORES_CONDITION, /* every put wins */
	LOOKS_THEN_WRITES, /* several that come at once win */
	OTHER_BYTES,
	NO_LISTING,
	KEEPS_DELETED,
	REFUSES_PARTS,
	LOSES_PARTS, /* finishes an upload, and no object is there */
	REFUSES_ALL
} Fault;

/* One object is enough for a probe. */
static struct
{
	pthread_mutex_t lock;
	Fault fault;
	char *key;
	Buf body;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool
taken(const char *key)
{
	bool yes;

	pthread_mutex_lock(&shared.lock);
	yes = shared.key && strcmp(shared.key, key) == 0;
	pthread_mutex_unlock(&shared.lock);
	return yes;
}

static bool
fake_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	bool full = false;

	(void) s;
	if (shared.fault == REFUSES_ALL)
		return err_set(err, ERR_AUTH, 403, "access denied");
	if (shared.fault == IGNORES_CONDITION)
		only_if_absent = false;
	if (shared.fault == LOOKS_THEN_WRITES && only_if_absent)
	{
		if (taken(key))
			return err_set(err, ERR_EXISTS, 412, "taken");
		clock_sleep_ms(20);
		only_if_absent = false;
	}
	pthread_mutex_lock(&shared.lock);
	full = shared.key && strcmp(shared.key, key) == 0;
	if (!only_if_absent || !full)
	{
		free(shared.key);
		shared.key = xstrdup(key);
		buf_reset(&shared.body);
		buf_add(&shared.body, body.p, body.n);
		full = false;
	}
	pthread_mutex_unlock(&shared.lock);
	return full ? err_set(err, ERR_EXISTS, 412, "taken") : true;
}

static bool
fake_get(Store *s, const char *key, Buf *out, Err *err)
{
	(void) s;
	if (!taken(key))
		return err_set(err, ERR_NOT_FOUND, 404, "no such key");
	buf_add(out, shared.body.p, shared.body.n);
	if (shared.fault == OTHER_BYTES)
		out->p[0] ^= 1;
	return true;
}

static bool
fake_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	(void) s;
	if (!taken(key))
		return err_set(err, ERR_NOT_FOUND, 404, "no such key");
	*out_bytes = (int64_t) shared.body.n;
	return true;
}

static bool
fake_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	StoreItem item = { shared.key, (int64_t) shared.body.n };

	(void) s;
	(void) err;
	buf_reset(cursor);
	if (shared.fault != NO_LISTING && shared.key &&
		strncmp(shared.key, prefix, strlen(prefix)) == 0)
		(void) fn(&item, arg);
	return true;
}

static bool
fake_del(Store *s, const char *key, Err *err)
{
	(void) s;
	(void) err;
	pthread_mutex_lock(&shared.lock);
	if (shared.fault != KEEPS_DELETED && shared.key &&
		strcmp(shared.key, key) == 0)
	{
		free(shared.key);
		shared.key = NULL;
	}
	pthread_mutex_unlock(&shared.lock);
	return true;
}

static int begun; /* uploads that are neither finished nor abandoned */

static bool
fake_begin(Store *s, const char *key, char **out_id, Err *err)
{
	(void) s;
	(void) key;
	(void) err;
	begun++;
	*out_id = xstrdup("id");
	return true;
}

static bool
fake_part(Store *s, const char *key, const char *id, int n, Slice body,
		  StorePart *part, Err *err)
{
	(void) id;
	(void) n;
	if (shared.fault == REFUSES_PARTS)
		return err_set(err, ERR_STORE, 501, "not implemented");
	part->tag = xstrdup("tag");
	return shared.fault == LOSES_PARTS || fake_put(s, key, body, false, err);
}

static bool
fake_finish(Store *s, const char *key, const char *id, const StorePart *parts,
			int nparts, Err *err)
{
	(void) s;
	(void) key;
	(void) id;
	(void) err;
	assert_int_equal(nparts, 1);
	assert_non_null(parts[0].tag);
	begun--;
	return true;
}

static bool
fake_abandon(Store *s, const char *key, const char *id, Err *err)
{
	(void) s;
	(void) key;
	(void) id;
	(void) err;
	begun--;
	return true;
}

static void
fake_close(Store *s)
{
	(void) s;
}

static const StoreOps fake_ops = {
	.name = "fake",
	.put = fake_put,
	.get = fake_get,
	.head = fake_head,
	.list = fake_list,
	.del = fake_del,
	.begin = fake_begin,
	.part = fake_part,
	.finish = fake_finish,
	.abandon = fake_abandon,
	.close = fake_close,
};

static Store fake = { .ops = &fake_ops };

static bool
open_fake(void *arg, Store **out, Err *err)
{
	(void) err;
	*out = arg;
	return true;
}

static int
begin(void **state)
{
	(void) state;
	shared.fault = GOOD;
	buf_init(&shared.body, SIZE_MAX);
	return 0;
}

static int
end(void **state)
{
	(void) state;
	free(shared.key);
	shared.key = NULL;
	buf_done(&shared.body);
	return 0;
}

static void
good_store(void **state)
{
	Err err;

	(void) state;
	assert_true(probe_round_trip(&fake, &err));
	assert_null(shared.key);
	assert_true(probe_parts(&fake, &err));
	assert_null(shared.key);
	assert_true(probe_conditional_put(&fake, &err));
	assert_null(shared.key);
	assert_true(probe_race(open_fake, &fake, 6, &err));
	assert_null(shared.key);
}

static void
ignores_condition(void **state)
{
	Err err;

	(void) state;
	shared.fault = IGNORES_CONDITION;
	assert_true(probe_round_trip(&fake, &err));
	assert_false(probe_conditional_put(&fake, &err));
	assert_int_equal(err.kind, ERR_STORE);
	assert_null(shared.key); /* also then it is cleaned up */
	assert_false(probe_race(open_fake, &fake, 3, &err));
	assert_int_equal(err.kind, ERR_STORE);
	assert_null(shared.key);
}

/* One behind the other it is good, at once it is not. */
static void
not_atomic(void **state)
{
	Err err;

	(void) state;
	shared.fault = LOOKS_THEN_WRITES;
	assert_true(probe_conditional_put(&fake, &err));
	assert_false(probe_race(open_fake, &fake, 3, &err));
	assert_int_equal(err.kind, ERR_STORE);
	assert_non_null(strstr(err.msg, "not atomic"));
	assert_null(shared.key);
}

/* What a small object shows, an upload need not. */
static void
broken_parts(void **state)
{
	static const struct
	{
		Fault fault;
		ErrKind kind;
		const char *msg;
	} cases[] = {
		{ REFUSES_PARTS, ERR_STORE, "in parts: not implemented" },
		{ LOSES_PARTS, ERR_NOT_FOUND, "could not read" },
		{ OTHER_BYTES, ERR_STORE, "other bytes" },
	};
	Err err;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		shared.fault = cases[i].fault;
		assert_false(probe_parts(&fake, &err));
		assert_int_equal(err.kind, cases[i].kind);
		if (!strstr(err.msg, cases[i].msg))
			fail_msg("%s", err.msg);
		assert_null(shared.key);
		assert_int_equal(begun, 0);
	}
}

static void
broken_stores(void **state)
{
	static const struct
	{
		Fault fault;
		ErrKind kind;
		const char *msg;
	} cases[] = {
		{ OTHER_BYTES, ERR_STORE, "other bytes" },
		{ NO_LISTING, ERR_STORE, "list" },
		{ KEEPS_DELETED, ERR_STORE, "deleted" },
		{ REFUSES_ALL, ERR_AUTH, "access denied" },
	};
	Err err;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		shared.fault = cases[i].fault;
		assert_false(probe_round_trip(&fake, &err));
		assert_int_equal(err.kind, cases[i].kind);
		if (!strstr(err.msg, cases[i].msg))
			fail_msg("%s", err.msg);
	}
	assert_false(probe_conditional_put(&fake, &err));
	assert_int_equal(err.kind, ERR_AUTH);
	assert_false(probe_race(open_fake, &fake, 1, &err));
	assert_int_equal(err.kind, ERR_AUTH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_store, begin, end),
		cmocka_unit_test_setup_teardown(ignores_condition, begin, end),
		cmocka_unit_test_setup_teardown(not_atomic, begin, end),
		cmocka_unit_test_setup_teardown(broken_parts, begin, end),
		cmocka_unit_test_setup_teardown(broken_stores, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
