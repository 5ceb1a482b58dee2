/*-------------------------------------------------------------------------
 * config.c
 *	  The one table of settings, and the four sources they come from.
 *
 * Sources are applied from the weakest to the strongest, each over the one
 * before: default, file, environment, flags.  A value is checked whatever
 * source it comes from, also where a stronger one replaces it.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/ini.h"
#include "cmd/setting.h"
#include "codec/hash.h"
#include "codec/path.h"

#define ENV_PREFIX "CDC_S3_"
#define ENV_FILE "CDC_S3_CONFIG"
#define FLAG_FILE "--config"
#define NAME_SIZE 128
#define KEY_FILE_MAX 4096

/* offset of a field, with its C type checked by the compiler */
#define FIELD(f, T) _Generic(((Config *) 0)->f, T : offsetof(Config, f))
#define TEXT(f) FIELD(f, char *)
#define NUMBER(f) FIELD(f, int64_t)

#define KB INT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define SEC INT64_C(1000)
#define HOUR (3600 * SEC)

/* clang-format off */
static const CfgDef cfg_defs[] = {
	{ "source.conninfo", CFG_CONNINFO, CFG_SECRET, TEXT(source_conninfo), "",
	  0, 0, NULL, "Source database, as libpq takes it; PG* variables fill what is not said" },
	{ "source.password_file", CFG_STR, 0, TEXT(source_password_file), "",
	  0, 0, NULL, "File with the source's password, read for each connection" },
	{ "source.password_secret", CFG_STR, 0, TEXT(source_password_secret), "",
	  0, 0, NULL, "ARN of a secret of AWS Secrets Manager with the source's password, or user, password, host and port; asked for each connection" },
	{ "source.slot", CFG_SLOT, 0, TEXT(source_slot), "cdc_s3",
	  0, 0, NULL, "Name of the replication slot" },
	{ "source.tables", CFG_STR, 0, TEXT(source_tables), "",
	  0, 0, NULL, "Tables wanted: schema.table patterns with *, by comma; empty for all" },
	{ "source.exclude", CFG_STR, 0, TEXT(source_exclude), "",
	  0, 0, NULL, "Tables not wanted: patterns as in source.tables" },
	{ "source.publication", CFG_STR, 0, TEXT(source_publication), "",
	  0, 0, NULL, "Publications that choose tables, operations and columns" },
	{ "source.slot_wait", CFG_MS, 0, NUMBER(source_slot_wait_ms), "2min",
	  0, 24 * 31 * HOUR, NULL, "How long run waits for a slot that another process holds, before it ends with 75 and says which" },
	{ "source.silence_limit", CFG_MS, 0, NUMBER(source_silence_limit_ms), "0",
	  0, 24 * HOUR, NULL, "How long the source may say nothing before it is asked on another connection, and given up where it does not work for us; 0: twice its wal_sender_timeout, or 2 minutes" },

	{ "store.url", CFG_URL, CFG_REQUIRED, TEXT(store_url), "",
	  0, 0, NULL, "The lake: s3://bucket/prefix or file:///folder" },
	{ "store.endpoint", CFG_URL, 0, TEXT(store_endpoint), "",
	  0, 0, NULL, "URL of an S3 server that is not AWS" },
	{ "store.region", CFG_STR, 0, TEXT(store_region), "",
	  0, 0, NULL, "Region; empty for AWS_REGION, then us-east-1" },
	{ "store.addressing", CFG_ENUM, 0, TEXT(store_addressing), "auto",
	  0, 0, "auto, path, virtual", "Where the bucket's name stands: in the path or in the host" },
	{ "store.ca_file", CFG_STR, 0, TEXT(store_ca_file), "",
	  0, 0, NULL, "Certificates to trust instead of the system's (PEM)" },
	{ "store.secret_key_file", CFG_STR, 0, TEXT(store_secret_key_file), "",
	  0, 0, NULL, "File with the secret key of the store; AWS_ACCESS_KEY_ID says whose" },
	{ "store.checksum", CFG_ENUM, 0, TEXT(store_checksum), "crc32c",
	  0, 0, "crc32c, off", "Checksum that S3 verifies; off for servers that do not know it" },
	{ "store.sse", CFG_ENUM, 0, TEXT(store_sse), "",
	  0, 0, "AES256, aws:kms", "Encryption that S3 is asked for; empty for the bucket's own" },
	{ "store.kms_key", CFG_STR, 0, TEXT(store_kms_key), "",
	  0, 0, NULL, "Key for store.sse=aws:kms: id or ARN" },
	{ "store.bucket_key", CFG_ENUM, 0, TEXT(store_bucket_key), "off",
	  0, 0, "off, on", "One KMS data key a bucket, which saves requests" },
	{ "store.storage_class", CFG_STR, 0, TEXT(store_storage_class), "",
	  0, 0, NULL, "Storage class of new objects, as STANDARD_IA" },
	{ "store.tags", CFG_STR, 0, TEXT(store_tags), "",
	  0, 0, NULL, "Tags of new objects: name=value&name=value, percent-encoded" },
	{ "store.acl", CFG_STR, 0, TEXT(store_acl), "",
	  0, 0, NULL, "Canned ACL of new objects, as bucket-owner-full-control" },
	{ "store.expected_owner", CFG_STR, 0, TEXT(store_expected_owner), "",
	  0, 0, NULL, "Account that must own the bucket" },
	{ "store.requester_pays", CFG_ENUM, 0, TEXT(store_requester_pays), "off",
	  0, 0, "off, on", "Whether we pay for requests to a bucket of others" },

	{ "output.format", CFG_ENUM, 0, TEXT(output_format), "json",
	  0, 0, "json, csv, parquet", "Format of data files: json is one object a line, csv is of RFC 4180 (doc/csv.md), parquet is doc/parquet.md's" },
	{ "output.parquet_timestamp", CFG_ENUM, 0, TEXT(output_parquet_timestamp), "us",
	  0, 0, "us, ms", "Unit of parquet's timestamps: microseconds, or milliseconds with what they cut off in _exact" },
	{ "output.parquet_types", CFG_ENUM, 0, TEXT(output_parquet_types), "portable",
	  0, 0, "portable, exact", "Types of parquet's columns: portable is what every reader knows; exact has UUID, TIME, JSON and differences of numbers" },
	{ "output.csv_newlines", CFG_ENUM, 0, TEXT(output_csv_newlines), "keep",
	  0, 0, "keep, escape", "Line ends within fields of csv: escape is for readers that know no quoted ones" },
	{ "output.shape", CFG_ENUM, 0, TEXT(output_shape), "flat",
	  0, 0, "flat, dms", "Shape of a record: flat has the columns at the top level; dms is csv as AWS DMS writes it, which merge and replay cannot read (doc/csv.md)" },
	{ "output.dms_header", CFG_ENUM, 0, TEXT(output_dms_header), "off",
	  0, 0, "off, on", "Column names in front of each file, as DMS's AddColumnName" },
	{ "output.dms_timestamp", CFG_STR, 0, TEXT(output_dms_timestamp), "",
	  0, 0, NULL, "Name of a column with the commit's time, as DMS's TimestampColumnName; empty: there is none" },
	{ "output.dms_null", CFG_STR, 0, TEXT(output_dms_null), "",
	  0, 0, NULL, "What stands for NULL, without quotes, as DMS's CsvNullValue" },
	{ "output.dms_delimiter", CFG_STR, 0, TEXT(output_dms_delimiter), ",",
	  0, 0, NULL, "One byte between fields, as DMS's CsvDelimiter; tab for a tab" },
	{ "output.compression", CFG_ENUM, 0, TEXT(output_compression), "zstd",
	  0, 0, "zstd, gzip, snappy, none", "Compression of data files; snappy is for parquet only" },
	{ "output.partition", CFG_ENUM, 0, TEXT(output_partition), "hour",
	  0, 0, "hour, day, none", "Folders by commit time, where output.path says nothing else" },
	{ "output.path", CFG_STR, 0, TEXT(output_path), PATH_DEFAULT,
	  0, 0, NULL, "Folders of the data files, with {schema} {table} {database} {slot} {yyyy} {mm} {dd} {hh} {mi}" },
	{ "output.timezone", CFG_STR, 0, TEXT(output_timezone), "UTC",
	  0, 0, NULL, "Time zone of the folders: UTC, an offset as +05:30, or a name as Europe/Berlin" },
	{ "output.names", CFG_ENUM, 0, TEXT(output_names), "part",
	  0, 0, "part, dms", "Names of data files: dms begins them as AWS DMS does, LOAD00000001 and 20261130-103125108" },
	{ "output.before", CFG_ENUM, 0, TEXT(output_before), "off",
	  0, 0, "off, on", "Old rows in records, where the replica identity is full" },
	{ "output.key_change", CFG_ENUM, 0, TEXT(output_key_change), "record",
	  0, 0, "record, split", "Updates that change the key: one record with the old key, or before it a delete of the old key, marked _moved" },
	{ "output.unchanged", CFG_ENUM, 0, TEXT(output_unchanged), "list",
	  0, 0, "list, old", "TOAST values that an update did not touch: the old row's where it is at hand, else in _unchanged; with old, check names tables where it is not" },
	{ "output.numeric", CFG_ENUM, 0, TEXT(output_numeric), "number",
	  0, 0, "number, string, auto", "Numeric values: auto writes those as strings that a double cannot hold" },
	{ "output.workers", CFG_COUNT, 0, NUMBER(output_workers), "0",
	  0, 128, NULL, "Threads that format and compress; 0: one less than cores, at least two; never more than memory.limit / 8MB" },
	{ "output.max_bytes", CFG_BYTES, 0, NUMBER(output_max_bytes), "128MB",
	  MB, 4 * GB, NULL, "Size of a data file, before compression, behind which another one begins" },
	{ "output.max_rows", CFG_COUNT, 0, NUMBER(output_max_rows), "0",
	  0, 1000000000, NULL, "Likewise, its rows; 0: any number" },
	{ "output.grace", CFG_MS, CFG_RELOAD, NUMBER(output_grace_ms), "30s",
	  0, HOUR, NULL, "How long after its end an hour is closed" },

	{ "flush.interval", CFG_MS, CFG_RELOAD, NUMBER(flush_interval_ms), "60s",
	  SEC, HOUR, NULL, "Longest time between two checkpoints" },
	{ "flush.bytes", CFG_BYTES, CFG_RELOAD, NUMBER(flush_bytes), "64MB",
	  64 * KB, 64 * GB, NULL, "Changes, as they come from the source, after which a checkpoint is made" },

	{ "flush.tables", CFG_STR, 0, TEXT(flush_tables), "",
	  0, 0, NULL, "Tables whose changes want a checkpoint of all sooner: patterns and rows=, bytes=, interval=, as public.orders rows=1000 interval=5s; audit.* bytes=1MB" },

	{ "load.mode", CFG_ENUM, 0, TEXT(load_mode), "initial",
	  0, 0, "initial, never, only", "Whether rows that were there before are loaded first; only: run ends once they are" },
	{ "load.resync", CFG_ENUM, 0, TEXT(load_resync), "auto",
	  0, 0, "auto, manual", "Whether merge asks for loads of tables in cdc_s3.resync, and run loads these and tables that are wanted later, without a person" },
	{ "load.daily_max", CFG_COUNT, 0, NUMBER(load_daily_max), "3",
	  1, 1000, NULL, "How often a table is loaded within 24 hours without a person" },
	{ "load.jobs", CFG_COUNT, 0, NUMBER(load_jobs), "2",
	  1, 64, NULL, "How many tables, or chunks of large ones, a load reads at the same time" },
	{ "load.chunk", CFG_BYTES, 0, NUMBER(load_chunk), "1GB",
	  MB, 64 * 1024 * GB, NULL, "Larger tables are read in chunks of about this size" },
	{ "load.max_rate", CFG_BYTES, 0, NUMBER(load_max_rate), "0",
	  0, 1024 * GB, NULL, "Bytes a second that a load reads at most; 0 for no limit" },
	{ "load.yield", CFG_MS, 0, NUMBER(load_yield_ms), "5s",
	  0, 24 * HOUR, NULL, "How long somebody waits for a lock that a load has before it gives way; 0 for ever" },
	{ "load.max_age", CFG_MS, 0, NUMBER(load_max_age_ms), "0",
	  0, 24 * 31 * HOUR, NULL, "Age at which a load's snapshot is given up, which holds vacuum back: what is not loaded begins anew; 0 for none" },
	{ "load.progress", CFG_MS, 0, NUMBER(load_progress_ms), "10s",
	  0, HOUR, NULL, "How often a load logs how far it is; on a terminal it keeps lines up to date instead; 0 for neither" },

	{ "target.conninfo", CFG_CONNINFO, CFG_SECRET, TEXT(target_conninfo), "",
	  0, 0, NULL, "Target database of merge, as libpq takes it" },
	{ "target.password_file", CFG_STR, 0, TEXT(target_password_file), "",
	  0, 0, NULL, "As source.password_file, of the target" },
	{ "target.password_secret", CFG_STR, 0, TEXT(target_password_secret), "",
	  0, 0, NULL, "As source.password_secret, of the target" },
	{ "target.silence_limit", CFG_MS, 0, NUMBER(target_silence_limit_ms), "0",
	  0, 24 * HOUR, NULL, "How long a statement at the target may be unanswered before the target is asked on another connection whether it works at it, and given up where it does not; 0: 2 minutes" },
	{ "merge.every", CFG_MS, 0, NUMBER(merge_every_ms), "0",
	  0, 24 * 31 * HOUR, NULL, "Merge again and again; 0 merges once" },
	{ "merge.until", CFG_UNTIL, 0, TEXT(merge_until), "hour",
	  0, 0, NULL, "How far: hour (the last closed one), now, an LSN, or a time as 2026-11-21T08:00:00Z" },
	{ "merge.on_reject", CFG_ENUM, 0, TEXT(merge_on_reject), "stop",
	  0, 0, "stop, continue", "What to do when the target refuses a row" },
	{ "merge.reject_limit", CFG_STR, 0, TEXT(merge_reject_limit), "0",
	  0, 0, NULL, "Rows that may be rejected in one merge: 1000, or 1% of its changes; past it nothing is changed; 0 for any number" },
	{ "merge.triggers", CFG_STR, 0, TEXT(merge_triggers), "off",
	  0, 0, NULL, "Tables of the target whose triggers run also where the role switches triggers off: patterns as in source.tables; or on, off" },
	{ "merge.schema", CFG_ENUM, 0, TEXT(merge_schema), "follow",
	  0, 0, "follow, mirror, strict", "Schema changes of the source: follow keeps what held data, mirror drops it too, strict stops and prints the statements" },
	{ "merge.lock_timeout", CFG_MS, 0, NUMBER(merge_lock_timeout_ms), "30s",
	  0, HOUR, NULL, "Longest wait for a table of the target that a schema change locks; 0 for any" },
	{ "merge.way", CFG_ENUM, 0, TEXT(merge_way), "auto",
	  0, 0, "auto, exact, fast", "How changes are applied: in the order of the source, or folded per key" },
	{ "merge.map", CFG_STR, 0, TEXT(merge_map), "",
	  0, 0, NULL, "Other names at the target: schema.table=schema.table, by comma" },
	{ "merge.tables", CFG_STR, 0, TEXT(merge_tables), "",
	  0, 0, NULL, "Tables of the target that merge may write though they have rows that it did not bring: patterns as in source.tables" },
	{ "merge.exclude", CFG_STR, 0, TEXT(merge_exclude), "",
	  0, 0, NULL, "Tables of the source that merge leaves out: patterns as in source.tables" },
	{ "merge.on_existing", CFG_ENUM, 0, TEXT(merge_on_existing), "stop",
	  0, 0, "stop, replace, keep", "What a first load does to rows that were in the table" },
	{ "merge.parallel", CFG_COUNT, 0, NUMBER(merge_parallel), "1",
	  1, 64, NULL, "Connections that merge; with more than one each group of tables that foreign keys join commits alone, and tables are consistent with each other only once the merge ends" },
	{ "merge.progress", CFG_MS, 0, NUMBER(merge_progress_ms), "10s",
	  0, HOUR, NULL, "How often a merge logs how far it is; on a terminal it keeps one line up to date instead; 0 for neither" },

	{ "lake.retention", CFG_MS, 0, NUMBER(lake_retention_ms), "0",
	  0, 24 * 36600 * HOUR, NULL, "Age at which run gives objects up and removes them, but for what a known target needs; 0: never" },
	{ "governor.action", CFG_ENUM, 0, TEXT(governor_action), "warn",
	  0, 0, "warn, shed, drop", "What is done where WAL piles up behind the slot: shed pauses loads and writes at once; drop drops the slot at governor.min_free" },
	{ "governor.max_retained", CFG_BYTES, 0, NUMBER(governor_max_retained), "0",
	  0, 1024 * 1024 * GB, NULL, "WAL that the slot may hold, where the server has no limit or a larger one; 0: the server's alone" },
	{ "governor.min_free", CFG_BYTES, 0, NUMBER(governor_min_free), "1GB",
	  0, 1024 * GB, NULL, "So much less than may be held: there governor.action = drop drops the slot, so that the source lives" },
	{ "memory.limit", CFG_BYTES, 0, NUMBER(memory_limit), "32MB",
	  8 * MB, 64 * GB, NULL, "Budget for all rows in flight" },
	{ "log.level", CFG_ENUM, CFG_RELOAD, TEXT(log_level), "info",
	  0, 0, "debug, info, warn, error", "Least important events to log" },
	{ "log.format", CFG_ENUM, CFG_RELOAD, TEXT(log_format), "text",
	  0, 0, "text, json, journald", "Log lines as key=value, as JSON objects with the names of ECS, or as events of the journal with fields" },
	{ "log.file", CFG_STR, CFG_RELOAD, TEXT(log_file), "",
	  0, 0, NULL, "File that the log is appended to, and opened anew at HUP; empty for standard error" },
	{ "log.key_file", CFG_STR, 0, TEXT(log_key_file), "",
	  0, 0, NULL, "File with the key that signs the commit log; a second line: an older key" },
	{ "log.key", CFG_KEY, CFG_SECRET, TEXT(log_key), "",
	  0, 0, NULL, "That key itself, in the variable or the file only" },
	{ "http.listen", CFG_STR, 0, TEXT(http_listen), "",
	  0, 0, NULL, "Address and port of /livez, /readyz, /metrics, /status and the page, as 127.0.0.1:8470; empty for none" },
	{ "http.token_file", CFG_STR, 0, TEXT(http_token_file), "",
	  0, 0, NULL, "File with the bearer token that all but the two probes ask for" },
	{ "http.token", CFG_PASSWORD, CFG_SECRET, TEXT(http_token), "",
	  0, 0, NULL, "That token itself, in the variable or the file only" },
	{ "http.basic_file", CFG_STR, 0, TEXT(http_basic_file), "",
	  0, 0, NULL, "File with user:password that all but the two probes ask for" },
	{ "http.basic", CFG_PASSWORD, CFG_SECRET, TEXT(http_basic), "",
	  0, 0, NULL, "These themselves, in the variable or the file only" },
	{ "http.insecure", CFG_ENUM, 0, TEXT(http_insecure), "off",
	  0, 0, "off, on", "Listen beyond this machine without a token or password" },
	{ "metrics.tables", CFG_STR, 0, TEXT(metrics_tables), "",
	  0, 0, NULL, "Tables with metrics of their own, 100 at most: patterns as in source.tables; empty for those that come first" },
	{ "metrics.dms_names", CFG_ENUM, 0, TEXT(metrics_dms_names), "off",
	  0, 0, "off, on", "Metrics under the names of AWS DMS too" },
	{ "metrics.emf", CFG_ENUM, 0, TEXT(metrics_emf), "off",
	  0, 0, "off, on", "Metrics as lines of CloudWatch's embedded metric format on standard output" },
	{ "metrics.emf_interval", CFG_MS, 0, NUMBER(metrics_emf_interval_ms), "60s",
	  SEC, HOUR, NULL, "Time between two of these lines" },
	{ "shutdown.timeout", CFG_MS, CFG_RELOAD, NUMBER(shutdown_timeout_ms), "10s",
	  SEC, HOUR, NULL, "How long a stop may take, the last checkpoint included" },
};
/* clang-format on */

#define NDEFS (sizeof(cfg_defs) / sizeof(cfg_defs[0]))

/* The process's own; read nowhere else but in the store's credentials. */
extern char **environ;

static const CfgDef *
def_find(const char *name)
{
	for (size_t i = 0; i < NDEFS; i++)
		if (strcmp(cfg_defs[i].name, name) == 0)
			return &cfg_defs[i];
	return NULL;
}

/* "flush.bytes" to "CDC_S3_FLUSH_BYTES" */
const char *
config_env_name(const CfgDef *def, char *buf, size_t size)
{
	size_t n = (size_t) snprintf(buf, size, ENV_PREFIX "%s", def->name);

	for (size_t i = 0; i < n && i < size; i++)
		buf[i] = buf[i] == '.' ? '_' : (char) toupper((unsigned char) buf[i]);
	return buf;
}

static char **
text_field(const Config *c, const CfgDef *def)
{
	return (char **) ((char *) c + def->offset);
}

static int64_t *
number_field(const Config *c, const CfgDef *def)
{
	return (int64_t *) ((char *) c + def->offset);
}

/* where: "flag", "variable", "line 3 of \"cdc-s3.conf\""; for the message. */
static bool
config_set(Config *c, const CfgDef *def, const char *value, bool from_argv,
		   const char *where, Err *err)
{
	if (!setting_store(c, def, value, from_argv, where, err))
		return false;
	free(c->where[def - cfg_defs]);
	c->where[def - cfg_defs] = xstrdup(where);
	return true;
}

static bool
has_setting(const char *name)
{
	return def_find(name) != NULL;
}

static const char *
text_of(const void *config, const char *name)
{
	return *text_field(config, def_find(name));
}

static int64_t
number_of(const void *config, const char *name)
{
	return *number_field(config, def_find(name));
}

static bool
unknown_name(const char *name, const char *where, Err *err)
{
	Nearest near;

	err_set(err, ERR_USAGE, 0, "there is no setting \"%.64s\" (%s)", name,
			where);
	nearest_init(&near, name);
	for (size_t i = 0; i < NDEFS; i++)
		nearest_offer(&near, cfg_defs[i].name);
	if (nearest_get(&near))
		return err_hint(err, "did you mean \"%s\"?", nearest_get(&near));
	return err_hint(err, "\"cdc-s3 help\" lists all settings");
}

/*
 * File
 */
typedef struct FileState
{
	Config *config;
	const char *path;
	int seen[NDEFS]; /* line of each setting; 0: not there */
} FileState;

static bool
file_setting(const char *name, const char *value, int line, void *arg, Err *err)
{
	FileState *st = arg;
	const CfgDef *def = def_find(name);
	char where[512];

	(void) snprintf(where, sizeof(where), "line %d of \"%s\"", line,
					st->path); /* a cut is fine */
	if (!def && config_is_output(name))
		return config_output_set(&st->config->outputs, name, value, false,
								 where, line, err);
	if (!def)
		return unknown_name(name, where, err);
	if (st->seen[def - cfg_defs])
		return err_set(err, ERR_USAGE, 0,
					   "setting \"%s\" stands twice, in line %d and %d of "
					   "\"%s\"",
					   name, st->seen[def - cfg_defs], line, st->path);
	st->seen[def - cfg_defs] = line;
	return config_set(st->config, def, value, false, where, err);
}

static bool
load_file(Config *c, Err *err)
{
	FileState st = { .config = c, .path = c->file };

	if (c->file[0] == '\0')
		return true;
	return ini_parse_file(c->file, file_setting, &st, err);
}

/*
 * Environment
 */

/*
 * An orchestrator that has a service named like us sets variables such as
 * CDC_S3_SERVICE_HOST and CDC_S3_PORT_9187_TCP in every container.
 */
static bool
is_service_link(const char *name)
{
	const char *port = strstr(name, "_PORT");

	if (strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT"))
		return true;
	return port && (port[5] == '\0' ||
					(port[5] == '_' && isdigit((unsigned char) port[6])));
}

static bool
unknown_variable(const char *name, Err *err)
{
	Nearest near;
	char names[NDEFS][NAME_SIZE];

	err_set(err, ERR_USAGE, 0,
			"there is no setting behind the variable \"%.64s\"", name);
	nearest_init(&near, name);
	for (size_t i = 0; i < NDEFS; i++)
		nearest_offer(&near,
					  config_env_name(&cfg_defs[i], names[i], NAME_SIZE));
	if (nearest_get(&near))
		return err_hint(err, "did you mean \"%s\"?", nearest_get(&near));
	return err_hint(err, "unset it; \"cdc-s3 help\" lists all settings");
}

/* A variable that is none of the table's. */
static bool
output_variable(Config *c, const char *name, const char *value, Err *err)
{
	char where[NAME_SIZE + 16];
	Buf setting;
	bool ok;

	buf_init(&setting, NAME_SIZE);
	config_output_variable(name + strlen(ENV_PREFIX), &setting);
	(void) snprintf(where, sizeof(where), "variable %.100s", name);
	if (setting.n == 0)
		ok = unknown_variable(name, err);
	else
		ok =
			*value == '\0' || config_output_set(&c->outputs, buf_cstr(&setting),
												value, false, where, 0, err);
	buf_done(&setting);
	return ok;
}

static bool
env_setting(Config *c, const char *name, const char *value, Err *err)
{
	char expected[NAME_SIZE];
	char where[NAME_SIZE + 16];

	if (strcmp(name, ENV_FILE) == 0 || is_service_link(name))
		return true;
	for (size_t i = 0; i < NDEFS; i++)
	{
		if (strcmp(config_env_name(&cfg_defs[i], expected, sizeof(expected)),
				   name))
			continue;
		if (*value == '\0') /* as good as not there */
			return true;
		(void) snprintf(where, sizeof(where), "variable %s", expected);
		return config_set(c, &cfg_defs[i], value, false, where, err);
	}
	return output_variable(c, name, value, err);
}

static bool
load_environment(Config *c, Err *err)
{
	bool ok = true;

	for (char **e = environ; ok && *e; e++)
	{
		char *name;
		char *value;

		if (strncmp(*e, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
			continue;
		name = xstrdup(*e);
		value = strchr(name, '=');
		if (value)
		{
			*value++ = '\0';
			ok = env_setting(c, name, value, err);
		}
		free(name);
	}
	return ok;
}

/*
 * Flags
 */

/* The command is the first argument that is neither flag nor its value. */
typedef struct FlagState
{
	Config *config;
	const char *command;
	int nflags; /* strings in config->flags */
	int argc;
	char **argv;
	int at;
} FlagState;

/* The value of the flag at st->at: behind '=', or the next argument. */
static bool
flag_value(FlagState *st, const char *name, const char **out, Err *err)
{
	const char *equals = strchr(st->argv[st->at], '=');

	if (equals)
		*out = equals + 1;
	else if (st->at + 1 < st->argc)
		*out = st->argv[++st->at];
	else
		return err_set(err, ERR_USAGE, 0, "flag \"%s\" needs a value", name);
	return true;
}

/*
 * Which setting the flag "--name" means: section.key, or a key of the
 * command's own section.  *out is NULL where it is not ours.
 */
static bool
flag_find(const FlagState *st, const char *name, const CfgDef **out, Err *err)
{
	char full[2 * NAME_SIZE];

	*out = def_find(name);
	if (*out)
		return true;
	if (strchr(name, '.'))
		return unknown_name(name, "flag", err);
	if (st->command)
	{
		(void) snprintf(full, sizeof(full), "%s.%s", st->command, name);
		*out = def_find(full);
	}
	return true;
}

static void
keep_flag(FlagState *st, const char *name, const char *value)
{
	Config *c = st->config;

	c->flags = xrealloc(c->flags, sizeof(char *) * (size_t) (st->nflags + 3));
	c->flags[st->nflags++] = xstrdup(name);
	c->flags[st->nflags++] = xstrdup(value);
	c->flags[st->nflags] = NULL;
}

/* Takes the argument at st->at; *out_taken is false where it is not ours. */
static bool
take_flag(FlagState *st, bool *out_taken, Err *err)
{
	const char *arg = st->argv[st->at];
	const char *value = NULL;
	const CfgDef *def;
	char name[NAME_SIZE];

	*out_taken = false;
	if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
		return true;
	(void) snprintf(name, sizeof(name), "%.*s", (int) strcspn(arg + 2, "="),
					arg + 2); /* longer than any of ours: unknown */
	if (strcmp(name, FLAG_FILE + 2) == 0)
	{
		*out_taken = true;
		if (!flag_value(st, FLAG_FILE, &value, err))
			return false;
		free(st->config->file);
		st->config->file = xstrdup(value);
		return true;
	}
	if (!config_is_output(name))
	{
		if (!flag_find(st, name, &def, err))
			return false;
		if (!def)
			return true;
		(void) snprintf(name, sizeof(name), "%s", def->name); /* fits */
	}
	*out_taken = true;
	if (!flag_value(st, arg, &value, err))
		return false;
	keep_flag(st, name, value);
	return true;
}

/* Sorts the arguments into flags of ours, in config->flags, and the rest. */
static bool
read_flags(Config *c, int *argc, char **argv, Err *err)
{
	FlagState st = { .config = c, .argc = *argc, .argv = argv };
	int left = 0;
	bool taken;

	for (; st.at < st.argc && strcmp(argv[st.at], "--") != 0; st.at++)
	{
		char *arg = argv[st.at];

		if (!take_flag(&st, &taken, err))
			return false;
		if (taken)
			continue;
		if (!st.command && arg[0] != '-')
			st.command = arg;
		argv[left++] = arg;
	}
	for (; st.at < st.argc; st.at++)
		argv[left++] = argv[st.at];
	*argc = left;
	return true;
}

static bool
load_flags(Config *c, Err *err)
{
	for (char **f = c->flags; f && *f; f += 2)
	{
		const CfgDef *def = def_find(f[0]);

		if (def ? !config_set(c, def, f[1], true, "flag", err)
				: !config_output_set(&c->outputs, f[0], f[1], true, "flag", 0,
									 err))
			return false;
	}
	return true;
}

/*
 * The whole
 */
static Config *
config_new(void)
{
	Config *c = xcalloc(1, sizeof(*c));
	Err err;

	c->file = xstrdup("");
	c->outputs.parent = (OutputParent){ c, has_setting, text_of, number_of };
	c->where = xcalloc(NDEFS, sizeof(char *));
	for (size_t i = 0; i < NDEFS; i++)
	{
		/* the defaults are within their own limits, a unit test sees to it */
		if (!config_set(c, &cfg_defs[i], cfg_defs[i].def, false, "default",
						&err))
			abort();
	}
	return c;
}

void
config_free(Config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < NDEFS; i++)
	{
		if (!setting_is_number(&cfg_defs[i]))
			free(*text_field(c, &cfg_defs[i]));
		free(c->where[i]);
	}
	free(c->where);
	for (char **f = c->flags; f && *f; f++)
		free(*f);
	free(c->flags);
	free(c->file);
	config_outputs_free(&c->outputs);
	entry_keys_done(&c->log_keys);
	free(c);
}

/* Its name is not repeated: it may be the key, by a slip. */
static bool
load_key_file(Config *c, Err *err)
{
	FILE *f = fopen(c->log_key_file, "re");
	char text[KEY_FILE_MAX];
	char why[64];
	size_t n;
	bool ok;

	if (!f)
		return err_set(err, ERR_USAGE, errno,
					   "could not open the file that log.key_file names: %s",
					   err_errno(errno, why, sizeof(why)));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	ok = (!ferror(f) && feof(f) && strlen(text) == n) ||
		 err_set(
			 err, ERR_USAGE, 0,
			 "the file that log.key_file names cannot be read, or is no text "
			 "of at most %d bytes",
			 KEY_FILE_MAX - 1);
	if (ok && !entry_keys_parse(text, &c->log_keys, err))
		ok = err_prefix(err, "log.key_file");
	else if (ok && c->log_keys.n == 0)
		ok = err_set(err, ERR_USAGE, 0,
					 "the file that log.key_file names is "
					 "empty");
	wipe(text, sizeof(text));
	(void) fclose(f); /* only read from */
	return ok;
}

static bool
load_keys(Config *c, Err *err)
{
	if (c->log_key_file[0] == '\0')
		return entry_keys_parse(c->log_key, &c->log_keys, err);
	if (c->log_key[0] != '\0')
		return err_set(err, ERR_USAGE, 0,
					   "log.key_file and log.key are both set; leave out one");
	return load_key_file(c, err);
}

static bool
load_sources(Config *c, Err *err)
{
	return load_file(c, err) && load_environment(c, err) &&
		   load_flags(c, err) && load_keys(c, err) &&
		   config_outputs_finish(&c->outputs, err);
}

bool
config_complete(const Config *c, Err *err)
{
	for (size_t i = 0; i < NDEFS; i++)
		if ((cfg_defs[i].flags & CFG_REQUIRED) &&
			!config_need(c, cfg_defs[i].name, err))
			return false;
	return true;
}

bool
config_load(int *argc, char **argv, Config **out, Err *err)
{
	Config *c = config_new();
	const char *file = getenv(ENV_FILE);

	if (file)
	{
		free(c->file);
		c->file = xstrdup(file);
	}
	if (!read_flags(c, argc, argv, err) || !load_sources(c, err))
	{
		config_free(c);
		return false;
	}
	*out = c;
	return true;
}

/* Takes old's value where the new one needs a restart. */
static void
keep_fixed(const Config *old, Config *c, Buf *kept)
{
	for (size_t i = 0; i < NDEFS; i++)
	{
		const CfgDef *def = &cfg_defs[i];

		if (def->flags & CFG_RELOAD)
			continue;
		if (setting_is_number(def))
		{
			if (*number_field(c, def) == *number_field(old, def))
				continue;
			*number_field(c, def) = *number_field(old, def);
		}
		else
		{
			char **text = text_field(c, def);

			if (strcmp(*text, *text_field(old, def)) == 0)
				continue;
			free(*text);
			*text = xstrdup(*text_field(old, def));
		}
		buf_printf(kept, "%s%s", kept->n ? ", " : "", def->name);
	}
}

bool
config_reload(const Config *old, Config **out, Buf *kept, Err *err)
{
	Config *c = config_new();
	FlagState st = { .config = c };

	free(c->file);
	c->file = xstrdup(old->file);
	for (char **f = old->flags; f && *f; f += 2)
		keep_flag(&st, f[0], f[1]);
	if (!load_sources(c, err) || !config_complete(c, err))
	{
		config_free(c);
		return false;
	}
	keep_fixed(old, c, kept);
	config_outputs_keep(&old->outputs, &c->outputs, kept);
	*out = c;
	return true;
}

bool
config_need(const Config *c, const char *name, Err *err)
{
	const CfgDef *def = def_find(name);
	char env[NAME_SIZE];
	const char *key = strchr(name, '.') + 1;

	if ((*text_field(c, def))[0] != '\0')
		return true;
	err_set(err, ERR_USAGE, 0, "setting \"%s\" is not set", name);
	return err_hint(err,
					"give --%s=…, the variable %s, or \"%s\" below "
					"[%.*s] in the file of --config",
					name, config_env_name(def, env, sizeof(env)), key,
					(int) (key - 1 - name), name);
}

int
config_count(void)
{
	return (int) NDEFS;
}

const CfgDef *
config_def(int i)
{
	return &cfg_defs[i];
}

const char *
config_where(const Config *c, int i)
{
	return c->where[i];
}

void
config_value(const Config *c, int i, Buf *out)
{
	const CfgDef *def = &cfg_defs[i];
	char text[64];

	if (!setting_is_number(def))
	{
		buf_str(out, *text_field(c, def));
		return;
	}
	setting_number_text(def, *number_field(c, def), text, sizeof(text));
	buf_str(out, text);
}
