/*-------------------------------------------------------------------------
 * fields.c
 *	  Parquet's field ids: what a table's columns are numbered from.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/key.h"
#include "pipe/output.h"

#define SCHEMAS "_cdc/schema/"
#define KEY_MAX ((size_t) 8192)
#define STEP 1600      /* attnums of a table: the server's limit */
#define META_FROM 9600 /* bases from here on would reach metadata's ids … */
#define META_BEHIND 11200 /* … so they go on here */

/* A table that has, or had, a name. */
typedef struct Known
{
	uint64_t name; /* fnv1a of its folder */
	uint32_t relation_id;
	uint32_t row_type; /* 0: not known */
	int base;
} Known;

typedef struct List
{
	size_t n;
	size_t cap;
	uint64_t *items;
} List;

struct Fields
{
	pthread_mutex_t lock;
	List files;   /* fnv1a of the keys that were listed; in order */
	List folders; /* and of their folders; in order */
	List read;    /* folders whose files were read */
	size_t nknown;
	size_t cap;
	Known *known;
	OutputStores stores;
};

int
fields_next(int base)
{
	return base + STEP == META_FROM ? META_BEHIND : base + STEP;
}

static void
add(List *l, uint64_t v)
{
	if (l->n == l->cap)
	{
		l->cap = l->cap ? 2 * l->cap : 64;
		l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->n++] = v;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

static bool
has(const List *l, uint64_t v)
{
	return l->n > 0 && bsearch(&v, l->items, l->n, sizeof(*l->items), compare);
}

static void
sort(List *l)
{
	if (l->n > 0)
		qsort(l->items, l->n, sizeof(*l->items), compare);
}

static char *
folder_of(const char *key)
{
	const char *end = strrchr(key, '/');

	return xstrndup(key, end ? (size_t) (end - key) + 1 : 0);
}

static bool
take_key(const StoreItem *item, void *arg)
{
	Fields *f = arg;
	char *folder = folder_of(item->key);

	add(&f->files, fnv1a(FNV1A_EMPTY, item->key));
	add(&f->folders, fnv1a(FNV1A_EMPTY, folder));
	free(folder);
	return true;
}

static bool
is_parquet(const EntryLayout *l)
{
	return l->format && strcmp(l->format, "parquet") == 0;
}

/* Is Parquet written, now or till the next partition? */
static bool
writes_parquet(const Pipe *p)
{
	bool is = is_parquet(&p->options->layout);

	for (int i = 0; i < p->options->nfurther; i++)
		is |= is_parquet(&p->options->further[i].layout);
	for (int i = 0; p->start && i < p->start->nlayouts; i++)
		is |= is_parquet(&p->start->layouts[i]);
	return is;
}

/* Who may not list streams all the same, but not what needs the ids. */
static bool
refused(const Pipe *p, Fields *f, Err *err)
{
	if ((err->kind != ERR_AUTH && err->kind != ERR_STORE) || writes_parquet(p))
		return err_prefix(err, "could not look for schema files");
	log_err(LOG_WARN,
			"could not look for schema files: a table that was made anew "
			"keeps its Parquet field ids",
			err);
	f->files.n = 0;
	f->folders.n = 0;
	return true;
}

bool
fields_open(Pipe *p, Store *store, Err *err)
{
	Fields *f = xcalloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	p->fields = f;
	if (!store_list(store, SCHEMAS, take_key, f, err))
		return refused(p, f, err);
	sort(&f->files);
	sort(&f->folders);
	return true;
}

void
fields_free(Fields *f)
{
	if (!f)
		return;
	pthread_mutex_destroy(&f->lock);
	output_stores_close(&f->stores);
	free(f->files.items);
	free(f->folders.items);
	free(f->read.items);
	free(f->known);
	free(f);
}

static const Known *
find(const Fields *f, uint64_t name, const Schema *s)
{
	for (size_t i = 0; i < f->nknown; i++)
	{
		const Known *k = &f->known[i];

		/* an OID comes again one day, with another row type */
		if (k->name == name && k->relation_id == s->relation_id &&
			(k->row_type == s->row_type || k->row_type == 0 ||
			 s->row_type == 0))
			return k;
	}
	return NULL;
}

static const Known *
note(Fields *f, uint64_t name, const Schema *s, int base)
{
	if (f->nknown == f->cap)
	{
		f->cap = f->cap ? 2 * f->cap : 64;
		f->known = xrealloc(f->known, f->cap * sizeof(*f->known));
	}
	f->known[f->nknown] = (Known){ name, s->relation_id, s->row_type, base };
	return &f->known[f->nknown++];
}

/* -1: no table had the name. */
static int
greatest(const Fields *f, uint64_t name)
{
	int base = -1;

	for (size_t i = 0; i < f->nknown; i++)
	{
		if (f->known[i].name == name && f->known[i].base > base)
			base = f->known[i].base;
	}
	return base;
}

/* ---- a table's schema files ---- */

typedef struct Keys
{
	size_t n;
	char **items;
} Keys;

static bool
collect(const StoreItem *item, void *arg)
{
	Keys *k = arg;

	k->items = xrealloc(k->items, (k->n + 1) * sizeof(*k->items));
	k->items[k->n++] = xstrdup(item->key);
	return true;
}

static void
keys_done(Keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->items[i]);
	free(k->items);
	*k = (Keys){ 0 };
}

static bool
read_file(Fields *f, Store *store, const char *key, uint64_t name, Err *err)
{
	Schema *s = NULL;
	Buf file;
	bool ok;

	buf_init(&file, SCHEMA_FILE_MAX);
	ok = store_get(store, key, &file, err);
	if (!ok && err->kind == ERR_NOT_FOUND)
	{
		buf_done(&file);
		return true;
	}
	if (ok)
		ok = schema_parse(buf_slice(&file), &s, err) ||
			 err_prefix(err, "schema file \"%s\"", key);
	if (ok && !find(f, name, s))
		(void) note(f, name, s, s->field_base);
	schema_free(s);
	buf_done(&file);
	return ok;
}

static bool
read_once(Pipe *p, Store *store, const char *folder, uint64_t name, Err *err)
{
	Keys keys = { 0 };
	bool ok = store_list(store, folder, collect, &keys, err);

	for (size_t i = 0; ok && i < keys.n; i++)
		ok = read_file(p->fields, store, keys.items[i], name, err);
	keys_done(&keys);
	return ok;
}

/* All tables that ever had the name. */
static bool
read_folder(Pipe *p, const char *folder, uint64_t name, Err *err)
{
	Fields *f = p->fields;
	Store *store;
	bool ok;

	if (!output_store(p, &f->stores, 0, &store, err))
		return false;
	beat_waits();
	do
		ok = read_once(p, store, folder, name, err);
	while (!ok && pipe_again(p, "reading schema files", err));
	beat_works();
	add(&f->read, name);
	sort(&f->read);
	return ok;
}

/* ---- tables ---- */

/* A table that no file of the name is of. */
static const Known *
note_new(Fields *f, uint64_t name, const Schema *s)
{
	int last = greatest(f, name);
	int base = last < 0 ? 0 : fields_next(last);

	if (last >= 0)
		log_info("a table was made anew, its columns get other field ids",
				 "schema", s->schema, "table", s->table, "field_base",
				 log_int(base), NULL);
	return note(f, name, s, base);
}

static bool
resolve(Pipe *p, const Schema *s, int *out, Err *err)
{
	Fields *f = p->fields;
	const Known *known;
	char *folder;
	uint64_t name;
	Buf key;
	bool ok = true;

	buf_init(&key, KEY_MAX);
	key_add_schema(&key, s->schema, s->table, s->hash);
	folder = folder_of(buf_cstr(&key));
	name = fnv1a(FNV1A_EMPTY, folder);
	known = find(f, name, s);
	if (!known && has(&f->files, fnv1a(FNV1A_EMPTY, buf_cstr(&key))))
		known = note(f, name, s, s->field_base);
	if (!known && has(&f->folders, name) && !has(&f->read, name))
	{
		ok = read_folder(p, folder, name, err);
		known = ok ? find(f, name, s) : NULL;
	}
	if (!known && ok)
		known = note_new(f, name, s);
	if (known)
		*out = known->base;
	free(folder);
	buf_done(&key);
	return ok;
}

void
fields_resolve(Pipe *p, Schema *s)
{
	int base = 0;
	Err err;
	bool ok;

	if (!p->fields) /* a test */
		return;
	pthread_mutex_lock(&p->fields->lock);
	ok = resolve(p, s, &base, &err);
	pthread_mutex_unlock(&p->fields->lock);
	if (!ok)
	{
		pipe_fail(p, &err);
		return;
	}
	if (base == s->field_base)
		return;
	s->field_base = base;
	schema_finish(s);
}
