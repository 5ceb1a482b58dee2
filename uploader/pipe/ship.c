/*-------------------------------------------------------------------------
 * ship.c
 *	  Shippers: threads that compress batches and write objects.  Putters:
 *	  threads that only wait for the store.
 *
 * An object of one batch, closed before a shipper came to it, is one frame
 * and one put: so are most where there are many tables.  A small one goes on
 * to a putter, so that a store's answer, tens of milliseconds on a network,
 * is not waited for with a compressor in hand, and several are waited for at
 * a time.  Any other is a frame that grows with each batch, sent in parts; its
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

#include "base/log.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "pipe/object.h"

#define OBJECT_MAX_BYTES ((size_t) 4 << 30)
#define PUT_BYTES ((size_t) 64 << 10)    /* a small object is shorter */
#define PIECE_BYTES ((size_t) 256 << 10) /* of lines: so far "out" may grow */

/*
 * The fastest level: JSON lines repeat so much that higher ones gain a few
 * percent for twice the time (test/bench/stages.c).
 */
#define LEVEL 1

typedef struct Shipper
{
	Pipe *p;
	Store *store;
	Compressor *compressor; /* NULL while an object has it */
	Buf out;
	int64_t reserved; /* for both, which keep what they have */
} Shipper;

/* Brings the budget up to date with what shipper and object hold. */
static void
account(Shipper *s, Object *o)
{
	int64_t kept = (int64_t) s->out.cap;
	int64_t held =
		o->compressor ? (int64_t) compressor_memory(o->compressor) : 0;

	if (s->compressor)
		kept += (int64_t) compressor_memory(s->compressor);
	if (o->writer)
		held += (int64_t) store_writer_memory(o->writer);
	budget_reserve(&s->p->budget, kept - s->reserved);
	object_hold(s->p, o, held);
	s->reserved = kept;
}

static Compressor *
take_compressor(Shipper *s)
{
	Compressor *c = s->compressor;

	s->compressor = NULL;
	return c ? c : compressor_new(s->p->options->compression, LEVEL);
}

/* Puts a whole object, and the schema file that comes with it. */
static bool
put_object(Pipe *p, Store *store, Object *o, Slice body, Err *err)
{
	bool ok;

	do
		ok = store_put(store, o->key, body, false, err);
	while (!ok && pipe_again(p, "writing an object", err));
	return ok && (!o->brings_file || table_put_file(p, store, o->table, err));
}

/* What was compressed goes on to a putter. */
static void
hand_on(Shipper *s, Object *o)
{
	uint8_t *body = xmalloc(s->out.n + 1);

	memcpy(body, s->out.p, s->out.n);
	o->body = (Slice){ body, s->out.n };
	budget_charge(&s->p->budget, (int64_t) o->body.n);
	queue_push(&s->p->puts, &o->link);
}

/* The whole object is in b; *out_gone: o is a putter's now. */
static bool
put_whole(Shipper *s, Object *o, Batch *b, bool *out_gone, Err *err)
{
	if (!s->compressor)
		s->compressor = take_compressor(s);
	if (!compressor_run(s->compressor, buf_slice(&b->buf), &s->out, err))
		return err_prefix(err, "could not compress \"%s\"", o->key);
	account(s, o);
	/* The lines are not needed any more, only their compressed form. */
	budget_charge(&s->p->budget, -(int64_t) b->buf.cap);
	b->charged -= (int64_t) b->buf.cap;
	buf_done(&b->buf);
	*out_gone = s->p->putters > 0 && s->out.n > 0 && s->out.n < PUT_BYTES;
	if (!*out_gone)
		return put_object(s->p, s->store, o, buf_slice(&s->out), err);
	hand_on(s, o);
	return true;
}

/* Appends what is in s->out; with "last" the object is to be there then. */
static bool
write_out(Shipper *s, Object *o, bool last, Err *err)
{
	Slice rest = buf_slice(&s->out);
	bool ok;

	do
		ok = (rest.n == 0 || store_writer_append(o->writer, &rest, err)) &&
			 (!last || store_writer_commit(o->writer, err));
	while (!ok && pipe_again(s->p, "writing an object", err));
	return ok;
}

/* Adds lines to the object, which with "last" is durable then. */
static bool
append(Shipper *s, Object *o, Slice lines, bool last, Err *err)
{
	bool end;

	if (!o->writer)
	{
		o->compressor = take_compressor(s);
		compressor_begin(o->compressor);
		o->writer = store_writer_new(s->store, o->key, 0);
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
		buf_reset(&s->out);
		if (!compressor_add(o->compressor, piece, end, &s->out, err))
			return err_prefix(err, "could not compress \"%s\"", o->key);
		if (!write_out(s, o, end, err))
			return false;
		account(s, o);
	} while (lines.n > 0);
	if (last && !s->compressor)
	{
		s->compressor = o->compressor;
		o->compressor = NULL;
		account(s, o);
	}
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

static void
finish(Shipper *s, Object *o)
{
	ObjectSum sum;

	if (o->writer)
	{
		sum.bytes = store_writer_bytes(o->writer);
		sum.crc32c = store_writer_crc32c(o->writer);
		store_writer_sha256(o->writer, sum.sha256);
	}
	else
		sum = sum_of(s->store, buf_slice(&s->out));
	written(s->p, o, &sum);
}

/* One batch of the object, or its end. */
static bool
ship(Shipper *s, Object *o, Err *err)
{
	bool last;
	Batch *b = object_take(s->p, o, &last);
	bool gone = false;
	bool ok;

	buf_reset(&s->out);
	if (b && last && !o->writer)
		ok = put_whole(s, o, b, &gone, err);
	else
	{
		ok = append(s, o, b ? buf_slice(&b->buf) : (Slice){ 0 }, last, err);
		if (ok && last && o->brings_file)
			ok = table_put_file(s->p, s->store, o->table, err);
	}
	batch_free(s->p, b);
	if (!ok || gone)
		return ok;
	if (last)
		finish(s, o);
	else
		object_yield(s->p, o);
	return true;
}

void *
ship_main(void *arg)
{
	Shipper s = { .p = arg };
	Err err = { 0 };
	QueueItem *item;
	bool ok = pipe_open_store(s.p, &s.store, &err);

	buf_init(&s.out, OBJECT_MAX_BYTES);
	while (ok && (item = queue_pop(&s.p->objects, -1)) != NULL)
	{
		ok = !atomic_load(&s.p->stop) || err_set(&err, ERR_STOP, 0, "stopped");
		ok = ok && ship(&s, (Object *) item, &err);
	}
	if (!ok)
		pipe_fail(s.p, &err);
	budget_reserve(&s.p->budget, -s.reserved);
	buf_done(&s.out);
	compressor_free(s.compressor);
	store_close(s.store);
	return NULL;
}

void *
put_main(void *arg)
{
	Pipe *p = arg;
	Store *store = NULL;
	Err err = { 0 };
	QueueItem *item;
	bool ok = pipe_open_store(p, &store, &err);

	while (ok && (item = queue_pop(&p->puts, -1)) != NULL)
	{
		Object *o = (Object *) item;

		ok = !atomic_load(&p->stop) || err_set(&err, ERR_STOP, 0, "stopped");
		ok = ok && put_object(p, store, o, o->body, &err);
		if (ok)
		{
			ObjectSum sum = sum_of(store, o->body);

			written(p, o, &sum);
		}
	}
	if (!ok)
		pipe_fail(p, &err);
	store_close(store);
	return NULL;
}

/*
 * A Store that makes each call once: the session's end waits for it.  NULL
 * where the session ended because the store does not answer.
 */
static Store *
open_to_abandon(Pipe *p)
{
	StoreOptions o = p->options->store;
	Store *store;
	Err err;

	if (err_is_retryable(p->error.kind))
		return NULL;
	o.retry_ms = 0;
	o.stop = NULL;
	return store_open(&o, &store, &err) ? store : NULL;
}

void
ship_abandon(Pipe *p)
{
	Store *store = NULL;
	bool tried = false;

	while (queue_pop(&p->objects, 0) || queue_pop(&p->puts, 0))
		; /* all of them are in p->alive */
	while (p->alive)
	{
		Object *o = p->alive;

		if (o->writer && store_writer_has_upload(o->writer))
		{
			if (!tried)
				store = open_to_abandon(p);
			tried = true;
			if (store)
			{
				store_writer_move(o->writer, store);
				store_writer_free(o->writer);
				o->writer = NULL;
			}
		}
		object_free(p, o);
	}
	store_close(store);
}
