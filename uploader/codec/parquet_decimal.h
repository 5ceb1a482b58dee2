/*-------------------------------------------------------------------------
 * parquet_decimal.h
 *	  numeric(p, s) as Parquet's DECIMAL, and back: the whole number that is
 *	  the value times 10^s; in four or eight bytes little-endian, or in
 *	  leaf->width bytes big-endian, two's complement.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_DECIMAL_H
#define PARQUET_DECIMAL_H

#include "codec/parquet_type.h"

/*
 * The wire's numeric, or its text.  False where the type does not hold it:
 * NaN, infinity, other digits behind the point than declared, too many.
 */
bool decimal_of_wire(const ParquetLeaf *leaf, const uint8_t *p, size_t n,
					 uint8_t *out);
bool decimal_of_text(const ParquetLeaf *leaf, const char *s, size_t n,
					 uint8_t *out);

/* At most 42 bytes, without terminator; returns how many. */
size_t decimal_to_text(const ParquetLeaf *leaf, const uint8_t *p, char *out);

#endif
