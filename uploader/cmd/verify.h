/*-------------------------------------------------------------------------
 * verify.h
 *	  What the parts of "verify" share: what was found, and what is known of
 *	  the lake.
 *
 * verify_log	 the chain, entry by entry
 * verify_object an object: size, CRC-32C, rows, their order and folder
 * verify_pool	 many of them at once, and whether a place comes twice
 * verify_layout	 which folder was complete when
 * verify_output	 the same of further outputs
 * verify_left	 what lies in the store and no entry lists, and what should
 *				 lie there and does not
 * verify_state	 how far it came, for the next time
 *
 * Threads: findings may be reported by any; all else is the main thread's
 * where nothing else is said.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_H
#define VERIFY_H

#include <pthread.h>
#include <stdatomic.h>

#include "cmd/config.h"
#include "codec/path.h"
#include "codec/places.h"
#include "store/commitlog.h"

/* What is wrong, and what only lies about. */
typedef enum VerifyKind
{
	VERIFY_CHAIN,    /* an entry is missing, damaged, or does not follow */
	VERIFY_MISSING,  /* an object that is listed is not there */
	VERIFY_DAMAGED,  /* its size, CRC-32C or form is another one */
	VERIFY_ROWS,     /* its rows are not those that were counted */
	VERIFY_TWICE,    /* an (LSN, ordinal) is there twice */
	VERIFY_HOUR,     /* an hour was closed before all was in it */
	VERIFY_LEFTOVER, /* an object that can never count */
	VERIFY_UPLOAD,   /* the same of an upload */
	VERIFY_UNKNOWN,  /* an object that no writer of ours made */
	VERIFY_KINDS
} VerifyKind;

/* What an entry lists; for the comparison with what lies there. */
typedef struct VerifyKey
{
	uint64_t hash;
	int64_t bytes; /* -1: of a list, whose size the log does not say */
	int64_t seq;
	int number; /* of the object in its entry; -1: a list of objects */
	bool read;  /* it was read and judged */
} VerifyKey;

/* A load, and how it ended. */
typedef struct VerifyLoad
{
	char id[LOAD_ID_LEN + 1];
	bool over; /* done or given up */
} VerifyLoad;

typedef struct VerifyCounts
{
	int64_t entries;
	int64_t objects; /* listed */
	int64_t read;    /* of these, whose bytes were read */
	int64_t rows;
	int64_t bytes;
	int64_t expired; /* objects that may be gone */
	int64_t still;   /* of these, such as are there still */
	int64_t in_flight;
	int64_t removed; /* by --repair */
} VerifyCounts;

typedef struct VerifyPath VerifyPath; /* verify_layout.c */

typedef struct Verify
{
	const Config *cfg;
	StoreOptions options;
	Store *store; /* that whose objects are verified */
	const Path *path;

	/* Of a further output; else NULL and 0. */
	const char *further; /* its name */
	Store *log;          /* the lake's */
	const StoreOptions *log_options;
	int64_t since; /* objects of entries from this one on lie in it */

	int jobs;
	bool json;
	bool repair;
	bool sizes; /* objects are not read: only whether they are there */
	const char *state_file;

	int64_t last;    /* the log's last entry */
	int64_t expired; /* as that entry says */
	int64_t done;    /* up to this entry nothing has to be read again; -1: none;
					  * the pool's while it is open, as these: */
	Lsn done_end;
	char done_writer[16];
	int64_t state_seq; /* of the state file as it was read; -1: none */
	Lsn state_end;
	char state_writer[16];

	VerifyKey *keys;
	int64_t nkeys;
	VerifyLoad *loads;
	int nloads;

	pthread_mutex_t lock; /* guards what follows */
	VerifyPath *paths;
	VerifyCounts counts;
	int64_t found[VERIFY_KINDS];
	Err output;       /* the first failure to write a finding */
	int64_t shown_ms; /* of the last line on how far it is */
} Verify;

/* One line on standard output; key "" where it is about no object. */
void verify_report(Verify *v, VerifyKind kind, int64_t entry, const char *key,
				   const char *fmt, ...) PRINTF(5, 6);

bool verify_is_wrong(VerifyKind kind); /* else it only lies about */
bool verify_stopped(void);

/* Now and then, how far it is; on standard error. */
void verify_progress(Verify *v, int64_t entry);

/*
 * Reads the whole chain and, by the pool, the objects.  False on what keeps
 * it from going on; findings are none.
 */
bool verify_log(Verify *v, Err *err) MUST_CHECK;

/* The store that has the log. */
static inline Store *
verify_log_store(const Verify *v)
{
	return v->log ? v->log : v->store;
}

/* Leaves e the objects that are verified. */
void verify_choose(const Verify *v, Entry *e);

/* Further outputs that the log's last entry has; behind verify_left(). */
bool verify_outputs(Verify *v, Err *err) MUST_CHECK;

/* Compares the log with what lies there; behind verify_log(). */
bool verify_left(Verify *v, Err *err) MUST_CHECK;

void verify_sort_keys(Verify *v);
VerifyKey *verify_find_key(const Verify *v, uint64_t hash);

/*
 * Reads one object.  Findings are reported; false on an error of the store.
 * places, where not NULL, is filled.  closed: until when hours were closed
 * before its entry.
 */
typedef struct VerifyObject
{
	Verify *v;
	Store *store;
	Store *log; /* that has schema files */
	const Entry *entry;
	const EntryObject *object;
	int64_t closed;
	Places *places;
} VerifyObject;

/*
 * When the folder that the object lies in was complete, for a row of that
 * time; INT64_MAX: nobody can tell.
 */
int64_t verify_folder_end(const VerifyObject *o, int64_t at);
void verify_paths_free(Verify *v);

bool verify_object(const VerifyObject *o, bool *out_wrong, Err *err) MUST_CHECK;

/* Of entries, in their order; each is freed by the pool. */
typedef struct VerifyPool VerifyPool;

bool verify_pool_open(Verify *v, VerifyPool **out, Err *err) MUST_CHECK;
/* closed: as above.  Waits for room; false once an object's error is there. */
bool verify_pool_add(VerifyPool *p, Entry *e, int64_t closed,
					 Err *err) MUST_CHECK;
/* Waits for all that was added where ok, and frees. */
bool verify_pool_close(VerifyPool *p, bool ok, Err *err) MUST_CHECK;

bool verify_state_read(Verify *v, Err *err) MUST_CHECK;
bool verify_state_write(const Verify *v, Err *err) MUST_CHECK;

#endif
