/*-------------------------------------------------------------------------
 * check_outputs.c
 *	  "check" of further outputs: each as the lake's store, but for the log,
 *	  which lies in the lake alone.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/check.h"
#include "cmd/outputs.h"
#include "cmd/probe.h"
#include "codec/key.h"

#define STORE_RETRY_MS 3000
#define NAME_SIZE 64

static void
output_failed(Check *c, const char *name, Err *err)
{
	if (err_is_retryable(err->kind))
		err->kind = ERR_STORE;
	if (!err->hint[0])
		err_hint(err, "correct its url and endpoint, what may be done there, "
					  "or see why the store does not answer");
	check_failed(c, name,
				 "each change is written there too, in objects that may be "
				 "large, and those that cannot count are deleted",
				 err);
}

/* Where it stands in the log, and where its objects will lie. */
static void
check_state(Check *c, const char *name, const OutputOptions *o)
{
	static const char mend[] = "start run again: the output is attached anew";
	const Finding detached = { .level = CHECK_WARNING,
							   .kind = ERR_OUTSTANDING,
							   .name = name,
							   .why = "it has no changes since",
							   .mend = mend };
	const EntryOutput *e = NULL;
	Buf b;

	for (int i = 0; c->last && i < c->last->noutputs; i++)
	{
		if (strcmp(c->last->outputs[i].name, o->name) == 0 &&
			c->last->outputs[i].state != OUTPUT_ENDED)
			e = &c->last->outputs[i];
	}
	if (e && e->state == OUTPUT_DETACHED)
		check_report(c, &detached, "it failed, and was detached at " LSN_FMT,
					 LSN_ARGS(e->last));
	buf_init(&b, KEY_TEXT_MAX);
	path_add(o->path, &(PathNames){ "public", "orders", "shop", "cdc_s3" },
			 clock_unix_us(), &b);
	check_ok(c, name,
			 "\"%s\" can be written, also in parts, read and listed; "
			 "%s; an order of now is in \"%s\"",
			 o->store.url,
			 e ? "the log knows it" : "the next start of run attaches it",
			 buf_cstr(&b));
	buf_done(&b);
	if (e)
		check_layout_of(c, name, o, e);
}

/* Without it leftovers stay, as in the lake. */
static void
check_delete(Check *c, const char *name, Store *store)
{
	Err err;
	Finding f = { .level = CHECK_WARNING,
				  .name = name,
				  .why =
					  "what a writer that died left is removed, where it may "
					  "be; else it takes room and readers of folders see "
					  "it" };

	if (probe_delete(store, &err))
		return;
	f.kind = err.kind;
	f.mend = err.hint[0] ? err.hint : NULL;
	check_report(c, &f, "%s", err.msg);
}

static void
check_output(Check *c, const OutputOptions *o)
{
	StoreOptions options = o->store;
	char name[NAME_SIZE];
	Store *store;
	bool ok;
	Err err;

	(void) snprintf(name, sizeof(name), "output %s", o->name); /* fits */
	options.retry_ms = STORE_RETRY_MS;
	ok = store_open(&options, &store, &err);
	if (ok)
	{
		ok = probe_round_trip(store, &err) && probe_parts(store, &err);
		if (ok)
			check_delete(c, name, store);
		store_close(store);
	}
	if (ok)
		check_state(c, name, o);
	else
		output_failed(c, name, &err);
}

void
check_outputs(Check *c)
{
	OutputSet outputs;
	Err err;

	if (!outputs_open(c->cfg, &outputs, &err))
	{
		check_failed(c, "outputs", "run does not start with them", &err);
		return;
	}
	for (int i = 0; i < outputs.n; i++)
		check_output(c, &outputs.all[i]);
	outputs_close(&outputs);
}
