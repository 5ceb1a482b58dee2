/*-------------------------------------------------------------------------
 * parquet_index.c
 *	  What the footer and the page index say of a column chunk.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_column.h"

static const uint8_t *
next_note(const uint8_t *p, PageNote *out)
{
	memcpy(out, p, sizeof(*out));
	return p + sizeof(*out);
}

static void
put_bounds(const ParquetColumn *c, ThriftOut *t, bool max)
{
	const uint8_t *p = c->notes.p;
	PageNote note;

	thrift_list(t, max ? 3 : 2, THRIFT_BINARY, c->npages);
	for (uint32_t i = 0; i < c->npages; i++)
	{
		p = next_note(p, &note);
		thrift_item_binary(t, max ? p + note.min_n : p,
						   max ? note.max_n : note.min_n);
		p += note.min_n + note.max_n;
	}
}

bool
column_put_index(const ParquetColumn *c, Buf *out)
{
	const uint8_t *p = c->notes.p;
	PageNote note;
	ThriftOut t;

	if (c->no_index || !c->leaf->ordered)
		return false;
	thrift_out(&t, out);
	thrift_list(&t, 1, THRIFT_TRUE, c->npages);
	for (uint32_t i = 0; i < c->npages; i++)
	{
		p = next_note(p, &note);
		thrift_item_bool(&t, note.null_page);
		p += note.min_n + note.max_n;
	}
	put_bounds(c, &t, false);
	put_bounds(c, &t, true);
	thrift_i32(&t, 4, 0); /* UNORDERED: nobody looked */
	thrift_list(&t, 5, THRIFT_I64, c->npages);
	p = c->notes.p;
	for (uint32_t i = 0; i < c->npages; i++)
	{
		p = next_note(p, &note);
		thrift_item_i64(&t, (int64_t) note.nulls);
		p += note.min_n + note.max_n;
	}
	thrift_stop(&t);
	return true;
}

void
column_put_offsets(const ParquetColumn *c, const ParquetChunk *chunk, Buf *out)
{
	const uint8_t *p = c->notes.p;
	int64_t offset = chunk->data_offset;
	PageNote note;
	ThriftOut t;

	thrift_out(&t, out);
	thrift_list(&t, 1, THRIFT_STRUCT, c->npages);
	for (uint32_t i = 0; i < c->npages; i++)
	{
		p = next_note(p, &note);
		p += note.min_n + note.max_n;
		thrift_item_struct(&t);
		thrift_i64(&t, 1, offset);
		thrift_i32(&t, 2, (int32_t) note.size);
		thrift_i64(&t, 3, (int64_t) note.first_row);
		thrift_stop(&t);
		offset += note.size;
	}
	thrift_stop(&t);
}

void
column_put_statistics(const ParquetColumn *c, ThriftOut *out, int field)
{
	ParquetBound min;
	ParquetBound max;
	bool min_exact = false;
	bool max_exact = false;
	bool has_min = stats_min(&c->stats, c->leaf, &min, &min_exact);
	bool has_max = stats_max(&c->stats, c->leaf, &max, &max_exact);

	if (!c->leaf->ordered)
		return;
	thrift_struct(out, field);
	thrift_i64(out, 3, (int64_t) c->nulls);
	if (has_max)
		thrift_binary(out, 5, max.p, max.n);
	if (has_min)
		thrift_binary(out, 6, min.p, min.n);
	if (has_max)
		thrift_bool(out, 7, max_exact);
	if (has_min)
		thrift_bool(out, 8, min_exact);
	thrift_stop(out);
}

void
column_put_encodings(const ParquetColumn *c, ThriftOut *out, int field)
{
	int dict = c->dict_pages > 0;
	int plain = c->plain_pages > 0 || dict; /* the dictionary is PLAIN */
	int delta = c->delta_pages > 0;

	thrift_list(out, field, THRIFT_I32, (size_t) (1 + dict + plain + delta));
	thrift_item_i32(out, ENCODING_RLE);
	if (plain)
		thrift_item_i32(out, ENCODING_PLAIN);
	if (delta)
		thrift_item_i32(out, ENCODING_DELTA_BINARY_PACKED);
	if (dict)
		thrift_item_i32(out, ENCODING_RLE_DICTIONARY);
}
