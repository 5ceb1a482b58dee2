/*-------------------------------------------------------------------------
 * compress.c
 *	  Objects in and out of their compression.
 *
 * Invariants of a LineReader:
 *	(1) text[pos, n) was decompressed and not given out yet.
 *	(2) text[pos, scanned) holds no line feed.
 *	(3) n - pos never passes max_line + CHUNK.
 *	(4) Once in_frame is false and no input is left, the end was reached
 *	    in good order.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/compress.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define CHUNK (64 * 1024)
#define WINDOW_LOG_MAX 23 /* 8 MiB: what all readers of zstd accept */
#define ZSTD_LEVEL 3
#define ZSTD_LEVEL_MAX 19  /* above it the window passes WINDOW_LOG_MAX */
#define ZSTD_HASH_LOG_1 12 /* at level 1: what a line repeats is near */
#define GZIP_LEVEL 6
#define GZIP_WINDOW (15 + 16) /* 32 kB, and a gzip header around it */
#define GZIP_MEM_LEVEL 8

static const struct
{
	const char *name;
	const char *suffix;
} kinds[] = {
	[COMPRESS_NONE] = { "none", "" },
	[COMPRESS_GZIP] = { "gzip", ".gz" },
	[COMPRESS_ZSTD] = { "zstd", ".zst" },
	[COMPRESS_SNAPPY] = { "snappy", "" },
};

bool
compression_parse_inner(const char *name, Compression *out)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
		{
			*out = (Compression) i;
			return true;
		}
	return false;
}

bool
compression_parse(const char *name, Compression *out)
{
	Compression kind;

	if (!compression_parse_inner(name, &kind) || kind == COMPRESS_SNAPPY)
		return false;
	*out = kind;
	return true;
}

const char *
compression_name(Compression kind)
{
	return kinds[kind].name;
}

const char *
compression_suffix(Compression kind)
{
	return kinds[kind].suffix;
}

Compression
compression_of_key(const char *key)
{
	const char *dot = strrchr(key, '.');

	for (size_t i = COMPRESS_GZIP; dot && i <= COMPRESS_ZSTD; i++)
		if (strcmp(kinds[i].suffix, dot) == 0)
			return (Compression) i;
	return COMPRESS_NONE;
}

/*
 * Compressor
 */
struct Compressor
{
	Compression kind;
	ZSTD_CCtx *zstd;
	z_stream gzip;
	int level;
};

Compression
compressor_kind(const Compressor *c)
{
	return c->kind;
}

Compressor *
compressor_new(Compression kind, int level)
{
	Compressor *c = xcalloc(1, sizeof(*c));

	c->kind = kind;
	c->level = level;
	if (kind == COMPRESS_ZSTD)
	{
		if (level == 0)
			level = ZSTD_LEVEL;
		if (level > ZSTD_LEVEL_MAX)
			level = ZSTD_LEVEL_MAX;
		c->zstd = ZSTD_createCCtx();
		if (!c->zstd)
			abort(); /* no memory, as in xmalloc */
		(void) ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level);
		if (level == 1)
			(void) ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_hashLog,
										  ZSTD_HASH_LOG_1);
		/* An entry has one of the stored bytes, and its readers look at it. */
		(void) ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 0);
		(void) ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_contentSizeFlag, 1);
	}
	else if (kind == COMPRESS_GZIP)
	{
		if (level <= 0 || level > Z_BEST_COMPRESSION)
			level = GZIP_LEVEL;
		if (deflateInit2(&c->gzip, level, Z_DEFLATED, GZIP_WINDOW,
						 GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
			abort();
	}
	return c;
}

int
compressor_level(const Compressor *c)
{
	return c->level;
}

void
compressor_free(Compressor *c)
{
	if (!c)
		return;
	if (c->kind == COMPRESS_ZSTD)
		(void) ZSTD_freeCCtx(c->zstd); /* frees, cannot fail */
	else if (c->kind == COMPRESS_GZIP)
		(void) deflateEnd(&c->gzip);
	free(c);
}

static bool
output_full(const Buf *out, Err *err)
{
	return err_set(err, ERR_LIMIT, 0,
				   "compressed object would pass its limit of %zu bytes",
				   out->max);
}

static bool
add_zstd(Compressor *c, Slice in, bool end, Buf *out, Err *err)
{
	ZSTD_inBuffer input = { in.p, in.n, 0 };
	size_t left;

	do
	{
		if (!buf_room(out, CHUNK) && !buf_room(out, 1))
			return output_full(out, err);

		ZSTD_outBuffer output = { out->p + out->n, out->cap - out->n, 0 };

		left = ZSTD_compressStream2(c->zstd, &output, &input,
									end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_set(err, ERR_INTERNAL, 0, "could not compress: %s",
						   ZSTD_getErrorName(left));
		out->n += output.pos;
		out->p[out->n] = 0;
	} while (end ? left != 0 : input.pos < input.size);
	return true;
}

static uInt
at_most_uint(size_t n)
{
	return n > UINT_MAX ? UINT_MAX : (uInt) n;
}

static bool
add_gzip(Compressor *c, Slice in, bool end, Buf *out, Err *err)
{
	z_stream *z = &c->gzip;
	size_t given = 0;
	int rc;

	z->next_in = (Bytef *) in.p;
	z->avail_in = 0;
	do
	{
		if (!buf_room(out, CHUNK) && !buf_room(out, 1))
			return output_full(out, err);
		if (z->avail_in == 0)
		{
			z->avail_in = at_most_uint(in.n - given);
			given += z->avail_in;
		}
		z->next_out = out->p + out->n;
		z->avail_out = at_most_uint(out->cap - out->n);
		rc = deflate(z, end && given == in.n ? Z_FINISH : Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return err_set(err, ERR_INTERNAL, rc, "could not compress: zlib %d",
						   rc);
		out->n = (size_t) (z->next_out - out->p);
		out->p[out->n] = 0;
	} while (end ? rc != Z_STREAM_END : given < in.n || z->avail_in > 0);
	return true;
}

void
compressor_begin(Compressor *c)
{
	if (c->kind == COMPRESS_ZSTD)
		(void) ZSTD_CCtx_reset(c->zstd, ZSTD_reset_session_only);
	else if (c->kind == COMPRESS_GZIP)
		(void) deflateReset(&c->gzip);
}

bool
compressor_add(Compressor *c, Slice in, bool end, Buf *out, Err *err)
{
	if (c->kind == COMPRESS_ZSTD)
		return add_zstd(c, in, end, out, err);
	if (c->kind == COMPRESS_GZIP)
		return add_gzip(c, in, end, out, err);
	buf_add(out, in.p, in.n);
	return out->overflow ? output_full(out, err) : true;
}

bool
compressor_run(Compressor *c, Slice in, Buf *out, Err *err)
{
	compressor_begin(c);
	if (c->kind == COMPRESS_ZSTD)
		(void) ZSTD_CCtx_setPledgedSrcSize(c->zstd, in.n);
	return compressor_add(c, in, true, out, err);
}

size_t
compressor_memory(const Compressor *c)
{
	if (c->kind == COMPRESS_ZSTD)
		return ZSTD_sizeof_CCtx(c->zstd);
	if (c->kind == COMPRESS_GZIP) /* as zlib's documentation says */
		return ((size_t) 1 << 17) + ((size_t) 1 << (GZIP_MEM_LEVEL + 9));
	return 0;
}

/*
 * LineReader
 */
struct LineReader
{
	Compression kind;
	Slice object;
	size_t used; /* of object */
	size_t max_line;
	bool in_frame; /* in the middle of a frame, or before the first */
	bool quotes;   /* a line feed between two of them ends no line */
	bool quoted;   /* behind the first of two, where the search is */
	ZSTD_DCtx *zstd;
	z_stream gzip;
	uint8_t *text;
	size_t cap;
	size_t pos;
	size_t scanned;
	size_t n;
};

LineReader *
lines_open(Compression kind, Slice object, size_t max_line)
{
	LineReader *r = xcalloc(1, sizeof(*r));

	r->kind = kind;
	r->object = object;
	r->max_line = max_line;
	r->in_frame = kind != COMPRESS_NONE;
	if (kind == COMPRESS_ZSTD)
	{
		r->zstd = ZSTD_createDCtx();
		if (!r->zstd)
			abort(); /* no memory, as in xmalloc */
		(void) ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax,
									  WINDOW_LOG_MAX);
	}
	else if (kind == COMPRESS_GZIP &&
			 inflateInit2(&r->gzip, GZIP_WINDOW) != Z_OK)
		abort();
	return r;
}

LineReader *
lines_open_quoted(Compression kind, Slice object, size_t max_line)
{
	LineReader *r = lines_open(kind, object, max_line);

	r->quotes = true;
	return r;
}

void
lines_close(LineReader *r)
{
	if (!r)
		return;
	if (r->kind == COMPRESS_ZSTD)
		(void) ZSTD_freeDCtx(r->zstd); /* frees, cannot fail */
	else if (r->kind == COMPRESS_GZIP)
		(void) inflateEnd(&r->gzip);
	free(r->text);
	free(r);
}

static bool
line_too_long(const LineReader *r, Err *err)
{
	return err_set(err, ERR_LIMIT, 0, "line is longer than %zu bytes",
				   r->max_line);
}

static bool
fill_zstd(LineReader *r, Err *err)
{
	ZSTD_inBuffer input = { r->object.p, r->object.n, r->used };
	ZSTD_outBuffer output = { r->text, r->cap, r->n };
	size_t left = ZSTD_decompressStream(r->zstd, &output, &input);

	if (ZSTD_isError(left))
		return err_set(err, ERR_DATA, 0, "object is damaged near byte %zu: %s",
					   input.pos, ZSTD_getErrorName(left));
	r->used = input.pos;
	r->n = output.pos;
	r->in_frame = left != 0;
	return true;
}

static bool
fill_gzip(LineReader *r, Err *err)
{
	z_stream *z = &r->gzip;
	int rc;

	if (!r->in_frame) /* there is another member */
		(void) inflateReset(z);
	r->in_frame = true;
	z->next_in = (Bytef *) r->object.p + r->used;
	z->avail_in = at_most_uint(r->object.n - r->used);
	z->next_out = r->text + r->n;
	z->avail_out = at_most_uint(r->cap - r->n);
	rc = inflate(z, Z_NO_FLUSH);
	r->used = (size_t) (z->next_in - r->object.p);
	r->n = (size_t) (z->next_out - r->text);
	if (rc == Z_STREAM_END)
		r->in_frame = false;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return err_set(err, ERR_DATA, rc, "object is damaged near byte %zu: %s",
					   r->used, z->msg ? z->msg : "not gzip");
	return true;
}

/* Makes room for a chunk behind what is left, and fills some of it. */
static bool
lines_fill(LineReader *r, Err *err)
{
	size_t left = r->n - r->pos;
	size_t used = r->used;
	bool ok;

	if (left > r->max_line)
		return line_too_long(r, err);
	if (r->pos > 0)
		memmove(r->text, r->text + r->pos, left);
	r->scanned -= r->pos;
	r->pos = 0;
	r->n = left;
	if (r->cap - r->n < CHUNK)
	{
		r->cap = 2 * r->n + CHUNK;
		if (r->cap > r->max_line + CHUNK)
			r->cap = r->max_line + CHUNK;
		r->text = xrealloc(r->text, r->cap);
	}
	ok = r->kind == COMPRESS_ZSTD ? fill_zstd(r, err) : fill_gzip(r, err);
	if (ok && r->used == r->object.n && r->used == used && r->n == left &&
		r->in_frame)
		return err_set(err, ERR_DATA, 0,
					   "object is truncated: it ends in mid-frame at byte %zu",
					   r->object.n);
	return ok;
}

static bool
no_line_feed(const LineReader *r, Err *err)
{
	return err_set(err, ERR_DATA, 0,
				   "object is truncated: its last line has no end at byte %zu",
				   r->object.n);
}

/* The line feed that ends a line, in n more bytes of it; NULL: none. */
static const uint8_t *
find_feed(LineReader *r, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;

	if (!r->quotes)
		return n > 0 ? memchr(p, '\n', n) : NULL;
	for (; p < end; p++)
	{
		if (r->quoted)
		{
			p = memchr(p, '"', (size_t) (end - p));
			if (!p)
				return NULL;
			r->quoted = false;
		}
		else if (*p == '\n')
			return p;
		else if (*p == '"')
			r->quoted = true;
	}
	return NULL;
}

/* Without compression the lines are parts of the object itself. */
static bool
next_plain(LineReader *r, Slice *out_line, bool *out_end, Err *err)
{
	const uint8_t *p = r->object.p + r->used;
	size_t left = r->object.n - r->used;
	const uint8_t *feed = find_feed(r, p, left);
	size_t n = feed ? (size_t) (feed - p) : left;

	if (n > r->max_line)
		return line_too_long(r, err);
	if (left > 0 && !feed)
		return no_line_feed(r, err);
	*out_end = left == 0;
	if (feed)
	{
		*out_line = (Slice){ p, n };
		r->used += n + 1;
	}
	return true;
}

bool
lines_next(LineReader *r, Slice *out_line, bool *out_end, Err *err)
{
	if (r->kind == COMPRESS_NONE)
		return next_plain(r, out_line, out_end, err);
	for (;;)
	{
		const uint8_t *feed = NULL;

		if (r->n > r->scanned)
			feed = find_feed(r, r->text + r->scanned, r->n - r->scanned);
		if (feed)
		{
			size_t n = (size_t) (feed - r->text) - r->pos;

			if (n > r->max_line)
				return line_too_long(r, err);
			*out_line = (Slice){ r->text + r->pos, n };
			*out_end = false;
			r->pos += n + 1;
			r->scanned = r->pos;
			return true;
		}
		r->scanned = r->n;
		if (r->used == r->object.n && !r->in_frame)
			break;
		if (!lines_fill(r, err))
			return false;
	}
	if (r->n > r->pos)
		return no_line_feed(r, err);
	*out_end = true;
	return true;
}
