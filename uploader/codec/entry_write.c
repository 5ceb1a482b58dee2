/*-------------------------------------------------------------------------
 * entry_write.c
 *	  An entry as JSON.
 *
 * Written by hand, so that the same entry always gives the same bytes.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry.h"
#include "codec/entry_impl.h"

#include "base/clock.h"

static void
add_string(Buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":\"", name);
	for (; *value; value++)
	{
		uint8_t c = (uint8_t) *value;

		if (c == '"' || c == '\\')
			buf_byte(out, '\\');
		if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_byte(out, c);
	}
	buf_byte(out, '"');
}

static void
add_lsn(Buf *out, const char *name, Lsn lsn)
{
	buf_printf(out, ",\"%s\":\"" LSN_HEX_FMT "\"", name, lsn);
}

/* A time, or null where it is 0. */
static void
add_time(Buf *out, const char *name, int64_t unix_us, bool us)
{
	char iso[40];

	if (unix_us == 0)
	{
		buf_printf(out, ",\"%s\":null", name);
		return;
	}
	iso_from_unix_us(unix_us, us, iso, sizeof(iso));
	buf_printf(out, ",\"%s\":\"%s\"", name, iso);
}

static void
add_table(Buf *out, const char *schema, const char *table)
{
	buf_byte(out, ',');
	add_string(out, "schema", schema);
	buf_byte(out, ',');
	add_string(out, "table", table);
}

static void
add_sha256(Buf *out, const char *hex)
{
	if (hex[0])
		buf_printf(out, ",\"sha256\":\"%s\"", hex);
}

static void
encode_object(const EntryObject *o, Buf *out)
{
	buf_byte(out, '{');
	if (o->output[0])
	{
		add_string(out, "output", o->output);
		buf_byte(out, ',');
	}
	add_string(out, "key", o->key);
	add_table(out, o->schema, o->table);
	buf_byte(out, ',');
	add_string(out, "hash", o->hash);
	if (o->load[0])
	{
		buf_byte(out, ',');
		add_string(out, "load", o->load);
	}
	buf_printf(out, ",\"rows\":%" PRId64 ",\"bytes\":%" PRId64, o->rows,
			   o->bytes);
	add_lsn(out, "first_lsn", o->first_lsn);
	buf_printf(out, ",\"first_seq\":%" PRId64, o->first_seq);
	add_lsn(out, "last_lsn", o->last_lsn);
	buf_printf(out, ",\"last_seq\":%" PRId64 ",\"crc32c\":\"%08x\"",
			   o->last_seq, o->crc32c);
	add_sha256(out, o->sha256);
	buf_byte(out, '}');
}

/* [from, to) of them, up to the list's end. */
static void
encode_objects(const EntryObject *objects, int from, int to, Buf *out)
{
	buf_byte(out, '[');
	for (int i = from; i < to; i++)
	{
		buf_str(out, i > from ? ",\n" : "\n");
		encode_object(&objects[i], out);
	}
	buf_byte(out, ']');
}

void
entry_encode_list(const Entry *e, int from, int to, Buf *out)
{
	buf_str(out, "{\"version\":1,\"objects\":");
	encode_objects(e->objects, from, to, out);
	buf_str(out, "}\n");
}

/* Another version, as of loads. */
void
entry_encode_further_list(const Entry *e, int from, int to, Buf *out)
{
	buf_str(out, "{\"version\":3,\"objects\":[],\"output_objects\":");
	encode_objects(e->further, from, to, out);
	buf_str(out, "}\n");
}

static void
encode_output(const EntryOutput *o, Buf *out)
{
	buf_byte(out, '{');
	add_string(out, "name", o->name);
	buf_byte(out, ',');
	add_string(out, "url", o->url);
	buf_byte(out, ',');
	add_string(out, "tables", o->tables);
	buf_byte(out, ',');
	add_string(out, "exclude", o->exclude);
	buf_byte(out, ',');
	add_string(out, "state", output_state_name(o->state));
	buf_printf(out, ",\"since_entry\":%" PRId64, o->since);
	add_lsn(out, "first_lsn", o->first);
	buf_printf(out, ",\"filled\":%s", o->filled ? "true" : "false");
	if (o->state != OUTPUT_ATTACHED)
		add_lsn(out, "last_lsn", o->last);
	add_time(out, "swept_until", o->swept_until, false);
	if (o->nlayouts > 0)
	{
		buf_str(out, ",\n");
		entry_layouts_encode(o->layouts, o->nlayouts, out);
	}
	buf_byte(out, '}');
}

static void
encode_outputs(const Entry *e, Buf *out)
{
	if (e->noutputs == 0)
		return;
	buf_str(out, ",\n\"outputs\":[");
	for (int i = 0; i < e->noutputs; i++)
	{
		buf_str(out, i ? ",\n" : "\n");
		encode_output(&e->outputs[i], out);
	}
	buf_byte(out, ']');
}

static void
encode_publications(const Entry *e, Buf *out)
{
	if (e->npublications == 0)
		return;
	buf_str(out, ",\n\"publications\":[");
	for (int i = 0; i < e->npublications; i++)
	{
		buf_str(out, i ? ",{" : "{");
		add_string(out, "name", e->publications[i].name);
		buf_printf(out, ",\"oid\":%u}", e->publications[i].oid);
	}
	buf_byte(out, ']');
}

static void
encode_head(const Entry *e, Buf *out)
{
	buf_printf(out, "{\"version\":%d,\"entry\":%" PRId64 ",\"source\":{",
			   ENTRY_FORMAT, e->seq);
	add_string(out, "system_identifier", e->system_identifier);
	buf_printf(out, ",\"timeline\":%" PRId64 ",", e->timeline);
	add_string(out, "database", e->database);
	buf_byte(out, ',');
	add_string(out, "slot", e->slot);
	buf_byte(out, '}');
	add_lsn(out, "prev_end_lsn", e->prev_end);
	add_lsn(out, "end_lsn", e->end);
	add_time(out, "closed_until", e->closed_until, false);
	add_time(out, "swept_until", e->swept_until, false);
	if (e->swept_entry > 0)
		buf_printf(out, ",\"swept_entry\":%" PRId64, e->swept_entry);
	buf_printf(out,
			   ",\"loaded\":%s,\"loads_open\":%" PRId64
			   ",\"loads_since\":%" PRId64 ",",
			   e->loaded ? "true" : "false", e->loads_open, e->loads_since);
	if (e->seq > 0 && e->loads_before >= 0)
		buf_printf(out, "\"loads_before\":%" PRId64 ",", e->loads_before);
	if (e->expired > 0)
		buf_printf(
			out, "\"expired_entry\":%" PRId64 ",\"removed_entry\":%" PRId64 ",",
			e->expired, e->removed);
	if (e->slot_dropped)
		buf_str(out, "\"slot_dropped\":true,");
	add_string(out, "writer", e->writer);
	add_time(out, "time", e->time, true);
	if (e->nlayouts > 0)
		buf_str(out, ",\n");
	if (e->nlayouts > 0)
		entry_layouts_encode(e->layouts, e->nlayouts, out);
	encode_publications(e, out);
}

static void
encode_schema(const EntrySchema *s, Buf *out)
{
	buf_byte(out, '{');
	add_string(out, "hash", s->hash);
	add_table(out, s->schema, s->table);
	add_lsn(out, "lsn", s->lsn);
	buf_printf(out, ",\"seq\":%" PRId64 ",\"relation_id\":%u,\"row_type\":%u",
			   s->seq, s->relation_id, s->row_type);
	if (s->created)
		buf_str(out, ",\"created\":true");
	if (s->gone)
		buf_str(out, ",\"gone\":true");
	if (s->left)
		buf_str(out, ",\"left\":true");
	buf_byte(out, '}');
}

static void
add_reason(Buf *out, const EntryLoad *l)
{
	if (!l->reason[0])
		return;
	buf_byte(out, ',');
	add_string(out, "reason", l->reason);
	if (l->resync)
		add_lsn(out, "resync_lsn", l->resync);
}

/* Those from the given ones on. */
static void
encode_loads(const Entry *e, int load, int schema, Buf *out)
{
	buf_str(out, ",\n\"loads\":[");
	for (int i = load; i < e->nloads; i++)
	{
		const EntryLoad *l = &e->loads[i];

		buf_str(out, i > load ? ",\n{" : "\n{");
		add_string(out, "id", l->id);
		add_table(out, l->schema, l->table);
		add_lsn(out, "lsn", l->lsn);
		buf_byte(out, ',');
		add_string(out, "state", load_state_name(l->state));
		if (l->hash[0])
		{
			buf_byte(out, ',');
			add_string(out, "hash", l->hash);
		}
		add_reason(out, l);
		buf_byte(out, '}');
	}
	buf_str(out, "],\n\"schemas\":[");
	for (int i = schema; i < e->nschemas; i++)
	{
		buf_str(out, i > schema ? ",\n" : "\n");
		encode_schema(&e->schemas[i], out);
	}
	buf_byte(out, ']');
}

/* Another version, so that who knows of objects only does not pass it over. */
void
entry_encode_loads_list(const Entry *e, Buf *out)
{
	buf_str(out, "{\"version\":2");
	encode_loads(e, 0, 0, out);
	buf_str(out, ",\n\"objects\":[]}\n");
}

static void
encode_list(const EntryList *l, Buf *out)
{
	buf_byte(out, '{');
	add_string(out, "key", l->key);
	buf_printf(out, ",\"objects\":%" PRId64, l->objects);
	if (l->loads > 0 || l->schemas > 0)
		buf_printf(out, ",\"loads\":%" PRId64 ",\"schemas\":%" PRId64, l->loads,
				   l->schemas);
	if (l->further > 0)
		buf_printf(out, ",\"output_objects\":%" PRId64, l->further);
	buf_printf(out, ",\"crc32c\":\"%08x\"", l->crc32c);
	add_sha256(out, l->sha256);
	buf_byte(out, '}');
}

void
entry_encode(const Entry *e, const EntryKeys *keys, Buf *out)
{
	size_t from = out->n;
	int64_t listed = 0;
	int64_t further = 0;
	int64_t loads = 0;
	int64_t schemas = 0;

	for (int i = 0; i < e->nlists; i++)
	{
		listed += e->lists[i].objects;
		further += e->lists[i].further;
		loads += e->lists[i].loads;
		schemas += e->lists[i].schemas;
	}
	encode_head(e, out);
	encode_loads(e, (int) loads, (int) schemas, out);
	buf_str(out, ",\n\"lists\":[");
	for (int i = 0; i < e->nlists; i++)
	{
		buf_str(out, i ? ",\n" : "\n");
		encode_list(&e->lists[i], out);
	}
	/* What stands in a list comes first in e and not again here. */
	buf_str(out, "],\n\"objects\":");
	encode_objects(e->objects, (int) listed, e->nobjects, out);
	encode_outputs(e, out);
	if (e->nfurther > 0)
	{
		buf_str(out, ",\n\"output_objects\":");
		encode_objects(e->further, (int) further, e->nfurther, out);
	}
	entry_add_checks(keys, from, out);
}
