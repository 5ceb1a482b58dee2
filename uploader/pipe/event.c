/*-------------------------------------------------------------------------
 * event.c
 *	  What the encoder reads.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/event.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/scale.h"

#define BLOCK_BYTES ((size_t) (64 << 10) / SCALE)

Event *
event_new(EventType type)
{
	Event *ev = xcalloc(1, sizeof(*ev));

	ev->type = type;
	return ev;
}

Event *
event_of_message(char *data, size_t n, size_t header_n)
{
	Event *ev = event_new(EVENT_PACKETS);

	ev->data = data;
	ev->n = n;
	ev->next = header_n;
	return ev;
}

bool
event_add_packet(Event *ev, Slice packet)
{
	uint32_t n = (uint32_t) packet.n;

	if (!ev->data)
	{
		ev->cap = BLOCK_BYTES;
		ev->data = xmalloc(ev->cap);
	}
	if (ev->cap - ev->n < sizeof(n) + packet.n)
		return false;
	memcpy(ev->data + ev->n, &n, sizeof(n));
	memcpy(ev->data + ev->n + sizeof(n), packet.p, packet.n);
	ev->n += sizeof(n) + packet.n;
	return true;
}

static int64_t
memory(const Event *ev)
{
	return (int64_t) (ev->cap ? ev->cap : ev->n);
}

void
event_push(Pipe *p, Event *ev)
{
	if (ev->data)
	{
		if (ev->cap > 2 * ev->n) /* little is going on: there is time */
		{
			ev->cap = ev->n;
			ev->data = xrealloc(ev->data, ev->cap);
		}
		budget_charge(&p->budget, memory(ev));
		atomic_fetch_add(&p->queued_bytes, memory(ev));
	}
	queue_push(&p->events, &ev->link);
}

bool
event_packet(Event *ev, Slice *out)
{
	uint32_t n;

	if (ev->next >= ev->n)
		return false;
	if (ev->cap == 0)
		n = (uint32_t) (ev->n - ev->next);
	else
	{
		memcpy(&n, ev->data + ev->next, sizeof(n));
		ev->next += sizeof(n);
	}
	*out = (Slice){ (const uint8_t *) ev->data + ev->next, n };
	ev->next += n;
	return true;
}

void
event_free(Pipe *p, Event *ev)
{
	if (ev->data)
	{
		budget_charge(&p->budget, -memory(ev));
		atomic_fetch_sub(&p->queued_bytes, memory(ev));
		if (ev->cap == 0)
			PQfreemem(ev->data);
		else
			free(ev->data);
		if (atomic_load(&p->paused))
			pipe_wake(p);
	}
	free(ev);
}
