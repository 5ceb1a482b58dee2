/*-------------------------------------------------------------------------
 * s3_error.h
 *	  What an S3 server's refusal means.
 *
 * Servers differ in the codes they send, so what is known of a code decides
 * first, and the class of the status after it.  Of the body only code,
 * message and region are looked at, cut and made printable: some servers
 * echo the whole request in there.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef S3_ERROR_H
#define S3_ERROR_H

#include <stdbool.h>

#include "base/err.h"
#include "io/http.h"

/* What to do about a refusal before it becomes an error. */
typedef enum S3Cure
{
	S3_CURE_NONE,
	S3_CURE_CREDENTIALS, /* fetch new ones */
	S3_CURE_CLOCK,       /* take the time of the answer */
	S3_CURE_REGION       /* sign for the region that was named */
} S3Cure;

typedef struct S3Refusal
{
	int status;
	char code[64];     /* "" where the body has none */
	char message[256]; /* "" as well */
	char region[64];
	char request_id[64]; /* "" where the server names none */
	bool has_body;
	bool is_whole; /* the body is an <Error> with its end */
} S3Refusal;

/* The request that was refused, for the words of the error. */
typedef struct S3Asked
{
	const char *doing;      /* "write", "read", "list", "delete" */
	const char *permission; /* "s3:PutObject" */
	const char *bucket;
	const char *key; /* whole, with the prefix; NULL: the bucket */
} S3Asked;

/* What the server calls the request, for its owner's support; or "". */
void s3_request_id(const HttpResponse *response, char *out, size_t size);

void s3_refusal_read(const HttpResponse *response, S3Refusal *out);

S3Cure s3_refusal_cure(const S3Refusal *r);

/* Fills err; returns false. */
bool s3_refusal_error(const S3Refusal *r, const S3Asked *asked, Err *err);

#endif
