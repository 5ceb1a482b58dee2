/*-------------------------------------------------------------------------
 * commitlog.c
 *	  The chain of entries in a store.
 *
 * The last entry is found without a listing: numbers have no holes, so the
 * end is searched by doubling steps and then by halving.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/commitlog.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "codec/key.h"

#define KEY_MAX_BYTES 1024
#define OBJECTS_PER_LIST 20000

/* Checks what was read: size (-1: any) and CRC. */
static bool
check_bytes(const char *key, const Buf *b, int64_t bytes, uint32_t crc,
			Err *err)
{
	if (bytes >= 0 && (int64_t) b->n != bytes)
		return err_set(err, ERR_DATA, 0,
					   "object \"%s\" has %zu bytes, the log says %" PRId64,
					   key, b->n, bytes);
	if (crc32c(0, b->p, b->n) != crc)
		return err_set(err, ERR_DATA, 0,
					   "object \"%s\" is damaged: its CRC32C is not the one in "
					   "the log",
					   key);
	return true;
}

static bool
read_list(Store *store, const EntryList *l, Entry *e, Err *err)
{
	int64_t before = e->nobjects;
	Buf b;
	bool ok;

	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	ok = store_get(store, l->key, &b, err) &&
		 check_bytes(l->key, &b, -1, l->crc32c, err) &&
		 entry_parse_list(buf_slice(&b), e, err);
	buf_done(&b);
	if (ok && e->nobjects - before != l->objects)
		ok = err_set(err, ERR_DATA, 0,
					 "object list \"%s\" has %" PRId64
					 " objects, the entry says %" PRId64,
					 l->key, e->nobjects - before, l->objects);
	if (!ok && err->kind == ERR_NOT_FOUND)
		err->kind = ERR_DATA; /* the log names it: it must be there */
	return ok;
}

/* Objects in lists come first, as entry_encode() wants it. */
static bool
read_lists(Store *store, Entry *e, Err *err)
{
	EntryObject *own = e->objects;
	int nown = e->nobjects;
	bool ok = true;

	if (e->nlists == 0)
		return true;
	e->objects = NULL;
	e->nobjects = 0;
	for (int i = 0; ok && i < e->nlists; i++)
		ok = read_list(store, &e->lists[i], e, err);
	for (int i = 0; i < nown; i++)
	{
		EntryObject *o = entry_add_object(e);

		free(o->key);
		free(o->schema);
		free(o->table);
		free(o->hash);
		free(o->load);
		*o = own[i];
	}
	free(own);
	return ok;
}

static bool
read_once(Store *store, int64_t seq, Entry **out, Err *err)
{
	Buf key;
	Buf b;
	Entry *e = NULL;
	bool ok;

	buf_init(&key, KEY_MAX_BYTES);
	buf_init(&b, 2 * ENTRY_MAX_BYTES);
	key_add_entry(&key, seq);
	ok = store_get(store, buf_cstr(&key), &b, err);
	if (ok)
	{
		ok = entry_parse(buf_slice(&b), &e, err) && read_lists(store, e, err);
		if (ok && e->seq != seq)
			ok = err_set(err, ERR_DATA, 0, "it is entry %" PRId64, e->seq);
		if (!ok)
			err_prefix(err, "log entry \"%s\"", buf_cstr(&key));
	}
	buf_done(&key);
	buf_done(&b);
	if (!ok)
	{
		entry_free(e);
		return false;
	}
	*out = e;
	return true;
}

/* What seems damaged is read once more: the way here may have hurt it. */
bool
commitlog_read(Store *store, int64_t seq, Entry **out, Err *err)
{
	return read_once(store, seq, out, err) ||
		   (err->kind == ERR_DATA && read_once(store, seq, out, err));
}

/* Is there an entry seq? */
static bool
exists(Store *store, int64_t seq, bool *out, Err *err)
{
	Buf key;
	int64_t bytes;
	bool ok;

	buf_init(&key, KEY_MAX_BYTES);
	key_add_entry(&key, seq);
	ok = store_head(store, buf_cstr(&key), &bytes, err);
	buf_done(&key);
	if (!ok && err->kind != ERR_NOT_FOUND)
		return false;
	*out = ok;
	return true;
}

bool
commitlog_last(Store *store, int64_t hint, Entry **out, Err *err)
{
	int64_t lo = hint; /* exists */
	int64_t hi;        /* does not */
	int64_t step = 1;
	bool there;

	if (!exists(store, lo, &there, err))
		return false;
	if (!there)
	{
		if (hint != 0)
			return commitlog_last(store, 0, out, err);
		*out = NULL;
		return true;
	}
	for (;; step *= 2)
	{
		hi = lo + step;
		if (!exists(store, hi, &there, err))
			return false;
		if (!there)
			break;
		lo = hi;
	}
	while (hi - lo > 1)
	{
		int64_t mid = lo + (hi - lo) / 2;

		if (!exists(store, mid, &there, err))
			return false;
		if (there)
			lo = mid;
		else
			hi = mid;
	}
	return commitlog_read(store, lo, out, err);
}

/*
 * The key was taken when we put: by an earlier try of our own, or by another
 * writer.  The content tells.
 */
static bool
settle(Store *store, const char *key, Slice body, Err *err)
{
	Buf b;
	bool same;

	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	if (!store_get(store, key, &b, err))
	{
		buf_done(&b);
		if (err->kind == ERR_NOT_FOUND)
			err->kind = ERR_BUSY; /* it cannot be both: ask again */
		return err_prefix(err, "could not read back \"%s\"", key);
	}
	same = b.n == body.n && memcmp(b.p, body.p, b.n) == 0;
	buf_done(&b);
	if (same)
		return true;
	return err_set(err, ERR_LOST, 0,
				   "another writer was first at \"%s\"; nothing was confirmed",
				   key);
}

static bool
put_once(Store *store, const char *key, Slice body, Err *err)
{
	/* Better no entry than one that nobody can ever read. */
	if (!utf8_valid(body.p, body.n))
		return err_set(err, ERR_USAGE, 0,
					   "a name that \"%s\" would hold is not UTF-8; rename "
					   "what has it, or exclude the table",
					   key);
	if (store_put(store, key, body, true, err))
		return true;
	if (err->kind != ERR_EXISTS)
		return false;
	return settle(store, key, body, err);
}

/* Moves objects [from, to) of e into a list file. */
static bool
write_list(Store *store, Entry *e, int from, int to, Err *err)
{
	EntryList *l = entry_add_list(e);
	Buf b;
	bool ok;

	free(l->key);
	l->key = xasprintf("_cdc/list/%020" PRId64 "-%d-%s.json", e->seq,
					   e->nlists - 1, e->writer);
	l->objects = to - from;
	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	entry_encode_list(e, from, to, &b);
	l->crc32c = crc32c(0, b.p, b.n);
	if (b.overflow)
		ok = err_set(err, ERR_LIMIT, 0, "object list \"%s\" is too long",
					 l->key);
	else
		ok = put_once(store, l->key, buf_slice(&b), err);
	buf_done(&b);
	return ok;
}

static void
drop_lists(Entry *e)
{
	for (int i = 0; i < e->nlists; i++)
		free(e->lists[i].key);
	free(e->lists);
	e->lists = NULL;
	e->nlists = 0;
}

bool
commitlog_write(Store *store, Entry *e, Err *err)
{
	Buf key;
	Buf b;
	bool ok = true;
	int listed = 0;

	drop_lists(e); /* of an earlier try */
	buf_init(&key, KEY_MAX_BYTES);
	buf_init(&b, ENTRY_MAX_BYTES);
	key_add_entry(&key, e->seq);
	entry_encode(e, &b);
	while (ok && b.overflow && listed < e->nobjects)
	{
		int to = e->nobjects - listed > OBJECTS_PER_LIST
					 ? listed + OBJECTS_PER_LIST
					 : e->nobjects;

		ok = write_list(store, e, listed, to, err);
		listed = to;
		buf_reset(&b);
		entry_encode(e, &b);
	}
	if (ok && b.overflow)
		ok =
			err_set(err, ERR_LIMIT, 0, "entry %" PRId64 " passes 1 MB", e->seq);
	if (ok)
		ok = put_once(store, buf_cstr(&key), buf_slice(&b), err);
	buf_done(&key);
	buf_done(&b);
	return ok;
}

bool
commitlog_schema(Store *store, const char *schema, const char *table,
				 const char *hash, Schema **out, Err *err)
{
	Buf key;
	Buf b;
	Schema *s = NULL;
	bool ok;

	buf_init(&key, KEY_MAX_BYTES);
	buf_init(&b, SCHEMA_FILE_MAX);
	key_add_schema(&key, schema, table, hash);
	ok = store_get(store, buf_cstr(&key), &b, err) &&
		 schema_parse(buf_slice(&b), &s, err);
	if (ok && strcmp(s->hash, hash) != 0)
		ok = err_set(err, ERR_DATA, 0, "its content has the hash %s", s->hash);
	if (!ok)
	{
		err_prefix(err, "schema file \"%s\"", buf_cstr(&key));
		schema_free(s);
	}
	else
		*out = s;
	buf_done(&key);
	buf_done(&b);
	return ok;
}

bool
commitlog_object(Store *store, const EntryObject *o, Buf *out, Err *err)
{
	if (!store_get(store, o->key, out, err))
		return false;
	return check_bytes(o->key, out, o->bytes, o->crc32c, err);
}
