/*-------------------------------------------------------------------------
 * cmd_merge_count.c
 *	  What a merge did, for whoever looks at a merge that goes on and on
 *	  (base/stats.h).
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "base/clock.h"
#include "base/stats.h"
#include "cmd/cmd_merge.h"
#include "store/commitlog.h"

/* When the entry was written that the target has come to; 0: not known. */
static int64_t
time_of(Store *store, int64_t seq)
{
	Entry *e;
	Err err;
	int64_t us;

	if (seq < 0 || !commitlog_read(store, seq, &e, &err))
		return 0; /* the merge at the next turn tells it */
	us = e->time;
	entry_free(e);
	return us;
}

void
cmd_merge_count(const MergeResult *r, Store *store)
{
	for (int i = 0; i < r->ntables; i++)
	{
		const MergeTable *t = &r->tables[i];

		count_add(&stats.merge_inserted, t->inserted);
		count_add(&stats.merge_updated, t->updated);
		count_add(&stats.merge_deleted, t->deleted);
		count_add(&stats.merge_rejected, t->rejected);
	}
	if (r->to_entry != count_get(&stats.merge_entry) ||
		count_get(&stats.merge_entry_us) == 0)
		count_set(&stats.merge_entry_us, time_of(store, r->to_entry));
	count_set(&stats.merge_entry, r->to_entry < 0 ? 0 : r->to_entry);
	count_set(&stats.merge_lsn, (int64_t) r->lsn);
	count_set(&stats.merge_behind, r->log_entries);
	count_add(&stats.merge_entries, r->entries);
	count_set(&stats.rejected_rows, r->rejected);
	count_set(&stats.resync_tables, r->nresync);
	count_set(&stats.merge_at_us, clock_unix_us());
	count_set(&stats.merge_failed, 0);
	count_add(&stats.merges, 1);
}

void
cmd_merge_count_failure(void)
{
	count_set(&stats.merge_failed, 1);
	count_add(&stats.merge_failures, 1);
}
