/*-------------------------------------------------------------------------
 * commitlog.c
 *	  The chain of entries in a store.
 *
 * The end of the log is found by a listing of its folder, since a number that
 * is missing is either the end or a hole, and only what lies behind it tells.
 * What the listing lacks is asked for by name before it counts as missing:
 * an entry may be written while we list.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/commitlog.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "codec/key.h"

#define KEY_MAX_BYTES 1024
#define OBJECTS_PER_LIST 20000
#define HEAD_PROBES 15             /* behind the end, 2^n entries off */
#define GAP_MAX (INT64_C(1) << 26) /* entries between two that are there */

/*
 * What is not as it was written is a gap: nobody but a person can tell what
 * stood there.  Returns false.
 */
static bool
as_gap(Err *err)
{
	if (err->kind == ERR_DATA)
		err->kind = ERR_GAP;
	return false;
}

/* Checks what was read: size (-1: any), CRC, and SHA-256 where there is a key
 */
static bool
check_bytes(const Store *store, const char *key, const Buf *b, int64_t bytes,
			uint32_t crc, const char *sha256, Err *err)
{
	char hex[SHA256_HEX_SIZE];

	if (bytes >= 0 && (int64_t) b->n != bytes)
		return err_set(err, ERR_DATA, 0,
					   "object \"%s\" has %zu bytes, the log says %" PRId64,
					   key, b->n, bytes);
	if (crc32c(0, b->p, b->n) != crc)
		return err_set(err, ERR_DATA, 0,
					   "object \"%s\" is damaged: its CRC32C is not the one in "
					   "the log",
					   key);
	if (!store_has_key(store))
		return true;
	sha256_hex(b->p, b->n, hex);
	return strcmp(hex, sha256) == 0 ||
		   err_set(err, ERR_DATA, 0,
				   "object \"%s\" is not the one that was written: its SHA-256 "
				   "is not the one in the log",
				   key);
}

static bool
read_list(Store *store, const EntryList *l, Entry *e, Err *err)
{
	const Entry before = *e; /* its counts */
	Buf b;
	bool ok;

	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	ok = store_get(store, l->key, &b, err) &&
		 check_bytes(store, l->key, &b, -1, l->crc32c, l->sha256, err) &&
		 entry_parse_list(buf_slice(&b), e, err);
	buf_done(&b);
	if (ok && (e->nobjects - before.nobjects != l->objects ||
			   e->nfurther - before.nfurther != l->further ||
			   e->nloads - before.nloads != l->loads ||
			   e->nschemas - before.nschemas != l->schemas))
		ok = err_set(err, ERR_DATA, 0,
					 "list \"%s\" does not have as many objects, loads and "
					 "schemas as the entry says",
					 l->key);
	if (!ok && err->kind == ERR_NOT_FOUND)
		err->kind = ERR_DATA; /* the log names it: it must be there */
	return ok;
}

/*
 * What is in lists comes first, as entry_encode() wants it; of loads and
 * schemas either all are there or none.
 */
static bool
read_lists(Store *store, Entry *e, Err *err)
{
	EntryObject *own = e->objects;
	EntryObject *further = e->further;
	int nown = e->nobjects;
	int nfurther = e->nfurther;
	bool ok = true;

	if (e->nlists == 0)
		return true;
	e->objects = e->further = NULL;
	e->nobjects = e->nfurther = 0;
	for (int i = 0; ok && i < e->nlists; i++)
		ok = read_list(store, &e->lists[i], e, err);
	entry_move_objects(&e->objects, &e->nobjects, own, nown);
	entry_move_objects(&e->further, &e->nfurther, further, nfurther);
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
		ok = entry_parse(buf_slice(&b), store->keys, &e, err) &&
			 read_lists(store, e, err);
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
		   (err->kind == ERR_DATA && read_once(store, seq, out, err)) ||
		   as_gap(err);
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

/* Numbers of entries from a first one on, as a listing brings them. */
typedef struct Listed
{
	int64_t first;
	int64_t last; /* the greatest; first - 1: none */
	int64_t far;  /* one too far off to be kept in the map; -1: none */
	size_t nbytes;
	uint8_t *map; /* a bit an entry */
} Listed;

/* "_cdc/log/<20 digits>.json"; -1: another key. */
static int64_t
entry_of_key(const char *key)
{
	static const size_t at = sizeof(KEY_LOG_PREFIX) - 1;
	int64_t n = 0;

	if (strlen(key) != at + 20 + strlen(".json") ||
		strcmp(key + at + 20, ".json") != 0)
		return -1;
	for (size_t i = at; i < at + 20; i++)
	{
		if (key[i] < '0' || key[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, key[i] - '0', &n))
			return -1;
	}
	return n;
}

static bool
take_listed(const StoreItem *item, void *arg)
{
	Listed *l = arg;
	int64_t n = entry_of_key(item->key);
	size_t byte;

	if (n < l->first)
		return true;
	if (n - l->first >= GAP_MAX)
	{
		l->far = l->far < 0 || n < l->far ? n : l->far;
		return true;
	}
	byte = (size_t) (n - l->first) / 8;
	if (byte >= l->nbytes)
	{
		size_t nbytes = 2 * byte + 64;

		l->map = xrealloc(l->map, nbytes);
		memset(l->map + l->nbytes, 0, nbytes - l->nbytes);
		l->nbytes = nbytes;
	}
	l->map[byte] |= (uint8_t) (1u << (n - l->first) % 8);
	l->last = n > l->last ? n : l->last;
	return true;
}

static bool
is_listed(const Listed *l, int64_t n)
{
	size_t byte = (size_t) (n - l->first) / 8;

	return byte < l->nbytes && (l->map[byte] >> (n - l->first) % 8 & 1);
}

static bool
missing(int64_t seq, int64_t behind, Err *err)
{
	err_set(err, ERR_GAP, 0,
			"entry %" PRId64
			" of the commit log is missing, but there is an entry %" PRId64,
			seq, behind);
	return err_hint(err, "restore it (versioned bucket); if nobody can, begin "
						 "a new lake with a first load under another prefix");
}

/* The greatest number with all below it, from first on, there. */
static bool
find_end(Store *store, const Listed *l, int64_t *out, Err *err)
{
	int64_t top = l->far >= 0 ? l->far : l->last;
	bool there = true;
	int64_t n;

	for (n = l->first; there; n++)
	{
		if (!is_listed(l, n) && !exists(store, n, &there, err))
			return false;
	}
	*out = n - 2;
	return n - 1 > top || missing(n - 1, top, err);
}

bool
commitlog_end(Store *store, int64_t first, int64_t *out, Err *err)
{
	Listed l = { .first = first, .last = first - 1, .far = -1 };
	Buf after;
	bool ok;

	buf_init(&after, KEY_MAX_BYTES);
	if (first > 0)
		key_add_entry(&after, first - 1);
	ok =
		(first > 0 ? store_list_after(store, KEY_LOG_PREFIX, buf_cstr(&after),
									  take_listed, &l, err)
				   : store_list(store, KEY_LOG_PREFIX, take_listed, &l, err)) &&
		find_end(store, &l, out, err);
	buf_done(&after);
	free(l.map);
	return ok;
}

bool
commitlog_last(Store *store, int64_t hint, Entry **out, Err *err)
{
	int64_t last;

	if (!commitlog_end(store, hint, &last, err))
		return false;
	if (last >= hint)
		return commitlog_read(store, last, out, err);
	if (hint != 0)
		return commitlog_last(store, 0, out, err);
	*out = NULL;
	return true;
}

/*
 * An entry that is there, and the next power of two behind it that is not:
 * between them lies the end.
 */
static bool
gallop(Store *store, int64_t from, int64_t *low, int64_t *high, Err *err)
{
	bool there = true;
	int64_t step;

	*low = from;
	for (step = 1; there && step < GAP_MAX; step *= 2)
	{
		*high = from + step;
		if (!exists(store, *high, &there, err))
			return false;
		if (there)
			*low = *high;
	}
	return !there ||
		   err_set(err, ERR_LIMIT, 0,
				   "the log has more than %" PRId64 " entries", GAP_MAX);
}

/* Is there an entry behind the one that is not there? */
static bool
look_behind(Store *store, int64_t end, bool *out, Err *err)
{
	*out = false;
	for (int i = 0; !*out && i < HEAD_PROBES; i++)
	{
		if (!exists(store, end + 1 + (INT64_C(1) << i), out, err))
			return false;
	}
	return true;
}

bool
commitlog_head(Store *store, int64_t hint, Entry **out, Err *err)
{
	int64_t low;
	int64_t high;
	bool there;

	if (!exists(store, hint, &there, err))
		return false;
	if (!there && hint > 0)
		return commitlog_head(store, 0, out, err);
	if (!there)
		return commitlog_last(store, 0, out, err); /* or there is a hole */
	if (!gallop(store, hint, &low, &high, err))
		return false;
	while (high - low > 1)
	{
		int64_t mid = low + (high - low) / 2;

		if (!exists(store, mid, &there, err))
			return false;
		*(there ? &low : &high) = mid;
	}
	if (!look_behind(store, low, &there, err))
		return false;
	return there ? commitlog_last(store, hint, out, err)
				 : commitlog_read(store, low, out, err);
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

static EntryList *
new_list(Entry *e)
{
	EntryList *l = entry_add_list(e);

	free(l->key);
	l->key = xasprintf("_cdc/list/%020" PRId64 "-%d-%s.json", e->seq,
					   e->nlists - 1, e->writer);
	return l;
}

static bool
put_list(Store *store, EntryList *l, const Buf *b, Err *err)
{
	if (b->overflow)
		return err_set(err, ERR_LIMIT, 0, "list \"%s\" is too long", l->key);
	l->crc32c = crc32c(0, b->p, b->n);
	if (store_has_key(store))
	{
		free(l->sha256);
		l->sha256 = xmalloc(SHA256_HEX_SIZE);
		sha256_hex(b->p, b->n, l->sha256);
	}
	if (!put_once(store, l->key, buf_slice(b), err))
		return false;
	FAULT_POINT("list_put_after");
	return true;
}

/* Moves objects [from, to) of e into a list file. */
static bool
write_list(Store *store, Entry *e, int from, int to, Err *err)
{
	EntryList *l = new_list(e);
	Buf b;
	bool ok;

	l->objects = to - from;
	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	entry_encode_list(e, from, to, &b);
	ok = put_list(store, l, &b, err);
	buf_done(&b);
	return ok;
}

/* The same of further outputs. */
static bool
write_further_list(Store *store, Entry *e, int from, int to, Err *err)
{
	EntryList *l = new_list(e);
	Buf b;
	bool ok;

	l->further = to - from;
	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	entry_encode_further_list(e, from, to, &b);
	ok = put_list(store, l, &b, err);
	buf_done(&b);
	return ok;
}

/* Moves all loads and schemas of e into a list file. */
static bool
write_loads_list(Store *store, Entry *e, Err *err)
{
	EntryList *l = new_list(e);
	Buf b;
	bool ok;

	l->loads = e->nloads;
	l->schemas = e->nschemas;
	buf_init(&b, ENTRY_LIST_MAX_BYTES);
	entry_encode_loads_list(e, &b);
	ok = put_list(store, l, &b, err);
	buf_done(&b);
	return ok;
}

static void
drop_lists(Entry *e)
{
	for (int i = 0; i < e->nlists; i++)
	{
		free(e->lists[i].key);
		free(e->lists[i].sha256);
	}
	free(e->lists);
	e->lists = NULL;
	e->nlists = 0;
}

/* Moves objects into list files, until the entry itself is short enough. */
static bool
write_lists(Store *store, Entry *e, int n,
			bool (*write)(Store *, Entry *, int, int, Err *), Buf *b, Err *err)
{
	bool ok = true;

	for (int listed = 0; ok && b->overflow && listed < n;)
	{
		int to = n - listed > OBJECTS_PER_LIST ? listed + OBJECTS_PER_LIST : n;

		ok = write(store, e, listed, to, err);
		listed = to;
		buf_reset(b);
		entry_encode(e, store->keys, b);
	}
	return ok;
}

bool
commitlog_write(Store *store, Entry *e, Err *err)
{
	Buf key;
	Buf b;
	bool ok;

	drop_lists(e); /* of an earlier try */
	buf_init(&key, KEY_MAX_BYTES);
	buf_init(&b, ENTRY_MAX_BYTES);
	key_add_entry(&key, e->seq);
	entry_encode(e, store->keys, &b);
	ok = write_lists(store, e, e->nobjects, write_list, &b, err) &&
		 write_lists(store, e, e->nfurther, write_further_list, &b, err);
	if (ok && b.overflow && e->nloads + e->nschemas > 0)
	{
		ok = write_loads_list(store, e, err);
		buf_reset(&b);
		entry_encode(e, store->keys, &b);
	}
	if (ok && b.overflow)
		ok =
			err_set(err, ERR_LIMIT, 0, "entry %" PRId64 " passes 1 MB", e->seq);
	FAULT_POINT("entry_put_before");
	if (ok)
		ok = put_once(store, buf_cstr(&key), buf_slice(&b), err);
	FAULT_POINT("entry_put_after");
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
		(void) as_gap(err);
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
	size_t max = out->max;
	bool ok;

	/* no more memory than the log says, whatever lies there */
	if ((uint64_t) o->bytes < max)
		out->max = (size_t) o->bytes;
	ok = store_get(store, o->key, out, err);
	out->max = max;
	if (!ok && err->kind == ERR_LIMIT && (uint64_t) o->bytes < max)
		return err_set(err, ERR_GAP, 0,
					   "object \"%s\" has more bytes than the %" PRId64
					   " that the log says",
					   o->key, o->bytes);
	return ok && (check_bytes(store, o->key, out, o->bytes, o->crc32c,
							  o->sha256, err) ||
				  as_gap(err));
}
