/*-------------------------------------------------------------------------
 * entry_layout.h
 *	  What an entry says of how objects are laid out: in which folders, in
 *	  which format, for changes of which time (pipe/layout.h, doc/lake.md).
 *
 * Ownership: as of an Entry's members; strings are never NULL.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ENTRY_LAYOUT_H
#define ENTRY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json_t; /* jansson's */

#define ENTRY_LAYOUTS_MAX 32
#define ENTRY_PARTITIONS_MAX 256

typedef struct EntryLayout
{
	char *format;      /* a name of formats.c */
	char *variant;     /* of the format, "" its usual one */
	char *compression; /* its name */
	char *path;        /* template of the folders */
	char *zone;        /* of their times */
	int64_t start;     /* unix us: of changes of this time on; 0: of any */
	int64_t from; /* those before this go to the folder of this time; 0: none */
	int64_t until; /* of changes before this time; 0: of all */
	int npartitions;
	int64_t *partitions; /* that have rows and were not complete: begins */
} EntryLayout;

void entry_layout_init(EntryLayout *l);
void entry_layout_done(EntryLayout *l);
void entry_layout_copy(const EntryLayout *from, EntryLayout *to);
void entry_layouts_free(EntryLayout *l, int n); /* and the array */

/* Notes that the partition has rows; past the limit it is not noted. */
void entry_layout_use(EntryLayout *l, int64_t partition);

/* "layouts":[…], with nothing around it. */
void entry_layouts_encode(const EntryLayout *l, int n, Buf *out);

/*
 * An array of the caller's, and how many there are; *ok becomes false where it
 * is no such list, or one too long.
 */
EntryLayout *entry_layouts_parse(struct json_t *list, int *out_n, bool *ok);

#endif
