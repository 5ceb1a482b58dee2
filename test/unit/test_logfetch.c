/*-------------------------------------------------------------------------
 * test_logfetch.c
 *	  store/logfetch: entries come in order whatever the number of threads, and
 *	  one that is missing or damaged does not hold up the others.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/key.h"
#include "store/logfetch.h"

#define ENTRIES 200
#define MISSING 77
#define DAMAGED 120

static char folder[] = "/tmp/test_logfetch.XXXXXX";
static char url[64];

static StoreOptions
options(void)
{
	return (StoreOptions){ .url = url };
}

static void
put(Store *s, int64_t seq, Err *err)
{
	Entry *e = entry_new();

	e->seq = seq;
	e->prev_end = e->end = 100 + (Lsn) seq;
	e->timeline = 1;
	e->time = INT64_C(1795249800000000);
	entry_set(&e->system_identifier, "7");
	entry_set(&e->database, "db");
	entry_set(&e->slot, "cdc_s3");
	entry_set(&e->writer, "0a0b0c0d");
	if (!commitlog_write(s, e, err))
		fail_msg("%s", err->msg);
	entry_free(e);
}

static int
set_up(void **state)
{
	StoreOptions o = options();
	Store *s = NULL;
	Buf key;
	Err err;

	(void) state;
	if (!mkdtemp(folder))
		return 1;
	(void) snprintf(url, sizeof(url), "file://%s", folder);
	o.url = url;
	if (!store_open(&o, &s, &err))
		return 1;
	for (int64_t seq = 0; seq < ENTRIES; seq++)
		if (seq != MISSING && seq != DAMAGED)
			put(s, seq, &err);
	buf_init(&key, KEY_TEXT_MAX);
	key_add_entry(&key, DAMAGED);
	assert_true(store_put(s, buf_cstr(&key), slice_cstr("{}"), true, &err));
	buf_done(&key);
	store_close(s);
	return 0;
}

static int
tear_down(void **state)
{
	char *command = xasprintf("rm -rf %s", folder);
	int rc = system(command);

	(void) state;
	free(command);
	return rc;
}

static void
expect_range(int jobs, int64_t from, int64_t to)
{
	const StoreOptions o = options();
	LogFetch *f = NULL;
	Entry *e;
	Err err;

	if (!logfetch_open(&o, jobs, from, to, &f, &err))
		fail_msg("%s", err.msg);
	for (int64_t seq = from; seq <= to; seq++)
	{
		bool ok = logfetch_next(f, &e, &err);

		assert_int_equal(ok, seq != MISSING && seq != DAMAGED);
		if (!ok)
		{
			assert_null(e);
			assert_int_equal(err.kind,
							 seq == MISSING ? ERR_NOT_FOUND : ERR_GAP);
			continue;
		}
		assert_int_equal(e->seq, seq);
		entry_free(e);
	}
	assert_true(logfetch_next(f, &e, &err));
	assert_null(e);
	logfetch_close(f);
}

static void
in_order(void **state)
{
	(void) state;
	for (int jobs = 0; jobs < 20; jobs += 3)
	{
		expect_range(jobs, 0, ENTRIES - 1);
		expect_range(jobs, 5, 5);
		expect_range(jobs, MISSING, MISSING);
		expect_range(jobs, 5, 4);
	}
	expect_range(1000, 0, ENTRIES - 1);
}

/* What was read ahead is freed. */
static void
closed_early(void **state)
{
	const StoreOptions o = options();

	(void) state;
	for (int taken = 0; taken < 20; taken++)
	{
		LogFetch *f = NULL;
		Entry *e;
		Err err;

		assert_true(logfetch_open(&o, 4, 0, ENTRIES - 1, &f, &err));
		for (int i = 0; i < taken; i++)
		{
			assert_true(logfetch_next(f, &e, &err));
			entry_free(e);
		}
		logfetch_close(f);
	}
	logfetch_close(NULL);
}

/* The end is where the first one is missing; behind it goes on who wants. */
static void
end_unknown(void **state)
{
	const StoreOptions o = options();

	(void) state;
	for (int jobs = 1; jobs < 20; jobs += 3)
	{
		LogFetch *f = NULL;
		Entry *e;
		Err err;

		assert_true(logfetch_open_end(&o, jobs, DAMAGED + 1, &f, &err));
		for (int64_t seq = DAMAGED + 1; seq < ENTRIES; seq++)
		{
			assert_true(logfetch_next(f, &e, &err));
			assert_int_equal(e->seq, seq);
			entry_free(e);
		}
		for (int i = 0; i < 3; i++)
		{
			assert_false(logfetch_next(f, &e, &err));
			assert_int_equal(err.kind, ERR_NOT_FOUND);
		}
		logfetch_close(f);
	}
}

static void
no_store(void **state)
{
	const StoreOptions o = { .url = "nix://" };
	LogFetch *f = NULL;
	Err err;

	(void) state;
	assert_false(logfetch_open(&o, 4, 0, 9, &f, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_null(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(closed_early),
		cmocka_unit_test(end_unknown),
		cmocka_unit_test(no_store),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
