/*-------------------------------------------------------------------------
 * filter.c
 *	  Patterns of table names: schema.table, with * for any run of
 *	  characters; names may be double-quoted, in which * is a plain star.
 *	  A lone * means every table.
 *
 * Names outside of quotes are folded to lower case, as in SQL.
 *
 * The same patterns are the value of the setting cdc_s3.allowed_tables
 * (setting.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parser/scansup.h"

#include "cdc_s3.h"

/* Longer input cannot name anything; it also bounds the work of a match. */
#define PART_MAX (4 * NAMEDATALEN)

/*
 * Append a name in double quotes, whose first one is at p; stars in it are no
 * patterns.  Returns what follows it, or NULL with *why set.
 */
static const char *
quoted_parse(const char *p, StringInfo out, const char **why)
{
	for (p++; !(p[0] == '"' && p[1] != '"'); p++)
	{
		if (*p == '\0')
		{
			*why = "A double quote is not closed.";
			return NULL;
		}
		if (*p == '"')
			p++;
		if (*p == '*' || *p == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *p);
	}
	return p + 1;
}

/* Append a name without quotes, in lower case.  Returns what follows it. */
static const char *
plain_parse(const char *p, StringInfo out)
{
	const char *start = p;
	char *low;

	while (*p && *p != '.' && *p != ',' && *p != '"' && !scanner_isspace(*p))
		p++;
	low = downcase_identifier(start, (int) (p - start), false, false);
	for (const char *c = low; *c; c++)
	{
		if (*c == '\\')
			appendStringInfoChar(out, '\\');
		/* Runs of stars are one, which keeps matching cheap. */
		if (*c != '*' || c == low || c[-1] != '*')
			appendStringInfoChar(out, *c);
	}
	return p;
}

/*
 * Read one part of a pattern up to '.', ',' or the end.  Returns what follows
 * it, or NULL with *why set.
 */
static const char *
part_parse(const char *p, char **out, const char **why)
{
	StringInfoData s;

	initStringInfo(&s);
	while (scanner_isspace(*p))
		p++;
	p = *p == '"' ? quoted_parse(p, &s, why) : plain_parse(p, &s);
	if (!p)
		return NULL;
	while (scanner_isspace(*p))
		p++;
	if (s.len == 0)
		*why = "A name is empty.";
	else if (s.len > PART_MAX)
		*why = "A name is too long.";
	else if (*p != '\0' && *p != '.' && *p != ',')
		*why = "A name is followed by something else than a dot or a comma.";
	*out = s.data;
	return *why ? NULL : p;
}

/* One pattern; returns what follows it, or NULL with *why set. */
static const char *
pattern_parse(const char *p, CdcS3Pattern *pat, const char **why)
{
	p = part_parse(p, &pat->schema, why);
	if (!p)
		return NULL;
	if (*p == '.')
	{
		p = part_parse(p + 1, &pat->table, why);
		if (p && *p == '.')
		{
			*why = "A pattern has more than two parts.";
			return NULL;
		}
		return p;
	}
	if (strcmp(pat->schema, "*") == 0)
	{
		pat->table = pat->schema;
		return p;
	}
	*why = "A pattern names no schema.";
	return NULL;
}

bool
cdc_s3_patterns_parse(const char *text, List **out_list, const char **why)
{
	const char *p = text;

	*out_list = NIL;
	while (scanner_isspace(*p))
		p++;
	if (*p == '\0')
		return true;
	for (;;)
	{
		CdcS3Pattern *pat = palloc(sizeof(CdcS3Pattern));

		p = pattern_parse(p, pat, why);
		if (!p)
			return false;
		*out_list = lappend(*out_list, pat);
		if (*p == '\0')
			return true;
		p++;
	}
}

/* Match a whole name; steps back to the last star only, so never slow. */
static bool
part_match(const char *pat, const char *name)
{
	const char *star = NULL;
	const char *resume = NULL;

	while (*name)
	{
		if (*pat == '*')
		{
			star = ++pat;
			resume = name;
			continue;
		}
		if (*pat == '\\' ? pat[1] == *name : *pat == *name)
		{
			pat += *pat == '\\' ? 2 : 1;
			name++;
			continue;
		}
		if (!star)
			return false;
		pat = star;
		name = ++resume;
	}
	while (*pat == '*')
		pat++;
	return *pat == '\0';
}

bool
cdc_s3_patterns_match(List *patterns, const char *schema, const char *table)
{
	ListCell *lc;

	foreach (lc, patterns)
	{
		CdcS3Pattern *pat = lfirst(lc);

		if (part_match(pat->schema, schema) && part_match(pat->table, table))
			return true;
	}
	return false;
}

/* Whether every table matches, whatever its name. */
bool
cdc_s3_patterns_are_all(List *patterns)
{
	ListCell *lc;

	foreach (lc, patterns)
	{
		CdcS3Pattern *pat = lfirst(lc);

		if (strcmp(pat->schema, "*") == 0 && strcmp(pat->table, "*") == 0)
			return true;
	}
	return false;
}
