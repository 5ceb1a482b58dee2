/*-------------------------------------------------------------------------
 * logwalk.h
 *	  Through the entries of the commit log that touch a range.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef LOGWALK_H
#define LOGWALK_H

#include "base/lsn.h"
#include "codec/entry.h"
#include "store/store.h"

#define LSN_MAX UINT64_MAX

/*
 * A change is in the range where from < its commit LSN <= to.  The rows of a
 * load count as one change, at logwalk_load_lsn(); so ranges that follow each
 * other give every row once.
 */
typedef struct LogRange
{
	Lsn from;
	Lsn to;
	const char *table;  /* "schema.table"; NULL: all */
	const char *output; /* whose objects are an entry's; NULL: the main one's */
	int64_t *expired;   /* gets the entry up to which objects are gone, before
						 * fn is called; may be NULL */
	const StoreOptions *parallel; /* with them entries are read by several
								   * threads; NULL: one after the other */
} LogRange;

typedef bool (*LogWalkFn)(const Entry *e, void *arg, Err *err);

/*
 * Calls fn for each entry that may hold changes in the range, in order, up
 * to the entry that is the last one now.  ERR_USAGE where there is no log,
 * ERR_GAP where the chain is broken or an entry is missing.
 */
bool logwalk(Store *store, const LogRange *range, LogWalkFn fn, void *arg,
			 Err *err) MUST_CHECK;

/*
 * Where a load's rows stand: at its consistent point, or, since they count
 * from entry e on, at the latest of that point and what e follows.
 */
Lsn logwalk_load_lsn(const Entry *e, const EntryObject *o);

/* Has the object rows in the range, of the table that is wanted? */
bool logwalk_wants(const LogRange *range, const Entry *e, const EntryObject *o);

#endif
