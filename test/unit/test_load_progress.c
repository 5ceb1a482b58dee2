/*-------------------------------------------------------------------------
 * test_load_progress.c
 *	  pipe/load_progress: shares, rates, time left, and the lines of a
 *	  terminal; pipe/load_pool: who gets which chunk, and what counts.
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
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "pipe/load_progress.h"

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

/* ---- a pool of some tables, without threads ---- */

#define TABLES 3
#define JOBS 2

typedef struct Lab
{
	RunControl control;
	RunOptions options;
	Pipe pipe;
	LoadPool pool;
} Lab;

static void
lab_init(Lab *l)
{
	static const char *const names[TABLES] = { "a", "big", "c" };

	memset(l, 0, sizeof(*l));
	clock_set(&ops);
	now = 1000;
	l->options.control = &l->control;
	l->options.format = &json_format;
	l->pipe.options = &l->options;
	pthread_mutex_init(&l->pipe.lock, NULL);
	cond_init(&l->pipe.changed);
	l->pipe.nload_tables = TABLES;
	l->pipe.load_tables = xcalloc(TABLES, sizeof(LoadTable));
	for (int i = 0; i < TABLES; i++)
	{
		l->pipe.load_tables[i].schema = xstrdup("public");
		l->pipe.load_tables[i].name = xstrdup(names[i]);
		l->pipe.load_tables[i].list = entry_new();
	}
	load_pool_init(&l->pool, &l->pipe, 77, JOBS);
}

static void
lab_done(Lab *l)
{
	for (int i = 0; i < TABLES; i++)
	{
		LoadTable *t = &l->pipe.load_tables[i];

		while (t->parts)
		{
			LoadPart *part = t->parts;

			t->parts = part->next;
			entry_free(part->list);
			table_free(part->table);
			free(part);
		}
		entry_free(t->list);
		free(t->schema);
		free(t->name);
	}
	load_pool_done(&l->pool);
	free(l->pipe.load_tables);
	pthread_cond_destroy(&l->pipe.changed);
	pthread_mutex_destroy(&l->pipe.lock);
	clock_set(NULL);
}

static LoadJob *
take(Lab *l, int job, const char *table, uint32_t from)
{
	LoadJob *j = &l->pool.jobs[job];

	assert_true(load_pool_take(&l->pool, j));
	assert_string_equal(j->table->load->name, table);
	assert_int_equal(j->chunk->range.from, from);
	assert_int_equal(atomic_load(&j->end), LOAD_GOES_ON);
	return j;
}

static void
cut_in_two(Lab *l, LoadJob *j)
{
	static const BlockRange ranges[] = { { 0, 100 }, { 100, 0 } };
	static const int64_t blocks[] = { 100, 50 };

	load_pool_cut(&l->pool, j, ranges, blocks, 2, 4);
}

/* The job is done, with one object and so many rows. */
static void
finish(Lab *l, LoadJob *j, const char *key, int64_t rows)
{
	Schema *s = schema_new("public", j->table->load->name, 0);

	schema_finish(s);
	j->part = load_part_new(&l->pipe, j->table->load, s);
	schema_free(s);
	j->part->rows = rows;
	entry_set(&entry_add_object(j->part->list)->key, key);
	assert_false(load_pool_give(&l->pool, j, JOB_DONE));
}

/* The table that is durable: its objects' keys, with blanks between. */
static void
durable(Lab *l, const char *table, const char *keys, int64_t rows)
{
	bool reads;
	bool waits;
	LoadTable *t = load_pool_durable(&l->pool, 0, &reads, &waits);
	char got[200] = "";

	if (!table)
	{
		assert_null(t);
		return;
	}
	assert_non_null(t);
	assert_string_equal(t->name, table);
	assert_int_equal(t->rows, rows);
	assert_true(t->over);
	assert_int_equal(t->lsn, 77);
	for (int i = 0; i < t->list->nobjects; i++)
	{
		strcat(got, i ? " " : "");
		strcat(got, t->list->objects[i].key);
	}
	assert_string_equal(got, keys);
}

/* Chunks of a table that has begun go before another table. */
static void
test_order(void **state)
{
	Lab l;
	LoadJob *a;
	LoadJob *b;

	(void) state;
	lab_init(&l);
	a = take(&l, 0, "a", 0);
	b = take(&l, 1, "big", 0);
	cut_in_two(&l, b);
	assert_int_equal(b->chunk->range.to, 100);
	finish(&l, a, "a0", 7);
	durable(&l, "a", "a0", 7);
	a = take(&l, 0, "big", 100);
	finish(&l, a, "big1", 5);
	durable(&l, NULL, NULL, 0);
	a = take(&l, 0, "c", 0);
	finish(&l, b, "big0", 6);
	durable(&l, "big", "big0 big1", 11);
	assert_false(load_pool_give(&l.pool, a, JOB_GONE));
	durable(&l, "c", "", 0);
	assert_false(load_pool_take(&l.pool, a));
	lab_done(&l);
}

/* A chunk that is read again counts once, and later. */
static void
test_again(void **state)
{
	Lab l;
	LoadJob *a;
	LoadJob *b;

	(void) state;
	lab_init(&l);
	finish(&l, take(&l, 0, "a", 0), "a0", 1);
	a = take(&l, 0, "big", 0);
	cut_in_two(&l, a);
	b = take(&l, 1, "big", 100);
	load_pool_yield(&l.pool, 0);
	assert_false(load_pool_give(&l.pool, a, JOB_AGAIN));
	assert_int_equal(a->not_before_ms, 0); /* it is not its fault */
	a = take(&l, 0, "c", 0);
	finish(&l, b, "big1", 2);
	now += 1000;
	b = take(&l, 1, "big", 0);
	assert_int_equal(b->chunk->tries, 1);
	assert_false(load_pool_give(&l.pool, b, JOB_AGAIN));
	assert_in_range(b->not_before_ms, now + 1000, now + 1999);
	now += 1999;
	finish(&l, a, "c0", 1);
	now++;
	finish(&l, take(&l, 0, "big", 0), "big0 again", 3);
	durable(&l, "a", "a0", 1);
	durable(&l, "c", "c0", 1);
	durable(&l, "big", "big0 again big1", 5);
	lab_done(&l);
}

/* A table that has changed is left with all of its chunks. */
static void
test_changed(void **state)
{
	Lab l;
	LoadJob *a;
	LoadJob *b;
	LoadPool next;

	(void) state;
	lab_init(&l);
	finish(&l, take(&l, 0, "a", 0), "a0", 1);
	a = take(&l, 0, "big", 0);
	cut_in_two(&l, a);
	b = take(&l, 1, "big", 100);
	assert_true(load_pool_give(&l.pool, b, JOB_CHANGED));
	assert_int_equal(atomic_load(&a->end), LOAD_DROPPED);
	assert_false(load_pool_give(&l.pool, a, JOB_CHANGED)); /* told once */
	finish(&l, take(&l, 0, "c", 0), "c0", 1);
	assert_false(load_pool_take(&l.pool, a));
	durable(&l, "a", "a0", 1);
	durable(&l, "c", "c0", 1);
	durable(&l, NULL, NULL, 0);
	load_pool_init(&next, &l.pipe, 88, JOBS);
	assert_int_equal(next.ntables, 1);
	assert_string_equal(next.tables[0].load->name, "big");
	assert_false(next.tables[0].cut);
	load_pool_done(&next);
	lab_done(&l);
}

/* What is done of a table that is left, or when the pool stopped, is nothing.
 */
static void
test_stopped(void **state)
{
	Lab l;
	LoadJob *a;
	LoadJob *b;

	(void) state;
	lab_init(&l);
	a = take(&l, 0, "a", 0);
	b = take(&l, 1, "big", 0);
	atomic_store(&a->pid, 11);
	atomic_store(&b->pid, 22);
	load_pool_yield(&l.pool, 22);
	load_pool_yield(&l.pool, 33);
	assert_int_equal(atomic_load(&a->end), LOAD_GOES_ON);
	assert_int_equal(atomic_load(&b->end), LOAD_YIELDS);
	load_pool_stop(&l.pool);
	assert_int_equal(atomic_load(&a->end), LOAD_DROPPED);
	assert_false(load_pool_give(&l.pool, a, JOB_AGAIN));
	assert_false(load_pool_give(&l.pool, b, JOB_AGAIN));
	assert_false(load_pool_take(&l.pool, a));
	durable(&l, NULL, NULL, 0);
	lab_done(&l);
}

/* An object of a part that counts is on its way. */
static void
test_on_its_way(void **state)
{
	Lab l;
	LoadJob *a;

	(void) state;
	lab_init(&l);
	a = take(&l, 0, "a", 0);
	finish(&l, a, "a0", 1);
	l.pipe.load_tables[0].parts->outstanding = 1;
	durable(&l, NULL, NULL, 0);
	l.pipe.load_tables[0].parts->outstanding = 0;
	durable(&l, "a", "a0", 1);
	lab_done(&l);
}

/* ---- progress ---- */

static void
test_share(void **state)
{
	(void) state;
	assert_true(load_progress_share(50, 0, 10, 10) == 0.5);
	assert_true(load_progress_share(500, 0, 10, 10) == 0.99);
	assert_true(load_progress_share(7, LOAD_BLOCK_BYTES, 4, 0) == 0.25);
	assert_true(load_progress_share(7, 7, 0, 10) == 0);
}

static void
text_is(LoadLine line, const char *expected)
{
	Buf b;

	buf_init(&b, 1000);
	load_progress_text(&line, &b);
	assert_string_equal(buf_cstr(&b), expected);
	buf_done(&b);
}

static void
test_text(void **state)
{
	(void) state;
	text_is((LoadLine){ .schema = "s", .table = "t" }, "s.t: 0 %, 0 rows");
	text_is((LoadLine){ .schema = "a\nb",
						.table = "c\033",
						.share = 0.25,
						.rows = 1000,
						.bytes = 5000000,
						.ms = 2000 },
			"a?b.c?: 25 %, 1000 rows, 500 rows/s, 2.5 MB/s, 0:06 left");
	text_is((LoadLine){ .share = 0.5,
						.rows = 90,
						.bytes = 100,
						.ms = 90000,
						.tables_done = 1,
						.tables = 3 },
			"load, 1 of 3 tables: 50 %, 90 rows, 1 rows/s, 0.0 MB/s, "
			"1:30 left");
}

static char written[20000];

/* What a tick at that time writes to stderr. */
static const char *
tick(LoadProgress *p, LoadPool *pool, int64_t at)
{
	FILE *file = tmpfile();
	int real = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(file);
	assert_true(real >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	now = at;
	load_progress_tick(p, pool);
	assert_true(dup2(real, STDERR_FILENO) >= 0);
	close(real);
	rewind(file);
	n = fread(written, 1, sizeof(written) - 1, file);
	written[n] = '\0';
	fclose(file);
	return written;
}

/* Two chunks of one table, one of them done: it tells the rows of a block. */
static LoadJob *
half_of_big(Lab *l)
{
	LoadJob *a;

	finish(l, take(l, 0, "a", 0), "a0", 10);
	a = take(l, 0, "big", 0);
	cut_in_two(l, a);
	finish(l, a, "big0", 1000);
	a = take(l, 0, "big", 100);
	atomic_store(&a->rows, 250);
	atomic_store(&a->bytes, 1000);
	return a;
}

static void
test_lines(void **state)
{
	LoadOptions o = { .progress_ms = 10000, .terminal = true };
	LoadProgress p;
	Lab l;

	(void) state;
	lab_init(&l);
	load_progress_init(&p, &o, TABLES);
	half_of_big(&l);
	assert_string_equal(tick(&p, &l.pool, 1400), "");
	/* blocks: a 1, big 150 with 125 read, c 1 */
	assert_string_equal(
		tick(&p, &l.pool, 2000),
		LOG_CLEAR_LINE "public.big: 83 %, 1250 rows, 1250 rows/s, 0.0 MB/s, "
					   "0:00 left\n"
					   "load, 0 of 3 tables: 82 %, 1260 rows, 1260 rows/s, 0.0 "
					   "MB/s, 0:00 left\r\033[1A");
	assert_string_equal(tick(&p, &l.pool, 2400), "");
	lab_done(&l);
}

static void
test_events(void **state)
{
	LoadOptions o = { .progress_ms = 10000 };
	LoadProgress p;
	Lab l;

	(void) state;
	lab_init(&l);
	load_progress_init(&p, &o, TABLES);
	half_of_big(&l);
	assert_string_equal(tick(&p, &l.pool, 10999), "");
	tick(&p, &l.pool, 11000);
	assert_non_null(strstr(
		written,
		"event=loading schema=public table=big percent=83 rows=1250 "
		"bytes=1000 rows_per_s=125 bytes_per_s=100 left_s=2 ms=10000\n"));
	assert_non_null(strstr(written,
						   "event=loading tables_done=0 tables=3 percent=82 "
						   "rows=1260 "));
	assert_string_equal(tick(&p, &l.pool, 20999), "");
	p.interval_ms = 0;
	assert_string_equal(tick(&p, &l.pool, 90000), "");
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),      cmocka_unit_test(test_again),
		cmocka_unit_test(test_changed),    cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_on_its_way), cmocka_unit_test(test_share),
		cmocka_unit_test(test_text),       cmocka_unit_test(test_lines),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
