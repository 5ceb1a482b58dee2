/*-------------------------------------------------------------------------
 * gather.c
 *	  Lets a walsender that has WAL to read send many small transactions at
 *	  once.
 *
 * A walsender makes a message of each packet and calls send() for each message
 * and again after each WAL record: at one row a transaction that costs more
 * than decoding the row, on both sides.  So a packet may stay open behind a
 * commit, for the transactions that follow.  The server's own switch for the
 * way messages take, PqCommMethods, is where this file sits: a flush is passed
 * over while packets of ours, less than GATHER_BYTES of them, are all that
 * waits, and the walsender comes back soon.
 *
 * Nothing changes in what a reader may conclude:
 *	(1) Messages leave in the order in which they were made.  Packets wait where
 *		they were made (outbox.c) as long as nothing is in the server's output
 *		buffer, and leave before what is; any other message goes there, after
 *		the packet kept open: a keepalive cannot pass a commit.
 *	(2) Whatever the walsender says on its own account, keepalives above all,
 *		goes out at once, with all that is before it.
 *	(3) A walsender that is about to wait flushes first.  That flush is never
 *		passed over: at the end of the WAL a commit goes out as fast as without
 *		this file.  Nor is one after GATHER_WAL bytes of WAL, or before a
 *		transaction that was that long in the making is replayed.
 *
 * Where a flush comes after a record, more records may be read first (ahead.c).
 *
 * One walsender decodes one slot, so the state is one static variable.  A
 * callback of the decoding context puts the server's own methods back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/*
 * libpq.h would ask for the headers of the libraries that the server was built
 * with, for the members of a structure that is not used here.
 */
#undef ENABLE_GSS
#undef ENABLE_SSPI
#undef USE_OPENSSL

#include "access/xact.h"
#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cdc_s3.h"

/*
 * Each time something is sent wakes the reader, and it is sent all at once.
 * More than the processor's second cache holds, beside what is read, gains
 * nothing.
 */
#define GATHER_BYTES (8 * CDC_S3_PACKET_TARGET)

/* What a socket takes while the reader has not been woken yet. */
#define SOCKET_BYTES (4 * GATHER_BYTES)

/* Some milliseconds' worth. */
#define GATHER_WAL (512 * 1024)

typedef struct Gather
{
	const PQcommMethods *server; /* NULL: not to be used */
	PQcommMethods methods;
	CdcS3State *st;
	bool busy;            /* in a write of what waits */
	bool buffers;         /* in the server's putmessage_noblock, which calls
						   * putmessage */
	bool attached;        /* the packet goes with the message to come */
	bool fresh;           /* a packet was put: its own flush comes next */
	bool passed_over;     /* what waits is what we let wait */
	bool at_once;         /* something else than packets waits too */
	Size held;            /* bytes of packets put since the last flush */
	XLogRecPtr since;     /* position of the reader at the first of them */
	XLogRecPtr seen;      /* and when the walsender last wanted to flush */
	XLogRecPtr committed; /* end of the last commit in the packet kept open */
} Gather;

static Gather gather;

/* Where the walsender has read to. */
static XLogRecPtr
read_to(void)
{
	return gather.st->ctx->reader->EndRecPtr;
}

/* Bytes that wait, as messages and in the packet kept open. */
static Size
waiting(void)
{
	const CdcS3State *st = gather.st;

	return gather.held + (st->kept ? st->len - st->start : 0);
}

static void
was_put(Size n)
{
	if (gather.held == 0)
		gather.since = read_to();
	gather.held += n;
}

/* The server's output buffer takes it, and writes nothing yet. */
static void
server_putmessage_noblock(char msgtype, const char *s, size_t len)
{
	gather.buffers = true;
	PG_TRY();
	{
		gather.server->putmessage_noblock(msgtype, s, len);
	}
	PG_FINALLY();
	{
		gather.buffers = false;
	}
	PG_END_TRY();
}

/* Make the packet kept open a message, as the walsender does. */
static void
put_kept(void)
{
	CdcS3State *st = gather.st;
	StringInfo out = st->ctx->out;

	if (!st->kept)
		return;
	cdc_s3_packet_close(st);
	resetStringInfo(out);
	pq_sendbyte(out, 'w');
	pq_sendint64(out, gather.committed); /* start of the data */
	pq_sendint64(out, gather.committed); /* end of the WAL */
	pq_sendint64(out, GetCurrentTimestamp());
	if (!gather.server->is_send_pending())
	{
		was_put(cdc_s3_outbox_put(st, out->data));
		return;
	}
	appendBinaryStringInfo(out, st->buf + st->start,
						   (int) (st->len - st->start));
	st->len = 0;
	server_putmessage_noblock('d', out->data, out->len);
	was_put(out->len);
}

/* What waits has waited long enough, or must not wait. */
static bool
must_leave(void)
{
	return waiting() > 0 && (waiting() >= GATHER_BYTES || gather.at_once ||
							 read_to() - gather.since >= GATHER_WAL);
}

/* Whether the walsender will be back here before it waits. */
static bool
may_pass_over(void)
{
	XLogRecPtr at = read_to();

	if (waiting() == 0 || must_leave() || cdc_s3_ahead_waits())
		return false;
	if (gather.fresh)
	{
		gather.fresh = false;
		return true; /* the walsender flushes after each record too */
	}
	if (at == gather.seen)
		return false; /* it read none: it may be about to wait */
	gather.seen = at;
	return true;
}

/*
 * What an interrupt of this wants to say to the client is dropped, as the
 * server does.
 */
static int
send_outbox(bool block)
{
	int result;

	gather.busy = true;
	result = cdc_s3_outbox_send(gather.st, block);
	gather.busy = false;
	return result;
}

static int
flush_or_pass_over(void)
{
	gather.passed_over = may_pass_over();
	if (gather.passed_over)
		return 0;
	put_kept();
	gather.held = 0;
	gather.fresh = false;
	gather.at_once = false;
	if (send_outbox(false) != 0)
		return EOF;
	return cdc_s3_outbox_pending(gather.st)
			   ? 0
			   : gather.server->flush_if_writable();
}

static int
gather_flush_if_writable(void)
{
	if (cdc_s3_ahead_due())
		while (!must_leave() && cdc_s3_ahead_take())
			;
	return flush_or_pass_over();
}

/* A walsender that has something pending reads no WAL. */
static bool
gather_is_send_pending(void)
{
	return !gather.passed_over && (cdc_s3_outbox_pending(gather.st) ||
								   gather.server->is_send_pending());
}

static void
gather_putmessage_noblock(char msgtype, const char *s, size_t len)
{
	if (gather.attached)
	{
		gather.attached = false;
		was_put(cdc_s3_outbox_put(gather.st, s));
		gather.fresh = true;
		return;
	}
	put_kept();
	server_putmessage_noblock(msgtype, s, len);
	if (msgtype == 'd' && len > 0 && s[0] == 'w')
	{
		was_put(len);
		gather.fresh = true;
		return;
	}
	gather.at_once = true;
	gather.passed_over = false;
}

/*
 * The two ways that wait for the client.  The server may write what it has, and
 * what waits here is older; that is so for a commit that an error comes behind,
 * too.
 */
static int
gather_flush(void)
{
	if (gather.busy)
		return 0;
	return send_outbox(true) == 0 ? gather.server->flush() : EOF;
}

static int
gather_putmessage(char msgtype, const char *s, size_t len)
{
	if (gather.busy)
		return 0;
	if (!gather.buffers)
	{
		put_kept();
		if (send_outbox(true) != 0)
			return EOF;
	}
	return gather.server->putmessage(msgtype, s, len);
}

/*
 * A Unix socket takes by default less than we send at once; the walsender would
 * sleep, and wake the reader, for each half.  On a busy machine a reader that
 * sleeps takes a millisecond to wake, in which several times that is decoded.
 * The socket is given what the system allows (net.core.wmem_max of Linux), and
 * less is no error.  TCP finds its own size, and setting one would end that.
 */
static void
widen_socket(void)
{
	int have = 0;
	int want = SOCKET_BYTES;
	socklen_t len = sizeof(have);

	if (MyProcPort->raddr.addr.ss_family != AF_UNIX ||
		getsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &have,
				   &len) != 0 ||
		have >= want)
		return;
	(void) setsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &want,
					  sizeof(want));
}

/*
 * Nothing waits here at the end of a stream, nor once an error was told.  If
 * something does, part of a message may have left: the connection is of no use.
 */
static void
gather_leave(void *arg)
{
	if (gather.st && cdc_s3_outbox_pending(gather.st))
	{
		ClientConnectionLost = 1;
		InterruptPending = 1;
	}
	if (PqCommMethods == &gather.methods)
		PqCommMethods = gather.server;
	memset(&gather, 0, sizeof(gather));
	cdc_s3_ahead_leave();
}

/*
 * Only where a walsender streams: it is in no transaction then, and is in one
 * where a client calls the SQL functions over such a connection.
 */
void
cdc_s3_gather_init(CdcS3State *st)
{
	MemoryContextCallback *leave;

	if (!am_walsender || IsTransactionState() || gather.server)
		return;
	leave = MemoryContextAllocZero(st->cxt, sizeof(*leave));
	leave->func = gather_leave;
	MemoryContextRegisterResetCallback(st->cxt, leave);

	gather.st = st;
	gather.server = PqCommMethods;
	gather.methods = *gather.server;
	gather.methods.flush = gather_flush;
	gather.methods.putmessage = gather_putmessage;
	gather.methods.flush_if_writable = gather_flush_if_writable;
	gather.methods.is_send_pending = gather_is_send_pending;
	gather.methods.putmessage_noblock = gather_putmessage_noblock;
	PqCommMethods = &gather.methods;
	cdc_s3_outbox_init(st);
	widen_socket();
	cdc_s3_ahead_init(st);
}

/*
 * The walsender is about to make a message of the packet, whose head it has
 * begun: whether the packet need not be appended to that.
 */
bool
cdc_s3_gather_attach(CdcS3State *st)
{
	gather.attached = gather.server &&
					  cdc_s3_outbox_takes(st, st->ctx->out->len) &&
					  !gather.server->is_send_pending();
	return gather.attached;
}

/*
 * At a commit: whether the packet may stay open.  It leaves then at the next
 * flush that is not passed over, or before any other message.
 */
bool
cdc_s3_gather_keep(CdcS3State *st)
{
	if (!gather.server || st->len == 0)
		return false;
	if (waiting() == 0)
		gather.since = read_to();
	gather.committed = st->ctx->write_location;
	st->kept = true;
	return true;
}

/*
 * A transaction is to be replayed.  What waits must not wait for a long one,
 * and replies must not wait for several.
 */
void
cdc_s3_gather_begin(ReorderBufferTXN *txn)
{
	if (!gather.server || read_to() - txn->first_lsn < GATHER_WAL)
		return;
	cdc_s3_ahead_enough();
	if (waiting() > 0)
	{
		gather.at_once = true;
		(void) flush_or_pass_over();
	}
}
