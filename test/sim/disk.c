/*-------------------------------------------------------------------------
 * disk.c
 *	  A disk in memory below file:// stores, of which every call may fail.
 *
 * Nothing is ever freed: each case has a process of its own.
 *-------------------------------------------------------------------------
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "count.h"
#include "oracle.h"

#define FD_FIRST 70000
#define FDS_MAX 8192
#define FULL_US (20 * SIM_SEC)
#define NAME_BYTES 256

const char *const disk_op_names[DISK_OPS] = {
	"open",  "create", "read",   "write", "fsync",   "fsync of a folder",
	"close", "link",   "unlink", "mkdir", "readdir", "stat"
};
const char *const disk_fault_names[DISK_FAULTS] = { "none",
													"EIO",
													"ENOSPC",
													"EACCES",
													"EMFILE",
													"EINTR",
													"half of the bytes",
													"a full disk for 20 s",
													"a dead disk",
													"a kill",
													"a power cut" };

int64_t disk_calls;
int64_t disk_fault_at;
DiskFault disk_fault;
uint8_t *disk_ops;

typedef struct Node Node;

typedef struct Name
{
	char *name;
	Node *node;
} Name;

typedef struct Names
{
	Name *items;
	int n;
} Names;

struct Node
{
	bool folder;
	bool dirty; /* the next sync writes something */
	ino_t ino;
	time_t mtime;
	Buf data;
	Buf safe; /* what a power cut leaves */
	Names names;
	Names safe_names;
};

typedef struct Fd
{
	Node *node;
	Proc *proc;
	size_t at;
} Fd;

/* Stands for a DIR. */
typedef struct Folder
{
	int fd;
	int at;
	Names names; /* as they were when it was opened */
	struct dirent entry;
} Folder;

static Node *root;
static Fd fds[FDS_MAX];
static ino_t last_ino;
static Proc *struck; /* whose call failed */
static int64_t struck_at;
static int errno_of_fault;

/* ---- names ---- */

static Node *
node_new(bool folder)
{
	Node *n = xcalloc(1, sizeof(*n));

	n->folder = folder;
	n->ino = ++last_ino;
	n->mtime = sim_wall() / SIM_SEC;
	buf_init(&n->data, SIZE_MAX / 2);
	buf_init(&n->safe, SIZE_MAX / 2);
	return n;
}

static Node *
names_find(const Names *names, const char *name, size_t n)
{
	for (int i = 0; i < names->n; i++)
	{
		const Name *at = &names->items[i];

		if (strncmp(at->name, name, n) == 0 && at->name[n] == '\0')
			return at->node;
	}
	return NULL;
}

static void
names_add(Names *names, const char *name, Node *node)
{
	names->items =
		xrealloc(names->items, ((size_t) names->n + 1) * sizeof(Name));
	names->items[names->n++] = (Name){ xstrdup(name), node };
}

static void
names_remove(Names *names, const char *name)
{
	for (int i = 0; i < names->n; i++)
	{
		if (strcmp(names->items[i].name, name) == 0)
			names->items[i--] = names->items[--names->n];
	}
}

static Names
names_copy(const Names *names)
{
	Names copy = { NULL, 0 };

	for (int i = 0; i < names->n; i++)
		names_add(&copy, names->items[i].name, names->items[i].node);
	return copy;
}

static Node *
disk_root(void)
{
	if (!root)
		root = node_new(true);
	return root;
}

/*
 * The folder of a path's last name, which goes to *last; an error's number
 * otherwise.
 */
static Node *
walk(Node *from, const char *path, bool safe, const char **last, int *errnum)
{
	Node *at = path[0] == '/' || !from ? disk_root() : from;

	for (;;)
	{
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		*errnum = n >= NAME_BYTES ? ENAMETOOLONG : 0;
		if (*errnum)
			return NULL;
		if (path[n + strspn(path + n, "/")] == '\0')
			break;
		at = names_find(safe ? &at->safe_names : &at->names, path, n);
		*errnum = !at ? ENOENT : !at->folder ? ENOTDIR : 0;
		if (*errnum)
			return NULL;
		path += n;
	}
	*last = path;
	return at;
}

static Node *
find(Node *from, const char *path, int *errnum)
{
	const char *last;
	Node *folder = walk(from, path, false, &last, errnum);
	Node *n;

	if (!folder)
		return NULL;
	n = *last ? names_find(&folder->names, last, strcspn(last, "/")) : folder;
	if (!n)
		*errnum = ENOENT;
	else if (!n->folder && strchr(last, '/'))
		*errnum = ENOTDIR;
	return *errnum ? NULL : n;
}

static bool
is_ours(const char *path)
{
	return strncmp(path, "/sim/", 5) == 0 || strcmp(path, "/sim") == 0 ||
		   strcmp(path, "/") == 0;
}

/* The key that readers know a path by; NULL: none. */
static const char *
key_of(const char *path)
{
	const char *key = path + sizeof(DISK_ROOT);

	if (strncmp(path, DISK_ROOT "/", sizeof(DISK_ROOT)) != 0 ||
		strncmp(key, "_cdc/tmp/", 9) == 0 || strstr(path, "/."))
		return NULL;
	return key;
}

/* ---- what goes wrong ---- */

bool
disk_fits(DiskOp op, DiskFault f)
{
	bool grows = op == DISK_CREATE || op == DISK_WRITE || op == DISK_LINK ||
				 op == DISK_MKDIR || op == DISK_SYNC ||
				 op == DISK_SYNC_FOLDER || op == DISK_CLOSE;

	switch (f)
	{
		case DISK_ENOSPC:
		case DISK_FULL:
			return grows;
		case DISK_EACCES:
			return op == DISK_CREATE || op == DISK_LINK || op == DISK_MKDIR ||
				   op == DISK_UNLINK;
		case DISK_EMFILE:
			return op == DISK_OPEN || op == DISK_CREATE;
		case DISK_EINTR:
		case DISK_SHORT:
			return op == DISK_READ || op == DISK_WRITE;
		case DISK_WELL:
		case DISK_FAULTS:
			return false;
		default:
			return true;
	}
}

static int
number_of(DiskFault f)
{
	switch (f)
	{
		case DISK_EIO:
		case DISK_BROKEN:
			return EIO;
		case DISK_ENOSPC:
		case DISK_FULL:
			return ENOSPC;
		case DISK_EACCES:
			return EACCES;
		case DISK_EMFILE:
			return EMFILE;
		case DISK_EINTR:
			return EINTR;
		default:
			return 0;
	}
}

bool
disk_strikes(void)
{
	return struck != NULL;
}

int
disk_errno(void)
{
	return errno_of_fault;
}

/* A fault that lasts still does. */
static bool
lasts(DiskOp op)
{
	if (!struck || sim_proc() != struck)
		return false;
	return disk_fault == DISK_BROKEN ||
		   (disk_fault == DISK_FULL && disk_fits(op, DISK_FULL) &&
			sim_now() < struck_at + FULL_US);
}

/* Each call begins here: 0, or why it fails. */
static int
begin(DiskOp op)
{
	if (!sim_proc() || strcmp(sim_name(sim_proc()), "world") == 0)
		return 0;
	if (sim_chance(100))
		sim_yield();
	disk_calls++;
	if (disk_ops && disk_calls < DISK_CALLS_MAX)
		disk_ops[disk_calls] = (uint8_t) op;
	if (disk_calls != disk_fault_at)
		return lasts(op) ? number_of(disk_fault) : 0;
	sim_say("%s meets %s", disk_op_names[op], disk_fault_names[disk_fault]);
	struck = sim_proc();
	struck_at = sim_now();
	if (disk_fault == DISK_POWER)
		disk_cut();
	if (disk_fault == DISK_POWER || disk_fault == DISK_KILL)
		sim_kill(sim_proc());
	errno_of_fault = number_of(disk_fault);
	return errno_of_fault;
}

/* It is this call that does half of its work. */
static bool
is_short(void)
{
	return disk_fault == DISK_SHORT && disk_calls == disk_fault_at;
}

static int
fails(int errnum)
{
	errno = errnum;
	return -1;
}

/* ---- a power cut ---- */

static bool
survives(void)
{
	return sim_chance(500);
}

static void
cut_file(Node *n)
{
	if (n->dirty && survives())
		n->data.n = sim_random(n->data.n + 1);
	else
	{
		buf_reset(&n->data);
		buf_add(&n->data, n->safe.p, n->safe.n);
	}
	buf_reset(&n->safe);
	buf_add(&n->safe, n->data.p, n->data.n);
	n->dirty = false;
}

static void
cut_folder(Node *f)
{
	Names left = { NULL, 0 };

	f->dirty = false;
	for (int i = 0; i < f->safe_names.n; i++)
	{
		const Name *n = &f->safe_names.items[i];

		if (names_find(&f->names, n->name, strlen(n->name)) || survives())
			names_add(&left, n->name, n->node);
	}
	for (int i = 0; i < f->names.n; i++)
	{
		const Name *n = &f->names.items[i];

		if (!names_find(&f->safe_names, n->name, strlen(n->name)) && survives())
			names_add(&left, n->name, n->node);
	}
	f->names = left;
	f->safe_names = names_copy(&left);
	for (int i = 0; i < left.n; i++)
	{
		if (left.items[i].node->folder)
			cut_folder(left.items[i].node);
		else
			cut_file(left.items[i].node);
	}
}

void
disk_cut(void)
{
	COUNT(power_cuts);
	sim_note(0xc0);
	cut_folder(disk_root());
	for (LakeObject *o = lake_objects; o; o = o->next)
	{
		int errnum;
		char *path = xasprintf(DISK_ROOT "/%s", o->key);
		const Node *n = find(NULL, path, &errnum);
		bool was = o->removed == SIM_NEVER;

		free(path);
		if (was && (!n || n->data.n != o->n))
			oracle_lost(o);
		if (was && !n)
			o->removed = sim_now();
		if (!was && n && !lake_find(o->key))
		{
			COUNT(came_back);
			sim_say("%s comes back", o->key);
			o->removed = SIM_NEVER;
		}
	}
}

bool
disk_has_safe(const LakeObject *o)
{
	char *path = xasprintf(DISK_ROOT "/%s", o->key);
	const char *last;
	int errnum;
	Node *folder = walk(NULL, path, true, &last, &errnum);
	const Node *n =
		folder ? names_find(&folder->safe_names, last, strlen(last)) : NULL;
	bool safe = n && n->safe.n == o->n &&
				(o->n == 0 || memcmp(n->safe.p, o->bytes, o->n) == 0);

	if (!safe)
		sim_say("not safe: %s, %s",
				!folder ? "a folder above"
				: !n    ? "its name"
						: "its bytes",
				path);
	free(path);
	return safe;
}

/* ---- descriptors ---- */

static Fd *
fd_of(int fd)
{
	return fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX && fds[fd - FD_FIRST].node
			   ? &fds[fd - FD_FIRST]
			   : NULL;
}

bool
disk_fd(int fd)
{
	return fd_of(fd) != NULL;
}

static int
fd_new(Node *n)
{
	for (int i = 0; i < FDS_MAX; i++)
	{
		if (fds[i].node && (!fds[i].proc || sim_is_alive(fds[i].proc)))
			continue;
		fds[i] = (Fd){ n, sim_proc(), 0 };
		return FD_FIRST + i;
	}
	sim_fail("descriptors are not closed");
}

ssize_t
disk_read(int fd, void *buf, size_t n)
{
	Fd *d = fd_of(fd);
	int errnum = begin(DISK_READ);
	size_t left;

	if (errnum)
		return fails(errnum);
	left = d->at < d->node->data.n ? d->node->data.n - d->at : 0;
	if (n > left)
		n = left;
	if (is_short() && n > 1)
		n /= 2;
	if (n)
		memcpy(buf, d->node->data.p + d->at, n);
	d->at += n;
	return (ssize_t) n;
}

static ssize_t
write_at(Fd *d, const void *buf, size_t n, size_t at)
{
	int errnum = begin(DISK_WRITE);
	Buf *data = &d->node->data;

	if (errnum)
		return fails(errnum);
	if (is_short() && n > 1)
		n /= 2;
	while (data->n < at)
		buf_byte(data, 0);
	if (data->n == at)
		buf_add(data, buf, n);
	else if (at + n <= data->n)
		memcpy(data->p + at, buf, n);
	else
		sim_fail("a write that overlaps the end");
	d->node->dirty = true;
	return (ssize_t) n;
}

ssize_t
disk_write(int fd, const void *buf, size_t n)
{
	Fd *d = fd_of(fd);
	ssize_t done = write_at(d, buf, n, d->at);

	if (done > 0)
		d->at += (size_t) done;
	return done;
}

/* ---- in the place of the system's ---- */

int __real_open(const char *path, int flags, ...);
int __real_openat(int at, const char *path, int flags, ...);
int __real_close(int fd);
int __real_fsync(int fd);
ssize_t __real_pwrite(int fd, const void *buf, size_t n, off_t at);
int __real_fstat(int fd, struct stat *st);
int __real_stat(const char *path, struct stat *st);
int __real_fstatat(int fd, const char *path, struct stat *st, int flags);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_unlinkat(int fd, const char *path, int flags);
int __real_mkdir(const char *path, mode_t mode);
DIR *__real_opendir(const char *path);
DIR *__real_fdopendir(int fd);
struct dirent *__real_readdir(DIR *dir);
int __real_closedir(DIR *dir);
int __real_dirfd(DIR *dir);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_fsync(int fd);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t at);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_fstatat(int fd, const char *path, struct stat *st, int flags);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int fd, const char *path, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_dirfd(DIR *dir);

static int
open_node(Node *from, const char *path, int flags)
{
	const char *last;
	int errnum = begin(flags & O_CREAT ? DISK_CREATE : DISK_OPEN);
	Node *n;
	Node *folder;

	if (errnum)
		return fails(errnum);
	n = find(from, path, &errnum);
	if (n && (flags & O_EXCL))
		return fails(EEXIST);
	if (n && !n->folder && (flags & O_DIRECTORY))
		return fails(ENOTDIR);
	if (!n && (errnum != ENOENT || !(flags & O_CREAT)))
		return fails(errnum);
	if (!n)
	{
		folder = walk(from, path, false, &last, &errnum);
		if (!folder)
			return fails(errnum);
		n = node_new(false);
		names_add(&folder->names, last, n);
		folder->dirty = true;
	}
	return fd_new(n);
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	if (is_ours(path))
		return open_node(NULL, path, flags);
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_open(path, flags, mode);
}

int
__wrap_openat(int at, const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	if (is_ours(path) || fd_of(at))
		return open_node(fd_of(at) ? fd_of(at)->node : NULL, path, flags);
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_openat(at, path, flags, mode);
}

/* A close that fails has closed all the same. */
int
__wrap_close(int fd)
{
	int errnum;

	if (!fd_of(fd))
		return __real_close(fd);
	errnum = begin(DISK_CLOSE);
	fds[fd - FD_FIRST].node = NULL;
	return errnum ? fails(errnum) : 0;
}

int
__wrap_fsync(int fd)
{
	int errnum;
	Node *n;

	if (!fd_of(fd))
		return __real_fsync(fd);
	n = fd_of(fd)->node;
	errnum = begin(n->folder ? DISK_SYNC_FOLDER : DISK_SYNC);
	if (!errnum && n->dirty && n->folder)
		n->safe_names = names_copy(&n->names);
	else if (!errnum && n->dirty)
	{
		buf_reset(&n->safe);
		buf_add(&n->safe, n->data.p, n->data.n);
	}
	n->dirty = false;
	return errnum ? fails(errnum) : 0;
}

ssize_t
__wrap_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	if (!fd_of(fd))
		return __real_pwrite(fd, buf, n, at);
	return write_at(fd_of(fd), buf, n, (size_t) at);
}

static int
stat_node(const Node *n, int errnum, struct stat *st)
{
	if (errnum)
		return fails(errnum);
	memset(st, 0, sizeof(*st));
	st->st_dev = 1;
	st->st_ino = n->ino;
	st->st_mode = n->folder ? S_IFDIR | 0755 : S_IFREG | 0644;
	st->st_size = (off_t) n->data.n;
	st->st_mtime = n->mtime;
	return 0;
}

int
__wrap_fstat(int fd, struct stat *st)
{
	if (!fd_of(fd))
		return __real_fstat(fd, st);
	return stat_node(fd_of(fd)->node, begin(DISK_STAT), st);
}

static int
stat_path(Node *from, const char *path, struct stat *st)
{
	int errnum = begin(DISK_STAT);
	Node *n = NULL;

	if (!errnum)
		n = find(from, path, &errnum);
	return stat_node(n, errnum, st);
}

int
__wrap_stat(const char *path, struct stat *st)
{
	return is_ours(path) ? stat_path(NULL, path, st) : __real_stat(path, st);
}

int
__wrap_fstatat(int fd, const char *path, struct stat *st, int flags)
{
	if (!fd_of(fd))
		return __real_fstatat(fd, path, st, flags);
	return stat_path(fd_of(fd)->node, path, st);
}

/* Readers may see the file from now on. */
int
__wrap_link(const char *from, const char *to)
{
	const char *last;
	int errnum;
	Node *n;
	Node *folder;

	if (!is_ours(from))
		return __real_link(from, to);
	errnum = begin(DISK_LINK);
	if (errnum)
		return fails(errnum);
	n = find(NULL, from, &errnum);
	folder = n ? walk(NULL, to, false, &last, &errnum) : NULL;
	if (!folder)
		return fails(errnum);
	if (names_find(&folder->names, last, strlen(last)))
		return fails(EEXIST);
	names_add(&folder->names, last, n);
	folder->dirty = true;
	if (key_of(to))
		lake_link(key_of(to), (Slice){ n->data.p, n->data.n });
	return 0;
}

static int
unlink_name(Node *from, const char *path)
{
	const char *last;
	int errnum = begin(DISK_UNLINK);
	Node *folder;

	if (errnum)
		return fails(errnum);
	folder = walk(from, path, false, &last, &errnum);
	if (!folder)
		return fails(errnum);
	if (!names_find(&folder->names, last, strlen(last)))
		return fails(ENOENT);
	names_remove(&folder->names, last);
	folder->dirty = true;
	if (!from && key_of(path))
		lake_remove(lake_find(key_of(path)));
	return 0;
}

int
__wrap_unlink(const char *path)
{
	return is_ours(path) ? unlink_name(NULL, path) : __real_unlink(path);
}

int
__wrap_unlinkat(int fd, const char *path, int flags)
{
	if (!fd_of(fd))
		return __real_unlinkat(fd, path, flags);
	return unlink_name(fd_of(fd)->node, path);
}

int
__wrap_mkdir(const char *path, mode_t mode)
{
	const char *last;
	int errnum;
	Node *folder;

	if (!is_ours(path))
		return __real_mkdir(path, mode);
	errnum = begin(DISK_MKDIR);
	if (errnum)
		return fails(errnum);
	folder = walk(NULL, path, false, &last, &errnum);
	if (!folder)
		return fails(errnum);
	if (names_find(&folder->names, last, strlen(last)))
		return fails(EEXIST);
	names_add(&folder->names, last, node_new(true));
	folder->dirty = true;
	return 0;
}

/* ---- folders that are read ---- */

static Folder *all_folders[FDS_MAX];
static int nfolders;

static Folder *
folder_of(DIR *dir)
{
	for (int i = 0; i < nfolders; i++)
	{
		if ((void *) all_folders[i] == (void *) dir)
			return all_folders[i];
	}
	return NULL;
}

DIR *
__wrap_fdopendir(int fd)
{
	int errnum;
	Folder *f;

	if (!fd_of(fd))
		return __real_fdopendir(fd);
	errnum = begin(DISK_LIST);
	if (errnum)
	{
		errno = errnum;
		return NULL;
	}
	f = xcalloc(1, sizeof(*f));
	f->fd = fd;
	f->names = names_copy(&fd_of(fd)->node->names);
	if (nfolders == FDS_MAX)
		sim_fail("folders are not closed");
	all_folders[nfolders++] = f;
	return (DIR *) (void *) f;
}

DIR *
__wrap_opendir(const char *path)
{
	int fd;

	if (!is_ours(path))
		return __real_opendir(path);
	fd = open_node(NULL, path, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? NULL : __wrap_fdopendir(fd);
}

struct dirent *
__wrap_readdir(DIR *dir)
{
	Folder *f = folder_of(dir);
	int errnum;

	if (!f)
		return __real_readdir(dir);
	errnum = begin(DISK_LIST);
	if (errnum)
		errno = errnum;
	if (errnum || f->at == f->names.n)
		return NULL;
	(void) snprintf(f->entry.d_name, sizeof(f->entry.d_name), "%s",
					f->names.items[f->at++].name);
	return &f->entry;
}

int
__wrap_closedir(DIR *dir)
{
	Folder *f = folder_of(dir);

	if (!f)
		return __real_closedir(dir);
	for (int i = 0; i < nfolders; i++)
	{
		if (all_folders[i] == f)
			all_folders[i--] = all_folders[--nfolders];
	}
	return __wrap_close(f->fd);
}

int
__wrap_dirfd(DIR *dir)
{
	Folder *f = folder_of(dir);

	return f ? f->fd : __real_dirfd(dir);
}
