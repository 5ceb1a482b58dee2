/*-------------------------------------------------------------------------
 * told.c
 *	  What a session has said of each table.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/told.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#define BUCKETS 1024
#define STRANGERS_MAX 4096 /* ends of unknown tables, until the next entry */

/* What an entry has to say. */
typedef struct Item
{
	Position at;
	uint32_t relation_id;
	Table *table; /* NULL: an end of one that is not known */
	bool created;
	bool gone;
	bool left;
} Item;

struct Told
{
	Said *buckets[BUCKETS];
	Item *items; /* in the order of their positions */
	size_t n;
	size_t cap;
	int strangers;
	bool warned;
};

Told *
told_new(void)
{
	return xcalloc(1, sizeof(Told));
}

void
told_free(Told *t)
{
	if (!t)
		return;
	for (int i = 0; i < BUCKETS; i++)
	{
		while (t->buckets[i])
		{
			Said *s = t->buckets[i];

			t->buckets[i] = s->next;
			free(s);
		}
	}
	free(t->items);
	free(t);
}

static Said **
bucket_of(Told *t, uint32_t relation_id)
{
	return &t->buckets[relation_id * UINT32_C(2654435761) % BUCKETS];
}

static Said *
find(Told *t, uint32_t relation_id)
{
	Said *s = *bucket_of(t, relation_id);

	while (s && s->relation_id != relation_id)
		s = s->next;
	return s;
}

static Said *
find_or_add(Told *t, uint32_t relation_id)
{
	Said *s = find(t, relation_id);
	Said **bucket = bucket_of(t, relation_id);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->relation_id = relation_id;
	s->next = *bucket;
	*bucket = s;
	return s;
}

static Item *
add_item(Told *t, uint32_t relation_id, Table *table, Position at)
{
	if (t->n == t->cap)
	{
		t->cap = t->cap ? 2 * t->cap : 64;
		t->items = xrealloc(t->items, t->cap * sizeof(*t->items));
	}
	t->items[t->n] =
		(Item){ .at = at, .relation_id = relation_id, .table = table };
	return &t->items[t->n++];
}

void
told_table(Told *t, Table *table, Position at, bool created)
{
	if (!table->said)
		table->said = find_or_add(t, table->relation_id);
	if (told_last(table) && !created)
		return;
	table->said->table = table;
	table->said->there = true;
	if (!table->file_known)
		table->file_known = table->file_due = true;
	add_item(t, table->relation_id, table, at)->created = created;
}

static bool
too_many_strangers(Told *t)
{
	if (t->strangers++ < STRANGERS_MAX)
		return false;
	if (!t->warned)
		log_warn("very many tables were dropped of which this session has seen "
				 "nothing; not all of them are in the log",
				 "limit", log_int(STRANGERS_MAX), NULL);
	t->warned = true;
	return true;
}

void
told_end(Told *t, uint32_t relation_id, bool gone, Position at)
{
	Said *s = find(t, relation_id);
	Item *item;

	if (!s && too_many_strangers(t))
		return;
	item = add_item(t, relation_id, s ? s->table : NULL, at);
	item->gone = gone;
	item->left = !gone;
	if (s)
		s->there = false;
}

bool
told_partition(Told *t, uint32_t relation_id, Position at)
{
	Said *s = find(t, relation_id);

	if (!s || !s->there)
		return false;
	told_end(t, relation_id, false, at);
	return true;
}

void
told_leaf(Told *t, uint32_t relation_id, Table *root)
{
	find_or_add(t, relation_id)->root = root;
}

Table *
told_detached(Told *t, uint32_t relation_id)
{
	Said *s = find(t, relation_id);
	Table *root = s ? s->root : NULL;

	if (!root)
		return NULL;
	s->root = NULL;
	s = find(t, root->relation_id);
	return s && s->there ? s->table : NULL;
}

bool
told_waits(const Told *t, Lsn until)
{
	return t->n > 0 && t->items[0].at.lsn <= until;
}

static void
put_item(const Item *item, Checkpoint *c)
{
	bool ends = item->gone || item->left;
	EntrySchema *s = checkpoint_add_schema(c, item->table, item->at);

	s->relation_id = item->relation_id;
	s->created = item->created;
	s->gone = item->gone;
	s->left = item->left;
	if (ends)
		entry_set(&s->hash, "");
	else if (item->table->file_due)
	{
		item->table->file_due = false;
		checkpoint_add_file(c, item->table);
	}
}

void
told_take(Told *t, Lsn until, Checkpoint *c)
{
	size_t n = 0;

	for (; n < t->n && t->items[n].at.lsn <= until; n++)
		put_item(&t->items[n], c);
	if (n == 0)
		return;
	t->n -= n;
	memmove(t->items, t->items + n, t->n * sizeof(*t->items));
	t->strangers = 0;
}
