/*-------------------------------------------------------------------------
 * err.c
 *	  The one error value of the sidecar, and the table of its kinds.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct
{
	const char *name;
	int exit_code;
	bool retryable;
} kinds[ERR_KINDS] = {
	[ERR_NONE] = { "none", 0, false },
	[ERR_INTERNAL] = { "internal", 1, false },
	[ERR_DATA] = { "data", 1, false },
	[ERR_LIMIT] = { "limit", 1, false },
	[ERR_USAGE] = { "usage", 2, false },
	[ERR_GAP] = { "gap", 3, false },
	[ERR_SOURCE] = { "source", 4, false },
	[ERR_STORE] = { "store", 5, false },
	[ERR_AUTH] = { "auth", 6, false },
	[ERR_TARGET] = { "target", 7, false },
	[ERR_OUTSTANDING] = { "outstanding", 8, false },
	[ERR_LOST] = { "lost", 75, false },
	[ERR_NET] = { "net", 75, true },
	[ERR_BUSY] = { "busy", 75, true },
	[ERR_GONE] = { "gone", 75, false },
	[ERR_EXISTS] = { "exists", 5, false },
	[ERR_NOT_FOUND] = { "not_found", 5, false },
	[ERR_STOP] = { "stop", 0, false },
};

bool
err_set(Err *err, ErrKind kind, int code, const char *fmt, ...)
{
	va_list ap;

	err->kind = kind;
	err->code = code;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	(void) vsnprintf(err->msg, sizeof(err->msg), fmt, ap); /* cut is fine */
	va_end(ap);
	return false;
}

bool
err_prefix(Err *err, const char *fmt, ...)
{
	va_list ap;
	char old[sizeof(err->msg)];
	size_t n;

	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	(void) vsnprintf(err->msg, sizeof(err->msg), fmt, ap); /* cut is fine */
	va_end(ap);
	n = strlen(err->msg);
	(void) snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
	return false;
}

bool
err_hint(Err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(err->hint, sizeof(err->hint), fmt, ap); /* cut is fine */
	va_end(ap);
	return false;
}

void
err_clear(Err *err)
{
	err->kind = ERR_NONE;
	err->code = 0;
	err->msg[0] = '\0';
	err->hint[0] = '\0';
}

const char *
err_errno(int errnum, char *buf, size_t size)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
	return strerror_r(errnum, buf, size);
#else
	if (strerror_r(errnum, buf, size) != 0)
		(void) snprintf(buf, size, "error %d", errnum);
	return buf;
#endif
}

int
err_exit_code(ErrKind kind)
{
	return kinds[kind].exit_code;
}

const char *
err_kind_name(ErrKind kind)
{
	return kinds[kind].name;
}

bool
err_is_retryable(ErrKind kind)
{
	return kinds[kind].retryable;
}
