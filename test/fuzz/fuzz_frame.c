/*-------------------------------------------------------------------------
 * fuzz_frame.c
 *	  Any bytes as the frames of a packet: the decoder takes or refuses them,
 *	  and never reads where it should not.
 *
 * Properties:
 *	(1) A decoded change, encoded and decoded again, is the same change.
 *	(2) A decoded relation likewise gives the same schema file.
 *	(3) A decoded row can be written as a record.
 *	(4) The same row in parts, cut anywhere, makes the same record.
 *	(5) Any bytes as the parts of a row are taken or refused likewise.
 * The packet's header is made here, so that a CRC keeps nothing out.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER.  Else:
 *
 *	fuzz_frame [-n MUTATIONS | -t SECONDS] [-s SEED] [-o FILE] CORPUS...
 *
 * runs each file of the corpus (*.hex: packets, one a line; others: frames)
 * and so many mutations of them, or as many as the time allows.  What reaches
 * new code (where the objects are built with -fsanitize-coverage=trace-pc) is
 * mutated further.  FILE gets the input that failed, or that ran when 256 of
 * them had taken HANG_SECONDS of the processor's time.
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/framepart.h"
#include "codec/json_part.h"
#include "frame_encode.h"

#define MAX_FRAME ((size_t) 1 << 20)
#define MAX_LINE ((size_t) 1 << 20)
#define WHOLE_MAX 64 /* longer values come in pieces */

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

/* What writes a relation's rows: its "user". */
typedef struct Lines
{
	JsonTable *table;
	JsonWriter *writer;
} Lines;

static Lines *
lines_of(const FrameRelation *rel)
{
	return rel->user;
}

static void
give_lines(FrameRelation *rel, const FormatOptions *options)
{
	Lines *l = xcalloc(1, sizeof(*l));

	l->table = json_table_new(rel->schema, options);
	l->writer = json_writer_new(l->table);
	rel->user = l;
}

static void
relation_done(FrameRelation *rel, void *arg)
{
	Lines *l = rel->user;

	(void) arg;
	if (!l)
		return;
	json_writer_free(l->writer);
	json_table_free(l->table);
	free(l);
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
	const FormatOptions options = { .numeric = NUMERIC_AUTO,
									.before = true,
									.whole_max = WHOLE_MAX };
	FrameEvent again;

	give_lines(ev->rel, &options);
	put_relation(body, ev->rel->id, ev->rel->version, ev->rel->schema->table,
				 ev->rel->schema);
	read_alone(second, ev->type, ev->flags, body, packet, &again);
	require(strcmp(again.rel->schema->hash, ev->rel->schema->hash) == 0,
			"the relation is the same");
}

/* Pushes one part; *out_done: the row has ended. */
static bool
push_part(FramePart *part, JsonPart *json, Slice bytes, bool last, Buf *line,
		  bool *out_done, Err *err)
{
	PartItem item;

	framepart_push(part, bytes, last);
	do
	{
		if (!framepart_next(part, &item, err) ||
			(item.type != PART_NEED && !json_part_item(json, &item, line, err)))
			return false;
	} while (item.type != PART_NEED && item.type != PART_DONE);
	*out_done = item.type == PART_DONE;
	return true;
}

/* A numeric so long is none, and is refused in parts. */
static bool
has_long_numeric(const FrameEvent *ev)
{
	const Schema *s = ev->rel->schema;

	for (int i = 0; i < s->ncols; i++)
	{
		if (s->cols[i].kind != CDC_S3_KIND_NUMERIC)
			continue;
		if ((ev->new_row.ncols > 0 && ev->new_row.cols[i].n > WHOLE_MAX) ||
			(ev->old_row.ncols > 0 && ev->old_row.cols[i].n > WHOLE_MAX))
			return true;
	}
	return false;
}

/* The rows of "body" cut in three; where is told by its bytes. */
static void
check_parts(const FrameEvent *ev, const Change *change, const Buf *body,
			const Buf *line)
{
	FramePart *part = framepart_new(WHOLE_MAX);
	JsonPart *json = json_part_new();
	Change bare = *change;
	size_t head = 24 + (ev->flags & CDC_S3_CHANGE_XID ? 4 : 0);
	const uint8_t *rows = body->p + head;
	size_t n = body->n - head;
	uint32_t hash = crc32c(0, body->p, body->n);
	size_t cut = hash % (n + 1);
	size_t next = cut + (hash >> 16) % (n + 1 - cut);
	bool done = false;
	Buf got;
	Err err;
	bool ok;

	bare.row = bare.old = NULL;
	buf_init(&got, MAX_LINE);
	json_part_begin(json, lines_of(ev->rel)->writer, &bare, &got);
	ok =
		framepart_open(part, ev->rel->shape, ev->type, ev->flags, &err) &&
		push_part(part, json, (Slice){ rows, cut }, false, &got, &done, &err) &&
		push_part(part, json, (Slice){ rows + cut, next - cut }, false, &got,
				  &done, &err) &&
		push_part(part, json, (Slice){ rows + next, n - next }, true, &got,
				  &done, &err);
	require(ok || has_long_numeric(ev), "a row in parts is read");
	if (ok)
		require(done && got.n == line->n && memcmp(got.p, line->p, got.n) == 0,
				"parts make the same line");
	buf_done(&got);
	framepart_free(part);
	json_part_free(json);
}

static void
check_change(FrameReader *second, const FrameEvent *ev, Buf *body, Buf *packet)
{
	Change change = { .op = ev->type == CDC_S3_INSERT   ? 'i'
							: ev->type == CDC_S3_UPDATE ? 'u'
														: 'd',
					  .lsn = ev->lsn,
					  .seq = (int64_t) ev->ordinal,
					  .xid = ev->xid,
					  .key_changed = ev->flags & CDC_S3_KEY_CHANGED,
					  .row = ev->type == CDC_S3_DELETE ? &ev->old_row
													   : &ev->new_row,
					  .old = ev->flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL)
								 ? &ev->old_row
								 : NULL };
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
	json_write(lines_of(ev->rel)->writer, &change, &line);
	require(line.overflow || line.p[line.n - 1] == '\n', "a line ends");
	if (!line.overflow)
		check_parts(ev, &change, body, &line);
	buf_done(&line);
}

/* The parts of the packet's rows, as they are. */
static void
read_parts(FrameReader *relations, FramePart *part, JsonPart *json, Slice data)
{
	Buf line;
	FrameEvent ev;
	bool end = false;
	bool open = false;
	Err err;

	buf_init(&line, MAX_LINE);
	require(frame_reader_packet(relations, data, &err), "the same header");
	while (frame_next(relations, &ev, &end, &err) && !end)
	{
		Change change = { .op = ev.part_type == CDC_S3_INSERT   ? 'i'
								: ev.part_type == CDC_S3_UPDATE ? 'u'
																: 'd',
						  .key_changed = ev.flags & CDC_S3_KEY_CHANGED };
		PartItem item = { .type = PART_DONE };

		if (ev.type == CDC_S3_RELATION)
			give_lines(ev.rel, &(FormatOptions){ .raw_text = true,
												 .whole_max = WHOLE_MAX });
		if (ev.type != CDC_S3_PART)
			continue;
		if (ev.part_first)
		{
			json_part_begin(json, lines_of(ev.rel)->writer, &change, &line);
			open = framepart_open(part, ev.rel->shape, ev.part_type, ev.flags,
								  &err);
		}
		if (!open)
			break;
		framepart_push(part, ev.part, ev.part_last);
		do
		{
			open = framepart_next(part, &item, &err);
			if (open && item.type != PART_NEED)
				open = json_part_item(json, &item, &line, &err);
		} while (open && item.type != PART_NEED && item.type != PART_DONE);
		if (!open)
			break;
	}
	buf_done(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FrameReader *first;
	static FrameReader *second;
	static FrameReader *third;
	static FramePart *part;
	static JsonPart *json;
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
		third = frame_reader_new(MAX_FRAME, relation_done, NULL);
		frame_reader_pass_rows(third);
		part = framepart_new(WHOLE_MAX);
		json = json_part_new();
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
	read_parts(third, part, json, (Slice){ exact, packet.n });
	frame_reader_reset(third);
	frame_reader_reset(first);
	frame_reader_reset(second);
	free(exact);
	buf_done(&packet);
	buf_done(&scratch);
	buf_done(&body);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

#define MAX_SEEDS 8192
#define MAX_INPUT ((size_t) 1 << 18)
#define MAX_FOUND ((size_t) 1 << 14) /* longer ones are slow to mutate */
#define MAX_FRAMES 4096
#define HANG_SECONDS 30

static Buf seeds[MAX_SEEDS];
static size_t nseeds;
static uint64_t random_state;

/* The input that is being run, and where it goes if it fails. */
static const Buf *running;
static const char *keep;

/* Pairs of places that were passed one after the other. */
static uint8_t passed[1 << 16];
static uintptr_t last_place;
static bool passed_new;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_set_death_callback(void (*callback)(void))
	__attribute__((weak));

void
__sanitizer_cov_trace_pc(void)
{
	/* From the program's own start, so that a seed means the same again. */
	uintptr_t place = (uintptr_t) __builtin_return_address(0) -
					  (uintptr_t) &LLVMFuzzerTestOneInput;
	uintptr_t pair = (place ^ (last_place << 5)) * 0x9e3779b1U;

	last_place = place;
	pair = (pair >> 8) % sizeof(passed);
	if (passed[pair] == 0)
	{
		passed[pair] = 1;
		passed_new = true;
	}
}

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

/* Puts n bytes in the place of old_n bytes at an offset. */
static bool
splice(Buf *b, size_t at, size_t old_n, const uint8_t *p, size_t n)
{
	if (n > old_n && !buf_room(b, n - old_n))
		return false;
	memmove(b->p + at + n, b->p + at + old_n, b->n - at - old_n);
	b->n = b->n + n - old_n;
	if (n > 0)
		memcpy(b->p + at, p, n);
	return true;
}

static void
mutate_bytes(Buf *b)
{
	static const uint32_t odd[] = {
		0,     1,      0x7f,    0x80,       0xfe,       0xff,
		0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff
	};
	size_t at = random_next(b->n);
	size_t n = 1 + random_next(b->n - at < 32 ? b->n - at : 32);
	uint32_t v = odd[random_next(sizeof(odd) / sizeof(odd[0]))];
	uint8_t copy[32];
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
			(void) splice(b, at, n, NULL, 0);
			break;
		case 4: /* cut off */
			b->n = at;
			break;
		case 5: /* twice */
			memcpy(copy, b->p + at, n);
			(void) splice(b, at, 0, copy, n);
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

/* Offsets of the whole frames of an input, and of the end of the last one. */
static size_t
find_frames(const Buf *b, size_t offsets[MAX_FRAMES + 1])
{
	size_t n = 0;
	size_t at = 0;

	while (n < MAX_FRAMES && b->n - at >= CDC_S3_FRAME_HEADER)
	{
		const uint8_t *p = b->p + at + 2;
		size_t body = p[0] | (size_t) p[1] << 8 | (size_t) p[2] << 16 |
					  (size_t) p[3] << 24;

		if (body > b->n - at - CDC_S3_FRAME_HEADER)
			break;
		offsets[n++] = at;
		at += CDC_S3_FRAME_HEADER + body;
	}
	offsets[n] = at;
	return n;
}

/* Changes one frame so that its length stays right, or moves whole ones. */
static void
mutate_frames(Buf *b)
{
	static size_t offsets[MAX_FRAMES + 1];
	static size_t others[MAX_FRAMES + 1];
	size_t count = find_frames(b, offsets);
	const Buf *other = &seeds[random_next(nseeds)];
	size_t from;
	size_t pick;
	size_t n;
	Buf body;

	if (count == 0)
	{
		mutate_bytes(b);
		return;
	}
	pick = random_next(count);
	n = offsets[pick + 1] - offsets[pick];
	buf_init(&body, MAX_INPUT);
	switch (random_next(6))
	{
		case 0: /* take out */
			(void) splice(b, offsets[pick], n, NULL, 0);
			break;
		case 1: /* say again, somewhere */
			buf_add(&body, b->p + offsets[pick], n);
			(void) splice(b, offsets[random_next(count + 1)], 0, body.p, n);
			break;
		case 2: /* from another seed */
			count = find_frames(other, others);
			if (count == 0)
				break;
			from = random_next(count);
			(void) splice(b, offsets[pick], 0, other->p + others[from],
						  others[from + 1] - others[from]);
			break;
		default:
			buf_add(&body, b->p + offsets[pick] + CDC_S3_FRAME_HEADER,
					n - CDC_S3_FRAME_HEADER);
			if (body.n == 0)
				break;
			mutate_bytes(&body);
			if (!splice(b, offsets[pick] + CDC_S3_FRAME_HEADER,
						n - CDC_S3_FRAME_HEADER, body.p, body.n))
				break;
			for (int i = 0; i < 4; i++)
				b->p[offsets[pick] + 2 + (size_t) i] =
					(uint8_t) (body.n >> (8 * i));
			break;
	}
	buf_done(&body);
}

/* The program ends because of the input: keep it. */
static void
keep_input(void)
{
	FILE *f = keep && running ? fopen(keep, "w") : NULL;

	if (!f)
		return;
	(void) fwrite(running->p, 1, running->n, f);
	(void) fclose(f);
	running = NULL;
}

static void
on_signal(int sig)
{
	keep_input();
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

static void
run_one(const Buf *b)
{
	static unsigned count;
	static const struct itimerval hang = { .it_value.tv_sec = HANG_SECONDS };

	if (count++ % 256 == 0)
		(void) setitimer(ITIMER_VIRTUAL, &hang, NULL);
	running = b;
	last_place = 0;
	passed_new = false;
	(void) LLVMFuzzerTestOneInput(b->p, b->n);
	running = NULL;
}

static time_t
seconds_now(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* So many mutations, or, with seconds, as many as they allow. */
static long
run_mutations(long n, long seconds)
{
	time_t end = seconds_now() + seconds;
	long i;
	Buf b;

	buf_init(&b, MAX_INPUT);
	for (i = 0; seconds > 0 ? i % 256 != 0 || seconds_now() < end : i < n; i++)
	{
		const Buf *seed = &seeds[random_next(nseeds)];

		buf_reset(&b);
		buf_add(&b, seed->p, seed->n);
		for (uint64_t k = 1 + random_next(6); k > 0 && b.n > 0; k--)
		{
			if (random_next(3) == 0)
				mutate_bytes(&b);
			else
				mutate_frames(&b);
		}
		run_one(&b);
		if (passed_new && nseeds < MAX_SEEDS && b.n > 0 && b.n <= MAX_FOUND)
		{
			buf_init(&seeds[nseeds], MAX_INPUT);
			buf_add(&seeds[nseeds++], b.p, b.n);
		}
		if (i % 100000 == 0 && i > 0)
			(void) fprintf(stderr, "%ld mutations, %zu seeds\n", i, nseeds);
	}
	buf_done(&b);
	return i;
}

int
main(int argc, char **argv)
{
	long mutations = 0;
	long seconds = 0;
	size_t given;
	int opt;

	random_state = 1;
	while ((opt = getopt(argc, argv, "n:t:s:o:")) != -1)
	{
		if (opt == 'n')
			mutations = strtol(optarg, NULL, 10);
		else if (opt == 't')
			seconds = strtol(optarg, NULL, 10);
		else if (opt == 's')
			random_state = strtoull(optarg, NULL, 10);
		else if (opt == 'o')
			keep = optarg;
		else
			return 2;
	}
	if (random_state == 0)
		random_state = 1; /* of zero comes nothing but zeros */
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	(void) signal(SIGABRT, on_signal);
	(void) signal(SIGVTALRM, on_signal);
	for (; optind < argc; optind++)
	{
		Buf seed;

		buf_init(&seed, MAX_INPUT);
		if (!read_seed(argv[optind], &seed))
		{
			(void) fprintf(stderr, "could not read \"%s\"\n", argv[optind]);
			return 2;
		}
		run_one(&seed);
		if (seed.n > 0 && nseeds < MAX_SEEDS)
			seeds[nseeds++] = seed;
		else
			buf_done(&seed);
	}
	given = nseeds;
	if (nseeds > 0)
		mutations = run_mutations(mutations, seconds);
	(void) printf("%zu seeds, %ld mutations, %zu reached new code\n", given,
				  mutations, nseeds - given);
	for (size_t i = 0; i < nseeds; i++)
		buf_done(&seeds[i]);
	return 0;
}

#endif
