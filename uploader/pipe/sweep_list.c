/*-------------------------------------------------------------------------
 * sweep_list.c
 *	  The sweep of lists of objects.
 *
 * A list goes before its entry.  A writer that dies in between leaves it, and
 *the next one's has another name.  Which counts the entry alone says.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/sweep_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/key.h"
#include "store/commitlog.h"

#define LIST_PREFIX "_cdc/list/"

typedef struct Lists
{
	Pipe *p;
	int64_t from;
	char **keys;
	int n;
} Lists;

/* The entry that a list was written for; -1: another key. */
static int64_t
entry_of(const char *key)
{
	static const size_t at = sizeof(LIST_PREFIX) - 1;
	char *end;
	long long n;

	if (strncmp(key, LIST_PREFIX, at) != 0)
		return -1;
	n = strtoll(key + at, &end, 10);
	return end == key + at + 20 && *end == '-' ? n : -1;
}

static bool
on_list(const StoreItem *item, void *arg)
{
	Lists *l = arg;
	int64_t seq = entry_of(item->key);

	if (seq > l->from && seq <= atomic_load(&l->p->log_seq) &&
		!key_is_by(item->key, l->p->writer))
	{
		l->keys = xrealloc(l->keys, ((size_t) l->n + 1) * sizeof(*l->keys));
		l->keys[l->n++] = xstrdup(item->key);
	}
	return !atomic_load(&l->p->stop);
}

static bool
is_named(const Entry *e, const char *key)
{
	for (int i = 0; i < e->nlists; i++)
	{
		if (strcmp(e->lists[i].key, key) == 0)
			return true;
	}
	return false;
}

/* One that may be nobody's. */
static bool
look_at(Store *log, const char *key, int64_t *removed, Err *err)
{
	Entry *e;
	bool named;

	if (!commitlog_read(log, entry_of(key), &e, err))
		return false;
	named = is_named(e, key);
	entry_free(e);
	if (named)
		return true;
	if (store_del(log, key, err))
		++*removed;
	else
		log_err(LOG_WARN, "could not remove a leftover", err);
	return true;
}

bool
sweep_lists(Pipe *p, Store *log, int64_t from, int64_t *removed, Err *err)
{
	Lists l = { .p = p, .from = from };
	bool ok = store_list(log, LIST_PREFIX, on_list, &l, err);

	for (int i = 0; i < l.n; i++)
	{
		ok = ok &&
			 (atomic_load(&p->stop) || look_at(log, l.keys[i], removed, err));
		free(l.keys[i]);
	}
	free(l.keys);
	return ok;
}
