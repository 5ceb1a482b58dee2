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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fnv.h"
#include "base/mem.h"

#define READ_STEP 65536

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
is_synced(const FsSynced *synced, const char *folder)
{
	uint64_t h = hash_folder(folder);

	return synced->hash[h % 256] == h;
}

static void
set_synced(FsSynced *synced, const char *folder, bool is)
{
	uint64_t h = hash_folder(folder);

	if (is)
		synced->hash[h % 256] = h;
	else if (synced->hash[h % 256] == h)
		synced->hash[h % 256] = 0;
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

static bool
sync_folder(const char *folder, Err *err)
{
	bool ok;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fs_error(err, errno, "open folder", folder);
	ok = fsync(fd) == 0;
	if (!ok)
		fs_error(err, errno, "fsync folder", folder);
	(void) close(fd); /* only read from */
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
	set_synced(synced, folder, false);
	if (has_above && !sync_folder(above, err))
		goto done;
	set_synced(synced, folder, true);
	ok = true;

done:
	free(above);
	return ok;
}

bool
fs_sync_folders(const char *root, const char *folder, FsSynced *synced,
				Err *err)
{
	char *path = xstrdup(folder);
	char *child = NULL;
	bool ok = sync_folder(path, err);

	/* A folder's name is on disk once the folder above it was synced. */
	while (ok && !is_synced(synced, path))
	{
		/* The root's own name lies in the folder above it. */
		bool above_root = strcmp(path, root) == 0;

		free(child);
		child = xstrdup(path);
		if (!to_parent(path))
			break;
		ok = sync_folder(path, err);
		if (!ok && above_root)
			ok = true; /* not ours; it may not even be readable */
		if (ok)
			set_synced(synced, child, true);
		if (above_root)
			break;
	}
	free(child);
	free(path);
	return ok;
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
