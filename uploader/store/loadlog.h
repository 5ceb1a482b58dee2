/*-------------------------------------------------------------------------
 * loadlog.h
 *	  What the commit log says of loads.
 *
 * An entry names the last one before it that has loads, so going back takes
 * few reads, however many entries there are.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef LOADLOG_H
#define LOADLOG_H

#include "store/commitlog.h"

#define LOADS_WINDOW_US (INT64_C(24) * 3600 * 1000000)

/* Loads of one table that nobody but the machine asked for. */
typedef struct LoadCount
{
	char *schema;
	char *table;
	int n;
} LoadCount;

typedef struct LoadCounts
{
	int n;
	LoadCount *items;
} LoadCounts;

/* False ends it. */
typedef bool (*LoadLogFn)(const Entry *e, void *arg);

/*
 * Calls fn for "last", and then for those entries before it, down to
 * "first", that have loads: maybe for others, too.
 */
bool loadlog_walk(Store *store, const Entry *last, int64_t first, LoadLogFn fn,
				  void *arg, Err *err) MUST_CHECK;

/*
 * How many were done in the day before now_us, up to entry "last".
 * load_counts_done() also after a failure.
 */
bool loadlog_count(Store *store, const Entry *last, int64_t now_us,
				   LoadCounts *out, Err *err) MUST_CHECK;
int load_counts_of(const LoadCounts *c, const char *schema, const char *table);
void load_counts_done(LoadCounts *c);

#endif
