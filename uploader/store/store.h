/*-------------------------------------------------------------------------
 * store.h
 *	  Where objects live: one interface before s3:// and file://.
 *
 * Keys are relative to the store's prefix, use '/' between parts, and hold
 * only bytes that codec/key.c lets through.  An object is written whole and
 * never changed.  No order of a listing is relied on.
 *
 * A conditional put that is tried again may meet the object of its own first
 * try, whose answer was lost: ERR_EXISTS then says no more than that the key
 * is taken.  Who must know by whom reads the object back and compares.
 *
 * Ownership: store_open() gives a Store to its caller, who closes it.
 * Threads: a Store is used by one thread at a time; open one a thread (they
 * share credentials).  Retries live in here (store_retry.c): a call that
 * returns with a retryable kind has already been tried for its whole budget.
 * Errors: ERR_NET and ERR_BUSY (may work later), ERR_AUTH, ERR_STORE (refused
 * for good), ERR_GONE (an upload is lost: write the object anew),
 * ERR_NOT_FOUND, ERR_EXISTS, ERR_LIMIT, ERR_STOP.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef STORE_H
#define STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/stats.h"
#include "codec/entry.h"

/*
 * What a store needs to know; strings are borrowed while store_open runs.
 * NULL and "" both mean: not set.
 */
typedef struct StoreOptions
{
	const char *url;         /* s3://bucket/prefix or file:///dir */
	const char *endpoint;    /* unset: from environment or profile, else AWS */
	const char *region;      /* unset: the same, else us-east-1 */
	const char *profile;     /* of the AWS files; unset: by environment */
	const char *addressing;  /* "auto" (unset), "path" or "virtual" */
	const char *ca_file;     /* unset: AWS_CA_BUNDLE, else the system's */
	int64_t retry_ms;        /* how long one call is tried; 0: once */
	const atomic_bool *stop; /* ends waiting with ERR_STOP; may be NULL */

	/* Of the log that lies there, for commitlog.h; NULL: none.  Borrowed. */
	const EntryKeys *keys;

	/*
	 * Told when a call fails that will be tried again, and (err NULL) when
	 * it has worked after all; any thread.  May be NULL.
	 */
	void (*on_outage)(void *arg, const char *call, const Err *err);
	void *outage_arg;

	/* Counts tries that failed, and knows whether storing does; or NULL. */
	StatsOutput *stats;

	/* S3 only */
	const char *proxy;          /* unset: http_proxy and friends */
	const char *checksum;       /* "crc32c" (unset) or "off" */
	const char *sse;            /* "AES256", "aws:kms"; unset: the bucket's */
	const char *sse_kms_key;    /* key id or ARN */
	bool sse_bucket_key;        /* one data key a bucket */
	const char *storage_class;  /* "STANDARD_IA", … */
	const char *tags;           /* "name=value&…", percent-encoded */
	const char *acl;            /* "bucket-owner-full-control", … */
	const char *expected_owner; /* account that must own the bucket */
	bool requester_pays;
} StoreOptions;

typedef struct Store Store;

/* One listed object. */
typedef struct StoreItem
{
	const char *key; /* relative to the prefix; borrowed during the call */
	int64_t bytes;
} StoreItem;

/* Returns false to end the listing early (that is no error). */
typedef bool (*StoreListFn)(const StoreItem *item, void *arg);

/* One part of a large object; all but the last have the same size. */
typedef struct StorePart
{
	int64_t offset;
	int64_t bytes;
	uint32_t crc32c;
	char *tag; /* what the store calls it; set by part(), the caller frees */
} StorePart;

#define STORE_PARTS_MAX 10000
#define STORE_PART_MIN_BYTES ((size_t) 5 * 1024 * 1024) /* of S3 */

/* One upload that is neither finished nor abandoned. */
typedef struct StoreUpload
{
	const char *key; /* as in StoreItem */
	const char *id;
} StoreUpload;

typedef bool (*StoreUploadFn)(const StoreUpload *upload, void *arg);

/* What a store can say of itself once it has been called. */
typedef struct StoreAbout
{
	const char *credentials; /* where they came from; static */
	int64_t expires_us;      /* when they end; 0: never */
	bool has_clock;
	int64_t skew_us; /* the server's clock minus ours, to a second */
} StoreAbout;

typedef struct StoreOps
{
	const char *name; /* "s3", "file" */
	size_t part_min;  /* no part but the last may be smaller */
	bool notes;       /* uploads are written down (store/upload_note.h) */

	/*
	 * Durable under the key when it returns true.  With only_if_absent an
	 * object that is there already is left alone: ERR_EXISTS.  Without it the
	 * put is idempotent.
	 */
	bool (*put)(Store *s, const char *key, Slice body, bool only_if_absent,
				Err *err);

	/* Appends the whole object to out (ERR_LIMIT past out->max). */
	bool (*get)(Store *s, const char *key, Buf *out, Err *err);

	/* Size of the object; ERR_NOT_FOUND. */
	bool (*head)(Store *s, const char *key, int64_t *out_bytes, Err *err);

	/*
	 * One page of the keys that start with prefix.  cursor is empty before
	 * the first page, and is left empty by the last, also where fn ended the
	 * listing.  fn is called only once the answer is here as a whole: a call
	 * that failed with a retryable kind has called nothing and may be
	 * repeated with the same cursor.
	 */
	bool (*list)(Store *s, const char *prefix, Buf *cursor, StoreListFn fn,
				 void *arg, Err *err);

	/*
	 * The same, without most of the keys up to "after" in byte order, where
	 * the store can leave them out: some of them may come all the same.  NULL:
	 * it cannot.
	 */
	bool (*list_after)(Store *s, const char *prefix, const char *after,
					   Buf *cursor, StoreListFn fn, void *arg, Err *err);

	/* True too when there was no such object. */
	bool (*del)(Store *s, const char *key, Err *err);

	/*
	 * Large objects, in parts; see store/writer.h.  begin gives an upload's
	 * id, which the caller frees.  part number n (from 0) may be sent again.
	 * After finish the object is there, as put leaves it.  abandon frees what
	 * the parts take; it is no error where nothing is left of them.
	 */
	bool (*begin)(Store *s, const char *key, char **out_id, Err *err);
	bool (*part)(Store *s, const char *key, const char *id, int n, Slice body,
				 StorePart *part, Err *err);
	bool (*finish)(Store *s, const char *key, const char *id,
				   const StorePart *parts, int nparts, Err *err);
	bool (*abandon)(Store *s, const char *key, const char *id, Err *err);

	/* A page of the uploads under prefix, as list. */
	bool (*list_uploads)(Store *s, const char *prefix, Buf *cursor,
						 StoreUploadFn fn, void *arg, Err *err);

	/*
	 * The bucket's lifecycle rules as S3 tells them, appended; nothing where
	 * it has none.  NULL: there is no such thing.
	 */
	bool (*rules)(Store *s, Buf *out, Err *err);

	/*
	 * How many parts the upload has on the server, up to a page of them; 0
	 * too where there is no such upload.  NULL: the store cannot tell.
	 */
	bool (*count_parts)(Store *s, const char *key, const char *id, int *out_n,
						Err *err);

	/* NULL, or false: nothing to say. */
	bool (*about)(Store *s, StoreAbout *out);

	void (*close)(Store *s);
} StoreOps;

/* Backends embed this first. */
struct Store
{
	const StoreOps *ops;
	const EntryKeys *keys; /* set by store_open; NULL: none */
};

/* Is there a key, so that all that is read has to be traced to it? */
static inline bool
store_has_key(const Store *s)
{
	return s->keys && s->keys->n > 0;
}

/*
 * Opens the store a URL names, wrapped for retries.  Makes no request; a bad
 * URL or option is ERR_USAGE, missing credentials ERR_AUTH.
 */
bool store_open(const StoreOptions *options, Store **out, Err *err) MUST_CHECK;

/* One of these per backend; store_open chooses. */
bool store_s3_open(const StoreOptions *options, Store **out,
				   Err *err) MUST_CHECK;
bool store_file_open(const StoreOptions *options, Store **out,
					 Err *err) MUST_CHECK;

/* Takes inner; of the options retry_ms, stop and on_outage count. */
Store *store_retry_new(Store *inner, const StoreOptions *options);

static inline bool MUST_CHECK
store_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	return s->ops->put(s, key, body, only_if_absent, err);
}

static inline bool MUST_CHECK
store_get(Store *s, const char *key, Buf *out, Err *err)
{
	return s->ops->get(s, key, out, err);
}

static inline bool MUST_CHECK
store_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	return s->ops->head(s, key, out_bytes, err);
}

/*
 * Calls fn once for each key that starts with prefix, in no known order.
 * fn may use the Store, to delete what is listed for example.
 */
bool store_list(Store *s, const char *prefix, StoreListFn fn, void *arg,
				Err *err) MUST_CHECK;

/*
 * The same for those behind the key "after", in byte order; fn may be called
 * for others too.  A store that can spares the pages before it.
 */
bool store_list_after(Store *s, const char *prefix, const char *after,
					  StoreListFn fn, void *arg, Err *err) MUST_CHECK;

/* The same for uploads that were begun. */
bool store_list_uploads(Store *s, const char *prefix, StoreUploadFn fn,
						void *arg, Err *err) MUST_CHECK;

static inline bool MUST_CHECK
store_abandon(Store *s, const char *key, const char *id, Err *err)
{
	return s->ops->abandon(s, key, id, err);
}

static inline bool MUST_CHECK
store_del(Store *s, const char *key, Err *err)
{
	return s->ops->del(s, key, err);
}

static inline bool
store_has_rules(const Store *s)
{
	return s->ops->rules != NULL;
}

static inline bool MUST_CHECK
store_rules(Store *s, Buf *out, Err *err)
{
	return s->ops->rules(s, out, err);
}

static inline bool
store_about(Store *s, StoreAbout *out)
{
	return s->ops->about && s->ops->about(s, out);
}

static inline void
store_close(Store *s)
{
	if (s)
		s->ops->close(s);
}

#endif
