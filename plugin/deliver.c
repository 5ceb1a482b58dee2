/*-------------------------------------------------------------------------
 * deliver.c
 *	  Packets to the client, by way of the server's output buffer.
 *
 * The server's callback (OutputPluginWrite) copies a message twice, sends it,
 * and waits until it is sent.  A walsender that has much to send gains by
 * larger pieces: so up to cdc_s3.send_bytes of packets are put into the
 * server's output buffer, by the function by which the walsender puts its own
 * messages there, and the next packet takes the callback, which sends them all
 * and waits where it has to.
 *
 * Invariants:
 *	(1) There is one buffer, the server's, and one order: that in which packets
 *		were closed.  pq_is_send_pending() tells what is not sent.
 *	(2) What is put there outside of the callback is sent by the walsender's
 *next flush, which it comes to before it waits for anything. (3) At most
 *cdc_s3.send_bytes and one packet lie there. (4) With cdc_s3.send_bytes = 0, in
 *the SQL functions, and on a major that this file was not checked against, each
 *packet takes the callback, and nothing of the server's internals is touched.
 *
 * One walsender decodes one slot, so the state is one static variable.
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

#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cdc_s3.h"

/*
 * Each send wakes the reader.  More than the processor's second cache holds,
 * beside what is read, gains nothing.
 */
#define SEND_BYTES_DEFAULT (8 * CDC_S3_PACKET_TARGET)
#define SEND_BYTES_MAX (64 * CDC_S3_PACKET_TARGET)

#define SEND_BYTES "cdc_s3.send_bytes"

static int send_bytes = SEND_BYTES_DEFAULT;
static bool refused; /* a value of it, so a superuser's is not known */

static struct
{
	bool direct;     /* packets may go straight into the buffer */
	Size put;        /* bytes of those since all was sent last */
	uint64 messages; /* that went there, in all */
} deliver;

static void
deliver_leave(void *arg)
{
	memset(&deliver, 0, sizeof(deliver));
}

/*
 * A Unix socket takes by default less than is sent at once; the walsender would
 * sleep, and wake the reader, for each half.  On a busy machine a reader that
 * sleeps takes a millisecond to wake, in which several times that is decoded.
 * The socket is given what the system allows (net.core.wmem_max of Linux), and
 * less is no error.  TCP finds its own size, and setting one would end that.
 */
static void
widen_socket(void)
{
	int have = 0;
	int want = 4 * send_bytes;
	socklen_t len = sizeof(have);

	if (MyProcPort->raddr.addr.ss_family != AF_UNIX ||
		getsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &have,
				   &len) != 0 ||
		have >= want)
		return;
	(void) setsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, (void *) &want,
					  sizeof(want));
}

/* Of a walsender that begins to stream. */
void
cdc_s3_deliver_init(CdcS3State *st)
{
	MemoryContextCallback *leave;

	if (!WALSENDER_CHECKED || send_bytes == 0 || refused)
		return;
	leave = MemoryContextAllocZero(st->cxt, sizeof(*leave));
	leave->func = deliver_leave;
	MemoryContextRegisterResetCallback(st->cxt, leave);
	memset(&deliver, 0, sizeof(deliver));
	deliver.direct = true;
	widen_socket();
}

bool
cdc_s3_deliver_direct(void)
{
	return deliver.direct;
}

/* Whether it is time to send, with so many bytes more. */
bool
cdc_s3_deliver_full(Size more)
{
	if (deliver.put > 0 && !pq_is_send_pending())
		deliver.put = 0;
	return deliver.put + more >= (Size) send_bytes;
}

/* Through the server, which sends it, and may wait for its client. */
static void
deliver_by_server(CdcS3State *st, const char *head, Size head_len,
				  const char *data, Size n)
{
	OutputPluginPrepareWrite(st->ctx, true);
	if (head_len > 0)
		appendBinaryStringInfo(st->ctx->out, head, (int) head_len);
	appendBinaryStringInfo(st->ctx->out, data, (int) n);
	OutputPluginWrite(st->ctx, true);
}

/* As the walsender makes its messages (WalSndPrepareWrite). */
static void
xlog_data_head(char *p, XLogRecPtr lsn)
{
	uint64 start = pg_hton64(lsn);
	uint64 now = pg_hton64((uint64) GetCurrentTimestamp());

	p[0] = 'w';
	memcpy(p + 1, &start, sizeof(start)); /* start of the data */
	memcpy(p + 9, &start, sizeof(start)); /* end of the WAL */
	memcpy(p + 17, &now, sizeof(now));
}

static void
put_message(const char *message, Size n)
{
	pq_putmessage_noblock('d', message, n);
	deliver.put += n;
	deliver.messages++;
}

/*
 * A packet that is closed: message[XLOG_DATA_HEAD .. n), behind room for the
 * head.  lsn is the position that the message's head will name.  The server may
 * wait for the client with may_wait only.
 */
void
cdc_s3_deliver(CdcS3State *st, char *message, Size n, XLogRecPtr lsn,
			   bool may_wait)
{
	Assert(n > XLOG_DATA_HEAD);
	Assert(may_wait || deliver.direct);
	if (!deliver.direct || (may_wait && cdc_s3_deliver_full(0)))
	{
		deliver_by_server(st, NULL, 0, message + XLOG_DATA_HEAD,
						  n - XLOG_DATA_HEAD);
		return;
	}
	xlog_data_head(message, lsn);
	put_message(message, n);
}

/* A message that was prepared in ctx->out, in format text. */
void
cdc_s3_deliver_prepared(CdcS3State *st)
{
	StringInfo out = st->ctx->out;

	if (!deliver.direct || cdc_s3_deliver_full(0))
	{
		OutputPluginWrite(st->ctx, true);
		return;
	}
	xlog_data_head(out->data, st->ctx->write_location);
	put_message(out->data, out->len);
}

/* A packet in two pieces, which is large. */
void
cdc_s3_deliver_piece(CdcS3State *st, const char *head, Size head_len,
					 const char *data, Size n)
{
	deliver_by_server(st, head, head_len, data, n);
}

/*
 * What comes next takes long: send what is there, as far as the socket takes
 * it.
 */
void
cdc_s3_deliver_now(CdcS3State *st)
{
	if (!deliver.direct)
		return;
	cdc_s3_packet_settle(st);
	if (pq_is_send_pending())
		(void) cdc_s3_ahead_flush();
}

/* At the end of a stream: what came of it. */
void
cdc_s3_deliver_report(void)
{
	if (deliver.direct)
		elog(DEBUG1,
			 "cdc_s3 put " UINT64_FORMAT " messages into the output buffer",
			 deliver.messages);
}

void
cdc_s3_deliver_settings(void)
{
	CdcS3Given before = cdc_s3_setting_given(SEND_BYTES);

	DefineCustomIntVariable(
		SEND_BYTES,
		"Bytes of packets that a walsender gathers before it sends them.",
		"0 leaves all sending to the server.", &send_bytes, SEND_BYTES_DEFAULT,
		0, SEND_BYTES_MAX, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	refused = cdc_s3_setting_refused(SEND_BYTES, before) != PGC_S_DEFAULT;
}
