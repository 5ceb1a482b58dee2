/*-------------------------------------------------------------------------
 * cmd_merge.h
 *	  What the ways to call "cdc-s3 merge" share.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CMD_MERGE_H
#define CMD_MERGE_H

#include "cmd/config.h"
#include "merge/merge.h"

/* --plan */
bool cmd_merge_plan(MergeOptions *o, Store *store, Err *err) MUST_CHECK;

/* --sequences */
bool cmd_merge_sequences(const MergeOptions *o, Store *store,
						 const char *source, Err *err) MUST_CHECK;

/* What it did, for whoever looks (base/stats.h). */
void cmd_merge_count(const MergeResult *r, Store *store);
void cmd_merge_count_failure(void);

/* A name without what could end or forge a line. */
void cmd_merge_print_name(const char *name);
void cmd_merge_print_table(const char *schema, const char *table);
void cmd_merge_print_resync(const MergeResult *r, bool preview);

#endif
