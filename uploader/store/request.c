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

#define PREFIX "_cdc/request/"
#define SUFFIX ".json"
#define REQUEST_MAX_BYTES ((size_t) 1 << 20)
#define KEY_SIZE (sizeof(PREFIX) + REQUEST_ID_LEN + sizeof(SUFFIX))
#define TIME_SIZE 40

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

bool
request_write(Store *s, const Request *r, Err *err)
{
	char key[KEY_SIZE];
	char time[TIME_SIZE];
	json_t *doc;
	char *text;
	bool ok;

	iso_from_unix_us(r->time, true, time, sizeof(time));
	doc = json_pack("{s:i,s:s,s:s,s:I,s:s}", "version", 1, "id", r->id,
					"tables", r->tables, "after_entry", (json_int_t) r->after,
					"time", time);
	text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	if (!text)
		return err_set(err, ERR_USAGE, 0,
					   "the names of the tables are not UTF-8");
	key_of(r->id, key);
	ok = store_put(s, key, slice_cstr(text), true, err);
	free(text);
	return ok;
}

/* Whoever can write to the bucket can leave one: nothing of it is believed. */
static void
parse_request(Slice text, Request *out)
{
	json_t *doc = json_loadb((const char *) text.p, text.n, 0, NULL);
	const char *tables = json_string_value(json_object_get(doc, "tables"));
	json_t *after = json_object_get(doc, "after_entry");

	if (tables && json_is_integer(after) && json_integer_value(after) >= 0 &&
		json_integer_value(json_object_get(doc, "version")) == 1)
	{
		out->tables = xstrdup(tables);
		out->after = json_integer_value(after);
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
request_list_done(RequestList *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->items[i].tables);
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
