/*-------------------------------------------------------------------------
 * status.c
 *	  /status: one JSON object.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/lsn.h"

/* Names of a server that is no UTF-8 would end up as no name at all. */
static json_t *
text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

static json_t *
integer(int64_t v)
{
	return json_integer(v);
}

static json_t *
lsn(const Count *c)
{
	char buf[32];

	(void) snprintf(buf, sizeof(buf), LSN_FMT,
					LSN_ARGS((Lsn) count_get(c))); /* fits */
	return text(buf);
}

static json_t *
when(int64_t us)
{
	char buf[40];

	if (us <= 0)
		return json_null();
	iso_from_unix_us(us, false, buf, sizeof(buf));
	return text(buf);
}

static void
set(json_t *o, const char *name, json_t *value)
{
	(void) json_object_set_new(o, name, value); /* no memory: it is left out */
}

static void
push(json_t *a, json_t *value)
{
	(void) json_array_append_new(a, value);
}

static json_t *
positions(void)
{
	json_t *o = json_object();

	set(o, "received", lsn(&stats.received_lsn));
	set(o, "durable", lsn(&stats.durable_lsn));
	set(o, "confirmed", lsn(&stats.confirmed_lsn));
	set(o, "source", lsn(&stats.server_lsn));
	return o;
}

static json_t *
lag(const View *v)
{
	json_t *o = json_object();

	set(o, "bytes", integer(v->lag_bytes));
	set(o, "seconds", json_real(v->lag_seconds));
	set(o, "rows", integer(count_get(&stats.rows_waiting)));
	return o;
}

static json_t *
rates(const View *v)
{
	const Rates *r = &v->rates;
	json_t *o = json_object();

	set(o, "rows_received", json_real(r->rows_received));
	set(o, "bytes_received", json_real(r->bytes_received));
	set(o, "rows_durable", json_real(r->rows_durable));
	set(o, "bytes_written", json_real(r->bytes_written));
	set(o, "rows_loaded", json_real(r->load_rows));
	set(o, "wal_bytes", json_real(r->wal_bytes));
	return o;
}

static json_t *
slot(const View *v)
{
	json_t *o = json_object();
	int64_t safe = count_get(&stats.slot_safe_bytes);

	set(o, "name", text(v->seen.slot));
	if (count_get(&stats.slot_asked_us) == 0)
		return o;
	set(o, "wal_status", text(v->seen.wal_status));
	set(o, "safe_wal_size", safe < 0 ? json_null() : integer(safe));
	set(o, "retained_bytes", integer(count_get(&stats.slot_retained_bytes)));
	set(o, "seconds_until_lost",
		v->seconds_until_lost < 0 ? json_null()
								  : json_real(v->seconds_until_lost));
	set(o, "asked", when(count_get(&stats.slot_asked_us)));
	return o;
}

static json_t *
table(const SeenTable *t, bool other)
{
	json_t *o = json_object();
	json_t *rows = json_object();

	set(o, "schema", other ? json_null() : text(t->schema));
	set(o, "table", other ? json_null() : text(t->table));
	for (int op = 0; op < SEEN_OPS; op++)
		set(rows, seen_op_name((SeenOp) op), integer(t->rows[op]));
	set(o, "rows", rows);
	set(o, "bytes", integer(t->bytes));
	set(o, "objects", integer(t->objects));
	set(o, "last", when(t->last_us));
	return o;
}

static json_t *
tables(const View *v)
{
	json_t *a = json_array();

	for (int i = 1; i < v->seen.ntables; i++)
		push(a, table(&v->seen.tables[i], false));
	return a;
}

static json_t *
entries(const View *v)
{
	json_t *a = json_array();

	for (int i = 0; i < v->seen.nentries; i++)
	{
		const SeenEntry *e = &v->seen.entries[i];
		json_t *o = json_object();
		char end[32];

		(void) snprintf(end, sizeof(end), LSN_FMT, LSN_ARGS(e->end)); /* fits */
		set(o, "entry", integer(e->seq));
		set(o, "lsn", text(end));
		set(o, "time", when(e->time_us));
		set(o, "objects", integer(e->objects));
		set(o, "rows", integer(e->rows));
		set(o, "bytes", integer(e->bytes));
		push(a, o);
	}
	return a;
}

static json_t *
errors(const View *v)
{
	json_t *a = json_array();

	for (int i = 0; i < v->seen.nerrors; i++)
	{
		const SeenError *e = &v->seen.errors[i];
		json_t *o = json_object();

		set(o, "time", when(e->time_us));
		set(o, "level", text(e->error ? "error" : "warn"));
		set(o, "event", text(e->event));
		set(o, "kind", e->kind[0] ? text(e->kind) : json_null());
		push(a, o);
	}
	return a;
}

static json_t *
loads(const View *v)
{
	json_t *a = json_array();

	for (int i = 0; i < v->seen.nloads; i++)
	{
		const SeenLoad *l = &v->seen.loads[i];
		bool all = i == v->seen.nloads - 1;
		json_t *o = json_object();

		set(o, "schema", all ? json_null() : text(l->schema));
		set(o, "table", all ? json_null() : text(l->table));
		set(o, "percent", json_real(100 * l->share));
		set(o, "rows", integer(l->rows));
		set(o, "rows_per_second", integer(l->rows_per_s));
		set(o, "seconds_left",
			l->left_s < 0 ? json_null() : integer(l->left_s));
		if (all)
		{
			set(o, "tables_done", integer(l->tables_done));
			set(o, "tables", integer(l->tables));
		}
		push(a, o);
	}
	return a;
}

static json_t *
outputs(const View *v)
{
	json_t *a = json_array();

	for (int i = 0; i < v->noutputs; i++)
	{
		const ViewOutput *out = &v->outputs[i];
		json_t *o = json_object();

		set(o, "name", text(out->name));
		set(o, "state", text(out->state));
		set(o, "objects", integer(out->objects));
		set(o, "bytes", integer(out->bytes));
		set(o, "errors", integer(out->errors));
		set(o, "lag_seconds", json_real(out->lag_seconds));
		push(a, o);
	}
	return a;
}

/* Those that give signs of life, from which /livez is answered. */
static json_t *
threads(void)
{
	BeatThread list[BEAT_THREADS_MAX];
	int n = beat_list(list);
	json_t *a = json_array();

	for (int i = 0; i < n; i++)
	{
		json_t *o = json_object();

		set(o, "name", text(list[i].name));
		set(o, "waits", json_boolean(list[i].waits));
		set(o, "silent_seconds", json_real((double) list[i].silent_ms / 1e3));
		push(a, o);
	}
	return a;
}

static json_t *
memory(void)
{
	json_t *o = json_object();

	set(o, "used", integer(count_get(&stats.budget_used)));
	set(o, "limit", integer(count_get(&stats.budget_limit)));
	set(o, "paused", json_boolean(count_get(&stats.paused)));
	return o;
}

static json_t *
merge(const View *v)
{
	json_t *o = json_object();

	set(o, "entry", integer(count_get(&stats.merge_entry)));
	set(o, "lsn", lsn(&stats.merge_lsn));
	set(o, "entries_behind", integer(count_get(&stats.merge_behind)));
	set(o, "seconds_behind", json_real(v->merge_behind_seconds));
	set(o, "rejected_rows", integer(count_get(&stats.rejected_rows)));
	set(o, "resync_tables", integer(count_get(&stats.resync_tables)));
	set(o, "last_success", when(count_get(&stats.merge_at_us)));
	return o;
}

static void
add_run(json_t *o, const View *v)
{
	set(o, "connected", json_boolean(count_get(&stats.link) == LINK_UP));
	set(o, "positions", positions());
	set(o, "lag", lag(v));
	set(o, "per_second", rates(v));
	set(o, "closed_until", when(count_get(&stats.closed_until_us)));
	set(o, "hours_closed", integer(count_get(&stats.hours_closed)));
	set(o, "slot", slot(v));
	set(o, "memory", memory());
	set(o, "outputs", outputs(v));
	set(o, "loads_open", integer(count_get(&stats.loads_open)));
	set(o, "loads", loads(v));
	set(o, "tables", tables(v));
	set(o, "other_tables", table(&v->seen.tables[0], true));
	set(o, "entries", entries(v));
}

void
status_add_json(const View *v, Buf *out)
{
	json_t *o = json_object();
	char *dump;

	set(o, "version", text(v->version));
	set(o, "command", text(v->role == ROLE_MERGE ? "merge" : "run"));
	set(o, "time", when(v->now_us));
	set(o, "started", when(count_get(&stats.began_us)));
	set(o, "alive", json_boolean(!v->silent));
	set(o, "ready", json_boolean(!v->unready));
	set(o, "reason", v->unready ? text(v->unready) : json_null());
	if (v->role == ROLE_RUN)
		add_run(o, v);
	if (v->role == ROLE_MERGE || count_get(&stats.merge_lsn) > 0)
		set(o, "merge", merge(v));
	set(o, "threads", threads());
	set(o, "errors", errors(v));
	dump = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	if (dump)
		buf_str(out, dump);
	buf_byte(out, '\n');
	free(dump);
}
