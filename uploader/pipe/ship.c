/*-------------------------------------------------------------------------
 * ship.c
 *	  Shippers: threads that compress sealed batches and put them.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/ship.h"

#include "base/log.h"
#include "codec/hash.h"
#include "pipe/checkpoint.h"

#define OBJECT_MAX_BYTES ((size_t) 4 << 30)

/*
 * The fastest level: JSON lines repeat so much that higher ones gain a few
 * percent for twice the time (test/bench/stages.c).
 */
#define LEVEL 1

typedef struct Shipper
{
	Pipe *p;
	Store *store;
	Compressor *compressor;
	Buf out;
	int64_t charged;  /* for out */
	int64_t reserved; /* for the compressor, which keeps what it has */
} Shipper;

/* The object is durable: tell its checkpoint, or its load. */
static void
report(Pipe *p, const Batch *b, int64_t bytes, uint32_t crc)
{
	Entry *list = b->load ? b->load->list : b->checkpoint->entry;
	int *outstanding =
		b->load ? &b->load->outstanding : &b->checkpoint->outstanding;

	pthread_mutex_lock(&p->lock);
	list->objects[b->object].bytes = bytes;
	list->objects[b->object].crc32c = crc;
	--*outstanding;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void
charge(Shipper *s)
{
	int64_t size = (int64_t) s->out.cap;
	int64_t kept = (int64_t) compressor_memory(s->compressor);

	budget_charge(&s->p->budget, size - s->charged);
	budget_reserve(&s->p->budget, kept - s->reserved);
	s->charged = size;
	s->reserved = kept;
}

static bool
ship(Shipper *s, Batch *b, Err *err)
{
	Pipe *p = s->p;
	uint32_t crc;
	bool ok;

	buf_reset(&s->out);
	if (!compressor_run(s->compressor, buf_slice(&b->buf), &s->out, err))
		return err_prefix(err, "could not compress \"%s\"", b->key);
	charge(s);
	/* The lines are not needed any more, only their compressed form. */
	budget_charge(&p->budget, -(int64_t) b->buf.cap);
	b->charged -= (int64_t) b->buf.cap;
	buf_done(&b->buf);

	crc = crc32c(0, s->out.p, s->out.n);
	do
	{
		ok = store_put(s->store, b->key, buf_slice(&s->out), false, err);
	} while (!ok && pipe_again(p, "writing an object", err));
	if (!ok)
		return false;
	log_debug("object written", "object", b->key, "rows", log_int(b->rows),
			  "bytes", log_int((int64_t) s->out.n), NULL);
	report(p, b, (int64_t) s->out.n, crc);
	return true;
}

void *
ship_main(void *arg)
{
	Shipper s = { .p = arg };
	Err err = { 0 };
	QueueItem *item;
	bool ok = pipe_open_store(s.p, &s.store, &err);

	s.compressor = compressor_new(s.p->options->compression, LEVEL);
	buf_init(&s.out, OBJECT_MAX_BYTES);
	while (ok && (item = queue_pop(&s.p->batches, -1)) != NULL)
	{
		Batch *b = (Batch *) item;

		ok = !atomic_load(&s.p->stop) || err_set(&err, ERR_STOP, 0, "stopped");
		ok = ok && ship(&s, b, &err);
		batch_free(s.p, b);
	}
	if (!ok)
		pipe_fail(s.p, &err);
	while ((item = queue_pop(&s.p->batches, 0)) != NULL)
		batch_free(s.p, (Batch *) item);
	budget_charge(&s.p->budget, -s.charged);
	buf_done(&s.out);
	compressor_free(s.compressor);
	store_close(s.store);
	return NULL;
}
