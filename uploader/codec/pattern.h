/*-------------------------------------------------------------------------
 * pattern.h
 *	  Lists of table patterns, as the plugin's options "tables" and "exclude"
 *	  take them: schema.table, '*' for any run of characters, a lone '*' for
 *	  every table; names outside of double quotes are folded to lower case.
 *
 * The plugin decides what is streamed (plugin/filter.c); the loader needs the
 * same answer for the same string.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>

/*
 * Does one of the comma-separated patterns match?  False too for a list that
 * is malformed: the plugin refuses such a list at start.
 */
bool pattern_list_matches(const char *list, const char *schema,
						  const char *table);

/* False where it is malformed; an empty list is none. */
bool pattern_list_valid(const char *list);

#endif
