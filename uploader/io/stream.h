/*-------------------------------------------------------------------------
 * stream.h
 *	  The source server as the receiver sees it: a stream of messages, and a
 *	  second, idle connection that tells the server's clock and its end.
 *
 * One interface, so that the receiver can be run against something else than
 * a server (test/unit/test_recv.c).  No function of it waits.
 * Ownership: the caller closes it.  Threads: one owner.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef STREAM_H
#define STREAM_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lsn.h"

typedef struct Stream Stream;

/* The slot as the source has it. */
typedef struct StreamSlot
{
	char wal_status[32];
	int64_t safe_bytes;     /* WAL until it is lost; -1: no limit */
	int64_t retained_bytes; /* WAL that is kept for it */
	Lsn server_lsn;         /* the end of all WAL */
} StreamSlot;

typedef struct StreamOps
{
	/*
	 * The next CopyData message that has arrived: its length, > 0, and its
	 * bytes, which the caller frees with PQfreemem(); 0: none; -1: the stream
	 * has ended, see error().
	 */
	int (*next)(Stream *s, char **out_data);

	/* Takes in what the socket holds; false: it broke. */
	bool (*read)(Stream *s);

	/* Hands a message over for sending; false: the connection broke. */
	bool (*send)(Stream *s, const char *msg, int n);

	/* True while something waits to be sent. */
	bool (*unsent)(Stream *s);

	/* Why next(), read() or send() failed; returns false. */
	bool (*error)(Stream *s, const char *doing, Err *err);

	/* Ends the stream in good order, within a second; errors are nothing. */
	void (*finish)(Stream *s);

	/* The sockets to wait for; control -1: that connection is gone. */
	int (*fd)(const Stream *s);
	int (*control_fd)(const Stream *s);

	/* Takes in what the control connection holds; false: it has ended. */
	bool (*control_read)(Stream *s);

	/* Asks for the server's clock and WAL position, in one round trip. */
	void (*ask_clock)(Stream *s);

	/* The answer, once: true when it has arrived. */
	bool (*clock)(Stream *s, int64_t *out_unix_us, Lsn *out_lsn);

	/*
	 * Asks, by the control connection, whether the server is at work for this
	 * stream; false: there is no such connection.
	 */
	bool (*ask_work)(Stream *s);

	/*
	 * The answer, once: true when it has arrived.  *out_works: the server
	 * process of the stream is there and waits neither for us nor for WAL.
	 */
	bool (*work)(Stream *s, bool *out_works);
	/* The same for the state of a slot.  NULL: both are not there. */
	void (*ask_slot)(Stream *s, const char *slot);
	bool (*slot)(Stream *s, StreamSlot *out);

	void (*close)(Stream *s);
} StreamOps;

struct Stream
{
	const StreamOps *ops;
};

/*
 * Over two connections of libpq, which it takes: repl in copy-both mode,
 * control idle.  pid: of repl's process at the server, as the slot has it.
 */
Stream *stream_pg_new(PGconn *repl, PGconn *control, int64_t pid);

#endif
