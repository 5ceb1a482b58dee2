/*-------------------------------------------------------------------------
 * copyrow.h
 *	  Rows of COPY … (FORMAT binary) as row views, the same that the wire
 *	  gives.  Format: the server's manual, COPY, "Binary Format".
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef COPYROW_H
#define COPYROW_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/rowbytes.h"

/* How a column's values become the wire's. */
typedef struct CopyColumn
{
	uint8_t turn;
	uint32_t width; /* 0: any */
} CopyColumn;

typedef struct CopyReader
{
	int ncols;
	CopyColumn *how;
	ColView *cols;
	Buf scratch; /* values turned to the wire's byte order */
} CopyReader;

void copy_reader_init(CopyReader *r, const RowShape *shape);
void copy_reader_done(CopyReader *r);

/*
 * What a CopyData message holds: one row's tuple (the first one the header as
 * well, the last the trailer alone).  *begun: the header was seen.  *out_tuple:
 * borrowed from msg; empty where it holds no row.
 */
bool copy_next_tuple(bool *begun, Slice msg, Slice *out_tuple,
					 Err *err) MUST_CHECK;

/* The row of a tuple, valid until the next call or the tuple's end. */
bool copy_reader_row(CopyReader *r, Slice tuple, RowView *row,
					 Err *err) MUST_CHECK;

#endif
