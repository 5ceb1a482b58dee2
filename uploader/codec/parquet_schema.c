/*-------------------------------------------------------------------------
 * parquet_schema.c
 *	  The columns of a table's Parquet files, as the files' footers tell them.
 *
 * The names of Parquet's types and their numbers: parquet.thrift and
 * LogicalTypes.md of Apache Parquet.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_type.h"

#include "cdc_s3_proto.h"

/* parquet.thrift: FieldRepetitionType, ConvertedType, LogicalType. */
enum
{
	REQUIRED = 0,
	OPTIONAL = 1,
	REPEATED = 2,
	CONVERTED_UTF8 = 0,
	CONVERTED_LIST = 3,
	CONVERTED_DECIMAL = 5,
	CONVERTED_DATE = 6,
	CONVERTED_TIMESTAMP_MILLIS = 9,
	CONVERTED_TIMESTAMP_MICROS = 10,
	CONVERTED_INT_16 = 16,
	CONVERTED_JSON = 19,
	LOGICAL_STRING = 1,
	LOGICAL_LIST = 3,
	LOGICAL_DECIMAL = 5,
	LOGICAL_DATE = 6,
	LOGICAL_TIME = 7,
	LOGICAL_TIMESTAMP = 8,
	LOGICAL_INTEGER = 10,
	LOGICAL_JSON = 12,
	LOGICAL_UUID = 14
};

/*
 * The tree of elements, in depth first order.  What stands in it is told by a
 * walk, so that writing and checking see the same.
 */
typedef struct Element
{
	const char *name;
	const ParquetLeaf *leaf; /* NULL: a group */
	int repetition;
	int children;
	int id;       /* 0: none */
	bool is_list; /* the group around a list */
} Element;

typedef bool (*Visit)(const Element *e, void *arg, Err *err);

static bool
visit_group(const char *name, int repetition, int children, int id,
			bool is_list, Visit visit, void *arg, Err *err)
{
	Element e = { name, NULL, repetition, children, id, is_list };

	return visit(&e, arg, err);
}

static bool
visit_leaf(const char *name, const ParquetLeaf *leaf, int repetition, int id,
		   Visit visit, void *arg, Err *err)
{
	Element e = { name, leaf, repetition, 0, id, false };

	return visit(&e, arg, err);
}

static const char *const meta_names[LEAF_COLUMNS] = {
	[LEAF_OP] = "_op",
	[LEAF_LSN] = "_lsn",
	[LEAF_SEQ] = "_seq",
	[LEAF_XID] = "_xid",
	[LEAF_TS] = "_ts",
	[LEAF_NOKEY] = "_nokey",
	[LEAF_PARTIAL] = "_partial",
	[LEAF_REASON] = "_reason",
	[LEAF_BEFORE] = "_before",
	[LEAF_KEY] = "_key",
	[LEAF_UNCHANGED] = "_unchanged",
	[LEAF_WITHHELD_COLUMN] = "_withheld",
	[LEAF_JSONNULL] = "_jsonnull",
	[LEAF_EXACT_COLUMN] = "_exact",
	[LEAF_MOVED] = "_moved",
};

/* Members of the structures in _withheld and _exact; NULL: none. */
static const char *const member_names[LEAF_COLUMNS] = {
	[LEAF_WITHHELD_COLUMN] = "column", [LEAF_WITHHELD_REASON] = "reason",
	[LEAF_WITHHELD_SIZE] = "size",     [LEAF_WITHHELD_CRC32C] = "crc32c",
	[LEAF_WITHHELD_BYTES] = "bytes",   [LEAF_EXACT_COLUMN] = "column",
	[LEAF_EXACT_TEXT] = "text",
};

/* The field with that leaf first. */
static bool
walk_list(const FormatTable *t, int leaf, const char *name, int id, Visit visit,
		  void *arg, Err *err)
{
	int members = leaf == LEAF_WITHHELD_COLUMN ? 5
				  : leaf == LEAF_EXACT_COLUMN  ? 2
											   : 0;

	if (!visit_group(name, OPTIONAL, 1, id, true, visit, arg, err) ||
		!visit_group("list", REPEATED, 1, 0, false, visit, arg, err))
		return false;
	if (members == 0)
		return visit_leaf("element", &t->leaves[leaf],
						  t->leaves[leaf].list ? OPTIONAL : REQUIRED, 0, visit,
						  arg, err);
	if (!visit_group("element", REQUIRED, members, 0, false, visit, arg, err))
		return false;
	for (int i = leaf; i < leaf + members; i++)
	{
		if (!visit_leaf(member_names[i], &t->leaves[i],
						i == LEAF_WITHHELD_BYTES ? OPTIONAL : REQUIRED, 0,
						visit, arg, err))
			return false;
	}
	return true;
}

static bool
walk(const FormatTable *t, Visit visit, void *arg, Err *err)
{
	int id = PARQUET_FIELD_META;
	int top = t->schema->ncols;

	for (int i = 0; i < LEAF_COLUMNS; i++)
		top += meta_names[i] != NULL;
	if (!visit_group("schema", REQUIRED, top, 0, false, visit, arg, err))
		return false;
	for (int i = 0; i < t->nleaves; i++)
	{
		const ParquetLeaf *leaf = &t->leaves[i];
		bool meta = i < LEAF_COLUMNS;
		const SchemaColumn *c = &t->schema->cols[meta ? 0 : i - LEAF_COLUMNS];
		const char *name = meta ? meta_names[i] : c->json_name;
		int field = meta ? id++ : t->schema->field_base + c->attnum;

		if (!name) /* a member of the one before */
			continue;
		if (leaf->max_rep > 0
				? !walk_list(t, i, name, field, visit, arg, err)
				: !visit_leaf(name, leaf, leaf->max_def ? OPTIONAL : REQUIRED,
							  field, visit, arg, err))
			return false;
	}
	return true;
}

int
parquet_path(const FormatTable *t, int leaf, const char *out[4])
{
	int n = 0;
	int first = leaf;

	while (leaf < LEAF_COLUMNS && !meta_names[first])
		first--;
	out[n++] = leaf < LEAF_COLUMNS
				   ? meta_names[first]
				   : t->schema->cols[leaf - LEAF_COLUMNS].json_name;
	if (t->leaves[leaf].max_rep == 0)
		return n;
	out[n++] = "list";
	out[n++] = "element";
	if (leaf < LEAF_COLUMNS && member_names[leaf])
		out[n++] = member_names[leaf];
	return n;
}

/* ---- writing ---- */

/* -1: none. */
static int
converted_type(const ParquetLeaf *leaf)
{
	if (leaf->form == PARQUET_DECIMAL)
		return CONVERTED_DECIMAL;
	if (leaf->form == PARQUET_DAYS)
		return CONVERTED_DATE;
	if (leaf->form == PARQUET_MICROS_UTC)
		return leaf->ms ? CONVERTED_TIMESTAMP_MILLIS
						: CONVERTED_TIMESTAMP_MICROS;
	if (leaf->text)
		return leaf->json ? CONVERTED_JSON : CONVERTED_UTF8;
	return leaf->kind == CDC_S3_KIND_INT2 ? CONVERTED_INT_16 : -1;
}

/* A time of a day, or of all times: is it an instant, and its unit. */
static void
put_time(ThriftOut *out, const ParquetLeaf *leaf)
{
	thrift_struct(out, leaf->form == PARQUET_TIME ? LOGICAL_TIME
												  : LOGICAL_TIMESTAMP);
	thrift_bool(out, 1, leaf->form == PARQUET_MICROS_UTC);
	thrift_struct(out, 2);                /* unit */
	thrift_struct(out, leaf->ms ? 1 : 2); /* MILLIS, MICROS */
	thrift_stop(out);
	thrift_stop(out);
}

/* Of those that have no members. */
static int
plain_logical(const ParquetLeaf *leaf)
{
	if (leaf->form == PARQUET_UUID)
		return LOGICAL_UUID;
	if (leaf->form == PARQUET_DAYS)
		return LOGICAL_DATE;
	return leaf->json ? LOGICAL_JSON : LOGICAL_STRING;
}

/* LogicalType: a union whose one field tells which. */
static void
put_logical(ThriftOut *out, int field, const ParquetLeaf *leaf)
{
	bool time = leaf->form == PARQUET_MICROS ||
				leaf->form == PARQUET_MICROS_UTC || leaf->form == PARQUET_TIME;

	if (!time && leaf->form != PARQUET_UUID && converted_type(leaf) < 0)
		return;
	thrift_struct(out, field);
	if (time)
		put_time(out, leaf);
	else if (leaf->form == PARQUET_DECIMAL)
	{
		thrift_struct(out, LOGICAL_DECIMAL);
		thrift_i32(out, 1, leaf->scale);
		thrift_i32(out, 2, leaf->precision);
	}
	else if (leaf->kind == CDC_S3_KIND_INT2)
	{
		thrift_struct(out, LOGICAL_INTEGER);
		/* bitWidth is a byte, which has no function of its own */
		buf_byte(out->out, 1 << 4 | THRIFT_BYTE);
		buf_byte(out->out, 16);
		out->last[out->depth] = 1;
		thrift_bool(out, 2, true); /* isSigned */
	}
	else
		thrift_struct(out, plain_logical(leaf));
	thrift_stop(out);
	thrift_stop(out);
}

static bool
put_element(const Element *e, void *arg, Err *err)
{
	ThriftOut *out = arg;
	const ParquetLeaf *leaf = e->leaf;

	(void) err;
	thrift_item_struct(out);
	if (leaf)
		thrift_i32(out, 1, leaf->physical);
	if (leaf && leaf->physical == PARQUET_FIXED)
		thrift_i32(out, 2, leaf->width);
	thrift_i32(out, 3, e->repetition);
	thrift_string(out, 4, e->name);
	if (!leaf)
		thrift_i32(out, 5, e->children);
	if (leaf && converted_type(leaf) >= 0)
		thrift_i32(out, 6, converted_type(leaf));
	if (e->is_list)
		thrift_i32(out, 6, CONVERTED_LIST);
	if (leaf && leaf->form == PARQUET_DECIMAL)
	{
		thrift_i32(out, 7, leaf->scale);
		thrift_i32(out, 8, leaf->precision);
	}
	if (e->id > 0)
		thrift_i32(out, 9, e->id);
	if (leaf)
		put_logical(out, 10, leaf);
	if (e->is_list)
	{
		thrift_struct(out, 10);
		thrift_struct(out, LOGICAL_LIST);
		thrift_stop(out);
		thrift_stop(out);
	}
	thrift_stop(out);
	return true;
}

static bool
count_element(const Element *e, void *arg, Err *err)
{
	size_t *n = arg;

	(void) e;
	(void) err;
	++*n;
	return true;
}

static size_t
count_elements(const FormatTable *t)
{
	size_t n = 0;
	Err err;

	(void) walk(t, count_element, &n, &err); /* cannot fail */
	return n;
}

void
parquet_put_schema(const FormatTable *t, ThriftOut *out, int field)
{
	Err err;

	thrift_list(out, field, THRIFT_STRUCT, count_elements(t));
	(void) walk(t, put_element, out, &err); /* cannot fail */
}

/* ---- checking ---- */

static bool
check_element(const Element *e, void *arg, Err *err)
{
	ThriftIn *in = arg;
	int32_t physical = -1;
	int32_t width = 0;
	int32_t repetition = REQUIRED; /* the root has none */
	int32_t children = 0;
	Slice name = { NULL, 0 };
	ThriftType type;
	int id;
	bool ok = thrift_read_struct(in, THRIFT_STRUCT, err);

	for (;;)
	{
		if (!ok || !thrift_field(in, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			break;
		ok = id == 1   ? thrift_read_i32(in, type, &physical, err)
			 : id == 2 ? thrift_read_i32(in, type, &width, err)
			 : id == 3 ? thrift_read_i32(in, type, &repetition, err)
			 : id == 4 ? thrift_read_binary(in, type, &name, err)
			 : id == 5 ? thrift_read_i32(in, type, &children, err)
					   : thrift_skip(in, type, err);
	}
	if (name.n != strlen(e->name) || memcmp(name.p, e->name, name.n) != 0 ||
		repetition != e->repetition || children != e->children ||
		physical != (e->leaf ? e->leaf->physical : -1) ||
		width != (e->leaf && e->leaf->physical == PARQUET_FIXED ? e->leaf->width
																: 0))
		return err_set(err, ERR_DATA, 0,
					   "its columns are not those of its schema: \"%s\" is "
					   "missing or another",
					   e->name);
	return true;
}

bool
parquet_check_schema(const FormatTable *t, ThriftIn *in, ThriftType type,
					 Err *err)
{
	ThriftType item;
	size_t n;

	if (!thrift_read_list(in, type, &item, &n, err))
		return false;
	if (item != THRIFT_STRUCT || n != count_elements(t))
		return err_set(err, ERR_DATA, 0,
					   "its columns are not those of its schema: %zu elements "
					   "instead of %zu",
					   n, count_elements(t));
	return walk(t, check_element, in, err);
}
