/*-------------------------------------------------------------------------
 * story.c
 *	  What happens in a simulation: who works, and what goes wrong when.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "count.h"
#include "fiber.h"
#include "lake.h"
#include "oracle.h"
#include "pipe/run.h"
#include "store/commitlog.h"
#include "story.h"

#define PROGRESS_US (900 * SIM_SEC)
#define WRITERS 8

/* One process of cdc-s3 run. */
typedef struct Writer
{
	Proc *proc;
	RunControl control;
	RunOptions options;
	OutputOptions copy; /* a further output, if there is one */
	OutputHealth health;
	bool returned;
	bool ok;
	Err err;
	bool stopping;
	int64_t stop_at;
	int64_t paused_us; /* behind stop_at */
} Writer;

/* What the seed chose once. */
typedef struct Setup
{
	RunOptions options;
	OutputOptions copy;
	int64_t grace_ms;
	int64_t flush_ms;
	int64_t flush_bytes;
	int64_t shutdown_ms;
	bool odd_times;
	bool clocks_jump;
	bool second_writers;
	bool promotes;
	bool foreign;
	unsigned trouble; /* of 1,000 steps of the story */
} Setup;

static Setup setup;
static Writer *writers[WRITERS];
static int nwriters;
static bool gap_expected;

static void
no_reload(RunControl *c)
{
	(void) c;
}

/* ---- one writer ---- */

static void
writer_main(void *arg)
{
	Writer *w = arg;

	w->ok = run_stream(&w->options, &w->err);
	w->returned = true;
}

static Writer *
writer_start(void)
{
	Writer *w = xcalloc(1, sizeof(*w));

	COUNT(starts);
	w->options = setup.options;
	w->options.control = &w->control;
	if (setup.options.nfurther)
	{
		w->copy = setup.copy;
		w->copy.health = &w->health;
		w->options.further = &w->copy;
	}
	w->control.wake_fd = sim_eventfd();
	w->control.grace_ms = setup.grace_ms;
	w->control.flush_interval_ms = setup.flush_ms;
	w->control.flush_bytes = setup.flush_bytes;
	w->control.shutdown_ms = setup.shutdown_ms;
	w->control.reload = no_reload;
	w->proc = sim_start("run", writer_main, w);
	writers[nwriters++] = w;
	sim_say("a writer starts");
	return w;
}

static void
wake(Writer *w)
{
	uint64_t one = 1;

	/* as the handlers of signals do (cmd_run.c) */
	if (write(w->control.wake_fd, &one, sizeof(one)) < 0)
		sim_fail("no eventfd");
}

static void
writer_stop(Writer *w)
{
	COUNT(stops);
	sim_say("a writer is stopped");
	w->stopping = true;
	w->stop_at = sim_now();
	w->control.stop = true;
	wake(w);
}

/* It ends itself, since a stop takes too long. */
static void
writer_exits(Proc *p, int code)
{
	for (int i = 0; i < nwriters; i++)
	{
		Writer *w = writers[i];

		if (w->proc != p)
			continue;
		w->returned = true;
		(void) err_set(&w->err, ERR_NET, 0, "it ends itself");
		if (!w->stopping || code != 75)
			sim_fail("a process ends itself with %d", code);
		return;
	}
}

/* One clear line: what could not be done to which file, and why. */
static bool
is_disk_error(const Writer *w)
{
	char why[64];
	int errnum = disk_errno();

	if (errnum != EIO && errnum != EACCES)
		return false;
	if (w->err.kind != ERR_STORE && w->err.kind != ERR_GONE)
		return false;
	if (w->err.code != errnum || strchr(w->err.msg, '\n') ||
		!strstr(w->err.msg, err_errno(errnum, why, sizeof(why))) ||
		!strstr(w->err.msg, "/sim"))
		sim_fail("an error that does not tell enough: %s", w->err.msg);
	COUNT(disk_ended);
	return true;
}

/* How it may end. */
static void
check_end(const Writer *w)
{
	if (w->ok)
	{
		if (!w->stopping)
			sim_fail("run ended with 0, and nobody stopped it");
		return;
	}
	sim_say("a writer ends: %s", w->err.msg);
	if (is_disk_error(w))
		return;
	switch (w->err.kind)
	{
		case ERR_LOST:
			COUNT(lost_writer);
			return;
		case ERR_NET:
		case ERR_BUSY:
		case ERR_GONE:
		case ERR_STOP:
			return;
		case ERR_SOURCE:
			if (w->err.code == 1) /* PG_TRANSIENT */
				return;
			break;
		case ERR_GAP:
			COUNT(gap);
			if (gap_expected)
				return;
			break;
		default:
			break;
	}
	sim_fail("run ended with %s: %s", err_kind_name(w->err.kind), w->err.msg);
}

/* Takes those away that have ended. */
static void
look_at_writers(void)
{
	int64_t limit = (setup.shutdown_ms + 120000) * SIM_MS;

	for (int i = 0; i < nwriters; i++)
	{
		Writer *w = writers[i];

		if (w->stopping && !w->returned && sim_is_alive(w->proc) &&
			sim_now() - w->stop_at - w->paused_us > limit)
			sim_fail("a writer that was stopped does not end");
		if (sim_is_alive(w->proc))
			continue;
		if (w->returned)
			check_end(w);
		writers[i--] = writers[--nwriters];
	}
}

/* ---- the story ---- */

static void
calm(void)
{
	bool no_uploads = lake_faults.no_uploads;

	lake_faults = (LakeFaults){ .no_uploads = no_uploads };
}

static void
stormy(void)
{
	unsigned f = sim_chance(300) ? 150 : sim_chance(500) ? 40 : 10;

	lake_faults.lost = (unsigned) sim_random(f);
	lake_faults.no_answer = (unsigned) sim_random(f);
	lake_faults.late = (unsigned) sim_random(f / 2 + 1);
	lake_faults.busy = (unsigned) sim_random(f);
	lake_faults.gone = (unsigned) sim_random(f / 2 + 1);
	lake_faults.slow = (unsigned) sim_random(300);
	lake_faults.lag = sim_chance(300) ? (unsigned) sim_random(100) : 0;
}

static void
wait_a_while(int64_t us)
{
	int64_t until = sim_now() + us;

	while (sim_now() < until)
	{
		int64_t left = until - sim_now();

		sim_sleep(left < 500 * SIM_MS ? left : 500 * SIM_MS);
		if (!base.up && sim_now() >= base.up_at)
			base.up = true;
		pq_tick();
		look_at_writers();
	}
}

static Writer *
any_writer(void)
{
	return nwriters > 0 ? writers[sim_random((uint64_t) nwriters)] : NULL;
}

/* Rows for hundreds of objects. */
static void
bulk(void)
{
	COUNT(bulks);
	for (int i = 0; i < 40; i++)
		base_commit(30, 600, false);
}

static void
work(void)
{
	int n = (int) sim_between(1, 5);

	if (setup.options.max_rows == 5 && sim_chance(20))
		bulk();

	for (int i = 0; i < n; i++)
	{
		int changes = (int) sim_between(1, sim_chance(100) ? 60 : 8);
		int64_t bytes = sim_chance(200) ? changes * 600 : changes * 30;

		if (setup.options.memory_limit < 8 << 20 && sim_chance(8))
		{
			COUNT(big);
			bytes = setup.options.memory_limit / 2 * 3;
			changes = 60;
		}
		base_commit(changes, bytes, setup.odd_times && sim_chance(150));
		if (sim_chance(300))
			sim_sleep(sim_between(0, 300 * SIM_MS));
	}
}

static void
trouble_of_writers(void)
{
	Writer *w = any_writer();

	if (!w)
		return;
	switch (sim_random(6))
	{
		case 0:
		case 1:
			COUNT(kills);
			sim_say("a writer is killed");
			sim_kill(w->proc);
			break;
		case 2: /* at one of its next steps */
			COUNT(kills);
			sim_kill_at(w->proc,
						(int64_t) sim_random(sim_chance(500) ? 300 : 20000));
			break;
		case 3:
			COUNT(pauses);
			if (!sim_is_paused(w->proc))
			{
				int64_t us = sim_between(0, 150 * SIM_SEC);

				sim_say("a writer is held for %lld s",
						(long long) (us / SIM_SEC));
				sim_pause(w->proc, us);
				w->paused_us += us;
			}
			break;
		case 4:
			if (w->stopping)
				break;
			writer_stop(w);
			/* as a deployment does that does not wait for the old one */
			if (setup.second_writers && nwriters < 3 && sim_chance(500))
			{
				COUNT(seconds);
				writer_start();
			}
			break;
		default:
			if (setup.second_writers && nwriters < 3)
			{
				COUNT(seconds);
				writer_start();
			}
			break;
	}
}

static void
trouble_of_clocks(void)
{
	if (!setup.clocks_jump)
		return;
	if (sim_chance(500))
	{
		COUNT(clock_jump);
		sim_wall_set(base.clock_offset + sim_between(-5400, 5400) * SIM_SEC);
	}
	else
	{
		COUNT(server_clock_jump);
		oracle_clock_lies();
		base.clock_offset += sim_between(-3600, 3600) * SIM_SEC;
	}
}

static void
trouble_of_the_source(void)
{
	switch (sim_random(5))
	{
		case 0:
			base_crash(setup.promotes && base.timeline == 1 && sim_chance(300));
			break;
		case 1:
		case 2:
			pq_cut_some();
			break;
		case 3:
			if (setup.second_writers && nwriters < 3 && pq_half_open())
			{
				COUNT(seconds);
				writer_start();
				break;
			}
			COUNT(silent);
			base.silent_until =
				sim_now() +
				sim_between(0, sim_chance(100) ? 400 : 40) * SIM_SEC;
			break;
		default:
			if (setup.foreign && !base.active && !gap_expected &&
				base.insert > oracle_log_end())
			{
				gap_expected = true;
				base_consume_slot();
			}
			break;
	}
}

static void
one_step(void)
{
	if (nwriters == 0 && sim_chance(700))
		writer_start();
	if (sim_chance(600))
		work();
	else if (sim_chance(100))
		base_add_column((int) sim_random(BASE_TABLES));
	else if (sim_chance(200))
		base_noise(sim_between(0, 40) << 20);
	if (sim_chance(30) && nwriters > 0)
	{
		Writer *w = any_writer();

		w->control.checkpoints++;
		wake(w);
	}
	if (sim_chance(setup.trouble))
	{
		switch (sim_random(8))
		{
			case 0:
				stormy();
				break;
			case 1:
				calm();
				break;
			case 2:
			case 3:
				trouble_of_the_source();
				break;
			case 4:
				trouble_of_clocks();
				break;
			default:
				trouble_of_writers();
				break;
		}
	}
	wait_a_while(sim_chance(100) ? sim_between(0, 30 * SIM_SEC)
								 : sim_between(0, 2 * SIM_SEC));
}

/* ---- the end of it ---- */

/* One writer is left, and nothing disturbs it any more. */
static void
settle(void)
{
	int64_t until;

	calm();
	lake_faults.lag = 0;
	base.hangs = base.cuts = 0;
	if (sim_chance(500))
		base.silent_until = 0;
	while (nwriters > 0)
	{
		for (int i = 0; i < nwriters; i++)
		{
			if (!writers[i]->stopping)
				writer_stop(writers[i]);
		}
		wait_a_while(SIM_SEC);
	}
	wait_a_while(60 * SIM_SEC); /* what is under way lands */
	if (!base.up)
		wait_a_while(base.up_at - sim_now() + SIM_SEC);
	sim_wall_set(base.clock_offset);
	until = sim_now() + PROGRESS_US;
	while (oracle_log_end() < base.insert || oracle_loads_open())
	{
		if (nwriters == 0)
		{
			if (gap_expected && counts->gap > 0)
				return;
			writer_start();
		}
		wait_a_while(2 * SIM_SEC);
		if (sim_now() > until)
			sim_fail("no progress: the log ends at " LSN_FMT
					 ", the WAL at " LSN_FMT,
					 LSN_ARGS(oracle_log_end()), LSN_ARGS(base.insert));
	}
}

/* An hour is closed and swept, and nothing is left. */
static void
quiet_hour(void)
{
	int64_t hour = base_clock() - base_clock() % US_PER_HOUR + US_PER_HOUR;

	if (hour <= oracle_swept_until()) /* a clock was turned back */
		hour = oracle_swept_until() + US_PER_HOUR;
	while (oracle_swept_until() < hour)
	{
		if (nwriters == 0)
			writer_start();
		wait_a_while(20 * SIM_SEC);
		/* only an entry tells what is swept */
		if (oracle_closed_until() >= hour || sim_chance(50))
			base_commit(1, 10, false);
		if (oracle_swept_until() < hour &&
			base_clock() > hour + setup.grace_ms * 1000 + PROGRESS_US)
			sim_fail("an hour is not closed and swept: until %" PRId64
					 " and %" PRId64 ", it ended at %" PRId64,
					 oracle_closed_until(), oracle_swept_until(), hour);
	}
	wait_a_while(10 * SIM_SEC);
	oracle_clean();
}

static void stop_at_last(void);

/* The disk failed while it stopped; another one ends what it began. */
static void
stop_another(void)
{
	if (nwriters == 0)
		writer_start();
	wait_a_while(60 * SIM_SEC);
	stop_at_last();
}

static void
stop_at_last(void)
{
	Writer *w = nwriters > 0 ? writers[0] : NULL;
	int64_t until = sim_now() + (setup.shutdown_ms + 5000) * SIM_MS;

	if (!w)
		return;
	writer_stop(w);
	while (nwriters > 0)
	{
		if (sim_now() > until && !disk_strikes())
			sim_fail("a writer that nothing disturbs does not end within "
					 "shutdown.timeout");
		wait_a_while(100 * SIM_MS);
	}
	if (!w->ok && disk_strikes())
	{
		disk_fault_at = 0;
		stop_another();
		return;
	}
	if (!w->ok)
		sim_fail("a writer that nothing disturbs ended badly: %s", w->err.msg);
	if (base.ntxns > 0 && oracle_log_end() < base.txns[base.ntxns - 1].end)
		sim_fail("run ended with 0 and left something behind");
}

static void
first_entry(void)
{
	Entry *e = entry_new();
	Store *store = NULL;
	Err err = { 0 };

	entry_set(&e->system_identifier, "7574");
	entry_set(&e->database, "shop");
	entry_set(&e->slot, "cdc_s3");
	entry_set(&e->writer, "00000000");
	e->timeline = 1;
	e->prev_end = e->end = base.insert;
	e->loaded = !setup.options.load_initial;
	e->time = clock_unix_us();
	if (!store_open(&setup.options.store, &store, &err) ||
		!commitlog_write(store, e, &err))
		sim_fail("no entry 0: %s", err.msg);
	store_close(store);
	entry_free(e);
}

static void
story(void *arg)
{
	int steps = (int) sim_between(10, 50);

	(void) arg;
	calm();
	first_entry();
	if (setup.options.load_initial)
	{
		for (int i = 0; i < 12; i++)
			base_commit(6, 240, false);
	}
	if (sim_chance(700))
		stormy();
	for (int i = 0; i < steps; i++)
		one_step();
	settle();
	if (!gap_expected && sim_chance(250))
		quiet_hour();
	if (!gap_expected)
		stop_at_last();
	oracle_compare();
}

/* ---- a small story, in which one thing goes wrong ---- */

static int64_t kill_step; /* of the first writer; 0: it is not killed */
static int64_t small_fault_at;
static int64_t small_disk_at;

/* From the last commit on: into its objects. */
#define DISK_KILL_STEPS 100

static void
begin_small(bool disk)
{
	RunOptions *o = &setup.options;

	o->load_initial = true;
	if (disk)
		o->store.url = DISK_URL;
	o->nfurther = 0;
	base.hangs = base.cuts = 0;
	o->load.jobs = 1;
	o->load.chunk_bytes = 1 << 30;
	o->compression = COMPRESS_NONE;
	o->format = format_find("json");
	o->layout.format = "json";
	o->layout.compression = "none";
	o->memory_limit = 1 << 20;
	o->store.retry_ms = 5000;
	o->max_rows = 5;
	o->workers = 2;
	setup.grace_ms = 2000;
	setup.flush_ms = 1000;
	setup.flush_bytes = 2000;
	setup.shutdown_ms = 20000;
	lake_part_min = 65536;
	lake_faults.no_uploads = false;
	base.clock_offset +=
		US_PER_HOUR - base_clock() % US_PER_HOUR - 10 * SIM_SEC;
	sim_wall_set(base.clock_offset);
}

static void
small_story(void *arg)
{
	(void) arg;
	begin_small(false);
	calm();
	first_entry();
	lake_calls = 0;
	lake_fault_at = small_fault_at;
	base_commit(8, 240, false);
	writer_start();
	if (kill_step)
		sim_kill_at(writers[0]->proc, kill_step);
	for (int i = 0; i < 3; i++)
	{
		base_commit(20, 600, false);
		wait_a_while(1500 * SIM_MS);
	}
	base_commit(30, 100000, false);
	wait_a_while(2 * SIM_SEC);
	if (!kill_step && nwriters > 0)
		counts->small_steps = sim_steps(writers[0]->proc);
	if (!small_fault_at && !kill_step)
		counts->small_calls = lake_calls;
	settle();
	quiet_hour();
	stop_at_last();
	oracle_compare();
}

/* The one in which the story began. */
static void
sweep_first_hour(void)
{
	int64_t until = sim_now() + PROGRESS_US;
	int64_t hour =
		base.txns[0].time - base.txns[0].time % US_PER_HOUR + US_PER_HOUR;

	while (oracle_swept_until() < hour)
	{
		if (nwriters == 0)
			writer_start();
		wait_a_while(2 * SIM_SEC);
		base_commit(1, 10, false);
		if (sim_now() > until)
			sim_fail("the hour is not closed and swept");
	}
	wait_a_while(5 * SIM_SEC);
}

/*
 * The same on a disk, and one writer is killed with objects under way, so that
 * another one has something to sweep.
 */
static void
small_disk_story(void *arg)
{
	(void) arg;
	begin_small(true);
	setup.options.max_rows = setup.options.max_bytes = 0; /* several parts */
	lake_part_min = 16384;
	calm();
	first_entry();
	disk_calls = 0;
	disk_fault_at = small_disk_at;
	base_commit(8, 240, false);
	writer_start();
	for (int i = 0; i < 2; i++)
	{
		base_commit(20, 600, false);
		wait_a_while(1500 * SIM_MS);
	}
	if (nwriters > 0)
		sim_kill_at(writers[0]->proc, DISK_KILL_STEPS);
	base_commit(30, 400000, false);
	wait_a_while(2 * SIM_SEC);
	settle();
	sweep_first_hour();
	stop_at_last();
	if (!small_disk_at)
		counts->small_calls = disk_calls;
	COUNT_N(disk_calls, disk_calls);
	if (small_disk_at && !disk_strikes() && disk_fault_at)
		sim_fail("the call did not come");
	COUNT(disk_faults);
	disk_cut(); /* once more: what all of them left is safe */
	oracle_compare();
}

/* ---- what a seed chooses ---- */

static int64_t
one_of(int n, const int64_t *values)
{
	return values[sim_random((uint64_t) n)];
}

#define ONE_OF(...)                                                            \
	one_of((int) (sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)),       \
		   (int64_t[]){ __VA_ARGS__ })

static void
choose_output(RunOptions *o)
{
	static const char *const formats[] = { "json", "json", "json", "csv",
										   "parquet" };
	Path *path;
	Err err;

	if (!path_parse(PATH_DEFAULT, zone_fixed("UTC"), &path, &err))
		sim_fail("%s", err.msg);
	o->path = path;
	o->format = format_find(formats[sim_random(5)]);
	o->compression = (Compression) ONE_OF(COMPRESS_NONE, COMPRESS_NONE,
										  COMPRESS_ZSTD, COMPRESS_GZIP);
	o->format_options.compression = o->compression;
	o->layout =
		(EntryLayout){ .format = (char *) o->format->name,
					   .variant = "",
					   .compression = (char *) compression_name(o->compression),
					   .path = PATH_DEFAULT,
					   .zone = "UTC" };
	o->max_bytes = ONE_OF(0, 0, 2000, 20000);
	o->max_rows = ONE_OF(0, 0, 5, 40);
	o->split_keys = oracle_split = sim_chance(250);
	o->workers = (int) sim_between(1, 3);
	/* a sixteenth of what is usual (base/scale.h), and room for compressors */
	o->memory_limit =
		o->compression == COMPRESS_NONE ? ONE_OF(1 << 20, 2 << 20) : 8 << 20;
}

static void
choose_copy(RunOptions *o)
{
	static const char *const formats[] = { "json", "csv", "parquet" };

	if (!sim_chance(250))
		return;
	o->nfurther = 1;
	setup.copy = (OutputOptions){ .name = "copy",
								  .store = o->store,
								  .tables = "",
								  .exclude = "",
								  .compression = o->compression,
								  .path = o->path,
								  .format = format_find(formats[sim_random(3)]),
								  .max_rows = ONE_OF(0, 7),
								  .detach = sim_chance(400),
								  .detach_after_ms = 5000 };
	setup.copy.store.url = "s3://sim/copy";
	setup.copy.format_options.compression = o->compression;
	setup.copy.layout = o->layout;
	setup.copy.layout.format = (char *) setup.copy.format->name;
}

static void
choose(void)
{
	RunOptions *o = &setup.options;

	*o = (RunOptions){ .conninfo = "",
					   .slot = "cdc_s3",
					   .tables = "",
					   .exclude = "",
					   .publication = "",
					   .load_initial = sim_chance(400),
					   .resync_auto = sim_chance(500),
					   .daily_max = 3 };
	o->store.url = "s3://sim/lake";
	o->store.retry_ms = ONE_OF(500, 5000, 60000);
	choose_output(o);
	choose_copy(o);
	o->load = (LoadOptions){ .jobs = (int) sim_between(1, 3),
							 .chunk_bytes = ONE_OF(16384, 1 << 30),
							 .yield_ms = ONE_OF(0, 2000) };
	setup.grace_ms = ONE_OF(0, 2000, 30000);
	setup.flush_ms = ONE_OF(1000, 2000, 5000, 20000);
	setup.flush_bytes = ONE_OF(500, 20000, 10 << 20);
	setup.shutdown_ms = ONE_OF(5000, 20000);
	setup.odd_times = sim_chance(200);
	setup.clocks_jump = sim_chance(150);
	setup.second_writers = sim_chance(500);
	setup.promotes = sim_chance(150);
	setup.foreign = sim_chance(30);
	base.hangs = sim_chance(150) ? 4 : 0;
	base.cuts = sim_chance(150) ? 10 : 0;
	setup.trouble = (unsigned) ONE_OF(0, 150, 300, 600);
	lake_part_min = (size_t) (o->memory_limit / ONE_OF(16, 64, 256));
	lake_faults.no_uploads = sim_chance(80);
}

static void
begin_time(void)
{
	int64_t into;

	base_init();
	into = base_clock() % US_PER_HOUR;
	base.clock_offset +=
		US_PER_HOUR - into -
		(sim_chance(600) ? sim_between(5, 120) : sim_between(200, 3500)) *
			SIM_SEC;
	sim_wall_set(base.clock_offset + sim_between(-2, 2) * SIM_SEC);
}

uint64_t
story_run(uint64_t seed, const Small *small)
{
	Proc *world;

	sim_seed(seed);
	sim_on_kill = pq_killed;
	sim_on_exit = writer_exits;
	log_init(LOG_DEBUG, false); /* the way must not hang on what is shown */
	begin_time();
	choose();
	kill_step = small->kill_step;
	small_fault_at = small->fault_at;
	lake_fault_kind = small->fault;
	small_disk_at = small->disk_call;
	disk_fault = small->disk_fault;
	oracle_disk = small->disk;
	world = sim_start("world",
					  small->disk ? small_disk_story
					  : small->on ? small_story
								  : story,
					  NULL);
	sim_run(world);
	return sim_trace();
}
