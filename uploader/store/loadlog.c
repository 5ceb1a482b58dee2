/*-------------------------------------------------------------------------
 * loadlog.c
 *	  What the commit log says of loads.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/loadlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The number of the next one to look at, going back. */
static int64_t
before(const Entry *e)
{
	return e->loads_before >= 0 ? e->loads_before : e->seq - 1;
}

bool
loadlog_walk(Store *store, const Entry *last, int64_t first, LoadLogFn fn,
			 void *arg, Err *err)
{
	int64_t seq = before(last);

	/* entry 0 is init's, and has none */
	if (last->seq < first || !fn(last, arg))
		return true;
	while (seq > 0 && seq >= first)
	{
		Entry *e;
		bool more;

		if (!commitlog_read(store, seq, &e, err))
			return false;
		more = fn(e, arg);
		seq = before(e);
		entry_free(e);
		if (!more)
			break;
	}
	return true;
}

typedef struct Counting
{
	int64_t since;
	LoadCounts *counts;
} Counting;

static LoadCount *
find(const LoadCounts *c, const char *schema, const char *table)
{
	for (int i = 0; i < c->n; i++)
	{
		if (strcmp(c->items[i].schema, schema) == 0 &&
			strcmp(c->items[i].table, table) == 0)
			return &c->items[i];
	}
	return NULL;
}

static bool
count(const Entry *e, void *arg)
{
	const Counting *counting = arg;
	LoadCounts *c = counting->counts;

	if (e->time < counting->since)
		return false;
	for (int i = 0; i < e->nloads; i++)
	{
		const EntryLoad *l = &e->loads[i];
		LoadCount *item;

		if (l->state != LOAD_DONE || !l->reason[0])
			continue;
		item = find(c, l->schema, l->table);
		if (!item)
		{
			c->items =
				xrealloc(c->items, ((size_t) c->n + 1) * sizeof(*c->items));
			item = &c->items[c->n++];
			*item = (LoadCount){ .schema = xstrdup(l->schema),
								 .table = xstrdup(l->table) };
		}
		item->n++;
	}
	return true;
}

bool
loadlog_count(Store *store, const Entry *last, int64_t now_us, LoadCounts *out,
			  Err *err)
{
	Counting counting = { now_us - LOADS_WINDOW_US, out };

	*out = (LoadCounts){ 0 };
	return loadlog_walk(store, last, 1, count, &counting, err);
}

int
load_counts_of(const LoadCounts *c, const char *schema, const char *table)
{
	const LoadCount *item = find(c, schema, table);

	return item ? item->n : 0;
}

void
load_counts_done(LoadCounts *c)
{
	for (int i = 0; i < c->n; i++)
	{
		free(c->items[i].schema);
		free(c->items[i].table);
	}
	free(c->items);
	*c = (LoadCounts){ 0 };
}
