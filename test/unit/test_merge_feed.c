/*-------------------------------------------------------------------------
 * test_merge_feed.c
 *	  merge/merge_feed: lines come whole, in order, and not too far ahead.
 *
 * The reader makes lines of given lengths, each in the same memory, which it
 * writes over with the next; so a line that were kept by its address, or read
 * before it was taken, shows.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_feed.h"

typedef struct Lines
{
	const size_t *lengths;
	int n;
	int fails_at;     /* the number of the line; -1: never */
	_Atomic int read; /* by the feed's thread */
	uint8_t *memory;
	size_t size;
} Lines;

/* Byte i of line k. */
static uint8_t
byte_of(int k, size_t i)
{
	return (uint8_t) ((size_t) k * 31 + i * 7);
}

static bool
read_line(void *arg, FeedLine *out, Err *err)
{
	Lines *l = arg;
	int k = atomic_load(&l->read);

	*out = (FeedLine){ .object = -1 };
	if (l->memory)
		memset(l->memory, 0xEE, l->size);
	if (k == l->fails_at)
		return err_set(err, ERR_GAP, 7, "line %d is wrong", k);
	if (k == l->n)
		return true;
	l->size = l->lengths[k];
	l->memory = xrealloc(l->memory, l->size + 1);
	for (size_t i = 0; i < l->size; i++)
		l->memory[i] = byte_of(k, i);
	*out = (FeedLine){ { l->memory, l->size }, k / 3, k + 1 };
	atomic_store(&l->read, k + 1);
	return true;
}

static void
expect_line(const FeedLine *line, int k, size_t length)
{
	assert_int_equal(line->object, k / 3);
	assert_int_equal(line->number, k + 1);
	assert_int_equal(line->line.n, length);
	for (size_t i = 0; i < length; i++)
	{
		if (line->line.p[i] != byte_of(k, i))
			fail_msg("byte %zu of line %d is another", i, k);
	}
}

static void
take_all(Lines *l)
{
	Feed *f = feed_start(read_line, l);
	FeedLine line;
	Err err;
	int n = l->fails_at >= 0 ? l->fails_at : l->n;

	assert_non_null(f);
	for (int k = 0; k < n; k++)
	{
		(void) feed_is_dry(f);
		assert_true(feed_next(f, &line, &err));
		expect_line(&line, k, l->lengths[k]);
	}
	for (int again = 0; again < 2; again++)
	{
		if (l->fails_at < 0)
		{
			assert_true(feed_next(f, &line, &err));
			assert_int_equal(line.object, -1);
			continue;
		}
		assert_false(feed_next(f, &line, &err));
		assert_int_equal(err.kind, ERR_GAP);
		assert_int_equal(err.code, 7);
	}
	feed_stop(f);
	free(l->memory);
}

static void
test_short_lines(void **state)
{
	size_t lengths[20000];

	(void) state;
	for (int i = 0; i < 20000; i++)
		lengths[i] = (size_t) (i * 37 % 400);
	take_all(&(Lines){ .lengths = lengths, .n = 20000, .fails_at = -1 });
	take_all(&(Lines){ .lengths = lengths, .n = 20000, .fails_at = 12345 });
	take_all(&(Lines){ .lengths = lengths, .n = 1, .fails_at = -1 });
	take_all(&(Lines){ .lengths = lengths, .n = 0, .fails_at = -1 });
	take_all(&(Lines){ .lengths = lengths, .n = 5, .fails_at = 0 });
}

static void
test_long_lines(void **state)
{
	const size_t lengths[] = { 10,
							   FEED_BYTES,
							   FEED_BYTES + 1,
							   0,
							   3 * FEED_BYTES,
							   3 * FEED_BYTES,
							   FEED_BYTES - 1,
							   1,
							   1,
							   5 * FEED_BYTES };

	(void) state;
	for (int n = 0; n <= 10; n++)
	{
		take_all(&(Lines){ .lengths = lengths, .n = n, .fails_at = -1 });
		take_all(&(Lines){ .lengths = lengths, .n = 10, .fails_at = n });
	}
}

/* A long line is not copied: it is where the reader has it. */
static void
test_long_line_is_borrowed(void **state)
{
	const size_t lengths[] = { 2 * FEED_BYTES, 5 };
	Lines l = { .lengths = lengths, .n = 2, .fails_at = -1 };
	Feed *f = feed_start(read_line, &l);
	FeedLine line;
	Err err;

	(void) state;
	assert_true(feed_next(f, &line, &err));
	assert_ptr_equal(line.line.p, l.memory);
	expect_line(&line, 0, lengths[0]);
	assert_int_equal(atomic_load(&l.read), 1); /* the next waits for us */
	assert_true(feed_next(f, &line, &err));
	expect_line(&line, 1, lengths[1]);
	feed_stop(f);
	free(l.memory);
}

/* No more than the ring is read ahead, and whoever stops waits for nothing. */
static void
test_bounded(void **state)
{
	enum
	{
		LINES = 4 * FEED_BLOCKS * FEED_LINES
	};
	size_t *lengths = xcalloc(LINES, sizeof(*lengths));
	FeedLine line;
	Err err;

	(void) state;
	for (int size = 0; size < 2; size++)
	{
		int most = size ? FEED_BLOCKS * 13 : FEED_BLOCKS * FEED_LINES;
		Lines l = { .lengths = lengths, .n = LINES, .fails_at = -1 };
		Feed *f;

		for (int i = 0; i < LINES; i++)
			lengths[i] = size ? 10000 : 1;
		f = feed_start(read_line, &l);
		for (int k = 0; k < 100; k++)
		{
			assert_true(feed_next(f, &line, &err));
			/* the ring, and the line in the reader's hand */
			assert_in_range(atomic_load(&l.read), k + 1, k + most + 1);
		}
		feed_stop(f);
		assert_in_range(atomic_load(&l.read), 100, 100 + most + 1);
		free(l.memory);
	}
	free(lengths);
	feed_stop(NULL);
}

/* What is there at once is told; what is not is waited for. */
static void
test_dry(void **state)
{
	const size_t lengths[] = { 2 * FEED_BYTES, 3, 4 };
	Lines l = { .lengths = lengths, .n = 3, .fails_at = -1 };
	Feed *f = feed_start(read_line, &l);
	FeedLine line;
	Err err;

	(void) state;
	assert_true(feed_next(f, &line, &err));
	assert_true(feed_is_dry(f)); /* the reader waits for the long one */
	assert_true(feed_next(f, &line, &err));
	assert_false(feed_is_dry(f)); /* both short ones came in one block */
	assert_true(feed_next(f, &line, &err));
	expect_line(&line, 2, 4);
	feed_stop(f);
	free(l.memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_lines),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_line_is_borrowed),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_dry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
