/*-------------------------------------------------------------------------
 * answer.h
 *	  What is answered to a request, without the sockets.
 *
 * Invariants:
 *	(1) /livez and /readyz tell one word and nothing else, to everybody who
 *		reaches them; all others ask for what http.token and http.basic say,
 *		where one of them is set.
 *	(2) Secrets are compared by their digests, and all of these bytes: how long
 *		it takes tells nothing.
 *	(3) On loopback the Host must be one of loopback's names: a page in a
 *		browser on this machine could else read what is here, by a name of
 *		its own that points here.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>

#include "base/buf.h"

/* Strings are borrowed for as long as requests are answered. */
typedef struct AnswerOptions
{
	const char *version;
	const char *token; /* "": none */
	const char *basic; /* "user:password"; "": none */
	bool loopback;     /* we listen there only */
	bool dms;
} AnswerOptions;

typedef struct AnswerRequest
{
	const char *method;
	const char *path;
	const char *host;          /* NULL: there is no such header … */
	const char *authorization; /* … likewise */
	const char *accept;        /* … likewise */
} AnswerRequest;

typedef struct Answer
{
	int status;
	const char *type;  /* of the content */
	const char *asks;  /* WWW-Authenticate, or NULL */
	const char *allow; /* Allow, or NULL */
	Buf body;
} Answer;

#define ANSWER_CSP                                                             \
	"default-src 'none'; style-src 'self'; base-uri 'none'; "                  \
	"form-action 'none'; frame-ancestors 'none'"

/* answer_done() frees the body. */
void answer_request(const AnswerOptions *o, const AnswerRequest *r,
					Answer *out);
void answer_done(Answer *a);

/* Is that one of the names of this machine, for itself? */
bool answer_is_local(const char *host);

#endif
