/*-------------------------------------------------------------------------
 * load.c
 *	  First loads: the tables' rows under the snapshot of a temporary slot.
 *
 *	  plan (before the session streams): which loads are open in the log, or
 *		all tables when none was ever announced
 *	  loader thread: temporary slot -> consistent point S and snapshot ->
 *		COPY each table -> batches -> shippers; when a table's objects are all
 *		durable the encoder is told, and lists them in an entry that ends at S
 *		or behind it
 *
 * (1) A snapshot does not hold for what rewrites a table, and COPY reads it by
 *	   the columns that it has now.  So once COPY has its locks, the table as
 *	   the snapshot has it is compared with the one that is there; where they
 *	   differ, nothing of that COPY counts, and the table is loaded under a new
 *	   S, with those that differed like it.
 * (2) Each table is a transaction of its own, which takes the snapshot over
 *	   from "anchor": no lock outlives the COPY that needed it.
 *
 * A session that ends in between gives the loads up that are not listed: the
 * next one announces them anew.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/pgconn.h"
#include "pipe/copyrow.h"
#include "pipe/describe.h"
#include "pipe/event.h"
#include "pipe/object.h"
#include "store/commitlog.h"

#define SQL_MAX ((size_t) 1 << 20)
#define STOP_POLL_MS 200
#define PROGRESS_MS 10000
#define AGAIN_MS 1000 /* before the second S; doubled each time */
#define AGAIN_MAX_MS 60000
#define SNAPSHOT_MAX 64
#define ON_THEIR_WAY 16 /* tables that are copied and not durable */

typedef struct Loader
{
	Pipe *p;
	PGconn *slot;   /* holds the temporary slot until its snapshot is taken */
	PGconn *anchor; /* holds the snapshot, and no locks */
	PGconn *data;   /* reads under it */
	PGconn *now;    /* sees what is there */
	char snapshot[SNAPSHOT_MAX];
	char state[6]; /* SQLSTATE of the last statement that failed, or "" */
	Lsn lsn;       /* S */
	int64_t time;  /* of the snapshot, microseconds since 2000 */
	int64_t rows;  /* of all tables: they share S, so they share the numbers */
	int done;      /* tables */
	int nwaiting;
	LoadTable *waiting[ON_THEIR_WAY + 1]; /* for the store */
	int total;
	Err err;
} Loader;

/*
 * Plan
 */
static int
find_load(const Entry *list, const char *id)
{
	for (int i = 0; i < list->nloads; i++)
	{
		if (strcmp(list->loads[i].id, id) == 0)
			return i;
	}
	return -1;
}

static void
copy_load(Entry *list, const EntryLoad *from, const char *id, LoadState state)
{
	EntryLoad *l = entry_add_load(list);

	entry_set(&l->id, id);
	entry_set(&l->schema, from->schema);
	entry_set(&l->table, from->table);
	entry_set(&l->reason, from->reason);
	l->resync = from->resync;
	l->state = state;
}

/* All loads that entries since "since" left open, added to list. */
static bool
find_open(Store *store, int64_t since, int64_t last, Entry *list, Err *err)
{
	for (int64_t seq = since; seq <= last; seq++)
	{
		Entry *e;

		if (!commitlog_read(store, seq, &e, err))
			return false;
		for (int i = 0; i < e->nloads; i++)
		{
			int at = find_load(list, e->loads[i].id);

			if (e->loads[i].state == LOAD_OPEN)
				copy_load(list, &e->loads[i], e->loads[i].id, LOAD_OPEN);
			else if (at >= 0)
				list->loads[at].state = e->loads[i].state;
		}
		entry_free(e);
	}
	return true;
}

bool
load_plan(Pipe *p, Store *store, PGconn *control, Err *err)
{
	Entry *open = entry_new();
	bool ok = true;

	if (p->start->loads_open > 0)
		ok = find_open(store, p->start->loads_since, p->start->seq, open, err);
	else if (!p->start->loaded && p->options->load_initial)
		ok = describe_tables(control, p->options, p->loads, err);
	for (int i = 0; ok && i < open->nloads; i++)
	{
		char id[LOAD_ID_LEN + 1];

		if (open->loads[i].state != LOAD_OPEN)
			continue;
		load_id_new(open->loads[i].id, id);
		copy_load(p->loads, &open->loads[i], open->loads[i].id, LOAD_GIVEN_UP);
		copy_load(p->loads, &open->loads[i], id, LOAD_OPEN);
	}
	entry_free(open);
	return ok;
}

/*
 * Statements that can take long: the stop is looked at while they run.
 */
static bool
stopped(Loader *l)
{
	return atomic_load(&l->p->stop) || atomic_load(&l->p->ending) ||
		   atomic_load(&l->p->options->control->stop);
}

static void
cancel(PGconn *conn)
{
	char why[256];
	PGcancel *c = PQgetCancel(conn);

	/* The connection is closed next: nothing depends on the answer. */
	if (c && !PQcancel(c, why, sizeof(why)))
		log_debug("could not cancel", "error", why, NULL);
	PQfreeCancel(c);
}

/* Waits until the connection has something to read. */
static bool
wait_readable(Loader *l, PGconn *conn)
{
	struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

	while (poll(&fd, 1, STOP_POLL_MS) <= 0)
	{
		if (stopped(l))
		{
			cancel(conn);
			return err_set(&l->err, ERR_STOP, 0, "stopped");
		}
	}
	return true;
}

/* The last result of sql; NULL with l->err set. */
static PGresult *
query(Loader *l, PGconn *conn, PgRole role, const char *doing, const char *sql)
{
	PGresult *res = NULL;
	ExecStatusType status;
	const char *state;

	l->state[0] = '\0';
	if (!PQsendQuery(conn, sql))
	{
		pg_error(conn, NULL, role, doing, &l->err);
		return NULL;
	}
	while (PQisBusy(conn))
	{
		if (!wait_readable(l, conn))
			return NULL;
		if (!PQconsumeInput(conn))
			break;
	}
	res = PQgetResult(conn);
	status = PQresultStatus(res);
	if (status == PGRES_COPY_OUT)
		return res;
	for (PGresult *more; (more = PQgetResult(conn)) != NULL;)
	{
		if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		{
			PQclear(res);
			res = more;
			status = PQresultStatus(res);
		}
		else
			PQclear(more);
	}
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return res;
	state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	(void) snprintf(l->state, sizeof(l->state), "%s", state ? state : "");
	pg_error(conn, res, role, doing, &l->err);
	PQclear(res);
	return NULL;
}

/* The same where only success counts. */
static bool
run(Loader *l, PGconn *conn, const char *doing, const char *sql)
{
	PGresult *res = query(l, conn, PG_SOURCE, doing, sql);

	PQclear(res);
	return res != NULL;
}

/*
 * Snapshot
 */

/* A temporary slot gives the consistent point and the snapshot's name. */
static bool
take_snapshot(Loader *l, char *name, size_t size)
{
	Buf sql;
	PGresult *res;
	bool ok;

	if (!pg_connect(l->p->options->conninfo, PG_SOURCE_REPLICATION, &l->slot,
					&l->err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "CREATE_REPLICATION_SLOT \"cdc_s3_load_%s\" TEMPORARY LOGICAL "
			   "cdc_s3 (SNAPSHOT 'export')",
			   l->p->writer);
	res = query(l, l->slot, PG_SOURCE_REPLICATION,
				"create a temporary slot for the load", buf_cstr(&sql));
	buf_done(&sql);
	if (!res)
		return false;
	ok = PQntuples(res) == 1 && lsn_parse(PQgetvalue(res, 0, 1), &l->lsn);
	(void) snprintf(name, size, "%s", ok ? PQgetvalue(res, 0, 2) : "");
	PQclear(res);
	if (!ok)
		return err_set(&l->err, ERR_SOURCE, 0,
					   "the server gave no consistent point for the load");
	return true;
}

static void
close_connection(PGconn **conn)
{
	PQfinish(*conn);
	*conn = NULL;
}

/* The anchor takes the slot's snapshot over, and gives it to others. */
static bool
open_snapshot(Loader *l)
{
	char name[SNAPSHOT_MAX];
	Buf sql;
	PGresult *res;

	if (!take_snapshot(l, name, sizeof(name)) ||
		!pg_connect(l->p->options->conninfo, PG_SOURCE, &l->anchor, &l->err) ||
		!run(l, l->anchor, "set up the load", pg_pin_source))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
				  "SET TRANSACTION SNAPSHOT ");
	pg_add_literal(&sql, name);
	buf_str(&sql, "; SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)"
				  "::pg_catalog.int8, pg_catalog.pg_export_snapshot()");
	res = query(l, l->anchor, PG_SOURCE, "open the load's snapshot",
				buf_cstr(&sql));
	buf_done(&sql);
	/* The snapshot is ours now; the temporary slot goes with its connection. */
	close_connection(&l->slot);
	if (!res)
		return false;
	l->time = strtoll(PQgetvalue(res, 0, 0), NULL, 10) - PG_EPOCH_UNIX_US;
	(void) snprintf(l->snapshot, sizeof(l->snapshot), "%s",
					PQgetvalue(res, 0, 1));
	PQclear(res);
	return true;
}

/* The connections that read: one under the snapshot, one without. */
static bool
open_readers(Loader *l)
{
	PGconn **conns[] = { &l->data, &l->now };

	for (int i = 0; i < 2; i++)
	{
		if (*conns[i])
			continue;
		if (!pg_connect(l->p->options->conninfo, PG_SOURCE, conns[i],
						&l->err) ||
			!run(l, *conns[i], "set up the load", pg_pin_source))
			return false;
	}
	return true;
}

/* The next table's transaction. */
static bool
begin_table(Loader *l)
{
	Buf sql;
	bool ok;

	if (!open_readers(l))
		return false;
	if (!PQconsumeInput(l->anchor))
		return pg_error(l->anchor, NULL, PG_SOURCE, "hold the load's snapshot",
						&l->err);
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
				  "SET TRANSACTION SNAPSHOT ");
	pg_add_literal(&sql, l->snapshot);
	ok = run(l, l->data, "take the load's snapshot over", buf_cstr(&sql));
	buf_done(&sql);
	return ok;
}

static void
close_connections(Loader *l)
{
	close_connection(&l->slot);
	close_connection(&l->anchor);
	close_connection(&l->data);
	close_connection(&l->now);
}

/*
 * One table
 */
typedef struct TableLoad
{
	LoadTable *load;
	CopyReader reader;
	JsonTxn head;
	Batch *batch;
	Object *object; /* that may get more batches */
	int64_t hour;
	int next_object;
	int64_t next_progress_ms;
} TableLoad;

static Object *
new_object(Loader *l, TableLoad *t)
{
	char name[80];
	ObjectPlace place = { t->load->list, &t->load->outstanding, name,
						  t->load->id };

	(void) snprintf(name, sizeof(name), "load-%s-%06d-%s", t->load->id,
					t->next_object++, l->p->writer);
	return object_new(l->p, &place, t->load->table, t->hour);
}

/* Hands the batch at hand on; with "end" no other will come. */
static void
ship_batch(Loader *l, TableLoad *t, bool end)
{
	Batch *b = t->batch;
	bool last;

	t->batch = NULL;
	if (b)
	{
		if (!t->object)
			t->object = new_object(l, t);
		last = !b->more && (end || object_is_full(t->object, b));
		object_add(l->p, t->object, b, last);
		if (last)
			t->object = NULL;
	}
	if (t->object && !t->object->in_line && (end || object_too_many(l->p)))
	{
		object_close(l->p, t->object);
		t->object = NULL;
	}
}

static bool
make_room(Loader *l)
{
	/*
	 * While a load runs the encoder's open batches take a quarter of the
	 * budget, and the events another: there is always some left for it.
	 */
	while (!budget_wait_below(&l->p->budget, l->p->budget.limit / 8 * 5,
							  STOP_POLL_MS))
	{
		if (stopped(l))
			return err_set(&l->err, ERR_STOP, 0, "stopped");
	}
	return true;
}

static bool
add_row(Loader *l, TableLoad *t, const RowView *row)
{
	JsonChange change = { .op = 'r',
						  .seq = LOAD_FIRST_SEQ + l->rows++,
						  .row = row };

	if (!t->batch)
	{
		if (!make_room(l))
			return false;
		t->batch = batch_new(t->load->table, t->hour);
	}
	batch_add(l->p, t->batch, 1, &t->head, &change, l->lsn);
	t->load->rows++;
	if (batch_is_full(t->batch))
		ship_batch(l, t, false);
	return true;
}

static void
progress(Loader *l, TableLoad *t)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms < t->next_progress_ms)
		return;
	t->next_progress_ms = now_ms + PROGRESS_MS;
	log_info("loading", "schema", t->load->schema, "table", t->load->name,
			 "rows", log_int(t->load->rows), "tables_done", log_int(l->done),
			 "tables", log_int(l->total), NULL);
}

/* Reads the COPY to its end. */
static bool
copy_rows(Loader *l, TableLoad *t)
{
	for (;;)
	{
		char *data = NULL;
		int n = PQgetCopyData(l->data, &data, 1);
		RowView row;
		bool has_row = false;
		bool ok;

		if (n == -1)
			return true;
		if (n < -1)
			return pg_error(l->data, NULL, PG_SOURCE, "copy a table", &l->err);
		if (n == 0)
		{
			if (!wait_readable(l, l->data))
				return false;
			if (!PQconsumeInput(l->data))
				return pg_error(l->data, NULL, PG_SOURCE, "copy a table",
								&l->err);
			continue;
		}
		ok = copy_reader_row(&t->reader,
							 (Slice){ (const uint8_t *) data, (size_t) n },
							 &row, &has_row, &l->err);
		ok = ok && (!has_row || add_row(l, t, &row));
		PQfreemem(data);
		if (!ok)
			return false;
		progress(l, t);
		if (stopped(l))
		{
			cancel(l->data);
			return err_set(&l->err, ERR_STOP, 0, "stopped");
		}
	}
}

static bool
end_copy(Loader *l)
{
	PGresult *res;
	bool ok = true;

	while ((res = PQgetResult(l->data)) != NULL)
	{
		if (ok && PQresultStatus(res) != PGRES_COMMAND_OK)
			ok = pg_error(l->data, res, PG_SOURCE, "copy a table", &l->err);
		PQclear(res);
	}
	return ok;
}

/* What a connection sees of a table. */
typedef struct Seen
{
	WantedList wanted; /* it, or nothing */
	Schema *schema;    /* NULL: it is not there, or not wanted */
} Seen;

static bool
look(Loader *l, PGconn *conn, const LoadTable *load, Seen *out)
{
	*out = (Seen){ 0 };
	return wanted_read(conn, l->p->options, load->schema, load->name,
					   &out->wanted, &l->err) &&
		   (out->wanted.n == 0 || describe_table(conn, &out->wanted.tables[0],
												 &out->schema, &l->err));
}

static void
seen_done(Seen *s)
{
	wanted_done(&s->wanted);
	schema_free(s->schema);
}

/* *same: the table is there as the snapshot has it. */
static bool
compare_with_now(Loader *l, const LoadTable *load, const Seen *then, bool *same)
{
	Seen now;
	bool ok = look(l, l->now, load, &now);

	*same = ok && now.schema &&
			wanted_equal(&then->wanted.tables[0], &now.wanted.tables[0]) &&
			strcmp(then->schema->hash, now.schema->hash) == 0;
	seen_done(&now);
	return ok;
}

/*
 * Begins the COPY: from then on its locks keep the table as it is.  *same
 * false: it has changed since S, and the connection is given up.
 */
static bool
begin_copy(Loader *l, const LoadTable *load, const Seen *seen, bool *same)
{
	Buf sql;
	PGresult *res;
	Err why;
	bool ok;

	buf_init(&sql, SQL_MAX);
	describe_copy(seen->schema, &seen->wanted.tables[0], &sql);
	res = query(l, l->data, PG_SOURCE, "copy a table", buf_cstr(&sql));
	buf_done(&sql);
	PQclear(res);
	why = l->err;
	if (!res && (l->state[0] == '\0' || why.kind == ERR_STOP))
		return false;
	ok = compare_with_now(l, load, seen, same);
	if (ok && !*same)
	{
		cancel(l->data);
		close_connection(&l->data);
		return true;
	}
	if (!ok || res)
		return ok;
	l->err = why;
	return strcmp(l->state, "42501") != 0
			   ? false
			   : err_hint(&l->err,
						  "grant SELECT on it to the role; where row security "
						  "hides rows from the role, ALTER ROLE ... "
						  "BYPASSRLS; or leave the table out with "
						  "source.exclude");
}

/* The COPY that has begun, to its end. */
static bool
copy_table(Loader *l, TableLoad *t, const Schema *schema)
{
	uint8_t *kinds = xmalloc((size_t) schema->ncols);
	bool ok;

	for (int i = 0; i < schema->ncols; i++)
		kinds[i] = schema->cols[i].kind;
	copy_reader_init(&t->reader, kinds, schema->ncols);
	ok = copy_rows(l, t) && end_copy(l) &&
		 run(l, l->data, "end a table's load", "COMMIT");
	if (ok)
		ship_batch(l, t, true);
	batch_free(l->p, t->batch);
	copy_reader_done(&t->reader);
	free(kinds);
	return ok;
}

static void
tell_encoder(Loader *l, LoadTable *load)
{
	Event *ev = event_new(EVENT_LOAD_DONE);

	ev->load = load;
	event_push(l->p, ev);
	pipe_wake(l->p);
	log_info("table loaded", "schema", load->schema, "table", load->name,
			 "rows", log_int(load->rows), "lsn", log_lsn(l->lsn), "tables_done",
			 log_int(l->done), "tables", log_int(l->total), NULL);
}

/* Takes those out that are durable; under Pipe.lock. */
static int
take_durable(Loader *l, LoadTable **out)
{
	int kept = 0;
	int n = 0;

	for (int i = 0; i < l->nwaiting; i++)
	{
		if (l->waiting[i]->outstanding > 0)
			l->waiting[kept++] = l->waiting[i];
		else
			out[n++] = l->waiting[i];
	}
	l->nwaiting = kept;
	return n;
}

/*
 * Tells the encoder of loads whose objects are all durable, and waits until
 * no more than max are not; false when stopped before.
 */
static bool
wait_durable(Loader *l, int max)
{
	LoadTable *durable[ON_THEIR_WAY + 1];
	int n;

	do
	{
		pthread_mutex_lock(&l->p->lock);
		while ((n = take_durable(l, durable)) == 0 && l->nwaiting > max &&
			   !stopped(l))
			(void) cond_wait_ms(&l->p->changed, &l->p->lock, STOP_POLL_MS);
		pthread_mutex_unlock(&l->p->lock);
		for (int i = 0; i < n; i++)
		{
			l->done++;
			tell_encoder(l, durable[i]);
		}
		if (stopped(l))
			return err_set(&l->err, ERR_STOP, 0, "stopped");
	} while (l->nwaiting > max);
	return true;
}

static bool
load_rows(Loader *l, LoadTable *load, Schema *schema)
{
	TableLoad t = { .load = load };
	int64_t us = l->time + PG_EPOCH_UNIX_US;

	load->table = table_new(l->p, schema);
	t.hour = us / US_PER_HOUR;
	if (t.hour < atomic_load(&l->p->closed_until) / US_PER_HOUR)
		t.hour = atomic_load(&l->p->closed_until) / US_PER_HOUR;
	json_txn_set(&t.head, l->lsn, 0, l->time);
	t.next_progress_ms = clock_mono_ms() + PROGRESS_MS;
	return copy_table(l, &t, schema);
}

/* *left: it has to be loaded under another snapshot. */
static bool
load_table(Loader *l, LoadTable *load, bool *left)
{
	Seen seen = { 0 };
	bool same = true;
	bool ok;

	if (stopped(l))
		return err_set(&l->err, ERR_STOP, 0, "stopped");
	load->lsn = l->lsn;
	ok = begin_table(l) && look(l, l->data, load, &seen);
	load->gone = ok && !seen.schema; /* dropped since it was announced */
	if (load->gone)
		ok = run(l, l->data, "end a table's load", "COMMIT");
	else if (ok)
		ok = begin_copy(l, load, &seen, &same) &&
			 (!same || load_rows(l, load, seen.schema));
	seen_done(&seen);
	if (!ok)
		return err_prefix(&l->err, "load of \"%s\".\"%s\"", load->schema,
						  load->name);
	*left = !same;
	if (same)
	{
		load->over = true;
		l->waiting[l->nwaiting++] = load;
		return wait_durable(l, ON_THEIR_WAY);
	}
	log_warn("a table was changed before its load came to it; it is loaded "
			 "under a new snapshot",
			 "schema", load->schema, "table", load->name, "lsn",
			 log_lsn(l->lsn), NULL);
	return true;
}

/* All that are not loaded, under one snapshot; *left: some were not. */
static bool
load_pass(Loader *l, bool *left)
{
	bool ok = open_snapshot(l);

	*left = false;
	for (int i = 0; ok && i < l->total; i++)
	{
		bool again = false;

		if (l->p->load_tables[i].over)
			continue;
		ok = load_table(l, &l->p->load_tables[i], &again);
		*left |= again;
	}
	close_connections(l);
	return ok && wait_durable(l, 0);
}

static bool
pause_before(Loader *l, int pass)
{
	int64_t ms = pass > 6 ? AGAIN_MAX_MS : AGAIN_MS << (pass - 1);
	int64_t until = clock_mono_ms() + (ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS);

	while (clock_mono_ms() < until)
	{
		if (stopped(l))
			return err_set(&l->err, ERR_STOP, 0, "stopped");
		clock_sleep_ms(STOP_POLL_MS);
	}
	return true;
}

void *
load_main(void *arg)
{
	Pipe *p = arg;
	Loader l = { .p = p, .total = p->nload_tables };
	bool left = true;
	bool ok = true;

	for (int pass = 0; ok && left; pass++)
		ok = (pass == 0 || pause_before(&l, pass)) && load_pass(&l, &left);
	if (!ok && l.err.kind != ERR_STOP)
		pipe_fail(p, &l.err);
	return NULL;
}
