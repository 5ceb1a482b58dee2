/*-------------------------------------------------------------------------
 * parquet_rle.h
 *	  Parquet's hybrid of run lengths and packed bits, which levels and
 *	  dictionary indices are written in (Encodings.md of Apache Parquet,
 *	  "RLE = 3"), and PLAIN's booleans.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_RLE_H
#define PARQUET_RLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Bits that hold values up to max; 0: there is nothing to write. */
int rle_bits(uint32_t max);

/*
 * Values one by one, or many that are equal at once, to runs.  Holds no more
 * than its output and eight values.
 */
typedef struct RleOut
{
	Buf *out;
	int bits;
	uint32_t value; /* of the run that grows */
	uint64_t run;
	uint32_t held[8]; /* values of packed groups */
	int nheld;
	size_t head; /* offset in out of the packed run's head */
	int groups;  /* in that run; 0: none is open */
} RleOut;

void rle_begin(RleOut *r, Buf *out, int bits);
void rle_add_run(RleOut *r, uint32_t value, uint64_t n);
void rle_end(RleOut *r);

static inline void
rle_add(RleOut *r, uint32_t value)
{
	if (r->run > 0 && r->value == value)
		r->run++;
	else
		rle_add_run(r, value, 1);
}

/* Reads; the bytes are borrowed. */
typedef struct RleIn
{
	const uint8_t *p;
	const uint8_t *end;
	int bits;
	uint64_t left; /* values of the run that is read */
	bool packed;
	uint32_t value; /* of a run of one value */
	uint64_t at;    /* bit of the next packed value */
	const uint8_t *pack;
} RleIn;

void rle_in(RleIn *r, Slice bytes, int bits);

/* The next value; false where the bytes have ended or are damaged. */
bool rle_next_slow(RleIn *r, uint32_t *out);

static inline bool
rle_next(RleIn *r, uint32_t *out)
{
	if (r->left == 0 || r->packed)
		return rle_next_slow(r, out);
	r->left--;
	*out = r->value;
	return true;
}

#endif
