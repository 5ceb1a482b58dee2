/*-------------------------------------------------------------------------
 * base.c
 *	  The source of the simulation.
 *-------------------------------------------------------------------------
 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "count.h"
#include "oracle.h"

Base base;

static Schema *schemas[BASE_TABLES][BASE_COLUMNS + 1];
static int64_t last_time;

int64_t
base_clock(void)
{
	return sim_now() + base.clock_offset;
}

const char *
base_table_name(int table)
{
	static const char *const names[BASE_TABLES] = { "t0", "_t 1", "t.2", "T3" };

	return names[table];
}

static void
column(Schema *s, int i, const char *name, const char *type, uint32_t oid,
	   uint8_t kind)
{
	SchemaColumn *c = &s->cols[i];

	c->name = xstrdup(name);
	c->type_schema = xstrdup("pg_catalog");
	c->type_name = xstrdup(type);
	c->type_oid = c->base_oid = oid;
	c->typmod = -1;
	c->attnum = i + 1;
	c->kind = kind;
	c->pk = i == 0;
	c->identity = c->key = c->not_null = i == 0;
}

Schema *
base_schema(int table, int ncols)
{
	Schema *s = schemas[table][ncols];

	if (s)
		return s;
	s = schema_new("public", base_table_name(table), ncols);
	s->relation_id = BASE_OID + 2 * (uint32_t) table;
	s->row_type = s->relation_id + 1;
	s->identity = 'd';
	column(s, 0, "id", "int4", 23, CDC_S3_KIND_INT4);
	column(s, 1, "v", "text", 25, CDC_S3_KIND_STRING);
	if (ncols > 2)
		column(s, 2, "n", "int4", 23, CDC_S3_KIND_INT4);
	schema_finish(s);
	schemas[table][ncols] = s;
	return s;
}

void
base_text(uint64_t content, int len, char *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz \"\\\n,'%_";
	char unit[64];
	uint64_t x = content | 1;

	for (int i = 0; i < 64 && i < len; i++)
	{
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		unit[i] = letters[(x >> 40) % (sizeof(letters) - 1)];
	}
	for (int i = 0; i < len; i += 64)
		memcpy(out + i, unit, (size_t) (len - i < 64 ? len - i : 64));
	out[len] = '\0';
}

bool
base_n_is_null(uint64_t content)
{
	return content % 7 == 0;
}

int32_t
base_n(uint64_t content)
{
	return (int32_t) (content >> 8);
}

void
base_init(void)
{
	base = (Base){ .up = true,
				   .timeline = 1,
				   .insert = 0x1000000,
				   .clock_offset = INT64_C(1796000000) * SIM_SEC };
	for (int t = 0; t < BASE_TABLES; t++)
	{
		base.ncols[t] = 2;
		base.filenode[t] = 1000 + (uint32_t) t;
	}
	base.confirmed = base.saved = base.insert;
}

/* ---- changes ---- */

static void
apply(ModelRow rows[BASE_TABLES][BASE_KEYS], const ModelChange *c)
{
	ModelRow *old = &rows[c->table][c->old_key];
	ModelRow *row = &rows[c->table][c->key];
	ModelRow was = *old;

	if (c->op == OP_TRUNCATE)
	{
		for (int t = c->table; t < c->table + c->ntables; t++)
			memset(rows[t], 0, sizeof(rows[t]));
		return;
	}
	old->there = false;
	if (c->op == OP_DELETE)
		return;
	*row =
		(ModelRow){ true, c->content, c->len, c->ncols > 2 ? c->content : 0 };
	if (c->unchanged)
	{
		row->v = was.v;
		row->len = was.len;
	}
}

void
base_rows_at(int table, int ntxns, ModelRow *out)
{
	static ModelRow rows[BASE_TABLES][BASE_KEYS];

	memset(rows, 0, sizeof(rows));
	for (int i = 0; i < ntxns; i++)
	{
		for (int k = 0; k < base.txns[i].nchanges; k++)
			apply(rows, &base.txns[i].changes[k]);
	}
	memcpy(out, rows[table], sizeof(rows[table]));
}

/* A key that is (or is not) there; -1: none. */
static int
pick_key(int table, bool there)
{
	int n = 0;
	int chosen = -1;

	for (int k = 0; k < BASE_KEYS; k++)
	{
		if (base.rows[table][k].there == there &&
			sim_random((uint64_t) ++n) == 0)
			chosen = k;
	}
	return chosen;
}

static ModelChange
random_change(int64_t bytes)
{
	ModelChange c = { .table = (int) sim_random(BASE_TABLES) };
	int present = pick_key(c.table, true);
	int absent = pick_key(c.table, false);

	c.content = sim_random(UINT64_MAX);
	c.len = (int) (bytes > 0 ? sim_between(bytes / 2, bytes) : 0);
	c.ncols = base.ncols[c.table];
	if (sim_chance(15))
	{
		COUNT(truncates);
		c.op = OP_TRUNCATE;
		c.ntables = (int) sim_between(1, BASE_TABLES - c.table);
		return c;
	}
	if (present < 0 || (absent >= 0 && sim_chance(450)))
	{
		c.op = OP_INSERT;
		c.key = c.old_key = absent;
		return c;
	}
	c.key = c.old_key = present;
	c.op = sim_chance(250) ? OP_DELETE : OP_UPDATE;
	if (c.op == OP_DELETE)
		return c;
	if (absent >= 0 && sim_chance(200))
	{
		COUNT(key_changes);
		c.key = absent;
	}
	if (c.ncols > 2 && base.rows[c.table][present].len > 0 && sim_chance(300))
	{
		COUNT(unchanged);
		c.unchanged = true;
	}
	return c;
}

/* How many ordinals a change takes. */
static int64_t
ordinals(const ModelChange *c)
{
	if (c->op == OP_TRUNCATE)
		return c->ntables;
	return c->op == OP_UPDATE && c->key != c->old_key ? 2 : 1;
}

static ModelTxn *
txn_new(void)
{
	static uint32_t xid = 700;
	ModelTxn *t;

	base.txns =
		xrealloc(base.txns, ((size_t) base.ntxns + 1) * sizeof(*base.txns));
	t = &base.txns[base.ntxns];
	*t = (ModelTxn){ .xid = ++xid, .committed = sim_now() };
	return t;
}

/* Commit times follow the server's clock, or are an origin's. */
static int64_t
commit_time(ModelTxn *t, bool odd)
{
	int64_t us = base_clock();

	if (odd)
	{
		COUNT(origin);
		t->odd_time = true;
		us += sim_between(-4 * 3600, 2 * 3600) * SIM_SEC;
		return us;
	}
	if (us < last_time) /* the server's clock was turned back */
		t->odd_time = true;
	last_time = us;
	return us;
}

static void
txn_end(ModelTxn *t, int64_t bytes)
{
	base.insert += (Lsn) (64 + bytes + (int64_t) sim_random(400)) & ~(Lsn) 7;
	t->end = base.insert;
	memcpy(t->ncols, base.ncols, sizeof(t->ncols));
	base.ntxns++;
	sim_note(t->end);
	sim_fd_changed();
}

void
base_commit(int nchanges, int64_t bytes, bool odd_time)
{
	ModelTxn *t = txn_new();
	int64_t ordinal = 1;
	int64_t all = 0;

	t->changes = xcalloc((size_t) nchanges, sizeof(*t->changes));
	for (int i = 0; i < nchanges; i++)
	{
		ModelChange *c = &t->changes[i];

		*c = random_change(bytes / nchanges);
		c->ordinal = ordinal;
		ordinal += ordinals(c) + (sim_chance(50) ? 1 : 0);
		apply(base.rows, c);
		for (int k = 0; c->op == OP_TRUNCATE && k < c->ntables; k++)
			base.filenode[c->table + k]++;
		all += c->len + 40;
	}
	t->nchanges = nchanges;
	t->time = commit_time(t, odd_time);
	COUNT(transactions);
	COUNT_N(changes, nchanges);
	txn_end(t, all);
	sim_say("commit " LSN_FMT " xid %u, %d changes, %lld bytes",
			LSN_ARGS(t->end), t->xid, nchanges, (long long) all);
}

void
base_add_column(int table)
{
	if (base.ncols[table] == BASE_COLUMNS)
		return;
	COUNT(ddl);
	base.ncols[table]++;
	base_noise(200);
}

void
base_noise(int64_t bytes)
{
	base.insert += (Lsn) bytes & ~(Lsn) 7;
	sim_fd_changed();
}

/* ---- trouble ---- */

void
base_crash(bool promote)
{
	COUNT(server_crash);
	if (base.saved < base.confirmed)
		COUNT(confirmed_back);
	base.confirmed = base.saved;
	base.up = false;
	base.up_at = sim_now() + sim_between(0, 20 * SIM_SEC);
	if (promote)
	{
		COUNT(promoted);
		base.timeline++;
		base.switched = base.insert;
	}
	sim_say("the server crashes%s", promote ? ", and is another one" : "");
	pq_cut_all();
}

void
base_consume_slot(void)
{
	COUNT(foreign);
	base.confirmed = base.saved = base.insert;
}
