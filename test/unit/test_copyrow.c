/*-------------------------------------------------------------------------
 * test_copyrow.c
 *	  pipe/copyrow: rows of a binary COPY become what the wire would have
 *	  sent.  The bytes are those of PostgreSQL 15.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/pgfmt.h"
#include "pipe/copyrow.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEADER "5047434f50590aff0d0a000000000000000000"

/* A message of exactly its size. */
static Slice
message(const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = xmalloc(n);

	assert_true(hex_decode(hex, n, p));
	return (Slice){ p, n };
}

/* A COPY as its reader sees it. */
typedef struct Lab
{
	bool begun;
	CopyReader r;
} Lab;

#define COPY_JSONB 255

static void
lab_init(Lab *l, const uint8_t *kinds, int n)
{
	Schema *s = schema_new("public", "t", n);
	RowShape *shape;

	for (int i = 0; i < n; i++)
	{
		s->cols[i].kind = kinds[i] == COPY_JSONB ? CDC_S3_KIND_TEXT : kinds[i];
		s->cols[i].base_oid = kinds[i] == COPY_JSONB ? OID_JSONB : 0;
	}
	shape = row_shape_new(s);
	*l = (Lab){ 0 };
	copy_reader_init(&l->r, shape);
	row_shape_free(shape);
	schema_free(s);
}

/* Feeds the message; tells whether there is a row, and whether it was taken. */
static bool
feed(Lab *l, const char *hex, RowView *row, bool *out_row, Slice *keep)
{
	Slice tuple;
	Err err;
	bool ok;

	*keep = message(hex);
	ok = copy_next_tuple(&l->begun, *keep, &tuple, &err);
	*out_row = ok && tuple.n > 0;
	if (*out_row)
		ok = copy_reader_row(&l->r, tuple, row, &err);
	if (!ok)
		assert_int_equal(err.kind, ERR_DATA);
	return ok;
}

/* One value of each kind, and NULL, as COPY sent them in one row. */
static const struct
{
	uint8_t kind;
	const char *sent; /* length and bytes */
	const char *want; /* the wire's; NULL: SQL's null */
} values[] = {
	{ CDC_S3_KIND_BOOL, "0000000101", "01" },
	{ CDC_S3_KIND_INT2, "00000002fffe", "feff" },
	{ CDC_S3_KIND_INT4, "0000000400000007", "07000000" },
	{ CDC_S3_KIND_INT8, "000000088000000000000000", "0000000000000080" },
	{ CDC_S3_KIND_OID, "00000004ee6b2800", "00286bee" },
	{ CDC_S3_KIND_FLOAT4, "000000043fc00000", "0000c03f" },
	{ CDC_S3_KIND_FLOAT8, "000000083fb999999999999a", "9a9999999999b93f" },
	{ CDC_S3_KIND_DATE, "000000040000265d", "5d260000" },
	{ CDC_S3_KIND_TIME, "00000008000000141dd76000", "0060d71d14000000" },
	{ CDC_S3_KIND_TIMETZ, "0000000c0000000000000000ffffb004",
	  "000000000000000004b0ffff" },
	{ CDC_S3_KIND_TIMESTAMP, "00000008fffffffffff85ee0", "e05ef8ffffffffff" },
	{ CDC_S3_KIND_TIMESTAMPTZ, "00000008000303c3b6991400", "001499b6c3030300" },
	{ CDC_S3_KIND_INTERVAL,
	  "00000010000000029255"
	  "5340fffffffe00000001",
	  "4053559202000000feffffff01000000" },
	{ CDC_S3_KIND_UUID, "00000010a0eebc999c0b4ef8bb6d6bb9bd380a11",
	  "a0eebc999c0b4ef8bb6d6bb9bd380a11" },
	{ CDC_S3_KIND_NUMERIC, "0000000c0002000040000002005907d0",
	  "024000005900d007" },
	{ CDC_S3_KIND_STRING, "0000000474657874", "74657874" },
	{ CDC_S3_KIND_BYTEA, "0000000200ff", "00ff" },
	{ CDC_S3_KIND_JSON, "000000087b2261223a20317d", "7b2261223a20317d" },
	{ CDC_S3_KIND_TEXT, "ffffffff", NULL },
	{ CDC_S3_KIND_TEXT, "00000000", "" },
	{ COPY_JSONB, "00000009017b2261223a20317d", "7b2261223a20317d" },
	{ COPY_JSONB, "ffffffff", NULL },
};

static void
check_value(size_t i, const ColView *v)
{
	Slice want;

	if (!values[i].want)
	{
		assert_int_equal(v->state, COL_NULL);
		return;
	}
	want = message(values[i].want);
	assert_int_equal(v->state, COL_VALUE);
	assert_int_equal(v->n, want.n);
	assert_memory_equal(v->p, want.p, want.n);
	free((void *) want.p);
}

static void
test_kinds(void **state)
{
	uint8_t kinds[COUNT(values)];
	Lab r;
	RowView row;
	Slice keep;
	bool has;
	Buf hex;

	(void) state;
	buf_init(&hex, SIZE_MAX);
	buf_printf(&hex, HEADER "%04zx", COUNT(values));
	for (size_t i = 0; i < COUNT(values); i++)
	{
		kinds[i] = values[i].kind;
		buf_str(&hex, values[i].sent);
	}
	lab_init(&r, kinds, COUNT(values));
	assert_true(feed(&r, buf_cstr(&hex), &row, &has, &keep));
	assert_true(has);
	assert_int_equal(row.ncols, COUNT(values));
	for (size_t i = 0; i < COUNT(values); i++)
		check_value(i, &row.cols[i]);
	free((void *) keep.p);
	/* the second row has no header, the end no row */
	assert_true(feed(&r, buf_cstr(&hex) + strlen(HEADER), &row, &has, &keep));
	assert_true(has);
	for (size_t i = 0; i < COUNT(values); i++)
		check_value(i, &row.cols[i]);
	free((void *) keep.p);
	assert_true(feed(&r, "ffff", &row, &has, &keep));
	assert_false(has);
	free((void *) keep.p);
	copy_reader_done(&r.r);
	buf_done(&hex);
}

/* What COPY sends of a numeric, and its text. */
static void
test_numerics(void **state)
{
	static const struct
	{
		const char *sent;
		const char *lead;
		int zeros;
		const char *tail;
	} rows[] = {
		{ "0000000000000000", "0", 0, "" },
		{ "0000000000000002", "0.00", 0, "" },
		{ "00010000000000000001", "1", 0, "" },
		{ "00010000400000000001", "-1", 0, "" },
		{ "00010001000000000001", "1", 4, "" },
		{ "0001ffff000000040001", "0.", 3, "1" },
		{ "0001fffe000000080001", "0.", 7, "1" },
		{ "0002000000000003007b11d0", "123.456", 0, "" },
		{ "00000000c0000000", "NaN", 0, "" },
		{ "00000000d0000020", "Infinity", 0, "" },
		{ "00000000f0000020", "-Infinity", 0, "" },
		{ "0001004b000000000001", "1", 300, "" },
		{ "0001ffb54000012c0001", "-0.", 299, "1" },
		{ "000600040000000104d2162e23340d801ed21388", "12345678901234567890.5",
		  0, "" },
		{ "00017fff0000000003e8", "1", 131071, "" },
	};
	static const uint8_t kind = CDC_S3_KIND_NUMERIC;
	Lab r;

	(void) state;
	lab_init(&r, &kind, 1);
	r.begun = true;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char *hex =
			xasprintf("0001%08zx%s", strlen(rows[i].sent) / 2, rows[i].sent);
		bool special;
		bool has;
		RowView row;
		Slice keep;
		char *out;
		Buf want;
		size_t n;

		assert_true(feed(&r, hex, &row, &has, &keep));
		assert_true(has);
		out = xmalloc(fmt_numeric_size(row.cols[0].p, row.cols[0].n));
		n = fmt_numeric(out, row.cols[0].p, row.cols[0].n, &special);
		buf_init(&want, SIZE_MAX);
		buf_str(&want, rows[i].lead);
		for (int k = 0; k < rows[i].zeros; k++)
			buf_byte(&want, '0');
		buf_str(&want, rows[i].tail);
		assert_int_equal(n, want.n);
		assert_memory_equal(out, want.p, n);
		free(out);
		free(hex);
		free((void *) keep.p);
		buf_done(&want);
	}
	copy_reader_done(&r.r);
}

static void
test_header(void **state)
{
	static const struct
	{
		const char *name;
		const char *hex;
		bool ok, row;
	} rows[] = {
		{ "alone", HEADER, true, false },
		{ "with the trailer", HEADER "ffff", true, false },
		{ "with a row", HEADER "0000", true, true },
		{ "nothing", "", false, false },
		{ "cut off", "5047434f50590aff0d0a0000000000000000", false, false },
		{ "line ends were changed", "5047434f50590aff0a0a000000000000000000",
		  false, false },
		{ "no header", "0000", false, false },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Lab r;
		RowView row;
		Slice keep;
		bool has;

		lab_init(&r, NULL, 0);
		if (feed(&r, rows[i].hex, &row, &has, &keep) != rows[i].ok ||
			has != rows[i].row)
			fail_msg("%s", rows[i].name);
		if (has)
			assert_int_equal(row.ncols, 0);
		free((void *) keep.p);
		copy_reader_done(&r.r);
	}
}

static void
test_damaged(void **state)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
		const char *hex;
	} rows[] = {
		{ "nothing", CDC_S3_KIND_INT4, "" },
		{ "half a count", CDC_S3_KIND_INT4, "00" },
		{ "no column", CDC_S3_KIND_INT4, "0000" },
		{ "two columns", CDC_S3_KIND_INT4, "0002000000040000000700000000" },
		{ "length cut off", CDC_S3_KIND_INT4, "0001000000" },
		{ "value cut off", CDC_S3_KIND_INT4, "000100000004000000" },
		{ "value missing", CDC_S3_KIND_INT4, "000100000004" },
		{ "more behind it", CDC_S3_KIND_INT4, "0001000000040000000700" },
		{ "too short", CDC_S3_KIND_INT4, "0001000000020007" },
		{ "too long", CDC_S3_KIND_INT4, "0001000000080000000000000007" },
		{ "length of -2", CDC_S3_KIND_STRING, "0001fffffffe" },
		{ "length of 2 GB", CDC_S3_KIND_STRING, "00017fffffff00" },
		{ "bool of nothing", CDC_S3_KIND_BOOL, "000100000000" },
		{ "uuid of 15", CDC_S3_KIND_UUID,
		  "00010000000fa0eebc999c0b4ef8bb6d6bb9bd380a" },
		{ "jsonb of nothing", COPY_JSONB, "000100000000" },
		{ "jsonb of another version", COPY_JSONB, "00010000000402222222" },
		{ "numeric of nothing", CDC_S3_KIND_NUMERIC, "000100000000" },
		{ "numeric without scale", CDC_S3_KIND_NUMERIC,
		  "000100000006000000000000" },
		{ "numeric lacks a digit", CDC_S3_KIND_NUMERIC,
		  "00010000000a00020000000000000001" },
		{ "numeric has one more", CDC_S3_KIND_NUMERIC,
		  "00010000000a00000000000000000001" },
		{ "numeric has half of one more", CDC_S3_KIND_NUMERIC,
		  "000100000009000000000000000001" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Lab r;
		RowView row;
		Slice keep;
		bool has;

		lab_init(&r, &rows[i].kind, 1);
		r.begun = true;
		if (feed(&r, rows[i].hex, &row, &has, &keep))
			fail_msg("%s was taken", rows[i].name);
		free((void *) keep.p);
		copy_reader_done(&r.r);
	}
}

/* A row with everything in it, cut off anywhere, is refused. */
static void
test_truncated(void **state)
{
	uint8_t kinds[COUNT(values)];
	Buf hex;

	(void) state;
	buf_init(&hex, SIZE_MAX);
	buf_printf(&hex, "%04zx", COUNT(values));
	for (size_t i = 0; i < COUNT(values); i++)
	{
		kinds[i] = values[i].kind;
		buf_str(&hex, values[i].sent);
	}
	for (size_t n = 0; n < hex.n; n += 2)
	{
		char *cut = xstrndup(buf_cstr(&hex), n);
		Lab r;
		RowView row;
		Slice keep;
		bool has;

		lab_init(&r, kinds, COUNT(values));
		r.begun = true;
		assert_false(feed(&r, cut, &row, &has, &keep));
		free((void *) keep.p);
		free(cut);
		copy_reader_done(&r.r);
	}
	buf_done(&hex);
}

/* Room is made for what is turned around, not for all of a long row. */
static void
test_long_row(void **state)
{
	static const uint8_t kinds[] = { CDC_S3_KIND_STRING, CDC_S3_KIND_INT4,
									 CDC_S3_KIND_NUMERIC };
	const size_t size = 3000000;
	Lab r;
	RowView row;
	Slice keep;
	bool has;
	Buf hex;

	(void) state;
	buf_init(&hex, SIZE_MAX);
	buf_printf(&hex, "0003%08zx", size);
	for (size_t i = 0; i < size; i++)
		buf_str(&hex, "61");
	buf_str(&hex, "0000000400000007"
				  "0000000a00010000400000000001");
	lab_init(&r, kinds, 3);
	r.begun = true;
	assert_true(feed(&r, buf_cstr(&hex), &row, &has, &keep));
	assert_true(has);
	assert_int_equal(row.cols[0].n, size);
	assert_memory_equal(row.cols[1].p, "\7\0\0\0", 4);
	assert_memory_equal(row.cols[2].p, "\0\x40\0\0\1\0", 6);
	assert_true(r.r.scratch.cap < 4096);
	free((void *) keep.p);
	hex.n -= 2;
	hex.p[hex.n] = 0;
	assert_false(feed(&r, buf_cstr(&hex), &row, &has, &keep));
	free((void *) keep.p);
	copy_reader_done(&r.r);
	buf_done(&hex);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),     cmocka_unit_test(test_numerics),
		cmocka_unit_test(test_header),    cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_long_row),
	};

	return cmocka_run_group_tests_name("copyrow", tests, NULL, NULL);
}
