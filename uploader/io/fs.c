/*-------------------------------------------------------------------------
 * fs.c
 *	  Files that are there whole or not at all, also after a power cut.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fnv.h"
#include "base/mem.h"

#define READ_STEP 65536

/* Syncs of folders that failed in this process. */
static atomic_int sync_failures;

bool
fs_error(Err *err, int errnum, const char *doing, const char *path)
{
	char text[128];
	ErrKind kind = ERR_STORE;
	const char *hint = NULL;

	switch (errnum)
	{
		case ENOENT:
		case ENOTDIR:
			kind = ERR_NOT_FOUND;
			break;
		case ENOSPC:
		case EDQUOT:
			err_set(err, ERR_BUSY, errnum,
					"no space left to %s \"%s\"; free some space", doing, path);
			return err_hint(err, "Free space or raise the quota there; the "
								 "write is tried again by itself.");
		case EMFILE:
		case ENFILE:
		case ENOMEM:
		case ESTALE:
		case ETIMEDOUT:
			kind = ERR_BUSY;
			break;
		case EACCES:
		case EPERM:
			hint = "Give the user that runs cdc-s3 the right to read and "
				   "write there, or choose another store.url.";
			break;
		case ENAMETOOLONG:
			hint = "A name of the path is longer than the file system takes, "
				   "255 bytes as a rule: choose an output.path with shorter "
				   "segments, leave the table out (source.exclude), or take "
				   "an s3:// store.";
			break;
		case EROFS:
			hint = "The file system is mounted read-only; mount it for "
				   "writing, or choose another store.url.";
			break;
		default:
			break;
	}
	err_set(err, kind, errnum, "could not %s \"%s\": %s", doing, path,
			err_errno(errnum, text, sizeof(text)));
	return hint ? err_hint(err, "%s", hint) : false;
}

bool
fs_read(const char *path, Buf *out, Err *err)
{
	size_t start = out->n;
	bool ok = false;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fs_error(err, errno, "open file", path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
	{
		err_set(err, ERR_NOT_FOUND, EISDIR, "\"%s\" is a folder", path);
		goto done;
	}
	for (;;)
	{
		ssize_t n;

		/* Where no more fits, one byte tells whether the file ends here. */
		if (out->max == out->n)
		{
			uint8_t extra;

			n = read(fd, &extra, 1);
			if (n > 0)
			{
				err_set(err, ERR_LIMIT, 0,
						"file \"%s\" is larger than the limit of %zu bytes",
						path, out->max);
				goto done;
			}
		}
		else
		{
			size_t step = out->max - out->n;

			if (step > READ_STEP)
				step = READ_STEP;
			if (!buf_room(out, step))
			{
				err_set(err, ERR_LIMIT, 0, "file \"%s\" is too large", path);
				goto done;
			}
			n = read(fd, out->p + out->n, step);
			if (n > 0)
			{
				out->n += (size_t) n;
				out->p[out->n] = 0;
			}
		}
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
		{
			fs_error(err, errno, "read file", path);
			goto done;
		}
	}
	ok = true;

done:
	if (!ok)
	{
		out->n = start;
		if (out->p)
			out->p[start] = 0;
	}
	(void) close(fd); /* only read from */
	return ok;
}

/* Zero is an empty place. */
static uint64_t
hash_folder(const char *folder)
{
	uint64_t h = fnv1a(FNV1A_EMPTY, folder);

	return h ? h : 1;
}

static bool
is_known(const uint64_t *table, const char *folder)
{
	uint64_t h = hash_folder(folder);

	return table[h % 256] == h;
}

static void
set_known(uint64_t *table, const char *folder, bool is)
{
	uint64_t h = hash_folder(folder);

	if (is)
		table[h % 256] = h;
	else if (table[h % 256] == h)
		table[h % 256] = 0;
}

/* What was known before a sync failed is not known any more. */
static void
forget_after_failure(FsSynced *synced)
{
	int failures = atomic_load(&sync_failures);

	if (synced->failures != failures)
		*synced = (FsSynced){ .failures = failures };
}

/* Cuts the last part off a path; false at "/" or where there is no '/'. */
static bool
to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL || path[1] == '\0')
		return false;
	if (slash == path)
		slash++;
	*slash = '\0';
	return true;
}

/*
 * A name comes into the folder and goes again.  Where another thread has taken
 * it away in between, its folder may have been synced since.
 */
static bool
touch_folder(const char *folder, Err *err)
{
	char *path = xasprintf("%s/" FS_SYNC_NAME, folder);
	bool ok = true;
	int gone;

	do
	{
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

		if (fd < 0)
		{
			ok = fs_error(err, errno, "create file", path);
			break;
		}
		(void) close(fd); /* nothing was written */
		gone = unlink(path) == 0 ? 0 : errno;
		if (gone != 0 && gone != ENOENT)
			ok = fs_error(err, gone, "remove file", path);
	} while (ok && gone == ENOENT);
	free(path);
	return ok;
}

/* dirty: a name came or went that is to be written. */
static bool
sync_folder(const char *folder, bool dirty, FsSynced *synced, Err *err)
{
	bool ok;
	int fd;

	forget_after_failure(synced);
	if ((!dirty || synced->failures > 0) && !is_known(synced->names, folder) &&
		!touch_folder(folder, err))
		return false;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fs_error(err, errno, "open folder", folder);
	ok = fsync(fd) == 0;
	if (!ok)
	{
		fs_error(err, errno, "fsync folder", folder);
		atomic_fetch_add(&sync_failures, 1);
	}
	(void) close(fd); /* only read from */
	forget_after_failure(synced);
	set_known(synced->names, folder, ok);
	return ok;
}

/* That a folder cannot be made there is no "not found". */
static void
folder_error(Err *err, int errnum, const char *folder)
{
	fs_error(err, errnum, "create folder", folder);
	if (err->kind == ERR_NOT_FOUND)
		err->kind = ERR_STORE;
	if (errnum == ENOTDIR)
		err_hint(err, "A file stands where a folder is needed.");
}

bool
fs_make_folders(const char *folder, FsSynced *synced, Err *err)
{
	bool ok = false;
	char *above = xstrdup(folder);
	bool has_above = to_parent(above);

	if (mkdir(folder, 0777) != 0)
	{
		if (errno == EEXIST)
		{
			ok = true;
			goto done;
		}
		if (errno != ENOENT || !has_above)
		{
			folder_error(err, errno, folder);
			goto done;
		}
		if (!fs_make_folders(above, synced, err))
			goto done;
		if (mkdir(folder, 0777) != 0 && errno != EEXIST)
		{
			folder_error(err, errno, folder);
			goto done;
		}
	}
	set_known(synced->hash, folder, false);
	if (has_above && !sync_folder(above, true, synced, err))
		goto done;
	set_known(synced->hash, folder,
			  !has_above || is_known(synced->hash, above));
	ok = true;

done:
	free(above);
	return ok;
}

/* The folder above the root is not ours: nothing is made in it. */
static bool
sync_above_root(const char *above, FsSynced *synced, Err *err)
{
	set_known(synced->names, above, true);
	return sync_folder(above, false, synced, err) || err->code == EACCES ||
		   err->code == EPERM || err->code == EROFS || err->code == EINVAL;
}

/*
 * Brings the folder's own name to disk, which lies in the folder above it, and
 * the names of those above.  It is known to be there once all of them are: who
 * made them may have died before they were.
 */
static bool
sync_name(const char *root, const char *folder, FsSynced *synced, Err *err)
{
	bool ok = true;
	bool is_root = strcmp(folder, root) == 0;
	char *above;

	if (is_known(synced->hash, folder))
		return true;
	above = xstrdup(folder);
	if (to_parent(above))
		ok = is_root ? sync_above_root(above, synced, err)
					 : sync_folder(above, false, synced, err) &&
						   sync_name(root, above, synced, err);
	if (ok)
		set_known(synced->hash, folder, true);
	free(above);
	return ok;
}

bool
fs_sync_folders(const char *root, const char *folder, bool fresh,
				FsSynced *synced, Err *err)
{
	return sync_folder(folder, fresh, synced, err) &&
		   sync_name(root, folder, synced, err);
}

static bool
write_all(int fd, Slice body)
{
	while (body.n > 0)
	{
		ssize_t n = write(fd, body.p, body.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		body.p += n;
		body.n -= (size_t) n;
	}
	return true;
}

/* out_fsync: it was the fsync (or close) that failed. */
static bool
write_once(const char *path, Slice body, bool *out_fsync, Err *err)
{
	int errnum = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	*out_fsync = false;
	if (fd < 0)
		return fs_error(err, errno, "create file", path);
	if (!write_all(fd, body))
		errnum = errno;
	else if (fsync(fd) != 0)
	{
		errnum = errno;
		*out_fsync = true;
	}
	if (close(fd) != 0 && errnum == 0)
	{
		errnum = errno;
		*out_fsync = true;
	}
	if (errnum == 0)
		return true;
	(void) unlink(path); /* the first failure is the one to report */
	return fs_error(err, errnum, *out_fsync ? "fsync file" : "write file",
					path);
}

bool
fs_write_synced(const char *path, Slice body, Err *err)
{
	bool fsync_failed;

	if (write_once(path, body, &fsync_failed, err))
		return true;
	return fsync_failed && write_once(path, body, &fsync_failed, err);
}
