/*-------------------------------------------------------------------------
 * setting.h
 *	  What one setting is, and whether a text is a good value for it.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef SETTING_H
#define SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef enum CfgType
{
	CFG_STR,
	CFG_CONNINFO, /* libpq's connection string or URI */
	CFG_URL,      /* may hold no user and password */
	CFG_KEY,      /* keys of the log; in no flag */
	CFG_PASSWORD, /* in no flag */
	CFG_ENUM,     /* one of def->values */
	CFG_SLOT,     /* name of a replication slot */
	CFG_UNTIL,    /* hour, now, an LSN, or a time */
	CFG_MS,       /* "60s", in an int64_t of milliseconds */
	CFG_BYTES,    /* "64MB", in an int64_t */
	CFG_COUNT     /* "4", in an int64_t */
} CfgType;

#define CFG_REQUIRED 1u /* no command works without it */
#define CFG_SECRET 2u   /* may hold a password: never echoed */
#define CFG_RELOAD 4u   /* SIGHUP brings a new value in */

typedef struct CfgDef
{
	const char *name; /* "flush.bytes": file, flag and variable alike */
	CfgType type;
	unsigned flags;
	size_t offset; /* in Config: char * or int64_t, as type says */
	const char *def;
	int64_t min, max;   /* of numbers */
	const char *values; /* of CFG_ENUM: "zstd, gzip, none" */
	const char *help;   /* one sentence without its full stop */
} CfgDef;

bool setting_is_number(const CfgDef *def);

/*
 * Checks value; *out_number is its number, if it is one.  A value from argv
 * may hold no secret.  where tells the place it stands, for the message.
 */
bool setting_check(const CfgDef *def, const char *value, bool from_argv,
				   const char *where, int64_t *out_number, Err *err) MUST_CHECK;

/* The same, and then it is in the struct, as def says. */
bool setting_store(void *to, const CfgDef *def, const char *value,
				   bool from_argv, const char *where, Err *err) MUST_CHECK;

/* "64kB to 64GB", "zstd, gzip, none", or "". */
void setting_values(const CfgDef *def, char *buf, size_t size);

/* 60000 to "1min" */
void setting_number_text(const CfgDef *def, int64_t n, char *buf, size_t size);

/* Default and values as the second line of --help, if there are any. */
void setting_print_limits(const CfgDef *def, FILE *out);

#endif
