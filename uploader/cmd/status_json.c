/*-------------------------------------------------------------------------
 * status_json.c
 *	  A Status as one JSON object: its one form for programs.
 *
 * What is not known is null; positions are text as in messages.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cmd/status.h"

#define TIME_SIZE 40

static void
set(json_t *o, const char *name, json_t *value)
{
	/* a name of the server that is not UTF-8 is null */
	(void) json_object_set_new(o, name, value ? value : json_null());
}

static json_t *
number(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static json_t *
lsn(Lsn l)
{
	char text[32];

	(void) snprintf(text, sizeof(text), LSN_FMT, LSN_ARGS(l)); /* fits */
	return json_string(text);
}

static json_t *
when(int64_t unix_us)
{
	char text[TIME_SIZE];

	if (unix_us == 0)
		return json_null();
	iso_from_unix_us(unix_us, false, text, sizeof(text));
	return json_string(text);
}

static json_t *
part(const StatusPart *p)
{
	json_t *o = json_object();

	set(o, "reachable", json_boolean(p->ok));
	if (!p->ok)
	{
		set(o, "error", json_string(p->err.msg));
		set(o, "hint", json_string(p->err.hint));
	}
	return o;
}

static json_t *
loads(const Status *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->nloads; i++)
	{
		const StatusLoad *l = &s->loads[i];
		json_t *o = json_object();

		set(o, "schema", json_string(l->schema));
		set(o, "table", json_string(l->table));
		set(o, "state", json_string(load_state_name(l->state)));
		set(o, "rows", number(l->rows));
		set(o, "table_rows", number(l->table_rows));
		set(o, "percent", number(l->percent));
		(void) json_array_append_new(list, o);
	}
	return list;
}

static json_t *
lake(const Status *s)
{
	json_t *o = part(&s->lake);

	if (!s->has_log)
		return o;
	set(o, "entry", number(s->entry));
	set(o, "end_lsn", lsn(s->log_end));
	set(o, "time", when(s->log_time));
	set(o, "closed_until", when(s->closed_until));
	set(o, "swept_until", when(s->swept_until));
	set(o, "expired_entry", s->expired ? number(s->expired) : json_null());
	set(o, "system_identifier", json_string(s->system_identifier));
	set(o, "database", json_string(s->database));
	set(o, "slot", json_string(s->slot));
	set(o, "tables", number(s->tables));
	set(o, "requests", number(s->requests));
	set(o, "loaded", json_boolean(s->loaded));
	set(o, "loads_open", number(s->loads_open));
	set(o, "loads_percent", number(s->loads_percent));
	set(o, "loads", loads(s));
	return o;
}

static json_t *
slot(const Status *s)
{
	const SourceSlot *now = &s->slot_now;
	json_t *o = json_object();

	set(o, "exists", json_boolean(now->exists));
	if (!now->exists)
		return o;
	set(o, "active_pid",
		now->active_pid ? number(now->active_pid) : json_null());
	set(o, "wal_status", json_string(now->wal_status));
	set(o, "safe_wal_size", number(now->safe_wal_size));
	set(o, "restart_lsn", lsn(now->restart));
	set(o, "confirmed_lsn", lsn(now->confirmed));
	set(o, "retained_bytes", number(s->retained));
	return o;
}

static json_t *
source(const Status *s)
{
	json_t *o = part(&s->source);

	if (!s->source.ok)
		return o;
	set(o, "server_version", json_string(s->server_version));
	set(o, "database", json_string(s->source_database));
	set(o, "standby", json_boolean(s->standby));
	set(o, "wal_lsn", lsn(s->wal_end));
	set(o, "slot", slot(s));
	set(o, "lag_bytes", number(s->lag_bytes));
	set(o, "lag_seconds",
		s->lag_bytes < 0 ? json_null() : number(s->lag_seconds));
	return o;
}

static json_t *
resync(const Status *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->nresync; i++)
	{
		const StatusResync *r = &s->resync[i];
		json_t *o = json_object();

		set(o, "schema", json_string(r->schema));
		set(o, "table", json_string(r->table));
		set(o, "reason", json_string(r->reason));
		set(o, "state", json_string(r->state));
		set(o, "since", json_string(r->since));
		(void) json_array_append_new(list, o);
	}
	return list;
}

static json_t *
target(const Status *s)
{
	json_t *o;

	if (!s->target.asked)
		return json_null();
	o = part(&s->target);
	if (!s->target.ok)
		return o;
	set(o, "merged", json_boolean(s->merged));
	if (!s->merged)
		return o;
	set(o, "entry", number(s->merged_entry));
	set(o, "lsn", lsn(s->merged_lsn));
	set(o, "merged_at", when(s->merged_at));
	set(o, "closed_until", when(s->merged_closed));
	set(o, "behind_entries", number(s->behind_entries));
	set(o, "behind_bytes", number(s->behind_bytes));
	set(o, "behind_seconds", number(s->behind_seconds));
	set(o, "rejected", number(s->rejected));
	set(o, "waiting", number(s->waiting));
	set(o, "resync", resync(s));
	return o;
}

void
status_json(const Status *s, Buf *out)
{
	json_t *o = json_object();
	char *text;

	set(o, "time", when(s->now));
	set(o, "lake", lake(s));
	set(o, "source", source(s));
	set(o, "target", target(s));
	text = json_dumps(o, JSON_COMPACT);
	buf_str(out, text ? text : "{}");
	buf_byte(out, '\n');
	free(text);
	json_decref(o);
}
