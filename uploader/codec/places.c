/*-------------------------------------------------------------------------
 * places.c
 *	  Places of rows in few bytes.
 *
 * A place is two numbers of seven bits a byte: by how much the LSN grew, and
 * the ordinal, or where the LSN did not grow, by how much that did.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/places.h"

#include <stdlib.h>

#include "base/mem.h"

int
place_compare(Place a, Place b)
{
	if (a.lsn != b.lsn)
		return a.lsn < b.lsn ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

void
places_init(Places *p)
{
	*p = (Places){ 0 };
	buf_init(&p->bytes, SIZE_MAX / 2);
}

void
places_done(Places *p)
{
	buf_done(&p->bytes);
}

static void
add_number(Buf *b, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_byte(b, (uint8_t) (n | 0x80));
	buf_byte(b, (uint8_t) n);
}

static uint64_t
take_number(Slice *s)
{
	uint64_t n = 0;
	int shift = 0;

	while (s->n > 0)
	{
		uint8_t c = *s->p++;

		s->n--;
		n |= (uint64_t) (c & 0x7f) << shift;
		if (c < 0x80)
			break;
		shift += 7;
	}
	return n;
}

void
places_add(Places *p, Place at)
{
	uint64_t grown = at.lsn - p->last.lsn;

	add_number(&p->bytes, grown);
	add_number(&p->bytes, (uint64_t) (grown ? at.seq : at.seq - p->last.seq));
	p->last = at;
}

void
places_read(const Places *p, PlacesReader *out)
{
	*out = (PlacesReader){ .rest = buf_slice(&p->bytes) };
}

bool
places_next(PlacesReader *r)
{
	uint64_t grown;
	int64_t seq;

	if (r->rest.n == 0)
		return false;
	grown = take_number(&r->rest);
	seq = (int64_t) take_number(&r->rest);
	r->at.seq = grown ? seq : r->at.seq + seq;
	r->at.lsn += grown;
	return true;
}

/* A heap of readers, the least place first. */
typedef struct Heap
{
	PlacesReader *readers;
	int *at; /* which readers, as a heap */
	int n;
} Heap;

static bool
less(const Heap *h, int a, int b)
{
	return place_compare(h->readers[h->at[a]].at, h->readers[h->at[b]].at) < 0;
}

static void
sift(Heap *h, int i)
{
	for (;;)
	{
		int least = i;
		int swap;

		for (int child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < h->n && less(h, child, least))
				least = child;
		if (least == i)
			return;
		swap = h->at[i];
		h->at[i] = h->at[least];
		h->at[least] = swap;
		i = least;
	}
}

static bool
find_twice(Heap *h, Place *out, int *out_a, int *out_b)
{
	Place before = { 0, -1 };
	int which = -1;

	while (h->n > 0)
	{
		int i = h->at[0];

		if (which >= 0 && place_compare(before, h->readers[i].at) == 0)
		{
			*out = before;
			*out_a = which;
			*out_b = i;
			return true;
		}
		before = h->readers[i].at;
		which = i;
		if (!places_next(&h->readers[i]))
			h->at[0] = h->at[--h->n];
		sift(h, 0);
	}
	return false;
}

bool
places_twice(const Places *const *lists, int n, Place *out, int *out_a,
			 int *out_b)
{
	Heap h = { .readers = xcalloc((size_t) n + 1, sizeof(PlacesReader)),
			   .at = xcalloc((size_t) n + 1, sizeof(int)) };
	bool found;

	for (int i = 0; i < n; i++)
	{
		places_read(lists[i], &h.readers[i]);
		if (places_next(&h.readers[i]))
			h.at[h.n++] = i;
	}
	for (int i = h.n / 2; i-- > 0;)
		sift(&h, i);
	found = find_twice(&h, out, out_a, out_b);
	free(h.readers);
	free(h.at);
	return found;
}
