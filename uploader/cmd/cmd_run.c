/*-------------------------------------------------------------------------
 * cmd_run.c
 *	  cdc-s3 run: load tables if asked, then stream until stopped.
 *
 * Signals: TERM and INT stop in good order, USR1 makes a checkpoint.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "pipe/run.h"

static RunSignals signals;

/* Async-signal-safe: an atomic store and a write. */
static void
on_signal(int signo)
{
	int saved = errno;
	uint64_t one = 1;

	if (signo == SIGUSR1)
		atomic_fetch_add(&signals.checkpoints, 1);
	else
		atomic_store(&signals.stop, true);
	if (write(signals.wake_fd, &one, sizeof(one)) < 0)
		errno = saved; /* the counter is full: the reader is awake */
	errno = saved;
}

static bool
catch_signals(Err *err)
{
	static const int signos[] = { SIGTERM, SIGINT, SIGUSR1 };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	signals.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (signals.wake_fd < 0)
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

/*
 * Buffers of megabytes come and go: give them back to the system at once, so
 * that memory.limit says something about the process too.
 */
static void
tame_malloc(void)
{
	(void) mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
	(void) mallopt(M_ARENA_MAX, 2);
}

static KeyPartition
partition_of(const char *name)
{
	if (strcmp(name, "day") == 0)
		return KEY_BY_DAY;
	return strcmp(name, "none") == 0 ? KEY_BY_NONE : KEY_BY_HOUR;
}

static JsonNumeric
numeric_of(const char *name)
{
	if (strcmp(name, "string") == 0)
		return JSON_NUMERIC_STRING;
	return strcmp(name, "auto") == 0 ? JSON_NUMERIC_AUTO : JSON_NUMERIC_NUMBER;
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
		.store = config_store_options(cfg),
		.partition = partition_of(cfg->output_partition),
		.json = { .numeric = numeric_of(cfg->output_numeric),
				  .before = strcmp(cfg->output_before, "on") == 0 },
		.grace_ms = cfg->output_grace_ms,
		.flush_interval_ms = cfg->flush_interval_ms,
		.flush_bytes = cfg->flush_bytes,
		.memory_limit = cfg->memory_limit,
		.shutdown_timeout_ms = cfg->shutdown_timeout_ms,
		.load_initial = strcmp(cfg->load_mode, "initial") == 0,
		.signals = &signals,
	};

	if (argc > 0)
		return err_set(err, ERR_USAGE, 0, "run takes no argument \"%s\"",
					   argv[0]);
	if (!compression_parse(cfg->output_compression, &o.compression))
		return err_set(err, ERR_INTERNAL, 0, "unknown compression");
	tame_malloc();
	if (!catch_signals(err))
		return false;
	return run_stream(&o, err);
}
