/*-------------------------------------------------------------------------
 * store_file.c
 *	  A store in a folder: file:///folder.
 *
 * Invariants:
 *	(1) A key's file is there whole, or not at all: it is written under
 *		_cdc/tmp, brought to disk, and then linked to its name.  link(2)
 *		never replaces a file, so one of many writers wins; rename(2) would
 *		let the last one win.
 *	(2) When put returns true, or ERR_EXISTS, the name is on disk, whoever
 *		made it: the folder is synced before either is said.
 *	(3) What of _cdc was read is on disk before get returns: a writer may
 *		have died between link and fsync, and positions are taken from there.
 *	(4) When del returns true the name is gone from the disk, too.
 *	(5) No key leaves the root, and no link is followed on the way to it by
 *		a listing.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "io/fs.h"
#include "store/store.h"

#define OWN_PREFIX "_cdc/"
#define TMP_FOLDER "_cdc/tmp"
#define TMP_OLD_US (24 * US_PER_HOUR) /* older ones belong to nobody */
#define PATH_BYTES 4096
#define PART_MIN_BYTES ((size_t) 512 * 1024) /* one open and write each */

typedef struct FileStore
{
	Store base;
	char *root; /* absolute, no '/' at its end */
	FsSynced synced;
	bool tmp_made;
} FileStore;

/* A key with an empty, "." or ".." part is a mistake of ours. */
static bool
key_is_safe(const char *key)
{
	for (;;)
	{
		size_t n = strcspn(key, "/");

		if (n == 0 || (n == 1 && key[0] == '.') ||
			(n == 2 && key[0] == '.' && key[1] == '.'))
			return false;
		if (key[n] == '\0')
			return true;
		key += n + 1;
	}
}

/* The path of a key; the caller frees it. */
static bool
key_path(const FileStore *s, const char *key, char **out, Err *err)
{
	if (!key_is_safe(key))
		return err_set(err, ERR_INTERNAL, 0, "object key \"%s\" is not allowed",
					   key);
	if (strlen(s->root) + 1 + strlen(key) >= PATH_BYTES)
		return err_set(err, ERR_STORE, ENAMETOOLONG,
					   "object key \"%s\" is too long for a file", key);
	*out = xasprintf("%s/%s", s->root, key);
	return true;
}

static char *
folder_of(const char *path)
{
	return xstrndup(path, (size_t) (strrchr(path, '/') - path));
}

/* Removes what writers that were killed left behind, once a Store. */
static void
sweep_tmp(const char *folder)
{
	int64_t now = clock_unix_us();
	struct dirent *e;
	DIR *dir = opendir(folder);

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
	{
		struct stat st;

		if (e->d_name[0] != '.' &&
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) &&
			now - (int64_t) st.st_mtime * US_PER_SEC > TMP_OLD_US)
			(void) unlinkat(dirfd(dir), e->d_name, 0); /* the next one may */
	}
	(void) closedir(dir); /* only read from */
}

static bool
make_tmp_folder(FileStore *s, Err *err)
{
	char *folder = xasprintf("%s/" TMP_FOLDER, s->root);
	bool ok = true;

	if (!s->tmp_made)
	{
		ok = fs_make_folders(folder, &s->synced, err);
		if (ok)
			sweep_tmp(folder);
		s->tmp_made = ok;
	}
	free(folder);
	return ok;
}

static char *
random_name(void)
{
	return xasprintf("%08" PRIx32 "%08" PRIx32, random_u32(), random_u32());
}

static char *
tmp_path(const FileStore *s, const char *name)
{
	return xasprintf("%s/" TMP_FOLDER "/%s", s->root, name);
}

/* Writes body to a new file under _cdc/tmp; the caller frees and unlinks. */
static bool
write_tmp(FileStore *s, Slice body, char **out, Err *err)
{
	char *name = random_name();
	char *path = tmp_path(s, name);
	bool ok = false;

	if (!make_tmp_folder(s, err))
		goto done;
	if (!fs_write_synced(path, body, err))
	{
		if (err->kind == ERR_NOT_FOUND) /* somebody removed the folder */
		{
			err->kind = ERR_BUSY;
			s->tmp_made = false;
		}
		goto done;
	}
	*out = path;
	path = NULL;
	ok = true;

done:
	free(path);
	free(name);
	return ok;
}

static bool
link_error(int errnum, const char *path, Err *err)
{
	fs_error(err, errnum, "link file", path);
	switch (errnum)
	{
		case ENOENT: /* the folder went away in between */
			err->kind = ERR_BUSY;
			return false;
		case ENOTDIR:
			err->kind = ERR_STORE;
			return err_hint(err, "A file stands where a folder is needed.");
		case EPERM:
		case EOPNOTSUPP:
		case ENOSYS:
		case EXDEV:
		case EMLINK:
			return err_hint(err, "This file system has no hard links within "
								 "the folder of store.url; choose one that "
								 "has, or an s3:// store.");
		default:
			return false;
	}
}

/* The key was taken: success where its content is the one we bring. */
static bool
compare_file(const char *path, const char *key, Slice body, Err *err)
{
	Buf there;
	bool ok = false;

	buf_init(&there, body.n);
	if (!fs_read(path, &there, err))
	{
		if (err->kind == ERR_NOT_FOUND)
			err->kind = err->code == EISDIR ? ERR_STORE : ERR_BUSY;
		if (err->kind != ERR_LIMIT)
			goto done;
	}
	else if (there.n == body.n &&
			 (body.n == 0 || memcmp(there.p, body.p, body.n) == 0))
		ok = true;
	if (!ok)
	{
		err_set(err, ERR_STORE, EEXIST,
				"object \"%s\" is there already, with other content", key);
		err_hint(err, "Objects are never changed. Something else writes to "
					  "this folder, or the file was altered.");
	}

done:
	buf_done(&there);
	return ok;
}

static bool
file_put(Store *store, const char *key, Slice body, bool only_if_absent,
		 Err *err)
{
	FileStore *s = (FileStore *) store;
	bool ok = false;
	char *path = NULL;
	char *folder = NULL;
	char *tmp = NULL;

	if (!key_path(s, key, &path, err))
		return false;
	folder = folder_of(path);
	if (!write_tmp(s, body, &tmp, err) ||
		!fs_make_folders(folder, &s->synced, err))
		goto done;
	if (link(tmp, path) == 0)
	{
		/*
		 * Where this fails the link stays: somebody may have seen it, and an
		 * entry of the log that was seen must not go.  The next try finds it,
		 * and is no success before the folder is on disk.
		 */
		FAULT_POINT("file_linked");
		ok = fs_sync_folders(s->root, folder, true, &s->synced, err);
	}
	else if (errno != EEXIST)
		link_error(errno, path, err);
	else if (!fs_sync_folders(s->root, folder, false, &s->synced, err))
		;
	else if (only_if_absent)
		err_set(err, ERR_EXISTS, EEXIST, "object \"%s\" is there already", key);
	else
		ok = compare_file(path, key, body, err);

done:
	if (tmp)
		(void) unlink(tmp); /* swept later where this fails */
	free(tmp);
	free(folder);
	free(path);
	return ok;
}

static bool
file_get(Store *store, const char *key, Buf *out, Err *err)
{
	FileStore *s = (FileStore *) store;
	size_t start = out->n;
	char *path = NULL;
	char *folder = NULL;
	bool ok = false;

	if (!key_path(s, key, &path, err))
		return false;
	if (!fs_read(path, out, err))
	{
		if (err->kind == ERR_NOT_FOUND || err->code == ENAMETOOLONG)
			err_set(err, ERR_NOT_FOUND, err->code,
					"object \"%s\" does not exist", key);
		goto done;
	}
	ok = true;
	if (strncmp(key, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
	{
		folder = folder_of(path);
		ok = fs_sync_folders(s->root, folder, false, &s->synced, err) ||
			 err->code == EROFS || err->code == EACCES || err->code == EINVAL;
		if (!ok)
			out->n = start;
	}

done:
	free(folder);
	free(path);
	return ok;
}

static bool
file_head(Store *store, const char *key, int64_t *out_bytes, Err *err)
{
	struct stat st;
	char *path = NULL;
	bool ok = false;
	int errnum = 0;

	if (!key_path((FileStore *) store, key, &path, err))
		return false;
	if (stat(path, &st) != 0)
		errnum = errno;
	else if (!S_ISREG(st.st_mode))
		errnum = ENOENT;
	if (errnum == 0)
	{
		*out_bytes = st.st_size;
		ok = true;
	}
	else if (errnum == ENOENT || errnum == ENOTDIR || errnum == ENAMETOOLONG)
		err_set(err, ERR_NOT_FOUND, errnum, "object \"%s\" does not exist",
				key);
	else
		fs_error(err, errnum, "read file", path);
	free(path);
	return ok;
}

/* A listing on its way through the folders. */
typedef struct Walk
{
	const char *root;
	const char *prefix;
	StoreListFn fn;
	void *arg;
	Buf key;     /* of the folder at hand with '/', "" for the root */
	bool called; /* fn was */
	bool ended;
} Walk;

/* Can keys under this folder start with the prefix? */
static bool
is_on_the_way(const char *folder, const char *prefix)
{
	size_t n = strlen(folder);
	size_t m = strlen(prefix);

	return strncmp(folder, prefix, n < m ? n : m) == 0;
}

static bool walk_folder(Walk *w, int parent, const char *name, Err *err);

/* name: below the folder at hand; "" where that is meant. */
static bool
walk_error(Walk *w, int errnum, const char *doing, const char *name, Err *err)
{
	char *path = xasprintf("%s/%s%s", w->root, buf_cstr(&w->key), name);

	fs_error(err, errnum, doing, path);
	free(path);
	return false;
}

static bool
walk_name(Walk *w, int folder, const char *name, Err *err)
{
	size_t n = w->key.n;
	bool ok = true;
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		strcmp(name, FS_SYNC_NAME) == 0)
		return true;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT || walk_error(w, errno, "read file", name, err);

	buf_str(&w->key, name);
	if (w->key.overflow)
		return err_set(err, ERR_STORE, ENAMETOOLONG,
					   "folder \"%s\" lies too deep", name);
	if (S_ISDIR(st.st_mode))
	{
		if (strcmp(buf_cstr(&w->key), TMP_FOLDER) != 0)
		{
			buf_byte(&w->key, '/');
			if (is_on_the_way(buf_cstr(&w->key), w->prefix))
				ok = walk_folder(w, folder, name, err);
		}
	}
	else if (S_ISREG(st.st_mode) &&
			 strncmp(buf_cstr(&w->key), w->prefix, strlen(w->prefix)) == 0)
	{
		StoreItem item = { buf_cstr(&w->key), st.st_size };

		w->called = true;
		w->ended = !w->fn(&item, w->arg);
	}
	w->key.n = n;
	if (w->key.p)
		w->key.p[n] = 0;
	return ok;
}

static bool
walk_folder(Walk *w, int parent, const char *name, Err *err)
{
	bool ok = true;
	struct dirent *e;
	DIR *dir;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ||
			   walk_error(w, errno, "open folder", "", err);
	dir = fdopendir(fd);
	if (dir == NULL)
	{
		walk_error(w, errno, "open folder", "", err);
		(void) close(fd); /* only read from */
		return false;
	}
	while (ok && !w->ended && (errno = 0, e = readdir(dir)) != NULL)
		ok = walk_name(w, fd, e->d_name, err);
	if (ok && !w->ended && errno != 0)
		ok = walk_error(w, errno, "read folder", "", err);
	(void) closedir(dir); /* only read from */
	return ok;
}

static bool
file_list(Store *store, const char *prefix, Buf *cursor, StoreListFn fn,
		  void *arg, Err *err)
{
	FileStore *s = (FileStore *) store;
	const char *slash = strrchr(prefix, '/');
	Walk w = { .root = s->root, .prefix = prefix, .fn = fn, .arg = arg };
	char *folder;
	bool ok;

	buf_reset(cursor); /* one page holds all */
	if (strncmp(prefix, TMP_FOLDER "/", strlen(TMP_FOLDER "/")) == 0)
		return true;
	/* All keys with the prefix lie below its last folder. */
	buf_init(&w.key, PATH_BYTES);
	if (slash)
		buf_add(&w.key, prefix, (size_t) (slash + 1 - prefix));
	folder = xasprintf("%s/%s", s->root, buf_cstr(&w.key));
	ok = walk_folder(&w, AT_FDCWD, folder, err);
	free(folder);
	if (!ok && err_is_retryable(err->kind) && w.called)
		err->kind = ERR_GONE; /* not to be repeated, but begun anew */
	buf_done(&w.key);
	return ok;
}

/*
 * Gone also after a power cut: the log may say that nothing is left, and
 * readers of a folder would count what comes back.
 */
static bool
file_del(Store *store, const char *key, Err *err)
{
	FileStore *s = (FileStore *) store;
	char *path = NULL;
	char *folder;
	bool fresh;
	bool ok;

	if (!key_path(s, key, &path, err))
		return false;
	folder = folder_of(path);
	fresh = unlink(path) == 0;
	if (fresh || errno == ENOENT)
		ok = fs_sync_folders(s->root, folder, fresh, &s->synced, err) ||
			 err->code == ENOENT; /* nor is its folder there */
	else
		ok = errno == ENOTDIR || errno == ENAMETOOLONG ||
			 fs_error(err, errno, "remove file", path);
	free(folder);
	free(path);
	return ok;
}

/* ---- large objects: one file under _cdc/tmp, its name is the id ---- */

static bool
file_begin(Store *store, const char *key, char **out_id, Err *err)
{
	FileStore *s = (FileStore *) store;
	char *path = NULL;

	if (!key_path(s, key, &path, err))
		return false;
	free(path); /* only checked */
	if (!make_tmp_folder(s, err))
		return false;
	*out_id = random_name();
	return true;
}

static bool
file_part(Store *store, const char *key, const char *id, int n, Slice body,
		  StorePart *part, Err *err)
{
	char *path = tmp_path((FileStore *) store, id);
	int create = part->offset == 0 ? O_CREAT : 0; /* later it must be there */
	int fd = open(path, O_WRONLY | create | O_CLOEXEC, 0666);
	bool ok = fd >= 0;
	size_t done = 0;

	(void) key, (void) n; /* the offset says it */
	while (ok && done < body.n)
	{
		ssize_t m = pwrite(fd, body.p + done, body.n - done,
						   (off_t) part->offset + (off_t) done);

		ok = m >= 0 || errno == EINTR;
		done += m > 0 ? (size_t) m : 0;
	}
	if (!ok)
	{
		fs_error(err, errno, "write file", path);
		if (err->kind == ERR_NOT_FOUND)
			err->kind = ERR_GONE;
	}
	else
		part->tag = xstrdup(id);
	if (fd >= 0)
		(void) close(fd); /* finish syncs, and finds what went wrong */
	free(path);
	return ok;
}

/*
 * A failed fsync cannot be mended here, since the parts are gone: the object
 * is to be written anew.
 */
static bool
sync_upload(const char *path, int64_t bytes, Err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fstat(fd, &st) == 0;

	if (!ok)
		fs_error(err, errno, "open file", path);
	else if (st.st_size != bytes)
		ok = err_set(err, ERR_GONE, 0, "file \"%s\" has lost a part", path);
	else if (fsync(fd) != 0)
	{
		ok = fs_error(err, errno, "fsync file", path);
		err->kind = ERR_GONE;
	}
	if (fd >= 0)
		(void) close(fd); /* only read from */
	if (!ok && err->kind == ERR_NOT_FOUND)
		err->kind = ERR_GONE;
	return ok;
}

/* The key was taken: success where it is the file that we bring. */
static bool
is_same_file(const char *tmp, const char *path, const char *key, Err *err)
{
	struct stat ours, there;

	if (stat(tmp, &ours) != 0)
		return fs_error(err, errno, "read file", tmp);
	if (stat(path, &there) != 0)
		return fs_error(err, errno, "read file", path);
	if (ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		return true;
	return err_set(err, ERR_STORE, EEXIST, "object \"%s\" is there already",
				   key);
}

static bool
file_finish(Store *store, const char *key, const char *id,
			const StorePart *parts, int nparts, Err *err)
{
	FileStore *s = (FileStore *) store;
	const StorePart *last = &parts[nparts - 1];
	char *tmp = tmp_path(s, id);
	char *path = NULL;
	char *folder = NULL;
	bool fresh;
	bool ok = false;

	if (!key_path(s, key, &path, err))
		goto done;
	folder = folder_of(path);
	if (!sync_upload(tmp, last->offset + last->bytes, err) ||
		!fs_make_folders(folder, &s->synced, err))
		goto done;
	fresh = link(tmp, path) == 0;
	if (!fresh && errno != EEXIST)
		link_error(errno, path, err);
	else if (fresh || is_same_file(tmp, path, key, err))
		ok = fs_sync_folders(s->root, folder, fresh, &s->synced, err);
	if (ok)
		(void) unlink(tmp); /* swept later where this fails */

done:
	free(folder);
	free(path);
	free(tmp);
	return ok;
}

static bool
file_abandon(Store *store, const char *key, const char *id, Err *err)
{
	char *path = tmp_path((FileStore *) store, id);
	bool ok = unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR ||
			  fs_error(err, errno, "remove file", path);

	(void) key; /* the id is enough */
	free(path);
	return ok;
}

/* None: what is left of one is swept by its age. */
static bool
file_list_uploads(Store *store, const char *prefix, Buf *cursor,
				  StoreUploadFn fn, void *arg, Err *err)
{
	(void) store, (void) prefix, (void) fn, (void) arg, (void) err;
	buf_reset(cursor);
	return true;
}

static void
file_close(Store *store)
{
	FileStore *s = (FileStore *) store;

	free(s->root);
	free(s);
}

static const StoreOps file_ops = {
	.name = "file",
	.part_min = PART_MIN_BYTES,
	.put = file_put,
	.get = file_get,
	.head = file_head,
	.list = file_list,
	.del = file_del,
	.begin = file_begin,
	.part = file_part,
	.finish = file_finish,
	.abandon = file_abandon,
	.list_uploads = file_list_uploads,
	.close = file_close,
};

bool
store_file_open(const StoreOptions *options, Store **out, Err *err)
{
	static const char scheme[] = "file://";
	const char *path = options->url + strlen(scheme);
	FileStore *s;
	size_t n;

	if (strncmp(options->url, scheme, strlen(scheme)) != 0 || path[0] != '/')
	{
		err_set(err, ERR_USAGE, 0,
				"store.url \"%s\" does not name an absolute folder",
				options->url);
		return err_hint(err, "Write file:///folder, with three slashes.");
	}
	n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	if (n == 0)
		return err_set(err, ERR_USAGE, 0,
					   "store.url \"%s\" names the root folder of the machine",
					   options->url);
	if (n > PATH_BYTES / 2)
		return err_set(err, ERR_USAGE, 0, "store.url is too long");
	s = xcalloc(1, sizeof(*s));
	s->base.ops = &file_ops;
	s->root = xstrndup(path, n);
	*out = &s->base;
	return true;
}
