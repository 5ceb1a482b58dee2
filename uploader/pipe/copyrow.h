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
	bool begun;  /* the header was seen */
} CopyReader;

/*
 * jsonb is of kind text, and its binary form is its text behind a version: so
 * that the server need not print it by a function.
 */
#define COPY_JSONB 255
#define JSONB_OID 3802

/* kinds: one a column; COPY_JSONB where it is that. */
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
