/*-------------------------------------------------------------------------
 * test_frame.c
 *	  codec/frame: frames made here.  What is unknown, broken or out of order
 *	  is refused, and relations are kept.  The plugin's own: test_golden.c.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../fuzz/frame_encode.h"
#include "base/mem.h"
#include "packets.h"

static void
test_packet_header(void **state)
{
	static const struct
	{
		const char *name;
		const char *hex;
		const char *message; /* a part of it; NULL: taken */
	} rows[] = {
		{ "nothing", "", "magic" },
		{ "short", "43330100000000", "magic" },
		{ "no frames", "4333010000000000", NULL },
		{ "another plugin", "7b22613a20317d0a", "is its plugin cdc_s3?" },
		{ "lower case", "6333010000000000", "magic" },
		{ "version 0", "4333000000000000", "protocol version 0" },
		{ "version 2", "4333020000000000", "protocol version 2" },
		{ "flags", "4333010100000000", "protocol version 1" },
		{ "CRC", "4333010001000000", "CRC32C" },
		{ "no whole frame", "43330100b3435112ff", "CRC32C" },
	};
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		size_t n = strlen(rows[i].hex) / 2;
		uint8_t *p = xmalloc(n);
		bool ok;
		Err err;

		assert_true(hex_decode(rows[i].hex, n, p));
		ok = swallow(r, (Slice){ p, n }, &err);
		if (ok != !rows[i].message)
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (!ok && !strstr(err.msg, rows[i].message))
			fail_msg("%s: %s", rows[i].name, err.msg);
		if (!ok)
			assert_int_equal(err.kind, ERR_DATA);
		free(p);
	}
	frame_reader_free(r);
}

/* A reader, and the frames of the packet that it is to get. */
typedef struct Lab
{
	FrameReader *r;
	Buf frames;
	Buf body;
	Buf packet;
	int gone; /* relations that went */
} Lab;

static void
count_gone(FrameRelation *rel, void *arg)
{
	assert_non_null(rel->schema);
	((Lab *) arg)->gone++;
}

static void
lab_init(Lab *l, size_t max_frame)
{
	l->r = frame_reader_new(max_frame, count_gone, l);
	l->gone = 0;
	buf_init(&l->frames, SIZE_MAX);
	buf_init(&l->body, SIZE_MAX);
	buf_init(&l->packet, SIZE_MAX);
}

static void
lab_done(Lab *l)
{
	frame_reader_free(l->r);
	buf_done(&l->frames);
	buf_done(&l->body);
	buf_done(&l->packet);
}

/* The body becomes a frame. */
static void
lab_frame(Lab *l, uint8_t type, uint8_t flags)
{
	put_frame(&l->frames, type, flags, buf_slice(&l->body));
	buf_reset(&l->body);
}

/* The frames become a packet. */
static Slice
lab_packet(Lab *l)
{
	buf_reset(&l->packet);
	put_packet(&l->packet, buf_slice(&l->frames));
	buf_reset(&l->frames);
	return buf_slice(&l->packet);
}

static void
lab_taken(Lab *l)
{
	Err err;

	if (!swallow(l->r, lab_packet(l), &err))
		fail_msg("%s", err.msg);
}

static void
lab_refused(Lab *l, ErrKind kind, const char *message)
{
	Err err;

	assert_false(swallow(l->r, lab_packet(l), &err));
	if (err.kind != kind || !strstr(err.msg, message))
		fail_msg("want \"%s\", got %s", message, err.msg);
}

/* A table of one int4 key and one text column. */
static void
lab_relation(Lab *l, uint32_t id, uint32_t version, const char *table)
{
	Schema *s = schema_new("public", table, 2);

	s->relation_id = id;
	s->identity = 'd';
	for (int i = 0; i < 2; i++)
	{
		s->cols[i].name = xstrdup(i ? "note" : "id");
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup(i ? "text" : "int4");
		s->cols[i].kind = i ? CDC_S3_KIND_STRING : CDC_S3_KIND_INT4;
		s->cols[i].type_oid = s->cols[i].base_oid = i ? 25 : 23;
		s->cols[i].typmod = -1;
		s->cols[i].attnum = i + 1;
		s->cols[i].key = s->cols[i].identity = i == 0;
		s->cols[i].pk = i == 0;
	}
	put_relation(&l->body, id, version, table, s);
	lab_frame(l, CDC_S3_RELATION, 0);
	schema_free(s);
}

static void
put_header(Buf *b, uint32_t id, uint32_t version)
{
	put_int(b, id, 4);
	put_int(b, version, 4);
	put_int(b, 0x1234, 8);
	put_int(b, 1, 8);
}

/* An insert of (7, note). */
static void
lab_insert_body(Lab *l, uint32_t id, uint32_t version, const char *note)
{
	put_header(&l->body, id, version);
	buf_byte(&l->body, 0);
	put_int(&l->body, 7, 4);
	put_blob(&l->body, (const uint8_t *) note, (uint32_t) strlen(note));
}

static void
lab_insert(Lab *l, uint32_t id, uint32_t version)
{
	lab_insert_body(l, id, version, "x");
	lab_frame(l, CDC_S3_INSERT, 0);
}

static void
test_unknown_types(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (int type = 0; type < 256; type++)
	{
		if ((type < 0x80 && strchr("HRBCIUDTMP", type) && type > 0) ||
			type == CDC_S3_TABLE)
			continue;
		buf_str(&l.body, "anything");
		lab_frame(&l, (uint8_t) type, 0xff);
		if (type & 0x80)
			lab_taken(&l);
		else
			lab_refused(&l, ERR_DATA, "breaks the wire contract");
	}
	/* what comes behind one that is skipped is read */
	buf_str(&l.body, "anything");
	lab_frame(&l, 0x80, 1);
	lab_relation(&l, 1, 1, "t");
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_RELATION);
	assert_string_equal(ev.rel->schema->table, "t");
	lab_done(&l);
}

static void
test_unknown_flags(void **state)
{
	static const struct
	{
		char type;
		uint8_t known;
	} rows[] = {
		{ CDC_S3_RELATION, 0x01 }, { CDC_S3_BEGIN, 0x01 },
		{ CDC_S3_COMMIT, 0 },      { CDC_S3_INSERT, 0x80 },
		{ CDC_S3_MESSAGE, 0x81 },  { CDC_S3_TRUNCATE, 0x83 },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			uint8_t flag = (uint8_t) (1 << bit);

			if (rows[i].type == CDC_S3_RELATION)
			{
				lab_relation(&l, 1, 1, "t");
				l.frames.p[1] = flag;
			}
			else
			{
				/* begins with relation 1, version 1, and zeros enough */
				put_int(&l.body, rows[i].type == CDC_S3_INSERT, 4);
				put_int(&l.body, rows[i].type == CDC_S3_INSERT, 4);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				lab_frame(&l, (uint8_t) rows[i].type, flag);
			}
			if (rows[i].known & flag)
				lab_taken(&l);
			else
				lab_refused(&l, ERR_DATA, "breaks the wire contract");
		}
	}
	lab_done(&l);
}

/* A body may grow: what is behind its known part is skipped. */
static void
test_longer_bodies(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_insert_body(&l, 1, 1, "x");
	buf_str(&l.body, "of version 2");
	lab_frame(&l, CDC_S3_INSERT, 0);
	put_int(&l.body, 99, 8);
	put_int(&l.body, 98, 8);
	put_int(&l.body, 97, 8);
	buf_str(&l.body, "of version 2");
	lab_frame(&l, CDC_S3_COMMIT, 0);
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_INSERT);
	assert_int_equal(ev.new_row.cols[1].n, 1);
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_COMMIT);
	assert_true(ev.lsn == 99 && ev.time == 98 && ev.ordinal == 97);
	assert_false(next(l.r, &ev));
	lab_done(&l);
}

/* Bodies that say what they may not. */
static void
test_broken_bodies(void **state)
{
	static const struct
	{
		const char *name;
		char type;
		uint8_t flags;
		const char *tail; /* hex, behind the change header of relation 1 */
	} rows[] = {
		{ "unknown row flag", 'I', 0, "08070000000178" },
		{ "no row", 'I', 0, "" },
		{ "no bitmap", 'I', 0, "01" },
		{ "value cut off", 'I', 0, "0007000000057878" },
		{ "long blob cut off", 'I', 0, "0007000000ffffffffff78" },
		{ "blob length cut off", 'I', 0, "0007000000ff0100" },
		{ "withheld cut off", 'I', 0, "0402070000000105000000" },
		{ "both old rows", 'U', 3, "0007000000017800070000000178" },
		{ "old row alone", 'U', 2, "00070000000178" },
		{ "no new row", 'U', 1, "0007000000" },
		{ "no old row", 'D', 1, "" },
		{ "insert with an old row", 'I', 2, "0007000000017800070000000178" },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint8_t tail[64];
		size_t n = strlen(rows[i].tail) / 2;
		Err err;

		assert_true(hex_decode(rows[i].tail, n, tail));
		put_header(&l.body, 1, 1);
		buf_add(&l.body, tail, n);
		lab_frame(&l, (uint8_t) rows[i].type, rows[i].flags);
		if (swallow(l.r, lab_packet(&l), &err))
			fail_msg("%s was taken", rows[i].name);
		assert_int_equal(err.kind, ERR_DATA);
	}
	lab_done(&l);
}

static void
test_broken_relations(void **state)
{
	/* offsets into the body of lab_relation(…, "t") */
	static const struct
	{
		const char *name;
		size_t at;
		uint8_t byte;
		bool ok;
	} rows[] = {
		{ "as it is", 0, 1, true },
		{ "kind 0", 37, 0, false },
		{ "kind 20", 37, 20, false },
		{ "unknown column flag", 38, 0x13, false },
		{ "too many columns", 36, 0xff, false },
		{ "name longer than the frame", 55, 0xff, false },
		{ "NUL in a name", 57, 0, false },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Err err;
		bool ok;

		lab_relation(&l, 1, 1, "t");
		assert_int_equal(l.frames.p[6 + 37], CDC_S3_KIND_INT4);
		assert_memory_equal(l.frames.p + 6 + 57, "id", 2);
		l.frames.p[6 + rows[i].at] = rows[i].byte;
		ok = swallow(l.r, lab_packet(&l), &err);
		if (ok != rows[i].ok)
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (!ok)
			assert_int_equal(err.kind, ERR_DATA);
	}
	lab_done(&l);
}

/*
 * Names of a SQL_ASCII server may be no UTF-8: the lake's files, being JSON,
 * cannot hold them.
 */
static void
test_names(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "caf\xc3\xa9");
	lab_taken(&l);
	lab_relation(&l, 1, 2, "caf\xe9");
	lab_refused(&l, ERR_USAGE, "table \"public/caf%E9/\"");
	lab_relation(&l, 1, 3, "t");
	assert_memory_equal(l.frames.p + 6 + 57, "id", 2);
	l.frames.p[6 + 57] = 0xff;
	lab_refused(&l, ERR_USAGE, "table \"public/t/\", or a column of it");
	lab_insert(&l, 1, 1); /* as it was */
	lab_taken(&l);
	lab_done(&l);
}

static void
lab_part(Lab *l, char type, uint8_t frame_flags, uint32_t number,
		 uint8_t part_flags, const void *p, size_t n)
{
	buf_byte(&l->body, (uint8_t) type);
	buf_byte(&l->body, frame_flags);
	put_int(&l->body, number, 4);
	buf_add(&l->body, p, n);
	lab_frame(l, CDC_S3_PART, part_flags);
}

/* A frame cut into parts of every size, in one packet and one packet each. */
static void
test_parts(void **state)
{
	Lab l;
	Buf body;

	(void) state;
	buf_init(&body, SIZE_MAX);
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	lab_insert_body(&l, 1, 1, "in parts");
	buf_add(&body, l.body.p, l.body.n);
	buf_reset(&l.body);
	for (size_t size = 1; size <= body.n; size++)
	{
		for (int alone = 0; alone < 2; alone++)
		{
			FrameEvent ev;
			uint32_t number = 0;

			for (size_t at = 0; at < body.n; at += size)
			{
				size_t n = body.n - at < size ? body.n - at : size;
				bool last = at + n == body.n;

				lab_part(&l, CDC_S3_INSERT, 0, number++, last, body.p + at, n);
				if (alone && !last)
					lab_taken(&l);
			}
			start(l.r, lab_packet(&l));
			assert_true(next(l.r, &ev));
			assert_int_equal(ev.type, CDC_S3_INSERT);
			assert_int_equal(get_u32(ev.new_row.cols[0].p), 7);
			assert_int_equal(ev.new_row.cols[1].n, 8);
			assert_memory_equal(ev.new_row.cols[1].p, "in parts", 8);
			assert_false(next(l.r, &ev));
		}
	}
	/* an empty last part is one too */
	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, body.p, body.n);
	lab_part(&l, CDC_S3_INSERT, 0, 1, CDC_S3_PART_LAST, NULL, 0);
	lab_taken(&l);
	/* a long frame of a type to be skipped is skipped */
	lab_part(&l, (char) 0x81, 0xff, 0, 0, "x", 1);
	lab_part(&l, (char) 0x81, 0xff, 1, CDC_S3_PART_LAST, "x", 1);
	lab_taken(&l);
	buf_done(&body);
	lab_done(&l);
}

static void
test_parts_out_of_order(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);

	lab_part(&l, CDC_S3_INSERT, 0, 1, 0, "x", 1); /* not from 0 */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_INSERT, 0, 2, 0, "x", 1); /* a hole */
	lab_refused(&l, ERR_DATA, "part 2 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1); /* again */
	lab_refused(&l, ERR_DATA, "part 0 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_UPDATE, 0, 1, 0, "x", 1); /* of another frame */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_UPDATE, 1, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_UPDATE, 2, 1, 0, "x", 1); /* with other flags */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	put_int(&l.body, 1, 8);
	put_int(&l.body, 1, 8);
	put_int(&l.body, 1, 8);
	lab_frame(&l, CDC_S3_COMMIT, 0); /* another frame between */
	lab_refused(&l, ERR_DATA, "between the parts of another");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_PART, 0, 0, CDC_S3_PART_LAST, "x", 1); /* in itself */
	lab_refused(&l, ERR_DATA, "breaks the wire contract");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 2, "x", 1); /* unknown flag */
	lab_refused(&l, ERR_DATA, "out of order");
	frame_reader_reset(l.r);

	buf_str(&l.body, "Ix"); /* no number */
	lab_frame(&l, CDC_S3_PART, 0);
	lab_refused(&l, ERR_DATA, "out of order");
	lab_done(&l);
}

/* A frame over the limit is refused, and its memory does not stay. */
static void
test_parts_limit(void **state)
{
	FrameEvent ev;
	char *note;
	size_t size = 9 * 1024 * 1024;
	Slice packet;
	Lab l;
	Err err;

	(void) state;
	lab_init(&l, 10 * 1024 * 1024);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	note = xmalloc(size + 1);
	memset(note, 'x', size);
	note[size] = '\0';
	lab_insert_body(&l, 1, 1, note);
	/* the body is in the packet's own frames, so build the parts by hand */
	for (size_t at = 0, number = 0; at < l.body.n; number++)
	{
		size_t n = l.body.n - at < 1000000 ? l.body.n - at : 1000000;
		bool last = at + n == l.body.n;
		Buf part;

		buf_init(&part, SIZE_MAX);
		buf_byte(&part, CDC_S3_INSERT);
		buf_byte(&part, 0);
		put_int(&part, number, 4);
		buf_add(&part, l.body.p + at, n);
		put_frame(&l.frames, CDC_S3_PART, last, buf_slice(&part));
		buf_done(&part);
		at += n;
	}
	buf_reset(&l.body);
	packet = lab_packet(&l);
	start(l.r, packet);
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.new_row.cols[1].n, size);
	assert_memory_equal(ev.new_row.cols[1].p, note, size);
	assert_false(next(l.r, &ev));

	frame_reader_free(l.r);
	l.r = frame_reader_new(8 * 1024 * 1024, count_gone, &l);
	assert_false(swallow(l.r, packet, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.msg, "8388608"));
	free(note);
	lab_done(&l);
}

/* A change names the version of its relation; another one is refused. */
static void
test_relation_versions(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_insert(&l, 1, 1);
	lab_refused(&l, ERR_DATA, "type 'I' breaks the wire contract");

	lab_relation(&l, 1, 1, "t");
	lab_insert(&l, 1, 1);
	lab_taken(&l);
	lab_insert(&l, 1, 2);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_insert(&l, 2, 1);
	lab_refused(&l, ERR_DATA, "breaks");
	assert_int_equal(l.gone, 0);

	lab_relation(&l, 1, 2, "renamed");
	lab_insert(&l, 1, 2);
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_int_equal(l.gone, 1);
	assert_true(next(l.r, &ev));
	assert_string_equal(ev.rel->schema->table, "renamed");
	lab_insert(&l, 1, 1);
	lab_refused(&l, ERR_DATA, "breaks");

	/* the same version again takes the place of the first */
	lab_relation(&l, 1, 2, "again");
	lab_insert(&l, 1, 2);
	lab_taken(&l);
	assert_int_equal(l.gone, 2);

	/* a new connection knows none */
	frame_reader_reset(l.r);
	assert_int_equal(l.gone, 3);
	lab_insert(&l, 1, 2);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_done(&l);
	assert_int_equal(l.gone, 3);
}

/* A partition is told under its own name, or under the root's. */
static void
test_relation_names(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (int as_root = 0; as_root < 2; as_root++)
	{
		Schema *s = schema_new("app", "root", 0);

		s->relation_id = 100;
		s->identity = 'i';
		put_relation(&l.body, 200, 1, "leaf", s);
		lab_frame(&l, CDC_S3_RELATION, as_root ? CDC_S3_REL_AS_ROOT : 0);
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.rel->id, 200);
		assert_string_equal(ev.rel->schema->schema, "app");
		assert_string_equal(ev.rel->schema->table, as_root ? "root" : "leaf");
		assert_int_equal(ev.rel->schema->relation_id, as_root ? 100 : 200);
		assert_int_equal(ev.rel->schema->identity, 'i');
		assert_int_equal(ev.rel->schema->ncols, 0);
		schema_free(s);
	}
	lab_done(&l);
}

/* A schema of three columns; with what rows have that are older than them. */
static Schema *
missing_schema(void)
{
	static const char *const names[] = { "a", "b", "c" };
	Schema *s = schema_new("app", "t", 3);

	s->relation_id = 100;
	s->row_type = 4000000000u;
	s->identity = 'd';
	for (int i = 0; i < 3; i++)
	{
		s->cols[i].name = xstrdup(names[i]);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("text");
		s->cols[i].kind = CDC_S3_KIND_STRING;
		s->cols[i].has_missing = i != 1;
	}
	s->cols[0].missing = xstrdup("\xc3\xa4 \"quoted\"");
	return s;
}

/* The relation frame grew: older ones end earlier, later ones go on. */
static void
test_relation_end(void **state)
{
	Schema *s = missing_schema();
	FrameEvent ev;
	size_t whole;
	size_t bare;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	put_relation(&l.body, 100, 1, "t", s);
	whole = l.body.n;
	buf_str(&l.body, "more");
	lab_frame(&l, CDC_S3_RELATION, 0);
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_true(ev.rel->schema->row_type == 4000000000u);
	assert_string_equal(ev.rel->schema->cols[0].missing, s->cols[0].missing);
	assert_false(ev.rel->schema->cols[1].has_missing);
	assert_true(ev.rel->schema->cols[2].has_missing);
	assert_null(ev.rel->schema->cols[2].missing);

	bare = whole - (4 + 2 + 2 * (2 + 4) + strlen(s->cols[0].missing));
	for (size_t n = bare; n < whole; n++)
	{
		put_relation(&l.body, 100, 2, "t", s);
		l.body.n = n;
		lab_frame(&l, CDC_S3_RELATION, 0);
		if (n > bare)
		{
			lab_refused(&l, ERR_DATA, "breaks");
			continue;
		}
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.rel->schema->row_type, 0);
		assert_false(ev.rel->schema->cols[0].has_missing);
	}
	schema_free(s);
	lab_done(&l);
}

/* What is no value of a column is refused, and what is no text is none. */
static void
test_missing(void **state)
{
	static const struct
	{
		uint16_t index[2];
		const char *text;
		uint32_t length;
		bool taken;
		bool has_text;
	} rows[] = {
		{ { 0, 1 }, "fine", 4, true, true },
		{ { 1, 0 }, "fine", 4, true, true },
		{ { 0, 1 }, "", 0, true, true },
		{ { 0, 1 }, "", CDC_S3_NO_TEXT, true, false },
		{ { 0, 1 }, "a\xff", 2, true, false },
		{ { 0, 1 }, "a\0b", 3, true, false },
		{ { 0, 0 }, "twice", 5, false, false },
		{ { 2, 1 }, "no such column", 14, false, false },
		{ { 0, UINT16_MAX }, "no such column", 14, false, false },
		{ { 0, 1 }, "too long", CDC_S3_NO_TEXT - 1, false, false },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint32_t n = rows[i].length > 100 ? 0 : rows[i].length;
		FrameEvent ev;

		put_int(&l.body, 1, 4);
		put_int(&l.body, (uint64_t) i + 1, 4);
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, 'd');
		for (int k = 0; k < 4; k++)
			put_str(&l.body, "t");
		put_int(&l.body, 2, 2);
		for (int k = 0; k < 2; k++)
		{
			buf_byte(&l.body, CDC_S3_KIND_STRING);
			buf_byte(&l.body, 0);   /* flags */
			put_int(&l.body, 0, 8); /* numbers and type */
			put_int(&l.body, 0, 8); /* base type and typmod */
			put_str(&l.body, k ? "b" : "a");
			put_str(&l.body, "pg_catalog");
			put_str(&l.body, "text");
		}
		put_int(&l.body, 77, 4);
		put_int(&l.body, 2, 2);
		for (int k = 0; k < 2; k++)
		{
			put_int(&l.body, rows[i].index[k], 2);
			put_int(&l.body, rows[i].length, 4);
			buf_add(&l.body, rows[i].text, n);
		}
		lab_frame(&l, CDC_S3_RELATION, 0);
		if (!rows[i].taken)
		{
			lab_refused(&l, ERR_DATA, "breaks");
			continue;
		}
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		for (int k = 0; k < 2; k++)
		{
			const SchemaColumn *c = &ev.rel->schema->cols[k];

			assert_true(c->has_missing);
			assert_int_equal(c->missing != NULL, rows[i].has_text);
			if (c->missing)
				assert_string_equal(c->missing, rows[i].text);
		}
	}
	lab_done(&l);
}

/* What became of a table: with its relation, or where it ends without. */
static void
test_table(void **state)
{
	static const struct
	{
		const char *what;
		uint32_t id, version;
		uint8_t flags;
		bool taken;
		bool known;
	} rows[] = {
		{ "altered", 1, 2, 0, true, true },
		{ "created and rewritten", 1, 2, 3, true, true },
		{ "gone", 1, 0, CDC_S3_TABLE_GONE, true, true },
		{ "left", 1, 0, CDC_S3_TABLE_LEFT, true, true },
		{ "gone, not known", 9, 0, CDC_S3_TABLE_GONE, true, false },
		{ "an older version", 1, 1, 0, false, false },
		{ "no version", 1, 0, 0, false, false },
		{ "not known", 9, 2, CDC_S3_TABLE_CREATED, false, false },
		{ "gone, with a version", 1, 2, CDC_S3_TABLE_GONE, false, false },
		{ "an unknown flag", 1, 2, 0x10, false, false },
		{ "another one", 1, 0, CDC_S3_TABLE_GONE | 0x80, false, false },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 2, "t");
	lab_taken(&l);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FrameEvent ev;

		put_table(&l.body, 7, rows[i].id, rows[i].version, rows[i].flags);
		lab_frame(&l, CDC_S3_TABLE, 0);
		if (!rows[i].taken)
		{
			lab_refused(&l, ERR_DATA, "breaks");
			continue;
		}
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.type, CDC_S3_TABLE);
		assert_int_equal(ev.ordinal, 7);
		assert_int_equal(ev.table_id, rows[i].id);
		assert_int_equal(ev.table_flags, rows[i].flags);
		assert_int_equal(ev.rel != NULL, rows[i].known);
	}
	for (size_t n = 0; n < 25; n++)
	{
		put_table(&l.body, 7, 1, 2, 0);
		l.body.n = n;
		lab_frame(&l, CDC_S3_TABLE, 0);
		lab_refused(&l, ERR_DATA, "breaks");
	}
	put_table(&l.body, 7, 1, 2, 0);
	lab_frame(&l, CDC_S3_TABLE, 0x01);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_done(&l);
}

/* Ids that collide in a small table, and many of them. */
static void
test_many_relations(void **state)
{
	enum
	{
		MANY = 5000
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (uint32_t i = 0; i < MANY; i++)
	{
		char name[16];

		(void) snprintf(name, sizeof(name), "t%u", i);
		lab_relation(&l, i * 64, i + 1, name);
	}
	lab_taken(&l);
	for (uint32_t i = 0; i < MANY; i++)
		lab_insert(&l, i * 64, i + 1);
	start(l.r, lab_packet(&l));
	for (uint32_t i = 0; i < MANY; i++)
	{
		FrameEvent ev;
		char name[16];

		(void) snprintf(name, sizeof(name), "t%u", i);
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.rel->id, i * 64);
		assert_string_equal(ev.rel->schema->table, name);
	}
	assert_int_equal(l.gone, 0);
	/* every second one gets a new version */
	for (uint32_t i = 0; i < MANY; i += 2)
		lab_relation(&l, i * 64, MANY, "new");
	lab_taken(&l);
	assert_int_equal(l.gone, MANY / 2);
	lab_insert(&l, 64, 2);
	lab_insert(&l, 0, MANY);
	lab_taken(&l);
	lab_insert(&l, 0, 1);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_done(&l);
	assert_int_equal(l.gone, MANY + MANY / 2);
}

static void
test_truncate(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "a");
	lab_relation(&l, 2, 1, "b");
	lab_taken(&l);
	for (int broken = 0; broken < 5; broken++)
	{
		put_int(&l.body, 500, 8);
		put_int(&l.body, 9, 8);
		put_int(&l.body, 4711, 4);
		put_int(&l.body, broken == 1 ? 3 : 2, 2); /* one more than there is */
		put_int(&l.body, 1, 4);
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, broken == 2 ? 2 : 0);   /* unknown flag */
		put_int(&l.body, broken == 3 ? 3 : 2, 4); /* unknown relation */
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, CDC_S3_TRUNC_PARTIAL);
		put_int(&l.body, broken == 4 ? 7 : 6, 4); /* bound cut off */
		buf_str(&l.body, "(true)");
		lab_frame(&l, CDC_S3_TRUNCATE,
				  CDC_S3_TRUNC_RESTART | CDC_S3_CHANGE_XID);
		if (broken > 0)
		{
			lab_refused(&l, ERR_DATA, "type 'T' breaks");
			continue;
		}
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_true(ev.lsn == 500 && ev.ordinal == 9 && ev.xid == 4711);
		assert_int_equal(ev.nrels, 2);
		assert_string_equal(ev.rels[0]->schema->table, "a");
		assert_string_equal(ev.rels[1]->schema->table, "b");
		assert_int_equal(ev.rel_flags[0], 0);
		assert_int_equal(ev.rel_flags[1], CDC_S3_TRUNC_PARTIAL);
	}
	/* as many as fit the count */
	put_int(&l.body, 500, 8);
	put_int(&l.body, 9, 8);
	put_int(&l.body, UINT16_MAX, 2);
	for (int i = 0; i < UINT16_MAX; i++)
	{
		put_int(&l.body, 1, 4);
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, 0);
	}
	lab_frame(&l, CDC_S3_TRUNCATE, 0);
	lab_taken(&l);
	lab_done(&l);
}

/* An origin may set any time: it is a year of four digits for whoever asks. */
static void
test_commit_times(void **state)
{
	static const struct
	{
		int64_t sent, seen;
	} rows[] = { { 0, 0 },
				 { INT64_MAX, FRAME_TIME_MAX },
				 { INT64_MIN, FRAME_TIME_MIN },
				 { FRAME_TIME_MAX + 1, FRAME_TIME_MAX },
				 { FRAME_TIME_MIN - 1, FRAME_TIME_MIN },
				 { FRAME_TIME_MAX, FRAME_TIME_MAX } };

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		FrameEvent ev;
		char text[40];
		Lab l;

		lab_init(&l, MAX_FRAME);
		put_int(&l.body, 712, 4);
		put_int(&l.body, 99, 8);
		put_int(&l.body, (uint64_t) rows[i].sent, 8);
		lab_frame(&l, CDC_S3_BEGIN, 0);
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_true(ev.time == rows[i].seen);
		iso_from_unix_us(ev.time + PG_EPOCH_UNIX_US, true, text, sizeof(text));
		assert_int_equal(strlen(text), 27);
		lab_done(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet_header),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_longer_bodies),
		cmocka_unit_test(test_broken_bodies),
		cmocka_unit_test(test_broken_relations),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parts_out_of_order),
		cmocka_unit_test(test_parts_limit),
		cmocka_unit_test(test_relation_versions),
		cmocka_unit_test(test_relation_names),
		cmocka_unit_test(test_relation_end),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_many_relations),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_commit_times),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
