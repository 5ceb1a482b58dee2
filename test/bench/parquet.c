/*-------------------------------------------------------------------------
 * parquet.c
 *	  What one narrow row costs as Parquet, written and read, in processor time
 *	  of this thread, and how long the object is.
 *
 *	  parquet [-r ROWS] [-o FOLDER]
 *
 * With FOLDER the objects are left there, for parquet_size.py.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/parquet.h"

#define COLUMNS 6

static const struct
{
	const char *name;
	uint8_t kind;
	uint32_t oid;
	int32_t typmod;
} columns[COLUMNS] = {
	{ "id", CDC_S3_KIND_INT8, 20, -1 },
	{ "customer", CDC_S3_KIND_INT4, 23, -1 },
	{ "status", CDC_S3_KIND_STRING, 25, -1 },
	{ "note", CDC_S3_KIND_STRING, 25, -1 },
	{ "price", CDC_S3_KIND_NUMERIC, 1700, ((10 << 16) | 2) + 4 },
	{ "at", CDC_S3_KIND_TIMESTAMPTZ, 1184, -1 },
};

static const char *const statuses[] = { "new", "paid", "sent", "returned" };

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static Schema *
make_schema(void)
{
	Schema *s = schema_new("public", "orders", COLUMNS);

	s->identity = 'd';
	for (int i = 0; i < COLUMNS; i++)
	{
		s->cols[i].name = xstrdup(columns[i].name);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("x");
		s->cols[i].kind = columns[i].kind;
		s->cols[i].type_oid = s->cols[i].base_oid = columns[i].oid;
		s->cols[i].typmod = columns[i].typmod;
		s->cols[i].attnum = i + 1;
		s->cols[i].key = i == 0;
		s->cols[i].pk = i == 0;
	}
	schema_finish(s);
	return s;
}

/* The bytes of one row, as the wire has them. */
typedef struct Row
{
	uint8_t bytes[96];
	ColView cols[COLUMNS];
	uint64_t random;
} Row;

static uint32_t
next_random(Row *r, uint32_t below)
{
	r->random = r->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t) (r->random >> 33) % below;
}

static void
put(Row *r, int col, size_t *at, uint64_t v, uint32_t n)
{
	r->cols[col] = (ColView){ .p = r->bytes + *at, .n = n, .state = COL_VALUE };
	for (uint32_t i = 0; i < n; i++)
		r->bytes[(*at)++] = (uint8_t) (v >> (8 * i));
}

static void
make_row(Row *r, int64_t id)
{
	const char *status = statuses[next_random(r, 4)];
	size_t at = 0;
	uint32_t cents = next_random(r, 100);

	put(r, 0, &at, (uint64_t) id, 8);
	put(r, 1, &at, next_random(r, 20000), 4);
	r->cols[2] = (ColView){ .p = (const uint8_t *) status,
							.n = (uint32_t) strlen(status),
							.state = COL_VALUE };
	r->cols[3] = (ColView){ .p = r->bytes + at, .state = COL_VALUE };
	r->cols[3].n =
		(uint32_t) snprintf((char *) r->bytes + at, 32, "order number %08x",
							next_random(r, UINT32_MAX));
	at += r->cols[3].n;
	/* short header, scale 2, weight 0: an integer and cents */
	put(r, 4, &at,
		0x8000 | 2 << 7 | (uint64_t) next_random(r, 10000) << 16 |
			(uint64_t) (cents * 100) << 32,
		6);
	put(r, 5, &at, (uint64_t) (INT64_C(848564047000000) + id * 1000), 8);
}

static void
die(const Err *err)
{
	fprintf(stderr, "%s\n", err->msg);
	exit(1);
}

static void
leave(const char *folder, const char *name, const Buf *b)
{
	char *path = xasprintf("%s/%s.parquet", folder, name);
	FILE *f = fopen(path, "w");

	if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0)
	{
		perror(path);
		exit(1);
	}
	free(path);
}

static double
write_rows(const Schema *s, const FormatOptions *o, long rows, Buf *out,
		   double *making)
{
	FormatTable *t = parquet_format.table_new(s, o);
	FormatWriter *w = parquet_format.begin(t);
	Row r = { .random = 1 };
	RowView view = { COLUMNS, r.cols };
	Change change = { .op = 'i', .row = &view };
	double start = cpu_seconds();
	double total;
	Err err;

	for (long i = 0; i < rows; i++)
		make_row(&r, i);
	*making = cpu_seconds() - start;
	r.random = 1;
	start = cpu_seconds();
	for (long i = 0; i < rows; i++)
	{
		make_row(&r, i);
		change.lsn = 1000000 + (Lsn) (i / 100) * 4000;
		change.xid = 5000 + (uint32_t) (i / 100);
		change.time = INT64_C(848564047000000) + i / 100 * 1000;
		change.seq = i % 100 + 1;
		if (!parquet_format.add(w, &change, out, &err))
			die(&err);
	}
	if (!parquet_format.end(w, out, &err))
		die(&err);
	total = cpu_seconds() - start - *making;
	parquet_format.close(w);
	parquet_format.table_free(t);
	return total;
}

static double
read_rows(const Schema *s, const Buf *object, long rows)
{
	const FormatSource source = { .object = buf_slice(object),
								  .max_line = 1 << 20,
								  .schema = s };
	double start = cpu_seconds();
	FormatReader *r = parquet_format.open(&source);
	bool end = false;
	long n = -1;
	Slice line;
	Err err;

	for (; !end; n++)
	{
		if (!parquet_format.next(r, &line, &end, &err))
			die(&err);
	}
	parquet_format.done(r);
	if (n != rows)
		fprintf(stderr, "%ld rows instead of %ld\n", n, rows);
	return cpu_seconds() - start;
}

int
main(int argc, char **argv)
{
	static const struct
	{
		const char *name;
		FormatOptions options;
	} ways[] = {
		{ "none", { .compression = COMPRESS_NONE } },
		{ "snappy", { .compression = COMPRESS_SNAPPY } },
		{ "zstd-1", { .compression = COMPRESS_ZSTD, .level = 1 } },
		{ "zstd-3", { .compression = COMPRESS_ZSTD, .level = 3 } },
		{ "exact-zstd-1",
		  { .compression = COMPRESS_ZSTD, .level = 1, .parquet_exact = true } },
	};
	const char *folder = NULL;
	long rows = 1000000;
	Schema *s = make_schema();
	int opt;

	while ((opt = getopt(argc, argv, "r:o:")) != -1)
	{
		if (opt == 'r')
			rows = strtol(optarg, NULL, 10);
		else if (opt == 'o')
			folder = optarg;
		else
			return 2;
	}
	printf("%-12s %10s %10s %12s\n", "", "write us", "read us", "bytes/row");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
	{
		double making;
		double writing;
		Buf out;

		buf_init(&out, SIZE_MAX);
		writing = write_rows(s, &ways[i].options, rows, &out, &making);
		printf("%-12s %10.3f %10.3f %12.2f\n", ways[i].name,
			   writing * 1e6 / (double) rows,
			   read_rows(s, &out, rows) * 1e6 / (double) rows,
			   (double) out.n / (double) rows);
		if (folder)
			leave(folder, ways[i].name, &out);
		buf_done(&out);
	}
	schema_free(s);
	return 0;
}
