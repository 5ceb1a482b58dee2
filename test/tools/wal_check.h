/*-------------------------------------------------------------------------
 * wal_check.h
 *	  What a slot of cdc_s3 sends, over any number of connections: is it whole,
 *	  in order, and the same each time?
 *
 * A unit is a transaction from begin to commit, or a message that belongs to
 * none.  Its LSN is the end of its last record, so units have one order.  Each
 * is written to a file once, a line for each frame, with a hash of its bytes;
 * in a row the version of the relation, which has a meaning on one connection
 * only, is replaced by a hash of the relation frame.
 *
 * What breaks the contract is ERR_DATA, and tells where.
 *-------------------------------------------------------------------------
 */
#ifndef WAL_CHECK_H
#define WAL_CHECK_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"

typedef struct WalCheck WalCheck;

typedef struct WalCounts
{
	uint64_t streams;
	uint64_t packets;
	uint64_t frames;
	uint64_t bytes;
	uint64_t units; /* each once */
	uint64_t again; /* that came before */
} WalCounts;

/*
 * out gets the units after LSN from; raw, which may be NULL, each packet with a
 * line feed behind it.
 */
WalCheck *wal_check_new(FILE *out, FILE *raw, Lsn from);
void wal_check_free(WalCheck *c);

/*
 * START_REPLICATION was accepted.  A unit that was under way comes again, and
 * so do all behind "start", the position that was confirmed.
 */
void wal_check_stream(WalCheck *c, Lsn start);

bool wal_check_packet(WalCheck *c, Slice packet, Err *err) MUST_CHECK;
bool wal_check_keepalive(WalCheck *c, Lsn wal_end, Err *err) MUST_CHECK;

/* Whether a transaction is under way. */
bool wal_check_inside(const WalCheck *c);

/* The LSN of the last unit, all of which are with the operating system. */
Lsn wal_check_written(WalCheck *c);

const WalCounts *wal_check_counts(const WalCheck *c);

#endif
