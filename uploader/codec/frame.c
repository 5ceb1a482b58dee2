/*-------------------------------------------------------------------------
 * frame.c
 *	  Decodes the wire into events.
 *
 * A cursor over the frame's body does every read, and the frame is refused at
 * its end where that went bad.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/frame.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/cursor.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "codec/key.h"
#include "codec/rowbytes.h"

#define MAX_COLUMNS ROW_MAX_COLUMNS
#define ROW_HEAD_BYTES ((size_t) 24) /* of a change, without its xid */
#define TABLE_FLAGS                                                            \
	(CDC_S3_TABLE_CREATED | CDC_S3_TABLE_REWRITTEN | CDC_S3_TABLE_GONE |       \
	 CDC_S3_TABLE_LEFT)
#define COLUMN_FLAGS                                                           \
	(CDC_S3_COL_IDENTITY | CDC_S3_COL_KEY | CDC_S3_COL_NOT_NULL |              \
	 CDC_S3_COL_GENERATED)

struct FrameReader
{
	Cursor packet;
	Buf parts; /* body of the frame whose parts are arriving */
	bool in_parts;
	bool pass_rows;  /* they are not looked into */
	bool head_known; /* of the row whose parts arrive */
	uint8_t part_type;
	uint8_t part_flags;
	uint32_t next_part;

	FrameRelation **slots; /* open addressing, by relation id */
	size_t nslots;         /* power of two */
	size_t nrels;
	FrameRelation *last; /* most changes come in runs */

	ColView *cols; /* MAX_COLUMNS for the new, as many for the old row */
	FrameRelation **trunc_rels;
	uint8_t *trunc_flags;
	Slice *trunc_bounds;
	FrameRelationDoneFn done;
	void *arg;
};

static Slice
take_str(Cursor *c)
{
	return take_bytes(c, take_u16(c));
}

static char *
take_name(Cursor *c)
{
	Slice s = take_str(c);

	if (memchr(s.n ? s.p : (const uint8_t *) "", '\0', s.n))
		c->bad = true; /* no name of the server holds one */
	return xstrndup(s.n ? (const char *) s.p : "", s.n);
}

/*
 * Relations: a small hash table, deletions only as a whole.
 */
static size_t
slot_of(const FrameReader *r, uint32_t id)
{
	size_t i = (id * UINT32_C(2654435761)) & (r->nslots - 1);

	while (r->slots[i] && r->slots[i]->id != id)
		i = (i + 1) & (r->nslots - 1);
	return i;
}

static void
relation_free(FrameReader *r, FrameRelation *rel)
{
	if (!rel)
		return;
	if (r->done)
		r->done(rel, r->arg);
	schema_free(rel->schema);
	row_shape_free(rel->shape);
	free(rel->leaf_schema);
	free(rel->leaf_table);
	free(rel);
}

static void
grow_slots(FrameReader *r)
{
	FrameRelation **old = r->slots;
	size_t nold = r->nslots;

	r->nslots = nold ? nold * 2 : 64;
	r->slots = xcalloc(r->nslots, sizeof(FrameRelation *));
	for (size_t i = 0; i < nold; i++)
	{
		if (old[i])
			r->slots[slot_of(r, old[i]->id)] = old[i];
	}
	free(old);
}

/* Takes rel; an older version of it goes. */
static void
put_relation(FrameReader *r, FrameRelation *rel)
{
	size_t i;

	if ((r->nrels + 1) * 2 > r->nslots)
		grow_slots(r);
	i = slot_of(r, rel->id);
	if (r->slots[i])
		relation_free(r, r->slots[i]);
	else
		r->nrels++;
	r->slots[i] = rel;
	r->last = rel;
}

static FrameRelation *
find_relation(FrameReader *r, uint32_t id, uint32_t version)
{
	FrameRelation *rel = r->last;

	if (!rel || rel->id != id)
		rel = r->nslots ? r->slots[slot_of(r, id)] : NULL;
	if (!rel || rel->version != version)
		return NULL;
	r->last = rel;
	return rel;
}

FrameRelation *
frame_reader_relation(const FrameReader *r, uint32_t id)
{
	return r->nslots ? r->slots[slot_of(r, id)] : NULL;
}

FrameReader *
frame_reader_new(size_t max_frame, FrameRelationDoneFn done, void *arg)
{
	FrameReader *r = xcalloc(1, sizeof(*r));

	buf_init(&r->parts, max_frame);
	r->cols = xcalloc(2 * MAX_COLUMNS, sizeof(*r->cols));
	r->trunc_rels = xcalloc(UINT16_MAX, sizeof(FrameRelation *));
	r->trunc_flags = xcalloc(UINT16_MAX, 1);
	r->trunc_bounds = xcalloc(UINT16_MAX, sizeof(Slice));
	r->done = done;
	r->arg = arg;
	return r;
}

void
frame_reader_reset(FrameReader *r)
{
	for (size_t i = 0; i < r->nslots; i++)
		relation_free(r, r->slots[i]);
	free(r->slots);
	r->slots = NULL;
	r->nslots = r->nrels = 0;
	r->last = NULL;
	r->in_parts = false;
	buf_done(&r->parts);
	r->packet = (Cursor){ 0 };
}

void
frame_reader_free(FrameReader *r)
{
	if (!r)
		return;
	frame_reader_reset(r);
	free(r->cols);
	free(r->trunc_rels);
	free(r->trunc_flags);
	free(r->trunc_bounds);
	free(r);
}

bool
frame_reader_packet(FrameReader *r, Slice packet, Err *err)
{
	uint32_t crc;

	if (packet.n < CDC_S3_PACKET_HEADER || packet.p[0] != CDC_S3_MAGIC_0 ||
		packet.p[1] != CDC_S3_MAGIC_1)
		return err_set(err, ERR_DATA, 0,
					   "a packet of the slot does not start with the magic of "
					   "cdc_s3; is its plugin cdc_s3?");
	if (packet.p[2] < CDC_S3_PROTO_VERSION_MIN ||
		packet.p[2] > CDC_S3_PROTO_VERSION_MAX || packet.p[3] != 0)
		return err_set(err, ERR_DATA, 0,
					   "the plugin sends protocol version %d, this cdc-s3 "
					   "reads %d to %d; use the same release on both sides",
					   packet.p[2], CDC_S3_PROTO_VERSION_MIN,
					   CDC_S3_PROTO_VERSION_MAX);
	crc = get_u32(packet.p + 4);
	packet.p += CDC_S3_PACKET_HEADER;
	packet.n -= CDC_S3_PACKET_HEADER;
	if (crc32c(0, packet.p, packet.n) != crc)
		return err_set(err, ERR_DATA, 0,
					   "a packet was damaged on its way: its CRC32C is wrong");
	r->packet = (Cursor){ packet.p, packet.n, false };
	return true;
}

/*
 * Bodies
 */
static bool
decode_hello(Cursor *c, FrameEvent *ev)
{
	(void) take_u32(c); /* lowest version it speaks */
	(void) take_u32(c); /* highest */
	ev->hello.server_version = take_u32(c);
	ev->hello.raw_text = take_u8(c) == CDC_S3_TEXT_RAW;
	ev->hello.plugin_version = take_str(c);
	ev->hello.server_encoding = take_str(c);
	ev->hello.database = take_str(c);
	return !c->bad;
}

static bool
decode_column(Cursor *c, SchemaColumn *col)
{
	uint8_t flags;

	col->kind = take_u8(c);
	flags = take_u8(c);
	col->identity = flags & CDC_S3_COL_IDENTITY;
	col->key = flags & CDC_S3_COL_KEY;
	col->not_null = flags & CDC_S3_COL_NOT_NULL;
	col->generated = flags & CDC_S3_COL_GENERATED;
	col->attnum = (int16_t) take_u16(c);
	col->pk = take_u16(c);
	col->type_oid = take_u32(c);
	col->base_oid = take_u32(c);
	col->typmod = (int32_t) take_u32(c);
	col->name = take_name(c);
	col->type_schema = take_name(c);
	col->type_name = take_name(c);
	return !c->bad && !(flags & ~COLUMN_FLAGS) &&
		   col->kind >= CDC_S3_KIND_BOOL && col->kind <= CDC_S3_KIND_TEXT;
}

/* The table is told as its folder in the lake is named, which is ASCII. */
static bool
refuse_names(const Schema *s, Err *err)
{
	Buf b;

	buf_init(&b, 2048);
	key_add_table(&b, s->schema, s->table);
	(void) err_set(err, ERR_USAGE, 0,
				   "table \"%s\", or a column of it, has a name that is not "
				   "UTF-8; rename it or exclude the table",
				   buf_cstr(&b));
	buf_done(&b);
	return false;
}

/* A value that is not text in the lake has none. */
static bool
decode_missing(Cursor *c, Schema *s)
{
	uint16_t i = take_u16(c);
	uint32_t n = take_u32(c);
	Slice text = { NULL, 0 };
	SchemaColumn *col;

	if (n != CDC_S3_NO_TEXT)
		text = take_bytes(c, n);
	if (c->bad || i >= s->ncols || s->cols[i].has_missing)
		return false;
	col = &s->cols[i];
	col->has_missing = true;
	if (n == CDC_S3_NO_TEXT || !utf8_valid(text.p, text.n) ||
		memchr(text.p, '\0', text.n))
		return true;
	col->missing = xstrndup((const char *) text.p, text.n);
	return true;
}

/* What an earlier plugin does not send. */
static bool
decode_relation_end(Cursor *c, Schema *s)
{
	int n;

	if (c->left == 0)
		return true;
	s->row_type = take_u32(c);
	n = take_u16(c);
	for (int i = 0; i < n; i++)
	{
		if (!decode_missing(c, s))
			return false;
	}
	return !c->bad;
}

/* err is filled only where there is more to say than that it is refused. */
static bool
decode_relation(FrameReader *r, Cursor *c, FrameEvent *ev, Err *err)
{
	FrameRelation *rel = xcalloc(1, sizeof(*rel));
	uint32_t root_id;
	uint8_t identity;
	char *names[4];
	int ncols;
	bool as_root = ev->flags & CDC_S3_REL_AS_ROOT;
	bool ok = true;

	rel->id = take_u32(c);
	rel->version = take_u32(c);
	root_id = take_u32(c);
	identity = take_u8(c);
	for (int i = 0; i < 4; i++)
		names[i] = take_name(c);
	ncols = take_u16(c);
	if (ncols > MAX_COLUMNS)
	{
		c->bad = true;
		ncols = 0;
	}
	rel->schema =
		schema_new(names[as_root ? 2 : 0], names[as_root ? 3 : 1], ncols);
	rel->schema->relation_id = as_root ? root_id : rel->id;
	rel->schema->identity =
		identity >= 'a' && identity <= 'z' ? (char) identity : 'd';
	for (int i = 0; ok && i < ncols; i++)
		ok = decode_column(c, &rel->schema->cols[i]);
	ok = ok && decode_relation_end(c, rel->schema);
	rel->leaf_schema = names[0];
	rel->leaf_table = names[1];
	free(names[2]);
	free(names[3]);
	if (ok && !c->bad && !json_names_valid(rel->schema))
		ok = refuse_names(rel->schema, err);
	if (!ok || c->bad)
	{
		schema_free(rel->schema);
		free(rel->leaf_schema);
		free(rel->leaf_table);
		free(rel);
		return false;
	}
	schema_finish(rel->schema);
	rel->shape = row_shape_new(rel->schema);
	put_relation(r, rel);
	ev->rel = rel;
	return true;
}

/*
 * An origin may set any commit time, infinity too.  Partitions and _ts have
 * years of four digits, so what lies beyond them counts as their end.
 */
static int64_t
take_commit_time(Cursor *c)
{
	int64_t t = (int64_t) take_u64(c);

	if (t < FRAME_TIME_MIN)
		return FRAME_TIME_MIN;
	return t < FRAME_TIME_MAX ? t : FRAME_TIME_MAX;
}

static bool
decode_begin(Cursor *c, FrameEvent *ev)
{
	ev->xid = take_u32(c);
	ev->lsn = take_u64(c);
	ev->time = take_commit_time(c);
	return !c->bad;
}

static bool
decode_commit(Cursor *c, FrameEvent *ev)
{
	ev->lsn = take_u64(c);
	ev->time = take_commit_time(c);
	ev->ordinal = take_u64(c);
	return !c->bad;
}

/* What stands before a change's rows. */
static bool
decode_head(FrameReader *r, Cursor *c, FrameEvent *ev)
{
	uint32_t id = take_u32(c);
	uint32_t version = take_u32(c);

	ev->lsn = take_u64(c);
	ev->ordinal = take_u64(c);
	if (ev->flags & CDC_S3_CHANGE_XID)
		ev->xid = take_u32(c);
	if (c->bad)
		return false;
	ev->rel = find_relation(r, id, version);
	return ev->rel &&
		   !(ev->flags & CDC_S3_OLD_KEY && ev->flags & CDC_S3_OLD_FULL);
}

static bool
decode_change(FrameReader *r, Cursor *c, FrameEvent *ev)
{
	if (!decode_head(r, c, ev))
		return false;
	ev->rows = (Slice){ c->p, c->left };
	return r->pass_rows ||
		   row_bytes_decode(ev->rel->shape, ev->type, ev->flags, ev->rows,
							r->cols, &ev->old_row, &ev->new_row);
}

static bool
decode_truncate(FrameReader *r, Cursor *c, FrameEvent *ev)
{
	ev->lsn = take_u64(c);
	ev->ordinal = take_u64(c);
	if (ev->flags & CDC_S3_CHANGE_XID)
		ev->xid = take_u32(c);
	ev->nrels = take_u16(c);
	ev->rels = r->trunc_rels;
	ev->rel_flags = r->trunc_flags;
	ev->rel_bounds = r->trunc_bounds;
	for (int i = 0; i < ev->nrels && !c->bad; i++)
	{
		uint32_t id = take_u32(c);
		uint32_t version = take_u32(c);

		r->trunc_flags[i] = take_u8(c);
		if (r->trunc_flags[i] & ~CDC_S3_TRUNC_PARTIAL)
			return false;
		r->trunc_bounds[i] = (Slice){ NULL, 0 };
		if (r->trunc_flags[i] & CDC_S3_TRUNC_PARTIAL)
			r->trunc_bounds[i] = take_bytes(c, take_u32(c));
		r->trunc_rels[i] = c->bad ? NULL : find_relation(r, id, version);
		if (!r->trunc_rels[i])
			return false;
	}
	return !c->bad;
}

static bool
decode_message(Cursor *c, FrameEvent *ev)
{
	ev->lsn = take_u64(c);
	ev->ordinal = take_u64(c);
	if (ev->flags & CDC_S3_CHANGE_XID)
		ev->xid = take_u32(c);
	ev->prefix = take_str(c);
	ev->content = take_bytes(c, take_u32(c));
	return !c->bad;
}

/* One that is there has come with this version; others may never have come. */
static bool
decode_table(FrameReader *r, Cursor *c, FrameEvent *ev)
{
	const uint8_t ends = CDC_S3_TABLE_GONE | CDC_S3_TABLE_LEFT;
	uint32_t version;

	ev->lsn = take_u64(c);
	ev->ordinal = take_u64(c);
	if (ev->flags & CDC_S3_CHANGE_XID)
		ev->xid = take_u32(c);
	ev->table_id = take_u32(c);
	version = take_u32(c);
	ev->table_flags = take_u8(c);
	if (c->bad || ev->table_flags & ~TABLE_FLAGS)
		return false;
	if (ev->table_flags & ends)
	{
		ev->rel = frame_reader_relation(r, ev->table_id);
		return version == 0;
	}
	ev->rel = find_relation(r, ev->table_id, version);
	return ev->rel != NULL;
}

/* Flags that a frame of this type may have; more of them are an error. */
static uint8_t
known_flags(uint8_t type)
{
	switch (type)
	{
		case CDC_S3_RELATION:
			return CDC_S3_REL_AS_ROOT;
		case CDC_S3_BEGIN:
		case CDC_S3_STREAM_COMMIT:
			return CDC_S3_BEGIN_ORIGIN;
		case CDC_S3_INSERT:
		case CDC_S3_TABLE:
			return CDC_S3_CHANGE_XID;
		case CDC_S3_UPDATE:
			return CDC_S3_OLD_KEY | CDC_S3_OLD_FULL | CDC_S3_KEY_CHANGED |
				   CDC_S3_NO_IDENTITY | CDC_S3_CHANGE_XID;
		case CDC_S3_DELETE:
			return CDC_S3_OLD_KEY | CDC_S3_OLD_FULL | CDC_S3_NO_IDENTITY |
				   CDC_S3_CHANGE_XID;
		case CDC_S3_TRUNCATE:
			return CDC_S3_TRUNC_CASCADE | CDC_S3_TRUNC_RESTART |
				   CDC_S3_CHANGE_XID;
		case CDC_S3_MESSAGE:
			return CDC_S3_MSG_TRANSACTIONAL | CDC_S3_CHANGE_XID;
		case CDC_S3_PART:
			return CDC_S3_PART_LAST;
		default:
			return 0;
	}
}

static bool
decode_body(FrameReader *r, Cursor *c, FrameEvent *ev, Err *err)
{
	if (ev->flags & ~known_flags(ev->type))
		return false;
	switch (ev->type)
	{
		case CDC_S3_HELLO:
			return decode_hello(c, ev);
		case CDC_S3_RELATION:
			return decode_relation(r, c, ev, err);
		case CDC_S3_BEGIN:
		case CDC_S3_STREAM_COMMIT:
			return decode_begin(c, ev);
		case CDC_S3_COMMIT:
			return decode_commit(c, ev);
		case CDC_S3_INSERT:
		case CDC_S3_UPDATE:
		case CDC_S3_DELETE:
			return decode_change(r, c, ev);
		case CDC_S3_TRUNCATE:
			return decode_truncate(r, c, ev);
		case CDC_S3_MESSAGE:
			return decode_message(c, ev);
		case CDC_S3_TABLE:
			return decode_table(r, c, ev);
		default:
			return false; /* streaming, two-phase: never asked for */
	}
}

void
frame_reader_pass_rows(FrameReader *r)
{
	r->pass_rows = true;
}

static bool
is_row(uint8_t type)
{
	return type == CDC_S3_INSERT || type == CDC_S3_UPDATE ||
		   type == CDC_S3_DELETE;
}

/* Of a later plugin. */
static bool
is_skipped(uint8_t type)
{
	return type & 0x80 && type != CDC_S3_TABLE;
}

static bool
broken_row(Err *err)
{
	return err_set(err, ERR_DATA, 0, "a row in parts breaks the wire contract");
}

/*
 * A part of a row that is passed on: behind the row's head, which the first of
 * these events tells.  *out_whole: there is an event.
 */
static bool
pass_part(FrameReader *r, bool first, bool last, Cursor *c, FrameEvent *ev,
		  bool *out_whole, Err *err)
{
	size_t head = ROW_HEAD_BYTES + (ev->flags & CDC_S3_CHANGE_XID ? 4 : 0);
	Cursor at;

	if (first)
		r->head_known = false;
	ev->type = CDC_S3_PART;
	ev->part_type = r->part_type;
	ev->part_last = last;
	if (!r->head_known)
	{
		size_t n = head - r->parts.n < c->left ? head - r->parts.n : c->left;

		buf_add(&r->parts, c->p, n);
		c->p += n;
		c->left -= n;
		*out_whole = r->parts.n == head;
		if (!*out_whole)
			return !last || broken_row(err);
		at = (Cursor){ r->parts.p, r->parts.n, false };
		if (ev->flags & ~known_flags(r->part_type) || !decode_head(r, &at, ev))
			return broken_row(err);
		ev->part_first = r->head_known = true;
	}
	ev->part = (Slice){ c->p, c->left };
	*out_whole = true;
	return true;
}

/* Adds a part; *out_whole once it was the last, body being the frame's. */
static bool
add_part(FrameReader *r, uint8_t flags, Cursor *c, FrameEvent *ev, Cursor *body,
		 bool *out_whole, Err *err)
{
	uint8_t type = take_u8(c);
	uint8_t frame_flags = take_u8(c);
	uint32_t number = take_u32(c);

	if (c->bad || flags & ~known_flags(CDC_S3_PART) ||
		number != (r->in_parts ? r->next_part : 0) ||
		(r->in_parts && (type != r->part_type || frame_flags != r->part_flags)))
		return err_set(err, ERR_DATA, 0, "part %u of a frame is out of order",
					   number);
	if (number == 0)
		buf_reset(&r->parts);
	r->in_parts = !(flags & CDC_S3_PART_LAST);
	r->part_type = type;
	r->part_flags = frame_flags;
	r->next_part = number + 1;
	if (r->pass_rows && is_row(type))
	{
		ev->flags = frame_flags;
		return pass_part(r, number == 0, flags & CDC_S3_PART_LAST, c, ev,
						 out_whole, err);
	}
	buf_add(&r->parts, c->p, c->left);
	if (r->parts.overflow)
		return err_set(err, ERR_LIMIT, 0, "a frame is longer than %zu bytes",
					   r->parts.max);
	*out_whole = flags & CDC_S3_PART_LAST;
	if (*out_whole)
	{
		ev->type = type;
		ev->flags = frame_flags;
		*body = (Cursor){ r->parts.p, r->parts.n, false };
	}
	return true;
}

/* A long row's memory is not kept for the rest of the run. */
static void
drop_parts(FrameReader *r)
{
	if (!r->in_parts && r->parts.cap > CDC_S3_FRAME_MAX)
		buf_done(&r->parts);
}

bool
frame_next(FrameReader *r, FrameEvent *ev, bool *out_end, Err *err)
{
	drop_parts(r);
	for (;;)
	{
		Cursor body;
		Slice bytes;
		bool whole = true;

		*out_end = r->packet.left == 0;
		if (*out_end)
			return true;
		*ev = (FrameEvent){ 0 };
		ev->type = take_u8(&r->packet);
		ev->flags = take_u8(&r->packet);
		bytes = take_bytes(&r->packet, take_u32(&r->packet));
		if (r->packet.bad)
			return err_set(err, ERR_DATA, 0, "a packet ends inside a frame");
		body = (Cursor){ bytes.p, bytes.n, false };
		if (is_skipped(ev->type))
			continue;
		if (ev->type == CDC_S3_PART)
		{
			Cursor part = body;

			if (!add_part(r, ev->flags, &part, ev, &body, &whole, err))
				return false;
		}
		else if (r->in_parts)
			return err_set(err, ERR_DATA, 0,
						   "a frame came between the parts of another");
		if (!whole || is_skipped(ev->type))
			continue;
		if (ev->part_type != 0)
			return true;
		err_clear(err);
		if (decode_body(r, &body, ev, err))
			return true;
		if (err->kind != ERR_NONE)
			return false;
		return err_set(err, ERR_DATA, 0,
					   "a frame of type '%c' breaks the wire contract",
					   ev->type >= ' ' && ev->type < 0x7f ? ev->type : '?');
	}
}
