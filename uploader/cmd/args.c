/*-------------------------------------------------------------------------
 * args.c
 *	  A command's own options and words, and the nearest of many names.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/args.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_LEN 63 /* longer words are not compared */

bool
args_has_userinfo(const char *url)
{
	const char *host = strstr(url, "://");
	size_t n;

	if (!host)
		return false;
	host += 3;
	n = strcspn(host, "/");
	if (memchr(host, '@', n))
		return true;
	/* no bucket's name has a colon, and a secret key may have a slash */
	return strncmp(url, "s3:", 3) == 0 && memchr(host, ':', n) != NULL;
}

bool
args_looks_secret(const char *value)
{
	return strstr(value, "pass") || strstr(value, "secret") ||
		   args_has_userinfo(value);
}

const char *
args_shown(const char *arg, char *buf, size_t size)
{
	size_t n = arg[0] == '-' ? strcspn(arg, "=") : strlen(arg);

	if (arg[0] != '-' && args_looks_secret(arg))
		(void) snprintf(buf, size, "***");
	else
		(void) snprintf(buf, size, "%.*s", (int) n, arg); /* a cut is fine */
	return buf;
}

bool
args_lsn(const char *option, const char *value, Lsn *out, Err *err)
{
	if (value && !lsn_parse(value, out))
	{
		err_set(err, ERR_USAGE, 0,
				"option \"%s\" has the value \"%s\", which "
				"is not an LSN",
				option, value);
		return err_hint(err, "write it as 0/16B374D8 or 0000000016B374D8");
	}
	return true;
}

static bool
unknown_option(const ArgSpec *spec, const char *arg, Err *err)
{
	char shown[128];
	Nearest near;

	(void) args_shown(arg, shown, sizeof(shown));
	err_set(err, ERR_USAGE, 0, "command \"%s\" has no option \"%s\"",
			spec->command, shown);
	nearest_init(&near, shown);
	for (int i = 0; i < spec->ndefs; i++)
		nearest_offer(&near, spec->defs[i].name);
	if (nearest_get(&near))
		return err_hint(err, "did you mean \"%s\"?", nearest_get(&near));
	return err_hint(err, "see \"cdc-s3 help %s\"", spec->command);
}

/* Takes the option at argv[*i], and its value. */
static bool
take_option(const ArgSpec *spec, int argc, char **argv, int *i, Err *err)
{
	const char *arg = argv[*i];
	size_t n = strcspn(arg, "=");

	for (int d = 0; d < spec->ndefs; d++)
	{
		const ArgDef *def = &spec->defs[d];

		if (strlen(def->name) != n || strncmp(def->name, arg, n) != 0)
			continue;
		if (def->flag && arg[n] == '=')
			return err_set(err, ERR_USAGE, 0, "option \"%s\" takes no value",
						   def->name);
		if (def->flag)
			*def->flag = true;
		else if (arg[n] == '=')
			*def->value = arg + n + 1;
		else if (*i + 1 < argc)
			*def->value = argv[++*i];
		else
			return err_set(err, ERR_USAGE, 0, "option \"%s\" needs a value",
						   def->name);
		return true;
	}
	return unknown_option(spec, arg, err);
}

bool
args_parse(const ArgSpec *spec, int argc, char **argv, int *out_nwords,
		   Err *err)
{
	bool options = true;
	int nwords = 0;
	char shown[128];

	for (int i = 0; i < argc; i++)
	{
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
		{
			if (!take_option(spec, argc, argv, &i, err))
				return false;
		}
		else if (nwords < spec->max_words)
			spec->words[nwords++] = argv[i];
		else
		{
			err_set(err, ERR_USAGE, 0,
					"command \"%s\" got an argument it does not take: \"%s\"",
					spec->command, args_shown(argv[i], shown, sizeof(shown)));
			return err_hint(err, "see \"cdc-s3 help %s\"", spec->command);
		}
	}
	if (out_nwords)
		*out_nwords = nwords;
	return true;
}

/* Levenshtein's distance; both at most NAME_MAX_LEN long. */
static int
edit_distance(const char *a, const char *b)
{
	int row[NAME_MAX_LEN + 1];
	int nb = (int) strlen(b);

	for (int j = 0; j <= nb; j++)
		row[j] = j;
	for (int i = 1; a[i - 1] != '\0'; i++)
	{
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= nb; j++)
		{
			int best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

void
nearest_init(Nearest *n, const char *word)
{
	*n = (Nearest){ .word = word, .best = NULL, .distance = 0 };
}

void
nearest_offer(Nearest *n, const char *candidate)
{
	int d;

	if (strlen(n->word) > NAME_MAX_LEN || strlen(candidate) > NAME_MAX_LEN)
		return;
	d = edit_distance(n->word, candidate);
	if (!n->best || d < n->distance)
	{
		n->best = candidate;
		n->distance = d;
	}
}

const char *
nearest_get(const Nearest *n)
{
	size_t len = strlen(n->word);

	if (n->best && (size_t) n->distance <= (len < 6 ? 2 : len / 3))
		return n->best;
	return NULL;
}
