/*-------------------------------------------------------------------------
 * fill.c
 *	  The list of what was written to fill an output.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/fill.h"

#include <stdio.h>
#include <string.h>

#define KEY_SIZE 128
#define FILL_MAX ((size_t) 1 << 30)

static const char *
fill_key(const char *output, char *buf)
{
	(void) snprintf(buf, KEY_SIZE, "_cdc/fill/%s.json", output); /* fits */
	return buf;
}

bool
fill_is_key(const char *key)
{
	const char *slash = strrchr(key, '/');

	return strncmp(slash ? slash + 1 : key, FILL_STEM, strlen(FILL_STEM)) == 0;
}

bool
fill_write(Store *lake, const Entry *fill, Err *err)
{
	char key[KEY_SIZE];
	Buf b;
	bool ok;

	buf_init(&b, FILL_MAX);
	entry_encode(fill, lake->keys, &b);
	ok = b.overflow ? err_set(err, ERR_LIMIT, 0, "the list is too long")
					: store_put(lake, fill_key(fill->outputs[0].name, key),
								buf_slice(&b), true, err);
	buf_done(&b);
	return ok;
}

bool
fill_read(Store *lake, const char *output, Entry **out, Err *err)
{
	char key[KEY_SIZE];
	Buf b;
	bool ok;

	*out = NULL;
	buf_init(&b, FILL_MAX);
	ok = store_get(lake, fill_key(output, key), &b, err);
	if (ok)
		ok = entry_parse(buf_slice(&b), lake->keys, out, err) ||
			 err_prefix(err, "\"%s\"", key);
	else
		ok = err->kind == ERR_NOT_FOUND;
	buf_done(&b);
	return ok;
}

bool
fill_exists(Store *lake, const char *output, bool *out, Err *err)
{
	char key[KEY_SIZE];
	int64_t bytes;

	*out = store_head(lake, fill_key(output, key), &bytes, err);
	return *out || err->kind == ERR_NOT_FOUND;
}

bool
fill_remove(Store *lake, const char *output, Err *err)
{
	char key[KEY_SIZE];

	return store_del(lake, fill_key(output, key), err);
}
