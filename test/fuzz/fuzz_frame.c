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
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/framepart.h"
#include "codec/json_part.h"
#include "frame_encode.h"
#include "fuzz_main.h"

#define MAX_FRAME ((size_t) 1 << 20)
#define MAX_LINE ((size_t) 1 << 20)
#define WHOLE_MAX 64 /* longer values come in pieces */

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

#define MAX_FRAMES 4096

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
void
fuzz_mutate(Buf *b)
{
	static size_t offsets[MAX_FRAMES + 1];
	static size_t others[MAX_FRAMES + 1];
	size_t count = find_frames(b, offsets);
	const Buf *other = fuzz_seed();
	size_t from;
	size_t pick;
	size_t n;
	Buf body;

	if (count == 0)
	{
		fuzz_mutate_bytes(b);
		return;
	}
	pick = fuzz_random(count);
	n = offsets[pick + 1] - offsets[pick];
	buf_init(&body, FUZZ_MAX_INPUT);
	switch (fuzz_random(6))
	{
		case 0: /* take out */
			(void) fuzz_splice(b, offsets[pick], n, NULL, 0);
			break;
		case 1: /* say again, somewhere */
			buf_add(&body, b->p + offsets[pick], n);
			(void) fuzz_splice(b, offsets[fuzz_random(count + 1)], 0, body.p,
							   n);
			break;
		case 2: /* from another seed */
			count = find_frames(other, others);
			if (count == 0)
				break;
			from = fuzz_random(count);
			(void) fuzz_splice(b, offsets[pick], 0, other->p + others[from],
							   others[from + 1] - others[from]);
			break;
		default:
			buf_add(&body, b->p + offsets[pick] + CDC_S3_FRAME_HEADER,
					n - CDC_S3_FRAME_HEADER);
			if (body.n == 0)
				break;
			fuzz_mutate_bytes(&body);
			if (!fuzz_splice(b, offsets[pick] + CDC_S3_FRAME_HEADER,
							 n - CDC_S3_FRAME_HEADER, body.p, body.n))
				break;
			for (int i = 0; i < 4; i++)
				b->p[offsets[pick] + 2 + (size_t) i] =
					(uint8_t) (body.n >> (8 * i));
			break;
	}
	buf_done(&body);
}

#endif
