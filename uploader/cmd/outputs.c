/*-------------------------------------------------------------------------
 * outputs.c
 *	  Further outputs, from their settings to what run and check need.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/outputs.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "codec/pattern.h"
#include "store/commitlog.h"

/* Of zstd and gzip in a format that compresses by itself, as of objects. */
#define PAGE_LEVEL 1
#define MEMORY_EACH_MB 8
#define SECTION_SIZE 64

static FormatNumeric
numeric_of(const char *name)
{
	if (strcmp(name, "string") == 0)
		return NUMERIC_STRING;
	return strcmp(name, "auto") == 0 ? NUMERIC_AUTO : NUMERIC_NUMBER;
}

FormatOptions
outputs_format_options(const char *numeric, const char *before,
					   const char *csv_newlines, const char *parquet_timestamp,
					   const char *parquet_types)
{
	return (FormatOptions){ .numeric = numeric_of(numeric),
							.before = strcmp(before, "on") == 0,
							.csv_escape = strcmp(csv_newlines, "escape") == 0,
							.level = PAGE_LEVEL,
							.parquet_ms = strcmp(parquet_timestamp, "ms") == 0,
							.parquet_exact =
								strcmp(parquet_types, "exact") == 0 };
}

bool
outputs_form(const char *section, const char *format, const char *compression,
			 const Format **out_format, Compression *out_compression, Err *err)
{
	*out_format = format_find(format);
	if (!compression_parse_inner(compression, out_compression))
		return err_set(err, ERR_INTERNAL, 0, "unknown compression");
	if (!*out_format)
		return err_set(err, ERR_INTERNAL, 0, "unknown format");
	return *out_compression != COMPRESS_SNAPPY || (*out_format)->compresses ||
		   err_set(err, ERR_USAGE, 0,
				   "%s.compression = snappy needs %s.format = parquet; zstd, "
				   "gzip and none are for all formats",
				   section, section);
}

StoreOptions
outputs_store_options(const Config *cfg, const OutputConfig *o)
{
	StoreOptions s = config_store_options(cfg);

	s.url = o->url;
	s.endpoint = o->endpoint;
	s.region = o->region;
	s.profile = o->profile;
	s.addressing = o->addressing;
	s.ca_file = o->ca_file;
	s.checksum = o->checksum;
	s.sse = o->sse;
	s.sse_kms_key = o->kms_key;
	s.sse_bucket_key = strcmp(o->bucket_key, "on") == 0;
	s.storage_class = o->storage_class;
	s.tags = o->tags;
	s.acl = o->acl;
	s.expected_owner = o->expected_owner;
	s.requester_pays = strcmp(o->requester_pays, "on") == 0;
	return s;
}

/* Of a URL, less slashes at its end. */
static size_t
length(const char *url)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return n;
}

/* Is b the place of a, or a folder in it? */
static bool
contains(const char *a, const char *b)
{
	size_t n = length(a);

	return n <= length(b) && strncmp(a, b, n) == 0 &&
		   (n == length(b) || b[n] == '/');
}

static bool
are_apart(const StoreOptions *a, const StoreOptions *b)
{
	bool is_file = strncmp(a->url, "file:", 5) == 0;

	if (!is_file && strcmp(a->endpoint, b->endpoint) != 0)
		return true;
	return !contains(a->url, b->url) && !contains(b->url, a->url);
}

/* Each is swept by the names in it, so none may have names of another. */
static bool
check_places(const Config *cfg, const OutputSet *s, Err *err)
{
	StoreOptions lake = config_store_options(cfg);

	for (int i = 0; i < s->n; i++)
	{
		for (int k = -1; k < i; k++)
		{
			const StoreOptions *other = k < 0 ? &lake : &s->all[k].store;

			if (are_apart(&s->all[i].store, other))
				continue;
			err_set(err, ERR_USAGE, 0,
					"output.%s.url \"%s\" and %s%s%s \"%s\" are one place, or "
					"one is in the other",
					s->all[i].name, s->all[i].store.url,
					k < 0 ? "store.url" : "output.",
					k < 0 ? "" : s->all[k].name, k < 0 ? "" : ".url",
					other->url);
			return err_hint(err, "give each output a prefix or folder beside "
								 "the others'");
		}
	}
	return true;
}

/* A list that is malformed matches nothing, and would say nothing. */
static bool
check_patterns(const OutputConfig *c, Err *err)
{
	const char *bad = !pattern_list_valid(c->tables)    ? "tables"
					  : !pattern_list_valid(c->exclude) ? "exclude"
														: NULL;

	if (!bad)
		return true;
	err_set(err, ERR_USAGE, 0,
			"setting \"output.%s.%s\" is no list of table patterns", c->name,
			bad);
	return err_hint(err, "write schema.table, by comma, with * for any run of "
						 "characters; names that are not lower case stand in "
						 "double quotes");
}

static bool
open_output(const Config *cfg, const OutputConfig *c, OutputOptions *o,
			char *room, Err *err)
{
	char section[SECTION_SIZE];
	LayoutSettings s = config_layout_further(c, section);
	Path *path;

	(void) snprintf(section, sizeof(section), "output.%s", c->name); /* fits */
	if (!check_patterns(c, err) || !config_check_shape(&s, err) ||
		!outputs_form(section, c->format, c->compression, &o->format,
					  &o->compression, err) ||
		!config_path(&s, &path, err))
		return false;
	config_layout(&s, &o->layout, room, LAYOUT_ROOM);
	o->format = format_find(o->layout.format);
	o->path = path;
	o->name = c->name;
	o->store = outputs_store_options(cfg, c);
	o->tables = c->tables;
	o->exclude = c->exclude;
	o->format_options =
		outputs_format_options(c->numeric, c->before, c->csv_newlines,
							   c->parquet_timestamp, c->parquet_types);
	o->format_options.dms = o->layout.variant;
	o->dms_names = strcmp(c->names, "dms") == 0;
	o->max_bytes = c->max_bytes;
	o->max_rows = c->max_rows;
	o->detach = strcmp(c->on_failure, "detach") == 0;
	o->detach_after_ms = c->detach_after_ms;
	return true;
}

static bool
check_memory(const Config *cfg, Err *err)
{
	int need = MEMORY_EACH_MB * (cfg->outputs.n + 1);

	if (cfg->outputs.n == 0 || cfg->memory_limit >= (int64_t) need << 20)
		return true;
	err_set(err, ERR_USAGE, 0,
			"memory.limit is too small for %d outputs, the lake included",
			cfg->outputs.n + 1);
	return err_hint(err, "set it to at least %dMB, 8MB for each", need);
}

bool
outputs_open(const Config *cfg, OutputSet *out, Err *err)
{
	*out = (OutputSet){ 0 };
	if (!check_memory(cfg, err))
		return false;
	for (int i = 0; i < cfg->outputs.n; i++)
	{
		OutputOptions *o = &out->all[out->n];

		if (!open_output(cfg, cfg->outputs.all[i], o, out->rooms[out->n], err))
		{
			outputs_close(out);
			return false;
		}
		o->health = &out->health[out->n++];
	}
	if (check_places(cfg, out, err))
		return true;
	outputs_close(out);
	return false;
}

void
outputs_close(OutputSet *s)
{
	for (int i = 0; i < s->n; i++)
		path_free((Path *) s->all[i].path);
	s->n = 0;
}

bool
outputs_all_attached(const OutputSet *s, Err *err)
{
	for (int i = 0; i < s->n; i++)
	{
		if (!atomic_load(&s->health[i].detached))
			continue;
		err_set(err, ERR_OUTSTANDING, 0,
				"output \"%s\" was detached: it has no changes behind the LSN "
				"that the log names",
				s->all[i].name);
		return err_hint(err,
						"mend \"%s\" and start run again: the output is "
						"attached anew",
						s->all[i].store.url);
	}
	return true;
}

bool
outputs_open_store(const Config *cfg, const char *name, Store **out, Err *err)
{
	const OutputConfig *o;
	StoreOptions options = config_store_options(cfg);

	if (name)
	{
		o = config_output_find(&cfg->outputs, name, err);
		if (!o)
			return false;
		options = outputs_store_options(cfg, o);
	}
	return store_open(&options, out, err);
}

/* The output as it is now; NULL: it is not there, or was ended. */
static const EntryOutput *
find_now(const Entry *last, const char *name)
{
	for (int i = 0; last && i < last->noutputs; i++)
	{
		if (strcmp(last->outputs[i].name, name) == 0 &&
			last->outputs[i].state != OUTPUT_ENDED)
			return &last->outputs[i];
	}
	return NULL;
}

bool
outputs_range(Store *log, const char *name, Lsn *from, Lsn *to,
			  int64_t *out_since, Err *err)
{
	const EntryOutput *o;
	Entry *last;

	if (!commitlog_last(log, 0, &last, err))
		return false;
	o = find_now(last, name);
	if (!o)
	{
		entry_free(last);
		err_set(err, ERR_USAGE, 0,
				"the log has no output \"%.60s\", or it was ended", name);
		return err_hint(err, "run attaches an output when it starts");
	}
	*out_since = o->since;
	if (!o->filled && *from < o->first)
	{
		log_warn("the output has nothing before it was attached", "output",
				 name, "lsn", log_lsn(o->first), NULL);
		*from = o->first;
	}
	if (o->state == OUTPUT_DETACHED && *to > o->last)
	{
		log_warn("the output has nothing behind where it was detached",
				 "output", name, "lsn", log_lsn(o->last), NULL);
		*to = o->last;
	}
	entry_free(last);
	return true;
}
