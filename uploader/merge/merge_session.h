/*-------------------------------------------------------------------------
 * merge_session.h
 *	  The transaction of a merge: its settings, and whether triggers fire.
 *
 * All that is set is set in the transaction and for it alone, since behind a
 * pooler the next one runs in another session.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_SESSION_H
#define MERGE_SESSION_H

#include "merge/merge_sql.h"

bool session_begin(MergeCx *cx, Err *err) MUST_CHECK;

/* Triggers and foreign keys off, where this role may (cx->replica). */
bool session_replica(MergeCx *cx, Err *err) MUST_CHECK;

/* ERR_TARGET where the same may work later becomes ERR_BUSY. */
void session_judge(const MergeCx *cx, Err *err);

#endif
