/*-------------------------------------------------------------------------
 * merge_sequence.h
 *	  Sequences of merged tables at the target, moved past the source's.
 *
 * Sequences are not in the WAL as changes of rows are, so their values are
 * read from the source itself, after the target's position: they are at or
 * past what was merged.  A sequence at the target only ever moves on, in its
 * own direction and by its own steps; what it hands out next was handed out
 * neither by the source nor is it in the column.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_SEQUENCE_H
#define MERGE_SEQUENCE_H

#include "merge/merge.h"

/* A column of a merged table that takes its values from a sequence. */
typedef struct MergeSequence
{
	char *schema; /* of the table at the target */
	char *table;
	char *column;
	char *sequence; /* at the target; NULL where it has none */
	char *source;   /* the source's last value, NULL where it has none */
	char *largest;  /* in the column, in the sequence's direction; or NULL */
	char *before;   /* its last value; NULL: it had none yet */
	char *value;    /* and now */
	bool moved;
	char *why; /* it could not be set; NULL where it could, or needed not */
} MergeSequence;

typedef struct MergeSequences
{
	int n;
	MergeSequence *list;
	int failed;    /* with a why */
	int nleft;     /* sequences of the source that no merged table uses */
	char **left;   /* their names, quoted */
	Lsn merged;    /* the target's position */
	Lsn source_at; /* the source's WAL, read after the values */
} MergeSequences;

/*
 * ERR_USAGE: nothing was merged yet, or the source is not the lake's.  What
 * single sequences lack is in the list.  The caller frees it.
 */
bool merge_sequences(Store *store, const MergeOptions *o, const char *source,
					 MergeSequences *out, Err *err) MUST_CHECK;
void merge_sequences_done(MergeSequences *s);

#endif
