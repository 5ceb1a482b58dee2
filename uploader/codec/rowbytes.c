/*-------------------------------------------------------------------------
 * rowbytes.c
 *	  The rows of a change as they are on the wire.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/rowbytes.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/cursor.h"

static const uint8_t widths[] = {
	[CDC_S3_KIND_BOOL] = 1,      [CDC_S3_KIND_INT2] = 2,
	[CDC_S3_KIND_INT4] = 4,      [CDC_S3_KIND_INT8] = 8,
	[CDC_S3_KIND_OID] = 4,       [CDC_S3_KIND_FLOAT4] = 4,
	[CDC_S3_KIND_FLOAT8] = 8,    [CDC_S3_KIND_DATE] = 4,
	[CDC_S3_KIND_TIME] = 8,      [CDC_S3_KIND_TIMETZ] = 12,
	[CDC_S3_KIND_TIMESTAMP] = 8, [CDC_S3_KIND_TIMESTAMPTZ] = 8,
	[CDC_S3_KIND_INTERVAL] = 16, [CDC_S3_KIND_UUID] = 16,
	[CDC_S3_KIND_NUMERIC] = 0,   [CDC_S3_KIND_STRING] = 0,
	[CDC_S3_KIND_BYTEA] = 0,     [CDC_S3_KIND_JSON] = 0,
	[CDC_S3_KIND_TEXT] = 0,
};

int
kind_width(uint8_t kind)
{
	return widths[kind];
}

RowShape *
row_shape_new(const Schema *s)
{
	size_t n = (size_t) s->ncols;
	RowShape *shape = xmalloc(sizeof(*shape) + n * sizeof(shape->cols[0]));

	shape->ncols = s->ncols;
	for (size_t i = 0; i < n; i++)
		shape->cols[i] = (RowShapeColumn){ s->cols[i].kind, s->cols[i].key,
										   s->cols[i].base_oid == OID_JSONB };
	return shape;
}

void
row_shape_free(RowShape *s)
{
	free(s);
}

static size_t
take_blob_length(Cursor *c)
{
	size_t n = take_u8(c);

	return n == CDC_S3_BLOB_LONG ? take_u32(c) : n;
}

static void
decode_withheld(Cursor *c, ColView *v)
{
	size_t n;

	v->state = COL_WITHHELD;
	v->reason = take_u8(c);
	v->size = take_u64(c);
	v->crc32c = take_u32(c);
	n = take_blob_length(c);
	v->p = take(c, n);
	v->n = v->p ? (uint32_t) n : 0;
}

static inline void
decode_value(Cursor *c, uint8_t kind, ColView *v)
{
	size_t n = widths[kind];

	if (n == 0)
		n = take_blob_length(c);
	v->state = COL_VALUE;
	v->p = take(c, n);
	v->n = (uint32_t) n;
}

static bool
bit(const uint8_t *map, int i)
{
	return map && map[i / 8] >> (i % 8) & 1;
}

static bool
decode_row(Cursor *c, const RowShape *s, bool key_only, ColView *cols,
		   RowView *out)
{
	uint8_t flags = take_u8(c);
	size_t map_bytes = ((size_t) s->ncols + 7) / 8;
	const uint8_t *nulls = NULL;
	const uint8_t *unchanged = NULL;
	const uint8_t *withheld = NULL;

	if (flags & CDC_S3_ROW_NULLS)
		nulls = take(c, map_bytes);
	if (flags & CDC_S3_ROW_UNCHANGED)
		unchanged = take(c, map_bytes);
	if (flags & CDC_S3_ROW_WITHHELD)
		withheld = take(c, map_bytes);
	if (c->bad || flags & ~(CDC_S3_ROW_NULLS | CDC_S3_ROW_UNCHANGED |
							CDC_S3_ROW_WITHHELD))
		return false;
	for (int i = 0; i < s->ncols; i++)
	{
		ColView *v = &cols[i];

		if (key_only && !s->cols[i].key)
			v->state = COL_ABSENT;
		else if (bit(nulls, i))
			v->state = COL_NULL;
		else if (bit(unchanged, i))
			v->state = COL_UNCHANGED;
		else if (bit(withheld, i))
			decode_withheld(c, v);
		else
			decode_value(c, s->cols[i].kind, v);
	}
	*out = (RowView){ s->ncols, cols };
	return !c->bad;
}

bool
row_bytes_decode(const RowShape *s, uint8_t type, uint8_t flags, Slice bytes,
				 ColView *cols, RowView *out_old, RowView *out_new)
{
	Cursor c = { bytes.p, bytes.n, false };

	if (flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL) &&
		!decode_row(&c, s, flags & CDC_S3_OLD_KEY, cols + s->ncols, out_old))
		return false;
	return type == CDC_S3_DELETE || decode_row(&c, s, false, cols, out_new);
}
