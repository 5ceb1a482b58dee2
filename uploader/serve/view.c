/*-------------------------------------------------------------------------
 * view.c
 *	  What is told of the process at one moment.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/view.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"

#define READY_MIN_MS 60000
#define SAMPLES 16 /* a minute, where one is taken every four seconds */
#define SAMPLE_MIN_MS 1000

typedef struct Sample
{
	int64_t ms;
	int64_t rows_received;
	int64_t bytes_received;
	int64_t rows_durable;
	int64_t bytes_written;
	int64_t load_rows;
	int64_t server_lsn;
} Sample;

/* The latest last. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Sample samples[SAMPLES];
static int nsamples;

static int64_t
rows_loading(void)
{
	SeenAll *s = xmalloc(sizeof(*s));
	int64_t n;

	seen_copy(s);
	n = s->nloads > 0 ? s->loads[s->nloads - 1].rows : 0;
	free(s);
	return n;
}

static Sample
sample_now(void)
{
	return (Sample){ .ms = clock_mono_ms(),
					 .rows_received = count_get(&stats.rows_received),
					 .bytes_received = count_get(&stats.bytes_received),
					 .rows_durable = count_get(&stats.rows_durable),
					 .bytes_written = count_get(&stats.bytes_written),
					 .load_rows = rows_loading(),
					 .server_lsn = count_get(&stats.server_lsn) };
}

void
view_sample(void)
{
	Sample s = sample_now();

	pthread_mutex_lock(&lock);
	if (nsamples == SAMPLES)
	{
		memmove(&samples[0], &samples[1], (SAMPLES - 1) * sizeof(samples[0]));
		nsamples--;
	}
	samples[nsamples++] = s;
	pthread_mutex_unlock(&lock);
}

void
view_forget(void)
{
	pthread_mutex_lock(&lock);
	nsamples = 0;
	pthread_mutex_unlock(&lock);
}

static double
per_second(int64_t from, int64_t to, int64_t ms)
{
	return to > from ? (double) (to - from) * 1000 / (double) ms : 0;
}

/* Since the oldest sample; nothing before the second one. */
static Rates
rates_now(void)
{
	Sample now = sample_now();
	Sample old;
	int64_t ms;
	bool any;

	pthread_mutex_lock(&lock);
	any = nsamples > 0;
	old = samples[0];
	pthread_mutex_unlock(&lock);
	ms = any ? now.ms - old.ms : 0;
	if (ms < SAMPLE_MIN_MS)
		return (Rates){ 0 };
	return (Rates){
		.rows_received = per_second(old.rows_received, now.rows_received, ms),
		.bytes_received =
			per_second(old.bytes_received, now.bytes_received, ms),
		.rows_durable = per_second(old.rows_durable, now.rows_durable, ms),
		.bytes_written = per_second(old.bytes_written, now.bytes_written, ms),
		.load_rows = per_second(old.load_rows, now.load_rows, ms),
		/* what it was before the source was asked is not known */
		.wal_bytes =
			old.server_lsn ? per_second(old.server_lsn, now.server_lsn, ms) : 0
	};
}

static const char *
run_unready(int64_t now_us, int64_t now_ms)
{
	int64_t limit_ms = 3 * count_get(&stats.flush_interval_ms);
	int64_t oldest_us = count_get(&stats.oldest_us);
	int64_t moved_ms = count_get(&stats.moved_ms);

	switch ((StatsLink) count_get(&stats.link))
	{
		case LINK_STARTING:
			return "starting";
		case LINK_DOWN:
			return "disconnected";
		case LINK_STOPPING:
			return "stopping";
		case LINK_STANDBY: /* it waits, as it was told to */
			return NULL;
		case LINK_UP:
			break;
	}
	if (limit_ms < READY_MIN_MS)
		limit_ms = READY_MIN_MS;
	if (oldest_us == 0 || now_us - oldest_us < limit_ms * 1000)
		return NULL;
	if (!count_get(&stats.oldest_large))
		return "behind";
	return now_ms - moved_ms < limit_ms ? NULL : "stuck";
}

const char *
view_unready(int64_t now_us, int64_t now_ms)
{
	if (count_get(&stats.role) != ROLE_MERGE)
		return run_unready(now_us, now_ms);
	if (count_get(&stats.merge_failed))
		return "failing";
	return count_get(&stats.merge_at_us) ? NULL : "starting";
}

static int64_t
count_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	(void) closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the folder itself */
}

/* Fields of /proc/self/stat behind the name, which may hold any byte. */
static Process
process_now(void)
{
	Process p = { .open_files = count_files() };
	char text[1024];
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	const char *at;
	long pages = 0;
	unsigned long user = 0;
	unsigned long kernel = 0;
	long threads = 0;

	if (f)
		(void) fclose(f); /* only read from */
	text[n] = '\0';
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1,
					  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
					  "%*d %*d %*d %*d %ld %*d %*u %*u %ld",
					  &user, &kernel, &threads, &pages) != 4)
		return p;
	p.resident_bytes = (int64_t) pages * sysconf(_SC_PAGESIZE);
	p.cpu_seconds = (double) (user + kernel) / (double) sysconf(_SC_CLK_TCK);
	p.threads = threads;
	return p;
}

static double
until_lost(const Rates *r)
{
	int64_t safe = count_get(&stats.slot_safe_bytes);

	if (count_get(&stats.slot_asked_us) == 0 || safe < 0)
		return -1;
	if (safe == 0)
		return 0;
	return r->wal_bytes > 0 ? (double) safe / r->wal_bytes : -1;
}

static double
seconds_since(int64_t then_us, int64_t now_us)
{
	return then_us > 0 && now_us > then_us ? (double) (now_us - then_us) / 1e6
										   : 0;
}

static ViewOutput
output_now(const SeenOutput *seen, const StatsOutput *o, int64_t now_us)
{
	ViewOutput out = { .name = seen->name,
					   .state = "works",
					   .objects = count_get(&o->objects),
					   .bytes = count_get(&o->bytes),
					   .errors = count_get(&o->errors),
					   .lag_seconds =
						   seconds_since(count_get(&o->oldest_us), now_us) };

	if (count_get(&o->detached))
		out.state = "detached";
	else if (count_get(&o->failing_us))
		out.state = seen->holds ? "holds" : "fails";
	return out;
}

View *
view_new(const char *version)
{
	View *v = xcalloc(1, sizeof(*v));
	int64_t durable = count_get(&stats.durable_lsn);
	int64_t server = count_get(&stats.server_lsn);

	v->version = version;
	v->now_us = clock_unix_us();
	v->role = (StatsRole) count_get(&stats.role);
	v->unready = view_unready(v->now_us, clock_mono_ms());
	v->silent = beat_silent(BEAT_LIMIT_MS);
	v->lag_bytes = durable > 0 && server > durable ? server - durable : 0;
	v->lag_seconds = seconds_since(count_get(&stats.oldest_us), v->now_us);
	v->rates = rates_now();
	v->seconds_until_lost = until_lost(&v->rates);
	if (count_get(&stats.merge_behind) > 0)
		v->merge_behind_seconds =
			seconds_since(count_get(&stats.merge_entry_us), v->now_us);
	v->process = process_now();
	seen_copy(&v->seen);
	v->noutputs = v->seen.noutputs;
	for (int i = 0; i < v->noutputs; i++)
		v->outputs[i] =
			output_now(&v->seen.outputs[i], &stats.outputs[i], v->now_us);
	return v;
}

void
view_free(View *v)
{
	free(v);
}
