/*-------------------------------------------------------------------------
 * listen.h
 *	  The HTTP listener, over libmicrohttpd, and the thread that takes samples
 *	  and prints lines for CloudWatch.
 *
 * Read-only: no request changes anything.  Nobody who asks, slowly, often or
 * with anything, holds up what the process is there for: one thread answers,
 * from numbers that lie ready, and a connection has a limit in number, size of
 * its header, and time.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/stats.h"
#include "serve/answer.h"

/* Strings are borrowed until serve_stop(). */
typedef struct ServeOptions
{
	StatsRole role;
	const char *listen; /* "host:port", "[address]:port"; "": not at all */
	bool insecure;      /* beyond loopback without a secret */
	int64_t emf_ms;     /* between two lines on stdout; 0: none */
	const char *slot;
	AnswerOptions answer; /* but for "loopback" */
} ServeOptions;

typedef struct Serve Serve;

/*
 * *out is NULL where nothing is asked for.  ERR_USAGE: the address is none, or
 * may not be listened on; ERR_BUSY: somebody else does.
 */
bool serve_start(const ServeOptions *o, Serve **out, Err *err) MUST_CHECK;
void serve_stop(Serve *s);

/* Where it can be asked from this machine: "http://127.0.0.1:8470". */
bool serve_url(const char *listen, char *buf, size_t size, Err *err) MUST_CHECK;

#endif
