/*-------------------------------------------------------------------------
 * cmd_ls.c
 *	  "ls": the entries of the commit log, or the objects they list.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/logwalk.h"
#include "codec/json.h"
#include "store/commitlog.h"

#define LINE_MAX_BYTES ((size_t) 64 * 1024 * 1024)
#define TIME_SIZE 40

typedef struct Ls
{
	LogRange range;
	bool objects;
	bool json;
	bool known; /* the output that is wanted was met */
	Buf line;
} Ls;

/* What an entry holds of the range. */
typedef struct Sum
{
	int64_t objects;
	int64_t rows;
	int64_t bytes;
} Sum;

static Sum
sum_objects(const Ls *ls, const Entry *e)
{
	Sum sum = { 0, 0, 0 };

	for (int i = 0; i < e->nobjects; i++)
	{
		if (!logwalk_wants(&ls->range, e, &e->objects[i]))
			continue;
		sum.objects++;
		sum.rows += e->objects[i].rows;
		sum.bytes += e->objects[i].bytes;
	}
	return sum;
}

static void
add_name(Buf *b, const char *key, const char *value)
{
	buf_printf(b, "\"%s\":\"", key);
	json_add_escaped(b, (const uint8_t *) value, strlen(value));
	buf_byte(b, '"');
}

static const char *
time_or_none(int64_t us, char *buf, const char *none)
{
	if (us == 0)
		return none;
	iso_from_unix_us(us, false, buf, TIME_SIZE);
	return buf;
}

static void
add_outputs(Buf *b, const Entry *e)
{
	for (int i = 0; i < e->noutputs; i++)
	{
		const EntryOutput *o = &e->outputs[i];

		buf_str(b, i ? ",{" : "\"outputs\":[{");
		add_name(b, "name", o->name);
		buf_byte(b, ',');
		add_name(b, "url", o->url);
		buf_printf(b,
				   ",\"state\":\"%s\",\"since\":%" PRId64
				   ",\"first\":\"" LSN_FMT "\",\"filled\":%s",
				   output_state_name(o->state), o->since, LSN_ARGS(o->first),
				   o->filled ? "true" : "false");
		if (o->state != OUTPUT_ATTACHED)
			buf_printf(b, ",\"last\":\"" LSN_FMT "\"", LSN_ARGS(o->last));
		buf_byte(b, '}');
	}
	if (e->noutputs > 0)
		buf_str(b, "],");
}

/* Those that came or went with this entry. */
static void
add_output_words(Buf *b, const Entry *e)
{
	for (int i = 0; i < e->noutputs; i++)
	{
		const EntryOutput *o = &e->outputs[i];

		if (o->state == OUTPUT_ENDED ||
			(o->state == OUTPUT_ATTACHED && o->since == e->seq) ||
			(o->state == OUTPUT_DETACHED && o->last == e->prev_end))
			buf_printf(b, "  %s %s", o->name, output_state_name(o->state));
	}
}

static void
entry_json(Ls *ls, const Entry *e, const Sum *sum)
{
	Buf *b = &ls->line;
	char time[TIME_SIZE];
	char closed[TIME_SIZE];

	buf_printf(b,
			   "{\"entry\":%" PRId64 ",\"prev_end\":\"" LSN_FMT
			   "\",\"end\":\"" LSN_FMT "\",\"time\":\"%s\"",
			   e->seq, LSN_ARGS(e->prev_end), LSN_ARGS(e->end),
			   time_or_none(e->time, time, ""));
	buf_printf(b,
			   ",\"objects\":%" PRId64 ",\"rows\":%" PRId64
			   ",\"bytes\":%" PRId64 ",\"closed_until\":",
			   sum->objects, sum->rows, sum->bytes);
	if (e->closed_until)
		buf_printf(b, "\"%s\"", time_or_none(e->closed_until, closed, ""));
	else
		buf_str(b, "null");
	buf_printf(b, ",\"loads_open\":%" PRId64 ",\"loads\":[", e->loads_open);
	for (int i = 0; i < e->nloads; i++)
	{
		buf_str(b, i ? ",{" : "{");
		add_name(b, "id", e->loads[i].id);
		buf_byte(b, ',');
		add_name(b, "schema", e->loads[i].schema);
		buf_byte(b, ',');
		add_name(b, "table", e->loads[i].table);
		buf_printf(b, ",\"lsn\":\"" LSN_FMT "\",\"state\":\"%s\"",
				   LSN_ARGS(e->loads[i].lsn),
				   load_state_name(e->loads[i].state));
		if (e->loads[i].reason[0])
		{
			buf_byte(b, ',');
			add_name(b, "reason", e->loads[i].reason);
		}
		buf_byte(b, '}');
	}
	buf_str(b, "],");
	add_outputs(b, e);
	add_name(b, "writer", e->writer);
	buf_byte(b, '}');
}

/* Why tables were loaded that no person asked for, each reason once. */
static void
add_reasons(Buf *b, const Entry *e)
{
	const char *sep = "  (";

	for (int i = 0; i < e->nloads; i++)
	{
		const char *reason = e->loads[i].reason;
		bool told = reason[0] == '\0';

		for (int k = 0; !told && k < i; k++)
			told = strcmp(e->loads[k].reason, reason) == 0;
		if (told)
			continue;
		buf_printf(b, "%s%s", sep, reason);
		sep = ", ";
	}
	if (sep[0] == ',')
		buf_byte(b, ')');
}

static void
entry_text(Ls *ls, const Entry *e, const Sum *sum)
{
	Buf *b = &ls->line;
	char time[TIME_SIZE];
	char lsn[32];
	int states[] = { 0, 0, 0 };

	(void) snprintf(lsn, sizeof(lsn), LSN_FMT, LSN_ARGS(e->end));
	buf_printf(b, "%8" PRId64 "  %-17s  %-20s", e->seq, lsn,
			   time_or_none(e->time, time, "-"));
	buf_printf(b, "  %7" PRId64 "  %11" PRId64 "  %13" PRId64 "  %-20s",
			   sum->objects, sum->rows, sum->bytes,
			   time_or_none(e->closed_until, time, "-"));
	for (int i = 0; i < e->nloads; i++)
		states[e->loads[i].state]++;
	for (int i = LOAD_OPEN; i <= LOAD_GIVEN_UP; i++)
		if (states[i])
			buf_printf(b, "  %d %s", states[i], load_state_name((LoadState) i));
	add_reasons(b, e);
	add_output_words(b, e);
}

static void
object_json(Ls *ls, const Entry *e, const EntryObject *o)
{
	Buf *b = &ls->line;

	buf_printf(b, "{\"entry\":%" PRId64 ",", e->seq);
	add_name(b, "schema", o->schema);
	buf_byte(b, ',');
	add_name(b, "table", o->table);
	buf_printf(b,
			   ",\"rows\":%" PRId64 ",\"bytes\":%" PRId64
			   ",\"first_lsn\":\"" LSN_FMT "\",\"first_seq\":%" PRId64
			   ",\"last_lsn\":\"" LSN_FMT "\",\"last_seq\":%" PRId64,
			   o->rows, o->bytes, LSN_ARGS(o->first_lsn), o->first_seq,
			   LSN_ARGS(o->last_lsn), o->last_seq);
	buf_printf(b, ",\"crc32c\":\"%08" PRIx32 "\",", o->crc32c);
	add_name(b, "load", o->load);
	buf_byte(b, ',');
	add_name(b, "key", o->key);
	buf_byte(b, '}');
}

static void
object_text(Ls *ls, const Entry *e, const EntryObject *o)
{
	char first[32];
	char last[32];

	(void) snprintf(first, sizeof(first), LSN_FMT, LSN_ARGS(o->first_lsn));
	(void) snprintf(last, sizeof(last), LSN_FMT, LSN_ARGS(o->last_lsn));
	buf_printf(&ls->line,
			   "%8" PRId64 "  %-17s  %-17s  %11" PRId64 "  %13" PRId64 "  %s",
			   e->seq, first, last, o->rows, o->bytes, o->key);
}

static bool
print_line(Ls *ls, Err *err)
{
	bool ok;

	buf_byte(&ls->line, '\n');
	if (ls->line.overflow)
		return err_set(err, ERR_LIMIT, 0, "a line of the listing is too long");
	ok = cli_write(buf_slice(&ls->line), err);
	buf_reset(&ls->line);
	return ok;
}

static bool
ls_entry(const Entry *e, void *arg, Err *err)
{
	Ls *ls = arg;
	Sum sum = sum_objects(ls, e);
	bool ok = true;

	for (int i = 0; ls->range.output && i < e->noutputs; i++)
		ls->known |= strcmp(e->outputs[i].name, ls->range.output) == 0;
	if (!ls->objects)
	{
		if (ls->range.table && sum.objects == 0)
			return true;
		if (ls->json)
			entry_json(ls, e, &sum);
		else
			entry_text(ls, e, &sum);
		return print_line(ls, err);
	}
	for (int i = 0; ok && i < e->nobjects; i++)
	{
		const EntryObject *o = &e->objects[i];

		if (!logwalk_wants(&ls->range, e, o))
			continue;
		if (ls->json)
			object_json(ls, e, o);
		else
			object_text(ls, e, o);
		ok = print_line(ls, err);
	}
	return ok;
}

static bool
ls_log(const Config *cfg, Ls *ls, Err *err)
{
	StoreOptions options = config_store_options(cfg);
	Store *store;
	bool ok;

	if (!store_open(&options, &store, err))
		return false;
	if (!ls->json && ls->objects)
		printf("%8s  %-17s  %-17s  %11s  %13s  %s\n", "entry", "first", "last",
			   "rows", "bytes", "object");
	else if (!ls->json)
		printf("%8s  %-17s  %-20s  %7s  %11s  %13s  %-20s  %s\n", "entry",
			   "end", "time", "objects", "rows", "bytes", "closed until",
			   "loads");
	buf_init(&ls->line, LINE_MAX_BYTES);
	ls->range.parallel = &options;
	ok = logwalk(store, &ls->range, ls_entry, ls, err);
	if (ok && ls->range.output && !ls->known)
		ok = err_set(err, ERR_USAGE, 0,
					 "no entry of the range knows an output \"%.60s\"",
					 ls->range.output);
	buf_done(&ls->line);
	store_close(store);
	return ok;
}

/* For schedulers: may what needs all hours before that time begin? */
static bool
judge_closed(int64_t wanted_us, const char *wanted, const Entry *last, Err *err)
{
	char closed[TIME_SIZE];

	if (last && last->closed_until >= wanted_us)
		return true;
	(void) err_set(
		err, ERR_BUSY, 0,
		"the hours before %s are not complete yet; all before %s "
		"are",
		wanted,
		time_or_none(last ? last->closed_until : 0, closed, "the first one"));
	return err_hint(err, "try again later, or see whether \"cdc-s3 run\" is "
						 "still running");
}

static bool
ls_closed(const Config *cfg, const char *wanted, bool json, Err *err)
{
	StoreOptions options = config_store_options(cfg);
	int64_t wanted_us;
	char closed[TIME_SIZE];
	Store *store;
	Entry *last = NULL;
	bool ok;

	if (!iso_parse(wanted, &wanted_us))
		return err_set(err, ERR_USAGE, 0,
					   "\"%.64s\" of --closed-until is no time; write it as "
					   "2026-11-21T08:00:00Z",
					   wanted);
	if (!store_open(&options, &store, err))
		return false;
	ok = commitlog_last(store, 0, &last, err);
	store_close(store);
	if (ok && last && last->closed_until)
	{
		const char *time = time_or_none(last->closed_until, closed, "");

		if (json)
			printf("{\"closed_until\":\"%s\"}\n", time);
		else
			printf("%s\n", time);
	}
	ok = ok && judge_closed(wanted_us, wanted, last, err);
	entry_free(last);
	return ok;
}

bool
cmd_ls(const Config *cfg, int argc, char **argv, Err *err)
{
	Ls ls = { .range = { .to = LSN_MAX } };
	const char *from = NULL;
	const char *to = NULL;
	const char *what = NULL;
	const char *closed = NULL;
	const ArgDef defs[] = { { "--closed-until", &closed, NULL },
							{ "--from", &from, NULL },
							{ "--to", &to, NULL },
							{ "--table", &ls.range.table, NULL },
							{ "--output", &ls.range.output, NULL },
							{ "--json", NULL, &ls.json } };
	const ArgSpec spec = { .command = "ls",
						   .defs = defs,
						   .ndefs = 6,
						   .words = &what,
						   .max_words = 1 };

	if (!args_parse(&spec, argc, argv, NULL, err) ||
		!args_lsn("--from", from, &ls.range.from, err) ||
		!args_lsn("--to", to, &ls.range.to, err))
		return false;
	ls.objects = what && strcmp(what, "objects") == 0;
	if (what && !ls.objects && strcmp(what, "entries") != 0)
	{
		err_set(err, ERR_USAGE, 0, "ls cannot list \"%s\"", what);
		return err_hint(err, "write \"ls\", or \"ls objects\"");
	}
	if (closed && (what || from || to || ls.range.table || ls.range.output))
		return err_set(err, ERR_USAGE, 0,
					   "--closed-until goes with --json only");
	if (closed)
		return ls_closed(cfg, closed, ls.json, err);
	return ls_log(cfg, &ls, err);
}
