/*-------------------------------------------------------------------------
 * log.c
 *	  One line an event on stderr.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/log.h"

#include <ctype.h>
#include <endian.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_sink.h"
#include "base/seen.h"

#define RING 16
#define LINE_MAX_BYTES 8192
#define JOURNAL_MAX_BYTES 65536
#define PAIR_MIN_BYTES 16 /* quotes, colon, one escape: what a pair needs */

#define ECS_VERSION "8.11"
#define JOURNAL_PREFIX "CDC_S3_"
#define PID_SIZE 16

/* A reload may change them while others log. */
static atomic_int min_level = LOG_INFO;
static atomic_int log_form = LOG_TEXT;
static atomic_bool over_line;
static const char *const names[] = { "debug", "info", "warn", "error" };
static const char *const priorities[] = { "7", "6", "4", "3" }; /* syslog's */

void
log_init(LogLevel level, LogForm form)
{
	atomic_store(&min_level, (int) level);
	atomic_store(&log_form, (int) form);
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

/* The name of a pair in ECS; those of our own are below "cdc_s3.". */
static const char *
ecs_name(const char *key, char *buf, size_t size)
{
	if (strcmp(key, "error") == 0)
		return "error.message";
	if (strcmp(key, "kind") == 0)
		return "error.type";
	(void) snprintf(buf, size, "cdc_s3.%s", key); /* keys are short */
	return buf;
}

static void
begin_json(Buf *b, const char *now, LogLevel level, const char *event)
{
	char pid[PID_SIZE];

	(void) snprintf(pid, sizeof(pid), "%d", (int) getpid()); /* fits */
	buf_byte(b, '{');
	add_pair(b, true, "@timestamp", now);
	add_pair(b, true, "log.level", names[level]);
	add_pair(b, true, "message", event);
	add_pair(b, true, "ecs.version", ECS_VERSION);
	add_pair(b, true, "service.name", "cdc-s3");
	add_pair(b, true, "process.pid", pid);
}

static void
begin_text(Buf *b, const char *now, LogLevel level, const char *event)
{
	add_pair(b, false, "time", now);
	add_pair(b, false, "level", names[level]);
	add_pair(b, false, "event", event);
}

/* A field of the journal: a value of several lines goes with its length. */
static void
add_field(Buf *b, const char *prefix, const char *key, const char *value)
{
	uint64_t n = htole64((uint64_t) strlen(value));

	buf_str(b, prefix);
	for (; *key; key++)
		buf_byte(b, (uint8_t) toupper((unsigned char) *key));
	if (strchr(value, '\n'))
	{
		buf_byte(b, '\n');
		buf_add(b, &n, sizeof(n));
	}
	else
		buf_byte(b, '=');
	buf_str(b, value);
	buf_byte(b, '\n');
}

/* The same event for the journal; message has its pairs as text. */
static bool
send_journal(LogLevel level, const char *event, const char *message,
			 va_list pairs)
{
	Buf b;
	const char *key;
	bool ok;

	buf_init(&b, JOURNAL_MAX_BYTES);
	add_field(&b, "", "MESSAGE", message);
	add_field(&b, "", "PRIORITY", priorities[level]);
	add_field(&b, "", "SYSLOG_IDENTIFIER", "cdc-s3");
	add_field(&b, JOURNAL_PREFIX, "EVENT", event);
	while ((key = va_arg(pairs, const char *)) != NULL)
	{
		const char *value = va_arg(pairs, const char *);

		if (value)
			add_field(&b, JOURNAL_PREFIX, key, value);
	}
	ok = !b.overflow && log_sink_journal(b.p, b.n);
	buf_done(&b);
	return ok;
}

/* The line, without its end; *out_kind: the error's, where it has one. */
static void
make_line(Buf *b, LogForm form, LogLevel level, const char *event,
		  const char **out_kind, va_list pairs)
{
	bool json = form == LOG_JSON;
	char now[40];
	char name[64];
	const char *key;

	iso_from_unix_us(clock_unix_us(), true, now, sizeof(now));
	if (json)
		begin_json(b, now, level, event);
	else
		begin_text(b, now, level, event);
	while ((key = va_arg(pairs, const char *)) != NULL)
	{
		const char *value = va_arg(pairs, const char *);

		if (strcmp(key, "kind") == 0)
			*out_kind = value;
		if (value)
			add_pair(b, json, json ? ecs_name(key, name, sizeof(name)) : key,
					 value);
	}
}

static void
write_line(Buf *b, bool json)
{
	if (atomic_load(&over_line) && !log_sink_is_file())
		log_sink_write(LOG_CLEAR_LINE, sizeof(LOG_CLEAR_LINE) - 1);
	b->max += 2; /* the end always fits */
	b->overflow = false;
	buf_str(b, json ? "}\n" : "\n");
	log_sink_write(b->p, b->n);
}

/* Lines that nobody read are told of once somebody does. */
static void
tell_lost(void)
{
	int64_t n = log_sink_take_lost();

	if (n > 0)
		log_event(LOG_WARN, "log lines were lost: nobody read them", "lines",
				  log_int(n), NULL);
}

void
log_event(LogLevel level, const char *event, ...)
{
	LogForm form = (LogForm) atomic_load(&log_form);
	const char *kind = NULL;
	va_list ap;
	bool sent = false;
	Buf b;

	if (!log_enabled(level))
		return;
	tell_lost();
	buf_init(&b, LINE_MAX_BYTES);
	va_start(ap, event);
	make_line(&b, form, level, event, &kind, ap);
	va_end(ap);
	if (form == LOG_JOURNAL)
	{
		const char *at = strstr(buf_cstr(&b), " event=");

		va_start(ap, event);
		sent = send_journal(level, event,
							at ? at + sizeof(" event=") - 1 : event, ap);
		va_end(ap);
	}
	if (level >= LOG_WARN)
		seen_error(level == LOG_ERROR, event, kind);
	if (!sent)
		write_line(&b, form == LOG_JSON);
	buf_done(&b);
}

void
log_err(LogLevel level, const char *event, const Err *err)
{
	log_event(level, event, "error", err->msg, "kind", err_kind_name(err->kind),
			  "hint", err->hint[0] ? err->hint : NULL, NULL);
}
