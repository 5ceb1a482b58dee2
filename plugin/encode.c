/*-------------------------------------------------------------------------
 * encode.c
 *	  The only writer of frames: what is in each of them.
 *
 *	  cdc_s3_frame_begin > put… > cdc_s3_frame_end
 *
 * The packet that they are in is packet.c's.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "replication/origin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "cdc_s3.h"

/* ---- frames ---- */

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

/* Open a frame.  The first one of all is hello. */
void
cdc_s3_frame_begin(CdcS3State *st, uint8 type, uint8 flags)
{
	if (unlikely(!st->hello_sent))
	{
		st->hello_sent = true;
		cdc_s3_packet_frame(st, CDC_S3_HELLO, 0);
		put_hello(st);
		cdc_s3_frame_end(st);
	}
	cdc_s3_packet_frame(st, type, flags);
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

/* What became of a table: CDC_S3_TABLE_* flags. */
static void
put_table(CdcS3State *st, Oid relid, uint32 version, uint8 flags,
		  XLogRecPtr lsn, uint64 ordinal)
{
	char body[29];
	char *p;

	cdc_s3_frame_begin(st, CDC_S3_TABLE, st->in_stream ? CDC_S3_CHANGE_XID : 0);
	p = put_u64(body, lsn);
	p = put_u64(p, ordinal);
	if (st->in_stream)
		p = put_u32(p, st->xid);
	p = put_u32(p, relid);
	p = put_u32(p, version);
	*p++ = (char) flags;
	cdc_s3_put_bytes(st, body, p - body);
	cdc_s3_frame_end(st);
}

/* That a table has come to its end, in this stream. */
void
cdc_s3_put_end(CdcS3State *st, Oid relid, uint8 flags, XLogRecPtr lsn)
{
	cdc_s3_txn_open(st);
	put_table(st, relid, 0, flags, lsn, ++st->txn->ordinal);
}

/* The relation frame, where the reader does not have it. */
static void
put_relation_frame(CdcS3State *st, CdcS3Rel *rel)
{
	bool sent = rel->sent;

	if (st->in_stream)
	{
		/* A reader may have dropped what came in an earlier block. */
		sent = rel->sent_block == st->stream_block;
		rel->sent_block = st->stream_block;
	}
	else
		rel->sent = true;
	if (sent)
		return;
	cdc_s3_frame_begin(st, CDC_S3_RELATION,
					   rel->as_root ? CDC_S3_REL_AS_ROOT : 0);
	cdc_s3_put_bytes(st, rel->body, rel->body_len);
	cdc_s3_frame_end(st);
	st->told_anew |= rel->named;
	rel->named = true;
	rel->told = st->xid;
	if (rel->as_root)
		cdc_s3_rel_remember(st, rel->rootid)->is_root = true;
}

/* And a table frame behind it, with the flags that are due. */
static void
put_told(CdcS3State *st, CdcS3Rel *rel, uint8 flags, XLogRecPtr lsn,
		 uint64 ordinal)
{
	put_relation_frame(st, rel);
	put_table(st, rel->relid, rel->version, flags, lsn, ordinal);
	rel->tell = false;
	rel->created_due = false;
}

/*
 * Before a change: the relation frame, where the reader has not seen it, and
 * the table frame that is due.  That has the ordinal of the change, since what
 * a stream has said before must not move the ordinals of changes.
 */
void
cdc_s3_put_relation(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn)
{
	if (likely(rel->sent && !rel->tell && !st->in_stream))
		return;
	if (rel->tell)
		put_told(st, rel, rel->created_due ? CDC_S3_TABLE_CREATED : 0, lsn,
				 st->txn->ordinal + 1);
	else
		put_relation_frame(st, rel);
}

/* Behind all changes: the same, and that its rows are others. */
void
cdc_s3_put_told(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn)
{
	uint8 flags = 0;

	if (rel->created_due)
		flags |= CDC_S3_TABLE_CREATED;
	if (rel->rewritten_due)
		flags |= CDC_S3_TABLE_REWRITTEN;
	rel->rewritten_due = false;
	cdc_s3_txn_open(st);
	put_told(st, rel, flags, lsn, ++st->txn->ordinal);
}

static void
put_change_header(CdcS3State *st, CdcS3Rel *rel, ReorderBufferChange *change)
{
	char *p;

	p = put_u32(cdc_s3_packet_room(st, 28), rel->relid);
	p = put_u32(p, rel->version);
	p = put_u64(p, change->lsn);
	p = put_u64(p, ++st->txn->ordinal);
	if (st->in_stream)
		p = put_u32(p, change->txn->xid);
	cdc_s3_packet_wrote(st, p);
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
	cdc_s3_put_relation(st, rel, change->lsn);
	cdc_s3_frame_begin(st, type, flags);
	put_change_header(st, rel, change);
	if (flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL))
		cdc_s3_put_row(st, rel, relation, old, NULL,
					   (flags & CDC_S3_OLD_KEY) != 0);
	if (new)
		cdc_s3_put_row(st, rel, relation, new, old, false);
	cdc_s3_frame_end(st);
	if (flags & CDC_S3_KEY_CHANGED)
		st->txn->ordinal++; /* a reader may make two changes of it */
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
