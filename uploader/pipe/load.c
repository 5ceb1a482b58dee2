/*-------------------------------------------------------------------------
 * load.c
 *	  First loads: the tables' rows under the snapshot of a temporary slot.
 *
 *	  plan (before the session streams): which loads are open in the log, or
 *		all tables when none was ever announced
 *	  loader thread: temporary slot -> consistent point S and snapshot ->
 *		workers, which read tables and chunks of tables under it (load_job.c)
 *		-> batches -> shippers; when a table's objects are all durable the
 *		encoder is told, and lists them in an entry that ends at S or behind it
 *
 * While the workers read, this thread looks who waits for their locks, how old
 * the snapshot is, and whether it is there: "anchor" holds it, and no locks.
 * Tables that differ from what the snapshot has, and all that are not read when
 * it ends, are loaded under a new one: rows move between chunks, so those of
 * two snapshots never make one table.
 *
 * A session that ends in between gives the loads up that are not listed: the
 * next one announces them anew.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/describe.h"
#include "pipe/event.h"
#include "pipe/load_conn.h"
#include "pipe/load_job.h"
#include "pipe/load_progress.h"
#include "store/commitlog.h"

#define SQL_MAX ((size_t) 64 << 20)
#define STOP_POLL_MS 200
#define WATCH_MS 1000
#define WATCH_MIN_MS 100
#define AGAIN_MS 1000 /* before the second S; doubled each time */
#define AGAIN_MAX_MS 60000
#define SNAPSHOT_MAX 64

typedef struct Loader
{
	Pipe *p;
	LoadConn slot;   /* holds the temporary slot until its snapshot is taken */
	LoadConn anchor; /* holds the snapshot, and no locks */
	char snapshot[SNAPSHOT_MAX];
	Lsn lsn;      /* S */
	int64_t time; /* of the snapshot, microseconds since 2000 */
	int64_t opened_ms;
	int64_t watch_ms; /* when it is looked next */
	bool lost;        /* the snapshot ended before all was read */
	bool aged;        /* by load.max_age */
	_Atomic int64_t next_seq;
	LoadRate rate;
	LoadProgress progress;
	int done; /* tables */
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
 * Snapshot
 */

/* A temporary slot gives the consistent point and the snapshot's name. */
static bool
take_snapshot(Loader *l, char *name, size_t size)
{
	Buf sql;
	PGresult *res;
	bool ok;

	if (!load_conn_open(&l->slot))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "CREATE_REPLICATION_SLOT \"cdc_s3_load_%s\" TEMPORARY LOGICAL "
			   "cdc_s3 (SNAPSHOT 'export')",
			   l->p->writer);
	res = load_conn_query(&l->slot, "create a temporary slot for the load",
						  buf_cstr(&sql));
	buf_done(&sql);
	if (!res)
		return false;
	ok = PQntuples(res) == 1 && lsn_parse(PQgetvalue(res, 0, 1), &l->lsn);
	(void) snprintf(name, size, "%s", ok ? PQgetvalue(res, 0, 2) : "");
	PQclear(res);
	if (!ok)
		return err_set(&l->slot.err, ERR_SOURCE, 0,
					   "the server gave no consistent point for the load");
	return true;
}

/* The anchor takes the slot's snapshot over, and gives it to others. */
static bool
open_snapshot(Loader *l)
{
	char name[SNAPSHOT_MAX];
	Buf sql;
	PGresult *res;

	l->slot.err = l->anchor.err = (Err){ 0 };
	if (!take_snapshot(l, name, sizeof(name)) || !load_conn_open(&l->anchor))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
				  "SET TRANSACTION SNAPSHOT ");
	pg_add_literal(&sql, name);
	buf_str(&sql, "; SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)"
				  "::pg_catalog.int8, pg_catalog.pg_export_snapshot()");
	res =
		load_conn_query(&l->anchor, "open the load's snapshot", buf_cstr(&sql));
	buf_done(&sql);
	/* The snapshot is ours now; the temporary slot goes with its connection. */
	load_conn_close(&l->slot);
	if (!res)
	{
		load_conn_snapshot_gone(&l->anchor);
		return false;
	}
	l->time = strtoll(PQgetvalue(res, 0, 0), NULL, 10) - PG_EPOCH_UNIX_US;
	(void) snprintf(l->snapshot, sizeof(l->snapshot), "%s",
					PQgetvalue(res, 0, 1));
	PQclear(res);
	l->opened_ms = clock_mono_ms();
	l->lost = l->aged = false;
	return true;
}

/* What the catalog says of each table's size, for progress alone. */
static void
add_guess_sql(const LoadPool *pool, Buf *sql)
{
	buf_str(sql, "WITH RECURSIVE w (n, s, t) AS (VALUES ");
	for (int i = 0; i < pool->ntables; i++)
	{
		buf_printf(sql, "%s(%d, ", i ? "," : "", i);
		pg_add_literal(sql, pool->tables[i].load->schema);
		buf_str(sql, "::pg_catalog.name, ");
		pg_add_literal(sql, pool->tables[i].load->name);
		buf_str(sql, "::pg_catalog.name)");
	}
	buf_str(sql, "), tree AS (SELECT w.n, c.oid, c.relpages FROM w "
				 "JOIN pg_catalog.pg_namespace ns ON ns.nspname = w.s "
				 "JOIN pg_catalog.pg_class c ON c.relnamespace = ns.oid "
				 "AND c.relname = w.t UNION ALL "
				 "SELECT tree.n, c.oid, c.relpages FROM tree "
				 "JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid "
				 "JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
				 "AND c.relispartition) "
				 "SELECT n, pg_catalog.sum(GREATEST(relpages, 0)) FROM tree "
				 "GROUP BY n");
}

static bool
guess_sizes(Loader *l, LoadPool *pool)
{
	PGresult *res;
	Buf sql;

	if (pool->ntables == 0 || l->progress.interval_ms == 0)
		return true;
	buf_init(&sql, SQL_MAX);
	add_guess_sql(pool, &sql);
	res = load_conn_query(&l->anchor, "ask for the size of the tables",
						  buf_cstr(&sql));
	buf_done(&sql);
	for (int i = 0; i < PQntuples(res); i++)
	{
		PoolTable *t = &pool->tables[strtol(PQgetvalue(res, i, 0), NULL, 10)];

		t->blocks = 1 + strtoll(PQgetvalue(res, i, 1), NULL, 10);
		t->chunks[0].blocks = t->blocks;
	}
	PQclear(res);
	return res != NULL;
}

/*
 * While the workers read
 */
static void
lose_snapshot(Loader *l, LoadPool *pool, const char *why, const char *error)
{
	log_warn(why, "lsn", log_lsn(l->lsn), "error", error, NULL);
	l->lost = true;
	load_pool_stop(pool);
}

/*
 * Workers whose locks somebody has waited for so long.  They have ACCESS SHARE
 * on tables, partitions and indexes.
 */
static void
add_watch_sql(const LoadPool *pool, int64_t yield_ms, Buf *sql)
{
	buf_str(sql, "SELECT DISTINCT h.pid FROM pg_catalog.pg_locks w "
				 "JOIN pg_catalog.pg_locks h ON h.locktype = w.locktype "
				 "AND h.database = w.database AND h.relation = w.relation "
				 "WHERE w.locktype = 'relation' AND NOT w.granted "
				 "AND w.mode = 'AccessExclusiveLock' AND h.granted "
				 "AND w.waitstart <= pg_catalog.clock_timestamp() - ");
	buf_printf(sql, "%lld * interval '1 millisecond' AND h.pid IN (0",
			   (long long) yield_ms);
	for (int i = 0; i < pool->njobs; i++)
		buf_printf(sql, ",%d", atomic_load(&pool->jobs[i].pid));
	buf_byte(sql, ')');
}

/* False where the snapshot is lost. */
static bool
watch_locks(Loader *l, LoadPool *pool)
{
	int64_t yield_ms = l->p->options->load.yield_ms;
	PGresult *res;
	Buf sql;

	if (yield_ms == 0)
		return true;
	buf_init(&sql, SQL_MAX);
	add_watch_sql(pool, yield_ms, &sql);
	res = load_conn_query(&l->anchor, "look who waits for the load",
						  buf_cstr(&sql));
	buf_done(&sql);
	for (int i = 0; i < PQntuples(res); i++)
		load_pool_yield(pool, (int) strtol(PQgetvalue(res, i, 0), NULL, 10));
	PQclear(res);
	return res != NULL;
}

static int64_t
watch_every_ms(const Loader *l)
{
	int64_t ms = l->p->options->load.yield_ms / 4;

	if (ms == 0 || ms > WATCH_MS)
		return WATCH_MS;
	return ms < WATCH_MIN_MS ? WATCH_MIN_MS : ms;
}

static void
watch(Loader *l, LoadPool *pool)
{
	int64_t now_ms = clock_mono_ms();
	int64_t max_age_ms = l->p->options->load.max_age_ms;
	LoadConn *a = &l->anchor;

	load_progress_tick(&l->progress, pool);
	if (l->lost || !a->pg || now_ms < l->watch_ms)
		return;
	l->watch_ms = now_ms + watch_every_ms(l);
	if (!PQconsumeInput(a->pg) || PQstatus(a->pg) != CONNECTION_OK)
		pg_error(a->pg, NULL, PG_SOURCE, "hold the load's snapshot", &a->err);
	else if (watch_locks(l, pool))
	{
		l->aged = max_age_ms > 0 && now_ms - l->opened_ms >= max_age_ms;
		if (l->aged)
			lose_snapshot(l, pool,
						  "the load's snapshot is as old as load.max_age lets "
						  "it be: tables that are not loaded begin anew",
						  NULL);
		return;
	}
	if (a->err.kind != ERR_STOP)
		lose_snapshot(l, pool,
					  "the load's snapshot was lost: tables that are not "
					  "loaded begin anew",
					  a->err.msg);
}

static void
tell_encoder(Loader *l, LoadTable *load)
{
	Event *ev = event_new(EVENT_LOAD_DONE);

	FAULT_POINT("load_durable");
	ev->load = load;
	event_push(l->p, ev);
	pipe_wake(l->p);
	log_info("table loaded", "schema", load->schema, "table", load->name,
			 "rows", log_int(load->rows), "lsn", log_lsn(load->lsn),
			 "tables_done", log_int(l->done), "tables", log_int(l->total),
			 NULL);
}

static bool
is_stopped(const Loader *l)
{
	return atomic_load(&l->p->stop) || atomic_load(&l->p->ending) ||
		   atomic_load(&l->p->options->control->stop);
}

/* Until all that the pool reads is durable; false when stopped before. */
static bool
see_it_through(Loader *l, LoadPool *pool)
{
	bool reads = true;
	bool waits = true;

	while (reads || waits)
	{
		LoadTable *t = load_pool_durable(pool, STOP_POLL_MS, &reads, &waits);

		beat();
		if (t)
		{
			l->progress.done = ++l->done;
			tell_encoder(l, t);
		}
		if (is_stopped(l))
			return err_set(&l->err, ERR_STOP, 0, "stopped");
		if (!reads) /* what is on its way needs no snapshot */
			load_conn_close(&l->anchor);
		watch(l, pool);
	}
	return true;
}

/*
 * Passes
 */
static int
start_workers(const LoadShared *shared, pthread_t *threads, LoadWorker *workers)
{
	int n = 0;

	for (; n < shared->pool->njobs; n++)
	{
		workers[n] = (LoadWorker){ shared, &shared->pool->jobs[n] };
		if (pthread_create(&threads[n], NULL, load_worker_main, &workers[n]) !=
			0)
			break;
	}
	return n;
}

/* All that are not loaded, under the snapshot that is open. */
static bool
run_pool(Loader *l, LoadPool *pool)
{
	LoadShared shared = { .p = l->p,
						  .pool = pool,
						  .rate = &l->rate,
						  .snapshot = l->snapshot,
						  .lsn = l->lsn,
						  .time = l->time,
						  .next_seq = &l->next_seq };
	pthread_t *threads = xcalloc((size_t) pool->njobs, sizeof(*threads));
	LoadWorker *workers = xcalloc((size_t) pool->njobs, sizeof(*workers));
	int n = start_workers(&shared, threads, workers);
	bool ok =
		n > 0 || err_set(&l->err, ERR_INTERNAL, 0, "could not start a thread");

	ok = ok && see_it_through(l, pool);
	load_pool_stop(pool);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	free(workers);
	return ok;
}

static bool
any_left(const Pipe *p)
{
	for (int i = 0; i < p->nload_tables; i++)
	{
		if (!p->load_tables[i].over)
			return true;
	}
	return false;
}

static bool
load_pass(Loader *l)
{
	LoadPool pool;
	bool ok = open_snapshot(l);

	load_pool_init(&pool, l->p, l->lsn, l->p->options->load.jobs);
	FAULT_POINT("load_snapshot");
	ok = ok && guess_sizes(l, &pool);
	if (!ok)
		l->err = l->slot.err.kind ? l->slot.err : l->anchor.err;
	ok = ok && run_pool(l, &pool);
	load_progress_keep(&l->progress, &pool);
	load_progress_end(&l->progress);
	load_conn_close(&l->slot);
	load_conn_close(&l->anchor);
	load_pool_done(&pool);
	return ok;
}

static bool
pause_before(Loader *l, int pass)
{
	int64_t ms = pass > 6 ? AGAIN_MAX_MS : AGAIN_MS << (pass - 1);
	int64_t until = clock_mono_ms() + (ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS);

	while (clock_mono_ms() < until)
	{
		if (is_stopped(l))
			return err_set(&l->err, ERR_STOP, 0, "stopped");
		clock_sleep_ms(STOP_POLL_MS);
		beat();
	}
	return true;
}

/*
 * No object is written before the log says that there is such a load: where
 * the session dies before that, nobody would know it, and what it left would
 * never be swept.
 */
static bool
wait_announced(Loader *l)
{
	Pipe *p = l->p;

	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->log_seq) <= p->start->seq && !is_stopped(l))
	{
		(void) cond_wait_ms(&p->changed, &p->lock, STOP_POLL_MS);
		beat();
	}
	pthread_mutex_unlock(&p->lock);
	return !is_stopped(l) || err_set(&l->err, ERR_STOP, 0, "stopped");
}

void *
load_main(void *arg)
{
	Pipe *p = arg;
	Loader l = { .p = p,
				 .slot = { .p = p, .role = PG_SOURCE_REPLICATION },
				 .anchor = { .p = p, .role = PG_SOURCE },
				 .total = p->nload_tables };
	bool ok;

	beat_begin("loader");
	ok = wait_announced(&l);
	FAULT_POINT("load_announced");
	atomic_store(&l.next_seq, LOAD_FIRST_SEQ);
	load_rate_init(&l.rate, p->options->load.max_rate);
	load_progress_init(&l.progress, &p->options->load, l.total);
	for (int pass = 0; ok && any_left(p); pass = l.aged ? 0 : pass + 1)
		ok = (pass == 0 || pause_before(&l, pass)) && load_pass(&l);
	if (!ok && l.err.kind != ERR_STOP)
		pipe_fail(p, &l.err);
	load_rate_done(&l.rate);
	beat_end();
	return NULL;
}
