/*-------------------------------------------------------------------------
 * logwalk.c
 *	  Through the entries of the commit log that touch a range.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/logwalk.h"

#include <string.h>

#include "store/logfetch.h"

Lsn
logwalk_load_lsn(const Entry *e, const EntryObject *o)
{
	return o->first_lsn > e->prev_end ? o->first_lsn : e->prev_end;
}

static bool
is_table(const char *wanted, const EntryObject *o)
{
	size_t n = strlen(o->schema);

	return strncmp(wanted, o->schema, n) == 0 && wanted[n] == '.' &&
		   strcmp(wanted + n + 1, o->table) == 0;
}

bool
logwalk_wants(const LogRange *range, const Entry *e, const EntryObject *o)
{
	if (range->table && !is_table(range->table, o))
		return false;
	if (o->load[0] != '\0')
	{
		Lsn at = logwalk_load_lsn(e, o);

		return range->from < at && at <= range->to;
	}
	return range->from < o->last_lsn && o->first_lsn <= range->to;
}

/* It was there when the end was looked for, or must have been. */
static bool
as_missing(int64_t seq, Err *err)
{
	if (err->kind != ERR_NOT_FOUND)
		return false;
	err_set(err, ERR_GAP, 0, "entry %" PRId64 " of the commit log is missing",
			seq);
	return err_hint(err, "restore it (versioned bucket)");
}

static bool
read_entry(Store *store, int64_t seq, Entry **out, Err *err)
{
	return commitlog_read(store, seq, out, err) || as_missing(seq, err);
}

/* The number of the first entry that ends at or behind lsn. */
static bool
find_first(Store *store, int64_t last, Lsn lsn, int64_t *out, Err *err)
{
	int64_t lo = 0;
	int64_t hi = last;

	while (lo < hi)
	{
		int64_t mid = lo + (hi - lo) / 2;
		Entry *e;

		if (!read_entry(store, mid, &e, err))
			return false;
		if (e->end >= lsn)
			hi = mid;
		else
			lo = mid + 1;
		entry_free(e);
	}
	*out = lo;
	return true;
}

static bool
no_log(Err *err)
{
	err_set(err, ERR_USAGE, 0, "there is no log in store.url");
	return err_hint(err, "correct store.url, or begin with \"cdc-s3 init\"");
}

typedef struct Walk
{
	Store *store;
	LogFetch *fetch; /* NULL: entries are read one after the other */
	const LogRange *range;
	LogWalkFn fn;
	void *arg;
	bool begun;
	bool over; /* the entry read last begins behind the range */
	Lsn end;   /* of that entry */
} Walk;

static bool
next_entry(Walk *w, int64_t seq, Entry **out, Err *err)
{
	if (!w->fetch)
		return read_entry(w->store, seq, out, err);
	return logfetch_next(w->fetch, out, err) || as_missing(seq, err);
}

static bool
step(Walk *w, int64_t seq, Err *err)
{
	Entry *e;
	bool ok = true;

	if (!next_entry(w, seq, &e, err))
		return false;
	if (w->begun && e->prev_end != w->end)
		ok = err_set(err, ERR_GAP, 0,
					 "the log's chain is broken: entry %" PRId64
					 " begins at " LSN_FMT ", the one before ends at " LSN_FMT,
					 seq, LSN_ARGS(e->prev_end), LSN_ARGS(w->end));
	if (w->range->output)
		entry_choose_output(e, w->range->output);
	w->begun = true;
	w->end = e->end;
	w->over = e->prev_end > w->range->to;
	if (ok && !w->over)
		ok = w->fn(e, w->arg, err);
	entry_free(e);
	return ok;
}

bool
logwalk(Store *store, const LogRange *range, LogWalkFn fn, void *arg, Err *err)
{
	Walk w = { .store = store, .range = range, .fn = fn, .arg = arg };
	Entry *last;
	int64_t first = 0;
	int64_t n;
	bool ok = true;

	if (!commitlog_last(store, 0, &last, err))
		return false;
	if (!last)
		return no_log(err);
	n = last->seq;
	if (range->expired)
		*range->expired = last->expired;
	entry_free(last);
	if (range->from > 0 && !find_first(store, n, range->from, &first, err))
		return false;
	if (range->parallel &&
		!logfetch_open(range->parallel, LOGFETCH_JOBS, first, n, &w.fetch, err))
		return false;
	for (int64_t seq = first; ok && !w.over && seq <= n; seq++)
		ok = step(&w, seq, err);
	logfetch_close(w.fetch);
	return ok;
}
