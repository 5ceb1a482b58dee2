/*-------------------------------------------------------------------------
 * sigv4.h
 *	  Signs a request for AWS's Signature Version 4, given the time.
 *
 * A pure function: what is signed is what the caller gives, byte for byte,
 * and the caller must send just that.  Paths are not normalized and encoded
 * once, as S3 (and only S3) wants it.  The derived key is kept for as long
 * as secret, day, region and service stay the same.
 *
 * Ownership: SigV4Key owns a copy of the secret, wiped by sigv4_key_done().
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef SIGV4_H
#define SIGV4_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/hash.h"

#define SIGV4_DATE_SIZE 17 /* "20130524T000000Z" */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* SHA-256 of no bytes. */
#define SIGV4_EMPTY_HASH                                                       \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct SigV4Key
{
	char *secret;
	char day[9];
	char *region;
	char *service;
	uint8_t key[SHA256_LEN];
} SigV4Key;

typedef struct SigV4Param
{
	const char *name; /* not encoded */
	const char *value;
} SigV4Param;

typedef struct SigV4Header
{
	const char *name; /* in lower case, without ':' */
	const char *value;
} SigV4Header;

typedef struct SigV4Request
{
	const char *method;
	const char *path;  /* encoded, as it is sent; starts with '/' */
	const char *query; /* made by sigv4_add_query, as it is sent; "" = none */
	const SigV4Header *headers; /* those to sign, "host" among them */
	int nheaders;
	const char *payload_hash;
	const char *date; /* the value of x-amz-date */
} SigV4Request;

typedef struct SigV4Scope
{
	const char *access_key_id;
	const char *secret;
	const char *region;
	const char *service; /* "s3", "sts" */
} SigV4Scope;

#define SIGV4_MAX_HEADERS 32
#define SIGV4_MAX_PARAMS 16

/* "20130524T000000Z" of a unix time. */
void sigv4_date(int64_t unix_us, char out[SIGV4_DATE_SIZE]);

/* Appends the parameters encoded, sorted, and joined by '&'. */
void sigv4_add_query(Buf *out, const SigV4Param *params, int nparams);

void sigv4_key_init(SigV4Key *key);
void sigv4_key_done(SigV4Key *key);

/* Appends the value of the Authorization header. */
void sigv4_sign(SigV4Key *key, const SigV4Scope *scope,
				const SigV4Request *request, Buf *out);

/* The canonical request alone, for tests. */
void sigv4_add_canonical(Buf *out, const SigV4Request *request);

#endif
