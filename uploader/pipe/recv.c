/*-------------------------------------------------------------------------
 * recv.c
 *	  The receiver: owns the connections to the source, and never waits for
 *	  anything else.
 *
 * Protocol: "Streaming Replication Protocol" in the server's manual.  A
 * CopyData message is XLogData ('w') or a keepalive ('k'); we send standby
 * status updates ('r').
 *
 * Invariants:
 *	(1) The confirmed LSN sent is Pipe.log_end and never goes back.
 *	(2) A status is sent on time, also while the event queue is full and
 *		reading has stopped.
 *	(3) Silence beyond its limit ends the session, but while the server is at
 *		work (silence.h).
 *	(4) A server that wants an answer gets one at once when the confirmed
 *		LSN has moved, and else once a second: it would ask again at once.
 *
 * The control connection tells what the replication connection cannot while
 * nothing is read from it: that the server is going down.  It also asks for
 * the server's clock and flush position, by which hours are closed.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/recv.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/scale.h"
#include "io/pgconn.h"

#define KEEPALIVE_BYTES 18
#define XLOGDATA_HEADER 25
#define DIRECT_BYTES (16384 / SCALE) /* a packet of this size is not copied */
#define READS_PER_STEP 16 /* of the socket, before it is polled again */
#define ANSWER_EVERY_MS 1000
#define ASK_EVERY_MS 5000
#define LOADING_STATUS_MS 1000
#define LEAP_US (24 * US_PER_HOUR)
#define LEAP_HOLD_MS (10 * 60 * 1000)

static uint64_t
read_be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

static char *
put_be64(char *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
	return p + 8;
}

/*
 * Sending
 */
static bool
send_status(Receiver *r, int64_t now_ms, Err *err)
{
	char msg[34];
	char *p = msg;
	Lsn confirmed = atomic_load(&r->p->log_end);

	assert(confirmed >= r->reported); /* (1) */
	if (r->received < confirmed)
		r->received = confirmed;
	*p++ = 'r';
	p = put_be64(p, r->received);
	p = put_be64(p, confirmed);
	p = put_be64(p, confirmed);
	p = put_be64(p, (uint64_t) (clock_unix_us() - PG_EPOCH_UNIX_US));
	*p = 1; /* answer: a busy server sends no keepalives by itself */
	if (confirmed > r->reported)
		FAULT_POINT("confirm_before");
	if (!r->stream->ops->send(r->stream, msg, sizeof(msg)))
		return r->stream->ops->error(r->stream, "report the confirmed position",
									 err);
	if (confirmed > r->reported)
		FAULT_POINT("confirm_after");
	r->reported = confirmed;
	r->owes_answer = false;
	r->answered_ms = now_ms;
	r->status_at_ms = now_ms + r->status_ms;
	if (atomic_load(&r->p->loads_active) > 0 &&
		r->status_ms > LOADING_STATUS_MS)
		r->status_at_ms = now_ms + LOADING_STATUS_MS;
	return true;
}

static bool
status_is_due(const Receiver *r, int64_t now_ms)
{
	if (now_ms >= r->status_at_ms)
		return true;
	if (atomic_load(&r->p->log_end) > r->reported)
		return r->owes_answer || now_ms - r->answered_ms >= 100;
	return r->owes_answer && now_ms - r->answered_ms >= ANSWER_EVERY_MS;
}

/*
 * Receiving
 */

/* Hands on what packets there are. */
static void
push_block(Receiver *r)
{
	if (r->block)
		event_push(r->p, r->block);
	r->block = NULL;
}

/* Takes data, the message of a packet. */
static void
on_packet(Receiver *r, char *data, int n)
{
	Slice packet = { (const uint8_t *) data + XLOGDATA_HEADER,
					 (size_t) (n - XLOGDATA_HEADER) };

	FAULT_POINT("frame_received");
	if (packet.n >= DIRECT_BYTES)
	{
		push_block(r);
		event_push(r->p, event_of_message(data, (size_t) n, XLOGDATA_HEADER));
		return;
	}
	if (!r->block)
		r->block = event_new(EVENT_PACKETS);
	while (!event_add_packet(r->block, packet))
	{
		push_block(r);
		r->block = event_new(EVENT_PACKETS);
	}
	PQfreemem(data);
}

static void
on_keepalive(Receiver *r, const char *data)
{
	Event *ev = event_new(EVENT_KEEPALIVE);

	ev->lsn = read_be64(data + 1);
	ev->reply = data[17];
	if (ev->lsn > r->received)
		r->received = ev->lsn;
	r->owes_answer |= ev->reply;
	push_block(r);
	event_push(r->p, ev);
}

/* Takes data. */
static bool
on_message(Receiver *r, char *data, int n, Err *err)
{
	bool ok = true;

	if (data[0] == 'w' && n > XLOGDATA_HEADER)
	{
		on_packet(r, data, n);
		return true;
	}
	if (data[0] == 'k' && n >= KEEPALIVE_BYTES)
		on_keepalive(r, data);
	else
		ok = err_set(err, ERR_DATA, 0,
					 "the server sent a message of unknown type %d", data[0]);
	PQfreemem(data);
	return ok;
}

/* The stream ended or broke. */
static bool
stream_ended(Receiver *r, Err *err)
{
	return r->stream->ops->error(r->stream, "receive from the slot", err);
}

static bool
has_room(const Receiver *r)
{
	return atomic_load(&r->p->queued_bytes) < r->p->budget.limit / 4;
}

/*
 * Takes out all that has arrived; *out_paused: there is no room for more.
 * *out_n: how many messages.
 */
static bool
take_messages(Receiver *r, bool *out_paused, int *out_n, Err *err)
{
	*out_paused = false;
	for (*out_n = 0;; ++*out_n)
	{
		char *data = NULL;
		int n;

		if (!has_room(r))
		{
			push_block(r);
			atomic_store(&r->p->paused, true);
			if (!has_room(r)) /* it may just have been made */
			{
				*out_paused = true;
				return true;
			}
		}
		if (atomic_load(&r->p->paused))
			atomic_store(&r->p->paused, false);
		n = r->stream->ops->next(r->stream, &data);
		if (n == 0)
			return true;
		if (n < 0)
			return stream_ended(r, err);
		silence_heard(&r->silence, clock_mono_ms());
		if (!on_message(r, data, n, err))
			return false;
	}
}

/* The same, and hands it on. */
static bool
drain(Receiver *r, bool *out_paused, int *out_n, Err *err)
{
	bool ok = take_messages(r, out_paused, out_n, err);

	push_block(r);
	return ok;
}

/*
 * Reads while there is something to read, and room for it: libpq's buffer
 * grows with what is not taken out.
 */
static bool
read_stream(Receiver *r, bool *out_paused, Err *err)
{
	int n;

	if (!drain(r, out_paused, &n, err))
		return false;
	for (int i = 0; i < READS_PER_STEP && !*out_paused; i++)
	{
		if (!r->stream->ops->read(r->stream))
			return stream_ended(r, err);
		if (!drain(r, out_paused, &n, err))
			return false;
		if (n == 0)
			break;
	}
	return true;
}

/*
 * The control connection
 */

/* The hour (unix us) up to which all could be closed by our own clock. */
static int64_t
closable(const Receiver *r, int64_t unix_us)
{
	int64_t grace_ms = atomic_load(&r->p->options->control->grace_ms);
	int64_t t = unix_us - grace_ms * 1000;

	return t - t % US_PER_HOUR;
}

/*
 * Clocks may jump, ours and the server's alike where one source is wrong, and
 * what is closed stays closed: so hours far behind the last closed one are
 * closed only where both clocks tell of them for a while.  A server that was
 * down, or a lake that lay idle, costs that while.
 */
static bool
is_sure(Receiver *r, int64_t hour, int64_t now_ms)
{
	int64_t base = atomic_load(&r->p->closed_until);

	if (base == 0 && r->p->start)
		base = r->p->start->time;
	if (hour - LEAP_US <= base)
	{
		r->leap_ms = 0;
		return true;
	}
	if (r->leap_ms == 0 || hour < r->leap_hour)
		r->leap_ms = now_ms;
	r->leap_hour = hour;
	return now_ms - r->leap_ms >= LEAP_HOLD_MS;
}

static void
ask_clock(Receiver *r, int64_t now_ms)
{
	int64_t closed = atomic_load(&r->p->closed_until);

	if (now_ms < r->ask_at_ms || r->stopping || r->going_ms)
		return;
	if (closable(r, clock_unix_us()) <= closed)
		r->leap_ms = 0; /* it was one, and is over */
	if (r->closing > closed || closable(r, clock_unix_us()) <= closed ||
		atomic_load(&r->p->loads_active) > 0)
		return;
	r->ask_at_ms = now_ms + ASK_EVERY_MS;
	r->stream->ops->ask_clock(r->stream);
}

static void
on_clock(Receiver *r, int64_t unix_us, Lsn lsn)
{
	Event *ev;
	int64_t hour = closable(r, unix_us);
	int64_t own = closable(r, clock_unix_us());

	if (hour > own)
		hour = own;
	if (hour <= atomic_load(&r->p->closed_until) ||
		!is_sure(r, hour, clock_mono_ms()))
		return;
	r->closing = hour;
	FAULT_POINT("hour_asked");
	ev = event_new(EVENT_CLOSE_HOUR);
	ev->time = hour;
	ev->lsn = lsn;
	event_push(r->p, ev);
	r->status_at_ms = 0; /* the answer tells the position we need */
}

static void
server_goes_down(Receiver *r, int64_t now_ms)
{
	log_warn("the source server is going down", NULL);
	r->going_ms = now_ms + atomic_load(&r->p->options->control->shutdown_ms);
	event_push(r->p, event_new(EVENT_CHECKPOINT));
	r->status_at_ms = 0;
}

static void
read_control(Receiver *r, int64_t now_ms)
{
	int64_t unix_us;
	Lsn lsn;

	if (!r->stream->ops->control_read(r->stream))
		server_goes_down(r, now_ms);
	else if (r->stream->ops->clock(r->stream, &unix_us, &lsn))
		on_clock(r, unix_us, lsn);
	look_read(r->p, r->stream);
}

/*
 * Silence
 */
static bool
cut(Receiver *r, const char *why, Err *err)
{
	r->cut = true;
	return err_set(err, ERR_SOURCE, PG_TRANSIENT,
				   "the source server has said nothing for %" PRId64
				   " s, and %s",
				   (clock_mono_ms() - r->silence.heard_ms) / 1000, why);
}

static bool
look_at_silence(Receiver *r, bool paused, int64_t now_ms, Err *err)
{
	bool works = false;

	if (paused) /* what it said is not read: then it is not to blame */
		silence_heard(&r->silence, now_ms);
	switch (silence_look(&r->silence,
						 (SilenceMark){ atomic_load(&r->p->log_end),
										atomic_load(&r->p->closed_until) },
						 now_ms))
	{
		case SILENCE_ASK:
			return r->stream->ops->ask_work(r->stream) ||
				   cut(r, "there is no other connection to ask", err);
		case SILENCE_CUT:
			return cut(r, "gives no answer on the other connection", err);
		case SILENCE_NONE:
			break;
	}
	if (!r->silence.asked_ms || !r->stream->ops->work(r->stream, &works))
		return true;
	if (!works)
		return cut(r, "does not work for us any more", err);
	log_warn("the source server works and does not answer, waiting", "ms",
			 log_int(now_ms - r->silence.heard_ms), NULL);
	silence_works(&r->silence, now_ms);
	return true;
}

/*
 * The loop
 */
static void
read_control_flags(Receiver *r, int64_t now_ms)
{
	RunControl *c = r->p->options->control;
	unsigned checkpoints = atomic_load(&c->checkpoints);
	unsigned reloads = atomic_load(&c->reloads);
	int64_t shutdown_ms = atomic_load(&c->shutdown_ms);
	Event *ev;

	if (reloads != r->reloads)
	{
		r->reloads = reloads;
		c->reload(c);
	}
	if (checkpoints != r->checkpoints)
	{
		r->checkpoints = checkpoints;
		event_push(r->p, event_new(EVENT_CHECKPOINT));
	}
	if ((atomic_load(&c->stop) || atomic_load(&r->p->renew) ||
		 atomic_load(&r->p->loaded)) &&
		!r->stopping)
	{
		r->stopping = true;
		r->stop_ms = now_ms + shutdown_ms;
		if (atomic_load(&c->stop))
			notify_stopping(shutdown_ms);
		ev = event_new(EVENT_STOP);
		ev->deadline_ms = now_ms + shutdown_ms / 2;
		event_push(r->p, ev);
	}
}

static void
wait_for_something(Receiver *r, bool paused, int64_t now_ms)
{
	uint64_t count;
	int64_t timeout = r->status_at_ms - now_ms;
	bool unsent = r->stream->ops->unsent(r->stream);
	short events = (short) ((paused ? 0 : POLLIN) | (unsent ? POLLOUT : 0));
	struct pollfd fds[3] = {
		{ .fd = r->p->options->control->wake_fd, .events = POLLIN },
		{ .fd = events ? r->stream->ops->fd(r->stream) : -1, .events = events },
		{ .fd = r->stream->ops->control_fd(r->stream), .events = POLLIN },
	};

	if (timeout > 1000)
		timeout = 1000; /* hours and deadlines are looked at in between */
	r->control_waits = false;
	if (poll(fds, 3, timeout < 0 ? 0 : (int) timeout) <= 0)
		return;
	r->control_waits = fds[2].revents != 0;
	if (fds[1].revents & POLLIN) /* a part of a long message, perhaps */
		silence_heard(&r->silence, now_ms);
	if (fds[0].revents & POLLIN)
	{
		/* Only the wake-up counts, not how many there were. */
		if (read(fds[0].fd, &count, sizeof(count)) < 0)
			return;
	}
}

/* Stopped: true once all is durable and told to the server. */
static bool
is_through(Receiver *r, int64_t now_ms, bool *out_ok, Err *err)
{
	*out_ok = true;
	if (!r->stopping)
		return false;
	if (atomic_load(&r->p->finished) &&
		atomic_load(&r->p->pending_checkpoints) == 0)
	{
		/* its end may have been one: another writer was first */
		*out_ok = !pipe_failed(r->p, err) && send_status(r, now_ms, err);
		return true;
	}
	if (now_ms < r->stop_ms)
		return false;
	*out_ok = err_set(err, ERR_NET, 0,
					  "the last checkpoint was not durable within "
					  "shutdown.timeout; what it held is sent again");
	return true;
}

static bool
step(Receiver *r, bool *out_done, Err *err)
{
	int64_t now_ms = clock_mono_ms();
	bool paused;
	bool ok = true;

	*out_done = false;
	beat();
	if (pipe_failed(r->p, err))
		return false;
	read_control_flags(r, now_ms);
	if (!read_stream(r, &paused, err))
		return false;
	if (r->control_waits)
		read_control(r, now_ms);
	ask_clock(r, now_ms);
	if (!look_at_silence(r, paused, now_ms, err))
		return false;
	look_tick(&r->look, r->p, r->stream, r->received, r->reported, now_ms);
	if (status_is_due(r, now_ms) && !send_status(r, now_ms, err))
		return false;
	*out_done = is_through(r, now_ms, &ok, err);
	if (*out_done)
		return ok;
	if (r->going_ms && now_ms >= r->going_ms)
		return err_set(err, ERR_SOURCE, PG_TRANSIENT,
					   "the source server is going down");
	wait_for_something(r, paused, now_ms);
	return true;
}

bool
recv_run(Receiver *r, Err *err)
{
	bool done = false;
	bool ok = true;

	r->checkpoints = atomic_load(&r->p->options->control->checkpoints);
	r->reloads = atomic_load(&r->p->options->control->reloads);
	r->closing = atomic_load(&r->p->closed_until);
	r->received = r->reported = atomic_load(&r->p->log_end);
	while (ok && !done)
		ok = step(r, &done, err);
	if (ok)
		r->stream->ops->finish(r->stream);
	return ok;
}
