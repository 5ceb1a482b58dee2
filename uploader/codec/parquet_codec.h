/*-------------------------------------------------------------------------
 * parquet_codec.h
 *	  Pages in and out of their compression.
 *
 * A codec's memory is made with its first use.  Threads: one owner at a
 * time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_CODEC_H
#define PARQUET_CODEC_H

#include "codec/compress.h"

/* parquet.thrift, "CompressionCodec". */
int parquet_codec_number(Compression kind);
bool parquet_codec_of_number(int number, Compression *out);

typedef struct ParquetCodec
{
	Compression kind;
	int level;
	Compressor *out;        /* gzip, zstd */
	struct ZSTD_DCtx_s *in; /* zstd */
} ParquetCodec;

void codec_init(ParquetCodec *c, Compression kind, int level);
void codec_done(ParquetCodec *c); /* may be used again */
size_t codec_memory(const ParquetCodec *c);

/* Appends in, compressed. */
bool codec_compress(ParquetCodec *c, Slice in, Buf *out, Err *err) MUST_CHECK;

/* Exactly n bytes to out, or ERR_DATA. */
bool codec_decompress(ParquetCodec *c, Slice in, uint8_t *out, size_t n,
					  Err *err) MUST_CHECK;

#endif
