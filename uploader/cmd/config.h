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

#include "base/buf.h"
#include "base/err.h"
#include "cmd/config_output.h"
#include "cmd/setting.h"
#include "codec/entry.h"

typedef struct Config
{
	char *source_conninfo;
	char *source_password_file;
	char *source_password_secret;
	char *source_slot;   /* "cdc_s3" */
	char *source_tables; /* patterns for the plugin, "" = all */
	char *source_exclude;
	char *source_publication;
	int64_t source_slot_wait_ms;
	int64_t source_silence_limit_ms;

	char *store_url;
	char *store_endpoint;
	char *store_region;
	char *store_addressing; /* auto, path, virtual */
	char *store_ca_file;
	char *store_secret_key_file;
	char *store_checksum; /* crc32c, off */
	char *store_sse;      /* "", AES256, aws:kms */
	char *store_kms_key;
	char *store_bucket_key; /* off, on */
	char *store_storage_class;
	char *store_tags;
	char *store_acl;
	char *store_expected_owner;
	char *store_requester_pays; /* off, on */

	char *output_format;            /* json, csv, parquet */
	char *output_shape;             /* flat, dms */
	char *output_compression;       /* zstd, gzip, none */
	char *output_partition;         /* hour, day, none */
	char *output_path;              /* template, see path.h */
	char *output_timezone;          /* see zonefile.h */
	char *output_csv_newlines;      /* keep, escape */
	char *output_parquet_timestamp; /* us, ms */
	char *output_parquet_types;     /* portable, exact */
	char *output_key_change;        /* record, split */
	char *output_unchanged;         /* list, old */
	char *output_dms_header;        /* off, on */
	char *output_dms_timestamp;
	char *output_dms_null;
	char *output_dms_delimiter;
	char *output_names;   /* part, dms */
	char *output_before;  /* off, on */
	char *output_numeric; /* number, string, auto */
	int64_t output_grace_ms;

	int64_t flush_interval_ms;
	int64_t output_workers;
	int64_t output_max_bytes;
	int64_t output_max_rows;
	int64_t flush_bytes;
	char *flush_tables;

	char *load_mode;   /* initial, never, only */
	char *load_resync; /* auto, manual */
	int64_t load_daily_max;
	int64_t load_jobs;
	int64_t load_chunk;
	int64_t load_max_rate;   /* bytes a second; 0: no limit */
	int64_t load_yield_ms;   /* 0: never */
	int64_t load_max_age_ms; /* 0: no limit */
	int64_t load_progress_ms;

	char *target_conninfo;
	char *target_password_file;
	char *target_password_secret;
	int64_t target_silence_limit_ms;
	int64_t merge_every_ms; /* 0: once */
	char *merge_until;      /* hour, now, an LSN, or an ISO time */
	char *merge_on_reject;  /* stop, continue */
	char *merge_schema;     /* follow, mirror, strict */
	int64_t merge_lock_timeout_ms;
	char *merge_way; /* auto, exact, fast */
	char *merge_map; /* "source.table=target.table,…" */
	char *merge_tables;
	char *merge_exclude;
	char *merge_on_existing; /* stop, replace, keep */
	int64_t merge_parallel;
	int64_t merge_progress_ms;
	char *merge_reject_limit; /* 0, a count, or a percentage */
	char *merge_triggers;

	int64_t lake_retention_ms; /* 0: for ever */

	char *governor_action; /* warn, shed, drop */
	int64_t governor_max_retained;
	int64_t governor_min_free;

	int64_t memory_limit;
	char *log_level;  /* debug, info, warn, error */
	char *log_format; /* text, json, journald */
	char *log_file;   /* "": standard error */
	char *log_key_file;
	char *log_key;
	OutputConfigs outputs; /* further ones */
	EntryKeys log_keys;    /* what the file or the key says */
	int64_t shutdown_timeout_ms;

	char *http_listen; /* "": not at all */
	char *http_token_file;
	char *http_token;
	char *http_basic_file;
	char *http_basic;
	char *http_insecure; /* off, on */
	char *metrics_tables;
	char *metrics_dms_names; /* off, on */
	char *metrics_emf;       /* off, on */
	int64_t metrics_emf_interval_ms;

	char **where; /* of each setting its value came from: "default", "flag",
				   * "variable CDC_S3_…", "line 3 of \"file\"" */

	/* Where it came from, for config_reload. */
	char *file;   /* "" where there is none */
	char **flags; /* name, value, name, value, …, NULL */
} Config;

/*
 * argv[0] is the first argument behind the program's name.  Reads flags from
 * it: those that are not --section.key (or --config FILE, or --key of the
 * section that is named as the command is) are left for the command: they
 * are moved to the front in their order and *argc becomes their number.
 * Then the environment and the file.  Whether all is there that a command
 * needs is for config_complete() to say.  ERR_USAGE names the setting, the
 * value and what is allowed; a secret is never echoed, and one in a flag
 * refused.
 */
bool config_load(int *argc, char **argv, Config **out, Err *err) MUST_CHECK;
void config_free(Config *c);

/*
 * Reads file and environment anew, all or nothing.  Settings that need a
 * restart keep their value; the names of those that would have changed are
 * appended to kept, with a comma between them.
 */
bool config_reload(const Config *old, Config **out, Buf *kept,
				   Err *err) MUST_CHECK;

/* False, and the error that says how to set it, where name's value is "". */
bool config_need(const Config *c, const char *name, Err *err) MUST_CHECK;

/* False where a setting is not set without which no command works. */
bool config_complete(const Config *c, Err *err) MUST_CHECK;

/* The table, one by one, and what each came to: as text, and from where. */
int config_count(void);
const CfgDef *config_def(int i);
void config_value(const Config *c, int i, Buf *out);
const char *config_where(const Config *c, int i);

/* "flush.bytes" to "CDC_S3_FLUSH_BYTES"; buf is returned. */
const char *config_env_name(const CfgDef *def, char *buf, size_t size);

#endif
