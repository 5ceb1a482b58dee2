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
 *	(1) Messages stay in the server's one output buffer, in the order in which
 *		they were made, and a packet kept open enters it before any other
 *		message does: a keepalive cannot pass a commit.
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

/* Each time something is sent wakes the reader, and it is sent all at once. */
#define GATHER_BYTES (4 * CDC_S3_PACKET_TARGET)

/* Some milliseconds' worth. */
#define GATHER_WAL (512 * 1024)

typedef struct Gather
{
	const PQcommMethods *server; /* NULL: not to be used */
	PQcommMethods methods;
	CdcS3State *st;
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

/* Bytes that wait, in the server's buffer and in the packet kept open. */
static Size
waiting(void)
{
	const CdcS3State *st = gather.st;

	return gather.held + (st->kept ? st->len - st->start : 0);
}

/* Make the packet kept open a message, as the walsender does. */
static void
put_kept(void)
{
	StringInfo out = gather.st->ctx->out;

	if (!gather.st->kept)
		return;
	resetStringInfo(out);
	pq_sendbyte(out, 'w');
	pq_sendint64(out, gather.committed); /* start of the data */
	pq_sendint64(out, gather.committed); /* end of the WAL */
	pq_sendint64(out, GetCurrentTimestamp());
	cdc_s3_packet_take(gather.st, out);
	gather.server->putmessage_noblock('d', out->data, out->len);
	gather.held += out->len;
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
	return gather.server->flush_if_writable();
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
	return !gather.passed_over && gather.server->is_send_pending();
}

static void
gather_putmessage_noblock(char msgtype, const char *s, size_t len)
{
	put_kept();
	gather.server->putmessage_noblock(msgtype, s, len);
	if (msgtype != 'd' || len == 0 || s[0] != 'w')
	{
		gather.at_once = true;
		return;
	}
	if (gather.held == 0)
		gather.since = read_to();
	gather.held += len;
	gather.fresh = true;
}

/*
 * A Unix socket takes by default less than we send at once; the walsender would
 * sleep, and wake the reader, for each half.  It is given what the system
 * allows (net.core.wmem_max of Linux), and less is no error.  TCP finds its
 * own size, and setting one would end that.
 */
static void
widen_socket(void)
{
	int have = 0;
	int want = GATHER_BYTES;
	socklen_t len = sizeof(have);

	if (MyProcPort->raddr.addr.ss_family != AF_UNIX ||
		getsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &have,
				   &len) != 0 ||
		have >= want)
		return;
	(void) setsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &want,
					  sizeof(want));
}

static void
gather_leave(void *arg)
{
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
	gather.methods.flush_if_writable = gather_flush_if_writable;
	gather.methods.is_send_pending = gather_is_send_pending;
	gather.methods.putmessage_noblock = gather_putmessage_noblock;
	PqCommMethods = &gather.methods;
	widen_socket();
	cdc_s3_ahead_init(st);
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
