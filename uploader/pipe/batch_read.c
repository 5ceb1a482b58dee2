/*-------------------------------------------------------------------------
 * batch_read.c
 *	  The changes of a batch: the decoders of its records.
 *
 * Records were written by batch.c, so what is found damaged here is what a
 * server sent inside of one.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/batch_read.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "pipe/copyrow.h"

struct BatchReader
{
	size_t whole_max;
	const Batch *batch;
	const uint8_t *p;
	const uint8_t *end;
	BatchTxn txn;
	bool in_part;  /* the bytes of a part are being read */
	ColView *cols; /* of two rows */
	int cols_cap;  /* columns that they have room for */
	RowView new_row;
	RowView old_row;
	CopyReader copy; /* for copy_table */
	const Table *copy_table;
	ChangePartition *partial;
};

BatchReader *
batch_reader_new(size_t whole_max)
{
	BatchReader *r = xcalloc(1, sizeof(*r));

	r->whole_max = whole_max;
	return r;
}

void
batch_reader_free(BatchReader *r)
{
	if (!r)
		return;
	if (r->copy_table)
		copy_reader_done(&r->copy);
	free(r->partial);
	free(r->cols);
	free(r);
}

size_t
batch_reader_memory(const BatchReader *r)
{
	return sizeof(*r) + 2 * (size_t) r->cols_cap * sizeof(*r->cols) +
		   r->copy.scratch.cap;
}

void
batch_reader_open(BatchReader *r, const Batch *b)
{
	int ncols = b->table->shape->ncols;

	if (r->cols_cap < ncols)
	{
		free(r->cols);
		r->cols_cap = ncols;
		r->cols = xmalloc(2 * (size_t) ncols * sizeof(*r->cols));
	}
	r->batch = b;
	r->p = b->buf.p;
	r->end = b->buf.p + b->buf.n;
	r->in_part = false;
}

static void
get(BatchReader *r, void *out, size_t n)
{
	assert((size_t) (r->end - r->p) >= n);
	memcpy(out, r->p, n);
	r->p += n;
}

static Slice
get_bytes(BatchReader *r, size_t n)
{
	Slice s = { r->p, n };

	assert((size_t) (r->end - r->p) >= n);
	r->p += n;
	return s;
}

static bool
broken(const BatchReader *r, Err *err)
{
	return err_set(err, ERR_DATA, 0,
				   "a row of table \"%s.%s\" breaks the wire contract",
				   r->batch->table->schema, r->batch->table->name);
}

static Change
change_of(const BatchReader *r, int64_t seq)
{
	return (Change){
		.lsn = r->txn.lsn, .seq = seq, .xid = r->txn.xid, .time = r->txn.time
	};
}

/* All but the rows. */
static Change
change_of_rows(const BatchReader *r, const BatchRows *rows)
{
	Change c = change_of(r, rows->seq);

	c.op = rows->type == CDC_S3_INSERT   ? 'i'
		   : rows->type == CDC_S3_UPDATE ? 'u'
										 : 'd';
	c.key_changed = rows->flags & CDC_S3_KEY_CHANGED;
	c.no_identity = rows->flags & CDC_S3_NO_IDENTITY;
	return c;
}

static bool
read_rows(BatchReader *r, BatchItem *out, Err *err)
{
	BatchRows rows;
	Slice bytes;
	bool has_old;

	get(r, &rows, sizeof(rows));
	bytes = get_bytes(r, rows.n);
	has_old = rows.flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL);
	out->type = ITEM_CHANGE;
	out->change = change_of_rows(r, &rows);
	r->new_row = r->old_row = (RowView){ 0 };
	if (!row_bytes_decode(r->batch->table->shape, rows.type, rows.flags, bytes,
						  r->cols, &r->old_row, &r->new_row))
		return broken(r, err);
	out->change.old = has_old ? &r->old_row : NULL;
	out->change.row =
		rows.type == CDC_S3_DELETE ? out->change.old : &r->new_row;
	return true;
}

static bool
read_tuple(BatchReader *r, BatchItem *out, Err *err)
{
	BatchRows rows;

	get(r, &rows, sizeof(rows));
	if (r->copy_table != r->batch->table)
	{
		if (r->copy_table)
			copy_reader_done(&r->copy);
		copy_reader_init(&r->copy, r->batch->table->shape);
		r->copy_table = r->batch->table;
	}
	out->type = ITEM_CHANGE;
	out->change = change_of(r, rows.seq);
	out->change.op = 'r';
	out->change.row = &r->new_row;
	return copy_reader_row(&r->copy, get_bytes(r, rows.n), &r->new_row, err);
}

static Slice
get_string(BatchReader *r)
{
	uint32_t n;

	get(r, &n, sizeof(n));
	return get_bytes(r, n);
}

static void
read_plain(BatchReader *r, BatchItem *out)
{
	BatchPlain plain;

	get(r, &plain, sizeof(plain));
	out->type = ITEM_CHANGE;
	out->change = change_of(r, plain.seq);
	out->change.op = plain.op;
	if (plain.has_reason)
		out->change.reason = (const char *) get_string(r).p;
	r->partial = xrealloc(r->partial,
						  ((size_t) plain.npartial + 1) * sizeof(*r->partial));
	for (int i = 0; i < plain.npartial; i++)
	{
		ChangePartition *part = &r->partial[i];

		part->schema = (const char *) get_string(r).p;
		part->table = (const char *) get_string(r).p;
		part->bound = get_string(r);
	}
	out->change.partial = r->partial;
	out->change.npartial = plain.npartial;
}

static bool
read_head(BatchReader *r, FramePart **part, BatchItem *out, Err *err)
{
	BatchRows rows;

	get(r, &rows, sizeof(rows));
	if (!*part)
		*part = framepart_new(r->whole_max);
	out->type = ITEM_HEAD;
	out->change = change_of_rows(r, &rows);
	return framepart_open(*part, r->batch->table->shape, rows.type, rows.flags,
						  err);
}

static void
read_part(BatchReader *r, FramePart *part)
{
	BatchPart head;

	get(r, &head, sizeof(head));
	framepart_push(part, get_bytes(r, head.n), head.last);
	r->in_part = true;
}

/* The next item of the part at hand, if there is one. */
static bool
next_of_part(BatchReader *r, FramePart *part, BatchItem *out, Err *err)
{
	if (!framepart_next(part, &out->part, err))
		return false;
	r->in_part = out->part.type != PART_NEED && out->part.type != PART_DONE;
	if (out->part.type != PART_NEED)
		out->type = ITEM_PART;
	return true;
}

bool
batch_reader_next(BatchReader *r, FramePart **part, BatchItem *out, Err *err)
{
	out->type = ITEM_END;
	while (out->type == ITEM_END)
	{
		bool ok = true;

		if (r->in_part)
		{
			if (!next_of_part(r, *part, out, err))
				return false;
			continue;
		}
		if (r->p == r->end)
			return true;
		switch ((BatchTag) *r->p++)
		{
			case BATCH_TXN:
				get(r, &r->txn, sizeof(r->txn));
				break;
			case BATCH_ROWS:
				ok = read_rows(r, out, err);
				break;
			case BATCH_TUPLE:
				ok = read_tuple(r, out, err);
				break;
			case BATCH_PLAIN:
				read_plain(r, out);
				break;
			case BATCH_HEAD:
				ok = read_head(r, part, out, err);
				break;
			case BATCH_PART:
				read_part(r, *part);
				break;
		}
		if (!ok)
			return false;
	}
	return true;
}
