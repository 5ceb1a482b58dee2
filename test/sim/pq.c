/*-------------------------------------------------------------------------
 * pq.c
 *	  libpq, as the sidecar uses it, over the source of the simulation.
 *
 * The program is linked without libpq: all that it calls is here.  What a
 * statement is is told by a piece of its text; one that is not known ends the
 * simulation, so that no new one is forgotten.
 *-------------------------------------------------------------------------
 */
#include <endian.h>
#include <inttypes.h>
#include <libpq-events.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../fuzz/frame_encode.h"
#include "base.h"
#include "base/mem.h"
#include "count.h"
#include "oracle.h"

#define TIMEOUT_US (60 * SIM_SEC) /* wal_sender_timeout */
#define PACKETS_A_READ 6
#define MAX_COLS 20

struct pg_result
{
	ExecStatusType status;
	char state[6];
	char *message;
	int nrows;
	int ncols;
	char ***rows; /* NULL: SQL NULL */
};

/* A message that arrived, or one on its way. */
typedef struct Message
{
	struct Message *next;
	char *p;
	int n;
} Message;

typedef struct Snapshot
{
	struct Snapshot *next;
	char name[24];
	PGconn *by;
	Lsn lsn;
	int ntxns;
	int ncols[BASE_TABLES];
	uint32_t filenode[BASE_TABLES];
} Snapshot;

struct pg_conn
{
	PGconn *next;
	Proc *owner;
	bool ok;
	bool server; /* the server still serves it … */
	bool quiet;  /* … as far as its client knows */
	bool replication;
	int fd;
	int pid;
	PGEventProc event; /* one, and what hangs on it */
	void *data;
	const char *error;
	char error_state[6];

	/* statements sent with PQsendQuery() */
	PGresult *results[3];
	int nresults;
	int64_t ready_at;

	/* copy both */
	bool streams;
	bool ended;
	Message *in;
	Message **in_end;
	int at; /* the next transaction */
	Lsn sent;
	Lsn from;
	bool hello;
	int known[BASE_TABLES]; /* columns of the relation that was sent */
	bool wants_reply;
	int64_t heard;

	/* copy out */
	bool copies;
	const Snapshot *snapshot;
};

static PGconn *conns;
static Snapshot *snapshots;
static int last_pid = 100;

/* ---- results ---- */

static PGresult *
result(ExecStatusType status, int ncols)
{
	PGresult *r = xcalloc(1, sizeof(*r));

	r->status = status;
	r->ncols = ncols;
	return r;
}

static PGresult *
failed(const char *state, const char *message)
{
	PGresult *r = result(PGRES_FATAL_ERROR, 0);

	(void) snprintf(r->state, sizeof(r->state), "%s", state);
	r->message = xstrdup(message);
	return r;
}

/* Takes values of the form "%s" each, "\n" for NULL. */
static void
add_row(PGresult *r, const char *const *values)
{
	char **row = xcalloc((size_t) r->ncols, sizeof(*row));

	for (int i = 0; i < r->ncols; i++)
		row[i] = strcmp(values[i], "\n") == 0 ? NULL : xstrdup(values[i]);
	r->rows = xrealloc(r->rows, ((size_t) r->nrows + 1) * sizeof(*r->rows));
	r->rows[r->nrows++] = row;
}

static PGresult *
one_value(const char *value)
{
	PGresult *r = result(PGRES_TUPLES_OK, 1);

	add_row(r, &value);
	return r;
}

static const char *
text(const char *fmt, ...)
{
	static char ring[32][128];
	static int next;
	char *s = ring[next++ % 32];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(s, sizeof(ring[0]), fmt, ap);
	va_end(ap);
	return s;
}

static const char *
lsn_text(Lsn lsn)
{
	return text("%X/%X", (unsigned) (lsn >> 32), (unsigned) lsn);
}

/* ---- connections ---- */

/* The server ends it; the client sees that when it looks. */
static void
cut(PGconn *c, const char *state, const char *why)
{
	if (!c->server)
		return;
	c->server = false;
	c->error = why;
	(void) snprintf(c->error_state, sizeof(c->error_state), "%s", state);
	if (base.active == c)
		base.active = NULL;
	sim_fd_changed();
}

void
pq_cut_all(void)
{
	bool orderly = sim_chance(500);

	for (PGconn *c = conns; c; c = c->next)
		cut(c, orderly ? "57P01" : "",
			orderly ? "terminating connection due to administrator command"
					: "server closed the connection unexpectedly");
}

void
pq_cut_some(void)
{
	COUNT(cut);
	for (PGconn *c = conns; c; c = c->next)
	{
		if (sim_chance(500))
			cut(c, "", "could not receive data: connection reset by peer");
	}
}

bool
pq_half_open(void)
{
	PGconn *c = base.active;

	if (!c)
		return false;
	COUNT(half_open);
	sim_say("the server gives up a connection, and nobody hears of it");
	c->quiet = true;
	base.active = NULL;
	return true;
}

static void
notice_death(void *arg)
{
	cut(arg, "", "the client is gone");
}

void
pq_killed(Proc *p)
{
	for (PGconn *c = conns; c; c = c->next)
	{
		if (c->owner == p && c->server)
			sim_at(sim_now() + sim_between(0, 8 * SIM_SEC), notice_death, c);
	}
}

void
pq_tick(void)
{
	for (PGconn *c = conns; c; c = c->next)
	{
		if (c->server && c->streams && !c->quiet &&
			sim_now() - c->heard > TIMEOUT_US)
			cut(c, "",
				"terminating walsender process due to replication "
				"timeout");
	}
}

/* ---- the stream ---- */

static void
queue_message(PGconn *c, const Buf *b)
{
	Message *m = xcalloc(1, sizeof(*m));

	m->n = (int) b->n;
	m->p = xmalloc(b->n + 1);
	memcpy(m->p, b->p, b->n);
	*c->in_end = m;
	c->in_end = &m->next;
}

static void
put_be(Buf *b, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		buf_byte(b, (uint8_t) (v >> (8 * i)));
}

static void
queue_keepalive(PGconn *c, bool reply)
{
	Buf b;

	buf_init(&b, 64);
	buf_byte(&b, 'k');
	put_be(&b, c->sent, 8);
	put_be(&b, (uint64_t) (base_clock() - INT64_C(946684800000000)), 8);
	buf_byte(&b, reply);
	queue_message(c, &b);
	buf_done(&b);
}

static void
add_frame(Buf *frames, uint8_t type, uint8_t flags, Buf *body)
{
	put_frame(frames, type, flags, (Slice){ body->p, body->n });
	buf_reset(body);
}

static void
add_hello(PGconn *c, Buf *frames, Buf *body)
{
	if (c->hello)
		return;
	c->hello = true;
	put_int(body, 1, 4);
	put_int(body, 1, 4);
	put_int(body, 150018, 4);
	buf_byte(body, CDC_S3_TEXT_UTF8);
	put_str(body, CDC_S3_PLUGIN_VERSION);
	put_str(body, "UTF8");
	put_str(body, "shop");
	put_int(body, 0, 2);
	add_frame(frames, CDC_S3_HELLO, 0, body);
}

static void
add_relation(PGconn *c, int table, int ncols, Buf *frames, Buf *body)
{
	const Schema *s = base_schema(table, ncols);

	if (c->known[table] == ncols)
		return;
	c->known[table] = ncols;
	put_relation(body, s->relation_id, (uint32_t) ncols, s->table, s);
	add_frame(frames, CDC_S3_RELATION, 0, body);
}

static void
column_of(ColView *v, const uint8_t *p, uint32_t n)
{
	*v = (ColView){ .p = p, .n = n, .state = COL_VALUE };
}

static void
add_change(PGconn *c, const ModelTxn *t, const ModelChange *m, Buf *frames,
		   Buf *body)
{
	static char v[1 << 20];
	FrameRelation rel = { .id = BASE_OID + 2 * (uint32_t) m->table,
						  .version = (uint32_t) m->ncols,
						  .schema = base_schema(m->table, m->ncols) };
	ColView new_cols[BASE_COLUMNS] = { 0 };
	ColView old_cols[BASE_COLUMNS] = { 0 };
	FrameEvent ev = { .lsn = t->end - 8,
					  .ordinal = (uint64_t) m->ordinal,
					  .rel = &rel,
					  .old_row = { m->ncols, old_cols },
					  .new_row = { m->ncols, new_cols } };
	uint32_t key = htole32((uint32_t) m->key);
	uint32_t old_key = htole32((uint32_t) m->old_key);
	uint32_t n = htole32((uint32_t) base_n(m->content));

	add_relation(c, m->table, m->ncols, frames, body);
	base_text(m->content, m->len, v);
	column_of(&old_cols[0], (const uint8_t *) &old_key, 4);
	column_of(&new_cols[0], (const uint8_t *) &key, 4);
	column_of(&new_cols[1], (const uint8_t *) v, (uint32_t) m->len);
	if (m->unchanged)
		new_cols[1] = (ColView){ .state = COL_UNCHANGED };
	if (m->ncols > 2)
		column_of(&new_cols[2], (const uint8_t *) &n, 4);
	if (m->ncols > 2 && base_n_is_null(m->content))
		new_cols[2] = (ColView){ .state = COL_NULL };
	if (m->op == OP_DELETE)
	{
		ev.type = CDC_S3_DELETE;
		ev.flags = CDC_S3_OLD_KEY;
	}
	else if (m->op == OP_INSERT)
		ev.type = CDC_S3_INSERT;
	else
	{
		ev.type = CDC_S3_UPDATE;
		if (m->key != m->old_key)
			ev.flags = CDC_S3_OLD_KEY | CDC_S3_KEY_CHANGED;
	}
	put_change(body, &ev, (Slice){ 0 });
	add_frame(frames, ev.type, ev.flags, body);
}

static void
add_truncate(PGconn *c, const ModelTxn *t, const ModelChange *m, Buf *frames,
			 Buf *body)
{
	int ncols[BASE_TABLES];

	/* Of tables but the first the columns behind the transaction do. */
	for (int i = 0; i < m->ntables; i++)
	{
		ncols[i] = i == 0 ? m->ncols : t->ncols[m->table + i];
		add_relation(c, m->table + i, ncols[i], frames, body);
	}
	put_int(body, t->end - 8, 8);
	put_int(body, (uint64_t) m->ordinal, 8);
	put_int(body, (uint64_t) m->ntables, 2);
	for (int i = 0; i < m->ntables; i++)
	{
		put_int(body, BASE_OID + 2 * (uint32_t) (m->table + i), 4);
		put_int(body, (uint64_t) ncols[i], 4);
		buf_byte(body, 0);
	}
	add_frame(frames, CDC_S3_TRUNCATE, 0, body);
}

/* A packet is at its end; it leaves where its rows are many, or at random. */
static void
flush_packet(PGconn *c, Buf *frames)
{
	Buf b;

	if (frames->n == 0)
		return;
	buf_init(&b, SIZE_MAX / 2);
	buf_byte(&b, 'w');
	put_be(&b, c->sent, 8);
	put_be(&b, c->sent, 8);
	put_be(&b, 0, 8);
	put_packet(&b, (Slice){ frames->p, frames->n });
	queue_message(c, &b);
	buf_done(&b);
	buf_reset(frames);
}

static void
add_txn(PGconn *c, const ModelTxn *t, Buf *frames, Buf *body)
{
	int64_t time = t->time - INT64_C(946684800000000);

	add_hello(c, frames, body);
	put_int(body, t->xid, 4);
	put_int(body, t->end, 8);
	put_int(body, (uint64_t) time, 8);
	add_frame(frames, CDC_S3_BEGIN, 0, body);
	for (int i = 0; i < t->nchanges; i++)
	{
		if (t->changes[i].op == OP_TRUNCATE)
			add_truncate(c, t, &t->changes[i], frames, body);
		else
			add_change(c, t, &t->changes[i], frames, body);
		if (frames->n > CDC_S3_PACKET_TARGET || sim_chance(20))
			flush_packet(c, frames);
		if (frames->n == 0 && sim_chance(100)) /* it tells too much */
		{
			Lsn sent = c->sent;

			COUNT(keepalive_ahead);
			c->sent = t->end;
			queue_keepalive(c, true);
			c->sent = sent;
		}
	}
	put_int(body, t->end, 8);
	put_int(body, (uint64_t) time, 8);
	put_int(body, (uint64_t) t->changes[t->nchanges - 1].ordinal, 8);
	add_frame(frames, CDC_S3_COMMIT, 0, body);
}

/* The walsender works for a while. */
static void
pump(PGconn *c)
{
	Buf frames;
	Buf body;

	if (!c->server || !c->streams || c->ended || c->quiet ||
		base.silent_until > sim_now())
		return;
	buf_init(&frames, SIZE_MAX / 2);
	buf_init(&body, SIZE_MAX / 2);
	for (int i = 0; i < PACKETS_A_READ && c->at < base.ntxns; i++)
	{
		const ModelTxn *t = &base.txns[c->at];

		if (t->end > c->from)
		{
			if (t->end <= oracle_log_end())
				COUNT(covered);
			add_txn(c, t, &frames, &body);
		}
		c->at++;
		c->sent = t->end;
		/* None is held back behind what a keepalive may pass. */
		if (sim_chance(600))
			flush_packet(c, &frames);
	}
	flush_packet(c, &frames);
	sim_say("sent to %d of %d", c->at, base.ntxns);
	if (c->at == base.ntxns)
		c->sent = base.insert;
	if (c->wants_reply)
		queue_keepalive(c, sim_chance(100));
	c->wants_reply = false;
	buf_done(&frames);
	buf_done(&body);
}

static bool
has_work(const PGconn *c)
{
	return c->server && c->streams && !c->ended && !c->quiet &&
		   base.silent_until <= sim_now() &&
		   (c->at < base.ntxns || c->wants_reply);
}

static short
events(void *arg)
{
	const PGconn *c = arg;
	bool answered = c->ready_at <= sim_now();
	bool in = !c->server || (c->in && answered) || has_work(c) ||
			  (c->nresults > 0 && answered);

	return (short) (POLLOUT | (in ? POLLIN : 0));
}

static uint64_t
get_be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

static void
take_status(PGconn *c, const char *msg)
{
	Lsn flush = get_be64(msg + 9);

	c->heard = sim_now();
	if (msg[33])
		c->wants_reply = true;
	oracle_confirmed(flush);
	if (flush > base.confirmed)
		base.confirmed = flush;
	if (sim_chance(300))
		base.saved = base.confirmed;
}

/* ---- snapshots and COPY ---- */

static Snapshot *
snapshot_new(PGconn *by)
{
	static int n;
	Snapshot *s = xcalloc(1, sizeof(*s));

	(void) snprintf(s->name, sizeof(s->name), "snap-%d", ++n);
	s->by = by;
	s->lsn = base.insert;
	s->ntxns = base.ntxns;
	memcpy(s->ncols, base.ncols, sizeof(s->ncols));
	memcpy(s->filenode, base.filenode, sizeof(s->filenode));
	s->next = snapshots;
	snapshots = s;
	return s;
}

static const Snapshot *
find_snapshot(const char *sql)
{
	const char *p = strstr(sql, "SET TRANSACTION SNAPSHOT '");

	p = p ? p + strlen("SET TRANSACTION SNAPSHOT '") : "";
	for (const Snapshot *s = snapshots; s; s = s->next)
	{
		if (strncmp(p, s->name, strlen(s->name)) == 0 &&
			p[strlen(s->name)] == '\'' && s->by->server && s->by->ok)
			return s;
	}
	return NULL;
}

static int
find_table(const char *sql, bool quoted)
{
	for (int t = 0; t < BASE_TABLES; t++)
	{
		const char *name = quoted
							   ? text("\"public\".\"%s\"", base_table_name(t))
							   : text("%" PRIu32, BASE_OID + 2 * (uint32_t) t);

		if (quoted ? strstr(sql, name) != NULL : strcmp(sql, name) == 0)
			return t;
	}
	sim_fail("a table that is not known: %.300s", sql);
}

/* The number behind ctid's comparison, or otherwise. */
static long
block_bound(const char *sql, const char *sign, long otherwise)
{
	const char *p = strstr(sql, text("pg_catalog.%s) '(", sign));

	return p ? strtol(strchr(p, '\'') + 2, NULL, 10) : otherwise;
}

static void
add_tuple(Buf *b, int key, const ModelRow *row, int ncols)
{
	static char v[1 << 20];

	base_text(row->v, row->len, v);
	put_be(b, (uint64_t) ncols, 2);
	put_be(b, 4, 4);
	put_be(b, (uint64_t) key, 4);
	put_be(b, (uint64_t) row->len, 4);
	buf_add(b, v, (size_t) row->len);
	if (ncols > 2 && base_n_is_null(row->n))
		put_be(b, UINT32_MAX, 4);
	else if (ncols > 2)
	{
		put_be(b, 4, 4);
		put_be(b, (uint32_t) base_n(row->n), 4);
	}
}

static PGresult *
begin_copy(PGconn *c, const char *sql)
{
	static const char header[] = "PGCOPY\n\377\r\n"; /* and its zero byte */
	int table = find_table(sql, true);
	int ncols = c->snapshot->ncols[table];
	long from = block_bound(sql, ">=", 0);
	long to = block_bound(sql, "<", LONG_MAX);
	bool rewritten = c->snapshot->filenode[table] != base.filenode[table];
	ModelRow rows[BASE_KEYS];
	Buf b;

	base_rows_at(table, c->snapshot->ntxns, rows);
	buf_init(&b, SIZE_MAX / 2);
	buf_add(&b, header, sizeof(header));
	put_be(&b, 0, 8);
	for (int k = 0; k < BASE_KEYS && !rewritten; k++)
	{
		if (!rows[k].there || k / ROWS_A_BLOCK < from || k / ROWS_A_BLOCK >= to)
			continue;
		add_tuple(&b, k, &rows[k], ncols);
		queue_message(c, &b);
		buf_reset(&b);
	}
	put_be(&b, UINT16_MAX, 2);
	queue_message(c, &b);
	buf_done(&b);
	c->copies = true;
	return result(PGRES_COPY_OUT, ncols);
}

/* ---- statements ---- */

static bool
is(const char *sql, const char *piece)
{
	return strstr(sql, piece) != NULL;
}

static PGresult *
identify(void)
{
	const char *values[] = { "7574", text("%" PRId64, base.timeline),
							 lsn_text(base.insert), "shop" };
	PGresult *r = result(PGRES_TUPLES_OK, 4);

	add_row(r, values);
	return r;
}

static PGresult *
history(void)
{
	const char *values[] = { "2.history", "" };
	PGresult *r = result(PGRES_TUPLES_OK, 2);
	Buf b;

	buf_init(&b, 4096);
	for (int64_t t = 1; t < base.timeline; t++)
		buf_printf(&b, "%" PRId64 "\t%s\tno recovery target specified\n", t,
				   lsn_text(base.switched));
	values[1] = buf_cstr(&b);
	add_row(r, values);
	buf_done(&b);
	return r;
}

static PGresult *
start_replication(PGconn *c, const char *sql)
{
	const char *p = strstr(sql, " LOGICAL ");

	if (base.active)
	{
		COUNT(slot_taken);
		return failed("55006", "replication slot \"cdc_s3\" is active for PID "
							   "4711");
	}
	COUNT(sessions);
	sim_say("replication from %s", sql);
	base.active = c;
	c->streams = true;
	c->heard = sim_now();
	if (!lsn_parse(text("%.*s", (int) strcspn(p + 9, " "), p + 9), &c->from))
		sim_fail("no LSN in %s", sql);
	if (c->from < base.confirmed)
		c->from = base.confirmed; /* as CreateDecodingContext() does */
	if (sim_chance(200))          /* who sends too much is no trouble */
		c->from = base.saved;
	c->sent = c->from;
	return result(PGRES_COPY_BOTH, 0);
}

static const PGconn *
find_pid(long pid)
{
	for (const PGconn *c = conns; c; c = c->next)
	{
		if (c->pid == pid && c->server && !c->quiet)
			return c;
	}
	return NULL;
}

/* Whether a server process works: a walsender does where it is silent. */
static PGresult *
works(const char *sql, const char *const *params)
{
	const char *p = strstr(sql, "a.pid = ");
	long pid = strtol(params ? params[0] : p + 8, NULL, 10);

	COUNT(asked_for_work);
	return one_value(find_pid(pid) && base.silent_until > sim_now() ? "1"
																	: "0");
}

/* Of the slot, for who watches it. */
static PGresult *
slot_state(void)
{
	const char *values[] = { lsn_text(base.insert), "reserved", "-1",
							 text("%" PRIu64, base.insert - base.saved) };
	PGresult *r = result(PGRES_TUPLES_OK, 4);

	add_row(r, values);
	return r;
}

static int
active_pid(void)
{
	return base.active ? ((PGconn *) base.active)->pid : 0;
}

static PGresult *
slot_holder(void)
{
	const char *values[] = { text("%d", active_pid()), "cdc-s3", "this host",
							 "" };
	PGresult *r = result(PGRES_TUPLES_OK, 4);

	if (base.active)
		add_row(r, values);
	return r;
}

/* The same for the governor. */
static PGresult *
slot_held(void)
{
	const char *values[] = { lsn_text(base.insert), lsn_text(base.saved),
							 lsn_text(base.confirmed), "-1" };
	PGresult *r = result(PGRES_TUPLES_OK, 4);

	add_row(r, values);
	return r;
}

static PGresult *
slot_row(const char *sql)
{
	const char *values[] = { lsn_text(base.confirmed), "cdc_s3",
							 text("%d", active_pid()) };
	PGresult *r;

	if (is(sql, "SELECT s.active_pid, "))
		return slot_holder();
	if (is(sql, "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"))
		return slot_held();
	if (is(sql, "SELECT FROM"))
		r = result(PGRES_TUPLES_OK, 0);
	else if (is(sql, "SELECT confirmed_flush_lsn, plugin, "
					 "COALESCE(active_pid"))
		r = result(PGRES_TUPLES_OK, 3);
	else
		sim_fail("a question about the slot that is not known: %s", sql);
	add_row(r, values);
	return r;
}

static PGresult *
temporary_slot(PGconn *c)
{
	const Snapshot *s = snapshot_new(c);
	const char *values[] = { "load", lsn_text(s->lsn), s->name, "cdc_s3" };
	PGresult *r = result(PGRES_TUPLES_OK, 4);

	add_row(r, values);
	return r;
}

static PGresult *
take_snapshot(PGconn *c, const char *sql)
{
	const char *values[2];
	PGresult *r;
	const Snapshot *from = find_snapshot(sql);
	Snapshot *again;

	if (!from)
		return failed("22023", "invalid snapshot identifier");
	c->snapshot = from;
	if (!is(sql, "pg_export_snapshot"))
		return result(PGRES_COMMAND_OK, 0);
	again = snapshot_new(c);
	again->lsn = from->lsn;
	again->ntxns = from->ntxns;
	memcpy(again->ncols, from->ncols, sizeof(from->ncols));
	memcpy(again->filenode, from->filenode, sizeof(from->filenode));
	values[0] = text("%" PRId64, base_clock());
	values[1] = again->name;
	r = result(PGRES_TUPLES_OK, 2);
	add_row(r, values);
	return r;
}

/* The columns are those of wanted.c's enum. */
static PGresult *
wanted(const PGconn *c, const char *const *params)
{
	PGresult *r = result(PGRES_TUPLES_OK, 14);
	static const int order[BASE_TABLES] = { 3, 1, 0, 2 };

	for (int i = 0; i < BASE_TABLES; i++)
	{
		int t = order[i];
		const char *oid = text("%" PRIu32, BASE_OID + 2 * (uint32_t) t);
		const char *name = base_table_name(t);
		uint32_t filenode =
			c->snapshot ? c->snapshot->filenode[t] : base.filenode[t];
		const char *values[] = { oid,      "public", name,
								 "f",      oid,      text("%" PRIu32, filenode),
								 "public", name,     "r",
								 "t",      "public", name,
								 "\n",     "\n" };

		if (params && params[2][0] && strcmp(params[2], name) != 0)
			continue;
		add_row(r, values);
	}
	return r;
}

/* The columns are those of describe.c's query. */
static PGresult *
describe(const PGconn *c, const char *const *params)
{
	PGresult *r = result(PGRES_TUPLES_OK, 18);
	int t = find_table(params[0], false);
	int ncols = c->snapshot ? c->snapshot->ncols[t] : base.ncols[t];
	const Schema *s = base_schema(t, ncols);

	for (int i = 0; i < ncols; i++)
	{
		const SchemaColumn *col = &s->cols[i];
		const char *key = col->pk ? "t" : "f";
		const char *values[] = { text("%" PRIu32, s->relation_id),
								 "d",
								 col->name,
								 text("%d", col->attnum),
								 text("%" PRIu32, col->type_oid),
								 col->type_schema,
								 col->type_name,
								 text("%" PRIu32, col->base_oid),
								 "-1",
								 "f",
								 key,
								 "f",
								 text("%d", col->pk),
								 key,
								 key,
								 text("%" PRIu32, s->row_type),
								 "f",
								 "\n" };

		add_row(r, values);
	}
	return r;
}

static PGresult *
sizes(void)
{
	const char *values[] = {
		text("%d", BASE_KEYS / ROWS_A_BLOCK), "0", "0", "-1", "t", "8192"
	};
	PGresult *r = result(PGRES_TUPLES_OK, 6);

	add_row(r, values);
	return r;
}

static PGresult *
facts(const char *const *params)
{
	PGresult *r = result(PGRES_TUPLES_OK, 3);
	int n = 0;

	for (const char *p = params[0] + 1; *p; p++)
	{
		const char *values[] = { text("%d", n), "t", "t" };

		if (strtol(p, NULL, 10) == n)
		{
			add_row(r, values);
			n++;
		}
		p += strcspn(p, ",}");
	}
	return r;
}

static PGresult *
clock_and_position(void)
{
	const char *values[] = { text("%" PRId64, base_clock()),
							 lsn_text(base.insert) };
	PGresult *r = result(PGRES_TUPLES_OK, 2);

	add_row(r, values);
	return r;
}

static PGresult *
execute(PGconn *c, const char *sql, const char *const *params)
{
	if (!c->server)
	{
		c->ok = false;
		return failed(c->error_state, c->error);
	}
	if (is(sql, "IDENTIFY_SYSTEM"))
		return identify();
	if (is(sql, "TIMELINE_HISTORY"))
		return history();
	if (is(sql, "START_REPLICATION"))
		return start_replication(c, sql);
	if (is(sql, "CREATE_REPLICATION_SLOT") && is(sql, "TEMPORARY"))
		return temporary_slot(c);
	if (is(sql, "SET TRANSACTION SNAPSHOT"))
		return take_snapshot(c, sql);
	if (is(sql, "COPY ("))
		return begin_copy(c, sql);
	if (is(sql, "WITH RECURSIVE base AS"))
		return wanted(c, params);
	if (is(sql, "WITH RECURSIVE rel AS"))
		return describe(c, params);
	if (is(sql, "WITH RECURSIVE tree AS"))
		return sizes();
	if (is(sql, "WITH RECURSIVE w (n, s, t)") || is(sql, "pg_catalog.pg_locks"))
		return result(PGRES_TUPLES_OK, 2);
	if (is(sql, "ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[])"))
		return facts(params);
	if (is(sql, "pg_stat_activity a WHERE") ||
		is(sql, "JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid "
				"WHERE a.pid"))
		return works(sql, params);
	if (is(sql, "pg_wal_lsn_diff"))
		return slot_state();
	if (is(sql, "clock_timestamp()"))
		return clock_and_position();
	if (is(sql, "pg_current_wal_insert_lsn()"))
		return one_value(lsn_text(base.insert));
	if (is(sql, "pg_replication_slots"))
		return slot_row(sql);
	if (is(sql, "SHOW output_plugin_libraries"))
		return failed("42704", "unrecognized configuration parameter");
	if (is(sql, "SHOW wal_level"))
		return one_value("logical");
	if (is(sql, "SHOW server_encoding"))
		return one_value("UTF8");
	if (is(sql, "wal_sender_timeout"))
		return one_value(text("%" PRId64, TIMEOUT_US / SIM_MS));
	if (is(sql, "set_config"))
		return one_value("0");
	if (strcmp(sql, "COMMIT") == 0)
		c->snapshot = NULL;
	if (strncmp(sql, "BEGIN", 5) == 0 || strcmp(sql, "COMMIT") == 0 ||
		strncmp(sql, "SET ", 4) == 0)
		return result(PGRES_COMMAND_OK, 0);
	sim_fail("a statement that the simulation does not know: %.300s", sql);
}

/* ---- libpq ---- */

PGconn *
PQconnectdbParams(const char *const *keywords, const char *const *values,
				  int expand)
{
	PGconn *c = xcalloc(1, sizeof(*c));

	(void) expand;
	c->owner = sim_proc();
	c->in_end = &c->in;
	c->pid = ++last_pid;
	c->fd = sim_fd(events, c);
	c->next = conns;
	conns = c;
	for (int i = 0; keywords[i]; i++)
	{
		if (strcmp(keywords[i], "replication") == 0 && values[i])
			c->replication = true;
	}
	sim_sleep(sim_between(0, 20 * SIM_MS));
	c->ok = c->server = base.up;
	if (!base.up)
		c->error = sim_chance(500) ? "the database system is starting up"
								   : "connection refused";
	return c;
}

static void
close_late(void *arg)
{
	cut(arg, "", "closed");
}

void
PQfinish(PGconn *c)
{
	PGEventConnDestroy destroy = { c };

	if (!c)
		return;
	if (c->event)
		(void) c->event(PGEVT_CONNDESTROY, &destroy, NULL);
	c->data = NULL;
	c->ok = false;
	sim_fd_close(c->fd);
	if (c->streams && !c->ended)
		sim_at(sim_now() + sim_between(0, 200 * SIM_MS), close_late, c);
	else
		cut(c, "", "closed");
}

ConnStatusType
PQstatus(const PGconn *c)
{
	return c && c->ok && c->server ? CONNECTION_OK : CONNECTION_BAD;
}

PGTransactionStatusType
PQtransactionStatus(const PGconn *c)
{
	return PQstatus(c) == CONNECTION_OK ? PQTRANS_IDLE : PQTRANS_UNKNOWN;
}

int
PQsocket(const PGconn *c)
{
	return c->fd;
}

int
PQbackendPID(const PGconn *c)
{
	return c->pid;
}

char *
PQerrorMessage(const PGconn *c)
{
	return (char *) (c->error ? c->error : "");
}

int
PQserverVersion(const PGconn *c)
{
	(void) c;
	return 150018;
}

PGVerbosity
PQsetErrorVerbosity(PGconn *c, PGVerbosity v)
{
	(void) c;
	return v;
}

int
PQsetnonblocking(PGconn *c, int on)
{
	(void) c;
	(void) on;
	return 0;
}

PGresult *
PQexec(PGconn *c, const char *sql)
{
	sim_sleep(sim_between(0, 5 * SIM_MS));
	return execute(c, sql, NULL);
}

PGresult *
PQexecParams(PGconn *c, const char *sql, int n, const Oid *types,
			 const char *const *values, const int *lengths, const int *formats,
			 int result_format)
{
	(void) n;
	(void) types;
	(void) lengths;
	(void) formats;
	(void) result_format;
	sim_sleep(sim_between(0, 5 * SIM_MS));
	return execute(c, sql, values);
}

static void
look_again(void *arg)
{
	(void) arg;
	sim_fd_changed();
}

static int
send_query(PGconn *c, const char *sql, const char *const *values)
{
	if (sim_chance(base.cuts))
		pq_cut_some();
	if (!c->ok || !c->server)
		return 0;
	c->nresults = 0;
	c->results[c->nresults++] = execute(c, sql, values);
	c->ready_at = sim_now() + (sim_chance(30) ? sim_between(0, 3 * SIM_SEC)
											  : sim_between(0, 5 * SIM_MS));
	if (sim_chance(base.hangs)) /* the answer is lost on its way */
	{
		COUNT(hangs);
		c->ready_at += 600 * SIM_SEC;
	}
	sim_at(c->ready_at, look_again, NULL);
	return 1;
}

int
PQsendQuery(PGconn *c, const char *sql)
{
	return send_query(c, sql, NULL);
}

int
PQsendQueryParams(PGconn *c, const char *sql, int n, const Oid *types,
				  const char *const *values, const int *lengths,
				  const int *formats, int result_format)
{
	(void) n;
	(void) types;
	(void) lengths;
	(void) formats;
	(void) result_format;
	return send_query(c, sql, values);
}

int
PQisBusy(PGconn *c)
{
	return c->server && c->nresults > 0 && c->ready_at > sim_now();
}

int
PQconsumeInput(PGconn *c)
{
	pump(c);
	if (c->server)
		return 1;
	/* What had arrived before the connection broke can still be read. */
	return c->in && sim_chance(700);
}

int
PQflush(PGconn *c)
{
	return c->server ? 0 : -1;
}

PGresult *
PQgetResult(PGconn *c)
{
	PGresult *r;

	if (c->copies && !c->in)
	{
		c->copies = false;
		return c->server ? result(PGRES_COMMAND_OK, 0)
						 : failed(c->error_state, c->error);
	}
	if (c->nresults > 0 && !c->server && c->ready_at > sim_now())
	{
		PQclear(c->results[0]); /* it never came */
		c->nresults = 0;
	}
	if (c->nresults > 0)
	{
		if (c->ready_at > sim_now()) /* the call waits */
			sim_sleep(c->ready_at - sim_now());
		r = c->results[0];
		c->nresults = 0;
		return r;
	}
	if (!c->server && c->ok)
	{
		c->ok = false;
		return failed(c->error_state, c->error);
	}
	return NULL;
}

int
PQgetCopyData(PGconn *c, char **out, int async)
{
	Message *m = c->in;
	int n;

	(void) async;
	if (!m && c->copies)
		return c->server ? -1 : -2;
	if (!m)
		return c->ended ? -1 : c->server ? 0 : -2;
	c->in = m->next;
	if (!c->in)
		c->in_end = &c->in;
	*out = m->p;
	n = m->n;
	free(m);
	return n;
}

int
PQputCopyData(PGconn *c, const char *msg, int n)
{
	if (!c->server)
		return -1;
	if (n == 34 && msg[0] == 'r' && !c->quiet)
		take_status(c, msg);
	return 1;
}

int
PQputCopyEnd(PGconn *c, const char *error)
{
	(void) error;
	if (!c->server)
		return -1;
	c->ended = true;
	if (base.active == c)
		base.active = NULL;
	return 1;
}

void
PQfreemem(void *p)
{
	free(p);
}

void
PQclear(PGresult *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->nrows; i++)
	{
		for (int k = 0; k < r->ncols; k++)
			free(r->rows[i][k]);
		free(r->rows[i]);
	}
	free(r->rows);
	free(r->message);
	free(r);
}

ExecStatusType
PQresultStatus(const PGresult *r)
{
	return r ? r->status : PGRES_FATAL_ERROR;
}

char *
PQresultErrorField(const PGresult *r, int field)
{
	if (!r)
		return NULL;
	if (field == PG_DIAG_SQLSTATE)
		return r->state[0] ? (char *) r->state : NULL;
	return field == PG_DIAG_MESSAGE_PRIMARY ? r->message : NULL;
}

char *
PQresultErrorMessage(const PGresult *r)
{
	return r && r->message ? r->message : "";
}

int
PQntuples(const PGresult *r)
{
	return r ? r->nrows : 0;
}

int
PQnfields(const PGresult *r)
{
	return r ? r->ncols : 0;
}

int
PQgetisnull(const PGresult *r, int row, int col)
{
	return r->rows[row][col] == NULL;
}

char *
PQgetvalue(const PGresult *r, int row, int col)
{
	return r->rows[row][col] ? r->rows[row][col] : "";
}

int
PQgetlength(const PGresult *r, int row, int col)
{
	return (int) strlen(PQgetvalue(r, row, col));
}

PGcancel *
PQgetCancel(PGconn *c)
{
	(void) c;
	return NULL;
}

void
PQfreeCancel(PGcancel *cancel)
{
	(void) cancel;
}

int
PQcancel(PGcancel *cancel, char *why, int size)
{
	(void) cancel;
	(void) snprintf(why, (size_t) size, "not in the simulation");
	return 0;
}

char *
PQuser(const PGconn *c)
{
	(void) c;
	return "cdc";
}

PQconninfoOption *
PQconninfoParse(const char *conninfo, char **why)
{
	(void) conninfo;
	(void) why;
	return NULL;
}

void
PQconninfoFree(PQconninfoOption *options)
{
	(void) options;
}

int
PQregisterEventProc(PGconn *c, PGEventProc proc, const char *name, void *arg)
{
	(void) name;
	(void) arg;
	c->event = proc;
	return 1;
}

int
PQsetInstanceData(PGconn *c, PGEventProc proc, void *data)
{
	(void) proc;
	c->data = data;
	return 1;
}

void *
PQinstanceData(const PGconn *c, PGEventProc proc)
{
	(void) proc;
	return c->data;
}

void *
PQsslStruct(PGconn *c, const char *name)
{
	(void) c;
	(void) name;
	return NULL;
}

int __wrap_shutdown(int fd, int how);

/* Of a connection that is given up: the server notices, sooner or later. */
int
__wrap_shutdown(int fd, int how)
{
	(void) how;
	for (PGconn *c = conns; c; c = c->next)
	{
		if (c->fd == fd && c->server)
		{
			COUNT(broken_off);
			cut(c, "", "the connection was shut down");
		}
	}
	return 0;
}
