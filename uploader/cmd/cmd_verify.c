/*-------------------------------------------------------------------------
 * cmd_verify.c
 *	  "verify": is the lake what its log says, and is nothing else there?
 *
 * Exit codes: 0 all is right; 3 something is missing, damaged, or twice;
 * 8 nothing is, but leftovers lie about; those of the store where it could not
 * be found out.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/against.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/config_layout.h"
#include "cmd/verify.h"
#include "codec/json.h"

#define JOBS_DEFAULT 8
#define JOBS_MAX 64
#define KEYS_DEFAULT 10
#define KEYS_MAX 100000
#define WAIT_DEFAULT_S 600
#define WAIT_MAX_S 86400
#define LINE_MAX_BYTES ((size_t) 1 << 20)
#define PROGRESS_MS 10000

static atomic_bool stopped; /* by a signal */

static void
on_signal(int signo)
{
	(void) signo;
	atomic_store(&stopped, true);
}

bool
verify_stopped(void)
{
	return atomic_load(&stopped);
}

static const char *const kind_names[VERIFY_KINDS] = {
	[VERIFY_CHAIN] = "chain",       [VERIFY_MISSING] = "missing",
	[VERIFY_DAMAGED] = "damaged",   [VERIFY_ROWS] = "rows",
	[VERIFY_TWICE] = "twice",       [VERIFY_HOUR] = "hour",
	[VERIFY_LEFTOVER] = "leftover", [VERIFY_UPLOAD] = "upload",
	[VERIFY_UNKNOWN] = "unknown",
};

bool
verify_is_wrong(VerifyKind kind)
{
	return kind < VERIFY_LEFTOVER;
}

static void
add_json(Buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\":\"", name);
	json_add_escaped(b, (const uint8_t *) value, strlen(value));
	buf_byte(b, '"');
}

void
verify_report(Verify *v, VerifyKind kind, int64_t entry, const char *key,
			  const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	Buf b;
	Err err;

	if (v->further && !key[0] && verify_is_wrong(kind))
		return; /* of the log: that was told */
	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap); /* a cut is fine */
	va_end(ap);
	buf_init(&b, LINE_MAX_BYTES);
	if (v->json)
	{
		buf_byte(&b, '{');
		add_json(&b, "finding", kind_names[kind]);
		if (entry >= 0)
			buf_printf(&b, ",\"entry\":%" PRId64, entry);
		buf_byte(&b, ',');
		if (v->further)
		{
			add_json(&b, "output", v->further);
			buf_byte(&b, ',');
		}
		add_json(&b, "object", key);
		buf_byte(&b, ',');
		add_json(&b, "what", text);
		buf_str(&b, "}\n");
	}
	else
	{
		buf_printf(&b, "%-9s", kind_names[kind]);
		if (entry >= 0)
			buf_printf(&b, "entry %" PRId64 ": ", entry);
		if (v->further)
			buf_printf(&b, "output %s: ", v->further);
		buf_printf(&b, "%s%s%s\n", key, key[0] ? ": " : "", text);
	}
	pthread_mutex_lock(&v->lock);
	v->found[kind]++;
	if (!cli_write(buf_slice(&b), &err) && v->output.kind == ERR_NONE)
	{
		v->output = err;
		atomic_store(&stopped, true); /* nobody reads what is found */
	}
	pthread_mutex_unlock(&v->lock);
	buf_done(&b);
}

void
verify_progress(Verify *v, int64_t entry)
{
	int64_t now = clock_mono_ms();
	VerifyCounts c;

	if (now - v->shown_ms < PROGRESS_MS)
		return;
	v->shown_ms = now;
	pthread_mutex_lock(&v->lock);
	c = v->counts;
	pthread_mutex_unlock(&v->lock);
	log_info("verifying", "entry", log_int(entry), "of", log_int(v->last),
			 "objects", log_int(c.read), "rows", log_int(c.rows), "bytes",
			 log_int(c.bytes), NULL);
}

static int64_t
wrongs(const Verify *v)
{
	int64_t n = 0;

	for (int i = 0; i < VERIFY_KINDS; i++)
		n += verify_is_wrong((VerifyKind) i) ? v->found[i] : 0;
	return n;
}

static int64_t
lying(const Verify *v)
{
	return v->found[VERIFY_LEFTOVER] + v->found[VERIFY_UPLOAD] -
		   v->counts.removed;
}

static bool
print_json(const Verify *v, Err *err)
{
	const VerifyCounts *c = &v->counts;
	Buf b;
	bool ok;

	buf_init(&b, LINE_MAX_BYTES);
	buf_printf(&b,
			   "{\"verified\":true,\"entries\":%" PRId64 ",\"objects\":%" PRId64
			   ",\"objects_read\":%" PRId64 ",\"rows\":%" PRId64
			   ",\"bytes\":%" PRId64,
			   c->entries, c->objects, c->read, c->rows, c->bytes);
	buf_printf(&b,
			   ",\"expired\":%" PRId64 ",\"expired_but_there\":%" PRId64
			   ",\"in_flight\":%" PRId64 ",\"removed\":%" PRId64,
			   c->expired, c->still, c->in_flight, c->removed);
	buf_str(&b, ",\"findings\":{");
	for (int i = 0; i < VERIFY_KINDS; i++)
		buf_printf(&b, "%s\"%s\":%" PRId64, i ? "," : "", kind_names[i],
				   v->found[i]);
	buf_str(&b, "}}\n");
	ok = cli_write(buf_slice(&b), err);
	buf_done(&b);
	return ok;
}

static void
print_text(const Verify *v)
{
	const VerifyCounts *c = &v->counts;

	printf("%" PRId64 " entries, %" PRId64 " objects, of which %" PRId64
		   " were read: %" PRId64 " rows, %" PRId64 " bytes\n",
		   c->entries, c->objects, c->read, c->rows, c->bytes);
	if (c->expired)
		printf("%" PRId64 " objects are expired, %" PRId64
			   " of them are there still\n",
			   c->expired, c->still);
	if (c->in_flight)
		printf("%" PRId64 " objects are on their way\n", c->in_flight);
	if (v->found[VERIFY_LEFTOVER] + v->found[VERIFY_UPLOAD] > 0)
		printf("%" PRId64 " leftovers and %" PRId64
			   " uploads that can never count, %" PRId64 " removed\n",
			   v->found[VERIFY_LEFTOVER], v->found[VERIFY_UPLOAD], c->removed);
	printf("%" PRId64 " faults\n", wrongs(v));
}

/* The verdict as an error, which decides the exit code. */
static bool
verdict(const Verify *v, Err *err)
{
	if (wrongs(v) > 0)
	{
		err_set(err, ERR_GAP, 0, "the lake has %" PRId64 " faults", wrongs(v));
		return err_hint(err, "restore what is missing or damaged (versioned "
							 "bucket); where nobody can, \"cdc-s3 snapshot\" "
							 "loads a table anew");
	}
	if (lying(v) > 0)
	{
		err_set(err, ERR_OUTSTANDING, 0,
				"%" PRId64 " leftovers lie in the store that can never count",
				lying(v));
		return err_hint(err, "\"cdc-s3 verify --repair\" removes them");
	}
	return true;
}

static bool
verify(Verify *v, Err *err)
{
	bool ok = store_open(&v->options, &v->store, err) && verify_log(v, err) &&
			  (verify_stopped() || verify_left(v, err)) &&
			  (verify_stopped() || verify_outputs(v, err));

	if (v->output.kind != ERR_NONE)
	{
		*err = v->output;
		ok = false;
	}
	if (ok && verify_stopped())
		ok = err_set(err, ERR_BUSY, 0,
					 "stopped at entry %" PRId64 " of %" PRId64, v->done,
					 v->last) ||
			 err_hint(err, v->state_file
							   ? "the same command goes on from there"
							   : "with --state FILE it goes on from there");
	if (ok && v->json)
		ok = print_json(v, err);
	else if (ok)
		print_text(v);
	ok = ok && verdict(v, err);
	store_close(v->store);
	free(v->keys);
	free(v->loads);
	verify_paths_free(v);
	return ok;
}

/* A number from min to max; text NULL: the default. */
static bool
parse_number(const char *option, const char *text, long fallback, long min,
			 long max, long *out, Err *err)
{
	char *end;

	*out = text ? strtol(text, &end, 10) : fallback;
	if (text && (text[0] == '\0' || *end != '\0' || *out < min || *out > max))
		return err_set(err, ERR_USAGE, 0,
					   "%s is \"%.32s\", which is no number from %ld to %ld",
					   option, text, min, max);
	return true;
}

/* What goes with --against, as the command line has it. */
typedef struct AgainstArgs
{
	const char *what;
	const char *tables;
	const char *keys;
	const char *wait;
} AgainstArgs;

/* Options that belong to the other kind of "verify". */
static bool
check_kind(const Verify *v, const AgainstArgs *g, const char *jobs, Err *err)
{
	if (g->what && (v->state_file || v->sizes || v->repair || jobs))
		return err_set(err, ERR_USAGE, 0,
					   "--against goes with --table, --keys, --wait and --json "
					   "only");
	if (!g->what && (g->tables || g->keys || g->wait))
		return err_set(err, ERR_USAGE, 0,
					   "--table, --keys and --wait go with --against only");
	return true;
}

static bool
verify_against(const Config *cfg, const AgainstArgs *g, bool json, Err *err)
{
	Against a = {
		.cfg = cfg, .stop = &stopped, .tables = g->tables, .json = json
	};
	long keys;
	long wait;

	if (!parse_number("--keys", g->keys, KEYS_DEFAULT, 0, KEYS_MAX, &keys,
					  err) ||
		!parse_number("--wait", g->wait, WAIT_DEFAULT_S, 0, WAIT_MAX_S, &wait,
					  err))
		return false;
	a.keys = (int) keys;
	a.wait_ms = (int64_t) wait * 1000;
	return against_run(&a, g->what, err);
}

/* Without a template nobody can tell which folder is complete when. */
static bool
take_path(const Config *cfg, Verify *v, Path **path, Err *err)
{
	const LayoutSettings s = config_layout_main(cfg);

	if (!config_path(&s, path, err))
		return false;
	v->path = *path;
	return true;
}

bool
cmd_verify(const Config *cfg, int argc, char **argv, Err *err)
{
	Verify v = { .cfg = cfg, .options = config_store_options(cfg), .done = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	AgainstArgs against = { 0 };
	const char *jobs = NULL;
	long njobs;
	const ArgDef defs[] = { { "--jobs", &jobs, NULL },
							{ "--state", &v.state_file, NULL },
							{ "--json", NULL, &v.json },
							{ "--sizes", NULL, &v.sizes },
							{ "--repair", NULL, &v.repair },
							{ "--against", &against.what, NULL },
							{ "--table", &against.tables, NULL },
							{ "--keys", &against.keys, NULL },
							{ "--wait", &against.wait, NULL } };
	const ArgSpec spec = { .command = "verify", .defs = defs, .ndefs = 9 };
	Path *path = NULL;
	bool ok;

	if (!args_parse(&spec, argc, argv, NULL, err) ||
		!check_kind(&v, &against, jobs, err) ||
		!parse_number("--jobs", jobs, JOBS_DEFAULT, 1, JOBS_MAX, &njobs, err))
		return false;
	v.jobs = (int) njobs;
	if (v.sizes && v.state_file)
		return err_set(err, ERR_USAGE, 0,
					   "--state is of no use with --sizes, which reads no "
					   "object");
	(void) sigaction(SIGINT, &sa, NULL); /* both exist */
	(void) sigaction(SIGTERM, &sa, NULL);
	if (against.what)
		return verify_against(cfg, &against, v.json, err);
	v.options.stop = &stopped;
	v.shown_ms = clock_mono_ms();
	pthread_mutex_init(&v.lock, NULL);
	ok = take_path(cfg, &v, &path, err) && verify_state_read(&v, err) &&
		 verify(&v, err);
	path_free(path);
	pthread_mutex_destroy(&v.lock);
	return ok;
}
