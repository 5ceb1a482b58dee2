/*-------------------------------------------------------------------------
 * writer.h
 *	  Writes an object piece by piece, when it may be too large to hold.
 *
 * One part is held in memory.  An object that fits into one part is written
 * by a single put; a larger one in parts, which nobody sees before the
 * commit.  A call that failed with a retryable kind may be made again; any
 * other failure is final: free the writer, which abandons what was sent, and
 * start anew.
 *
 * Ownership: borrows the Store.  Threads: as the Store.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef WRITER_H
#define WRITER_H

#include "codec/hash.h"
#include "store/store.h"

typedef struct StoreWriter StoreWriter;

/* Makes no request.  part_bytes is at least the store's; 0: the store's. */
StoreWriter *store_writer_new(Store *store, const char *key, size_t part_bytes);

/* Goes on with another Store of the same place, in another thread perhaps. */
void store_writer_move(StoreWriter *w, Store *store);

/*
 * Takes the next bytes; sends each part that is full.  On failure *bytes is
 * what was not taken: to try again, call with that.
 */
bool store_writer_append(StoreWriter *w, Slice *bytes, Err *err) MUST_CHECK;

/*
 * Sends what is held, so that the commit is one short request; no append
 * after it.  An object of one part stays in memory.
 */
bool store_writer_flush(StoreWriter *w, Err *err) MUST_CHECK;

/* The object is there.  Flushes first where that was not done. */
bool store_writer_commit(StoreWriter *w, Err *err) MUST_CHECK;

/* What was appended so far. */
int64_t store_writer_bytes(const StoreWriter *w);
uint32_t store_writer_crc32c(const StoreWriter *w);

/* In hex, "" in a log without a key; once, behind the last append. */
void store_writer_sha256(StoreWriter *w, char out[SHA256_HEX_SIZE]);

/* Memory for the part at hand. */
size_t store_writer_memory(const StoreWriter *w);

/* Was something sent that is neither committed nor abandoned? */
bool store_writer_has_upload(const StoreWriter *w);

/* Abandons what is not committed, as well as it can. */
void store_writer_free(StoreWriter *w);

/* Makes no request: what is not committed is left to the sweep. */
void store_writer_drop(StoreWriter *w);

#endif
