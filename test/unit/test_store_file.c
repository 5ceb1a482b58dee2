/*-------------------------------------------------------------------------
 * test_store_file.c
 *	  store/store_file and io/fs: durable, whole or not there, one winner.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utime.h>

#include <signal.h>

#include "base/mem.h"
#include "io/fs.h"
#include "store/store.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char folder[64];

static int
set_up(void **state)
{
	(void) state;
	(void) snprintf(folder, sizeof(folder), "/tmp/test_store_file.XXXXXX");
	return mkdtemp(folder) == NULL;
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
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static Store *
open_store(const char *below)
{
	char *url = xasprintf("file://%s%s", folder, below);
	StoreOptions o = { .url = url };
	Store *s;
	Err err;

	if (!store_open(&o, &s, &err))
		fail_msg("%s", err.msg);
	free(url);
	return s;
}

static bool
put(Store *s, const char *key, const char *text, bool only_if_absent, Err *err)
{
	return store_put(s, key, slice_cstr(text), only_if_absent, err);
}

static void
assert_content(Store *s, const char *key, const char *text)
{
	Buf b;
	Err err;

	buf_init(&b, 1000);
	if (!store_get(s, key, &b, &err))
		fail_msg("%s", err.msg);
	assert_string_equal(buf_cstr(&b), text);
	buf_done(&b);
}

static bool
count_item(const StoreItem *item, void *arg)
{
	Buf *b = arg;

	buf_printf(b, "%s=%d ", item->key, (int) item->bytes);
	return true;
}

static int
count_files(const char *below)
{
	Buf path;
	int n = 0;
	Err err;
	Store *s;
	Buf b;

	/* Seen as a store of its own, its _cdc/tmp is none of the walk's. */
	buf_init(&path, 1000);
	buf_str(&path, below);
	s = open_store(buf_cstr(&path));
	buf_init(&b, 100000);
	assert_true(store_list(s, "", count_item, &b, &err));
	for (const char *p = buf_cstr(&b); *p; p++)
		n += *p == ' ';
	buf_done(&b);
	buf_done(&path);
	store_close(s);
	return n;
}

static void
test_round_trip(void **state)
{
	Store *s = open_store("/new/root/");
	int64_t bytes = 0;
	Err err;
	Buf b;

	(void) state;
	buf_init(&b, 1000);
	assert_true(store_list(s, "", count_item, &b, &err)); /* no root yet */
	assert_string_equal(buf_cstr(&b), "");
	assert_false(store_get(s, "a/x=1/b", &b, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(store_head(s, "a", &bytes, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_true(store_del(s, "a/x=1/b", &err));

	assert_true(put(s, "a/x=1/b", "one", false, &err));
	assert_content(s, "a/x=1/b", "one");
	assert_true(store_head(s, "a/x=1/b", &bytes, &err));
	assert_int_equal(bytes, 3);
	assert_false(store_head(s, "a/x=1", &bytes, &err)); /* a folder */
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(store_get(s, "a/x=1", &b, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_true(put(s, "empty", "", true, &err));
	assert_content(s, "empty", "");

	assert_true(put(s, "a/x=1/b", "one", false, &err)); /* the same again */
	assert_false(put(s, "a/x=1/b", "two", false, &err));
	assert_int_equal(err.kind, ERR_STORE);
	assert_non_null(strstr(err.msg, "a/x=1/b"));
	assert_false(put(s, "a/x=1/b", "longer", false, &err));
	assert_int_equal(err.kind, ERR_STORE);
	assert_false(put(s, "a/x=1/b", "one", true, &err));
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_content(s, "a/x=1/b", "one");
	assert_false(put(s, "a/x=1", "x", false, &err)); /* a folder */
	assert_int_equal(err.kind, ERR_STORE);
	assert_false(put(s, "empty/x", "x", false, &err)); /* below a file */
	assert_int_equal(err.kind, ERR_STORE);
	assert_int_equal(count_files("/new/root/_cdc/tmp"), 0);

	assert_true(store_del(s, "a/x=1/b", &err));
	assert_true(store_del(s, "a/x=1/b", &err));
	assert_false(store_get(s, "a/x=1/b", &b, &err));
	assert_true(put(s, "a/x=1/b", "two", true, &err));
	assert_content(s, "a/x=1/b", "two");
	buf_done(&b);
	store_close(s);
}

static void
test_list(void **state)
{
	static const struct
	{
		const char *prefix;
		int n;
	} rows[] = {
		{ "", 5 },    { "a", 3 },         { "a/", 3 },
		{ "a/b", 2 }, { "a/b/", 1 },      { "_cdc/", 1 },
		{ "z", 0 },   { "_cdc/tmp/", 0 }, { "_cdc/log/1", 1 },
	};
	Store *s = open_store("");
	Err err;
	Buf b;

	(void) state;
	assert_true(put(s, "a/b/c", "1", false, &err));
	assert_true(put(s, "a/bc", "1", false, &err));
	assert_true(put(s, "a/c", "1", false, &err));
	assert_true(put(s, "b", "1", false, &err));
	assert_true(put(s, "_cdc/log/1", "1", false, &err));
	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int n = 0;

		buf_reset(&b);
		assert_true(store_list(s, rows[i].prefix, count_item, &b, &err));
		for (const char *p = buf_cstr(&b); *p; p++)
			n += *p == ' ';
		if (n != rows[i].n)
			fail_msg("\"%s\": %s", rows[i].prefix, buf_cstr(&b));
	}
	buf_done(&b);
	store_close(s);
}

static void
test_keys_stay_inside(void **state)
{
	static const char *const bad[] = { "",    "/a",   "a/",   "a//b",
									   "..",  "../a", "a/..", "a/../b",
									   "./a", "a/.",  "." };
	char *outside = xasprintf("%s/secret", folder);
	char *link_path = xasprintf("%s/lake/link", folder);
	Store *s = open_store("/lake");
	Err err;
	Buf b;

	(void) state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		assert_false(put(s, bad[i], "x", false, &err));
		assert_int_equal(err.kind, ERR_INTERNAL);
		assert_false(store_get(s, bad[i], &b, &err));
		assert_false(store_del(s, bad[i], &err));
	}
	/* Three dots are a name. */
	assert_true(put(s, ".../..a", "x", false, &err));
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_int_equal(symlink(outside, link_path), 0);
	assert_true(store_list(s, "", count_item, &b, &err));
	assert_string_equal(buf_cstr(&b), ".../..a=1 ");
	buf_done(&b);
	store_close(s);
	free(outside);
	free(link_path);
}

static void
test_url(void **state)
{
	static const struct
	{
		const char *url, *says;
	} rows[] = {
		{ "", "not set" },
		{ "/lake", "not valid" },
		{ "gs://bucket", "not valid" },
		{ "file:lake", "absolute" },
		{ "file://./lake", "absolute" },
		{ "file://host/lake", "absolute" },
		{ "file://", "absolute" },
		{ "file:///", "root folder" },
		{ "file:////", "root folder" },
	};
	Store *s;
	Err err;

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		StoreOptions o = { .url = rows[i].url };

		if (store_open(&o, &s, &err))
			fail_msg("%s was taken", rows[i].url);
		assert_int_equal(err.kind, ERR_USAGE);
		if (strstr(err.msg, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].url, err.msg);
	}
	assert_false(
		store_open(&(StoreOptions){ .url = "x://k:secret@b/c" }, &s, &err));
	assert_null(strstr(err.msg, "secret"));
}

/* A full disk: retryable, says so, and leaves nothing behind. */
static void
test_no_space(void **state)
{
	struct rlimit old, small;
	Store *s = open_store("");
	char big[20000];
	Err err;

	(void) state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_true(put(s, "before", "x", false, &err));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 8192, old.rlim_max };
	(void) signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(put(s, "big", big, false, &err));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.code, EFBIG); /* half of it was written */
	assert_int_equal(count_files("/_cdc/tmp"), 0);
	assert_true(put(s, "big", big, false, &err));
	store_close(s);

	fs_error(&err, ENOSPC, "write file", "/lake/x");
	assert_int_equal(err.kind, ERR_BUSY);
	assert_non_null(strstr(err.msg, "no space left"));
	assert_non_null(strstr(err.msg, "\"/lake/x\""));
	fs_error(&err, EROFS, "write file", "/lake/x");
	assert_int_equal(err.kind, ERR_STORE);
	assert_string_not_equal(err.hint, "");
}

static void
test_get_limit(void **state)
{
	Store *s = open_store("");
	Err err;
	Buf b;

	(void) state;
	assert_true(put(s, "x", "12345", false, &err));
	buf_init(&b, 5);
	assert_true(store_get(s, "x", &b, &err));
	buf_done(&b);
	buf_init(&b, 5);
	buf_byte(&b, 'a');
	assert_false(store_get(s, "x", &b, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_string_equal(buf_cstr(&b), "a");
	buf_done(&b);
	store_close(s);
}

/* What killed writers left is removed, what is being written is not. */
static void
test_sweep(void **state)
{
	char *old_path = xasprintf("%s/_cdc/tmp/old", folder);
	char *new_path = xasprintf("%s/_cdc/tmp/new", folder);
	struct utimbuf long_ago = { 1000000, 1000000 };
	Store *s = open_store("");
	Err err;
	FILE *f;

	(void) state;
	assert_true(put(s, "a", "x", false, &err));
	store_close(s);
	for (int i = 0; i < 2; i++)
	{
		f = fopen(i ? new_path : old_path, "w");
		assert_non_null(f);
		assert_int_equal(fclose(f), 0);
	}
	assert_int_equal(utime(old_path, &long_ago), 0);
	s = open_store("");
	assert_true(put(s, "b", "x", false, &err));
	store_close(s);
	assert_int_equal(access(old_path, F_OK), -1);
	assert_int_equal(access(new_path, F_OK), 0);
	free(old_path);
	free(new_path);
}

/* The lake is moved away while a store is open on it. */
static void
test_folders_vanish(void **state)
{
	Store *s = open_store("/lake");
	char *from = xasprintf("%s/lake", folder);
	char *to = xasprintf("%s/moved", folder);
	Err err;

	(void) state;
	assert_true(put(s, "a/b", "x", false, &err));
	assert_int_equal(rename(from, to), 0);
	if (!put(s, "a/b", "y", true, &err))
	{
		assert_int_equal(err.kind, ERR_BUSY); /* tried again */
		assert_true(put(s, "a/b", "y", true, &err));
	}
	assert_content(s, "a/b", "y");
	store_close(s);
	free(from);
	free(to);
}

#define WRITERS 8
#define ROUNDS 30

typedef struct Writer
{
	pthread_barrier_t *barrier;
	int number;
	int won[ROUNDS];
	int other; /* neither won nor found it taken */
} Writer;

static void *
write_rounds(void *arg)
{
	Writer *w = arg;
	Store *s = open_store("/race");

	for (int i = 0; i < ROUNDS; i++)
	{
		char *key = xasprintf("_cdc/log/%d", i);
		char *body = xasprintf("writer %d", w->number);
		Err err;

		(void) pthread_barrier_wait(w->barrier);
		if (put(s, key, body, true, &err))
			w->won[i] = 1;
		else if (err.kind != ERR_EXISTS)
			w->other++;
		free(key);
		free(body);
	}
	store_close(s);
	return NULL;
}

static void
test_one_winner(void **state)
{
	pthread_barrier_t barrier;
	pthread_t threads[WRITERS];
	Writer writers[WRITERS] = { 0 };
	Store *s;

	(void) state;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, WRITERS), 0);
	for (int i = 0; i < WRITERS; i++)
	{
		writers[i] = (Writer){ .barrier = &barrier, .number = i };
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_rounds, &writers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++)
	{
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(writers[i].other, 0);
	}
	s = open_store("/race");
	for (int round = 0; round < ROUNDS; round++)
	{
		char *key = xasprintf("_cdc/log/%d", round);
		char *body = NULL;
		int winners = 0;

		for (int i = 0; i < WRITERS; i++)
		{
			if (!writers[i].won[round])
				continue;
			winners++;
			free(body);
			body = xasprintf("writer %d", i);
		}
		assert_int_equal(winners, 1);
		assert_content(s, key, body);
		free(key);
		free(body);
	}
	store_close(s);
	(void) pthread_barrier_destroy(&barrier);
	assert_int_equal(count_files("/race/_cdc/tmp"), 0);
}

/*
 * The next fsync of a folder fails, once.
 */
static atomic_bool fail_folder;
static atomic_int folder_syncs;
static ino_t synced[64]; /* folders */

static bool
was_synced(const char *below)
{
	char *path = xasprintf("%s%s", folder, below);
	struct stat st;
	bool was = false;

	assert_int_equal(stat(path, &st), 0);
	for (int i = 0; i < folder_syncs && i < (int) COUNT(synced); i++)
		was = was || synced[i] == st.st_ino;
	free(path);
	return was;
}

int
fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
	{
		if (folder_syncs < (int) COUNT(synced))
			synced[folder_syncs] = st.st_ino;
		folder_syncs++;
		if (fail_folder)
		{
			fail_folder = false;
			errno = EIO;
			return -1;
		}
	}
	return (int) syscall(SYS_fsync, fd);
}

/*
 * Somebody may have seen what was linked: it stays, is no success before the
 * folder is on disk, and is found to be ours by the next try.
 */
static void
test_folder_sync_fails(void **state)
{
	Store *s = open_store("/f");
	Slice body = slice_cstr("entry\n");
	int syncs;
	Err err = { 0 };

	(void) state;
	assert_true(store_put(s, "_cdc/log/1", body, true, &err));
	fail_folder = true;
	assert_false(store_put(s, "_cdc/log/2", body, true, &err));
	assert_non_null(strstr(err.msg, "fsync folder"));
	assert_content(s, "_cdc/log/2", "entry\n");
	/* a try that cannot bring it to disk says so, and not that it is there */
	fail_folder = true;
	assert_false(store_put(s, "_cdc/log/2", body, true, &err));
	assert_int_not_equal(err.kind, ERR_EXISTS);
	syncs = folder_syncs;
	assert_false(store_put(s, "_cdc/log/2", body, true, &err));
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_true(folder_syncs > syncs);
	/* without the condition it is a success */
	fail_folder = true;
	assert_false(store_put(s, "data/3", body, false, &err));
	assert_true(store_put(s, "data/3", body, false, &err));
	assert_int_equal(count_files("/f/_cdc/log"), 2);
	assert_int_equal(count_files("/f/data"), 1);
	assert_int_equal(count_files("/f/_cdc/tmp"), 0);
	store_close(s);
}

/* The same of an object that came in parts. */
static void
test_folder_sync_fails_large(void **state)
{
	Store *s = open_store("/g");
	StorePart part = { .offset = 0, .bytes = 6 };
	char *id = NULL;
	int syncs;
	Err err = { 0 };

	(void) state;
	assert_true(store_put(s, "data/0", slice_cstr("x"), false, &err));
	assert_true(s->ops->begin(s, "data/big", &id, &err));
	assert_true(
		s->ops->part(s, "data/big", id, 0, slice_cstr("parts\n"), &part, &err));
	fail_folder = true;
	assert_false(s->ops->finish(s, "data/big", id, &part, 1, &err));
	assert_non_null(strstr(err.msg, "fsync folder"));
	syncs = folder_syncs; /* the next try finds its own link */
	assert_true(s->ops->finish(s, "data/big", id, &part, 1, &err));
	assert_true(folder_syncs > syncs);
	assert_content(s, "data/big", "parts\n");
	free(part.tag);
	free(id);
	store_close(s);
}

static struct timespec
changed_at(const char *below)
{
	char *path = xasprintf("%s%s", folder, below);
	const struct timespec past[2] = { { 0 }, { 0 } };
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
	free(path);
	return st.st_mtim;
}

/* A sync that follows one that failed writes only where something changed. */
static void
test_sync_after_failure(void **state)
{
	Store *s = open_store("/a");
	Store *other;
	Buf b;
	Err err = { 0 };

	(void) state;
	fail_folder = true;
	assert_false(store_put(s, "_cdc/log/1", slice_cstr("1"), true, &err));
	assert_true(store_put(s, "_cdc/log/1", slice_cstr("1"), false, &err));
	fail_folder = true;
	assert_false(store_put(s, "_cdc/log/2", slice_cstr("2"), true, &err));
	store_close(s);
	/* nor may another process, which reads the entry and goes on from it */
	(void) changed_at("/a/_cdc/log");
	other = open_store("/a");
	buf_init(&b, 100);
	assert_true(store_get(other, "_cdc/log/2", &b, &err));
	assert_true(changed_at("/a/_cdc/log").tv_sec > 0);
	/* once it is known to be on disk it is left in peace */
	assert_true(store_get(other, "_cdc/log/2", &b, &err));
	assert_int_equal(changed_at("/a/_cdc/log").tv_sec, 0);
	assert_int_equal(count_files("/a/_cdc/log"), 2);
	buf_done(&b);
	store_close(other);
}

/* Who made the folders above may have died before they were on disk. */
static void
test_folders_of_the_dead(void **state)
{
	static const char *const names[] = { "", "/d", "/d/t", "/d/t/y",
										 "/d/t/y/m" };
	Store *s;
	Err err = { 0 };

	(void) state;
	for (size_t i = 1; i < COUNT(names) - 1; i++)
	{
		char *path = xasprintf("%s%s", folder, names[i]);

		assert_int_equal(mkdir(path, 0777), 0);
		free(path);
	}
	folder_syncs = 0;
	s = open_store("/d");
	assert_true(store_put(s, "t/y/m/part", slice_cstr("x"), false, &err));
	for (size_t i = 0; i < COUNT(names); i++)
		assert_true(was_synced(names[i]));
	store_close(s);
}

/* What is removed does not come back with the next power cut. */
static void
test_removed_for_good(void **state)
{
	Store *s = open_store("/r");
	Err err = { 0 };

	(void) state;
	assert_true(store_put(s, "t/part", slice_cstr("x"), false, &err));
	folder_syncs = 0;
	fail_folder = true;
	assert_false(store_del(s, "t/part", &err));
	assert_int_equal(count_files("/r/t"), 0);
	(void) changed_at("/r/t");
	folder_syncs = 0;
	assert_true(store_del(s, "t/part", &err));
	assert_true(was_synced("/r/t"));
	assert_true(changed_at("/r/t").tv_sec > 0);
	assert_true(store_del(s, "u/part", &err));
	store_close(s);
}

static bool
no_key(const StoreItem *item, void *arg)
{
	(void) arg;
	fail_msg("%s is listed", item->key);
	return false;
}

static void
test_sync_name_is_no_key(void **state)
{
	Store *s = open_store("");
	char *path = xasprintf("%s/" FS_SYNC_NAME, folder);
	FILE *f = fopen(path, "w");
	Err err = { 0 };

	(void) state;
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_true(store_list(s, "", no_key, NULL, &err));
	free(path);
	store_close(s);
}

static void
test_name_too_long(void **state)
{
	Store *s = open_store("/n");
	char *name = xmalloc(301);
	char *key;
	int64_t bytes;
	Buf b;
	Err err = { 0 };

	(void) state;
	memset(name, 'x', 300);
	name[300] = '\0';
	key = xasprintf("%s/part", name);
	assert_false(store_put(s, key, slice_cstr("x"), false, &err));
	assert_int_equal(err.kind, ERR_STORE); /* for good: no try helps */
	assert_non_null(strstr(err.hint, "output.path"));
	/* what cannot be there is not there */
	buf_init(&b, 10);
	assert_false(store_get(s, key, &b, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(store_head(s, key, &bytes, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_true(store_list(s, key, NULL, NULL, &err));
	assert_true(store_del(s, key, &err));
	buf_done(&b);
	free(key);
	free(name);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_list),
		TEST(test_keys_stay_inside),
		TEST(test_url),
		TEST(test_no_space),
		TEST(test_get_limit),
		TEST(test_sweep),
		TEST(test_folders_vanish),
		TEST(test_one_winner),
		TEST(test_folder_sync_fails),
		TEST(test_folder_sync_fails_large),
		TEST(test_sync_after_failure),
		TEST(test_folders_of_the_dead),
		TEST(test_removed_for_good),
		TEST(test_sync_name_is_no_key),
		TEST(test_name_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
