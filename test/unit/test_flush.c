/*-------------------------------------------------------------------------
 * test_flush.c
 *	  flush.tables: what is a rule, whom it is of, and when it wants a
 *	  checkpoint.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cmd/config_flush.h"
#include "pipe/flush.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static FlushRules
rules_of(const char *text, char **room)
{
	FlushRules rules;
	Err err;

	if (!config_flush_rules(text, &rules, room, &err))
		fail_msg("%s: %s", text, err.msg);
	return rules;
}

static void
test_rules(void **state)
{
	char *room;
	FlushRules r =
		rules_of("public.orders rows=1000 interval=5s; audit.*, \"A;b = c\".d  "
				 "bytes=1MB;x.y rows=1;",
				 &room);

	(void) state;
	assert_int_equal(r.n, 3);
	assert_string_equal(r.all[0].tables, "public.orders");
	assert_int_equal(r.all[0].rows, 1000);
	assert_int_equal(r.all[0].interval_ms, 5000);
	assert_int_equal(r.all[0].bytes, 0);
	assert_int_equal(r.all[1].bytes, 1 << 20);
	assert_int_equal(flush_rule_of(&r, "public", "orders"), 0);
	assert_int_equal(flush_rule_of(&r, "audit", "any"), 1);
	assert_int_equal(flush_rule_of(&r, "A;b = c", "d"), 1);
	assert_int_equal(flush_rule_of(&r, "x", "y"), 2);
	assert_int_equal(flush_rule_of(&r, "x", "z"), -1);
	free(room);
	r = rules_of("", &room);
	assert_int_equal(r.n, 0);
	assert_int_equal(flush_rule_of(&r, "x", "y"), -1);
	free(room);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"public.orders",         "rows=5",          "orders rows=5",
		"public.orders rows=",   "a.b rows=0",      "a.b rows=x",
		"a.b interval=10ms",     "a.b interval=2h", "a.b size=5",
		"a.b rows=5 interval",   "a.b rows=5; c.d", "a.b,, rows=5",
		"a.b rows=5, bytes=1MB",
	};

	(void) state;
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		FlushRules rules;
		char *room;
		Err err;

		if (config_flush_rules(bad[i], &rules, &room, &err))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, "flush.tables"));
		free(room);
	}
}

/* One row of a transaction that ends at once. */
static void
one(FlushSeen *seen, int64_t bytes, int64_t now_ms)
{
	flush_note(seen, 1, bytes, now_ms);
	flush_committed(seen, 1);
}

static void
test_due(void **state)
{
	static const struct
	{
		FlushRule rule;
		int rows; /* of 100 bytes, the first at 1 s */
		int64_t now_ms;
		bool due;
	} rows[] = {
		{ { .rows = 3 }, 0, 999999, false },
		{ { .rows = 3 }, 2, 999999, false },
		{ { .rows = 3 }, 3, 1000, true },
		{ { .bytes = 250 }, 2, 999999, false },
		{ { .bytes = 250 }, 3, 1000, true },
		{ { .interval_ms = 5000 }, 0, 999999, false },
		{ { .interval_ms = 5000 }, 1, 5999, false },
		{ { .interval_ms = 5000 }, 1, 6000, true },
		{ { .rows = 3, .interval_ms = 5000 }, 2, 5999, false },
		{ { .rows = 3, .interval_ms = 5000 }, 2, 6000, true },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FlushRules rules = { .n = 1, .all = { rows[i].rule } };
		FlushSeen seen = { 0 };

		for (int k = 0; k < rows[i].rows; k++)
			one(&seen, 100, 1000 + k);
		if (flush_is_due(&rules, &seen, rows[i].now_ms) != rows[i].due)
			fail_msg("row %zu", i);
		flush_reset(&seen, 1);
		assert_false(flush_is_due(&rules, &seen, INT64_C(1) << 50));
	}
}

/* A transaction counts with its end, from its first row on; what is open when
 * a checkpoint is made waits for the next one. */
static void
test_transactions(void **state)
{
	FlushRules rules = {
		.n = 2, .all = { { .rows = 3, .interval_ms = 5000 }, { .rows = 1 } }
	};
	FlushSeen seen[2] = { 0 };

	(void) state;
	for (int i = 0; i < 5; i++)
		flush_note(&seen[0], 1, 10, 1000);
	assert_false(flush_is_due(&rules, seen, 100000));
	flush_reset(seen, 2);
	assert_false(flush_is_due(&rules, seen, 100000));
	flush_committed(seen, 2);
	assert_true(flush_is_due(&rules, seen, 1001));
	flush_reset(seen, 2);
	flush_note(&seen[0], 1, 10, 2000);
	flush_committed(seen, 2);
	assert_false(flush_is_due(&rules, seen, 6999));
	assert_true(flush_is_due(&rules, seen, 7000));
	one(&seen[1], 1, 6000); /* any rule will do */
	assert_true(flush_is_due(&rules, seen, 6001));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_transactions),
	};

	return cmocka_run_group_tests_name("flush", tests, NULL, NULL);
}
