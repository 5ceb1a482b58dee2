/*-------------------------------------------------------------------------
 * cmd_status.c
 *	  "status": how lake, source and target stand, on one screen.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/status.h"

#define TEXT_MAX_BYTES ((size_t) 16 << 20)
#define TIME_SIZE 40
#define AMOUNT_SIZE 32
#define WATCH_MS 2000
#define LOADS_SHOWN 20
#define CLEAR_SCREEN "\033[H\033[2J\033[3J"

static atomic_bool stopped; /* by a signal */

static void
on_signal(int signo)
{
	(void) signo;
	atomic_store(&stopped, true);
}

static const char *
amount(int64_t bytes, char *buf)
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
	double n = (double) bytes;
	size_t unit = 0;

	while (n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]))
	{
		n /= 1024;
		unit++;
	}
	(void) snprintf(buf, AMOUNT_SIZE, unit ? "%.1f %s" : "%.0f %s", n,
					units[unit]); /* fits */
	return buf;
}

static const char *
when(int64_t unix_us, char *buf)
{
	if (unix_us == 0)
		return "none";
	iso_from_unix_us(unix_us, false, buf, TIME_SIZE);
	return buf;
}

/* A name may hold any byte; a screen takes no control characters. */
static void
add_name(Buf *b, const char *schema, const char *table)
{
	size_t from = b->n;

	buf_printf(b, "%s.%s", schema, table);
	for (size_t i = from; i < b->n; i++)
		if (b->p[i] < 0x20 || b->p[i] == 0x7f)
			b->p[i] = '?';
}

static bool
is_there(Buf *b, const char *name, const StatusPart *p)
{
	if (p->ok)
		return true;
	buf_printf(b, "%-9s %s%s%s\n", name, p->err.msg, p->err.hint[0] ? "; " : "",
			   p->err.hint);
	return false;
}

static void
add_slot(Buf *b, const Status *s)
{
	const SourceSlot *slot = &s->slot_now;
	char text[AMOUNT_SIZE];

	if (!slot->exists)
	{
		buf_str(b, "slot      is missing\n");
		return;
	}
	buf_printf(b, "slot      confirmed " LSN_FMT ", ",
			   LSN_ARGS(slot->confirmed));
	if (slot->active_pid)
		buf_printf(b, "in use by pid %" PRId64, slot->active_pid);
	else
		buf_str(b, "idle: run is not connected");
	buf_printf(b, ", WAL %s",
			   slot->wal_status[0] ? slot->wal_status : "not known");
	if (s->retained >= 0)
		buf_printf(b, ", retains %s", amount(s->retained, text));
	if (slot->safe_wal_size >= 0)
		buf_printf(b, ", %s more are safe", amount(slot->safe_wal_size, text));
	buf_byte(b, '\n');
}

static void
add_source(Buf *b, const Status *s)
{
	char text[AMOUNT_SIZE];

	if (!is_there(b, "source", &s->source))
		return;
	buf_printf(
		b, "source    PostgreSQL %s%s, database \"%s\", WAL at " LSN_FMT "\n",
		s->server_version, s->standby ? " (standby)" : "", s->source_database,
		LSN_ARGS(s->wal_end));
	add_slot(b, s);
	if (s->lag_bytes >= 0)
		buf_printf(b, "lag       %s, %" PRId64 " s\n",
				   amount(s->lag_bytes, text), s->lag_seconds);
}

static void
add_loads(Buf *b, const Status *s)
{
	int shown = 0;

	if (s->loads_open == 0)
	{
		buf_printf(b, "loads     %s\n",
				   s->loaded ? "none is open" : "the first has not begun");
		return;
	}
	buf_printf(b, "loads     %" PRId64 " of %d open, %d %%\n", s->loads_open,
			   s->nloads, s->loads_percent < 0 ? 0 : s->loads_percent);
	for (int i = 0; i < s->nloads && shown < LOADS_SHOWN; i++)
	{
		const StatusLoad *l = &s->loads[i];

		if (l->state != LOAD_OPEN)
			continue;
		shown++;
		buf_str(b, "          ");
		add_name(b, l->schema, l->table);
		if (l->percent >= 0)
			buf_printf(b, ": %d %%", l->percent);
		buf_printf(b, "%s%" PRId64 " rows read\n",
				   l->percent >= 0 ? ", " : ": ", l->rows);
	}
}

static void
add_lake(Buf *b, const Status *s)
{
	char text[TIME_SIZE];

	if (!is_there(b, "lake", &s->lake))
		return;
	if (!s->has_log)
	{
		buf_str(b, "log       there is none yet: cdc-s3 init begins it\n");
		return;
	}
	buf_printf(b,
			   "log       entry %" PRId64 " ends at " LSN_FMT ", written %s\n",
			   s->entry, LSN_ARGS(s->log_end), when(s->log_time, text));
	buf_printf(b, "hours     closed until %s, ", when(s->closed_until, text));
	buf_printf(b, "swept until %s\n", when(s->swept_until, text));
	if (s->expired)
		buf_printf(b, "expired   up to entry %" PRId64 "\n", s->expired);
	buf_printf(b, "tables    %" PRId64 "\n", s->tables);
	add_loads(b, s);
	if (s->requests)
		buf_printf(b, "requests  %" PRId64 " loads wait for run\n",
				   s->requests);
}

static void
add_target(Buf *b, const Status *s)
{
	char text[AMOUNT_SIZE];
	char time[TIME_SIZE];

	if (!s->target.asked || !is_there(b, "target", &s->target))
		return;
	if (!s->merged)
	{
		buf_str(b, "target    nothing was merged yet\n");
		return;
	}
	buf_printf(b, "target    entry %" PRId64 ", LSN " LSN_FMT ", merged %s\n",
			   s->merged_entry, LSN_ARGS(s->merged_lsn),
			   when(s->merged_at, time));
	buf_printf(b, "          complete until %s, ",
			   when(s->merged_closed, time));
	buf_printf(b, "%" PRId64 " entries, %s, %" PRId64 " s behind the log\n",
			   s->behind_entries, amount(s->behind_bytes, text),
			   s->behind_seconds);
	buf_printf(b, "rejected  %" PRId64 " rows\n", s->rejected);
	if (s->waiting)
		buf_printf(b, "waiting   %" PRId64 " tables for their load\n",
				   s->waiting);
	for (int i = 0; i < s->nresync; i++)
	{
		const StatusResync *r = &s->resync[i];

		buf_str(b, "resync    ");
		add_name(b, r->schema, r->table);
		buf_printf(b, ": %s, %s, since %s\n", r->reason, r->state, r->since);
	}
	if (s->nresync == 0)
		buf_str(b, "resync    none\n");
}

static void
add_text(Buf *b, const Status *s)
{
	add_source(b, s);
	add_lake(b, s);
	add_target(b, s);
}

/* Once; the first part that could not be reached decides the exit code. */
static bool
show(const Config *cfg, bool json, bool clear, Err *err)
{
	Status s;
	Buf b;
	bool ok;

	status_gather(cfg, &s);
	buf_init(&b, TEXT_MAX_BYTES);
	if (json)
		status_json(&s, &b);
	else
	{
		buf_str(&b, clear ? CLEAR_SCREEN : "");
		add_text(&b, &s);
	}
	ok = cli_write(buf_slice(&b), err) && cli_flush(err);
	if (ok && status_error(&s))
	{
		*err = *status_error(&s);
		ok = false;
	}
	buf_done(&b);
	status_done(&s);
	return ok;
}

bool
cmd_status(const Config *cfg, int argc, char **argv, Err *err)
{
	struct sigaction sa = { .sa_handler = on_signal };
	bool json = false;
	bool watch = false;
	const ArgDef defs[] = { { "--json", NULL, &json },
							{ "--watch", NULL, &watch } };
	const ArgSpec spec = { .command = "status", .defs = defs, .ndefs = 2 };
	bool clear;

	if (!args_parse(&spec, argc, argv, NULL, err))
		return false;
	if (!watch)
		return show(cfg, json, false, err);
	(void) sigaction(SIGINT, &sa, NULL); /* both exist */
	(void) sigaction(SIGTERM, &sa, NULL);
	clear = !json && isatty(STDOUT_FILENO);
	while (!atomic_load(&stopped))
	{
		/* what is not there now may be there the next time */
		if (!show(cfg, json, clear, err) && err->kind == ERR_STOP)
			return false;
		for (int ms = 0; ms < WATCH_MS && !atomic_load(&stopped); ms += 100)
			clock_sleep_ms(100);
	}
	return true;
}
