/*-------------------------------------------------------------------------
 * merge_hurry.c
 *	  Staging in a hurry.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_hurry.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LOAD_BYTES ((size_t) 64 * 1024)
#define ROW_MAX_BYTES ((size_t) 3 * 1024 * 1024 * 1024)
#define MEMORY_DEFAULT (INT64_C(32) * 1024 * 1024)
#define WINDOW_MIN 4096

struct Hurry
{
	MergeCx *cx;
	Window *window;
	Buf load; /* rows of a load, not sent yet */
	const char *load_sql;
	const char *copy_sql;
	const char *open; /* the COPY under way, or NULL */
	bool sent;
	bool objects;
	int64_t made; /* rows of a load */
	int64_t loaded;
	bool any;
	RecordPos last; /* of the record before */
};

static bool
close_copy(Hurry *h, Err *err)
{
	bool load = h->open == h->load_sql;
	MergeCx *cx = h->cx;
	int64_t rows = 0;

	if (!h->open)
		return true;
	h->open = NULL;
	if (sql_copy_end(cx, "stage rows", h->sent, &rows, err))
	{
		h->loaded += load ? rows : 0;
		return true;
	}
	/* of the rows, or of the table itself: it may have row security */
	if (sql_state_is_data(cx) || strncmp(cx->state, "42", 2) == 0 ||
		strncmp(cx->state, "0A", 2) == 0)
		return hurry_object(h, err);
	return false;
}

static bool
put(Hurry *h, const char *sql, Slice rows, Err *err)
{
	MergeCx *cx = h->cx;

	if (sql_stopped(cx, err))
		return false;
	progress_tick(cx->progress);
	if (h->open != sql)
	{
		if (!close_copy(h, err))
			return false;
		if (!sql_copy_begin(cx, "stage rows", sql, err))
			return h->open == NULL && cx->state[0] ? hurry_object(h, err)
												   : false;
		h->open = sql;
		h->sent = true;
	}
	h->sent = sql_copy_put(cx, rows) && h->sent;
	return true;
}

static bool
sink(void *arg, Slice rows, Err *err)
{
	Hurry *h = arg;

	return put(h, h->copy_sql, rows, err);
}

Hurry *
hurry_new(MergeCx *cx, const char *copy_sql, const char *load_sql,
		  bool keep_all)
{
	Hurry *h = xcalloc(1, sizeof(*h));
	int64_t memory = cx->opt->memory_limit;
	size_t window = (size_t) ((memory > 0 ? memory : MEMORY_DEFAULT) / 4);

	h->cx = cx;
	h->copy_sql = copy_sql;
	h->load_sql = load_sql;
	h->window = window_new(window > WINDOW_MIN ? window : WINDOW_MIN, sink, h);
	if (keep_all)
		window_keep_all(h->window);
	buf_init(&h->load, ROW_MAX_BYTES);
	return h;
}

void
hurry_free(Hurry *h)
{
	if (!h)
		return;
	window_free(h->window);
	buf_done(&h->load);
	free(h);
}

bool
hurry_stage(Hurry *h, Slice rows, Slice key, bool fence, Err *err)
{
	return window_add(h->window, rows, key, fence, err);
}

void
hurry_make_by(Hurry *h, WindowMake make, void *arg)
{
	window_make_by(h->window, make, arg);
}

bool
hurry_is_hot(const Hurry *h)
{
	return window_is_hot(h->window);
}

bool
hurry_stage_line(Hurry *h, const WindowLine *late, Slice key, Err *err)
{
	return window_add_line(h->window, late, key, err);
}

static bool
send_load(Hurry *h, Err *err)
{
	bool ok = h->load.n == 0 || put(h, h->load_sql, buf_slice(&h->load), err);

	if (h->load.cap > 16 * LOAD_BYTES)
		buf_done(&h->load);
	else
		buf_reset(&h->load);
	return ok;
}

bool
hurry_load(Hurry *h, Slice row, Err *err)
{
	buf_add(&h->load, row.p, row.n);
	if (h->load.overflow)
		return err_set(err, ERR_LIMIT, 0, "the record is too long");
	h->made++;
	return h->load.n < LOAD_BYTES || send_load(h, err);
}

bool
hurry_note(Hurry *h, RecordPos pos, bool fence, Err *err)
{
	if (h->any && !record_pos_after(pos, h->last))
	{
		/* what was left out may be missed by this one */
		if (window_dropped(h->window) > 0)
			return hurry_object(h, err);
		window_keep_all(h->window);
	}
	h->any = true;
	h->last = pos;
	if (fence)
		window_fence(h->window);
	return true;
}

bool
hurry_end(Hurry *h, Err *err)
{
	/* a row that went nowhere is one that somebody has to name */
	return send_load(h, err) && window_flush(h->window, err) &&
		   close_copy(h, err) && (h->made == h->loaded || hurry_object(h, err));
}

bool
hurry_object(Hurry *h, Err *err)
{
	h->objects = true;
	return err_set(err, ERR_INTERNAL, 0, "rows have to be staged with care");
}

bool
hurry_objects(const Hurry *h)
{
	return h->objects;
}

void
hurry_abort(Hurry *h)
{
	if (h->open)
		sql_copy_abort(h->cx);
	h->open = NULL;
}

int64_t
hurry_loaded(const Hurry *h)
{
	return h->loaded;
}

int64_t
hurry_dropped(const Hurry *h)
{
	return window_dropped(h->window);
}

bool
hurry_distinct(const Hurry *h)
{
	return window_distinct(h->window);
}
