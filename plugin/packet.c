/*-------------------------------------------------------------------------
 * packet.c
 *	  The packet that is made, and the frame that is open in it: the one owner
 *	  of that buffer.
 *
 *	  frame_begin > put… > frame_end … packet_close, or at a commit
 *	  packet_commit
 *
 *			 cdc_s3_packet_frame			   cdc_s3_frame_end
 *	  EMPTY --------------------> OPEN -------------------------> WHOLE
 *		^						  ^ |							   | |
 *		|						  | |	  cdc_s3_packet_frame	   | |
 *		|						  +-|------------------------------+ |
 *		|  cdc_s3_frame_end			v part_start					 |
 *		+----------------------- PARTED								 |
 *		|															 |
 *		+------------------------------------------------------------+
 *		   cdc_s3_packet_close, _settle, _salvage; frame_end at its size
 *
 * Invariants:
 *	(1) A packet leaves with whole frames only, and is closed in WHOLE: never
 *		inside of a frame.  A frame that an error left open is taken back when
 *		the next one begins, or when the packet is salvaged.
 *	(2) buf holds at most a packet's worth of frames and one open frame, and
 *		that up to CDC_S3_FRAME_MAX: what goes beyond leaves in parts.
 *	(3) A packet stays open behind a commit only in a round of ahead.c, which
 *		settles it before the server looks at anything: at the round's end,
 *		before each function of the server that the round enters, and when an
 *		error ends the round.  "committed" is the end of that commit.
 *	(4) In format text each frame is handed to text.c and nothing is kept.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memdebug.h"
#include "utils/memutils.h"

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

/* Where the packet begins in buf, and its first frame. */
#define PACKET_AT XLOG_DATA_HEAD
#define FRAMES_AT (PACKET_AT + CDC_S3_PACKET_HEADER)

/* ---- the buffer ---- */

static void
buf_resize(CdcS3Packet *pk, Size cap)
{
	Assert(cap >= pk->len);
	pk->buf = repalloc_huge(pk->buf, cap);
	pk->cap = cap;
}

/* Make room for n more bytes. */
void
cdc_s3_packet_grow(CdcS3State *st, Size n)
{
	CdcS3Packet *pk = &st->packet;

	buf_resize(pk, Max(pk->cap * 2, pk->len + n));
}

static void
packet_clear(CdcS3Packet *pk)
{
	pk->state = PACKET_EMPTY;
	pk->len = 0;
	pk->frame = 0;
	pk->committed = 0;
	if (unlikely(pk->cap > BUF_KEPT))
		buf_resize(pk, BUF_SIZE);
}

/* Its memory lives as long as the decoding context. */
void
cdc_s3_packet_init(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;

	memset(pk, 0, sizeof(*pk));
	pk->buf = MemoryContextAllocHuge(st->cxt, BUF_SIZE);
	pk->cap = BUF_SIZE;
	pk->splits = st->opt.format == FORMAT_BINARY;
}

/* ---- packets ---- */

static void
packet_header(char *p, pg_crc32c crc)
{
	p[0] = CDC_S3_MAGIC_0;
	p[1] = CDC_S3_MAGIC_1;
	p[2] = CDC_S3_PROTO_VERSION;
	p[3] = 0;
	(void) put_u32(p + 4, crc);
}

/* A frame that an error left open is none. */
static void
frame_drop(CdcS3Packet *pk)
{
	if (pk->state == PACKET_PARTED || pk->frame == FRAMES_AT)
		packet_clear(pk);
	else
	{
		pk->state = PACKET_WHOLE;
		pk->len = pk->frame;
		pk->frame = 0;
	}
	pk->held = false;
}

/*
 * Between two records no frame is open, unless an error left it so that the
 * server caught (stream.c).
 */
void
cdc_s3_packet_tidy(CdcS3State *st)
{
	if (unlikely(st->packet.frame != 0))
		frame_drop(&st->packet);
}

/*
 * Write the header over the whole frames, which end at "end", and hand them on
 * as a packet.  Invariant (1).  Only in a callback of ours that the server
 * takes writes from, the client may be waited for.
 */
static void
frames_leave(CdcS3State *st, Size end, bool may_wait)
{
	CdcS3Packet *pk = &st->packet;
	XLogRecPtr lsn =
		pk->committed ? pk->committed_lsn : st->ctx->write_location;
	pg_crc32c crc;

	Assert(pk->state == PACKET_WHOLE
			   ? end == pk->len
			   : pk->state == PACKET_OPEN && end == pk->frame);
	Assert(end > FRAMES_AT && pk->committed <= end);
	VALGRIND_CHECK_MEM_IS_DEFINED(pk->buf + FRAMES_AT, end - FRAMES_AT);
	INIT_CRC32C(crc);
	crc = cdc_s3_crc_add(crc, pk->buf + FRAMES_AT, end - FRAMES_AT);
	FIN_CRC32C(crc);
	packet_header(pk->buf + PACKET_AT, crc);
	pk->committed = 0; /* it is the server's from here on */
	cdc_s3_deliver(st, pk->buf, end, lsn, may_wait);
}

static void
packet_leave(CdcS3State *st, bool may_wait)
{
	Assert(st->packet.state == PACKET_WHOLE);
	frames_leave(st, st->packet.len, may_wait);
	packet_clear(&st->packet);
}

/* Close the packet, if there is one; it is the server's then. */
void
cdc_s3_packet_close(CdcS3State *st)
{
	if (st->packet.state != PACKET_EMPTY)
		packet_leave(st, true);
}

/* At a commit: in a round the packet stays open for the next transactions. */
void
cdc_s3_packet_commit(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;

	if (pk->state == PACKET_EMPTY)
		return;
	if (!cdc_s3_ahead_in_round() || !cdc_s3_deliver_direct())
	{
		cdc_s3_packet_close(st);
		return;
	}
	Assert(pk->state == PACKET_WHOLE);
	pk->committed = pk->len;
	pk->committed_lsn = st->ctx->write_location;
}

/*
 * Before the server looks: commits do not wait here.  Frames of a transaction
 * under way may.
 */
void
cdc_s3_packet_settle(CdcS3State *st)
{
	if (st->packet.committed)
		packet_leave(st, false);
	Assert(st->packet.committed == 0);
}

/*
 * An error ends a round, and will be told to the client: behind all that was
 * committed before.
 */
void
cdc_s3_packet_salvage(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;

	if (pk->committed == 0)
		return;
	Assert(pk->state != PACKET_PARTED);
	pk->state = PACKET_WHOLE;
	pk->len = pk->committed;
	pk->frame = 0;
	pk->held = false;
	cdc_s3_packet_settle(st);
}

/* ---- parts ---- */

/* Send bytes of the open frame's body as a packet of one part frame. */
static void
part_leave(CdcS3State *st, const char *data, Size n, bool last)
{
	CdcS3Packet *pk = &st->packet;
	char head[CDC_S3_PACKET_HEADER + CDC_S3_FRAME_HEADER + PART_HEAD];
	char *p = head + CDC_S3_PACKET_HEADER;
	pg_crc32c crc;

	Assert(pk->state == PACKET_PARTED && pk->frame == FRAMES_AT);
	p[0] = CDC_S3_PART;
	p[1] = last ? CDC_S3_PART_LAST : 0;
	p = put_u32(p + 2, (uint32) (PART_HEAD + n));
	p[0] = pk->buf[pk->frame];
	p[1] = pk->buf[pk->frame + 1];
	(void) put_u32(p + 2, pk->part_no++);

	VALGRIND_CHECK_MEM_IS_DEFINED(data, n);
	INIT_CRC32C(crc);
	crc = cdc_s3_crc_add(crc, head + CDC_S3_PACKET_HEADER,
						 sizeof(head) - CDC_S3_PACKET_HEADER);
	crc = cdc_s3_crc_add(crc, data, n);
	FIN_CRC32C(crc);
	packet_header(head, crc);
	cdc_s3_deliver_piece(st, head, sizeof(head), data, n);
}

/* The body in buf grew enough for whole parts: send those. */
static void
parts_drain(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;
	Size body = pk->frame + CDC_S3_FRAME_HEADER;
	Size sent = 0;

	while (pk->len - body - sent > PART_SIZE)
	{
		part_leave(st, pk->buf + body + sent, PART_SIZE, false);
		sent += PART_SIZE;
	}
	memmove(pk->buf + body, pk->buf + body + sent, pk->len - body - sent);
	pk->len -= sent;
}

/* The open frame is too long: what is before it leaves, then its parts. */
static void
parts_start(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;

	Assert(pk->state == PACKET_OPEN && !pk->held);
	if (pk->frame > FRAMES_AT)
	{
		Size n = pk->len - pk->frame;

		frames_leave(st, pk->frame, true);
		memmove(pk->buf + FRAMES_AT, pk->buf + pk->frame, n);
		pk->frame = FRAMES_AT;
		pk->len = FRAMES_AT + n;
	}
	pk->state = PACKET_PARTED;
	pk->part_no = 0;
	parts_drain(st);
}

/* Add to a frame that is, or becomes, too long for one. */
static void
parts_put(CdcS3State *st, const char *data, Size n)
{
	CdcS3Packet *pk = &st->packet;

	if (pk->state == PACKET_OPEN)
		parts_start(st);
	while (n > 0)
	{
		Size room = PART_SIZE + 1 - (pk->len - pk->frame - CDC_S3_FRAME_HEADER);
		Size this_len = Min(n, room);

		if (pk->cap - pk->len < this_len)
			cdc_s3_packet_grow(st, this_len);
		memcpy(pk->buf + pk->len, data, this_len);
		pk->len += this_len;
		data += this_len;
		n -= this_len;
		parts_drain(st);
	}
}

/* ---- frames ---- */

/* Open a frame: its header, the length of which frame_end fills in. */
void
cdc_s3_packet_frame(CdcS3State *st, uint8 type, uint8 flags)
{
	CdcS3Packet *pk = &st->packet;
	char *p;

	if (unlikely(pk->state == PACKET_OPEN || pk->state == PACKET_PARTED))
		frame_drop(pk);
	if (pk->state == PACKET_EMPTY)
		pk->len = FRAMES_AT;
	pk->frame = pk->len;
	pk->state = PACKET_OPEN;
	p = cdc_s3_packet_room(st, CDC_S3_FRAME_HEADER);
	p[0] = (char) type;
	p[1] = (char) flags;
	pk->len += CDC_S3_FRAME_HEADER;
}

void
cdc_s3_put_bytes(CdcS3State *st, const void *data, Size n)
{
	CdcS3Packet *pk = &st->packet;
	Size body = pk->len - pk->frame - CDC_S3_FRAME_HEADER;

	Assert(pk->state == PACKET_OPEN || pk->state == PACKET_PARTED);
	if (unlikely(pk->state == PACKET_PARTED ||
				 (body + n > FRAME_LIMIT && pk->splits && !pk->held)))
	{
		parts_put(st, data, n);
		return;
	}
	memcpy(cdc_s3_packet_room(st, n), data, n);
	pk->len += n;
}

void
cdc_s3_put_blob(CdcS3State *st, const void *data, Size n)
{
	char prefix[5];

	cdc_s3_put_bytes(st, prefix, put_blob_len(prefix, n) - prefix);
	cdc_s3_put_bytes(st, data, n);
}

/* From here on the open frame may be taken back to this mark. */
Size
cdc_s3_packet_hold(CdcS3State *st)
{
	Assert(st->packet.state == PACKET_OPEN && !st->packet.held);
	st->packet.held = true;
	return st->packet.len;
}

/* What was put since is kept, or taken back. */
void
cdc_s3_packet_release(CdcS3State *st, Size mark, bool keep)
{
	Assert(st->packet.state == PACKET_OPEN && st->packet.held);
	st->packet.held = false;
	if (!keep)
		st->packet.len = mark;
}

/* The last part of a frame; nothing is left of it here. */
static void
parts_end(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;
	Size body = pk->frame + CDC_S3_FRAME_HEADER;

	part_leave(st, pk->buf + body, pk->len - body, true);
	packet_clear(pk);
}

void
cdc_s3_frame_end(CdcS3State *st)
{
	CdcS3Packet *pk = &st->packet;
	Size body = pk->frame + CDC_S3_FRAME_HEADER;

	Assert(!pk->held);
	if (unlikely(pk->state == PACKET_OPEN && pk->splits &&
				 pk->len - body > FRAME_LIMIT))
		parts_start(st);
	if (unlikely(pk->state == PACKET_PARTED))
	{
		parts_end(st);
		return;
	}
	Assert(pk->state == PACKET_OPEN);
	(void) put_u32(pk->buf + pk->frame + 2, (uint32) (pk->len - body));
	if (st->opt.format == FORMAT_TEXT)
	{
		cdc_s3_text_frame(st, pk->buf + pk->frame, pk->len - pk->frame);
		packet_clear(pk);
		return;
	}
	pk->frame = 0;
	pk->state = PACKET_WHOLE;
	if (pk->len >= CDC_S3_PACKET_TARGET)
		cdc_s3_packet_close(st);
}
