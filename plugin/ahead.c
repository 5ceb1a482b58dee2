/*-------------------------------------------------------------------------
 * ahead.c
 *	  Reads WAL on between two rounds of the walsender's loop.
 *
 * A walsender reads and decodes one WAL record a round, and in each round asks
 * the socket for a reply, looks at its latch and its timeouts, and publishes
 * how far it is.  With a backlog that is more than half of all it does.  So
 * when it comes to flush what a record brought, up to cdc_s3.read_ahead more
 * records are read and decoded first, the way the SQL functions do it
 * (logicalfuncs.c of the server): XLogReadRecord() and
 * LogicalDecodingProcessRecord() are all there is to it.
 *
 * Invariants:
 *	(1) Decoding never nests.  While a record is decoded, the walsender can
 *		come to flush only by way of two functions that the decoding context
 *		calls by pointer; these pointers lead through this file (inside()).
 *		While it waits for WAL it has read none since it last flushed.  At
 *		such flushes nothing is decoded.
 *	(2) The walsender itself reads the last record.  It alone knows how far it
 *		has sent, and at a shutdown it waits until the client has confirmed
 *		just that.  So a record is taken only if a page of flushed WAL follows
 *		it, which holds the start of another; where its end lies is known
 *		before it is taken (XLogReadAhead()).
 *	(3) A round stays short: it ends as soon as something is to be sent, and
 *		after a transaction that took long to replay (gather.c).
 *
 * One walsender decodes one slot, so the state is one static variable.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "utils/guc.h"

#include "cdc_s3.h"

#define AHEAD_DEFAULT 32
#define AHEAD_MAX 1024

typedef struct Ahead
{
	CdcS3State *st; /* NULL: no walsender that streams */
	bool inside;    /* the server decodes a record */
	bool reads;     /* it reads one, and may wait for WAL */
	XLogRecPtr at;  /* end of the last record when a flush was seen */
	XLogRecPtr limit;
	int left; /* records that this round may take yet */
	uint64 taken;

	/* The server's own, which ours stand before. */
	LogicalOutputPluginWriterWrite write;
	LogicalOutputPluginWriterUpdateProgress update_progress;
	XLogPageReadCB page_read;
} Ahead;

static Ahead ahead;
static int read_ahead = AHEAD_DEFAULT;

/* ---- the ways from decoding and reading to a flush ---- */

static bool
inside(bool now)
{
	bool before = ahead.inside;

	ahead.inside = now;
	return before;
}

static void
ahead_write(LogicalDecodingContext *ctx, XLogRecPtr lsn, TransactionId xid,
			bool last_write)
{
	bool before = inside(true);

	ahead.write(ctx, lsn, xid, last_write);
	inside(before);
}

static void
ahead_update_progress(LogicalDecodingContext *ctx, XLogRecPtr lsn,
					  TransactionId xid, bool skipped_xact)
{
	bool before = inside(true);

	ahead.update_progress(ctx, lsn, xid, skipped_xact);
	inside(before);
}

static int
ahead_page_read(XLogReaderState *reader, XLogRecPtr page, int len,
				XLogRecPtr record, char *to)
{
	int n;

	ahead.reads = true;
	n = ahead.page_read(reader, page, len, record, to);
	ahead.reads = false;
	return n;
}

/* ---- reading ---- */

/*
 * Where records that are taken must end.  The position is asked for only when
 * the one known is used up: it costs a spinlock up to 16.
 */
static bool
below_limit(XLogRecPtr end)
{
	XLogRecPtr flushed;

	if (end <= ahead.limit)
		return true;
	flushed =
		RecoveryInProgress() ? GetXLogReplayRecPtr(NULL) : GetFlushRecPtr(NULL);
	ahead.limit = flushed > XLOG_BLCKSZ ? flushed - XLOG_BLCKSZ : 0;
	return end <= ahead.limit;
}

/*
 * The walsender wants to flush: whether it comes from a record that it has
 * read, and more may be taken before.
 */
bool
cdc_s3_ahead_due(void)
{
	XLogRecPtr end;

	if (!ahead.st || ahead.inside)
		return false;
	end = ahead.st->ctx->reader->EndRecPtr;
	if (end == ahead.at)
		return false;
	ahead.at = end;
	ahead.left = read_ahead;
	return true;
}

/*
 * Take one more record; false if there is none, or enough were taken.  Errors
 * in the WAL are kept by the reader, and told by the walsender's next read.
 */
bool
cdc_s3_ahead_take(void)
{
	LogicalDecodingContext *ctx = ahead.st->ctx;
	XLogReaderState *reader = ctx->reader;
	DecodedXLogRecord *next;
	char *errmsg;
	bool before;

	if (ahead.left <= 0 || !below_limit(reader->EndRecPtr + XLOG_BLCKSZ))
		return false;
	ahead.left--;
	CHECK_FOR_INTERRUPTS();
	XLogReleasePreviousRecord(reader);
	next = XLogReadAhead(reader, false);
	if (!next || !below_limit(next->next_lsn))
		return false;
	if (!XLogReadRecord(reader, &errmsg))
		return false;
	before = inside(true);
	LogicalDecodingProcessRecord(ctx, reader);
	inside(before);
	ahead.at = reader->EndRecPtr;
	ahead.taken++;
	return true;
}

/* The walsender wants to flush: whether it may be about to wait for WAL. */
bool
cdc_s3_ahead_waits(void)
{
	return ahead.reads;
}

/* Nothing more in this round. */
void
cdc_s3_ahead_enough(void)
{
	ahead.left = 0;
}

/* ---- life ---- */

void
cdc_s3_ahead_init(CdcS3State *st)
{
	LogicalDecodingContext *ctx = st->ctx;

	memset(&ahead, 0, sizeof(ahead));
	ahead.st = st;
	ahead.write = ctx->write;
	ahead.update_progress = ctx->update_progress;
	ahead.page_read = ctx->reader->routine.page_read;
	ctx->write = ahead_write;
	ctx->update_progress = ahead_update_progress;
	ctx->reader->routine.page_read = ahead_page_read;
}

/* At the end of a stream: what came of it. */
void
cdc_s3_ahead_report(const CdcS3State *st)
{
	if (ahead.st == st)
		elog(DEBUG1, "cdc_s3 read " UINT64_FORMAT " WAL records ahead",
			 ahead.taken);
}

/* The decoding context is going. */
void
cdc_s3_ahead_leave(void)
{
	memset(&ahead, 0, sizeof(ahead));
}

void
cdc_s3_ahead_setting(void)
{
	DefineCustomIntVariable(
		"cdc_s3.read_ahead",
		"WAL records that are decoded in one round of a walsender's loop, "
		"beside its own.",
		"0 leaves all reading to the walsender.", &read_ahead, AHEAD_DEFAULT, 0,
		AHEAD_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
}
