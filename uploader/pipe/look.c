/*-------------------------------------------------------------------------
 * look.c
 *	  What the receiver tells of the session.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/look.h"

#include "base/clock.h"
#include "base/seen.h"
#include "base/stats.h"

#define LOOK_EVERY_MS 500
#define ASK_SLOT_MS 5000

static void
raise_to(Count *c, int64_t v)
{
	if (count_get(c) < v)
		count_set(c, v);
}

void
look_begin(const Pipe *p)
{
	stats_moved();
	count_add(&stats.sessions, 1);
	count_set(&stats.link, LINK_UP);
	count_set(&stats.durable_lsn, (int64_t) p->start->end);
	count_set(&stats.log_seq, p->start->seq);
	count_set(&stats.closed_until_us, p->start->closed_until);
}

static void
tell(Pipe *p, Lsn received, Lsn reported)
{
	raise_to(&stats.received_lsn, (int64_t) atomic_load(&p->received));
	raise_to(&stats.received_lsn, (int64_t) received);
	raise_to(&stats.server_lsn, (int64_t) received);
	raise_to(&stats.confirmed_lsn, (int64_t) reported);
	count_set(&stats.budget_used, budget_used(&p->budget));
	count_set(&stats.budget_limit, p->options->memory_limit);
	count_set(&stats.queued_bytes, atomic_load(&p->queued_bytes));
	count_set(&stats.paused, atomic_load(&p->paused));
	count_set(&stats.loads_open, atomic_load(&p->loads_active));
	count_set(&stats.flush_interval_ms,
			  atomic_load(&p->options->control->flush_interval_ms));
}

void
look_tick(Look *l, Pipe *p, Stream *s, Lsn received, Lsn reported,
		  int64_t now_ms)
{
	if (l->told_ms && now_ms - l->told_ms < LOOK_EVERY_MS)
		return;
	l->told_ms = now_ms;
	tell(p, received, reported);
	if (!s->ops->ask_slot ||
		(l->asked_ms && now_ms - l->asked_ms < ASK_SLOT_MS))
		return;
	l->asked_ms = now_ms;
	s->ops->ask_slot(s, p->options->slot);
}

void
look_read(const Pipe *p, Stream *s)
{
	StreamSlot slot;

	if (!s->ops->ask_slot || !s->ops->slot(s, &slot))
		return;
	raise_to(&stats.server_lsn, (int64_t) slot.server_lsn);
	count_set(&stats.slot_safe_bytes, slot.safe_bytes);
	count_set(&stats.slot_retained_bytes, slot.retained_bytes);
	count_set(&stats.slot_asked_us, clock_unix_us());
	seen_slot(p->options->slot, slot.wal_status);
}

void
look_end(const Pipe *p)
{
	bool stops = atomic_load(&p->options->control->stop);

	count_set(&stats.link, stops ? LINK_STOPPING : LINK_DOWN);
	count_set(&stats.budget_used, 0);
	count_set(&stats.queued_bytes, 0);
	count_set(&stats.paused, 0);
	seen_loads(NULL, 0);
}
