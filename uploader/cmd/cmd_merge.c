/*-------------------------------------------------------------------------
 * cmd_merge.c
 *	  cdc-s3 merge: apply new entries of the lake to the target.
 *
 * Prints one line a table and a final one per merge that applied something,
 * and one line where there was nothing to do.  Where rejected rows or tables
 * to be loaded anew are outstanding, that is exit code 8.
 *
 * With merge.every it goes on: a merge begins at each multiple of the
 * interval, and with merge.until=hour once more as soon as the log says that
 * the last full hour is closed, which it never is at that hour's end.  What may
 * pass (a server that restarts, a store that is slow) is logged and tried
 * again.  --plan and --sequences do something else, once.
 *
 * Signals: HUP opens log.file anew; TERM and INT end the wait, or the merge by
 *a cancel; what it did is rolled back. Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/cmd_merge.h"
#include "cmd/telling.h"
#include "merge/merge.h"
#include "store/commitlog.h"
#include "store/request.h"

#define LOCK_WAIT_MS 60000
#define SLEEP_MS 200
#define LOOK_MS 2000   /* between two looks whether the hour is closed */
#define RETRY_MS 30000 /* after a failure that may pass, at most */

/* What is awaited after a merge: the hour that ended last, of until=hour. */
typedef struct Awaited
{
	int64_t hour;   /* its end, unix us; 0: nothing */
	int64_t entry;  /* the last one seen in the log */
	int64_t closed; /* its closed_until */
} Awaited;

static atomic_bool stop;

static void
on_signal(int signo)
{
	if (signo == SIGHUP)
		log_sink_reopen();
	else
		atomic_store(&stop, true);
}

static bool
catch_signals(Err *err)
{
	static const int signos[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signos) / sizeof(signos[0]); i++)
	{
		if (sigaction(signos[i], &sa, NULL) != 0)
			return err_set(err, ERR_INTERNAL, 0, "could not catch signal %d",
						   signos[i]);
	}
	return true;
}

/* A name as one printable word: what could end or forge a line is replaced. */
void
cmd_merge_print_name(const char *name)
{
	for (; *name; name++)
		(void) putchar((unsigned char) *name < 0x20 || *name == 0x7f ? '?'
																	 : *name);
}

void
cmd_merge_print_table(const char *schema, const char *table)
{
	cmd_merge_print_name(schema);
	(void) putchar('.');
	cmd_merge_print_name(table);
}

/* What the target lacks of a table. */
static void
print_lack(const MergeResync *t)
{
	const char *r = t->reason;

	if (strcmp(r, "columns") == 0 || strcmp(r, "key") == 0 ||
		strcmp(r, "table") == 0 || strcmp(r, "schema") == 0)
		printf("the target cannot hold its changes up to LSN " LSN_FMT,
			   LSN_ARGS(t->lsn));
	else if (strcmp(r, "excluded") == 0 || strcmp(r, "mapped") == 0 ||
			 strcmp(r, "dropped") == 0 || strcmp(r, "new") == 0 ||
			 strcmp(r, "left") == 0)
		printf("it lacks what changed before LSN " LSN_FMT, LSN_ARGS(t->lsn));
	else if (strcmp(r, "parent") == 0)
		printf("a table that it refers to waits");
	else
		printf("rows changed at LSN " LSN_FMT " without change events",
			   LSN_ARGS(t->lsn));
}

/* Names that the shell and our patterns take as they are. */
static bool
is_plain(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") ==
						  strlen(name);
}

/* As one word of a shell, which the patterns of "snapshot" take by itself. */
static void
print_word(const char *schema, const char *table)
{
	Buf b;

	if (is_plain(schema) && is_plain(table))
	{
		cmd_merge_print_table(schema, table);
		return;
	}
	buf_init(&b, 4096);
	request_add_table(&b, schema, table);
	(void) putchar('\'');
	for (const char *p = buf_cstr(&b); *p; p++)
	{
		if (*p == '\'')
			printf("'\\'");
		(void) putchar((unsigned char) *p < 0x20 || *p == 0x7f ? '?' : *p);
	}
	(void) putchar('\'');
	buf_done(&b);
}

/* What is to be done about it. */
static void
print_ask(const MergeResync *t, bool preview)
{
	if (t->ask == ASK_RUN)
		printf(preview ? "; merge asks run for it" : "; run is asked for it");
	else if (t->ask == ASK_LOADING)
		printf("; the load is on its way");
	else if (strcmp(t->reason, "parent") == 0)
		printf("; its changes wait as long");
	else if (strcmp(t->state, "blocked") == 0)
		printf("; its changes wait until the target is mended");
	else if (strcmp(t->state, "left") == 0)
		printf("; it is not wanted any more");
	else
	{
		printf(t->ask == ASK_NOBODY  ? "; mend the target, then"
			   : t->ask == ASK_OFTEN ? "; loaded too often today, at once by"
									 : "; by");
		printf(" cdc-s3 snapshot ");
		print_word(t->schema, t->table);
	}
}

void
cmd_merge_print_resync(const MergeResult *r, bool preview)
{
	for (int i = 0; i < r->nresync; i++)
	{
		const MergeResync *t = &r->resync[i];

		bool loads = strcmp(t->state, "blocked") && strcmp(t->state, "left");

		cmd_merge_print_table(t->schema, t->table);
		printf(loads ? ": to be loaded anew, " : ": ");
		print_lack(t);
		printf(" (");
		cmd_merge_print_name(t->reason);
		printf(")");
		print_ask(t, preview);
		printf("\n");
	}
}

static const char *
plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static void
print_result(const MergeResult *r)
{
	for (int i = 0; i < r->ntables; i++)
	{
		const MergeTable *t = &r->tables[i];

		cmd_merge_print_table(t->schema, t->table);
		printf(": %lld inserted, %lld updated, %lld deleted, %lld rejected%s\n",
			   (long long) t->inserted, (long long) t->updated,
			   (long long) t->deleted, (long long) t->rejected,
			   t->replaced ? ", loaded" : "");
	}
	cmd_merge_print_resync(r, false);
	if (r->retried > 0)
		printf("retried %lld rejected row%s, %lld stay%s\n",
			   (long long) r->retried, plural(r->retried), (long long) r->again,
			   r->again == 1 ? "s" : "");
	if (r->groups > 0)
		printf("%lld groups of tables were committed one by one, and are "
			   "consistent with each other from here on\n",
			   (long long) r->groups);
	if (r->entries > 0)
		printf("merged %lld entries (%lld to %lld), target is at LSN " LSN_FMT
			   "\n",
			   (long long) r->entries, (long long) r->from_entry,
			   (long long) r->to_entry, LSN_ARGS(r->lsn));
	else if (r->to_entry >= 0)
		printf("nothing to merge, target is at entry %lld, LSN " LSN_FMT "\n",
			   (long long) r->to_entry, LSN_ARGS(r->lsn));
	else
		printf("nothing to merge yet\n");
	(void) fflush(stdout); /* cli looks at it in the end */
}

/* What the log lacked when it was merged; began is when that was. */
static void
await_hour(const Config *cfg, const MergeResult *r, int64_t began_us,
		   Awaited *out)
{
	*out = (Awaited){ 0 };
	if (strcmp(cfg->merge_until, "hour") != 0)
		return;
	out->entry = r->to_entry + r->log_entries;
	out->closed = r->log_closed;
	out->hour = began_us - began_us % US_PER_HOUR;
}

/* Reads on in the log; true once the hour that is awaited is closed. */
static bool
is_closed(const StoreOptions *so, Awaited *a)
{
	Store *store;
	Entry *e;
	Err err = { 0 };

	if (!store_open(so, &store, &err))
		return false; /* the merge at the next turn tells it */
	while (a->closed < a->hour && commitlog_read(store, a->entry + 1, &e, &err))
	{
		a->entry = e->seq;
		a->closed = e->closed_until;
		entry_free(e);
	}
	store_close(store);
	return a->closed >= a->hour || err.kind == ERR_GAP;
}

/* A table that is not wanted any more: it waits for nobody. */
static bool
has_left(const MergeResync *t)
{
	return strcmp(t->state, "left") == 0;
}

static int
count_waiting(const MergeResult *r)
{
	int n = 0;

	for (int i = 0; i < r->nresync; i++)
		n += !has_left(&r->resync[i]);
	return n;
}

/* Nobody has to do anything about the tables. */
static bool
by_run(const MergeResult *r)
{
	for (int i = 0; i < r->nresync; i++)
	{
		if (!has_left(&r->resync[i]) && r->resync[i].ask != ASK_RUN &&
			r->resync[i].ask != ASK_LOADING)
			return false;
	}
	return true;
}

/* False, with ERR_OUTSTANDING, where somebody has to do something. */
static bool
nothing_outstanding(const MergeResult *r, Err *err)
{
	char rows[64] = "";
	char tables[64] = "";
	int n = count_waiting(r);

	if (r->rejected == 0 && n == 0)
		return true;
	if (r->rejected > 0)
		(void) snprintf(rows, sizeof(rows), "%lld rejected row%s",
						(long long) r->rejected,
						plural(r->rejected)); /* fits */
	if (n > 0)
		(void) snprintf(tables, sizeof(tables), "%d table%s to be loaded anew",
						n, plural(n)); /* fits */
	err_set(err, ERR_OUTSTANDING, 0, "merged, but %s%s%s %s outstanding", rows,
			rows[0] && tables[0] ? " and " : "", tables,
			r->rejected + n == 1 ? "is" : "are");
	return err_hint(
		err, "see %s%s%s%s%s in the target%s",
		rows[0] ? "cdc_s3.rejected (" : "", rows[0] ? r->rejected_of : "",
		rows[0] ? ")" : "", rows[0] && tables[0] ? " and " : "",
		tables[0] ? "cdc_s3.resync" : "",
		!tables[0] ? ""
		: by_run(r)
			? "; run is asked to load the tables, and a later merge ends that"
			: "; cdc-s3 snapshot TABLE loads a table anew");
}

static MergeOptions
merge_options(const Config *cfg, const StoreOptions *so)
{
	return (MergeOptions){
		.store = so,
		.conninfo = cfg->target_conninfo,
		.until = cfg->merge_until,
		.on_reject = cfg->merge_on_reject,
		.way = cfg->merge_way,
		.map = cfg->merge_map,
		.tables = cfg->merge_tables,
		.exclude = cfg->merge_exclude,
		.on_existing = cfg->merge_on_existing,
		.schema = cfg->merge_schema,
		.lock_timeout_ms = cfg->merge_lock_timeout_ms,
		.resync = cfg->load_resync,
		.daily_max = (int) cfg->load_daily_max,
		.reject_limit = cfg->merge_reject_limit,
		.triggers = cfg->merge_triggers,
		.lock_wait_ms = LOCK_WAIT_MS,
		.silence_ms = cfg->target_silence_limit_ms,
		.progress_ms = cfg->merge_progress_ms,
		.terminal = isatty(STDERR_FILENO) && cfg->log_file[0] == '\0' &&
					strcmp(cfg->log_format, "text") == 0,
		.version = CDC_S3_VERSION,
		.parallel = (int) cfg->merge_parallel,
		.memory_limit = cfg->memory_limit,
		.stop = &stop,
	};
}

/* What the command line asks for; at most one of them. */
typedef struct Asked
{
	bool plan;
	bool sequences;
	bool retry;
	bool adopt;
} Asked;

static bool
merge_once(const Config *cfg, const StoreOptions *so, const Asked *asked,
		   Awaited *awaited, Err *err)
{
	int64_t began_us = clock_unix_us();
	MergeOptions o = merge_options(cfg, so);
	MergeResult result;
	Store *store;
	bool ok;

	o.retry_rejected = asked->retry;
	o.adopt = asked->adopt;
	if (!merge_check_options(&o, err) || !store_open(so, &store, err))
		return false;
	ok = merge_run(store, &o, &result, err);
	if (ok)
		cmd_merge_count(&result, store);
	store_close(store);
	if (!ok)
		return false;
	print_result(&result);
	await_hour(cfg, &result, began_us, awaited);
	ok = nothing_outstanding(&result, err);
	merge_result_done(&result);
	return ok;
}

/*
 * Until the next multiple of the interval, until the hour that is awaited is
 * closed, or the stop.
 */
static void
wait_for_next(int64_t every_ms, bool failed, const StoreOptions *so,
			  Awaited *awaited)
{
	int64_t now = clock_unix_us() / 1000;
	int64_t wait = every_ms - now % every_ms;
	int64_t look = clock_mono_ms() + LOOK_MS;
	int64_t until;

	if (failed && wait > RETRY_MS)
		wait = RETRY_MS;
	until = clock_mono_ms() + wait;
	while (!atomic_load(&stop) && clock_mono_ms() < until)
	{
		clock_sleep_ms(SLEEP_MS);
		beat();
		if (failed || awaited->closed >= awaited->hour ||
			clock_mono_ms() < look)
			continue;
		if (is_closed(so, awaited))
			return;
		look = clock_mono_ms() + LOOK_MS;
	}
}

/* A server that is not there now may be there at the next turn. */
static bool
may_pass(const Err *err)
{
	return err_is_retryable(err->kind) || err->kind == ERR_LOST ||
		   (err->kind == ERR_TARGET && err->code != 0);
}

static bool
merge_on_and_on(const Config *cfg, const StoreOptions *so, const Asked *asked,
				Err *err)
{
	Awaited awaited = { 0 };

	beat_begin("merge");
	while (!atomic_load(&stop))
	{
		bool ok;

		beat_waits(); /* for store and target, which have limits of their own */
		ok = merge_once(cfg, so, asked, &awaited, err);
		beat_works();
		if (!ok && err->kind == ERR_STOP)
			break;
		if (!ok && err->kind == ERR_OUTSTANDING)
		{
			log_warn(err->msg, "hint", err->hint, NULL);
			ok = true;
		}
		if (!ok && !may_pass(err))
			return false;
		if (!ok)
		{
			cmd_merge_count_failure();
			log_err(LOG_ERROR, "merge failed, trying again", err);
		}
		wait_for_next(cfg->merge_every_ms, !ok, so, &awaited);
	}
	log_info("merge stopped", NULL);
	return true;
}

/* --plan or --sequences */
static bool
look_once(const Config *cfg, const StoreOptions *so, bool plan, Err *err)
{
	MergeOptions o = merge_options(cfg, so);
	Store *store;
	bool ok;

	if (!merge_check_options(&o, err) || !store_open(so, &store, err))
		return false;
	ok = plan ? cmd_merge_plan(&o, store, err)
			  : cmd_merge_sequences(&o, store, cfg->source_conninfo, err);
	store_close(store);
	return ok;
}

/* Two options that are two things to do. */
static bool
check_asked(const ArgDef *defs, size_t n, Err *err)
{
	const char *first = NULL;

	for (size_t i = 0; i < n; i++)
	{
		if (!*defs[i].flag)
			continue;
		if (first)
			return err_set(err, ERR_USAGE, 0,
						   "options \"%s\" and \"%s\" exclude each other",
						   first, defs[i].name);
		first = defs[i].name;
	}
	return true;
}

bool
cmd_merge(const Config *cfg, int argc, char **argv, Err *err)
{
	StoreOptions so = config_store_options(cfg);
	Awaited awaited;
	Asked asked = { 0 };
	const ArgDef defs[] = { { "--plan", NULL, &asked.plan },
							{ "--sequences", NULL, &asked.sequences },
							{ "--retry-rejected", NULL, &asked.retry },
							{ "--adopt", NULL, &asked.adopt } };
	const size_t n = sizeof(defs) / sizeof(defs[0]);
	const ArgSpec spec = { "merge", defs, n, NULL, 0 };
	Telling telling;
	bool looks;
	bool ok;

	so.stop = &stop;
	if (!args_parse(&spec, argc, argv, NULL, err) ||
		!config_need(cfg, "store.url", err) || !catch_signals(err) ||
		!check_asked(defs, n, err))
		return false;
	looks = asked.plan || asked.sequences;
	if (!looks && cfg->merge_every_ms > 0)
	{
		ok = telling_start(&telling, cfg, ROLE_MERGE, err) &&
			 merge_on_and_on(cfg, &so, &asked, err);
		telling_stop(&telling);
		return ok;
	}
	ok = looks ? look_once(cfg, &so, asked.plan, err)
			   : merge_once(cfg, &so, &asked, &awaited, err);
	if (!ok && err->kind == ERR_STOP)
	{
		err->kind = ERR_BUSY; /* a scheduler must see that it is not done */
		(void) err_hint(err, "the next merge goes on from where the target is");
	}
	return ok;
}
