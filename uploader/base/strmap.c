/*-------------------------------------------------------------------------
 * strmap.c
 *	  A map from strings to small numbers: open addressing, at most half full.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/strmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"

#define CAP_MIN 64

/* Where the key is, or belongs. */
static StrMapItem *
find(const StrMap *m, const char *key)
{
	uint32_t mask = (uint32_t) m->cap - 1;
	uint32_t i = (uint32_t) fnv1a(FNV1A_EMPTY, key) & mask;

	while (m->items[i].key && strcmp(m->items[i].key, key) != 0)
		i = (i + 1) & mask;
	return &m->items[i];
}

static void
grow(StrMap *m)
{
	StrMap larger = { .n = m->n, .cap = m->cap ? m->cap * 2 : CAP_MIN };

	larger.items = xcalloc((size_t) larger.cap, sizeof(*larger.items));
	for (int i = 0; i < m->cap; i++)
	{
		if (m->items[i].key)
			*find(&larger, m->items[i].key) = m->items[i];
	}
	free(m->items);
	*m = larger;
}

int
strmap_get(const StrMap *m, const char *key)
{
	const StrMapItem *item = m->cap > 0 ? find(m, key) : NULL;

	return item && item->key ? item->value : STRMAP_NONE;
}

void
strmap_put(StrMap *m, const char *key, int value)
{
	StrMapItem *item;

	if (m->n * 2 >= m->cap)
		grow(m);
	item = find(m, key);
	if (!item->key)
	{
		item->key = xstrdup(key);
		m->n++;
	}
	item->value = value;
}

void
strmap_done(StrMap *m)
{
	for (int i = 0; i < m->cap; i++)
		free(m->items[i].key);
	free(m->items);
	*m = (StrMap){ 0 };
}
