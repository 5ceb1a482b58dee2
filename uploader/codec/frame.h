/*-------------------------------------------------------------------------
 * frame.h
 *	  Decodes the wire (plugin/cdc_s3_proto.h) into events.
 *
 * Use: frame_reader_packet() with each CopyData payload, then frame_next()
 * until it says that the packet is at its end.  An event and all it points
 * to are borrowed until the next call; rows are views into the packet.
 * Relations live until frame_reader_reset() or their next version.
 *
 * Bytes from the network: every length is checked before it is used; what
 * breaks the contract is ERR_DATA, and never a crash.
 * Threads: one owner at a time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/lsn.h"
#include "cdc_s3_proto.h"
#include "codec/rowbytes.h"
#include "codec/schema.h"

/* Commit times are within 0001-01-01 and 9999-12-31, in us since 2000. */
#define FRAME_TIME_MIN (INT64_C(-62135596800000000) - PG_EPOCH_UNIX_US)
#define FRAME_TIME_MAX (INT64_C(253402300799999999) - PG_EPOCH_UNIX_US)

typedef struct FrameRelation
{
	uint32_t id;
	uint32_t version;
	Schema *schema;    /* owned; under the root's name with AS_ROOT */
	char *leaf_schema; /* the relation's own name; owned */
	char *leaf_table;
	void *user;      /* the reader's user may hang something here … */
	RowShape *shape; /* owned */
} FrameRelation;

/* … and is told when the relation goes. */
typedef void (*FrameRelationDoneFn)(FrameRelation *rel, void *arg);

typedef struct FrameHello
{
	uint32_t server_version;
	bool raw_text; /* SQL_ASCII: text may not be UTF-8 */
	Slice plugin_version;
	Slice server_encoding;
	Slice database;
} FrameHello;

typedef struct FrameEvent
{
	uint8_t type;  /* CdcS3Frame; PART only of rows, where they are passed on */
	uint8_t flags; /* of the frame */
	uint32_t xid;  /* begin */
	Lsn lsn;       /* begin, commit: commit LSN; changes: their own */
	int64_t time;  /* begin, commit: microseconds since 2000-01-01 UTC */
	uint64_t ordinal;
	FrameRelation *rel; /* relation, insert, update, delete, table */
	Slice rows; /* insert, update, delete: as on the wire (rowbytes.h) */
	RowView old_row;
	RowView new_row;
	/* truncate */
	int nrels;
	FrameRelation **rels;
	const uint8_t *rel_flags;
	const Slice *rel_bounds; /* of a partial one, as SQL; empty: not known */
	/* message */
	Slice prefix;
	Slice content;
	/* table: rel is NULL where it is gone or left and never came */
	uint32_t table_id; /* the relation's own, as in rel->id */
	uint8_t table_flags;
	/* part of a row: "flags" are those of the whole frame; the first part
	 * tells lsn, ordinal, xid and rel, and all of them only rows' bytes */
	uint8_t part_type;
	bool part_first;
	bool part_last;
	Slice part;
	FrameHello hello;
} FrameEvent;

typedef struct FrameReader FrameReader;

/* max_frame bounds one frame, its parts put together. */
FrameReader *frame_reader_new(size_t max_frame, FrameRelationDoneFn done,
							  void *arg);
void frame_reader_free(FrameReader *r);

/*
 * From now on nobody looks into rows: events of changes tell their bytes, no
 * views.  Of a row that travels in parts each is an event of its own, for
 * framepart.h: in order and without gaps, and nothing comes between them.
 */
void frame_reader_pass_rows(FrameReader *r);

/* A new connection: forgets relations and half a frame. */
void frame_reader_reset(FrameReader *r);

/* The last version that came of a relation; NULL: none did. */
FrameRelation *frame_reader_relation(const FrameReader *r, uint32_t id);

/* Starts a packet; borrowed until it is at its end. */
bool frame_reader_packet(FrameReader *r, Slice packet, Err *err) MUST_CHECK;

/* *out_end: no more events in this packet, ev is not set. */
bool frame_next(FrameReader *r, FrameEvent *ev, bool *out_end,
				Err *err) MUST_CHECK;

#endif
