/*-------------------------------------------------------------------------
 * parquet_type.h
 *	  The columns of a table's Parquet files (doc/parquet.md): those of the
 *	  record's metadata, then one for each of the table's columns.
 *
 * A *leaf* is a column as Parquet stores it: values, and levels that say
 * which of the optional and repeated things around them are there.  Each of
 * the table's columns is one leaf, an array's too.
 * Threads: a FormatTable is immutable.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_TYPE_H
#define PARQUET_TYPE_H

#include "codec/format.h"
#include "codec/parquet_thrift.h"

/* parquet.thrift, "Type". */
typedef enum ParquetPhysical
{
	PARQUET_BOOLEAN = 0,
	PARQUET_INT32 = 1,
	PARQUET_INT64 = 2,
	PARQUET_FLOAT = 4,
	PARQUET_DOUBLE = 5,
	PARQUET_BYTE_ARRAY = 6,
	PARQUET_FIXED = 7
} ParquetPhysical;

/* What a leaf's values mean; the wire's kind tells the rest. */
typedef enum ParquetForm
{
	PARQUET_PLAIN,        /* the wire's bytes, or as many more */
	PARQUET_DAYS,         /* since 1970 */
	PARQUET_MICROS,       /* since 1970, or milliseconds */
	PARQUET_MICROS_UTC,   /* the same, an instant */
	PARQUET_DECIMAL,      /* a whole number of 10^-scale */
	PARQUET_NUMERIC_TEXT, /* numeric's text */
	PARQUET_FIXED_TEXT,   /* text of what the wire sends as bytes */
	PARQUET_TIME,         /* microseconds of a day */
	PARQUET_UUID,         /* its bytes */
	PARQUET_BYTES         /* bytea */
} ParquetForm;

/* parquet.thrift, "Encoding". */
typedef enum ParquetEncoding
{
	ENCODING_PLAIN = 0,
	ENCODING_PLAIN_DICTIONARY = 2, /* the same as RLE_DICTIONARY */
	ENCODING_RLE = 3,
	ENCODING_DELTA_BINARY_PACKED = 5,
	ENCODING_RLE_DICTIONARY = 8
} ParquetEncoding;

/* Leaves of the metadata; those of the table follow. */
enum
{
	LEAF_OP,
	LEAF_LSN,
	LEAF_SEQ,
	LEAF_XID,
	LEAF_TS,
	LEAF_NOKEY,
	LEAF_PARTIAL,
	LEAF_REASON,
	LEAF_BEFORE,
	LEAF_KEY,
	LEAF_UNCHANGED,
	LEAF_WITHHELD_COLUMN,
	LEAF_WITHHELD_REASON,
	LEAF_WITHHELD_SIZE,
	LEAF_WITHHELD_CRC32C,
	LEAF_WITHHELD_BYTES,
	LEAF_JSONNULL,
	LEAF_EXACT_COLUMN,
	LEAF_EXACT_TEXT,
	LEAF_MOVED,
	LEAF_COLUMNS
};

/* Field ids of metadata; those of the table's columns are their attnums. */
#define PARQUET_FIELD_META 10001

/* key_value_metadata that the reader looks for. */
#define PARQUET_KEY_HASH "cdc_s3.schema_hash"
#define PARQUET_KEY_NUMERIC "cdc_s3.numeric"
#define PARQUET_KEY_TIMESTAMP "cdc_s3.timestamp"
#define PARQUET_KEY_TYPES "cdc_s3.types"
#define PARQUET_KEY_WHOLE_MAX "cdc_s3.whole_max"

typedef struct ParquetLeaf
{
	uint8_t physical; /* ParquetPhysical */
	uint8_t form;     /* ParquetForm */
	uint8_t kind;     /* CdcS3Kind; of an array's elements */
	uint8_t width;    /* bytes of PARQUET_FIXED */
	uint8_t precision;
	uint8_t scale;
	uint8_t max_def;
	uint8_t max_rep;
	bool list;    /* an array of the table */
	bool ms;      /* PARQUET_MICROS are milliseconds */
	bool text;    /* STRING */
	bool json;    /* and JSON instead of that */
	bool delta;   /* may be written as differences */
	bool ordered; /* has least and greatest values */
} ParquetLeaf;

struct FormatTable
{
	Schema *schema; /* one of its users */
	FormatOptions options;
	size_t page_bytes; /* of values, after which a page ends */
	int nleaves;
	ParquetLeaf leaves[];
};

FormatTable *parquet_table_new(const Schema *schema,
							   const FormatOptions *options);
void parquet_table_free(FormatTable *t);

/* Longer arrays stand as text. */
size_t parquet_whole_max(const FormatTable *t);

/* Bytes of a value in PLAIN; 0: BYTE_ARRAY. */
static inline size_t
parquet_width(const ParquetLeaf *leaf)
{
	switch (leaf->physical)
	{
		case PARQUET_BOOLEAN:
			return 1; /* while it is not packed */
		case PARQUET_INT32:
		case PARQUET_FLOAT:
			return 4;
		case PARQUET_INT64:
		case PARQUET_DOUBLE:
			return 8;
		default:
			return leaf->width;
	}
}

/* FileMetaData's field "schema", of all leaves. */
void parquet_put_schema(const FormatTable *t, ThriftOut *out, int field);

/*
 * True where the elements that a file has are those of the table, as far as
 * a reader needs it.  "in" stands before the field's value.
 */
bool parquet_check_schema(const FormatTable *t, ThriftIn *in, ThriftType type,
						  Err *err) MUST_CHECK;

/* Where the leaf stands: names from the root on; returns how many, <= 4. */
int parquet_path(const FormatTable *t, int leaf, const char *out[4]);

#endif
