/*-------------------------------------------------------------------------
 * test_layout.c
 *	  From when on output settings count: case by case, and a random run of
 *	  sessions, each of which knows no more than the last entry, in which no
 *	  folder ever gets rows of two formats.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/entry.h"
#include "codec/key.h"
#include "pipe/layout.h"

#define HOURLY PATH_DEFAULT
#define DAILY "{schema}/{table}/year={yyyy}/month={mm}/day={dd}"
#define MINUTES "{schema}/{table}/{yyyy}{mm}{dd}/{hh}{mi}"
#define NONE "{schema}/{table}"

#define MINUTE (60 * US_PER_SEC)
#define NOON INT64_C(1795262400000000) /* 2026-11-21 12:00 UTC */

static EntryLayout
wish(const char *format, const char *path, const char *zone)
{
	return (EntryLayout){ .format = (char *) format,
						  .variant = "",
						  .compression = "zstd",
						  .path = (char *) path,
						  .zone = (char *) zone };
}

/* What one session leaves to the next. */
static Entry *
handed_on(const Layouts *l, int64_t closed_until)
{
	Entry *e = entry_new();
	Entry *out;
	Buf b;
	Err err;

	e->closed_until = e->swept_until = closed_until;
	layouts_to_entry(l, e);
	buf_init(&b, ENTRY_MAX_BYTES);
	entry_encode(e, NULL, &b);
	if (!entry_parse(buf_slice(&b), NULL, &out, &err))
		fail_msg("%s\n%s", err.msg, buf_cstr(&b));
	assert_int_equal(out->nlayouts, e->nlayouts);
	entry_free(e);
	buf_done(&b);
	return out;
}

/* The next session of *l begins. */
static LayoutChange
restart(Layouts *l, const EntryLayout *wanted, int64_t now, int64_t closed)
{
	Entry *last = handed_on(l, closed);
	LayoutChange change;
	Err err;

	layouts_done(l);
	if (!layouts_open(l, last, wanted, now, &change, &err))
		fail_msg("%s", err.msg);
	entry_free(last);
	return change;
}

static void
begin(Layouts *l, const EntryLayout *wanted)
{
	Entry *none = entry_new();
	LayoutChange change;
	Err err;

	assert_true(layouts_open(l, none, wanted, NOON, &change, &err));
	assert_int_equal(change, LAYOUT_SAME);
	assert_int_equal(l->n, 1);
	entry_free(none);
}

/* "csv a/b/2026/…/" of a row of that time. */
static void
place(const Layouts *l, int64_t at, int64_t closed, Buf *out)
{
	int64_t folder = layouts_folder(l, at, closed);
	const Layout *has = &l->items[layouts_of_folder(l, folder)];

	buf_reset(out);
	buf_printf(out, "%s ", has->said.format);
	path_add(has->path, &(PathNames){ "a", "b", "d", "s" }, folder, out);
}

static void
expect(const Layouts *l, int64_t at, const char *want)
{
	Buf b;

	buf_init(&b, KEY_TEXT_MAX);
	place(l, at, 0, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

/* The hour at hand goes on; the next one is of the new format. */
static void
test_format(void **state)
{
	EntryLayout json = wish("json", HOURLY, "UTC");
	EntryLayout csv = wish("csv", HOURLY, "UTC");
	Layouts l;

	(void) state;
	begin(&l, &json);
	layouts_use(&l, layouts_folder(&l, NOON, 0));
	assert_int_equal(restart(&l, &csv, NOON + 14 * MINUTE, 0), LAYOUT_NEW);
	expect(&l, NOON + 59 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=12/");
	expect(&l, NOON + 60 * MINUTE,
		   "csv a/b/year=2026/month=11/day=21/hour=13/");
	/* the same settings: nothing is new, and it stays so */
	assert_int_equal(restart(&l, &csv, NOON + 30 * MINUTE, 0), LAYOUT_SAME);
	expect(&l, NOON + 59 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=12/");
	/* a row that comes late goes to what is open, as that is */
	{
		Buf b;

		buf_init(&b, KEY_TEXT_MAX);
		place(&l, NOON + 59 * MINUTE, NOON + 60 * MINUTE, &b);
		assert_string_equal(buf_cstr(&b),
							"csv a/b/year=2026/month=11/day=21/hour=13/");
		buf_done(&b);
	}
	layouts_done(&l);
}

/* Set back before it began, it never was. */
static void
test_set_back(void **state)
{
	EntryLayout json = wish("json", HOURLY, "UTC");
	EntryLayout csv = wish("csv", HOURLY, "UTC");
	Layouts l;

	(void) state;
	begin(&l, &json);
	assert_int_equal(restart(&l, &csv, NOON, 0), LAYOUT_NEW);
	assert_int_equal(l.n, 2);
	assert_int_equal(restart(&l, &json, NOON + MINUTE, 0), LAYOUT_SAME);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.items[0].said.until, 0);
	layouts_done(&l);
}

/* The server's clock was ahead: that hour has rows already. */
static void
test_ahead(void **state)
{
	EntryLayout json = wish("json", HOURLY, "UTC");
	EntryLayout csv = wish("csv", HOURLY, "UTC");
	Layouts l;

	(void) state;
	begin(&l, &json);
	layouts_use(&l, layouts_folder(&l, NOON + 61 * MINUTE, 0));
	assert_int_equal(restart(&l, &csv, NOON, 0), LAYOUT_NEW);
	expect(&l, NOON + 119 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=13/");
	expect(&l, NOON + 120 * MINUTE,
		   "csv a/b/year=2026/month=11/day=21/hour=14/");
	layouts_done(&l);
}

static void
test_paths(void **state)
{
	EntryLayout hourly = wish("json", HOURLY, "UTC");
	EntryLayout daily = wish("json", DAILY, "UTC");
	EntryLayout none = wish("json", NONE, "UTC");
	EntryLayout csv = wish("csv", NONE, "UTC");
	EntryLayout zone = wish("json", NONE, "+02");
	Layouts l;

	(void) state;
	/* a day begins at midnight, and so long hours go on */
	begin(&l, &hourly);
	assert_int_equal(restart(&l, &daily, NOON, 0), LAYOUT_NEW);
	expect(&l, NOON + 719 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=23/");
	expect(&l, NOON + 720 * MINUTE, "json a/b/year=2026/month=11/day=22/");
	/* hours begin at midnight, where the day ends */
	assert_int_equal(restart(&l, &hourly, NOON + 720 * MINUTE, 0), LAYOUT_NEW);
	expect(&l, NOON + 2160 * MINUTE,
		   "json a/b/year=2026/month=11/day=23/hour=00/");
	/* folders without times never end, but others may begin beside them */
	assert_int_equal(restart(&l, &none, NOON + 2160 * MINUTE, 0), LAYOUT_NEW);
	expect(&l, NOON + 2220 * MINUTE, "json a/b/");
	assert_int_equal(restart(&l, &csv, NOON + 2220 * MINUTE, 0), LAYOUT_NEVER);
	expect(&l, NOON + 22200 * MINUTE, "json a/b/");
	assert_int_equal(restart(&l, &zone, NOON + 2220 * MINUTE, 0), LAYOUT_SAME);
	assert_int_equal(restart(&l, &daily, NOON + 2220 * MINUTE, 0), LAYOUT_NEW);
	expect(&l, NOON + 5000 * MINUTE, "json a/b/year=2026/month=11/day=24/");
	layouts_done(&l);
}

/* To the west hours have names that were there before. */
static void
test_zone(void **state)
{
	EntryLayout utc = wish("json", HOURLY, "UTC");
	EntryLayout west = wish("json", HOURLY, "-05");
	EntryLayout half = wish("json", HOURLY, "+05:30");
	Layouts l;

	(void) state;
	begin(&l, &utc);
	assert_int_equal(restart(&l, &west, NOON, 0), LAYOUT_NEW);
	expect(&l, NOON + 59 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=12/");
	expect(&l, NOON + 60 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=13/");
	expect(&l, NOON + 360 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=13/");
	expect(&l, NOON + 420 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=14/");
	layouts_done(&l);
	begin(&l, &utc);
	assert_int_equal(restart(&l, &half, NOON, 0), LAYOUT_NEW);
	expect(&l, NOON + 60 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=18/");
	expect(&l, NOON + 90 * MINUTE,
		   "json a/b/year=2026/month=11/day=21/hour=19/");
	layouts_done(&l);
}

static void
test_too_many(void **state)
{
	Layouts l;
	Entry *last;
	LayoutChange change;
	EntryLayout w = wish("json", MINUTES, "UTC");
	int64_t now = NOON;
	Err err;
	bool ok = true;
	int n = 0;

	(void) state;
	begin(&l, &w);
	while (ok)
	{
		w.format = n++ % 2 ? "json" : "csv";
		now += 2 * MINUTE;
		last = handed_on(&l, 0);
		layouts_done(&l);
		ok = layouts_open(&l, last, &w, now, &change, &err);
		entry_free(last);
	}
	assert_int_equal(n, ENTRY_LAYOUTS_MAX);
	assert_int_equal(err.kind, ERR_USAGE);
	layouts_done(&l);
	/* once they are complete, and their names cannot come again, there is
	 * room */
	begin(&l, &w);
	w.format = "parquet";
	assert_int_equal(restart(&l, &w, NOON, 0), LAYOUT_NEW);
	assert_int_equal(restart(&l, &w, NOON + MINUTE, NOON + 10 * MINUTE),
					 LAYOUT_SAME);
	assert_int_equal(l.n, 2);
	assert_int_equal(restart(&l, &w, NOON + MINUTE, NOON + 60 * 60 * MINUTE),
					 LAYOUT_SAME);
	assert_int_equal(l.n, 1);
	layouts_done(&l);
}

static void
test_refused(void **state)
{
	static const EntryLayout bad[] = {
		{ .format = "xml",
		  .compression = "zstd",
		  .path = HOURLY,
		  .zone = "UTC" },
		{ .format = "json",
		  .compression = "lzo",
		  .path = HOURLY,
		  .zone = "UTC" },
		{ .format = "json", .compression = "zstd", .path = "x", .zone = "UTC" },
		{ .format = "json",
		  .compression = "zstd",
		  .path = HOURLY,
		  .zone = "No/Where" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		Entry *none = entry_new();
		EntryLayout w = bad[i];
		LayoutChange change;
		Layouts l;
		Err err;

		w.variant = "";
		assert_false(layouts_open(&l, none, &w, NOON, &change, &err));
		layouts_done(&l);
		entry_free(none);
	}
}

/*
 * Random runs
 */
#define FOLDERS_MAX 20000

typedef struct Seen
{
	int n;
	char *folder[FOLDERS_MAX];
	char format[FOLDERS_MAX][8];
	bool complete[FOLDERS_MAX];
} Seen;

/* A row goes to the folder: has it rows of another format? */
static void
see(Seen *s, const Buf *at, int64_t closed, int64_t end)
{
	const char *text = (const char *) at->p;
	const char *folder = strchr(text, ' ') + 1;
	size_t n = (size_t) (folder - 1 - text);

	assert_true(end > closed); /* it is not complete */
	for (int i = 0; i < s->n; i++)
	{
		if (strcmp(s->folder[i], folder) != 0)
			continue;
		if (strlen(s->format[i]) != n || memcmp(s->format[i], text, n) != 0)
			fail_msg("%s has rows of %s, and gets one of %.*s", folder,
					 s->format[i], (int) n, text);
		return;
	}
	assert_true(s->n < FOLDERS_MAX);
	s->folder[s->n] = xstrdup(folder);
	memcpy(s->format[s->n], text, n);
	s->format[s->n++][n] = '\0';
}

static uint32_t
draw(uint32_t *state, uint32_t n)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % n;
}

static void
random_run(uint32_t seed)
{
	static const char *const formats[] = { "json", "csv", "parquet" };
	static const char *const paths[] = { HOURLY, DAILY, MINUTES };
	static const char *const zones[] = { "UTC", "+05:30", "-08", "+13" };
	static Seen seen;
	uint32_t r = seed;
	int64_t now = NOON;
	int64_t closed = 0;
	EntryLayout w = wish("json", HOURLY, "UTC");
	Layouts l;
	Buf b;

	buf_init(&b, KEY_TEXT_MAX);
	begin(&l, &w);
	for (int step = 0; step < 400; step++)
	{
		for (int i = 0; i < 8; i++)
		{
			/* before and behind by hours, and a few that lie */
			int64_t at = now - 90 * MINUTE + draw(&r, 120) * MINUTE;
			int64_t folder;

			if (draw(&r, 20) == 0)
				at += draw(&r, 600) * MINUTE;
			folder = layouts_folder(&l, at, closed);
			place(&l, at, closed, &b);
			see(&seen, &b, closed,
				path_span(l.items[layouts_of_folder(&l, folder)].path, folder)
					.end);
			layouts_use(&l, folder);
		}
		now += (1 + draw(&r, 45)) * MINUTE;
		if (draw(&r, 3) == 0)
			closed = now / US_PER_HOUR * US_PER_HOUR;
		if (draw(&r, 10) == 0)
		{
			w.format = (char *) formats[draw(&r, 3)];
			w.path = (char *) paths[draw(&r, 3)];
			w.zone = (char *) zones[draw(&r, 4)];
		}
		if (draw(&r, 4) == 0 && l.n < ENTRY_LAYOUTS_MAX - 1)
			(void) restart(&l, &w, now, closed);
	}
	layouts_done(&l);
	buf_done(&b);
	for (int i = 0; i < seen.n; i++)
		free(seen.folder[i]);
	seen.n = 0;
}

static void
test_random(void **state)
{
	(void) state;
	for (uint32_t seed = 1; seed <= 30; seed++)
		random_run(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),  cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_ahead),   cmocka_unit_test(test_paths),
		cmocka_unit_test(test_zone),    cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
