/*-------------------------------------------------------------------------
 * status.c
 *	  How lake, source and target stand: the lake, and all together.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/status.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "cmd/cmd.h"
#include "codec/key.h"
#include "store/commitlog.h"
#include "store/request.h"

#define SCHEMA_PREFIX "_cdc/schema/"

static StatusLoad *
load_of(Status *s, const EntryLoad *l)
{
	StatusLoad *new;

	for (int i = 0; i < s->nloads; i++)
		if (strcmp(s->loads[i].schema, l->schema) == 0 &&
			strcmp(s->loads[i].table, l->table) == 0)
			return &s->loads[i];
	s->loads = xrealloc(s->loads, ((size_t) s->nloads + 1) * sizeof(*s->loads));
	new = &s->loads[s->nloads++];
	*new = (StatusLoad){ .schema = xstrdup(l->schema),
						 .table = xstrdup(l->table),
						 .table_rows = -1,
						 .percent = -1 };
	return new;
}

static void
take_loads(Status *s, const Entry *e)
{
	for (int i = 0; i < e->nloads; i++)
	{
		StatusLoad *l = load_of(s, &e->loads[i]);

		l->state = e->loads[i].state;
		l->rows = 0;
		for (int k = 0; k < e->nobjects; k++)
			if (strcmp(e->objects[k].load, e->loads[i].id) == 0)
				l->rows += e->objects[k].rows;
	}
}

/*
 * From the entry that announced the oldest open load on.  Entries are few
 * while loads are open, since then a load is most of what happens.
 */
static bool
read_loads(Store *store, const Entry *last, Status *s, Err *err)
{
	if (last->loads_open == 0)
		return true;
	for (int64_t seq = last->loads_since; seq <= last->seq; seq++)
	{
		Entry *e;

		if (!commitlog_read(store, seq, &e, err))
			return false;
		take_loads(s, e);
		entry_free(e);
	}
	return true;
}

typedef struct Tables
{
	StrMap seen;
	int64_t n;
} Tables;

/* _cdc/schema/<schema>/<table>/<hash>.json */
static bool
take_schema_file(const StoreItem *item, void *arg)
{
	Tables *t = arg;
	const char *slash = strrchr(item->key, '/');
	char *name = xstrndup(item->key, (size_t) (slash - item->key));

	if (strmap_get(&t->seen, name) == STRMAP_NONE)
	{
		strmap_put(&t->seen, name, 1);
		t->n++;
	}
	free(name);
	return true;
}

static bool
count_tables(Store *store, Status *s, Err *err)
{
	Tables t = { 0 };
	bool ok = store_list(store, SCHEMA_PREFIX, take_schema_file, &t, err);

	s->tables = t.n;
	strmap_done(&t.seen);
	return ok;
}

static bool
count_requests(Store *store, Status *s, Err *err)
{
	RequestList l;
	bool ok = request_list(store, &l, err);

	s->requests = l.n;
	request_list_done(&l);
	return ok;
}

static void
take_last(Status *s, const Entry *e)
{
	s->has_log = true;
	s->entry = e->seq;
	s->log_end = e->end;
	s->log_time = e->time;
	s->closed_until = e->closed_until;
	s->swept_until = e->swept_until;
	s->expired = e->expired;
	s->loads_open = e->loads_open;
	s->loaded = e->loaded;
	s->system_identifier = xstrdup(e->system_identifier);
	s->database = xstrdup(e->database);
	s->slot = xstrdup(e->slot);
}

static bool
read_lake(Store *store, Status *s, Err *err)
{
	Entry *last;
	bool ok;

	if (!commitlog_head(store, 0, &last, err))
		return false;
	if (!last)
		return true;
	take_last(s, last);
	ok = read_loads(store, last, s, err) && count_tables(store, s, err) &&
		 count_requests(store, s, err);
	entry_free(last);
	return ok;
}

/* Of all loads by the bytes of their tables. */
static void
sum_loads(Status *s)
{
	double all = 0;
	double done = 0;

	s->loads_percent = -1;
	for (int i = 0; i < s->nloads; i++)
	{
		StatusLoad *l = &s->loads[i];
		double bytes = l->table_bytes > 0 ? (double) l->table_bytes : 1;

		if (l->state != LOAD_OPEN)
			l->percent = 100;
		else if (l->table_rows >= 0) /* not all, as long as it is open */
			l->percent = l->rows < l->table_rows
							 ? (int) (100 * l->rows / l->table_rows)
							 : (l->rows > 0 ? 99 : 0);
		all += bytes;
		done += bytes * (l->percent > 0 ? l->percent : 0) / 100;
	}
	if (s->nloads > 0)
		s->loads_percent = (int) (100 * done / all);
}

static void
sum_lag(Status *s)
{
	s->lag_bytes = -1;
	if (!s->has_log || !s->source.ok)
		return;
	s->lag_bytes =
		s->wal_end > s->log_end ? (int64_t) (s->wal_end - s->log_end) : 0;
	if (s->lag_bytes > 0 && s->now > s->log_time)
		s->lag_seconds = (s->now - s->log_time) / US_PER_SEC;
}

void
status_gather(const Config *cfg, Status *out)
{
	StoreOptions options = config_store_options(cfg);
	Store *store = NULL;

	*out = (Status){ .now = clock_unix_us(), .retained = -1 };
	out->lake.asked = true;
	out->lake.ok = store_open(&options, &store, &out->lake.err) &&
				   read_lake(store, out, &out->lake.err);
	status_source(cfg, out);
	status_target(cfg, store, NULL, out);
	sum_loads(out);
	sum_lag(out);
	store_close(store);
}

static bool
is_stopped(void *arg)
{
	return atomic_load((atomic_bool *) arg);
}

void
status_gather_target(const Config *cfg, atomic_bool *stop, Status *out)
{
	StoreOptions options = config_store_options(cfg);
	const PgWait wait = { .stopped = is_stopped, .arg = stop };
	Store *store = NULL;

	options.stop = stop;
	*out = (Status){ .now = clock_unix_us(), .retained = -1 };
	out->lake.asked = true;
	out->lake.ok = store_open(&options, &store, &out->lake.err) &&
				   read_lake(store, out, &out->lake.err);
	if (out->lake.ok)
		status_target(cfg, store, &wait, out);
	store_close(store);
}

void
status_done(Status *s)
{
	for (int i = 0; i < s->nloads; i++)
	{
		free(s->loads[i].schema);
		free(s->loads[i].table);
	}
	for (int i = 0; i < s->nresync; i++)
	{
		free(s->resync[i].schema);
		free(s->resync[i].table);
		free(s->resync[i].reason);
		free(s->resync[i].state);
		free(s->resync[i].since);
	}
	free(s->loads);
	free(s->resync);
	free(s->system_identifier);
	free(s->database);
	free(s->slot);
}

const Err *
status_error(const Status *s)
{
	const StatusPart *const parts[] = { &s->lake, &s->source, &s->target };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i]->asked && !parts[i]->ok)
			return &parts[i]->err;
	return NULL;
}
