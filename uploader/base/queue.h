/*-------------------------------------------------------------------------
 * queue.h
 *	  A closable queue between threads that hands ownership over.
 *
 * Items embed a QueueItem first.  The queue itself has no bound: who pushes
 * charges the bytes to a Budget and asks there before producing more.  So
 * nobody ever blocks in a push.
 * Threads: any.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct QueueItem
{
	struct QueueItem *next;
} QueueItem;

typedef struct Queue
{
	pthread_mutex_t lock;
	pthread_cond_t filled;
	QueueItem *head;
	QueueItem *tail;
	bool closed;
} Queue;

void queue_init(Queue *q);
void queue_done(Queue *q); /* must be empty */

/* Takes the item.  After queue_close() items are still taken in. */
void queue_push(Queue *q, QueueItem *item);

/*
 * The next item, owned by the caller; NULL when there was none for
 * timeout_ms (< 0: for ever), or none is left and the queue is closed.
 */
QueueItem *queue_pop(Queue *q, int64_t timeout_ms);

/* Wakes all who wait; what is in the queue is still handed out. */
void queue_close(Queue *q);

/* A condition variable on the monotonic clock, and a wait on it. */
void cond_init(pthread_cond_t *c);

/* False after timeout_ms without a signal (< 0: waits for ever). */
bool cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, int64_t timeout_ms);

/* One number of bytes over all buffers, against one limit. */
typedef struct Budget
{
	pthread_mutex_t lock;
	pthread_cond_t freed;
	int64_t used;
	int64_t peak;
	_Atomic int64_t limit; /* less what is reserved */
	int64_t total;
	int64_t reserved;
	int64_t kept; /* off the limit for what will be reserved */
} Budget;

void budget_init(Budget *b, int64_t limit);
void budget_done(Budget *b);
void budget_charge(Budget *b, int64_t bytes); /* < 0: gives back */

/*
 * Takes bytes off the limit: memory that is held as long as somebody works,
 * whatever is in flight.  < 0: gives back.  A quarter of the limit is always
 * left, or nothing would move any more.
 */
void budget_reserve(Budget *b, int64_t bytes);

/*
 * Takes bytes off the limit from the beginning, of which budget_reserve()
 * takes first: so what is in use need not shrink when that comes.
 */
void budget_keep(Budget *b, int64_t bytes);
int64_t budget_used(Budget *b);

/* Waits until used <= bytes, or timeout_ms passed; tells which. */
bool budget_wait_below(Budget *b, int64_t bytes, int64_t timeout_ms);

#endif
