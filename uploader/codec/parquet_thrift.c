/*-------------------------------------------------------------------------
 * parquet_thrift.c
 *	  Thrift's compact protocol, as far as Parquet's metadata needs it.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_thrift.h"

#include <stdlib.h>

#define VARINT_MAX 10
#define LIST_SHORT 15

/*
 * Writing
 */
static void
put_varint(Buf *out, uint64_t v)
{
	while (v >= 0x80)
	{
		buf_byte(out, (uint8_t) (v | 0x80));
		v >>= 7;
	}
	buf_byte(out, (uint8_t) v);
}

static uint64_t
zigzag(int64_t v)
{
	return ((uint64_t) v << 1) ^ (uint64_t) (v >> 63);
}

void
thrift_out(ThriftOut *t, Buf *out)
{
	*t = (ThriftOut){ .out = out };
}

static void
put_field(ThriftOut *t, int id, ThriftType type)
{
	int delta = id - t->last[t->depth];

	if (delta > 0 && delta <= 15)
		buf_byte(t->out, (uint8_t) (delta << 4 | (int) type));
	else
	{
		buf_byte(t->out, (uint8_t) type);
		put_varint(t->out, zigzag(id));
	}
	t->last[t->depth] = (int16_t) id;
}

static void
open_struct(ThriftOut *t)
{
	if (t->depth == THRIFT_DEPTH - 1)
		abort(); /* our own mistake: no metadata is so deep */
	t->last[++t->depth] = 0;
}

void
thrift_stop(ThriftOut *t)
{
	buf_byte(t->out, THRIFT_STOP);
	if (t->depth > 0)
		t->depth--;
}

void
thrift_bool(ThriftOut *t, int id, bool v)
{
	put_field(t, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_i32(ThriftOut *t, int id, int32_t v)
{
	put_field(t, id, THRIFT_I32);
	put_varint(t->out, zigzag(v));
}

void
thrift_i64(ThriftOut *t, int id, int64_t v)
{
	put_field(t, id, THRIFT_I64);
	put_varint(t->out, zigzag(v));
}

void
thrift_binary(ThriftOut *t, int id, const void *p, size_t n)
{
	put_field(t, id, THRIFT_BINARY);
	thrift_item_binary(t, p, n);
}

void
thrift_string(ThriftOut *t, int id, const char *s)
{
	thrift_binary(t, id, s, strlen(s));
}

void
thrift_struct(ThriftOut *t, int id)
{
	put_field(t, id, THRIFT_STRUCT);
	open_struct(t);
}

void
thrift_list(ThriftOut *t, int id, ThriftType type, size_t n)
{
	put_field(t, id, THRIFT_LIST);
	if (n < LIST_SHORT)
		buf_byte(t->out, (uint8_t) (n << 4 | (size_t) type));
	else
	{
		buf_byte(t->out, (uint8_t) (LIST_SHORT << 4 | (int) type));
		put_varint(t->out, n);
	}
}

void
thrift_item_i32(ThriftOut *t, int32_t v)
{
	put_varint(t->out, zigzag(v));
}

void
thrift_item_i64(ThriftOut *t, int64_t v)
{
	put_varint(t->out, zigzag(v));
}

void
thrift_item_bool(ThriftOut *t, bool v)
{
	buf_byte(t->out, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_item_binary(ThriftOut *t, const void *p, size_t n)
{
	put_varint(t->out, n);
	buf_add(t->out, p, n);
}

void
thrift_item_struct(ThriftOut *t)
{
	open_struct(t);
}

/*
 * Reading
 */
static bool
damaged(const ThriftIn *t, const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "%s at byte %zu of its metadata", what,
				   thrift_used(t));
}

void
thrift_in(ThriftIn *t, Slice bytes)
{
	*t = (ThriftIn){ .start = bytes.p,
					 .p = bytes.p,
					 .end = bytes.n ? bytes.p + bytes.n : bytes.p };
}

static bool
get_byte(ThriftIn *t, uint8_t *out, Err *err)
{
	if (t->p == t->end)
		return damaged(t, "end", err);
	*out = *t->p++;
	return true;
}

static bool
get_varint(ThriftIn *t, uint64_t *out, Err *err)
{
	uint64_t v = 0;
	uint8_t b = 0;

	for (int i = 0; i < VARINT_MAX; i++)
	{
		if (!get_byte(t, &b, err))
			return false;
		v |= (uint64_t) (b & 0x7f) << (7 * i);
		if (!(b & 0x80))
		{
			*out = v;
			return true;
		}
	}
	return damaged(t, "number without end", err);
}

static bool
get_zigzag(ThriftIn *t, int64_t *out, Err *err)
{
	uint64_t v = 0;

	if (!get_varint(t, &v, err))
		return false;
	*out = (int64_t) (v >> 1 ^ (~(v & 1) + 1));
	return true;
}

bool
thrift_field(ThriftIn *t, int *out_id, ThriftType *out_type, Err *err)
{
	uint8_t b = 0;
	int64_t id;

	if (!get_byte(t, &b, err))
		return false;
	*out_type = (ThriftType) (b & 15);
	if (*out_type == THRIFT_STOP)
	{
		if (t->depth > 0)
			t->depth--;
		*out_id = 0;
		return true;
	}
	if (*out_type > THRIFT_STRUCT)
		return damaged(t, "field of unknown type", err);
	id = t->last[t->depth] + (b >> 4);
	if (b >> 4 == 0 && !get_zigzag(t, &id, err))
		return false;
	if (id < 0 || id > INT16_MAX)
		return damaged(t, "field of impossible number", err);
	t->last[t->depth] = (int16_t) id;
	*out_id = (int) id;
	return true;
}

bool
thrift_read_bool(ThriftIn *t, ThriftType type, bool *out, Err *err)
{
	if (type != THRIFT_TRUE && type != THRIFT_FALSE)
		return damaged(t, "no boolean", err);
	*out = type == THRIFT_TRUE;
	return true;
}

bool
thrift_read_i64(ThriftIn *t, ThriftType type, int64_t *out, Err *err)
{
	if (type < THRIFT_I16 || type > THRIFT_I64)
		return damaged(t, "no integer", err);
	return get_zigzag(t, out, err);
}

bool
thrift_read_i32(ThriftIn *t, ThriftType type, int32_t *out, Err *err)
{
	int64_t v = 0;

	if (!thrift_read_i64(t, type, &v, err))
		return false;
	if (v < INT32_MIN || v > INT32_MAX)
		return damaged(t, "integer out of range", err);
	*out = (int32_t) v;
	return true;
}

bool
thrift_read_binary(ThriftIn *t, ThriftType type, Slice *out, Err *err)
{
	uint64_t n = 0;

	if (type != THRIFT_BINARY)
		return damaged(t, "no string", err);
	if (!get_varint(t, &n, err))
		return false;
	if (n > (size_t) (t->end - t->p))
		return damaged(t, "string longer than all", err);
	*out = (Slice){ t->p, n };
	t->p += n;
	return true;
}

bool
thrift_read_struct(ThriftIn *t, ThriftType type, Err *err)
{
	if (type != THRIFT_STRUCT)
		return damaged(t, "no structure", err);
	if (t->depth == THRIFT_DEPTH - 1)
		return damaged(t, "structures too deep", err);
	t->last[++t->depth] = 0;
	return true;
}

bool
thrift_read_list(ThriftIn *t, ThriftType type, ThriftType *out_item,
				 size_t *out_n, Err *err)
{
	uint8_t b = 0;
	uint64_t n = 0;

	if (type != THRIFT_LIST && type != THRIFT_SET)
		return damaged(t, "no list", err);
	if (!get_byte(t, &b, err))
		return false;
	n = b >> 4;
	if (n == LIST_SHORT && !get_varint(t, &n, err))
		return false;
	if (n > (size_t) (t->end - t->p))
		return damaged(t, "list longer than all", err);
	*out_item = (ThriftType) (b & 15);
	*out_n = n;
	return true;
}

/* What has no parts of its own. */
static bool
skip_scalar(ThriftIn *t, ThriftType type, bool in_list, Err *err)
{
	size_t n = 0;
	uint64_t v;
	Slice s;

	switch (type)
	{
		case THRIFT_TRUE:
		case THRIFT_FALSE:
			n = in_list ? 1 : 0;
			break;
		case THRIFT_BYTE:
			n = 1;
			break;
		case THRIFT_DOUBLE:
			n = 8;
			break;
		case THRIFT_BINARY:
			return thrift_read_binary(t, type, &s, err);
		case THRIFT_I16:
		case THRIFT_I32:
		case THRIFT_I64:
			return get_varint(t, &v, err);
		default:
			return damaged(t, "value of unknown type", err);
	}
	if (n > (size_t) (t->end - t->p))
		return damaged(t, "end", err);
	t->p += n;
	return true;
}

static bool
skip_struct(ThriftIn *t, Err *err)
{
	ThriftType type;
	int id;

	if (!thrift_read_struct(t, THRIFT_STRUCT, err))
		return false;
	for (;;)
	{
		if (!thrift_field(t, &id, &type, err))
			return false;
		if (type == THRIFT_STOP)
			return true;
		if (!thrift_skip(t, type, err))
			return false;
	}
}

static bool
skip_list(ThriftIn *t, ThriftType type, Err *err)
{
	ThriftType item;
	size_t n;
	bool ok;

	if (!thrift_read_list(t, type, &item, &n, err))
		return false;
	if (t->depth == THRIFT_DEPTH - 1)
		return damaged(t, "lists too deep", err);
	t->depth++; /* so that lists in lists end somewhere */
	for (ok = true; ok && n > 0; n--)
		ok = item <= THRIFT_BINARY ? skip_scalar(t, item, true, err)
								   : thrift_skip(t, item, err);
	t->depth--;
	return ok;
}

bool
thrift_skip(ThriftIn *t, ThriftType type, Err *err)
{
	if (type == THRIFT_STRUCT)
		return skip_struct(t, err);
	if (type == THRIFT_LIST || type == THRIFT_SET)
		return skip_list(t, type, err);
	return skip_scalar(t, type, false, err); /* Parquet has no maps */
}
