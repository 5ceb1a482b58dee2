/*-------------------------------------------------------------------------
 * test_seen.c
 *	  base/stats, base/seen, pipe/lag: histograms, tables and "other", the last
 *	  entries and errors, failures by code, the oldest change that waits.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seen.h"
#include "base/stats.h"
#include "pipe/lag.h"

static const int64_t bounds[] = { 1000, 2000, 0 };

static int
set_up(void **state)
{
	seen_reset();
	*state = xcalloc(1, sizeof(SeenAll));
	return 0;
}

static int
tear_down(void **state)
{
	free(*state);
	return 0;
}

static void
histogram(void **state)
{
	Histogram h = { .bounds_us = bounds };

	(void) state;
	assert_int_equal(histogram_count(&h), 0);
	histogram_add(&h, 1000, 1); /* a bound belongs to its bucket */
	histogram_add(&h, 1001, 2);
	histogram_add(&h, 5000, 1);
	histogram_add(&h, -7, 1); /* two clocks */
	assert_int_equal(count_get(&h.buckets[0]), 2);
	assert_int_equal(count_get(&h.buckets[1]), 2);
	assert_int_equal(count_get(&h.buckets[2]), 1);
	assert_int_equal(histogram_count(&h), 5);
	assert_int_equal(count_get(&h.sum_us), 1000 + 2 * 1001 + 5000);
}

static void
object(const char *schema, const char *table, int64_t inserts)
{
	int64_t ops[SEEN_OPS] = { [SEEN_INSERT] = inserts };

	seen_object(&(SeenObject){ schema, table, ops, 10 });
}

/* Those that come first are named for good; "other" never goes back. */
static void
first_come(void **state)
{
	SeenAll *s = *state;
	char name[32];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < SEEN_TABLES + 50; i++)
		{
			(void) snprintf(name, sizeof(name), "t%d", i);
			object("public", name, 2);
		}
	seen_copy(s);
	assert_int_equal(s->ntables, SEEN_TABLES + 1);
	assert_string_equal(s->tables[1].table, "t0");
	assert_int_equal(s->tables[1].rows[SEEN_INSERT], 4);
	assert_int_equal(s->tables[1].bytes, 20);
	assert_int_equal(s->tables[1].objects, 2);
	assert_int_equal(s->tables[0].rows[SEEN_INSERT], 200);
	assert_int_equal(s->tables[0].objects, 100);
}

static bool
starts_with_a(void *arg, const char *schema, const char *table)
{
	++*(int *) arg;
	return strcmp(schema, "s") == 0 && table[0] == 'a';
}

static void
chosen(void **state)
{
	SeenAll *s = *state;
	int asked = 0;

	seen_choose(starts_with_a, &asked);
	object("s", "b", 1);
	object("s", "a", 1);
	object("s", "a", 1);
	object("other", "a", 1);
	seen_copy(s);
	assert_int_equal(s->ntables, 2);
	assert_string_equal(s->tables[1].table, "a");
	assert_int_equal(s->tables[1].rows[SEEN_INSERT], 2);
	assert_int_equal(s->tables[0].rows[SEEN_INSERT], 2);
	assert_int_equal(asked, 3);
}

/* Two names that look alike with a dot between them, and one too long. */
static void
names(void **state)
{
	SeenAll *s = *state;
	char longest[300];

	object("a.b", "c", 1);
	object("a", "b.c", 1);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	object("a", longest, 1);
	seen_copy(s);
	assert_int_equal(s->ntables, 3);
	assert_int_equal(s->tables[0].objects, 1);
}

static void
ops(void **state)
{
	(void) state;
	assert_int_equal(seen_op('i'), SEEN_INSERT);
	assert_int_equal(seen_op('u'), SEEN_UPDATE);
	assert_int_equal(seen_op('d'), SEEN_DELETE);
	assert_int_equal(seen_op('t'), SEEN_TRUNCATE);
	assert_int_equal(seen_op('s'), SEEN_RESYNC);
	assert_int_equal(seen_op('r'), SEEN_LOAD);
	assert_string_equal(seen_op_name(SEEN_RESYNC), "resync");
}

static void
entries(void **state)
{
	SeenAll *s = *state;

	for (int i = 0; i < SEEN_ENTRIES + 3; i++)
		seen_entry(&(SeenEntry){ .seq = i });
	seen_copy(s);
	assert_int_equal(s->nentries, SEEN_ENTRIES);
	assert_int_equal(s->entries[0].seq, SEEN_ENTRIES + 2);
	assert_int_equal(s->entries[SEEN_ENTRIES - 1].seq, 3);
}

/* What is logged as a warning or error: its event and kind, nothing else. */
static void
errors(void **state)
{
	SeenAll *s = *state;
	Err err;

	log_init(LOG_WARN, false);
	log_info("all is well", NULL);
	log_warn("store does not answer, trying on", "error", "SECRET in words",
			 NULL);
	(void) err_set(&err, ERR_NET, 0, "SECRET");
	log_err(LOG_ERROR, "merge failed, trying again", &err);
	seen_copy(s);
	assert_int_equal(s->nerrors, 2);
	assert_string_equal(s->errors[0].event, "merge failed, trying again");
	assert_string_equal(s->errors[0].kind, "net");
	assert_true(s->errors[0].error);
	assert_string_equal(s->errors[1].event, "store does not answer, trying on");
	assert_string_equal(s->errors[1].kind, "");
	assert_false(s->errors[1].error);
	assert_null(memmem(s, sizeof(*s), "SECRET", 6));
}

static void
failures(void **state)
{
	SeenAll *s = *state;
	Err err;

	(void) err_set(&err, ERR_BUSY, 503, "slow down");
	seen_failure("put", &err, true);
	seen_failure("put", &err, false);
	(void) err_set(&err, ERR_NET, 7, "no answer"); /* libcurl's number */
	seen_failure("put", &err, true);
	seen_copy(s);
	assert_int_equal(s->nfailures, 2);
	assert_string_equal(s->failures[0].code, "503");
	assert_int_equal(s->failures[0].errors, 2);
	assert_int_equal(s->failures[0].retries, 1);
	assert_string_equal(s->failures[1].code, "net");
	for (int i = 0; i < 100; i++)
	{
		(void) err_set(&err, ERR_STORE, 400 + i, "odd");
		seen_failure("list", &err, false);
	}
	seen_copy(s);
	assert_int_equal(s->nfailures, SEEN_FAILURES);
	assert_string_equal(s->failures[SEEN_FAILURES - 1].code, "other");
	assert_int_equal(s->failures[SEEN_FAILURES - 1].errors,
					 100 - (SEEN_FAILURES - 3));
}

static void
loads(void **state)
{
	SeenAll *s = *state;
	SeenLoad list[SEEN_LOADS + 5] = { 0 };

	for (int i = 0; i < SEEN_LOADS + 5; i++)
		list[i].rows = i;
	seen_loads(list, SEEN_LOADS + 5);
	seen_copy(s);
	assert_int_equal(s->nloads, SEEN_LOADS + 1);
	assert_int_equal(s->loads[SEEN_LOADS].rows, SEEN_LOADS + 4); /* the sum */
	seen_loads(NULL, 0);
	seen_copy(s);
	assert_int_equal(s->nloads, 0);
}

static void
lag(void **state)
{
	LagTrack t = { 0 };
	int64_t before = histogram_count(&stats.lag);
	int64_t sum = count_get(&stats.lag.sum_us);

	(void) state;
	for (int i = 0; i < 100000; i++) /* far more than it holds one by one */
		lag_add(&t, INT64_C(1000000) + i * 20000);
	assert_true(t.n <= 4096);
	lag_settle(&t, INT64_C(1000000) + INT64_C(100000) * 20000);
	assert_int_equal(histogram_count(&stats.lag) - before, 100000);
	assert_true(count_get(&stats.lag.sum_us) > sum);
	lag_settle(&t, 0); /* nothing is told twice */
	assert_int_equal(histogram_count(&stats.lag) - before, 100000);
	lag_add(&t, 5000000);
	lag_add(&t, 5000001);
	lag_add(&t, 4000000); /* times of commits are in no order */
	assert_int_equal(t.n, 2);
	lag_done(&t);
}

static void
waiting(void **state)
{
	Waiting w;

	(void) state;
	waiting_init(&w);
	assert_int_equal(count_get(&stats.oldest_us), 0);
	waiting_begin(&w, 7, 100);
	waiting_begin(&w, 7, 50); /* its first change is what counts */
	waiting_begin(&w, 8, 200);
	assert_int_equal(count_get(&stats.oldest_us), 100);
	waiting_large(&w, 8);
	assert_int_equal(count_get(&stats.oldest_large), 0);
	waiting_done(&w, 7);
	assert_int_equal(count_get(&stats.oldest_us), 200);
	assert_int_equal(count_get(&stats.oldest_large), 1);
	waiting_done(&w, 8);
	assert_int_equal(count_get(&stats.oldest_us), 0);
	assert_int_equal(count_get(&stats.oldest_large), 0);
	for (int i = 0; i < 2 * WAITING_MAX; i++)
		waiting_begin(&w, 10 + i, 1000 + i);
	assert_int_equal(count_get(&stats.oldest_us), 1000);
	waiting_destroy(&w); /* the session is over: nothing waits */
	assert_int_equal(count_get(&stats.oldest_us), 0);
}

/* What each output lacks: who is behind holds up who is not. */
static void
waiting_outputs(void **state)
{
	const StatsOutput *lake = &stats.outputs[0];
	const StatsOutput *report = &stats.outputs[1];
	Waiting w;

	(void) state;
	waiting_init(&w);
	waiting_begin(&w, 7, 100);
	waiting_object(&w, 7, 0, 1);
	waiting_object(&w, 7, 1, 2);
	assert_int_equal(count_get(&lake->oldest_us), 100);
	waiting_close(&w, 7);
	waiting_begin(&w, 8, 200);
	assert_int_equal(count_get(&lake->oldest_us), 100);
	waiting_object(&w, 7, 0, -1);
	assert_int_equal(count_get(&lake->oldest_us), 200);
	waiting_object(&w, 7, 1, -1);
	assert_int_equal(count_get(&report->oldest_us), 100);
	waiting_object(&w, 99, 1, -1); /* one that nobody waits for */
	waiting_detach(&w, 1, 5000);
	waiting_object(&w, 7, 1, -1);
	waiting_done(&w, 7);
	waiting_done(&w, 8);
	assert_int_equal(count_get(&lake->oldest_us), 0);
	assert_int_equal(count_get(&report->oldest_us), 100); /* for good */
	waiting_destroy(&w);
	assert_int_equal(count_get(&report->oldest_us), 100);
	waiting_init(&w);            /* the next session */
	waiting_detach(&w, 2, 5000); /* one that lacked nothing so far */
	waiting_destroy(&w);
	assert_int_equal(count_get(&stats.outputs[2].oldest_us), 5000);
	memset(stats.outputs, 0, sizeof(stats.outputs));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(histogram), TEST(first_come), TEST(chosen),  TEST(names),
		TEST(ops),       TEST(entries),    TEST(errors),  TEST(failures),
		TEST(loads),     TEST(lag),        TEST(waiting), TEST(waiting_outputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
