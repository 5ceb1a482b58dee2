/*-------------------------------------------------------------------------
 * entry.c
 *	  One entry of the commit log in memory.
 *
 * entry_write.c makes text of it, entry_read.c reads that; how the text ends,
 * which proves that it is whole, is entry_sign.c's.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry.h"

#include <stdlib.h>

#include "base/mem.h"

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
