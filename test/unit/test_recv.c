/*-------------------------------------------------------------------------
 * test_recv.c
 *	  The receiver against a scripted server and a clock that is turned: what
 *	  it reports and when, and how it ends.
 *-------------------------------------------------------------------------
 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/pgconn.h"
#include "pipe/recv.h"

#define STEP_MS 10
#define MAX_STATUSES 4096

/* Called before each look at the socket; what the server does by then. */
typedef struct World World;
typedef void (*ScriptFn)(World *w);

typedef struct Status
{
	int64_t at_ms;
	Lsn confirmed;
	bool wants_reply;
} Status;

struct World
{
	Stream stream;
	Pipe pipe;
	RunOptions options;
	RunControl control;
	Receiver receiver;
	ScriptFn script;
	int fd;          /* an eventfd that can always be read */
	int quiet_fd;    /* one that never can */
	bool silent;     /* the stream is */
	bool turns_here; /* the clock, while nothing reads the stream */
	int work_asked;
	bool no_work_answer;
	bool works;
	char *message; /* the next one */
	int message_n;
	bool broken;
	bool control_gone;
	bool control_told;
	int asked;
	bool answer;
	int64_t answer_us;
	Lsn answer_lsn;
	bool finished;
	int taken; /* messages the receiver took */
	Status statuses[MAX_STATUSES];
	int nstatuses;
	atomic_int sent; /* the same, for another thread */
	int reloads;
};

static int64_t now_ms;
static World *world; /* for callbacks that get no argument */

static int64_t
fake_mono_ms(void)
{
	return now_ms;
}

static int64_t
fake_unix_us(void)
{
	return INT64_C(1795000000) * US_PER_SEC + now_ms * 1000;
}

static void
fake_sleep_ms(int64_t ms)
{
	now_ms += ms;
}

static const ClockOps fake_clock = { fake_unix_us, fake_mono_ms,
									 fake_sleep_ms };

/*
 * The scripted server
 */
static int
fake_next(Stream *s, char **out_data)
{
	World *w = (World *) s;
	int n = w->message_n;

	if (w->broken)
		return -1;
	if (!w->message)
		return 0;
	*out_data = w->message;
	w->message = NULL;
	w->taken++;
	return n;
}

static bool
fake_read(Stream *s)
{
	World *w = (World *) s;

	now_ms += STEP_MS;
	w->script(w);
	return !w->broken;
}

static bool
fake_send(Stream *s, const char *msg, int n)
{
	World *w = (World *) s;
	uint64_t flush;
	Status *st = &w->statuses[w->nstatuses++];

	assert_int_equal(n, 34);
	assert_int_equal(msg[0], 'r');
	assert_true(w->nstatuses < MAX_STATUSES);
	memcpy(&flush, msg + 9, 8);
	*st = (Status){ clock_mono_ms(), be64toh(flush), msg[33] };
	atomic_fetch_add(&w->sent, 1);
	return true;
}

static bool
fake_unsent(Stream *s)
{
	(void) s;
	return false;
}

static bool
fake_error(Stream *s, const char *doing, Err *err)
{
	(void) s;
	return err_set(err, ERR_SOURCE, PG_TRANSIENT, "could not %s", doing);
}

static void
fake_finish(Stream *s)
{
	((World *) s)->finished = true;
}

static int
fake_fd(const Stream *s)
{
	const World *w = (const World *) s;

	return w->silent ? w->quiet_fd : w->fd;
}

static int
fake_control_fd(const Stream *s)
{
	return ((const World *) s)->fd; /* always has something to say */
}

static bool
fake_control_read(Stream *s)
{
	World *w = (World *) s;
	bool ends = w->control_gone && !w->control_told;

	if (w->turns_here) /* the stream is not read */
		w->script(w);
	now_ms += w->turns_here ? STEP_MS : 0;
	w->control_told |= ends;
	return !ends;
}

static void
fake_ask_clock(Stream *s)
{
	((World *) s)->asked++;
}

static bool
fake_answer(Stream *s, int64_t *out_unix_us, Lsn *out_lsn)
{
	World *w = (World *) s;
	bool got = w->answer;

	*out_unix_us = w->answer_us;
	*out_lsn = w->answer_lsn;
	w->answer = false;
	return got;
}

static bool
fake_ask_work(Stream *s)
{
	World *w = (World *) s;

	w->work_asked++;
	return !w->control_gone;
}

static bool
fake_work(Stream *s, bool *out_works)
{
	World *w = (World *) s;

	*out_works = w->works;
	return !w->no_work_answer;
}

static const StreamOps fake_ops = {
	.next = fake_next,
	.read = fake_read,
	.send = fake_send,
	.unsent = fake_unsent,
	.error = fake_error,
	.finish = fake_finish,
	.fd = fake_fd,
	.control_fd = fake_control_fd,
	.control_read = fake_control_read,
	.ask_clock = fake_ask_clock,
	.clock = fake_answer,
	.ask_work = fake_ask_work,
	.work = fake_work,
};

static void
on_reload(RunControl *c)
{
	(void) c;
	world->reloads++;
}

static World *
world_new(ScriptFn script)
{
	World *w = xcalloc(1, sizeof(*w));

	world = w;
	now_ms = 1000;
	clock_set(&fake_clock);
	log_init(LOG_ERROR, false);
	w->stream.ops = &fake_ops;
	w->script = script;
	w->fd = eventfd(1, EFD_NONBLOCK);
	w->quiet_fd = eventfd(0, EFD_NONBLOCK);
	w->control.wake_fd = eventfd(0, EFD_NONBLOCK);
	w->control.reload = on_reload;
	atomic_store(&w->control.shutdown_ms, 5000);
	atomic_store(&w->control.grace_ms, 30000);
	w->options.control = &w->control;
	w->pipe.options = &w->options;
	queue_init(&w->pipe.events);
	budget_init(&w->pipe.budget, 4096);
	pthread_mutex_init(&w->pipe.lock, NULL);
	atomic_store(&w->pipe.log_end, 1000);
	/* all hours are closed, unless a test wants one to be */
	atomic_store(&w->pipe.closed_until, INT64_MAX);
	w->receiver =
		(Receiver){ .p = &w->pipe, .stream = &w->stream, .status_ms = 10000 };
	return w;
}

/* The next event in the queue, or NULL; the caller frees it. */
static Event *
take_event(World *w)
{
	return (Event *) queue_pop(&w->pipe.events, 0);
}

static int
count_events(World *w, EventType type)
{
	int n = 0;
	Event *ev;

	while ((ev = take_event(w)) != NULL)
	{
		n += ev->type == type;
		event_free(&w->pipe, ev);
	}
	return n;
}

static void
world_free(World *w)
{
	(void) count_events(w, EVENT_STOP);
	PQfreemem(w->message);
	close(w->fd);
	close(w->quiet_fd);
	close(w->control.wake_fd);
	queue_done(&w->pipe.events);
	budget_done(&w->pipe.budget);
	pthread_mutex_destroy(&w->pipe.lock);
	free(w);
	clock_set(NULL);
}

static void
send_keepalive(World *w, Lsn lsn, bool reply)
{
	uint64_t be = htobe64(lsn);

	if (w->message)
		return; /* the one before was not taken yet */
	w->message = xcalloc(1, 18);
	w->message[0] = 'k';
	memcpy(w->message + 1, &be, 8);
	w->message[17] = reply;
	w->message_n = 18;
}

/* No status may report less than one before, or more than the log's end. */
static void
check_statuses(const World *w)
{
	Lsn last = 0;

	for (int i = 0; i < w->nstatuses; i++)
	{
		assert_true(w->statuses[i].confirmed >= last);
		assert_true(w->statuses[i].confirmed <= atomic_load(&w->pipe.log_end));
		assert_true(w->statuses[i].wants_reply);
		last = w->statuses[i].confirmed;
	}
}

/* The encoder's part of a stop: it is through at once. */
static void
finish_on_stop(World *w)
{
	Event *ev;

	while ((ev = take_event(w)) != NULL)
	{
		if (ev->type == EVENT_STOP)
			atomic_store(&w->pipe.finished, true);
		event_free(&w->pipe, ev);
	}
}

/*
 * Tests
 */
static void
idle_script(World *w)
{
	if (now_ms > 61000)
		atomic_store(&w->control.stop, true);
	finish_on_stop(w);
}

static void
test_idle(void **state)
{
	World *w = world_new(idle_script);
	Err err = { 0 };

	(void) state;
	assert_true(recv_run(&w->receiver, &err));
	/* one at the start, one each ten seconds, one at the end */
	assert_in_range(w->nstatuses, 7, 8);
	assert_true(w->finished);
	check_statuses(w);
	world_free(w);
}

/* A server that asks with each message, as one that is going down does. */
static void
nagging_script(World *w)
{
	send_keepalive(w, 5000, true);
	if (now_ms > 11000)
		atomic_store(&w->control.stop, true);
	finish_on_stop(w);
}

static void
test_answers_once_a_second(void **state)
{
	World *w = world_new(nagging_script);
	Err err = { 0 };

	(void) state;
	assert_true(recv_run(&w->receiver, &err));
	assert_in_range(w->nstatuses, 9, 13);
	for (int i = 1; i < w->nstatuses - 1; i++)
		assert_true(w->statuses[i].at_ms - w->statuses[i - 1].at_ms >= 1000);
	check_statuses(w);
	world_free(w);
}

/* The log grows: the server hears of it soon. */
static void
growing_script(World *w)
{
	if (now_ms == 2000)
		atomic_store(&w->pipe.log_end, 2000);
	if (now_ms > 3000)
		atomic_store(&w->control.stop, true);
	finish_on_stop(w);
}

static void
test_reports_progress(void **state)
{
	World *w = world_new(growing_script);
	Err err = { 0 };
	int64_t heard_ms = 0;

	(void) state;
	assert_true(recv_run(&w->receiver, &err));
	for (int i = 0; i < w->nstatuses && !heard_ms; i++)
	{
		if (w->statuses[i].confirmed == 2000)
			heard_ms = w->statuses[i].at_ms;
	}
	assert_in_range(heard_ms, 2000, 2200);
	check_statuses(w);
	world_free(w);
}

/* Nobody takes events out: reading stops, reporting does not. */
static void
stalled_script(World *w)
{
	if (!w->message)
	{
		w->message = xcalloc(1, 600);
		w->message[0] = 'w';
		w->message_n = 600;
	}
}

/* Another thread fails after some statuses were due. */
static void *
fail_soon(void *arg)
{
	World *w = arg;
	uint64_t one = 1;

	while (atomic_load(&w->sent) < 3)
		clock_sleep_ms(1);
	pthread_mutex_lock(&w->pipe.lock);
	err_set(&w->pipe.error, ERR_STORE, 0, "enough");
	pthread_mutex_unlock(&w->pipe.lock);
	assert_true(write(w->control.wake_fd, &one, sizeof(one)) == sizeof(one));
	return NULL;
}

static void
test_stalled(void **state)
{
	World *w = world_new(stalled_script);
	Err err = { 0 };
	pthread_t t;

	(void) state;
	/* While paused read() is not called, so only the real clock goes on. */
	clock_set(NULL);
	w->receiver.status_ms = 20;
	assert_int_equal(pthread_create(&t, NULL, fail_soon, w), 0);
	assert_false(recv_run(&w->receiver, &err));
	pthread_join(t, NULL);
	assert_int_equal(err.kind, ERR_STORE);
	/* A limit of 4096 leaves 1024 to the queue: the second message passes. */
	assert_int_equal(w->taken, 2);
	check_statuses(w);
	assert_int_equal(count_events(w, EVENT_PACKETS), 2);
	world_free(w);
}

static void
broken_script(World *w)
{
	w->broken = now_ms > 2000;
}

static void
test_broken_stream(void **state)
{
	World *w = world_new(broken_script);
	Err err = { 0 };

	(void) state;
	assert_false(recv_run(&w->receiver, &err));
	assert_int_equal(err.kind, ERR_SOURCE);
	assert_int_equal(err.code, PG_TRANSIENT);
	assert_false(w->finished);
	world_free(w);
}

/* The control connection ends: one checkpoint is tried, then we go. */
static void
going_script(World *w)
{
	w->control_gone = now_ms > 2000;
}

static void
test_server_goes_down(void **state)
{
	World *w = world_new(going_script);
	Err err = { 0 };

	(void) state;
	assert_false(recv_run(&w->receiver, &err));
	assert_int_equal(err.code, PG_TRANSIENT);
	assert_in_range(now_ms, 7000, 7200); /* shutdown.timeout later */
	assert_int_equal(count_events(w, EVENT_CHECKPOINT), 1);
	world_free(w);
}

/* A stop that the encoder does not finish in time is not a success. */
static void
stuck_script(World *w)
{
	atomic_store(&w->control.stop, now_ms > 2000);
}

static void
test_stop_too_slow(void **state)
{
	World *w = world_new(stuck_script);
	Err err = { 0 };

	(void) state;
	assert_false(recv_run(&w->receiver, &err));
	assert_int_equal(err.kind, ERR_NET);
	assert_in_range(now_ms, 7000, 7200);
	assert_int_equal(count_events(w, EVENT_STOP), 1);
	world_free(w);
}

/* An hour is handed on once, and again only when it was closed. */
static void
hour_script(World *w)
{
	if (w->asked == 1 && now_ms == 2000)
	{
		w->answer = true;
		w->answer_us = fake_unix_us();
		w->answer_lsn = 7777;
	}
	if (now_ms > 60000)
		atomic_store(&w->control.stop, true);
	if (atomic_load(&w->control.stop))
		atomic_store(&w->pipe.finished, true);
}

static void
test_closes_hour(void **state)
{
	World *w = world_new(hour_script);
	Err err = { 0 };
	int64_t grace_us = INT64_C(30) * US_PER_SEC;
	int64_t hour;
	int closes = 0;
	Event *ev;

	(void) state;
	hour = (fake_unix_us() - grace_us) / US_PER_HOUR * US_PER_HOUR;
	atomic_store(&w->pipe.closed_until, hour - US_PER_HOUR);
	assert_true(recv_run(&w->receiver, &err));
	assert_int_equal(w->asked, 1);
	while ((ev = take_event(w)) != NULL)
	{
		if (ev->type == EVENT_CLOSE_HOUR)
		{
			closes++;
			assert_int_equal(ev->time, hour);
			assert_int_equal(ev->lsn, 7777);
		}
		free(ev);
	}
	assert_int_equal(closes, 1);
	world_free(w);
}

static void
wishes_script(World *w)
{
	if (now_ms == 2000)
		atomic_fetch_add(&w->control.checkpoints, 1);
	if (now_ms == 3000)
		atomic_fetch_add(&w->control.reloads, 1);
	if (now_ms > 4000)
	{
		atomic_store(&w->control.stop, true);
		atomic_store(&w->pipe.finished, true);
	}
}

static void
test_wishes(void **state)
{
	World *w = world_new(wishes_script);
	Err err = { 0 };

	(void) state;
	assert_true(recv_run(&w->receiver, &err));
	assert_int_equal(w->reloads, 1);
	assert_int_equal(count_events(w, EVENT_CHECKPOINT), 1);
	world_free(w);
}

/* Small packets share an event, a large one has its own, in order. */
static void
test_packets_gathered(void **state)
{
	World *w = world_new(idle_script);
	Event *ev = event_new(EVENT_PACKETS);
	char *large = xcalloc(1, 100000);
	Slice packet;
	int n = 0;

	(void) state;
	large[25] = 'x';
	while (event_add_packet(ev, (Slice){ (const uint8_t *) "packet", 6 }))
		n++;
	assert_in_range(n, 6000, 65536 / 10);
	event_push(&w->pipe, ev);
	event_push(&w->pipe, event_of_message(large, 100000, 25));
	assert_int_equal(atomic_load(&w->pipe.queued_bytes), 65536 + 100000);
	assert_int_equal(budget_used(&w->pipe.budget), 65536 + 100000);

	ev = take_event(w);
	for (; n > 0; n--)
	{
		assert_true(event_packet(ev, &packet));
		assert_int_equal(packet.n, 6);
		assert_memory_equal(packet.p, "packet", 6);
	}
	assert_false(event_packet(ev, &packet));
	event_free(&w->pipe, ev);
	ev = take_event(w);
	assert_true(event_packet(ev, &packet));
	assert_int_equal(packet.n, 100000 - 25);
	assert_int_equal(packet.p[0], 'x');
	assert_false(event_packet(ev, &packet));
	event_free(&w->pipe, ev);
	assert_int_equal(budget_used(&w->pipe.budget), 0);

	/* Of one that is hardly filled the rest is given back. */
	ev = event_new(EVENT_PACKETS);
	assert_true(event_add_packet(ev, (Slice){ (const uint8_t *) "packet", 6 }));
	event_push(&w->pipe, ev);
	assert_int_equal(budget_used(&w->pipe.budget), 10);
	world_free(w);
}

static void
garbage_script(World *w)
{
	if (w->message)
		return;
	w->message = xcalloc(1, 30);
	w->message[0] = 'z';
	w->message_n = 30;
}

static void
test_unknown_message(void **state)
{
	World *w = world_new(garbage_script);
	Err err = { 0 };

	(void) state;
	assert_false(recv_run(&w->receiver, &err));
	assert_int_equal(err.kind, ERR_DATA);
	world_free(w);
}

/* Silence: the limit is 10 s, and the world ends after 100 s. */
static void
silent_script(World *w)
{
	w->silent = now_ms > 3000;
	if (now_ms > 101000)
		atomic_store(&w->control.stop, true);
	finish_on_stop(w);
}

static World *
silent_world(ScriptFn script)
{
	World *w = world_new(script);
	Silence silence = { 0 };

	silence_begin(&silence, 10000, (SilenceMark){ 1000, INT64_MAX },
				  &w->receiver.silence, now_ms);
	return w;
}

static void
test_silent_at_work(void **state)
{
	World *w = silent_world(silent_script);
	Err err = { 0 };

	(void) state;
	w->works = true;
	assert_true(recv_run(&w->receiver, &err));
	assert_false(w->receiver.cut);
	assert_in_range(w->work_asked, 9, 10);
	world_free(w);
}

static void
test_silent_and_gone(void **state)
{
	World *w = silent_world(silent_script);
	Err err = { 0 };

	(void) state;
	assert_false(recv_run(&w->receiver, &err));
	assert_true(w->receiver.cut);
	assert_int_equal(err.kind, ERR_SOURCE);
	assert_int_equal(err.code, PG_TRANSIENT);
	assert_non_null(strstr(err.msg, "does not work for us"));
	assert_in_range(now_ms, 13000, 13200);
	world_free(w);
}

static void
test_silent_everywhere(void **state)
{
	World *w = silent_world(silent_script);
	Err err = { 0 };

	(void) state;
	w->no_work_answer = true;
	assert_false(recv_run(&w->receiver, &err));
	assert_true(w->receiver.cut);
	assert_non_null(strstr(err.msg, "no answer on the other connection"));
	assert_in_range(now_ms, 23000, 23200);
	world_free(w);
}

/* What is not read because there is no room for it is not silence. */
static void
paused_script(World *w)
{
	w->silent = true;
	w->turns_here = now_ms < 60000;
	atomic_store(&w->pipe.queued_bytes, w->turns_here ? 1024 * 1024 : 0);
	if (now_ms > 65000)
		atomic_store(&w->control.stop, true);
	finish_on_stop(w);
}

static void
test_paused_is_not_silent(void **state)
{
	World *w = silent_world(paused_script);
	Err err = { 0 };

	(void) state;
	paused_script(w);
	assert_true(recv_run(&w->receiver, &err));
	assert_int_equal(w->work_asked, 0);
	world_free(w);
}

/*
 * Both clocks jump years ahead for a minute, and are right again: nothing of
 * these years is closed.  Where they stay there the hour is closed in the end.
 */
static int64_t leap_us;     /* of our clock */
static int64_t leap_until;  /* now_ms */
static int64_t ends_at;     /* now_ms */
static int64_t last_closed; /* the latest hour that was handed on */

static int64_t
leaping_unix_us(void)
{
	return fake_unix_us() + (now_ms < leap_until ? leap_us : 0);
}

static const ClockOps leaping_clock = { leaping_unix_us, fake_mono_ms,
										fake_sleep_ms };

static void
leaping_script(World *w)
{
	Event *ev;

	now_ms += 990; /* a second a look */
	w->answer = w->asked > 0;
	w->answer_us = leaping_unix_us();
	w->answer_lsn = 7777;
	if (now_ms > ends_at)
		atomic_store(&w->control.stop, true);
	while ((ev = take_event(w)) != NULL)
	{
		if (ev->type == EVENT_CLOSE_HOUR)
		{
			last_closed = ev->time;
			atomic_store(&w->pipe.closed_until, ev->time);
		}
		if (ev->type == EVENT_STOP)
			atomic_store(&w->pipe.finished, true);
		event_free(&w->pipe, ev);
	}
}

static void
run_leap(int64_t until_ms, int64_t end_ms)
{
	World *w = world_new(leaping_script);
	int64_t hour = fake_unix_us() - fake_unix_us() % US_PER_HOUR;
	Err err = { 0 };

	leap_us = 24 * 365 * US_PER_HOUR;
	leap_until = until_ms;
	ends_at = end_ms;
	last_closed = 0;
	clock_set(&leaping_clock);
	atomic_store(&w->pipe.closed_until, hour - US_PER_HOUR);
	assert_true(recv_run(&w->receiver, &err));
	world_free(w);
}

static void
test_clocks_leap(void **state)
{
	int64_t now;

	(void) state;
	now_ms = 1000;
	now = fake_unix_us();
	run_leap(61000, 1800000);
	assert_true(last_closed > 0);                 /* hours are closed, */
	assert_true(last_closed < now + US_PER_HOUR); /* and none to come */
	run_leap(INT64_MAX, 500000);
	assert_int_equal(last_closed, 0);
	run_leap(INT64_MAX, 1800000);
	assert_true(last_closed > now + US_PER_HOUR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_packets_gathered),
		cmocka_unit_test(test_answers_once_a_second),
		cmocka_unit_test(test_reports_progress),
		cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_broken_stream),
		cmocka_unit_test(test_server_goes_down),
		cmocka_unit_test(test_stop_too_slow),
		cmocka_unit_test(test_closes_hour),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_unknown_message),
		cmocka_unit_test(test_silent_at_work),
		cmocka_unit_test(test_silent_and_gone),
		cmocka_unit_test(test_silent_everywhere),
		cmocka_unit_test(test_paused_is_not_silent),
		cmocka_unit_test(test_clocks_leap),
	};

	return cmocka_run_group_tests_name("recv", tests, NULL, NULL);
}
