/*-------------------------------------------------------------------------
 * ship.c
 *	  Shippers: threads that write changes as their format has them, compress
 *	  that, and write objects.  Putters: threads that only wait for the store.
 *
 * A batch's changes are formatted and compressed a piece at a time, so that
 * nothing here is sized by a batch: names make a line ten times as long as its
 * change.  An object of one piece, closed before a shipper came to it, is one
 * frame and one put: so are most where there are many tables.  A small one goes
 * on to a putter, so that a store's answer, tens of milliseconds on a network,
 * is not waited for with a compressor in hand, and several are waited for at
 * a time.  Any other is a frame that grows with each piece, sent in parts; its
 * last part, or all of it when there is only one, goes out when it is closed.
 *
 * A call to the store that fails with what may pass is repeated for as long
 * as the session lives, with bytes that are still held.  Where an upload is
 * lost (ERR_GONE) its first parts are not held any more: the session ends,
 * and the next one begins at the log.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/ship.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scale.h"
#include "base/stats.h"
#include "codec/hash.h"
#include "pipe/batch_read.h"
#include "pipe/object.h"
#include "pipe/output.h"
#include "pipe/split.h"

#define OBJECT_MAX_BYTES ((size_t) 4 << 30)
#define PUT_BYTES ((size_t) (64 << 10) / SCALE)   /* a small one is shorter */
#define PIECE_BYTES ((size_t) (64 << 10) / SCALE) /* so far "lines" grow */

/*
 * The fastest level: JSON lines repeat so much that higher ones gain a few
 * percent for twice the time (test/bench/stages.c).
 */
#define LEVEL 1
#define LEVEL_SHED (-5) /* of zstd */

/* Of memory.limit, the part that one object's row group may hold. */
#define FORM_SHARE 16

typedef struct Shipper
{
	Pipe *p;
	OutputStores stores;
	Store *store; /* of the object at hand */
	BatchReader *reader;
	Compressor *spare[COMPRESS_KINDS]; /* NULL while an object has it */
	Buf lines;                         /* a piece, as the format writes it */
	Buf out;                           /* compressed */
	int64_t reserved; /* for these, which keep what they have */
} Shipper;

/* Brings the budget up to date with what shipper and object hold. */
static void
account(Shipper *s, Object *o)
{
	int64_t kept =
		(int64_t) (s->lines.cap + s->out.cap + batch_reader_memory(s->reader));
	int64_t held =
		o->compressor ? (int64_t) compressor_memory(o->compressor) : 0;

	if (o->form)
		held += (int64_t) o->format->memory(o->form);
	for (int i = 0; i < COMPRESS_KINDS; i++)
	{
		if (s->spare[i])
			kept += (int64_t) compressor_memory(s->spare[i]);
	}
	if (o->writer)
		held += (int64_t) store_writer_memory(o->writer);
	budget_reserve(&s->p->budget, kept - s->reserved);
	object_hold(s->p, o, held);
	s->reserved = kept;
}

static int
level_now(const Shipper *s, Compression kind)
{
	return kind == COMPRESS_ZSTD && atomic_load(&s->p->options->control->shed)
			   ? LEVEL_SHED
			   : LEVEL;
}

static Compressor *
take_compressor(Shipper *s, const Object *o)
{
	Compression kind = o->compression;
	Compressor *c = s->spare[kind];
	int level = level_now(s, kind);

	s->spare[kind] = NULL;
	if (c && compressor_level(c) == level)
		return c;
	compressor_free(c);
	return compressor_new(kind, level);
}

/* Puts a whole object, and the schema file that comes with it. */
static bool
put_object(Pipe *p, Store *store, Object *o, Slice body, Err *err)
{
	bool ok;

	FAULT_POINT("object_put_before");
	do
		ok = store_put(store, o->key, body, false, err);
	while (!ok && output_again(p, o->output, "writing an object", err));
	FAULT_POINT("object_put_after");
	if (ok)
		output_works(p, o->output);
	return ok && (!o->brings_file || table_put_file(p, store, o->table, err));
}

/* What was compressed goes on to a putter. */
static void
hand_on(Shipper *s, Object *o, Slice whole)
{
	uint8_t *body = xmalloc(whole.n + 1);

	memcpy(body, whole.p, whole.n);
	o->body = (Slice){ body, whole.n };
	budget_charge(&s->p->budget, (int64_t) o->body.n);
	queue_push(&s->p->puts, &o->link);
}

/* All of the object is in s->lines; *out_gone: o is a putter's now. */
static bool
put_whole(Shipper *s, Object *o, bool *out_gone, Slice *out_whole, Err *err)
{
	*out_whole = buf_slice(&s->lines);
	if (!o->format->compresses)
	{
		Compression kind = o->compression;

		s->spare[kind] = take_compressor(s, o);
		buf_reset(&s->out);
		if (!compressor_run(s->spare[kind], *out_whole, &s->out, err))
			return err_prefix(err, "could not compress \"%s\"", o->key);
		*out_whole = buf_slice(&s->out);
	}
	account(s, o);
	*out_gone =
		s->p->putters > 0 && out_whole->n > 0 && out_whole->n < PUT_BYTES;
	if (!*out_gone)
		return put_object(s->p, s->store, o, *out_whole, err);
	hand_on(s, o, *out_whole);
	return true;
}

/* Appends stored bytes; with "last" the object is to be there then. */
static bool
write_out(Shipper *s, Object *o, Slice rest, bool last, Err *err)
{
	bool ok;

	do
		ok = (rest.n == 0 || store_writer_append(o->writer, &rest, err)) &&
			 (!last || store_writer_commit(o->writer, err));
	while (!ok && output_again(s->p, o->output, "writing an object", err));
	if (ok && rest.n > 0)
		output_works(s->p, o->output);
	return ok;
}

static bool
write_piece(Shipper *s, Object *o, Slice piece, bool last, Err *err)
{
	bool ok;

	if (o->format->compresses)
		ok = write_out(s, o, piece, last, err);
	else
	{
		buf_reset(&s->out);
		if (!compressor_add(o->compressor, piece, last, &s->out, err))
			return err_prefix(err, "could not compress \"%s\"", o->key);
		ok = write_out(s, o, buf_slice(&s->out), last, err);
	}
	account(s, o);
	return ok;
}

/* The compressor of an object that is at its end. */
static void
take_back(Shipper *s, Object *o)
{
	Compressor **spare = &s->spare[o->compression];

	if (!o->compressor || *spare)
		return;
	*spare = o->compressor;
	o->compressor = NULL;
	account(s, o);
}

/*
 * Adds what is in s->lines to the object, which with "last" is durable then.
 * A long value's line is longer than a piece.
 */
static bool
append(Shipper *s, Object *o, bool last, Err *err)
{
	Slice lines = buf_slice(&s->lines);
	bool end;

	if (!o->writer)
	{
		if (!o->format->compresses)
		{
			if (!o->compressor)
				o->compressor = take_compressor(s, o);
			compressor_begin(o->compressor);
		}
		o->writer = store_writer_new(s->store, o->key, 0);
		object_started(s->p, o);
	}
	store_writer_move(o->writer, s->store);
	do
	{
		Slice piece = lines;

		if (piece.n > PIECE_BYTES)
			piece.n = PIECE_BYTES;
		lines.p += piece.n;
		lines.n -= piece.n;
		end = last && lines.n == 0;
		if (!write_piece(s, o, piece, end, err))
			return false;
	} while (lines.n > 0);
	buf_reset(&s->lines);
	if (last)
		take_back(s, o);
	return true;
}

/* The object is durable. */
static void
written(Pipe *p, Object *o, const ObjectSum *sum)
{
	log_debug("object written", "object", o->key, "bytes", log_int(sum->bytes),
			  NULL);
	object_done(p, o, sum);
}

static ObjectSum
sum_of(const Store *store, Slice body)
{
	ObjectSum sum = { .bytes = (int64_t) body.n,
					  .crc32c = crc32c(0, body.p, body.n) };

	if (store_has_key(store))
		sha256_hex(body.p, body.n, sum.sha256);
	return sum;
}

/* What the format has not told yet, and then the object is durable. */
static bool
end_long(Shipper *s, Object *o, ObjectSum *out, Err *err)
{
	if (!append(s, o, true, err) ||
		(o->brings_file && !table_put_file(s->p, s->store, o->table, err)))
		return false;
	out->bytes = store_writer_bytes(o->writer);
	out->crc32c = store_writer_crc32c(o->writer);
	store_writer_sha256(o->writer, out->sha256);
	return true;
}

static void
count_groups(const Format *f, const FormatWriter *form)
{
	const FormatGroups *g = f->groups ? f->groups(form) : NULL;

	for (int i = 0; g && i < GROUP_ENDS; i++)
	{
		count_add(&stats.row_groups[i], g->all[i]);
		count_add(&stats.row_groups_small[i], g->small[i]);
	}
}

/* All that the format has is in s->lines, and its memory is given back. */
static bool
end_format(Shipper *s, Object *o, Err *err)
{
	const Format *f = o->format;

	if (!o->form) /* an object without rows: its maker closed it in between */
		o->form = f->begin(o->table_form);
	if (!f->end(o->form, &s->lines, err))
		return err_prefix(err, "could not write \"%s\"", o->key);
	count_groups(f, o->form);
	f->close(o->form);
	o->form = NULL;
	return true;
}

/* The object's end.  *out_gone: a putter has it. */
static bool
end_object(Shipper *s, Object *o, bool *out_gone, ObjectSum *out, Err *err)
{
	Slice whole;

	*out_gone = false;
	if (!end_format(s, o, err))
		return false;
	if (o->writer || s->lines.n > PIECE_BYTES)
		return end_long(s, o, out, err);
	if (!put_whole(s, o, out_gone, &whole, err))
		return false;
	if (!*out_gone)
		*out = sum_of(s->store, whole);
	return true;
}

/* More rows come than the object is to hold: they go into the next one. */
static bool
cut(Shipper *s, Object *o, Err *err)
{
	ObjectSum sum;

	if (!end_format(s, o, err) || !end_long(s, o, &sum, err))
		return false;
	log_debug("object written", "object", o->key, "bytes", log_int(sum.bytes),
			  NULL);
	object_next(s->p, o, &sum);
	return true;
}

/* What the format has written, or holds to write it, before compression. */
static int64_t
plain_bytes(const Object *o)
{
	if (!o->format->plain)
		return o->written;
	return o->form ? (int64_t) o->format->plain(o->form) : 0;
}

static bool
is_full(const Pipe *p, const Object *o)
{
	int64_t max = output_max_bytes(p, o->output);
	int64_t rows = output_max_rows(p, o->output);

	return plain_bytes(o) >= (max > 0 ? max : OBJECT_FULL_BYTES) ||
		   (rows > 0 && o->rows >= rows);
}

static bool
ends_row(const BatchItem *item)
{
	return item->type == ITEM_CHANGE ||
		   (item->type == ITEM_PART && item->part.type == PART_DONE);
}

static bool
add_item(Shipper *s, Object *o, const BatchItem *item, Err *err)
{
	const Format *f = o->format;
	size_t start = s->lines.n;
	bool ok;

	if (!o->form)
		o->form = f->begin(o->table_form);
	if (item->type == ITEM_PART)
		ok = f->add_item(o->form, &item->part, &s->lines, err);
	else
	{
		o->last_row = (Position){ item->change.lsn, item->change.seq };
		if (o->rows == 0)
			o->first_row = o->last_row;
		o->ops[seen_op(item->change.op)]++;
		ok = item->type == ITEM_HEAD
				 ? f->add_head(o->form, &item->change, &s->lines, err)
				 : f->add(o->form, &item->change, &s->lines, err);
	}
	o->rows += ends_row(item);
	o->written += (int64_t) (s->lines.n - start);
	return ok;
}

/* A record, in the object that has room for it. */
static bool
add_record(Shipper *s, Object *o, const BatchItem *item, Err *err)
{
	if (item->type != ITEM_PART && is_full(s->p, o) && !cut(s, o, err))
		return false;
	return add_item(s, o, item, err);
}

/* An update that changes its key, as the two changes that split.h makes. */
static bool
add_split(Shipper *s, Object *o, const BatchItem *item, Err *err)
{
	BatchItem gone = { .type = ITEM_CHANGE,
					   .change = split_gone(&item->change) };
	BatchItem come = { .type = ITEM_CHANGE,
					   .change = split_come(&item->change) };

	return add_record(s, o, &gone, err) && add_record(s, o, &come, err);
}

/* The same of a row in parts, once its old row is through. */
static bool
add_split_part(Shipper *s, Object *o, Err *err)
{
	BatchItem item = { .type = ITEM_CHANGE,
					   .change = split_part_gone(o->split) };
	bool ok = add_record(s, o, &item, err);

	item =
		(BatchItem){ .type = ITEM_HEAD, .change = split_part_come(o->split) };
	ok = ok && add_record(s, o, &item, err);
	item.type = ITEM_PART;
	while (ok && split_next(o->split, &item.part))
		ok = add_item(s, o, &item, err);
	split_free(o->split);
	o->split = NULL;
	return ok;
}

static bool
take_item(Shipper *s, Object *o, const BatchItem *item, Err *err)
{
	bool whole = item->type == ITEM_CHANGE;
	bool end;

	if (item->type == ITEM_PART && o->split)
	{
		if (!split_take(o->split, o->table, &item->part, &end, err))
			return false;
		return !end || add_split_part(s, o, err);
	}
	if (whole && s->p->options->fill_unchanged)
		split_fill(&item->change);
	if (item->type == ITEM_PART || !split_wants(o->table, &item->change))
		return add_record(s, o, item, err);
	if (whole)
		return add_split(s, o, item, err);
	o->split = split_new(&item->change, o->table->shape->ncols);
	return true;
}

/*
 * What a format holds back, where it is more than one object is to have; less
 * than makes a row group that is worth it only where memory is short.
 */
static bool
shrink(Shipper *s, Object *o, Err *err)
{
	const Format *f = o->format;
	size_t share = (size_t) s->p->options->memory_limit / FORM_SHARE;

	return !f->shrink || !o->form || f->memory(o->form) < share ||
		   (f->waiting(o->form) < GROUP_SMALL_BYTES &&
			!object_too_many(s->p)) ||
		   f->shrink(o->form, &s->lines, err) ||
		   err_prefix(err, "could not write \"%s\"", o->key);
}

/* The changes of a batch to s->lines, and on from there where they are many. */
static bool
format_batch(Shipper *s, Object *o, const Batch *b, Err *err)
{
	BatchItem item;
	int64_t rows = 0;

	batch_reader_open(s->reader, b);
	for (;;)
	{
		if (!batch_reader_next(s->reader, &o->part, &item, err))
			return false;
		if (item.type == ITEM_END)
			break;
		rows += ends_row(&item);
		if (!take_item(s, o, &item, err))
			return err_prefix(err, "could not write \"%s\"", o->key);
		if (s->lines.n >= PIECE_BYTES && !append(s, o, false, err))
			return false;
	}
	/* what was routed is what was written */
	return rows == b->rows ||
		   err_set(err, ERR_INTERNAL, 0,
				   "a batch of \"%s\" has %lld rows, of %lld that came", o->key,
				   (long long) rows, (long long) b->rows);
}

/* One batch of the object, or its end. */
static bool
ship(Shipper *s, Object *o, Err *err)
{
	bool last;
	Batch *b;
	ObjectSum sum;
	bool gone;
	bool ok;

	if (!output_store(s->p, &s->stores, o->output, &s->store, err))
		return false;
	b = object_take(s->p, o, &last);
	buf_reset(&s->lines);
	if (s->lines.cap > 16 * PIECE_BYTES)
		buf_done(&s->lines); /* a long row was in it */
	ok = !b || (format_batch(s, o, b, err) && shrink(s, o, err));
	batch_free(s->p, b);
	if (!ok)
		return false;
	if (!last)
	{
		if (!append(s, o, false, err))
			return false;
		object_yield(s->p, o);
		return true;
	}
	if (!end_object(s, o, &gone, &sum, err))
		return false;
	if (!gone)
		written(s->p, o, &sum);
	return true;
}

/* The same of any output; one that is detached gets no more. */
static bool
ship_or_drop(Shipper *s, Object *o, Err *err)
{
	if (!output_is_detached(s->p, o->output))
	{
		if (ship(s, o, err))
			return true;
		if (err->kind == ERR_STOP || !output_is_detached(s->p, o->output))
			return false;
	}
	object_drop(s->p, o);
	return true;
}

/* The next of a queue; waiting for it is no work. */
static Object *
take(Queue *q)
{
	QueueItem *item;

	beat_waits();
	item = queue_pop(q, -1);
	beat_works();
	return (Object *) item;
}

void *
ship_main(void *arg)
{
	Shipper s = { .p = arg };
	Err err = { 0 };
	Object *o;
	bool ok;

	beat_begin("shipper");
	ok = output_store(s.p, &s.stores, 0, &s.store, &err);
	s.reader = batch_reader_new(ROW_WHOLE_MAX);
	buf_init(&s.lines, OBJECT_MAX_BYTES);
	buf_init(&s.out, OBJECT_MAX_BYTES);
	while (ok && (o = take(&s.p->objects)) != NULL)
	{
		ok = !atomic_load(&s.p->stop) || err_set(&err, ERR_STOP, 0, "stopped");
		ok = ok && ship_or_drop(&s, o, &err);
	}
	if (!ok)
		pipe_fail(s.p, &err);
	budget_reserve(&s.p->budget, -s.reserved);
	batch_reader_free(s.reader);
	buf_done(&s.lines);
	buf_done(&s.out);
	for (int i = 0; i < COMPRESS_KINDS; i++)
		compressor_free(s.spare[i]);
	output_stores_close(&s.stores);
	beat_end();
	return NULL;
}

static bool
put_or_drop(Pipe *p, OutputStores *stores, Object *o, Err *err)
{
	Store *store;

	if (!output_is_detached(p, o->output))
	{
		if (output_store(p, stores, o->output, &store, err) &&
			put_object(p, store, o, o->body, err))
		{
			ObjectSum sum = sum_of(store, o->body);

			written(p, o, &sum);
			return true;
		}
		if (err->kind == ERR_STOP || !output_is_detached(p, o->output))
			return false;
	}
	object_drop(p, o);
	return true;
}

void *
put_main(void *arg)
{
	Pipe *p = arg;
	OutputStores stores = { 0 };
	Store *store;
	Err err = { 0 };
	Object *o;
	bool ok;

	beat_begin("putter");
	ok = output_store(p, &stores, 0, &store, &err);
	while (ok && (o = take(&p->puts)) != NULL)
	{
		ok = !atomic_load(&p->stop) || err_set(&err, ERR_STOP, 0, "stopped");
		ok = ok && put_or_drop(p, &stores, o, &err);
	}
	if (!ok)
		pipe_fail(p, &err);
	output_stores_close(&stores);
	beat_end();
	return NULL;
}

/*
 * A Store that makes each call once: the session's end waits for it.  NULL
 * where the session ended because the store does not answer.
 */
static Store *
open_to_abandon(Pipe *p, int output)
{
	StoreOptions o =
		output ? output_options(p, output)->store : p->options->store;
	Store *store;
	Err err;

	if (err_is_retryable(p->error.kind) || output_is_detached(p, output))
		return NULL;
	o.retry_ms = 0;
	o.stop = NULL;
	return store_open(&o, &store, &err) ? store : NULL;
}

void
ship_abandon(Pipe *p)
{
	OutputStores stores = { 0 };
	bool tried[OUTPUTS_MAX] = { false };

	while (queue_pop(&p->objects, 0) || queue_pop(&p->puts, 0))
		; /* all of them are in p->alive */
	while (p->alive)
	{
		Object *o = p->alive;

		if (o->writer && store_writer_has_upload(o->writer))
		{
			Store **store = &stores.of[o->output];

			if (!tried[o->output])
				*store = open_to_abandon(p, o->output);
			tried[o->output] = true;
			if (*store)
			{
				store_writer_move(o->writer, *store);
				store_writer_free(o->writer);
				o->writer = NULL;
			}
		}
		object_free(p, o);
	}
	output_stores_close(&stores);
}
