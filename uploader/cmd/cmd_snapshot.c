/*-------------------------------------------------------------------------
 * cmd_snapshot.c
 *	  "snapshot": asks the "run" of this lake to load tables anew.
 *
 * It needs the store alone: the request lies in the lake until run takes it
 * (store/request.h), and what becomes of it the log tells.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/cmd_merge.h"
#include "codec/pattern.h"
#include "store/commitlog.h"
#include "store/request.h"

#define WORDS_MAX 1000
#define POLL_MS 1000
#define TIME_SIZE 40

/* A load that the log tells of. */
typedef struct Known
{
	char *schema;
	char *table;
	bool open;
	bool gone; /* its last load was given up */
} Known;

typedef struct Snapshot
{
	Store *store;
	Request request;
	int nknown;
	Known *known;
	int64_t seen; /* entries that were looked at */
} Snapshot;

static bool
open_log(const Config *cfg, Snapshot *s, Err *err)
{
	StoreOptions options = config_store_options(cfg);
	Entry *last;

	if (!store_open(&options, &s->store, err) ||
		!commitlog_head(s->store, 0, &last, err))
		return false;
	if (!last)
	{
		err_set(err, ERR_USAGE, 0, "\"%s\" holds no commit log",
				cfg->store_url);
		return err_hint(err, "correct store.url, or run cdc-s3 init");
	}
	s->seen = s->request.after = last->seq;
	entry_free(last);
	return true;
}

/* ---- asking ---- */

/* "a.b" "c.*" as one list of patterns. */
static bool
join_patterns(const char *const *words, int n, char **out, Err *err)
{
	Buf b;
	bool ok = true;

	buf_init(&b, (size_t) 1 << 19);
	for (int i = 0; ok && i < n; i++)
	{
		buf_str(&b, i ? ", " : "");
		buf_str(&b, words[i]);
		ok = words[i][0] != '\0' && pattern_list_valid(words[i]);
		if (!ok)
		{
			err_set(err, ERR_USAGE, 0, "\"%s\" is no table", words[i]);
			err_hint(err, "write schema.table, or a pattern such as "
						  "public.*");
		}
	}
	if (ok && b.overflow)
		ok = err_set(err, ERR_USAGE, 0, "these are too many tables");
	*out = ok ? xstrdup(buf_cstr(&b)) : NULL;
	buf_done(&b);
	return ok;
}

static bool
ask(Snapshot *s, Err *err)
{
	request_new_id(&s->request);
	s->request.time = clock_unix_us();
	if (!request_write(s->store, &s->request, err))
		return err_prefix(err, "could not leave the request in the lake");
	printf("request %s: load %s\n", s->request.id, s->request.tables);
	return true;
}

/* ---- waiting ---- */

static Known *
know(Snapshot *s, const EntryLoad *l)
{
	Known *k;

	for (int i = 0; i < s->nknown; i++)
	{
		if (strcmp(s->known[i].schema, l->schema) == 0 &&
			strcmp(s->known[i].table, l->table) == 0)
			return &s->known[i];
	}
	s->known = xrealloc(s->known, ((size_t) s->nknown + 1) * sizeof(*s->known));
	k = &s->known[s->nknown++];
	*k = (Known){ .schema = xstrdup(l->schema), .table = xstrdup(l->table) };
	return k;
}

static int64_t
rows_of(const Entry *e, const char *load)
{
	int64_t rows = 0;

	for (int i = 0; i < e->nobjects; i++)
	{
		if (strcmp(e->objects[i].load, load) == 0)
			rows += e->objects[i].rows;
	}
	return rows;
}

/* An entry gives loads up before it opens them anew. */
static void
take_entry(Snapshot *s, const Entry *e)
{
	for (int i = 0; i < e->nloads; i++)
	{
		const EntryLoad *l = &e->loads[i];
		Known *k;

		if (!pattern_list_matches(s->request.tables, l->schema, l->table))
			continue;
		k = know(s, l);
		if (!k->open && l->state == LOAD_OPEN)
			printf("%s.%s: loading\n", l->schema, l->table);
		else if (l->state == LOAD_DONE)
			printf("%s.%s: loaded, %" PRId64 " rows, at LSN " LSN_FMT "\n",
				   l->schema, l->table, rows_of(e, l->id), LSN_ARGS(l->lsn));
		k->open = l->state == LOAD_OPEN;
		k->gone = l->state == LOAD_GIVEN_UP;
	}
	(void) fflush(stdout);
}

static bool
take_entries(Snapshot *s, Err *err)
{
	Entry *last;
	int64_t end;

	if (!commitlog_head(s->store, s->seen, &last, err))
		return false;
	end = last ? last->seq : s->seen;
	entry_free(last);
	while (s->seen < end)
	{
		Entry *e;

		if (!commitlog_read(s->store, s->seen + 1, &e, err))
			return false;
		take_entry(s, e);
		entry_free(e);
		s->seen++;
	}
	return true;
}

static bool
is_waiting(Snapshot *s, bool *waiting, Err *err)
{
	RequestList l;
	bool ok = request_list(s->store, &l, err);

	*waiting = ok && request_is_in(&l, s->request.id);
	request_list_done(&l);
	for (int i = 0; i < s->nknown; i++)
		*waiting |= s->known[i].open;
	return ok;
}

/* Until run has taken the request, and what it announced is over. */
static bool
wait_for_loads(Snapshot *s, Err *err)
{
	bool waiting = true;

	for (;;)
	{
		/* the request first: it goes after its loads are in the log */
		if (!is_waiting(s, &waiting, err) || !take_entries(s, err))
			return false;
		for (int i = 0; i < s->nknown; i++)
			waiting |= s->known[i].open;
		if (!waiting)
			break;
		clock_sleep_ms(POLL_MS);
	}
	if (s->nknown == 0)
	{
		err_set(err, ERR_SOURCE, 0, "no table that is wanted is of \"%s\"",
				s->request.tables);
		return err_hint(err, "see source.tables, source.exclude and "
							 "source.publication of run, and its log");
	}
	for (int i = 0; i < s->nknown; i++)
	{
		if (s->known[i].gone)
			return err_set(err, ERR_SOURCE, 0,
						   "the load of \"%s\".\"%s\" was given up: the table "
						   "is not there any more, or not wanted",
						   s->known[i].schema, s->known[i].table);
	}
	return true;
}

/* ---- what is there ---- */

static bool
list_requests(const Snapshot *s, Err *err)
{
	RequestList l;
	bool ok = request_list(s->store, &l, err);

	for (int i = 0; ok && i < l.n; i++)
	{
		char time[TIME_SIZE];

		iso_from_unix_us(l.items[i].time, false, time, sizeof(time));
		printf("%s %s ", l.items[i].id, time);
		cmd_merge_print_name(l.items[i].tables ? l.items[i].tables
											   : "(malformed)");
		if (l.items[i].reason)
			printf(" (%s at LSN " LSN_FMT ")", l.items[i].reason,
				   LSN_ARGS(l.items[i].lsn));
		printf("\n");
	}
	request_list_done(&l);
	return ok;
}

static bool
cancel(const Snapshot *s, const char *id, Err *err)
{
	RequestList l;
	bool ok = request_list(s->store, &l, err);

	if (ok && !request_is_in(&l, id))
	{
		ok = err_set(err, ERR_USAGE, 0, "no request \"%s\" waits", id);
		err_hint(err, "cdc-s3 snapshot --list shows those that do; a load "
					  "that has begun goes on");
	}
	request_list_done(&l);
	return ok && request_remove(s->store, id, err);
}

static void
snapshot_done(Snapshot *s)
{
	for (int i = 0; i < s->nknown; i++)
	{
		free(s->known[i].schema);
		free(s->known[i].table);
	}
	free(s->known);
	free(s->request.tables);
	store_close(s->store);
}

bool
cmd_snapshot(const Config *cfg, int argc, char **argv, Err *err)
{
	Snapshot s = { 0 };
	const char **words = xcalloc(WORDS_MAX, sizeof(*words));
	const char *id = NULL;
	bool wait = false;
	bool list = false;
	int n = 0;
	const ArgDef defs[] = { { "--wait", NULL, &wait },
							{ "--list", NULL, &list },
							{ "--cancel", &id, NULL } };
	const ArgSpec spec = { .command = "snapshot",
						   .defs = defs,
						   .ndefs = 3,
						   .words = words,
						   .max_words = WORDS_MAX };
	bool ok = args_parse(&spec, argc, argv, &n, err);

	if (ok && (n > 0) + list + (id != NULL) != 1)
	{
		ok = err_set(err, ERR_USAGE, 0,
					 "snapshot takes tables, or --list, or --cancel");
		err_hint(err, "cdc-s3 snapshot public.orders 'crm.*'");
	}
	ok = ok && (n == 0 || join_patterns(words, n, &s.request.tables, err)) &&
		 open_log(cfg, &s, err);
	if (ok && list)
		ok = list_requests(&s, err);
	else if (ok && id)
		ok = cancel(&s, id, err);
	else if (ok)
		ok = ask(&s, err) && (!wait || wait_for_loads(&s, err));
	snapshot_done(&s);
	free(words);
	return ok;
}
