/*-------------------------------------------------------------------------
 * merge_feed.c
 *	  Lines that a thread of its own reads ahead of who takes them.
 *
 * Blocks go round a ring: the thread fills the one behind the last full one,
 * and who takes lines gives back the oldest when its last line is done with.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_feed.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/queue.h"

/* A line of a block: where it stands in the bytes, or, if it is long, itself.
 */
typedef struct Place
{
	size_t at;
	FeedLine line; /* of which .line.n counts, and .line.p if it is long */
} Place;

typedef struct Block
{
	Buf bytes;
	Place *places;
	int n;
	int room;
	bool is_long; /* one line, which the reader holds */
	bool failed;  /* err says why there is no more behind these lines */
} Block;

struct Feed
{
	FeedRead read;
	void *arg;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t filled; /* blocks that the thread gave away, ever */
	uint64_t taken;  /* of these, given back */
	bool stop;

	Block blocks[FEED_BLOCKS];
	Err err; /* behind the last line */

	uint64_t known; /* of who takes: so many are filled, at least */
	int next;       /* and the line of the oldest block */
};

/* A block to fill; NULL: the feed is to stop. */
static Block *
free_block(Feed *f)
{
	Block *b;
	bool stop;

	pthread_mutex_lock(&f->lock);
	while (!f->stop && f->filled - f->taken == FEED_BLOCKS)
		cond_wait_ms(&f->changed, &f->lock, -1);
	stop = f->stop;
	b = &f->blocks[f->filled % FEED_BLOCKS];
	pthread_mutex_unlock(&f->lock);
	if (stop)
		return NULL;
	b->n = 0;
	buf_reset(&b->bytes);
	b->is_long = false;
	b->failed = false;
	return b;
}

static void
give(Feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->filled++;
	assert(f->filled - f->taken <= FEED_BLOCKS); /* (2) */
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* The long line was given: it is the reader's until all blocks are back. */
static void
wait_for_all(Feed *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->stop && f->filled != f->taken)
		cond_wait_ms(&f->changed, &f->lock, -1);
	pthread_mutex_unlock(&f->lock);
}

static void
put_line(Block *b, const FeedLine *line)
{
	if (b->n == b->room)
	{
		b->room = b->room ? 2 * b->room : 64;
		b->places = xrealloc(b->places, (size_t) b->room * sizeof(Place));
	}
	b->places[b->n++] = (Place){ .at = b->bytes.n, .line = *line };
	if (!b->is_long)
		buf_add(&b->bytes, line->line.p, line->line.n);
}

static bool
fits(const Block *b, const FeedLine *line)
{
	return b->n < FEED_LINES && line->line.n <= FEED_BYTES - b->bytes.n;
}

/* The thread: one line after the other into blocks. */
static void *
feed_main(void *arg)
{
	Feed *f = arg;
	Block *b = free_block(f);

	while (b)
	{
		FeedLine line = { .object = -1 };
		bool ok = f->read(f->arg, &line, &f->err);
		bool is_long = ok && line.line.n > FEED_BYTES;

		if (b->n > 0 && !fits(b, &line))
		{
			give(f);
			b = free_block(f);
			if (!b)
				break;
		}
		b->failed = !ok;
		b->is_long = is_long;
		if (ok)
			put_line(b, &line);
		if (ok && line.object >= 0 && !is_long)
			continue;
		give(f);
		if (!ok || line.object < 0)
			break;
		wait_for_all(f);
		b = free_block(f);
	}
	return NULL;
}

Feed *
feed_start(FeedRead read, void *arg)
{
	Feed *f = xcalloc(1, sizeof(*f));

	f->read = read;
	f->arg = arg;
	pthread_mutex_init(&f->lock, NULL);
	cond_init(&f->changed);
	for (int i = 0; i < FEED_BLOCKS; i++)
		buf_init(&f->blocks[i].bytes, FEED_BYTES);
	if (pthread_create(&f->thread, NULL, feed_main, f) == 0)
		return f;
	f->read = NULL;
	feed_stop(f);
	return NULL;
}

bool
feed_is_dry(Feed *f)
{
	const Block *b = &f->blocks[f->taken % FEED_BLOCKS];
	uint64_t needed = f->taken + 1;

	if (f->known >= needed && (f->next < b->n || b->failed))
		return false;
	needed += f->known >= needed; /* the oldest was taken to its end */
	pthread_mutex_lock(&f->lock);
	f->known = f->filled;
	pthread_mutex_unlock(&f->lock);
	return f->known < needed;
}

/* The oldest block, which may have been taken to its end; waits for it. */
static Block *
oldest(Feed *f)
{
	if (f->known == f->taken)
	{
		pthread_mutex_lock(&f->lock);
		while (f->filled == f->taken)
			cond_wait_ms(&f->changed, &f->lock, -1);
		f->known = f->filled;
		pthread_mutex_unlock(&f->lock);
	}
	return &f->blocks[f->taken % FEED_BLOCKS];
}

static void
give_back(Feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->taken++;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	f->next = 0;
}

static FeedLine
line_of(const Block *b, const Place *p)
{
	FeedLine line = p->line;

	if (!b->is_long && line.line.n > 0)
		line.line.p = b->bytes.p + p->at;
	return line;
}

bool
feed_next(Feed *f, FeedLine *out, Err *err)
{
	for (;;)
	{
		const Block *b = oldest(f);

		if (f->next < b->n)
		{
			*out = line_of(b, &b->places[f->next]);
			if (out->object >= 0) /* the end is told for ever */
				f->next++;
			return true;
		}
		if (b->failed) /* and so is an error */
		{
			*err = f->err;
			return false;
		}
		give_back(f);
	}
}

void
feed_stop(Feed *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	if (f->read)
		pthread_join(f->thread, NULL);
	for (int i = 0; i < FEED_BLOCKS; i++)
	{
		buf_done(&f->blocks[i].bytes);
		free(f->blocks[i].places);
	}
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
