/*-------------------------------------------------------------------------
 * merge_shape.c
 *	  The exact way's statements: one per table, kind of change and set of
 *	  columns that the change does not tell.
 *
 * All take numbers of staged rows, so values never leave the server: $1 is
 * an array of them; of a change of the key, and of an update of a bag, $1 is
 * the old row and $2 the new one.  In all of them "t" is the table, "f" the
 * staged row.
 *
 * Plans are made once, when a table may still be small, and have to be good
 * when it is not: rows are looked up one by one by an index where there is
 * one that begins with a column of the key.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "merge/merge_apply.h"
#include "merge/merge_equal.h"
#include "merge/merge_step.h"

/* Is column i (from 0) named in a text like "{3,5}"? */
static bool
is_unknown(const char *unknown, int i)
{
	const char *p = unknown;

	while (p && *p)
	{
		p++;
		if (strtol(p, NULL, 10) == i + 1)
			return true;
		p = strchr(p, ',');
	}
	return false;
}

static int
column_of(const Target *t, const char *name)
{
	for (int i = 0; i < t->ncols; i++)
	{
		if (strcmp(t->cols[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* "a" = f.c1, …; false where nothing is left to be set. */
static bool
add_set(const ExactTable *t, const char *unknown, Buf *sql)
{
	const Target *target = t->m.stage->target;
	bool any = false;

	for (int i = 0; i < target->ncols; i++)
	{
		const TargetColumn *c = &target->cols[i];

		if (is_unknown(unknown, i) || (c->identity_always && !t->by_default))
			continue;
		buf_str(sql, any ? ", " : "");
		pg_add_ident(sql, c->name);
		buf_printf(sql, " = f.c%d", i + 1);
		any = true;
	}
	return any;
}

/* What cannot be set must be there already. */
static void
add_fixed(const ExactTable *t, const char *unknown, Buf *sql)
{
	const Target *target = t->m.stage->target;

	for (int i = 0; !t->by_default && i < target->ncols; i++)
	{
		const TargetColumn *c = &target->cols[i];

		if (!c->identity_always || is_unknown(unknown, i))
			continue;
		buf_printf(sql, " AND f.c%d = t.", i + 1);
		pg_add_ident(sql, c->name);
	}
}

/* t.parent = k.child AND …: row k refers to row t. */
static void
add_reference(const FactKey *k, Buf *sql)
{
	for (int i = 0; i < k->npairs; i++)
	{
		buf_str(sql, i ? " AND t." : "t.");
		pg_add_ident(sql, k->pairs[i].parent);
		buf_printf(sql, " %s k.", k->pairs[i].equal);
		pg_add_ident(sql, k->pairs[i].child);
	}
	if (k->child == k->parent)
		buf_str(sql, " AND (k.tableoid, k.ctid) <> (t.tableoid, t.ctid)");
}

/*
 * Row k goes too: its delete is in the transaction of row f, and no row of
 * its key comes behind that.
 */
static void
add_goes_along(const ExactTable *child, Buf *sql)
{
	const Stage *s = child->m.stage;

	if (!s->target->has_key)
		return;
	buf_printf(sql,
			   " AND NOT EXISTS (SELECT FROM %s s WHERE s.lsn = f.lsn"
			   " AND s.op = 'd' AND ",
			   s->name);
	equal_add_same(s, sql, "s", "k");
	buf_printf(sql,
			   " AND NOT EXISTS (SELECT FROM %s n WHERE n.lsn = s.lsn"
			   " AND n.seq > s.seq AND n.op <> 'd' AND ",
			   s->name);
	equal_add_same(s, sql, "n", "k");
	buf_str(sql, "))");
}

static bool
is_emptied(const Exact *x, uint32_t oid)
{
	for (int i = 0; i < x->ntables; i++)
	{
		if (x->tables[i].m.facts->oid == oid)
			return x->tables[i].emptied;
	}
	return false;
}

void
shape_add_guard(const Exact *x, int table, GuardKind kind, Buf *sql)
{
	uint32_t oid = x->tables[table].m.facts->oid;

	for (int i = 0; i < x->facts->nkeys; i++)
	{
		const FactKey *k = &x->facts->keys[i];

		if (k->parent != oid ||
			(kind == GUARD_ENDED && is_emptied(x, k->child)))
			continue;
		buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s k WHERE ",
				   k->child_name);
		add_reference(k, sql);
		for (int c = 0; kind == GUARD_ALONG && c < x->ntables; c++)
		{
			if (x->tables[c].m.facts->oid == k->child)
				add_goes_along(&x->tables[c], sql);
		}
		buf_byte(sql, ')');
	}
}

/*
 * Row k has a later change of its own in the transaction of row f: the row
 * s, by its key, or in a bag by the columns that refer.
 */
static void
add_own_change(const ExactTable *child, const FactKey *k, Buf *sql)
{
	const Stage *s = child->m.stage;

	buf_printf(sql,
			   " AND NOT EXISTS (SELECT FROM %s s WHERE s.lsn = f.lsn"
			   " AND s.seq > f.seq AND s.op IN ('u', 'm', 'd')",
			   s->name);
	if (s->target->has_key)
	{
		buf_str(sql, " AND ");
		equal_add_same(s, sql, "s", "k");
	}
	for (int i = 0; !s->target->has_key && i < k->npairs; i++)
	{
		int c = column_of(s->target, k->pairs[i].child);

		if (c < 0)
			continue;
		buf_printf(sql, " AND s.c%d %s k.", c + 1, s->target->cols[c].equal);
		pg_add_ident(sql, k->pairs[i].child);
	}
	buf_byte(sql, ')');
}

/* (t.parent = f.c1 AND …) IS NOT TRUE; false where none of them is told. */
static bool
add_differs(const Target *t, const FactKey *k, const char *unknown, Buf *sql)
{
	bool any = false;

	for (int i = 0; i < k->npairs; i++)
	{
		int c = column_of(t, k->pairs[i].parent);

		if (c < 0 || is_unknown(unknown, c))
			continue;
		buf_printf(sql, "%sf.c%d %s t.", any ? " AND " : "(", c + 1,
				   t->cols[c].equal);
		pg_add_ident(sql, t->cols[c].name);
		any = true;
	}
	if (any)
		buf_str(sql, ") IS NOT TRUE");
	return any;
}

/*
 * An ON UPDATE action of the target may run where each row that it changes
 * is changed by a record of its own behind it (invariant 4).
 */
static void
add_update_guard(const Exact *x, int table, const char *unknown, Buf *sql)
{
	const ExactTable *t = &x->tables[table];
	Buf differs;

	buf_init(&differs, SQL_MAX);
	for (int i = 0; i < x->facts->nkeys; i++)
	{
		const FactKey *k = &x->facts->keys[i];

		buf_reset(&differs);
		if (k->parent != t->m.facts->oid || !facts_acts(k->on_update) ||
			!add_differs(t->m.stage->target, k, unknown, &differs))
			continue;
		buf_printf(sql, " AND NOT (%s AND EXISTS (SELECT FROM %s k WHERE ",
				   buf_cstr(&differs), k->child_name);
		add_reference(k, sql);
		for (int c = 0; c < x->ntables; c++)
		{
			if (x->tables[c].m.facts->oid == k->child)
				add_own_change(&x->tables[c], k, sql);
		}
		buf_str(sql, "))");
	}
	buf_done(&differs);
}

/* A row of a bag as text. */
static void
add_image(const Stage *s, Buf *sql, const char *prefix, bool staged)
{
	buf_str(sql, "ROW(");
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_printf(sql, "%s%s.", i ? ", " : "", prefix);
		if (staged)
			buf_printf(sql, "c%d", i + 1);
		else
			pg_add_ident(sql, s->target->cols[i].name);
	}
	buf_str(sql, ")::text COLLATE \"C\"");
}

static void
add_insert(const ExactTable *t, bool keyed, Buf *sql)
{
	const Stage *s = t->m.stage;

	buf_printf(sql, "INSERT INTO %s (", s->target->name);
	apply_add_names(s, sql);
	buf_str(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	apply_add_columns(s, sql, "f");
	buf_printf(sql, " FROM %s f WHERE f.rn = ANY ($1)", s->name);
	if (keyed)
	{
		/* OFFSET 0: looked up row by row */
		buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s t WHERE ",
				   s->target->name);
		equal_add_same(s, sql, "f", "t");
		buf_str(sql, " OFFSET 0)");
		equal_add_fits(s, sql, "f");
	}
	buf_str(sql, " ORDER BY f.rn");
}

/* Where nothing can be set, the row must be there all the same. */
static void
add_change(const ExactTable *t, const char *unknown, Buf *sql)
{
	const char *name = t->m.stage->target->name;
	Buf set;

	buf_init(&set, SQL_MAX);
	if (add_set(t, unknown, &set))
		buf_printf(sql, "UPDATE %s t SET %s FROM ", name, buf_cstr(&set));
	else
		buf_printf(sql, "SELECT FROM %s t, ", name);
	buf_done(&set);
}

static void
add_update(const Exact *x, const Step *step, const char *unknown, Buf *sql)
{
	const ExactTable *t = &x->tables[step->table];
	const Stage *s = t->m.stage;
	bool move = step->kind == STEP_MOVE;

	add_change(t, unknown, sql);
	if (move)
		buf_printf(sql, "%s o, %s f WHERE o.rn = $1 AND f.rn = $2 AND ",
				   s->name, s->name);
	else
		buf_printf(sql, "%s f WHERE f.rn = ANY ($1) AND ", s->name);
	equal_add_same(s, sql, move ? "o" : "f", "t");
	equal_add_fits(s, sql, "f");
	if (!move)
		equal_add_alone(s, sql);
	add_fixed(t, unknown, sql);
	add_update_guard(x, step->table, unknown, sql);
}

/*
 * Rows move in the order of the source, if the server follows it: a unique
 * constraint that does not wait looks at each of them.
 */
void
shape_add_moves(const Exact *x, Step *const *list, int n, Buf *sql)
{
	const ExactTable *t = &x->tables[list[0]->table];
	const Stage *s = t->m.stage;

	assert(n > 0 && list[0]->kind == STEP_MOVE);
	add_change(t, "", sql);
	buf_str(sql, "(SELECT * FROM (VALUES ");
	for (int i = 0; i < n; i++)
		buf_printf(sql, "%s(%d, %lld::int8, %lld::int8)", i ? ", " : "", i,
				   (long long) list[i]->old, (long long) list[i]->rn);
	buf_printf(sql,
			   ") v (i, o, f) ORDER BY i OFFSET 0) m, %s o, %s f"
			   " WHERE o.rn = m.o AND f.rn = m.f AND ",
			   s->name, s->name);
	equal_add_same(s, sql, "o", "t");
	equal_add_fits(s, sql, "f");
	add_fixed(t, "", sql);
	add_update_guard(x, list[0]->table, "", sql);
}

static void
add_delete(const Exact *x, int table, bool along, Buf *sql)
{
	const Stage *s = x->tables[table].m.stage;

	buf_printf(sql, "DELETE FROM %s t USING %s f WHERE f.rn = ANY ($1) AND ",
			   s->target->name, s->name);
	equal_add_same(s, sql, "f", "t");
	equal_add_alone(s, sql);
	shape_add_guard(x, table, along ? GUARD_ALONG : GUARD_STRICT, sql);
}

/* As many equal rows as were sent go. */
static void
add_bag_delete(const Exact *x, int table, Buf *sql)
{
	const Stage *s = x->tables[table].m.stage;

	buf_printf(sql,
			   "DELETE FROM %s t USING (SELECT oid, tid FROM (SELECT"
			   " b.tableoid AS oid, b.ctid AS tid, d.n,"
			   " row_number() OVER (PARTITION BY d.image) AS k FROM %s b"
			   " JOIN (SELECT ",
			   s->target->name, s->target->name);
	add_image(s, sql, "f", true);
	buf_printf(sql,
			   " AS image, count(*) AS n FROM %s f WHERE f.rn = ANY ($1)"
			   " GROUP BY 1) d ON d.image = ",
			   s->name);
	add_image(s, sql, "b", false);
	buf_str(sql, ") y WHERE k <= n) h"
				 " WHERE t.tableoid = h.oid AND t.ctid = h.tid");
	shape_add_guard(x, table, GUARD_STRICT, sql);
}

static void
add_bag_update(const Exact *x, int table, Buf *sql)
{
	const ExactTable *t = &x->tables[table];
	const Stage *s = t->m.stage;

	add_change(t, "", sql);
	buf_printf(sql,
			   "%s f WHERE f.rn = $2 AND (t.tableoid, t.ctid) ="
			   " (SELECT b.tableoid, b.ctid FROM %s b, %s o WHERE o.rn = $1"
			   " AND ",
			   s->name, s->target->name, s->name);
	add_image(s, sql, "b", false);
	buf_str(sql, " = ");
	add_image(s, sql, "o", true);
	buf_str(sql, " LIMIT 1)");
	add_fixed(t, "", sql);
	add_update_guard(x, table, "", sql);
}

static void
add_statement(const Exact *x, const Step *s, const char *unknown, Buf *sql)
{
	switch (s->kind)
	{
		case STEP_INSERT:
		case STEP_BAG_INSERT:
			add_insert(&x->tables[s->table], s->kind == STEP_INSERT, sql);
			break;
		case STEP_UPDATE:
		case STEP_MOVE:
			add_update(x, s, unknown, sql);
			break;
		case STEP_DELETE:
		case STEP_DELETE_ALONG:
			add_delete(x, s->table, s->kind == STEP_DELETE_ALONG, sql);
			break;
		case STEP_BAG_DELETE:
			add_bag_delete(x, s->table, sql);
			break;
		case STEP_BAG_UPDATE:
			add_bag_update(x, s->table, sql);
			break;
		case STEP_MARK:
		case STEP_CUT:
			break; /* no statement of this kind */
	}
}

static bool
prepare(Exact *x, const Step *s, const char *unknown, const char *name,
		Err *err)
{
	const ExactTable *t = &x->tables[s->table];
	bool pair = s->kind == STEP_MOVE || s->kind == STEP_BAG_UPDATE;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SET LOCAL enable_hashjoin = %s; PREPARE %s (%s) AS ",
			   t->m.facts->indexed ? "off" : "on", name,
			   pair ? "int8, int8" : "int8[]");
	add_statement(x, s, unknown, &sql);
	/* this makes the plan, under the setting */
	buf_printf(&sql, "; EXPLAIN EXECUTE %s(%s)", name, pair ? "0, 0" : "'{}'");
	ok = sql.overflow
			 ? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
			 : sql_run(x->cx, "prepare a change", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

bool
shape_name(Exact *x, const Step *s, const char **out, Err *err)
{
	ExactTable *t = &x->tables[s->table];
	int unk = s->kind == STEP_UPDATE || s->kind == STEP_MOVE ? s->unk : 0;
	Shape *new;

	for (int i = 0; i < t->nshapes; i++)
	{
		if (t->shapes[i]->kind == s->kind && t->shapes[i]->unk == unk)
		{
			*out = t->shapes[i]->name;
			return true;
		}
	}
	new = xcalloc(1, sizeof(*new)); /* its name is borrowed by calls */
	new->kind = s->kind;
	new->unk = unk;
	/*
	 * An error leaves statements behind, and a pooler may hand their session to
	 * the next merge.
	 */
	(void) snprintf(new->name, sizeof(new->name), "cdc_s3_step_%llx_%d",
					(unsigned long long) clock_unix_us(),
					++x->names); /* fits */
	if (!prepare(x, s, unk ? t->unknown[unk - 1] : "", new->name, err))
	{
		free(new);
		return false;
	}
	t->shapes =
		xrealloc(t->shapes, ((size_t) t->nshapes + 1) * sizeof(*t->shapes));
	t->shapes[t->nshapes++] = new;
	*out = new->name;
	return true;
}

bool
shape_forget(Exact *x, int table, Err *err)
{
	ExactTable *t = &x->tables[table];
	char sql[80];
	bool ok = true;

	for (int i = 0; ok && i < t->nshapes; i++)
	{
		(void) snprintf(sql, sizeof(sql), "DEALLOCATE %s",
						t->shapes[i]->name); /* fits */
		ok = sql_run(x->cx, "forget a statement", sql, NULL, err);
	}
	for (int i = 0; i < t->nshapes; i++)
		free(t->shapes[i]);
	t->nshapes = 0;
	return ok;
}
