/*-------------------------------------------------------------------------
 * merge_ddl.c
 *	  Statements that change a table of the target as the source changed.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_ddl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "merge/merge_preview.h"
#include "merge/merge_state.h"

void
ddl_init(Ddl *d, MergeCx *cx)
{
	*d = (Ddl){ .cx = cx,
				.mirror = strcmp(cx->opt->schema, "mirror") == 0,
				.strict = strcmp(cx->opt->schema, "strict") == 0 };
	buf_init(&d->wanted, SQL_MAX);
	buf_init(&d->step, SQL_MAX);
}

void
ddl_done(Ddl *d)
{
	buf_done(&d->wanted);
	buf_done(&d->step);
}

bool
ddl_runs(const Ddl *d)
{
	return !d->strict && !d->cx->opt->preview;
}

/* Others may read the table for long; a merge does not wait for them. */
static bool
limit_waits(Ddl *d, Err *err)
{
	Buf sql;
	bool ok;

	if (d->timed)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SET LOCAL lock_timeout = %lld",
			   (long long) d->cx->opt->lock_timeout_ms);
	ok = sql_run(d->cx, "limit waits for locks", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	d->timed = ok;
	return ok;
}

bool
ddl_begin(Ddl *d, Err *err)
{
	buf_reset(&d->step);
	return !ddl_runs(d) ||
		   (limit_waits(d, err) && sql_savepoint(d->cx, "cdc_s3_ddl", err));
}

bool
ddl_run(Ddl *d, const char *sql, Err *err)
{
	buf_printf(&d->step, "%s%s;", d->step.n ? " " : "", sql);
	if (d->strict)
	{
		buf_printf(&d->wanted, "%s%s", d->nwanted ? "; " : "", sql);
		d->nwanted++;
		return true;
	}
	if (d->cx->opt->preview)
	{
		preview_ddl(d->cx->opt->preview, sql);
		return true;
	}
	return sql_run(d->cx, "follow the source's schema", sql, NULL, err);
}

/* What may pass another day, or once somebody did something. */
static bool
is_refusal(const char *state)
{
	static const char *const classes[] = { "0A", "22", "23", "2B", "42",
										   "44", "54", "55", "P0" };
	bool found = false;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		found = found || strncmp(state, classes[i], 2) == 0;
	return found;
}

/*
 * What the target has of a table that waits goes by its old name; one that it
 * does not have gets a name that nobody has.
 */
static void
keep_name(PlanTable *t)
{
	char *schema = xstrdup(t->known ? t->known->schema : t->schema);
	char *table = t->known ? xstrdup(t->known->table)
						   : xasprintf("%s@%u", t->table, t->relation_id);

	free(t->schema);
	free(t->table);
	t->schema = schema;
	t->table = table;
}

/* From here on its changes wait, and its loads. */
static void
refuse(PlanTable *t)
{
	if (!t->blocked)
		t->blocked_since =
			t->waiting && t->since < t->from ? t->since : t->from;
	t->blocked = t->refused = true;
}

bool
ddl_block(Ddl *d, PlanTable *t, const char *statements, const char *why,
		  Err *err)
{
	refuse(t);
	log_warn("the target refuses a change of a table's schema: its changes "
			 "wait",
			 "schema", t->schema, "table", t->table, "statements",
			 statements[0] ? statements : NULL, "cause", why, NULL);
	keep_name(t);
	return state_blocked(d->cx, t, "schema", statements, why, err);
}

bool
ddl_wait(Ddl *d, PlanTable *t, const char *reason, const char *why, Err *err)
{
	refuse(t);
	log_warn("a table's changes wait", "schema", t->schema, "table", t->table,
			 "cause", why, NULL);
	keep_name(t);
	return state_blocked(d->cx, t, reason, "", why, err);
}

bool
ddl_end(Ddl *d, PlanTable *t, bool ok, Err *err)
{
	char why[sizeof(err->msg)];

	if (!ddl_runs(d))
		return ok;
	if (ok)
		return sql_release(d->cx, "cdc_s3_ddl", err);
	if (err->kind != ERR_TARGET || !is_refusal(d->cx->state))
		return false;
	memcpy(why, err->msg, sizeof(why));
	return sql_rollback_to(d->cx, "cdc_s3_ddl", err) &&
		   ddl_block(d, t, buf_cstr(&d->step), why, err);
}

bool
ddl_finish(Ddl *d, Err *err)
{
	if (d->nwanted > 0 && !d->cx->opt->preview)
	{
		err_set(err, ERR_TARGET, 0,
				"the source's schema changed, and merge.schema is strict: the "
				"target needs: %s",
				buf_cstr(&d->wanted));
		return err_hint(err, "run these statements at the target, or set "
							 "merge.schema=follow or mirror");
	}
	return !d->timed || sql_run(d->cx, "wait for locks again",
								"SET LOCAL lock_timeout = 0", NULL, err);
}
