/*-------------------------------------------------------------------------
 * against_table.c
 *	  The comparison of one table, pass by pass.
 *
 * A pass folds the lake's records of some keys to the rows that they leave,
 * then reads the server's rows beside them; what is equal is taken out, so
 * that at the end only rows are left which the server lacks.  How many keys a
 * pass has the memory decides (against_fold.h); each reads all of the lake's
 * objects of the table, and the table.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/against.h"

#define NOTES_MAX ((size_t) 64 << 10)
#define TEXT_MAX ((size_t) 8 << 10)

typedef struct Pass
{
	Against *a;
	AgainstResult *r;
	LakeTable lake;
	AgainstShape shape;
	AgainstVersion other; /* the server's schema */
	Fold *fold;
	AgainstRow row;
	AgainstRow old;
	bool first;         /* what is no count of rows is counted once */
	const char *unsure; /* why the rows are not known; NULL: they are */
} Pass;

void
against_result_init(AgainstResult *r)
{
	*r = (AgainstResult){ 0 };
	buf_init(&r->notes, NOTES_MAX);
}

void
against_result_done(AgainstResult *r)
{
	for (int i = 0; i < r->ndiffs; i++)
	{
		free(r->diffs[i].text);
		free(r->diffs[i].columns);
	}
	free(r->diffs);
	buf_done(&r->notes);
}

void
against_note(AgainstResult *r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap); /* a cut is fine */
	va_end(ap);
	buf_str(&r->notes, r->notes.n > 0 ? "; " : "");
	buf_str(&r->notes, text);
}

/* ---- columns ---- */

static const SchemaColumn *
find_other(const Pass *p, const SchemaColumn *c)
{
	const Schema *s = p->other.schema;

	if (!p->a->target)
		return view_find(s, c->attnum);
	for (int i = 0; i < s->ncols; i++)
	{
		if (strcmp(s->cols[i].name, c->name) == 0)
			return &s->cols[i];
	}
	return NULL;
}

static const char *
where(const Pass *p)
{
	return p->a->target ? "target" : "source";
}

/* A column that the server's table does not have. */
static void
lacks_column(Pass *p, const SchemaColumn *c)
{
	AgainstResult *r = p->r;

	against_note(r, "the %s has no column \"%s\"", where(p), c->name);
	if (c->key)
		(void) snprintf(r->why, sizeof(r->why),
						"the %s has no column \"%.128s\" of the key", where(p),
						c->name);
	else if (p->a->target && !c->generated)
		r->unknown++;
}

static void
add_column(Pass *p, const SchemaColumn *c, const SchemaColumn *o)
{
	AgainstColumn *col = &p->shape.cols[p->shape.n++];

	*col = (AgainstColumn){ .name = xstrdup(c->name),
							.attnum = c->attnum,
							.key = c->key,
							.number = (int) (o - p->other.schema->cols),
							.missing = CELL_NULL,
							.missing_key = CELL_NULL };
	if (strcmp(c->type_name, o->type_name) != 0 || c->typmod != o->typmod)
		against_note(p->r, "column \"%s\" has another type at the %s", c->name,
					 where(p));
}

/* Columns that the server alone has. */
static void
note_others(Pass *p)
{
	const Schema *s = p->other.schema;

	for (int i = 0; i < s->ncols; i++)
	{
		bool known = false;

		for (int k = 0; !known && k < p->shape.n; k++)
			known = p->shape.cols[k].number == i;
		if (!known)
			against_note(p->r, "column \"%s\" of the %s is not in the lake",
						 s->cols[i].name, where(p));
	}
}

static void
make_shape(Pass *p)
{
	const Schema *now = p->lake.now;

	p->shape.bag = schema_is_bag(now) || !schema_has_key(now);
	p->shape.cols = xcalloc((size_t) now->ncols + 1, sizeof(*p->shape.cols));
	for (int i = 0; i < now->ncols; i++)
	{
		const SchemaColumn *o = find_other(p, &now->cols[i]);

		if (o)
			add_column(p, &now->cols[i], o);
		else
			lacks_column(p, &now->cols[i]);
	}
	note_others(p);
	p->other.columns = xcalloc((size_t) p->shape.n + 1, sizeof(int));
	for (int i = 0; i < p->shape.n; i++)
		p->other.columns[i] = p->shape.cols[i].number;
	lake_shape(&p->lake, &p->shape);
	against_row_init(&p->row, p->shape.n);
	against_row_init(&p->old, p->shape.n);
}

/* What the column's first version says of rows that are older. */
static const SchemaColumn *
missing_of(const Pass *p, int attnum)
{
	for (int i = 0; i < p->lake.nversions; i++)
	{
		const SchemaColumn *c = view_find(p->lake.versions[i].schema, attnum);

		if (c && c->has_missing)
			return c;
	}
	return NULL;
}

static bool
take_missing(void *arg, const Record *r, Err *err)
{
	Pass *p = arg;

	if (!against_row_fill(&p->row, &p->shape, &p->other, r->row, err))
		return false;
	for (int i = 0; i < p->shape.n; i++)
	{
		AgainstColumn *c = &p->shape.cols[i];
		const SchemaColumn *m = missing_of(p, c->attnum);

		if (!m)
			continue;
		c->missing = m->missing ? p->row.cells[i] : CELL_UNKNOWN;
		c->missing_key = m->missing ? p->row.second[i] : CELL_UNKNOWN;
	}
	return true;
}

/* The server reads these values, so that they get the form of all others. */
static bool
read_missing(Pass *p, Err *err)
{
	const Schema *s = p->other.schema;
	const char **texts = xcalloc((size_t) s->ncols + 1, sizeof(*texts));
	bool any = false;
	bool ok;

	for (int i = 0; i < p->shape.n; i++)
	{
		const SchemaColumn *m = missing_of(p, p->shape.cols[i].attnum);

		texts[p->shape.cols[i].number] = m ? m->missing : NULL;
		any = any || m;
	}
	ok = !any || side_values(&p->a->side, s, texts, take_missing, p, err);
	free(texts);
	return ok;
}

/* ---- the lake's rows ---- */

static bool
no_key(const Record *r, Err *err)
{
	return err_set(err, ERR_GAP, 0,
				   "a record at LSN " LSN_FMT ", %" PRId64
				   " does not tell its key",
				   LSN_ARGS(r->pos.lsn), r->pos.seq);
}

/* The key of some fields, by row. */
static bool
key_of(Pass *p, AgainstRow *row, const AgainstVersion *v, const Record *r,
	   const RecordField *fields, FoldKey *out, Err *err)
{
	return against_row_fill(row, &p->shape, v, fields, err) &&
		   (against_row_key(row, &p->shape, out) || no_key(r, err));
}

/* What an update did not touch, from the row that was there; or unknown. */
static void
carry(Pass *p, const uint64_t *old)
{
	for (int i = 0; i < p->shape.n; i++)
	{
		uint64_t *c = &p->row.cells[i];

		if (*c == CELL_UNCHANGED || *c == CELL_ABSENT)
			*c = old && *c == CELL_UNCHANGED ? old[i] : CELL_UNKNOWN;
	}
}

static bool
fold_row(Pass *p, const Record *r, const AgainstVersion *v, Err *err)
{
	size_t bytes = (size_t) p->shape.n * sizeof(uint64_t);
	FoldKey key;
	FoldKey before;
	uint64_t *words;

	if (r->op == 'd')
	{
		if (!key_of(p, &p->row, v, r, r->row, &key, err))
			return false;
		fold_take(p->fold, key);
		return true;
	}
	if (r->has_key && !key_of(p, &p->old, v, r, r->key, &before, err))
		return false;
	if (!key_of(p, &p->row, v, r, r->row, &key, err))
		return false;
	carry(p,
		  r->op == 'u' ? fold_get(p->fold, r->has_key ? before : key) : NULL);
	if (r->has_key)
		fold_take(p->fold, before);
	if (!fold_put(p->fold, key, &words, err))
		return false;
	if (words)
		memcpy(words, p->row.cells, bytes);
	return true;
}

static bool
count_row(Pass *p, FoldKey key, int64_t by, Err *err)
{
	uint64_t *words;

	if (!fold_put(p->fold, key, &words, err))
		return false;
	if (!words)
		return true;
	*words += (uint64_t) by;
	if (*words == 0)
		fold_take(p->fold, key);
	return true;
}

/* Rows without a key: one more, one less. */
static bool
fold_equal_rows(Pass *p, const Record *r, const AgainstVersion *v, Err *err)
{
	bool goes = r->op == 'd' || r->op == 'u';
	const RecordField *old = r->has_before ? r->before : r->row;
	FoldKey key;

	if (r->op == 'u' && !r->has_before)
		return no_key(r, err);
	if (goes && (!key_of(p, &p->old, v, r, old, &key, err) ||
				 !count_row(p, key, -1, err)))
		return false;
	if (r->op == 'd')
		return true;
	if (!against_row_fill(&p->row, &p->shape, v, r->row, err))
		return false;
	for (int i = 0; i < p->shape.n; i++)
	{
		if (goes && p->row.cells[i] == CELL_UNCHANGED)
		{
			p->row.cells[i] = p->old.cells[i];
			p->row.second[i] = p->old.second[i];
		}
		if (p->first && p->row.cells[i] == CELL_UNKNOWN)
			p->r->unknown++;
	}
	return (against_row_key(&p->row, &p->shape, &key) || no_key(r, err)) &&
		   count_row(p, key, 1, err);
}

static bool
fold_record(void *arg, const Record *r, const AgainstVersion *v, Err *err)
{
	Pass *p = arg;

	if (r->op == 't' && !r->partial)
	{
		fold_clear(p->fold);
		p->unsure = NULL;
	}
	else if (r->op == 't')
		p->unsure = "some of its partitions were truncated";
	else if (r->op == 's')
		p->unsure = "rows of it changed at the source without change events";
	else if (r->no_key)
		p->unsure = "rows of it changed, and nobody can tell which: it has no "
					"replica identity";
	else if (p->shape.bag)
		return fold_equal_rows(p, r, v, err);
	else
		return fold_row(p, r, v, err);
	return true;
}

static void
sum_row(void *arg, FoldKey key, uint64_t *words)
{
	Pass *p = arg;
	int64_t n = p->shape.bag ? (int64_t) *words : 1;

	p->r->rows += n;
	p->r->hash += (uint64_t) n *
				  against_row_hash(key, words, p->shape.bag ? 0 : p->shape.n);
}

/* ---- the server's rows ---- */

static AgainstDiff *
add_diff(Pass *p, AgainstKind kind, FoldKey key)
{
	AgainstResult *r = p->r;

	if (r->found[kind]++ >= p->a->keys)
		return NULL;
	r->diffs = xrealloc(r->diffs, ((size_t) r->ndiffs + 1) * sizeof(*r->diffs));
	r->diffs[r->ndiffs] = (AgainstDiff){ .kind = kind, .key = key };
	return &r->diffs[r->ndiffs++];
}

static bool
name_diff(const Pass *p, AgainstDiff *d, const AgainstVersion *v,
		  const RecordField *fields, Err *err)
{
	Buf b;
	bool ok;

	if (!d)
		return true;
	buf_init(&b, TEXT_MAX);
	ok = against_row_text(&p->shape, v, fields, &b, err);
	d->text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return ok;
}

static void
name_columns(const Pass *p, AgainstDiff *d, const uint64_t *lake)
{
	Buf b;

	buf_init(&b, TEXT_MAX);
	for (int i = 0; i < p->shape.n; i++)
	{
		uint64_t here = p->row.cells[i];

		if (lake[i] == here || lake[i] == CELL_UNKNOWN || here == CELL_UNKNOWN)
			continue;
		buf_str(&b, b.n > 0 ? ", " : "");
		buf_str(&b, p->shape.cols[i].name);
	}
	d->columns = xstrdup(buf_cstr(&b));
	buf_done(&b);
}

/* The row is on both sides. */
static bool
match_cells(Pass *p, FoldKey key, const uint64_t *lake, const Record *r,
			Err *err)
{
	bool differs = false;
	AgainstDiff *d;

	for (int i = 0; i < p->shape.n; i++)
	{
		uint64_t here = p->row.cells[i];

		if (lake[i] == CELL_UNKNOWN || here == CELL_UNKNOWN)
			p->r->unknown++;
		else
			differs = differs || lake[i] != here;
	}
	if (!differs)
		return true;
	d = add_diff(p, AGAINST_CHANGED, key);
	if (d)
		name_columns(p, d, lake);
	return name_diff(p, d, &p->other, r->row, err);
}

static bool
match_row(void *arg, const Record *r, Err *err)
{
	Pass *p = arg;
	FoldKey key;
	uint64_t *lake;

	if (!key_of(p, &p->row, &p->other, r, r->row, &key, err))
		return false;
	if (!fold_has_shard(p->fold, key))
		return true;
	p->r->other_rows++;
	p->r->other_hash +=
		against_row_hash(key, p->row.cells, p->shape.bag ? 0 : p->shape.n);
	lake = fold_get(p->fold, key);
	if (!lake || (p->shape.bag && (int64_t) *lake <= 0))
		return name_diff(p, add_diff(p, AGAINST_EXTRA, key), &p->other, r->row,
						 err);
	if (p->shape.bag && --*lake > 0)
		return true;
	if (!p->shape.bag && !match_cells(p, key, lake, r, err))
		return false;
	fold_take(p->fold, key);
	return true;
}

static void
note_missing(void *arg, FoldKey key, uint64_t *words)
{
	Pass *p = arg;
	int64_t n = p->shape.bag ? (int64_t) *words : 1;

	for (; n > 0; n--)
		(void) add_diff(p, AGAINST_MISSING, key);
}

/* A record of the lake that has the key of a row which the server lacks. */
static bool
name_missing(void *arg, const Record *r, const AgainstVersion *v, Err *err)
{
	Pass *p = arg;
	FoldKey key;

	if (r->op != 'r' && r->op != 'i' && r->op != 'u')
		return true;
	if (!against_row_fill(&p->row, &p->shape, v, r->row, err))
		return false;
	if (!against_row_key(&p->row, &p->shape, &key))
		return true; /* the record before it told the row */
	for (int i = 0; i < p->r->ndiffs; i++)
	{
		AgainstDiff *d = &p->r->diffs[i];

		if (!d->text && memcmp(&d->key, &key, sizeof(key)) == 0 &&
			!name_diff(p, d, v, r->row, err))
			return false;
	}
	return true;
}

/* ---- all of it ---- */

static bool
pass(Pass *p, const WantedTable *wanted, int from, Err *err)
{
	fold_begin(p->fold, from);
	p->unsure = NULL;
	log_info("comparing", "schema", p->r->schema, "table", p->r->table, "pass",
			 log_int(p->r->passes + 1), "keys",
			 log_int(100 * (int64_t) from / FOLD_SHARDS), NULL);
	if (!lake_walk(&p->lake, fold_record, p, err))
		return false;
	if (p->unsure)
	{
		(void) snprintf(p->r->why, sizeof(p->r->why),
						"%s; cdc-s3 snapshot loads it anew", p->unsure);
		return true;
	}
	fold_each(p->fold, sum_row, p);
	if (!side_rows(&p->a->side, p->other.schema, wanted, match_row, p, err))
		return false;
	fold_each(p->fold, note_missing, p);
	p->r->passes++;
	return true;
}

static bool
compare(Pass *p, const WantedTable *wanted, Err *err)
{
	int from = 0;

	p->fold = fold_new(p->shape.bag ? 1 : p->shape.n,
					   (size_t) p->a->cfg->memory_limit / 2);
	for (p->first = true; from < FOLD_SHARDS; p->first = false)
	{
		if (!pass(p, wanted, from, err))
			return false;
		if (p->r->why[0])
			return true;
		from = p->fold->to;
	}
	fold_begin(p->fold, 0);
	p->r->compared = true;
	return p->r->found[AGAINST_MISSING] == 0 ||
		   lake_walk(&p->lake, name_missing, p, err);
}

static bool
begin(Pass *p, const WantedTable *wanted, Err *err)
{
	if (!side_describe(&p->a->side, wanted, &p->other.schema, err))
		return false;
	if (!p->other.schema)
	{
		(void) snprintf(p->r->why, sizeof(p->r->why),
						"it is not there any more"); /* fits */
		return true;
	}
	make_shape(p);
	return p->r->why[0] || read_missing(p, err);
}

bool
against_table(Against *a, const PlanTable *t, Lsn until,
			  const WantedTable *wanted, AgainstResult *r, Err *err)
{
	Pass p = { .a = a, .r = r };
	bool ok;

	ok = lake_open(&a->cx, t, until, &p.lake, r->why, err);
	if (ok && t->lost)
	{
		r->expired = true;
		(void) snprintf(r->why, sizeof(r->why),
						"objects of it have expired; cdc-s3 snapshot loads it "
						"anew"); /* fits */
	}
	if (ok && !r->why[0])
		ok = begin(&p, wanted, err) && (r->why[0] || compare(&p, wanted, err));
	fold_free(p.fold);
	against_row_done(&p.row);
	against_row_done(&p.old);
	free(p.other.columns);
	schema_free(p.other.schema);
	against_shape_done(&p.shape);
	lake_done(&p.lake);
	return ok || err_prefix(err, "table \"%s.%s\"", r->schema, r->table);
}
