/*-------------------------------------------------------------------------
 * merge_fate.h
 *	  What became of a staged change that later changes of its key follow:
 *	  a map from (table, row number).
 *
 * Only those are kept whose row is not what their change says.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FATE_H
#define MERGE_FATE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum FateKind
{
	FATE_NONE,
	FATE_WAITS,    /* for the end of its transaction */
	FATE_REJECTED, /* its row is as it was before */
	FATE_CASCADED  /* an action of the target may have done it already */
} FateKind;

typedef struct Fate
{
	uint64_t key; /* 0: free */
	FateKind kind;
	int64_t from; /* cascaded: the parent's change, packed; waits: its place; a
				   * rejected change of a key: the row is still under the key of
				   * this staged row */
} Fate;

typedef struct FateMap
{
	uint32_t n;
	uint32_t cap;  /* a power of two, or 0 */
	uint32_t kept; /* entries after fate_forget */
	Fate *slots;
} FateMap;

void fate_set(FateMap *m, int table, int64_t rn, FateKind kind, int64_t from);
/* NULL where nothing is known. */
const Fate *fate_get(const FateMap *m, int table, int64_t rn);
/* Nobody waits any more: makes room where most entries say nothing. */
void fate_forget(FateMap *m);
void fate_copy(FateMap *to, const FateMap *from);
void fate_done(FateMap *m);

/* A table and a row number as one number that is not 0, and back. */
int64_t fate_pack(int table, int64_t rn);
void fate_unpack(int64_t packed, int *table, int64_t *rn);

#endif
