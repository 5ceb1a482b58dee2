/*-------------------------------------------------------------------------
 * parquet_footer.c
 *	  Reads the footer of a Parquet object that our writer wrote.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_footer.h"

#include <stdlib.h>

#include "codec/row.h"

#define MAGIC "PAR1"
#define MAGIC_LEN 4
#define TAIL_LEN 8 /* length and magic */

static bool
damaged(const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "object is damaged: %s", what);
}

/* What the first pass finds. */
typedef struct Words
{
	ThriftIn schema; /* before the value */
	ThriftType schema_type;
	ThriftIn groups;
	ThriftType groups_type;
	Slice hash;
	FormatOptions options;
} Words;

static bool
is_word(Slice s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static size_t
whole_number(Slice s)
{
	size_t v = 0;

	for (size_t i = 0; i < s.n && i < 12; i++)
		v = v * 10 + (size_t) (s.p[i] - '0') % 10;
	return v;
}

static void
take_key_value(Words *w, Slice key, Slice value)
{
	if (is_word(key, PARQUET_KEY_HASH))
		w->hash = value;
	else if (is_word(key, PARQUET_KEY_NUMERIC))
		w->options.numeric = is_word(value, "string") ? NUMERIC_STRING
							 : is_word(value, "auto") ? NUMERIC_AUTO
													  : NUMERIC_NUMBER;
	else if (is_word(key, PARQUET_KEY_TIMESTAMP))
		w->options.parquet_ms = is_word(value, "ms");
	else if (is_word(key, PARQUET_KEY_TYPES))
		w->options.parquet_exact = is_word(value, "exact");
	else if (is_word(key, PARQUET_KEY_WHOLE_MAX))
		w->options.whole_max = whole_number(value);
}

static bool
read_key_values(ThriftIn *t, ThriftType type, Words *w, Err *err)
{
	ThriftType item;
	size_t n;
	int id;

	if (!thrift_read_list(t, type, &item, &n, err))
		return false;
	for (; n > 0; n--)
	{
		Slice key = { NULL, 0 };
		Slice value = { NULL, 0 };

		if (!thrift_read_struct(t, item, err))
			return false;
		for (;;)
		{
			if (!thrift_field(t, &id, &type, err))
				return false;
			if (type == THRIFT_STOP)
				break;
			if (id == 1 || id == 2
					? !thrift_read_binary(t, type, id == 1 ? &key : &value, err)
					: !thrift_skip(t, type, err))
				return false;
		}
		take_key_value(w, key, value);
	}
	return true;
}

static bool
read_words(Slice footer, Words *w, Err *err)
{
	ThriftType type;
	ThriftIn t;
	int id;

	thrift_in(&t, footer);
	for (;;)
	{
		if (!thrift_field(&t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			return true;
		if (id == 2)
		{
			w->schema = t;
			w->schema_type = type;
		}
		if (id == 4)
		{
			w->groups = t;
			w->groups_type = type;
		}
		if (id == 5 ? !read_key_values(&t, type, w, err)
					: !thrift_skip(&t, type, err))
			return false;
	}
}

static bool
find_footer(Slice object, Slice *out, Err *err)
{
	const uint8_t *tail;
	uint32_t n;

	if (object.n < MAGIC_LEN + TAIL_LEN ||
		memcmp(object.p, MAGIC, MAGIC_LEN) != 0)
		return damaged("it is no Parquet file", err);
	tail = object.p + object.n - TAIL_LEN;
	if (memcmp(tail + 4, MAGIC, MAGIC_LEN) != 0)
		return damaged("it has no end", err);
	n = get_u32(tail);
	if (n > object.n - MAGIC_LEN - TAIL_LEN)
		return damaged("its footer is longer than all", err);
	*out = (Slice){ tail - n, n };
	return true;
}

bool
footer_open(ParquetFooter *f, Slice object, const Schema *schema, Err *err)
{
	Words words = { 0 };
	Slice footer;
	ThriftType item;
	FormatTable *table;

	if (!find_footer(object, &footer, err) || !read_words(footer, &words, err))
		return false;
	if (!words.schema_type || !words.groups_type)
		return damaged("its footer lacks columns or row groups", err);
	if (!is_word(words.hash, schema->hash))
		return err_set(err, ERR_DATA, 0,
					   "object was written with schema \"%.*s\" instead of %s",
					   words.hash.n > 32 ? 32 : (int) words.hash.n,
					   words.hash.n ? (const char *) words.hash.p : "",
					   schema->hash);
	table = parquet_table_new(schema, &words.options);
	*f = (ParquetFooter){ .object = object,
						  .end = (size_t) (footer.p - object.p),
						  .table = table,
						  .groups = words.groups };
	if (!parquet_check_schema(table, &words.schema, words.schema_type, err) ||
		!thrift_read_list(&f->groups, words.groups_type, &item, &f->ngroups,
						  err) ||
		(f->ngroups > 0 && item != THRIFT_STRUCT &&
		 !damaged("its row groups are none", err)))
	{
		parquet_table_free(table);
		return false;
	}
	return true;
}

/* ---- row groups ---- */

typedef struct ChunkWords
{
	int32_t physical;
	int32_t codec;
	int64_t slots;
	int64_t compressed;
	int64_t data_offset;
	int64_t dict_offset;
} ChunkWords;

static bool
read_column_meta(ThriftIn *t, ThriftType type, ChunkWords *w, Err *err)
{
	int id;

	if (!thrift_read_struct(t, type, err))
		return false;
	for (;;)
	{
		bool ok;

		if (!thrift_field(t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			return true;
		ok = id == 1    ? thrift_read_i32(t, type, &w->physical, err)
			 : id == 4  ? thrift_read_i32(t, type, &w->codec, err)
			 : id == 5  ? thrift_read_i64(t, type, &w->slots, err)
			 : id == 7  ? thrift_read_i64(t, type, &w->compressed, err)
			 : id == 9  ? thrift_read_i64(t, type, &w->data_offset, err)
			 : id == 11 ? thrift_read_i64(t, type, &w->dict_offset, err)
						: thrift_skip(t, type, err);
		if (!ok)
			return false;
	}
}

static bool
check_chunk(const ParquetFooter *f, const ParquetLeaf *leaf,
			const ChunkWords *w, ChunkInfo *out, Err *err)
{
	int64_t begin = w->dict_offset > 0 && w->dict_offset < w->data_offset
						? w->dict_offset
						: w->data_offset;

	if (begin < MAGIC_LEN || (uint64_t) begin > f->end || w->compressed < 0 ||
		(uint64_t) w->compressed > f->end - (uint64_t) begin)
		return damaged("a column chunk is outside of it", err);
	if (w->physical != leaf->physical || w->slots < 0 ||
		!parquet_codec_of_number(w->codec, &out->codec))
		return damaged("a column chunk is of another type", err);
	out->bytes = (Slice){ f->object.p + begin, (size_t) w->compressed };
	out->slots = (uint64_t) w->slots;
	return true;
}

static bool
read_chunks(ParquetFooter *f, ThriftType type, ChunkInfo *chunks, Err *err)
{
	ThriftIn *t = &f->groups;
	ThriftType item;
	size_t n;
	int id;

	if (!thrift_read_list(t, type, &item, &n, err))
		return false;
	if (n != (size_t) f->table->nleaves)
		return damaged("a row group lacks columns", err);
	for (size_t i = 0; i < n; i++)
	{
		ChunkWords w = { -1, -1, -1, -1, -1, -1 };

		if (!thrift_read_struct(t, item, err))
			return false;
		for (;;)
		{
			if (!thrift_field(t, &id, &type, err))
				return false;
			if (type == THRIFT_STOP)
				break;
			if (id == 3 ? !read_column_meta(t, type, &w, err)
						: !thrift_skip(t, type, err))
				return false;
		}
		if (!check_chunk(f, &f->table->leaves[i], &w, &chunks[i], err))
			return false;
	}
	return true;
}

bool
footer_next_group(ParquetFooter *f, ChunkInfo *chunks, uint64_t *out_rows,
				  Err *err)
{
	ThriftIn *t = &f->groups;
	bool has_chunks = false;
	int64_t rows = -1;
	ThriftType type;
	int id;

	if (!thrift_read_struct(t, THRIFT_STRUCT, err))
		return false;
	for (;;)
	{
		bool ok;

		if (!thrift_field(t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			break;
		has_chunks |= id == 1;
		ok = id == 1   ? read_chunks(f, type, chunks, err)
			 : id == 3 ? thrift_read_i64(t, type, &rows, err)
					   : thrift_skip(t, type, err);
		if (!ok)
			return false;
	}
	if (!has_chunks || rows < 0)
		return damaged("a row group lacks columns or rows", err);
	for (int i = 0; i < f->table->nleaves; i++)
	{
		bool list = f->table->leaves[i].max_rep > 0;

		if (list ? chunks[i].slots < (uint64_t) rows
				 : chunks[i].slots != (uint64_t) rows)
			return damaged("a column chunk has other rows", err);
	}
	f->ngroups--;
	*out_rows = (uint64_t) rows;
	return true;
}
