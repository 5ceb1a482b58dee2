/*-------------------------------------------------------------------------
 * queue.c
 *	  A closable queue between threads, and the byte budget.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

void
cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

static struct timespec
deadline(int64_t timeout_ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_ms / 1000;
	ts.tv_nsec += (timeout_ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000)
	{
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

/* False once it is time; until is NULL for ever. */
static bool
wait_until(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	if (!until)
		return pthread_cond_wait(c, m) == 0;
	return pthread_cond_timedwait(c, m, until) != ETIMEDOUT;
}

bool
cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, int64_t timeout_ms)
{
	struct timespec until = deadline(timeout_ms < 0 ? 0 : timeout_ms);

	return wait_until(c, m, timeout_ms < 0 ? NULL : &until);
}

void
queue_init(Queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	cond_init(&q->filled);
	q->head = q->tail = NULL;
	q->closed = false;
}

void
queue_done(Queue *q)
{
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

void
queue_push(Queue *q, QueueItem *item)
{
	item->next = NULL;
	pthread_mutex_lock(&q->lock);
	if (q->tail)
		q->tail->next = item;
	else
		q->head = item;
	q->tail = item;
	pthread_cond_signal(&q->filled);
	pthread_mutex_unlock(&q->lock);
}

QueueItem *
queue_pop(Queue *q, int64_t timeout_ms)
{
	struct timespec until = deadline(timeout_ms < 0 ? 0 : timeout_ms);
	QueueItem *item;

	pthread_mutex_lock(&q->lock);
	while (!q->head && !q->closed)
	{
		if (!wait_until(&q->filled, &q->lock, timeout_ms < 0 ? NULL : &until))
			break;
	}
	item = q->head;
	if (item)
	{
		q->head = item->next;
		if (!q->head)
			q->tail = NULL;
	}
	pthread_mutex_unlock(&q->lock);
	return item;
}

void
queue_close(Queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->lock);
}

void
budget_init(Budget *b, int64_t limit)
{
	pthread_mutex_init(&b->lock, NULL);
	cond_init(&b->freed);
	b->used = b->peak = b->reserved = b->kept = 0;
	b->limit = b->total = limit;
}

void
budget_done(Budget *b)
{
	pthread_cond_destroy(&b->freed);
	pthread_mutex_destroy(&b->lock);
}

/* Under the lock. */
static void
note_peak(Budget *b)
{
	if (b->used + b->reserved > b->peak)
		b->peak = b->used + b->reserved;
}

void
budget_charge(Budget *b, int64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	b->used += bytes;
	note_peak(b);
	if (bytes < 0)
		pthread_cond_broadcast(&b->freed);
	pthread_mutex_unlock(&b->lock);
}

/* Under the lock. */
static void
set_limit(Budget *b)
{
	int64_t left = b->total - (b->reserved > b->kept ? b->reserved : b->kept);

	atomic_store(&b->limit, left > b->total / 4 ? left : b->total / 4);
}

void
budget_keep(Budget *b, int64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	b->kept = bytes;
	set_limit(b);
	pthread_mutex_unlock(&b->lock);
}

void
budget_reserve(Budget *b, int64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	b->reserved += bytes;
	note_peak(b);
	set_limit(b);
	pthread_mutex_unlock(&b->lock);
}

int64_t
budget_used(Budget *b)
{
	int64_t used;

	pthread_mutex_lock(&b->lock);
	used = b->used;
	pthread_mutex_unlock(&b->lock);
	return used;
}

bool
budget_wait_below(Budget *b, int64_t bytes, int64_t timeout_ms)
{
	bool below;
	struct timespec until = deadline(timeout_ms < 0 ? 0 : timeout_ms);

	pthread_mutex_lock(&b->lock);
	while (b->used > bytes)
	{
		if (!wait_until(&b->freed, &b->lock, timeout_ms < 0 ? NULL : &until))
			break;
	}
	below = b->used <= bytes;
	pthread_mutex_unlock(&b->lock);
	return below;
}
