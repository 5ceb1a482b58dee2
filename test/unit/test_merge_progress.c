/*-------------------------------------------------------------------------
 * test_merge_progress.c
 *	  merge_progress: seconds by phase, rates, time left, when a line is due.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "merge/merge_progress.h"

static int64_t now;

static int64_t
now_us(void)
{
	return INT64_C(1795248847123456);
}

static int64_t
now_ms(void)
{
	return now;
}

static void
no_sleep(int64_t ms)
{
	now += ms;
}

static const ClockOps ops = { now_us, now_ms, no_sleep };
static char text[20000];

/* What a tick at that time writes to stderr. */
static const char *
tick(Progress *p, int64_t at)
{
	FILE *file = tmpfile();
	int real = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(file);
	assert_true(real >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	now = at;
	progress_tick(p);
	assert_true(dup2(real, STDERR_FILENO) >= 0);
	close(real);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static int
setup(void **state)
{
	(void) state;
	now = 1000;
	clock_set(&ops);
	return 0;
}

static void
phases(void **state)
{
	Progress p;

	(void) state;
	progress_init(&p, 0, false);
	now += 5;
	progress_phase(&p, PHASE_READ);
	now += 7;
	progress_phase(&p, PHASE_STAGE);
	now += 11;
	progress_phase(&p, PHASE_READ);
	now += 13;
	assert_int_equal(progress_spent(&p, PHASE_PLAN), 5);
	assert_int_equal(progress_spent(&p, PHASE_READ), 20);
	assert_int_equal(progress_spent(&p, PHASE_STAGE), 11);
	assert_int_equal(progress_spent(&p, PHASE_APPLY), 0);
	progress_begin(&p);
	for (int i = 0; i < PHASES; i++)
		assert_int_equal(progress_spent(&p, (MergePhase) i), 0);
}

static void
figures(void **state)
{
	Progress p;

	(void) state;
	progress_init(&p, 0, false);
	assert_int_equal(progress_rate(&p), -1);
	assert_int_equal(progress_left(&p), -1);
	progress_planned(&p, 3, 7, 1000);
	progress_phase(&p, PHASE_READ);
	now += 2000;
	progress_phase(&p, PHASE_STAGE);
	now += 2000;
	assert_int_equal(progress_rate(&p), -1); /* no row yet */
	p.read = 400;
	assert_int_equal(progress_rate(&p), 100);
	assert_int_equal(progress_left(&p), 16); /* 600 more, then 1000 */
	now += 6000;
	p.read = 1000;
	/* a group that does not move: as long as reading took, then unknown */
	progress_phase(&p, PHASE_APPLY);
	now += 1000;
	assert_int_equal(progress_rate(&p), -1);
	assert_int_equal(progress_left(&p), 9);
	now += 9001;
	assert_int_equal(progress_left(&p), -1);
	p.applied = 400;
	/* another one: as long as the first took */
	progress_phase(&p, PHASE_APPLY);
	now += 5;
	assert_int_equal(progress_left(&p), 14);
	/* one that moves */
	now += 995;
	p.group = 500;
	assert_int_equal(progress_rate(&p), 500);
	assert_int_equal(progress_left(&p), 0);
	p.group = 300;
	assert_int_equal(progress_left(&p), 1);
	p.group = 900; /* steps are no exact number of rows */
	assert_int_equal(progress_left(&p), 0);
}

static void
due(void **state)
{
	Progress p;

	(void) state;
	progress_init(&p, 10000, false);
	assert_string_equal(tick(&p, 10999), "");
	assert_non_null(strstr(tick(&p, 11000), "event=merging phase=plan ms="));
	progress_planned(&p, 3, 7, 1000);
	progress_table(&p, "a\nb", "c\033");
	assert_string_equal(tick(&p, 20999), "");
	assert_non_null(strstr(tick(&p, 21000),
						   "phase=plan schema=\"a\\nb\" "
						   "table=\"c\\u001b\" entries=5 entry=7 "
						   "rows=1000 rows_read=0 rows_applied=0 ms=20000"));
	progress_init(&p, 0, false);
	assert_string_equal(tick(&p, 1000000), "");
}

static void
live(void **state)
{
	Progress p;

	(void) state;
	progress_init(&p, 10000, true);
	assert_string_equal(tick(&p, 1400), "");
	assert_string_equal(tick(&p, 1500), "\rmerge: plan\033[K\r");
	progress_planned(&p, 3, 7, 9);
	progress_phase(&p, PHASE_READ);
	progress_table(&p, "s", "t");
	now += 1000;
	p.read = 3;
	progress_phase(&p, PHASE_STAGE);
	assert_string_equal(tick(&p, 2600),
						"\rmerge of 5 entries, 9 rows: 16 %, 0:05 left, 2 "
						"rows/s, stage s.t\033[K\r");
	/* never longer than the terminal, and no half character at the end */
	for (int shift = 0; shift < 2; shift++)
	{
		const char *line;
		size_t n;

		for (size_t i = (size_t) shift; i + 2 < sizeof(p.table); i += 2)
			memcpy(p.table + i, "\xc3\xa4", 3);
		p.table[0] = shift ? 'x' : p.table[0];
		line = tick(&p, 9000 + shift * 1000);
		n = strcspn(line, "\033");
		assert_true(n == 79 || n == 80);
		assert_memory_equal(line + n - 2, "\xc3\xa4", 2);
	}
	log_over_line(false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(phases, setup),
		cmocka_unit_test_setup(figures, setup),
		cmocka_unit_test_setup(due, setup),
		cmocka_unit_test_setup(live, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
