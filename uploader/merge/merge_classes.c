/*-------------------------------------------------------------------------
 * merge_classes.c
 *	  A table's objects by what their schemas say the key is.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_name.h"
#include "merge/merge_target.h"
#include "merge/merge_view.h"

static bool
same_key(const Schema *a, const Schema *b)
{
	if (target_is_keyed(a) != target_is_keyed(b))
		return false;
	if (!target_is_keyed(a))
		return true;
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < a->ncols; i++)
		{
			bool found = false;

			if (!a->cols[i].key)
				continue;
			for (int k = 0; !found && k < b->ncols; k++)
				found = b->cols[k].key &&
						strcmp(a->cols[i].name, b->cols[k].name) == 0;
			if (!found)
				return false;
		}
		const Schema *swap = a;
		a = b;
		b = swap;
	}
	return true;
}

static int
compare_objects(const void *a, const void *b)
{
	const EntryObject *x = *(const EntryObject *const *) a;
	const EntryObject *y = *(const EntryObject *const *) b;

	if (x->first_lsn != y->first_lsn)
		return x->first_lsn < y->first_lsn ? -1 : 1;
	if (x->first_seq != y->first_seq)
		return x->first_seq < y->first_seq ? -1 : 1;
	return 0;
}

static bool
no_schema(const char *schema, const char *table, const char *hash, Err *err)
{
	if (err->kind == ERR_NOT_FOUND || err->kind == ERR_DATA)
		err->kind = ERR_GAP;
	return err_prefix(err, "schema %s of table \"%s.%s\"", hash, schema, table);
}

/* The schema that is in force behind the range, with which others are read. */
static bool
read_now(MergeCx *cx, PlanTable *t, Err *err)
{
	const char *schema = t->schema;
	const char *table = t->table;

	if (t->now || !t->hash)
		return true;
	if (t->known)
	{
		schema = t->known->schema;
		table = t->known->table;
	}
	for (int i = 0; i < t->nobjects; i++)
	{
		if (strcmp(t->objects[i]->hash, t->hash) != 0)
			continue;
		schema = t->objects[i]->schema;
		table = t->objects[i]->table;
	}
	for (int i = 0; i < t->nevents; i++)
	{
		if (strcmp(t->events[i].hash, t->hash) != 0)
			continue;
		schema = t->events[i].schema;
		table = t->events[i].table;
	}
	return commitlog_schema(cx->store, schema, table, t->hash, &t->now, err) ||
		   no_schema(schema, table, t->hash, err);
}

/* The schema of an object; read where it is new. */
static bool
read_schema(MergeCx *cx, TableRead *r, const EntryObject *o, Schema **out,
			Err *err)
{
	KeyClass *all = &r->all;

	for (int i = 0; i < all->nschemas; i++)
	{
		*out = all->schemas[i];
		if (strcmp((*out)->hash, o->hash) == 0)
			return true;
	}
	if (!commitlog_schema(cx->store, o->schema, o->table, o->hash, out, err))
		return no_schema(o->schema, o->table, o->hash, err);
	all->schemas =
		xrealloc(all->schemas, ((size_t) all->nschemas + 1) * sizeof(Schema *));
	all->schemas[all->nschemas++] = *out;
	return true;
}

/*
 * A column by which rows were found, and which came and went since the target
 * has the table: it is needed for these changes, and stays.
 */
static void
keep_key(PlanTable *t, const Schema *s)
{
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];
		bool taken = false;
		char *name;

		if (!c->key || !target_is_keyed(s) || view_find(t->now, c->attnum) ||
			view_kept(&t->view, c->attnum))
			continue;
		for (int k = 0; k < t->now->ncols; k++)
			taken = taken || strcmp(t->now->cols[k].name, c->name) == 0;
		name = taken ? name_dropped(c->name, t->pos.lsn) : xstrdup(c->name);
		view_keep(&t->view, c->attnum, name);
		free(name);
	}
}

/* Values of a column that has another type by now may not fit any more. */
static void
note_recast(PlanTable *t, const Schema *s)
{
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = view_find(t->now, s->cols[i].attnum);

		if (!c || schema_same_type(c, &s->cols[i]))
			continue;
		t->recast = true;
		t->recast_pos = t->pos;
	}
}

/* All schemas of the table's objects, with the columns' names of now. */
static bool
read_schemas(MergeCx *cx, TableRead *r, Err *err)
{
	PlanTable *t = r->table;
	Schema *s;

	for (int i = 0; i < t->nobjects; i++)
	{
		if (!read_schema(cx, r, t->objects[i], &s, err))
			return false;
	}
	for (int i = 0; t->now && i < r->all.nschemas; i++)
	{
		if (r->all.schemas[i]->relation_id != t->now->relation_id)
			continue;
		keep_key(t, r->all.schemas[i]);
		note_recast(t, r->all.schemas[i]);
	}
	for (int i = 0; t->now && i < r->all.nschemas; i++)
		view_through(&t->view, t->now, target_is_keyed(r->all.schemas[i]),
					 r->all.schemas[i]);
	return true;
}

/* The class of a schema's key, with the schema in it. */
static KeyClass *
class_of(TableRead *r, Schema *s)
{
	KeyClass *c = NULL;

	for (int i = 0; !c && i < r->nclasses; i++)
		c = same_key(r->classes[i].schemas[0], s) ? &r->classes[i] : NULL;
	if (!c)
	{
		r->classes =
			xrealloc(r->classes, ((size_t) r->nclasses + 1) * sizeof(KeyClass));
		c = &r->classes[r->nclasses++];
		*c = (KeyClass){ 0 };
	}
	for (int i = 0; i < c->nschemas; i++)
	{
		if (c->schemas[i] == s)
			return c;
	}
	c->schemas =
		xrealloc(c->schemas, ((size_t) c->nschemas + 1) * sizeof(Schema *));
	c->schemas[c->nschemas++] = s;
	return c;
}

static void
class_add(KeyClass *c, const EntryObject *o)
{
	int n = c->nobjects;

	if ((n & (n - 1)) == 0) /* full at each power of two */
		c->objects = xrealloc(c->objects,
							  (n ? (size_t) n * 2 : 1) * sizeof(*c->objects));
	c->objects[c->nobjects++] = o;
}

bool
classes_last_is_now(const TableRead *r)
{
	const KeyClass *c = &r->classes[0];

	return !r->table->now ||
		   strcmp(c->schemas[c->nschemas - 1]->hash, r->table->now->hash) == 0;
}

/* Takes what has that hash out, and puts it behind the others. */
static void
put_last(Schema **list, int n, Schema *last)
{
	int at = 0;

	while (at < n - 1 && strcmp(list[at]->hash, last->hash) != 0)
		at++;
	memmove(&list[at], &list[at + 1], (size_t) (n - 1 - at) * sizeof(*list));
	list[n - 1] = last;
}

static bool
has_hash(Schema *const *list, int n, const char *hash)
{
	bool found = false;

	for (int i = 0; !found && i < n; i++)
		found = strcmp(list[i]->hash, hash) == 0;
	return found;
}

static void
append(Schema ***list, int *n, Schema *s)
{
	*list = xrealloc(*list, ((size_t) *n + 1) * sizeof(Schema *));
	(*list)[(*n)++] = s;
}

/* Has "now" a column that the class lacks, and rows of it have a value in? */
static bool
lacks_missing(const PlanTable *t, const KeyClass *c, const Schema *now)
{
	bool found = false;

	for (int i = 0; i < now->ncols; i++)
	{
		bool there = !view_missing(&t->view, &now->cols[i]);

		for (int k = 0; !there && k < c->nschemas; k++)
			there = view_find(c->schemas[k], now->cols[i].attnum) != NULL;
		found = found || !there;
	}
	return found;
}

/*
 * A class of another key: what its rows have in later columns is written, too.
 * It goes by its own last schema still.
 */
static void
put_first(KeyClass *c, Schema *now)
{
	append(&c->schemas, &c->nschemas, now);
	memmove(&c->schemas[1], &c->schemas[0],
			(size_t) (c->nschemas - 1) * sizeof(*c->schemas));
	c->schemas[0] = now;
}

/*
 * The newest schema is the last of all, and of the class that has its key;
 * where nothing was changed since, it makes the table.
 */
static void
take_now(TableRead *r)
{
	KeyClass *all = &r->all;
	Schema *now = r->table->now;
	bool found = false;

	if (!has_hash(all->schemas, all->nschemas, now->hash))
		append(&all->schemas, &all->nschemas, schema_ref(now));
	for (int i = 0; i < all->nschemas; i++)
	{
		if (strcmp(all->schemas[i]->hash, now->hash) == 0)
			now = all->schemas[i];
	}
	put_last(all->schemas, all->nschemas, now);
	for (int i = 0; i < r->nclasses; i++)
	{
		KeyClass *c = &r->classes[i];

		if (!found && same_key(c->schemas[c->nschemas - 1], now))
		{
			found = true;
			if (!has_hash(c->schemas, c->nschemas, now->hash))
				append(&c->schemas, &c->nschemas, now);
			put_last(c->schemas, c->nschemas, now);
		}
		else if (lacks_missing(r->table, c, now))
			put_first(c, now);
	}
	if (r->nclasses == 0)
		(void) class_of(r, now);
}

bool
classes_read(MergeCx *cx, TableRead *r, Err *err)
{
	PlanTable *t = r->table;
	Schema *s;
	bool ok;

	if (t->nobjects > 1)
		qsort(t->objects, (size_t) t->nobjects, sizeof(*t->objects),
			  compare_objects);
	ok = read_now(cx, t, err) && read_schemas(cx, r, err);
	for (int i = 0; ok && i < t->nobjects; i++)
	{
		ok = read_schema(cx, r, t->objects[i], &s, err); /* is there */
		if (ok)
			class_add(class_of(r, s), t->objects[i]);
	}
	if (ok && t->now)
		take_now(r);
	return ok;
}

void
classes_done(TableRead *r)
{
	free(r->all.schemas);
	for (int i = 0; i < r->nclasses; i++)
	{
		free(r->classes[i].objects);
		free(r->classes[i].schemas);
	}
	free(r->classes);
}
