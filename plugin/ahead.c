/*-------------------------------------------------------------------------
 * ahead.c
 *	  Reads WAL on between two turns of the walsender's loop: a round.
 *
 * A walsender reads and decodes one WAL record a turn, and in each turn asks
 * the socket for a reply, looks at its latch and its timeouts, and publishes
 * how far it is.  With a backlog that is more than half of all it does.  So
 * when it comes to flush what a record brought, more records are read and
 * decoded first, the way the SQL functions do it (logicalfuncs.c of the
 * server): XLogReadRecord() and LogicalDecodingProcessRecord() are all there is
 * to it.  A round is also the batch: within it packets stay open behind
 * commits (packet.c).
 *
 * Where the walsender is, as far as this file sees it:
 *
 *				  ahead_flush_if_writable, after a record
 *	  OFF --> LOOP -----------------------------------------> ROUND
 *	  init	  ^ | ^											  | ^ |
 *			  | | +-------------------------------------------+ | |
 *			  | |			round_end: by any of its bounds		| |
 *	   server_	| | server_									 | | server_
 *	   left	  | v entered									 | v entered
 *			 SERVER: in a function of the server's that decoding or reading
 *			 calls by pointer: write, update_progress, page_read
 *
 * Invariants:
 *	(1) Decoding never nests, and nothing is decoded while a record is read: a
 *		round begins in LOOP only, and the three ways from decoding or reading
 *		to the walsender's flush lead through server_entered().
 *	(2) The walsender itself reads the last record.  It alone knows how far it
 *		has sent, and at a shutdown it waits until the client has confirmed
 *		just that.  So a record is taken only if a page of flushed WAL follows
 *		it, which holds the start of another; where its end lies is known
 *		before it is taken (XLogReadAhead()).
 *	(3) Before the server looks at anything, all up to the last commit is in its
 *		output buffer: server_entered() and round_end() settle the packet.
 *	(4) Every flush is a flush.  What the walsender has to say goes out before a
 *		round begins, and a round begins with an empty output buffer: never
 *		behind a message that was sent in part, or behind CopyDone.
 *	(5) A round is short: it ends after cdc_s3.read_ahead records,
 *		cdc_s3.send_bytes of output, ROUND_MS, or once the server has looked at
 *		the socket meanwhile.
 *	(6) With cdc_s3.read_ahead = 0, where a superuser may have set that
 *		(setting.c), and on a major that this file was not checked against,
 *		nothing of the server's is touched.
 *
 * An error that leaves SERVER or ROUND ends the stream, and with it this state.
 * The one kind that the server catches within decoding, that of a transaction
 * which aborted meanwhile, comes from looking at the catalog, which none of the
 * three functions does.
 *
 * One walsender decodes one slot, so the state is one static variable.  A
 * callback of the decoding context puts the server's own methods back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* See deliver.c. */
#undef ENABLE_GSS
#undef ENABLE_SSPI
#undef USE_OPENSSL

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cdc_s3.h"

#define AHEAD_DEFAULT 4096
#define AHEAD_MAX 65536

/* Longest round, looked at after so many records. */
#define ROUND_MS 10
#define LOOK_EVERY 32

typedef enum AheadState
{
	AHEAD_OFF,
	AHEAD_LOOP,
	AHEAD_ROUND,
	AHEAD_SERVER
} AheadState;

typedef struct Ahead
{
	AheadState state;
	CdcS3State *st;

	XLogRecPtr at;    /* last record that was read when a round was due */
	XLogRecPtr limit; /* where records that are taken must end */
	int left;         /* records that this round may take yet */
	TimestampTz until;
	uint64 taken;

	/* A commit in the round that progress is to be reported of, or invalid. */
	XLogRecPtr progress_lsn;
	TransactionId progress_xid;

	/* The server's own, which ours stand before. */
	const PQcommMethods *server;
	PQcommMethods methods;
	LogicalOutputPluginWriterWrite write;
	LogicalOutputPluginWriterUpdateProgress update_progress;
	XLogPageReadCB page_read;
} Ahead;

static Ahead ahead;

#define READ_AHEAD "cdc_s3.read_ahead"

static int read_ahead = AHEAD_DEFAULT;
static bool refused; /* a value of it, so a superuser's is not known */

/* ---- functions of the server that are entered ---- */

static AheadState
server_entered(void)
{
	AheadState before = ahead.state;

	Assert(before == AHEAD_LOOP || before == AHEAD_ROUND);
	cdc_s3_packet_settle(ahead.st);
	ahead.state = AHEAD_SERVER;
	return before;
}

static void
server_left(AheadState before)
{
	Assert(ahead.state == AHEAD_SERVER);
	ahead.state = before;
}

static void
ahead_write(LogicalDecodingContext *ctx, XLogRecPtr lsn, TransactionId xid,
			bool last_write)
{
	AheadState before = server_entered();

	ahead.write(ctx, lsn, xid, last_write);
	server_left(before);
}

/*
 * A commit in a round waits for its end.  A transaction that is skipped does
 * not: the keepalive that the server may send names its position.
 */
static void
ahead_update_progress(LogicalDecodingContext *ctx, XLogRecPtr lsn,
					  TransactionId xid, bool skipped_xact)
{
	AheadState before;

	if (ahead.state == AHEAD_ROUND && ctx->end_xact && !skipped_xact)
	{
		ahead.progress_lsn = lsn;
		ahead.progress_xid = xid;
		return;
	}
	before = server_entered();
	ahead.update_progress(ctx, lsn, xid, skipped_xact);
	server_left(before);
}

/* May wait for WAL, or for a standby, and answers the client meanwhile. */
static int
ahead_page_read(XLogReaderState *reader, XLogRecPtr page, int len,
				XLogRecPtr record, char *to)
{
	AheadState before = server_entered();
	int n = ahead.page_read(reader, page, len, record, to);

	server_left(before);
	return n;
}

/* ---- a round ---- */

/* The position is asked for only when the one known is used up. */
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

/* Invariant (5). */
static bool
round_over(void)
{
	if (ahead.left <= 0)
		return true;
	if (ahead.left-- % LOOK_EVERY == 0 && GetCurrentTimestamp() >= ahead.until)
		return true;
	return cdc_s3_deliver_direct() && cdc_s3_deliver_full(ahead.st->packet.len);
}

/*
 * Take one more record; false if there is none, or enough were taken.  Errors
 * in the WAL are kept by the reader, and told by the walsender's next read.
 */
static bool
take(void)
{
	LogicalDecodingContext *ctx = ahead.st->ctx;
	XLogReaderState *reader = ctx->reader;
	DecodedXLogRecord *next;
	char *errmsg;

	Assert(ahead.state == AHEAD_ROUND);
	if (round_over() || !below_limit(reader->EndRecPtr + XLOG_BLCKSZ))
		return false;
	CHECK_FOR_INTERRUPTS();
	XLogReleasePreviousRecord(reader);
	next = XLogReadAhead(reader, false);
	if (!next || !below_limit(next->next_lsn))
		return false;
	if (!XLogReadRecord(reader, &errmsg))
		return false;
	Assert(ahead.state == AHEAD_ROUND);
	Assert(reader->EndRecPtr <= ahead.limit);
	LogicalDecodingProcessRecord(ctx, reader);
	Assert(ahead.state == AHEAD_ROUND);
	cdc_s3_packet_tidy(ahead.st);
	ahead.taken++;
	return true;
}

/* The server's, for the last of the commits that the round brought. */
static void
report_progress(void)
{
	LogicalDecodingContext *ctx = ahead.st->ctx;
	AheadState before;

	if (XLogRecPtrIsInvalid(ahead.progress_lsn))
		return;
	before = server_entered();
	ctx->end_xact = true;
	ahead.update_progress(ctx, ahead.progress_lsn, ahead.progress_xid, false);
	ctx->end_xact = false;
	ahead.progress_lsn = InvalidXLogRecPtr;
	server_left(before);
}

static void
run_round(void)
{
	ahead.state = AHEAD_ROUND;
	ahead.left = read_ahead;
	ahead.until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ROUND_MS);
	PG_TRY();
	{
		while (take())
			;
	}
	PG_CATCH();
	{
		cdc_s3_packet_salvage(ahead.st);
		PG_RE_THROW();
	}
	PG_END_TRY();
	cdc_s3_packet_settle(ahead.st);
	report_progress();
	ahead.state = AHEAD_LOOP;
	ahead.at = ahead.st->ctx->reader->ReadRecPtr;
}

/* ---- the walsender's flush ---- */

/* Whether the walsender is in its loop, behind a record that it has read. */
static bool
round_due(void)
{
	XLogRecPtr last;

	if (ahead.state != AHEAD_LOOP)
		return false;
	last = ahead.st->ctx->reader->ReadRecPtr;
	if (last == ahead.at)
		return false;
	ahead.at = last;
	return true;
}

static int
ahead_flush_if_writable(void)
{
	int (*flush)(void) = ahead.server->flush_if_writable;

	if (ahead.state == AHEAD_SERVER)
		ahead.left = 0;
	if (round_due())
	{
		if (flush() != 0)
			return EOF;
		if (pq_is_send_pending())
			return 0;
		run_round();
	}
	return flush();
}

/* The server's flush, from within decoding. */
int
cdc_s3_ahead_flush(void)
{
	AheadState before;
	int result;

	if (ahead.state == AHEAD_OFF)
		return pq_flush_if_writable();
	before = server_entered();
	result = ahead.server->flush_if_writable();
	server_left(before);
	return result;
}

/* Whether a packet may stay open behind a commit. */
bool
cdc_s3_ahead_in_round(void)
{
	return ahead.state == AHEAD_ROUND;
}

/* ---- life ---- */

/* The decoding context is going. */
static void
ahead_leave(void *arg)
{
	if (PqCommMethods == &ahead.methods)
		PqCommMethods = ahead.server;
	memset(&ahead, 0, sizeof(ahead));
}

/* Of a walsender that begins to stream. */
void
cdc_s3_ahead_init(CdcS3State *st)
{
	LogicalDecodingContext *ctx = st->ctx;
	MemoryContextCallback *leave;

	if (!WALSENDER_CHECKED || read_ahead == 0 || refused ||
		ahead.state != AHEAD_OFF)
		return;
	leave = MemoryContextAllocZero(st->cxt, sizeof(*leave));
	leave->func = ahead_leave;
	MemoryContextRegisterResetCallback(st->cxt, leave);

	memset(&ahead, 0, sizeof(ahead));
	ahead.st = st;
	ahead.state = AHEAD_LOOP;
	ahead.server = PqCommMethods;
	ahead.methods = *ahead.server;
	ahead.methods.flush_if_writable = ahead_flush_if_writable;
	PqCommMethods = &ahead.methods;
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
	Assert(st->packet.committed == 0);
	if (ahead.st == st)
		elog(DEBUG1, "cdc_s3 read " UINT64_FORMAT " WAL records ahead",
			 ahead.taken);
}

void
cdc_s3_ahead_settings(void)
{
	CdcS3Given before = cdc_s3_setting_given(READ_AHEAD);

	DefineCustomIntVariable(
		READ_AHEAD,
		"WAL records that are decoded in one turn of a walsender's loop, "
		"beside its own.",
		"0 leaves all reading to the walsender.", &read_ahead, AHEAD_DEFAULT, 0,
		AHEAD_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	refused = cdc_s3_setting_refused(READ_AHEAD, before) != PGC_S_DEFAULT;
}
