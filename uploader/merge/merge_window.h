/*-------------------------------------------------------------------------
 * merge_window.h
 *	  Changes on their way to a staging table, and which of them the next
 *	  change of the same row writes over before they leave.
 *
 * Changes come in the order of the source, go on in that order, and a change
 * that tells its whole row ends those of the same key (equal bytes) that are
 * still here and tell theirs: nothing that is staged later could tell the
 * difference, since the last change of a key is its state.  A change that
 * leans on those before it (it does not tell its whole row, it moves the row
 * to another key, it ends rows that it does not name) is a *fence*: what came
 * before one is never left out for the sake of what comes behind it.
 *
 * Invariants:
 *	(1) What is left out is followed, with no fence between, by a change of
 *		the same key that is not left out, or is followed by one so.
 *	(2) Rows in memory: at most the maximum, and one change.
 *	(3) window_distinct: no two changes that left have keys of equal bytes.
 *		It may be false where that is so (hashes are compared, and their room
 *		has an end), never true where it is not.
 *
 * Threads: one.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_WINDOW_H
#define MERGE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Takes rows that leave, whole changes, in order. */
typedef bool (*WindowSink)(void *arg, Slice rows, Err *err);

/*
 * A change that is here as its line: the rows are made as it leaves, if it
 * does.  "of" and "number" are the maker's own.
 */
typedef struct WindowLine
{
	Slice line;
	const void *of; /* not NULL */
	int64_t number;
} WindowLine;

/* Makes them; *out is its maker's until the next call. */
typedef bool (*WindowMake)(void *arg, const WindowLine *late, Slice *out,
						   Err *err);

typedef struct Window Window;

/* max_bytes for rows and keys, and as much again for keys that were seen. */
Window *window_new(size_t max_bytes, WindowSink sink, void *arg);
void window_free(Window *w);

/* A change's rows, as they are to leave; both are copied. */
bool window_add(Window *w, Slice rows, Slice key, bool fence,
				Err *err) MUST_CHECK;

/* The same of a change that is no fence, and whose rows are made later. */
bool window_add_line(Window *w, const WindowLine *late, Slice key,
					 Err *err) MUST_CHECK;
void window_make_by(Window *w, WindowMake make, void *arg);

/* Do the last changes mostly write over each other? */
bool window_is_hot(const Window *w);

/* Lets all go that are still here. */
bool window_flush(Window *w, Err *err) MUST_CHECK;

/* A fence that is no change. */
void window_fence(Window *w);

/* From here on no change is left out. */
void window_keep_all(Window *w);

bool window_distinct(const Window *w);

/* How many changes were left out. */
int64_t window_dropped(const Window *w);

#endif
