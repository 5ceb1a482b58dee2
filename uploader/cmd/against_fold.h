/*-------------------------------------------------------------------------
 * against_fold.h
 *	  What is known of the rows of a table, by the hashes of their keys, in
 *	  bounded memory.
 *
 * A key is 128 bits, and what is kept of it some words of 64.  Keys lie in
 * shards by their first bits.  When the limit is reached, the shards at the
 * end are given up, one by one: the pass is then one over the keys before
 * them, and the next pass begins with the first one that was given up.
 *
 * Invariants:
 *	(1) A key of a shard in [from, to) is there exactly if it was put and not
 *		taken out since fold_begin(); of others there is nothing.
 *	(2) "to" only falls in a pass, so what is told at its end was kept in all
 *		of it.
 *
 * Threads: one.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef AGAINST_FOLD_H
#define AGAINST_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FOLD_SHARDS 4096

typedef struct FoldKey
{
	uint64_t word[2]; /* not both 0 */
} FoldKey;

typedef struct FoldShard
{
	uint64_t *slots; /* key and words of each; a key of zeros: free */
	size_t cap;      /* slots: a power of two, or 0 */
	size_t n;
} FoldShard;

typedef struct Fold
{
	int nwords;
	size_t limit; /* bytes */
	size_t bytes;
	int from;
	int to;
	FoldShard shards[FOLD_SHARDS];
} Fold;

Fold *fold_new(int nwords, size_t limit);
void fold_free(Fold *f);

/* A pass over the keys of all shards from this one on; the fold is empty. */
void fold_begin(Fold *f, int from);

/* Is the key one of this pass? */
bool fold_has_shard(const Fold *f, FoldKey key);

/* Its words, valid until the next put or take; NULL: it is not there. */
uint64_t *fold_get(Fold *f, FoldKey key);

/*
 * The same, made of zeros where it was not there.  *out = NULL where the key
 * is not of this pass (any more).  ERR_LIMIT: the limit is too small for one
 * shard.
 */
bool fold_put(Fold *f, FoldKey key, uint64_t **out, Err *err) MUST_CHECK;
void fold_take(Fold *f, FoldKey key);

/* All keys go; the pass goes on. */
void fold_clear(Fold *f);

typedef void (*FoldEach)(void *arg, FoldKey key, uint64_t *words);
void fold_each(Fold *f, FoldEach each, void *arg);

#endif
