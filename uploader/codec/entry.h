/*-------------------------------------------------------------------------
 * entry.h
 *	  One entry of the commit log: which objects count, in which order, up to
 *	  which LSN.  The only state there is.  Format: doc/lake.md.
 *
 * Entry N covers (prev_end, end] of the WAL; entry N+1's prev_end is its
 * end.  Entry 0 is written by init and has prev_end = end = the position at
 * which the slot became consistent.
 *
 * Its text ends with checks of all that stands before them: an HMAC where
 * there is a key, and a CRC-32C of the whole, the HMAC too.  Nothing of an
 * entry is believed before they are right.
 *
 * Ownership: entry_free() frees everything.  Strings are never NULL.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"
#include "base/scale.h"
#include "base/seen.h"
#include "codec/entry_layout.h"

#define ENTRY_FORMAT 2
#define ENTRY_MAX_BYTES (1024 * 1024 / SCALE) /* one entry, one single PUT */
#define ENTRY_LIST_MAX_BYTES (64 * 1024 * 1024)
#define LOAD_ID_LEN 16
#define ENTRY_KEYS_MAX 2
#define ENTRY_KEY_MIN 16 /* characters */

/*
 * Keys of the log: the first one signs, each of them verifies.  n = 0: none,
 * entries are neither signed nor have to be.
 */
typedef struct EntryKeys
{
	int n;
	char *key[ENTRY_KEYS_MAX];
} EntryKeys;

/* A data file. */
typedef struct EntryObject
{
	char *key; /* relative to the store's prefix */
	char *schema;
	char *table;
	char *hash; /* of its schema file */
	char *load; /* load id, "" for streamed changes */
	int64_t rows;
	int64_t bytes; /* as stored */
	Lsn first_lsn; /* (commit LSN, seq) of its first and last row */
	int64_t first_seq;
	Lsn last_lsn;
	int64_t last_seq;
	uint32_t crc32c; /* of the stored bytes */
	char *sha256;    /* of them, in hex; "" in a log without a key */
	char *output;    /* "": of the main one; else it is in Entry.further */

	/* Its rows by op, where it was written by this process; in no text. */
	int64_t ops[SEEN_OPS];
} EntryObject;

/*
 * A further output: the entries from "since" on list all objects it is to
 * have, up to "last" where it is not attached any more.
 */
typedef enum OutputState
{
	OUTPUT_ATTACHED,
	OUTPUT_DETACHED, /* it failed, and the log went on without it */
	OUTPUT_ENDED,    /* it is not wanted any more; in one entry only */
} OutputState;

typedef struct EntryOutput
{
	char *name;
	char *url;
	char *tables; /* patterns, of the tables that it has */
	char *exclude;
	OutputState state;
	int64_t since; /* entry; all of them were written with it attached */
	Lsn first;     /* it has what ends behind it, … */
	bool filled;   /* … and all before that */
	Lsn last;      /* 0 where it is attached */
	int64_t swept_until;
	int nlayouts; /* as of the entry, of this output */
	EntryLayout *layouts;
} EntryOutput;

/* A load of one table changed its state. */
typedef enum LoadState
{
	LOAD_OPEN,     /* announced: its changes wait for it */
	LOAD_DONE,     /* all its objects are listed in this entry */
	LOAD_GIVEN_UP, /* its objects can never count */
} LoadState;

typedef struct EntryLoad
{
	char *id;
	char *schema;
	char *table;
	char *hash; /* of its rows' schema; "" unless done, or of an earlier release
				 */
	Lsn lsn;    /* S, its consistent point; 0 while open */
	LoadState state;
	char *reason; /* of a load that no person asked for, else "" */
	Lsn resync;   /* and where the rows changed that it is to mend; or 0 */
} EntryLoad;

/*
 * A table had this name and schema from the change at (lsn, seq) on.  Such of
 * earlier releases have seq, relation_id and row_type 0.
 */
typedef struct EntrySchema
{
	char *schema; /* gone or left: its last name, where that is known */
	char *table;
	char *hash; /* gone or left: "" */
	Lsn lsn;
	int64_t seq;
	uint32_t relation_id;
	uint32_t row_type;
	bool created; /* in this transaction */
	bool gone;    /* dropped */
	bool left;    /* there, and not wanted any more */
} EntrySchema;

/* A part of the entry that did not fit: objects of the main output, or of
 * further ones, or all loads and schemas. */
typedef struct EntryList
{
	char *key;
	int64_t objects;
	int64_t loads;
	int64_t schemas;
	int64_t further;
	uint32_t crc32c;
	char *sha256; /* as of an object */
} EntryList;

/* A publication of source.publication, as the stream had it here. */
typedef struct EntryPublication
{
	char *name;
	uint32_t oid;
} EntryPublication;

typedef struct Entry
{
	int64_t seq;
	/* source */
	char *system_identifier;
	int64_t timeline;
	char *database;
	char *slot;

	Lsn prev_end;
	Lsn end;
	int64_t closed_until; /* unix us, a full hour; 0: none yet.  All hours
						   * before it are complete. */
	int64_t swept_until;  /* unix us: up to here folder = log */
	int64_t swept_entry;  /* no object of an entry up to it is a leftover */
	int64_t loads_since;  /* entry that announced the oldest open load */
	int64_t loads_open;   /* how many loads are open after this entry */
	int64_t loads_before; /* the last entry before it that has loads; 0:
						   * none, -1: the writer did not say */
	int64_t expired;      /* objects of entries up to this one may be gone,
						   * since they were given up (expire); 0: none */
	int64_t removed;      /* and up to this one all of them are */
	bool slot_dropped;    /* the slot is dropped behind it: the log's end */
	bool loaded;          /* the initial load was announced, or never will
						   * be; open ones are counted above */
	char *writer;         /* 8 hex digits */
	int64_t time;         /* unix us, the writer's clock */
	bool is_signed;       /* read: it has an HMAC */

	int nlayouts; /* the last one is that in force */
	EntryLayout *layouts;

	int npublications;
	EntryPublication *publications;

	int nloads;
	EntryLoad *loads;
	int nschemas;
	EntrySchema *schemas;
	int nobjects;
	EntryObject *objects;
	int nlists;
	EntryList *lists;

	/* of further outputs; whoever reads the lake reads "objects" alone */
	int noutputs;
	EntryOutput *outputs;
	int nfurther;
	EntryObject *further;
} Entry;

Entry *entry_new(void); /* all zero, strings "" */
void entry_free(Entry *e);

/* Sets a string of an entry or of its members; frees the old one. */
void entry_set(char **field, const char *value);

/* Append a zeroed member (strings "") and return it; valid until the next. */
EntryObject *entry_add_object(Entry *e);
EntryObject *entry_add_further(Entry *e);
EntryOutput *entry_add_output(Entry *e);
EntryLoad *entry_add_load(Entry *e);
EntrySchema *entry_add_schema(Entry *e);
EntryList *entry_add_list(Entry *e);
EntryPublication *entry_add_publication(Entry *e);

/* Gives e the publications of from. */
void entry_copy_publications(Entry *e, const Entry *from);

/* That of this name, or NULL. */
const EntryPublication *entry_find_publication(const Entry *e,
											   const char *name);

/* Puts schemas in the order of (lsn, seq); those at one place stay as they are.
 */
void entry_sort_schemas(Entry *e);

/* Puts objects in the order of their first rows, further ones too. */
void entry_sort_objects(Entry *e);

/* Leaves the objects of that output, "" the main one, as e's objects. */
void entry_choose_output(Entry *e, const char *output);

/* Takes those of that output off e. */
void entry_drop_output(Entry *e, const char *output);

/* Moves all objects of "from", further ones too, behind those of e. */
void entry_take_objects(Entry *e, Entry *from);

/* Moves n objects behind those of *to, which are *nto; frees the array. */
void entry_move_objects(EntryObject **to, int *nto, EntryObject *from, int n);

/*
 * JSON, one object a line, appended to out; objects in the order given.  With
 * keys (NULL: none) it is signed, and what is not signed by one of them is
 * refused.  ERR_DATA also where one bit of it is not what was written.
 */
void entry_encode(const Entry *e, const EntryKeys *keys, Buf *out);
bool entry_parse(Slice json, const EntryKeys *keys, Entry **out,
				 Err *err) MUST_CHECK;

/*
 * One key, or two on lines of their own; ERR_USAGE without repeating them.
 * "" is no key.  entry_keys_done() wipes them.
 */
bool entry_keys_parse(const char *text, EntryKeys *out, Err *err) MUST_CHECK;
void entry_keys_done(EntryKeys *k);

/*
 * The objects [from, to) for an EntryList file, or further ones, or loads and
 * schemas; parse appends to those of e.
 */
void entry_encode_list(const Entry *e, int from, int to, Buf *out);
void entry_encode_further_list(const Entry *e, int from, int to, Buf *out);
void entry_encode_loads_list(const Entry *e, Buf *out);
bool entry_parse_list(Slice json, Entry *e, Err *err) MUST_CHECK;

const char *load_state_name(LoadState s);
const char *output_state_name(OutputState s);

#endif
