/*-------------------------------------------------------------------------
 * test_store_retry.c
 *	  store/store_retry: what is tried again, for how long, and what the
 *	  error says; over a store that fails by plan and a clock that is turned.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int64_t now_ms;

static atomic_bool stop;
static int64_t stop_at_ms;

static int64_t
fake_us(void)
{
	return now_ms * 1000;
}

static int64_t
fake_ms(void)
{
	return now_ms;
}

static void
fake_sleep(int64_t ms)
{
	now_ms += ms;
	if (stop_at_ms && now_ms >= stop_at_ms)
		atomic_store(&stop, true);
}

static const ClockOps fake_clock = { fake_us, fake_ms, fake_sleep };

/* Fails with the planned kinds, one a call; behind them it succeeds. */
typedef struct PlanStore
{
	Store base;
	const ErrKind *plan;
	int nplan;
	int calls;
	int64_t cost_ms; /* of a call */
	bool closed;
} PlanStore;

static bool
step(Store *store, Err *err)
{
	PlanStore *s = (PlanStore *) store;
	int i = s->calls++;

	now_ms += s->cost_ms;
	if (i >= s->nplan)
		return true;
	err_set(err, s->plan[i], i, "cause %d", i);
	return err_hint(err, "Hint %d.", i);
}

static bool
plan_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	(void) key, (void) body, (void) only_if_absent;
	return step(s, err);
}

static bool
plan_get(Store *s, const char *key, Buf *out, Err *err)
{
	(void) key;
	if (!step(s, err))
		return false;
	buf_str(out, "got");
	return true;
}

static bool
plan_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	(void) key;
	*out_bytes = 3;
	return step(s, err);
}

/* Two pages of one key each. */
static bool
plan_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	bool second = cursor->n > 0;

	if (!step(s, err))
		return false;
	buf_reset(cursor);
	if (fn(&(StoreItem){ second ? "b" : "a", 1 }, arg) && !second)
		buf_str(cursor, prefix);
	return true;
}

static bool
plan_del(Store *s, const char *key, Err *err)
{
	(void) key;
	return step(s, err);
}

static void
plan_close(Store *s)
{
	((PlanStore *) s)->closed = true;
}

static const StoreOps plan_ops = {
	.name = "plan",
	.put = plan_put,
	.get = plan_get,
	.head = plan_head,
	.list = plan_list,
	.del = plan_del,
	.close = plan_close,
};

static void
test_put(void **state)
{
	static const struct
	{
		const char *name;
		ErrKind plan[4];
		int nplan;
		int64_t retry_ms;
		int calls;
		ErrKind kind; /* ERR_NONE: success */
		const char *says, *says_too;
	} rows[] = {
		{ "at once", { 0 }, 0, 1000, 1, ERR_NONE, "", "" },
		{ "second try", { ERR_NET }, 1, 60000, 2, ERR_NONE, "", "" },
		{ "busy and net",
		  { ERR_BUSY, ERR_NET, ERR_BUSY },
		  3,
		  60000,
		  4,
		  ERR_NONE,
		  "",
		  "" },
		{ "no retries", { ERR_NET }, 1, 0, 1, ERR_NET, "cause 0", "" },
		{ "refused", { ERR_STORE }, 1, 60000, 1, ERR_STORE, "cause 0", "" },
		{ "no access", { ERR_AUTH }, 1, 60000, 1, ERR_AUTH, "cause 0", "" },
		{ "taken after a lost answer",
		  { ERR_NET, ERR_EXISTS },
		  2,
		  60000,
		  2,
		  ERR_EXISTS,
		  "cause 1",
		  "" },
		{ "budget of two ms",
		  { ERR_NET, ERR_BUSY, ERR_BUSY, ERR_BUSY },
		  4,
		  2,
		  2,
		  ERR_NET,
		  "gave up after 2 tries",
		  "cause 0" },
	};

	(void) state;
	clock_set(&fake_clock);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		PlanStore inner = { .base.ops = &plan_ops,
							.plan = rows[i].plan,
							.nplan = rows[i].nplan,
							.cost_ms = rows[i].retry_ms == 2 ? 1 : 0 };
		Store *s = store_retry_new(
			&inner.base, &(StoreOptions){ .retry_ms = rows[i].retry_ms });
		Err err = { 0 };
		bool ok = store_put(s, "k", slice_cstr("x"), true, &err);

		assert_string_equal(s->ops->name, "plan");
		if (ok != (rows[i].kind == ERR_NONE) || inner.calls < rows[i].calls)
			fail_msg("%s: %d after %d calls: %s", rows[i].name, ok, inner.calls,
					 err.msg);
		if (!ok && (err.kind != rows[i].kind ||
					strstr(err.msg, rows[i].says) == NULL ||
					strstr(err.msg, rows[i].says_too) == NULL))
			fail_msg("%s: %s", rows[i].name, err.msg);
		store_close(s);
		assert_true(inner.closed);
	}
	clock_set(NULL);
}

/* A store that is down for good: the budget is kept, the cause is named. */
static void
test_budget(void **state)
{
	ErrKind plan[1000];
	PlanStore inner = {
		.base.ops = &plan_ops, .plan = plan, .nplan = COUNT(plan), .cost_ms = 10
	};
	Store *s =
		store_retry_new(&inner.base, &(StoreOptions){ .retry_ms = 60000 });
	int64_t start;
	int64_t bytes;
	Err err;

	(void) state;
	for (size_t i = 0; i < COUNT(plan); i++)
		plan[i] = ERR_BUSY;
	clock_set(&fake_clock);
	start = now_ms;
	assert_false(store_head(s, "k", &bytes, &err));
	assert_in_range(now_ms - start, 60000, 60000 + 2 * 10);
	assert_non_null(strstr(err.msg, "cause 0"));
	assert_string_equal(err.hint, "Hint 0.");
	assert_int_equal(err.kind, ERR_BUSY);
	assert_in_range(inner.calls, 5, 999);
	store_close(s);
	clock_set(NULL);
}

static void
note_outage(void *arg, const char *call, const Err *err)
{
	buf_printf(arg, "%s %s ", call, err ? err->msg : "works");
}

/* The first failure of a call is told at once, and once; and its end. */
static void
test_outage(void **state)
{
	static const ErrKind plan[] = { ERR_BUSY, ERR_NET };
	PlanStore inner = { .base.ops = &plan_ops, .plan = plan, .nplan = 2 };
	Buf told;
	Store *s =
		store_retry_new(&inner.base, &(StoreOptions){ .retry_ms = 60000,
													  .on_outage = note_outage,
													  .outage_arg = &told });
	Err err;

	(void) state;
	clock_set(&fake_clock);
	buf_init(&told, 1000);
	assert_true(store_del(s, "k", &err));
	assert_true(store_del(s, "k", &err));
	assert_string_equal(buf_cstr(&told), "delete cause 0 delete works ");
	buf_done(&told);
	store_close(s);
	clock_set(NULL);
}

static void
test_stop(void **state)
{
	ErrKind plan[100];
	PlanStore inner = { .base.ops = &plan_ops,
						.plan = plan,
						.nplan = COUNT(plan) };
	Store *s = store_retry_new(
		&inner.base, &(StoreOptions){ .retry_ms = 3600000, .stop = &stop });
	int64_t start;
	Err err;

	(void) state;
	for (size_t i = 0; i < COUNT(plan); i++)
		plan[i] = ERR_NET;
	clock_set(&fake_clock);
	start = now_ms;
	stop_at_ms = now_ms + 5000;
	assert_false(store_del(s, "k", &err));
	assert_int_equal(err.kind, ERR_STOP);
	assert_in_range(now_ms - start, 5000, 5100);
	store_close(s);
	stop_at_ms = 0;
	atomic_store(&stop, false);
	clock_set(NULL);
}

static bool
note_key(const StoreItem *item, void *arg)
{
	buf_str(arg, item->key);
	return true;
}

static bool
note_one(const StoreItem *item, void *arg)
{
	buf_str(arg, item->key);
	return false;
}

/* Each page is tried again by itself: no key comes twice. */
static void
test_list(void **state)
{
	static const ErrKind plan[] = { ERR_NET, ERR_NET };
	PlanStore inner = { .base.ops = &plan_ops, .plan = plan, .nplan = 2 };
	Store *s =
		store_retry_new(&inner.base, &(StoreOptions){ .retry_ms = 60000 });
	Buf keys;
	Err err;

	(void) state;
	clock_set(&fake_clock);
	buf_init(&keys, 100);
	assert_true(store_list(s, "p", note_key, &keys, &err));
	assert_string_equal(buf_cstr(&keys), "ab");
	assert_int_equal(inner.calls, 4);

	buf_reset(&keys);
	assert_true(store_list(s, "p", note_one, &keys, &err));
	assert_string_equal(buf_cstr(&keys), "a");
	assert_int_equal(inner.calls, 5);

	buf_reset(&keys);
	assert_true(store_get(s, "p", &keys, &err));
	assert_string_equal(buf_cstr(&keys), "got");
	buf_done(&keys);
	store_close(s);
	clock_set(NULL);
}

/* What is told of an output: tries that failed, and since when they do. */
static void
test_stats(void **state)
{
	static const ErrKind plan[] = { ERR_NET, ERR_BUSY, ERR_NONE, ERR_AUTH };
	PlanStore inner = { .base.ops = &plan_ops, .plan = plan, .nplan = 2 };
	StatsOutput told = { 0 };
	Store *s = store_retry_new(
		&inner.base, &(StoreOptions){ .retry_ms = 60000, .stats = &told });
	int64_t began_ms;
	Buf got;
	Err err;

	(void) state;
	clock_set(&fake_clock);
	buf_init(&got, 100);
	assert_true(store_put(s, "k", (Slice){ 0 }, false, &err));
	assert_int_equal(count_get(&told.errors), 2);
	assert_int_equal(count_get(&told.failing_us), 0);
	inner.nplan = 4;
	inner.calls = 3;
	began_ms = now_ms;
	assert_false(store_put(s, "k", (Slice){ 0 }, false, &err));
	assert_int_equal(count_get(&told.errors), 3);
	assert_int_equal(count_get(&told.failing_us), began_ms * 1000);
	inner.calls = 4;
	assert_true(store_get(s, "k", &got, &err)); /* which helps nobody */
	now_ms += 1000;
	inner.calls = 3;
	assert_false(store_put(s, "k", (Slice){ 0 }, false, &err));
	assert_int_equal(count_get(&told.failing_us), began_ms * 1000); /* since */
	assert_true(store_put(s, "k", (Slice){ 0 }, false, &err));
	assert_int_equal(count_get(&told.failing_us), 0);
	inner.calls = 3;
	assert_false(store_get(s, "k", &got, &err));
	assert_int_equal(count_get(&told.errors), 5);
	assert_int_equal(count_get(&told.failing_us), 0);
	buf_done(&got);
	store_close(s);
	clock_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),    cmocka_unit_test(test_budget),
		cmocka_unit_test(test_outage), cmocka_unit_test(test_stop),
		cmocka_unit_test(test_list),   cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
