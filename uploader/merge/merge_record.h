/*-------------------------------------------------------------------------
 * merge_record.h
 *	  One record line, taken apart along the schema it was written with.
 *
 * Of each column the record knows its value in up to three rows: the new one
 * (top level), the old key ("_key") and the old row ("_before").
 * Ownership: a Record owns its arrays and is used again for line after line;
 * values point into the line and live as long as it.
 * Threads: one at a time.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_RECORD_H
#define MERGE_RECORD_H

#include "base/lsn.h"
#include "codec/jsonline.h"
#include "codec/schema.h"

/* A commit LSN and the ordinal in its transaction: the order of changes. */
typedef struct RecordPos
{
	Lsn lsn;
	int64_t seq;
} RecordPos;

static inline bool
record_pos_after(RecordPos a, RecordPos b)
{
	return a.lsn > b.lsn || (a.lsn == b.lsn && a.seq > b.seq);
}

#define RECORD_REASON_MAX 32

typedef enum FieldState
{
	FIELD_ABSENT,
	FIELD_VALUE,
	FIELD_NULL_JSON, /* json or jsonb: the JSON null */
	FIELD_UNCHANGED, /* the target has it */
	FIELD_WITHHELD   /* the source could not send it */
} FieldState;

typedef struct RecordField
{
	FieldState state;
	JsonValue value;
} RecordField;

typedef struct Record
{
	char op; /* 'r', 'i', 'u', 'd', 't', 's' */
	RecordPos pos;
	bool no_key;     /* the source could not tell which row it was */
	bool moved;      /* a delete that is half of the change behind it, which
					  * tells the old key too */
	bool partial;    /* a truncate of some partitions only: */
	JsonValue parts; /* an array of them, each with its "bound" */
	char reason[RECORD_REASON_MAX]; /* of a resync */
	bool has_key;                   /* "_key" is there */
	bool has_before;                /* "_before" is there */
	int nwithheld;
	const Schema *schema; /* borrowed */
	Buf heads;            /* of its columns, as lines have them: */
	size_t *head;         /* where each begins, and where the last ends */
	RecordField *row;     /* one per column of the schema */
	RecordField *key;
	RecordField *before;
} Record;

void record_init(Record *r);
void record_done(Record *r);

/* ERR_DATA where the line does not fit the schema. */
bool record_parse(Record *r, const Schema *schema, Slice line,
				  Err *err) MUST_CHECK;

/*
 * What can be told of a change at a glance: op, position, and the first n
 * columns.  False where that is not all that matters of it as long as nobody
 * asks for the other columns: it is no insert or update, has metadata that
 * says more, or is written in another order.  Columns behind the n-th are not
 * looked at, so that the line may still be wrong.
 */
bool record_peek(Record *r, const Schema *schema, int n, Slice line);

#endif
