/*-------------------------------------------------------------------------
 * parquet.c
 *	  The format "parquet": a writer's life, and changes that are there as a
 *	  whole.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/parquet_group.h"
#include "codec/parquet_part.h"
#include "codec/parquet_read.h"

#define GROUP_BYTES ((uint64_t) 64 << 20) /* of values */
#define VALUE_MAX ((size_t) INT32_MAX)

static FormatWriter *
parquet_begin(const FormatTable *t)
{
	FormatWriter *w = xcalloc(1, sizeof(*w));

	w->t = t;
	w->cols = xcalloc((size_t) t->nleaves, sizeof(ParquetColumn *));
	buf_init(&w->groups, SIZE_MAX);
	buf_init(&w->value, VALUE_MAX);
	buf_init(&w->elements, SIZE_MAX);
	buf_init(&w->scratch.body, VALUE_MAX);
	buf_init(&w->scratch.compressed, SIZE_MAX);
	codec_init(&w->scratch.codec, t->options.compression, t->options.level);
	return w;
}

static void
parquet_close(FormatWriter *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->t->nleaves; i++)
		column_free(w->cols[i]);
	free(w->cols);
	part_free(w->part);
	buf_done(&w->groups);
	buf_done(&w->value);
	buf_done(&w->elements);
	buf_done(&w->scratch.body);
	buf_done(&w->scratch.compressed);
	codec_done(&w->scratch.codec);
	text_free(w->text);
	free(w);
}

static size_t
parquet_memory(const FormatWriter *w)
{
	size_t n = sizeof(*w) + w->groups.cap + w->value.cap + w->elements.cap +
			   w->scratch.body.cap + w->scratch.compressed.cap +
			   codec_memory(&w->scratch.codec);

	for (int i = 0; i < w->t->nleaves; i++)
		n += sizeof(w->cols[i]) + (w->cols[i] ? column_memory(w->cols[i]) : 0);
	return n;
}

static bool
put_old(FormatWriter *w, const RowView *old, int leaf, Err *err)
{
	buf_reset(&w->value);
	text_put_object(writer_text(w), old, leaf == LEAF_KEY, &w->value);
	if (w->value.overflow)
		return err_set(err, ERR_LIMIT, 0, "an old row is longer than %zu bytes",
					   w->value.max);
	return writer_put(w, leaf, 0, 1, buf_slice(&w->value), err);
}

static bool
parquet_add(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	const RowView *row = change->row;
	const RowView *old = change->old;
	const SchemaColumn *cols = w->t->schema->cols;

	if (change->op == 'd')
		old = row && row->ncols > 0 ? row : NULL;
	if (!writer_put_meta(w, change, err))
		return false;
	if (old && writer_has_before(w, change) &&
		!put_old(w, old, LEAF_BEFORE, err))
		return false;
	if (old && writer_has_key(w, change) && !put_old(w, old, LEAF_KEY, err))
		return false;
	for (int i = 0; row && i < row->ncols; i++)
	{
		if ((change->op != 'd' || cols[i].key) &&
			!writer_put_column(w, i, &row->cols[i], err))
			return false;
	}
	writer_end_record(w);
	return w->bytes < GROUP_BYTES || writer_end_group(w, GROUP_FULL, out, err);
}

static bool
parquet_shrink(FormatWriter *w, Buf *out, Err *err)
{
	return writer_end_group(w, GROUP_MEMORY, out, err);
}

static uint64_t
parquet_plain(const FormatWriter *w)
{
	return w->plain + w->bytes;
}

static uint64_t
parquet_waiting(const FormatWriter *w)
{
	return w->bytes;
}

static const FormatGroups *
parquet_groups(const FormatWriter *w)
{
	return &w->ended;
}

const Format parquet_format = {
	.name = "parquet",
	.suffix = ".parquet",
	.compresses = true,
	.reads_schema = true,
	.table_new = parquet_table_new,
	.table_free = parquet_table_free,
	.begin = parquet_begin,
	.add = parquet_add,
	.add_head = part_head,
	.add_item = part_item,
	.end = writer_end_object,
	.memory = parquet_memory,
	.shrink = parquet_shrink,
	.plain = parquet_plain,
	.waiting = parquet_waiting,
	.groups = parquet_groups,
	.close = parquet_close,
	.open = reader_open,
	.next = reader_next,
	.done = reader_done,
};
