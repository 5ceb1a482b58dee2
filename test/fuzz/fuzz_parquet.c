/*-------------------------------------------------------------------------
 * fuzz_parquet.c
 *	  Any bytes as a Parquet object: the reader takes or refuses them with one
 *	  clear error, and never reads where it should not.
 *
 * Properties:
 *	(1) What comes out is one line of at most LINE_MAX_BYTES.
 *	(2) What is refused is ERR_DATA or ERR_LIMIT.
 * Inputs are objects that the writer makes here, and the corpus.
 *-------------------------------------------------------------------------
 */
#include "../unit/parquet_rows.h"
#include "codec/parquet.h"
#include "fuzz_main.h"

#define LINE_MAX_BYTES ((size_t) 1 << 20)
/* A page may say that a value comes a billion times. */
#define RECORDS_MAX 2000

/* Of parquet_rows.h, so that objects are short. */
static const int picked[] = { 0,  1,  4,  7,  8,  11, 15, 17, 20,
							  21, 22, 23, 29, 33, 34, 9,  14, 24 };

#define COLUMNS ((int) (sizeof(picked) / sizeof(picked[0])))

static Schema *
the_schema(void)
{
	static Schema *s;

	if (s)
		return s;
	s = schema_new("public", "t", COLUMNS);
	s->identity = 'd';
	for (int i = 0; i < COLUMNS; i++)
	{
		const RowsColumn *from = &rows_columns[picked[i]];
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(from->name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup(from->type);
		c->kind = from->kind;
		c->type_oid = c->base_oid = from->oid;
		c->typmod = from->typmod;
		c->attnum = i + 1;
		c->key = i == 0;
		c->pk = i == 0;
	}
	schema_finish(s);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = xmalloc(size ? size : 1); /* not a byte more */
	FormatSource source = { .object = { exact, size },
							.max_line = LINE_MAX_BYTES,
							.schema = the_schema() };
	FormatReader *r;
	bool end = false;
	bool ok = true;
	Slice line;
	Err err;

	if (size > 0)
		memcpy(exact, data, size);
	r = parquet_format.open(&source);
	for (int n = 0; ok && !end && n < RECORDS_MAX; n++)
	{
		ok = parquet_format.next(r, &line, &end, &err);
		if (ok && !end)
			require(line.n > 2 && line.n <= LINE_MAX_BYTES &&
						line.p[0] == '{' && line.p[line.n - 1] == '}' &&
						!memchr(line.p, '\n', line.n),
					"a record is a line");
	}
	require(ok || err.kind == ERR_DATA || err.kind == ERR_LIMIT,
			"what is refused is told so");
	parquet_format.done(r);
	free(exact);
	return 0;
}

/* Changes that are written to one object, in some row groups. */
static bool
write_object(Compression compression, bool exact, int rows, int group, Buf *out)
{
	const FormatOptions options = { .compression = compression,
									.parquet_exact = exact,
									.numeric = NUMERIC_AUTO };
	FormatTable *t = parquet_format.table_new(the_schema(), &options);
	FormatWriter *w = parquet_format.begin(t);
	ColView all[ROWS_COLUMNS];
	ColView cols[COLUMNS];
	RowView row = { COLUMNS, cols };
	uint64_t random = 7;
	bool ok = true;
	Buf bytes;
	Err err;

	buf_init(&bytes, SIZE_MAX);
	for (int i = 0; ok && i < rows; i++)
	{
		Change change = { .op = "iudr"[i % 4],
						  .lsn = 7,
						  .seq = i,
						  .xid = 9,
						  .no_identity = i % 8 == 1,
						  .row = &row };

		rows_pick(&random, 3, &bytes, all);
		for (int k = 0; k < COLUMNS; k++)
			cols[k] = all[picked[k]];
		if (change.op == 'u')
			cols[9] = (ColView){ .state = COL_UNCHANGED };
		if (i % 3 == 0)
			cols[10] = (ColView){ .state = COL_WITHHELD,
								  .reason = 1,
								  .size = 3,
								  .p = (const uint8_t *) "\xff",
								  .n = (uint32_t) (i & 1) };
		ok = parquet_format.add(w, &change, out, &err);
		if (ok && group > 0 && i % group == group - 1)
			ok = parquet_format.shrink(w, out, &err);
	}
	ok = ok && parquet_format.end(w, out, &err);
	parquet_format.close(w);
	parquet_format.table_free(t);
	buf_done(&bytes);
	return ok;
}

bool
fuzz_made(int i, Buf *out)
{
	static const struct
	{
		Compression compression;
		bool exact;
		int rows;
		int group;
	} objects[] = {
		{ COMPRESS_NONE, false, 12, 0 },   { COMPRESS_NONE, false, 20, 13 },
		{ COMPRESS_SNAPPY, false, 40, 0 }, { COMPRESS_ZSTD, false, 5, 0 },
		{ COMPRESS_GZIP, false, 5, 0 },    { COMPRESS_NONE, true, 12, 0 },
		{ COMPRESS_NONE, true, 60, 25 },   { COMPRESS_SNAPPY, true, 20, 0 }
	};

	if (i == (int) (sizeof(objects) / sizeof(objects[0])))
		return false;
	require(write_object(objects[i].compression, objects[i].exact,
						 objects[i].rows, objects[i].group, out),
			"an object is written");
	return true;
}

/* A byte of the footer, or of what is before it, as often. */
void
fuzz_mutate(Buf *b)
{
	static const uint8_t odd[] = { 0, 1, 2, 0x7f, 0x80, 0xfe, 0xff };
	size_t at = fuzz_random(b->n);
	size_t footer = b->n < 12 ? 0
							  : (size_t) b->p[b->n - 8] |
									(size_t) b->p[b->n - 7] << 8 |
									(size_t) b->p[b->n - 6] << 16;
	const Buf *other = fuzz_seed();

	if (footer > 0 && footer + 8 < b->n && fuzz_random(2) == 0)
		at = b->n - 8 - fuzz_random(footer);
	switch (fuzz_random(5))
	{
		case 0:
			b->p[at] ^= (uint8_t) (1 << fuzz_random(8));
			break;
		case 1:
			b->p[at] = odd[fuzz_random(sizeof(odd))];
			break;
		case 2:
			b->p[at] = (uint8_t) (b->p[at] + fuzz_random(3) - 1);
			break;
		case 3:
			b->p[at] = other->p[fuzz_random(other->n)];
			break;
		default:
			b->p[at] = (uint8_t) fuzz_random(256);
			break;
	}
}
