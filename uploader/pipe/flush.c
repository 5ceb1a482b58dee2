/*-------------------------------------------------------------------------
 * flush.c
 *	  When changes of some tables want a checkpoint sooner than others.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/flush.h"

#include "codec/pattern.h"

int
flush_rule_of(const FlushRules *rules, const char *schema, const char *table)
{
	for (int i = 0; i < rules->n; i++)
	{
		if (pattern_list_matches(rules->all[i].tables, schema, table))
			return i;
	}
	return -1;
}

void
flush_note(FlushSeen *seen, int64_t rows, int64_t bytes, int64_t now_ms)
{
	FlushSum *sum = &seen->open;

	if (sum->since_ms == 0)
		sum->since_ms = now_ms;
	sum->rows += rows;
	sum->bytes += bytes;
}

void
flush_committed(FlushSeen *seen, int n)
{
	for (int i = 0; i < n; i++)
	{
		FlushSum *done = &seen[i].done;

		done->rows += seen[i].open.rows;
		done->bytes += seen[i].open.bytes;
		if (done->since_ms == 0)
			done->since_ms = seen[i].open.since_ms;
		seen[i].open = (FlushSum){ 0 };
	}
}

void
flush_reset(FlushSeen *seen, int n)
{
	for (int i = 0; i < n; i++)
		seen[i].done = (FlushSum){ 0 };
}

bool
flush_is_due(const FlushRules *rules, const FlushSeen *seen, int64_t now_ms)
{
	for (int i = 0; i < rules->n; i++)
	{
		const FlushRule *rule = &rules->all[i];
		const FlushSum *done = &seen[i].done;

		if (done->since_ms == 0)
			continue;
		if ((rule->rows > 0 && done->rows >= rule->rows) ||
			(rule->bytes > 0 && done->bytes >= rule->bytes) ||
			(rule->interval_ms > 0 &&
			 now_ms - done->since_ms >= rule->interval_ms))
			return true;
	}
	return false;
}
