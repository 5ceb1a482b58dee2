/*-------------------------------------------------------------------------
 * expiry.c
 *	  Objects that are given up since they are old.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/expiry.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"

#define REQUEST_PREFIX "_cdc/request/expire-"
#define TARGET_PREFIX "_cdc/target/"
#define SUFFIX ".json"
#define FILE_MAX_BYTES ((size_t) 64 << 10)
#define KEY_SIZE 80
#define TIME_SIZE 40

/* ---- small files ---- */

static void
key_of(const char *prefix, const char *id, char *key)
{
	(void) snprintf(key, KEY_SIZE, "%s%s" SUFFIX, prefix, id); /* fits */
}

/* Takes doc, which is NULL where a name is not UTF-8. */
static bool
write_doc(Store *s, const char *key, json_t *doc, bool only_if_absent, Err *err)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	bool ok;

	json_decref(doc);
	if (!text)
		return err_set(err, ERR_USAGE, 0, "a name in \"%s\" is not UTF-8", key);
	ok = store_put(s, key, slice_cstr(text), only_if_absent, err);
	free(text);
	return ok;
}

/* *out = NULL where it is no JSON, too long, or was taken away meanwhile. */
static bool
read_doc(Store *s, const char *key, json_t **out, Err *err)
{
	Buf b;
	bool ok;

	*out = NULL;
	buf_init(&b, FILE_MAX_BYTES);
	ok = store_get(s, key, &b, err);
	if (ok)
		*out = json_loadb((const char *) b.p, b.n, 0, NULL);
	buf_done(&b);
	return ok || err->kind == ERR_LIMIT || err->kind == ERR_NOT_FOUND;
}

typedef struct Ids
{
	const char *prefix;
	size_t len; /* of an id */
	int n;
	char **ids;
} Ids;

/* Keys of another form are not ours. */
static bool
take_key(const StoreItem *item, void *arg)
{
	Ids *l = arg;
	const char *id = item->key + strlen(l->prefix);

	if (strlen(item->key) != strlen(l->prefix) + l->len + strlen(SUFFIX) ||
		strspn(id, "0123456789abcdef") != l->len ||
		strcmp(id + l->len, SUFFIX) != 0)
		return true;
	l->ids = xrealloc(l->ids, ((size_t) l->n + 1) * sizeof(char *));
	l->ids[l->n++] = xstrndup(id, l->len);
	return true;
}

static void
ids_done(Ids *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->ids[i]);
	free(l->ids);
}

static int64_t
int_of(json_t *doc, const char *name)
{
	json_t *v = json_object_get(doc, name);

	return json_is_integer(v) && json_integer_value(v) >= 0
			   ? json_integer_value(v)
			   : -1;
}

static int64_t
time_of(json_t *doc)
{
	const char *s = json_string_value(json_object_get(doc, "time"));
	int64_t us;

	return s && iso_parse(s, &us) ? us : 0;
}

/* ---- requests ---- */

bool
expiry_ask(Store *s, ExpiryRequest *r, Err *err)
{
	char key[KEY_SIZE];
	char time[TIME_SIZE];

	(void) snprintf(r->id, sizeof(r->id), "%08" PRIx32, random_u32());
	key_of(REQUEST_PREFIX, r->id, key);
	iso_from_unix_us(r->time, true, time, sizeof(time));
	return write_doc(s, key,
					 json_pack("{s:i,s:s,s:I,s:s}", "version", 1, "id", r->id,
							   "until_entry", (json_int_t) r->until, "time",
							   time),
					 true, err);
}

bool
expiry_requests(Store *s, ExpiryRequests *out, Err *err)
{
	Ids ids = { .prefix = REQUEST_PREFIX, .len = EXPIRY_ID_LEN };
	bool ok = store_list(s, REQUEST_PREFIX, take_key, &ids, err);

	*out = (ExpiryRequests){ .items = xcalloc((size_t) ids.n + 1,
											  sizeof(*out->items)) };
	for (int i = 0; ok && i < ids.n; i++)
	{
		ExpiryRequest *r = &out->items[out->n++];
		char key[KEY_SIZE];
		json_t *doc;

		memcpy(r->id, ids.ids[i], EXPIRY_ID_LEN);
		key_of(REQUEST_PREFIX, r->id, key);
		ok = read_doc(s, key, &doc, err);
		r->until =
			int_of(doc, "version") == 1 ? int_of(doc, "until_entry") : -1;
		r->time = time_of(doc);
		json_decref(doc);
	}
	ids_done(&ids);
	if (!ok)
		expiry_requests_done(out);
	return ok;
}

void
expiry_requests_done(ExpiryRequests *l)
{
	free(l->items);
	*l = (ExpiryRequests){ 0 };
}

bool
expiry_request_remove(Store *s, const char *id, Err *err)
{
	char key[KEY_SIZE];

	key_of(REQUEST_PREFIX, id, key);
	return store_del(s, key, err);
}

/* ---- targets ---- */

/*
 * Objects never change, so each merge leaves a file of its own and takes the
 * earlier ones of its target away: "<id>-<time in hex>.json".
 */
#define TARGET_TIME_LEN 16
#define STEM_LEN (TARGET_ID_LEN + 1 + TARGET_TIME_LEN)

static bool
take_target(const StoreItem *item, void *arg)
{
	Ids *l = arg;
	const char *stem = item->key + strlen(TARGET_PREFIX);
	const char *time = stem + TARGET_ID_LEN + 1;

	if (strlen(stem) != STEM_LEN + strlen(SUFFIX) ||
		strspn(stem, "0123456789abcdef") != TARGET_ID_LEN ||
		stem[TARGET_ID_LEN] != '-' ||
		strspn(time, "0123456789abcdef") != TARGET_TIME_LEN ||
		strcmp(stem + STEM_LEN, SUFFIX) != 0)
		return true;
	l->ids = xrealloc(l->ids, ((size_t) l->n + 1) * sizeof(char *));
	l->ids[l->n++] = xstrndup(stem, STEM_LEN);
	return true;
}

static int
compare_stems(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* In order: those of a target stand together, the latest one last. */
static bool
list_stems(Store *s, const char *id, Ids *out, Err *err)
{
	char prefix[KEY_SIZE];

	*out = (Ids){ 0 };
	(void) snprintf(prefix, sizeof(prefix), TARGET_PREFIX "%s", id); /* fits */
	if (!store_list(s, prefix, take_target, out, err))
		return false;
	if (out->n > 0)
		qsort(out->ids, (size_t) out->n, sizeof(char *), compare_stems);
	return true;
}

/* Those of the target but for the one to be kept (NULL: none). */
static bool
remove_notes(Store *s, const char *id, const char *keep, Err *err)
{
	Ids l;
	bool ok = list_stems(s, id, &l, err);

	for (int i = 0; ok && i < l.n; i++)
	{
		char key[KEY_SIZE];

		key_of(TARGET_PREFIX, l.ids[i], key);
		if (!keep || strcmp(key, keep) < 0)
			ok = store_del(s, key, err);
	}
	ids_done(&l);
	return ok;
}

bool
target_note(Store *s, TargetNote *n, Err *err)
{
	char hex[SHA256_HEX_SIZE];
	char stem[STEM_LEN + 1];
	char key[KEY_SIZE];
	char time[TIME_SIZE];

	sha256_hex((const uint8_t *) n->name, strlen(n->name), hex);
	memcpy(n->id, hex, TARGET_ID_LEN);
	n->id[TARGET_ID_LEN] = '\0';
	(void) snprintf(stem, sizeof(stem), "%s-%016" PRIx64, n->id,
					(uint64_t) n->time); /* fits */
	key_of(TARGET_PREFIX, stem, key);
	iso_from_unix_us(n->time, true, time, sizeof(time));
	return write_doc(s, key,
					 json_pack("{s:i,s:s,s:s,s:I,s:I,s:s}", "version", 1, "id",
							   n->id, "target", n->name, "entry",
							   (json_int_t) n->entry, "needs",
							   (json_int_t) n->needs, "time", time),
					 false, err) &&
		   remove_notes(s, n->id, key, err);
}

/* One that cannot be read needs all: better too much than too little. */
static void
parse_note(json_t *doc, TargetNote *n)
{
	const char *name = json_string_value(json_object_get(doc, "target"));
	bool ok = int_of(doc, "version") == 1 && name;

	n->name = xstrdup(ok ? name : "(unreadable)");
	n->entry = ok ? int_of(doc, "entry") : -1;
	n->needs = ok && int_of(doc, "needs") >= 0 ? int_of(doc, "needs") : 0;
	n->time = ok ? time_of(doc) : 0;
}

/* Does the next one belong to the same target? */
static bool
is_older(const Ids *l, int i)
{
	return i + 1 < l->n &&
		   strncmp(l->ids[i], l->ids[i + 1], TARGET_ID_LEN) == 0;
}

bool
target_notes(Store *s, TargetNotes *out, Err *err)
{
	Ids ids;
	bool ok = list_stems(s, "", &ids, err);

	*out = (TargetNotes){ .items = xcalloc((size_t) ids.n + 1,
										   sizeof(*out->items)) };
	for (int i = 0; ok && i < ids.n; i++)
	{
		char key[KEY_SIZE];
		json_t *doc;

		if (is_older(&ids, i))
			continue;
		key_of(TARGET_PREFIX, ids.ids[i], key);
		ok = read_doc(s, key, &doc, err);
		if (ok)
		{
			TargetNote *n = &out->items[out->n++];

			/* one that a merge has just renewed keeps all until the next look
			 */
			memcpy(n->id, ids.ids[i], TARGET_ID_LEN);
			parse_note(doc, n);
		}
		json_decref(doc);
	}
	ids_done(&ids);
	if (!ok)
		target_notes_done(out);
	return ok;
}

void
target_notes_done(TargetNotes *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->items[i].name);
	free(l->items);
	*l = (TargetNotes){ 0 };
}

bool
target_forget(Store *s, const char *id, Err *err)
{
	if (strlen(id) != TARGET_ID_LEN ||
		strspn(id, "0123456789abcdef") != TARGET_ID_LEN)
		return err_set(err, ERR_USAGE, 0, "\"%.64s\" is no id of a target", id);
	return remove_notes(s, id, NULL, err);
}

/* ---- how far ---- */

bool
expiry_find(Store *s, int64_t low, int64_t high, int64_t unix_us, int64_t *out,
			Err *err)
{
	int64_t first = low;

	while (low < high)
	{
		int64_t mid = low + (high - low + 1) / 2;
		Entry *e;

		if (!commitlog_read(s, mid, &e, err))
			return false;
		if (e->time < unix_us && e->closed_until <= unix_us)
			low = mid;
		else
			high = mid - 1;
		entry_free(e);
	}
	*out = low > first ? low : first;
	return true;
}

static void
limit(int64_t *until, int64_t needs, Buf *why, const char *who)
{
	if (*until < needs)
		return;
	*until = needs - 1;
	buf_reset(why);
	buf_printf(why, "%s needs entry %" PRId64, who, needs);
}

bool
expiry_hold(Store *s, const Entry *last, int64_t *until, Buf *why, Err *err)
{
	TargetNotes notes;

	limit(until, last->seq, why, "the end of the log, which is never expired,");
	if (last->loads_open > 0)
		limit(until, last->loads_since, why,
			  "a load that is open; who merges it");
	if (!target_notes(s, &notes, err))
		return false;
	for (int i = 0; i < notes.n; i++)
	{
		char *who =
			xasprintf("target %s (%s)", notes.items[i].id, notes.items[i].name);

		limit(until, notes.items[i].needs, why, who);
		free(who);
	}
	target_notes_done(&notes);
	if (*until < 0)
		*until = 0;
	return true;
}

bool
expiry_error(int64_t seq, int64_t expired, const char *key, Err *err)
{
	return err_set(err, ERR_GAP, 0,
				   "object \"%s\" of entry %" PRId64
				   " has expired: entries up to %" PRId64
				   " have no objects any more",
				   key, seq, expired);
}
