/*-------------------------------------------------------------------------
 * parquet_page.h
 *	  Reads one leaf's column chunk, slot by slot.
 *
 * Holds the page that is read and the dictionary; what is not compressed is
 * read where it stands.  What all leaves of a reader hold is bounded: *held
 * counts it, up to held_max.
 * Errors: ERR_DATA where the bytes are not what our writer writes, ERR_LIMIT
 * at the bound.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_PAGE_H
#define PARQUET_PAGE_H

#include "codec/parquet_codec.h"
#include "codec/parquet_rle.h"
#include "codec/parquet_type.h"

/* Where a chunk is, as the footer says. */
typedef struct ChunkInfo
{
	Slice bytes; /* all its pages */
	Compression codec;
	uint64_t slots;
} ChunkInfo;

/* What the leaves of a reader share. */
typedef struct PageShare
{
	ParquetCodec codecs[COMPRESS_SNAPPY + 1];
	size_t held;
	size_t held_max;
} PageShare;

typedef struct PageMemory
{
	uint8_t *p;
	size_t cap;
} PageMemory;

typedef struct LeafReader
{
	const ParquetLeaf *leaf;
	PageShare *share;
	ChunkInfo chunk;
	size_t at;          /* of chunk.bytes */
	uint64_t slots;     /* in pages that were not begun */
	uint64_t page_left; /* slots of this page */

	RleIn rep;
	RleIn def;
	PageMemory page;
	PageMemory numbers; /* of a page of differences, PLAIN */
	const uint8_t *p;   /* values that are left */
	const uint8_t *end;
	int bit; /* of *p, where they are booleans */
	bool indices;
	RleIn index;

	PageMemory dict_page;
	Slice dict;
	uint32_t ndict;
	uint32_t *dict_at; /* where each stands, of BYTE_ARRAY */
	uint32_t dict_cap;

	bool loaded; /* the levels of the next slot */
	uint32_t next_rep;
	uint32_t next_def;
} LeafReader;

void leaf_init(LeafReader *l, const ParquetLeaf *leaf, PageShare *share);
void leaf_done(LeafReader *l);
void leaf_open(LeafReader *l, const ChunkInfo *chunk);

/* Levels of the next slot, which is not taken; *out_end: there is none. */
bool leaf_peek(LeafReader *l, bool *out_end, Err *err) MUST_CHECK;

/*
 * Takes that slot; its value's PLAIN bytes, where def is all there is, are
 * valid until the next call of leaf_peek().
 */
bool leaf_take(LeafReader *l, Slice *out, Err *err) MUST_CHECK;

#endif
