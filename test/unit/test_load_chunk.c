/*-------------------------------------------------------------------------
 * test_load_chunk.c
 *	  pipe/load_chunk: ranges of blocks; pipe/load_rate: bytes a second.
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
#include "pipe/load_chunk.h"
#include "pipe/load_rate.h"

#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

/* The ranges follow each other from block 0 on, and the last is open. */
static int
cut(const uint32_t *sizes, int n, uint64_t chunk, BlockRange **out)
{
	uint32_t blocks[64];
	uint64_t total = 0;
	uint64_t sum = 0;
	int made;

	assert_true(n <= COUNT(blocks));
	if (n > 0)
		memcpy(blocks, sizes, (size_t) n * sizeof(*blocks));
	made = load_cut(blocks, n, chunk, out);
	assert_true(made >= 1);
	assert_int_equal((*out)[0].from, 0);
	assert_int_equal((*out)[made - 1].to, 0);
	for (int i = 1; i < made; i++)
	{
		assert_int_equal((*out)[i].from, (*out)[i - 1].to);
		assert_true((*out)[i].from > (*out)[i - 1].from);
	}
	for (int i = 0; i < n; i++)
		total += sizes[i];
	for (int i = 0; i < made; i++)
		sum += load_blocks_in(sizes, n, (*out)[i]);
	assert_int_equal(sum, total);
	return made;
}

static void
test_small(void **state)
{
	static const uint32_t none[] = { 0 };
	static const uint32_t one[] = { 100 };
	BlockRange *r;

	(void) state;
	assert_int_equal(cut(NULL, 0, 10, &r), 1);
	free(r);
	assert_int_equal(cut(none, 1, 10, &r), 1);
	free(r);
	assert_int_equal(cut(one, 1, 100, &r), 1);
	free(r);
	assert_int_equal(cut(one, 1, UINT64_MAX / 2, &r), 1);
	free(r);
}

/* Of one size, as few as there can be. */
static void
test_even(void **state)
{
	static const uint32_t one[] = { 101 };
	static const uint32_t most[] = { UINT32_MAX };
	BlockRange *r;

	(void) state;
	assert_int_equal(cut(one, 1, 100, &r), 2);
	assert_int_equal(r[0].to, 50);
	free(r);
	assert_int_equal(cut(one, 1, 1, &r), 101);
	assert_int_equal(r[100].from, 100);
	free(r);
	assert_int_equal(cut(most, 1, UINT64_C(1) << 31, &r), 2);
	free(r);
	assert_int_equal(cut(most, 1, 1, &r), LOAD_CHUNKS_MAX);
	free(r);
}

/* A range is one of each stored table: the chunks have about as many blocks. */
static void
test_several(void **state)
{
	static const uint32_t sizes[] = { 1000, 10, 0, 10, 500 };
	static const uint32_t alike[] = { 8, 8, 8, 8, 8, 8, 8, 8 };
	BlockRange *r;
	int n;

	(void) state;
	n = cut(sizes, COUNT(sizes), 200, &r);
	assert_int_equal(n, 8);
	for (int i = 0; i < n; i++)
	{
		uint64_t blocks = load_blocks_in(sizes, COUNT(sizes), r[i]);

		assert_in_range(blocks, 180, 200);
	}
	free(r);
	/* a block of each is more than a chunk */
	assert_int_equal(cut(alike, COUNT(alike), 1, &r), 8);
	free(r);
	assert_int_equal(cut(alike, COUNT(alike), 12, &r), 6);
	free(r);
}

static int64_t now;

static int64_t
now_us(void)
{
	return now * 1000;
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

static void
test_rate(void **state)
{
	static const ClockOps ops = { now_us, now_ms, no_sleep };
	LoadRate r;

	(void) state;
	clock_set(&ops);
	now = 5000;
	load_rate_init(&r, 0);
	assert_int_equal(load_rate_take(&r, INT64_C(1) << 40), 0);
	load_rate_done(&r);
	load_rate_init(&r, 1000000);
	assert_int_equal(load_rate_take(&r, 500000), 500);
	assert_int_equal(load_rate_take(&r, 250000), 750);
	now += 750;
	assert_int_equal(load_rate_take(&r, 1000), 1);
	now += 60000; /* what was not taken is lost */
	assert_int_equal(load_rate_take(&r, 100000), 100);
	/* what is less than a millisecond adds up */
	now += 100;
	for (int i = 0; i < 99; i++)
		(void) load_rate_take(&r, 100);
	assert_int_equal(load_rate_take(&r, 100), 10);
	load_rate_done(&r);
	clock_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
