/*-------------------------------------------------------------------------
 * s3_url.h
 *	  Where a bucket is: from store.url, endpoint, region and addressing to
 *	  the host and path of a request.
 *
 * Ownership: s3_place_done() frees the strings.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef S3_URL_H
#define S3_URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

typedef struct S3Place
{
	char *scheme;    /* "https" or "http" */
	char *host;      /* of the endpoint, with the port where one is given */
	char *base_path; /* of the endpoint: "" or "/a/b" */
	char *region;
	char *bucket;
	char *prefix; /* "" or "a/b" */
	bool is_aws;  /* the host follows the region */
	bool is_virtual_host;
} S3Place;

typedef struct S3PlaceOptions
{
	const char *url;        /* s3://bucket/prefix */
	const char *endpoint;   /* "" = AWS */
	const char *region;     /* "" = from the endpoint, else us-east-1 */
	const char *addressing; /* "" = auto */
} S3PlaceOptions;

/* ERR_USAGE with the mend. */
bool s3_place_parse(const S3PlaceOptions *options, S3Place *out,
					Err *err) MUST_CHECK;
void s3_place_done(S3Place *p);

/* Host header of a request, and the path of a key (NULL: of the bucket). */
void s3_place_add_host(const S3Place *p, Buf *out);
void s3_place_add_path(const S3Place *p, const char *key, Buf *out);

/*
 * The server named the bucket's region: use it from now on.  A host that was
 * configured stays.  False where the name is not one, or is known already.
 */
bool s3_place_learn_region(S3Place *p, const char *region);

#endif
