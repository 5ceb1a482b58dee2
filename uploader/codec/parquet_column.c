/*-------------------------------------------------------------------------
 * parquet_column.c
 *	  One leaf of the open row group.
 *
 * Invariants:
 *	(1) Levels of all records before "records" are in pages or in the page
 *		that grows.
 *	(2) A page begins with a record, so that the page index tells its first.
 *	(3) Where no_dict is false, "values" holds indices, and all of them are
 *		of this dictionary.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_column.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/parquet_delta.h"
#include "codec/parquet_value.h"

#define PAGE_ROWS 20000
#define PAGE_MAX ((size_t) INT32_MAX)
#define DICT_TRY 1024       /* values, after which a dictionary has to pay */
#define DICT_BYTES_FACTOR 2 /* of a page, that a dictionary may be long */
#define SCRATCH_KEEP ((size_t) 1 << 20)

/* parquet.thrift: PageType. */
enum
{
	DATA_PAGE = 0,
	DICTIONARY_PAGE = 2
};

static void
begin_page(ParquetColumn *c)
{
	buf_reset(&c->values);
	buf_reset(&c->defs);
	buf_reset(&c->reps);
	rle_begin(&c->def, &c->defs, rle_bits(c->leaf->max_def));
	rle_begin(&c->rep, &c->reps, rle_bits(c->leaf->max_rep));
	c->first = c->records;
	c->slots = c->nvalues = c->bytes = 0;
	stats_reset(&c->page);
}

ParquetColumn *
column_new(const ParquetLeaf *leaf, size_t page_bytes)
{
	ParquetColumn *c = xcalloc(1, sizeof(*c));

	c->leaf = leaf;
	c->page_bytes = page_bytes;
	c->no_dict = leaf->physical == PARQUET_BOOLEAN;
	buf_init(&c->values, PAGE_MAX);
	buf_init(&c->defs, PAGE_MAX);
	buf_init(&c->reps, PAGE_MAX);
	buf_init(&c->pages, SIZE_MAX);
	buf_init(&c->notes, SIZE_MAX);
	dict_init(&c->dict, parquet_width(leaf));
	begin_page(c);
	return c;
}

void
column_free(ParquetColumn *c)
{
	if (!c)
		return;
	buf_done(&c->values);
	buf_done(&c->defs);
	buf_done(&c->reps);
	buf_done(&c->pages);
	buf_done(&c->notes);
	stats_done(&c->page);
	stats_done(&c->stats);
	dict_done(&c->dict);
	free(c);
}

size_t
column_memory(const ParquetColumn *c)
{
	return sizeof(*c) + c->values.cap + c->defs.cap + c->reps.cap +
		   c->pages.cap + c->notes.cap + dict_memory(&c->dict) +
		   (c->page.bounds ? 2 * sizeof(ParquetBound) : 0) +
		   (c->stats.bounds ? 2 * sizeof(ParquetBound) : 0);
}

/* ---- values ---- */

static void
put_plain(ParquetColumn *c, Slice value)
{
	uint8_t head[4];

	if (parquet_width(c->leaf) == 0)
	{
		parquet_put32(head, (uint32_t) value.n);
		buf_add(&c->values, head, sizeof(head));
	}
	buf_add(&c->values, value.p, value.n);
}

/* The page that grows, from indices to PLAIN. */
static void
give_up_dict(ParquetColumn *c)
{
	Buf indices = c->values;

	buf_init(&c->values, PAGE_MAX);
	c->no_dict = true;
	for (size_t i = 0; i + 4 <= indices.n; i += 4)
		put_plain(c, dict_value(&c->dict, get_u32(indices.p + i)));
	buf_done(&indices);
	if (c->dict_pages == 0)
		dict_done(&c->dict);
}

/* Looked at with each value: too long, or of the first ones all are new. */
static bool
dict_pays(const ParquetColumn *c)
{
	if (c->dict.plain.n > DICT_BYTES_FACTOR * c->page_bytes)
		return false;
	return c->nvalues != DICT_TRY || c->npages > 0 ||
		   c->dict.n < DICT_TRY - DICT_TRY / 100;
}

/*
 * At the end of the first page.  If it is the only one, its length counts;
 * else values that come again will come again.
 */
static bool
dict_paid(const ParquetColumn *c, bool only)
{
	uint64_t bits = (uint64_t) rle_bits(c->dict.n);

	if (only)
		return c->dict.plain.n + c->nvalues * bits / 8 < c->bytes;
	return c->dict.n < c->nvalues / 4 * 3;
}

static void
put_value(ParquetColumn *c, Slice value)
{
	uint8_t index[4];
	uint32_t last = c->dict.last;
	bool again = false;

	parquet_first_room(&c->values);
	if (c->no_dict)
		put_plain(c, value);
	else
	{
		uint32_t i = dict_index(&c->dict, value);

		again = i == last && c->page.any;
		parquet_put32(index, i);
		buf_add(&c->values, index, sizeof(index));
	}
	c->nvalues++;
	c->bytes += value.n + (parquet_width(c->leaf) ? 0 : 4);
	if (!again && c->leaf->ordered)
		stats_add(&c->page, c->leaf, value);
	if (!c->no_dict && !dict_pays(c))
		give_up_dict(c);
}

/* ---- pages ---- */

void
column_put_header(Buf *out, bool dictionary, size_t uncompressed,
				  size_t compressed, uint64_t slots, ParquetEncoding encoding)
{
	ThriftOut t;

	thrift_out(&t, out);
	thrift_i32(&t, 1, dictionary ? DICTIONARY_PAGE : DATA_PAGE);
	thrift_i32(&t, 2, (int32_t) uncompressed);
	thrift_i32(&t, 3, (int32_t) compressed);
	thrift_struct(&t, dictionary ? 7 : 5);
	thrift_i32(&t, 1, (int32_t) slots);
	thrift_i32(&t, 2, encoding);
	if (!dictionary)
	{
		thrift_i32(&t, 3, ENCODING_RLE);
		thrift_i32(&t, 4, ENCODING_RLE);
	}
	thrift_stop(&t);
	thrift_stop(&t);
}

/* A page that is in s->body goes to out; its size with the header. */
static bool
put_page(Buf *out, bool dictionary, uint64_t slots, ParquetEncoding encoding,
		 ParquetScratch *s, size_t *out_size, uint64_t *out_plain, Err *err)
{
	Slice body = buf_slice(&s->body);
	Slice stored = body;
	size_t start = out->n;
	size_t head;

	if (s->body.overflow || slots > INT32_MAX)
		return err_set(err, ERR_LIMIT, 0, "a page is longer than %d bytes",
					   INT32_MAX);
	if (s->codec.kind != COMPRESS_NONE)
	{
		buf_reset(&s->compressed);
		if (!codec_compress(&s->codec, body, &s->compressed, err))
			return false;
		stored = buf_slice(&s->compressed);
	}
	column_put_header(out, dictionary, body.n, stored.n, slots, encoding);
	head = out->n - start;
	buf_add(out, stored.p, stored.n);
	*out_size = out->n - start;
	*out_plain = head + body.n;
	if (s->compressed.cap > SCRATCH_KEEP)
		buf_done(&s->compressed);
	if (s->body.cap > SCRATCH_KEEP)
		buf_done(&s->body);
	return true;
}

/* Levels have their length before them. */
static void
add_levels(Buf *body, RleOut *levels, const Buf *bytes)
{
	uint8_t head[4];

	if (levels->bits == 0)
		return;
	rle_end(levels);
	parquet_put32(head, (uint32_t) bytes->n);
	buf_add(body, head, sizeof(head));
	buf_add(body, bytes->p, bytes->n);
}

static void
add_indices(const ParquetColumn *c, Buf *body)
{
	int bits = rle_bits(c->dict.n > 1 ? c->dict.n - 1 : 1);
	RleOut out;

	buf_byte(body, (uint8_t) bits);
	rle_begin(&out, body, bits);
	for (size_t i = 0; i < c->values.n; i += 4)
		rle_add(&out, get_u32(c->values.p + i));
	rle_end(&out);
}

static void
add_bits(const ParquetColumn *c, Buf *body)
{
	for (size_t i = 0; i < c->values.n; i += 8)
	{
		uint8_t byte = 0;

		for (size_t k = i; k < c->values.n && k < i + 8; k++)
			byte |= (uint8_t) ((c->values.p[k] != 0) << (k - i));
		buf_byte(body, byte);
	}
}

static void
add_note(ParquetColumn *c, size_t size)
{
	PageNote note = { .first_row = c->first,
					  .nulls = c->slots - c->nvalues,
					  .size = (uint32_t) size,
					  .null_page = c->nvalues == 0 };
	ParquetBound min = { 0 };
	ParquetBound max = { 0 };
	bool exact;

	if (!note.null_page && (!stats_min(&c->page, c->leaf, &min, &exact) ||
							!stats_max(&c->page, c->leaf, &max, &exact)))
		c->no_index = true;
	note.min_n = min.n;
	note.max_n = max.n;
	parquet_first_room(&c->notes);
	buf_add(&c->notes, &note, sizeof(note));
	buf_add(&c->notes, min.p, min.n);
	buf_add(&c->notes, max.p, max.n);
}

/* The values of the page that are not indices. */
static ParquetEncoding
add_values(const ParquetColumn *c, Buf *body)
{
	size_t start = body->n;

	if (c->leaf->physical == PARQUET_BOOLEAN)
	{
		add_bits(c, body);
		return ENCODING_PLAIN;
	}
	if (c->leaf->delta && c->nvalues > 0)
	{
		delta_encode(buf_slice(&c->values), parquet_width(c->leaf), body);
		if (body->n - start < c->values.n)
			return ENCODING_DELTA_BINARY_PACKED;
		body->n = start;
	}
	buf_add(body, c->values.p, c->values.n);
	return ENCODING_PLAIN;
}

/* Are differences shorter than the first page's indices and dictionary? */
static bool
delta_beats_dict(const ParquetColumn *c, Buf *scratch)
{
	size_t dict = c->dict.plain.n +
				  (size_t) c->nvalues * (size_t) rle_bits(c->dict.n) / 8;
	Buf plain;

	if (!c->leaf->delta)
		return false;
	buf_init(&plain, PAGE_MAX);
	for (size_t i = 0; i < c->values.n; i += 4)
	{
		Slice v = dict_value(&c->dict, get_u32(c->values.p + i));

		buf_add(&plain, v.p, v.n);
	}
	buf_reset(scratch);
	delta_encode(buf_slice(&plain), parquet_width(c->leaf), scratch);
	buf_done(&plain);
	return scratch->n < dict;
}

static bool
end_page(ParquetColumn *c, bool last, ParquetScratch *s, Err *err)
{
	ParquetEncoding encoding = ENCODING_RLE_DICTIONARY;
	uint64_t plain;
	size_t size;

	if (!c->no_dict && c->npages == 0 && c->nvalues > 0 &&
		(!dict_paid(c, last) || delta_beats_dict(c, &s->body)))
		give_up_dict(c);
	buf_reset(&s->body);
	add_levels(&s->body, &c->rep, &c->reps);
	add_levels(&s->body, &c->def, &c->defs);
	if (!c->no_dict && c->nvalues > 0)
		add_indices(c, &s->body);
	else
		encoding = add_values(c, &s->body);
	if (c->values.overflow || c->dict.plain.overflow)
		return err_set(err, ERR_LIMIT, 0, "a page is longer than %d bytes",
					   INT32_MAX);
	if (!put_page(&c->pages, false, c->slots, encoding, s, &size, &plain, err))
		return false;
	add_note(c, size);
	c->npages++;
	c->dict_pages += encoding == ENCODING_RLE_DICTIONARY;
	c->plain_pages += encoding == ENCODING_PLAIN;
	c->delta_pages += encoding == ENCODING_DELTA_BINARY_PACKED;
	c->plain_bytes += plain;
	c->chunk_slots += c->slots;
	c->nulls += c->slots - c->nvalues;
	stats_merge(&c->stats, c->leaf, &c->page);
	if (c->values.cap > 2 * c->page_bytes)
		buf_done(&c->values);
	begin_page(c);
	return true;
}

/* Records up to this one that had no slot. */
static void
fill_up(ParquetColumn *c, uint64_t record)
{
	uint64_t n = record - c->records;

	rle_add_run(&c->def, 0, n);
	rle_add_run(&c->rep, 0, n);
	c->slots += n;
	c->records = record;
}

bool
column_put(ParquetColumn *c, uint64_t record, int rep, int def, Slice value,
		   ParquetScratch *s, Err *err)
{
	if (rep == 0)
	{
		if (record > c->records)
			fill_up(c, record);
		if ((c->bytes >= c->page_bytes || c->slots >= PAGE_ROWS) &&
			!end_page(c, false, s, err))
			return false;
		c->records = record + 1;
	}
	if (c->rep.bits > 0)
		rle_add(&c->rep, (uint32_t) rep);
	if (c->def.bits > 0)
		rle_add(&c->def, (uint32_t) def);
	c->slots++;
	if (def == c->leaf->max_def)
		put_value(c, value);
	return true;
}

/* ---- the chunk ---- */

bool
column_end(ParquetColumn *c, uint64_t records, int64_t offset,
		   ParquetScratch *s, Buf *out, ParquetChunk *chunk, Err *err)
{
	size_t start = out->n;
	uint64_t plain;
	size_t size = 0;

	if (records > c->records)
		fill_up(c, records);
	if ((c->slots > 0 || c->npages == 0) && !end_page(c, true, s, err))
		return false;
	*chunk = (ParquetChunk){ .uncompressed = (int64_t) c->plain_bytes };
	if (c->dict_pages > 0)
	{
		buf_reset(&s->body);
		buf_add(&s->body, c->dict.plain.p, c->dict.plain.n);
		if (!put_page(out, true, c->dict.n, ENCODING_PLAIN, s, &size, &plain,
					  err))
			return false;
		chunk->dict_offset = offset;
		chunk->uncompressed += (int64_t) plain;
	}
	chunk->data_offset = offset + (int64_t) size;
	buf_add(out, c->pages.p, c->pages.n);
	chunk->compressed = (int64_t) (c->flushed + size + c->pages.n);
	buf_done(&c->pages);
	if (out->overflow ||
		out->n - start + c->flushed != (size_t) chunk->compressed)
		return err_set(err, ERR_LIMIT, 0,
					   "a row group does not fit into %zu bytes", out->max);
	return true;
}

bool
column_flush(ParquetColumn *c, ParquetScratch *s, Buf *out, Err *err)
{
	if (!c->no_dict)
		give_up_dict(c);
	if (c->slots > 0 && !end_page(c, false, s, err))
		return false;
	buf_add(out, c->pages.p, c->pages.n);
	c->flushed += c->pages.n;
	buf_done(&c->pages);
	return true;
}

void
column_single(ParquetColumn *c)
{
	c->chunk_slots = c->records = 1;
	c->plain_pages = 1;
}

void
column_reset(ParquetColumn *c)
{
	buf_done(&c->pages);
	buf_done(&c->notes);
	dict_done(&c->dict);
	stats_reset(&c->stats);
	/* what paid for a while may pay again */
	if (c->dict_pages > 0)
		c->no_dict = false;
	c->records = 0;
	c->chunk_slots = c->nulls = c->plain_bytes = 0;
	c->flushed = 0;
	c->npages = c->dict_pages = c->plain_pages = c->delta_pages = 0;
	c->no_index = false;
	begin_page(c);
}
