/*-------------------------------------------------------------------------
 * args.h
 *	  A command's own options and words, and the nearest of many names.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef ARGS_H
#define ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/lsn.h"

/* One option of a command; one of value and flag is set. */
typedef struct ArgDef
{
	const char *name;   /* "--json" */
	const char **value; /* "--name VALUE" or "--name=VALUE": borrowed of argv */
	bool *flag;         /* a switch without a value */
} ArgDef;

/* Words are arguments that are no options: at most max_words of them. */
typedef struct ArgSpec
{
	const char *command; /* for messages */
	const ArgDef *defs;
	int ndefs;
	const char **words; /* filled; may be NULL when max_words is 0 */
	int max_words;
} ArgSpec;

/* argv[0] is the first argument behind the command's name.  ERR_USAGE. */
bool args_parse(const ArgSpec *spec, int argc, char **argv, int *out_nwords,
				Err *err) MUST_CHECK;

/* The value of an option that is an LSN; NULL leaves *out as it is. */
bool args_lsn(const char *option, const char *value, Lsn *out,
			  Err *err) MUST_CHECK;

/*
 * An argument for an error message: cut at '=', and nothing of it where it
 * may hold a password.  buf is returned.
 */
const char *args_shown(const char *arg, char *buf, size_t size);

/* True where a URL names a user before its host. */
bool args_has_userinfo(const char *url);

/* True where a text looks like a URL or conninfo with a secret in it. */
bool args_looks_secret(const char *value);

/* Offer all candidates one by one, then ask. */
typedef struct Nearest
{
	const char *word;
	const char *best;
	int distance;
} Nearest;

void nearest_init(Nearest *n, const char *word);
void nearest_offer(Nearest *n, const char *candidate);
const char *nearest_get(const Nearest *n); /* NULL: none is near */

#endif
