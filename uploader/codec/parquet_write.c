/*-------------------------------------------------------------------------
 * parquet_write.c
 *	  Changes to the leaves of a Parquet object.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_write.h"

#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json_impl.h"
#include "codec/parquet_value.h"
#include "codec/rowbytes.h"

#define VALUE_KEEP ((size_t) 64 << 10) /* scratch that stays */

/* Between 1970 and 2000. */
#define EPOCH_US (10957 * INT64_C(86400000000))

/* ---- slots ---- */

bool
writer_put(FormatWriter *w, int leaf, int rep, int def, Slice value, Err *err)
{
	ParquetColumn *c = w->cols[leaf];

	if (!c)
		c = w->cols[leaf] = column_new(&w->t->leaves[leaf], w->t->page_bytes);
	if (def == c->leaf->max_def)
		w->bytes += value.n + 4;
	return column_put(c, w->records, rep, def, value, &w->scratch, err);
}

static bool
put_text(FormatWriter *w, int leaf, const char *s, Err *err)
{
	return writer_put(w, leaf, 0, w->t->leaves[leaf].max_def, slice_cstr(s),
					  err);
}

static bool
put_int64(FormatWriter *w, int leaf, int64_t v, Err *err)
{
	uint8_t bytes[8];

	parquet_put64(bytes, (uint64_t) v);
	return writer_put(w, leaf, 0, w->t->leaves[leaf].max_def,
					  (Slice){ bytes, sizeof(bytes) }, err);
}

/* A required member of the n-th item of a list. */
static bool
put_member(FormatWriter *w, int leaf, int n, Slice value, Err *err)
{
	return writer_put(w, leaf, n > 0, 2, value, err);
}

bool
writer_put_name(FormatWriter *w, int leaf, int *n, int col, Err *err)
{
	return put_member(w, leaf, (*n)++,
					  slice_cstr(w->t->schema->cols[col].json_name), err);
}

bool
writer_put_exact(FormatWriter *w, const char *name, Slice text, Err *err)
{
	int n = w->nexact++;

	return put_member(w, LEAF_EXACT_COLUMN, n, slice_cstr(name), err) &&
		   put_member(w, LEAF_EXACT_TEXT, n, text, err);
}

static const char *
reason_name(uint8_t reason)
{
	return reason == CDC_S3_WITHHELD_ENCODING   ? "encoding"
		   : reason == CDC_S3_WITHHELD_TOO_DEEP ? "too_deep"
												: "too_long";
}

bool
writer_put_withheld(FormatWriter *w, int col, const ColView *v, Err *err)
{
	int n = w->nwithheld++;
	uint8_t crc[4] = { (uint8_t) (v->crc32c >> 24), (uint8_t) (v->crc32c >> 16),
					   (uint8_t) (v->crc32c >> 8), (uint8_t) v->crc32c };
	bool bytes = v->n > 0 && v->n <= w->withheld_room;
	uint8_t size[8];
	char hex[9];

	hex_encode(crc, sizeof(crc), hex);
	parquet_put64(size, v->size);
	if (bytes)
		w->withheld_room -= v->n;
	return put_member(w, LEAF_WITHHELD_COLUMN, n,
					  slice_cstr(w->t->schema->cols[col].json_name), err) &&
		   put_member(w, LEAF_WITHHELD_REASON, n,
					  slice_cstr(reason_name(v->reason)), err) &&
		   put_member(w, LEAF_WITHHELD_SIZE, n, (Slice){ size, sizeof(size) },
					  err) &&
		   put_member(w, LEAF_WITHHELD_CRC32C, n, slice_cstr(hex), err) &&
		   writer_put(w, LEAF_WITHHELD_BYTES, n > 0, bytes ? 3 : 2,
					  (Slice){ v->p, v->n }, err);
}

ParquetText *
writer_text(FormatWriter *w)
{
	if (!w->text)
		w->text = text_new(w->t, w->t->options.whole_max);
	return w->text;
}

/* ---- columns ---- */

static bool
is_json(const SchemaColumn *c)
{
	return c->kind == CDC_S3_KIND_JSON || c->base_oid == OID_JSONB;
}

/* The scalar null, with space around it or none. */
static bool
is_json_null(const ColView *v)
{
	size_t from = 0;
	size_t to = v->n;

	while (from < to && strchr(" \t\r\n", v->p[from]) && v->p[from])
		from++;
	while (to > from && strchr(" \t\r\n", v->p[to - 1]) && v->p[to - 1])
		to--;
	return to - from == 4 && memcmp(v->p + from, "null", 4) == 0;
}

/* Text of a SQL_ASCII server may be anything. */
static void
check_text(const FormatWriter *w, const SchemaColumn *c, ColView *v)
{
	if (!w->t->options.raw_text || v->state != COL_VALUE ||
		c->kind < CDC_S3_KIND_STRING || c->kind == CDC_S3_KIND_BYTEA ||
		utf8_valid(v->p, v->n))
		return;
	v->state = COL_WITHHELD;
	v->reason = CDC_S3_WITHHELD_ENCODING;
	v->size = v->n;
	v->crc32c = crc32c(0, v->p, v->n);
}

static bool
put_exact_value(FormatWriter *w, const SchemaColumn *c, const ColView *v,
				Err *err)
{
	buf_reset(&w->value);
	parquet_exact_text(c->kind, v, &w->value);
	if (w->value.overflow)
		return err_set(err, ERR_LIMIT, 0, "column \"%s\" has a value too long",
					   c->name);
	return writer_put_exact(w, c->json_name, buf_slice(&w->value), err);
}

/* A list of n elements that parquet_array() has made. */
static bool
put_elements(FormatWriter *w, int leaf, size_t n, Err *err)
{
	const uint8_t *p = w->elements.p;
	Slice none = { NULL, 0 };

	if (n == 0)
		return writer_put(w, leaf, 0, 1, none, err);
	for (size_t i = 0; i < n; i++)
	{
		Slice value = none;
		bool there = *p++;

		if (there)
		{
			value = (Slice){ p + 4, get_u32(p) };
			p += 4 + value.n;
		}
		if (!writer_put(w, leaf, i > 0, there ? 3 : 2, value, err))
			return false;
	}
	return true;
}

static bool
put_array(FormatWriter *w, int col, const ColView *v, Err *err)
{
	int leaf = LEAF_COLUMNS + col;
	size_t n;
	bool ok;

	buf_reset(&w->elements);
	if (v->n > parquet_whole_max(w->t) ||
		!parquet_array(&w->t->leaves[leaf], (Slice){ v->p, v->n }, &w->elements,
					   &n))
		return put_exact_value(w, &w->t->schema->cols[col], v, err);
	ok = put_elements(w, leaf, n, err);
	if (w->elements.cap > VALUE_KEEP)
		buf_done(&w->elements);
	return ok;
}

static bool
put_scalar(FormatWriter *w, int col, const ColView *v, Err *err)
{
	const SchemaColumn *c = &w->t->schema->cols[col];
	int leaf = LEAF_COLUMNS + col;
	uint8_t room[PARQUET_ROOM];
	Slice value;
	bool cut;

	if (is_json(c) && is_json_null(v))
	{
		if (!writer_put_name(w, LEAF_JSONNULL, &w->njsonnull, col, err))
			return false;
		return v->n == 4 || put_exact_value(w, c, v, err);
	}
	if (!parquet_value(&w->t->leaves[leaf], v, room, &w->value, &value, &cut))
		return put_exact_value(w, c, v, err);
	return writer_put(w, leaf, 0, 1, value, err) &&
		   (!cut || put_exact_value(w, c, v, err));
}

bool
writer_put_column(FormatWriter *w, int col, ColView *v, Err *err)
{
	check_text(w, &w->t->schema->cols[col], v);
	switch (v->state)
	{
		case COL_WITHHELD:
			return writer_put_withheld(w, col, v, err);
		case COL_UNCHANGED:
			return writer_put_name(w, LEAF_UNCHANGED, &w->nunchanged, col, err);
		case COL_VALUE:
			return w->t->leaves[LEAF_COLUMNS + col].list
					   ? put_array(w, col, v, err)
					   : put_scalar(w, col, v, err);
		default:
			return true; /* NULL is what is not put */
	}
}

/* ---- records ---- */

static Slice
lsn_text(FormatWriter *w, Lsn lsn)
{
	if (!w->lsn_known || w->lsn != lsn)
	{
		for (int i = 0; i < 16; i++)
			w->lsn_text[i] = "0123456789ABCDEF"[lsn >> (60 - 4 * i) & 15];
		w->lsn = lsn;
		w->lsn_known = true;
	}
	return (Slice){ (const uint8_t *) w->lsn_text, sizeof(w->lsn_text) };
}

static bool
put_rare_meta(FormatWriter *w, const Change *change, Err *err)
{
	static const uint8_t yes = 1;

	if (change->no_identity &&
		!writer_put(w, LEAF_NOKEY, 0, 1, (Slice){ &yes, 1 }, err))
		return false;
	if (change->moved &&
		!writer_put(w, LEAF_MOVED, 0, 1, (Slice){ &yes, 1 }, err))
		return false;
	if (change->reason && !put_text(w, LEAF_REASON, change->reason, err))
		return false;
	if (change->npartial == 0)
		return true;
	buf_reset(&w->value);
	text_put_partial(change->partial, change->npartial, &w->value);
	return writer_put(w, LEAF_PARTIAL, 0, 1, buf_slice(&w->value), err);
}

bool
writer_put_meta(FormatWriter *w, const Change *change, Err *err)
{
	w->nunchanged = w->nwithheld = w->njsonnull = w->nexact = 0;
	w->withheld_room = parquet_whole_max(w->t);
	return writer_put(w, LEAF_OP, 0, 0,
					  (Slice){ (const uint8_t *) &change->op, 1 }, err) &&
		   writer_put(w, LEAF_LSN, 0, 0, lsn_text(w, change->lsn), err) &&
		   put_int64(w, LEAF_SEQ, change->seq, err) &&
		   (change->xid == 0 || put_int64(w, LEAF_XID, change->xid, err)) &&
		   put_int64(w, LEAF_TS, change->time + EPOCH_US, err) &&
		   put_rare_meta(w, change, err);
}

/* Identity full without a primary key: all columns are the key. */
static bool
before_always(const FormatWriter *w)
{
	return schema_is_bag(w->t->schema);
}

bool
writer_has_key(const FormatWriter *w, const Change *change)
{
	return change->op == 'u' && change->key_changed && !before_always(w);
}

bool
writer_has_before(const FormatWriter *w, const Change *change)
{
	bool before = w->t->options.before;

	if (change->no_before)
		return false;
	if (change->op == 'u')
		return before || before_always(w);
	return change->op == 'd' && before && !before_always(w) &&
		   w->t->schema->ncols > 0;
}

void
writer_end_record(FormatWriter *w)
{
	w->records++;
	if (w->value.cap > VALUE_KEEP)
		buf_done(&w->value);
}
