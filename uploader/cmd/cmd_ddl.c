/*-------------------------------------------------------------------------
 * cmd_ddl.c
 *	  "ddl": SQL by which an engine reads the lake as it lies.
 *
 * It reads the commit log and schema files, asks neither source nor target,
 * and prints.  Nothing is changed anywhere.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/ddl.h"
#include "cmd/outputs.h"
#include "codec/pattern.h"

#define TABLE_MAX_BYTES ((size_t) 64 * 1024 * 1024)
#define WORDS_MAX 256

typedef enum ViewKind
{
	VIEW_NONE,
	VIEW_CHANGES,
	VIEW_LATEST
} ViewKind;

typedef struct Ddl
{
	const DdlEngine *engine;
	ViewKind view;
	bool one_key;
	bool truncates;
	char *wanted;       /* patterns; NULL: all */
	const char *output; /* a further one; NULL: the lake itself */
	char *url;
} Ddl;

static bool
unknown_engine(const char *name, Err *err)
{
	char list[256] = "";
	size_t n = 0;

	for (int i = 0; ddl_engine_at(i); i++)
		n += (size_t) snprintf(list + n, sizeof(list) - n, "%s%s",
							   i ? ", " : "", ddl_engine_at(i)->name);
	if (name)
		err_set(err, ERR_USAGE, 0, "ddl knows no engine \"%s\"", name);
	else
		err_set(err, ERR_USAGE, 0, "ddl needs to know the engine");
	return err_hint(err, "write --engine and one of %s", list);
}

static bool
take_view(const char *view, ViewKind *out, Err *err)
{
	if (!view)
		*out = VIEW_NONE;
	else if (strcmp(view, "changes") == 0)
		*out = VIEW_CHANGES;
	else if (strcmp(view, "latest") == 0)
		*out = VIEW_LATEST;
	else
	{
		err_set(err, ERR_USAGE, 0, "ddl knows no view \"%s\"", view);
		return err_hint(err, "write --view changes, or --view latest");
	}
	return true;
}

static bool
take_keys(const char *keys, bool *out, Err *err)
{
	if (keys && strcmp(keys, "one") != 0 && strcmp(keys, "four") != 0)
	{
		err_set(err, ERR_USAGE, 0, "--keys has the value \"%s\"", keys);
		return err_hint(err, "write --keys one, or --keys four");
	}
	*out = !keys || strcmp(keys, "one") == 0;
	return true;
}

/* --table and all words, as one list of patterns. */
static bool
take_tables(const char *table, const char **words, int nwords, char **out,
			Err *err)
{
	Buf b;
	bool ok = true;

	buf_init(&b, TABLE_MAX_BYTES);
	if (table)
		buf_str(&b, table);
	for (int i = 0; i < nwords; i++)
		buf_printf(&b, "%s%s", b.n ? "," : "", words[i]);
	if (b.n && !pattern_list_valid(buf_cstr(&b)))
	{
		err_set(err, ERR_USAGE, 0, "\"%s\" names no table", buf_cstr(&b));
		ok = err_hint(err, "write schema.table, or a pattern such as "
						   "'public.*'; names that are not lower case stand "
						   "in double quotes");
	}
	*out = ok && b.n ? xstrdup(buf_cstr(&b)) : NULL;
	buf_done(&b);
	return ok;
}

/* What the statements do not read. */
static void
say_objects(const DdlJob *job, const DdlTables *tables)
{
	const DdlTable *t = job->table;
	bool duckdb = job->engine->create == ddl_create_duckdb;

	if (tables->dms)
		ddl_comment(job, "NOT WHOLE: objects of output.shape = dms are not "
						 "what this reads: make the table by hand");
	if (!duckdb && tables->exact)
		ddl_comment(job, "NOT WHOLE: objects of output.parquet_types = exact "
						 "may be there, of which uuid, time and json have "
						 "other types than these");
	if (t->unplaced)
		ddl_comment(job, "NOT WHOLE: objects of the table lie in folders of "
						 "no output.path that the log tells");
}

/* One key a table: of several tables each has folders of its own, and keys that
 * do not know of each other cannot say which. */
static bool
wants_one_key(const Ddl *ddl, const DdlJob *job)
{
	const DdlTable *t = job->table;

	if (ddl_is_plain(job))
		return ddl->one_key && t->folders != DDL_NO_FOLDERS;
	return ddl->one_key || t->nruns > 1 ||
		   job->engine->create == ddl_create_trino ||
		   job->engine->create == ddl_create_redshift;
}

static void
add_table(const Ddl *ddl, const DdlTables *tables, const DdlTable *t, Buf *out)
{
	DdlJob job = { .engine = ddl->engine,
				   .table = t,
				   .url = ddl->url,
				   .format = ddl->engine->format,
				   .truncates = ddl->truncates,
				   .escaped = tables->escaped,
				   .zoned = tables->zoned,
				   .out = out };

	job.one_key = wants_one_key(ddl, &job);
	if (ddl->engine->create != ddl_create_glue)
		say_objects(&job, tables);
	ddl_choose_key(&job);
	if (ddl->engine->create == ddl_create_glue)
	{
		job.engine->create(&job);
		return;
	}
	ddl_comment(&job, "%s.%s", t->schema, t->table);
	if (job.one_key && !ddl->one_key && !ddl_is_plain(&job))
		ddl_comment(&job, "one key: what the table has are folders of several "
						  "kinds, or not those of Hive");
	job.engine->create(&job);
	if (ddl->view == VIEW_CHANGES)
		ddl_view_changes(&job);
	else if (ddl->view == VIEW_LATEST)
		ddl_view_latest(&job);
	buf_byte(out, '\n');
}

static bool
print_tables(const Ddl *ddl, const DdlTables *tables, Err *err)
{
	Buf b;
	bool ok = true;

	buf_init(&b, TABLE_MAX_BYTES);
	if (ddl->engine->create != ddl_create_glue)
		buf_printf(&b,
				   "-- cdc-s3 " CDC_S3_VERSION ", for %s, from the commit log "
				   "up to entry %" PRId64 "\n\n",
				   ddl->engine->name, tables->entry);
	for (int i = 0; ok && i < tables->n; i++)
	{
		add_table(ddl, tables, &tables->items[i], &b);
		if (b.overflow)
			ok = err_set(err, ERR_LIMIT, 0,
						 "the statements of table \"%s.%s\" are too long",
						 tables->items[i].schema, tables->items[i].table);
		ok = ok && cli_write(buf_slice(&b), err);
		buf_reset(&b);
	}
	buf_done(&b);
	return ok;
}

static bool
no_table(const Ddl *ddl, Err *err)
{
	if (ddl->wanted)
		err_set(err, ERR_USAGE, 0, "the lake has no table of \"%s\"",
				ddl->wanted);
	else
		err_set(err, ERR_USAGE, 0, "the lake has no table yet");
	return err_hint(err, "a table is there once its first change or load is "
						 "in the log: see \"cdc-s3 ls objects\"");
}

/* Where the objects lie. */
static bool
take_url(const Config *cfg, Ddl *ddl, Err *err)
{
	const OutputConfig *o = NULL;
	const char *url = cfg->store_url;
	size_t n;

	if (ddl->output)
	{
		o = config_output_find(&cfg->outputs, ddl->output, err);
		if (!o)
			return false;
		url = o->url;
	}
	n = strlen(url);
	while (n > 0 && url[n - 1] == '/')
		n--;
	ddl->url = xstrndup(url, n);
	return true;
}

static bool
write_ddl(const Config *cfg, Ddl *ddl, Err *err)
{
	DdlFrom from = { .output = ddl->output,
					 .wanted = ddl->wanted,
					 .truncates = ddl->truncates };
	DdlTables tables = { 0 };
	bool ok = take_url(cfg, ddl, err) &&
			  outputs_open_store(cfg, NULL, &from.log, err) &&
			  outputs_open_store(cfg, ddl->output, &from.store, err) &&
			  ddl_read(&from, &tables, err);

	if (ok && tables.n == 0)
		ok = no_table(ddl, err);
	ok = ok && print_tables(ddl, &tables, err);
	ddl_tables_done(&tables);
	free(ddl->url);
	store_close(from.store);
	store_close(from.log);
	return ok;
}

bool
cmd_ddl(const Config *cfg, int argc, char **argv, Err *err)
{
	Ddl ddl = { 0 };
	const char *engine = NULL;
	const char *view = NULL;
	const char *keys = NULL;
	const char *table = NULL;
	const char *words[WORDS_MAX];
	int nwords = 0;
	const ArgDef defs[] = { { "--engine", &engine, NULL },
							{ "--view", &view, NULL },
							{ "--keys", &keys, NULL },
							{ "--table", &table, NULL },
							{ "--output", &ddl.output, NULL },
							{ "--truncates", NULL, &ddl.truncates } };
	const ArgSpec spec = { .command = "ddl",
						   .defs = defs,
						   .ndefs = 6,
						   .words = words,
						   .max_words = WORDS_MAX };
	bool ok;

	if (!args_parse(&spec, argc, argv, &nwords, err) ||
		!take_view(view, &ddl.view, err) || !take_keys(keys, &ddl.one_key, err))
		return false;
	if (!engine || !(ddl.engine = ddl_engine_find(engine, "json")))
		return unknown_engine(engine, err);
	if (ddl.view != VIEW_NONE && ddl.engine->create == ddl_create_glue)
	{
		err_set(err, ERR_USAGE, 0, "Glue's create-table makes no view");
		return err_hint(err, "--engine athena prints it");
	}
	if (!take_tables(table, words, nwords, &ddl.wanted, err))
		return false;
	ok = write_ddl(cfg, &ddl, err);
	free(ddl.wanted);
	return ok;
}
