/*-------------------------------------------------------------------------
 * outputs.h
 *	  Further outputs, from their settings to what run and check need.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include "cmd/cmd.h"
#include "cmd/config_layout.h"
#include "pipe/pipe.h"

typedef struct OutputSet
{
	int n;
	OutputOptions all[OUTPUTS_MAX - 1];
	OutputHealth health[OUTPUTS_MAX - 1];
	char rooms[OUTPUTS_MAX - 1][LAYOUT_ROOM]; /* of their layouts */
} OutputSet;

/*
 * Borrows strings of cfg.  ERR_USAGE where settings do not fit together, or
 * two outputs, the lake included, lie in one place or one in the other.
 */
bool outputs_open(const Config *cfg, OutputSet *out, Err *err) MUST_CHECK;
void outputs_close(OutputSet *s);

/* ERR_OUTSTANDING where one was detached. */
bool outputs_all_attached(const OutputSet *s, Err *err) MUST_CHECK;

StoreOptions outputs_store_options(const Config *cfg, const OutputConfig *o);

/* Opens the store of that output; NULL: the lake's. */
bool outputs_open_store(const Config *cfg, const char *name, Store **out,
						Err *err) MUST_CHECK;

/*
 * What of a range an output has, by the log's last entry: narrows *from and
 * *to; *out_since is the entry from which on its objects are listed.  ERR_USAGE
 * where the log does not know the output.
 */
bool outputs_range(Store *log, const char *name, Lsn *from, Lsn *to,
				   int64_t *out_since, Err *err) MUST_CHECK;

/* As the settings of one output have it, the main one's too. */
FormatOptions outputs_format_options(const char *numeric, const char *before,
									 const char *csv_newlines,
									 const char *parquet_timestamp,
									 const char *parquet_types);

/* Of the names; "section" is for messages, as "output". */
bool outputs_form(const char *section, const char *format,
				  const char *compression, const Format **out_format,
				  Compression *out_compression, Err *err) MUST_CHECK;

#endif
