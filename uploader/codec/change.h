/*-------------------------------------------------------------------------
 * change.h
 *	  One change of one table, as every part of the program that handles
 *	  changes knows it: what a decoder yields, and what a format takes.
 *
 *	  wire frames (frame.h) ─┐
 *	  COPY's rows (pipe)	─┼─> Change ──> format (format.h) ──> bytes
 *
 * A row whose values arrive in pieces is a Change without rows, followed by
 * PartItems (framepart.h).
 * Ownership: all it points to is borrowed, for as long as the maker says.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef CHANGE_H
#define CHANGE_H

#include "base/buf.h"
#include "base/lsn.h"
#include "codec/row.h"

/* A partition that was emptied without its root. */
typedef struct ChangePartition
{
	const char *schema;
	const char *table;
	Slice bound; /* the condition its rows fulfil, as SQL; empty: not known */
} ChangePartition;

typedef struct Change
{
	char op;          /* 'r', 'i', 'u', 'd', 't', 's' */
	Lsn lsn;          /* of the commit; with seq the change's position */
	int64_t seq;      /* ordinal in its transaction */
	uint32_t xid;     /* 0: none (a load) */
	int64_t time;     /* of the commit: microseconds since 2000-01-01 UTC */
	bool key_changed; /* "old" has another key */
	bool no_identity; /* nobody can tell which row it was */
	bool moved;       /* delete: the row goes on under another key, which the
					   * change behind this one tells */
	bool no_before;   /* of the old row only the key is to be told */
	const ChangePartition *partial; /* truncate: of these partitions only */
	int npartial;
	const char *reason; /* resync: why; a plain word */
	const RowView *row; /* new row, or of a delete the old one; or NULL */
	const RowView *old; /* of an update, or NULL */
} Change;

#endif
