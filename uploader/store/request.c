/*-------------------------------------------------------------------------
 * request.c
 *	  Requests to load tables.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/request.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"

#define PREFIX "_cdc/request/"
#define SUFFIX ".json"
#define REQUEST_MAX_BYTES ((size_t) 1 << 20)
#define KEY_SIZE (sizeof(PREFIX) + REQUEST_ID_LEN + sizeof(SUFFIX))
#define TIME_SIZE 40
#define LSN_SIZE 20
#define PATTERN_SIZE ((size_t) 4096)

void
request_new_id(Request *r)
{
	(void) snprintf(r->id, sizeof(r->id), "%08" PRIx32, random_u32());
}

static void
key_of(const char *id, char *key)
{
	(void) snprintf(key, KEY_SIZE, PREFIX "%s" SUFFIX, id); /* fits */
}

/* Takes doc, which is NULL where a name is not UTF-8. */
static bool
write_doc(Store *s, const char *id, json_t *doc, Err *err)
{
	char key[KEY_SIZE];
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	bool ok;

	json_decref(doc);
	if (!text)
		return err_set(err, ERR_USAGE, 0,
					   "the names of the tables are not UTF-8");
	key_of(id, key);
	ok = store_put(s, key, slice_cstr(text), true, err);
	free(text);
	return ok;
}

bool
request_write(Store *s, const Request *r, Err *err)
{
	char time[TIME_SIZE];

	iso_from_unix_us(r->time, true, time, sizeof(time));
	return write_doc(s, r->id,
					 json_pack("{s:i,s:s,s:s,s:I,s:s}", "version", 1, "id",
							   r->id, "tables", r->tables, "after_entry",
							   (json_int_t) r->after, "time", time),
					 err);
}

static void
add_quoted(Buf *out, const char *name)
{
	buf_byte(out, '"');
	for (; *name; name++)
	{
		if (*name == '"')
			buf_byte(out, '"');
		buf_byte(out, (uint8_t) *name);
	}
	buf_byte(out, '"');
}

void
request_add_table(Buf *out, const char *schema, const char *table)
{
	add_quoted(out, schema);
	buf_byte(out, '.');
	add_quoted(out, table);
}

/* Each part with its end, so that no two needs have one text. */
static void
id_of(const RequestNeed *n, char id[REQUEST_ID_SIZE])
{
	const char *const parts[] = { n->source->system_identifier,
								  n->source->database,
								  n->source->slot,
								  n->schema,
								  n->table,
								  n->reason };
	Sha256 *sha = sha256_begin();
	char lsn[LSN_SIZE];
	char hex[SHA256_HEX_SIZE];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		sha256_add(sha, parts[i], strlen(parts[i]) + 1);
	(void) snprintf(lsn, sizeof(lsn), LSN_HEX_FMT, n->lsn); /* fits */
	sha256_add(sha, lsn, strlen(lsn));
	sha256_end(sha, hex);
	memcpy(id, hex, REQUEST_ID_LEN);
	id[REQUEST_ID_LEN] = '\0';
}

bool
request_need(Store *s, const RequestNeed *n, Err *err)
{
	char id[REQUEST_ID_SIZE];
	char time[TIME_SIZE];
	char lsn[LSN_SIZE];
	Buf table;
	bool ok;

	id_of(n, id);
	iso_from_unix_us(clock_unix_us(), true, time, sizeof(time));
	(void) snprintf(lsn, sizeof(lsn), LSN_HEX_FMT, n->lsn); /* fits */
	buf_init(&table, PATTERN_SIZE);
	request_add_table(&table, n->schema, n->table);
	ok = write_doc(s, id,
				   json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:s}", "version", 2,
							 "id", id, "table", buf_cstr(&table), "reason",
							 n->reason, "lsn", lsn, "after_entry",
							 (json_int_t) n->after, "time", time),
				   err);
	buf_done(&table);
	return ok || err->kind == ERR_EXISTS;
}

/* What follows a name in quotes; NULL where there is none. */
static const char *
skip_quoted(const char *p)
{
	size_t n = 0;

	if (*p++ != '"')
		return NULL;
	for (; !(p[0] == '"' && p[1] != '"'); p++, n++)
	{
		if (*p == '\0')
			return NULL;
		p += *p == '"';
	}
	return n > 0 ? p + 1 : NULL;
}

/* One table's pattern, and nothing else. */
static bool
is_one_table(const char *text)
{
	const char *p = text ? skip_quoted(text) : NULL;

	p = p && *p == '.' ? skip_quoted(p + 1) : NULL;
	return p && *p == '\0';
}

/* It is printed, and stands in the log. */
static bool
is_reason(const char *text)
{
	size_t n = text ? strspn(text, "abcdefghijklmnopqrstuvwxyz_") : 0;

	return n > 0 && n <= REQUEST_REASON_MAX && text[n] == '\0';
}

/* Whoever can write to the bucket can leave one: nothing of it is believed. */
static void
parse_request(Slice text, Request *out)
{
	json_t *doc = json_loadb((const char *) text.p, text.n, 0, NULL);
	json_int_t version = json_integer_value(json_object_get(doc, "version"));
	const char *tables = json_string_value(
		json_object_get(doc, version == 2 ? "table" : "tables"));
	const char *reason = json_string_value(json_object_get(doc, "reason"));
	const char *lsn = json_string_value(json_object_get(doc, "lsn"));
	const char *time = json_string_value(json_object_get(doc, "time"));
	json_t *after = json_object_get(doc, "after_entry");
	bool ok =
		tables && json_is_integer(after) && json_integer_value(after) >= 0;

	if (version == 2)
		ok = ok && is_one_table(tables) && is_reason(reason) && lsn &&
			 lsn_parse(lsn, &out->lsn);
	else
		ok = ok && version == 1;
	if (ok)
	{
		out->tables = xstrdup(tables);
		out->reason = version == 2 ? xstrdup(reason) : NULL;
		out->after = json_integer_value(after);
		if (!time || !iso_parse(time, &out->time))
			out->time = 0;
	}
	json_decref(doc);
}

/* *out malformed, or too long to be one: its tables are NULL. */
static bool
read_request(Store *s, const char *key, Request *out, Err *err)
{
	Buf b;
	bool ok;

	buf_init(&b, REQUEST_MAX_BYTES);
	ok = store_get(s, key, &b, err);
	if (ok)
		parse_request(buf_slice(&b), out);
	buf_done(&b);
	return ok || err->kind == ERR_LIMIT;
}

/* Keys of another form are not ours. */
static bool
take_key(const StoreItem *item, void *arg)
{
	RequestList *l = arg;
	const char *id = item->key + strlen(PREFIX);
	Request *r;

	if (strlen(item->key) != KEY_SIZE - 2 ||
		strspn(id, "0123456789abcdef") != REQUEST_ID_LEN ||
		strcmp(id + REQUEST_ID_LEN, SUFFIX) != 0)
		return true;
	l->items = xrealloc(l->items, ((size_t) l->n + 1) * sizeof(*l->items));
	r = &l->items[l->n++];
	*r = (Request){ 0 };
	memcpy(r->id, id, REQUEST_ID_LEN);
	return true;
}

bool
request_list(Store *s, RequestList *out, Err *err)
{
	int kept = 0;

	*out = (RequestList){ 0 };
	if (!store_list(s, PREFIX, take_key, out, err))
		return false;
	for (int i = 0; i < out->n; i++)
	{
		char key[KEY_SIZE];

		key_of(out->items[i].id, key);
		if (read_request(s, key, &out->items[i], err))
			out->items[kept++] = out->items[i];
		else if (err->kind != ERR_NOT_FOUND) /* taken away meanwhile */
		{
			out->n = kept; /* what lies behind was moved, or is not read */
			return false;
		}
	}
	out->n = kept;
	return true;
}

void
request_done(Request *r)
{
	free(r->tables);
	free(r->reason);
}

void
request_list_done(RequestList *l)
{
	for (int i = 0; i < l->n; i++)
		request_done(&l->items[i]);
	free(l->items);
	*l = (RequestList){ 0 };
}

bool
request_is_in(const RequestList *l, const char *id)
{
	for (int i = 0; i < l->n; i++)
	{
		if (strcmp(l->items[i].id, id) == 0)
			return true;
	}
	return false;
}

bool
request_remove(Store *s, const char *id, Err *err)
{
	char key[KEY_SIZE];

	key_of(id, key);
	return store_del(s, key, err);
}
