/*-------------------------------------------------------------------------
 * merge_hurry.h
 *	  Staging in a hurry: one COPY for all changes of a table, which the
 *	  server reads while the next rows are made; changes that the next one of
 *	  their row writes over are not sent (merge_window.h); and a load's rows
 *	  go to an empty table itself.
 *
 * It is a guess that nothing is refused.  Whatever speaks against it is an
 * *objection*: nothing of the table has been rejected or counted for good
 * then, and the caller goes back to its savepoint and stages with care
 * (merge_stage.c).
 *
 * Ownership: hurry_free() frees.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_HURRY_H
#define MERGE_HURRY_H

#include "merge/merge_record.h"
#include "merge/merge_sql.h"
#include "merge/merge_window.h"

typedef struct Hurry Hurry;

/*
 * COPY … FROM STDIN to the staging table, and to the table; both borrowed.
 * keep_all: no change is left out.
 */
Hurry *hurry_new(MergeCx *cx, const char *copy_sql, const char *load_sql,
				 bool keep_all);
void hurry_free(Hurry *h);

/*
 * A change's staging rows and its key; fence as in merge_window.h.  All that
 * follow return false for an objection too.
 */
bool hurry_stage(Hurry *h, Slice rows, Slice key, bool fence,
				 Err *err) MUST_CHECK;
/*
 * Where changes mostly write over each other, rows are made of those that
 * leave only: hurry_stage_line() instead, once there is who makes them.
 */
void hurry_make_by(Hurry *h, WindowMake make, void *arg);
bool hurry_is_hot(const Hurry *h);
bool hurry_stage_line(Hurry *h, const WindowLine *late, Slice key,
					  Err *err) MUST_CHECK;
/* A row of a load, as a line of COPY to the table. */
bool hurry_load(Hurry *h, Slice row, Err *err) MUST_CHECK;
/* Positions of all records come by here, whatever they are. */
bool hurry_note(Hurry *h, RecordPos pos, bool fence, Err *err) MUST_CHECK;
bool hurry_end(Hurry *h, Err *err) MUST_CHECK;

/* Something speaks against it; false, as what failed. */
bool hurry_object(Hurry *h, Err *err);
bool hurry_objects(const Hurry *h);
/* Leaves no COPY under way, so that the savepoint can be gone back to. */
void hurry_abort(Hurry *h);

int64_t hurry_loaded(const Hurry *h);
int64_t hurry_dropped(const Hurry *h);
/* No key comes twice in what was staged, by its text. */
bool hurry_distinct(const Hurry *h);

#endif
