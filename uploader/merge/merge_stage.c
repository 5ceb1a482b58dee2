/*-------------------------------------------------------------------------
 * merge_stage.c
 *	  Records of one table from the lake to a temporary table of the target.
 *
 * Rows travel in pieces, each a COPY under a savepoint.  When the target
 * refuses a piece it is halved until the bad record stands alone.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_bound.h"
#include "merge/merge_hurry.h"
#include "merge/merge_objects.h"
#include "merge/merge_value.h"

static bool
run_ddl(Stage *s, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "CREATE TEMP TABLE %s (rn int8, lsn pg_lsn, seq int8, sub int2,"
			   " op \"char\", unk int2[]",
			   s->name + strlen("pg_temp."));
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		buf_printf(&sql, ", c%d %s", i + 1, c->type);
		if (c->collation[0])
			buf_printf(&sql, " COLLATE %s", c->collation);
	}
	for (int i = 0; i < s->target->ncols; i++)
		form_add_column(&s->target->cols[i].form, i + 1, &sql);
	buf_str(&sql, ") ON COMMIT DROP");
	ok = sql_run(s->cx, "create a staging table", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

/* What rows of a version have in a column that it lacks; NULL: nothing. */
static const char *
missing_value(const PlanTable *table, const Schema *schema, const char *column)
{
	const Schema *now = table->now;

	for (int i = 0; now && i < now->ncols; i++)
	{
		const SchemaColumn *c = &now->cols[i];

		if (strcmp(c->name, column) == 0)
			return now->relation_id == schema->relation_id &&
						   !view_find(schema, c->attnum)
					   ? view_missing(&table->view, c)
					   : NULL;
	}
	return NULL;
}

static void
map_missing(const PlanTable *table, const Target *t, StageVersion *v)
{
	v->missing = xcalloc((size_t) t->ncols + 1, sizeof(char *));
	for (int i = 0; i < t->ncols; i++)
	{
		const char *value =
			v->columns[i] < 0 ? missing_value(table, v->schema, t->cols[i].name)
							  : NULL;
		Buf text;

		if (!value)
			continue;
		buf_init(&text, LINE_MAX_BYTES);
		value_add_escaped(&text, slice_cstr(value));
		v->missing[i] = xstrdup(buf_cstr(&text));
		buf_done(&text);
	}
}

static void
map_version(const Target *t, Schema *schema, StageVersion *v)
{
	v->schema = schema;
	v->columns = xmalloc(((size_t) t->ncols + 1) * sizeof(int));
	for (int i = 0; i < t->ncols; i++)
	{
		v->columns[i] = -1;
		for (int k = 0; k < schema->ncols; k++)
		{
			if (strcmp(schema->cols[k].name, t->cols[i].name) == 0)
				v->columns[i] = k;
		}
	}
}

bool
stage_open(MergeCx *cx, const PlanTable *table, const Target *target,
		   Schema **schemas, int nschemas, int number, bool replace,
		   Stage **out, Err *err)
{
	Stage *s = xcalloc(1, sizeof(*s));

	s->cx = cx;
	s->table = table;
	s->target = target;
	s->nversions = nschemas;
	s->versions = xcalloc((size_t) nschemas, sizeof(*s->versions));
	for (int i = 0; i < nschemas; i++)
	{
		map_version(target, schemas[i], &s->versions[i]);
		map_missing(table, target, &s->versions[i]);
		late_map(target, &s->versions[i]);
	}
	s->unknown = xcalloc((size_t) target->ncols + 1, sizeof(bool));
	(void) snprintf(s->name, sizeof(s->name), "pg_temp.cdc_s3_stage_%d",
					number); /* fits */
	if (replace)
	{
		s->empty_base = s->barrier_set = true;
		s->barrier = (RecordPos){ table->load_lsn, PLAN_LOAD_SEQ - 1 };
	}
	s->piece = piece_new(s->name);
	memcpy(s->hash, schemas[nschemas - 1]->hash, sizeof(s->hash));
	if (!run_ddl(s, err))
	{
		stage_free(s);
		return false;
	}
	*out = s;
	return true;
}

void
stage_free(Stage *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->nversions; i++)
	{
		for (int k = 0; k < s->target->ncols; k++)
			free(s->versions[i].missing[k]);
		free(s->versions[i].missing);
		free(s->versions[i].columns);
	}
	free(s->versions);
	for (int i = 0; i < s->ncuts; i++)
		free(s->cuts[i].condition);
	free(s->cuts);
	free(s->unknown);
	free(s->objects);
	hurry_free(s->hurry);
	piece_free(s->piece);
	free(s);
}

void
stage_add_condition(const Stage *s, Buf *sql)
{
	const char *word = " WHERE";

	if (s->barrier_set)
	{
		buf_printf(sql,
				   " WHERE (lsn, seq) > ('" LSN_FMT "'::pg_lsn, %lld::int8)",
				   LSN_ARGS(s->barrier.lsn), (long long) s->barrier.seq);
		word = " AND";
	}
	if (s->until_set)
		buf_printf(sql, "%s (lsn, seq) < ('" LSN_FMT "'::pg_lsn, %lld::int8)",
				   word, LSN_ARGS(s->until.lsn), (long long) s->until.seq);
}

void
stage_add_key(const Stage *s, Buf *sql, const char *prefix)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].key)
			continue;
		buf_printf(sql, "%s%sc%d", first ? "" : ", ", prefix, i + 1);
		first = false;
	}
}

void
stage_add_match(const Stage *s, Buf *sql, const char *left, const char *right)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->key)
			continue;
		buf_printf(sql, "%s%s.c%d %s %s.", first ? "" : " AND ", left, i + 1,
				   c->equal, right);
		pg_add_ident(sql, c->name);
		first = false;
	}
}

static void
raise_barrier(Stage *s, RecordPos pos)
{
	s->empty_base = true;
	if (!s->barrier_set || record_pos_after(pos, s->barrier))
		s->barrier = pos;
	s->barrier_set = true;
	s->truncates++;
}

bool
stage_counts(const Stage *s, const Record *r)
{
	return !s->barrier_set || record_pos_after(r->pos, s->barrier);
}

void
stage_note_resync(Stage *s, RecordPos pos, const char *reason)
{
	if (s->resync_set && !record_pos_after(pos, s->resync))
		return;
	s->resync_set = true;
	s->resync = pos;
	(void) snprintf(s->resync_reason, sizeof(s->resync_reason), "%s",
					reason); /* fits */
}

/* " OR (condition)"; *known false where the partition's bound is not. */
static bool
add_bound(const Schema *schema, Slice part, Buf *sql, Buf *text, bool *known,
		  Err *err)
{
	JsonCursor c;
	JsonMember m;

	if (!json_open_object(&c, part, err))
		return false;
	buf_reset(text);
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			break;
		if (json_equals(m.name, m.escaped, "bound") &&
			m.value.kind == JSON_STRING &&
			!json_unescape(json_inner(&m.value), text, err))
			return false;
	}
	buf_str(sql, sql->n > 0 ? " OR (" : "(");
	*known = *known && bound_to_sql(buf_slice(text), schema, sql);
	buf_byte(sql, ')');
	return true;
}

/* Does a bound name a column that the target compares otherwise? */
static bool
names_coarse(const Target *t, const char *sql)
{
	bool found = false;

	for (int i = 0; !found && i < t->ncols; i++)
	{
		Buf name;

		if (!t->cols[i].form.coarse)
			continue;
		buf_init(&name, SQL_MAX);
		pg_add_ident(&name, t->cols[i].name);
		found = strstr(sql, buf_cstr(&name)) != NULL;
		buf_done(&name);
	}
	return found;
}

/* Some partitions were truncated: a cut, or nobody knows which rows went. */
static bool
take_cut(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	bool known = r->parts.kind == JSON_ARRAY;
	JsonCursor c;
	JsonValue item;
	Buf sql;
	Buf text;
	bool ok = !known || json_open_array(&c, r->parts.text, err);

	buf_init(&sql, SQL_MAX);
	buf_init(&text, SQL_MAX);
	while (ok && known)
	{
		ok = json_next_item(&c, &item, err);
		if (!ok || c.done)
			break;
		ok = add_bound(v->schema, item.text, &sql, &text, &known, err);
	}
	/* what the target holds equal, the bound may tell apart */
	known = known && !names_coarse(s->target, buf_cstr(&sql));
	if (ok && known && sql.n > 0 && !sql.overflow)
	{
		s->cuts = xrealloc(s->cuts, ((size_t) s->ncuts + 1) * sizeof(*s->cuts));
		s->cuts[s->ncuts++] = (StageCut){ r->pos, xstrdup(buf_cstr(&sql)) };
		s->truncates++;
	}
	else if (ok)
		stage_note_resync(s, r->pos, "truncate");
	buf_done(&sql);
	buf_done(&text);
	return ok;
}

static int
compare_cuts(const void *a, const void *b)
{
	const StageCut *x = a;
	const StageCut *y = b;

	return record_pos_after(x->pos, y->pos)   ? 1
		   : record_pos_after(y->pos, x->pos) ? -1
											  : 0;
}

/* What lies before the barrier, which may have come later, is over. */
static void
settle_cuts(Stage *s)
{
	int kept = 0;

	for (int i = 0; i < s->ncuts; i++)
	{
		if (s->barrier_set && !record_pos_after(s->cuts[i].pos, s->barrier))
			free(s->cuts[i].condition);
		else
			s->cuts[kept++] = s->cuts[i];
	}
	s->ncuts = kept;
	if (kept > 1)
		qsort(s->cuts, (size_t) kept, sizeof(*s->cuts), compare_cuts);
	s->whole_base = s->barrier_set;
	s->base = s->barrier;
	if (s->barrier_set && !record_pos_after(s->resync, s->barrier))
		s->resync_set = false;
}

void
stage_set_barrier(Stage *s, RecordPos pos)
{
	raise_barrier(s, pos);
	settle_cuts(s);
}

/* A record that does not reach the staging table. */
static bool
refuse_line(Stage *s, PieceItem item, Slice line, Err *err)
{
	char reason[sizeof(err->msg)];

	memcpy(reason, err->msg, sizeof(reason));
	return piece_flush(s, err) &&
		   piece_refuse(s, &item, line, 0, 0, "", reason, err);
}

void
stage_count_op(MergeOps *ops, char op)
{
	int64_t *count = op == 'r'   ? &ops->loads
					 : op == 'i' ? &ops->inserts
					 : op == 'u' ? &ops->updates
					 : op == 'd' ? &ops->deletes
					 : op == 't' ? &ops->truncates
								 : &ops->others;

	(*count)++;
}

/* A row of a load for the table itself. */
static bool
load_row(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	bool whole;

	if (!piece_add_values(s, v, r, &whole, err))
		return err->kind == ERR_DATA ? hurry_object(s->hurry, err) : false;
	return whole ? hurry_load(s->hurry, buf_slice(&s->piece->rows), err)
				 : hurry_object(s->hurry, err);
}

/* Nothing of a record is kept here: what is refused is read again. */
static bool
take_in_hurry(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	StagePiece *p = s->piece;
	int64_t partial = s->partial;
	int64_t moves = s->moves;

	piece_empty(&p->rows);
	piece_empty(&p->lines);
	if (r->op == 'r' && s->direct)
		return load_row(s, v, r, err);
	if (!piece_add_rows(s, v, r, err))
		return err->kind == ERR_DATA ? hurry_object(s->hurry, err) : false;
	return hurry_stage(
		s->hurry, buf_slice(&p->rows), buf_slice(&p->lines),
		!s->target->has_key || s->partial > partial || s->moves > moves, err);
}

static bool
stage_line(Stage *s, const StageVersion *v, Slice line, Err *err)
{
	StagePiece *p = s->piece;
	Record *r = &p->record;
	PieceItem item = { .row = p->rows.n, .line = p->lines.n, .version = v };
	int64_t rows = s->rows;
	bool taken = false;

	if (s->hurry && !late_take(s, v, line, &taken, err))
		return false;
	if (taken)
		return true;
	if (!record_parse(r, v->schema, line, err))
		return false; /* the lake itself is wrong: no row to reject */
	if (r->moved)
		return true; /* the update behind it is all of the change */
	item.pos = r->pos;
	item.op = r->op;
	if (!stage_counts(s, r))
		return true;
	s->records++;
	stage_count_op(&s->ops, r->op);
	if (s->hurry &&
		!hurry_note(s->hurry, r->pos, r->op == 't' || r->op == 's', err))
		return false;
	if (r->op == 't' && !r->partial)
	{
		raise_barrier(s, r->pos);
		return true;
	}
	if (r->op == 't')
		return take_cut(s, v, r, err);
	if (r->op == 's')
	{
		stage_note_resync(s, r->pos, r->reason);
		return true;
	}
	if (s->hurry)
		return take_in_hurry(s, v, r, err);
	if (r->op == 'r' && s->direct)
		return true; /* it is in the table */
	if (!piece_add_rows(s, v, r, err))
	{
		if (err->kind != ERR_DATA)
			return false;
		p->rows.n = item.row;
		s->rows = rows;
		return refuse_line(s, item, line, err);
	}
	return piece_keep(s, &item, line, err);
}

bool
stage_analyze(Stage *s, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "ANALYZE %s (rn, lsn, seq, op", s->name);
	if (s->target->has_key)
	{
		buf_str(&sql, ", ");
		stage_add_key(s, &sql, "");
	}
	buf_byte(&sql, ')');
	ok = sql_run(s->cx, "analyze a staging table", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

/* Behind the last object: the rest of the rows, and statistics. */
static bool
finish(Stage *s, Err *err)
{
	if (s->hurry ? !hurry_end(s->hurry, err) : !piece_flush(s, err))
		return false;
	settle_cuts(s);
	return stage_analyze(s, err);
}

static const StageVersion *
version_of(const Stage *s, const EntryObject *o)
{
	for (int i = 0; i < s->nversions; i++)
	{
		if (strcmp(s->versions[i].schema->hash, o->hash) == 0)
			return &s->versions[i];
	}
	return NULL;
}

static bool
read_lines(Stage *s, ObjectsReader *r, const StageVersion *const *versions,
		   Err *err)
{
	progress_table(s->cx->progress, s->target->schema, s->target->table);
	for (;;)
	{
		Slice line;
		int object;

		if (!objects_next(r, &line, &object, err))
			return false;
		if (object < 0)
			return true;
		if (!stage_line(s, versions[object], line, err))
			return objects_wrong_line(r, err);
		s->lines++;
		s->cx->progress->read++;
	}
}

static bool
read_objects(Stage *s, Err *err)
{
	size_t n = (size_t) s->nobjects;
	const StageVersion **versions = xcalloc(n + 1, sizeof(*versions));
	const Schema **schemas = xcalloc(n + 1, sizeof(*schemas));
	ObjectsReader *r = objects_new(s->cx, s->objects, schemas, s->nobjects);
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++)
	{
		versions[i] = version_of(s, s->objects[i]);
		if (!versions[i])
			ok = err_set(err, ERR_INTERNAL, 0, "schema %s was not read",
						 s->objects[i]->hash);
		else
			schemas[i] = versions[i]->schema;
	}
	ok = ok && read_lines(s, r, versions, err);
	objects_free(r);
	free(schemas);
	free(versions);
	return ok && finish(s, err);
}

/* As if nothing had been read yet. */
static void
start_anew(Stage *s)
{
	s->empty_base = s->start_empty;
	s->barrier_set = s->start_set;
	s->barrier = s->start;
	for (int i = 0; i < s->ncuts; i++)
		free(s->cuts[i].condition);
	s->ncuts = 0;
	s->whole_base = s->resync_set = false;
	memset(s->unknown, 0, (size_t) s->target->ncols * sizeof(bool));
	s->records = s->rows = s->partial = s->moves = 0;
	s->updates = s->deletes = s->truncates = s->next_rn = 0;
	s->cx->progress->read -= s->lines;
	s->dropped = s->lines = s->late = 0;
	s->rejected = s->poisoned = 0;
	s->ops = (MergeOps){ 0 };
	s->distinct = s->in_hurry = false;
	piece_empty(&s->piece->rows);
	piece_empty(&s->piece->lines);
	piece_empty(&s->piece->scratch);
}

/* False, too, where something speaks against it. */
static bool
read_in_hurry(Stage *s, Err *err)
{
	if (s->direct)
		s->empty_base = false;
	if (!read_objects(s, err))
		return false;
	s->loaded = hurry_loaded(s->hurry);
	s->dropped = hurry_dropped(s->hurry);
	s->distinct = s->one_text && hurry_distinct(s->hurry);
	return sql_release(s->cx, "cdc_s3_hurry", err);
}

static void
add_load_sql(const Stage *s, Buf *sql)
{
	buf_printf(sql, "COPY %s (", s->target->name);
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_str(sql, i ? ", " : "");
		pg_add_ident(sql, s->target->cols[i].name);
	}
	buf_str(sql, ") FROM STDIN");
}

static bool
stage_in_hurry(Stage *s, Err *err)
{
	bool ok;
	bool again;
	Buf load;

	if (!sql_savepoint(s->cx, "cdc_s3_hurry", err))
		return false;
	buf_init(&load, SQL_MAX);
	add_load_sql(s, &load);
	s->hurry = hurry_new(s->cx, buf_cstr(&s->piece->copy_sql), buf_cstr(&load),
						 s->keep_all);
	hurry_make_by(s->hurry, late_make, s);
	ok = read_in_hurry(s, err);
	again = !ok && hurry_objects(s->hurry);
	if (!ok)
		hurry_abort(s->hurry);
	hurry_free(s->hurry);
	s->hurry = NULL;
	buf_done(&load);
	if (ok)
		log_debug("table staged in a hurry", "table", s->target->table,
				  "loaded", log_int(s->loaded), "written_over",
				  log_int(s->dropped), "distinct", s->distinct ? "yes" : "no",
				  "late", log_int(s->late), NULL);
	if (!again)
		return ok;
	log_debug("table staged with care after all", "table", s->target->table,
			  NULL);
	start_anew(s);
	s->direct = false;
	return sql_rollback_to(s->cx, "cdc_s3_hurry", err) && read_objects(s, err);
}

bool
stage_objects(Stage *s, const EntryObject *const *objects, int n, Err *err)
{
	size_t size = ((size_t) n + 1) * sizeof(*s->objects);

	s->objects = xmalloc(size);
	if (n > 0)
		memcpy(s->objects, objects, (size_t) n * sizeof(*s->objects));
	s->nobjects = n;
	s->start_empty = s->empty_base;
	s->start_set = s->barrier_set;
	s->start = s->barrier;
	return s->in_hurry ? stage_in_hurry(s, err) : read_objects(s, err);
}

bool
stage_all(Stage *s, Err *err)
{
	char sql[80];

	if (s->dropped == 0)
		return true;
	start_anew(s);
	if (s->direct) /* its rows are there */
		s->empty_base = false;
	(void) snprintf(sql, sizeof(sql), "TRUNCATE %s", s->name); /* fits */
	return sql_run(s->cx, "empty a staging table", sql, NULL, err) &&
		   read_objects(s, err);
}
