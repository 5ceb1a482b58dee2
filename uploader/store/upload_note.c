/*-------------------------------------------------------------------------
 * upload_note.c
 *	  What is begun is written down before.
 *
 * A note is the key, or beside it the id, and nothing else.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/upload_note.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"

#define ID_SUFFIX ".id"

/* Names of objects are unique in their folder only, hence the hash. */
static char *
note_key(const char *key)
{
	const char *slash = strrchr(key, '/');

	return xasprintf(UPLOAD_NOTES "%016" PRIx64 "-%s", fnv1a(FNV1A_EMPTY, key),
					 slash ? slash + 1 : key);
}

static char *
id_at(const char *at)
{
	return xasprintf("%s" ID_SUFFIX, at);
}

bool
upload_note_put(Store *s, const char *key, const char *id, Err *err)
{
	char *at = note_key(key);
	char *id_note = id_at(at);
	const char *text = id ? id : key;
	bool ok =
		store_put(s, id ? id_note : at,
				  (Slice){ (const uint8_t *) text, strlen(text) }, false, err);

	free(id_note);
	free(at);
	return ok;
}

bool
upload_note_del_at(Store *s, const char *at, Err *err)
{
	char *id_note = id_at(at);
	/* the key's goes last: it is what a sweep looks for */
	bool ok = store_del(s, id_note, err) && store_del(s, at, err);

	free(id_note);
	return ok;
}

void
upload_note_del(Store *s, const char *key)
{
	char *at = note_key(key);
	Err ignored;

	(void) !upload_note_del_at(s, at, &ignored);
	free(at);
}

/* "" where there is none. */
static bool
get_text(Store *s, const char *at, Buf *out, Err *err)
{
	if (store_get(s, at, out, err))
		return true;
	buf_reset(out);
	return err->kind == ERR_LIMIT || err->kind == ERR_NOT_FOUND;
}

bool
upload_note_get(Store *s, const char *at, Buf *out_key, Buf *out_id, Err *err)
{
	size_t n = strlen(at);
	char *id_note;
	bool ok;

	if (n >= strlen(ID_SUFFIX) &&
		strcmp(at + n - strlen(ID_SUFFIX), ID_SUFFIX) == 0)
		return true; /* its key's note tells of both */
	id_note = id_at(at);
	ok = get_text(s, at, out_key, err) &&
		 (out_key->n == 0 || get_text(s, id_note, out_id, err));
	free(id_note);
	return ok;
}

bool
upload_abandon(Store *s, const char *key, const char *id, Err *err)
{
	int n = 0;
	Err ignored; /* not to be able to look is no failure */

	if (!store_abandon(s, key, id, err))
		return false;
	if (!s->ops->count_parts ||
		!s->ops->count_parts(s, key, id, &n, &ignored) || n == 0)
		return true;
	return store_abandon(s, key, id, err);
}

typedef struct Strays
{
	Store *store;
	const char *key;
	int n;
	bool ok;
	Err *err;
} Strays;

static bool
on_stray(const StoreUpload *u, void *arg)
{
	Strays *a = arg;

	if (strcmp(u->key, a->key) != 0)
		return true;
	a->ok = upload_abandon(a->store, u->key, u->id, a->err);
	a->n += a->ok;
	return a->ok;
}

bool
upload_abandon_all(Store *s, const char *key, int *out_n, Err *err)
{
	Strays a = { .store = s, .key = key, .ok = true, .err = err };
	bool ok = store_list_uploads(s, key, on_stray, &a, err) && a.ok;

	*out_n = a.n;
	return ok;
}
