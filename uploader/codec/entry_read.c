/*-------------------------------------------------------------------------
 * entry_read.c
 *	  An entry from its JSON.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry.h"
#include "codec/entry_impl.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/*
 * Reading.  A field that is missing or of the wrong type makes the getter
 * fail; "ok" gathers that, so that parsing reads as a list of fields.
 */
static void
get_string(json_t *obj, const char *name, char **out, bool *ok)
{
	const char *s = json_string_value(json_object_get(obj, name));

	if (s)
		entry_set(out, s);
	else
		*ok = false;
}

static int64_t
get_int(json_t *obj, const char *name, bool *ok)
{
	json_t *v = json_object_get(obj, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		*ok = false;
	return json_integer_value(v);
}

static Lsn
get_lsn(json_t *obj, const char *name, bool *ok)
{
	const char *s = json_string_value(json_object_get(obj, name));
	Lsn lsn = 0;

	if (!s || !lsn_parse(s, &lsn))
		*ok = false;
	return lsn;
}

static uint32_t
get_crc(json_t *obj, const char *name, bool *ok)
{
	const char *s = json_string_value(json_object_get(obj, name));
	char *end = NULL;
	unsigned long v = s ? strtoul(s, &end, 16) : 0;

	if (!s || strlen(s) != 8 || *end)
		*ok = false;
	return (uint32_t) v;
}

static int64_t
get_time(json_t *obj, const char *name, bool *ok)
{
	json_t *v = json_object_get(obj, name);
	int64_t us = 0;

	if (json_is_null(v))
		return 0;
	if (!json_is_string(v) || !iso_parse(json_string_value(v), &us))
		*ok = false;
	return us;
}

/* A list has to be there, be it empty. */
static json_t *
get_list(json_t *obj, const char *name, bool *ok)
{
	json_t *v = json_object_get(obj, name);

	if (!json_is_array(v))
		*ok = false;
	return v;
}

static bool
get_bool(json_t *obj, const char *name, bool *ok)
{
	json_t *v = json_object_get(obj, name);

	if (!json_is_boolean(v))
		*ok = false;
	return json_is_true(v);
}

static void
parse_object(json_t *obj, EntryObject *o, bool *ok)
{
	get_string(obj, "key", &o->key, ok);
	get_string(obj, "schema", &o->schema, ok);
	get_string(obj, "table", &o->table, ok);
	get_string(obj, "hash", &o->hash, ok);
	if (json_object_get(obj, "load"))
		get_string(obj, "load", &o->load, ok);
	o->rows = get_int(obj, "rows", ok);
	o->bytes = get_int(obj, "bytes", ok);
	o->first_lsn = get_lsn(obj, "first_lsn", ok);
	o->first_seq = get_int(obj, "first_seq", ok);
	o->last_lsn = get_lsn(obj, "last_lsn", ok);
	o->last_seq = get_int(obj, "last_seq", ok);
	o->crc32c = get_crc(obj, "crc32c", ok);
	if (json_object_get(obj, "sha256"))
		get_string(obj, "sha256", &o->sha256, ok);
}

static void
parse_further(json_t *doc, Entry *e, bool *ok)
{
	size_t i;
	json_t *m;

	if (!json_object_get(doc, "output_objects"))
		return;
	json_array_foreach(get_list(doc, "output_objects", ok), i, m)
	{
		EntryObject *o = entry_add_further(e);

		parse_object(m, o, ok);
		get_string(m, "output", &o->output, ok);
		*ok = *ok && o->output[0];
	}
}

static void
parse_output(json_t *obj, EntryOutput *o, bool *ok)
{
	const char *state = json_string_value(json_object_get(obj, "state"));

	get_string(obj, "name", &o->name, ok);
	get_string(obj, "url", &o->url, ok);
	get_string(obj, "tables", &o->tables, ok);
	get_string(obj, "exclude", &o->exclude, ok);
	o->since = get_int(obj, "since_entry", ok);
	o->first = get_lsn(obj, "first_lsn", ok);
	o->filled = get_bool(obj, "filled", ok);
	o->swept_until = get_time(obj, "swept_until", ok);
	if (json_object_get(obj, "layouts"))
		o->layouts = entry_layouts_parse(json_object_get(obj, "layouts"),
										 &o->nlayouts, ok);
	for (int i = OUTPUT_ATTACHED; i <= OUTPUT_ENDED; i++)
	{
		if (!state || strcmp(state, output_state_name((OutputState) i)) != 0)
			continue;
		o->state = (OutputState) i;
		if (i != OUTPUT_ATTACHED)
			o->last = get_lsn(obj, "last_lsn", ok);
		return;
	}
	*ok = false;
}

static void
parse_outputs(json_t *doc, Entry *e, bool *ok)
{
	size_t i;
	json_t *m;

	if (!json_object_get(doc, "outputs"))
		return;
	json_array_foreach(get_list(doc, "outputs", ok), i, m)
		parse_output(m, entry_add_output(e), ok);
}

static void
parse_load(json_t *obj, EntryLoad *l, bool *ok)
{
	const char *state = json_string_value(json_object_get(obj, "state"));

	get_string(obj, "id", &l->id, ok);
	get_string(obj, "schema", &l->schema, ok);
	get_string(obj, "table", &l->table, ok);
	if (json_object_get(obj, "hash"))
		get_string(obj, "hash", &l->hash, ok);
	l->lsn = get_lsn(obj, "lsn", ok);
	if (json_object_get(obj, "reason"))
		get_string(obj, "reason", &l->reason, ok);
	if (json_object_get(obj, "resync_lsn"))
		l->resync = get_lsn(obj, "resync_lsn", ok);
	for (int i = LOAD_OPEN; i <= LOAD_GIVEN_UP; i++)
	{
		if (state && strcmp(state, load_state_name((LoadState) i)) == 0)
		{
			l->state = (LoadState) i;
			return;
		}
	}
	*ok = false;
}

/* Members that entries of earlier releases do not have. */
static int64_t
get_int_if(json_t *obj, const char *name, bool *ok)
{
	return json_object_get(obj, name) ? get_int(obj, name, ok) : 0;
}

static bool
get_bool_if(json_t *obj, const char *name, bool *ok)
{
	return json_object_get(obj, name) ? get_bool(obj, name, ok) : false;
}

static uint32_t
get_oid_if(json_t *obj, const char *name, bool *ok)
{
	int64_t oid = get_int_if(obj, name, ok);

	if (oid < 0 || oid > UINT32_MAX)
		*ok = false;
	return (uint32_t) oid;
}

static void
parse_schema(json_t *obj, EntrySchema *s, bool *ok)
{
	get_string(obj, "hash", &s->hash, ok);
	get_string(obj, "schema", &s->schema, ok);
	get_string(obj, "table", &s->table, ok);
	s->lsn = get_lsn(obj, "lsn", ok);
	s->seq = get_int_if(obj, "seq", ok);
	s->relation_id = get_oid_if(obj, "relation_id", ok);
	s->row_type = get_oid_if(obj, "row_type", ok);
	s->created = get_bool_if(obj, "created", ok);
	s->gone = get_bool_if(obj, "gone", ok);
	s->left = get_bool_if(obj, "left", ok);
	if ((s->gone || s->left) != (s->hash[0] == '\0'))
		*ok = false;
}

static void
parse_loads(json_t *doc, Entry *e, bool *ok)
{
	size_t i;
	json_t *m;

	json_array_foreach(get_list(doc, "loads", ok), i, m)
		parse_load(m, entry_add_load(e), ok);
	json_array_foreach(get_list(doc, "schemas", ok), i, m)
		parse_schema(m, entry_add_schema(e), ok);
}

static void
parse_publications(json_t *doc, Entry *e, bool *ok)
{
	size_t i;
	json_t *m;

	if (!json_object_get(doc, "publications"))
		return;
	json_array_foreach(get_list(doc, "publications", ok), i, m)
	{
		EntryPublication *p = entry_add_publication(e);

		get_string(m, "name", &p->name, ok);
		p->oid = get_oid_if(m, "oid", ok);
		*ok = *ok && p->oid != 0;
	}
}

static void
parse_members(json_t *doc, Entry *e, bool *ok)
{
	size_t i;
	json_t *m;

	json_array_foreach(get_list(doc, "objects", ok), i, m)
		parse_object(m, entry_add_object(e), ok);
	parse_further(doc, e, ok);
	parse_outputs(doc, e, ok);
	parse_publications(doc, e, ok);
	parse_loads(doc, e, ok);
	json_array_foreach(get_list(doc, "lists", ok), i, m)
	{
		EntryList *l = entry_add_list(e);

		get_string(m, "key", &l->key, ok);
		l->objects = get_int(m, "objects", ok);
		if (json_object_get(m, "loads"))
		{
			l->loads = get_int(m, "loads", ok);
			l->schemas = get_int(m, "schemas", ok);
		}
		if (json_object_get(m, "output_objects"))
			l->further = get_int(m, "output_objects", ok);
		l->crc32c = get_crc(m, "crc32c", ok);
		if (json_object_get(m, "sha256"))
			get_string(m, "sha256", &l->sha256, ok);
	}
}

static void
parse_head(json_t *doc, Entry *e, bool *ok)
{
	json_t *source = json_object_get(doc, "source");

	e->seq = get_int(doc, "entry", ok);
	get_string(source, "system_identifier", &e->system_identifier, ok);
	e->timeline = get_int(source, "timeline", ok);
	get_string(source, "database", &e->database, ok);
	get_string(source, "slot", &e->slot, ok);
	e->prev_end = get_lsn(doc, "prev_end_lsn", ok);
	e->end = get_lsn(doc, "end_lsn", ok);
	e->closed_until = get_time(doc, "closed_until", ok);
	e->swept_until = get_time(doc, "swept_until", ok);
	e->swept_entry = get_int_if(doc, "swept_entry", ok);
	e->loaded = get_bool(doc, "loaded", ok);
	e->loads_open = get_int(doc, "loads_open", ok);
	e->loads_since = get_int(doc, "loads_since", ok);
	e->loads_before = e->seq == 0 ? 0 : -1;
	if (json_object_get(doc, "loads_before"))
		e->loads_before = get_int(doc, "loads_before", ok);
	if (e->loads_before >= e->seq && e->seq > 0)
		*ok = false;
	e->expired = get_int_if(doc, "expired_entry", ok);
	e->slot_dropped = get_bool_if(doc, "slot_dropped", ok);
	e->removed = get_int_if(doc, "removed_entry", ok);
	if (e->removed > e->expired || (e->expired >= e->seq && e->expired > 0))
		*ok = false;
	get_string(doc, "writer", &e->writer, ok);
	e->time = get_time(doc, "time", ok);
	if (json_object_get(doc, "layouts"))
		e->layouts = entry_layouts_parse(json_object_get(doc, "layouts"),
										 &e->nlayouts, ok);
	if (e->end < e->prev_end)
		*ok = false;
}

bool
entry_parse(Slice json, const EntryKeys *keys, Entry **out, Err *err)
{
	json_error_t jerr;
	json_t *doc;
	Entry *e;
	bool is_signed = false;
	bool ok = true;

	if (!entry_check_text(json, keys, &is_signed, err))
		return false;
	doc = json_loadb((const char *) json.p, json.n, 0, &jerr);
	if (!doc)
		return err_set(err, ERR_DATA, 0, "not a log entry: %s", jerr.text);
	if (json_integer_value(json_object_get(doc, "version")) != ENTRY_FORMAT)
	{
		json_decref(doc);
		return err_set(err, ERR_DATA, 0,
					   "the log entry is not of format version %d; use the "
					   "cdc-s3 that wrote it, or a later one",
					   ENTRY_FORMAT);
	}
	e = entry_new();
	e->is_signed = is_signed;
	parse_head(doc, e, &ok);
	parse_members(doc, e, &ok);
	json_decref(doc);
	if (!ok)
	{
		entry_free(e);
		return err_set(err, ERR_DATA, 0,
					   "the log entry has a field that is missing or damaged");
	}
	*out = e;
	return true;
}

bool
entry_parse_list(Slice json, Entry *e, Err *err)
{
	json_error_t jerr;
	json_t *doc = json_loadb((const char *) json.p, json.n, 0, &jerr);
	json_int_t version = json_integer_value(json_object_get(doc, "version"));
	bool ok = version >= 1 && version <= 3;
	size_t i;
	json_t *m;

	json_array_foreach(get_list(doc, "objects", &ok), i, m)
		parse_object(m, entry_add_object(e), &ok);
	if (version == 2)
		parse_loads(doc, e, &ok);
	if (version == 3)
		parse_further(doc, e, &ok);
	json_decref(doc);
	if (!ok)
		return err_set(err, ERR_DATA, 0, "the list is damaged");
	return true;
}
