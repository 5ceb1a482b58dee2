/*-------------------------------------------------------------------------
 * merge_preview.h
 *	  A merge that changes nothing: what the next one would do.
 *
 * It goes the same way as a merge, up to where rows would be applied, in a
 * transaction that is READ ONLY.  Statements that would write are not sent;
 * those that would change the target's schema are kept for who asked.  One
 * that is missed here is refused by the server, so nothing is written in any
 * case.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_PREVIEW_H
#define MERGE_PREVIEW_H

#include "merge/merge_plan.h"

/* True where the statement would write: it is not to be sent. */
bool preview_skips(MergePreview *p, const char *sql);

/* A statement that would be run. */
void preview_ddl(MergePreview *p, const char *sql);

/* What becomes of a table of the source beside its changes. */
void preview_note(MergePreview *p, const char *schema, const char *table,
				  const char *fmt, ...) PRINTF(4, 5);

/* What would be read. */
void preview_plan(MergePreview *p, const Plan *plan);

#endif
