/*-------------------------------------------------------------------------
 * fill.h
 *	  What was written to fill an output that was added later: the list that
 *	  "replay --into" leaves in the lake and "run" enters into the log, since
 *	  only run writes that.
 *
 *		_cdc/fill/<output>.json
 *
 * It is an entry of its own kind, with the checks of one: its number is that of
 * the entry that attached the output, its one output the output's state then,
 * and its output_objects are what run is to list.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef FILL_H
#define FILL_H

#include "codec/entry.h"
#include "store/store.h"

/* How the names of its objects begin. */
#define FILL_STEM "fill-"

/* Is the object of a fill? */
bool fill_is_key(const char *key);

/* ERR_EXISTS: there is one. */
bool fill_write(Store *lake, const Entry *fill, Err *err) MUST_CHECK;

/* *out = NULL: there is none. */
bool fill_read(Store *lake, const char *output, Entry **out,
			   Err *err) MUST_CHECK;
bool fill_exists(Store *lake, const char *output, bool *out,
				 Err *err) MUST_CHECK;
bool fill_remove(Store *lake, const char *output, Err *err) MUST_CHECK;

#endif
