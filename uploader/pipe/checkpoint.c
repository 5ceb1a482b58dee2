/*-------------------------------------------------------------------------
 * checkpoint.c
 *	  Writes the entries of the log: the one place that moves the position
 *	  which may be confirmed.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/seen.h"
#include "base/stats.h"
#include "pipe/expire.h"
#include "pipe/load.h"
#include "pipe/output.h"
#include "pipe/published.h"
#include "store/commitlog.h"

Checkpoint *
checkpoint_new(int64_t seq)
{
	Checkpoint *c = xcalloc(1, sizeof(*c));

	c->entry = entry_new();
	c->entry->seq = seq;
	return c;
}

void
checkpoint_free(Checkpoint *c)
{
	if (!c)
		return;
	entry_free(c->entry);
	lag_done(&c->lag);
	free(c->tables);
	free(c);
}

void
checkpoint_drop(Pipe *p, Checkpoint *c)
{
	pthread_mutex_lock(&p->lock);
	c->next_dropped = p->dropped;
	p->dropped = c;
	pthread_mutex_unlock(&p->lock);
}

EntrySchema *
checkpoint_add_schema(Checkpoint *c, const Table *t, Position at)
{
	EntrySchema *s = entry_add_schema(c->entry);

	s->lsn = at.lsn;
	s->seq = at.seq;
	if (!t)
		return s;
	entry_set(&s->schema, t->schema);
	entry_set(&s->table, t->name);
	entry_set(&s->hash, t->hash);
	s->relation_id = t->relation_id;
	s->row_type = t->row_type;
	return s;
}

void
checkpoint_add_file(Checkpoint *c, Table *t)
{
	c->tables =
		xrealloc(c->tables, ((size_t) c->ntables + 1) * sizeof(Table *));
	c->tables[c->ntables++] = t;
}

void
checkpoint_add_load(Pipe *p, Checkpoint *c, LoadTable *load)
{
	EntryLoad *l = entry_add_load(c->entry);

	entry_set(&l->id, load->id);
	entry_set(&l->schema, load->schema);
	entry_set(&l->table, load->name);
	entry_set(&l->reason, load->reason);
	l->resync = load->resync;
	l->lsn = load->lsn;
	l->state = load->gone ? LOAD_GIVEN_UP : LOAD_DONE;
	FAULT_POINT("load_listed");
	if (!load->gone)
	{
		entry_set(&l->hash, load->table->hash);
		(void) checkpoint_add_schema(c, load->table,
									 (Position){ load->lsn, LOAD_FIRST_SEQ });
		checkpoint_add_file(c, load->table);
	}
	pthread_mutex_lock(&p->lock);
	entry_take_objects(c->entry, load->list); /* the load is over */
	pthread_mutex_unlock(&p->lock);
}

/*
 * The open object for b, NULL where it is to be a new one.  A row that goes on
 * stays where it began.  Else the one with the least to do; where all have a
 * backlog another one grows beside them, so that all workers write one table.
 */
static Object **
find_open(Pipe *p, Checkpoint *c, const Batch *b, int output)
{
	Object **best = NULL;
	int least = 0;
	int n = 0;

	for (Object **link = &c->open; *link; link = &(*link)->next_open)
	{
		Object *o = *link;
		int waiting;

		if (o->table != b->table || o->output != output ||
			o->folder != batch_folder(b, output))
			continue;
		if (o->in_row)
			return link;
		waiting = object_waiting(p, o);
		if (!best || waiting < least)
		{
			best = link;
			least = waiting;
		}
		n++;
	}
	if (best && least >= OBJECT_BACKLOG && n < p->options->workers &&
		!c->closing && object_room_beside(p))
		return NULL;
	return best;
}

/* Takes the object for b off the open ones; NULL where there is none. */
static Object *
take_open(Pipe *p, Checkpoint *c, const Batch *b, int output)
{
	Object **link = find_open(p, c, b, output);
	Object *o;

	if (!link)
		return NULL;
	o = *link;
	*link = o->next_open;
	return o;
}

/* Closes the object that has waited longest for more. */
static void
close_oldest(Pipe *p, Checkpoint *c)
{
	Object **oldest = NULL;
	Object *o;

	for (Object **link = &c->open; *link; link = &(*link)->next_open)
	{
		if (!(*link)->in_row)
			oldest = link;
	}
	if (!oldest)
		return;
	o = *oldest;
	*oldest = o->next_open;
	object_close(p, o);
}

static Object *
new_object(Pipe *p, Checkpoint *c, const Batch *b, int output)
{
	ObjectPlace place = { .output = output,
						  .list = c->entry,
						  .outstanding = &c->outstanding,
						  .next_number = &c->next_object,
						  .digits = 4 };
	Object *o;

	object_stem(p, &place, c->entry->seq);
	o = object_new(p, &place, b->table, batch_folder(b, output));
	if (output == 0)
	{
		o->brings_file = b->table->file_due;
		b->table->file_due = false;
	}
	return o;
}

/* The object for b; an output that b is the first of is not attached. */
static void
ship_to(Pipe *p, Checkpoint *c, Batch *b, int output)
{
	Object *o = take_open(p, c, b, output);
	bool last;

	if (!o)
		o = new_object(p, c, b, output);
	last = !b->more && c->closing;
	if (!last)
	{
		o->next_open = c->open;
		c->open = o;
	}
	object_add(p, o, b, last);
	if (!last && object_too_many(p))
		close_oldest(p, c);
}

/* The main output comes last: it has the batch itself. */
void
checkpoint_ship(Pipe *p, Checkpoint *c, Batch *b)
{
	for (int n = 1; n < outputs_n(p); n++)
	{
		if (output_wants(p, n, b->table))
			ship_to(p, c, batch_share(p, b), n);
	}
	ship_to(p, c, b, 0);
}

void
checkpoint_close(Pipe *p, Checkpoint *c, Lsn end, int64_t closed_until)
{
	while (c->open)
	{
		Object *o = c->open;

		c->open = o->next_open;
		object_close(p, o);
	}
	c->entry->end = end;
	c->entry->closed_until = closed_until;
	c->closed_ms = clock_mono_ms();
	waiting_close(&p->waiting, c->entry->seq);
	if (c->since_ms)
		histogram_add(&stats.checkpoint[CHECKPOINT_GATHER],
					  (c->closed_ms - c->since_ms) * 1000, 1);
	FAULT_POINT("checkpoint_closed");
	atomic_fetch_add(&p->pending_checkpoints, 1);
	queue_push(&p->checkpoints, &c->link);
}

/* False when the session stops before all objects are durable. */
static bool
wait_for_objects(Pipe *p, Checkpoint *c)
{
	bool all;

	pthread_mutex_lock(&p->lock);
	while (c->outstanding > 0 && !atomic_load(&p->stop))
		(void) cond_wait_ms(&p->changed, &p->lock, -1); /* re-read */
	all = c->outstanding == 0;
	pthread_mutex_unlock(&p->lock);
	return all;
}

/* How many loads are open after this entry, and since when. */
static void
count_loads(Entry *e, const Entry *before)
{
	e->loaded = before->loaded;
	e->loads_open = before->loads_open;
	for (int i = 0; i < e->nloads; i++)
	{
		if (e->loads[i].state == LOAD_OPEN)
		{
			e->loads_open++;
			e->loaded = true;
		}
		else if (e->loads_open > 0)
			e->loads_open--;
	}
	if (e->loads_open == 0)
		e->loads_since = 0;
	else
		e->loads_since = before->loads_open ? before->loads_since : e->seq;
}

static void
fill_entry(Pipe *p, Entry *e, const Entry *before)
{
	entry_set(&e->system_identifier, p->start->system_identifier);
	entry_set(&e->database, p->start->database);
	entry_set(&e->slot, p->start->slot);
	entry_set(&e->writer, p->writer);
	e->timeline = p->start->timeline;
	assert(e->seq == before->seq + 1 && e->end >= before->end); /* (1) */
	e->prev_end = before->end;
	if (e->closed_until < before->closed_until)
		e->closed_until = before->closed_until;
	e->swept_until = atomic_load(&p->swept_until);
	e->swept_entry = atomic_load(&p->swept_entry);
	e->time = clock_unix_us();
	expire_fill(p, e, before);
	e->slot_dropped = atomic_load(&p->options->control->dropping);
	pthread_mutex_lock(&p->lock);
	layouts_to_entry(&p->layouts[0], e);
	pthread_mutex_unlock(&p->lock);
	count_loads(e, before);
	outputs_fill_entry(p, e, before);
	publications_fill_entry(p, e, before);
	e->loads_before = before->nloads > 0 ? before->seq : before->loads_before;
	if (p->options->load_initial)
		e->loaded = true; /* the first entry of the session announced it */
}

static bool
write_entry(Pipe *p, Store *store, Checkpoint *c, Err *err)
{
	bool ok = true;

	for (int i = 0; ok && i < c->ntables; i++)
		ok = table_put_file(p, store, c->tables[i], err);
	if (!ok)
		return false;
	do
		ok = commitlog_write(store, c->entry, err);
	while (!ok && pipe_again(p, "writing an entry of the log", err));
	return ok;
}

/* What counts now, for whoever looks (base/seen.h). */
static void
tell_entry(Pipe *p, Checkpoint *c, int64_t rows, int64_t bytes)
{
	const Entry *e = c->entry;
	SeenEntry seen = { .seq = e->seq,
					   .end = e->end,
					   .time_us = e->time,
					   .objects = e->nobjects,
					   .rows = rows,
					   .bytes = bytes };

	for (int i = 0; i < e->nobjects; i++)
	{
		const EntryObject *o = &e->objects[i];

		seen_object(&(SeenObject){ o->schema, o->table, o->ops, o->bytes });
	}
	seen_entry(&seen);
	lag_settle(&c->lag, clock_unix_us());
	waiting_done(&p->waiting, e->seq);
	count_add(&stats.rows_waiting, -c->rows);
	count_add(&stats.rows_durable, rows);
	count_add(&stats.bytes_written, bytes);
	count_add(&stats.objects, e->nobjects);
	count_add(&stats.outputs[0].objects, e->nobjects);
	count_add(&stats.outputs[0].bytes, bytes);
	outputs_tell_entry(p, e);
	count_add(&stats.entries, 1);
	count_set(&stats.log_seq, e->seq);
	count_set(&stats.durable_lsn, (int64_t) e->end);
	if (count_get(&stats.received_lsn) < (int64_t) e->end)
		count_set(&stats.received_lsn, (int64_t) e->end);
}

static void
tell_hours(const Pipe *p, const Entry *e)
{
	int64_t before = atomic_load(&p->closed_until);

	if (e->closed_until <= before)
		return;
	/* of the first ever nobody knows how many it closes */
	count_add(&stats.hours_closed,
			  before > 0 ? (e->closed_until - before) / US_PER_HOUR : 1);
	count_set(&stats.closed_until_us, e->closed_until);
	FAULT_POINT("hour_closed");
}

static void
log_entry(Pipe *p, Checkpoint *c)
{
	const Entry *e = c->entry;
	int64_t no_key = c->no_key;
	int64_t rows = 0;
	int64_t bytes = 0;

	for (int i = 0; i < e->nobjects; i++)
	{
		rows += e->objects[i].rows;
		bytes += e->objects[i].bytes;
	}
	tell_entry(p, c, rows, bytes);
	log_event(e->nobjects ? LOG_INFO : LOG_DEBUG, "entry written", "entry",
			  log_int(e->seq), "lsn", log_lsn(e->end), "objects",
			  log_int(e->nobjects), "rows", log_int(rows), "bytes",
			  log_int(bytes), "further_objects",
			  e->nfurther ? log_int(e->nfurther) : NULL, "without_key",
			  no_key > 0 ? log_int(no_key) : NULL, NULL);
	notify_status("%s: durable up to " LSN_FMT ", entry %" PRId64,
				  e->loads_open ? "loading" : "streaming", LSN_ARGS(e->end),
				  e->seq);
}

/* The entry is durable: from here on its end may be confirmed. */
static void
publish(Pipe *p, Checkpoint *c)
{
	const Entry *e = c->entry;

	assert(e->end >= atomic_load(&p->log_end)); /* (3) */
	tell_hours(p, e);
	atomic_store(&p->closed_until, e->closed_until);
	expire_publish(p, e);
	atomic_store(&p->log_seq, e->seq);
	atomic_store(&p->log_end, e->end);
	log_entry(p, c);
	if (p->options->load.only && e->loaded && e->loads_open == 0)
		atomic_store(&p->loaded, true);
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pipe_wake(p);
}

/* One checkpoint: waits for its objects, and writes the entry. */
static bool
commit(Pipe *p, Store *store, Checkpoint *c, const Entry *before, Err *err)
{
	int64_t ready_ms;
	bool all;

	beat_waits();
	all = wait_for_objects(p, c);
	beat_works();
	if (!all)
		return err_set(err, ERR_STOP, 0, "stopped");
	ready_ms = clock_mono_ms();
	if (c->entry->nobjects > 0)
		FAULT_POINT("objects_durable");
	if (c->entry->nobjects > 0)
		histogram_add(&stats.checkpoint[CHECKPOINT_OBJECTS],
					  (ready_ms - c->closed_ms) * 1000, 1);
	entry_sort_objects(c->entry);
	fill_entry(p, c->entry, before);
	if (!write_entry(p, store, c, err))
		return false;
	histogram_add(&stats.checkpoint[CHECKPOINT_ENTRY],
				  (clock_mono_ms() - ready_ms) * 1000, 1);
	return true;
}

/* Until when the store takes what we show it. */
static void
tell_credentials(Store *store)
{
	StoreAbout about;

	if (store_about(store, &about))
		count_set(&stats.credentials_expire_us, about.expires_us);
}

/* The next one that was closed; waiting for it is no work. */
static Checkpoint *
next_closed(Pipe *p)
{
	QueueItem *item;

	beat_waits();
	item = queue_pop(&p->checkpoints, -1);
	beat_works();
	return (Checkpoint *) item;
}

void *
checkpoint_main(void *arg)
{
	Pipe *p = arg;
	Store *store = NULL;
	Err err = { 0 };
	Entry *before = p->start;
	QueueItem *item;
	Checkpoint *c;
	bool ok;

	beat_begin("committer");
	ok = pipe_open_store(p, &store, &err);
	while (ok && (c = next_closed(p)) != NULL)
	{
		ok = commit(p, store, c, before, &err);
		if (ok)
		{
			tell_credentials(store);
			publish(p, c);
			if (before != p->start)
				entry_free(before);
			before = c->entry;
			c->entry = NULL;
		}
		if (!ok)
			pipe_fail(p, &err); /* before the count says that it is over */
		atomic_fetch_sub(&p->pending_checkpoints, 1);
		if (ok)
			checkpoint_free(c);
		else
			checkpoint_drop(p, c);
	}
	if (!ok)
		pipe_fail(p, &err);
	while ((item = queue_pop(&p->checkpoints, 0)) != NULL)
		checkpoint_drop(p, (Checkpoint *) item);
	if (before != p->start)
		entry_free(before);
	store_close(store);
	beat_end();
	return NULL;
}
