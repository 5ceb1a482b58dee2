/*-------------------------------------------------------------------------
 * merge_planlog.c
 *	  The entries that a plan has read.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_planlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

Entry *
log_entry(const PlanLog *log, int64_t seq)
{
	assert(log->n > 0 && seq >= log->base && seq < log->base + log->n);
	return log->entries[seq - log->base];
}

void
log_append(PlanLog *log, Entry *e)
{
	if (log->n == log->cap)
	{
		log->cap = log->cap ? log->cap * 2 : 64;
		log->entries =
			xrealloc(log->entries, (size_t) log->cap * sizeof(Entry *));
	}
	if (log->n == 0)
		log->base = e->seq;
	log->entries[log->n++] = e;
}

void
log_prepend(PlanLog *log, Entry *const *entries, int n)
{
	log->cap = log->n + n > log->cap ? log->n + 2 * n : log->cap;
	log->entries = xrealloc(log->entries, (size_t) log->cap * sizeof(Entry *));
	memmove(log->entries + n, log->entries, (size_t) log->n * sizeof(Entry *));
	memcpy(log->entries, entries, (size_t) n * sizeof(Entry *));
	log->n += n;
	log->base -= n;
}

bool
log_stopped(const PlanRead *r, Err *err)
{
	progress_tick(r->progress);
	if (!r->stop || !atomic_load(r->stop))
		return false;
	err_set(err, ERR_STOP, 0, "the merge was stopped");
	return true;
}

static bool
same_source(const Plan *p, const Entry *e)
{
	return strcmp(p->system_identifier, e->system_identifier) == 0 &&
		   strcmp(p->database, e->database) == 0 &&
		   strcmp(p->slot, e->slot) == 0;
}

bool
log_check_chain(const PlanRead *r, const Entry *prev, const Entry *e, Err *err)
{
	if (!same_source(r->plan, e))
		return err_set(err, ERR_GAP, 0,
					   "entry %lld of the commit log is of another source "
					   "(system %s, database \"%s\", slot \"%s\")",
					   (long long) e->seq, e->system_identifier, e->database,
					   e->slot);
	if (prev && prev->end != e->prev_end)
		return err_set(err, ERR_GAP, 0,
					   "the commit log is broken: entry %lld ends at " LSN_FMT
					   ", but entry %lld starts at " LSN_FMT,
					   (long long) prev->seq, LSN_ARGS(prev->end),
					   (long long) e->seq, LSN_ARGS(e->prev_end));
	return true;
}

bool
log_read_earlier(const PlanRead *r, int64_t seq, Entry **out, Err *err)
{
	if (log_stopped(r, err))
		return false;
	if (commitlog_read(r->store, seq, out, err))
		return true;
	if (err->kind != ERR_NOT_FOUND)
		return false;
	return err_set(err, ERR_GAP, 0, "entry %lld of the commit log is missing",
				   (long long) seq);
}

void
log_free(PlanLog *log)
{
	for (int i = 0; i < log->n; i++)
		entry_free(log->entries[i]);
	free(log->entries);
	free(log);
}

const Entry *
plan_last(const Plan *p)
{
	return p->log->n > 0 ? p->log->entries[p->log->n - 1] : NULL;
}

/* The newest word on each load is what counts. */
static bool
is_over(const PlanLog *log, int64_t seq, const char *id)
{
	for (seq++; seq < log->base + log->n; seq++)
	{
		const Entry *e = log_entry(log, seq);

		for (int i = 0; i < e->nloads; i++)
		{
			if (strcmp(e->loads[i].id, id) == 0)
				return true;
		}
	}
	return false;
}

bool
plan_load_ahead(const Plan *p, const char *schema, const char *table, Lsn lsn)
{
	const PlanLog *log = p->log;
	int64_t seq = p->end.entry + 1;

	if (log->n == 0)
		return false;
	for (seq = seq < log->base ? log->base : seq; seq < log->base + log->n;
		 seq++)
	{
		const Entry *e = log_entry(log, seq);

		for (int i = 0; i < e->nloads; i++)
		{
			const EntryLoad *l = &e->loads[i];

			if (strcmp(l->table, table) != 0 || strcmp(l->schema, schema) != 0)
				continue;
			if ((l->state == LOAD_DONE && l->lsn >= lsn) ||
				(l->state == LOAD_OPEN && !is_over(log, seq, l->id)))
				return true;
		}
	}
	return false;
}
