/*-------------------------------------------------------------------------
 * test_parquet_parts.c
 *	  What Parquet objects are made of: Thrift's compact protocol, runs and
 *	  packed bits, decimals, dictionaries, bounds, pages' compression.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "codec/parquet_codec.h"
#include "codec/parquet_decimal.h"
#include "codec/parquet_delta.h"
#include "codec/parquet_dict.h"
#include "codec/parquet_rle.h"
#include "codec/parquet_stats.h"
#include "codec/parquet_thrift.h"
#include "parquet_rows.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Thrift ---- */

static void
put_everything(Buf *out, int64_t number)
{
	ThriftOut t;

	thrift_out(&t, out);
	thrift_bool(&t, 1, true);
	thrift_i32(&t, 2, (int32_t) (number % INT32_MAX));
	thrift_i64(&t, 20, number); /* so far from the last one */
	thrift_string(&t, 21, "text");
	thrift_struct(&t, 22);
	thrift_bool(&t, 3, false);
	thrift_stop(&t);
	thrift_list(&t, 23, THRIFT_I64, 20);
	for (int i = 0; i < 20; i++)
		thrift_item_i64(&t, number / (i + 1));
	thrift_list(&t, 24, THRIFT_STRUCT, 2);
	for (int i = 0; i < 2; i++)
	{
		thrift_item_struct(&t);
		thrift_i32(&t, 1, i);
		thrift_stop(&t);
	}
	thrift_stop(&t);
}

static void
test_thrift(void **state)
{
	static const int64_t numbers[] = {
		0, 1, -1, 63, 64, -64, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN
	};

	(void) state;
	for (size_t i = 0; i < COUNT(numbers); i++)
	{
		Buf b;
		ThriftIn t;
		ThriftType type;
		ThriftType item;
		int id;
		size_t n;
		bool yes;
		int32_t i32;
		int64_t i64;
		Slice s;
		Err err;

		buf_init(&b, SIZE_MAX);
		put_everything(&b, numbers[i]);
		thrift_in(&t, buf_slice(&b));
		assert_true(thrift_field(&t, &id, &type, &err) && id == 1);
		assert_true(thrift_read_bool(&t, type, &yes, &err) && yes);
		assert_true(thrift_field(&t, &id, &type, &err) && id == 2);
		assert_true(thrift_read_i32(&t, type, &i32, &err));
		assert_int_equal(i32, numbers[i] % INT32_MAX);
		assert_true(thrift_field(&t, &id, &type, &err) && id == 20);
		assert_true(thrift_read_i64(&t, type, &i64, &err));
		assert_true(i64 == numbers[i]);
		assert_true(thrift_field(&t, &id, &type, &err) && id == 21);
		assert_true(thrift_read_binary(&t, type, &s, &err));
		assert_int_equal(s.n, 4);
		assert_true(thrift_field(&t, &id, &type, &err) && id == 22);
		assert_true(thrift_read_struct(&t, type, &err));
		assert_true(thrift_field(&t, &id, &type, &err) && id == 3);
		assert_true(thrift_read_bool(&t, type, &yes, &err) && !yes);
		assert_true(thrift_field(&t, &id, &type, &err));
		assert_int_equal(type, THRIFT_STOP);
		assert_true(thrift_field(&t, &id, &type, &err) && id == 23);
		assert_true(thrift_read_list(&t, type, &item, &n, &err));
		assert_int_equal(n, 20);
		for (int k = 0; k < 20; k++)
		{
			assert_true(thrift_read_i64(&t, item, &i64, &err));
			assert_true(i64 == numbers[i] / (k + 1));
		}
		assert_true(thrift_field(&t, &id, &type, &err) && id == 24);
		assert_true(thrift_skip(&t, type, &err));
		assert_true(thrift_field(&t, &id, &type, &err));
		assert_int_equal(type, THRIFT_STOP);
		assert_int_equal(thrift_used(&t), b.n);
		buf_done(&b);
	}
}

/* Cut anywhere, it is refused, and nothing is read behind the end. */
static void
test_thrift_cut(void **state)
{
	Buf b;

	(void) state;
	buf_init(&b, SIZE_MAX);
	put_everything(&b, INT64_MIN);
	for (size_t n = 0; n < b.n; n++)
	{
		uint8_t *exact = xmalloc(n ? n : 1);
		ThriftType type = THRIFT_TRUE;
		bool ok = true;
		ThriftIn t;
		Err err;
		int id;

		memcpy(exact, b.p, n);
		thrift_in(&t, (Slice){ exact, n });
		while (ok && type != THRIFT_STOP)
			ok = thrift_field(&t, &id, &type, &err) &&
				 (type == THRIFT_STOP || thrift_skip(&t, type, &err));
		assert_false(ok);
		assert_int_equal(err.kind, ERR_DATA);
		free(exact);
	}
	buf_done(&b);
}

static void
test_thrift_deep(void **state)
{
	uint8_t deep[64];
	ThriftType type;
	ThriftIn t;
	Err err;
	int id;

	(void) state;
	memset(deep, 1 << 4 | THRIFT_STRUCT, sizeof(deep));
	thrift_in(&t, (Slice){ deep, sizeof(deep) });
	assert_true(thrift_field(&t, &id, &type, &err));
	assert_false(thrift_skip(&t, type, &err));
	memset(deep, 1 << 4 | THRIFT_LIST, sizeof(deep));
	thrift_in(&t, (Slice){ deep, sizeof(deep) });
	assert_true(thrift_field(&t, &id, &type, &err));
	assert_false(thrift_skip(&t, type, &err));
}

/* ---- runs ---- */

static void
test_rle(void **state)
{
	uint64_t random = 5;

	(void) state;
	for (int bits = 1; bits <= 20; bits++)
	{
		uint32_t values[1000];
		uint32_t v;
		size_t n = 0;
		RleOut out;
		RleIn in;
		Buf b;

		while (n < COUNT(values))
		{
			size_t run = rows_random(&random, 3) ? 1 : rows_random(&random, 40);

			v = rows_random(&random, UINT32_C(1) << bits);
			while (run-- > 0 && n < COUNT(values))
				values[n++] = v;
		}
		buf_init(&b, SIZE_MAX);
		rle_begin(&out, &b, bits);
		for (size_t i = 0; i < n; i++)
			rle_add(&out, values[i]);
		rle_end(&out);
		rle_in(&in, buf_slice(&b), bits);
		for (size_t i = 0; i < n; i++)
		{
			assert_true(rle_next(&in, &v));
			assert_int_equal(v, values[i]);
		}
		/* at most the last group is filled up */
		for (int i = 0; i < 8 && rle_next(&in, &v); i++)
			assert_int_equal(v, 0);
		assert_false(rle_next(&in, &v));
		buf_done(&b);
	}
}

static void
test_rle_long(void **state)
{
	RleOut out;
	Buf b;

	(void) state;
	buf_init(&b, SIZE_MAX);
	rle_begin(&out, &b, 1);
	rle_add_run(&out, 0, 1000000);
	rle_end(&out);
	assert_int_equal(b.n, 4); /* a varint of two million, and the value */
	buf_done(&b);
	assert_int_equal(rle_bits(0), 0);
	assert_int_equal(rle_bits(1), 1);
	assert_int_equal(rle_bits(3), 2);
	assert_int_equal(rle_bits(4), 3);
}

static void
test_rle_damaged(void **state)
{
	static const uint8_t bytes[][4] = { { 0, 1, 0, 0 }, /* a run of nothing */
										{ 9 << 1 | 1, 0, 0,
										  0 }, /* nine groups in three bytes */
										{ 0xff, 0xff, 0xff, 0xff } };
	uint32_t v;
	RleIn in;

	(void) state;
	for (size_t i = 0; i < COUNT(bytes); i++)
	{
		rle_in(&in, (Slice){ bytes[i], sizeof(bytes[i]) }, 3);
		assert_false(rle_next(&in, &v));
	}
	rle_in(&in, (Slice){ NULL, 0 }, 3);
	assert_false(rle_next(&in, &v));
}

/* ---- decimals ---- */

static ParquetLeaf
decimal_leaf(int precision, int scale)
{
	static const uint8_t widths[] = { [38] = 16, [19] = 9, [28] = 12 };

	return (ParquetLeaf){ .form = PARQUET_DECIMAL,
						  .physical = precision <= 9    ? PARQUET_INT32
									  : precision <= 18 ? PARQUET_INT64
														: PARQUET_FIXED,
						  .width = precision > 18 ? widths[precision] : 0,
						  .precision = (uint8_t) precision,
						  .scale = (uint8_t) scale };
}

static void
test_decimal(void **state)
{
	static const struct
	{
		int precision;
		int scale;
		const char *text;
		bool holds;
	} rows[] = {
		{ 9, 2, "0.00", true },
		{ 9, 2, "-0.01", true },
		{ 9, 2, "9999999.99", true },
		{ 9, 2, "10000000.00", false },
		{ 9, 2, "1.1", false },
		{ 9, 2, "1.100", false },
		{ 9, 9, "0.123456789", true },
		{ 9, 0, "999999999", true },
		{ 5, 5, "0.00001", true },
		{ 18, 6, "-999999999999.999999", true },
		{ 18, 6, "1000000000000.000000", false },
		{ 18, 18, "0.000000000000000001", true },
		{ 19, 0, "-9999999999999999999", true },
		{ 28, 10, "123456789012345678.0123456789", true },
		{ 38, 0, "99999999999999999999999999999999999999", true },
		{ 38, 0, "100000000000000000000000000000000000000", false },
		{ 38, 38, "-0.99999999999999999999999999999999999999", true },
		{ 38, 10, "NaN", false },
		{ 38, 10, "-Infinity", false },
		{ 38, 2, "0.00", true },
		{ 9, 4, "10000.0001", true },
		{ 9, 3, "10000.001", true },
		{ 9, 1, "10000000.1", true },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		ParquetLeaf leaf = decimal_leaf(rows[i].precision, rows[i].scale);
		uint8_t wire[16];
		uint8_t text[16];
		char back[48];
		size_t n;
		Buf b;

		buf_init(&b, SIZE_MAX);
		rows_put_numeric(&b, rows[i].text);
		if (decimal_of_wire(&leaf, b.p, b.n, wire) != rows[i].holds ||
			decimal_of_text(&leaf, rows[i].text, strlen(rows[i].text), text) !=
				rows[i].holds)
			fail_msg("numeric(%d,%d) and %s", rows[i].precision, rows[i].scale,
					 rows[i].text);
		if (rows[i].holds)
		{
			assert_memory_equal(wire, text, parquet_width(&leaf));
			n = decimal_to_text(&leaf, wire, back);
			back[n] = 0;
			assert_string_equal(back, rows[i].text);
		}
		buf_done(&b);
	}
}

/* Bytes that are no numeric. */
static void
test_decimal_damaged(void **state)
{
	static const struct
	{
		const char *bytes;
		size_t n;
	} rows[] = {
		{ "", 0 },
		{ "\x02", 1 },
		{ "\x02\x00", 2 },
		{ "\x02\x00\xff\x7f", 4 },                /* weight 32767, no digits */
		{ "\x02\x00\xff\x7f\x01\x00", 6 },        /* and one digit */
		{ "\x02\x00\x00\x00\xff\xff", 6 },        /* digit 65535 */
		{ "\x02\x40\x00\x00", 4 },                /* minus zero */
		{ "\x02\x00\x00\x00\x01\x00\x01\x00", 8 } /* 1.0001 shown as 1.00 */
	};
	ParquetLeaf leaf = decimal_leaf(9, 2);
	uint8_t out[16];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		bool zero = i == 3; /* it is 0.00, written oddly */

		assert_true(decimal_of_wire(&leaf, (const uint8_t *) rows[i].bytes,
									rows[i].n, out) == zero);
	}
}

/* ---- dictionaries ---- */

static void
test_dict(void **state)
{
	static const size_t widths[] = { 0, 4, 8, 16 };

	(void) state;
	for (size_t k = 0; k < COUNT(widths); k++)
	{
		uint64_t random = 3;
		ParquetDict d;

		dict_init(&d, widths[k]);
		for (int i = 0; i < 3000; i++)
		{
			char text[32] = { 0 };
			size_t n = (size_t) snprintf(text, sizeof(text), "%u",
										 rows_random(&random, 500));
			Slice v = { (const uint8_t *) text, widths[k] ? widths[k] : n };
			uint32_t at = dict_index(&d, v);
			Slice back = dict_value(&d, at);

			assert_true(at < d.n);
			assert_int_equal(back.n, v.n);
			assert_memory_equal(back.p, v.p, v.n);
			assert_int_equal(dict_index(&d, v), at);
		}
		assert_in_range(d.n, 1, 500);
		assert_true(dict_memory(&d) > 0);
		dict_done(&d);
	}
}

/* ---- bounds ---- */

static const ParquetLeaf text_leaf = { .physical = PARQUET_BYTE_ARRAY,
									   .text = true,
									   .ordered = true };
static const ParquetLeaf bytes_leaf = { .physical = PARQUET_BYTE_ARRAY,
										.ordered = true };

static void
check_bytes(const ParquetLeaf *leaf, Slice value, const char *min,
			const char *max)
{
	ParquetStats s = { 0 };
	ParquetBound b;
	bool exact;

	stats_add(&s, leaf, value);
	assert_true(stats_min(&s, leaf, &b, &exact));
	assert_int_equal(b.n, strlen(min));
	assert_memory_equal(b.p, min, b.n);
	assert_true(exact == (value.n <= STATS_BYTES));
	assert_true(stats_max(&s, leaf, &b, &exact) == (max != NULL));
	if (max)
	{
		assert_int_equal(b.n, strlen(max));
		assert_memory_equal(b.p, max, b.n);
		assert_true(exact == (value.n <= STATS_BYTES));
	}
	stats_done(&s);
}

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define EURO "\xe2\x82\xac"

static void
test_bounds_of_text(void **state)
{
	char high[100];

	(void) state;
	check_bytes(&text_leaf, slice_cstr(""), "", "");
	check_bytes(&text_leaf, slice_cstr(SIXTY "abcd"), SIXTY "abcd",
				SIXTY "abcd");
	check_bytes(&text_leaf, slice_cstr(SIXTY "abcde"), SIXTY "abcd",
				SIXTY "abce");
	/* a character is not cut, and only ASCII is incremented */
	check_bytes(&text_leaf, slice_cstr(SIXTY "abc" EURO), SIXTY "abc",
				SIXTY "abd");
	check_bytes(&text_leaf, slice_cstr(SIXTY "a" EURO "x"), SIXTY "a" EURO,
				SIXTY "b");
	check_bytes(&bytes_leaf, slice_cstr(SIXTY "abc\xff\xff"), SIXTY "abc\xff",
				SIXTY "abd");
	memset(high, 0xff, sizeof(high) - 1);
	high[sizeof(high) - 1] = 0;
	check_bytes(&bytes_leaf, slice_cstr(high),
				"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				"\xff\xff\xff\xff",
				NULL);
}

/* Of texts with one beginning the cut one is the greater. */
static void
test_bounds_merge(void **state)
{
	static const char *const texts[] = { SIXTY "abcd", SIXTY "abcde", "b",
										 SIXTY "abc", "" };

	(void) state;
	for (size_t i = 0; i < COUNT(texts); i++)
	{
		for (size_t k = 0; k < COUNT(texts); k++)
		{
			ParquetStats one = { 0 };
			ParquetStats other = { 0 };
			ParquetStats both = { 0 };
			ParquetBound a;
			ParquetBound b;
			bool exact;

			stats_add(&one, &text_leaf, slice_cstr(texts[i]));
			stats_add(&other, &text_leaf, slice_cstr(texts[k]));
			stats_add(&both, &text_leaf, slice_cstr(texts[i]));
			stats_add(&both, &text_leaf, slice_cstr(texts[k]));
			stats_merge(&one, &text_leaf, &other);
			assert_true(stats_min(&one, &text_leaf, &a, &exact));
			assert_true(stats_min(&both, &text_leaf, &b, &exact));
			assert_true(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
			assert_true(a.cut == b.cut);
			assert_true(stats_max(&one, &text_leaf, &a, &exact));
			assert_true(stats_max(&both, &text_leaf, &b, &exact));
			assert_true(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
			assert_true(a.cut == b.cut);
			stats_done(&one);
			stats_done(&other);
			stats_done(&both);
		}
	}
}

static void
test_bounds_of_floats(void **state)
{
	static const ParquetLeaf leaf = { .physical = PARQUET_DOUBLE,
									  .ordered = true };
	static const char *const texts[] = { "nan", "0", "-0.0", "nan" };
	ParquetStats s = { 0 };
	ParquetBound b;
	double d;
	bool exact;

	(void) state;
	for (size_t i = 0; i < COUNT(texts); i++)
	{
		Buf v;

		buf_init(&v, SIZE_MAX);
		rows_value(CDC_S3_KIND_FLOAT8, texts[i], &v);
		stats_add(&s, &leaf, buf_slice(&v));
		assert_true(stats_min(&s, &leaf, &b, &exact) == (i > 0));
		buf_done(&v);
	}
	/* any zero may be the one with the minus */
	assert_true(stats_min(&s, &leaf, &b, &exact) && b.p[7] == 0x80);
	assert_true(stats_max(&s, &leaf, &b, &exact));
	memcpy(&d, b.p, sizeof(d));
	assert_true(d == 0 && b.p[7] == 0);
	stats_done(&s);
}

static void
test_bounds_of_decimals(void **state)
{
	static const char *const texts[] = { "5.00", "-3.00", "0.00", "4.00" };
	ParquetLeaf leaf = decimal_leaf(38, 2);
	ParquetStats s = { 0 };
	ParquetBound b;
	char text[48];
	uint8_t v[16];
	bool exact;
	size_t n;

	(void) state;
	leaf.ordered = true;
	for (size_t i = 0; i < COUNT(texts); i++)
	{
		assert_true(decimal_of_text(&leaf, texts[i], strlen(texts[i]), v));
		stats_add(&s, &leaf, (Slice){ v, sizeof(v) });
	}
	assert_true(stats_min(&s, &leaf, &b, &exact));
	n = decimal_to_text(&leaf, b.p, text);
	assert_true(n == 5 && memcmp(text, "-3.00", 5) == 0);
	assert_true(stats_max(&s, &leaf, &b, &exact));
	n = decimal_to_text(&leaf, b.p, text);
	assert_true(n == 4 && memcmp(text, "5.00", 4) == 0);
	stats_done(&s);
}

/* ---- compression ---- */

static void
test_codecs(void **state)
{
	static const Compression kinds[] = { COMPRESS_SNAPPY, COMPRESS_GZIP,
										 COMPRESS_ZSTD };

	(void) state;
	for (size_t i = 0; i < COUNT(kinds); i++)
	{
		for (size_t n = 0; n <= 100000; n = n * 10 + 1)
		{
			ParquetCodec c;
			Compression back;
			Buf in;
			Buf out;
			uint8_t *got = xmalloc(n + 1);
			Err err;

			buf_init(&in, SIZE_MAX);
			buf_init(&out, SIZE_MAX);
			for (size_t k = 0; k < n; k++)
				buf_byte(&in, (uint8_t) (k * k));
			codec_init(&c, kinds[i], 0);
			assert_true(codec_compress(&c, buf_slice(&in), &out, &err));
			assert_true(codec_decompress(&c, buf_slice(&out), got, n, &err));
			if (n > 0)
				assert_memory_equal(got, in.p, n);
			/* another length, and another end */
			assert_false(
				codec_decompress(&c, buf_slice(&out), got, n + 1, &err));
			assert_int_equal(err.kind, ERR_DATA);
			out.n--;
			assert_false(codec_decompress(&c, buf_slice(&out), got, n, &err));
			assert_int_equal(err.kind, ERR_DATA);
			assert_true(parquet_codec_of_number(parquet_codec_number(kinds[i]),
												&back) &&
						back == kinds[i]);
			codec_done(&c);
			buf_done(&in);
			buf_done(&out);
			free(got);
		}
	}
}

/* ---- differences ---- */

/* Numbers of one kind: steps, noise, extremes, all the same. */
static uint64_t
some_number(uint64_t *random, int kind, uint64_t i)
{
	switch (kind)
	{
		case 0:
			return i * 3 + 5;
		case 1:
			return rows_random(random, 1000);
		case 2:
			return (i & 1) ? UINT64_MAX >> 1 : UINT64_C(1) << 63;
		case 3:
			return (uint64_t) 0 - i * i;
		case 4:
			return (uint64_t) rows_random(random, UINT32_MAX) << 32 |
				   rows_random(random, UINT32_MAX);
		default:
			return 42;
	}
}

static void
test_delta(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 32, 33, 34, 128, 129, 130, 5000 };
	uint64_t random = 5;

	(void) state;
	for (int i = 0; i < (int) COUNT(counts) * 12; i++)
	{
		size_t n = counts[i / 12];
		size_t width = i % 2 ? 8 : 4;
		uint8_t *back = xcalloc(n + 1, width);
		uint64_t told = 0;
		Buf plain;
		Buf packed;
		Err err;

		buf_init(&plain, SIZE_MAX);
		buf_init(&packed, SIZE_MAX);
		for (size_t k = 0; k < n; k++)
			rows_put_int(&plain, some_number(&random, i / 2 % 6, k),
						 (int) width);
		delta_encode(buf_slice(&plain), width, &packed);
		assert_true(delta_count(buf_slice(&packed), &told, &err));
		assert_int_equal(told, n);
		assert_true(delta_decode(buf_slice(&packed), width, back, &err));
		assert_true(n == 0 || memcmp(back, plain.p, plain.n) == 0);
		if (n == 5000 && i / 2 % 6 == 0)
			assert_in_range(packed.n, 1, 250); /* steps cost next to nothing */

		/* cut anywhere it is refused */
		for (size_t cut = 0; n > 0 && n < 200 && cut < packed.n; cut++)
		{
			uint8_t *exact = xmalloc(cut ? cut : 1);

			memcpy(exact, packed.p, cut);
			assert_false(
				delta_count((Slice){ exact, cut }, &told, &err) &&
				delta_decode((Slice){ exact, cut }, width, back, &err));
			assert_int_equal(err.kind, ERR_DATA);
			free(exact);
		}
		free(back);
		buf_done(&plain);
		buf_done(&packed);
	}
}

/* What another writer may write, and ours does not; widths no type has. */
static void
test_delta_refused(void **state)
{
	static const uint8_t blocks[] = { 0x80, 0x02, 4, 1, 2 }; /* of 256 */
	static const uint8_t minis[] = { 0x80, 0x01, 8, 1, 2 };  /* of 16 */
	static const uint8_t wide[32] = { 0x80, 0x01, 4, 2, 2, 0, 33 };
	static const uint8_t endless[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
									   0x80, 0x80, 0x80, 0x80, 0x80, 1 };
	const Slice bad[] = { { blocks, sizeof(blocks) },
						  { minis, sizeof(minis) },
						  { wide, sizeof(wide) },
						  { endless, sizeof(endless) } };
	uint8_t out[64];

	(void) state;
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		uint64_t n;
		Err err;

		assert_false(delta_count(bad[i], &n, &err) &&
					 delta_decode(bad[i], 4, out, &err));
		assert_int_equal(err.kind, ERR_DATA);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thrift),
		cmocka_unit_test(test_thrift_cut),
		cmocka_unit_test(test_thrift_deep),
		cmocka_unit_test(test_rle),
		cmocka_unit_test(test_rle_long),
		cmocka_unit_test(test_rle_damaged),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_decimal_damaged),
		cmocka_unit_test(test_dict),
		cmocka_unit_test(test_bounds_of_text),
		cmocka_unit_test(test_bounds_merge),
		cmocka_unit_test(test_bounds_of_floats),
		cmocka_unit_test(test_bounds_of_decimals),
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_delta_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
