/*-------------------------------------------------------------------------
 * compress.h
 *	  Objects in and out of their compression: whole buffers to one frame
 *	  (Compressor), and an object back to its lines (LineReader).
 *
 * A zstd frame carries a checksum, and its content size where that was known
 * at its beginning, and needs a window of at most 8 MiB; skippable frames are
 * never written, since some engines stop at them.  Equal input gives equal
 * bytes (gzip carries no time).
 * Threads: one owner at a time, any thread.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef COMPRESS_H
#define COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum Compression
{
	COMPRESS_NONE,
	COMPRESS_GZIP,
	COMPRESS_ZSTD,
	COMPRESS_SNAPPY /* in Parquet's pages only; never a whole object */
} Compression;

#define COMPRESS_KINDS (COMPRESS_SNAPPY + 1)

/* "none", "gzip", "zstd"; false where the name is none of these. */
bool compression_parse(const char *name, Compression *out);

/* The same, and "snappy", for a format that compresses by itself. */
bool compression_parse_inner(const char *name, Compression *out);
const char *compression_name(Compression kind);

/* What the object's key ends with: "", ".gz", ".zst". */
const char *compression_suffix(Compression kind);

/* From a key's end; COMPRESS_NONE where it names no compression. */
Compression compression_of_key(const char *key);

/* Reused for any number of objects; level 0 is the default (zstd 3). */
typedef struct Compressor Compressor;

Compressor *compressor_new(Compression kind, int level);
void compressor_free(Compressor *c);
int compressor_level(const Compressor *c); /* as it was asked for */
Compression compressor_kind(const Compressor *c);

/*
 * Appends all of in to out as one whole frame (zstd) or member (gzip).
 * ERR_LIMIT: out is full.  After an error out holds a part of it.
 */
bool compressor_run(Compressor *c, Slice in, Buf *out, Err *err) MUST_CHECK;

/*
 * The same in pieces: begin, add …, add with "end" (whose piece may be
 * empty).  What is in out after each can be sent on.
 */
void compressor_begin(Compressor *c);
bool compressor_add(Compressor *c, Slice in, bool end, Buf *out,
					Err *err) MUST_CHECK;

/* Memory that a compressor holds between and during runs, about. */
size_t compressor_memory(const Compressor *c);

/*
 * The lines of a whole object in memory.  Decompresses as it goes: besides
 * the object it holds one window (at most 8 MiB) and max_line bytes and a
 * bit.  Several frames or members in a row are read as one.
 */
typedef struct LineReader LineReader;

/* object is borrowed until lines_close. */
LineReader *lines_open(Compression kind, Slice object, size_t max_line);
void lines_close(LineReader *r);

/* The same for CSV: a line feed between two '"' is part of its line. */
LineReader *lines_open_quoted(Compression kind, Slice object, size_t max_line);

/*
 * The next line without its line feed, valid until the next call; *out_end
 * is set behind the last one.  ERR_DATA: damaged, truncated, or the last line
 * has no line feed.  ERR_LIMIT: a line is longer than max_line.
 */
bool lines_next(LineReader *r, Slice *out_line, bool *out_end,
				Err *err) MUST_CHECK;

#endif
