/*-------------------------------------------------------------------------
 * parquet_page.c
 *	  Reads one leaf's column chunk, slot by slot.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_page.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/parquet_delta.h"
#include "codec/row.h"

/* parquet.thrift: PageType. */
enum
{
	DATA_PAGE = 0,
	DICTIONARY_PAGE = 2
};

typedef struct PageHeader
{
	int32_t type;
	int32_t uncompressed;
	int32_t compressed;
	int32_t slots;
	int32_t encoding;
	int32_t def_encoding;
	int32_t rep_encoding;
} PageHeader;

static bool
damaged(const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "a page is damaged: %s", what);
}

/* ---- memory ---- */

static void
memory_free(LeafReader *l, PageMemory *m)
{
	l->share->held -= m->cap;
	free(m->p);
	*m = (PageMemory){ NULL, 0 };
}

static bool
memory_room(LeafReader *l, PageMemory *m, size_t n, Err *err)
{
	if (n <= m->cap)
		return true;
	memory_free(l, m);
	if (n > l->share->held_max - l->share->held)
		return err_set(err, ERR_LIMIT, 0,
					   "pages of a row group are longer than %zu bytes",
					   l->share->held_max);
	m->p = xmalloc(n);
	m->cap = n;
	l->share->held += n;
	return true;
}

void
leaf_init(LeafReader *l, const ParquetLeaf *leaf, PageShare *share)
{
	*l = (LeafReader){ .leaf = leaf, .share = share };
}

void
leaf_done(LeafReader *l)
{
	memory_free(l, &l->page);
	memory_free(l, &l->numbers);
	memory_free(l, &l->dict_page);
	free(l->dict_at);
	l->dict_at = NULL;
}

void
leaf_open(LeafReader *l, const ChunkInfo *chunk)
{
	l->chunk = *chunk;
	l->at = 0;
	l->slots = chunk->slots;
	l->page_left = 0;
	l->ndict = 0;
	l->dict = (Slice){ NULL, 0 };
	l->loaded = false;
}

/* ---- headers ---- */

static bool
read_page_part(ThriftIn *t, ThriftType type, bool dictionary, PageHeader *h,
			   Err *err)
{
	int id;

	if (!thrift_read_struct(t, type, err))
		return false;
	for (;;)
	{
		bool ok;

		if (!thrift_field(t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			return true;
		ok = id == 1   ? thrift_read_i32(t, type, &h->slots, err)
			 : id == 2 ? thrift_read_i32(t, type, &h->encoding, err)
			 : id == 3 && !dictionary
				 ? thrift_read_i32(t, type, &h->def_encoding, err)
			 : id == 4 && !dictionary
				 ? thrift_read_i32(t, type, &h->rep_encoding, err)
				 : thrift_skip(t, type, err);
		if (!ok)
			return false;
	}
}

static bool
read_header(LeafReader *l, PageHeader *h, Err *err)
{
	Slice rest = { l->chunk.bytes.p + l->at, l->chunk.bytes.n - l->at };
	ThriftType type;
	ThriftIn t;
	int id;

	*h = (PageHeader){ -1, -1, -1, -1, -1, ENCODING_RLE, ENCODING_RLE };
	thrift_in(&t, rest);
	for (;;)
	{
		bool ok;

		if (!thrift_field(&t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			break;
		ok = id == 1   ? thrift_read_i32(&t, type, &h->type, err)
			 : id == 2 ? thrift_read_i32(&t, type, &h->uncompressed, err)
			 : id == 3 ? thrift_read_i32(&t, type, &h->compressed, err)
			 : id == 5 || id == 7 ? read_page_part(&t, type, id == 7, h, err)
								  : thrift_skip(&t, type, err);
		if (!ok)
			return false;
	}
	l->at += thrift_used(&t);
	if (h->compressed < 0 || h->uncompressed < 0 || h->slots < 0 ||
		(size_t) h->compressed > l->chunk.bytes.n - l->at)
		return damaged("its header", err);
	return true;
}

/* The page's bytes, in memory or where they stand. */
static bool
read_body(LeafReader *l, const PageHeader *h, PageMemory *m, Slice *out,
		  Err *err)
{
	Slice stored = { l->chunk.bytes.p + l->at, (size_t) h->compressed };
	size_t n = (size_t) h->uncompressed;

	l->at += stored.n;
	if (l->chunk.codec == COMPRESS_NONE)
	{
		*out = stored;
		return stored.n == n || damaged("its length", err);
	}
	if (!memory_room(l, m, n ? n : 1, err))
		return false;
	*out = (Slice){ m->p, n };
	return codec_decompress(&l->share->codecs[l->chunk.codec], stored, m->p, n,
							err);
}

/* ---- dictionary ---- */

static bool
index_dictionary(LeafReader *l, Err *err)
{
	const uint8_t *p = l->dict.p;
	size_t left = l->dict.n;
	size_t width = parquet_width(l->leaf);

	if (width > 0)
		return left / width >= l->ndict || damaged("its dictionary", err);
	if (left / 4 < l->ndict)
		return damaged("its dictionary", err);
	if (l->dict_cap < l->ndict)
	{
		l->dict_cap = l->ndict;
		l->dict_at =
			xrealloc(l->dict_at, (size_t) l->ndict * sizeof(*l->dict_at));
	}
	for (uint32_t i = 0; i < l->ndict; i++)
	{
		uint32_t n;

		if (left < 4)
			return damaged("its dictionary", err);
		n = get_u32(p);
		if (n > left - 4)
			return damaged("its dictionary", err);
		l->dict_at[i] = (uint32_t) (p - l->dict.p);
		p += 4 + (size_t) n;
		left -= 4 + (size_t) n;
	}
	return true;
}

static bool
read_dictionary(LeafReader *l, const PageHeader *h, Err *err)
{
	if (l->dict.p || l->leaf->physical == PARQUET_BOOLEAN ||
		(h->encoding != ENCODING_PLAIN &&
		 h->encoding != ENCODING_PLAIN_DICTIONARY))
		return damaged("its dictionary", err);
	if (!read_body(l, h, &l->dict_page, &l->dict, err))
		return false;
	l->ndict = (uint32_t) h->slots;
	return index_dictionary(l, err);
}

/* ---- data pages ---- */

static bool
open_levels(Slice *body, RleIn *levels, int max, Err *err)
{
	uint32_t n;

	rle_in(levels, (Slice){ NULL, 0 }, rle_bits((uint32_t) max));
	if (max == 0)
		return true;
	if (body->n < 4)
		return damaged("its levels", err);
	n = get_u32(body->p);
	if (n > body->n - 4)
		return damaged("its levels", err);
	rle_in(levels, (Slice){ body->p + 4, n }, rle_bits((uint32_t) max));
	body->p += 4 + (size_t) n;
	body->n -= 4 + (size_t) n;
	return true;
}

/* Differences to PLAIN bytes; there are as many as slots have values. */
static bool
open_numbers(LeafReader *l, Slice body, Err *err)
{
	size_t width = parquet_width(l->leaf);
	uint64_t n = 0;

	if (l->leaf->physical != PARQUET_INT32 &&
		l->leaf->physical != PARQUET_INT64)
		return damaged("its encoding", err);
	if (!delta_count(body, &n, err))
		return false;
	if (n > l->page_left)
		return damaged("its number of values", err);
	if (!memory_room(l, &l->numbers, (size_t) n * width + 1, err) ||
		!delta_decode(body, width, l->numbers.p, err))
		return false;
	l->p = l->numbers.p;
	l->end = l->p + n * width;
	return true;
}

static bool
open_data(LeafReader *l, const PageHeader *h, Err *err)
{
	Slice body = { NULL, 0 };

	if (h->slots == 0 || (uint64_t) h->slots > l->slots)
		return damaged("its number of values", err);
	if (h->def_encoding != ENCODING_RLE || h->rep_encoding != ENCODING_RLE)
		return damaged("its encoding", err);
	if (!read_body(l, h, &l->page, &body, err) ||
		!open_levels(&body, &l->rep, l->leaf->max_rep, err) ||
		!open_levels(&body, &l->def, l->leaf->max_def, err))
		return false;
	l->slots -= (uint64_t) h->slots;
	l->page_left = (uint64_t) h->slots;
	l->p = body.p;
	l->end = body.n ? body.p + body.n : body.p;
	l->bit = 0;
	l->indices = h->encoding == ENCODING_RLE_DICTIONARY ||
				 h->encoding == ENCODING_PLAIN_DICTIONARY;
	if (h->encoding == ENCODING_DELTA_BINARY_PACKED)
		return open_numbers(l, body, err);
	if (!l->indices)
		return h->encoding == ENCODING_PLAIN || damaged("its encoding", err);
	if (body.n == 0 || body.p[0] > 32 || !l->dict.p)
		return damaged("its indices", err);
	rle_in(&l->index, (Slice){ body.p + 1, body.n - 1 }, body.p[0]);
	return true;
}

static bool
open_page(LeafReader *l, Err *err)
{
	PageHeader h;

	for (;;)
	{
		if (!read_header(l, &h, err))
			return false;
		if (h.type == DATA_PAGE)
			return open_data(l, &h, err);
		if (h.type != DICTIONARY_PAGE)
			return damaged("its type", err);
		if (!read_dictionary(l, &h, err))
			return false;
	}
}

/* ---- slots ---- */

bool
leaf_peek(LeafReader *l, bool *out_end, Err *err)
{
	*out_end = false;
	if (l->loaded)
		return true;
	if (l->page_left == 0)
	{
		if (l->slots == 0)
		{
			*out_end = true;
			return true;
		}
		if (!open_page(l, err))
			return false;
	}
	l->next_rep = l->next_def = 0;
	if (l->leaf->max_rep > 0 && !rle_next(&l->rep, &l->next_rep))
		return damaged("its levels", err);
	if (l->leaf->max_def > 0 && !rle_next(&l->def, &l->next_def))
		return damaged("its levels", err);
	if (l->next_rep > l->leaf->max_rep || l->next_def > l->leaf->max_def)
		return damaged("its levels", err);
	l->loaded = true;
	return true;
}

static bool
take_index(LeafReader *l, Slice *out, Err *err)
{
	size_t width = parquet_width(l->leaf);
	uint32_t i;

	if (!rle_next(&l->index, &i) || i >= l->ndict)
		return damaged("its indices", err);
	if (width > 0)
		*out = (Slice){ l->dict.p + i * width, width };
	else
	{
		const uint8_t *p = l->dict.p + l->dict_at[i];

		*out = (Slice){ p + 4, get_u32(p) };
	}
	return true;
}

static bool
take_bit(LeafReader *l, Slice *out, Err *err)
{
	static const uint8_t bits[2] = { 0, 1 };

	if (l->p == l->end)
		return damaged("its values", err);
	*out = (Slice){ &bits[*l->p >> l->bit & 1], 1 };
	l->bit = (l->bit + 1) & 7;
	l->p += l->bit == 0;
	return true;
}

bool
leaf_take(LeafReader *l, Slice *out, Err *err)
{
	size_t left = (size_t) (l->end - l->p);
	size_t n = parquet_width(l->leaf);

	l->loaded = false;
	l->page_left--;
	if (l->next_def != l->leaf->max_def)
		return true;
	if (l->indices)
		return take_index(l, out, err);
	if (l->leaf->physical == PARQUET_BOOLEAN)
		return take_bit(l, out, err);
	if (n == 0)
	{
		if (left < 4)
			return damaged("its values", err);
		n = get_u32(l->p);
		l->p += 4;
		left -= 4;
	}
	if (n > left)
		return damaged("its values", err);
	*out = (Slice){ l->p, n };
	l->p += n;
	return true;
}
