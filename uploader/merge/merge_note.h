/*-------------------------------------------------------------------------
 * merge_note.h
 *	  What a merge leaves in the lake: up to where its target needs no objects
 *	  any more (store/expiry.h).
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_NOTE_H
#define MERGE_NOTE_H

#include "merge/merge_sql.h"

/*
 * After a merge.  That it cannot be left, in a lake that may only be read for
 * example, is told and no failure: such a target is not known.
 */
void note_target(MergeCx *cx);

#endif
