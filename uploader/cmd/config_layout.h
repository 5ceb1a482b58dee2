/*-------------------------------------------------------------------------
 * config_layout.h
 *	  From the settings of an output, the main one's or a further one's, to
 *	  how its objects are laid out.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CONFIG_LAYOUT_H
#define CONFIG_LAYOUT_H

#include "cmd/config.h"
#include "codec/entry_layout.h"
#include "codec/path.h"

/* Those settings; strings are borrowed. */
typedef struct LayoutSettings
{
	const char *section; /* for messages: "output", "output.report" */
	const char *format;
	const char *shape;
	const char *csv_newlines;
	const char *parquet_timestamp;
	const char *parquet_types;
	const char *compression;
	const char *path;
	const char *partition;
	const char *timezone;
	const char *dms_header;
	const char *dms_timestamp;
	const char *dms_null;
	const char *dms_delimiter;
} LayoutSettings;

LayoutSettings config_layout_main(const Config *cfg);
LayoutSettings config_layout_further(const OutputConfig *o,
									 const char *section);

/* Its objects are as AWS DMS writes them. */
bool config_is_dms(const LayoutSettings *s);

/* ERR_USAGE: the shape and what belongs to it do not fit. */
bool config_check_shape(const LayoutSettings *s, Err *err) MUST_CHECK;

/*
 * How objects are to be laid out, in words; its strings are those of the
 * settings, or in room.
 */
#define LAYOUT_ROOM 512
void config_layout(const LayoutSettings *s, EntryLayout *out, char *room,
				   size_t size);

/* The folders; owned. */
bool config_path(const LayoutSettings *s, Path **out, Err *err) MUST_CHECK;

#endif
