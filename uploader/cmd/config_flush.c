/*-------------------------------------------------------------------------
 * config_flush.c
 *	  The setting flush.tables, from its text to rules.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/config_flush.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/setting.h"
#include "codec/pattern.h"

#define WHERE "flush.tables"
#define MB (INT64_C(1024) * 1024)
#define GB (1024 * MB)
#define HOUR_MS (INT64_C(3600) * 1000)

static const CfgDef defs[] = {
	{ "rows", CFG_COUNT, 0, offsetof(FlushRule, rows), "", 1, 1000000000, NULL,
	  "" },
	{ "bytes", CFG_BYTES, 0, offsetof(FlushRule, bytes), "", 1, 64 * GB, NULL,
	  "" },
	{ "interval", CFG_MS, 0, offsetof(FlushRule, interval_ms), "", 1000,
	  HOUR_MS, NULL, "" },
};

static bool
refused(const char *rule, Err *err)
{
	err_set(err, ERR_USAGE, 0, "setting \"" WHERE "\" has the rule \"%.100s\"",
			rule);
	return err_hint(err, "write table patterns by comma, and behind them at "
						 "least one of rows=1000, bytes=1MB, interval=5s; a "
						 "semicolon between rules");
}

/* Ends the text at the first of these outside of quotes; what is behind it. */
static char *
cut(char *text, const char *at)
{
	bool quoted = false;

	for (; *text; text++)
	{
		quoted ^= *text == '"';
		if (quoted || !strchr(at, *text))
			continue;
		*text = '\0';
		return text + 1;
	}
	return NULL;
}

static bool
take_word(FlushRule *rule, const char *word, const char *whole, Err *err)
{
	size_t n = strcspn(word, "=");

	for (size_t i = 0; word[n] && i < sizeof(defs) / sizeof(defs[0]); i++)
	{
		if (strlen(defs[i].name) == n && strncmp(defs[i].name, word, n) == 0)
			return setting_store(rule, &defs[i], word + n + 1, false, WHERE,
								 err);
	}
	return refused(whole, err);
}

/* Patterns may have blanks behind their commas: words begin with the first one
 * that has a "=". */
static char *
words_of(char *text)
{
	bool quoted = false;
	char *word = text;

	for (char *p = text; *p; p++)
	{
		quoted ^= *p == '"';
		if (!quoted && (*p == ' ' || *p == '\t'))
			word = p + 1;
		if (quoted || *p != '=')
			continue;
		if (word > text)
			word[-1] = '\0';
		return word > text ? word : NULL;
	}
	return NULL;
}

static bool
take_rule(FlushRule *rule, char *text, Err *err)
{
	char *whole = xstrdup(text);
	char *word = words_of(text);
	bool ok = word != NULL;

	*rule = (FlushRule){ .tables = text };
	ok = (ok && text[0] != '\0' && pattern_list_valid(text)) ||
		 refused(whole, err);
	while (ok && word)
	{
		char *next = cut(word, " \t");

		ok = word[0] == '\0' || take_word(rule, word, whole, err);
		word = next;
	}
	free(whole);
	return ok;
}

bool
config_flush_rules(const char *text, FlushRules *out, char **out_room, Err *err)
{
	char *rule = *out_room = xstrdup(text);

	out->n = 0;
	while (rule)
	{
		char *next = cut(rule, ";");

		rule += strspn(rule, " \t");
		if (*rule && out->n == FLUSH_RULES_MAX)
			return err_set(err, ERR_USAGE, 0,
						   "setting \"" WHERE "\" has more than %d rules",
						   FLUSH_RULES_MAX);
		if (*rule && !take_rule(&out->all[out->n++], rule, err))
			return false;
		rule = next;
	}
	return true;
}
