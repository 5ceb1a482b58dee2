/*-------------------------------------------------------------------------
 * test_queue.c
 *	  base/queue: order, closing, timeouts, and the budget, with threads.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"

#define ITEMS 20000
#define PRODUCERS 2
#define CONSUMERS 2

typedef struct Item
{
	QueueItem link; /* first */
	int producer;
	int number;
} Item;

static Item *
item_new(int producer, int number)
{
	Item *i = xmalloc(sizeof(*i));

	i->producer = producer;
	i->number = number;
	return i;
}

static int
pop_number(Queue *q)
{
	Item *i = (Item *) queue_pop(q, 0);
	int n = i ? i->number : -1;

	free(i);
	return n;
}

static void
test_order(void **state)
{
	Queue q;

	(void) state;
	queue_init(&q);
	assert_int_equal(pop_number(&q), -1);
	for (int round = 0; round < 3; round++)
	{
		for (int i = 0; i < 5; i++)
			queue_push(&q, &item_new(0, i)->link);
		for (int i = 0; i < 5; i++)
			assert_int_equal(pop_number(&q), i);
		assert_int_equal(pop_number(&q), -1);
	}
	queue_done(&q);
}

/* Closed: what is there is handed out, and what comes later too. */
static void
test_close(void **state)
{
	Queue q;

	(void) state;
	queue_init(&q);
	queue_push(&q, &item_new(0, 1)->link);
	queue_push(&q, &item_new(0, 2)->link);
	queue_close(&q);
	queue_close(&q);
	assert_int_equal(pop_number(&q), 1);
	queue_push(&q, &item_new(0, 3)->link);
	assert_int_equal(pop_number(&q), 2);
	assert_int_equal(pop_number(&q), 3);
	/* for ever is not long once it is closed */
	assert_null(queue_pop(&q, -1));
	queue_done(&q);
}

static void
test_timeout(void **state)
{
	int64_t start = clock_mono_ms();
	Queue q;
	Budget b;

	(void) state;
	queue_init(&q);
	assert_null(queue_pop(&q, 30));
	assert_true(clock_mono_ms() - start >= 29);
	queue_done(&q);

	budget_init(&b, 100);
	budget_charge(&b, 50);
	start = clock_mono_ms();
	assert_false(budget_wait_below(&b, 49, 30));
	assert_true(clock_mono_ms() - start >= 29);
	budget_done(&b);
}

typedef struct Shared
{
	Queue q;
	Budget budget;
	atomic_int popped;
	atomic_long sum;
	atomic_bool disorder;
} Shared;

typedef struct Producer
{
	Shared *s;
	int number;
} Producer;

static void *
produce(void *arg)
{
	Producer *p = arg;

	for (int i = 0; i < ITEMS; i++)
	{
		while (!budget_wait_below(&p->s->budget, 1000, 1000))
			;
		budget_charge(&p->s->budget, 8);
		queue_push(&p->s->q, &item_new(p->number, i)->link);
	}
	return NULL;
}

static void *
consume(void *arg)
{
	Shared *s = arg;
	int last[PRODUCERS] = { -1, -1 };
	Item *i;

	while ((i = (Item *) queue_pop(&s->q, -1)) != NULL)
	{
		if (i->number <= last[i->producer])
			atomic_store(&s->disorder, true);
		last[i->producer] = i->number;
		atomic_fetch_add(&s->popped, 1);
		atomic_fetch_add(&s->sum, i->number);
		budget_charge(&s->budget, -8);
		free(i);
	}
	return NULL;
}

/* Nothing is lost or doubled, and each producer's items keep their order. */
static void
test_threads(void **state)
{
	Shared s = { .popped = 0 };
	Producer producers[PRODUCERS];
	pthread_t in[PRODUCERS];
	pthread_t out[CONSUMERS];

	(void) state;
	queue_init(&s.q);
	budget_init(&s.budget, 1000);
	for (int i = 0; i < CONSUMERS; i++)
		assert_int_equal(pthread_create(&out[i], NULL, consume, &s), 0);
	for (int i = 0; i < PRODUCERS; i++)
	{
		producers[i] = (Producer){ &s, i };
		assert_int_equal(pthread_create(&in[i], NULL, produce, &producers[i]),
						 0);
	}
	for (int i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_join(in[i], NULL), 0);
	queue_close(&s.q);
	for (int i = 0; i < CONSUMERS; i++)
		assert_int_equal(pthread_join(out[i], NULL), 0);
	assert_int_equal(s.popped, PRODUCERS * ITEMS);
	assert_int_equal(s.sum, (long) PRODUCERS * ITEMS * (ITEMS - 1) / 2);
	assert_false(s.disorder);
	assert_int_equal(budget_used(&s.budget), 0);
	/* each producer may be one item above what it waited for */
	assert_true(s.budget.peak <= 1000 + 8 * PRODUCERS);
	budget_done(&s.budget);
	queue_done(&s.q);
}

static void *
close_later(void *arg)
{
	clock_sleep_ms(20);
	queue_close(arg);
	return NULL;
}

/* Closing wakes who waits for ever. */
static void
test_close_wakes(void **state)
{
	pthread_t thread;
	Queue q;

	(void) state;
	queue_init(&q);
	assert_int_equal(pthread_create(&thread, NULL, close_later, &q), 0);
	assert_null(queue_pop(&q, -1));
	assert_int_equal(pthread_join(thread, NULL), 0);
	queue_done(&q);
}

static void
test_budget(void **state)
{
	Budget b;

	(void) state;
	budget_init(&b, 100);
	assert_int_equal(b.limit, 100);
	assert_true(budget_wait_below(&b, 0, 0));
	budget_charge(&b, 70);
	budget_charge(&b, 50);
	assert_int_equal(budget_used(&b), 120);
	assert_false(budget_wait_below(&b, 119, 0));
	assert_true(budget_wait_below(&b, 120, -1));
	budget_charge(&b, -100);
	assert_int_equal(budget_used(&b), 20);
	assert_int_equal(b.peak, 120);
	/* What is reserved is off the limit, but never all of it. */
	budget_reserve(&b, 60);
	assert_int_equal(b.limit, 40);
	budget_charge(&b, 45);
	assert_int_equal(b.peak, 125);
	budget_reserve(&b, 50);
	assert_int_equal(b.limit, 25);
	budget_reserve(&b, -110);
	assert_int_equal(b.limit, 100);
	budget_keep(&b, 30);
	assert_int_equal(b.limit, 70);
	budget_reserve(&b, 30);
	assert_int_equal(b.limit, 70);
	budget_reserve(&b, 1);
	assert_int_equal(b.limit, 69);
	budget_done(&b);
}

static void *
give_back(void *arg)
{
	for (int i = 0; i < 10; i++)
	{
		clock_sleep_ms(2);
		budget_charge(arg, -10);
	}
	return NULL;
}

/* A wait lasts until there is enough, not until there is something. */
static void
test_budget_little_by_little(void **state)
{
	pthread_t thread;
	Budget b;

	(void) state;
	budget_init(&b, 100);
	for (int timeout_ms = -1; timeout_ms <= 60000; timeout_ms += 60001)
	{
		budget_charge(&b, 100);
		assert_int_equal(pthread_create(&thread, NULL, give_back, &b), 0);
		assert_true(budget_wait_below(&b, 0, timeout_ms));
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(budget_used(&b), 0);
	}
	budget_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_close_wakes),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_little_by_little),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
