/*-------------------------------------------------------------------------
 * cmd_run.c
 *	  cdc-s3 run: load tables if asked, then stream until stopped.
 *
 * Signals: TERM and INT stop in good order, USR1 makes a checkpoint, HUP
 * reads the configuration again: all settings that can be reloaded, or none.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "base/notify.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/config_flush.h"
#include "cmd/config_layout.h"
#include "cmd/outputs.h"
#include "cmd/telling.h"
#include "io/cores.h"
#include "pipe/governor.h"
#include "pipe/run.h"

static RunControl control;
static Config *reloaded; /* what the last HUP brought */
static const Config *current;

/* Async-signal-safe: an atomic store and a write. */
static void
on_signal(int signo)
{
	int saved = errno;
	uint64_t one = 1;

	if (signo == SIGUSR1)
		atomic_fetch_add(&control.checkpoints, 1);
	else if (signo == SIGHUP)
	{
		log_sink_reopen(); /* while there is no session, too */
		atomic_fetch_add(&control.reloads, 1);
	}
	else
		atomic_store(&control.stop, true);
	if (write(control.wake_fd, &one, sizeof(one)) < 0)
		errno = saved; /* the counter is full: the reader is awake */
	errno = saved;
}

static bool
catch_signals(Err *err)
{
	static const int signos[] = { SIGTERM, SIGINT, SIGUSR1, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	control.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (control.wake_fd < 0)
		return err_set(err, ERR_INTERNAL, errno, "could not make an eventfd");
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signos) / sizeof(signos[0]); i++)
	{
		if (sigaction(signos[i], &sa, NULL) != 0)
			return err_set(err, ERR_INTERNAL, errno,
						   "could not catch signal %d", signos[i]);
	}
	return true;
}

static void
set_control(const Config *cfg)
{
	atomic_store(&control.grace_ms, cfg->output_grace_ms);
	atomic_store(&control.flush_interval_ms, cfg->flush_interval_ms);
	atomic_store(&control.flush_bytes, cfg->flush_bytes);
	atomic_store(&control.shutdown_ms, cfg->shutdown_timeout_ms);
}

/* In the receiver's thread; others read the control's atomics only. */
static void
reload(RunControl *c)
{
	Config *cfg;
	Err err = { 0 };
	Buf kept;

	(void) c; /* there is one */
	notify_reloading();
	buf_init(&kept, 4096);
	if (!config_reload(current, &cfg, &kept, &err))
		log_err(LOG_ERROR, "configuration not reloaded", &err);
	else
	{
		set_control(cfg);
		if (!config_apply_log(cfg, &err))
			log_err(LOG_ERROR, "the log stays where it was", &err);
		log_info("configuration reloaded", "needs_restart",
				 kept.n ? buf_cstr(&kept) : NULL, NULL);
		config_free(reloaded);
		current = reloaded = cfg;
	}
	buf_done(&kept);
	notify_reloaded();
}

/* As /livez: nothing outside the process counts, no restart would mend that. */
static bool
is_alive(void *arg)
{
	(void) arg;
	return beat_silent(BEAT_LIMIT_MS) == NULL;
}

/* All stands that a failed start could be about, but for source and store. */
static bool
run_supervised(const RunOptions *o, Err *err)
{
	bool ok = notify_open(err) && notify_watchdog_start(is_alive, NULL, err);

	if (ok)
	{
		notify_ready();
		notify_status("connecting to the source");
		ok = run_stream(o, err);
		if (!ok)
			notify_status("ended: %s", err->msg);
	}
	notify_close();
	return ok;
}

/*
 * Buffers of common size come from the heap and go back there, since pages
 * that the system has to clear anew cost as much as writing a row.  Larger
 * ones go back to the system at once, so that memory.limit says something
 * about the process too.
 */
static void
tame_malloc(void)
{
	(void) mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
	(void) mallopt(M_ARENA_MAX, 2);
}

#define WORKER_MEMORY ((int64_t) 8 << 20)

/*
 * Two even on two cores: while one waits for a slow store, the other has the
 * core.
 */
static int
workers_of(const Config *cfg)
{
	int64_t n = cfg->output_workers;

	if (n == 0)
		n = cores_available() - 1;
	if (cfg->output_workers == 0 && n < 2)
		n = 2;
	if (n > cfg->memory_limit / WORKER_MEMORY)
		n = cfg->memory_limit / WORKER_MEMORY;
	return n > 0 ? (int) n : 1;
}

static int
governor_action(const char *name)
{
	if (strcmp(name, "drop") == 0)
		return GOVERNOR_DROP;
	return strcmp(name, "shed") == 0 ? GOVERNOR_SHED : GOVERNOR_WARN;
}

bool
cmd_run(const Config *cfg, int argc, char **argv, Err *err)
{
	RunOptions o = {
		.conninfo = cfg->source_conninfo,
		.slot = cfg->source_slot,
		.tables = cfg->source_tables,
		.exclude = cfg->source_exclude,
		.publication = cfg->source_publication,
		.slot_wait_ms = cfg->source_slot_wait_ms,
		.silence_ms = cfg->source_silence_limit_ms,
		.store = config_store_options(cfg),
		.max_bytes = cfg->output_max_bytes,
		.max_rows = cfg->output_max_rows,
		.format_options = outputs_format_options(
			cfg->output_numeric, cfg->output_before, cfg->output_csv_newlines,
			cfg->output_parquet_timestamp, cfg->output_parquet_types),
		.split_keys = strcmp(cfg->output_key_change, "split") == 0,
		.fill_unchanged = strcmp(cfg->output_unchanged, "old") == 0,
		.dms_names = strcmp(cfg->output_names, "dms") == 0,
		.workers = workers_of(cfg),
		.memory_limit = cfg->memory_limit,
		.load_initial = strcmp(cfg->load_mode, "never") != 0,
		.retention_ms = cfg->lake_retention_ms,
		.resync_auto = strcmp(cfg->load_resync, "auto") == 0,
		.daily_max = (int) cfg->load_daily_max,
		.load = { .only = strcmp(cfg->load_mode, "only") == 0,
				  .jobs = (int) cfg->load_jobs,
				  .chunk_bytes = cfg->load_chunk,
				  .max_rate = cfg->load_max_rate,
				  .yield_ms = cfg->load_yield_ms,
				  .max_age_ms = cfg->load_max_age_ms,
				  .progress_ms = cfg->load_progress_ms,
				  .terminal = isatty(STDERR_FILENO) &&
							  cfg->log_file[0] == '\0' &&
							  strcmp(cfg->log_format, "text") == 0 },
		.governor = { .action = governor_action(cfg->governor_action),
					  .max_retained = cfg->governor_max_retained,
					  .min_free = cfg->governor_min_free },
		.control = &control,
	};
	OutputSet outputs;
	char room[LAYOUT_ROOM];
	LayoutSettings s = config_layout_main(cfg);
	Path *path = NULL;
	Telling telling = { 0 };
	const ArgDef defs[] = { { "--standby", NULL, &o.standby } };
	const ArgSpec spec = { "run", defs, 1, NULL, 0 };
	FlushRules flush;
	char *flush_room = NULL;
	bool ok;

	if (!args_parse(&spec, argc, argv, NULL, err) ||
		!config_flush_rules(cfg->flush_tables, &flush, &flush_room, err) ||
		!config_check_shape(&s, err) ||
		!outputs_form("output", cfg->output_format, cfg->output_compression,
					  &o.format, &o.compression, err) ||
		!outputs_open(cfg, &outputs, err))
	{
		free(flush_room);
		return false;
	}
	if (!config_path(&s, &path, err))
	{
		free(flush_room);
		outputs_close(&outputs);
		return false;
	}
	o.flush = flush.n > 0 ? &flush : NULL;
	o.further = outputs.all;
	o.nfurther = outputs.n;
	o.path = path;
	config_layout(&s, &o.layout, room, sizeof(room));
	if (strcmp(o.layout.format, "csv-dms") == 0)
		log_warn("merge and replay cannot read objects of output.shape = dms",
				 NULL);
	o.format_options.dms = o.layout.variant;
	tame_malloc();
	set_control(cfg);
	current = cfg;
	control.reload = reload;
	ok = catch_signals(err) && telling_start(&telling, cfg, ROLE_RUN, err) &&
		 run_supervised(&o, err) && outputs_all_attached(&outputs, err);
	telling_stop(&telling);
	config_free(reloaded);
	path_free(path);
	outputs_close(&outputs);
	free(flush_room);
	return ok;
}
