/*-------------------------------------------------------------------------
 * cmd_expire.c
 *	  "expire": asks run to give up and remove the objects of old entries, and
 *	  shows which targets are known to need what.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/status.h"
#include "store/expiry.h"
#include "store/logfetch.h"

#define POLL_MS 500
#define TIME_SIZE 40
#define WHY_MAX 1024

typedef struct Expire
{
	const Config *cfg;
	StoreOptions options;
	Store *store;
	Entry *last;
	bool dry;
	bool wait;
} Expire;

/* "2026-11-21T08:00:00Z", or "90d": so long ago. */
static bool
parse_before(const char *text, int64_t *out, Err *err)
{
	char *end;
	long long n = strtoll(text, &end, 10);
	int64_t now = clock_unix_us();
	int64_t unit = strcmp(end, "d") == 0   ? 24 * US_PER_HOUR
				   : strcmp(end, "h") == 0 ? US_PER_HOUR
										   : 0;

	if (iso_parse(text, out) && *out <= now)
		return true;
	if (isdigit((unsigned char) text[0]) && unit && n > 0 && n < 1000000)
	{
		*out = now - n * unit;
		return true;
	}
	err_set(err, ERR_USAGE, 0,
			"--before is \"%.64s\", which is no time that "
			"has passed",
			text);
	return err_hint(err, "write 2026-11-21T08:00:00Z, or how long ago: 90d");
}

/* A target that is set is asked itself: it may not have left a note. */
static bool
hold_for_target(const Expire *x, int64_t *until, Buf *why, Err *err)
{
	Status s = { .has_log = true,
				 .lake = { .asked = true, .ok = true },
				 .system_identifier = xstrdup(x->last->system_identifier),
				 .database = xstrdup(x->last->database),
				 .slot = xstrdup(x->last->slot),
				 .entry = x->last->seq,
				 .log_end = x->last->end };
	bool ok = true;

	status_target(x->cfg, x->store, NULL, &s);
	if (s.target.asked && !s.target.ok)
	{
		*err = s.target.err;
		ok = err_hint(err, "what it needs is not known: see that it can be "
						   "reached, or leave target.conninfo out");
	}
	else if (s.merged && s.needs <= *until)
	{
		*until = s.needs > 0 ? s.needs - 1 : 0;
		buf_reset(why);
		buf_printf(why, "the target of target.conninfo needs entry %" PRId64,
				   s.needs);
	}
	status_done(&s);
	return ok;
}

/* What is to go, for who asks. */
static bool
tell(const Expire *x, int64_t until, Err *err)
{
	LogFetch *f;
	int64_t objects = 0;
	int64_t bytes = 0;
	bool ok;

	if (!logfetch_open(&x->options, LOGFETCH_JOBS, x->last->expired + 1, until,
					   &f, err))
		return false;
	ok = true;
	for (int64_t seq = x->last->expired; ok && seq < until; seq++)
	{
		Entry *e;

		ok = logfetch_next(f, &e, err);
		if (!ok)
			break;
		for (int i = 0; i < e->nobjects; i++)
			bytes += e->objects[i].bytes;
		objects += e->nobjects;
		entry_free(e);
	}
	logfetch_close(f);
	if (!ok)
		return false;
	printf("entries %" PRId64 " to %" PRId64 ": %" PRId64 " objects, %" PRId64
		   " bytes\n",
		   x->last->expired + 1, until, objects, bytes);
	return true;
}

/* Until run has removed them, and taken the request away. */
static bool
wait_for(const Expire *x, const ExpiryRequest *r, Err *err)
{
	for (;;)
	{
		ExpiryRequests l;
		bool there = false;

		if (!expiry_requests(x->store, &l, err))
			return false;
		for (int i = 0; i < l.n; i++)
			there |= strcmp(l.items[i].id, r->id) == 0;
		expiry_requests_done(&l);
		if (!there)
			break;
		clock_sleep_ms(POLL_MS);
	}
	printf("request %s: done\n", r->id);
	return true;
}

static bool
ask(const Expire *x, int64_t until, Err *err)
{
	ExpiryRequest r = { .until = until, .time = clock_unix_us() };

	if (!expiry_ask(x->store, &r, err))
		return err_prefix(err, "could not leave the request in the lake");
	printf("request %s: objects of entries up to %" PRId64
		   " are removed by run\n",
		   r.id, until);
	(void) fflush(stdout);
	return !x->wait || wait_for(x, &r, err);
}

static bool
expire_before(const Expire *x, int64_t before, Err *err)
{
	int64_t until = 0;
	int64_t wanted;
	Buf why;
	bool ok;

	buf_init(&why, WHY_MAX);
	ok = expiry_find(x->store, x->last->expired, x->last->seq, before, &until,
					 err);
	wanted = until;
	ok = ok && expiry_hold(x->store, x->last, &until, &why, err) &&
		 hold_for_target(x, &until, &why, err);
	if (ok && until < wanted)
		printf("entries %" PRId64 " to %" PRId64 " are kept: %s\n", until + 1,
			   wanted, buf_cstr(&why));
	if (ok && until <= x->last->expired)
		printf("nothing is to be expired; entries up to %" PRId64
			   " were before\n",
			   x->last->expired);
	else if (ok)
		ok = tell(x, until, err) && (x->dry || ask(x, until, err));
	buf_done(&why);
	return ok;
}

static bool
list_targets(const Expire *x, Err *err)
{
	TargetNotes l;
	char time[TIME_SIZE];

	if (!target_notes(x->store, &l, err))
		return false;
	for (int i = 0; i < l.n; i++)
	{
		const TargetNote *n = &l.items[i];
		Buf name;

		iso_from_unix_us(n->time, false, time, sizeof(time));
		buf_init(&name, WHY_MAX);
		for (const char *p = n->name; *p; p++)
			buf_byte(&name, (unsigned char) *p < 0x20 ? '?' : (uint8_t) *p);
		printf("%s  entry %" PRId64 ", needs %" PRId64 " on, merged %s  %s\n",
			   n->id, n->entry, n->needs, time, buf_cstr(&name));
		buf_done(&name);
	}
	target_notes_done(&l);
	return true;
}

static bool
forget(const Expire *x, const char *id, Err *err)
{
	TargetNotes l;
	bool known = false;

	if (!target_notes(x->store, &l, err))
		return false;
	for (int i = 0; i < l.n; i++)
		known |= strcmp(l.items[i].id, id) == 0;
	target_notes_done(&l);
	if (known)
		return target_forget(x->store, id, err);
	err_set(err, ERR_USAGE, 0, "no target \"%.64s\" is known", id);
	return err_hint(err, "cdc-s3 expire --targets shows those that are");
}

static bool
open_log(Expire *x, Err *err)
{
	if (!store_open(&x->options, &x->store, err) ||
		!commitlog_head(x->store, 0, &x->last, err))
		return false;
	if (x->last)
		return true;
	err_set(err, ERR_USAGE, 0, "there is no log in store.url");
	return err_hint(err, "correct store.url");
}

bool
cmd_expire(const Config *cfg, int argc, char **argv, Err *err)
{
	Expire x = { .cfg = cfg, .options = config_store_options(cfg) };
	const char *before = NULL;
	const char *id = NULL;
	bool targets = false;
	int64_t time = 0;
	const ArgDef defs[] = { { "--before", &before, NULL },
							{ "--dry-run", NULL, &x.dry },
							{ "--wait", NULL, &x.wait },
							{ "--targets", NULL, &targets },
							{ "--forget", &id, NULL } };
	const ArgSpec spec = { .command = "expire", .defs = defs, .ndefs = 5 };
	bool ok = args_parse(&spec, argc, argv, NULL, err);

	if (ok && (before != NULL) + targets + (id != NULL) != 1)
	{
		ok = err_set(err, ERR_USAGE, 0,
					 "expire takes --before, or --targets, or --forget");
		err_hint(err, "cdc-s3 expire --before 90d");
	}
	ok = ok && (!before || parse_before(before, &time, err)) &&
		 open_log(&x, err);
	if (ok && before)
		ok = expire_before(&x, time, err);
	else if (ok && targets)
		ok = list_targets(&x, err);
	else if (ok)
		ok = forget(&x, id, err);
	entry_free(x.last);
	store_close(x.store);
	return ok;
}
