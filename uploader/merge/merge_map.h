/*-------------------------------------------------------------------------
 * merge_map.h
 *	  merge.map: where rows of a source table go.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_MAP_H
#define MERGE_MAP_H

#include <stdbool.h>

#include "base/err.h"

/*
 * ERR_USAGE where nobody may write a table in a schema of that name: the
 * server's schemas, and cdc_s3.
 */
bool map_check_schema(const char *schema, const char *table,
					  Err *err) MUST_CHECK;

/* ERR_USAGE where a map cannot be understood, or goes where nobody may. */
bool map_check(const char *map, Err *err) MUST_CHECK;

/* True where an item of the map says where that source table goes. */
bool map_has(const char *map, const char *schema, const char *table);

/* True where an item names just that table. */
bool map_has_exactly(const char *map, const char *schema, const char *table);

/* Where rows of that source table go; the caller frees both names. */
void map_target(const char *map, const char *schema, const char *table,
				char **out_schema, char **out_table);

#endif
