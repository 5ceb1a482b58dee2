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
 * such entry (yet).  ERR_DATA: it is damaged, or a list's CRC is wrong.
 */
bool commitlog_read(Store *store, int64_t seq, Entry **out,
					Err *err) MUST_CHECK;

/*
 * The last entry, searched from "hint" on (an entry known to exist, or 0);
 * *out = NULL where the log is empty.
 */
bool commitlog_last(Store *store, int64_t hint, Entry **out,
					Err *err) MUST_CHECK;

/*
 * Writes e under its number, only if nobody else did.  Long object lists go
 * before it into files of their own.  The bytes are made once and every try
 * sends the same.  ERR_LOST: another writer has that number.
 */
bool commitlog_write(Store *store, Entry *e, Err *err) MUST_CHECK;

/* Reads a schema file and checks its name against its content. */
bool commitlog_schema(Store *store, const char *schema, const char *table,
					  const char *hash, Schema **out, Err *err) MUST_CHECK;

/* Gets an object and checks its size and CRC (ERR_DATA). */
bool commitlog_object(Store *store, const EntryObject *o, Buf *out,
					  Err *err) MUST_CHECK;

#endif
