/*-------------------------------------------------------------------------
 * against_tell.c
 *	  What a comparison found, as text or JSON.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <string.h>

#include "cmd/against.h"
#include "cmd/cmd.h"
#include "codec/json.h"

#define OUT_MAX ((size_t) 64 << 20)

static const char *const kind_names[AGAINST_KINDS] = {
	[AGAINST_MISSING] = "missing",
	[AGAINST_EXTRA] = "extra",
	[AGAINST_CHANGED] = "changed",
};

static bool
differs(const AgainstResult *r)
{
	return r->lacking || r->found[AGAINST_MISSING] > 0 ||
		   r->found[AGAINST_EXTRA] > 0 || r->found[AGAINST_CHANGED] > 0;
}

/* Values that nobody has, or a column: equal is not proven. */
static bool
is_partial(const AgainstResult *r)
{
	return r->compared && r->unknown > 0;
}

static const char *
verdict_of(const AgainstResult *r)
{
	return differs(r)      ? "differs"
		   : !r->compared  ? "not compared"
		   : is_partial(r) ? "equal in part"
						   : "equal";
}

static const char *
side_name(const Against *a)
{
	return a->target ? "target" : "source";
}

static void
add_json(Buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\":\"", name);
	json_add_escaped(b, (const uint8_t *) value, strlen(value));
	buf_byte(b, '"');
}

static void
add_name(Buf *b, const char *name)
{
	for (; *name; name++)
		buf_byte(b, (uint8_t) *name < 0x20 || *name == 0x7f ? '?'
															: (uint8_t) *name);
}

static void
add_table(Buf *b, const char *schema, const char *table)
{
	add_name(b, schema);
	buf_byte(b, '.');
	add_name(b, table);
}

/* ---- text ---- */

static void
text_diffs(const AgainstResult *r, Buf *b)
{
	for (int k = 0; k < AGAINST_KINDS; k++)
	{
		int64_t more = r->found[k];

		for (int i = 0; i < r->ndiffs; i++)
		{
			const AgainstDiff *d = &r->diffs[i];

			if ((int) d->kind != k)
				continue;
			more--;
			buf_printf(b, "  %-8s %s", kind_names[k], d->text ? d->text : "?");
			if (d->columns)
			{
				buf_str(b, ": ");
				add_name(b, d->columns);
			}
			buf_byte(b, '\n');
		}
		if (more > 0)
			buf_printf(b, "  %-8s and %" PRId64 " more\n", kind_names[k], more);
	}
}

static void
text_counts(const Against *a, const AgainstResult *r, Buf *b)
{
	if (r->lacking)
		buf_printf(b, ": the %s has no such table", side_name(a));
	else if (!r->compared)
		buf_printf(b, ": %s", r->why);
	else if (!differs(r))
		buf_printf(b, ": %" PRId64 " rows, hash %016" PRIx64, r->rows, r->hash);
	else
		buf_printf(
			b,
			": %" PRId64 " missing, %" PRId64 " extra, %" PRId64
			" changed; %" PRId64 " rows in the lake, %" PRId64 " at the %s",
			r->found[AGAINST_MISSING], r->found[AGAINST_EXTRA],
			r->found[AGAINST_CHANGED], r->rows, r->other_rows, side_name(a));
	buf_byte(b, '\n');
}

static void
text_table(const Against *a, const AgainstResult *r, Buf *b)
{
	add_table(b, r->schema, r->table);
	if (r->other_table && (strcmp(r->schema, r->other_schema) != 0 ||
						   strcmp(r->table, r->other_table) != 0))
	{
		buf_str(b, " = ");
		add_table(b, r->other_schema, r->other_table);
	}
	buf_printf(b, ": %s", verdict_of(r));
	text_counts(a, r, b);
	text_diffs(r, b);
	if (is_partial(r))
		buf_printf(b,
				   "  unknown  %" PRId64 " values, which were not compared\n",
				   r->unknown);
	if (r->notes.n > 0)
	{
		buf_str(b, "  note     ");
		add_name(b, buf_cstr(&r->notes));
		buf_byte(b, '\n');
	}
}

/* ---- JSON ---- */

static void
json_diffs(const AgainstResult *r, Buf *b)
{
	buf_str(b, ",\"keys\":[");
	for (int i = 0; i < r->ndiffs; i++)
	{
		const AgainstDiff *d = &r->diffs[i];

		buf_str(b, i ? ",{" : "{");
		add_json(b, "difference", kind_names[d->kind]);
		buf_byte(b, ',');
		add_json(b, "key", d->text ? d->text : "?");
		if (d->columns)
		{
			buf_byte(b, ',');
			add_json(b, "columns", d->columns);
		}
		buf_byte(b, '}');
	}
	buf_byte(b, ']');
}

static void
json_table(const AgainstResult *r, Buf *b)
{
	buf_byte(b, '{');
	add_json(b, "schema", r->schema);
	buf_byte(b, ',');
	add_json(b, "table", r->table);
	if (r->other_table)
	{
		buf_byte(b, ',');
		add_json(b, "server_schema", r->other_schema);
		buf_byte(b, ',');
		add_json(b, "server_table", r->other_table);
	}
	buf_byte(b, ',');
	add_json(b, "verdict", verdict_of(r));
	if (r->compared)
	{
		buf_printf(b,
				   ",\"rows\":%" PRId64 ",\"server_rows\":%" PRId64
				   ",\"hash\":\"%016" PRIx64 "\",\"server_hash\":\"%016" PRIx64
				   "\",\"passes\":%d,\"unknown\":%" PRId64,
				   r->rows, r->other_rows, r->hash, r->other_hash, r->passes,
				   r->unknown);
		for (int k = 0; k < AGAINST_KINDS; k++)
			buf_printf(b, ",\"%s\":%" PRId64, kind_names[k], r->found[k]);
		json_diffs(r, b);
	}
	if (r->why[0])
	{
		buf_byte(b, ',');
		add_json(b, "why", r->why);
	}
	if (r->notes.n > 0)
	{
		buf_byte(b, ',');
		add_json(b, "note", buf_cstr(&r->notes));
	}
	buf_str(b, "}\n");
}

static bool
print(Buf *b, Err *err)
{
	bool ok = b->overflow
				  ? err_set(err, ERR_LIMIT, 0, "what is to be told is too long")
				  : cli_write(buf_slice(b), err) && cli_flush(err);

	buf_done(b);
	return ok;
}

bool
against_tell(Against *a, const AgainstResult *r, Err *err)
{
	Buf b;

	a->ntables++;
	if (differs(r))
		a->ndiffers++;
	else if (r->compared && !is_partial(r))
		a->nequal++;
	else if (!r->harmless)
		a->nleft++;
	a->nexpired += r->expired;
	buf_init(&b, OUT_MAX);
	if (a->json)
		json_table(r, &b);
	else
		text_table(a, r, &b);
	return print(&b, err);
}

bool
against_tell_end(const Against *a, Lsn lsn, Err *err)
{
	Buf b;

	buf_init(&b, OUT_MAX);
	if (a->json)
		buf_printf(&b,
				   "{\"compared\":true,\"against\":\"%s\",\"lsn\":\"%016" PRIX64
				   "\",\"tables\":%d,\"equal\":%d,\"differ\":%d,"
				   "\"not_compared\":%d}\n",
				   side_name(a), (uint64_t) lsn, a->ntables, a->nequal,
				   a->ndiffers, a->ntables - a->nequal - a->ndiffers);
	else
		buf_printf(&b,
				   "%d tables against the %s at LSN " LSN_FMT
				   ": %d equal, %d differ, %d not compared, or not in full\n",
				   a->ntables, side_name(a), LSN_ARGS(lsn), a->nequal,
				   a->ndiffers, a->ntables - a->nequal - a->ndiffers);
	return print(&b, err);
}
