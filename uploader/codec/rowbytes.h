/*-------------------------------------------------------------------------
 * rowbytes.h
 *	  The rows of a change as they are on the wire (doc/wire-format.md): the
 *	  old one where the frame's flags name one, then the new one, but of a
 *	  delete.
 *
 * A RowShape is all that one has to know of a table to read them.
 * Threads: a shape is immutable and shared.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ROWBYTES_H
#define ROWBYTES_H

#include "base/buf.h"
#include "codec/row.h"
#include "codec/schema.h"

#define ROW_MAX_COLUMNS 1664 /* the server's limit of a target list */

#define OID_JSONB 3802 /* fixed in the server's pg_type.dat */

typedef struct RowShapeColumn
{
	uint8_t kind; /* CdcS3Kind */
	bool key;
	bool jsonb; /* of kind text; COPY sends it with a version in front */
} RowShapeColumn;

typedef struct RowShape
{
	int ncols;
	RowShapeColumn cols[];
} RowShape;

RowShape *row_shape_new(const Schema *s);
void row_shape_free(RowShape *s);

/*
 * cols: two for each column of the shape; the rows' columns, which are views
 * into the bytes.  Bytes behind the rows are those of a later version.  False
 * where they break the contract.
 */
bool row_bytes_decode(const RowShape *s, uint8_t type, uint8_t flags,
					  Slice bytes, ColView *cols, RowView *out_old,
					  RowView *out_new);

#endif
