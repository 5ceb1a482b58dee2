/*-------------------------------------------------------------------------
 * run.c
 *	  Streams until it is told to stop: one session after the other.
 *
 *	  NONE --> BEGINS --> STREAMS --> SETTLES --> NONE
 *	             |                                  ^
 *	             +-------- could not begin ---------+
 *
 *	BEGINS: the log is read, the slot taken.  STREAMS: the threads run, and the
 *	receiver.  SETTLES: it has returned; what was committed gets its entry.
 *
 * Invariants:
 *	(1) Threads of a session run in STREAMS and SETTLES only: each is joined
 *		before NONE, so that no two sessions ever write.
 *	(2) Positions are confirmed in STREAMS only, by the receiver.
 *	(3) What is settled when SETTLES ends has its entry: no checkpoint waits.
 *
 * A session that ends without a stop settles what it has (rows that are
 * committed get their entry), throws away the rest, and a new one starts from
 * the log as if the process had been started anew.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/stats.h"
#include "io/pgconn.h"
#include "pipe/asked.h"
#include "pipe/checkpoint.h"
#include "pipe/encode.h"
#include "pipe/event.h"
#include "pipe/expire.h"
#include "pipe/fields.h"
#include "pipe/governor.h"
#include "pipe/later.h"
#include "pipe/load.h"
#include "pipe/look.h"
#include "pipe/output.h"
#include "pipe/recv.h"
#include "pipe/ship.h"
#include "pipe/standby.h"
#include "pipe/start.h"
#include "pipe/sweep.h"
#include "pipe/warden.h"

#define WORKERS_MAX 128 /* shippers: they format and compress */
#define PUTTERS 16      /* they wait for the store */
#define BACKOFF_BASE_MS 200
#define BACKOFF_CAP_MS 20000
#define KEPT_MAX (INT64_C(16) << 20)
#define HEALTHY_MS 5000 /* a session that lived so long resets the backoff */

/* Where a session is; the head draws it. */
typedef enum SessionState
{
	SESSION_NONE,
	SESSION_BEGINS,
	SESSION_STREAMS,
	SESSION_SETTLES
} SessionState;

/* What outlives a session. */
typedef struct Run
{
	SessionState state;
	const RunOptions *options;
	Silence silence;
	bool ever_started;
	bool settled;    /* the last one's entry was written */
	char writer[16]; /* of the last session, and the log's end at its end */
	int64_t log_seq;
	int64_t taken_ms; /* since then somebody else has the slot; -1: nobody */
} Run;

typedef struct Threads
{
	pthread_t encoder;
	pthread_t committer;
	pthread_t sweeper;
	pthread_t watcher; /* of load requests */
	pthread_t expirer;
	pthread_t loader;
	pthread_t shippers[WORKERS_MAX];
	int nshippers;
	pthread_t putters[PUTTERS];
	bool loading;
} Threads;

static void
enter(Run *run, SessionState to)
{
	static const unsigned from[] = {
		[SESSION_NONE] = 1u << SESSION_BEGINS | 1u << SESSION_SETTLES,
		[SESSION_BEGINS] = 1u << SESSION_NONE,
		[SESSION_STREAMS] = 1u << SESSION_BEGINS,
		[SESSION_SETTLES] = 1u << SESSION_STREAMS,
	};

	assert(from[to] & 1u << run->state); /* (1) */
	run->state = to;
}

/*
 * What shippers will hold, two part buffers of S3 and their compressors for
 * example, is kept free for them from the beginning.
 */
static int64_t
kept_for_objects(int64_t limit, int outputs)
{
	int64_t most = outputs * KEPT_MAX;

	return limit / 16 * 7 < most ? limit / 16 * 7 : most;
}

static void
pipe_init(Pipe *p, const RunOptions *o)
{
	memset(p, 0, sizeof(*p));
	p->options = o;
	(void) snprintf(p->writer, sizeof(p->writer), "%08x", random_u32());
	p->loads = entry_new();
	p->outputs = entry_new();
	p->publications = entry_new();
	queue_init(&p->events);
	queue_init(&p->objects);
	queue_init(&p->puts);
	queue_init(&p->checkpoints);
	budget_init(&p->budget, o->memory_limit);
	budget_keep(&p->budget, kept_for_objects(o->memory_limit, 1 + o->nfurther));
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->changed);
	waiting_init(&p->waiting);
}

static void
free_loads(Pipe *p)
{
	for (int i = 0; i < p->nload_tables; i++)
	{
		LoadTable *t = &p->load_tables[i];

		entry_free(t->list);
		while (t->parts)
		{
			LoadPart *part = t->parts;

			t->parts = part->next;
			entry_free(part->list);
			table_free(part->table);
			free(part);
		}
	}
	free(p->load_tables);
}

static void
pipe_done(Pipe *p)
{
	QueueItem *item;

	while ((item = queue_pop(&p->events, 0)) != NULL)
		event_free(p, (Event *) item);
	for (int i = 0; i < PIPE_BUCKETS; i++)
	{
		while (p->tables[i])
		{
			Table *t = p->tables[i];

			p->tables[i] = t->next;
			table_free(t);
		}
	}
	while (p->dropped)
	{
		Checkpoint *c = p->dropped;

		p->dropped = c->next_dropped;
		checkpoint_free(c);
	}
	free_loads(p);
	entry_free(p->start);
	entry_free(p->loads);
	entry_free(p->outputs);
	entry_free(p->publications);
	for (int n = 0; n < OUTPUTS_MAX; n++)
		entry_free(p->fills[n]);
	request_list_done(&p->asked);
	later_done(&p->later);
	fields_free(p->fields);
	for (int n = 0; n < OUTPUTS_MAX; n++)
		layouts_done(&p->layouts[n]);
	queue_done(&p->events);
	queue_done(&p->objects);
	queue_done(&p->puts);
	queue_done(&p->checkpoints);
	budget_done(&p->budget);
	waiting_destroy(&p->waiting);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

/* The loader's tables are the loads this session opens. */
static void
prepare_loads(Pipe *p)
{
	p->load_tables = xcalloc((size_t) p->loads->nloads, sizeof(LoadTable));
	for (int i = 0; i < p->loads->nloads; i++)
	{
		const EntryLoad *from = &p->loads->loads[i];
		LoadTable *t;

		if (from->state != LOAD_OPEN)
			continue;
		t = &p->load_tables[p->nload_tables++];
		memcpy(t->id, from->id, sizeof(t->id));
		t->schema = from->schema; /* p->loads lives as long */
		t->name = from->table;
		t->reason = from->reason;
		t->resync = from->resync;
		t->list = entry_new();
	}
	atomic_store(&p->loads_active, p->nload_tables);
}

static void
start_threads(Pipe *p, Threads *t)
{
	bool ok = true;

	t->loading = p->nload_tables > 0;
	p->putters = PUTTERS;
	for (int i = 0; i < PUTTERS; i++)
		ok &= pthread_create(&t->putters[i], NULL, put_main, p) == 0;
	t->nshippers = p->options->workers > 0 ? p->options->workers : 1;
	if (t->nshippers > WORKERS_MAX)
		t->nshippers = WORKERS_MAX;
	for (int i = 0; i < t->nshippers; i++)
		ok &= pthread_create(&t->shippers[i], NULL, ship_main, p) == 0;
	ok &= pthread_create(&t->committer, NULL, checkpoint_main, p) == 0;
	ok &= pthread_create(&t->encoder, NULL, encode_main, p) == 0;
	ok &= pthread_create(&t->sweeper, NULL, sweep_main, p) == 0;
	ok &= pthread_create(&t->watcher, NULL, asked_main, p) == 0;
	ok &= pthread_create(&t->expirer, NULL, expire_main, p) == 0;
	if (t->loading)
		ok &= pthread_create(&t->loader, NULL, load_main, p) == 0;
	if (!ok)
	{
		log_error("could not start a thread", NULL);
		abort(); /* nothing is confirmed that is not durable */
	}
}

/* Tells the encoder to end; what is committed may still be written. */
static void
abandon(Pipe *p)
{
	event_push(p, event_new(EVENT_ABANDON));
}

/*
 * Ends the threads in the order of the stream, so that each finds its queue
 * complete: what was closed before is written, if the store lets it.  Returns
 * whether it did: all that was committed is in the log then.
 */
static bool
join_threads(Pipe *p, Threads *t)
{
	bool settled;

	atomic_store(&p->ending, true);
	if (t->loading)
		pthread_join(t->loader, NULL);
	pthread_join(t->encoder, NULL);
	queue_close(&p->objects);
	for (int i = 0; i < t->nshippers; i++)
		pthread_join(t->shippers[i], NULL);
	queue_close(&p->puts);
	for (int i = 0; i < PUTTERS; i++)
		pthread_join(t->putters[i], NULL);
	queue_close(&p->checkpoints);
	pthread_join(t->committer, NULL);
	pthread_mutex_lock(&p->lock);
	settled = !atomic_exchange(&p->stop, true) &&
			  atomic_load(&p->pending_checkpoints) == 0;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(t->sweeper, NULL);
	pthread_join(t->watcher, NULL);
	pthread_join(t->expirer, NULL);
	return settled;
}

static SilenceMark
mark_now(Pipe *p)
{
	return (SilenceMark){ atomic_load(&p->log_end),
						  atomic_load(&p->closed_until) };
}

static void
tell_certificates(const Connections *c)
{
	int64_t server;
	int64_t client;

	pg_certificates(c->repl, &server, &client);
	count_set(&stats.certificate_expires_us, server);
	count_set(&stats.client_certificate_expires_us, client);
}

/* Of row groups; left out where no output has such. */
static const char *
total(const Count counts[STATS_GROUP_ENDS])
{
	bool any = false;
	int64_t n = 0;

	for (int i = 0; i < STATS_GROUP_ENDS; i++)
	{
		any |= count_get(&stats.row_groups[i]) > 0;
		n += count_get(&counts[i]);
	}
	return any ? log_int(n) : NULL;
}

/* Fills the receiver's part and runs the session to its end. */
static bool
stream(Pipe *p, Connections *c, Run *run, Err *err)
{
	Threads threads = { 0 };
	Receiver r = { .p = p,
				   .stream = stream_pg_new(c->repl, c->control, c->pid),
				   .status_ms = c->status_ms };
	bool ok;

	atomic_store(&p->log_end, p->start->end);
	atomic_store(&p->log_seq, p->start->seq);
	atomic_store(&p->closed_until, p->start->closed_until);
	atomic_store(&p->swept_until, p->start->swept_until);
	expire_begin(p);
	atomic_store(&p->swept_entry, p->start->swept_entry);
	prepare_loads(p);
	atomic_store(&p->loaded, p->options->load.only && p->nload_tables == 0);
	silence_begin(&run->silence, c->silence_ms, mark_now(p), &r.silence,
				  clock_mono_ms());
	enter(run, SESSION_STREAMS);
	/* not before: from here on a stop ends run with 0 */
	log_info("streaming", "slot", p->options->slot, "lsn",
			 log_lsn(p->start->end), "entry", log_int(p->start->seq), "writer",
			 p->writer, NULL);
	start_threads(p, &threads);
	tell_certificates(c);
	notify_status("%s: durable up to " LSN_FMT ", entry %" PRId64,
				  p->nload_tables ? "loading" : "streaming",
				  LSN_ARGS(p->start->end), p->start->seq);
	*c = (Connections){ 0 }; /* the stream's now */
	beat_begin("receiver");
	look_begin(p);
	ok = recv_run(&r, err);
	look_end(p);
	beat_end();
	enter(run, SESSION_SETTLES);
	if (!ok && err->kind == ERR_NET) /* the stop's time is over */
		pipe_fail(p, err);
	abandon(p);
	run->settled = join_threads(p, &threads);
	assert(!run->settled ||
		   atomic_load(&p->pending_checkpoints) == 0); /* (3) */
	FAULT_POINT("session_settled");
	memcpy(run->writer, p->writer, sizeof(run->writer));
	run->log_seq = atomic_load(&p->log_seq);
	if (ok && pipe_failed(p, err)) /* behind the receiver's back */
		ok = false;
	ship_abandon(p);
	if (r.cut)
		silence_was_cut(&run->silence, &r.silence, mark_now(p));
	r.stream->ops->close(r.stream);
	log_info(ok ? "stopped" : "session ended", "lsn",
			 log_lsn(atomic_load(&p->log_end)), "entry",
			 log_int(atomic_load(&p->log_seq)), "rows",
			 log_int(atomic_load(&p->rows)), "buffers_peak",
			 log_int(p->budget.peak), "row_groups", total(stats.row_groups),
			 "row_groups_small", total(stats.row_groups_small), NULL);
	return ok;
}

static bool
start_all(Pipe *p, Connections *c, Err *err)
{
	Store *store = NULL;
	bool ok = pipe_open_store(p, &store, err) &&
			  start_session(p, store, c, err) && fields_open(p, store, err) &&
			  outputs_plan(p, store, err) &&
			  load_plan(p, store, c->control, err) &&
			  asked_plan(p, store, c->control, err);

	store_close(store);
	return ok;
}

/*
 * Somebody has the slot, and has written the log on since our last session: a
 * standby took over while this process was held.
 */
static bool
is_fenced(const Run *run, const Pipe *p, const Err *err)
{
	return run->options->standby && run->ever_started &&
		   err->kind == ERR_BUSY && err->code == PG_SLOT_TAKEN && p->start &&
		   p->start->seq > run->log_seq &&
		   strcmp(p->start->writer, run->writer) != 0;
}

static void
fence(const Pipe *p, Err *err)
{
	err_set(err, ERR_LOST, 0,
			"another run has taken over: it has the slot and wrote entry "
			"%" PRId64 " of the log",
			p->start->seq);
	(void) err_hint(err, "nothing is to be done; started again with --standby "
						 "this one waits until it is needed");
}

/* *out_renew: it ended well, and another one is to begin at once. */
static bool
session(Run *run, bool *out_started, bool *out_renew, Err *err)
{
	Pipe *p = xmalloc(sizeof(*p));
	Connections c = { 0 };
	Warden warden;
	bool ok;

	enter(run, SESSION_BEGINS);
	pipe_init(p, run->options);
	warden_begin(&warden, p);
	ok = start_all(p, &c, err);
	if (ok && !warden_streams(&warden))
		ok = err_set(err, ERR_STOP, 0, "stopped");
	*out_started = ok;
	if (ok)
		ok = stream(p, &c, run, err);
	else if (is_fenced(run, p, err))
		fence(p, err);
	*out_renew = ok && atomic_load(&p->renew);
	warden_end(&warden);
	connections_close(&c);
	pipe_done(p);
	free(p);
	enter(run, SESSION_NONE);
	return ok;
}

/* May a new session do what this one could not? */
static bool
is_transient(const Err *err)
{
	return (err->kind == ERR_SOURCE && err->code == PG_TRANSIENT) ||
		   err->kind == ERR_GONE || err_is_retryable(err->kind);
}

/*
 * A stop came, and the session failed with err, or none could begin.  That is
 * well where one was, and the entry of all that it received is in.
 */
static bool
stopped_well(const Run *run, Err *err)
{
	if (err->kind != ERR_STOP && !is_transient(err))
		return false;
	if (run->ever_started && run->settled)
		return true;
	if (err->kind == ERR_STOP || err->kind == ERR_SOURCE)
		err->kind = ERR_NET; /* nobody is to blame: it may go on later */
	return err_prefix(err, run->ever_started
							   ? "stopped before the last entry was written"
							   : "stopped before anything was streamed");
}

/* Waits, but not longer than until a stop is asked for. */
static void
pause_ms(const RunOptions *o, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!atomic_load(&o->control->stop) && clock_mono_ms() < until)
		clock_sleep_ms(20);
}

/* Somebody else has the slot, and has had it for too long. */
static bool
waited_enough(Run *run, const Err *err)
{
	int64_t now_ms = clock_mono_ms();

	if (err->kind != ERR_BUSY || err->code != PG_SLOT_TAKEN)
	{
		run->taken_ms = -1;
		return false;
	}
	if (run->options->standby && !run->ever_started)
		return true; /* another one was faster: it waits on */
	if (run->taken_ms < 0)
		run->taken_ms = now_ms;
	return now_ms - run->taken_ms >= run->options->slot_wait_ms;
}

/* How long until the next session begins. */
static int64_t
next_wait(const Run *run, int attempt)
{
	int64_t wait_ms = backoff_ms(attempt, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
	int64_t left = run->taken_ms + run->options->slot_wait_ms - clock_mono_ms();

	if (run->taken_ms < 0 || left >= wait_ms)
		return wait_ms;
	return left > 0 ? left : 0;
}

static bool
run_sessions(Run *run, Err *err)
{
	const RunOptions *o = run->options;
	int attempt = 0;

	for (;;)
	{
		int64_t began_ms = clock_mono_ms();
		int64_t wait_ms;
		bool started;
		bool renew;

		if (session(run, &started, &renew, err))
		{
			if (!renew || atomic_load(&o->control->stop))
				return true;
			run->ever_started = true;
			continue;
		}
		run->ever_started |= started;
		if (atomic_load(&o->control->stop))
			return stopped_well(run, err);
		/* What never worked is for the user to see, not for us to repeat. */
		if (!is_transient(err) ||
			(!run->ever_started && err->kind != ERR_BUSY) ||
			waited_enough(run, err))
			return false;
		if (clock_mono_ms() - began_ms > HEALTHY_MS)
			attempt = 0;
		wait_ms = next_wait(run, ++attempt);
		log_event(LOG_WARN, "session lost, starting again", "error", err->msg,
				  "hint", err->hint[0] ? err->hint : NULL, "attempt",
				  log_int(attempt), "ms", log_int(wait_ms), "kind",
				  err_kind_name(err->kind), NULL);
		notify_status("trying again: %s", err->msg);
		pause_ms(o, wait_ms);
	}
}

/* The slot's, once it is ours to be had: a standby governs nothing. */
static bool
run_governed(Run *run, Err *err)
{
	GovernorThread *governor = governor_begin(run->options);
	bool ok;

	outputs_tell(run->options);
	ok = run_sessions(run, err);
	return governor_end(governor, ok, err);
}

/* True where another one was faster to take the slot over. */
static bool
waits_on(const Run *run, const Err *err)
{
	return run->options->standby && !run->ever_started &&
		   err->kind == ERR_BUSY && err->code == PG_SLOT_TAKEN &&
		   !atomic_load(&run->options->control->stop);
}

bool
run_stream(const RunOptions *o, Err *err)
{
	Run run = { .options = o, .taken_ms = -1 };

	for (;;)
	{
		if (o->standby && !standby_wait(o, err))
			return atomic_load(&o->control->stop) && stopped_well(&run, err);
		if (run_governed(&run, err))
			return true;
		if (!waits_on(&run, err))
			return false;
	}
}
