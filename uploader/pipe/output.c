/*-------------------------------------------------------------------------
 * output.c
 *	  Further outputs: their stores, and their state in the log.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/output.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seen.h"
#include "base/stats.h"
#include "store/fill.h"

#define AGAIN_MS 500

/*
 * Stores
 */
static bool
open_store(Pipe *p, int output, Store **out, Err *err)
{
	const OutputOptions *o = output_options(p, output);
	StoreOptions options = pipe_store_options(p, &o->store);

	options.stats = &stats.outputs[output];
	if (o->detach && o->detach_after_ms < options.retry_ms)
		options.retry_ms = o->detach_after_ms;
	return store_open(&options, out, err) ||
		   err_prefix(err, "output \"%s\"", o->name);
}

bool
output_store(Pipe *p, OutputStores *stores, int output, Store **out, Err *err)
{
	Store **store = &stores->of[output];
	bool ok = *store != NULL;

	if (!ok && output == 0)
		ok = pipe_open_store(p, store, err);
	else if (!ok)
	{
		do
			ok = open_store(p, output, store, err);
		while (!ok && output_again(p, output, "opening its store", err));
	}
	if (ok)
		*out = *store;
	return ok;
}

void
output_stores_close(OutputStores *stores)
{
	for (int i = 0; i < OUTPUTS_MAX; i++)
		store_close(stores->of[i]);
}

void
outputs_tell(const RunOptions *o)
{
	seen_output(0, "main", true);
	for (int i = 0; i < o->nfurther; i++)
		seen_output(i + 1, o->further[i].name, !o->further[i].detach);
}

static int
number_of(const Pipe *p, const char *name)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		if (strcmp(output_name(p, n), name) == 0)
			return n;
	}
	return 0;
}

void
outputs_tell_entry(const Pipe *p, const Entry *e)
{
	for (int i = 0; i < e->nfurther; i++)
	{
		StatsOutput *o = &stats.outputs[number_of(p, e->further[i].output)];

		count_add(&o->objects, 1);
		count_add(&o->bytes, e->further[i].bytes);
	}
}

/*
 * Failures
 */
void
output_works(const Pipe *p, int output)
{
	const OutputOptions *o;

	if (output == 0)
		return;
	o = output_options(p, output);
	if (atomic_load(&o->health->failing_ms) != 0 &&
		atomic_exchange(&o->health->failing_ms, 0) != 0)
		log_info("output works again", "output", o->name, NULL);
}

static void
detach(Pipe *p, const OutputOptions *o, const Err *err)
{
	if (atomic_exchange(&o->health->detached, true))
		return;
	waiting_detach(&p->waiting, (int) (o - p->options->further) + 1,
				   clock_unix_us());
	log_event(LOG_WARN, "output detached, the stream goes on without it",
			  "output", o->name, "url", o->store.url, "error", err->msg, "hint",
			  "mend it and start run again: it is a new output then", NULL);
}

/* So long it has failed, this call included. */
static int64_t
failing_for(const OutputOptions *o, const Err *err)
{
	int64_t now = clock_mono_ms();
	int64_t since = 0;

	if (!atomic_compare_exchange_strong(&o->health->failing_ms, &since, now))
		return now - since;
	log_event(LOG_WARN, "output fails", "output", o->name, "url", o->store.url,
			  "detached_after_ms", log_int(o->detach_after_ms), "error",
			  err->msg, "hint", err->hint[0] ? err->hint : NULL, NULL);
	return 0;
}

static bool
again_or_detach(Pipe *p, const OutputOptions *o, const Err *err)
{
	if (err->kind == ERR_STOP || atomic_load(&p->stop) ||
		atomic_load(&o->health->detached))
		return false;
	if (failing_for(o, err) >= o->detach_after_ms)
	{
		detach(p, o, err);
		return false;
	}
	if (err->kind == ERR_GONE) /* only from the log on */
		return false;
	if (atomic_load(&p->ending) && atomic_load(&p->options->control->stop))
		return false;
	clock_sleep_ms(backoff_ms(1, AGAIN_MS, AGAIN_MS));
	return true;
}

bool
output_again(Pipe *p, int output, const char *doing, Err *err)
{
	const OutputOptions *o;

	if (output == 0)
		return pipe_again(p, doing, err);
	o = output_options(p, output);
	if (o->detach ? again_or_detach(p, o, err) : pipe_again(p, doing, err))
		return true;
	return err_prefix(err, "output \"%s\"", o->name);
}

/*
 * State
 */
static void
copy_output(EntryOutput *to, const EntryOutput *from)
{
	entry_set(&to->name, from->name);
	entry_set(&to->url, from->url);
	entry_set(&to->tables, from->tables);
	entry_set(&to->exclude, from->exclude);
	to->state = from->state;
	to->since = from->since;
	to->first = from->first;
	to->filled = from->filled;
	to->last = from->last;
	to->swept_until = from->swept_until;
}

static bool
is_same(const EntryOutput *e, const OutputOptions *o)
{
	return e->state != OUTPUT_ENDED && strcmp(e->name, o->name) == 0 &&
		   strcmp(e->url, o->store.url) == 0 &&
		   strcmp(e->tables, o->tables) == 0 &&
		   strcmp(e->exclude, o->exclude) == 0;
}

/* A lake that has nothing yet leaves nothing to be filled. */
static void
attach(Pipe *p, const OutputOptions *o, EntryOutput *out)
{
	entry_set(&out->name, o->name);
	entry_set(&out->url, o->store.url);
	entry_set(&out->tables, o->tables);
	entry_set(&out->exclude, o->exclude);
	out->since = p->start->seq + 1;
	out->first = p->start->end;
	out->filled = p->start->seq == 0;
	out->swept_until = p->start->closed_until;
	p->announces_outputs = true;
	log_info("output attached", "output", o->name, "url", o->store.url, "entry",
			 log_int(out->since), "lsn", log_lsn(out->first), NULL);
}

/*
 * Layouts
 */
static void
say_change(const Pipe *p, int output, const EntryLayout *wanted,
		   LayoutChange change)
{
	const Layouts *l = &p->layouts[output];
	const char *name = output ? output_name(p, output) : NULL;
	char iso[40];

	if (change == LAYOUT_NEVER)
		log_warn("output settings do not take effect: folders without a time "
				 "never end, and none holds two formats",
				 "path", wanted->path, "format", wanted->format, "output", name,
				 NULL);
	if (change != LAYOUT_NEW)
		return;
	iso_from_unix_us(l->items[l->n - 1].said.start, false, iso, sizeof(iso));
	log_info("output settings take effect with the next partition", "from", iso,
			 "path", wanted->path, "format", wanted->format, "compression",
			 wanted->compression, "output", name, NULL);
}

/* What lies in the output's place is of the one that has its URL. */
static LayoutsSaid
layouts_said(const Pipe *p, int output)
{
	const Entry *e = p->start;
	LayoutsSaid said = { e->layouts, e->nlayouts, e->closed_until };

	if (output == 0)
		return said;
	said.all = NULL;
	said.n = 0;
	for (int i = 0; i < e->noutputs; i++)
	{
		if (e->outputs[i].nlayouts == 0 ||
			strcmp(e->outputs[i].url, output_options(p, output)->store.url) !=
				0)
			continue;
		said.all = e->outputs[i].layouts;
		said.n = e->outputs[i].nlayouts;
	}
	return said;
}

/* What the settings say of objects, from when on. */
static bool
plan_layouts(Pipe *p, int output, Err *err)
{
	const EntryLayout *wanted =
		output ? &output_options(p, output)->layout : &p->options->layout;
	LayoutsSaid said = layouts_said(p, output);
	LayoutChange change;

	if (!wanted->format)
		return true; /* a test */
	if (!layouts_go_on(&p->layouts[output], &said, wanted, clock_unix_us(),
					   &change, err))
		return output == 0
				   ? false
				   : err_prefix(err, "output \"%s\"", output_name(p, output));
	say_change(p, output, wanted, change);
	return true;
}

static void
plan_output(Pipe *p, int output)
{
	const OutputOptions *o = output_options(p, output);
	EntryOutput *now = entry_add_output(p->outputs);
	const EntryOutput *before = NULL;

	for (int i = 0; !before && i < p->start->noutputs; i++)
	{
		if (is_same(&p->start->outputs[i], o))
			before = &p->start->outputs[i];
	}
	if (before &&
		(before->state == OUTPUT_ATTACHED || output_is_detached(p, output)))
		copy_output(now, before);
	else
		attach(p, o, now);
	if (before)
		now->swept_until = before->swept_until;
	atomic_store(&p->further_swept_until[output], now->swept_until);
}

static bool
is_configured(const Pipe *p, const EntryOutput *e)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		if (is_same(e, output_options(p, n)))
			return true;
	}
	return false;
}

static void
end_output(Pipe *p, const EntryOutput *before)
{
	EntryOutput *ended = entry_add_output(p->outputs);

	copy_output(ended, before);
	if (before->state == OUTPUT_ATTACHED)
		ended->last = p->start->end;
	ended->state = OUTPUT_ENDED;
	p->announces_outputs = true;
	log_info("output ended", "output", ended->name, "url", ended->url, "lsn",
			 log_lsn(ended->last), NULL);
}

/* What cannot work is said before anything is streamed. */
static bool
check_stores(Pipe *p, Err *err)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		Store *store;

		if (open_store(p, n, &store, err))
			store_close(store);
		else if (!output_options(p, n)->detach || err->kind == ERR_USAGE)
			return false;
	}
	return true;
}

/* What was written to fill it counts where it is this output's. */
static bool
plan_fill(Pipe *p, Store *lake, int output, Err *err)
{
	const EntryOutput *now = &p->outputs->outputs[output - 1];
	Entry *fill;

	if (now->state != OUTPUT_ATTACHED || now->filled)
		return true;
	p->unfilled[output] = true;
	if (!fill_read(lake, now->name, &fill, err))
		return false;
	if (!fill)
		return true;
	p->unfilled[output] = false;
	if (fill->seq == now->since && fill->noutputs == 1 &&
		strcmp(fill->outputs[0].url, now->url) == 0)
	{
		p->announces_outputs = true;
		p->fills[output] = fill;
		return true;
	}
	log_warn("what was to fill an output is of an earlier one, and is not used",
			 "output", now->name, "entry", log_int(fill->seq), NULL);
	entry_free(fill);
	return fill_remove(lake, now->name, err);
}

bool
outputs_plan(Pipe *p, Store *lake, Err *err)
{
	if (!plan_layouts(p, 0, err) || !check_stores(p, err))
		return false;
	for (int n = 1; n < outputs_n(p); n++)
	{
		plan_output(p, n);
		if (!plan_layouts(p, n, err))
			return false;
		if (lake && !plan_fill(p, lake, n, err))
			return false;
	}
	for (int i = 0; i < p->start->noutputs; i++)
	{
		const EntryOutput *before = &p->start->outputs[i];

		if (before->state != OUTPUT_ENDED && !is_configured(p, before))
			end_output(p, before);
	}
	return true;
}

/* The state of output number n after e. */
static void
fill_output(Pipe *p, int output, EntryOutput *now, Entry *e,
			const Entry *before)
{
	EntryOutput *to;

	if (now->state == OUTPUT_ATTACHED && output_is_detached(p, output))
	{
		now->state = OUTPUT_DETACHED;
		now->last = before->end;
	}
	if (now->state != OUTPUT_ATTACHED)
		entry_drop_output(e, now->name);
	else if (before == p->start && p->fills[output])
	{
		log_info("output filled", "output", now->name, "entry", log_int(e->seq),
				 "objects", log_int(p->fills[output]->nfurther), NULL);
		entry_take_objects(e, p->fills[output]);
		now->filled = true;
	}
	now->swept_until = atomic_load(&p->further_swept_until[output]);
	to = entry_add_output(e);
	copy_output(to, now);
	pthread_mutex_lock(&p->lock);
	to->layouts = layouts_to_say(&p->layouts[output], e->closed_until,
								 now->swept_until, &to->nlayouts);
	pthread_mutex_unlock(&p->lock);
}

void
outputs_fill_entry(Pipe *p, Entry *e, const Entry *before)
{
	Entry *now = p->outputs;

	for (int i = 0; now && i < now->noutputs; i++)
	{
		if (i < p->options->nfurther)
			fill_output(p, i + 1, &now->outputs[i], e, before);
		else if (before == p->start)
			copy_output(entry_add_output(e), &now->outputs[i]);
	}
}

void
outputs_take_away(Pipe *p, Store *lake)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		Err err;

		if (p->fills[n] && !output_is_detached(p, n) &&
			!fill_remove(lake, output_name(p, n), &err))
			log_err(LOG_WARN, "could not take away what filled an output",
					&err);
	}
}

bool
outputs_are_filled(Pipe *p, Store *lake)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		bool there;
		Err err;

		if (!p->unfilled[n] || output_is_detached(p, n))
			continue;
		if (fill_exists(lake, output_name(p, n), &there, &err) && there)
			return true;
	}
	return false;
}
