/*-------------------------------------------------------------------------
 * parquet_type.c
 *	  The columns of a table's Parquet files.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_type.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/row.h"
#include "codec/rowbytes.h"

/* OIDs of built-in array types, fixed in the server's pg_type.dat. */
static const struct
{
	uint32_t oid;
	uint8_t kind; /* of the elements */
} arrays[] = {
	{ 1000, CDC_S3_KIND_BOOL },    /* bool */
	{ 1005, CDC_S3_KIND_INT2 },    /* int2 */
	{ 1007, CDC_S3_KIND_INT4 },    /* int4 */
	{ 1016, CDC_S3_KIND_INT8 },    /* int8 */
	{ 1021, CDC_S3_KIND_FLOAT4 },  /* float4 */
	{ 1022, CDC_S3_KIND_FLOAT8 },  /* float8 */
	{ 1231, CDC_S3_KIND_NUMERIC }, /* numeric */
	{ 1009, CDC_S3_KIND_STRING },  /* text */
	{ 1014, CDC_S3_KIND_STRING },  /* bpchar */
	{ 1015, CDC_S3_KIND_STRING },  /* varchar */
	{ 2951, CDC_S3_KIND_STRING }   /* uuid */
};

#define DECIMAL_DIGITS_MAX 38
#define PAGE_BYTES_MAX ((size_t) 256 << 10)
#define PAGE_BYTES_MIN ((size_t) 4 << 10)
#define PAGES_BYTES ((size_t) 8 << 20) /* of all leaves of a table */

/* numeric(precision, scale), where Parquet has such a type. */
static bool
declared_decimal(int32_t typmod, ParquetLeaf *leaf)
{
	int precision;
	int scale;

	if (typmod < 4)
		return false;
	precision = (typmod - 4) >> 16 & 0xffff;
	scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024; /* may be negative */
	if (scale < 0 || scale > precision || precision > DECIMAL_DIGITS_MAX)
		return false;
	leaf->precision = (uint8_t) precision;
	leaf->scale = (uint8_t) scale;
	return true;
}

/* Bytes that hold any number of so many digits and a sign. */
static uint8_t
decimal_width(int precision)
{
	double bits = 1;

	for (int i = 0; i < precision; i++)
		bits += 3.3219280948873626; /* log2(10) */
	return (uint8_t) ((bits + 7.9999) / 8);
}

static void
numeric_leaf(ParquetLeaf *leaf, int32_t typmod)
{
	if (!declared_decimal(typmod, leaf))
	{
		leaf->physical = PARQUET_BYTE_ARRAY;
		leaf->form = PARQUET_NUMERIC_TEXT;
		leaf->text = true;
		return;
	}
	leaf->form = PARQUET_DECIMAL;
	leaf->physical = leaf->precision <= 9    ? PARQUET_INT32
					 : leaf->precision <= 18 ? PARQUET_INT64
											 : PARQUET_FIXED;
	if (leaf->physical == PARQUET_FIXED)
		leaf->width = decimal_width(leaf->precision);
}

/* What the kind alone says. */
static void
kind_leaf(ParquetLeaf *leaf, int32_t typmod, bool ms)
{
	leaf->form = PARQUET_PLAIN;
	leaf->physical = PARQUET_BYTE_ARRAY;
	switch (leaf->kind)
	{
		case CDC_S3_KIND_BOOL:
			leaf->physical = PARQUET_BOOLEAN;
			break;
		case CDC_S3_KIND_INT2:
		case CDC_S3_KIND_INT4:
			leaf->physical = PARQUET_INT32;
			break;
		case CDC_S3_KIND_INT8:
		case CDC_S3_KIND_OID:
			leaf->physical = PARQUET_INT64;
			break;
		case CDC_S3_KIND_FLOAT4:
			leaf->physical = PARQUET_FLOAT;
			break;
		case CDC_S3_KIND_FLOAT8:
			leaf->physical = PARQUET_DOUBLE;
			break;
		case CDC_S3_KIND_DATE:
			leaf->physical = PARQUET_INT32;
			leaf->form = PARQUET_DAYS;
			break;
		case CDC_S3_KIND_TIMESTAMP:
		case CDC_S3_KIND_TIMESTAMPTZ:
			leaf->physical = PARQUET_INT64;
			leaf->form = leaf->kind == CDC_S3_KIND_TIMESTAMP
							 ? PARQUET_MICROS
							 : PARQUET_MICROS_UTC;
			leaf->ms = ms;
			break;
		case CDC_S3_KIND_NUMERIC:
			numeric_leaf(leaf, typmod);
			break;
		case CDC_S3_KIND_BYTEA:
			leaf->form = PARQUET_BYTES;
			break;
		case CDC_S3_KIND_TIME:
		case CDC_S3_KIND_TIMETZ:
		case CDC_S3_KIND_INTERVAL:
		case CDC_S3_KIND_UUID:
			leaf->form = PARQUET_FIXED_TEXT;
			leaf->text = true;
			break;
		default:
			leaf->text = true;
			break;
	}
}

/* What is as PostgreSQL has it, and not every reader knows. */
static void
exact_leaf(ParquetLeaf *leaf, const SchemaColumn *c)
{
	if (leaf->kind == CDC_S3_KIND_UUID)
	{
		leaf->physical = PARQUET_FIXED;
		leaf->width = 16;
		leaf->form = PARQUET_UUID;
		leaf->text = false;
	}
	else if (leaf->kind == CDC_S3_KIND_TIME)
	{
		leaf->physical = PARQUET_INT64;
		leaf->form = PARQUET_TIME;
		leaf->text = false;
	}
	leaf->json = c->kind == CDC_S3_KIND_JSON || c->base_oid == OID_JSONB;
	leaf->delta =
		leaf->physical == PARQUET_INT32 || leaf->physical == PARQUET_INT64;
}

static void
column_leaf(ParquetLeaf *leaf, const SchemaColumn *c, const FormatOptions *o)
{
	leaf->kind = c->kind;
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
	{
		if (c->kind != CDC_S3_KIND_TEXT || arrays[i].oid != c->base_oid)
			continue;
		leaf->list = true;
		leaf->kind = arrays[i].kind;
	}
	kind_leaf(leaf, c->typmod, o->parquet_ms);
	if (o->parquet_exact)
		exact_leaf(leaf, c);
	leaf->max_def = leaf->list ? 3 : 1;
	leaf->max_rep = leaf->list ? 1 : 0;
	leaf->ordered = !leaf->list;
}

static void
meta_leaf(ParquetLeaf *leaf, int i)
{
	static const struct
	{
		uint8_t kind;
		uint8_t max_def;
		uint8_t max_rep;
	} meta[LEAF_COLUMNS] = {
		[LEAF_OP] = { CDC_S3_KIND_STRING, 0, 0 },
		[LEAF_LSN] = { CDC_S3_KIND_STRING, 0, 0 },
		[LEAF_SEQ] = { CDC_S3_KIND_INT8, 0, 0 },
		[LEAF_XID] = { CDC_S3_KIND_INT8, 1, 0 },
		[LEAF_TS] = { CDC_S3_KIND_TIMESTAMPTZ, 0, 0 },
		[LEAF_NOKEY] = { CDC_S3_KIND_BOOL, 1, 0 },
		[LEAF_PARTIAL] = { CDC_S3_KIND_STRING, 1, 0 },
		[LEAF_REASON] = { CDC_S3_KIND_STRING, 1, 0 },
		[LEAF_BEFORE] = { CDC_S3_KIND_STRING, 1, 0 },
		[LEAF_KEY] = { CDC_S3_KIND_STRING, 1, 0 },
		[LEAF_UNCHANGED] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_WITHHELD_COLUMN] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_WITHHELD_REASON] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_WITHHELD_SIZE] = { CDC_S3_KIND_INT8, 2, 1 },
		[LEAF_WITHHELD_CRC32C] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_WITHHELD_BYTES] = { CDC_S3_KIND_BYTEA, 3, 1 },
		[LEAF_JSONNULL] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_EXACT_COLUMN] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_EXACT_TEXT] = { CDC_S3_KIND_STRING, 2, 1 },
		[LEAF_MOVED] = { CDC_S3_KIND_BOOL, 1, 0 },
	};

	leaf->kind = meta[i].kind;
	kind_leaf(leaf, -1, false);
	leaf->max_def = meta[i].max_def;
	leaf->max_rep = meta[i].max_rep;
	leaf->ordered = leaf->max_rep == 0;
}

static bool
is_meta_number(int leaf)
{
	return leaf == LEAF_SEQ || leaf == LEAF_XID || leaf == LEAF_TS;
}

FormatTable *
parquet_table_new(const Schema *schema, const FormatOptions *options)
{
	int n = LEAF_COLUMNS + schema->ncols;
	FormatTable *t = xcalloc(1, sizeof(*t) + (size_t) n * sizeof(t->leaves[0]));

	t->schema = schema_ref((Schema *) schema);
	t->options = *options;
	t->nleaves = n;
	t->page_bytes = PAGES_BYTES / (size_t) n;
	if (t->page_bytes > PAGE_BYTES_MAX)
		t->page_bytes = PAGE_BYTES_MAX;
	if (t->page_bytes < PAGE_BYTES_MIN)
		t->page_bytes = PAGE_BYTES_MIN;
	for (int i = 0; i < LEAF_COLUMNS; i++)
	{
		meta_leaf(&t->leaves[i], i);
		t->leaves[i].delta = options->parquet_exact && is_meta_number(i);
	}
	for (int i = 0; i < schema->ncols; i++)
		column_leaf(&t->leaves[LEAF_COLUMNS + i], &schema->cols[i], options);
	return t;
}

void
parquet_table_free(FormatTable *t)
{
	if (!t)
		return;
	schema_free(t->schema);
	free(t);
}

size_t
parquet_whole_max(const FormatTable *t)
{
	return t->options.whole_max ? t->options.whole_max : ROW_WHOLE_MAX;
}
