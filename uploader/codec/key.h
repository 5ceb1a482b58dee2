/*-------------------------------------------------------------------------
 * key.h
 *	  Names of objects in the lake (doc/lake.md).
 *
 * A schema's or table's name becomes one segment of a key: all bytes but
 * A-Z a-z 0-9 _ - . are percent-encoded, and so is a leading '_' or '.'.
 * The mapping is injective and no name can leave its folder.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef KEY_H
#define KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Longest key that a store takes is 1,024 bytes; its refusal is clearer than
 * a key that was cut. */
#define KEY_TEXT_MAX 4096

#define KEY_LOG_PREFIX "_cdc/log/"

void key_add_segment(Buf *out, const char *name);

/*
 * A name in a segment that goes on behind it: this byte is encoded, too, so
 * that it ends the name; 0: none.
 */
void key_add_part(Buf *out, const char *name, char also);

/* Appends the name that a segment stands for; false where it is none. */
bool key_parse_segment(Slice segment, Buf *out);

/* The end of a name of DMS's kind: "20261130-103125108", from unix us, UTC. */
void key_add_dms_time(Buf *out, int64_t unix_us);

/* "<schema>/<table>/" */
void key_add_table(Buf *out, const char *schema, const char *table);

/* "_cdc/log/00000000000000000042.json" */
void key_add_entry(Buf *out, int64_t seq);

/* "_cdc/schema/<schema>/<table>/<hash>.json" */
void key_add_schema(Buf *out, const char *schema, const char *table,
					const char *hash);

/*
 * Reads the entry number of "…/part-<entry>-<n>-<writer>…", or of the same
 * with a time as AWS DMS begins a name, "…/20261130-103125108-<entry>-…"; false
 * where the key's last segment is of neither form.
 */
bool key_parse_part(const char *key, int64_t *out_seq);

/* Whether the key's last segment is "…-<writer>", with or without a suffix. */
bool key_is_by(const char *key, const char *writer);

/*
 * Reads the load id of "…/load-<id>-<n>-<writer>…" into id (size 17), or of
 * DMS's "…/LOAD<n>-<id>-<writer>…".
 */
bool key_parse_load(const char *key, char *id, size_t size);

#endif
