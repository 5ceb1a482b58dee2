/*-------------------------------------------------------------------------
 * check_store.c
 *	  "check" of the store.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "cmd/config_layout.h"
#include "cmd/probe.h"
#include "codec/key.h"
#include "store/commitlog.h"

#define STORE_RETRY_MS 3000
#define TEXT_MAX_BYTES 4096
#define SKEW_WARN_US (5 * US_PER_SEC) /* a date has whole seconds only */

/* What does not answer is a finding about the store all the same. */
static void
store_failed(Check *c, const char *name, const char *why, Err *err)
{
	if (err_is_retryable(err->kind))
		err->kind = ERR_STORE;
	if (!err->hint[0])
		err_hint(err, "correct store.url and store.endpoint, what may be done "
					  "there, or see why the store does not answer");
	check_failed(c, name, why, err);
}

static void
check_log_readable(Check *c)
{
	Err err;

	if (commitlog_last(c->store, 0, &c->last, &err))
		c->log_known = true;
	else
		store_failed(c, "log", "the log says what counts in the lake", &err);
}

/* Called right behind a request: the clocks are compared by its answer. */
static void
check_about(Check *c)
{
	static const Finding clock = {
		.level = CHECK_WARNING,
		.kind = ERR_STORE,
		.name = "store clock",
		.why = "requests are signed with the time, and beyond 15 minutes S3 "
			   "refuses them; cdc-s3 then goes by the server's clock",
		.mend = "set this machine's clock, by NTP for example",
	};
	StoreAbout about;
	char until[40];

	if (!store_about(c->store, &about))
		return;
	if (about.expires_us)
		iso_from_unix_us(about.expires_us, false, until, sizeof(until));
	check_ok(c, "store credentials", "from %s, %s%s", about.credentials,
			 about.expires_us ? "valid until " : "which do not end",
			 about.expires_us ? until : "");
	if (about.has_clock &&
		(about.skew_us > SKEW_WARN_US || about.skew_us < -SKEW_WARN_US))
		check_report(
			c, &clock, "the store's clock is %" PRId64 " seconds %s ours",
			(about.skew_us < 0 ? -about.skew_us : about.skew_us) / US_PER_SEC,
			about.skew_us < 0 ? "behind" : "ahead of");
}

/* No store is needed for it, but it says where in the store all lies. */
static void
check_folders(Check *c)
{
	const LayoutSettings s = config_layout_main(c->cfg);
	Path *path;
	Err err;
	Buf b;

	if (!config_path(&s, &path, &err))
	{
		check_failed(c, "folders", "objects lie in folders by table and time",
					 &err);
		return;
	}
	buf_init(&b, KEY_TEXT_MAX);
	path_add(path, &(PathNames){ "public", "orders", "shop", "cdc_s3" },
			 clock_unix_us(), &b);
	check_ok(c, "folders", "an order of now is in \"%s\"", buf_cstr(&b));
	buf_done(&b);
	path_free(path);
}

/* What the sweep may not do is a warning: what it leaves takes room only. */
static void
check_refused(Check *c, const char *name, const char *why, const Err *err)
{
	Finding f = { .level = CHECK_WARNING,
				  .kind = ERR_STORE,
				  .name = name,
				  .why = why,
				  .mend = err->hint[0] ? err->hint
									   : "allow it, or give the bucket a "
										 "lifecycle rule that cleans up" };

	if (err->kind != ERR_NONE)
		check_report(c, &f, "%s", err->msg);
}

static void
check_sweep(Check *c)
{
	ProbeUploads u;
	Err err = { 0 };

	if (!probe_delete(c->store, &err))
		check_refused(c, "delete",
					  "what a writer that died left is removed, where it may "
					  "be; else it takes room and readers of folders see it",
					  &err);
	if (!probe_uploads(c->store, &u, &err))
		return; /* "large objects" tells why */
	check_refused(c, "list uploads",
				  "uploads that a writer left are looked for; else they are "
				  "found by the notes in _cdc/uploads/ only",
				  &u.list);
	check_refused(c, "list parts",
				  "of an upload that was abandoned nothing may be left; else "
				  "nobody looks",
				  &u.parts);
	check_refused(c, "abandon uploads",
				  "uploads that a writer left are abandoned; else their parts "
				  "are paid for",
				  &u.abandon);
}

void
check_store(Check *c)
{
	StoreOptions options = config_store_options(c->cfg);
	Err err;

	check_folders(c);
	options.retry_ms = STORE_RETRY_MS;
	if (!store_open(&options, &c->store, &err))
	{
		c->store = NULL;
		check_failed(c, "store", "the lake lies there", &err);
		return;
	}
	if (!probe_round_trip(c->store, &err))
	{
		store_failed(c, "store",
					 "the lake lies there: objects are written, read, listed "
					 "and, where they cannot count, deleted",
					 &err);
		return;
	}
	check_ok(c, "store", "\"%s\" can be written, read, listed and deleted",
			 c->cfg->store_url);
	check_about(c);
	if (!probe_parts(c->store, &err))
		store_failed(c, "large objects",
					 "an object of more than 5 MB is written in parts, as a "
					 "multipart upload",
					 &err);
	else
		check_ok(c, "large objects", "can be written in parts");
	check_sweep(c);
	if (!(c->race ? probe_one_writer(c->store, &options, &err)
				  : probe_conditional_put(c->store, &err)))
		store_failed(c, "conditional put",
					 "that a second writer is refused is all that keeps two "
					 "sidecars from writing one log",
					 &err);
	else
		check_ok(c, "conditional put",
				 c->race ? "of %d at once one wins, in %d rounds"
						 : "honoured (not raced)",
				 PROBE_RACERS, PROBE_ROUNDS);
	check_log_readable(c);
}
