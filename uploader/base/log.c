/*-------------------------------------------------------------------------
 * log.c
 *	  One line an event on stderr.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/seen.h"

#define RING 16
#define LINE_MAX_BYTES 8192
#define PAIR_MIN_BYTES 16 /* quotes, colon, one escape: what a pair needs */

/* A reload may change them while others log. */
static atomic_int min_level = LOG_INFO;
static atomic_bool as_json;
static atomic_bool over_line;
static const char *const names[] = { "debug", "info", "warn", "error" };

void
log_init(LogLevel level, bool json)
{
	atomic_store(&min_level, (int) level);
	atomic_store(&as_json, json);
}

void
log_over_line(bool there)
{
	atomic_store(&over_line, there);
}

bool
log_enabled(LogLevel level)
{
	return (int) level >= atomic_load(&min_level);
}

static char *
ring_next(void)
{
	static _Thread_local char ring[RING][32];
	static _Thread_local unsigned next;

	return ring[next++ % RING];
}

const char *
log_int(int64_t v)
{
	char *s = ring_next();

	(void) snprintf(s, 32, "%" PRId64, v);
	return s;
}

const char *
log_lsn(Lsn lsn)
{
	char *s = ring_next();

	(void) snprintf(s, 32, LSN_FMT, LSN_ARGS(lsn));
	return s;
}

/* The inside of a quoted string, for both forms of a line; cut if too long. */
static void
add_escaped(Buf *b, const char *s)
{
	for (; *s; s++)
	{
		unsigned char c = (unsigned char) *s;

		if ((c & 0xC0) != 0x80 && b->n + PAIR_MIN_BYTES / 2 > b->max)
			break; /* between two characters */
		if (c == '"' || c == '\\')
			buf_byte(b, '\\');
		if (c == '\n')
			buf_str(b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else
			buf_byte(b, c);
	}
}

static void
add_pair(Buf *b, bool json, const char *key, const char *value)
{
	bool plain = *value != '\0' && !json;
	size_t head = strlen(key) + PAIR_MIN_BYTES;

	if (b->n + head > b->max)
		b->overflow = true; /* this pair and all that follow are left out */
	if (b->overflow)
		return;
	plain = plain && strlen(value) <= b->max - b->n - head;
	for (const char *s = value; plain && *s; s++)
		plain = (unsigned char) *s > ' ' && *s != '"' && *s != '=' &&
				*s != '\\' && *s != 0x7f;
	if (json)
		buf_printf(b, "%s\"%s\":\"", b->n > 1 ? "," : "", key);
	else
		buf_printf(b, "%s%s=%s", b->n ? " " : "", key, plain ? "" : "\"");
	if (plain)
		buf_str(b, value);
	else
	{
		add_escaped(b, value);
		buf_byte(b, '"');
	}
}

static void
write_line(const Buf *b)
{
	size_t done = 0;

	while (done < b->n)
	{
		ssize_t n = write(STDERR_FILENO, b->p + done, b->n - done);

		if (n < 0 && errno != EINTR)
			return; /* nobody to tell */
		if (n > 0)
			done += (size_t) n;
	}
}

void
log_event(LogLevel level, const char *event, ...)
{
	va_list ap;
	Buf b;
	char now[40];
	const char *key;
	const char *kind = NULL;
	bool json = atomic_load(&as_json);

	if (!log_enabled(level))
		return;
	buf_init(&b, LINE_MAX_BYTES);
	iso_from_unix_us(clock_unix_us(), true, now, sizeof(now));
	if (json)
		buf_byte(&b, '{');
	add_pair(&b, json, "time", now);
	add_pair(&b, json, "level", names[level]);
	add_pair(&b, json, "event", event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL)
	{
		const char *value = va_arg(ap, const char *);

		if (value)
			add_pair(&b, json, key, value);
		if (strcmp(key, "kind") == 0)
			kind = value;
	}
	va_end(ap);
	if (level >= LOG_WARN)
		seen_error(level == LOG_ERROR, event, kind);
	if (atomic_load(&over_line))
		write_line(&(Buf){ .p = (uint8_t *) LOG_CLEAR_LINE,
						   .n = sizeof(LOG_CLEAR_LINE) - 1 });
	b.max += 2; /* the end always fits */
	b.overflow = false;
	buf_str(&b, json ? "}\n" : "\n");
	write_line(&b);
	buf_done(&b);
}

void
log_err(LogLevel level, const char *event, const Err *err)
{
	log_event(level, event, "error", err->msg, "kind", err_kind_name(err->kind),
			  "hint", err->hint[0] ? err->hint : NULL, NULL);
}
