/*-------------------------------------------------------------------------
 * test_logread.c
 *	  merge/merge_logread: the log is read to its end, ahead of who asks, and
 *	  no hole is taken for the end, however wide it is and whatever was written
 *	  while we read.
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
#include "merge/merge_logread.h"

static char folder[] = "/tmp/test_logread.XXXXXX";
static int logs;

/* A log in a folder of its own, and a plan that reads it. */
typedef struct Lake
{
	char *url;
	StoreOptions options;
	Store *store;
	Plan plan;
	PlanLog log;
	Progress progress;
	PlanRead read;
} Lake;

static void
lake_init(Lake *l, bool ahead)
{
	Err err;

	*l = (Lake){ .url = xasprintf("file://%s/%d", folder, logs++) };
	l->options.url = l->url;
	if (!store_open(&l->options, &l->store, &err))
		fail_msg("%s", err.msg);
	l->plan = (Plan){ .system_identifier = "7",
					  .database = "db",
					  .slot = "cdc_s3",
					  .log = &l->log };
	l->read = (PlanRead){ .store = l->store,
						  .ahead = ahead ? &l->options : NULL,
						  .progress = &l->progress,
						  .plan = &l->plan };
}

static void
lake_done(Lake *l)
{
	logread_over(&l->read);
	for (int i = 0; i < l->log.n; i++)
		entry_free(l->log.entries[i]);
	free(l->log.entries);
	store_close(l->store);
	free(l->url);
}

static void
put(Lake *l, int64_t seq)
{
	Entry *e = entry_new();
	Err err;

	e->seq = seq;
	e->prev_end = 100 + (Lsn) seq;
	e->end = e->prev_end + 1;
	e->timeline = 1;
	e->time = INT64_C(1795249800000000);
	entry_set(&e->system_identifier, "7");
	entry_set(&e->database, "db");
	entry_set(&e->slot, "cdc_s3");
	entry_set(&e->writer, "0a0b0c0d");
	if (!commitlog_write(l->store, e, &err))
		fail_msg("%s", err.msg);
	entry_free(e);
}

static void
put_range(Lake *l, int64_t from, int64_t to)
{
	for (int64_t seq = from; seq <= to; seq++)
		put(l, seq);
}

/* Reads from entry "from" on; the number of the last one that came. */
static int64_t
read_all(Lake *l, int64_t from, bool *out_ok, Err *err)
{
	Entry *e;

	for (int64_t seq = from;; seq++)
	{
		*out_ok = logread_next(&l->read, seq, &e, err);
		if (!*out_ok || !e)
			return seq - 1;
		assert_int_equal(e->seq, seq);
		entry_free(e);
	}
}

static void
to_the_end(void **state)
{
	static const int lengths[] = { 1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 100 };

	(void) state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		for (int ahead = 0; ahead < 2; ahead++)
		{
			Lake l;
			Err err;
			bool ok;

			lake_init(&l, ahead);
			put_range(&l, 0, lengths[i] - 1);
			for (int64_t from = 0; from <= lengths[i]; from += 1 + from / 2)
			{
				assert_int_equal(read_all(&l, from, &ok, &err), lengths[i] - 1);
				assert_true(ok);
			}
			lake_done(&l);
		}
	}
}

static void
holes(void **state)
{
	static const int widths[] = { 1, 2, 3, 4, 7, 40, 1000 };

	(void) state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
	{
		for (int at = 0; at < 40; at = 2 * at + 1)
		{
			Lake l;
			Err err;
			bool ok;
			char says[64];

			lake_init(&l, true);
			put_range(&l, 0, at - 1);
			put(&l, at + widths[i]); /* one alone, behind the hole */
			assert_int_equal(read_all(&l, 0, &ok, &err), at - 1);
			assert_false(ok);
			assert_int_equal(err.kind, ERR_GAP);
			(void) snprintf(says, sizeof(says), "entry %d of the commit log",
							at); /* fits */
			assert_non_null(strstr(err.msg, says));
			lake_done(&l);
		}
	}
}

/* What was asked for too early is asked for again. */
static void
written_meanwhile(void **state)
{
	Lake l;
	Entry *e;
	Err err;
	bool ok;

	(void) state;
	lake_init(&l, true);
	put_range(&l, 0, 4);
	for (int64_t seq = 0; seq < 4; seq++)
	{
		assert_true(logread_next(&l.read, seq, &e, &err));
		entry_free(e);
	}
	put_range(&l, 5, 90);
	assert_int_equal(read_all(&l, 4, &ok, &err), 90);
	assert_true(ok);
	lake_done(&l);
}

static void
damaged(void **state)
{
	Lake l;
	Buf key;
	Err err;
	bool ok;

	(void) state;
	lake_init(&l, true);
	put_range(&l, 0, 4);
	buf_init(&key, KEY_TEXT_MAX);
	key_add_entry(&key, 5);
	assert_true(
		store_put(l.store, buf_cstr(&key), slice_cstr("{}"), true, &err));
	buf_done(&key);
	put_range(&l, 6, 9);
	assert_int_equal(read_all(&l, 0, &ok, &err), 4);
	assert_false(ok);
	assert_int_equal(err.kind, ERR_GAP);
	lake_done(&l);
}

/* Entries before those that are there, in one go and one by one. */
static void
backwards(void **state)
{
	(void) state;
	for (int ahead = 0; ahead < 2; ahead++)
	{
		Lake l;
		Entry *e;
		Err err;

		lake_init(&l, ahead);
		put_range(&l, 0, 59);
		assert_true(logread_next(&l.read, 59, &e, &err));
		log_append(&l.log, e);
		for (int64_t seq = 59; seq >= 50; seq--)
			assert_true(logread_back(&l.read, seq, &err));
		assert_true(logread_back(&l.read, 3, &err));
		assert_true(logread_back(&l.read, 20, &err));
		assert_int_equal(l.log.base, 3);
		assert_int_equal(l.log.n, 57);
		for (int64_t seq = 3; seq < 60; seq++)
			assert_int_equal(log_entry(&l.log, seq)->seq, seq);
		lake_done(&l);
	}
}

static void
backwards_into_a_hole(void **state)
{
	(void) state;
	for (int ahead = 0; ahead < 2; ahead++)
	{
		Lake l;
		Entry *e;
		Err err;

		lake_init(&l, ahead);
		put_range(&l, 0, 9);
		put_range(&l, 11, 40);
		assert_true(logread_next(&l.read, 40, &e, &err));
		log_append(&l.log, e);
		assert_false(logread_back(&l.read, 2, &err));
		assert_int_equal(err.kind, ERR_GAP);
		assert_non_null(strstr(err.msg, "entry 10 of the commit log"));
		assert_int_equal(l.log.n, 1);
		assert_true(logread_back(&l.read, 11, &err));
		assert_int_equal(l.log.n, 30);
		lake_done(&l);
	}
}

static int
set_up(void **state)
{
	(void) state;
	return mkdtemp(folder) ? 0 : 1;
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_the_end),
		cmocka_unit_test(holes),
		cmocka_unit_test(written_meanwhile),
		cmocka_unit_test(damaged),
		cmocka_unit_test(backwards),
		cmocka_unit_test(backwards_into_a_hole),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
