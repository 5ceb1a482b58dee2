/*-------------------------------------------------------------------------
 * row.h
 *	  One row as views into borrowed bytes: what the decoder and the loader
 *	  hand to the row writers.
 *
 * NULL, unchanged, withheld, empty and absent are five different things.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ROW_H
#define ROW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum ColState
{
	COL_ABSENT = 0, /* not in this row: an old row that holds the key only */
	COL_NULL,
	COL_UNCHANGED, /* TOAST value that was not touched and is not at hand */
	COL_WITHHELD,  /* could not be sent; see reason, size, crc32c */
	COL_VALUE
} ColState;

/* p and n: the value as its CdcS3Kind says, without a blob's length. */
typedef struct ColView
{
	const uint8_t *p;
	uint32_t n;
	uint8_t state;   /* ColState */
	uint8_t reason;  /* CdcS3Withheld */
	uint32_t crc32c; /* of the stored bytes, where withheld */
	uint64_t size;   /* stored bytes, where withheld; p and n are those that
					  * were sent */
} ColView;

typedef struct RowView
{
	int ncols; /* 0 also where there is no such row */
	ColView *cols;
} RowView;

/*
 * Values up to this size are handled as a whole; of a row that arrives in
 * parts, longer ones come in pieces.
 */
#define ROW_WHOLE_MAX ((size_t) 1 << 20)

/* Little-endian loads of the wire; the compiler makes them one instruction. */
static inline uint16_t
get_u16(const uint8_t *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static inline uint32_t
get_u32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
		   (uint32_t) p[3] << 24;
}

static inline uint64_t
get_u64(const uint8_t *p)
{
	return (uint64_t) get_u32(p) | (uint64_t) get_u32(p + 4) << 32;
}

/* Bytes of a value of this kind; 0: a blob. */
int kind_width(uint8_t kind);

#endif
