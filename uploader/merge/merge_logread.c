/*-------------------------------------------------------------------------
 * merge_logread.c
 *	  The log read on from where a plan has come, ahead of who asks.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_logread.h"

#include <stdlib.h>

#include "base/mem.h"

static bool
read_on(PlanRead *r, int64_t seq, Entry **out, Err *err)
{
	if (!r->ahead)
		return commitlog_read(r->store, seq, out, err);
	if (!r->fetch &&
		!logfetch_open_end(r->ahead, LOGFETCH_JOBS, seq, &r->fetch, err))
		return false;
	return logfetch_next(r->fetch, out, err);
}

void
logread_over(PlanRead *r)
{
	logfetch_close(r->fetch);
	r->fetch = NULL;
}

bool
logread_next(PlanRead *r, int64_t seq, Entry **out, Err *err)
{
	int64_t end;

	*out = NULL;
	if (read_on(r, seq, out, err))
		return true;
	if (err->kind != ERR_NOT_FOUND)
		return false;
	/* what was not there behind it may be by now: it is asked for again */
	logread_over(r);
	if (!commitlog_end(r->store, seq, &end, err))
		return false;
	/* it may have been written in the meantime */
	return end < seq || commitlog_read(r->store, seq, out, err);
}

static bool
as_missing(int64_t seq, Err *err)
{
	return err->kind == ERR_NOT_FOUND &&
		   err_set(err, ERR_GAP, 0, "entry %lld of the commit log is missing",
				   (long long) seq);
}

/* Entries first to last, which lie before others that are there. */
static bool
read_earlier(PlanRead *r, int64_t first, int64_t last, Entry **out, Err *err)
{
	LogFetch *f = NULL;
	bool ok = true;

	if (r->ahead && last > first &&
		!logfetch_open(r->ahead, LOGFETCH_JOBS, first, last, &f, err))
		return false;
	for (int64_t seq = first; ok && seq <= last; seq++)
	{
		Entry **to = &out[seq - first];

		ok = !log_stopped(r, err) &&
			 ((f ? logfetch_next(f, to, err)
				 : commitlog_read(r->store, seq, to, err)) ||
			  as_missing(seq, err));
	}
	logfetch_close(f);
	return ok;
}

bool
logread_back(PlanRead *r, int64_t seq, Err *err)
{
	PlanLog *log = r->plan->log;
	int n = seq < log->base ? (int) (log->base - seq) : 0;
	Entry **read = xcalloc((size_t) n + 1, sizeof(Entry *));
	bool ok = read_earlier(r, seq, log->base - 1, read, err);

	if (ok && n > 0)
		log_prepend(log, read, n);
	for (int i = 0; !ok && i < n; i++)
		entry_free(read[i]);
	free(read);
	for (int i = n; ok && i > 0; i--)
		ok = log_check_chain(r, log->entries[i - 1], log->entries[i], err);
	return ok;
}
