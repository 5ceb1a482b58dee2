/*-------------------------------------------------------------------------
 * object.c
 *	  One object of the lake on its way from batches to the store.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipe/split.h"

void
object_stem(const Pipe *p, ObjectPlace *place, int64_t entry)
{
	Buf b;

	if (!output_dms_names(p, place->output))
	{
		(void) snprintf(place->stem, sizeof(place->stem), "part-%012" PRId64,
						entry); /* fits */
		return;
	}
	buf_init(&b, sizeof(place->stem));
	key_add_dms_time(&b, clock_unix_us());
	(void) snprintf(place->stem, sizeof(place->stem), "%s-%" PRId64,
					buf_cstr(&b), entry); /* fits */
	buf_done(&b);
}

static char *
make_key(const Pipe *p, const Object *o, int number)
{
	const Table *t = o->table;
	Buf b;
	char *key;

	buf_init(&b, KEY_TEXT_MAX);
	path_add(
		o->path,
		&(PathNames){ t->schema, t->name, p->start->database, p->start->slot },
		o->folder, &b);
	if (o->place.load && output_dms_names(p, o->output))
		buf_printf(&b, "LOAD%08X-%s", (unsigned) number + 1, o->place.load);
	else
		buf_printf(&b, "%s-%0*d", o->place.stem, o->place.digits, number);
	buf_printf(&b, "-%s%s%s", p->writer, o->format->suffix,
			   o->format->compresses ? "" : compression_suffix(o->compression));
	key = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return key;
}

/* Under Pipe.lock: names the object and lists it. */
static void
list(Pipe *p, Object *o)
{
	const Table *t = o->table;
	EntryObject *e;

	free(o->key);
	o->key = make_key(p, o, (*o->place.next_number)++);
	o->index = o->output ? o->place.list->nfurther : o->place.list->nobjects;
	e = o->output ? entry_add_further(o->place.list)
				  : entry_add_object(o->place.list);
	entry_set(&e->output, output_name(p, o->output));
	entry_set(&e->key, o->key);
	entry_set(&e->schema, t->schema);
	entry_set(&e->table, t->name);
	entry_set(&e->hash, t->hash);
	if (o->place.load)
		entry_set(&e->load, o->place.load);
}

/* What its folder's layout says, or its output. */
static void
lay_out(const Pipe *p, Object *o)
{
	const Table *t = o->table;
	const Layouts *l = &p->layouts[o->output];
	int i;

	o->format = output_format(t, o->output);
	o->table_form = output_form(t, o->output);
	o->path = output_path(p, o->output);
	o->compression = output_compression(p, o->output);
	if (l->n == 0)
		return;
	i = layouts_of_folder(l, o->folder);
	o->path = l->items[i].path;
	o->compression = l->items[i].compression;
	if (i == l->n - 1)
		return; /* the table's own */
	o->format = l->items[i].format;
	o->table_form = t->forms[o->output].old[i];
}

/* For who looks: of a load nothing waits that is streamed. */
static void
tell_waiting(Pipe *p, const Object *o, int n)
{
	if (!o->place.load)
		waiting_object(&p->waiting, o->place.list->seq, o->output, n);
}

/* What it takes up by itself; told before anybody else knows of it. */
static int64_t
own_bytes(const Object *o)
{
	return (int64_t) (sizeof(*o) + sizeof(EntryObject) + 2 * strlen(o->key) +
					  strlen(o->table->schema) + strlen(o->table->name) +
					  strlen(o->table->hash));
}

Object *
object_new(Pipe *p, const ObjectPlace *place, Table *t, int64_t folder)
{
	Object *o = xcalloc(1, sizeof(*o));

	o->table = t;
	o->folder = folder;
	o->place = *place;
	o->output = place->output;
	o->idle = true;
	lay_out(p, o);

	pthread_mutex_lock(&p->lock);
	if (p->layouts[o->output].n > 0)
		layouts_use(&p->layouts[o->output], folder);
	list(p, o);
	o->own_bytes = own_bytes(o);
	++*o->place.outstanding;
	p->unstarted++;
	o->next = p->alive;
	if (o->next)
		o->next->prev = o;
	p->alive = o;
	pthread_mutex_unlock(&p->lock);
	tell_waiting(p, o, 1);
	return o;
}

/* Under Pipe.lock: a shipper has something to do with it. */
static void
make_ready(Pipe *p, Object *o)
{
	o->idle = false;
	queue_push(&p->objects, &o->link);
}

/* Under Pipe.lock: it will not be one that waits for more with nothing held. */
static void
count_started(Pipe *p, Object *o)
{
	if (!o->started && !o->closed)
		p->unstarted--;
}

void
object_started(Pipe *p, Object *o)
{
	pthread_mutex_lock(&p->lock);
	count_started(p, o);
	o->started = true;
	pthread_mutex_unlock(&p->lock);
}

/*
 * Thousands of small ones on their way to the store are memory too.  One that
 * is closed goes by itself, so that who waits for room does not wait for it
 * in vain.  Its key is not looked at here: the shippers name it anew.
 */
static void
charge_closed(Pipe *p, Object *o)
{
	o->charged = o->own_bytes;
	budget_charge(&p->budget, o->charged);
}

void
object_add(Pipe *p, Object *o, Batch *b, bool last)
{
	if (last)
		charge_closed(p, o);
	o->change_bytes += (int64_t) b->buf.n;
	o->in_row = b->more;
	b->next = NULL;
	pthread_mutex_lock(&p->lock);
	if (o->last)
		o->last->next = b;
	else
		o->first = b;
	o->last = b;
	o->waiting++;
	if (last)
		count_started(p, o);
	o->closed = last;
	if (o->idle)
		make_ready(p, o);
	pthread_mutex_unlock(&p->lock);
}

void
object_close(Pipe *p, Object *o)
{
	charge_closed(p, o);
	pthread_mutex_lock(&p->lock);
	count_started(p, o);
	o->closed = true;
	if (o->idle)
		make_ready(p, o);
	pthread_mutex_unlock(&p->lock);
}

int
object_waiting(Pipe *p, const Object *o)
{
	int n;

	pthread_mutex_lock(&p->lock);
	n = o->waiting;
	pthread_mutex_unlock(&p->lock);
	return n;
}

/* What is held, and what those will hold that no shipper has come to. */
static int64_t
open_bytes(Pipe *p)
{
	int64_t unstarted;

	pthread_mutex_lock(&p->lock);
	unstarted = p->unstarted;
	pthread_mutex_unlock(&p->lock);
	return atomic_load(&p->open_bytes) + unstarted * OBJECT_HELD_BYTES;
}

bool
object_too_many(Pipe *p)
{
	return open_bytes(p) > p->options->memory_limit / 4;
}

bool
object_room_beside(Pipe *p)
{
	return open_bytes(p) + OBJECT_LARGE_BYTES <= p->options->memory_limit / 4;
}

bool
object_to_close(Pipe *p, const Object *o)
{
	int64_t bytes = open_bytes(p);

	return bytes > p->options->memory_limit / 4 &&
		   (o->change_bytes >= OBJECT_WORTH_BYTES ||
			bytes > p->options->memory_limit / 8 * 3);
}

Batch *
object_take(Pipe *p, Object *o, bool *out_last)
{
	Batch *b;

	pthread_mutex_lock(&p->lock);
	b = o->first;
	if (b)
	{
		o->first = b->next;
		o->waiting--;
	}
	if (!o->first)
		o->last = NULL;
	*out_last = o->closed && !o->first;
	pthread_mutex_unlock(&p->lock);
	return b;
}

void
object_yield(Pipe *p, Object *o)
{
	pthread_mutex_lock(&p->lock);
	if (o->first || o->closed)
		make_ready(p, o); /* behind the others: each gets its turn */
	else
		o->idle = true;
	pthread_mutex_unlock(&p->lock);
}

void
object_hold(Pipe *p, Object *o, int64_t bytes)
{
	budget_reserve(&p->budget, bytes - o->held);
	atomic_fetch_add(&p->open_bytes, bytes - o->held);
	o->held = bytes;
}

/* What a shipper or a putter needs for it. */
static void
free_held(Pipe *p, Object *o)
{
	object_hold(p, o, 0);
	budget_charge(&p->budget, -(int64_t) o->body.n);
	free((void *) o->body.p);
	o->body = (Slice){ 0 };
	o->format->close(o->form);
	framepart_free(o->part);
	split_free(o->split);
	compressor_free(o->compressor);
	store_writer_drop(o->writer);
	o->form = NULL;
	o->part = NULL;
	o->split = NULL;
	o->compressor = NULL;
	o->writer = NULL;
}

void
object_free(Pipe *p, Object *o)
{
	pthread_mutex_lock(&p->lock);
	count_started(p, o);
	if (o->next)
		o->next->prev = o->prev;
	if (o->prev)
		o->prev->next = o->next;
	else
		p->alive = o->next;
	pthread_mutex_unlock(&p->lock);
	while (o->first)
	{
		Batch *b = o->first;

		o->first = b->next;
		batch_free(p, b);
	}
	free_held(p, o);
	budget_charge(&p->budget, -o->charged);
	free(o->key);
	free(o);
}

/* Under Pipe.lock. */
static void
tell(Object *o, const ObjectSum *sum)
{
	EntryObject *e = o->output ? &o->place.list->further[o->index]
							   : &o->place.list->objects[o->index];

	e->rows = o->rows;
	e->first_lsn = o->first_row.lsn;
	e->first_seq = o->first_row.seq;
	e->last_lsn = o->last_row.lsn;
	e->last_seq = o->last_row.seq;
	e->bytes = sum->bytes;
	e->crc32c = sum->crc32c;
	memcpy(e->ops, o->ops, sizeof(e->ops));
	entry_set(&e->sha256, sum->sha256);
}

void
object_next(Pipe *p, Object *o, const ObjectSum *sum)
{
	pthread_mutex_lock(&p->lock);
	tell(o, sum);
	list(p, o);
	pthread_mutex_unlock(&p->lock);
	store_writer_free(o->writer);
	o->writer = NULL;
	o->brings_file = false;
	o->rows = o->written = 0;
	memset(o->ops, 0, sizeof(o->ops));
}

void
object_drop(Pipe *p, Object *o)
{
	bool last = false;
	Batch *b;

	free_held(p, o);
	do
	{
		b = object_take(p, o, &last);
		batch_free(p, b);
	} while (b && !last);
	if (!last)
	{
		object_yield(p, o);
		return;
	}
	tell_waiting(p, o, -1);
	pthread_mutex_lock(&p->lock);
	--*o->place.outstanding;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	object_free(p, o);
}

void
object_done(Pipe *p, Object *o, const ObjectSum *sum)
{
	tell_waiting(p, o, -1); /* before the committer takes the list */
	pthread_mutex_lock(&p->lock);
	tell(o, sum);
	--*o->place.outstanding;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	object_free(p, o);
}
