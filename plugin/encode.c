/*-------------------------------------------------------------------------
 * encode.c
 *	  The only writer of frames and packets.
 *
 *	  cdc_s3_frame_begin > put… > cdc_s3_frame_end … cdc_s3_packet_flush
 *
 * Invariants:
 *	(1) A packet leaves with whole frames only.  A frame that an error left
 *		open is taken back when the next one begins.
 *	(2) buf holds at most a packet's worth of frames and one open frame, and
 *		that up to CDC_S3_FRAME_MAX: what goes beyond leaves in parts.
 *	(3) A packet may stay open behind a commit, if gather.c sees to it that it
 *		leaves in time ("kept").
 *	(4) In format text each frame is handed to text.c and nothing is kept.
 *	(5) A walsender's packet is not copied once it is made (outbox.c); where it
 *		has to be, it is appended to what the server has begun.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "replication/origin.h"
#include "utils/memdebug.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "cdc_s3.h"

/* Golden frames are made with smaller limits. */
#ifndef FRAME_LIMIT
#define FRAME_LIMIT CDC_S3_FRAME_MAX
#endif
#ifndef PART_SIZE
#define PART_SIZE (1024 * 1024)
#endif

/* Size of the buffer that a packet needs, and of one that is kept. */
#define BUF_SIZE (2 * CDC_S3_PACKET_TARGET)
#define BUF_KEPT (8 * BUF_SIZE)

/* Type, flags and number of a part, before its bytes. */
#define PART_HEAD 6

/* ---- the packet ---- */

static void
buf_resize(CdcS3State *st, Size cap)
{
	st->buf = st->buf ? repalloc_huge(st->buf, cap)
					  : MemoryContextAllocHuge(st->cxt, cap);
	st->cap = cap;
}

/* Make room for n more bytes. */
void
cdc_s3_reserve(CdcS3State *st, Size n)
{
	if (likely(st->cap - st->len >= n))
		return;
	buf_resize(st, Max(Max(BUF_SIZE, st->cap * 2), st->len + n));
}

static void
packet_header(char *p, pg_crc32c crc)
{
	p[0] = CDC_S3_MAGIC_0;
	p[1] = CDC_S3_MAGIC_1;
	p[2] = CDC_S3_PROTO_VERSION;
	p[3] = 0;
	(void) put_u32(p + 4, crc);
}

/* Where the first frame of the packet begins. */
static Size
packet_frames(CdcS3State *st)
{
	return st->start + CDC_S3_PACKET_HEADER;
}

/* Write the header over what the packet holds before "end". */
static void
packet_close(CdcS3State *st, Size end)
{
	const char *frames = st->buf + packet_frames(st);
	Size n = end - packet_frames(st);
	pg_crc32c crc;

	VALGRIND_CHECK_MEM_IS_DEFINED(frames, n);
	INIT_CRC32C(crc);
	crc = cdc_s3_crc_add(crc, frames, n);
	FIN_CRC32C(crc);
	packet_header(st->buf + st->start, crc);
	st->kept = false;
}

/* A frame that an error left open is none. */
static void
frame_drop(CdcS3State *st)
{
	if (st->frame)
		st->len = st->frame;
	st->frame = 0;
	st->in_parts = false;
}

/*
 * Close the packet for who sends it without the server's callback.  Never
 * called while a frame is made.
 */
void
cdc_s3_packet_close(CdcS3State *st)
{
	frame_drop(st);
	packet_close(st, st->len);
}

/* Send the packet through the server, which may wait for its client. */
void
cdc_s3_packet_flush(CdcS3State *st)
{
	frame_drop(st);
	if (st->len > packet_frames(st))
	{
		packet_close(st, st->len);
		OutputPluginPrepareWrite(st->ctx, true);
		if (!cdc_s3_gather_attach(st))
		{
			appendBinaryStringInfo(st->ctx->out, st->buf + st->start,
								   (int) (st->len - st->start));
			st->len = 0;
		}
		OutputPluginWrite(st->ctx, true);
	}
	st->len = 0;
	if (unlikely(st->cap > BUF_KEPT) && st->queued == 0)
		buf_resize(st, BUF_SIZE);
}

/* ---- parts ---- */

/* Send bytes of the open frame's body as a packet of one part frame. */
static void
part_send(CdcS3State *st, const char *data, Size n, bool last)
{
	char head[CDC_S3_PACKET_HEADER + CDC_S3_FRAME_HEADER + PART_HEAD];
	char *p = head + CDC_S3_PACKET_HEADER;
	pg_crc32c crc;

	p[0] = CDC_S3_PART;
	p[1] = last ? CDC_S3_PART_LAST : 0;
	p = put_u32(p + 2, (uint32) (PART_HEAD + n));
	p[0] = st->buf[st->frame];
	p[1] = st->buf[st->frame + 1];
	(void) put_u32(p + 2, st->part_no++);

	VALGRIND_CHECK_MEM_IS_DEFINED(data, n);
	INIT_CRC32C(crc);
	crc = cdc_s3_crc_add(crc, head + CDC_S3_PACKET_HEADER,
						 sizeof(head) - CDC_S3_PACKET_HEADER);
	crc = cdc_s3_crc_add(crc, data, n);
	FIN_CRC32C(crc);
	packet_header(head, crc);
	OutputPluginPrepareWrite(st->ctx, true);
	appendBinaryStringInfo(st->ctx->out, head, sizeof(head));
	appendBinaryStringInfo(st->ctx->out, data, (int) n);
	OutputPluginWrite(st->ctx, true);
}

/* The body in buf grew enough for whole parts: send those. */
static void
parts_drain(CdcS3State *st)
{
	Size body = st->frame + CDC_S3_FRAME_HEADER;
	Size sent = 0;

	while (st->len - body - sent > PART_SIZE)
	{
		part_send(st, st->buf + body + sent, PART_SIZE, false);
		sent += PART_SIZE;
	}
	memmove(st->buf + body, st->buf + body + sent, st->len - body - sent);
	st->len -= sent;
}

/* The open frame is too long: what is before it leaves, then its parts. */
static void
parts_start(CdcS3State *st)
{
	Size frames = packet_frames(st);

	if (st->frame > frames)
	{
		packet_close(st, st->frame);
		OutputPluginPrepareWrite(st->ctx, true);
		appendBinaryStringInfo(st->ctx->out, st->buf + st->start,
							   (int) (st->frame - st->start));
		OutputPluginWrite(st->ctx, true);
		memmove(st->buf + frames, st->buf + st->frame, st->len - st->frame);
		st->len -= st->frame - frames;
		st->frame = frames;
	}
	st->in_parts = true;
	st->part_no = 0;
	parts_drain(st);
}

/* Add to a frame that is, or becomes, too long for one. */
static void
parts_put(CdcS3State *st, const char *data, Size n)
{
	if (!st->in_parts)
		parts_start(st);
	while (n > 0)
	{
		Size room = PART_SIZE + 1 - (st->len - st->frame - CDC_S3_FRAME_HEADER);
		Size this_len = Min(n, room);

		cdc_s3_reserve(st, this_len);
		memcpy(st->buf + st->len, data, this_len);
		st->len += this_len;
		data += this_len;
		n -= this_len;
		parts_drain(st);
	}
}

/* ---- frames ---- */

void
cdc_s3_put_bytes(CdcS3State *st, const void *data, Size n)
{
	Size body = st->len - st->frame - CDC_S3_FRAME_HEADER;

	if (unlikely(st->in_parts || (body + n > FRAME_LIMIT && st->parts)))
	{
		parts_put(st, data, n);
		return;
	}
	cdc_s3_reserve(st, n);
	memcpy(st->buf + st->len, data, n);
	st->len += n;
}

void
cdc_s3_put_blob(CdcS3State *st, const void *data, Size n)
{
	char prefix[5];

	cdc_s3_put_bytes(st, prefix, put_blob_len(prefix, n) - prefix);
	cdc_s3_put_bytes(st, data, n);
}

static void
put_str(CdcS3State *st, const char *utf8, Size len)
{
	uint16 n = (uint16) Min(len, PG_UINT16_MAX);

	if (n < len) /* an option: cut between characters */
		while (n > 0 && ((unsigned char) utf8[n] & 0xC0) == 0x80)
			n--;
	cdc_s3_put_bytes(st, &n, sizeof(n));
	cdc_s3_put_bytes(st, utf8, n);
}

static void
put_name(CdcS3State *st, const char *name)
{
	Size len;
	const char *utf8 = cdc_s3_name_utf8(st, name, &len);

	put_str(st, utf8, len);
}

static void
frame_open(CdcS3State *st, uint8 type, uint8 flags)
{
	cdc_s3_reserve(st, CDC_S3_FRAME_HEADER);
	st->frame = st->len;
	st->buf[st->len] = (char) type;
	st->buf[st->len + 1] = (char) flags;
	st->len += CDC_S3_FRAME_HEADER;
}

static void
put_hello(CdcS3State *st)
{
	uint32 head[3] = { CDC_S3_PROTO_VERSION_MIN, CDC_S3_PROTO_VERSION_MAX,
					   PG_VERSION_NUM };
	uint8 text =
		st->encoding == PG_SQL_ASCII || st->encoding == PG_MULE_INTERNAL
			? CDC_S3_TEXT_RAW
			: CDC_S3_TEXT_UTF8;
	uint16 n = (uint16) list_length(st->opt.shown);
	ListCell *lc;

	cdc_s3_put_bytes(st, head, sizeof(head));
	cdc_s3_put_bytes(st, &text, sizeof(text));
	put_name(st, CDC_S3_PLUGIN_VERSION);
	put_name(st, pg_encoding_to_char(st->encoding));
	put_name(st, st->database);
	cdc_s3_put_bytes(st, &n, sizeof(n));
	foreach (lc, st->opt.shown)
	{
		CdcS3OptionText *o = lfirst(lc);

		put_name(st, o->name);
		put_name(st, o->value);
	}
}

void
cdc_s3_frame_begin(CdcS3State *st, uint8 type, uint8 flags)
{
	if (unlikely(st->frame))
		frame_drop(st);
	st->parts = st->opt.format == FORMAT_BINARY;
	if (st->len == 0)
	{
		st->start = st->queued + st->head;
		cdc_s3_reserve(st, packet_frames(st) + BUF_SIZE);
		st->len = packet_frames(st);
	}
	if (unlikely(!st->hello_sent))
	{
		st->hello_sent = true;
		frame_open(st, CDC_S3_HELLO, 0);
		put_hello(st);
		cdc_s3_frame_end(st);
		cdc_s3_frame_begin(st, type, flags);
		return;
	}
	frame_open(st, type, flags);
}

void
cdc_s3_frame_end(CdcS3State *st)
{
	Size body = st->frame + CDC_S3_FRAME_HEADER;

	if (unlikely(!st->in_parts && st->len - body > FRAME_LIMIT && st->parts))
		parts_start(st);
	if (unlikely(st->in_parts))
	{
		body = st->frame + CDC_S3_FRAME_HEADER;
		part_send(st, st->buf + body, st->len - body, true);
		st->frame = 0;
		st->len = 0;
		cdc_s3_packet_flush(st);
		return;
	}
	(void) put_u32(st->buf + st->frame + 2, (uint32) (st->len - body));
	if (st->opt.format == FORMAT_TEXT)
	{
		Size frame = st->frame;
		Size end = st->len;

		st->frame = 0;
		st->len = 0;
		cdc_s3_text_frame(st, st->buf + frame, end - frame);
		return;
	}
	st->frame = 0;
	if (st->len - st->start >= CDC_S3_PACKET_TARGET)
		cdc_s3_packet_flush(st);
}

/* ---- transactions ---- */

/*
 * The name of a transaction's origin, or NULL.  At a stream commit the server
 * has closed its own transaction already, so one is opened for the look-up.
 */
static char *
origin_name(CdcS3State *st, ReorderBufferTXN *txn)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool started = !IsTransactionState();
	char *name = NULL;

	if (txn->origin_id == InvalidRepOriginId)
		return NULL;
	if (started)
		StartTransactionCommand();
	if (replorigin_by_oid(txn->origin_id, true, &name))
		name = MemoryContextStrdup(st->scratch, name);
	else
		name = NULL;
	if (started)
		CommitTransactionCommand();
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
	return name;
}

/* Begin, or stream commit, which has the same body. */
void
cdc_s3_put_begin(CdcS3State *st, uint8 type, ReorderBufferTXN *txn)
{
	char *origin = origin_name(st, txn);
	uint8 flags = 0;
	char head[20];
	char *p;

	if (origin)
		flags = CDC_S3_BEGIN_ORIGIN;
	cdc_s3_frame_begin(st, type, flags);
	p = put_u32(head, txn->xid);
	p = put_u64(p, txn->end_lsn);
	(void) put_u64(p, (uint64) txn->xact_time.commit_time);
	cdc_s3_put_bytes(st, head, sizeof(head));
	if (flags)
	{
		put_name(st, origin);
		cdc_s3_put_bytes(st, &txn->origin_lsn, sizeof(uint64));
	}
	cdc_s3_frame_end(st);
}

/* The end of what a plain transaction sent, if anything. */
void
cdc_s3_put_commit(CdcS3State *st, ReorderBufferTXN *txn)
{
	char body[24];
	char *p;

	cdc_s3_frame_begin(st, CDC_S3_COMMIT, 0);
	p = put_u64(body, txn->end_lsn);
	p = put_u64(p, (uint64) txn->xact_time.commit_time);
	(void) put_u64(p, st->txn->ordinal);
	cdc_s3_put_bytes(st, body, sizeof(body));
	cdc_s3_frame_end(st);
}

/* Stream start, stop or abort. */
void
cdc_s3_put_stream(CdcS3State *st, uint8 type, uint32 xid, uint32 subxid,
				  XLogRecPtr lsn)
{
	bool first = type == CDC_S3_STREAM_START && !st->txn->begun;

	cdc_s3_frame_begin(st, type, first ? CDC_S3_STREAM_FIRST : 0);
	cdc_s3_put_bytes(st, &xid, sizeof(xid));
	if (type == CDC_S3_STREAM_ABORT)
	{
		cdc_s3_put_bytes(st, &subxid, sizeof(subxid));
		cdc_s3_put_bytes(st, &lsn, sizeof(lsn));
	}
	cdc_s3_frame_end(st);
}

/* Prepare, commit prepared or rollback prepared. */
void
cdc_s3_put_prepared(CdcS3State *st, uint8 type, uint32 xid, XLogRecPtr end_lsn,
					TimestampTz time, const char *gid)
{
	cdc_s3_frame_begin(st, type, 0);
	cdc_s3_put_bytes(st, &xid, sizeof(xid));
	cdc_s3_put_bytes(st, &end_lsn, sizeof(end_lsn));
	cdc_s3_put_bytes(st, &time, sizeof(time));
	put_name(st, gid);
	cdc_s3_frame_end(st);
}

/* Before the first change of a transaction, or of a stream block. */
void
cdc_s3_txn_open(CdcS3State *st)
{
	if (st->in_stream)
	{
		if (st->stream_open)
			return;
		st->stream_open = true;
		cdc_s3_put_stream(st, CDC_S3_STREAM_START, st->xid, st->xid,
						  InvalidXLogRecPtr);
	}
	else if (!st->txn->begun)
		cdc_s3_put_begin(st, CDC_S3_BEGIN, st->rtxn);
	st->txn->begun = true;
}

/* ---- changes ---- */

/* The relation frame, where the reader has not seen it. */
void
cdc_s3_put_relation(CdcS3State *st, CdcS3Rel *rel)
{
	if (st->in_stream)
	{
		/* A reader may have dropped what came in an earlier block. */
		if (rel->sent_block == st->stream_block)
			return;
		rel->sent_block = st->stream_block;
	}
	else
	{
		if (likely(rel->sent))
			return;
		rel->sent = true;
	}
	cdc_s3_frame_begin(st, CDC_S3_RELATION,
					   rel->as_root ? CDC_S3_REL_AS_ROOT : 0);
	cdc_s3_put_bytes(st, rel->body, rel->body_len);
	cdc_s3_frame_end(st);
}

static void
put_change_header(CdcS3State *st, CdcS3Rel *rel, ReorderBufferChange *change)
{
	char *p;

	cdc_s3_reserve(st, 28);
	p = put_u32(st->buf + st->len, rel->relid);
	p = put_u32(p, rel->version);
	p = put_u64(p, change->lsn);
	p = put_u64(p, ++st->txn->ordinal);
	if (st->in_stream)
		p = put_u32(p, change->txn->xid);
	st->len = p - st->buf;
}

/*
 * The flags of an update or delete: which old row goes along, if any, and
 * what it means.
 */
static uint8
old_flags(CdcS3State *st, CdcS3Rel *rel, Relation relation, HeapTuple old,
		  HeapTuple new)
{
	bool full = rel->identity == REPLICA_IDENTITY_FULL;
	bool changed = false;
	uint8 flags = 0;

	if (!rel->has_identity || (!old && !new))
		return CDC_S3_NO_IDENTITY;
	if (!old)
		return 0;
	if (new)
	{
		changed = cdc_s3_key_changed(rel, relation, old, new);
		if (changed)
			flags |= CDC_S3_KEY_CHANGED;
	}
	if (full && (rel->key_is_all || st->opt.old == OLD_FULL))
		return flags | CDC_S3_OLD_FULL;
	if (!new || changed)
		flags |= CDC_S3_OLD_KEY;
	return flags;
}

void
cdc_s3_put_change(CdcS3State *st, CdcS3Rel *rel, Relation relation,
				  ReorderBufferChange *change)
{
	HeapTuple old = CHANGE_TUPLE(change->data.tp.oldtuple);
	HeapTuple new = CHANGE_TUPLE(change->data.tp.newtuple);
	uint8 flags = 0;
	uint8 type;

	switch (change->action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			type = CDC_S3_INSERT;
			old = NULL;
			break;
		case REORDER_BUFFER_CHANGE_UPDATE:
			type = CDC_S3_UPDATE;
			break;
		default:
			type = CDC_S3_DELETE;
			new = NULL;
			break;
	}
	if (!new &&type != CDC_S3_DELETE)
		return; /* the server had no row to show */
	if (type != CDC_S3_INSERT)
		flags = old_flags(st, rel, relation, old, new);
	if (st->in_stream)
		flags |= CDC_S3_CHANGE_XID;

	cdc_s3_txn_open(st);
	cdc_s3_put_relation(st, rel);
	cdc_s3_frame_begin(st, type, flags);
	put_change_header(st, rel, change);
	if (flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL))
		cdc_s3_put_row(st, rel, relation, old, NULL,
					   (flags & CDC_S3_OLD_KEY) != 0);
	if (new)
		cdc_s3_put_row(st, rel, relation, new, old, false);
	cdc_s3_frame_end(st);
}

void
cdc_s3_put_message(CdcS3State *st, XLogRecPtr lsn, bool transactional,
				   const char *prefix, Size size, const char *message)
{
	uint8 flags = transactional ? CDC_S3_MSG_TRANSACTIONAL : 0;
	bool with_xid = transactional && st->in_stream;
	uint64 ordinal = transactional ? ++st->txn->ordinal : 0;
	uint32 len = (uint32) size;

	if (transactional)
		cdc_s3_txn_open(st);
	if (with_xid)
		flags |= CDC_S3_CHANGE_XID;
	cdc_s3_frame_begin(st, CDC_S3_MESSAGE, flags);
	cdc_s3_put_bytes(st, &lsn, sizeof(lsn));
	cdc_s3_put_bytes(st, &ordinal, sizeof(ordinal));
	if (with_xid)
		cdc_s3_put_bytes(st, &st->xid, sizeof(st->xid));
	put_name(st, prefix);
	cdc_s3_put_bytes(st, &len, sizeof(len));
	cdc_s3_put_bytes(st, message, size);
	cdc_s3_frame_end(st);
}
