/*-------------------------------------------------------------------------
 * test_standby.c
 *	  pipe/standby: when a standby tells of the slot's holder, and when it takes
 *	  the slot over.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/standby.h"

#define MINUTE INT64_C(60000)

typedef struct Look
{
	int64_t at_ms;
	int64_t holder;
	StandbyStep step;
} Look;

static void
check(const Look *looks, int n)
{
	Standby s;

	standby_init(&s);
	for (int i = 0; i < n; i++)
	{
		StandbyStep got = standby_look(&s, looks[i].holder, looks[i].at_ms);

		if (got != looks[i].step)
			fail_msg("look %d: %d, not %d", i, (int) got, (int) looks[i].step);
	}
}

#define CHECK(looks) check(looks, (int) (sizeof(looks) / sizeof((looks)[0])))

/* Once at first, for each new holder, and every ten minutes. */
static void
test_tells(void **state)
{
	const Look looks[] = {
		{ 1000, 7, STANDBY_TELLS },
		{ 2000, 7, STANDBY_WAITS },
		{ 1000 + 10 * MINUTE - 1, 7, STANDBY_WAITS },
		{ 1000 + 10 * MINUTE, 7, STANDBY_TELLS },
		{ 1000 + 10 * MINUTE + 1000, 7, STANDBY_WAITS },
		{ 1000 + 10 * MINUTE + 2000, 8, STANDBY_TELLS },
		{ 1000 + 10 * MINUTE + 3000, 8, STANDBY_WAITS },
	};

	(void) state;
	CHECK(looks);
}

/* A slot that is free for a moment only belongs to who had it. */
static void
test_takes_over(void **state)
{
	const Look looks[] = {
		{ 1000, 7, STANDBY_TELLS },
		{ 2000, 0, STANDBY_WAITS },
		{ 2000 + STANDBY_FREE_MS - 1, 0, STANDBY_WAITS },
		{ 2000 + STANDBY_FREE_MS, 9, STANDBY_TELLS },
		{ 20000, 0, STANDBY_WAITS },
		{ 20000 + STANDBY_FREE_MS - 1, 0, STANDBY_WAITS },
		{ 20000 + STANDBY_FREE_MS, 0, STANDBY_TAKES_OVER },
	};

	(void) state;
	CHECK(looks);
}

/* Free from the first look on: as long, since it may be such a moment. */
static void
test_free_at_first(void **state)
{
	const Look looks[] = {
		{ 0, 0, STANDBY_WAITS },
		{ STANDBY_FREE_MS, 0, STANDBY_TAKES_OVER },
	};

	(void) state;
	CHECK(looks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_takes_over),
		cmocka_unit_test(test_free_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
