/*-------------------------------------------------------------------------
 * test_loadlog.c
 *	  store/loadlog: which entries are read, and what is counted.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/key.h"
#include "store/loadlog.h"

#define ENTRIES 12
#define HOUR_US (INT64_C(3600) * 1000000)
#define NOW (INT64_C(1795248000) * 1000000)

typedef struct FakeStore
{
	Store base;
	char *texts[ENTRIES];
	int gets;
	int64_t missing; /* number of an entry that cannot be read */
} FakeStore;

static bool
fake_get(Store *s, const char *key, Buf *out, Err *err)
{
	FakeStore *f = (FakeStore *) s;
	int64_t seq = strtoll(key + strlen(KEY_LOG_PREFIX), NULL, 10);

	f->gets++;
	if (seq == f->missing)
		return err_set(err, ERR_NOT_FOUND, 0, "no object \"%s\"", key);
	assert_true(seq > 0 && seq < ENTRIES);
	buf_str(out, f->texts[seq]);
	return true;
}

static const StoreOps fake_ops = { .name = "fake", .get = fake_get };

static void
add_load(Entry *e, const char *table, LoadState state, const char *reason)
{
	EntryLoad *l = entry_add_load(e);

	entry_set(&l->id, "0123456789abcdef");
	entry_set(&l->schema, "s");
	entry_set(&l->table, table);
	entry_set(&l->reason, reason);
	l->state = state;
}

/* Entry seq of a log that has loads in 3, 7 and 8, one an hour up to NOW. */
static Entry *
entry_of(int seq, bool linked)
{
	Entry *e = entry_new();

	e->seq = seq;
	e->time = NOW - (ENTRIES - 1 - seq) * HOUR_US;
	e->loads_before = !linked   ? -1
					  : seq > 8 ? 8
					  : seq > 7 ? 7
					  : seq > 3 ? 3
								: 0;
	if (seq == 3 || seq == 7 || seq == 8)
	{
		add_load(e, "t", LOAD_DONE, "rewrite");
		add_load(e, "t", LOAD_OPEN, "rewrite");
		add_load(e, "t", LOAD_GIVEN_UP, "rewrite");
		add_load(e, "t", LOAD_DONE, "");
		add_load(e, seq == 3 ? "u" : "v", LOAD_DONE, "new");
	}
	return e;
}

static void
make_log(FakeStore *f, bool linked)
{
	*f = (FakeStore){ .base = { .ops = &fake_ops }, .missing = -1 };
	for (int seq = 1; seq < ENTRIES; seq++)
	{
		Entry *e = entry_of(seq, linked);
		Buf b;

		buf_init(&b, SIZE_MAX);
		entry_encode(e, NULL, &b);
		f->texts[seq] = xstrdup(buf_cstr(&b));
		buf_done(&b);
		entry_free(e);
	}
}

static void
free_log(FakeStore *f)
{
	for (int i = 0; i < ENTRIES; i++)
		free(f->texts[i]);
}

typedef struct Seen
{
	char text[200];
	int64_t end_at;
} Seen;

static bool
see(const Entry *e, void *arg)
{
	Seen *s = arg;
	char number[32];

	if (e->nloads > 0 || e->seq == ENTRIES - 1)
	{
		(void) snprintf(number, sizeof(number), "%d ", (int) e->seq);
		(void) strncat(s->text, number, sizeof(s->text) - strlen(s->text) - 1);
	}
	return e->seq != s->end_at;
}

static void
walk(FakeStore *f, bool linked, int64_t first, int64_t end_at,
	 const char *expected, int gets)
{
	Entry *last = entry_of(ENTRIES - 1, linked);
	Seen s = { .end_at = end_at };
	Err err;

	f->gets = 0;
	assert_true(loadlog_walk(&f->base, last, first, see, &s, &err));
	assert_string_equal(s.text, expected);
	assert_int_equal(f->gets, gets);
	entry_free(last);
}

static void
test_walk(void **state)
{
	FakeStore f;

	(void) state;
	make_log(&f, true);
	walk(&f, true, 1, -1, "11 8 7 3 ", 3);
	walk(&f, true, 4, -1, "11 8 7 ", 2);
	walk(&f, true, 8, -1, "11 8 ", 1);
	walk(&f, true, 11, -1, "11 ", 0);
	walk(&f, true, 12, -1, "", 0);
	walk(&f, true, 1, 7, "11 8 7 ", 2);
	walk(&f, true, 1, 11, "11 ", 0);
	free_log(&f);
	/* of a writer that did not say it each one is looked at */
	make_log(&f, false);
	walk(&f, false, 1, -1, "11 8 7 3 ", 10);
	walk(&f, false, 7, -1, "11 8 7 ", 4);
	free_log(&f);
}

static void
test_walk_fails(void **state)
{
	Entry *last = entry_of(ENTRIES - 1, true);
	Seen s = { .end_at = -1 };
	FakeStore f;
	LoadCounts c;
	Err err;

	(void) state;
	make_log(&f, true);
	f.missing = 7;
	assert_false(loadlog_walk(&f.base, last, 1, see, &s, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(loadlog_count(&f.base, last, NOW, &c, &err));
	load_counts_done(&c);
	free_log(&f);
	entry_free(last);
}

/* Loads done that no person asked for, of a day. */
static void
test_count(void **state)
{
	static const struct
	{
		int64_t hours; /* after NOW */
		int t, u, v, gets;
	} rows[] = { { 0, 3, 1, 2, 3 },  { 16, 3, 1, 2, 3 }, { 17, 2, 0, 2, 3 },
				 { 20, 2, 0, 2, 3 }, { 21, 1, 0, 1, 2 }, { 22, 0, 0, 0, 1 },
				 { 100, 0, 0, 0, 0 } };
	Entry *last = entry_of(ENTRIES - 1, true);
	FakeStore f;

	(void) state;
	make_log(&f, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		LoadCounts c;
		Err err;

		f.gets = 0;
		assert_true(loadlog_count(&f.base, last, NOW + rows[i].hours * HOUR_US,
								  &c, &err));
		assert_int_equal(load_counts_of(&c, "s", "t"), rows[i].t);
		assert_int_equal(load_counts_of(&c, "s", "u"), rows[i].u);
		assert_int_equal(load_counts_of(&c, "s", "v"), rows[i].v);
		assert_int_equal(load_counts_of(&c, "x", "t"), 0);
		assert_int_equal(f.gets, rows[i].gets);
		load_counts_done(&c);
	}
	free_log(&f);
	entry_free(last);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_fails),
		cmocka_unit_test(test_count),
	};

	return cmocka_run_group_tests_name("loadlog", tests, NULL, NULL);
}
