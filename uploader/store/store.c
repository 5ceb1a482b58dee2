/*-------------------------------------------------------------------------
 * store.c
 *	  Chooses the store that a URL names.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/store.h"

#include <string.h>

#define CURSOR_MAX 65536

static bool
has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* The URL is not repeated where it may hold a password. */
static bool
bad_url(const char *url, Err *err)
{
	if (strchr(url, '@') != NULL)
		err_set(err, ERR_USAGE, 0, "store.url is not valid");
	else
		err_set(err, ERR_USAGE, 0, "store.url \"%s\" is not valid", url);
	if (url[0] == '/' && strchr(url, '@') == NULL)
		return err_hint(err, "Write \"file://%s\".", url);
	return err_hint(err, "Write s3://bucket/prefix or file:///folder.");
}

bool
store_open(const StoreOptions *options, Store **out, Err *err)
{
	const char *url = options->url ? options->url : "";
	Store *store;

	if (*url == '\0')
	{
		err_set(err, ERR_USAGE, 0, "store.url is not set");
		return err_hint(err, "Write s3://bucket/prefix or file:///folder.");
	}
	if (has_prefix(url, "s3://"))
	{
		if (!store_s3_open(options, &store, err))
			return false;
	}
	else if (has_prefix(url, "file:"))
	{
		if (!store_file_open(options, &store, err))
			return false;
	}
	else
		return bad_url(url, err);
	*out = store_retry_new(store, options);
	(*out)->keys = options->keys;
	return true;
}

bool
store_list(Store *s, const char *prefix, StoreListFn fn, void *arg, Err *err)
{
	Buf cursor;
	bool ok;

	buf_init(&cursor, CURSOR_MAX);
	do
		ok = s->ops->list(s, prefix, &cursor, fn, arg, err);
	while (ok && cursor.n > 0);
	buf_done(&cursor);
	return ok;
}

bool
store_list_after(Store *s, const char *prefix, const char *after,
				 StoreListFn fn, void *arg, Err *err)
{
	Buf cursor;
	bool ok;

	if (!s->ops->list_after)
		return store_list(s, prefix, fn, arg, err);
	buf_init(&cursor, CURSOR_MAX);
	do
		ok = s->ops->list_after(s, prefix, after, &cursor, fn, arg, err);
	while (ok && cursor.n > 0);
	buf_done(&cursor);
	return ok;
}

bool
store_list_uploads(Store *s, const char *prefix, StoreUploadFn fn, void *arg,
				   Err *err)
{
	Buf cursor;
	bool ok;

	buf_init(&cursor, CURSOR_MAX);
	do
		ok = s->ops->list_uploads(s, prefix, &cursor, fn, arg, err);
	while (ok && cursor.n > 0);
	buf_done(&cursor);
	return ok;
}
