/*-------------------------------------------------------------------------
 * cmd_drop.c
 *	  "drop": the slot, and asked twice the lake.
 *
 * What is dropped is named by who calls, and must be what the settings name:
 * so neither a wrong file nor a wrong word alone drops anything.  The lake is
 * asked for a second time with the number of its objects.
 *
 * The log goes last, entry 0 as the last of all: as long as it is there, init
 * begins no other log among what is left.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "codec/entry.h"
#include "codec/key.h"
#include "io/source.h"

typedef struct Drop
{
	const Config *cfg;
	Store *store;
	int64_t nkeys;
	char **keys;
	int nuploads; /* key, id, key, id, … */
	char **uploads;
	int64_t unknown;
} Drop;

static bool
must_be(const char *option, const char *given, const char *setting,
		const char *value, Err *err)
{
	if (strcmp(given, value) == 0)
		return true;
	err_set(err, ERR_USAGE, 0, "%s names \"%.200s\", but %s is \"%.200s\"",
			option, given, setting, value);
	return err_hint(err, "nothing was dropped; name what the settings name, or "
						 "correct them");
}

/* ---- the slot ---- */

static bool
is_ours(const Drop *d, PGconn *conn, const SourceSlot *s, Err *err)
{
	const char *name = d->cfg->source_slot;

	if (s->active_pid != 0)
	{
		err_set(err, ERR_SOURCE, 0, "slot \"%s\" is in use by pid %" PRId64,
				name, s->active_pid);
		return err_hint(err, "stop run first; nothing was dropped");
	}
	if (!s->logical || strcmp(s->plugin, SOURCE_PLUGIN) != 0 ||
		strcmp(s->database, PQdb(conn)) != 0)
	{
		err_set(err, ERR_SOURCE, 0,
				"slot \"%s\" is of plugin \"%s\" in database \"%s\"", name,
				s->plugin, s->database);
		return err_hint(err,
						"only a slot of \"%s\" in database \"%s\" is "
						"dropped; correct source.slot or source.conninfo",
						SOURCE_PLUGIN, PQdb(conn));
	}
	return true;
}

static bool
drop_slot(const Drop *d, Err *err)
{
	PGconn *conn = NULL;
	PGconn *replication = NULL;
	SourceSlot s;
	bool ok = pg_connect(d->cfg->source_conninfo, PG_SOURCE, &conn, err) &&
			  source_slot(conn, d->cfg->source_slot, &s, err);

	if (ok && !s.exists)
		printf("slot \"%s\" is not there\n", d->cfg->source_slot);
	else if (ok)
	{
		ok = is_ours(d, conn, &s, err) &&
			 source_connect_replication(d->cfg->source_conninfo, conn,
										&replication, err) &&
			 source_drop_slot(replication, d->cfg->source_slot, err);
		if (ok)
			printf("slot \"%s\" was dropped at " LSN_FMT "\n",
				   d->cfg->source_slot, LSN_ARGS(s.confirmed));
	}
	PQfinish(replication);
	PQfinish(conn);
	return ok;
}

/* ---- the lake ---- */

static bool
take_key(const StoreItem *item, void *arg)
{
	Drop *d = arg;
	char id[LOAD_ID_LEN + 1];
	int64_t seq;

	if (strncmp(item->key, "_cdc/", 5) != 0 &&
		!key_parse_part(item->key, &seq) &&
		!key_parse_load(item->key, id, sizeof(id)))
	{
		d->unknown++;
		return true;
	}
	if ((d->nkeys & (d->nkeys - 1)) == 0)
		d->keys = xrealloc(d->keys, (d->nkeys ? 2 * (size_t) d->nkeys : 64) *
										sizeof(char *));
	d->keys[d->nkeys++] = xstrdup(item->key);
	return true;
}

static bool
take_upload(const StoreUpload *u, void *arg)
{
	Drop *d = arg;

	d->uploads =
		xrealloc(d->uploads, ((size_t) d->nuploads + 2) * sizeof(char *));
	d->uploads[d->nuploads++] = xstrdup(u->key);
	d->uploads[d->nuploads++] = xstrdup(u->id);
	return true;
}

static bool
is_log(const char *key)
{
	return strncmp(key, KEY_LOG_PREFIX, strlen(KEY_LOG_PREFIX)) == 0;
}

/* Data, then what is in _cdc/, then the log from its end. */
static int
compare_keys(const void *a, const void *b)
{
	const char *x = *(char *const *) a;
	const char *y = *(char *const *) b;
	int log = is_log(x) - is_log(y);
	int own = (strncmp(x, "_cdc/", 5) == 0) - (strncmp(y, "_cdc/", 5) == 0);

	return log ? log : own ? own : is_log(x) ? strcmp(y, x) : strcmp(x, y);
}

static bool
list_lake(Drop *d, Err *err)
{
	StoreOptions options = config_store_options(d->cfg);

	return store_open(&options, &d->store, err) &&
		   store_list(d->store, "", take_key, d, err);
}

/* The second question. */
static bool
is_meant(const Drop *d, const char *objects, Err *err)
{
	char *end;

	if (objects && strtoll(objects, &end, 10) == d->nkeys && *end == '\0' &&
		objects[0] != '\0')
		return true;
	err_set(err, ERR_USAGE, 0,
			"the lake \"%s\" has %" PRId64 " objects, the log among them",
			d->cfg->store_url, d->nkeys);
	return err_hint(err,
					"nothing was dropped; if all of them are to go for ever, "
					"say it again with --objects=%" PRId64
					" (and stop run, which adds some)",
					d->nkeys);
}

static bool
drop_lake(Drop *d, Err *err)
{
	Err uploads;
	int64_t n = 0;

	if (!store_list_uploads(d->store, "", take_upload, d, &uploads))
		printf("uploads could not be listed: %s\n", uploads.msg);
	for (int i = 0; i < d->nuploads; i += 2)
		if (!store_abandon(d->store, d->uploads[i], d->uploads[i + 1], err))
			return false;
	if (d->nkeys > 0)
		qsort(d->keys, (size_t) d->nkeys, sizeof(char *), compare_keys);
	for (; n < d->nkeys; n++)
		if (!store_del(d->store, d->keys[n], err))
		{
			err_prefix(err, "after %" PRId64 " of %" PRId64 " objects", n,
					   d->nkeys);
			return err_hint(err, "allow deleting, then say it again: what is "
								 "left still has its log");
		}
	printf("the lake \"%s\" was dropped: %" PRId64 " objects\n",
		   d->cfg->store_url, n);
	if (d->unknown)
		printf("%" PRId64 " objects that are not ours were left there\n",
			   d->unknown);
	return true;
}

static void
drop_done(Drop *d)
{
	for (int64_t i = 0; i < d->nkeys; i++)
		free(d->keys[i]);
	for (int i = 0; i < d->nuploads; i++)
		free(d->uploads[i]);
	free(d->keys);
	free(d->uploads);
	store_close(d->store);
}

bool
cmd_drop(const Config *cfg, int argc, char **argv, Err *err)
{
	Drop d = { .cfg = cfg };
	const char *slot = NULL;
	const char *lake = NULL;
	const char *objects = NULL;
	const ArgDef defs[] = { { "--slot", &slot, NULL },
							{ "--lake", &lake, NULL },
							{ "--objects", &objects, NULL } };
	const ArgSpec spec = { .command = "drop", .defs = defs, .ndefs = 3 };
	bool ok = args_parse(&spec, argc, argv, NULL, err);

	if (ok && (!slot || (objects && !lake)))
	{
		ok = err_set(err, ERR_USAGE, 0,
					 slot ? "--objects is of use with --lake only"
						  : "drop does not say what is to be dropped");
		err_hint(err,
				 "cdc-s3 drop --slot %s drops the slot; with --lake URL "
				 "the lake too",
				 cfg->source_slot);
	}
	ok = ok && must_be("--slot", slot, "source.slot", cfg->source_slot, err);
	if (ok && lake)
		ok = must_be("--lake", lake, "store.url", cfg->store_url, err) &&
			 list_lake(&d, err) && is_meant(&d, objects, err);
	ok = ok && drop_slot(&d, err) && (!lake || drop_lake(&d, err));
	drop_done(&d);
	return ok;
}
