/*-------------------------------------------------------------------------
 * test_against_fold.c
 *	  cmd/against_fold: what was put is there, what was taken is not, beside a
 *	  model of it; and passes that fall short together have every key once.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "cmd/against_fold.h"

#define KEYS 3000
#define STEPS 60000
#define MANY 200000

static uint64_t seed;

static uint64_t
draw(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 20;
}

/*
 * Few shards, and few places in them where a slot wants to be: so that those
 * behind a hole have to move, around the end too.
 */
static FoldKey
crowded(uint64_t i)
{
	return (FoldKey){ { (i % 3) << 52 | i, (i % 7) | i << 40 } };
}

static FoldKey
spread(uint64_t i)
{
	uint64_t h = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);

	return (FoldKey){ { h, h ^ (h >> 29) } };
}

static void
count_key(void *arg, FoldKey key, uint64_t *words)
{
	(void) key;
	(void) words;
	++*(int *) arg;
}

static void
test_model(void **state)
{
	static uint64_t model[KEYS]; /* 0: not there */
	Fold *f = fold_new(2, (size_t) 64 << 20);
	int there = 0;
	int found = 0;
	Err err;

	(void) state;
	fold_begin(f, 0);
	for (uint64_t step = 1; step <= STEPS; step++)
	{
		uint64_t i = draw() % KEYS;
		FoldKey key = crowded(i + 1);
		uint64_t *words = fold_get(f, key);

		assert_true((words != NULL) == (model[i] != 0));
		if (words)
			assert_int_equal(words[1], model[i]);
		if (draw() % 2)
		{
			assert_true(fold_put(f, key, &words, &err));
			there += model[i] == 0;
			words[1] = model[i] = step;
		}
		else
		{
			fold_take(f, key);
			there -= model[i] != 0;
			model[i] = 0;
		}
	}
	fold_each(f, count_key, &found);
	assert_int_equal(found, there);
	fold_clear(f);
	assert_null(fold_get(f, crowded(1)));
	assert_int_equal(f->bytes, 0);
	fold_free(f);
}

static void
take_once(void *arg, FoldKey key, uint64_t *words)
{
	uint8_t *seen = arg;

	assert_int_equal(spread(words[0]).word[0], key.word[0]);
	seen[words[0]]++;
}

static void
test_passes(void **state)
{
	static uint8_t seen[MANY];
	const size_t limit = (size_t) 2 << 20;
	Fold *f = fold_new(1, limit);
	int passes = 0;
	Err err;

	(void) state;
	for (int from = 0; from < FOLD_SHARDS; from = f->to, passes++)
	{
		fold_begin(f, from);
		for (uint64_t i = 0; i < MANY; i++)
		{
			uint64_t *words;

			assert_true(fold_put(f, spread(i), &words, &err));
			assert_true((words != NULL) == fold_has_shard(f, spread(i)));
			if (words)
				*words = i;
			assert_true(f->bytes <= limit);
		}
		assert_true(f->to > from);
		fold_each(f, take_once, seen);
	}
	assert_true(passes > 2);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(seen[i], 1);
	fold_free(f);
}

/* One shard that does not fit cannot be made smaller. */
static void
test_too_small(void **state)
{
	Fold *f = fold_new(1, 4096);
	bool ok = true;
	Err err = { 0 };

	(void) state;
	fold_begin(f, 0);
	for (uint64_t i = 1; ok && i < 1000; i++)
	{
		uint64_t *words;

		ok = fold_put(f, (FoldKey){ { i, i } }, &words, &err);
	}
	assert_false(ok);
	assert_int_equal(err.kind, ERR_LIMIT);
	fold_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
