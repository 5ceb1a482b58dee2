/*-------------------------------------------------------------------------
 * merge_window.c
 *	  Changes on their way to a staging table.
 *
 * Items lie in order in one array, their rows and keys in two buffers.  Those
 * before "head" have left, dead ones will not.  Half of the room is for what
 * is here, the other half fills with what is over; then all is moved
 * together, so that each byte is moved about once.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ROW_MAX_BYTES ((size_t) 4 * 1024 * 1024 * 1024)
#define LEAVE_BYTES ((size_t) 64 * 1024) /* leave at a time */
#define KEEP_MAX_BYTES ((size_t) 64 * 1024 * 1024)
#define ITEMS_MIN 64
#define ITEMS_MAX (64 * 1024)
#define ITEM_BYTES 64 /* a row is seldom shorter */
#define SEEN_MIN 1024
#define HOT_CHANGES 1024 /* changes that are looked at together */

typedef struct WindowItem
{
	size_t row;
	size_t nrow;
	size_t key;
	size_t nkey;
	uint64_t hash;
	const void *of; /* its rows are made later; NULL: they are there */
	int64_t number;
	bool dead;
} WindowItem;

struct Window
{
	size_t max;
	WindowSink sink;
	void *arg;
	WindowMake make;
	void *make_arg;
	Buf rows;
	Buf keys;
	WindowItem *items;
	int cap;
	int n;
	int head;    /* those before it have left */
	int fence;   /* those before it are never left out */
	int here;    /* that have not left and are not dead: */
	size_t live; /* and their bytes */
	bool keep_all;
	int64_t dropped;
	int added; /* of HOT_CHANGES, */
	int over;  /* that wrote over others */
	bool hot;
	int map_cap; /* a power of two, at least twice cap */
	int *map;    /* place of a key's last item, plus one; 0: free */
	bool distinct;
	size_t nseen;
	size_t seen_cap;
	uint64_t *seen; /* hashes of keys, 0: free */
};

Window *
window_new(size_t max_bytes, WindowSink sink, void *arg)
{
	Window *w = xcalloc(1, sizeof(*w));
	size_t cap = max_bytes / ITEM_BYTES;

	w->max = max_bytes;
	w->sink = sink;
	w->arg = arg;
	buf_init(&w->rows, ROW_MAX_BYTES);
	buf_init(&w->keys, ROW_MAX_BYTES);
	w->map_cap = 2 * ITEMS_MIN;
	w->cap = ITEMS_MIN;
	while (w->cap < ITEMS_MAX && (size_t) w->cap < cap)
	{
		w->cap *= 2;
		w->map_cap *= 2;
	}
	w->items = xcalloc((size_t) w->cap, sizeof(*w->items));
	w->map = xcalloc((size_t) w->map_cap, sizeof(*w->map));
	w->seen_cap = SEEN_MIN;
	w->seen = xcalloc(w->seen_cap, sizeof(*w->seen));
	w->distinct = true;
	return w;
}

void
window_free(Window *w)
{
	if (!w)
		return;
	buf_done(&w->rows);
	buf_done(&w->keys);
	free(w->items);
	free(w->map);
	free(w->seen);
	free(w);
}

/* Spreads keys that are alike: numbers in a row, texts with one beginning. */
static uint64_t
hash_key(Slice key)
{
	uint64_t h = UINT64_C(0x9E3779B97F4A7C15) ^ key.n;
	size_t at = 0;

	while (at < key.n)
	{
		uint64_t word = 0;
		size_t n = key.n - at < sizeof(word) ? key.n - at : sizeof(word);

		memcpy(&word, key.p + at, n);
		h = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
		h ^= h >> 32;
		at += n;
	}
	h *= UINT64_C(0xD6E8FEB86659FD93);
	h ^= h >> 29;
	return h ? h : 1;
}

/* ---- keys that were seen ---- */

static void
forget_seen(Window *w)
{
	w->distinct = false;
	free(w->seen);
	w->seen = NULL;
}

static void
put_seen(uint64_t *seen, size_t cap, uint64_t hash)
{
	size_t at = hash & (cap - 1);

	while (seen[at])
		at = (at + 1) & (cap - 1);
	seen[at] = hash;
}

/* False where there is no more room. */
static bool
grow_seen(Window *w)
{
	size_t cap = w->seen_cap * 2;
	uint64_t *seen;

	if (cap * sizeof(*seen) > w->max)
		return false;
	seen = xcalloc(cap, sizeof(*seen));
	for (size_t i = 0; i < w->seen_cap; i++)
	{
		if (w->seen[i])
			put_seen(seen, cap, w->seen[i]);
	}
	free(w->seen);
	w->seen = seen;
	w->seen_cap = cap;
	return true;
}

static void
note_seen(Window *w, uint64_t hash)
{
	size_t at;

	if (!w->distinct)
		return;
	if (w->nseen >= w->seen_cap / 4 * 3 && !grow_seen(w))
	{
		forget_seen(w);
		return;
	}
	for (at = hash & (w->seen_cap - 1); w->seen[at];
		 at = (at + 1) & (w->seen_cap - 1))
	{
		if (w->seen[at] == hash)
		{
			forget_seen(w);
			return;
		}
	}
	w->seen[at] = hash;
	w->nseen++;
}

/* ---- what is here ---- */

static Slice
key_of(const Window *w, const WindowItem *i)
{
	return (Slice){ w->keys.p + i->key, i->nkey };
}

/* The place of the key in the map, or a free one. */
static int
map_place(const Window *w, uint64_t hash, Slice key)
{
	int at = (int) (hash & (uint64_t) (w->map_cap - 1));

	for (; w->map[at]; at = (at + 1) & (w->map_cap - 1))
	{
		const WindowItem *i = &w->items[w->map[at] - 1];
		Slice k = key_of(w, i);

		if (i->hash == hash && k.n == key.n && memcmp(k.p, key.p, k.n) == 0)
			break;
	}
	return at;
}

static void
gone(Window *w, const WindowItem *i)
{
	w->here--;
	w->live -= i->nrow + i->nkey;
}

/* The oldest goes, whose rows are not made yet. */
static bool
leave_late(Window *w, Err *err)
{
	const WindowItem *i = &w->items[w->head];
	WindowLine late = { { w->rows.p + i->row, i->nrow }, i->of, i->number };
	Slice rows;

	gone(w, i);
	w->head++;
	return w->make(w->make_arg, &late, &rows, err) &&
		   w->sink(w->arg, rows, err);
}

/* Lets the oldest go: want bytes or a bit more. */
static bool
leave(Window *w, size_t want, Err *err)
{
	size_t left = 0;

	while (w->head < w->n && left < want)
	{
		const WindowItem *first = &w->items[w->head];
		Slice run = { w->rows.p + first->row, 0 };

		/* neighbours go in one piece */
		while (w->head < w->n && run.n < LEAVE_BYTES)
		{
			const WindowItem *i = &w->items[w->head];

			if (i->dead || i->of)
				break;
			run.n += i->nrow;
			gone(w, i);
			w->head++;
		}
		while (w->head < w->n && w->items[w->head].dead)
			w->head++;
		left += run.n;
		if (run.n > 0 && !w->sink(w->arg, run, err))
			return false;
		if (w->head == w->n || !w->items[w->head].of)
			continue;
		left += w->items[w->head].nrow;
		if (!leave_late(w, err))
			return false;
	}
	return true;
}

static void
empty(Buf *b, size_t n)
{
	b->n = n;
	if (n == 0 && b->cap > KEEP_MAX_BYTES) /* of a long row */
		buf_done(b);
}

/* Moves together what is here. */
static void
compact(Window *w)
{
	size_t row = 0;
	size_t key = 0;
	int fence = 0;
	int n = 0;

	memset(w->map, 0, (size_t) w->map_cap * sizeof(*w->map));
	for (int k = w->head; k < w->n; k++)
	{
		WindowItem i = w->items[k];

		if (i.dead)
			continue;
		memmove(w->rows.p + row, w->rows.p + i.row, i.nrow);
		if (i.nkey > 0)
			memmove(w->keys.p + key, w->keys.p + i.key, i.nkey);
		i.row = row;
		i.key = key;
		row += i.nrow;
		key += i.nkey;
		w->items[n] = i;
		n++;
		if (k < w->fence)
			fence = n;
		else
			w->map[map_place(w, i.hash, key_of(w, &i))] = n;
	}
	w->head = 0;
	w->n = n;
	w->fence = fence;
	empty(&w->rows, row);
	empty(&w->keys, key);
}

/* A change of the key that is here and has no fence behind it goes. */
static void
write_over(Window *w, int place, uint64_t hash)
{
	int at = w->map[place] - 1;

	if (at < w->head || at < w->fence || w->keep_all)
	{
		note_seen(w, hash);
		return;
	}
	w->items[at].dead = true;
	gone(w, &w->items[at]);
	w->dropped++;
	w->over++;
}

static void
note_heat(Window *w)
{
	if (++w->added < HOT_CHANGES)
		return;
	w->hot = w->over >= HOT_CHANGES / 2;
	w->added = w->over = 0;
}

static bool
make_room(Window *w, Err *err)
{
	while (w->head < w->n && (w->live > w->max / 2 || w->here > w->cap / 2))
	{
		if (!leave(w, LEAVE_BYTES < w->max / 4 ? LEAVE_BYTES : w->max / 4 + 1,
				   err))
			return false;
	}
	if (w->n == w->cap || w->rows.n + w->keys.n > w->max)
		compact(w);
	return true;
}

static bool
add(Window *w, Slice rows, Slice key, bool fence, Err *err)
{
	WindowItem *i = &w->items[w->n];

	i->row = w->rows.n;
	i->nrow = rows.n;
	i->key = w->keys.n;
	i->nkey = key.n;
	i->hash = hash_key(key);
	i->dead = false;
	buf_add(&w->rows, rows.p, rows.n);
	buf_add(&w->keys, key.p, key.n);
	if (w->rows.overflow || w->keys.overflow)
		return err_set(err, ERR_LIMIT, 0, "the record is too long");
	if (!fence)
	{
		int place = map_place(w, i->hash, key);

		write_over(w, place, i->hash);
		w->map[place] = w->n + 1;
	}
	w->n++;
	w->here++;
	w->live += rows.n + key.n;
	if (fence)
		window_fence(w);
	note_heat(w);
	return make_room(w, err);
}

bool
window_add(Window *w, Slice rows, Slice key, bool fence, Err *err)
{
	w->items[w->n].of = NULL;
	return add(w, rows, key, fence, err);
}

bool
window_add_line(Window *w, const WindowLine *late, Slice key, Err *err)
{
	w->items[w->n].of = late->of;
	w->items[w->n].number = late->number;
	return add(w, late->line, key, false, err);
}

void
window_make_by(Window *w, WindowMake make, void *arg)
{
	w->make = make;
	w->make_arg = arg;
}

bool
window_is_hot(const Window *w)
{
	return w->hot;
}

void
window_fence(Window *w)
{
	w->fence = w->n;
	if (w->distinct)
		forget_seen(w);
}

void
window_keep_all(Window *w)
{
	w->keep_all = true;
}

bool
window_flush(Window *w, Err *err)
{
	return leave(w, SIZE_MAX, err);
}

bool
window_distinct(const Window *w)
{
	return w->distinct;
}

int64_t
window_dropped(const Window *w)
{
	return w->dropped;
}
