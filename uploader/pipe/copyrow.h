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

#include "codec/row.h"
#include "pipe/pipe.h"

typedef struct CopyReader
{
	const uint8_t *kinds; /* one a column, borrowed */
	int ncols;
	ColView *cols; /* owned */
	Buf scratch;   /* values turned to the wire's byte order */
	bool begun;    /* the header was seen */
} CopyReader;

void copy_reader_init(CopyReader *r, const uint8_t *kinds, int ncols);
void copy_reader_done(CopyReader *r);

/*
 * Reads one CopyData message, which holds one row (the first one the header
 * as well, the last the trailer alone).  *out_row: there is a row in *row,
 * valid until the next call or the message's end.
 */
bool copy_reader_row(CopyReader *r, Slice msg, RowView *row, bool *out_row,
					 Err *err) MUST_CHECK;

#endif
