/*-------------------------------------------------------------------------
 * config.h
 *	  The one table of settings, and what they came to.
 *
 * Sources, the first wins: flag --section.key=value, variable
 * CDC_S3_SECTION_KEY, file (INI), default.  Seen by cmd/ and main only: every
 * module below takes its own small options struct.
 * Ownership: config_free() frees all strings.  A string is never NULL; unset
 * ones are "".
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef struct Config
{
	char *source_conninfo;
	char *source_slot;   /* "cdc_s3" */
	char *source_tables; /* patterns for the plugin, "" = all */
	char *source_exclude;
	char *source_publication;

	char *store_url;
	char *store_endpoint;
	char *store_region;
	char *store_addressing; /* auto, path, virtual */
	char *store_ca_file;

	char *output_format;      /* json */
	char *output_shape;       /* flat */
	char *output_compression; /* zstd, gzip, none */
	char *output_partition;   /* hour, day, none */
	char *output_timezone;    /* UTC */
	char *output_before;      /* off, on */
	char *output_numeric;     /* number, string, auto */
	int64_t output_grace_ms;

	int64_t flush_interval_ms;
	int64_t flush_bytes;

	char *load_mode; /* initial, never */

	char *target_conninfo;
	int64_t merge_every_ms; /* 0: once */
	char *merge_until;      /* hour, now, an LSN, or an ISO time */
	char *merge_on_reject;  /* stop, continue */
	char *merge_map;        /* "source.table=target.table,…" */

	int64_t memory_limit;
	char *log_level;  /* debug, info, warn, error */
	char *log_format; /* text, json */
	int64_t shutdown_timeout_ms;
} Config;

/*
 * Reads flags from argv (those that are not --section.key are left for the
 * command: they are moved to the front and *out_argc is their number), then
 * environment and the file named by --config FILE.  ERR_USAGE names the
 * setting, the value and what is allowed; a secret is never echoed.
 */
bool config_load(int *argc, char **argv, Config **out, Err *err) MUST_CHECK;
void config_free(Config *c);

/* The table, for --help and for the README. */
void config_print_help(FILE *out);
void config_print_markdown(FILE *out);

#endif
