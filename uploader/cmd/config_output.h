/*-------------------------------------------------------------------------
 * config_output.h
 *	  The settings of further outputs: sections [output.NAME].
 *
 * Each name has the same keys, and is a section of its own in the file, the
 * flags --output.NAME.key and the variables CDC_S3_OUTPUT_NAME_KEY.  A name has
 * small letters and digits only, so that a variable says where it ends, and is
 * no key of [output].  What is not said is as in [store] and [output].
 *
 * Ownership: of Config.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CONFIG_OUTPUT_H
#define CONFIG_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/setting.h"

#define OUTPUT_KEYS_MAX 48

/* Once config_outputs_finish() is through nothing is unset any more. */
typedef struct OutputConfig
{
	char *name;

	char *url;
	char *endpoint;
	char *region;
	char *profile;
	char *addressing;
	char *ca_file;
	char *checksum;
	char *sse;
	char *kms_key;
	char *bucket_key;
	char *storage_class;
	char *tags;
	char *acl;
	char *expected_owner;
	char *requester_pays;

	char *tables;
	char *exclude;
	char *format;
	char *parquet_timestamp;
	char *parquet_types;
	char *csv_newlines;
	char *shape;
	char *dms_header;
	char *dms_timestamp;
	char *dms_null;
	char *dms_delimiter;
	char *names;
	char *compression;
	char *partition;
	char *path;
	char *timezone;
	char *before;
	char *numeric;
	int64_t max_bytes;
	int64_t max_rows;

	char *on_failure; /* hold, detach */
	int64_t detach_after_ms;

	int lines[OUTPUT_KEYS_MAX];   /* of the file, by key; 0: not there */
	char *where[OUTPUT_KEYS_MAX]; /* what said it; NULL: nothing did */
} OutputConfig;

/* What stands above them: the settings that they are as, where unset. */
typedef struct OutputParent
{
	const void *config;
	bool (*has)(const char *name); /* is there a setting of that name? */
	const char *(*text)(const void *config, const char *name);
	int64_t (*number)(const void *config, const char *name);
} OutputParent;

typedef struct OutputConfigs
{
	int n;
	OutputConfig **all; /* by name */
	OutputParent parent;
} OutputConfigs;

/* Is it the name of such a setting, be it a wrong one? */
bool config_is_output(const char *name);

/*
 * Sets output.NAME.key; makes the output where it is the first one.  line is
 * that of the file, or 0.  ERR_USAGE.
 */
bool config_output_set(OutputConfigs *c, const char *name, const char *value,
					   bool from_argv, const char *where, int line,
					   Err *err) MUST_CHECK;

/*
 * A variable without its prefix ("OUTPUT_REPORT_URL"): *out_name is the
 * setting it means, "" where none.
 */
void config_output_variable(const char *variable, Buf *out_name);

/* Fills what is not said, and looks whether all fits together. */
bool config_outputs_finish(OutputConfigs *c, Err *err) MUST_CHECK;
void config_outputs_free(OutputConfigs *c);

/* Those of old become c's; appends what differed to kept. */
void config_outputs_keep(const OutputConfigs *old, OutputConfigs *c, Buf *kept);

/* NULL: there is none of that name, and err says which there are. */
const OutputConfig *config_output_find(const OutputConfigs *c, const char *name,
									   Err *err);

/* Each setting of each output: its name, value, and where that is from. */
typedef void (*OutputSettingFn)(void *arg, const char *name, const char *value,
								const char *where);
void config_outputs_each(const OutputConfigs *c, OutputSettingFn fn, void *arg);

/* The table, for the manual; names as output.NAME.key. */
int config_output_count(void);
const CfgDef *config_output_def(int i);

void config_outputs_print_help(FILE *out);
void config_outputs_print_markdown(FILE *out);

#endif
