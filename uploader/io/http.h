/*-------------------------------------------------------------------------
 * http.h
 *	  One HTTP request and its answer, over libcurl.
 *
 * Any status is an answer: http_send() fails only where there was none, or
 * where it did not fit.  Redirects are not followed (a signature holds for
 * one host), TLS is always verified, and what is in the URL is sent as it
 * is.  Nothing waits for ever: connecting has a limit, and so has silence.
 *
 * Errors: ERR_NET, ERR_LIMIT (body larger than its buffer), ERR_USAGE (TLS:
 * a CA file that cannot be read), ERR_STOP.
 * Ownership: the response is owned by its caller: http_response_init/_done.
 * Threads: an Http is used by one thread at a time.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HTTP_ERROR_BODY_MAX 65536
#define HTTP_HEADERS_MAX 65536

typedef struct HttpOptions
{
	const char *ca_file;     /* NULL: the system's */
	const char *proxy;       /* NULL: http_proxy and friends; "" = none */
	int connect_timeout_ms;  /* 0: 10 s */
	int silence_ms;          /* give up when nothing moves; 0: 30 s */
	const atomic_bool *stop; /* ends a request; may be NULL */
} HttpOptions;

typedef struct Http Http;

typedef struct HttpRequest
{
	const char *method; /* GET, HEAD, PUT, POST, DELETE */
	const char *url;
	const char *const *headers; /* "Name: value"; ends with NULL */
	Slice body;                 /* sent with PUT and POST; borrowed */
	Buf *out;                   /* body of a 2xx goes here, if not NULL */
	int silence_ms;             /* 0: that of the options */
	bool once; /* a new connection: libcurl repeats on one used before */
} HttpRequest;

typedef struct HttpResponse
{
	int status;
	Buf headers; /* lines of the last answer, each with '\n' */
	Buf body;    /* all other bodies; what is too long is cut */
} HttpResponse;

Http *http_new(const HttpOptions *options);
void http_free(Http *h);

void http_response_init(HttpResponse *r);
void http_response_done(HttpResponse *r);

/* On failure request->out is as it was. */
bool http_send(Http *h, const HttpRequest *request, HttpResponse *out,
			   Err *err) MUST_CHECK;

/*
 * Copies the value of a header (name in any case) to out, cut where it is
 * too long; false, and out empty, where there is none.
 */
bool http_header(const HttpResponse *r, const char *name, char *out,
				 size_t size);

/* The unix time of an HTTP date ("Fri, 21 Nov 2026 08:14:07 GMT"). */
bool http_parse_date(const char *s, int64_t *out_unix_us);

#endif
