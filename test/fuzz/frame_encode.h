/*-------------------------------------------------------------------------
 * frame_encode.h
 *	  The wire's writer once more, by the text of plugin/cdc_s3_proto.h: what
 *	  the decoder's tests make their packets with, and what they hold decoded
 *	  changes against.
 *-------------------------------------------------------------------------
 */
#ifndef FRAME_ENCODE_H
#define FRAME_ENCODE_H

#include "base/buf.h"
#include "cdc_s3_proto.h"
#include "codec/frame.h"
#include "codec/hash.h"

static inline void
put_int(Buf *out, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_byte(out, (uint8_t) (v >> (8 * i)));
}

static inline void
put_str(Buf *out, const char *s)
{
	put_int(out, strlen(s), 2);
	buf_str(out, s);
}

static inline void
put_blob(Buf *out, const uint8_t *p, uint32_t n)
{
	if (n < CDC_S3_BLOB_LONG)
		buf_byte(out, (uint8_t) n);
	else
	{
		buf_byte(out, CDC_S3_BLOB_LONG);
		put_int(out, n, 4);
	}
	buf_add(out, p, n);
}

static inline void
put_frame(Buf *out, uint8_t type, uint8_t flags, Slice body)
{
	buf_byte(out, type);
	buf_byte(out, flags);
	put_int(out, body.n, 4);
	buf_add(out, body.p, body.n);
}

/* A packet around whole frames. */
static inline void
put_packet(Buf *out, Slice frames)
{
	buf_byte(out, CDC_S3_MAGIC_0);
	buf_byte(out, CDC_S3_MAGIC_1);
	buf_byte(out, CDC_S3_PROTO_VERSION);
	buf_byte(out, 0);
	put_int(out, crc32c(0, frames.p, frames.n), 4);
	buf_add(out, frames.p, frames.n);
}

static inline void
put_bitmap(Buf *out, const RowView *row, ColState state)
{
	for (int i = 0; i < row->ncols; i += 8)
	{
		uint8_t byte = 0;

		for (int k = i; k < row->ncols && k < i + 8; k++)
			byte |= (uint8_t) ((row->cols[k].state == state) << (k - i));
		buf_byte(out, byte);
	}
}

/* "flags": bitmaps to be written even where no bit is set. */
static inline void
put_row(Buf *out, const Schema *s, const RowView *row, uint8_t flags)
{
	static const struct
	{
		ColState state;
		uint8_t flag;
	} maps[] = {
		{ COL_NULL, CDC_S3_ROW_NULLS },
		{ COL_UNCHANGED, CDC_S3_ROW_UNCHANGED },
		{ COL_WITHHELD, CDC_S3_ROW_WITHHELD },
	};

	for (int m = 0; m < 3; m++)
	{
		for (int i = 0; i < row->ncols; i++)
		{
			if (row->cols[i].state == maps[m].state)
				flags |= maps[m].flag;
		}
	}
	buf_byte(out, flags);
	for (int m = 0; m < 3; m++)
	{
		if (flags & maps[m].flag)
			put_bitmap(out, row, maps[m].state);
	}
	for (int i = 0; i < row->ncols; i++)
	{
		const ColView *v = &row->cols[i];

		if (v->state == COL_WITHHELD)
		{
			buf_byte(out, v->reason);
			put_int(out, v->size, 8);
			put_int(out, v->crc32c, 4);
			put_blob(out, v->p, v->n);
		}
		else if (v->state == COL_VALUE && kind_width(s->cols[i].kind) > 0)
			buf_add(out, v->p, v->n);
		else if (v->state == COL_VALUE)
			put_blob(out, v->p, v->n);
	}
}

/* The flags of the row that begins at this offset of a body. */
static inline uint8_t
row_flags_at(Slice body, size_t at)
{
	return at < body.n ? body.p[at] & 7 : 0;
}

/*
 * The body of an insert, update or delete.  The plugin may write a bitmap
 * of nulls without need: "like", which may be empty, tells where.
 */
static inline void
put_change(Buf *out, const FrameEvent *ev, Slice like)
{
	put_int(out, ev->rel->id, 4);
	put_int(out, ev->rel->version, 4);
	put_int(out, ev->lsn, 8);
	put_int(out, ev->ordinal, 8);
	if (ev->flags & CDC_S3_CHANGE_XID)
		put_int(out, ev->xid, 4);
	if (ev->flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL))
		put_row(out, ev->rel->schema, &ev->old_row, row_flags_at(like, out->n));
	if (ev->type != CDC_S3_DELETE)
		put_row(out, ev->rel->schema, &ev->new_row, row_flags_at(like, out->n));
}

/* The end of a relation's body. */
static inline void
put_missing(Buf *out, const Schema *s)
{
	uint64_t n = 0;

	for (int i = 0; i < s->ncols; i++)
		n += s->cols[i].has_missing;
	put_int(out, s->row_type, 4);
	put_int(out, n, 2);
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		if (!c->has_missing)
			continue;
		put_int(out, (uint64_t) i, 2);
		put_int(out, c->missing ? strlen(c->missing) : CDC_S3_NO_TEXT, 4);
		buf_str(out, c->missing ? c->missing : "");
	}
}

/* The body of a relation; a partition "leaf" of schema and table of s. */
static inline void
put_relation(Buf *out, uint32_t id, uint32_t version, const char *leaf,
			 const Schema *s)
{
	put_int(out, id, 4);
	put_int(out, version, 4);
	put_int(out, s->relation_id, 4);
	buf_byte(out, (uint8_t) s->identity);
	put_str(out, s->schema);
	put_str(out, leaf);
	put_str(out, s->schema);
	put_str(out, s->table);
	put_int(out, (uint64_t) s->ncols, 2);
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		buf_byte(out, c->kind);
		buf_byte(out, (uint8_t) ((c->identity ? CDC_S3_COL_IDENTITY : 0) |
								 (c->key ? CDC_S3_COL_KEY : 0) |
								 (c->not_null ? CDC_S3_COL_NOT_NULL : 0) |
								 (c->generated ? CDC_S3_COL_GENERATED : 0)));
		put_int(out, (uint64_t) c->attnum, 2);
		put_int(out, (uint64_t) c->pk, 2);
		put_int(out, c->type_oid, 4);
		put_int(out, c->base_oid, 4);
		put_int(out, (uint32_t) c->typmod, 4);
		put_str(out, c->name);
		put_str(out, c->type_schema);
		put_str(out, c->type_name);
	}
	put_missing(out, s);
}

/* The body of a table frame. */
static inline void
put_table(Buf *out, uint64_t ordinal, uint32_t id, uint32_t version,
		  uint8_t flags)
{
	put_int(out, 0x1234, 8);
	put_int(out, ordinal, 8);
	put_int(out, id, 4);
	put_int(out, version, 4);
	buf_byte(out, flags);
}

#endif
