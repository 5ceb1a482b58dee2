/*-------------------------------------------------------------------------
 * load_job.c
 *	  A worker of the loader: reads one table, or chunk of a table, after the
 *	  other.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/copyrow.h"
#include "pipe/describe.h"
#include "pipe/load_conn.h"
#include "pipe/object.h"

#define SQL_MAX ((size_t) 16 << 20)
#define STOP_POLL_MS 200
#define RATE_BYTES ((int64_t) 64 << 10) /* that are taken at once */
#define SEQ_BLOCK INT64_C(65536)        /* numbers that are taken at once */

/* What a connection sees of a table. */
typedef struct Seen
{
	WantedList wanted; /* it, or nothing */
	Schema *schema;    /* NULL: it is not there, or not wanted */
} Seen;

typedef struct Worker
{
	const LoadShared *shared;
	Pipe *p;
	LoadJob *job;
	LoadConn data; /* reads under the snapshot */
	LoadConn now;  /* sees what is there */
	int64_t seq;   /* the next number, and where its block ends */
	int64_t seq_end;

	/* of the job */
	bool begun; /* the COPY's header was seen */
	BatchTxn head;
	Batch *batch;
	Object *objects[OUTPUTS_MAX]; /* by output, that may get more batches */
	Folders folders;
	int64_t rate_bytes; /* not yet taken */
	Err err;
} Worker;

/* ---- rows to objects ---- */

static Object *
new_object(Worker *w, int output)
{
	LoadTable *load = w->job->table->load;
	LoadPart *part = w->job->part;
	ObjectPlace place = { .list = part->list,
						  .outstanding = &part->outstanding,
						  .next_number = &load->next_object,
						  .digits = 6,
						  .load = load->id,
						  .output = output };

	(void) snprintf(place.stem, sizeof(place.stem), "load-%s", load->id);
	return object_new(w->p, &place, part->table, w->folders.at[output]);
}

/* b, where there is one, to the object of that output. */
static void
ship_to(Worker *w, int output, Batch *b, bool end)
{
	Object **o = &w->objects[output];

	if (b)
	{
		if (!*o)
			*o = new_object(w, output);
		object_add(w->p, *o, b, end);
		if (end)
			*o = NULL;
	}
	if (*o && (end || object_to_close(w->p, *o)))
	{
		object_close(w->p, *o);
		*o = NULL;
	}
}

/*
 * Hands the batch at hand on; with "end" no other will come.  The main output
 * comes last: it has the batch itself.
 */
static void
ship_batch(Worker *w, bool end)
{
	Batch *b = w->batch;

	w->batch = NULL;
	for (int n = outputs_n(w->p) - 1; n >= 0; n--)
	{
		Batch *its = NULL;

		if (b && output_wants(w->p, n, b->table))
			its = n > 0 ? batch_share(w->p, b) : b;
		ship_to(w, n, its, end);
	}
}

/*
 * What does not count: an object is ended well, to hold no memory, but where
 * the session ends and abandons its upload.
 */
static void
drop_rows(Worker *w)
{
	batch_free(w->p, w->batch);
	w->batch = NULL;
	if (atomic_load(&w->job->end) == LOAD_GOES_ON &&
		w->data.err.kind == ERR_STOP)
		memset(w->objects, 0, sizeof(w->objects));
}

static bool
make_room(Worker *w)
{
	/*
	 * While a load runs the encoder's open batches take a quarter of the
	 * budget, and the events another: there is always some left for it.
	 */
	while (!budget_wait_below(&w->p->budget, w->p->budget.limit / 8 * 5,
							  STOP_POLL_MS))
	{
		beat();
		if (load_conn_ended(&w->data))
			return false;
	}
	return true;
}

static bool
add_row(Worker *w, Slice tuple)
{
	if (!w->batch)
	{
		if (!make_room(w))
			return false;
		w->batch = batch_new(w->job->part->table, 0);
		batch_set_folders(w->batch, &w->folders);
		if (w->objects[0]) /* another one was full */
			(void) buf_room(&w->batch->buf, BATCH_BYTES);
	}
	if (w->seq == w->seq_end)
	{
		w->seq = atomic_fetch_add(w->shared->next_seq, SEQ_BLOCK);
		w->seq_end = w->seq + SEQ_BLOCK;
	}
	batch_add_tuple(w->p, w->batch, 1, &w->head, w->seq++, tuple);
	w->job->part->rows++;
	if (batch_is_full(w->batch))
	{
		beat();
		atomic_store(&w->job->rows, w->job->part->rows);
		ship_batch(w, false);
	}
	return true;
}

/* ---- COPY ---- */

/* The slot may hold no more WAL: loads wait for it to catch up. */
static bool
is_shed(const Worker *w)
{
	return atomic_load(&w->p->options->control->shed);
}

/* Waits as load.max_rate asks for. */
static bool
keep_rate(Worker *w, int64_t bytes)
{
	int64_t until;

	atomic_fetch_add(&w->job->bytes, bytes);
	until = clock_mono_ms() + load_rate_take(w->shared->rate, bytes);
	while (clock_mono_ms() < until || is_shed(w))
	{
		int64_t ms = until - clock_mono_ms();

		beat();
		if (load_conn_ended(&w->data))
			return false;
		clock_sleep_ms(ms > 0 && ms < STOP_POLL_MS ? ms : STOP_POLL_MS);
	}
	return true;
}

/* One message of the COPY. */
static bool
take_message(Worker *w, const char *data, int n)
{
	Slice msg = { (const uint8_t *) data, (size_t) n };
	Slice tuple;

	if (!copy_next_tuple(&w->begun, msg, &tuple, &w->data.err) ||
		(tuple.n > 0 && !add_row(w, tuple)))
		return false;
	w->rate_bytes += n;
	if (w->rate_bytes >= RATE_BYTES)
	{
		int64_t bytes = w->rate_bytes;

		w->rate_bytes = 0;
		return keep_rate(w, bytes);
	}
	return true;
}

static bool
copy_failed(Worker *w)
{
	return pg_error(w->data.pg, NULL, PG_SOURCE, "copy a table", &w->data.err);
}

/* Reads the COPY to its end. */
static bool
copy_rows(Worker *w)
{
	for (;;)
	{
		char *data = NULL;
		int n = PQgetCopyData(w->data.pg, &data, 1);
		bool ok = true;

		if (n == -1)
			return true;
		if (n < -1)
			return copy_failed(w);
		if (n == 0)
		{
			if (!load_conn_wait(&w->data))
				return false;
			if (!PQconsumeInput(w->data.pg))
				return copy_failed(w);
			continue;
		}
		ok = take_message(w, data, n);
		PQfreemem(data);
		if (!ok)
			return false;
		if (load_conn_ended(&w->data))
			return false;
	}
}

static bool
end_copy(Worker *w)
{
	PGresult *res;
	bool ok = true;

	while ((res = PQgetResult(w->data.pg)) != NULL)
	{
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (ok && PQresultStatus(res) != PGRES_COMMAND_OK)
		{
			(void) snprintf(w->data.state, sizeof(w->data.state), "%s",
							state ? state : "");
			ok = pg_error(w->data.pg, res, PG_SOURCE, "copy a table",
						  &w->data.err);
		}
		PQclear(res);
	}
	return ok;
}

/* The COPY that has begun, to its end. */
static bool
copy_all(Worker *w, Schema *schema)
{
	int64_t us = w->shared->time + PG_EPOCH_UNIX_US;
	bool ok;

	w->begun = false;
	FAULT_POINT("load_copy_begun");
	w->job->part = load_part_new(w->p, w->job->table->load, schema);
	pipe_folders(w->p, us, atomic_load(&w->p->closed_until), &w->folders);
	w->head = (BatchTxn){ w->shared->lsn, 0, w->shared->time };
	ok = copy_rows(w) && end_copy(w) &&
		 load_conn_run(&w->data, "end a table's load", "COMMIT");
	atomic_store(&w->job->rows, w->job->part->rows);
	atomic_fetch_add(&w->job->bytes, w->rate_bytes);
	w->rate_bytes = 0;
	if (!ok)
		drop_rows(w);
	FAULT_POINT("load_copied");
	ship_batch(w, true);
	return ok;
}

/* ---- the table ---- */

static bool
look(LoadConn *c, const LoadTable *load, Seen *out)
{
	*out = (Seen){ 0 };
	return wanted_read(c->pg, c->p->options, load->schema, load->name,
					   &out->wanted, &c->err) &&
		   (out->wanted.n == 0 || describe_table(c->pg, &out->wanted.tables[0],
												 &out->schema, &c->err));
}

static void
seen_done(Seen *s)
{
	wanted_done(&s->wanted);
	schema_free(s->schema);
}

/* *same: the table is there as the snapshot has it. */
static bool
compare_with_now(Worker *w, const Seen *then, bool *same)
{
	Seen now;
	bool ok = look(&w->now, w->job->table->load, &now);

	*same = ok && now.schema &&
			wanted_equal(&then->wanted.tables[0], &now.wanted.tables[0]) &&
			strcmp(then->schema->hash, now.schema->hash) == 0;
	seen_done(&now);
	if (!ok)
		w->data.err = w->now.err;
	return ok;
}

/*
 * Begins the COPY: from then on its locks keep the table as it is.  *same
 * false: it has changed since S.
 */
static bool
begin_copy(Worker *w, const Seen *seen, bool *same)
{
	PGresult *res;
	Err why;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	describe_copy(seen->schema, &seen->wanted.tables[0], w->job->chunk->range,
				  &sql);
	res = load_conn_query(&w->data, "copy a table", buf_cstr(&sql));
	buf_done(&sql);
	PQclear(res);
	why = w->data.err;
	if (!res && (w->data.state[0] == '\0' || why.kind == ERR_STOP))
		return false;
	ok = compare_with_now(w, seen, same);
	if (!ok || res || !*same)
		return ok;
	w->data.err = why;
	return strcmp(w->data.state, "42501") != 0
			   ? false
			   : err_hint(&w->data.err,
						  "grant SELECT on it to the role; where row security "
						  "hides rows from the role, ALTER ROLE ... "
						  "BYPASSRLS; or leave the table out with "
						  "source.exclude");
}

/* The transaction of this job. */
static bool
begin_job(Worker *w)
{
	Buf sql;
	bool ok;

	if (!load_conn_open(&w->now) || !load_conn_open(&w->data))
		return false;
	atomic_store(&w->job->pid, PQbackendPID(w->data.pg));
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
				  "SET TRANSACTION SNAPSHOT ");
	pg_add_literal(&sql, w->shared->snapshot);
	ok = load_conn_run(&w->data, "take the load's snapshot over",
					   buf_cstr(&sql));
	buf_done(&sql);
	load_conn_snapshot_gone(&w->data);
	return ok;
}

/* ---- chunks ---- */

/*
 * The wanted stored tables: blocks, those of values that lie elsewhere, pages
 * and rows as last analyzed, and whether all that a scan of the table meets are
 * heaps, of which ctid says the block.
 */
static void
add_sizes_sql(const WantedTable *t, Buf *sql)
{
	buf_str(sql, "WITH RECURSIVE tree AS (SELECT ");
	buf_printf(sql, "%" PRIu32, t->oid);
	buf_str(sql,
			"::pg_catalog.oid AS oid UNION ALL SELECT i.inhrelid FROM tree "
			"JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid "
			"JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
			"AND c.relispartition) "
			"SELECT coalesce(pg_catalog.pg_relation_size(c.oid), 0) / b.size, "
			"  coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) "
			"    / b.size, "
			"  c.relpages, c.reltuples, "
			"  NOT EXISTS (SELECT FROM tree JOIN pg_catalog.pg_class o "
			"    ON o.oid = tree.oid LEFT JOIN pg_catalog.pg_am m "
			"    ON m.oid = o.relam WHERE o.relkind <> 'p' "
			"    AND (o.relkind <> 'r' OR m.amname <> 'heap')), "
			"  b.size FROM (SELECT pg_catalog.current_setting('block_size')"
			"    ::pg_catalog.int8) b (size), "
			"  pg_catalog.pg_class c WHERE c.oid = ANY ('{");
	for (int i = 0; i < t->nleaves; i++)
		buf_printf(sql, "%s%" PRIu32, i ? "," : "", t->leaves[i].oid);
	buf_str(sql, "}'::pg_catalog.oid[])");
}

enum
{
	SIZE_BLOCKS,
	SIZE_ELSEWHERE,
	SIZE_PAGES,
	SIZE_ROWS,
	SIZE_HEAPS,
	SIZE_BLOCK_BYTES
};

static double
sum_of(const PGresult *res, int col)
{
	double sum = 0;

	for (int i = 0; i < PQntuples(res); i++)
		sum += strtod(PQgetvalue(res, i, col), NULL);
	return sum;
}

/* Blocks of a chunk: with what lies elsewhere it has load.chunk. */
static uint64_t
chunk_blocks(const Worker *w, const PGresult *res)
{
	double blocks = sum_of(res, SIZE_BLOCKS);
	double all = blocks + sum_of(res, SIZE_ELSEWHERE);
	double chunk;

	if (blocks == 0 || PQgetvalue(res, 0, SIZE_HEAPS)[0] != 't')
		return UINT64_MAX / 2;
	chunk = (double) w->p->options->load.chunk_bytes /
			strtod(PQgetvalue(res, 0, SIZE_BLOCK_BYTES), NULL) * blocks / all;
	return chunk < 1 ? 1 : (uint64_t) chunk;
}

/* Cuts by what the server said of the sizes. */
static void
cut(Worker *w, const PGresult *res)
{
	int n = PQntuples(res);
	uint32_t *blocks = xcalloc((size_t) n + 1, sizeof(*blocks));
	double pages = sum_of(res, SIZE_PAGES);
	double rows = sum_of(res, SIZE_ROWS);
	BlockRange *ranges;
	int64_t *sizes;
	int nranges;

	for (int i = 0; i < n; i++)
		blocks[i] =
			(uint32_t) strtoull(PQgetvalue(res, i, SIZE_BLOCKS), NULL, 10);
	nranges = load_cut(blocks, n, chunk_blocks(w, res), &ranges);
	sizes = xcalloc((size_t) nranges, sizeof(*sizes));
	for (int i = 0; i < nranges; i++)
		sizes[i] = (int64_t) load_blocks_in(blocks, n, ranges[i]);
	load_pool_cut(w->shared->pool, w->job, ranges, sizes, nranges,
				  pages > 0 && rows > 0 ? rows / pages : 0);
	free(sizes);
	free(ranges);
	free(blocks);
}

static bool
cut_table(Worker *w, const WantedTable *t)
{
	PGresult *res;
	Buf sql;

	buf_init(&sql, SQL_MAX);
	add_sizes_sql(t, &sql);
	res = load_conn_query(&w->data, "ask for the size of a table",
						  buf_cstr(&sql));
	buf_done(&sql);
	if (res)
		cut(w, res);
	PQclear(res);
	return res != NULL;
}

/* ---- a job ---- */

static bool
do_job(Worker *w, JobEnd *end)
{
	Seen seen = { 0 };
	bool same = true;
	bool ok = begin_job(w) && look(&w->data, w->job->table->load, &seen);

	*end = JOB_DONE;
	if (ok && !seen.schema)
	{
		/* dropped since it was announced; or not allowed any more */
		*end = w->job->table->cut ? JOB_CHANGED : JOB_GONE;
		ok = load_conn_run(&w->data, "end a table's load", "COMMIT");
	}
	else if (ok)
	{
		ok = (w->job->table->cut || cut_table(w, &seen.wanted.tables[0])) &&
			 begin_copy(w, &seen, &same) && (!same || copy_all(w, seen.schema));
		if (ok && !same)
			*end = JOB_CHANGED;
	}
	seen_done(&seen);
	return ok;
}

/* May the same work under the same snapshot, a little later? */
static bool
may_pass(const Worker *w)
{
	return w->data.err.code == PG_TRANSIENT || w->data.err.kind == ERR_BUSY ||
		   strcmp(w->data.state, "57014") == 0; /* somebody cancelled it */
}

static void
tell_again(const Worker *w)
{
	const LoadTable *load = w->job->table->load;
	const LoadChunk *c = w->job->chunk;

	if (atomic_load(&w->job->end) == LOAD_YIELDS)
		log_info("a load gives way to who waits for its lock", "schema",
				 load->schema, "table", load->name, "block",
				 log_int(c->range.from), "attempt", log_int(c->tries + 1),
				 NULL);
	else if (w->data.err.kind != ERR_STOP)
		log_warn("a table's load is tried again", "schema", load->schema,
				 "table", load->name, "block", log_int(c->range.from),
				 "attempt", log_int(c->tries + 1), "error", w->data.err.msg,
				 NULL);
}

/* The job failed; false where the session has to. */
static bool
job_failed(Worker *w)
{
	const LoadTable *load = w->job->table->load;

	if (w->data.err.kind == ERR_NONE)
		w->data.err = w->now.err; /* it was not opened */
	if (w->data.err.kind != ERR_STOP && !may_pass(w))
	{
		err_prefix(&w->data.err, "load of \"%s\".\"%s\"", load->schema,
				   load->name);
		pipe_fail(w->p, &w->data.err);
		return false;
	}
	tell_again(w);
	return true;
}

static void
close_all(Worker *w)
{
	atomic_store(&w->job->pid, 0);
	load_conn_close(&w->data);
	load_conn_close(&w->now);
}

static void
end_job(Worker *w, JobEnd end)
{
	const LoadTable *load = w->job->table->load;

	if (load_pool_give(w->shared->pool, w->job, end))
		log_warn("a table was changed before its load came to it; it is "
				 "loaded under a new snapshot",
				 "schema", load->schema, "table", load->name, "lsn",
				 log_lsn(w->shared->lsn), NULL);
}

/* The next one; waiting for it is no work. */
static bool
take_job(Worker *w)
{
	bool got;

	beat_waits();
	got = load_pool_take(w->shared->pool, w->job);
	beat_works();
	return got;
}

void *
load_worker_main(void *arg)
{
	const LoadWorker *lw = arg;
	Worker *w = xcalloc(1, sizeof(*w));
	LoadConn conn = { .p = lw->shared->p,
					  .end = &lw->job->end,
					  .role = PG_SOURCE };
	bool ok = true;

	w->shared = lw->shared;
	w->p = lw->shared->p;
	w->job = lw->job;
	w->data = w->now = conn;
	beat_begin("load worker");
	while (ok && take_job(w))
	{
		JobEnd end;

		w->data.err = w->now.err = (Err){ 0 };
		w->data.state[0] = '\0';
		if (!do_job(w, &end))
		{
			ok = job_failed(w);
			end = JOB_AGAIN;
		}
		if (end == JOB_CHANGED || end == JOB_AGAIN)
			close_all(w);
		end_job(w, end);
	}
	close_all(w);
	free(w);
	beat_end();
	return NULL;
}
