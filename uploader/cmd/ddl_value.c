/*-------------------------------------------------------------------------
 * ddl_value.c
 *	  Columns in the views of ddl: which they are, and what they are called
 *	  and written as in records of each version of the table.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "cmd/ddl_view.h"
#include "codec/json.h"

/* ---- columns ---- */

static bool
is_toast(const SchemaColumn *c)
{
	switch (ddl_class(c))
	{
		case DDL_BOOL:
		case DDL_INT2:
		case DDL_INT4:
		case DDL_INT8:
		case DDL_FLOAT4:
		case DDL_FLOAT8:
		case DDL_DATE:
		case DDL_TIME:
		case DDL_TIMESTAMP:
		case DDL_TIMESTAMPTZ:
		case DDL_UUID:
			return false;
		default:
			return c->kind != CDC_S3_KIND_TIMETZ &&
				   c->kind != CDC_S3_KIND_INTERVAL;
	}
}

bool
view_is_in(const SchemaColumn *c, Which which)
{
	switch (which)
	{
		case KEYS:
			return c->key;
		case PLAIN:
			return !c->key && !is_toast(c);
		case TOAST:
			return !c->key && is_toast(c);
		case ALL:
			break;
	}
	return true;
}

int
view_count(const View *v, Which which)
{
	int n = 0;

	for (int i = 0; i < v->now->ncols; i++)
		n += view_is_in(&v->now->cols[i], which);
	return n;
}

/* All columns are the key: equal rows cannot be told apart. */
bool
view_is_bag(const Schema *s)
{
	return schema_is_bag(s) && s->ncols > 0;
}

/* "pattern" for each of these columns, # being its number. */
void
view_each(const View *v, Which which, const char *between, const char *pattern)
{
	const char *before = "";

	for (int i = 0; i < v->now->ncols; i++)
	{
		if (!view_is_in(&v->now->cols[i], which))
			continue;
		buf_str(v->out, before);
		before = between;
		for (const char *p = pattern; *p; p++)
		{
			if (*p == '#')
				buf_printf(v->out, "%d", i);
			else
				buf_byte(v->out, (uint8_t) *p);
		}
	}
}

/* The same in a list that has begun. */
void
view_also(const View *v, Which which, const char *pattern)
{
	if (view_count(v, which))
		buf_str(v->out, ", ");
	view_each(v, which, ", ", pattern);
}

/* t."name", the table's own column. */
void
view_own(const View *v, const char *name)
{
	buf_str(v->out, "t.");
	ddl_name(v->job, name);
}

/* What "own" writes, for a template; the caller frees it. */
char *
view_own_text(const View *v, const char *name)
{
	Buf b;
	DdlJob job = *v->job;
	View sub = *v;
	char *text;

	buf_init(&b, DDL_NAME_MAX);
	job.out = &b;
	sub.job = &job;
	sub.out = &b;
	view_own(&sub, name);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

/* A text as a value of the column's type in the table. */
static void
from_text(const View *v, const SchemaColumn *c, const char *text)
{
	const DdlType *type = &v->engine->types[ddl_class(c)];
	const char *as_text = v->engine->types[DDL_TEXT].raw;

	if (v->engine->typed && type->cast)
		ddl_cast(v->job, c, text);
	else if (strcmp(type->raw, as_text) == 0)
		buf_str(v->out, text);
	else
		buf_printf(v->out, "CAST(%s AS %s)", text,
				   type->sql ? type->sql : type->raw);
}

/* An expression of the table's type as the right one, that of the view. */
void
view_typed(const View *v, const SchemaColumn *c, const char *text)
{
	if (v->engine->typed)
		buf_str(v->out, text);
	else
		ddl_cast(v->job, c, text);
}

/* As what the name of a member of "_key" or "_before" stands in a template. */
static char *
member_name(const View *v, const char *name)
{
	Buf b;
	char *text;

	buf_init(&b, DDL_NAME_MAX);
	if (v->engine->json_path)
	{
		buf_str(&b, "$[\"");
		json_add_escaped(&b, (const uint8_t *) name, strlen(name));
		buf_str(&b, "\"]");
	}
	else if (v->engine->pointer)
	{
		/* RFC 6901: ~ is ~0, / is ~1 */
		buf_byte(&b, '/');
		for (; *name; name++)
		{
			if (*name == '~' || *name == '/')
				buf_printf(&b, "~%d", *name == '/');
			else
				buf_byte(&b, (uint8_t) *name);
		}
	}
	else
		buf_str(&b, name);
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

/* The column's value in "_key" or "_before". */
void
view_member(const View *v, const char *object, const SchemaColumn *c)
{
	char *name = member_name(v, c->json_name);
	char *of = view_own_text(v, object);
	DdlJob job = *v->job;
	Buf b;

	buf_init(&b, DDL_NAME_MAX);
	job.out = &b;
	ddl_fill(&job, v->engine->member, &(DdlFill){ .value = of, .text = name });
	from_text(v, c, buf_cstr(&b));
	buf_done(&b);
	free(of);
	free(name);
}

/* Does the list "_unchanged" name the column? */
static void
is_unchanged(const View *v, const char *name)
{
	char *list = view_own_text(v, "_unchanged");

	ddl_fill(v->job, v->engine->contains,
			 &(DdlFill){ .value = list, .text = name });
	free(list);
}

/* ---- versions ---- */

const SchemaColumn *
view_in_version(const View *v, int version, int attnum)
{
	const Schema *s = v->table->versions[version].schema;

	for (int i = 0; i < s->ncols; i++)
		if (s->cols[i].attnum == attnum)
			return &s->cols[i];
	return NULL;
}

static bool
has_conflict(const View *v, const char *name)
{
	for (int i = 0; i < v->nfields; i++)
		if (strcmp(v->fields[i].name, name) == 0)
			return v->fields[i].conflict;
	return false;
}

void
view_is_before(const View *v, Lsn lsn, int64_t seq)
{
	buf_printf(v->out,
			   "(t.%c_lsn%c < '%016" PRIX64 "' OR (t.%c_lsn%c = '%016" PRIX64
			   "' AND t.%c_seq%c < %" PRId64 "))",
			   v->engine->quote, v->engine->quote, (uint64_t) lsn,
			   v->engine->quote, v->engine->quote, (uint64_t) lsn,
			   v->engine->quote, v->engine->quote, seq);
}

/* What rows have that are older than the column. */
static void
missing_value(const View *v, const SchemaColumn *c, const char *missing)
{
	DdlJob job = *v->job;
	Buf b;

	if (!missing)
	{
		buf_str(v->out, "NULL");
		return;
	}
	buf_init(&b, DDL_NAME_MAX);
	job.out = &b;
	ddl_text(&job, missing);
	from_text(v, c, buf_cstr(&b));
	buf_done(&b);
}

/* The value of column c, as records of this version say it. */
static void
version_value(const View *v, int version, const SchemaColumn *c)
{
	const SchemaColumn *then = view_in_version(v, version, c->attnum);
	char *name;
	char *text;

	if (!then)
	{
		/* as it was added: a rewrite later ends that, and not the value */
		for (int i = version + 1; !then; i++)
			then = view_in_version(v, i, c->attnum);
		missing_value(v, c, then->missing);
		return;
	}
	name = view_own_text(v, then->json_name);
	if (ddl_class(then) == ddl_class(c) && !has_conflict(v, then->json_name))
		buf_str(v->out, name);
	else
	{
		text = xasprintf("CAST(%s AS %s)", name, v->engine->text);
		from_text(v, c, text);
		free(text);
	}
	free(name);
}

/* Do records of both versions say the column in the same words? */
static bool
same_words(const View *v, int a, int b, const SchemaColumn *c)
{
	const SchemaColumn *x = view_in_version(v, a, c->attnum);
	const SchemaColumn *y = view_in_version(v, b, c->attnum);

	if (!x || !y)
		return x == y;
	return strcmp(x->json_name, y->json_name) == 0 &&
		   ddl_class(x) == ddl_class(y);
}

/* The value of column c in any record: a CASE where versions differ. */
void
view_value(const View *v, const SchemaColumn *c)
{
	const DdlTable *t = v->table;
	int last = t->nversions - 1;
	bool differ = false;

	for (int i = v->first; i < last; i++)
	{
		if (same_words(v, i, i + 1, c))
			continue;
		buf_str(v->out, differ ? " WHEN " : "CASE WHEN ");
		view_is_before(v, t->versions[i + 1].lsn, t->versions[i + 1].seq);
		buf_str(v->out, " THEN ");
		version_value(v, i, c);
		differ = true;
	}
	if (differ)
		buf_str(v->out, " ELSE ");
	version_value(v, last, c);
	if (differ)
		buf_str(v->out, " END");
}

/* True where the column is told by this record: it is not unchanged. */
void
view_told(const View *v, const SchemaColumn *c)
{
	const DdlTable *t = v->table;
	const char *seen = c->json_name;

	buf_str(v->out, "CASE WHEN ");
	is_unchanged(v, c->json_name);
	for (int i = t->nversions - 2; i >= v->first; i--)
	{
		const SchemaColumn *then = view_in_version(v, i, c->attnum);

		if (!then || strcmp(then->json_name, seen) == 0)
			continue;
		buf_str(v->out, " OR ");
		is_unchanged(v, then->json_name);
		seen = then->json_name;
	}
	buf_str(v->out, " THEN 0 ELSE 1 END");
}
