/*-------------------------------------------------------------------------
 * load_pool.c
 *	  What there is to load under one snapshot, and who does it.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipe/fields.h"

#define WAIT_MS 200
#define AGAIN_MS 1000 /* before the second try; doubled each time */
#define AGAIN_MAX_MS 60000

static void
begin_as_one_chunk(PoolTable *t)
{
	t->nchunks = 1;
	t->chunks = xcalloc(1, sizeof(LoadChunk));
	t->chunks[0].blocks = t->blocks;
}

void
load_pool_init(LoadPool *l, Pipe *p, Lsn lsn, int njobs)
{
	*l = (LoadPool){ .p = p, .lsn = lsn, .njobs = njobs };
	l->jobs = xcalloc((size_t) njobs, sizeof(LoadJob));
	l->tables = xcalloc((size_t) p->nload_tables + 1, sizeof(PoolTable));
	l->open = xcalloc((size_t) p->nload_tables + 1, sizeof(PoolTable *));
	l->read = xcalloc((size_t) p->nload_tables + 1, sizeof(PoolTable *));
	for (int i = 0; i < p->nload_tables; i++)
	{
		PoolTable *t = &l->tables[l->ntables];

		if (p->load_tables[i].over)
			continue;
		l->ntables++;
		t->load = &p->load_tables[i];
		t->blocks = 1;
		begin_as_one_chunk(t);
	}
}

void
load_pool_done(LoadPool *l)
{
	for (int i = 0; i < l->ntables; i++)
		free(l->tables[i].chunks);
	free(l->tables);
	free(l->open);
	free(l->read);
	free(l->jobs);
}

LoadPart *
load_part_new(Pipe *p, LoadTable *t, Schema *schema)
{
	LoadPart *part = xcalloc(1, sizeof(*part));

	part->list = entry_new();
	fields_resolve(p, schema);
	part->table = table_new(p, schema);
	pthread_mutex_lock(&p->lock);
	part->next = t->parts;
	t->parts = part;
	pthread_mutex_unlock(&p->lock);
	return part;
}

/* Takes t out of the n tables of a list; keeps their order. */
static void
take_out(PoolTable **list, int *n, const PoolTable *t)
{
	int kept = 0;

	for (int i = 0; i < *n; i++)
	{
		if (list[i] != t)
			list[kept++] = list[i];
	}
	*n = kept;
}

/* A chunk of a table that has begun; NULL: none can be read now. */
static LoadChunk *
find_chunk(const LoadPool *l, PoolTable **out, int64_t now_ms)
{
	for (int i = 0; i < l->nopen; i++)
	{
		PoolTable *t = l->open[i];

		for (int k = 0; k < t->nchunks; k++)
		{
			LoadChunk *c = &t->chunks[k];

			if (c->runs || c->done || c->not_before_ms > now_ms)
				continue;
			*out = t;
			return c;
		}
	}
	return NULL;
}

/* The first chunk of a table that has not begun. */
static LoadChunk *
begin_table(LoadPool *l, PoolTable **out, int64_t now_ms)
{
	PoolTable *t;

	if (l->next == l->ntables || l->nread > LOAD_ON_THEIR_WAY)
		return NULL;
	t = &l->tables[l->next++];
	t->begun = true;
	t->began_ms = now_ms;
	l->open[l->nopen++] = t;
	*out = t;
	return &t->chunks[0];
}

static bool
still_reads(const LoadPool *l)
{
	if (l->over)
	{
		for (int i = 0; i < l->njobs; i++)
		{
			if (l->jobs[i].table)
				return true;
		}
		return false;
	}
	return l->nopen > 0 || l->next < l->ntables;
}

static bool
is_stopped(const Pipe *p)
{
	return atomic_load(&p->stop) || atomic_load(&p->ending) ||
		   atomic_load(&p->options->control->stop);
}

static bool
try_take(LoadPool *l, LoadJob *j)
{
	int64_t now_ms = clock_mono_ms();
	PoolTable *t = NULL;
	LoadChunk *c;

	if (j->not_before_ms > now_ms)
		return false;
	c = find_chunk(l, &t, now_ms);
	if (!c)
		c = begin_table(l, &t, now_ms);
	if (!c)
		return false;
	c->runs = true;
	j->table = t;
	j->chunk = c;
	j->part = NULL;
	atomic_store(&j->end, LOAD_GOES_ON);
	atomic_store(&j->rows, 0);
	atomic_store(&j->bytes, 0);
	return true;
}

bool
load_pool_take(LoadPool *l, LoadJob *j)
{
	Pipe *p = l->p;
	bool got = false;

	pthread_mutex_lock(&p->lock);
	while (!l->over && !is_stopped(p) && still_reads(l) &&
		   !(got = try_take(l, j)))
		(void) cond_wait_ms(&p->changed, &p->lock, WAIT_MS);
	pthread_mutex_unlock(&p->lock);
	return got;
}

void
load_pool_cut(LoadPool *l, LoadJob *j, const BlockRange *ranges,
			  const int64_t *blocks, int n, double per_block)
{
	PoolTable *t = j->table;

	pthread_mutex_lock(&l->p->lock);
	t->chunks = xrealloc(t->chunks, (size_t) n * sizeof(LoadChunk));
	t->nchunks = n;
	t->blocks = 0;
	for (int i = 0; i < n; i++)
	{
		int tries = i == 0 ? t->chunks[0].tries : 0;

		t->chunks[i] = (LoadChunk){ .range = ranges[i],
									.blocks = blocks[i],
									.runs = i == 0,
									.tries = tries };
		t->blocks += blocks[i];
	}
	t->per_block = per_block;
	t->cut = true;
	j->chunk = &t->chunks[0];
	pthread_cond_broadcast(&l->p->changed);
	pthread_mutex_unlock(&l->p->lock);
}

/* Who reads something of t is to end that. */
static void
drop_jobs(LoadPool *l, const PoolTable *t)
{
	for (int i = 0; i < l->njobs; i++)
	{
		if (l->jobs[i].table && (!t || l->jobs[i].table == t))
			atomic_store(&l->jobs[i].end, LOAD_DROPPED);
	}
}

static bool
leave(LoadPool *l, PoolTable *t)
{
	if (t->left)
		return false;
	t->left = true;
	take_out(l->open, &l->nopen, t);
	drop_jobs(l, t);
	return true;
}

/* When it may be tried again what failed so often before. */
static int64_t
again_at(int times)
{
	int64_t ms = times > 6 ? AGAIN_MAX_MS : AGAIN_MS << times;

	return clock_mono_ms() + (ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS);
}

/*
 * The worker waits too, where it is not somebody else who ended the job: it may
 * be its connection that cannot be made.  Not all of them so long, or they
 * would take the room from each other again.
 */
static void
to_be_tried_again(LoadJob *j)
{
	j->chunk->not_before_ms = again_at(j->chunk->tries++);
	if (atomic_load(&j->end) == LOAD_GOES_ON)
		j->not_before_ms =
			again_at(j->fails++) + (int64_t) random_below(AGAIN_MS);
}

static void
is_read(LoadPool *l, PoolTable *t)
{
	take_out(l->open, &l->nopen, t);
	l->read[l->nread++] = t;
	t->load->lsn = l->lsn;
	t->load->over = true;
}

static void
chunk_done(LoadPool *l, LoadJob *j)
{
	PoolTable *t = j->table;
	LoadChunk *c = j->chunk;

	j->fails = 0;
	c->done = true;
	c->part = j->part;
	t->rows += j->part->rows;
	t->rows_blocks += c->blocks;
	t->bytes += atomic_load(&j->bytes);
	if (++t->ndone == t->nchunks && !t->left)
		is_read(l, t);
}

bool
load_pool_give(LoadPool *l, LoadJob *j, JobEnd end)
{
	bool left = false;

	pthread_mutex_lock(&l->p->lock);
	j->chunk->runs = false;
	if (end == JOB_DONE)
		chunk_done(l, j);
	else if (end == JOB_CHANGED)
		left = leave(l, j->table);
	else if (end == JOB_AGAIN)
		to_be_tried_again(j);
	else
	{
		j->table->load->gone = true;
		is_read(l, j->table);
	}
	j->table = NULL;
	pthread_cond_broadcast(&l->p->changed);
	pthread_mutex_unlock(&l->p->lock);
	return left;
}

void
load_pool_stop(LoadPool *l)
{
	pthread_mutex_lock(&l->p->lock);
	l->over = true;
	drop_jobs(l, NULL);
	pthread_cond_broadcast(&l->p->changed);
	pthread_mutex_unlock(&l->p->lock);
}

void
load_pool_yield(LoadPool *l, int pid)
{
	pthread_mutex_lock(&l->p->lock);
	for (int i = 0; i < l->njobs; i++)
	{
		int goes_on = LOAD_GOES_ON;

		if (l->jobs[i].table && atomic_load(&l->jobs[i].pid) == pid)
			(void) atomic_compare_exchange_strong(&l->jobs[i].end, &goes_on,
												  LOAD_YIELDS);
	}
	pthread_mutex_unlock(&l->p->lock);
}

static bool
all_durable(const PoolTable *t)
{
	for (int i = 0; i < t->nchunks; i++)
	{
		if (t->chunks[i].part && t->chunks[i].part->outstanding > 0)
			return false;
	}
	return true;
}

/* What the parts that count have listed, in the order of the chunks. */
static void
gather(PoolTable *t)
{
	LoadTable *load = t->load;

	for (int i = 0; i < t->nchunks; i++)
	{
		LoadPart *part = t->chunks[i].part;

		if (!part) /* the table is gone */
			continue;
		load->table = load->table ? load->table : part->table;
		load->rows += part->rows;
		entry_take_objects(load->list, part->list);
	}
}

/* Under the lock. */
static LoadTable *
find_durable(LoadPool *l)
{
	for (int i = 0; i < l->nread; i++)
	{
		PoolTable *t = l->read[i];

		if (!all_durable(t))
			continue;
		gather(t);
		take_out(l->read, &l->nread, t);
		pthread_cond_broadcast(&l->p->changed);
		return t->load;
	}
	return NULL;
}

LoadTable *
load_pool_durable(LoadPool *l, int64_t wait_ms, bool *reads, bool *waits)
{
	LoadTable *found;

	pthread_mutex_lock(&l->p->lock);
	found = find_durable(l);
	if (!found && (still_reads(l) || l->nread > 0))
	{
		(void) cond_wait_ms(&l->p->changed, &l->p->lock, wait_ms);
		found = find_durable(l);
	}
	*reads = still_reads(l);
	*waits = l->nread > 0;
	pthread_mutex_unlock(&l->p->lock);
	return found;
}
