/*-------------------------------------------------------------------------
 * parquet_delta.h
 *	  Parquet's DELTA_BINARY_PACKED: whole numbers as differences of neighbours
 *	  (Encodings.md of Apache Parquet, "DELTA_BINARY_PACKED = 5").
 *
 * Values are PLAIN bytes of 4 or 8 bytes each, little-endian.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_DELTA_H
#define PARQUET_DELTA_H

#include "base/buf.h"
#include "base/err.h"

/* Appends all of them. */
void delta_encode(Slice plain, size_t width, Buf *out);

/*
 * How many values the bytes say they are, and those to out, which has room for
 * them.  ERR_DATA: they are damaged, or in blocks of another size than ours.
 */
bool delta_count(Slice bytes, uint64_t *out_n, Err *err) MUST_CHECK;
bool delta_decode(Slice bytes, size_t width, uint8_t *out, Err *err) MUST_CHECK;

#endif
