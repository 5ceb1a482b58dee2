/*-------------------------------------------------------------------------
 * test_encode.c
 *	  The encoder's thread function on events made by hand: where checkpoints
 *	  end, what they hold, and what is left behind.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "pipe/batch_read.h"
#include "pipe/checkpoint.h"
#include "pipe/encode.h"
#include "pipe/event.h"

#define START 1000 /* end of the log when the session starts */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOUR INT64_C(498680)

typedef struct Lab
{
	Pipe pipe;
	RunOptions options;
	Path *path;
	RunControl control;
	Entry start;
	Buf packet; /* being built: frames only */
	Buf lines;  /* of the newest object, once it stopped */
	Err err;
} Lab;

static void
lab_init(Lab *l)
{
	Err err;

	*l = (Lab){ .start = { .end = START, .seq = 4 } };
	log_init(LOG_ERROR, false);
	l->control.wake_fd = eventfd(0, EFD_NONBLOCK);
	atomic_store(&l->control.flush_interval_ms, 3600 * 1000);
	atomic_store(&l->control.flush_bytes, INT64_MAX);
	l->options.control = &l->control;
	l->options.compression = COMPRESS_NONE;
	l->options.format = &json_format;
	l->options.memory_limit = 64 << 20;
	l->pipe.options = &l->options;
	l->pipe.start = &l->start;
	assert_true(path_parse(PATH_DEFAULT, zone_fixed("UTC"), &l->path, &err));
	l->options.path = l->path;
	l->pipe.loads = entry_new();
	memcpy(l->pipe.writer, "0a0b0c0d", 9);
	queue_init(&l->pipe.events);
	queue_init(&l->pipe.objects);
	queue_init(&l->pipe.puts);
	queue_init(&l->pipe.checkpoints);
	budget_init(&l->pipe.budget, 4 << 20); /* nobody ships: never used up */
	pthread_mutex_init(&l->pipe.lock, NULL);
	cond_init(&l->pipe.changed);
	buf_init(&l->packet, 1 << 24);
	buf_init(&l->lines, SIZE_MAX);
}

static void
lab_done(Lab *l)
{
	QueueItem *item;

	while (queue_pop(&l->pipe.objects, 0))
		;
	while (l->pipe.alive)
		object_free(&l->pipe, l->pipe.alive);
	while ((item = queue_pop(&l->pipe.checkpoints, 0)) != NULL)
		checkpoint_free((Checkpoint *) item);
	while (l->pipe.dropped)
	{
		Checkpoint *c = l->pipe.dropped;

		l->pipe.dropped = c->next_dropped;
		checkpoint_free(c);
	}
	for (int i = 0; i < PIPE_BUCKETS; i++)
	{
		while (l->pipe.tables[i])
		{
			Table *t = l->pipe.tables[i];

			l->pipe.tables[i] = t->next;
			table_free(t);
		}
	}
	assert_int_equal(budget_used(&l->pipe.budget), 0);
	path_free(l->path);
	entry_free(l->pipe.loads);
	queue_done(&l->pipe.events);
	queue_done(&l->pipe.objects);
	queue_done(&l->pipe.puts);
	queue_done(&l->pipe.checkpoints);
	budget_done(&l->pipe.budget);
	buf_done(&l->packet);
	buf_done(&l->lines);
	close(l->control.wake_fd);
}

/*
 * Frames and events
 */
static void
put(Buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_byte(b, (uint8_t) (v >> (8 * i)));
}

static void
put_str(Buf *b, const char *s)
{
	put(b, strlen(s), 2);
	buf_str(b, s);
}

static void
frame(Lab *l, uint8_t type, uint8_t flags, const Buf *body)
{
	buf_byte(&l->packet, type);
	buf_byte(&l->packet, flags);
	put(&l->packet, body->n, 4);
	buf_add(&l->packet, body->p, body->n);
}

/* A table of one text column "v", which is its key. */
static void
relation(Lab *l, uint32_t id, const char *name)
{
	Buf b;

	buf_init(&b, 4096);
	put(&b, id, 4);
	put(&b, 1, 4);
	put(&b, id, 4);
	buf_byte(&b, 'd');
	for (int i = 0; i < 2; i++)
	{
		put_str(&b, "public");
		put_str(&b, name);
	}
	put(&b, 1, 2);
	buf_byte(&b, CDC_S3_KIND_STRING);
	buf_byte(&b, CDC_S3_COL_IDENTITY | CDC_S3_COL_KEY);
	put(&b, 1, 2);
	put(&b, 1, 2);
	put(&b, 25, 4);
	put(&b, 25, 4);
	put(&b, UINT32_MAX, 4);
	put_str(&b, "v");
	put_str(&b, "pg_catalog");
	put_str(&b, "text");
	frame(l, CDC_S3_RELATION, 0, &b);
	buf_done(&b);
}

/* hour: of the commit time */
static void
begin(Lab *l, Lsn lsn, int64_t hour)
{
	Buf b;

	buf_init(&b, 64);
	put(&b, 7, 4);
	put(&b, lsn, 8);
	put(&b, (uint64_t) (hour * US_PER_HOUR - PG_EPOCH_UNIX_US), 8);
	frame(l, CDC_S3_BEGIN, 0, &b);
	buf_done(&b);
}

static void
insert_body(Buf *b, uint32_t id, uint64_t ordinal, const char *value, size_t n)
{
	put(b, id, 4);
	put(b, 1, 4);
	put(b, 1, 8);
	put(b, ordinal, 8);
	buf_byte(b, 0);
	buf_byte(b, CDC_S3_BLOB_LONG);
	put(b, n, 4);
	buf_add(b, value, n);
}

static void
insert(Lab *l, uint32_t id, uint64_t ordinal, const char *value, size_t n)
{
	Buf b;

	buf_init(&b, 1 << 20);
	insert_body(&b, id, ordinal, value, n);
	frame(l, CDC_S3_INSERT, 0, &b);
	buf_done(&b);
}

/* A delete of a table that has no identity. */
static void
delete_blindly(Lab *l, uint32_t id, uint64_t ordinal)
{
	Buf b;

	buf_init(&b, 64);
	put(&b, id, 4);
	put(&b, 1, 4);
	put(&b, 1, 8);
	put(&b, ordinal, 8);
	frame(l, CDC_S3_DELETE, CDC_S3_NO_IDENTITY, &b);
	buf_done(&b);
}

static void
message(Lab *l, const char *prefix, uint8_t flags, uint64_t ordinal,
		const char *content)
{
	Buf b;

	buf_init(&b, 4096);
	put(&b, 1, 8);
	put(&b, ordinal, 8);
	put_str(&b, prefix);
	put(&b, strlen(content), 4);
	buf_str(&b, content);
	frame(l, CDC_S3_MESSAGE, flags, &b);
	buf_done(&b);
}

static void
commit(Lab *l, Lsn lsn)
{
	Buf b;

	buf_init(&b, 64);
	put(&b, lsn, 8);
	put(&b, 0, 8);
	put(&b, 0, 8);
	frame(l, CDC_S3_COMMIT, 0, &b);
	buf_done(&b);
}

/* What became of a table; version 0 with an end. */
static void
table_frame(Lab *l, uint32_t id, uint64_t ordinal, uint8_t flags)
{
	bool ends = flags & (CDC_S3_TABLE_GONE | CDC_S3_TABLE_LEFT);
	Buf b;

	buf_init(&b, 64);
	put(&b, 1, 8);
	put(&b, ordinal, 8);
	put(&b, id, 4);
	put(&b, ends ? 0 : 1, 4);
	buf_byte(&b, flags);
	frame(l, CDC_S3_TABLE, 0, &b);
	buf_done(&b);
}

static Event *
push(Lab *l, EventType type, Lsn lsn)
{
	Event *ev = event_new(type);

	ev->lsn = lsn;
	event_push(&l->pipe, ev);
	return ev;
}

/* The frames so far become one packet. */
static void
flush(Lab *l)
{
	Buf *f = &l->packet;
	size_t n = CDC_S3_PACKET_HEADER + f->n;
	uint8_t *p = xcalloc(1, n);
	uint32_t crc = crc32c(0, f->p, f->n);
	Event *ev = event_new(EVENT_PACKETS);

	p[0] = CDC_S3_MAGIC_0;
	p[1] = CDC_S3_MAGIC_1;
	p[2] = CDC_S3_PROTO_VERSION;
	for (int i = 0; i < 4; i++)
		p[4 + i] = (uint8_t) (crc >> (8 * i));
	memcpy(p + CDC_S3_PACKET_HEADER, f->p, f->n);
	if (event_add_packet(ev, (Slice){ p, n }))
	{
		event_push(&l->pipe, ev);
		free(p);
	}
	else
	{
		free(ev->data);
		free(ev);
		event_push(&l->pipe, event_of_message((char *) p, n, 0));
	}
	buf_reset(f);
}

/* One whole transaction of one row. */
static void
transaction(Lab *l, uint32_t id, Lsn lsn, const char *value)
{
	begin(l, lsn, HOUR);
	insert(l, id, 1, value, strlen(value));
	commit(l, lsn);
}

/* The lines of an object, whose batches stay; what its entry is to say. */
static void
read_object(Object *o, Buf *out)
{
	BatchReader *r = batch_reader_new(ROW_WHOLE_MAX);
	FormatWriter *w = json_format.begin(output_form(o->table, 0));
	EntryObject *e = &o->place.list->objects[o->index];
	FramePart *part = NULL;
	BatchItem item;
	Err err;

	e->rows = 0;
	for (const Batch *b = o->first; b; b = b->next)
	{
		batch_reader_open(r, b);
		for (;;)
		{
			assert_true(batch_reader_next(r, &part, &item, &err));
			if (item.type == ITEM_END)
				break;
			if (item.type == ITEM_PART)
			{
				assert_true(json_format.add_item(w, &item.part, out, &err));
				e->rows += item.part.type == PART_DONE;
				continue;
			}
			if (!e->last_lsn)
			{
				e->first_lsn = item.change.lsn;
				e->first_seq = item.change.seq;
			}
			e->last_lsn = item.change.lsn;
			e->last_seq = item.change.seq;
			e->rows += item.type == ITEM_CHANGE;
			assert_true(item.type == ITEM_HEAD
							? json_format.add_head(w, &item.change, out, &err)
							: json_format.add(w, &item.change, out, &err));
		}
	}
	framepart_free(part);
	json_format.close(w);
	batch_reader_free(r);
}

/* What was pushed, and what the shippers would make of it. */
static void
run(Lab *l)
{
	assert_null(encode_main(&l->pipe));
	l->err = l->pipe.error;
	for (Object *o = l->pipe.alive; o; o = o->next)
	{
		Buf lines;

		buf_init(&lines, SIZE_MAX);
		read_object(o, o == l->pipe.alive ? &l->lines : &lines);
		buf_done(&lines);
	}
}

static void
stop(Lab *l)
{
	push(l, EVENT_STOP, 0)->deadline_ms = 0; /* at once */
	run(l);
}

static Checkpoint *
next_checkpoint(Lab *l)
{
	return (Checkpoint *) queue_pop(&l->pipe.checkpoints, 0);
}

static int64_t
rows(const Checkpoint *c)
{
	int64_t n = 0;

	for (int i = 0; i < c->entry->nobjects; i++)
		n += c->entry->objects[i].rows;
	return n;
}

/*
 * Tests
 */
static void
test_commit_and_stop(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "a");
	transaction(&l, 1, 3000, "b");
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->seq, 5);
	assert_int_equal(c->entry->end, 3000);
	assert_int_equal(c->entry->nobjects, 1);
	assert_int_equal(rows(c), 2);
	assert_int_equal(c->entry->nschemas, 1);
	assert_string_equal(c->entry->objects[0].key,
						"public/t/year=2026/month=11/day=21/hour=08/"
						"part-000000000005-0000-0a0b0c0d.json");
	checkpoint_free(c);
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/* What the log covers is sent again after a crash, and dropped. */
static void
test_covered(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, START, "covered: it ends where the log ends");
	transaction(&l, 1, START + 1, "new");
	flush(&l);
	stop(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(rows(c), 1);
	assert_int_equal(c->entry->objects[0].first_lsn, START + 1);
	checkpoint_free(c);
	lab_done(&l);
}

/*
 * A notice that asks for it becomes a record of the table that it names;
 * others, whoever wrote them, are nothing.
 */
static void
test_notice(void **state)
{
	static const char *const ignored[] = {
		"",
		"{}",
		"{\"oid\":1}",
		"{\"oid\":1,\"resync\":false}",
		"{\"oid\":1,\"resync\":\"true\"}",
		"{\"oid\":2,\"resync\":true}",
		"{\"oid\":-1,\"resync\":true}",
		"{\"oid\":4294967297,\"resync\":true}",
		"{\"oid\":\"1\",\"resync\":true}",
		"{\"resync\":true}",
		"{\"oid\":1,\"resync\":true",
		"[1,true]",
	};
	Lab l;
	Checkpoint *c;
	const Batch *b;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	begin(&l, 2000, HOUR);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		message(&l, "cdc_s3.ddl", CDC_S3_MSG_TRANSACTIONAL, i + 1, ignored[i]);
	message(&l, "cdc_s3.dd", CDC_S3_MSG_TRANSACTIONAL, 20,
			"{\"oid\":1,\"resync\":true}");
	message(&l, "cdc_s3.ddl", 0, 0, "{\"oid\":1,\"resync\":true}");
	message(&l, "cdc_s3.ddl", CDC_S3_MSG_TRANSACTIONAL, 21,
			"{\"oid\" : 1, \"action\" : \"rewrite\", \"resync\" : true}");
	message(&l, "cdc_s3.ddl", CDC_S3_MSG_TRANSACTIONAL, 22,
			"{\"oid\":1,\"action\":\"\\\"x\",\"resync\":true}");
	message(&l, "cdc_s3.ddl", CDC_S3_MSG_TRANSACTIONAL, 23,
			"{\"oid\":1,\"action\":\"publication\",\"resync\":true}");
	commit(&l, 2000);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(rows(c), 3);
	b = l.pipe.alive->first;
	assert_non_null(b);
	assert_non_null(strstr(buf_cstr(&l.lines), "{\"_op\":\"s\","));
	assert_non_null(
		strstr(buf_cstr(&l.lines), ",\"_reason\":\"publication\"}\n"));
	assert_non_null(strstr(buf_cstr(&l.lines), ",\"_reason\":\"rewrite\"}\n"));
	assert_non_null(strstr(buf_cstr(&l.lines), ",\"_reason\":\"other\"}\n"));
	checkpoint_free(c);
	lab_done(&l);

	lab_init(&l);
	relation(&l, 1, "t");
	message(&l, "cdc_s3.ddl", CDC_S3_MSG_TRANSACTIONAL, 1,
			"{\"oid\":1,\"resync\":true}");
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_DATA);
	lab_done(&l);
}

static void
check_item(const Entry *e, int i, const char *name, Lsn lsn, int64_t seq)
{
	assert_true(i < e->nschemas);
	assert_string_equal(e->schemas[i].table, name);
	assert_int_equal(e->schemas[i].lsn, lsn);
	assert_int_equal(e->schemas[i].seq, seq);
}

/* What became of tables makes an entry without any row. */
static void
test_tables(void **state)
{
	Lab l;
	Checkpoint *c;
	const Entry *e;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	begin(&l, 900, HOUR); /* the log has it */
	table_frame(&l, 1, 1, CDC_S3_TABLE_CREATED);
	commit(&l, 900);
	begin(&l, 2000, HOUR);
	table_frame(&l, 1, 1, CDC_S3_TABLE_CREATED);
	commit(&l, 2000);
	begin(&l, 3000, HOUR);
	table_frame(&l, 1, 1, 0); /* nothing new */
	relation(&l, 1, "u");
	table_frame(&l, 1, 2, 0);
	table_frame(&l, 9, 3, CDC_S3_TABLE_GONE);
	table_frame(&l, 1, 4, CDC_S3_TABLE_LEFT);
	commit(&l, 3000);
	flush(&l);
	push(&l, EVENT_CHECKPOINT, 0);
	begin(&l, 4000, HOUR);
	table_frame(&l, 1, 1, CDC_S3_TABLE_GONE);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	e = c->entry;
	assert_int_equal(e->nobjects, 0);
	assert_int_equal(e->nschemas, 4);
	check_item(e, 0, "t", 2000, 1);
	assert_true(e->schemas[0].created);
	check_item(e, 1, "u", 3000, 2);
	check_item(e, 2, "", 3000, 3);
	assert_true(e->schemas[2].gone && e->schemas[2].relation_id == 9);
	check_item(e, 3, "u", 3000, 4);
	assert_true(e->schemas[3].left);
	assert_int_equal(c->ntables, 2); /* the committer writes the files */
	checkpoint_free(c);
	assert_null(next_checkpoint(&l)); /* the last one was not committed */
	lab_done(&l);

	lab_init(&l);
	relation(&l, 1, "t");
	table_frame(&l, 1, 1, 0);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_DATA);
	lab_done(&l);
}

/* Rows that changed without changes are a record, once in a transaction. */
static void
test_rewritten(void **state)
{
	Lab l;
	Checkpoint *c;
	const char *line;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	begin(&l, 2000, HOUR);
	insert(&l, 1, 1, "a", 1);
	table_frame(&l, 1, 2, CDC_S3_TABLE_REWRITTEN);
	table_frame(&l, 1, 3, CDC_S3_TABLE_REWRITTEN);
	commit(&l, 2000);
	begin(&l, 3000, HOUR);
	table_frame(&l, 1, 1, CDC_S3_TABLE_CREATED | CDC_S3_TABLE_REWRITTEN);
	commit(&l, 3000);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(rows(c), 3);
	assert_int_equal(c->entry->nschemas, 2);
	check_item(c->entry, 0, "t", 2000, 1);
	check_item(c->entry, 1, "t", 3000, 1);
	line = strstr(buf_cstr(&l.lines), "{\"_op\":\"s\"");
	assert_non_null(line);
	assert_non_null(strstr(line, "\"_seq\":2"));
	assert_non_null(strstr(line, ",\"_reason\":\"rewrite\"}\n"));
	assert_null(strstr(line, "\"_seq\":3"));
	checkpoint_free(c);
	lab_done(&l);
}

/*
 * A row in parts is written as they come: its line goes through several
 * batches, behind an entry for what was committed before.
 */
static void
test_parts(void **state)
{
	const size_t n = (size_t) 20 << 20;
	const size_t part = (size_t) 1 << 20;
	char *value = xmalloc(n);
	Lab l;
	Checkpoint *c;
	Batch *b;
	Buf body;
	int batches = 0;

	(void) state;
	memset(value, 'v', n);
	lab_init(&l);
	budget_done(&l.pipe.budget);
	budget_init(&l.pipe.budget, (int64_t) 64 << 20);
	relation(&l, 1, "t");
	transaction(&l, 1, 1500, "before");
	begin(&l, 2000, HOUR);
	insert(&l, 1, 1, "a", 1);
	flush(&l);
	buf_init(&body, n + 4096);
	insert_body(&body, 1, 2, value, n);
	for (size_t at = 0; at < body.n; at += part)
	{
		size_t m = body.n - at < part ? body.n - at : part;
		Buf b_part;

		buf_init(&b_part, part + 16);
		buf_byte(&b_part, CDC_S3_INSERT);
		buf_byte(&b_part, 0);
		put(&b_part, at / part, 4);
		buf_add(&b_part, body.p + at, m);
		frame(&l, CDC_S3_PART, at + m == body.n ? CDC_S3_PART_LAST : 0,
			  &b_part);
		flush(&l);
		buf_done(&b_part);
	}
	insert(&l, 1, 3, "z", 1);
	commit(&l, 2000);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 1500);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(c->entry->nobjects, 1);
	assert_int_equal(c->entry->objects[0].rows, 3);
	assert_int_equal(c->entry->objects[0].first_seq, 1);
	assert_int_equal(c->entry->objects[0].last_seq, 3);
	checkpoint_free(c);
	for (Object *o = l.pipe.alive; o; o = o->next)
	{
		if (!strstr(o->key, "part-000000000006"))
			continue;
		for (b = o->first; b; b = b->next, batches++)
		{
			assert_true((int64_t) b->buf.n < l.pipe.budget.limit / 4);
			assert_true(b->next || !b->more);
		}
	}
	assert_true(batches > 1);
	assert_non_null(strstr(l.pipe.alive->key, "part-000000000006"));
	assert_true(l.lines.n > n);
	assert_non_null(
		strstr(buf_cstr(&l.lines), "\"v\":\"a\"}\n{\"_op\":\"i\","));
	assert_non_null(strstr(buf_cstr(&l.lines) + l.lines.n - 200,
						   "vvv\"}\n{\"_op\":\"i\","));
	buf_done(&body);
	free(value);
	lab_done(&l);
}

/* What names no row is counted with the rows that are committed. */
static void
test_no_key(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	log_init(LOG_ERROR, false);
	relation(&l, 1, "t");
	begin(&l, START, HOUR); /* covered by the log */
	delete_blindly(&l, 1, 1);
	commit(&l, START);
	begin(&l, 2000, HOUR);
	delete_blindly(&l, 1, 1);
	insert(&l, 1, 2, "a", 1);
	delete_blindly(&l, 1, 3);
	commit(&l, 2000);
	begin(&l, 3000, HOUR); /* never ends */
	delete_blindly(&l, 1, 1);
	flush(&l);
	stop(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(rows(c), 3);
	assert_int_equal(c->no_key, 2);
	checkpoint_free(c);
	lab_done(&l);
}

/* A transaction that is open at the stop is left behind, row by row. */
static void
test_open_transaction(void **state)
{
	Lab l;
	Checkpoint *c;
	const Batch *b;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "whole");
	begin(&l, 3000, HOUR);
	insert(&l, 1, 1, "half", 4);
	flush(&l);
	push(&l, EVENT_KEEPALIVE, 2900); /* in mid-transaction: says nothing */
	stop(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(rows(c), 1);
	b = l.pipe.alive->first;
	assert_non_null(b);
	assert_non_null(strstr(buf_cstr(&l.lines), "whole"));
	assert_null(strstr(buf_cstr(&l.lines), "half"));
	checkpoint_free(c);
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/* A person's wish in mid-transaction ends at the commit before it. */
static void
test_split(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "a");
	begin(&l, 3000, HOUR);
	insert(&l, 1, 1, "b", 1);
	flush(&l);
	push(&l, EVENT_CHECKPOINT, 0);
	insert(&l, 1, 2, "c", 1);
	commit(&l, 3000);
	flush(&l);
	stop(&l);
	c = next_checkpoint(&l);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(rows(c), 1);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->seq, 6);
	assert_int_equal(c->entry->end, 3000);
	assert_int_equal(rows(c), 2);
	assert_int_equal(c->entry->objects[0].first_seq, 1);
	assert_int_equal(c->entry->objects[0].last_seq, 2);
	checkpoint_free(c);
	lab_done(&l);
}

/* A keepalive moves the position while nothing is open. */
static void
test_keepalive(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	push(&l, EVENT_KEEPALIVE, 5000);
	push(&l, EVENT_KEEPALIVE, 4000); /* a lower one is ignored */
	stop(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 5000);
	assert_int_equal(c->entry->nobjects, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* Nothing new: no entry. */
static void
test_nothing(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	push(&l, EVENT_KEEPALIVE, START);
	push(&l, EVENT_CHECKPOINT, 0);
	stop(&l);
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/*
 * A transaction larger than the budget: an entry for all before it, then its
 * rows are shipped while it arrives, in one entry.
 */
static void
test_large_transaction(void **state)
{
	static char value[60000];
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	/* Nobody ships: so much more may be in use, as if it were events. */
	atomic_fetch_add(&l.pipe.queued_bytes, 2 << 20);
	memset(value, 'x', sizeof(value));
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "small");
	begin(&l, 3000, HOUR);
	for (uint64_t i = 1; i <= 40; i++)
	{
		insert(&l, 1, i, value, sizeof(value));
		flush(&l);
	}
	commit(&l, 3000);
	transaction(&l, 1, 4000, "after");
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(rows(c), 1);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 4000);
	assert_int_equal(rows(c), 41);
	/* Its batches and the transaction behind it share one object. */
	assert_int_equal(c->entry->nobjects, 1);
	assert_int_equal(c->entry->objects[0].first_lsn, 3000);
	assert_int_equal(c->entry->objects[0].last_lsn, 4000);
	checkpoint_free(c);
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/* The ordinals of the rows in an object's batches, which are full or last. */
static void
check_ordinals(Object *o, int64_t n)
{
	int64_t seen = 0;
	const char *p;
	Buf lines;

	for (const Batch *b = o->first; b; b = b->next)
		assert_true(batch_is_full(b) || b == o->last);
	buf_init(&lines, SIZE_MAX);
	read_object(o, &lines);
	p = buf_cstr(&lines);
	for (; *p; p = strchr(p, '\n') + 1)
		assert_int_equal(strtol(strstr(p, "\"_seq\":") + 7, NULL, 10), ++seen);
	buf_done(&lines);
	assert_int_equal(seen, n);
}

/*
 * Rows of an open transaction that fill several batches wait for its commit;
 * a checkpoint in between takes only what is committed.
 */
static void
test_full_batches_wait(void **state)
{
	static char value[60000];
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	memset(value, 'x', sizeof(value));
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "small");
	begin(&l, 3000, HOUR);
	for (uint64_t i = 1; i <= 15; i++)
	{
		insert(&l, 1, i, value, sizeof(value));
		flush(&l);
		if (i == 3 || i == 10)
			push(&l, EVENT_CHECKPOINT, 0);
	}
	commit(&l, 3000);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(rows(c), 1);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 3000);
	assert_int_equal(rows(c), 15);
	assert_int_equal(c->entry->nobjects, 1);
	assert_int_equal(c->entry->objects[0].first_seq, 1);
	assert_int_equal(c->entry->objects[0].last_seq, 15);
	check_ordinals(l.pipe.alive, 15); /* the newest is the first there */
	checkpoint_free(c);
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/*
 * Under the smallest limit, most of which may be reserved, what is open and too
 * little to be handed on leaves room for a row: nobody ships here, so that
 * waiting for room would never end.
 */
static void
test_small_limit(void **state)
{
	static char value[60000];
	Lab l;

	(void) state;
	lab_init(&l);
	memset(value, 'x', sizeof(value));
	budget_done(&l.pipe.budget);
	budget_init(&l.pipe.budget, 8 << 20);
	budget_reserve(&l.pipe.budget, 7 << 20);
	assert_int_equal(l.pipe.budget.limit, 2 << 20);
	relation(&l, 1, "t");
	begin(&l, 3000, HOUR);
	for (uint64_t i = 1; i <= 8; i++)
	{
		/* what an eighth row finds is nearly what is left open */
		assert_true(budget_used(&l.pipe.budget) < l.pipe.budget.limit / 4);
		insert(&l, 1, i, value, sizeof(value));
		flush(&l);
	}
	commit(&l, 3000);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_NONE);
	budget_reserve(&l.pipe.budget, -(7 << 20));
	lab_done(&l);
}

/* An hour is closed by an entry that covers the position asked for. */
static void
test_close_hour(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	push(&l, EVENT_CLOSE_HOUR, 2500)->time = (HOUR + 1) * US_PER_HOUR;
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "before");
	flush(&l);
	push(&l, EVENT_CHECKPOINT, 0);
	transaction(&l, 1, 2600, "covers it");
	transaction(&l, 1, 2700, "of an hour that is closed by now");
	flush(&l);
	stop(&l);
	c = next_checkpoint(&l);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(c->entry->closed_until, 0);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->closed_until, (HOUR + 1) * US_PER_HOUR);
	checkpoint_free(c);
	lab_done(&l);
}

/* A row whose hour is closed goes to the oldest open one; _ts stays. */
static void
test_late_row(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	l.start.closed_until = (HOUR + 3) * US_PER_HOUR;
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "late");
	flush(&l);
	stop(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_non_null(strstr(c->entry->objects[0].key, "/hour=11/"));
	assert_non_null(
		strstr(buf_cstr(&l.lines), "\"_ts\":\"2026-11-21T08:00:00.000000Z\""));
	checkpoint_free(c);
	lab_done(&l);
}

/* A load counts in an entry that ends at its consistent point or behind it. */
static void
test_load_done(void **state)
{
	LoadTable load = { .id = "00000000000000aa",
					   .schema = xstrdup("public"),
					   .name = xstrdup("t"),
					   .lsn = 2500,
					   .gone = true,
					   .list = entry_new() };
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	push(&l, EVENT_LOAD_DONE, 0)->load = &load;
	push(&l, EVENT_KEEPALIVE, 2499);
	push(&l, EVENT_CHECKPOINT, 0);
	push(&l, EVENT_KEEPALIVE, 2500);
	stop(&l);
	c = next_checkpoint(&l);
	assert_int_equal(c->entry->end, 2499);
	assert_int_equal(c->entry->nloads, 0);
	checkpoint_free(c);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 2500);
	assert_int_equal(c->entry->nloads, 1);
	assert_int_equal(c->entry->loads[0].state, LOAD_GIVEN_UP);
	checkpoint_free(c);
	entry_free(load.list);
	free(load.schema);
	free(load.name);
	lab_done(&l);
}

static void
test_damaged_packet(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "a");
	flush(&l);
	insert(&l, 1, 1, "outside", 7);
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_DATA);
	assert_true(atomic_load(&l.pipe.stop));
	assert_null(next_checkpoint(&l));
	lab_done(&l);
}

/* What a keepalive passed could be confirmed before it is durable. */
static void
test_commit_behind_keepalive(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "a");
	flush(&l);
	push(&l, EVENT_KEEPALIVE, 3000);
	transaction(&l, 1, 3000, "b");
	flush(&l);
	stop(&l);
	assert_int_equal(l.err.kind, ERR_DATA);
	assert_non_null(strstr(l.err.msg, "0/BB8"));
	lab_done(&l);
}

/* A session that breaks still writes what is committed. */
static void
test_abandoned(void **state)
{
	Lab l;
	Checkpoint *c;

	(void) state;
	lab_init(&l);
	relation(&l, 1, "t");
	transaction(&l, 1, 2000, "a");
	begin(&l, 3000, HOUR);
	insert(&l, 1, 1, "lost", 4);
	flush(&l);
	push(&l, EVENT_ABANDON, 0);
	run(&l);
	c = next_checkpoint(&l);
	assert_non_null(c);
	assert_int_equal(c->entry->end, 2000);
	assert_int_equal(rows(c), 1);
	checkpoint_free(c);
	lab_done(&l);
}

/* Its own folder, or where that is complete the one that is open. */
static void
test_folder(void **state)
{
	static const struct
	{
		const char *text, *zone;
		int64_t time, closed_until, want; /* minutes since HOUR */
	} rows[] = {
		{ PATH_DEFAULT, "UTC", 90, 0, 60 },
		{ PATH_DEFAULT, "UTC", 90, 60, 60 },
		{ PATH_DEFAULT, "UTC", 90, 120, 120 },
		{ PATH_DEFAULT, "UTC", -9000, 120, 120 },
		/* hours from half past to half past: closed by the hour behind */
		{ PATH_DEFAULT, "+05:30", 45, 60, 30 },
		{ PATH_DEFAULT, "+05:30", 15, 60, 30 },
		{ PATH_DEFAULT, "+05:30", 45, 120, 90 },
		/* the day began eight hours ago, and goes on */
		{ "{schema}/{table}/{yyyy}{mm}{dd}", "UTC", 90, 600, -480 },
		{ "{schema}/{table}/{yyyy}{mm}{dd}", "UTC", 90, 960, 960 },
		{ "{schema}/{table}/{yyyy}{mm}{dd}{hh}{mi}", "UTC", 90, 0, 90 },
		{ "{schema}/{table}/{yyyy}{mm}{dd}{hh}{mi}", "UTC", 90, 120, 120 },
	};
	static const int64_t minute = 60 * US_PER_SEC;
	static const int64_t start = HOUR * US_PER_HOUR;

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		RunOptions options = { .slot = "s" };
		Pipe pipe = { .options = &options };
		Path *path;
		int64_t got;
		Err err;

		assert_true(
			path_parse(rows[i].text, zone_fixed(rows[i].zone), &path, &err));
		options.path = path;
		got = pipe_folder(&pipe, start + rows[i].time * minute,
						  start + rows[i].closed_until * minute);
		if (got != start + rows[i].want * minute)
			fail_msg("row %zu: %lld", i, (long long) ((got - start) / minute));
		path_free(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_commit_and_stop),
		cmocka_unit_test(test_commit_behind_keepalive),
		cmocka_unit_test(test_covered),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_open_transaction),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_large_transaction),
		cmocka_unit_test(test_full_batches_wait),
		cmocka_unit_test(test_small_limit),
		cmocka_unit_test(test_close_hour),
		cmocka_unit_test(test_late_row),
		cmocka_unit_test(test_load_done),
		cmocka_unit_test(test_damaged_packet),
		cmocka_unit_test(test_abandoned),
	};

	return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
