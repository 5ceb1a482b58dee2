/*-------------------------------------------------------------------------
 * test_places.c
 *	  codec/places: what was added comes back, and a place in two lists is
 *	  found as comparing each with each does.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "codec/places.h"

#define LISTS 6
#define ROWS 40

static uint32_t seed;

/* The same each time. */
static uint32_t
draw(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void
come_back(void **state)
{
	static const Place all[] = {
		{ 0, 1 },
		{ 1, INT64_C(1) << 40 },
		{ 1, (INT64_C(1) << 40) + 1 },
		{ 0x7f, 5 },
		{ UINT64_C(0xFFFFFFFFFFFFFFFE), INT64_MAX - 1 },
		{ UINT64_C(0xFFFFFFFFFFFFFFFE), INT64_MAX },
	};
	PlacesReader r;
	Places p;

	(void) state;
	places_init(&p);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		places_add(&p, all[i]);
	places_read(&p, &r);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
	{
		assert_true(places_next(&r));
		assert_int_equal(place_compare(r.at, all[i]), 0);
	}
	assert_false(places_next(&r));
	places_done(&p);
}

/* A row of a usual transaction. */
static void
take_two_bytes(void **state)
{
	Places p;

	(void) state;
	places_init(&p);
	places_add(&p, (Place){ 0x100000000, 1 });
	for (int i = 2; i <= 1000; i++)
		places_add(&p, (Place){ 0x100000000, i });
	assert_true(p.bytes.n < 2100);
	places_done(&p);
}

static void
no_lists(void **state)
{
	const Places *lists[1];
	Places empty;
	Place at;
	int a;
	int b;

	(void) state;
	places_init(&empty);
	lists[0] = &empty;
	assert_false(places_twice(lists, 0, &at, &a, &b));
	assert_false(places_twice(lists, 1, &at, &a, &b));
	places_done(&empty);
}

typedef struct Drawn
{
	Place rows[LISTS][ROWS];
	int n[LISTS];
} Drawn;

static bool
has(const Drawn *d, int list, Place at)
{
	for (int i = 0; i < d->n[list]; i++)
		if (place_compare(d->rows[list][i], at) == 0)
			return true;
	return false;
}

/* The least place that two lists have. */
static bool
expected(const Drawn *d, Place *out)
{
	bool found = false;

	for (int i = 0; i < LISTS; i++)
		for (int k = 0; k < d->n[i]; k++)
			for (int j = i + 1; j < LISTS; j++)
				if (has(d, j, d->rows[i][k]) &&
					(!found || place_compare(d->rows[i][k], *out) < 0))
				{
					*out = d->rows[i][k];
					found = true;
				}
	return found;
}

static void
draw_lists(Drawn *d, uint32_t room)
{
	for (int i = 0; i < LISTS; i++)
	{
		Place at = { 10, 0 };

		d->n[i] = (int) draw(ROWS);
		for (int k = 0; k < d->n[i]; k++)
		{
			if (draw(4) == 0)
				at = (Place){ at.lsn + 1 + draw(room),
							  1 + (int64_t) draw(room) };
			else
				at.seq += 1 + (int64_t) draw(room);
			d->rows[i][k] = at;
		}
	}
}

static void
found_as_by_hand(void **state)
{
	int with = 0;

	(void) state;
	for (seed = 1; seed < 2000; seed += 7)
	{
		uint32_t began = seed;
		Places p[LISTS];
		const Places *lists[LISTS];
		Drawn d;
		Place want = { 0, 0 };
		Place got = { 0, 0 };
		int a = -1;
		int b = -1;
		bool is;

		draw_lists(&d, began % 2 ? 50 : 1000000);
		for (int i = 0; i < LISTS; i++)
		{
			places_init(&p[i]);
			for (int k = 0; k < d.n[i]; k++)
				places_add(&p[i], d.rows[i][k]);
			lists[i] = &p[i];
		}
		is = expected(&d, &want);
		assert_int_equal(places_twice(lists, LISTS, &got, &a, &b), is);
		if (is)
		{
			assert_int_equal(place_compare(want, got), 0);
			assert_int_not_equal(a, b);
			assert_true(has(&d, a, got) && has(&d, b, got));
		}
		with += is;
		for (int i = 0; i < LISTS; i++)
			places_done(&p[i]);
		seed = began;
	}
	assert_true(with > 20 && with < 280); /* both were tried */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(come_back),
		cmocka_unit_test(take_two_bytes),
		cmocka_unit_test(no_lists),
		cmocka_unit_test(found_as_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
