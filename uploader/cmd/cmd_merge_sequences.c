/*-------------------------------------------------------------------------
 * cmd_merge_sequences.c
 *	  cdc-s3 merge --sequences: the target's sequences past the source's, for
 *	  a cut-over.
 *
 * One line a column, then both positions.  Where a sequence could not be set
 * that is exit code 8; the others are.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "base/log.h"
#include "cmd/cmd_merge.h"
#include "merge/merge_sequence.h"

static void
print_sequence(const MergeSequence *q)
{
	cmd_merge_print_table(q->schema, q->table);
	(void) putchar('.');
	cmd_merge_print_name(q->column);
	printf(": ");
	if (q->sequence)
		cmd_merge_print_name(q->sequence);
	if (q->why)
	{
		printf("%snot set: ", q->sequence ? " " : "");
		cmd_merge_print_name(q->why);
		printf("\n");
		return;
	}
	if (q->moved)
		printf(" set to %s, was %s", q->value,
			   q->before ? q->before : "unused");
	else
		printf(" stays %s%s", q->before ? "at " : "unused",
			   q->before ? q->before : "");
	printf(" (source %s, largest %s)\n", q->source ? q->source : "none",
		   q->largest ? q->largest : "none");
}

static void
print_positions(const MergeSequences *s)
{
	int moved = 0;

	for (int i = 0; i < s->n; i++)
		moved += s->list[i].moved;
	for (int i = 0; i < s->nleft; i++)
	{
		cmd_merge_print_name(s->left[i]);
		printf(": left alone, no merged table uses it\n");
	}
	printf("%d of %d sequences set, %d not needed, %d not possible\n", moved,
		   s->n, s->n - moved - s->failed, s->failed);
	printf("target is at LSN " LSN_FMT ", source at LSN " LSN_FMT "\n",
		   LSN_ARGS(s->merged), LSN_ARGS(s->source_at));
	(void) fflush(stdout);
	if (s->source_at > s->merged)
		log_warn("the source's WAL goes on behind what was merged", "bytes",
				 log_int((int64_t) (s->source_at - s->merged)), "hint",
				 "unless nothing was written there since: stop the writers, "
				 "run merge with --until=now until this is small and stays so, "
				 "then set the sequences again",
				 NULL);
}

bool
cmd_merge_sequences(const MergeOptions *o, Store *store, const char *source,
					Err *err)
{
	MergeSequences s;
	bool ok;

	if (!merge_sequences(store, o, source, &s, err))
		return false;
	for (int i = 0; i < s.n; i++)
		print_sequence(&s.list[i]);
	print_positions(&s);
	ok = s.failed == 0;
	if (!ok)
	{
		err_set(err, ERR_OUTSTANDING, 0, "%d of %d sequences could not be set",
				s.failed, s.n);
		err_hint(err, "see their lines above, and set them before the target "
					  "is written to");
	}
	merge_sequences_done(&s);
	return ok;
}
