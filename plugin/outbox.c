/*-------------------------------------------------------------------------
 * outbox.c
 *	  Packets that wait for the client's socket, where they were made.
 *
 * The server copies each message into its output buffer.  For a packet that
 * is a tenth of all that is done for rows of many columns.  So a walsender's
 * packets stay where they were made, behind room for the head of a message,
 * and are written from there:
 *
 *	buf	[sent .. queued) messages that wait, then [start .. len) the packet
 *		that is made, "head" bytes behind them
 *
 * What is here is older than what is in the server's output buffer, and goes
 * first: gather.c puts nothing here while there is something in that one.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* See gather.c. */
#undef ENABLE_GSS
#undef ENABLE_SSPI
#undef USE_OPENSSL

#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"

#include "cdc_s3.h"

/* Type and length of a message; and what XLogData has before the packet. */
#define MESSAGE_HEAD 5
#define XLOG_DATA_HEAD 25

/* Before the first packet. */
void
cdc_s3_outbox_init(CdcS3State *st)
{
	st->head = MESSAGE_HEAD + XLOG_DATA_HEAD;
}

bool
cdc_s3_outbox_pending(const CdcS3State *st)
{
	return st->sent < st->queued;
}

/* Whether the room before the packet is what this head of XLogData takes. */
bool
cdc_s3_outbox_takes(const CdcS3State *st, Size xlog_data_head)
{
	return st->head == MESSAGE_HEAD + xlog_data_head;
}

/*
 * Put the packet, which is closed, behind what waits.  Returns the length of
 * the message that it is now.
 */
Size
cdc_s3_outbox_put(CdcS3State *st, const char *xlog_data)
{
	char *message = st->buf + st->queued;
	Size n = st->len - st->queued;
	uint32 len = pg_hton32((uint32) n - 1); /* all but the type */

	message[0] = 'd';
	memcpy(message + 1, &len, sizeof(len));
	memcpy(message + MESSAGE_HEAD, xlog_data, XLOG_DATA_HEAD);
	st->queued = st->len;
	st->len = 0;
	return n;
}

/* As the server does: told to its log only, and the backend ends soon. */
static int
client_is_lost(CdcS3State *st)
{
	if (!ClientConnectionLost)
		ereport(COMMERROR, (errcode_for_socket_access(),
							errmsg("could not send data to client: %m")));
	st->sent = st->queued;
	ClientConnectionLost = 1;
	InterruptPending = 1;
	return EOF;
}

/*
 * Write what waits: all of it, or without "block" what the socket takes.
 * Returns EOF if the client is lost, else 0.
 */
int
cdc_s3_outbox_send(CdcS3State *st, bool block)
{
	MyProcPort->noblock = !block;
	while (st->sent < st->queued)
	{
		ssize_t n =
			secure_write(MyProcPort, st->buf + st->sent, st->queued - st->sent);

		if (n > 0)
			st->sent += n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return 0;
		else if (errno != EINTR)
			return client_is_lost(st);
	}
	if (st->len == 0)
		st->sent = st->queued = 0;
	return 0;
}
