/*-------------------------------------------------------------------------
 * err.h
 *	  The one error value of the sidecar.
 *
 * A function that can fail returns bool, takes an Err last, and is
 * MUST_CHECK.  On failure its results are untouched and the error is filled,
 * once, where it was seen; callers add context with err_prefix() and log it
 * once at the top of a thread or in main.  Messages follow PostgreSQL's
 * style: lower case, no full stop, names quoted; a mend goes behind a
 * semicolon or into err_hint().
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef ERR_H
#define ERR_H

#include <stdbool.h>
#include <stddef.h>

#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MUST_CHECK __attribute__((warn_unused_result))

typedef enum ErrKind
{
	ERR_NONE = 0,
	ERR_INTERNAL,    /* our own mistake */
	ERR_DATA,        /* bytes that break a contract: wire, log, object */
	ERR_LIMIT,       /* a size limit was reached */
	ERR_USAGE,       /* bad option, configuration or missing prerequisite */
	ERR_GAP,         /* changes are missing or may be: a person must decide */
	ERR_SOURCE,      /* the source server reported an error, or is not there */
	ERR_STORE,       /* the store refused, for good */
	ERR_AUTH,        /* credentials: store or server */
	ERR_TARGET,      /* the target server reported an error */
	ERR_OUTSTANDING, /* merged, but rows or tables wait for somebody */
	ERR_LOST,        /* another writer was first */
	ERR_NET,         /* socket, DNS, TLS, timeout: worth another try */
	ERR_BUSY,        /* 429, 500, 503, slow down: worth another try */
	ERR_GONE,        /* what the call goes on with is lost: begin anew */
	ERR_EXISTS,      /* put with only_if_absent: the key is taken */
	ERR_NOT_FOUND,   /* no such key */
	ERR_STOP,        /* shutdown was requested */
	ERR_KINDS
} ErrKind;

typedef struct Err
{
	ErrKind kind;
	int code; /* errno, HTTP status or CURLcode; 0 if none */
	char msg[768];
	char hint[512]; /* the mend, a sentence or two; may be empty */
} Err;

/* Both fill the error and return false: "return err_set(...)" reads well. */
bool err_set(Err *err, ErrKind kind, int code, const char *fmt, ...)
	PRINTF(4, 5);
bool err_prefix(Err *err, const char *fmt, ...) PRINTF(2, 3);

/* Adds the mend; returns false as well. */
bool err_hint(Err *err, const char *fmt, ...) PRINTF(2, 3);

void err_clear(Err *err);

/* strerror() that is safe in threads; buf is at least 64 bytes. */
const char *err_errno(int errnum, char *buf, size_t size);

/* The exit code of the process for this kind (DESIGN: exit codes). */
int err_exit_code(ErrKind kind);

/* Short word for logs and metrics: "net", "store", … */
const char *err_kind_name(ErrKind kind);

/* True where the same call may work later. */
bool err_is_retryable(ErrKind kind);

#endif
