/*-------------------------------------------------------------------------
 * cmd_check.c
 *	  "check": every prerequisite, and for each that is missing the mend.
 *
 * Nothing is changed but a temporary slot and keys below _cdc/probe/, which
 * are gone at the end.  The exit code is that of the first error; warnings
 * alone are no failure.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/args.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "codec/json.h"
#include "codec/pattern.h"

#define TEXT_MAX_BYTES 65536

static const char *const level_names[] = { "ok", "warning", "error" };

static void
add_json_member(Buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s\"%s\":\"", b->n > 1 ? "," : "", name);
	json_add_escaped(b, (const uint8_t *) value, strlen(value));
	buf_byte(b, '"');
}

static void
print_json(const Finding *f, const char *what)
{
	Buf b;

	buf_init(&b, 8 * TEXT_MAX_BYTES);
	buf_byte(&b, '{');
	add_json_member(&b, "level", level_names[f->level]);
	add_json_member(&b, "name", f->name);
	add_json_member(&b, "what", what);
	if (f->why)
		add_json_member(&b, "why", f->why);
	if (f->mend)
		add_json_member(&b, "mend", f->mend);
	buf_str(&b, "}\n");
	(void) fputs(buf_cstr(&b), stdout); /* cli.c sees to it at the end */
	buf_done(&b);
}

static void
print_text(const Finding *f, const char *what)
{
	printf("%-8s %s: %s\n", level_names[f->level], f->name, what);
	if (f->why && f->why[0])
		printf("         why:  %s\n", f->why);
	if (f->mend && f->mend[0])
		printf("         mend: %s\n", f->mend);
}

static void
report(Check *c, const Finding *f, const char *what)
{
	Err ignored;

	c->count[f->level]++;
	if (f->level == CHECK_ERROR && c->first.kind == ERR_NONE)
	{
		err_set(&c->first, f->kind, 0, "%s: %s", f->name, what);
		if (f->mend)
			err_hint(&c->first, "%s", f->mend);
	}
	if (c->json)
		print_json(f, what);
	else
		print_text(f, what);
	/* a slow check behind it is no reason to wait; cli_main sees an error */
	if (!cli_flush(&ignored))
		return;
}

void
check_report(Check *c, const Finding *f, const char *what, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, what);
	(void) vsnprintf(text, sizeof(text), what, ap); /* a cut is fine */
	va_end(ap);
	report(c, f, text);
}

void
check_ok(Check *c, const char *name, const char *what, ...)
{
	const Finding f = { .level = CHECK_OK, .name = name };
	char text[2048];
	va_list ap;

	va_start(ap, what);
	(void) vsnprintf(text, sizeof(text), what, ap); /* a cut is fine */
	va_end(ap);
	report(c, &f, text);
}

void
check_failed(Check *c, const char *name, const char *why, const Err *err)
{
	const Finding f = { .level = CHECK_ERROR,
						.kind = err->kind,
						.name = name,
						.why = why,
						.mend = err->hint[0] ? err->hint : NULL };

	report(c, &f, err->msg);
}

bool
check_text(Check *c, const char *name, const char *sql, Buf *out)
{
	Err err;
	char doing[128];

	(void) snprintf(doing, sizeof(doing), "read %s", name);
	buf_reset(out);
	if (source_text(c->conn, doing, sql, out, &err))
		return true;
	check_failed(c, name, "it could not be checked", &err);
	return false;
}

bool
check_wants(const Check *c, const char *schema, const char *table)
{
	const Config *cfg = c->cfg;

	return (cfg->source_tables[0] == '\0' ||
			pattern_list_matches(cfg->source_tables, schema, table)) &&
		   !pattern_list_matches(cfg->source_exclude, schema, table);
}

static bool
check_result(Check *c, Err *err)
{
	if (!c->json)
		printf("%d error%s, %d warning%s\n", c->count[CHECK_ERROR],
			   c->count[CHECK_ERROR] == 1 ? "" : "s", c->count[CHECK_WARNING],
			   c->count[CHECK_WARNING] == 1 ? "" : "s");
	if (c->first.kind == ERR_NONE)
		return true;
	*err = c->first;
	if (c->count[CHECK_ERROR] > 1)
		return err_prefix(err, "%d checks failed, the first is",
						  c->count[CHECK_ERROR]);
	return err_prefix(err, "one check failed");
}

bool
cmd_check(const Config *cfg, int argc, char **argv, Err *err)
{
	Check c = { .cfg = cfg };
	bool no_race = false;
	const ArgDef defs[] = { { "--json", NULL, &c.json },
							{ "--no-race", NULL, &no_race } };
	const ArgSpec spec = { .command = "check", .defs = defs, .ndefs = 2 };

	if (!args_parse(&spec, argc, argv, NULL, err))
		return false;
	c.race = !no_race;
	check_file(&c);
	check_source(&c);
	check_store(&c);
	check_layout(&c);
	check_outputs(&c);
	check_lifecycle(&c);
	check_slot(&c);
	check_loads(&c);
	check_publications(&c);
	check_tables(&c);
	check_columns(&c);
	check_target(&c);
	entry_free(c.last);
	store_close(c.store);
	PQfinish(c.replication);
	PQfinish(c.conn);
	return check_result(&c, err);
}
