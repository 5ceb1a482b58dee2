/*-------------------------------------------------------------------------
 * stages.c
 *	  What one row costs in each stage of the sidecar, without server, store
 *	  and threads: check and decode packets, write JSON lines, compress, hash.
 *
 *	  stages FILE.hex [rounds]
 *
 * FILE holds one packet a line in hex, as
 *	  SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes(…)
 * prints it.  Figures are CPU time of this thread, the best of the rounds.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "codec/compress.h"
#include "codec/frame.h"
#include "codec/hash.h"
#include "codec/json.h"

typedef struct Packets
{
	Slice *items;
	int n;
} Packets;

static double
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}

static Packets
read_packets(const char *path)
{
	Packets p = { 0 };
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f = fopen(path, "r");

	if (!f)
	{
		perror(path);
		exit(2);
	}
	while ((n = getline(&line, &size, f)) > 1)
	{
		size_t bytes = (size_t) (n - 1) / 2;
		uint8_t *data = xmalloc(bytes);

		if (!hex_decode(line, bytes, data))
		{
			fprintf(stderr, "%s: line %d is not hex\n", path, p.n + 1);
			exit(2);
		}
		p.items = xrealloc(p.items, ((size_t) p.n + 1) * sizeof(Slice));
		p.items[p.n++] = (Slice){ data, bytes };
	}
	free(line);
	fclose(f);
	return p;
}

static void
die(const Err *err)
{
	fprintf(stderr, "%s\n", err->msg);
	exit(1);
}

/* Decodes all packets; with out, writes their rows as well. */
static long
pass(const Packets *p, Buf *out)
{
	FrameReader *r = frame_reader_new((size_t) 1 << 30, NULL, NULL);
	FormatOptions options = { 0 };
	JsonTable *table = NULL;
	JsonWriter *writer = NULL;
	Change txn = { .op = 'i' };
	Err err = { 0 };
	long rows = 0;

	for (int i = 0; i < p->n; i++)
	{
		FrameEvent ev;
		bool end = false;

		if (!frame_reader_packet(r, p->items[i], &err))
			die(&err);
		for (;;)
		{
			Change change = txn;

			if (!frame_next(r, &ev, &end, &err))
				die(&err);
			if (end)
				break;
			if (ev.type == CDC_S3_RELATION && !table)
			{
				table = json_table_new(ev.rel->schema, &options);
				writer = json_writer_new(table);
			}
			if (ev.type == CDC_S3_BEGIN)
			{
				txn.lsn = ev.lsn;
				txn.xid = ev.xid;
				txn.time = ev.time;
			}
			if (ev.type != CDC_S3_INSERT)
				continue;
			rows++;
			change.seq = (int64_t) ev.ordinal;
			change.row = &ev.new_row;
			if (out)
				json_write(writer, &change, out);
		}
	}
	json_writer_free(writer);
	json_table_free(table);
	frame_reader_free(r);
	return rows;
}

static double
best(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

/* Compresses the lines in pieces as large as the batches of run. */
static size_t
compress_all(Compressor *c, Slice in, size_t piece)
{
	Buf out;
	Err err = { 0 };
	size_t total = 0;

	buf_init(&out, (size_t) 1 << 30);
	while (in.n > 0)
	{
		size_t n = in.n < piece ? in.n : piece;

		buf_reset(&out);
		if (!compressor_run(c, (Slice){ in.p, n }, &out, &err))
			die(&err);
		total += out.n;
		in.p += n;
		in.n -= n;
	}
	buf_done(&out);
	return total;
}

int
main(int argc, char **argv)
{
	Packets p;
	Buf lines;
	double decode = 0, both = 0, hash = 0;
	long rows = 0;
	size_t wire = 0;
	int rounds = argc > 2 ? (int) strtol(argv[2], NULL, 10) : 5;

	if (argc < 2)
	{
		fprintf(stderr, "usage: stages FILE.hex [rounds]\n");
		return 2;
	}
	p = read_packets(argv[1]);
	for (int i = 0; i < p.n; i++)
		wire += p.items[i].n;
	buf_init(&lines, (size_t) 4 << 30);
	for (int k = 0; k < rounds; k++)
	{
		double t = cpu_ns();

		rows = pass(&p, NULL);
		decode = best(decode, cpu_ns() - t);
		buf_reset(&lines);
		t = cpu_ns();
		rows = pass(&p, &lines);
		both = best(both, cpu_ns() - t);
		t = cpu_ns();
		(void) crc32c(0, lines.p, lines.n);
		hash = best(hash, cpu_ns() - t);
	}
	printf("%ld rows, %.1f bytes a row on the wire, %.1f as JSON\n", rows,
		   (double) wire / (double) rows, (double) lines.n / (double) rows);
	printf("%-22s %8.0f ns/row\n", "check and decode", decode / (double) rows);
	printf("%-22s %8.0f ns/row\n", "write JSON",
		   (both - decode) / (double) rows);
	printf("%-22s %8.0f ns/row\n", "CRC32C of the lines", hash / (double) rows);
	for (int level = 1; level <= 3; level++)
	{
		Compressor *c = compressor_new(COMPRESS_ZSTD, level);
		double t, ns = 0;
		size_t size = 0;

		for (int k = 0; k < rounds; k++)
		{
			t = cpu_ns();
			size = compress_all(c, buf_slice(&lines), (size_t) 4 << 20);
			ns = best(ns, cpu_ns() - t);
		}
		printf("compress, zstd %d        %8.0f ns/row, to %.1f bytes a row\n",
			   level, ns / (double) rows, (double) size / (double) rows);
		compressor_free(c);
	}
	return 0;
}
