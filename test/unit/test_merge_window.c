/*-------------------------------------------------------------------------
 * test_merge_window.c
 *	  merge/merge_window: what it leaves out changes no end.
 *
 * Random histories of a few keys.  The value of a key is the list of changes
 * that it is made of: a whole change begins it anew, a partial one adds to
 * it, a move takes it to another key, an end empties all.  All changes and
 * those that left must come to the same values.
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

#include "merge/merge_window.h"

#define KEYS 40

/* Values of all keys, as a hash of the list: order and content count. */
typedef struct World
{
	uint64_t value[KEYS];
} World;

typedef struct Left
{
	World world;
	int last; /* number of the last change that left */
	int n;
	int seen[KEYS]; /* changes of each key */
	bool twice;
	size_t failing; /* the sink fails at that call; 0: never */
	size_t calls;
} Left;

static uint64_t
mix(uint64_t a, uint64_t b)
{
	return (a ^ b) * UINT64_C(0xD6E8FEB86659FD93) + 1;
}

static void
apply(World *w, char op, int key, int to, int number)
{
	switch (op)
	{
		case 'w':
			w->value[key] = mix(1, (uint64_t) number);
			break;
		case 'p':
			w->value[key] = mix(w->value[key], (uint64_t) number);
			break;
		case 'm':
			w->value[to] = mix(w->value[key], (uint64_t) number);
			if (to != key)
				w->value[key] = 0;
			break;
		default:
			memset(w, 0, sizeof(*w));
	}
}

/* Rows are "op key to number padding\n". */
static bool
sink(void *arg, Slice rows, Err *err)
{
	Left *l = arg;
	const char *p = (const char *) rows.p;
	const char *end = p + rows.n;

	if (++l->calls == l->failing)
		return err_set(err, ERR_TARGET, 0, "no");
	while (p < end)
	{
		char op;
		int key;
		int to;
		int number;
		const char *line = memchr(p, '\n', (size_t) (end - p));

		assert_non_null(line); /* whole changes leave */
		assert_int_equal(sscanf(p, "%c %d %d %d", &op, &key, &to, &number), 4);
		assert_true(number > l->last);
		l->last = number;
		apply(&l->world, op, key, to, number);
		l->n++;
		l->twice = l->twice || l->seen[key] > 0 || op != 'w';
		l->seen[key]++;
		p = line + 1;
	}
	return true;
}

static unsigned seed;

static int
below(int n)
{
	seed = seed * 1103515245 + 12345;
	return (int) (seed >> 8) % n;
}

/* Lines begin with 'l'; the row that is made of one, with 'w'. */
static bool
make(void *arg, const WindowLine *late, Slice *out, Err *err)
{
	static char row[1024];
	int number;

	(void) err;
	assert_ptr_equal(late->of, arg);
	assert_true(late->line.n < sizeof(row));
	memcpy(row, late->line.p, late->line.n);
	assert_int_equal(sscanf(row, "l %*d %*d %d", &number), 1);
	assert_int_equal(late->number, number);
	row[0] = 'w';
	*out = (Slice){ (uint8_t *) row, late->line.n };
	return true;
}

static bool
add(Window *w, Left *left, Slice row, Slice key, char op, int number, Err *err)
{
	WindowLine late = { row, left, number };

	return op == 'l' ? window_add_line(w, &late, key, err)
					 : window_add(w, row, key, op != 'w', err);
}

/* One history; fences: of so many changes one leans on those before. */
static void
run_history(size_t window, int changes, int fences, int padding)
{
	Left left = { .last = 0 };
	World all = { { 0 } };
	Window *w = window_new(window, sink, &left);
	char *row = malloc((size_t) padding + 64);
	Err err;

	assert_non_null(row);
	window_make_by(w, make, &left);
	for (int i = 1; i <= changes; i++)
	{
		int key = below(KEYS);
		int to = below(KEYS);
		char op = 'w';
		char name[16];
		int pad = padding > 0 ? below(padding) : 0;
		int n;

		if (fences > 0 && below(fences) == 0)
			op = "pm"[below(2)];
		apply(&all, op, key, to, i);
		if (op == 'w' && below(3) == 0)
			op = 'l';
		n = sprintf(row, "%c %d %d %d ", op, key, to, i);
		memset(row + n, 'x', (size_t) pad);
		row[n + pad] = '\n';
		(void) sprintf(name, "%d", key);
		assert_true(add(w, &left,
						(Slice){ (uint8_t *) row, (size_t) (n + pad) + 1 },
						slice_cstr(name), op, i, &err));
	}
	assert_true(window_flush(w, &err));
	assert_memory_equal(&all, &left.world, sizeof(all));
	assert_int_equal(left.n + window_dropped(w), changes);
	if (window_distinct(w))
		assert_false(left.twice);
	window_free(w);
	free(row);
}

static void
test_histories(void **state)
{
	static const size_t windows[] = { 1, 300, 4096, 1 << 20 };

	(void) state;
	for (unsigned i = 0; i < 400; i++)
	{
		seed = i * 7919;
		run_history(windows[i % 4], 1 + below(2000), below(4) * 20,
					below(3) * 100);
	}
}

/* Only the last of each key is left of a hot set that fits. */
static void
test_hot(void **state)
{
	Left left = { .last = 0 };
	Window *w = window_new(64 * 1024, sink, &left);
	Err err;

	(void) state;
	for (int i = 1; i <= 100000; i++)
	{
		char row[64];
		char key[16];

		(void) snprintf(row, sizeof(row), "w %d 0 %d\n", i % KEYS, i);
		(void) snprintf(key, sizeof(key), "%d", i % KEYS);
		assert_true(
			window_add(w, slice_cstr(row), slice_cstr(key), false, &err));
	}
	assert_int_equal(left.n, 0);
	assert_true(window_is_hot(w));
	assert_true(window_flush(w, &err));
	assert_int_equal(left.n, KEYS);
	assert_true(window_distinct(w));
	window_free(w);
}

/* Keys that were seen have their room, and a key that comes again is told. */
static void
test_distinct(void **state)
{
	static const size_t windows[] = { 1024, 64 * 1024 * 1024 };

	(void) state;
	for (int big = 0; big < 2; big++)
	{
		Left left = { .last = 0 };
		Window *w = window_new(windows[big], sink, &left);
		Err err;

		for (int i = 1; i <= 20000; i++)
		{
			char row[64];
			char key[16];

			(void) snprintf(row, sizeof(row), "w %d 0 %d\n", i % KEYS, i);
			(void) snprintf(key, sizeof(key), "%d", i);
			assert_true(
				window_add(w, slice_cstr(row), slice_cstr(key), false, &err));
		}
		assert_int_equal(window_dropped(w), 0);
		assert_false(window_is_hot(w));
		assert_int_equal(window_distinct(w), big);
		assert_true(window_flush(w, &err));
		assert_true(window_add(w, slice_cstr("w 1 0 30000\n"), slice_cstr("7"),
							   false, &err));
		assert_false(window_distinct(w));
		window_free(w);
	}
}

static void
test_keep_all(void **state)
{
	Left left = { .last = 0 };
	Window *w = window_new(4096, sink, &left);
	Err err;

	(void) state;
	window_keep_all(w);
	assert_true(
		window_add(w, slice_cstr("w 1 0 1\n"), slice_cstr("1"), false, &err));
	assert_true(
		window_add(w, slice_cstr("w 1 0 2\n"), slice_cstr("1"), false, &err));
	window_fence(w);
	assert_false(window_distinct(w));
	assert_true(window_flush(w, &err));
	assert_int_equal(left.n, 2);
	window_free(w);
}

/* A row that is longer than the window leaves at once; a failure is told. */
static void
test_long_and_failing(void **state)
{
	Left left = { .failing = 2 };
	Window *w = window_new(1000, sink, &left);
	char row[5001];
	Err err;

	(void) state;
	memset(row, 'x', sizeof(row));
	memcpy(row, "w 1 0 1 ", 8);
	row[4999] = '\n';
	row[5000] = '\0';
	assert_true(window_add(w, slice_cstr(row), slice_cstr("1"), false, &err));
	assert_int_equal(left.n, 1);
	assert_true(
		window_add(w, slice_cstr("w 2 0 2\n"), slice_cstr("2"), false, &err));
	assert_false(window_flush(w, &err));
	assert_int_equal(err.kind, ERR_TARGET);
	window_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_keep_all),
		cmocka_unit_test(test_long_and_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
