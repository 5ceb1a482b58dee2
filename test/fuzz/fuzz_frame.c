/*-------------------------------------------------------------------------
 * fuzz_frame.c
 *	  Any bytes as the frames of a packet: the decoder takes or refuses them,
 *	  and never reads where it should not.
 *
 * Properties:
 *	(1) A decoded change, encoded and decoded again, is the same change.
 *	(2) A decoded relation likewise gives the same schema file.
 *	(3) A decoded row can be written as a record.
 * The packet's header is made here, so that a CRC keeps nothing out.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER.  Else:
 *
 *	fuzz_frame [-n MUTATIONS] [-s SEED] [-o FILE] CORPUS...
 *
 * runs each file of the corpus (*.hex: packets, one a line; others: frames)
 * and so many mutations of them.  FILE holds the input that is being run, and
 * is removed at the end: what is left there has failed.
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/json.h"
#include "frame_encode.h"

#define MAX_FRAME ((size_t) 1 << 20)
#define MAX_LINE ((size_t) 1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok, const char *what)
{
	if (!ok)
	{
		(void) fprintf(stderr, "property broken: %s\n", what);
		abort();
	}
}

static void
relation_done(FrameRelation *rel, void *arg)
{
	(void) arg;
	json_table_free(rel->user);
}

/* A packet of one frame, for the second reader. */
static void
read_alone(FrameReader *r, uint8_t type, uint8_t flags, const Buf *body,
		   Buf *packet, FrameEvent *ev)
{
	Buf frame;
	bool end;
	Err err;

	buf_init(&frame, SIZE_MAX);
	put_frame(&frame, type, flags, buf_slice(body));
	buf_reset(packet);
	put_packet(packet, buf_slice(&frame));
	buf_done(&frame);
	require(frame_reader_packet(r, buf_slice(packet), &err), "own packet");
	require(frame_next(r, ev, &end, &err) && !end, "own frame");
}

static void
check_relation(FrameReader *second, const FrameEvent *ev, Buf *body,
			   Buf *packet)
{
	const JsonOptions options = { .numeric = JSON_NUMERIC_AUTO,
								  .before = true };
	FrameEvent again;

	ev->rel->user = json_table_new(ev->rel->schema, &options);
	put_relation(body, ev->rel->id, ev->rel->version, ev->rel->schema->table,
				 ev->rel->schema);
	read_alone(second, ev->type, ev->flags, body, packet, &again);
	require(strcmp(again.rel->schema->hash, ev->rel->schema->hash) == 0,
			"the relation is the same");
}

static void
check_change(FrameReader *second, const FrameEvent *ev, Buf *body, Buf *packet)
{
	JsonTxn txn;
	JsonChange change = { .op = ev->type == CDC_S3_INSERT   ? 'i'
								: ev->type == CDC_S3_UPDATE ? 'u'
															: 'd',
						  .seq = (int64_t) ev->ordinal,
						  .key_changed = ev->flags & CDC_S3_KEY_CHANGED,
						  .row = ev->type == CDC_S3_DELETE ? &ev->old_row
														   : &ev->new_row,
						  .old = &ev->old_row };
	FrameEvent again;
	Buf twice;
	Buf line;

	put_change(body, ev, (Slice){ NULL, 0 });
	read_alone(second, ev->type, ev->flags, body, packet, &again);
	buf_init(&twice, SIZE_MAX);
	put_change(&twice, &again, (Slice){ NULL, 0 });
	require(twice.n == body->n && memcmp(twice.p, body->p, body->n) == 0,
			"the change is the same");
	buf_done(&twice);

	buf_init(&line, MAX_LINE);
	json_txn_set(&txn, ev->lsn, ev->xid, ev->time);
	json_write(ev->rel->user, &txn, &change, &line);
	require(line.overflow || line.p[line.n - 1] == '\n', "a line ends");
	buf_done(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FrameReader *first;
	static FrameReader *second;
	Buf packet;
	Buf scratch;
	Buf body;
	uint8_t *exact;
	bool end = false;
	FrameEvent ev;
	Err err;

	if (!first)
	{
		first = frame_reader_new(MAX_FRAME, relation_done, NULL);
		second = frame_reader_new(MAX_FRAME, NULL, NULL);
	}
	buf_init(&packet, SIZE_MAX);
	buf_init(&scratch, SIZE_MAX);
	buf_init(&body, SIZE_MAX);
	put_packet(&packet, (Slice){ data, size });
	exact = xmalloc(packet.n); /* not a byte more */
	memcpy(exact, packet.p, packet.n);
	require(frame_reader_packet(first, (Slice){ exact, packet.n }, &err),
			"the header is right");
	while (frame_next(first, &ev, &end, &err) && !end)
	{
		buf_reset(&body);
		if (ev.type == CDC_S3_RELATION)
			check_relation(second, &ev, &body, &scratch);
		else if (ev.type == CDC_S3_INSERT || ev.type == CDC_S3_UPDATE ||
				 ev.type == CDC_S3_DELETE)
			check_change(second, &ev, &body, &scratch);
	}
	require(end || err.kind == ERR_DATA || err.kind == ERR_LIMIT ||
				err.kind == ERR_USAGE,
			"what is refused is told so");
	frame_reader_reset(first);
	frame_reader_reset(second);
	free(exact);
	buf_done(&packet);
	buf_done(&scratch);
	buf_done(&body);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

#define MAX_SEEDS 256
#define MAX_INPUT ((size_t) 1 << 18)

static Buf seeds[MAX_SEEDS];
static size_t nseeds;
static uint64_t random_state;

static uint64_t
random_next(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* Frames of all packets of a .hex file, or the file as it is. */
static bool
read_seed(const char *path, Buf *out)
{
	size_t len = strlen(path);
	bool hex = len > 4 && strcmp(path + len - 4, ".hex") == 0;
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!f)
		return false;
	while ((n = getdelim(&line, &size, hex ? '\n' : EOF, f)) > 0)
	{
		uint8_t *p = (uint8_t *) line;

		if (!hex)
			buf_add(out, p, (size_t) n);
		else if ((size_t) n / 2 > CDC_S3_PACKET_HEADER &&
				 hex_decode(line, (size_t) n / 2, p))
			buf_add(out, p + CDC_S3_PACKET_HEADER,
					(size_t) n / 2 - CDC_S3_PACKET_HEADER);
	}
	free(line);
	(void) fclose(f);
	return true;
}

static void
mutate_once(Buf *b)
{
	static const uint32_t odd[] = {
		0,     1,      0x7f,    0x80,       0xfe,       0xff,
		0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff
	};
	size_t at = random_next(b->n);
	size_t n = 1 + random_next(b->n - at < 32 ? b->n - at : 32);
	uint32_t v = odd[random_next(sizeof(odd) / sizeof(odd[0]))];
	const Buf *other;
	size_t from;

	switch (random_next(7))
	{
		case 0:
			b->p[at] ^= (uint8_t) (1 << random_next(8));
			break;
		case 1:
			b->p[at] = (uint8_t) random_next(256);
			break;
		case 2: /* a length, perhaps */
			for (size_t i = 0; i < 4 && at + i < b->n; i++)
				b->p[at + i] = (uint8_t) (v >> (8 * i));
			break;
		case 3: /* take out */
			memmove(b->p + at, b->p + at + n, b->n - at - n);
			b->n -= n;
			break;
		case 4: /* cut off */
			b->n = at;
			break;
		case 5: /* twice */
			if (!buf_room(b, n))
				break;
			memmove(b->p + at + n, b->p + at, b->n - at);
			b->n += n;
			break;
		default: /* from another seed */
			other = &seeds[random_next(nseeds)];
			from = random_next(other->n);
			if (n > other->n - from)
				n = other->n - from;
			memcpy(b->p + at, other->p + from, n);
			break;
	}
}

static void
run_one(const Buf *b, const char *keep)
{
	FILE *f = keep ? fopen(keep, "w") : NULL;

	if (f)
	{
		(void) fwrite(b->p, 1, b->n, f); /* only to look at */
		(void) fclose(f);
	}
	(void) LLVMFuzzerTestOneInput(b->p, b->n);
}

static void
run_mutations(long n, const char *keep)
{
	Buf b;

	buf_init(&b, MAX_INPUT);
	for (long i = 0; i < n; i++)
	{
		const Buf *seed = &seeds[random_next(nseeds)];

		buf_reset(&b);
		buf_add(&b, seed->p, seed->n);
		for (uint64_t k = 1 + random_next(6); k > 0 && b.n > 0; k--)
			mutate_once(&b);
		run_one(&b, keep);
	}
	buf_done(&b);
}

int
main(int argc, char **argv)
{
	long mutations = 0;
	const char *keep = NULL;
	int opt;

	random_state = 1;
	while ((opt = getopt(argc, argv, "n:s:o:")) != -1)
	{
		if (opt == 'n')
			mutations = strtol(optarg, NULL, 10);
		else if (opt == 's')
			random_state = strtoull(optarg, NULL, 10);
		else if (opt == 'o')
			keep = optarg;
		else
			return 2;
	}
	if (random_state == 0)
		random_state = 1; /* of zero comes nothing but zeros */
	for (; optind < argc && nseeds < MAX_SEEDS; optind++)
	{
		buf_init(&seeds[nseeds], MAX_INPUT);
		if (!read_seed(argv[optind], &seeds[nseeds]))
		{
			(void) fprintf(stderr, "could not read \"%s\"\n", argv[optind]);
			return 2;
		}
		run_one(&seeds[nseeds], keep);
		if (seeds[nseeds].n > 0)
			nseeds++;
		else
			buf_done(&seeds[nseeds]);
	}
	if (nseeds > 0)
		run_mutations(mutations, keep);
	(void) printf("%zu seeds, %ld mutations\n", nseeds, mutations);
	for (size_t i = 0; i < nseeds; i++)
		buf_done(&seeds[i]);
	if (keep)
		(void) unlink(keep);
	return 0;
}

#endif
