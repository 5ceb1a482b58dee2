/*-------------------------------------------------------------------------
 * config_layout.c
 *	  From the settings of an output, the main one's or a further one's, to
 *	  how its objects are laid out: folders, format, form.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/config_layout.h"

#include <stdio.h>
#include <string.h>

#include "io/zonefile.h"

#define DMS_TEXT_MAX 128

/* A word of output.partition is a template of its own. */
static const char *
template_of(const char *partition)
{
	if (strcmp(partition, "none") == 0)
		return "{schema}/{table}";
	if (strcmp(partition, "day") == 0)
		return "{schema}/{table}/year={yyyy}/month={mm}/day={dd}";
	return PATH_DEFAULT;
}

/* One byte that ends no field by itself; 0: it is none. */
static char
delimiter(const LayoutSettings *s)
{
	const char *text = s->dms_delimiter;

	if (strcmp(text, "tab") == 0)
		return '\x01'; /* a tab ends the name of the time's column */
	return strlen(text) == 1 && !strchr("\"\r\n\t\\ \x01", *text) &&
				   (*text & 0x80) == 0
			   ? *text
			   : 0;
}

static bool
is_plain_text(const char *s)
{
	return strlen(s) <= DMS_TEXT_MAX && strcspn(s, "\t\r\n\"") == strlen(s);
}

LayoutSettings
config_layout_main(const Config *cfg)
{
	return (LayoutSettings){ .section = "output",
							 .format = cfg->output_format,
							 .shape = cfg->output_shape,
							 .csv_newlines = cfg->output_csv_newlines,
							 .parquet_timestamp = cfg->output_parquet_timestamp,
							 .parquet_types = cfg->output_parquet_types,
							 .compression = cfg->output_compression,
							 .path = cfg->output_path,
							 .partition = cfg->output_partition,
							 .timezone = cfg->output_timezone,
							 .dms_header = cfg->output_dms_header,
							 .dms_timestamp = cfg->output_dms_timestamp,
							 .dms_null = cfg->output_dms_null,
							 .dms_delimiter = cfg->output_dms_delimiter };
}

LayoutSettings
config_layout_further(const OutputConfig *o, const char *section)
{
	return (LayoutSettings){ .section = section,
							 .format = o->format,
							 .shape = o->shape,
							 .csv_newlines = o->csv_newlines,
							 .parquet_timestamp = o->parquet_timestamp,
							 .parquet_types = o->parquet_types,
							 .compression = o->compression,
							 .path = o->path,
							 .partition = o->partition,
							 .timezone = o->timezone,
							 .dms_header = o->dms_header,
							 .dms_timestamp = o->dms_timestamp,
							 .dms_null = o->dms_null,
							 .dms_delimiter = o->dms_delimiter };
}

bool
config_is_dms(const LayoutSettings *s)
{
	return strcmp(s->shape, "dms") == 0;
}

bool
config_check_shape(const LayoutSettings *s, Err *err)
{
	if (!config_is_dms(s))
		return true;
	if (strcmp(s->format, "csv") != 0)
		return err_set(err, ERR_USAGE, 0,
					   "%s.shape = dms needs %s.format = csv", s->section,
					   s->section);
	if (!delimiter(s))
		return err_set(err, ERR_USAGE, 0,
					   "%s.dms_delimiter has the value \"%.16s\", and is "
					   "one byte that is no quote, blank, line end or "
					   "backslash, or \"tab\"",
					   s->section, s->dms_delimiter);
	if (!is_plain_text(s->dms_null) || !is_plain_text(s->dms_timestamp) ||
		strchr(s->dms_null, delimiter(s)))
		return err_set(err, ERR_USAGE, 0,
					   "%s.dms_null and %s.dms_timestamp have at most "
					   "128 bytes, and no "
					   "quotes, tabs, line ends or delimiters",
					   s->section, s->section);
	return true;
}

/* layout_options() reads it. */
static const char *
parquet_variant(const LayoutSettings *s)
{
	bool ms = strcmp(s->parquet_timestamp, "ms") == 0;

	if (strcmp(s->parquet_types, "exact") == 0)
		return ms ? "exact-ms" : "exact";
	return ms ? "ms" : "";
}

void
config_layout(const LayoutSettings *s, EntryLayout *out, char *room,
			  size_t size)
{
	bool own_path = strcmp(s->path, PATH_DEFAULT) != 0;
	const char *variant = "";

	if (config_is_dms(s))
	{
		(void) snprintf(room, size, "%c%c%s\t%s",
						strcmp(s->dms_header, "on") == 0 ? '1' : '0',
						delimiter(s), s->dms_timestamp,
						s->dms_null); /* as long as settings are */
		variant = room;
	}
	else if (strcmp(s->format, "csv") == 0 &&
			 strcmp(s->csv_newlines, "escape") == 0)
		variant = "escape";
	if (strcmp(s->format, "parquet") == 0)
		variant = parquet_variant(s);
	*out = (EntryLayout){
		.format = (char *) (config_is_dms(s) ? "csv-dms" : s->format),
		.variant = (char *) variant,
		.compression = (char *) s->compression,
		.path = (char *) (own_path ? s->path : template_of(s->partition)),
		.zone = (char *) s->timezone
	};
}

bool
config_path(const LayoutSettings *s, Path **out, Err *err)
{
	const char *text = s->path;
	Zone *zone;

	if (strcmp(text, PATH_DEFAULT) == 0)
		text = template_of(s->partition);
	else if (strcmp(s->partition, "hour") != 0)
	{
		(void) err_set(err, ERR_USAGE, 0,
					   "settings \"%s.path\" and \"%s.partition\" "
					   "are both given",
					   s->section, s->section);
		return err_hint(err,
						"a path of its own says by what times its folders "
						"are: leave %s.partition out",
						s->section);
	}
	if (!zone_open(s->timezone, &zone, err))
		return err_prefix(err, "setting \"%s.timezone\"", s->section);
	if (!path_parse(text, zone, out, err))
		return err_prefix(err, "setting \"%s.path\"", s->section);
	return true;
}
