/*-------------------------------------------------------------------------
 * probe.h
 *	  What a store promises is tried out: on keys below _cdc/probe/ that are
 *	  deleted again.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef PROBE_H
#define PROBE_H

#include "store/store.h"

#define PROBE_RACERS 16
#define PROBE_ROUNDS 9

/*
 * Two conditional puts of one key, one behind the other: the second must
 * find it taken.  ERR_STORE where it does not.
 */
bool probe_conditional_put(Store *store, Err *err) MUST_CHECK;

/* Put, get, list and delete, and the bytes are the same. */
bool probe_round_trip(Store *store, Err *err) MUST_CHECK;

/*
 * An upload of one part is begun and finished, and gives the object: large
 * ones are written so.  ERR_STORE where it gives another.
 */
bool probe_parts(Store *store, Err *err) MUST_CHECK;

/*
 * An upload that was begun is listed, or the listing is at least allowed, and
 * can be abandoned: what a writer that died left is swept so.
 */
bool probe_leftovers(Store *store, Err *err) MUST_CHECK;

/* Opens one more store like the one that is probed. */
typedef bool (*ProbeOpenFn)(void *arg, Store **out, Err *err);

/*
 * PROBE_RACERS conditional puts of one key at the same time, each on a store
 * of its own, several rounds, with small and with 1 MB bodies: each round has
 * one winner, whose bytes are the ones found.  ERR_STORE where it has several.
 */
bool probe_race(ProbeOpenFn open, void *arg, int rounds, Err *err) MUST_CHECK;

/*
 * Whether a log that lies there has one writer: probe_conditional_put, then
 * PROBE_ROUNDS of probe_race on stores like this one, opened with options.
 */
bool probe_one_writer(Store *store, StoreOptions *options, Err *err) MUST_CHECK;

#endif
