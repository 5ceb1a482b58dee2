/*-------------------------------------------------------------------------
 * later.c
 *	  Tables that became wanted after the first loads.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/later.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "pipe/event.h"
#include "store/commitlog.h"

#define SCHEMAS "_cdc/schema/"
#define KEY_MAX ((size_t) 8192)
#define LOOK "look for tables that are wanted later"

/* "<schema>/<table>/" of all schema files, in order. */
typedef struct Known
{
	size_t n;
	char **folders;
} Known;

void
later_done(Later *l)
{
	for (int i = 0; i < l->n; i++)
	{
		free(l->tables[i].schema);
		free(l->tables[i].table);
	}
	free(l->tables);
	*l = (Later){ 0 };
}

static void
known_done(Known *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->folders[i]);
	free(k->folders);
}

static bool
take_folder(const StoreItem *item, void *arg)
{
	Known *k = arg;
	const char *folder = item->key + strlen(SCHEMAS);
	const char *end = strrchr(folder, '/');
	size_t n = end ? (size_t) (end - folder) + 1 : 0;

	if ((k->n & (k->n - 1)) == 0) /* full at each power of two */
		k->folders =
			xrealloc(k->folders, (k->n ? k->n * 2 : 1) * sizeof(*k->folders));
	k->folders[k->n] = xmalloc(n + 1);
	memcpy(k->folders[k->n], folder, n);
	k->folders[k->n++][n] = '\0';
	return true;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static bool
read_known(Store *store, Known *k, Err *err)
{
	*k = (Known){ 0 };
	if (!store_list(store, SCHEMAS, take_folder, k, err))
		return false;
	if (k->n > 0)
		qsort(k->folders, k->n, sizeof(*k->folders), compare);
	return true;
}

static bool
is_known(const Known *k, const WantedTable *t)
{
	Buf b;
	const char *folder;
	bool found;

	buf_init(&b, KEY_MAX);
	key_add_table(&b, t->schema, t->table);
	folder = buf_cstr(&b);
	found = k->n > 0 &&
			bsearch(&folder, k->folders, k->n, sizeof(*k->folders), compare);
	buf_done(&b);
	return found;
}

/* Keeps those that the lake knows nothing of. */
static void
drop_known(WantedList *l, const Known *k)
{
	int kept = 0;

	for (int i = 0; i < l->n; i++)
	{
		if (is_known(k, &l->tables[i]))
			wanted_table_done(&l->tables[i]);
		else
			l->tables[kept++] = l->tables[i];
	}
	l->n = kept;
}

/* The end of the WAL, behind all that the snapshot before it has. */
static bool
read_end(PGconn *conn, Lsn *out, Err *err)
{
	PGresult *res;
	bool ok;

	if (!pg_exec(conn, PG_SOURCE, LOOK,
				 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
				 " THEN pg_catalog.pg_last_wal_replay_lsn()"
				 " ELSE pg_catalog.pg_current_wal_insert_lsn() END",
				 &res, err))
		return false;
	ok = lsn_parse(PQgetvalue(res, 0, 0), out) ||
		 err_set(err, ERR_SOURCE, 0, "the server told no WAL position");
	PQclear(res);
	return ok;
}

/* A log that holds another name cannot be written (see json_names_valid()). */
static bool
is_text(const char *name)
{
	return utf8_valid((const uint8_t *) name, strlen(name));
}

static void
add_unsure(Later *l, const WantedTable *t)
{
	l->tables = xrealloc(l->tables, ((size_t) l->n + 1) * sizeof(*l->tables));
	l->tables[l->n++] = (LaterTable){ .schema = xstrdup(t->schema),
									  .table = xstrdup(t->table) };
}

/* Keeps those to be loaded, and hands the others to p->later. */
static void
divide(Pipe *p, WantedList *l, const WantedFact *facts)
{
	int kept = 0;

	for (int i = 0; i < l->n; i++)
	{
		WantedTable *t = &l->tables[i];
		bool counts =
			facts[i].readable && is_text(t->schema) && is_text(t->table);

		if (!counts)
			log_warn("a table is wanted and was never loaded, and the role may "
					 "not read it",
					 "schema", t->schema, "table", t->table, "hint",
					 WANTED_UNREADABLE, NULL);
		else if (!facts[i].old)
			add_unsure(&p->later, t);
		if (counts && facts[i].old)
			l->tables[kept++] = *t;
		else
			wanted_table_done(t);
	}
	l->n = kept;
}

static bool
look(Pipe *p, const Known *known, PGconn *conn, WantedList *out, Err *err)
{
	WantedFact *facts;
	bool ok;

	if (!wanted_read(conn, p->options, NULL, NULL, out, err) ||
		!read_end(conn, &p->later.lsn, err))
		return false;
	drop_known(out, known);
	if (out->n == 0)
		return true;
	facts = xcalloc((size_t) out->n, sizeof(*facts));
	ok = wanted_facts(conn, p->options->slot, out, facts, err);
	if (ok)
		divide(p, out, facts);
	free(facts);
	return ok;
}

bool
later_look(Pipe *p, Store *store, PGconn *conn, WantedList *out, Err *err)
{
	Known known;
	bool ok;

	*out = (WantedList){ 0 };
	later_done(&p->later);
	ok =
		read_known(store, &known, err) &&
		pg_exec(conn, PG_SOURCE, LOOK,
				"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, err) &&
		look(p, &known, conn, out, err) &&
		pg_exec(conn, PG_SOURCE, LOOK, "COMMIT", NULL, err);
	known_done(&known);
	return ok;
}

/* From its creation on: a table that is named so is not in the middle. */
static bool
brought(const Entry *e, const LaterTable *t, Lsn lsn)
{
	for (int i = 0; i < e->nschemas; i++)
	{
		if (e->schemas[i].created && e->schemas[i].lsn <= lsn &&
			strcmp(e->schemas[i].table, t->table) == 0 &&
			strcmp(e->schemas[i].schema, t->schema) == 0)
			return true;
	}
	return false;
}

/* Takes those out that the log has brought since the session began. */
static bool
drop_brought(Pipe *p, Store *store, Err *err)
{
	Later *l = &p->later;
	bool behind = false;

	for (int64_t seq = p->start->seq + 1;
		 l->n > 0 && !behind && seq <= atomic_load(&p->log_seq); seq++)
	{
		Entry *e;
		int kept = 0;

		if (!commitlog_read(store, seq, &e, err))
			return false;
		for (int i = 0; i < l->n; i++)
		{
			if (!brought(e, &l->tables[i], l->lsn))
			{
				l->tables[kept++] = l->tables[i];
				continue;
			}
			free(l->tables[i].schema);
			free(l->tables[i].table);
		}
		l->n = kept;
		behind = e->prev_end > l->lsn;
		entry_free(e);
	}
	return true;
}

bool
later_settle(Pipe *p, Store *store, Err *err)
{
	Later *l = &p->later;

	if (l->n > 0 && atomic_load(&p->log_end) < l->lsn)
	{
		/* an idle source makes no entry by itself */
		if (atomic_load(&p->received) >= l->lsn)
			event_push(p, event_new(EVENT_CHECKPOINT));
		return true;
	}
	if (!drop_brought(p, store, err))
		return false;
	for (int i = 0; i < l->n; i++)
	{
		const RequestNeed need = { .source = p->start,
								   .schema = l->tables[i].schema,
								   .table = l->tables[i].table,
								   .reason = "new",
								   .after = atomic_load(&p->log_seq) };

		if (!request_need(store, &need, err))
			return false;
	}
	later_done(l);
	return true;
}
