/*-------------------------------------------------------------------------
 * parquet_group.c
 *	  Row groups and the footer of a Parquet object.
 *
 *	  PAR1
 *	  { chunks of a row group, in the order of leaves
 *		its ColumnIndexes, its OffsetIndexes } …
 *	  FileMetaData, its length in four bytes, PAR1
 *
 * The page indexes stand behind their row group, so that nothing but a row
 * group's description is held until the end.  Field numbers are those of
 * parquet.thrift.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_group.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/parquet_value.h"

#define MAGIC "PAR1"
#define GROUPS_MAX ((size_t) INT32_MAX)

void
group_went_out(FormatWriter *w, const Buf *out, size_t start)
{
	w->offset += (int64_t) (out->n - start);
}

void
writer_start(FormatWriter *w, Buf *out)
{
	size_t start = out->n;

	if (w->started)
		return;
	buf_str(out, MAGIC);
	group_went_out(w, out, start);
	w->started = true;
}

static void
put_column_meta(const FormatWriter *w, int leaf, const GroupChunk *g,
				ThriftOut *t)
{
	const ParquetChunk *c = &g->chunk;
	const char *path[4];
	int n = parquet_path(w->t, leaf, path);

	thrift_i32(t, 1, w->t->leaves[leaf].physical);
	column_put_encodings(g->column, t, 2);
	thrift_list(t, 3, THRIFT_BINARY, (size_t) n);
	for (int i = 0; i < n; i++)
		thrift_item_binary(t, path[i], strlen(path[i]));
	thrift_i32(t, 4, parquet_codec_number(g->codec));
	thrift_i64(t, 5, (int64_t) g->column->chunk_slots);
	thrift_i64(t, 6, c->uncompressed);
	thrift_i64(t, 7, c->compressed);
	thrift_i64(t, 9, c->data_offset);
	if (c->dict_offset > 0)
		thrift_i64(t, 11, c->dict_offset);
	column_put_statistics(g->column, t, 12);
	thrift_stop(t);
}

/* Appends the RowGroup of all leaves' chunks. */
static void
describe(FormatWriter *w, const GroupChunk *chunks)
{
	int64_t first = w->offset;
	int64_t compressed = 0;
	int64_t uncompressed = 0;
	ThriftOut t;

	thrift_out(&t, &w->groups);
	thrift_list(&t, 1, THRIFT_STRUCT, (size_t) w->t->nleaves);
	for (int i = 0; i < w->t->nleaves; i++)
	{
		const GroupChunk *g = &chunks[i];
		int64_t begin = g->chunk.dict_offset > 0 ? g->chunk.dict_offset
												 : g->chunk.data_offset;

		thrift_item_struct(&t);
		thrift_i64(&t, 2, begin);
		thrift_struct(&t, 3);
		put_column_meta(w, i, g, &t);
		if (g->offsets_n > 0)
		{
			thrift_i64(&t, 4, g->offsets_at);
			thrift_i32(&t, 5, g->offsets_n);
		}
		if (g->index_n > 0)
		{
			thrift_i64(&t, 6, g->index_at);
			thrift_i32(&t, 7, g->index_n);
		}
		thrift_stop(&t);
		first = begin < first ? begin : first;
		compressed += g->chunk.compressed;
		uncompressed += g->chunk.uncompressed;
	}
	thrift_i64(&t, 2, uncompressed);
	thrift_i64(&t, 3, (int64_t) w->records);
	thrift_i64(&t, 5, first);
	thrift_i64(&t, 6, compressed);
	if (w->ngroups <= INT16_MAX)
	{
		/* an i16 is written as an i32 is, but for its type */
		size_t at = w->groups.n;

		thrift_i32(&t, 7, (int32_t) w->ngroups);
		if (w->groups.n > at)
			w->groups.p[at] = (uint8_t) ((w->groups.p[at] & 0xF0) | THRIFT_I16);
	}
	thrift_stop(&t);
	w->ngroups++;
	w->rows += (int64_t) w->records;
}

/* The next one begins. */
static void
count_group(FormatWriter *w, GroupEnd why)
{
	w->ended.all[why]++;
	w->ended.small[why] += w->bytes < GROUP_SMALL_BYTES;
	w->plain += w->bytes;
	w->records = w->bytes = 0;
}

/* Behind the chunks: all ColumnIndexes, then all OffsetIndexes. */
static void
put_indexes(FormatWriter *w, GroupChunk *chunks, Buf *out)
{
	for (int i = 0; i < w->t->nleaves; i++)
	{
		size_t start = out->n;

		if (!column_put_index(chunks[i].column, out))
			continue;
		chunks[i].index_at = w->offset;
		chunks[i].index_n = (int32_t) (out->n - start);
		group_went_out(w, out, start);
	}
	for (int i = 0; i < w->t->nleaves; i++)
	{
		size_t start = out->n;

		column_put_offsets(chunks[i].column, &chunks[i].chunk, out);
		chunks[i].offsets_at = w->offset;
		chunks[i].offsets_n = (int32_t) (out->n - start);
		group_went_out(w, out, start);
	}
}

/* Frees those that were made for the occasion, and empties the others. */
static void
end_columns(FormatWriter *w, GroupChunk *chunks)
{
	for (int i = 0; i < w->t->nleaves; i++)
	{
		if (w->cols[i])
			column_reset(w->cols[i]);
		else
			column_free(chunks[i].column);
	}
	free(chunks);
	codec_done(&w->scratch.codec); /* its memory may be some megabytes */
	buf_done(&w->scratch.body);
	buf_done(&w->scratch.compressed);
}

GroupChunk *
group_chunks(const FormatWriter *w)
{
	return xcalloc((size_t) w->t->nleaves, sizeof(GroupChunk));
}

bool
group_end(FormatWriter *w, GroupChunk *chunks, GroupEnd why, bool in_pieces,
		  Buf *out, Err *err)
{
	bool ok = true;

	for (int i = 0; i < w->t->nleaves; i++)
	{
		GroupChunk *g = &chunks[i];
		size_t start = out->n;

		if (g->column)
			continue;
		g->codec = w->t->options.compression;
		g->column = w->cols[i];
		if (!g->column)
			g->column = column_new(&w->t->leaves[i], w->t->page_bytes);
		if (ok)
			ok = column_end(g->column, w->records, w->offset, &w->scratch, out,
							&g->chunk, err);
		group_went_out(w, out, start);
	}
	if (ok)
	{
		if (!in_pieces)
			put_indexes(w, chunks, out);
		describe(w, chunks);
		count_group(w, why);
	}
	end_columns(w, chunks);
	if (ok && (out->overflow || w->groups.overflow))
		ok = err_set(err, ERR_LIMIT, 0,
					 "a row group does not fit into %zu bytes", out->max);
	return ok;
}

bool
writer_end_group(FormatWriter *w, GroupEnd why, Buf *out, Err *err)
{
	if (w->records == 0)
		return true;
	writer_start(w, out);
	return group_end(w, group_chunks(w), why, false, out, err);
}

/* ---- the footer ---- */

static void
put_key_value(ThriftOut *t, const char *key, const char *value)
{
	thrift_item_struct(t);
	thrift_string(t, 1, key);
	thrift_string(t, 2, value);
	thrift_stop(t);
}

static void
put_key_values(const FormatTable *table, ThriftOut *t, int field)
{
	static const char *const numeric[] = { [NUMERIC_NUMBER] = "number",
										   [NUMERIC_STRING] = "string",
										   [NUMERIC_AUTO] = "auto" };
	char *source =
		xasprintf("%s.%s", table->schema->schema, table->schema->table);
	char *whole = xasprintf("%zu", table->options.whole_max);

	thrift_list(t, field, THRIFT_STRUCT,
				(size_t) 5 + (table->options.whole_max > 0) +
					table->options.parquet_exact);
	put_key_value(t, PARQUET_KEY_HASH, table->schema->hash);
	put_key_value(t, "cdc_s3.source", source);
	put_key_value(t, "cdc_s3.writer", "cdc-s3 " CDC_S3_PLUGIN_VERSION);
	put_key_value(t, PARQUET_KEY_NUMERIC, numeric[table->options.numeric]);
	put_key_value(t, PARQUET_KEY_TIMESTAMP,
				  table->options.parquet_ms ? "ms" : "us");
	if (table->options.parquet_exact)
		put_key_value(t, PARQUET_KEY_TYPES, "exact");
	if (table->options.whole_max)
		put_key_value(t, PARQUET_KEY_WHOLE_MAX, whole);
	free(source);
	free(whole);
}

/* TypeDefinedOrder of every leaf: bounds are in the order of its type. */
static void
put_column_orders(const FormatTable *table, ThriftOut *t, int field)
{
	thrift_list(t, field, THRIFT_STRUCT, (size_t) table->nleaves);
	for (int i = 0; i < table->nleaves; i++)
	{
		thrift_item_struct(t);
		thrift_struct(t, 1);
		thrift_stop(t);
		thrift_stop(t);
	}
}

bool
writer_end_object(FormatWriter *w, Buf *out, Err *err)
{
	uint8_t length[4];
	size_t start;
	ThriftOut t;

	if (!writer_end_group(w, GROUP_OBJECT, out, err))
		return false;
	writer_start(w, out);
	start = out->n;
	thrift_out(&t, out);
	thrift_i32(&t, 1, 2); /* version: RLE_DICTIONARY may be there */
	parquet_put_schema(w->t, &t, 2);
	thrift_i64(&t, 3, w->rows);
	thrift_list(&t, 4, THRIFT_STRUCT, w->ngroups);
	buf_add(out, w->groups.p, w->groups.n);
	put_key_values(w->t, &t, 5);
	thrift_string(&t, 6, "cdc-s3 version " CDC_S3_PLUGIN_VERSION);
	put_column_orders(w->t, &t, 7);
	thrift_stop(&t);
	parquet_put32(length, (uint32_t) (out->n - start));
	buf_add(out, length, sizeof(length));
	buf_str(out, MAGIC);
	group_went_out(w, out, start);
	if (out->overflow || w->groups.overflow || out->n - start > GROUPS_MAX)
		return err_set(err, ERR_LIMIT, 0, "a footer is longer than %zu bytes",
					   out->max);
	return true;
}
