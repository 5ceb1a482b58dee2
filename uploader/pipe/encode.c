/*-------------------------------------------------------------------------
 * encode.c
 *	  The encoder: routes changes to batches by table, partition and position,
 *	  and decides when a checkpoint is made.  It looks at no value.
 *
 * One checkpoint is open at any time and gathers objects.  It is closed
 *	- when rows have waited for flush.interval or passed flush.bytes,
 *	- when an hour can be closed, a load ends, a person or the server's
 *	  shutdown asks, and at the end,
 * and always ends at a commit: rows of a transaction that is still open are
 * split off into the next one.
 *
 * Invariants:
 *	(1) "position" covers only what has been put into batches: the last
 *		commit, or a keepalive that arrived while no transaction was open.
 *	(2) When rows of the open transaction have been shipped ("early"), the
 *		open checkpoint holds rows of that transaction only, and is closed
 *		after its commit.
 *	(3) A row never goes to a folder that is complete.
 *
 * Memory: open batches may take half of the budget, a quarter while tables
 * are loaded.  Then the largest are sealed; while all of the budget is on its
 * way to the store, this thread waits, the event queue fills, and the
 * receiver stops reading.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/encode.h"

#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scale.h"
#include "base/stats.h"
#include "codec/frame.h"
#include "codec/notice.h"
#include "pipe/event.h"
#include "pipe/expire.h"
#include "pipe/fields.h"
#include "pipe/nokey.h"
#include "pipe/open.h"
#include "pipe/told.h"

#define MAX_FRAME_BYTES ((size_t) 64 << 20) /* of what is no row */
#define EMPTY_ENTRY_BYTES                                                      \
	((16 << 20) / SCALE) /* so far a position may run ahead */
#define TICK_MS 20
#define IDLE_TICK_MS 1000
#define REPLY_EVERY_MS 1000

typedef struct Encoder
{
	Pipe *p;
	FrameReader *reader;
	BatchTxn head; /* of the open transaction */

	Checkpoint *cp;      /* the one that gathers */
	int64_t cp_rows;     /* in it, of transactions that are committed */
	int64_t cp_no_key;   /* of these, updates and deletes that name no row */
	int64_t cp_bytes;    /* of changes, since the last checkpoint */
	int64_t cp_since_ms; /* when its first row arrived */
	FlushSeen flush[FLUSH_RULES_MAX]; /* by rule */
	Lsn closed_end;                   /* end of the last checkpoint closed */
	int64_t closed_until; /* unix us: of the last checkpoint closed */

	OpenBatches open;
	Told *told;

	bool in_txn;
	bool skip;    /* the log covers this transaction */
	bool early;   /* its rows were shipped already */
	uint64_t txn; /* counts transactions of this session */
	Lsn txn_lsn;  /* its commit LSN */
	int64_t txn_rows;
	int64_t txn_no_key; /* of these, rows that name no row */
	Folders txn_folders;

	Lsn position;
	bool asked; /* by a person */
	bool reply; /* the server wants an answer */
	int64_t reply_ms;
	int64_t close_hour; /* unix us, 0: none is waiting */
	Lsn close_lsn;
	LoadTable **loads; /* done, not yet in an entry */
	int nloads;
	int64_t loads_since_ms; /* the first of them was done */
	bool stopping;
	bool abandoned;
	int64_t stop_ms;
	Err err;
} Encoder;

/*
 * Checkpoints
 */
static void
open_checkpoint(Encoder *e, int64_t seq)
{
	e->cp = checkpoint_new(seq);
	e->cp_rows = 0;
	e->cp_no_key = 0;
	e->cp_bytes = 0;
	e->cp_since_ms = 0;
	flush_reset(e->flush, FLUSH_RULES_MAX);
}

static void
add_done_loads(Encoder *e)
{
	int kept = 0;

	for (int i = 0; i < e->nloads; i++)
	{
		LoadTable *load = e->loads[i];

		if (load->lsn > e->position)
		{
			e->loads[kept++] = load;
			continue;
		}
		checkpoint_add_load(e->p, e->cp, load);
		atomic_store(&e->p->loads_seq, e->cp->entry->seq);
		atomic_fetch_sub(&e->p->loads_active, 1);
		count_own(&stats.loads_done, 1);
	}
	e->nloads = kept;
}

/* The open transaction's commit, unix us. */
static int64_t
commit_us(const Encoder *e)
{
	return e->head.time + PG_EPOCH_UNIX_US;
}

/* Something of the open transaction waits for an entry. */
static void
start_waiting(Encoder *e)
{
	if (e->cp_since_ms != 0)
		return;
	e->cp_since_ms = clock_mono_ms();
	waiting_begin(&e->p->waiting, e->cp->entry->seq, commit_us(e));
}

/* The open transaction goes out before its commit. */
static void
go_early(Encoder *e)
{
	e->early = true;
	waiting_begin(&e->p->waiting, e->cp->entry->seq, commit_us(e));
	waiting_large(&e->p->waiting, e->cp->entry->seq);
}

/* Ends the open checkpoint at the last commit and opens the next. */
static void
checkpoint(Encoder *e)
{
	int64_t seq = e->cp->entry->seq;

	e->cp->closing = true;
	open_seal_all_committed(&e->open, e->cp);
	add_done_loads(e);
	told_take(e->told, e->position, e->cp);
	entry_sort_schemas(e->cp->entry);
	if (e->close_hour && !e->in_txn && e->position >= e->close_lsn)
	{
		e->closed_until = e->close_hour;
		e->close_hour = 0;
	}
	e->closed_end = e->position;
	e->cp->no_key = e->cp_no_key;
	e->cp->rows = e->cp_rows;
	e->cp->since_ms = e->cp_rows > 0 ? e->cp_since_ms : 0;
	checkpoint_close(e->p, e->cp, e->position, e->closed_until);
	open_checkpoint(e, seq + 1);
	e->asked = false;
	if (e->in_txn && (e->txn_rows > 0 || told_waits(e->told, UINT64_MAX)))
		start_waiting(e);
}

/*
 * Loads that are done wait for others, so that very many tables do not make as
 * many entries; the last ones do not.
 */
static bool
wants_loads_entry(const Encoder *e, int64_t now_ms)
{
	bool any = false;

	for (int i = 0; i < e->nloads; i++)
		any |= e->loads[i]->lsn <= e->position;
	return any && (e->nloads == atomic_load(&e->p->loads_active) ||
				   now_ms - e->loads_since_ms >=
					   atomic_load(&e->p->options->control->flush_interval_ms));
}

/* Is there something that wants an entry without having rows? */
static bool
wants_empty_entry(Encoder *e, int64_t now_ms)
{
	if (e->close_hour && !e->in_txn && e->position >= e->close_lsn)
		return true;
	if (wants_loads_entry(e, now_ms) || expire_waits(e->p))
		return true;
	if (e->position <= e->closed_end)
		return false;
	if (e->reply && now_ms - e->reply_ms >= REPLY_EVERY_MS)
		return true;
	return e->asked || e->position - e->closed_end >= EMPTY_ENTRY_BYTES;
}

static bool
is_due(Encoder *e, int64_t now_ms)
{
	const RunControl *c = e->p->options->control;

	if (e->early)
		return false; /* it waits for its commit */
	if (wants_empty_entry(e, now_ms))
		return true;
	if (e->cp_rows == 0 && !told_waits(e->told, e->position))
		return false;
	return e->asked || atomic_load(&c->shed) ||
		   (e->p->options->flush &&
			flush_is_due(e->p->options->flush, e->flush, now_ms)) ||
		   e->cp_bytes >= atomic_load(&c->flush_bytes) ||
		   now_ms - e->cp_since_ms >= atomic_load(&c->flush_interval_ms);
}

/* Called between events: makes the checkpoint that is due. */
static void
tick(Encoder *e)
{
	int64_t now_ms;

	/* One at a time: while the store is slow, more rows go into the next. */
	if (atomic_load(&e->p->pending_checkpoints) > 0)
		return;
	now_ms = clock_mono_ms();
	if (!is_due(e, now_ms))
		return;
	if (e->reply)
	{
		e->reply = false;
		e->reply_ms = now_ms;
	}
	checkpoint(e);
}

/*
 * Memory
 */
/* Ships b now, in mid-transaction too. */
static void
ship_early(Encoder *e, Batch *b)
{
	if (open_has_committed(&e->open, b))
	{
		open_seal_committed(&e->open, e->cp, b); /* that is enough */
		return;
	}
	if (!e->early && e->cp_rows > 0)
	{
		checkpoint(e); /* the entry for all before this transaction */
		return;
	}
	go_early(e);
	open_seal(&e->open, e->cp, b);
}

/*
 * So much may be in use when another row is added: a quarter of the limit is
 * for events, as far as they are not there yet, and a bit for what comes in
 * one piece: a batch that grows, and one that each of two shippers takes on,
 * with its lines and the copy that goes to a putter.  It is more than a quarter
 * of the limit, of which make_room() hands on no more batches: or what is open
 * would wait for itself.
 */
static int64_t
room_for_row(Pipe *p)
{
	int64_t limit = p->budget.limit;
	int64_t pieces = 6 * (int64_t) BATCH_BYTES;

	if (pieces > limit / 4)
		pieces = limit / 4;
	return limit / 16 * 11 - pieces + atomic_load(&p->queued_bytes);
}

static bool
make_room(Encoder *e)
{
	int64_t limit = e->p->budget.limit;
	bool loading = atomic_load(&e->p->loads_active) > 0;

	while (e->open.n > 0 && e->open.bytes > limit / (loading ? 4 : 2))
		ship_early(e, open_largest(&e->open));
	while (!budget_wait_below(&e->p->budget, room_for_row(e->p), 100))
	{
		beat();
		if (atomic_load(&e->p->stop))
			return err_set(&e->err, ERR_STOP, 0, "stopped");
		if (e->open.n > 0 && e->open.bytes > limit / 4)
			ship_early(e, open_largest(&e->open));
	}
	return true;
}

/*
 * Frames
 */
static Table *
table_of(Encoder *e, FrameRelation *rel)
{
	Schema *s = rel->schema;
	Table **bucket;
	Table *t;

	if (rel->user)
		return rel->user;
	fields_resolve(e->p, s);
	bucket = &e->p->tables[fnv1a(FNV1A_EMPTY, s->hash) % PIPE_BUCKETS];
	for (t = *bucket; t; t = t->next)
	{
		if (strcmp(t->hash, s->hash) == 0 && strcmp(t->name, s->table) == 0 &&
			strcmp(t->schema, s->schema) == 0)
			break;
	}
	if (!t)
	{
		t = table_new(e->p, s);
		t->next = *bucket;
		*bucket = t;
	}
	rel->user = t;
	if (rel->id != s->relation_id)
		told_leaf(e->told, rel->id, t);
	return t;
}

static void
on_begin(Encoder *e, const FrameEvent *ev)
{
	e->in_txn = true;
	e->open.txn = ++e->txn;
	e->txn_rows = 0;
	e->txn_no_key = 0;
	e->txn_lsn = ev->lsn;
	e->skip = ev->lsn <= e->p->start->end;
	pipe_folders(e->p, ev->time + PG_EPOCH_UNIX_US, e->closed_until,
				 &e->txn_folders);
	e->head = (BatchTxn){ ev->lsn, ev->xid, ev->time };
}

/* A batch for a change of t, which the log does not cover. */
static Batch *
batch_for(Encoder *e, Table *t, int64_t seq)
{
	if (!told_last(t))
		told_table(e->told, t, (Position){ e->txn_lsn, seq }, false);
	return open_batch(&e->open, t, &e->txn_folders);
}

static void
note_flush(Encoder *e, const Table *t, int64_t rows, size_t bytes)
{
	FlushSeen *seen = t->flush_rule < 0 ? NULL : &e->flush[t->flush_rule];

	if (seen)
		flush_note(seen, rows, (int64_t) bytes,
				   seen->open.since_ms ? 0 : clock_mono_ms());
}

/* b got one row more, and is known to have had so much before. */
static bool
row_added(Encoder *e, Batch *b, int64_t charged, size_t n)
{
	e->cp_bytes += (int64_t) (b->buf.n - n);
	e->txn_rows++;
	note_flush(e, b->table, 1, b->buf.n - n);
	start_waiting(e);
	return !open_grown(&e->open, b, charged) || make_room(e);
}

/* A change without rows: a truncate, a resync. */
static bool
add_plain(Encoder *e, Table *t, const Change *change)
{
	Batch *b;
	int64_t charged;
	size_t n;

	if (e->skip)
		return true;
	b = batch_for(e, t, change->seq);
	charged = b->charged;
	n = b->buf.n;
	batch_add_plain(e->p, b, e->txn, &e->head, change);
	return row_added(e, b, charged, n);
}

/* A change that nobody can apply. */
static void
count_no_key(Encoder *e, Table *t)
{
	if (e->skip)
		return;
	e->txn_no_key++;
	nokey_count(e->p, t);
}

static bool
on_change(Encoder *e, const FrameEvent *ev)
{
	BatchRows rows = { .seq = (int64_t) ev->ordinal,
					   .n = (uint32_t) ev->rows.n,
					   .type = ev->type,
					   .flags = ev->flags };
	Table *t = table_of(e, ev->rel);
	Batch *b;
	int64_t charged;
	size_t n;

	if (!e->in_txn)
		return err_set(&e->err, ERR_DATA, 0,
					   "a change came outside of a transaction");
	if (e->skip)
		return true;
	if (ev->flags & CDC_S3_NO_IDENTITY)
		count_no_key(e, t);
	b = batch_for(e, t, rows.seq);
	charged = b->charged;
	n = b->buf.n;
	batch_add_rows(e->p, b, e->txn, &e->head, &rows, ev->rows.p);
	return row_added(e, b, charged, n);
}

/*
 * A row that arrives in parts begins.  From here on it may be shipped at any
 * time, so what is committed gets its entry first.
 */
static void
begin_row(Encoder *e, const FrameEvent *ev)
{
	Table *t = table_of(e, ev->rel);
	BatchRows rows = { .seq = (int64_t) ev->ordinal,
					   .type = ev->part_type,
					   .flags = ev->flags };

	if (!e->early && e->cp_rows > 0)
		checkpoint(e);
	go_early(e);
	if (ev->flags & CDC_S3_NO_IDENTITY)
		count_no_key(e, t);
	e->open.in_row = batch_for(e, t, rows.seq);
	batch_begin_row(e->p, e->open.in_row, e->txn, &e->head, &rows);
}

static bool
add_part(Encoder *e, const FrameEvent *ev)
{
	Batch *b;
	int64_t charged;
	size_t n;
	bool taken;

	if (ev->part_first)
		begin_row(e, ev);
	b = e->open.in_row;
	charged = b->charged;
	n = b->buf.n;
	batch_add_part(e->p, b, ev->part, ev->part_last);
	taken = open_grown(&e->open, b, charged);
	e->cp_bytes += (int64_t) (b->buf.n - n);
	note_flush(e, b->table, ev->part_last, b->buf.n - n);
	if (ev->part_last)
	{
		e->open.in_row = NULL;
		e->txn_rows++;
	}
	if (b->buf.n >= BATCH_BYTES)
		open_seal(&e->open, e->cp, b);
	else if (!taken)
		return true;
	return make_room(e);
}

static bool
on_part(Encoder *e, const FrameEvent *ev)
{
	if (!e->in_txn)
		return err_set(&e->err, ERR_DATA, 0,
					   "a change came outside of a transaction");
	return e->skip || add_part(e, ev);
}

/* The partitions of t that a truncate names; 0: it is of the whole table. */
static int
truncated_parts(Encoder *e, const FrameEvent *ev, const Table *t,
				ChangePartition *out)
{
	int n = 0;

	for (int i = 0; i < ev->nrels; i++)
	{
		const FrameRelation *rel = ev->rels[i];

		if (table_of(e, ev->rels[i]) != t)
			continue;
		if (!(ev->rel_flags[i] & CDC_S3_TRUNC_PARTIAL))
			return 0;
		out[n++] = (ChangePartition){ rel->leaf_schema, rel->leaf_table,
									  ev->rel_bounds[i] };
	}
	return n;
}

/*
 * One record a table; its partitions come in the same frame.  Each relation
 * has an ordinal, and the record that of the table's first one.
 */
static bool
on_truncate(Encoder *e, const FrameEvent *ev)
{
	ChangePartition *parts = xmalloc((size_t) ev->nrels * sizeof(*parts) + 1);
	bool ok = true;

	for (int i = 0; ok && i < ev->nrels; i++)
	{
		Table *t = table_of(e, ev->rels[i]);
		Change change = { .op = 't',
						  .seq = (int64_t) ev->ordinal + i,
						  .partial = parts };
		bool again = false;

		for (int k = 0; k < i; k++)
			again |= table_of(e, ev->rels[k]) == t;
		if (again)
			continue;
		change.npartial = truncated_parts(e, ev, t, parts);
		ok = add_plain(e, t, &change);
	}
	free(parts);
	return ok;
}

/* A notice of rows that changed without change events becomes a record. */
static bool
on_message(Encoder *e, const FrameEvent *ev)
{
	Change change = { .op = 's', .seq = (int64_t) ev->ordinal };
	FrameRelation *rel;
	Notice notice;

	if (!(ev->flags & CDC_S3_MSG_TRANSACTIONAL) ||
		ev->prefix.n != sizeof(NOTICE_PREFIX) - 1 ||
		memcmp(ev->prefix.p, NOTICE_PREFIX, ev->prefix.n) != 0 ||
		!notice_parse(ev->content, &notice))
		return true;
	if (!e->in_txn)
		return err_set(&e->err, ERR_DATA, 0,
					   "a message came outside of its transaction");
	rel = frame_reader_relation(e->reader, notice.relation_id);
	if (!rel || e->skip)
		return true; /* not wanted, or in the log */
	/* the plugin does not say again what it said for a notice */
	told_table(e->told, table_of(e, rel), (Position){ e->txn_lsn, change.seq },
			   false);
	if (!notice.resync)
		return true;
	change.reason = notice.reason;
	if (strcmp(notice.reason, "rewrite") == 0)
		table_of(e, rel)->said->rewritten = e->txn;
	return add_plain(e, table_of(e, rel), &change);
}

/*
 * The table's rows changed without changes; once in a transaction will do, and
 * a notice may have said so.
 */
static bool
on_unknown(Encoder *e, Table *t, uint64_t ordinal, const char *reason)
{
	Change change = { .op = 's', .seq = (int64_t) ordinal, .reason = reason };

	if (!told_last(t))
		told_table(e->told, t, (Position){ e->txn_lsn, change.seq }, false);
	if (t->said->rewritten == e->txn)
		return true;
	t->said->rewritten = e->txn;
	return add_plain(e, t, &change);
}

/* What became of a table, without its rows. */
static bool
on_table(Encoder *e, const FrameEvent *ev)
{
	const uint8_t ends = CDC_S3_TABLE_GONE | CDC_S3_TABLE_LEFT;
	Position at = { e->txn_lsn, (int64_t) ev->ordinal };
	bool is_partition = ev->rel && ev->rel->schema->relation_id != ev->table_id;
	bool ended = ev->table_flags & ends;
	bool joined = false;
	Table *root;

	if (!e->in_txn)
		return err_set(&e->err, ERR_DATA, 0,
					   "what became of a table came outside of a transaction");
	if (e->skip)
		return true;
	start_waiting(e);
	if (is_partition)
		joined = told_partition(e->told, ev->table_id, at);
	root = ended || !is_partition ? told_detached(e->told, ev->table_id) : NULL;
	if (root && !on_unknown(e, root, ev->ordinal, "partition"))
		return false; /* its rows went */
	if (ended)
	{
		/* The table of a partition is still there. */
		if (!is_partition)
			told_end(e->told, ev->table_id, ev->table_flags & CDC_S3_TABLE_GONE,
					 at);
		return true;
	}
	told_table(e->told, table_of(e, ev->rel), at,
			   ev->table_flags & CDC_S3_TABLE_CREATED);
	if (joined &&
		!on_unknown(e, table_of(e, ev->rel), ev->ordinal, "partition"))
		return false;
	return !(ev->table_flags & CDC_S3_TABLE_REWRITTEN) ||
		   on_unknown(e, table_of(e, ev->rel), ev->ordinal, "rewrite");
}

static void
count_commit(Encoder *e)
{
	lag_add(&e->cp->lag, commit_us(e));
	count_own(&stats.transactions, 1);
	count_own(&stats.rows_received, e->txn_rows);
	count_add(&stats.rows_waiting, e->txn_rows);
}

static bool
on_commit(Encoder *e, const FrameEvent *ev)
{
	if (!e->in_txn || ev->lsn != e->txn_lsn)
		return err_set(&e->err, ERR_DATA, 0,
					   "a commit came that does not fit its begin");
	if (!e->skip && ev->lsn <= e->position)
		return err_set(&e->err, ERR_DATA, 0,
					   "a commit came behind position " LSN_FMT
					   " that the server had reported",
					   LSN_ARGS(e->position));
	e->in_txn = false;
	e->open.txn = 0;
	open_seal_full(&e->open, e->cp);
	e->early = false;
	if (!e->skip)
	{
		e->cp_rows += e->txn_rows;
		if (e->p->options->flush)
			flush_committed(e->flush, e->p->options->flush->n);
		e->cp_no_key += e->txn_no_key;
		atomic_fetch_add(&e->p->rows, e->txn_rows);
		if (e->txn_rows > 0)
			count_commit(e);
		if (ev->lsn > e->position)
			e->position = ev->lsn;
	}
	atomic_store(&e->p->received, e->position);
	return true;
}

static bool
on_frame(Encoder *e, const FrameEvent *ev)
{
	switch (ev->type)
	{
		case CDC_S3_BEGIN:
			on_begin(e, ev);
			return true;
		case CDC_S3_INSERT:
		case CDC_S3_UPDATE:
		case CDC_S3_DELETE:
			return on_change(e, ev);
		case CDC_S3_PART:
			return on_part(e, ev);
		case CDC_S3_TRUNCATE:
			return on_truncate(e, ev);
		case CDC_S3_COMMIT:
			return on_commit(e, ev);
		case CDC_S3_MESSAGE:
			return on_message(e, ev);
		case CDC_S3_TABLE:
			return on_table(e, ev);
		default:
			return true; /* hello, relation */
	}
}

static bool
on_packet(Encoder *e, Slice packet)
{
	FrameEvent frame;
	bool end = false;

	count_own(&stats.bytes_received, (int64_t) packet.n);
	if (!frame_reader_packet(e->reader, packet, &e->err))
		return false;
	for (;;)
	{
		if (!frame_next(e->reader, &frame, &end, &e->err))
			return false;
		if (end)
			return true;
		if (!on_frame(e, &frame))
			return false;
	}
}

static bool
on_packets(Encoder *e, Event *ev)
{
	Slice packet;

	while (event_packet(ev, &packet))
	{
		if (!on_packet(e, packet))
			return false;
	}
	return true;
}

static void
on_keepalive(Encoder *e, const Event *ev)
{
	if (!e->in_txn && ev->lsn > e->position)
		e->position = ev->lsn;
	atomic_store(&e->p->received, e->position);
	if (ev->reply && (e->cp_rows > 0 || e->position > e->closed_end))
		e->reply = true;
}

static void
on_load_done(Encoder *e, LoadTable *load)
{
	if (e->nloads == 0)
		e->loads_since_ms = clock_mono_ms();
	e->loads =
		xrealloc(e->loads, ((size_t) e->nloads + 1) * sizeof(LoadTable *));
	e->loads[e->nloads++] = load;
}

static bool
on_event(Encoder *e, Event *ev)
{
	switch (ev->type)
	{
		case EVENT_PACKETS:
			return on_packets(e, ev);
		case EVENT_KEEPALIVE:
			on_keepalive(e, ev);
			return true;
		case EVENT_CLOSE_HOUR:
			e->close_hour = ev->time;
			e->close_lsn = ev->lsn;
			return true;
		case EVENT_CHECKPOINT:
			e->asked = true;
			return true;
		case EVENT_LOAD_DONE:
			on_load_done(e, ev->load);
			return true;
		case EVENT_STOP:
			e->stopping = true;
			e->stop_ms = ev->deadline_ms;
			return true;
		case EVENT_ABANDON:
			e->abandoned = true;
			return true;
	}
	return true;
}

/*
 * Announces the loads this session will make, in its first entry, so that a
 * merge holds their tables' changes back; and which outputs come and go.
 */
static void
announce_loads(Encoder *e)
{
	const Entry *loads = e->p->loads;

	if (loads->nloads == 0 && !e->p->announces_outputs)
		return;
	for (int i = 0; i < loads->nloads; i++)
	{
		EntryLoad *l = entry_add_load(e->cp->entry);

		entry_set(&l->id, loads->loads[i].id);
		entry_set(&l->schema, loads->loads[i].schema);
		entry_set(&l->table, loads->loads[i].table);
		entry_set(&l->reason, loads->loads[i].reason);
		l->resync = loads->loads[i].resync;
		l->state = loads->loads[i].state;
	}
	checkpoint(e);
}

/* Ended by the stop: true once nothing is left to wait for. */
static bool
stop_now(Encoder *e)
{
	if (e->abandoned)
	{
		/* What is committed counts, or flapping sessions would never end. */
		if (!e->early && e->cp_rows > 0)
			checkpoint(e);
		return true;
	}
	if (!e->stopping)
		return false;
	if (e->in_txn && clock_mono_ms() < e->stop_ms)
		return false; /* it may still end in time */
	if (e->in_txn && e->early)
		return true; /* dropped: nothing before it is waiting */
	if (e->cp_rows > 0 || e->position > e->closed_end ||
		atomic_load(&e->p->options->control->dropping))
		checkpoint(e);
	return true;
}

/* Can something become due with time alone? */
static bool
waits_for_time(const Encoder *e)
{
	return e->cp_rows > 0 || told_waits(e->told, e->position) || e->in_txn ||
		   e->reply || e->asked || e->stopping || e->close_hour ||
		   e->nloads > 0 || atomic_load(&e->p->pending_checkpoints) > 0;
}

static bool
loop(Encoder *e)
{
	announce_loads(e);
	while (!stop_now(e))
	{
		int64_t wait_ms = waits_for_time(e) ? TICK_MS : IDLE_TICK_MS;
		Event *ev = (Event *) queue_pop(&e->p->events, wait_ms);
		bool ok = !atomic_load(&e->p->stop) ||
				  err_set(&e->err, ERR_STOP, 0, "stopped");

		beat();
		if (ev)
		{
			stats_moved();
			ok = ok && on_event(e, ev);
			event_free(e->p, ev);
		}
		if (!ok)
			return false;
		tick(e);
	}
	return true;
}

static void
encoder_done(Encoder *e)
{
	QueueItem *item;

	nokey_tell(e->p);
	open_done(&e->open);
	while ((item = queue_pop(&e->p->events, 0)) != NULL)
		event_free(e->p, (Event *) item);
	checkpoint_drop(e->p, e->cp);
	frame_reader_free(e->reader);
	told_free(e->told);
	free(e->loads);
}

void *
encode_main(void *arg)
{
	Pipe *p = arg;
	Encoder *e = xcalloc(1, sizeof(*e));

	beat_begin("encoder");
	e->p = e->open.p = p;
	e->reader = frame_reader_new(MAX_FRAME_BYTES, NULL, NULL);
	frame_reader_pass_rows(e->reader);
	e->told = told_new();
	e->position = e->closed_end = p->start->end;
	e->closed_until = p->start->closed_until;
	open_checkpoint(e, p->start->seq + 1);
	if (!loop(e))
		pipe_fail(p, &e->err);
	encoder_done(e);
	free(e);
	atomic_store(&p->finished, true);
	pipe_wake(p);
	beat_end();
	return NULL;
}
