/*-------------------------------------------------------------------------
 * verify_left.c
 *	  "verify" of what lies in the store against what the log lists.
 *
 * The log was read before the store is listed: so what has the number of an
 * entry that was read, and is not listed by it, can never count, whoever
 * writes meanwhile.  What has a later number is on its way.  Of a load
 * its end tells.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "cmd/verify.h"
#include "codec/key.h"

#define LIST_PREFIX "_cdc/list/"

typedef struct Left
{
	Verify *v;
	bool *there; /* of each key of the log */
	char **keys; /* to be removed */
	int nkeys;
	char **uploads; /* key, id, key, id, … */
	int nuploads;
} Left;

static int
compare_keys(const void *a, const void *b)
{
	const VerifyKey *x = a;
	const VerifyKey *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

void
verify_sort_keys(Verify *v)
{
	if (v->nkeys > 0)
		qsort(v->keys, (size_t) v->nkeys, sizeof(*v->keys), compare_keys);
}

VerifyKey *
verify_find_key(const Verify *v, uint64_t hash)
{
	VerifyKey key = { .hash = hash };

	return v->nkeys > 0 ? bsearch(&key, v->keys, (size_t) v->nkeys,
								  sizeof(*v->keys), compare_keys)
						: NULL;
}

static void
add_name(char ***names, int *n, const char *name)
{
	*names = xrealloc(*names, ((size_t) *n + 1) * sizeof(char *));
	(*names)[(*n)++] = xstrdup(name);
}

static bool
load_is_over(const Verify *v, const char *id)
{
	for (int i = 0; i < v->nloads; i++)
		if (strcmp(v->loads[i].id, id) == 0)
			return true;
	return false;
}

typedef enum Whose
{
	WHOSE_NOBODYS, /* it can never count */
	WHOSE_FLIGHT,  /* it may count one day */
	WHOSE_UNKNOWN
} Whose;

/* "_cdc/list/<20 digits>-…" */
static bool
parse_list(const char *key, int64_t *out)
{
	char *end;

	if (strncmp(key, LIST_PREFIX, strlen(LIST_PREFIX)) != 0)
		return false;
	*out = strtoll(key + strlen(LIST_PREFIX), &end, 10);
	return *end == '-';
}

/* Of what no entry lists. */
static Whose
whose(const Verify *v, const char *key)
{
	char id[LOAD_ID_LEN + 1];
	int64_t seq;

	if (key_parse_load(key, id, sizeof(id)))
		return load_is_over(v, id) ? WHOSE_NOBODYS : WHOSE_FLIGHT;
	if (parse_list(key, &seq) || key_parse_part(key, &seq))
		return seq <= v->last ? WHOSE_NOBODYS : WHOSE_FLIGHT;
	return WHOSE_UNKNOWN;
}

/* Where it is what the log lists. */
static void
take_listed(Left *l, const VerifyKey *k, const StoreItem *item)
{
	Verify *v = l->v;

	l->there[k - v->keys] = true;
	if (k->seq <= v->expired && k->number >= 0)
		v->counts.still++;
	else if (!k->read && k->bytes >= 0 && k->bytes != item->bytes)
		verify_report(v, VERIFY_DAMAGED, k->seq, item->key,
					  "it has %" PRId64 " bytes, the log says %" PRId64,
					  item->bytes, k->bytes);
}

static bool
take_item(const StoreItem *item, void *arg)
{
	Left *l = arg;
	Verify *v = l->v;
	const VerifyKey *k = verify_find_key(v, fnv1a(FNV1A_EMPTY, item->key));

	if (k)
	{
		take_listed(l, k, item);
		return !verify_stopped();
	}
	if (strncmp(item->key, "_cdc/", 5) == 0 &&
		strncmp(item->key, LIST_PREFIX, strlen(LIST_PREFIX)) != 0)
		return !verify_stopped();
	switch (whose(v, item->key))
	{
		case WHOSE_NOBODYS:
			verify_report(v, VERIFY_LEFTOVER, -1, item->key,
						  "no entry lists it, and none will (%" PRId64
						  " bytes)",
						  item->bytes);
			add_name(&l->keys, &l->nkeys, item->key);
			break;
		case WHOSE_FLIGHT:
			v->counts.in_flight++;
			break;
		case WHOSE_UNKNOWN:
			verify_report(v, VERIFY_UNKNOWN, -1, item->key,
						  "it has no name of ours, and is left alone");
			break;
	}
	return !verify_stopped();
}

static bool
take_upload(const StoreUpload *u, void *arg)
{
	Left *l = arg;

	if (whose(l->v, u->key) != WHOSE_NOBODYS)
		return !verify_stopped();
	verify_report(l->v, VERIFY_UPLOAD, -1, u->key,
				  "an upload that nobody will finish (id %s)", u->id);
	add_name(&l->uploads, &l->nuploads, u->key);
	add_name(&l->uploads, &l->nuploads, u->id);
	return !verify_stopped();
}

/*
 * The key of what a listing lacks is asked for by name, since a listing may
 * lag; the log has it.
 */
static bool
ask_missing(Verify *v, const VerifyKey *k, Err *err)
{
	Entry *e;
	int64_t bytes;
	bool ok;

	if (!commitlog_read(verify_log_store(v), k->seq, &e, err))
		return false;
	verify_choose(v, e);
	ok = store_head(v->store, e->objects[k->number].key, &bytes, err);
	if (!ok && err->kind == ERR_NOT_FOUND)
	{
		verify_report(v, VERIFY_MISSING, k->seq, e->objects[k->number].key,
					  "the log lists it, and it is not there");
		ok = true;
	}
	entry_free(e);
	return ok;
}

/* What was read was found missing then. */
static bool
find_missing(Left *l, Err *err)
{
	Verify *v = l->v;

	for (int64_t i = 0; i < v->nkeys && !verify_stopped(); i++)
	{
		const VerifyKey *k = &v->keys[i];

		if (l->there[i] || k->read || k->number < 0 || k->seq <= v->expired)
			continue;
		if (!ask_missing(v, k, err))
			return false;
	}
	return true;
}

/* A refusal is told, and the rest is tried all the same. */
static bool
remove_all(Left *l, Err *err)
{
	Verify *v = l->v;
	Err first = { 0 };

	for (int i = 0; i < l->nkeys && !verify_stopped(); i++)
	{
		if (store_del(v->store, l->keys[i], err))
			v->counts.removed++;
		else if (first.kind == ERR_NONE)
			first = *err;
	}
	for (int i = 0; i < l->nuploads && !verify_stopped(); i += 2)
	{
		if (store_abandon(v->store, l->uploads[i], l->uploads[i + 1], err))
			v->counts.removed++;
		else if (first.kind == ERR_NONE)
			first = *err;
	}
	if (first.kind == ERR_NONE)
		return true;
	*err = first;
	return err_prefix(err, "could not remove a leftover");
}

static void
free_names(char **names, int n)
{
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

bool
verify_left(Verify *v, Err *err)
{
	Left l = { .v = v };
	Err refused;
	bool ok;

	verify_sort_keys(v);
	l.there = xcalloc((size_t) v->nkeys + 1, sizeof(bool));
	ok = store_list(v->store, "", take_item, &l, err) && find_missing(&l, err);
	if (ok && !verify_stopped() &&
		!store_list_uploads(v->store, "", take_upload, &l, &refused))
	{
		/* a store that cannot say so is no fault of the lake */
		verify_report(v, VERIFY_UNKNOWN, -1, "",
					  "uploads could not be listed: %s", refused.msg);
	}
	if (ok && v->repair)
		ok = remove_all(&l, err);
	free_names(l.keys, l.nkeys);
	free_names(l.uploads, l.nuploads);
	free(l.there);
	return ok;
}
