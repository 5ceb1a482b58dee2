/*-------------------------------------------------------------------------
 * test_compress.c
 *	  codec/compress: round trips, frames in a row, and damage.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <zstd.h>

#include "codec/compress.h"

#define MAX_LINE (1024 * 1024)
#define MANY 20000

static const Compression all[] = { COMPRESS_NONE, COMPRESS_GZIP,
								   COMPRESS_ZSTD };

static void
names(void **state)
{
	Compression c;

	(void) state;
	assert_true(compression_parse("zstd", &c));
	assert_int_equal(c, COMPRESS_ZSTD);
	assert_true(compression_parse("none", &c));
	assert_int_equal(c, COMPRESS_NONE);
	assert_false(compression_parse("lz4", &c));
	assert_false(compression_parse("", &c));
	assert_string_equal(compression_suffix(COMPRESS_ZSTD), ".zst");
	assert_string_equal(compression_name(COMPRESS_GZIP), "gzip");
	assert_int_equal(compression_of_key("a/b.json.zst"), COMPRESS_ZSTD);
	assert_int_equal(compression_of_key("a/b.json.gz"), COMPRESS_GZIP);
	assert_int_equal(compression_of_key("a/b.json"), COMPRESS_NONE);
	assert_int_equal(compression_of_key("a"), COMPRESS_NONE);
}

/* Lines of changing length, some empty, one long. */
static void
make_lines(Buf *text, int lines)
{
	for (int i = 0; i < lines; i++)
	{
		int n = i == 7 ? 300000 : (i * 7919) % 211;

		for (int j = 0; j < n; j++)
			buf_byte(text, (uint8_t) ('!' + ((unsigned) i * 31 +
											 (unsigned) j * (unsigned) j) %
												90));
		buf_byte(text, '\n');
	}
}

/* Reads all lines back and compares them with text. */
static void
check_lines(Compression kind, Slice object, const Buf *text)
{
	LineReader *r = lines_open(kind, object, MAX_LINE);
	size_t at = 0;
	Slice line;
	bool end;
	Err err;

	for (;;)
	{
		if (!lines_next(r, &line, &end, &err))
			fail_msg("%s", err.msg);
		if (end)
			break;
		assert_true(at + line.n < text->n);
		assert_memory_equal(text->p + at, line.p, line.n);
		assert_int_equal(text->p[at + line.n], '\n');
		at += line.n + 1;
	}
	assert_int_equal(at, text->n);
	lines_close(r);
}

static void
round_trip(void **state)
{
	Err err;
	Buf text, out, again;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	buf_init(&again, SIZE_MAX);
	make_lines(&text, MANY);
	for (size_t i = 0; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 0);

		buf_reset(&out);
		buf_reset(&again);
		assert_true(compressor_run(c, buf_slice(&text), &out, &err));
		assert_true(compressor_run(c, buf_slice(&text), &again, &err));
		assert_int_equal(out.n, again.n);
		assert_memory_equal(out.p, again.p, out.n);
		check_lines(all[i], buf_slice(&out), &text);
		compressor_free(c);
	}
	buf_done(&text);
	buf_done(&out);
	buf_done(&again);
}

/* One frame that grows piece by piece, behind one that was given up. */
static void
in_pieces(void **state)
{
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	make_lines(&text, MANY);
	for (size_t i = 0; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 1);
		size_t at = 0;

		compressor_begin(c);
		buf_reset(&out);
		assert_true(compressor_add(c, slice_cstr("lost"), false, &out, &err));
		compressor_begin(c);
		buf_reset(&out);
		for (size_t n = 1; at < text.n; at += n, n = 3 * n % 99991)
		{
			Slice piece = { text.p + at, n < text.n - at ? n : text.n - at };

			n = piece.n;
			assert_true(compressor_add(c, piece, false, &out, &err));
		}
		assert_true(compressor_add(c, (Slice){ 0 }, true, &out, &err));
		check_lines(all[i], buf_slice(&out), &text);
		compressor_free(c);
	}
	buf_done(&text);
	buf_done(&out);
}

static void
several_frames(void **state)
{
	Err err;
	Buf text, out;
	Slice part;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	make_lines(&text, 400);
	for (size_t i = 0; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 1);

		buf_reset(&out);
		/* cut anywhere, also in the middle of a line, and once empty */
		part = (Slice){ text.p, 1234 };
		assert_true(compressor_run(c, part, &out, &err));
		assert_true(compressor_run(c, (Slice){ NULL, 0 }, &out, &err));
		part = (Slice){ text.p + 1234, text.n - 1234 };
		assert_true(compressor_run(c, part, &out, &err));
		check_lines(all[i], buf_slice(&out), &text);
		compressor_free(c);
	}
	buf_done(&text);
	buf_done(&out);
}

/* What engines need to know of a frame is in its header. */
static void
zstd_header(void **state)
{
	Compressor *c = compressor_new(COMPRESS_ZSTD, 22);
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	while (text.n < 12 * 1024 * 1024)
		make_lines(&text, 100);
	assert_true(compressor_run(c, buf_slice(&text), &out, &err));
	assert_int_equal(ZSTD_getFrameContentSize(out.p, out.n), text.n);
	/* descriptor: single segment off, no checksum (the log has one); window
	 * at most 8 MiB */
	assert_int_equal(out.p[4] & 0x20, 0);
	assert_int_equal(out.p[4] & 0x04, 0);
	assert_true(10 + (out.p[5] >> 3) <= 23);
	check_lines(COMPRESS_ZSTD, buf_slice(&out), &text);
	compressor_free(c);
	buf_done(&text);
	buf_done(&out);
}

static void
output_limit(void **state)
{
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	make_lines(&text, 200);
	for (size_t i = 0; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 0);

		buf_init(&out, 1000);
		assert_false(compressor_run(c, buf_slice(&text), &out, &err));
		assert_int_equal(err.kind, ERR_LIMIT);
		buf_done(&out);
		/* and the compressor is still good */
		buf_init(&out, SIZE_MAX);
		assert_true(compressor_run(c, buf_slice(&text), &out, &err));
		check_lines(all[i], buf_slice(&out), &text);
		buf_done(&out);
		compressor_free(c);
	}
	buf_done(&text);
}

/* Reads to the first error; ERR_NONE if there was none. */
static ErrKind
read_all(Compression kind, Slice object, size_t max_line)
{
	LineReader *r = lines_open(kind, object, max_line);
	Slice line;
	bool end = false;
	Err err = { 0 };

	while (!end && lines_next(r, &line, &end, &err))
		;
	lines_close(r);
	return err.kind;
}

static void
truncated(void **state)
{
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	make_lines(&text, 60);
	for (size_t i = 1; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 0);

		buf_reset(&out);
		assert_true(compressor_run(c, buf_slice(&text), &out, &err));
		for (size_t n = 0; n < out.n; n += n < 50 || n > out.n - 50 ? 1 : 97)
		{
			/* exact memory, so that a read behind it is seen */
			uint8_t *copy = malloc(n ? n : 1);

			memcpy(copy, out.p, n);
			assert_int_equal(read_all(all[i], (Slice){ copy, n }, MAX_LINE),
							 ERR_DATA);
			free(copy);
		}
		compressor_free(c);
	}
	assert_int_equal(
		read_all(COMPRESS_NONE, (Slice){ text.p, text.n - 1 }, MAX_LINE),
		ERR_DATA);
	assert_int_equal(read_all(COMPRESS_NONE, (Slice){ NULL, 0 }, MAX_LINE),
					 ERR_NONE);
	buf_done(&text);
	buf_done(&out);
}

static void
damaged(void **state)
{
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	make_lines(&text, 60);
	for (size_t i = 1; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 0);

		buf_reset(&out);
		assert_true(compressor_run(c, buf_slice(&text), &out, &err));
		/*
		 * Behind the header, where any bit counts.  It is for gzip to notice
		 * all of them; with zstd the log does, and nothing worse happens here.
		 */
		for (size_t n = 16; n < out.n; n += 61)
		{
			ErrKind kind;

			out.p[n] ^= 0x10;
			kind = read_all(all[i], buf_slice(&out), MAX_LINE);
			if (all[i] == COMPRESS_GZIP || kind != ERR_NONE)
				assert_int_equal(kind, ERR_DATA);
			out.p[n] ^= 0x10;
		}
		/* rubbish behind the last frame */
		buf_str(&out, "rubbish");
		assert_int_equal(read_all(all[i], buf_slice(&out), MAX_LINE), ERR_DATA);
		compressor_free(c);
	}
	buf_done(&text);
	buf_done(&out);
}

static void
line_limit(void **state)
{
	Err err;
	Buf text, out;

	(void) state;
	buf_init(&text, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	make_lines(&text, 60); /* one of 300000 bytes */
	for (size_t i = 0; i < 3; i++)
	{
		Compressor *c = compressor_new(all[i], 0);

		buf_reset(&out);
		assert_true(compressor_run(c, buf_slice(&text), &out, &err));
		assert_int_equal(read_all(all[i], buf_slice(&out), 299999), ERR_LIMIT);
		assert_int_equal(read_all(all[i], buf_slice(&out), 300000), ERR_NONE);
		assert_int_equal(read_all(all[i], buf_slice(&out), 100), ERR_LIMIT);
		compressor_free(c);
	}
	buf_done(&text);
	buf_done(&out);
}

/* Lines of CSV: what is within quotes ends none, wherever it is cut. */
static void
quoted_lines(void **state)
{
	static const Compression kinds[] = { COMPRESS_NONE, COMPRESS_GZIP,
										 COMPRESS_ZSTD };
	static const size_t sizes[] = { 0, 1, 200, 65535, 65536, 300000 };

	(void) state;
	for (size_t k = 0; k < 3; k++)
	{
		Compressor *c = compressor_new(kinds[k], 0);
		LineReader *r;
		Buf text;
		Buf packed;
		Slice line;
		bool end;
		Err err;

		buf_init(&text, SIZE_MAX);
		buf_init(&packed, SIZE_MAX);
		for (size_t i = 0; i < 6; i++)
		{
			buf_str(&text, "a,\"");
			for (size_t n = 0; n < sizes[i]; n++)
				buf_str(&text, n % 7 == 3 ? "\"\"" : n % 5 ? "x" : "\n");
			buf_str(&text, "\",\"\",b\n");
		}
		assert_true(compressor_run(c, buf_slice(&text), &packed, &err));
		r = lines_open_quoted(kinds[k], buf_slice(&packed), 1 << 20);
		for (size_t i = 0; i < 6; i++)
		{
			assert_true(lines_next(r, &line, &end, &err));
			assert_false(end);
			assert_true(line.n > sizes[i]);
			assert_memory_equal(line.p, "a,\"", 3);
			assert_memory_equal(line.p + line.n - 6, "\",\"\",b", 6);
		}
		assert_true(lines_next(r, &line, &end, &err));
		assert_true(end);
		lines_close(r);

		/* the last quote is not closed */
		buf_str(&text, "\"a\n");
		buf_reset(&packed);
		assert_true(compressor_run(c, buf_slice(&text), &packed, &err));
		r = lines_open_quoted(kinds[k], buf_slice(&packed), 1 << 20);
		for (size_t i = 0; i < 6; i++)
			assert_true(lines_next(r, &line, &end, &err));
		assert_false(lines_next(r, &line, &end, &err));
		assert_int_equal(err.kind, ERR_DATA);
		lines_close(r);
		compressor_free(c);
		buf_done(&text);
		buf_done(&packed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),          cmocka_unit_test(round_trip),
		cmocka_unit_test(in_pieces),      cmocka_unit_test(zstd_header),
		cmocka_unit_test(several_frames), cmocka_unit_test(truncated),
		cmocka_unit_test(output_limit),   cmocka_unit_test(damaged),
		cmocka_unit_test(line_limit),     cmocka_unit_test(quoted_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
