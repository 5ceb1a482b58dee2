/*-------------------------------------------------------------------------
 * expiry.h
 *	  Objects that are given up since they are old: how far, and who still
 *	  needs them.
 *
 * Only run writes the log, so "expire" leaves a request, as "snapshot" does:
 *
 *		_cdc/request/expire-9f3a1c07.json
 *		{"version":1,"id":"9f3a1c07","until_entry":42,
 *		 "time":"2026-11-21T08:14:09.001002Z"}
 *
 * run writes an entry that says so, removes the objects, and then takes the
 * request away.  The entry comes first: whoever finds an object missing
 * can tell by the log that it is no loss.
 *
 * Each merge leaves what its target still needs, and takes away what it left
 * before; of several files of a target the latest counts:
 *
 *		_cdc/target/0c9d…7e-00064a….json
 *		{"version":1,"id":"0c9d…7e","target":"shop at db.example.com",
 *		 "entry":40,"needs":41,"time":"2026-11-21T08:05:11.120000Z"}
 *
 * Whoever can write to the bucket can leave such files: they can hold expiry
 * up, and hasten it no further than entries that are in the log.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef EXPIRY_H
#define EXPIRY_H

#include "store/commitlog.h"

#define EXPIRY_ID_LEN 8 /* hex digits */
#define TARGET_ID_LEN 16

typedef struct ExpiryRequest
{
	char id[EXPIRY_ID_LEN + 1];
	int64_t until; /* this entry and those before it; -1: malformed */
	int64_t time;  /* unix us */
} ExpiryRequest;

typedef struct ExpiryRequests
{
	int n;
	ExpiryRequest *items;
} ExpiryRequests;

/* Draws the id. */
bool expiry_ask(Store *s, ExpiryRequest *r, Err *err) MUST_CHECK;
bool expiry_requests(Store *s, ExpiryRequests *out, Err *err) MUST_CHECK;
void expiry_requests_done(ExpiryRequests *l);
bool expiry_request_remove(Store *s, const char *id, Err *err) MUST_CHECK;

/* What a target needs of the lake. */
typedef struct TargetNote
{
	char id[TARGET_ID_LEN + 1];
	char *name;
	int64_t entry; /* it came to */
	int64_t needs; /* the first entry whose objects it may still read */
	int64_t time;  /* of the merge, unix us */
} TargetNote;

typedef struct TargetNotes
{
	int n;
	TargetNote *items;
} TargetNotes;

/* The id follows from the name. */
bool target_note(Store *s, TargetNote *n, Err *err) MUST_CHECK;
bool target_notes(Store *s, TargetNotes *out, Err *err) MUST_CHECK;
void target_notes_done(TargetNotes *l);
/* True too where there is none. */
bool target_forget(Store *s, const char *id, Err *err) MUST_CHECK;

/*
 * The last entry in (low, high] that was written before the time and closed no
 * hour past it; low where there is none.  Both are asked, since a clock may
 * have been wrong for a while.
 */
bool expiry_find(Store *s, int64_t low, int64_t high, int64_t unix_us,
				 int64_t *out, Err *err) MUST_CHECK;

/*
 * *until becomes the entry up to which nobody who is known needs objects,
 * where it is past that; why gets the reason.  last: the end of the log.
 */
bool expiry_hold(Store *s, const Entry *last, int64_t *until, Buf *why,
				 Err *err) MUST_CHECK;

/*
 * The error of who needs an object of entry seq, which is expired: ERR_GAP,
 * without a hint.  Returns false.
 */
bool expiry_error(int64_t seq, int64_t expired, const char *key, Err *err);

#endif
