/*-------------------------------------------------------------------------
 * s3_call.h
 *	  One signed request to S3, and what its refusal teaches.
 *
 * Private to the S3 store.  Threads: as the Store.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef S3_CALL_H
#define S3_CALL_H

#include "codec/sigv4.h"
#include "io/http.h"
#include "store/s3_error.h"
#include "store/s3_url.h"
#include "store/store.h"

#define S3_HEADERS_MAX 24
#define S3_PATH_MAX 8192
#define S3_PAGE_MAX ((size_t) 16 * 1024 * 1024)

/* Shared by the files store_s3.c, s3_call.c and s3_upload.c. */
typedef struct S3Store
{
	Store base;
	S3Place place;
	Http *http;
	HttpResponse response;
	SigV4Key key;
	int64_t skew_us; /* the server's clock minus ours */
	char *ca_file;   /* NULL: the system's */
	char *proxy;     /* NULL: by environment */
	char *profile;   /* NULL: by environment */
	const atomic_bool *stop;
	bool checksum;
	/* headers of every put, and of every request; values are owned */
	SigV4Header put_headers[8];
	int nput_headers;
	SigV4Header all_headers[2];
	int nall_headers;
} S3Store;

/* One request, before it is signed. */
typedef struct S3Request
{
	const char *method;
	S3Asked asked;
	const char *key; /* relative to the prefix; NULL: the bucket */
	const SigV4Param *params;
	int nparams;
	const SigV4Header *headers;
	int nheaders;
	Slice body;
	const char *body_hash;
	Buf *out;       /* body of a 2xx */
	int silence_ms; /* 0: the usual */
	bool once;      /* not to be sent twice without our knowledge */
} S3Request;

/* Adds one to an array of S3_HEADERS_MAX; strings are borrowed. */
void s3_add_header(SigV4Header *h, int *n, const char *name, const char *value);

/* The key with its prefix, as messages name it; the caller frees it. */
char *s3_full_key(const S3Store *s, const char *key);

/* A request for an object, without a body; full is s3_full_key(). */
S3Request s3_object_request(const S3Store *s, const char *method,
							const char *doing, const char *permission,
							const char *key, const char *full);

/*
 * Sends the request; *out_refusal is filled where the server refused, and
 * its status is 0 where there was no answer.  The answer is in s->response.
 */
bool s3_call(S3Store *s, const S3Request *r, S3Refusal *out_refusal,
			 Err *err) MUST_CHECK;

/* What the last answer tells of the server's clock: theirs minus ours. */
bool s3_clock_skew(const S3Store *s, int64_t *out_us);

/* Prefixes what went wrong on the way there with what was being done. */
bool s3_prefix_error(const S3Store *s, const S3Asked *a, Err *err);

#endif
