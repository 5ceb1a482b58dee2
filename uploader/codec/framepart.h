/*-------------------------------------------------------------------------
 * framepart.h
 *	  Decodes a row change that arrives in parts, without holding it.
 *
 *	  framepart_open > for each part: framepart_push, then framepart_next
 *	  until it says PART_NEED > the last one ends with PART_DONE
 *
 * Items come in this order:
 *
 *	  { PART_ROW_OLD value… PART_ROW_END } { PART_ROW_NEW value… PART_ROW_END }
 *	  PART_DONE
 *
 * where a value is one PART_VALUE, or PART_BEGIN piece… PART_END: what is
 * longer than ROW_WHOLE_MAX comes in pieces of no particular size.  Columns
 * without a value make no item; their states are told with the row.  Of a
 * withheld value that is long, the bytes are left out.
 *
 * Memory: one value of at most ROW_WHOLE_MAX bytes.  What breaks the contract
 * is ERR_DATA.  Threads: one owner at a time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef FRAMEPART_H
#define FRAMEPART_H

#include "base/err.h"
#include "codec/rowbytes.h"

typedef enum PartItemType
{
	PART_NEED, /* all that was pushed is used */
	PART_ROW_OLD,
	PART_ROW_NEW,
	PART_VALUE,
	PART_BEGIN,
	PART_PIECE,
	PART_END,
	PART_ROW_END,
	PART_DONE
} PartItemType;

/* All it points to is borrowed until the next call. */
typedef struct PartItem
{
	PartItemType type;
	RowView row;   /* row: states of its columns, no values; until the
					* row's end */
	int col;       /* value, begin, piece, end: index of the column */
	ColView *view; /* value: the column; begin: n is its length */
	Slice piece;   /* piece */
} PartItem;

typedef struct FramePart FramePart;

/* whole_max is ROW_WHOLE_MAX, or less in a test. */
FramePart *framepart_new(size_t whole_max);
void framepart_free(FramePart *p);

/*
 * Type and flags of the whole frame: insert, update or delete.  The shape is
 * borrowed until the row's end.
 */
bool framepart_open(FramePart *p, const RowShape *shape, uint8_t type,
					uint8_t flags, Err *err) MUST_CHECK;

/* The bytes of the next part are borrowed until PART_NEED or PART_DONE. */
void framepart_push(FramePart *p, Slice bytes, bool last);

bool framepart_next(FramePart *p, PartItem *out, Err *err) MUST_CHECK;

#endif
