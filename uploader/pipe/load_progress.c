/*-------------------------------------------------------------------------
 * load_progress.c
 *	  How far a load is.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seen.h"

#define LIVE_MS 500 /* between two drawings, at most */
#define SEEN_MS 1000
#define COLUMNS_DEFAULT 80
#define LINE_MAX_BYTES ((size_t) 1024)
#define NOT_QUITE 0.99 /* a chunk that runs has more than was thought */

static int64_t
step_ms(const LoadProgress *p)
{
	return p->live && p->interval_ms > LIVE_MS ? LIVE_MS : p->interval_ms;
}

void
load_progress_init(LoadProgress *p, const LoadOptions *o, int tables)
{
	*p = (LoadProgress){ .interval_ms = o->progress_ms,
						 .live = o->terminal,
						 .tables = tables };
	p->began_ms = clock_mono_ms();
	p->next_ms = p->began_ms + step_ms(p);
}

double
load_progress_share(int64_t rows, int64_t bytes, int64_t blocks,
					double per_block)
{
	double share;

	if (blocks <= 0)
		return 0;
	share = per_block > 0
				? (double) rows / ((double) blocks * per_block)
				: (double) bytes / ((double) blocks * LOAD_BLOCK_BYTES);
	return share < NOT_QUITE ? share : NOT_QUITE;
}

/* Of a table that is being read: under Pipe.lock. */
static LoadLine
line_of(const LoadPool *pool, const PoolTable *t, int64_t now_ms)
{
	double per_block = t->rows_blocks > 0 && t->rows > 0
						   ? (double) t->rows / (double) t->rows_blocks
						   : t->per_block;
	double blocks = (double) t->rows_blocks;
	LoadLine l = { .schema = t->load->schema,
				   .table = t->load->name,
				   .rows = t->rows,
				   .bytes = t->bytes,
				   .ms = now_ms - t->began_ms };

	for (int i = 0; i < pool->njobs; i++)
	{
		const LoadJob *j = &pool->jobs[i];
		int64_t rows = atomic_load(&j->rows);
		int64_t bytes = atomic_load(&j->bytes);

		if (j->table != t)
			continue;
		l.rows += rows;
		l.bytes += bytes;
		blocks += (double) j->chunk->blocks *
				  load_progress_share(rows, bytes, j->chunk->blocks, per_block);
	}
	l.share = t->blocks > 0 ? blocks / (double) t->blocks : 0;
	return l;
}

/* The tables that are being read, and all; under Pipe.lock. */
static int
collect(const LoadProgress *p, const LoadPool *pool, LoadLine *out)
{
	int64_t now_ms = clock_mono_ms();
	LoadLine sum = { .rows = p->rows,
					 .bytes = p->bytes,
					 .ms = now_ms - p->began_ms,
					 .tables_done = p->done,
					 .tables = p->tables };
	double blocks = (double) p->blocks;
	double read = (double) p->blocks;
	int n = 0;

	for (int i = 0; i < pool->ntables; i++)
	{
		const PoolTable *t = &pool->tables[i];

		blocks += (double) t->blocks;
		if (t->load->over)
		{
			read += (double) t->blocks;
			sum.rows += t->rows;
			sum.bytes += t->bytes;
		}
	}
	for (int i = 0; i < pool->nopen; i++)
	{
		LoadLine *l = &out[n++];

		*l = line_of(pool, pool->open[i], now_ms);
		sum.rows += l->rows;
		sum.bytes += l->bytes;
		read += l->share * (double) pool->open[i]->blocks;
	}
	sum.share = blocks > 0 ? read / blocks : 0;
	out[n++] = sum;
	return n;
}

int64_t
load_progress_left(const LoadLine *l)
{
	if (l->share < 0.001 || l->ms <= 0)
		return -1;
	return (int64_t) ((double) l->ms / 1000 * (1 - l->share) / l->share + 0.5);
}

/* What could end or forge a line is replaced. */
static void
add_name(Buf *out, const char *name)
{
	for (; *name; name++)
		buf_byte(out, (unsigned char) *name < 0x20 || *name == 0x7f
						  ? '?'
						  : (uint8_t) *name);
}

void
load_progress_text(const LoadLine *l, Buf *out)
{
	int64_t left = load_progress_left(l);

	if (l->schema)
	{
		add_name(out, l->schema);
		buf_byte(out, '.');
		add_name(out, l->table);
	}
	else
		buf_printf(out, "load, %d of %d tables", l->tables_done, l->tables);
	buf_printf(out, ": %d %%, %lld rows", (int) (l->share * 100),
			   (long long) l->rows);
	if (l->ms > 0)
		buf_printf(out, ", %lld rows/s, %.1f MB/s",
				   (long long) (l->rows * 1000 / l->ms),
				   (double) l->bytes / 1e3 / (double) l->ms);
	if (left >= 0)
		buf_printf(out, ", %lld:%02d left", (long long) left / 60,
				   (int) (left % 60));
}

/* Cut to the terminal's width, between two characters: it must not wrap. */
static void
add_cut(Buf *out, const Buf *text, size_t width)
{
	size_t n = text->n < width ? text->n : width - 1;

	while (n > 0 && n < text->n && (text->p[n] & 0xC0) == 0x80)
		n--;
	buf_add(out, text->p, n);
}

static struct winsize
terminal_size(void)
{
	struct winsize w = { 0 };

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
		w.ws_col = COLUMNS_DEFAULT;
	return w;
}

/* Leaves the cursor where the first line begins. */
static void
draw(LoadProgress *p, const LoadLine *lines, int n)
{
	struct winsize w = terminal_size();
	int first = w.ws_row > 1 && n > w.ws_row - 1 ? n - (w.ws_row - 1) : 0;
	Buf out;

	buf_init(&out, (size_t) n * LINE_MAX_BYTES + LINE_MAX_BYTES);
	buf_str(&out, LOG_CLEAR_LINE);
	for (int i = first; i < n; i++)
	{
		Buf text;

		buf_init(&text, LINE_MAX_BYTES);
		load_progress_text(&lines[i], &text);
		buf_str(&out, i > first ? "\n" : "");
		add_cut(&out, &text, w.ws_col);
		buf_done(&text);
	}
	buf_byte(&out, '\r');
	if (n - first > 1)
		buf_printf(&out, "\033[%dA", n - first - 1);
	(void) !write(STDERR_FILENO, out.p, out.n); /* nobody else to tell */
	log_over_line(true);
	buf_done(&out);
	p->drawn = n - first;
}

static void
log_line(const LoadLine *l)
{
	int64_t left = load_progress_left(l);
	bool all = l->schema == NULL;

	log_info(
		"loading", "schema", l->schema, "table", l->table, "tables_done",
		all ? log_int(l->tables_done) : NULL, "tables",
		all ? log_int(l->tables) : NULL, "percent",
		log_int((int64_t) (l->share * 100)), "rows", log_int(l->rows), "bytes",
		log_int(l->bytes), "rows_per_s",
		l->ms > 0 ? log_int(l->rows * 1000 / l->ms) : NULL, "bytes_per_s",
		l->ms > 0
			? log_int((int64_t) ((double) l->bytes * 1000 / (double) l->ms))
			: NULL,
		"left_s", left >= 0 ? log_int(left) : NULL, "ms", log_int(l->ms), NULL);
}

static SeenLoad
seen_line(const LoadLine *l)
{
	SeenLoad s = { .share = l->share,
				   .rows = l->rows,
				   .rows_per_s = l->ms > 0 ? l->rows * 1000 / l->ms : 0,
				   .bytes_per_s = l->ms > 0 ? (int64_t) ((double) l->bytes *
														 1000 / (double) l->ms)
											: 0,
				   .left_s = load_progress_left(l),
				   .tables_done = l->tables_done,
				   .tables = l->tables };

	/* a cut is fine */
	(void) snprintf(s.schema, sizeof(s.schema), "%s",
					l->schema ? l->schema : "");
	(void) snprintf(s.table, sizeof(s.table), "%s", l->table ? l->table : "");
	return s;
}

static void
tell_seen(const LoadLine *lines, int n)
{
	SeenLoad *seen = xcalloc((size_t) n, sizeof(*seen));

	for (int i = 0; i < n; i++)
		seen[i] = seen_line(&lines[i]);
	seen_loads(seen, n);
	free(seen);
}

static void
show(LoadProgress *p, const LoadLine *lines, int n)
{
	if (p->live)
		draw(p, lines, n);
	for (int i = 0; !p->live && i < n; i++)
		log_line(&lines[i]);
}

void
load_progress_tick(LoadProgress *p, LoadPool *pool)
{
	int64_t now_ms = clock_mono_ms();
	bool due =
		p->interval_ms > 0 && now_ms >= p->next_ms && log_enabled(LOG_INFO);
	bool tells = !p->seen_ms || now_ms - p->seen_ms >= SEEN_MS;
	LoadLine *lines;
	int n;

	if (!due && !tells)
		return;
	pthread_mutex_lock(&pool->p->lock);
	lines = xcalloc((size_t) pool->nopen + 1, sizeof(LoadLine));
	n = collect(p, pool, lines);
	pthread_mutex_unlock(&pool->p->lock);
	if (due)
	{
		p->next_ms = now_ms + step_ms(p);
		show(p, lines, n);
	}
	if (tells)
	{
		p->seen_ms = now_ms;
		tell_seen(lines, n);
	}
	free(lines);
}

void
load_progress_keep(LoadProgress *p, const LoadPool *pool)
{
	for (int i = 0; i < pool->ntables; i++)
	{
		const PoolTable *t = &pool->tables[i];

		if (!t->load->over)
			continue;
		p->rows += t->rows;
		p->bytes += t->bytes;
		p->blocks += t->blocks;
	}
}

void
load_progress_end(LoadProgress *p)
{
	seen_loads(NULL, 0);
	if (!p->drawn)
		return;
	(void) !write(STDERR_FILENO, LOG_CLEAR_LINE, strlen(LOG_CLEAR_LINE));
	log_over_line(false);
	p->drawn = 0;
}
