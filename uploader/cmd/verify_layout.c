/*-------------------------------------------------------------------------
 * verify_layout.c
 *	  "verify" of folders: by the templates that the log says were in force.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/verify.h"
#include "codec/key.h"
#include "io/zonefile.h"

struct VerifyPath
{
	VerifyPath *next;
	char *text;
	char *zone;
	Path *path; /* NULL: it cannot be read here */
};

void
verify_paths_free(Verify *v)
{
	while (v->paths)
	{
		VerifyPath *p = v->paths;

		v->paths = p->next;
		path_free(p->path);
		free(p->text);
		free(p->zone);
		free(p);
	}
}

static VerifyPath *
read_path(const EntryLayout *l)
{
	VerifyPath *p = xcalloc(1, sizeof(*p));
	Zone *zone;
	Err ignored;

	p->text = xstrdup(l->path);
	p->zone = xstrdup(l->zone);
	if (!zone_open(l->zone, &zone, &ignored) ||
		!path_parse(l->path, zone, &p->path, &ignored))
		p->path = NULL;
	return p;
}

/* They live as long as v. */
static const Path *
path_of(Verify *v, const EntryLayout *l)
{
	VerifyPath *p;

	pthread_mutex_lock(&v->lock);
	p = v->paths;
	while (p &&
		   (strcmp(p->text, l->path) != 0 || strcmp(p->zone, l->zone) != 0))
		p = p->next;
	if (!p)
	{
		p = read_path(l);
		p->next = v->paths;
		v->paths = p;
	}
	pthread_mutex_unlock(&v->lock);
	return p->path;
}

/* Is the object in the folder of this instant? */
static bool
lies_in(const VerifyObject *o, const Path *path, int64_t at)
{
	const PathNames names = { o->object->schema, o->object->table,
							  o->entry->database, o->entry->slot };
	const char *slash = strrchr(o->object->key, '/');
	size_t n = slash ? (size_t) (slash + 1 - o->object->key) : 0;
	Buf folder;
	bool is;

	buf_init(&folder, KEY_TEXT_MAX);
	path_add(path, &names, at, &folder);
	is = folder.n == n && memcmp(folder.p, o->object->key, n) == 0;
	buf_done(&folder);
	return is;
}

/* Until when that folder can get rows; INT64_MAX: it is not of this form. */
static int64_t
ends(const VerifyObject *o, const Path *path, int64_t at)
{
	return path && lies_in(o, path, at) ? path_span(path, at).end : INT64_MAX;
}

/* The layouts of the output that is verified, as the entry says them. */
static const EntryLayout *
layouts_of(const VerifyObject *o, int *out_n)
{
	const Entry *e = o->entry;

	*out_n = e->nlayouts;
	if (!o->v->further)
		return e->layouts;
	*out_n = 0;
	for (int i = 0; i < e->noutputs; i++)
	{
		if (strcmp(e->outputs[i].name, o->v->further) != 0)
			continue;
		*out_n = e->outputs[i].nlayouts;
		return e->outputs[i].layouts;
	}
	return NULL;
}

/*
 * Of the layout in whose time the row is, or of another one that was not over:
 * a folder that had rows already goes on.
 */
static int64_t
ends_by_log(const VerifyObject *o, const EntryLayout *layouts, int n,
			int64_t at)
{
	int64_t end = INT64_MAX;

	for (int own = 1; own >= 0 && end == INT64_MAX; own--)
	{
		for (int i = 0; i < n && end == INT64_MAX; i++)
		{
			const EntryLayout *l = &layouts[i];
			bool is_own = at >= l->start && (l->until == 0 || at < l->until);

			if (is_own == (own == 1))
				end = ends(o, path_of(o->v, l), at < l->from ? l->from : at);
		}
	}
	return end;
}

int64_t
verify_folder_end(const VerifyObject *o, int64_t at)
{
	int n;
	const EntryLayout *layouts = layouts_of(o, &n);

	return n > 0 ? ends_by_log(o, layouts, n, at) : ends(o, o->v->path, at);
}
