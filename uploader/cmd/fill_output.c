/*-------------------------------------------------------------------------
 * fill_output.c
 *	  "replay --into NAME": what the lake had before an output was attached
 *	  is written into that output, and listed for run.
 *
 * Each object of the lake becomes one of the output, or several where its rows
 * lie in several folders there: its records are taken back to changes
 * (codec/line_change.h), which the output's format writes.  The source is not
 * asked for anything.  Nothing counts before run has entered the list; what a
 * fill that died has left is removed by the next one that comes through.
 *
 * Memory: one object of the lake, and what the format holds.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/fill_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "cmd/logwalk.h"
#include "cmd/outputs.h"
#include "codec/key.h"
#include "codec/line_change.h"
#include "codec/pattern.h"
#include "store/commitlog.h"
#include "store/expiry.h"
#include "store/fill.h"
#include "store/writer.h"

#define OBJECT_MAX_BYTES ((size_t) 5 << 30)
#define LINE_MAX_BYTES ((size_t) 2 << 30)
#define PIECE_BYTES ((size_t) 64 << 10)
#define FORM_BYTES ((size_t) 16 << 20) /* then its format writes out */
#define LEVEL 1

/* A version of a table: how its lines are read and written. */
typedef struct Version
{
	struct Version *next;
	char *name; /* of the schema, table and hash */
	Schema *schema;
	LineChange *lines;
	FormatTable *forms[ENTRY_LAYOUTS_MAX]; /* of each layout, once needed */
} Version;

/* The object that is being written. */
typedef struct Target
{
	EntryObject *listed; /* NULL: there is none */
	int layout;
	const Format *format; /* of the layout */
	int64_t folder;
	FormatWriter *form;
	Compressor *compressor; /* NULL: the format compresses by itself */
	StoreWriter *writer;
	int64_t written; /* bytes of the format */
} Target;

typedef struct Fill
{
	Store *log;
	Store *store; /* the output's */
	const OutputOptions *o;
	Layouts layouts; /* by the time of a row; one at least */
	Entry *list;
	char id[9];
	char writer[9];
	int number;
	const char *database;
	const char *slot;
	Version *versions;
	Target at;
	Compressor *compressors[ENTRY_LAYOUTS_MAX]; /* likewise */
	Buf lines;                                  /* as the format writes them */
	Buf out;                                    /* compressed */
	StrMap known; /* keys of earlier fills that the log lists */
	char **stale; /* keys of fills that it does not */
	int nstale;
	int64_t expired; /* objects of entries up to this one are gone */
	int64_t rows;
} Fill;

/* ---- versions ---- */

static Version *
version_of(Fill *f, const EntryObject *o, Err *err)
{
	char *name = xasprintf("%s\n%s\n%s", o->schema, o->table, o->hash);
	Version *v = f->versions;

	while (v && strcmp(v->name, name) != 0)
		v = v->next;
	if (v)
	{
		free(name);
		return v;
	}
	v = xcalloc(1, sizeof(*v));
	if (!commitlog_schema(f->log, o->schema, o->table, o->hash, &v->schema,
						  err))
	{
		free(name);
		free(v);
		return NULL;
	}
	v->name = name;
	v->lines = line_change_new(v->schema);
	v->next = f->versions;
	f->versions = v;
	return v;
}

static void
versions_done(Fill *f)
{
	while (f->versions)
	{
		Version *v = f->versions;

		f->versions = v->next;
		for (int i = 0; i < f->layouts.n; i++)
		{
			if (v->forms[i])
				f->layouts.items[i].format->table_free(v->forms[i]);
		}
		line_change_free(v->lines);
		schema_free(v->schema);
		free(v->name);
		free(v);
	}
}

/* The version as that layout writes it. */
static FormatTable *
form_of(const Fill *f, Version *v, int layout)
{
	const Layout *l = &f->layouts.items[layout];
	FormatOptions options = f->o->format_options;

	if (!v->forms[layout])
	{
		options.compression = l->compression;
		layout_options(l, &options);
		v->forms[layout] = l->format->table_new(v->schema, &options);
	}
	return v->forms[layout];
}

/* ---- writing ---- */

static void
add_key(const Fill *f, const EntryObject *o, Buf *key)
{
	const Layout *l = &f->layouts.items[f->at.layout];

	path_add(l->path, &(PathNames){ o->schema, o->table, f->database, f->slot },
			 f->at.folder, key);
	buf_printf(key, FILL_STEM "%s-%06d-%s%s%s", f->id, f->number, f->writer,
			   l->format->suffix,
			   f->at.compressor ? compression_suffix(l->compression) : "");
}

/* NULL where its format compresses by itself. */
static Compressor *
compressor_of(Fill *f, int layout)
{
	const Layout *l = &f->layouts.items[layout];

	if (!f->compressors[layout] && !l->format->compresses)
		f->compressors[layout] = compressor_new(l->compression, LEVEL);
	return f->compressors[layout];
}

static void
target_begin(Fill *f, Version *v, const EntryObject *from, int64_t folder)
{
	Target *t = &f->at;
	Buf key;

	t->folder = folder;
	t->layout = layouts_of_folder(&f->layouts, folder);
	t->format = f->layouts.items[t->layout].format;
	t->compressor = compressor_of(f, t->layout);
	buf_init(&key, KEY_TEXT_MAX);
	add_key(f, from, &key);
	f->number++;
	t->listed = entry_add_further(f->list);
	entry_set(&t->listed->output, f->o->name);
	entry_set(&t->listed->key, buf_cstr(&key));
	entry_set(&t->listed->schema, from->schema);
	entry_set(&t->listed->table, from->table);
	entry_set(&t->listed->hash, from->hash);
	entry_set(&t->listed->load, from->load);
	t->written = 0;
	t->form = t->format->begin(form_of(f, v, t->layout));
	t->writer = store_writer_new(f->store, buf_cstr(&key), 0);
	if (t->compressor)
		compressor_begin(t->compressor);
	buf_done(&key);
}

/* What the format has told goes to the store. */
static bool
flush_lines(Fill *f, bool last, Err *err)
{
	Slice bytes = buf_slice(&f->lines);

	if (f->at.compressor)
	{
		buf_reset(&f->out);
		if (!compressor_add(f->at.compressor, bytes, last, &f->out, err))
			return false;
		bytes = buf_slice(&f->out);
	}
	if (bytes.n > 0 && !store_writer_append(f->at.writer, &bytes, err))
		return false;
	buf_reset(&f->lines);
	return !last || store_writer_commit(f->at.writer, err);
}

static bool
target_end(Fill *f, Err *err)
{
	Target *t = &f->at;
	char sha256[SHA256_HEX_SIZE];

	if (!t->listed)
		return true;
	if (!t->format->end(t->form, &f->lines, err) || !flush_lines(f, true, err))
		return err_prefix(err, "could not write \"%s\"", t->listed->key);
	t->listed->bytes = store_writer_bytes(t->writer);
	t->listed->crc32c = store_writer_crc32c(t->writer);
	store_writer_sha256(t->writer, sha256);
	entry_set(&t->listed->sha256, sha256);
	t->format->close(t->form);
	store_writer_free(t->writer);
	*t = (Target){ 0 };
	return true;
}

static void
target_drop(Fill *f)
{
	if (!f->at.listed)
		return;
	f->at.format->close(f->at.form);
	store_writer_free(f->at.writer);
	f->at = (Target){ 0 };
}

static bool
is_full(const Fill *f)
{
	const Target *t = &f->at;

	return t->written >= f->o->max_bytes ||
		   (f->o->max_rows > 0 && t->listed->rows >= f->o->max_rows);
}

static bool
add_change(Fill *f, Version *v, const EntryObject *from, const Change *change,
		   Err *err)
{
	Target *t = &f->at;
	/* complete ones, too */
	int64_t folder =
		layouts_folder(&f->layouts, change->time + PG_EPOCH_UNIX_US, INT64_MIN);
	size_t start;

	if (t->listed && (t->folder != folder || is_full(f)) && !target_end(f, err))
		return false;
	if (!t->listed)
		target_begin(f, v, from, folder);
	start = f->lines.n;
	if (!t->format->add(t->form, change, &f->lines, err))
		return false;
	t->written += (int64_t) (f->lines.n - start);
	t->listed->last_lsn = change->lsn;
	t->listed->last_seq = change->seq;
	if (t->listed->rows++ == 0)
	{
		t->listed->first_lsn = change->lsn;
		t->listed->first_seq = change->seq;
	}
	f->rows++;
	if (t->format->shrink && t->format->memory(t->form) >= FORM_BYTES &&
		!t->format->shrink(t->form, &f->lines, err))
		return false;
	return f->lines.n < PIECE_BYTES || flush_lines(f, false, err);
}

/* ---- reading ---- */

static bool
copy_rows(Fill *f, Version *v, const EntryObject *o, Slice body, Err *err)
{
	const Format *from = format_of_key(o->key);
	FormatSource source = { .object = body,
							.compression = compression_of_key(o->key),
							.max_line = LINE_MAX_BYTES,
							.schema = v->schema };
	FormatReader *r;
	int64_t rows = 0;
	bool end = false;
	bool ok = true;

	if (!from)
		return format_unknown(o->key, err);
	r = from->open(&source);
	while (ok)
	{
		Change change;
		Slice line;

		ok = from->next(r, &line, &end, err);
		if (!ok || end)
			break;
		ok = line_change_read(v->lines, line, &change, err) &&
			 add_change(f, v, o, &change, err);
		rows++;
	}
	from->done(r);
	if (ok && rows != o->rows)
		ok = err_set(err, ERR_DATA, 0,
					 "it has %" PRId64 " rows, the log says %" PRId64, rows,
					 o->rows);
	return ok && target_end(f, err);
}

static bool
copy_object(Fill *f, const EntryObject *o, Err *err)
{
	Version *v = version_of(f, o, err);
	Buf body;
	bool ok;

	if (!v)
		return false;
	buf_init(&body, OBJECT_MAX_BYTES);
	ok = commitlog_object(f->log, o, &body, err) &&
		 copy_rows(f, v, o, buf_slice(&body), err);
	buf_done(&body);
	return ok || err_prefix(err, "object \"%s\"", o->key);
}

static bool
wants(const Fill *f, const EntryObject *o)
{
	return (f->o->tables[0] == '\0' ||
			pattern_list_matches(f->o->tables, o->schema, o->table)) &&
		   !pattern_list_matches(f->o->exclude, o->schema, o->table);
}

static bool
fill_entry(const Entry *e, void *arg, Err *err)
{
	Fill *f = arg;
	bool ok = true;

	for (int i = 0; i < e->nfurther; i++)
	{
		if (strcmp(e->further[i].output, f->o->name) == 0 &&
			fill_is_key(e->further[i].key))
			(void) strmap_put(&f->known, e->further[i].key, 1);
	}
	if (e->seq >= f->list->seq)
		return true; /* with the output attached */
	f->database = e->database;
	f->slot = e->slot;
	for (int i = 0; ok && i < e->nobjects; i++)
	{
		if (!wants(f, &e->objects[i]))
			continue;
		ok = e->seq > f->expired
				 ? copy_object(f, &e->objects[i], err)
				 : expiry_error(e->seq, f->expired, e->objects[i].key, err);
	}
	f->database = f->slot = "";
	return ok;
}

/* ---- what fills have left ---- */

static bool
on_object(const StoreItem *item, void *arg)
{
	Fill *f = arg;
	char own[32];

	(void) snprintf(own, sizeof(own), "/" FILL_STEM "%s-", f->id);
	if (!fill_is_key(item->key) || strstr(item->key, own) ||
		strmap_get(&f->known, item->key) != STRMAP_NONE)
		return true;
	f->stale = xrealloc(f->stale, ((size_t) f->nstale + 1) * sizeof(*f->stale));
	f->stale[f->nstale++] = xstrdup(item->key);
	return true;
}

static void
remove_stale(Fill *f)
{
	Err err;

	if (!store_list(f->store, "", on_object, f, &err))
		log_err(LOG_WARN, "could not look for what fills have left", &err);
	for (int i = 0; i < f->nstale; i++)
	{
		if (!store_del(f->store, f->stale[i], &err))
			log_err(LOG_WARN, "could not remove what a fill has left", &err);
		free(f->stale[i]);
	}
	free(f->stale);
}

/* Nothing of ours is to be listed. */
static void
remove_own(Fill *f)
{
	Err ignored;

	for (int i = 0; i < f->list->nfurther; i++)
	{
		if (!store_del(f->store, f->list->further[i].key, &ignored))
			return; /* the next fill removes it */
	}
}

/* ---- all of it ---- */

static bool
find_output(Fill *f, bool *out_filled, Err *err)
{
	Entry *last;
	const EntryOutput *found = NULL;
	EntryOutput *o;

	if (!commitlog_last(f->log, 0, &last, err))
		return false;
	for (int i = 0; last && i < last->noutputs; i++)
	{
		const EntryOutput *e = &last->outputs[i];

		if (strcmp(e->name, f->o->name) == 0 && e->state == OUTPUT_ATTACHED &&
			strcmp(e->url, f->o->store.url) == 0)
			found = e;
	}
	if (!found)
	{
		entry_free(last);
		err_set(err, ERR_USAGE, 0,
				"output \"%s\" is not attached, as the log has it", f->o->name);
		return err_hint(err, "start run with it first: it then has what comes, "
							 "and this what was before");
	}
	*out_filled = found->filled;
	f->list->seq = found->since;
	f->list->end = f->list->prev_end = found->first;
	o = entry_add_output(f->list);
	entry_set(&o->name, found->name);
	entry_set(&o->url, found->url);
	entry_set(&o->tables, found->tables);
	entry_set(&o->exclude, found->exclude);
	o->since = found->since;
	o->first = found->first;
	entry_free(last);
	return true;
}

/*
 * The layouts that the output had when it was attached: one that has objects
 * from before (its tables changed, or it was detached) may be between two of
 * them, and no folder holds two formats.  Entries of earlier releases know
 * none: that of the settings, then.
 */
static bool
take_layouts(Fill *f, Err *err)
{
	const EntryOutput *o = NULL;
	LayoutsSaid said = { 0 };
	LayoutChange change;
	Entry *since;
	bool ok;

	if (!commitlog_read(f->log, f->list->seq, &since, err))
		return false;
	for (int i = 0; i < since->noutputs; i++)
	{
		if (strcmp(since->outputs[i].name, f->o->name) == 0 &&
			since->outputs[i].nlayouts > 0)
			o = &since->outputs[i];
	}
	if (o)
		said = (LayoutsSaid){ o->layouts, o->nlayouts, since->closed_until };
	ok = layouts_go_on(&f->layouts, &said,
					   o ? &o->layouts[o->nlayouts - 1] : &f->o->layout, 0,
					   &change, err);
	entry_free(since);
	return ok;
}

static bool
waits_already(const Fill *f, Err *err)
{
	err_set(err, ERR_USAGE, 0, "a fill of output \"%s\" waits for run already",
			f->o->name);
	return err_hint(err, "start run, or wait: it enters it within a minute");
}

static bool
write_list(Fill *f, Err *err)
{
	entry_sort_objects(f->list);
	if (fill_write(f->log, f->list, err))
		return true;
	if (err->kind == ERR_EXISTS)
		return waits_already(f, err);
	return err_prefix(err, "could not list what was written");
}

static bool
fill(Fill *f, Err *err)
{
	/* a load's rows stand at its entry, which may be far behind */
	const LogRange range = { .to = LSN_MAX, .expired = &f->expired };
	bool filled = false;
	bool waits;

	if (!find_output(f, &filled, err))
		return false;
	if (filled)
	{
		log_info("the output has all that the lake has", "output", f->o->name,
				 NULL);
		return true;
	}
	if (!fill_exists(f->log, f->o->name, &waits, err))
		return false;
	if (waits)
		return waits_already(f, err);
	if (!take_layouts(f, err))
		return false;
	if (!logwalk(f->log, &range, fill_entry, f, err) || !write_list(f, err))
	{
		target_drop(f);
		remove_own(f);
		return false;
	}
	remove_stale(f);
	log_info("output filled, run is to enter it", "output", f->o->name,
			 "objects", log_int(f->list->nfurther), "rows", log_int(f->rows),
			 NULL);
	return true;
}

static bool
fill_with(const Config *cfg, const OutputOptions *o, Err *err)
{
	Fill f = { .o = o, .list = entry_new(), .database = "", .slot = "" };
	bool ok;

	(void) snprintf(f.id, sizeof(f.id), "%08" PRIx32, random_u32());
	(void) snprintf(f.writer, sizeof(f.writer), "%08" PRIx32, random_u32());
	buf_init(&f.lines, 2 * LINE_MAX_BYTES);
	buf_init(&f.out, 2 * LINE_MAX_BYTES);
	ok = outputs_open_store(cfg, NULL, &f.log, err) &&
		 store_open(&o->store, &f.store, err) && fill(&f, err);
	versions_done(&f);
	strmap_done(&f.known);
	layouts_done(&f.layouts);
	for (int i = 0; i < ENTRY_LAYOUTS_MAX; i++)
		compressor_free(f.compressors[i]);
	buf_done(&f.lines);
	buf_done(&f.out);
	store_close(f.store);
	store_close(f.log);
	entry_free(f.list);
	return ok;
}

bool
fill_output(const Config *cfg, const char *name, Err *err)
{
	OutputSet outputs;
	bool ok = false;

	if (!config_output_find(&cfg->outputs, name, err) ||
		!outputs_open(cfg, &outputs, err))
		return false;
	for (int i = 0; i < outputs.n; i++)
	{
		if (strcmp(outputs.all[i].name, name) == 0)
			ok = fill_with(cfg, &outputs.all[i], err);
	}
	outputs_close(&outputs);
	return ok;
}
