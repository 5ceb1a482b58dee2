/*-------------------------------------------------------------------------
 * verify_output.c
 *	  "verify" of further outputs: each is held against what the log lists of
 *	  it, as the lake was before.
 *
 * The log is the lake's, and so are schema files; what was found wrong with
 * them was told already.  Objects count from the entry on from which the output
 * is attached.  What fills it was listed when it came, whatever its rows' LSNs.
 * Nobody but its owner removes objects of an output, so none of them expires.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/config_layout.h"
#include "cmd/outputs.h"
#include "cmd/verify.h"

static const OutputConfig *
find_config(const Config *cfg, const char *name)
{
	for (int i = 0; i < cfg->outputs.n; i++)
	{
		if (strcmp(cfg->outputs.all[i]->name, name) == 0)
			return cfg->outputs.all[i];
	}
	return NULL;
}

/* Adds what was found in it. */
static void
add_up(Verify *v, const Verify *of)
{
	VerifyCounts *sum = &v->counts;

	for (int i = 0; i < VERIFY_KINDS; i++)
		v->found[i] += of->found[i];
	sum->objects += of->counts.objects;
	sum->read += of->counts.read;
	sum->rows += of->counts.rows;
	sum->bytes += of->counts.bytes;
	sum->in_flight += of->counts.in_flight;
	sum->removed += of->counts.removed;
	if (v->output.kind == ERR_NONE)
		v->output = of->output;
}

static bool
verify_one(Verify *v, const EntryOutput *o, const OutputConfig *c, Err *err)
{
	Verify of = { .cfg = v->cfg,
				  .options = outputs_store_options(v->cfg, c),
				  .log = v->store,
				  .log_options = &v->options,
				  .further = o->name,
				  .since = o->since,
				  .jobs = v->jobs,
				  .json = v->json,
				  .repair = v->repair,
				  .sizes = v->sizes,
				  .last = v->last,
				  .done = -1,
				  .state_seq = -1,
				  .shown_ms = v->shown_ms };
	char section[64];
	LayoutSettings settings = config_layout_further(c, section);
	Path *path = NULL;
	bool ok;

	(void) snprintf(section, sizeof(section), "output.%s", o->name);
	of.options.stop = v->options.stop;
	pthread_mutex_init(&of.lock, NULL);
	ok = config_path(&settings, &path, err);
	of.path = path;
	ok = ok && store_open(&of.options, &of.store, err) &&
		 verify_log(&of, err) && (verify_stopped() || verify_left(&of, err));
	if (!ok)
		err_prefix(err, "could not verify output \"%s\"", o->name);
	add_up(v, &of);
	store_close(of.store);
	path_free(path);
	free(of.keys);
	free(of.loads);
	verify_paths_free(&of);
	pthread_mutex_destroy(&of.lock);
	return ok;
}

static bool
verify_named(Verify *v, const EntryOutput *o, Err *err)
{
	const OutputConfig *c = find_config(v->cfg, o->name);

	if (o->state == OUTPUT_ENDED || verify_stopped())
		return true;
	if (c && strcmp(c->url, o->url) == 0)
		return verify_one(v, o, c, err);
	log_warn(c ? "an output is not verified: it lies elsewhere by the log"
			   : "an output is not verified: the settings do not have it",
			 "output", o->name, "url", o->url, NULL);
	return true;
}

bool
verify_outputs(Verify *v, Err *err)
{
	Entry *last;
	bool ok = true;

	if (!commitlog_read(v->store, v->last, &last, err))
		return err->kind == ERR_GAP || err->kind == ERR_NOT_FOUND; /* told */
	for (int i = 0; ok && i < last->noutputs; i++)
		ok = verify_named(v, &last->outputs[i], err);
	entry_free(last);
	return ok;
}
