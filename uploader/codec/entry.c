/*-------------------------------------------------------------------------
 * entry.c
 *	  One entry of the commit log, to JSON and back.
 *
 * Written by hand, so that the same entry always gives the same bytes; read
 * with a JSON library.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"

/* How a text ends, the HMAC where it is signed; behind them the hex digits. */
#define HMAC_BEGIN ",\n\"hmac\":\""
#define HMAC_SIZE (sizeof(HMAC_BEGIN) - 1 + 2 * SHA256_LEN + 1)
#define CRC_BEGIN ",\n\"crc32c\":\""
#define CRC_END "\"}\n"
#define CRC_DIGITS 8
#define CRC_SIZE (sizeof(CRC_BEGIN) - 1 + CRC_DIGITS + sizeof(CRC_END) - 1)

static const char *const load_states[] = { "open", "done", "given_up" };
static const char *const output_states[] = { "attached", "detached", "ended" };

const char *
load_state_name(LoadState s)
{
	return load_states[s];
}

const char *
output_state_name(OutputState s)
{
	return output_states[s];
}

Entry *
entry_new(void)
{
	Entry *e = xcalloc(1, sizeof(*e));

	e->system_identifier = xstrdup("");
	e->database = xstrdup("");
	e->slot = xstrdup("");
	e->writer = xstrdup("");
	return e;
}

static void
object_done(EntryObject *o)
{
	free(o->key);
	free(o->schema);
	free(o->table);
	free(o->hash);
	free(o->load);
	free(o->sha256);
	free(o->output);
}

static void
output_done(EntryOutput *o)
{
	free(o->name);
	free(o->url);
	free(o->tables);
	free(o->exclude);
	entry_layouts_free(o->layouts, o->nlayouts);
}

void
entry_free(Entry *e)
{
	if (!e)
		return;
	for (int i = 0; i < e->nobjects; i++)
		object_done(&e->objects[i]);
	for (int i = 0; i < e->nfurther; i++)
		object_done(&e->further[i]);
	for (int i = 0; i < e->noutputs; i++)
		output_done(&e->outputs[i]);
	for (int i = 0; i < e->nloads; i++)
	{
		free(e->loads[i].id);
		free(e->loads[i].schema);
		free(e->loads[i].table);
		free(e->loads[i].hash);
		free(e->loads[i].reason);
	}
	for (int i = 0; i < e->nschemas; i++)
	{
		free(e->schemas[i].schema);
		free(e->schemas[i].table);
		free(e->schemas[i].hash);
	}
	for (int i = 0; i < e->nlists; i++)
	{
		free(e->lists[i].key);
		free(e->lists[i].sha256);
	}
	entry_layouts_free(e->layouts, e->nlayouts);
	for (int i = 0; i < e->npublications; i++)
		free(e->publications[i].name);
	free(e->publications);
	free(e->objects);
	free(e->further);
	free(e->outputs);
	free(e->loads);
	free(e->schemas);
	free(e->lists);
	free(e->system_identifier);
	free(e->database);
	free(e->slot);
	free(e->writer);
	free(e);
}

void
entry_set(char **field, const char *value)
{
	char *copy = xstrdup(value ? value : "");

	free(*field);
	*field = copy;
}

/* Room for one more in an array that doubles at each power of two. */
static void *
grow(void *array, int n, size_t size)
{
	if (n == 0)
		return xcalloc(1, size);
	if ((n & (n - 1)) == 0)
		return xrealloc(array, 2 * (size_t) n * size);
	return array;
}

static EntryObject *
add_object(EntryObject **objects, int *n)
{
	EntryObject *o;

	*objects = grow(*objects, *n, sizeof(**objects));
	o = &(*objects)[(*n)++];
	*o = (EntryObject){ .key = xstrdup(""),
						.schema = xstrdup(""),
						.table = xstrdup(""),
						.hash = xstrdup(""),
						.load = xstrdup(""),
						.sha256 = xstrdup(""),
						.output = xstrdup("") };
	return o;
}

EntryObject *
entry_add_object(Entry *e)
{
	return add_object(&e->objects, &e->nobjects);
}

EntryObject *
entry_add_further(Entry *e)
{
	return add_object(&e->further, &e->nfurther);
}

void
entry_move_objects(EntryObject **to, int *nto, EntryObject *from, int n)
{
	for (int i = 0; i < n; i++)
	{
		*to = grow(*to, *nto, sizeof(**to));
		(*to)[(*nto)++] = from[i];
	}
	free(from);
}

void
entry_take_objects(Entry *e, Entry *from)
{
	entry_move_objects(&e->objects, &e->nobjects, from->objects,
					   from->nobjects);
	entry_move_objects(&e->further, &e->nfurther, from->further,
					   from->nfurther);
	from->objects = from->further = NULL;
	from->nobjects = from->nfurther = 0;
}

EntryOutput *
entry_add_output(Entry *e)
{
	EntryOutput *o;

	e->outputs = grow(e->outputs, e->noutputs, sizeof(*e->outputs));
	o = &e->outputs[e->noutputs++];
	*o = (EntryOutput){ .name = xstrdup(""),
						.url = xstrdup(""),
						.tables = xstrdup(""),
						.exclude = xstrdup("") };
	return o;
}

EntryLoad *
entry_add_load(Entry *e)
{
	EntryLoad *l;

	e->loads = grow(e->loads, e->nloads, sizeof(*e->loads));
	l = &e->loads[e->nloads++];
	*l = (EntryLoad){ .id = xstrdup(""),
					  .schema = xstrdup(""),
					  .table = xstrdup(""),
					  .hash = xstrdup(""),
					  .reason = xstrdup("") };
	return l;
}

EntrySchema *
entry_add_schema(Entry *e)
{
	EntrySchema *s;

	e->schemas = grow(e->schemas, e->nschemas, sizeof(*e->schemas));
	s = &e->schemas[e->nschemas++];
	*s = (EntrySchema){ .schema = xstrdup(""),
						.table = xstrdup(""),
						.hash = xstrdup("") };
	return s;
}

EntryList *
entry_add_list(Entry *e)
{
	EntryList *l;

	e->lists = grow(e->lists, e->nlists, sizeof(*e->lists));
	l = &e->lists[e->nlists++];
	*l = (EntryList){ .key = xstrdup(""), .sha256 = xstrdup("") };
	return l;
}

EntryPublication *
entry_add_publication(Entry *e)
{
	EntryPublication *p;

	e->publications =
		grow(e->publications, e->npublications, sizeof(*e->publications));
	p = &e->publications[e->npublications++];
	*p = (EntryPublication){ .name = xstrdup("") };
	return p;
}

void
entry_copy_publications(Entry *e, const Entry *from)
{
	for (int i = 0; i < from->npublications; i++)
	{
		EntryPublication *p = entry_add_publication(e);

		entry_set(&p->name, from->publications[i].name);
		p->oid = from->publications[i].oid;
	}
}

const EntryPublication *
entry_find_publication(const Entry *e, const char *name)
{
	for (int i = 0; i < e->npublications; i++)
	{
		if (strcmp(e->publications[i].name, name) == 0)
			return &e->publications[i];
	}
	return NULL;
}

static bool
schema_before(const EntrySchema *a, const EntrySchema *b)
{
	return a->lsn < b->lsn || (a->lsn == b->lsn && a->seq < b->seq);
}

/* They come in two runs or so, each in order: merging takes few steps. */
static void
merge_schemas(EntrySchema *all, EntrySchema *room, int n)
{
	int half = n / 2;
	int i = 0;
	int k = half;

	if (n < 2)
		return;
	merge_schemas(all, room, half);
	merge_schemas(all + half, room, n - half);
	memcpy(room, all, (size_t) n * sizeof(*all));
	for (int at = 0; at < n; at++)
	{
		bool second = i == half || (k < n && schema_before(&room[k], &room[i]));

		all[at] = room[second ? k++ : i++];
	}
}

void
entry_sort_schemas(Entry *e)
{
	EntrySchema *room = xmalloc((size_t) e->nschemas * sizeof(*room) + 1);

	merge_schemas(e->schemas, room, e->nschemas);
	free(room);
}

static int
compare_objects(const void *a, const void *b)
{
	const EntryObject *x = a;
	const EntryObject *y = b;

	if (x->first_lsn != y->first_lsn)
		return x->first_lsn < y->first_lsn ? -1 : 1;
	if (x->first_seq != y->first_seq)
		return x->first_seq < y->first_seq ? -1 : 1;
	return strcmp(x->key, y->key);
}

void
entry_sort_objects(Entry *e)
{
	if (e->nobjects > 0)
		qsort(e->objects, (size_t) e->nobjects, sizeof(*e->objects),
			  compare_objects);
	if (e->nfurther > 0)
		qsort(e->further, (size_t) e->nfurther, sizeof(*e->further),
			  compare_objects);
}

/* Of those further ones: to what other array they go, or away. */
static void
take_output(Entry *e, const char *output, EntryObject **to, int *nto)
{
	int kept = 0;

	for (int i = 0; i < e->nfurther; i++)
	{
		EntryObject o = e->further[i];

		if (strcmp(o.output, output) != 0)
			e->further[kept++] = o;
		else if (!to)
			object_done(&o);
		else
		{
			*to = grow(*to, *nto, sizeof(**to));
			(*to)[(*nto)++] = o;
		}
	}
	e->nfurther = kept;
}

void
entry_choose_output(Entry *e, const char *output)
{
	if (!output[0])
		return;
	for (int i = 0; i < e->nobjects; i++)
		object_done(&e->objects[i]);
	free(e->objects);
	e->objects = NULL;
	e->nobjects = 0;
	take_output(e, output, &e->objects, &e->nobjects);
}

void
entry_drop_output(Entry *e, const char *output)
{
	take_output(e, output, NULL, NULL);
}

/*
 * Writing
 */
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
	add_string(out, "state", output_states[o->state]);
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
		add_string(out, "state", load_states[l->state]);
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

/* The end of a text that began at from. */
static void
add_checks(const EntryKeys *keys, size_t from, Buf *out)
{
	uint8_t mac[SHA256_LEN];
	char hex[SHA256_HEX_SIZE];

	if (out->overflow)
		return;
	if (keys && keys->n > 0)
	{
		hmac_sha256(keys->key[0], strlen(keys->key[0]), out->p + from,
					out->n - from, mac);
		hex_encode(mac, sizeof(mac), hex);
		buf_printf(out, HMAC_BEGIN "%s\"", hex);
	}
	buf_printf(out, CRC_BEGIN "%08x" CRC_END,
			   crc32c(0, out->p + from, out->n - from));
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
	add_checks(keys, from, out);
}

/*
 * Keys
 */
static bool
add_key(EntryKeys *out, const char *key, size_t n, Err *err)
{
	if (out->n == ENTRY_KEYS_MAX || n < ENTRY_KEY_MIN)
	{
		err_set(err, ERR_USAGE, 0,
				out->n == ENTRY_KEYS_MAX
					? "there are more than two keys of the log"
					: "a key of the log is shorter than 16 characters");
		return err_hint(err, "write one key, or two on a line each: the first "
							 "signs, both verify");
	}
	out->key[out->n] = xmalloc(n + 1);
	memcpy(out->key[out->n], key, n);
	out->key[out->n++][n] = '\0';
	return true;
}

bool
entry_keys_parse(const char *text, EntryKeys *out, Err *err)
{
	static const char space[] = " \t\r\n";

	*out = (EntryKeys){ 0 };
	for (text += strspn(text, space); *text; text += strspn(text, space))
	{
		size_t n = strcspn(text, space);

		if (!add_key(out, text, n, err))
		{
			entry_keys_done(out);
			return false;
		}
		text += n;
	}
	return true;
}

void
entry_keys_done(EntryKeys *k)
{
	for (int i = 0; i < k->n; i++)
	{
		wipe(k->key[i], strlen(k->key[i]));
		free(k->key[i]);
	}
	k->n = 0;
}

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
		if (!state || strcmp(state, output_states[i]) != 0)
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
		if (state && strcmp(state, load_states[i]) == 0)
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

/* What is left of text before an end of size bytes that begins so. */
static bool
ends_with(Slice text, const char *begin, size_t size, Slice *before)
{
	if (text.n < size ||
		memcmp(text.p + text.n - size, begin, strlen(begin)) != 0)
		return false;
	*before = (Slice){ text.p, text.n - size };
	return true;
}

static bool
crc_is_right(Slice text, Slice *before)
{
	char end[CRC_DIGITS + sizeof(CRC_END)];

	if (!ends_with(text, CRC_BEGIN, CRC_SIZE, before))
		return false;
	(void) snprintf(end, sizeof(end), "%08x" CRC_END,
					crc32c(0, before->p, before->n)); /* fits */
	return memcmp(text.p + text.n - strlen(end), end, strlen(end)) == 0;
}

/* No early end at the first byte that differs. */
static bool
hmac_is_right(Slice text, const char *hex, const char *key)
{
	uint8_t mac[SHA256_LEN];
	char own[SHA256_HEX_SIZE];
	unsigned char differs = 0;

	hmac_sha256(key, strlen(key), text.p, text.n, mac);
	hex_encode(mac, sizeof(mac), own);
	for (size_t i = 0; i < SHA256_HEX_SIZE - 1; i++)
		differs |= (unsigned char) (own[i] ^ hex[i]);
	return differs == 0;
}

/* text ends before its CRC. */
static bool
check_hmac(Slice text, const EntryKeys *keys, bool *is_signed, Err *err)
{
	Slice before;

	*is_signed = ends_with(text, HMAC_BEGIN, HMAC_SIZE, &before);
	if (!keys || keys->n == 0)
		return true;
	for (int i = 0; *is_signed && i < keys->n; i++)
	{
		if (hmac_is_right(before,
						  (const char *) before.p + before.n +
							  sizeof(HMAC_BEGIN) - 1,
						  keys->key[i]))
			return true;
	}
	err_set(err, ERR_DATA, 0,
			*is_signed
				? "its HMAC is not of this content and a key of log.key_file"
				: "it has no HMAC, and log.key_file asks for one");
	return err_hint(err, "somebody without the key wrote it, or the key is "
						 "another one: correct log.key_file, or find who wrote "
						 "to the bucket");
}

/* Checks come before the JSON, so that a text without them is told apart. */
static bool
check_text(Slice json, const EntryKeys *keys, bool *is_signed, Err *err)
{
	Slice before;
	json_t *doc;
	json_int_t version;

	if (crc_is_right(json, &before))
		return check_hmac(before, keys, is_signed, err);
	doc = json_loadb((const char *) json.p, json.n, 0, NULL);
	version = json_integer_value(json_object_get(doc, "version"));
	json_decref(doc);
	err_set(err, ERR_DATA, 0, "its checksum is not that of its content");
	if (version == 1)
		return err_hint(err, "it was written by a release whose entries had no "
							 "checksum: begin a new lake under another prefix");
	return err_hint(err, "it was damaged or edited: restore it (versioned "
						 "bucket)");
}

bool
entry_parse(Slice json, const EntryKeys *keys, Entry **out, Err *err)
{
	json_error_t jerr;
	json_t *doc;
	Entry *e;
	bool is_signed = false;
	bool ok = true;

	if (!check_text(json, keys, &is_signed, err))
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
