/*-------------------------------------------------------------------------
 * ddl_log.c
 *	  What the commit log says of each table: its schemas one after the other,
 *	  where the rows of today's table begin, and how its objects lie.
 *
 * Ownership: ddl_tables_done() frees all.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "cmd/ddl.h"
#include "cmd/logwalk.h"
#include "codec/format.h"
#include "codec/jsonline.h"
#include "codec/key.h"
#include "codec/path.h"
#include "codec/pattern.h"
#include "store/commitlog.h"

#define NAME_MAX_BYTES 1024
#define OBJECT_MAX_BYTES ((size_t) 5 << 30)
#define LINE_MAX_BYTES ((size_t) 1 << 30)
#define BOUND_MAX_BYTES ((size_t) 1 << 20)
#define LOAD_SEQ (INT64_C(1) << 40) /* behind all that a snapshot has */
#define HOURS "year="

typedef struct Reading
{
	const DdlFrom *from;
	int64_t entry;  /* that is being read */
	bool truncates; /* the second time through: objects are read */
	StrMap names;   /* "schema\ntable" to its number */
	Path **paths;   /* all templates that the log names, and the default ones */
	char **texts;
	int npaths;
	DdlTables *tables;
} Reading;

static int
find(const Reading *r, const char *schema, const char *table)
{
	char *key = xasprintf("%s\n%s", schema, table);
	int i = strmap_get(&r->names, key);

	free(key);
	return i;
}

/* NULL where it is not wanted. */
static DdlTable *
get(Reading *r, const char *schema, const char *table)
{
	DdlTables *all = r->tables;
	int i = find(r, schema, table);
	char *key;
	DdlTable *t;

	if (i != STRMAP_NONE)
		return &all->items[i];
	if (r->from->wanted &&
		!pattern_list_matches(r->from->wanted, schema, table))
		return NULL;
	key = xasprintf("%s\n%s", schema, table);
	strmap_put(&r->names, key, all->n);
	free(key);
	all->items =
		xrealloc(all->items, ((size_t) all->n + 1) * sizeof(*all->items));
	t = &all->items[all->n++];
	memset(t, 0, sizeof(*t));
	t->schema = xstrdup(schema);
	t->table = xstrdup(table);
	return t;
}

static bool
is_before(Lsn lsn, int64_t seq, Lsn other_lsn, int64_t other_seq)
{
	return lsn < other_lsn || (lsn == other_lsn && seq < other_seq);
}

static void
drop_versions(DdlTable *t)
{
	for (int i = 0; i < t->nversions; i++)
		schema_free(t->versions[i].schema);
	t->nversions = 0;
}

/* Items come in the order of entries, and a load's behind later changes. */
static void
add_version(DdlTable *t, const EntrySchema *item)
{
	int at = t->nversions;
	DdlVersion *v;

	while (at > 0 && is_before(item->lsn, item->seq, t->versions[at - 1].lsn,
							   t->versions[at - 1].seq))
		at--;
	if (at > 0 && strcmp(t->versions[at - 1].hash, item->hash) == 0)
		return;
	t->versions = xrealloc(t->versions,
						   ((size_t) t->nversions + 1) * sizeof(*t->versions));
	v = &t->versions[at];
	memmove(v + 1, v, (size_t) (t->nversions - at) * sizeof(*v));
	memset(v, 0, sizeof(*v));
	v->lsn = item->lsn;
	v->seq = item->seq;
	memcpy(v->hash, item->hash, sizeof(v->hash));
	t->nversions++;
}

static bool
same_table(const DdlTable *t, uint32_t relation_id, uint32_t row_type)
{
	return t->relation_id == relation_id &&
		   (t->row_type == row_type || !t->row_type || !row_type);
}

/* Another table has the name from here on. */
static void
begin_table(const Reading *r, DdlTable *t, const EntrySchema *item)
{
	t->start_entry = r->entry;
	drop_versions(t);
	t->begin_lsn = item->lsn;
	t->begin_seq = item->seq;
	t->start_lsn = item->lsn;
	t->start_seq = item->seq;
	t->created = item->created;
	t->loaded = false;
	t->loads_open = 0;
	free(t->renamed_from);
	t->renamed_from = NULL;
}

/* Was it another one's name until now?  Then that one has none any more. */
static void
look_for_rename(Reading *r, DdlTable *t, const EntrySchema *item)
{
	for (int i = 0; item->relation_id && i < r->tables->n; i++)
	{
		DdlTable *other = &r->tables->items[i];

		if (other == t || other->gone ||
			!same_table(other, item->relation_id, item->row_type))
			continue;
		other->gone = true;
		free(t->renamed_from);
		t->renamed_from = xstrdup(other->table);
		t->renamed_lsn = item->lsn;
		t->created = false;
	}
}

static void
end_table(Reading *r, const EntrySchema *item)
{
	for (int i = 0; i < r->tables->n; i++)
	{
		DdlTable *t = &r->tables->items[i];

		bool same = item->relation_id
						? same_table(t, item->relation_id, item->row_type)
						: strcmp(t->schema, item->schema) == 0 &&
							  strcmp(t->table, item->table) == 0;

		if (!same)
			continue;
		t->gone = item->gone;
		t->left = item->left;
		t->left_lsn = item->lsn;
	}
}

static void
note_schema(Reading *r, const EntrySchema *item)
{
	DdlTable *t;

	if (item->gone || item->left)
	{
		end_table(r, item);
		return;
	}
	t = get(r, item->schema, item->table);
	if (!t)
		return;
	if (item->seq == LOAD_SEQ && t->nversions > 0 &&
		same_table(t, item->relation_id, item->row_type))
	{
		/* of a load, which says nothing of what the table is now */
		add_version(t, item);
		return;
	}
	if (t->nversions > 0 &&
		(item->created || !same_table(t, item->relation_id, item->row_type) ||
		 t->gone))
		begin_table(r, t, item);
	if (t->nversions == 0 && item->created)
		begin_table(r, t, item);
	if (t->relation_id != item->relation_id || t->nversions == 0)
		look_for_rename(r, t, item);
	t->relation_id = item->relation_id;
	t->row_type = item->row_type;
	t->gone = false;
	t->left = false;
	add_version(t, item);
}

static void
note_load(Reading *r, const EntryLoad *load)
{
	DdlTable *t = get(r, load->schema, load->table);

	if (!t)
		return;
	if (load->state == LOAD_OPEN)
		t->loads_open++;
	else if (t->loads_open > 0)
		t->loads_open--;
	if (load->state != LOAD_DONE)
		return;
	t->loads = xrealloc(t->loads, ((size_t) t->nloads + 1) * sizeof(*t->loads));
	t->loads[t->nloads++] = load->lsn;
	if (load->lsn < t->start_lsn)
		return; /* of a table that had the name before */
	t->loaded = true;
	t->start_entry = r->entry;
	t->load_lsn = load->lsn;
	t->start_lsn = load->lsn;
	t->start_seq = LOAD_SEQ;
}

static void
note_folders(DdlTable *t, const char *key)
{
	const char *p = strstr(key, "/" HOURS);

	t->folders = !p                    ? DDL_NO_FOLDERS
				 : strstr(p, "/hour=") ? DDL_BY_HOUR
									   : DDL_BY_DAY;
}

/* <schema>/<table>/, and year=…/month=…/day=…/hour=…/, or less of it. */
static bool
is_usual_folder(const DdlTable *t, const char *key)
{
	static const char *const parts[] = { "year=", "month=", "day=", "hour=" };
	const char *p = key;
	bool usual;
	Buf b;

	buf_init(&b, NAME_MAX_BYTES);
	key_add_table(&b, t->schema, t->table);
	usual = strncmp(key, buf_cstr(&b), b.n) == 0;
	p += usual ? b.n : 0;
	buf_done(&b);
	for (size_t i = 0; usual && strchr(p, '/'); i++)
	{
		usual = i < 4 && strncmp(p, parts[i], strlen(parts[i])) == 0;
		p = strchr(p, '/') + 1;
	}
	return usual;
}

static void
add_path(Reading *r, const char *text)
{
	Path *path;
	Err err;

	for (int i = 0; i < r->npaths; i++)
	{
		if (strcmp(r->texts[i], text) == 0)
			return;
	}
	if (!path_parse(text, zone_fixed("UTC"), &path, &err))
		return; /* no object is there, then */
	r->paths = xrealloc(r->paths, ((size_t) r->npaths + 1) * sizeof(Path *));
	r->texts = xrealloc(r->texts, ((size_t) r->npaths + 1) * sizeof(char *));
	r->paths[r->npaths] = path;
	r->texts[r->npaths++] = xstrdup(text);
}

static void
paths_done(Reading *r)
{
	for (int i = 0; i < r->npaths; i++)
	{
		path_free(r->paths[i]);
		free(r->texts[i]);
	}
	free(r->paths);
	free(r->texts);
}

static void
add_source(DdlTable *t, const char *glob, const char *suffix)
{
	for (int i = 0; i < t->nsources; i++)
	{
		if (strcmp(t->sources[i].glob, glob) == 0 &&
			strcmp(t->sources[i].suffix, suffix) == 0)
			return;
	}
	t->sources =
		xrealloc(t->sources, ((size_t) t->nsources + 1) * sizeof(*t->sources));
	t->sources[t->nsources++] = (DdlSource){ xstrdup(glob), xstrdup(suffix) };
}

/* Two tables differ in what stands before a form's times, or only behind. */
static bool
is_own(const Path *path, const char *form)
{
	static const PathNames none = { "", "", "", "" };
	size_t base = ddl_form_base(form);
	bool own;
	Buf b;

	buf_init(&b, KEY_TEXT_MAX);
	path_add_form(path, &none, &b);
	own = strcmp(form + base, buf_cstr(&b) + ddl_form_base(buf_cstr(&b))) == 0;
	buf_done(&b);
	return own;
}

static void
note_run(DdlTable *t, const Path *path, const PathNames *names,
		 const char *folder, const char *suffix)
{
	Buf form;

	if (ddl_form(suffix) == DDL_FORM_OTHER)
		return;
	buf_init(&form, KEY_TEXT_MAX);
	path_add_form(path, names, &form);
	ddl_add_run(t, buf_cstr(&form), is_own(path, buf_cstr(&form)),
				ddl_form(suffix), folder);
	buf_done(&form);
}

/* By which template does the object lie where it lies? */
static void
note_source(const Reading *r, const Entry *e, DdlTable *t, const EntryObject *o,
			const char *name, const char *suffix)
{
	const PathNames names = { o->schema, o->table, e->database, e->slot };
	char *folder = xstrndup(o->key, (size_t) (name - o->key) + 1);
	const Path *path = NULL;
	bool found = false;
	Buf glob;

	buf_init(&glob, KEY_TEXT_MAX);
	for (int i = 0; !found && i < r->npaths; i++)
	{
		path = r->paths[i];
		buf_reset(&glob);
		path_add_glob(path, &names, &glob);
		found = fnmatch(buf_cstr(&glob), folder, FNM_PATHNAME) == 0;
	}
	if (found)
	{
		add_source(t, buf_cstr(&glob), suffix);
		note_run(t, path, &names, folder, suffix);
	}
	else
		t->unplaced = true;
	buf_done(&glob);
	free(folder);
}

static void
note_object(Reading *r, const Entry *e, const EntryObject *o)
{
	DdlTable *t = get(r, o->schema, o->table);
	const char *name = strrchr(o->key, '/');
	const char *suffix = name ? strchr(name, '.') : NULL;

	if (!t || !suffix)
		return;
	note_source(r, e, t, o, name, suffix);
	if (t->suffix && strcmp(t->suffix, suffix) != 0)
		t->mixed = true;
	if (!is_usual_folder(t, o->key))
		t->elsewhere = true;
	if (strncmp(suffix, ".json", 5) != 0)
	{
		t->other = true;
		return;
	}
	free(t->suffix);
	t->suffix = xstrdup(suffix);
	t->objects++;
	note_folders(t, o->key);
}

/* ---- truncates of single partitions ---- */

/* Takes one partition's bound, whose condition is said in t's names. */
static bool
take_bound(DdlTable *t, Lsn lsn, int64_t seq, Slice partition, Err *err)
{
	JsonCursor c;
	JsonMember m;
	Buf bound;
	bool ok = json_open_object(&c, partition, err);

	buf_init(&bound, BOUND_MAX_BYTES);
	while (ok && (ok = json_next_member(&c, &m, err)) && !c.done)
	{
		if (json_equals(m.name, m.escaped, "bound") &&
			m.value.kind == JSON_STRING)
			ok = json_unescape(json_inner(&m.value), &bound, err);
	}
	if (ok)
	{
		DdlTruncate *all =
			xrealloc(t->truncates, ((size_t) t->ntruncates + 1) * sizeof(*all));

		t->truncates = all;
		all[t->ntruncates++] =
			(DdlTruncate){ lsn, seq,
						   bound.n ? xstrdup(buf_cstr(&bound)) : NULL };
	}
	buf_done(&bound);
	return ok;
}

/* A record of "_op":"t" with "_partial". */
static bool
take_truncate(DdlTable *t, Slice line, Err *err)
{
	JsonCursor c;
	JsonMember m;
	JsonValue partial = { 0 };
	JsonValue item;
	char lsn_text[17] = "";
	Lsn lsn = 0;
	int64_t seq = 0;

	if (!json_open_object(&c, line, err))
		return false;
	while (json_next_member(&c, &m, err) && !c.done)
	{
		if (json_equals(m.name, m.escaped, "_lsn") && m.value.text.n == 18)
			memcpy(lsn_text, m.value.text.p + 1, 16);
		else if (json_equals(m.name, m.escaped, "_seq"))
			(void) json_int64(&m.value, &seq); /* ours: it is one */
		else if (json_equals(m.name, m.escaped, "_partial"))
			partial = m.value;
	}
	if (partial.kind != JSON_ARRAY || !lsn_parse(lsn_text, &lsn))
		return true; /* of the whole table, or a row that only looks so */
	if (!json_open_array(&c, partial.text, err))
		return false;
	for (;;)
	{
		if (!json_next_item(&c, &item, err))
			return false;
		if (c.done)
			return true;
		if (!take_bound(t, lsn, seq, item.text, err))
			return false;
	}
}

static bool
read_lines_of(const FormatSource *source, const Format *format, DdlTable *t,
			  Err *err)
{
	static const char head[] = "{\"_op\":\"t\"";
	FormatReader *lines = format->open(source);
	Slice line;
	bool end = false;
	bool ok;

	while ((ok = format->next(lines, &line, &end, err)) && !end)
	{
		if (line.n > sizeof(head) &&
			memcmp(line.p, head, sizeof(head) - 1) == 0 &&
			!(ok = take_truncate(t, line, err)))
			break;
	}
	format->done(lines);
	return ok;
}

static bool
look_for_truncates(Reading *r, const EntryObject *o, DdlTable *t, Err *err)
{
	const Format *format = format_of_key(o->key);
	FormatSource source = { .compression = compression_of_key(o->key),
							.max_line = LINE_MAX_BYTES };
	Schema *schema = NULL;
	Buf body;
	bool ok;

	if (!format)
		return format_unknown(o->key, err);
	buf_init(&body, OBJECT_MAX_BYTES);
	ok = commitlog_object(r->from->store, o, &body, err) &&
		 (!format->reads_schema ||
		  commitlog_schema(r->from->log, o->schema, o->table, o->hash, &schema,
						   err));
	source.object = buf_slice(&body);
	source.schema = schema;
	ok = ok && read_lines_of(&source, format, t, err);
	schema_free(schema);
	buf_done(&body);
	return ok || err_prefix(err, "object \"%s\"", o->key);
}

/* The objects of the output. */
static const EntryObject *
objects_of(const Reading *r, const Entry *e, int *out_n)
{
	*out_n = r->from->output ? e->nfurther : e->nobjects;
	return r->from->output ? e->further : e->objects;
}

static bool
is_its(const Reading *r, const EntryObject *o)
{
	return !r->from->output || strcmp(o->output, r->from->output) == 0;
}

/* Only what today's table may have of them. */
static bool
read_truncates(Reading *r, const Entry *e, Err *err)
{
	int n;
	const EntryObject *all = objects_of(r, e, &n);

	for (int i = 0; i < n; i++)
	{
		const EntryObject *o = &all[i];
		int at = is_its(r, o) ? find(r, o->schema, o->table) : STRMAP_NONE;

		if (at == STRMAP_NONE || o->load[0] ||
			is_before(o->last_lsn, o->last_seq, r->tables->items[at].start_lsn,
					  r->tables->items[at].start_seq))
			continue;
		if (!look_for_truncates(r, o, &r->tables->items[at], err))
			return false;
	}
	return true;
}

/* ---- all of it ---- */

static void
note_layouts(Reading *r, const EntryLayout *l, int n)
{
	for (int i = 0; i < n; i++, l++)
	{
		add_path(r, l->path);
		r->tables->escaped |= strcmp(l->variant, "escape") == 0;
		r->tables->exact |= strncmp(l->variant, "exact", 5) == 0;
		r->tables->dms |= strcmp(l->format, "csv-dms") == 0;
		r->tables->zoned |= strcmp(l->zone, "UTC") != 0;
	}
}

static void
note_all_layouts(Reading *r, const Entry *e)
{
	if (!r->from->output)
		note_layouts(r, e->layouts, e->nlayouts);
	for (int i = 0; r->from->output && i < e->noutputs; i++)
	{
		if (strcmp(e->outputs[i].name, r->from->output) == 0)
			note_layouts(r, e->outputs[i].layouts, e->outputs[i].nlayouts);
	}
}

static bool
note_entry(const Entry *e, void *arg, Err *err)
{
	Reading *r = arg;
	int n;
	const EntryObject *all = objects_of(r, e, &n);

	r->tables->entry = r->entry = e->seq;
	if (r->truncates)
		return read_truncates(r, e, err);
	for (int i = 0; i < e->nschemas; i++)
		note_schema(r, &e->schemas[i]);
	for (int i = 0; i < e->nloads; i++)
		note_load(r, &e->loads[i]);
	note_all_layouts(r, e);
	for (int i = 0; i < n; i++)
	{
		if (is_its(r, &all[i]))
			note_object(r, e, &all[i]);
	}
	return true;
}

static bool
read_schemas(Store *store, DdlTable *t, Err *err)
{
	for (int i = 0; i < t->nversions; i++)
		if (!commitlog_schema(store, t->schema, t->table, t->versions[i].hash,
							  &t->versions[i].schema, err))
			return false;
	return true;
}

static void
table_done(DdlTable *t)
{
	drop_versions(t);
	for (int i = 0; i < t->ntruncates; i++)
		free(t->truncates[i].bound);
	free(t->truncates);
	free(t->versions);
	free(t->loads);
	free(t->renamed_from);
	for (int i = 0; i < t->nsources; i++)
	{
		free(t->sources[i].glob);
		free(t->sources[i].suffix);
	}
	free(t->sources);
	ddl_runs_done(t);
	free(t->suffix);
	free(t->schema);
	free(t->table);
}

static int
compare_tables(const void *a, const void *b)
{
	const DdlTable *x = a;
	const DdlTable *y = b;
	int c = strcmp(x->schema, y->schema);

	return c ? c : strcmp(x->table, y->table);
}

/* One that came later has what came since, and loads that were made since. */
static bool
output_has(const EntryOutput *o, DdlTable *t)
{
	if (!o)
		return true;
	if (!o->filled && t->start_entry < o->since)
		t->lacks = o->first;
	return (o->tables[0] == '\0' ||
			pattern_list_matches(o->tables, t->schema, t->table)) &&
		   !pattern_list_matches(o->exclude, t->schema, t->table);
}

/* Without those that are gone, and those whose first load is not done. */
static void
keep_tables(DdlTables *all, const EntryOutput *o)
{
	int n = 0;

	for (int i = 0; i < all->n; i++)
	{
		if (all->items[i].gone || all->items[i].nversions == 0 ||
			!output_has(o, &all->items[i]))
			table_done(&all->items[i]);
		else
			all->items[n++] = all->items[i];
	}
	all->n = n;
	if (n > 0)
		qsort(all->items, (size_t) n, sizeof(*all->items), compare_tables);
}

int
ddl_first_version(const DdlTable *t)
{
	int i = t->nversions - 1;

	while (i > 0 && is_before(t->start_lsn, t->start_seq, t->versions[i].lsn,
							  t->versions[i].seq))
		i--;
	return i;
}

/* As the last entry has the output; *out is borrowed from *last. */
static bool
find_output(const DdlFrom *from, Entry **last, const EntryOutput **out,
			Err *err)
{
	*last = NULL;
	*out = NULL;
	if (!from->output)
		return true;
	if (!commitlog_last(from->log, 0, last, err))
		return false;
	for (int i = 0; *last && i < (*last)->noutputs; i++)
	{
		if (strcmp((*last)->outputs[i].name, from->output) == 0 &&
			(*last)->outputs[i].state != OUTPUT_ENDED)
			*out = &(*last)->outputs[i];
	}
	if (*out)
		return true;
	err_set(err, ERR_USAGE, 0,
			"the log has no output \"%.60s\", or it was ended", from->output);
	return err_hint(err, "run attaches an output when it starts");
}

static bool
read_log(Reading *r, Err *err)
{
	const LogRange all = { .to = LSN_MAX };

	add_path(r, PATH_DEFAULT);
	add_path(r, "{schema}/{table}/year={yyyy}/month={mm}/day={dd}");
	add_path(r, "{schema}/{table}");
	if (!logwalk(r->from->log, &all, note_entry, r, err))
		return false;
	r->truncates = true;
	return !r->from->truncates ||
		   logwalk(r->from->log, &all, note_entry, r, err);
}

bool
ddl_read(const DdlFrom *from, DdlTables *out, Err *err)
{
	Reading r = { .from = from, .tables = out };
	const EntryOutput *output;
	Entry *last;
	bool ok;

	memset(out, 0, sizeof(*out));
	ok = find_output(from, &last, &output, err) && read_log(&r, err);
	strmap_done(&r.names);
	paths_done(&r);
	if (ok)
		keep_tables(out, output);
	for (int i = 0; ok && i < out->n; i++)
		ok = read_schemas(from->log, &out->items[i], err);
	entry_free(last);
	return ok;
}

void
ddl_tables_done(DdlTables *t)
{
	for (int i = 0; i < t->n; i++)
		table_done(&t->items[i]);
	free(t->items);
	memset(t, 0, sizeof(*t));
}
