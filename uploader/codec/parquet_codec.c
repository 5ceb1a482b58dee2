/*-------------------------------------------------------------------------
 * parquet_codec.c
 *	  Pages in and out of their compression.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_codec.h"

#include <limits.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP_OR_ZLIB (15 + 32)

static const int numbers[] = { [COMPRESS_NONE] = 0,
							   [COMPRESS_SNAPPY] = 1,
							   [COMPRESS_GZIP] = 2,
							   [COMPRESS_ZSTD] = 6 };

int
parquet_codec_number(Compression kind)
{
	return numbers[kind];
}

bool
parquet_codec_of_number(int number, Compression *out)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		if (numbers[i] != number)
			continue;
		*out = (Compression) i;
		return true;
	}
	return false;
}

void
codec_init(ParquetCodec *c, Compression kind, int level)
{
	*c = (ParquetCodec){ .kind = kind, .level = level };
}

void
codec_done(ParquetCodec *c)
{
	compressor_free(c->out);
	(void) ZSTD_freeDCtx(c->in); /* frees, cannot fail */
	c->out = NULL;
	c->in = NULL;
}

size_t
codec_memory(const ParquetCodec *c)
{
	return c->out ? compressor_memory(c->out) : 0;
}

static bool
compress_snappy(Slice in, Buf *out, Err *err)
{
	size_t n = snappy_max_compressed_length(in.n);

	if (!buf_room(out, n))
		return err_set(err, ERR_LIMIT, 0, "a page is too long: %zu bytes",
					   in.n);
	if (snappy_compress((const char *) in.p, in.n, (char *) out->p + out->n,
						&n) != SNAPPY_OK)
		return err_set(err, ERR_INTERNAL, 0, "could not compress: snappy");
	out->n += n;
	out->p[out->n] = 0;
	return true;
}

bool
codec_compress(ParquetCodec *c, Slice in, Buf *out, Err *err)
{
	if (c->kind == COMPRESS_SNAPPY)
		return compress_snappy(in, out, err);
	if (!c->out)
		c->out = compressor_new(c->kind, c->level);
	return compressor_run(c->out, in, out, err);
}

static bool
damaged(Compression kind, Err *err)
{
	return err_set(err, ERR_DATA, 0, "a page is damaged: it is no %s",
				   compression_name(kind));
}

static bool
decompress_gzip(Slice in, uint8_t *out, size_t n)
{
	z_stream z = { 0 };
	bool ok;

	if (in.n > UINT_MAX || n > UINT_MAX || inflateInit2(&z, GZIP_OR_ZLIB))
		return false;
	z.next_in = (Bytef *) in.p;
	z.avail_in = (uInt) in.n;
	z.next_out = out;
	z.avail_out = (uInt) n;
	ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == n;
	(void) inflateEnd(&z);
	return ok;
}

bool
codec_decompress(ParquetCodec *c, Slice in, uint8_t *out, size_t n, Err *err)
{
	size_t got = n;
	bool ok = false;

	if (c->kind == COMPRESS_SNAPPY)
		ok = snappy_uncompressed_length((const char *) in.p, in.n, &got) ==
				 SNAPPY_OK &&
			 got == n &&
			 snappy_uncompress((const char *) in.p, in.n, (char *) out, &got) ==
				 SNAPPY_OK;
	else if (c->kind == COMPRESS_GZIP)
		ok = decompress_gzip(in, out, n);
	else
	{
		if (!c->in)
			c->in = ZSTD_createDCtx();
		if (!c->in)
			abort(); /* no memory, as in xmalloc */
		got = ZSTD_decompressDCtx(c->in, out, n, in.p, in.n);
		ok = !ZSTD_isError(got) && got == n;
	}
	return ok || damaged(c->kind, err);
}
