/*-------------------------------------------------------------------------
 * test_expiry.c
 *	  store/expiry: how far objects may be given up, whatever clocks said, and
 *	  who keeps them; requests and notes of targets, malformed ones too.
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

#include "base/clock.h"
#include "base/mem.h"
#include "store/expiry.h"

#define ENTRIES 40
#define BEGAN (INT64_C(495000) * US_PER_HOUR)

static char folder[64];
static Store *store;

static int64_t
hour(int64_t n)
{
	return BEGAN + n * US_PER_HOUR;
}

/* Entry n is written in the middle of hour n, and closes those before it. */
static void
put(int64_t seq, int64_t time)
{
	Entry *e = entry_new();
	Err err;

	e->seq = seq;
	e->prev_end = e->end = 100;
	e->time = time;
	e->closed_until = hour(seq);
	entry_set(&e->writer, "0a0b0c0d");
	if (!commitlog_write(store, e, &err))
		fail_msg("%s", err.msg);
	entry_free(e);
}

static int
set_up(void **state)
{
	StoreOptions o = { 0 };
	char url[96];
	Err err;

	(void) state;
	(void) snprintf(folder, sizeof(folder), "/tmp/test_expiry.XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	(void) snprintf(url, sizeof(url), "file://%s", folder);
	o.url = url;
	if (!store_open(&o, &store, &err))
		return 1;
	for (int64_t seq = 0; seq < ENTRIES; seq++)
		put(seq, hour(seq) + US_PER_HOUR / 2);
	return 0;
}

static int
tear_down(void **state)
{
	char *command = xasprintf("rm -rf %s", folder);
	int rc = system(command);

	(void) state;
	store_close(store);
	free(command);
	return rc;
}

static int64_t
found(int64_t low, int64_t high, int64_t time)
{
	int64_t out = -1;
	Err err;

	if (!expiry_find(store, low, high, time, &out, &err))
		fail_msg("%s", err.msg);
	return out;
}

static void
find_each(void **state)
{
	(void) state;
	for (int64_t n = 1; n < ENTRIES; n++)
	{
		assert_int_equal(found(0, ENTRIES - 1, hour(n)), n - 1);
		assert_int_equal(found(0, ENTRIES - 1, hour(n) + US_PER_HOUR - 1), n);
	}
	assert_int_equal(found(0, ENTRIES - 1, hour(1000)), ENTRIES - 1);
	assert_int_equal(found(7, ENTRIES - 1, hour(3)), 7);
	assert_int_equal(found(5, 5, hour(30)), 5);
	assert_int_equal(found(0, ENTRIES - 1, 1), 0);
}

/* A clock that stood at 1970 for a while makes nothing old. */
static void
wrong_clock(void **state)
{
	(void) state;
	for (int64_t seq = ENTRIES; seq < ENTRIES + 20; seq++)
		put(seq, 1000 + seq);
	for (int64_t n = 1; n < ENTRIES; n++)
		assert_true(found(0, ENTRIES + 19, hour(n)) <= n);
}

static int64_t
held(const Entry *last, int64_t until, const char *like)
{
	Buf why;
	Err err;

	buf_init(&why, 1024);
	if (!expiry_hold(store, last, &until, &why, &err))
		fail_msg("%s", err.msg);
	if (like)
		assert_non_null(strstr(buf_cstr(&why), like));
	else
		assert_int_equal(why.n, 0);
	buf_done(&why);
	return until;
}

static void
spill(const char *key, const char *text)
{
	Err err;

	if (!store_put(store, key, slice_cstr(text), false, &err))
		fail_msg("%s", err.msg);
}

static void
hold_for_whom(void **state)
{
	Entry *last = entry_new();
	TargetNote a = { .name = (char *) "shop at a", .entry = 20, .needs = 21 };
	TargetNote b = { .name = (char *) "shop at b", .entry = 30, .needs = 12 };
	TargetNotes notes;
	Err err;

	(void) state;
	last->seq = 39;
	assert_int_equal(held(last, 30, NULL), 30);
	assert_int_equal(held(last, 39, "end of the log"), 38);
	last->loads_open = 2;
	last->loads_since = 25;
	assert_int_equal(held(last, 30, "load that is open"), 24);
	assert_int_equal(held(last, 24, NULL), 24);
	assert_true(target_note(store, &a, &err));
	assert_int_equal(held(last, 30, "shop at a"), 20);
	assert_true(target_note(store, &b, &err));
	assert_string_not_equal(a.id, b.id);
	assert_int_equal(held(last, 30, "shop at b"), 11);
	b.time = hour(2);
	b.needs = 31; /* it has gone on: one note a target */
	assert_true(target_note(store, &b, &err));
	assert_int_equal(held(last, 30, "shop at a"), 20);
	assert_true(target_notes(store, &notes, &err));
	assert_int_equal(notes.n, 2);
	target_notes_done(&notes);
	/* one that could not be taken away does not count */
	{
		char *key = xasprintf("_cdc/target/%s-0000000000000001.json", b.id);

		spill(key, "{\"version\":1,\"target\":\"b\",\"needs\":3}");
		free(key);
	}
	assert_int_equal(held(last, 30, "shop at a"), 20);
	assert_true(target_forget(store, a.id, &err));
	assert_int_equal(held(last, 24, NULL), 24);
	assert_false(target_forget(store, "../../log", &err));
	/* what cannot be read keeps all */
	spill("_cdc/target/00000000000000aa-0000000000000001.json",
		  "{\"version\":1,");
	assert_int_equal(held(last, 24, "unreadable"), 0);
	assert_true(target_forget(store, "00000000000000aa", &err));
	spill("_cdc/target/other.json", "{}"); /* not ours */
	assert_int_equal(held(last, 24, NULL), 24);
	entry_free(last);
}

static void
ask_and_take_away(void **state)
{
	ExpiryRequest r = { .until = 17, .time = hour(9) };
	ExpiryRequests l;
	Err err;

	(void) state;
	assert_true(expiry_requests(store, &l, &err));
	assert_int_equal(l.n, 0);
	expiry_requests_done(&l);
	assert_true(expiry_ask(store, &r, &err));
	spill("_cdc/request/expire-000000aa.json", "{\"version\":1}");
	spill("_cdc/request/expire-000000ab.json",
		  "{\"version\":1,\"until_entry\":-3}");
	spill("_cdc/request/0123abcd.json", "{\"version\":1}"); /* of a load */
	assert_true(expiry_requests(store, &l, &err));
	assert_int_equal(l.n, 3);
	for (int i = 0; i < l.n; i++)
	{
		bool ours = strcmp(l.items[i].id, r.id) == 0;

		assert_int_equal(l.items[i].until, ours ? 17 : -1);
		if (ours)
			assert_int_equal(l.items[i].time, hour(9));
		assert_true(expiry_request_remove(store, l.items[i].id, &err));
	}
	expiry_requests_done(&l);
	assert_true(expiry_requests(store, &l, &err));
	assert_int_equal(l.n, 0);
	expiry_requests_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_each),
		cmocka_unit_test(hold_for_whom),
		cmocka_unit_test(ask_and_take_away),
		cmocka_unit_test(wrong_clock),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
