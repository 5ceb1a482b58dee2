/*-------------------------------------------------------------------------
 * test_beat.c
 *	  base/beat: who is alive, by a clock that is turned.
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/beat.h"
#include "base/clock.h"

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

static const ClockOps ops = { now_us, now_ms, no_sleep };

static int
set_up(void **state)
{
	(void) state;
	now = 1000;
	clock_set(&ops);
	return 0;
}

static int
tear_down(void **state)
{
	(void) state;
	beat_end();
	clock_set(NULL);
	return 0;
}

static void
works(void **state)
{
	(void) state;
	assert_null(beat_silent(100));
	beat_begin("encoder");
	now += 99;
	assert_null(beat_silent(100));
	now += 1;
	assert_string_equal(beat_silent(100), "encoder");
	beat();
	assert_null(beat_silent(100));
}

/* A store that does not answer for a day is no reason to be restarted. */
static void
waits(void **state)
{
	(void) state;
	beat_begin("shipper");
	beat_waits();
	now += 86400000;
	assert_null(beat_silent(100));
	beat_works();
	assert_null(beat_silent(100));
	now += 100;
	assert_string_equal(beat_silent(100), "shipper");
}

static void
ends(void **state)
{
	(void) state;
	beat_begin("committer");
	assert_int_equal(beat_threads(), 1);
	beat_end();
	now += 1000;
	assert_null(beat_silent(100));
	assert_int_equal(beat_threads(), 0);
	beat(); /* of a thread without a place: nothing */
	beat_waits();
	beat_works();
	beat_end();
}

static void
listed(void **state)
{
	BeatThread list[BEAT_THREADS_MAX];

	(void) state;
	assert_int_equal(beat_list(list), 0);
	beat_begin("sweeper");
	now += 70;
	assert_int_equal(beat_list(list), 1);
	assert_string_equal(list[0].name, "sweeper");
	assert_false(list[0].waits);
	assert_int_equal(list[0].silent_ms, 70);
	beat_waits();
	assert_int_equal(beat_list(list), 1);
	assert_true(list[0].waits);
	assert_int_equal(list[0].silent_ms, 0);
}

static void *
another(void *arg)
{
	(void) arg;
	beat_begin("another");
	return NULL; /* it died at its work */
}

static void *
comes_and_goes(void *arg)
{
	(void) arg;
	for (int i = 0; i < 1000; i++)
	{
		beat_begin("guest");
		beat_end();
	}
	return NULL;
}

static void
threads(void **state)
{
	pthread_t t[8];

	(void) state;
	beat_begin("receiver");
	assert_int_equal(pthread_create(&t[0], NULL, another, NULL), 0);
	pthread_join(t[0], NULL);
	assert_int_equal(beat_threads(), 2);
	now += 100;
	beat();
	assert_string_equal(beat_silent(100), "another");
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, comes_and_goes, NULL), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(beat_threads(), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(works, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
