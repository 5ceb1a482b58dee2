/*-------------------------------------------------------------------------
 * commitlog.h
 *	  The chain of entries in a store.
 *
 * Only "init" (entry 0) and "run" write it.  A reader needs nothing else to
 * know exactly which rows count.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef COMMITLOG_H
#define COMMITLOG_H

#include "codec/entry.h"
#include "codec/schema.h"
#include "store/store.h"

/*
 * Reads entry seq, its object lists included.  ERR_NOT_FOUND: there is no
 * such entry (yet).  ERR_GAP: it is damaged, or not signed though the store
 * has keys, or a list is not the one that was written.
 */
bool commitlog_read(Store *store, int64_t seq, Entry **out,
					Err *err) MUST_CHECK;

/*
 * The number of the last entry, where all from first on up to it are there;
 * first - 1 where there is none.  ERR_GAP: one is missing, however many, and
 * a later one is there.  A listing of the log's folder, from first on where the
 * store can do that.
 */
bool commitlog_end(Store *store, int64_t first, int64_t *out,
				   Err *err) MUST_CHECK;

/*
 * The last entry, of a log that is known to be whole up to "hint" (or 0);
 * *out = NULL where the log is empty.  ERR_GAP as of commitlog_end().
 */
bool commitlog_last(Store *store, int64_t hint, Entry **out,
					Err *err) MUST_CHECK;

/*
 * The last entry, found by asking for single entries from "hint" on: for a
 * million of them with at most 60 requests, and no listing.  *out = NULL where
 * there is neither entry hint nor entry 0.  What is missing in the midst of
 * the log is for those to find who read it; but where entries lie behind
 * the end that was found, the log is listed, and ERR_GAP names the first one
 * that is missing.
 */
bool commitlog_head(Store *store, int64_t hint, Entry **out,
					Err *err) MUST_CHECK;

/*
 * Writes e under its number, only if nobody else did.  Long object lists go
 * before it into files of their own.  The bytes are made once and every try
 * sends the same.  ERR_LOST: another writer has that number.
 */
bool commitlog_write(Store *store, Entry *e, Err *err) MUST_CHECK;

/* Reads a schema file and checks its name against its content (ERR_GAP). */
bool commitlog_schema(Store *store, const char *schema, const char *table,
					  const char *hash, Schema **out, Err *err) MUST_CHECK;

/*
 * Gets an object and checks its size and CRC, and in a log with a key its
 * SHA-256 (ERR_GAP).
 */
bool commitlog_object(Store *store, const EntryObject *o, Buf *out,
					  Err *err) MUST_CHECK;

#endif
