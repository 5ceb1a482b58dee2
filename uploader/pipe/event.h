/*-------------------------------------------------------------------------
 * event.h
 *	  What the encoder reads: packets of the stream, and everything else that
 *	  happens between two of them, in order.
 *
 * Packets of small transactions travel together in one event, so that what
 * an event costs (memory, locks, waking a thread) is shared by hundreds of
 * them.  A large one travels in the memory in which libpq delivered it.
 *
 * Ownership: who pops an event frees it.  Memory of packets is charged to the
 * pipe's budget from event_push() to event_free().  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef EVENT_H
#define EVENT_H

#include "base/buf.h"
#include "pipe/pipe.h"

typedef enum EventType
{
	EVENT_PACKETS,
	EVENT_KEEPALIVE,
	EVENT_CLOSE_HOUR, /* hour (unix us) may be closed once lsn is covered */
	EVENT_CHECKPOINT, /* asked for by a person */
	EVENT_LOAD_DONE,  /* all objects of a table's load are durable */
	EVENT_STOP,       /* finish and checkpoint by deadline_ms */
	EVENT_ABANDON     /* end with what is committed by now */
} EventType;

typedef struct Event
{
	QueueItem link;
	EventType type;

	/* Packets: each is its length (uint32_t), then its bytes. */
	char *data;
	size_t n;
	size_t cap;  /* 0: one message of libpq, whose header is skipped */
	size_t next; /* where event_packet() goes on */

	Lsn lsn;
	int64_t time; /* close hour */
	bool reply;   /* keepalive: the server wants an answer */
	LoadTable *load;
	int64_t deadline_ms; /* on the monotonic clock */
} Event;

Event *event_new(EventType type);

/* Takes a CopyData message that libpq delivered, header_n bytes in front. */
Event *event_of_message(char *data, size_t n, size_t header_n);

/* Copies a packet; false: there is no room, push this one and begin anew. */
bool event_add_packet(Event *ev, Slice packet) MUST_CHECK;

/* Takes ev. */
void event_push(Pipe *p, Event *ev);

/* The next packet of ev; false after the last. */
bool event_packet(Event *ev, Slice *out);

void event_free(Pipe *p, Event *ev);

#endif
