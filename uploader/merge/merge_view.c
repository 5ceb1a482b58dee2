/*-------------------------------------------------------------------------
 * merge_view.c
 *	  Columns of earlier schemas of a table, as the target has them now.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void
add(ViewColumn **list, int *n, int attnum, const char *name)
{
	*list = xrealloc(*list, ((size_t) *n + 1) * sizeof(**list));
	(*list)[(*n)++] = (ViewColumn){ attnum, xstrdup(name) };
}

static const char *
find(const ViewColumn *list, int n, int attnum)
{
	for (int i = 0; i < n; i++)
	{
		if (list[i].attnum == attnum)
			return list[i].name;
	}
	return NULL;
}

const char *
view_kept(const View *v, int attnum)
{
	return find(v->kept, v->nkept, attnum);
}

void
view_keep(View *v, int attnum, const char *name)
{
	add(&v->kept, &v->nkept, attnum, name);
}

void
view_add_missing(View *v, int attnum, const char *value)
{
	add(&v->missing, &v->nmissing, attnum, value);
}

const char *
view_missing(const View *v, const SchemaColumn *c)
{
	const char *value = find(v->missing, v->nmissing, c->attnum);

	return value ? value : c->missing;
}

void
view_done(View *v)
{
	for (int i = 0; i < v->nkept; i++)
		free(v->kept[i].name);
	free(v->kept);
	for (int i = 0; i < v->nmissing; i++)
		free(v->missing[i].name);
	free(v->missing);
	*v = (View){ 0 };
}

const SchemaColumn *
view_find(const Schema *s, int attnum)
{
	for (int i = 0; i < s->ncols; i++)
	{
		if (s->cols[i].attnum == attnum)
			return &s->cols[i];
	}
	return NULL;
}

static const char *
name_now(const View *v, const Schema *now, bool keeps, int attnum)
{
	const SchemaColumn *c = view_find(now, attnum);

	const char *kept = keeps ? find(v->kept, v->nkept, attnum) : NULL;

	return c ? c->name : kept ? kept : "";
}

void
view_through(const View *v, const Schema *now, bool kept, Schema *s)
{
	assert(!s->strings); /* of a file: each name is a piece of memory */
	if (s->relation_id != now->relation_id)
		return; /* bound by name: nothing else is known */
	for (int i = 0; i < s->ncols; i++)
	{
		const char *name = name_now(v, now, kept, s->cols[i].attnum);
		char *old = s->cols[i].name;

		if (strcmp(old, name) == 0)
			continue;
		s->cols[i].name = xstrdup(name);
		free(old);
	}
}
