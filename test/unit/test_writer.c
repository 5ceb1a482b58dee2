/*-------------------------------------------------------------------------
 * test_writer.c
 *	  store/writer over a folder: sizes around a part, and abandoning.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "store/writer.h"

#define PART STORE_PART_MIN_BYTES
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char folder[64];
static Store *store;

static int
set_up(void **state)
{
	StoreOptions o = { 0 };
	char url[80];
	Err err;

	(void) state;
	(void) snprintf(folder, sizeof(folder), "/tmp/test_writer.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 1;
	(void) snprintf(url, sizeof(url), "file://%s", folder);
	o.url = url;
	return !store_open(&o, &store, &err);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void) state;
	store_close(store);
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int
count_tmp(void)
{
	char path[80];
	DIR *dir;
	int n = 0;

	(void) snprintf(path, sizeof(path), "%s/_cdc/tmp", folder);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	(void) closedir(dir);
	return n - 2; /* "." and ".." */
}

static bool
append(StoreWriter *w, const uint8_t *p, size_t n, Err *err)
{
	Slice s = { p, n };
	bool ok = store_writer_append(w, &s, err);

	assert_int_equal(s.n == 0, ok);
	return ok;
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART, 3 * PART + 7
	};
	size_t max = 4 * PART;
	uint8_t *bytes = xmalloc(max);

	(void) state;
	for (size_t i = 0; i < max; i++)
		bytes[i] = (uint8_t) (i * 2654435761u >> 11);
	for (size_t i = 0; i < COUNT(sizes); i++)
	{
		char *key = xasprintf("t/%zu", sizes[i]);
		StoreWriter *w = store_writer_new(store, key, PART);
		int64_t there;
		Err err;
		Buf b;

		for (size_t at = 0; at < sizes[i]; at += 999983)
		{
			size_t n = sizes[i] - at < 999983 ? sizes[i] - at : 999983;

			assert_true(append(w, bytes + at, n, &err));
		}
		assert_false(store_head(store, key, &there, &err)); /* not yet */
		assert_true(store_writer_flush(w, &err));
		assert_false(store_head(store, key, &there, &err));
		assert_true(store_writer_commit(w, &err));
		assert_int_equal(store_writer_bytes(w), sizes[i]);
		assert_int_equal(store_writer_crc32c(w), crc32c(0, bytes, sizes[i]));
		store_writer_free(w);
		buf_init(&b, max);
		assert_true(store_get(store, key, &b, &err));
		assert_int_equal(b.n, sizes[i]);
		if (b.n)
			assert_memory_equal(b.p, bytes, b.n);
		assert_int_equal(count_tmp(), 0);
		buf_done(&b);
		free(key);
	}
	free(bytes);
}

static void
test_abandon(void **state)
{
	uint8_t *bytes = xcalloc(2 * PART, 1);
	StoreWriter *w = store_writer_new(store, "a", PART);
	int64_t there;
	Err err;

	(void) state;
	assert_true(append(w, bytes, 2 * PART, &err));
	assert_int_equal(count_tmp(), 1);
	store_writer_free(w);
	assert_int_equal(count_tmp(), 0);
	assert_false(store_head(store, "a", &there, &err));

	/* A key that is taken keeps its object. */
	assert_true(store_put(store, "a", slice_cstr("first"), false, &err));
	w = store_writer_new(store, "a", PART);
	assert_true(append(w, bytes, 2 * PART, &err));
	assert_false(store_writer_commit(w, &err));
	assert_int_equal(err.kind, ERR_STORE);
	store_writer_free(w);
	assert_true(store_head(store, "a", &there, &err));
	assert_int_equal(there, 5);
	assert_int_equal(count_tmp(), 0);

	store_writer_free(store_writer_new(store, "b", PART));
	store_writer_free(NULL);
	free(bytes);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_sizes), TEST(test_abandon) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
