/*-------------------------------------------------------------------------
 * verify_pool.c
 *	  Many objects of "verify" at once.
 *
 * The unit is an entry: when its last object is read, whoever read it looks
 * whether a place comes twice in it.  No two entries cover one place, and the
 * rows of a load are in one entry, so that is all there is to look at.
 *
 * Invariants, under the lock:
 *	(1) entries are in the order of the log; done moves up over such as are
 *		read and have no fault, and never past another one.
 *	(2) What waits is at most WAITING_MAX objects and those of one entry.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "cmd/verify.h"

#define JOBS_MAX 64
#define WAITING_MAX 256
#define NOTE_EVERY_MS 1000

typedef struct Part
{
	struct Part *next;
	Entry *entry;
	int64_t closed;
	int next_object; /* to be taken */
	int left;        /* not read yet */
	bool ended;      /* all are read, and laid beside each other */
	bool wrong;
	bool *overlaps; /* of each object: another one may have its places */
	Places *places;
} Part;

struct VerifyPool
{
	Verify *v;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	Part *first; /* in the order of the log */
	Part *last;
	Part *todo; /* the first with an object to be taken */
	int waiting;
	bool over;   /* no more come */
	bool failed; /* nothing is taken any more */
	bool halted; /* done stays where it is */
	int64_t noted_ms;
	Err err;
	int nthreads;
	int started;
	pthread_t threads[JOBS_MAX];
	Store *stores[JOBS_MAX];
	Store *logs[JOBS_MAX]; /* the same, but of a further output */
};

static bool
same_stream(const EntryObject *a, const EntryObject *b)
{
	return strcmp(a->load, b->load) == 0 &&
		   (!a->load[0] || (strcmp(a->schema, b->schema) == 0 &&
							strcmp(a->table, b->table) == 0));
}

static int
compare_objects(const void *a, const void *b, void *entry)
{
	const Entry *e = entry;
	const EntryObject *x = &e->objects[*(const int *) a];
	const EntryObject *y = &e->objects[*(const int *) b];
	int c = strcmp(x->load, y->load);

	if (c == 0 && x->load[0])
		c = strcmp(x->schema, y->schema);
	if (c == 0 && x->load[0])
		c = strcmp(x->table, y->table);
	return c ? c
			 : place_compare((Place){ x->first_lsn, x->first_seq },
							 (Place){ y->first_lsn, y->first_seq });
}

/* Which objects have to be laid beside each other. */
static void
find_overlaps(Part *p)
{
	const Entry *e = p->entry;
	int *order = xcalloc((size_t) e->nobjects + 1, sizeof(int));
	int reaches = 0; /* the one with the last place so far */

	for (int i = 0; i < e->nobjects; i++)
		order[i] = i;
	qsort_r(order, (size_t) e->nobjects, sizeof(int), compare_objects,
			p->entry);
	for (int i = 1; i < e->nobjects; i++)
	{
		const EntryObject *a = &e->objects[order[reaches]];
		const EntryObject *b = &e->objects[order[i]];
		Place end = { a->last_lsn, a->last_seq };

		if (same_stream(a, b) &&
			place_compare(end, (Place){ b->first_lsn, b->first_seq }) >= 0)
			p->overlaps[order[reaches]] = p->overlaps[order[i]] = true;
		if (!same_stream(a, b) ||
			place_compare(end, (Place){ b->last_lsn, b->last_seq }) < 0)
			reaches = i;
	}
	free(order);
}

static void
part_free(Part *p)
{
	for (int i = 0; i < p->entry->nobjects; i++)
		places_done(&p->places[i]);
	free(p->places);
	free(p->overlaps);
	entry_free(p->entry);
	free(p);
}

/* Those of one load, or the changes. */
static void
look_twice(VerifyPool *pool, Part *p, int from)
{
	const Entry *e = p->entry;
	const Places **lists = xcalloc((size_t) e->nobjects + 1, sizeof(*lists));
	int *which = xcalloc((size_t) e->nobjects + 1, sizeof(int));
	Place at;
	int n = 0;
	int a;
	int b;

	for (int i = from; i < e->nobjects; i++)
	{
		if (!p->overlaps[i] || !same_stream(&e->objects[from], &e->objects[i]))
			continue;
		p->overlaps[i] = false; /* is done with */
		which[n] = i;
		lists[n++] = &p->places[i];
	}
	if (places_twice(lists, n, &at, &a, &b))
	{
		p->wrong = true;
		verify_report(pool->v, VERIFY_TWICE, e->seq, e->objects[which[a]].key,
					  "the row at LSN " LSN_FMT ", ordinal %" PRId64
					  ", is in \"%s\", too",
					  LSN_ARGS(at.lsn), at.seq, e->objects[which[b]].key);
	}
	free(lists);
	free(which);
}

/* The last object of it was read. */
static void
end_part(VerifyPool *pool, Part *p)
{
	for (int i = 0; i < p->entry->nobjects; i++)
		if (p->overlaps[i])
			look_twice(pool, p, i);
}

/* Now and then it is written down. */
static bool
note_done(VerifyPool *pool, const Entry *e, bool now, Err *err)
{
	Verify *v = pool->v;
	int64_t ms = clock_mono_ms();

	if (e)
	{
		v->done = e->seq;
		v->done_end = e->end;
		memcpy(v->done_writer, e->writer,
			   strnlen(e->writer, sizeof(v->done_writer) - 1) + 1);
		v->done_writer[sizeof(v->done_writer) - 1] = '\0';
	}
	if (v->done < 0 || (!now && ms - pool->noted_ms < NOTE_EVERY_MS))
		return true;
	pool->noted_ms = ms;
	return verify_state_write(v, err);
}

/* Under the lock. */
static void
take_off_done(VerifyPool *pool)
{
	while (pool->first && pool->first->ended)
	{
		Part *p = pool->first;

		pool->first = p->next;
		if (!pool->first)
			pool->last = NULL;
		if (pool->todo == p)
			pool->todo = p->next;
		pool->halted |= p->wrong;
		if (!pool->halted && !pool->failed)
			pool->failed = !note_done(pool, p->entry, false, &pool->err);
		part_free(p);
	}
	pthread_cond_broadcast(&pool->moved);
}

/* Under the lock; NULL: there will be nothing more to do. */
static Part *
next_object(VerifyPool *pool, int *out)
{
	for (;;)
	{
		while (pool->todo &&
			   pool->todo->next_object == pool->todo->entry->nobjects)
			pool->todo = pool->todo->next;
		if (pool->failed || verify_stopped())
			return NULL;
		if (pool->todo)
			break;
		if (pool->over)
			return NULL;
		pthread_cond_wait(&pool->moved, &pool->lock);
	}
	*out = pool->todo->next_object++;
	return pool->todo;
}

static void
read_object(VerifyPool *pool, int thread, Part *p, int i)
{
	Store *store = pool->stores[thread];
	VerifyObject o = { .v = pool->v,
					   .store = store,
					   .log = pool->logs[thread] ? pool->logs[thread] : store,
					   .entry = p->entry,
					   .object = &p->entry->objects[i],
					   .closed = p->closed,
					   .places = p->overlaps[i] ? &p->places[i] : NULL };
	bool wrong = false;
	bool last;
	Err err;
	bool ok = verify_object(&o, &wrong, &err);

	pthread_mutex_lock(&pool->lock);
	p->wrong |= wrong;
	if (!ok && !pool->failed)
	{
		pool->failed = true;
		pool->err = err;
	}
	pool->waiting--;
	last = --p->left == 0;
	pthread_mutex_unlock(&pool->lock);
	if (last)
		end_part(pool, p);
	pthread_mutex_lock(&pool->lock);
	if (last)
		p->ended = true;
	take_off_done(pool);
	pthread_mutex_unlock(&pool->lock);
}

static void *
pool_main(void *arg)
{
	VerifyPool *pool = arg;
	Part *p;
	int thread;
	int i;

	pthread_mutex_lock(&pool->lock);
	thread = pool->started++;
	while ((p = next_object(pool, &i)) != NULL)
	{
		pthread_mutex_unlock(&pool->lock);
		read_object(pool, thread, p, i);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_cond_broadcast(&pool->moved);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

bool
verify_pool_open(Verify *v, VerifyPool **out, Err *err)
{
	VerifyPool *pool = xcalloc(1, sizeof(*pool));
	int jobs = v->jobs < JOBS_MAX ? v->jobs : JOBS_MAX;
	bool ok = true;

	pool->v = v;
	pthread_mutex_init(&pool->lock, NULL);
	cond_init(&pool->moved);
	for (int i = 0; ok && i < jobs; i++)
		ok = store_open(&v->options, &pool->stores[i], err) &&
			 (!v->log_options ||
			  store_open(v->log_options, &pool->logs[i], err));
	for (; ok && pool->nthreads < jobs; pool->nthreads += ok)
		ok = pthread_create(&pool->threads[pool->nthreads], NULL, pool_main,
							pool) == 0 ||
			 err_set(err, ERR_INTERNAL, 0, "could not start a thread");
	if (!ok)
	{
		return verify_pool_close(pool, false, err);
	}
	*out = pool;
	return true;
}

static Part *
part_new(Entry *e, int64_t closed)
{
	Part *p = xcalloc(1, sizeof(*p));

	p->entry = e;
	p->closed = closed;
	p->left = e->nobjects;
	p->ended = e->nobjects == 0;
	p->overlaps = xcalloc((size_t) e->nobjects + 1, sizeof(bool));
	p->places = xcalloc((size_t) e->nobjects + 1, sizeof(Places));
	for (int i = 0; i < e->nobjects; i++)
		places_init(&p->places[i]);
	find_overlaps(p);
	return p;
}

bool
verify_pool_add(VerifyPool *pool, Entry *e, int64_t closed, Err *err)
{
	Part *p = part_new(e, closed);
	bool ok;

	pthread_mutex_lock(&pool->lock);
	while (pool->waiting > WAITING_MAX && !pool->failed && !verify_stopped())
		(void) cond_wait_ms(&pool->moved, &pool->lock, 1000);
	if (pool->last)
		pool->last->next = p;
	else
		pool->first = p;
	pool->last = p;
	if (!pool->todo)
		pool->todo = p;
	pool->waiting += e->nobjects;
	take_off_done(pool);
	ok = !pool->failed;
	if (!ok)
		*err = pool->err;
	pthread_mutex_unlock(&pool->lock);
	return ok;
}

bool
verify_pool_close(VerifyPool *pool, bool ok, Err *err)
{
	pthread_mutex_lock(&pool->lock);
	pool->over = true;
	if (!ok)
		pool->failed = true; /* err is the caller's */
	pthread_cond_broadcast(&pool->moved);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < pool->nthreads; i++)
		pthread_join(pool->threads[i], NULL);
	if (ok && pool->failed)
		*err = pool->err;
	ok = ok && !pool->failed && note_done(pool, NULL, true, err);
	while (pool->first)
	{
		Part *p = pool->first;

		pool->first = p->next;
		part_free(p);
	}
	for (int i = 0; i < JOBS_MAX; i++)
	{
		store_close(pool->stores[i]);
		store_close(pool->logs[i]);
	}
	pthread_cond_destroy(&pool->moved);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	return ok;
}
