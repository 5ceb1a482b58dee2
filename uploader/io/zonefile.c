/*-------------------------------------------------------------------------
 * zonefile.c
 *	  A time zone by its name, from the machine's time zone database.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/zonefile.h"

#include <string.h>

#include "io/fs.h"

#define FOLDER "/usr/share/zoneinfo/"
#define FILE_MAX ((size_t) 256 << 10)
#define NAME_MAX_LEN 100

/* Names such as "America/Argentina/Ushuaia": nothing that leaves the folder. */
static bool
is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= NAME_MAX_LEN &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
						"0123456789_+-/") == n &&
		   name[0] != '/' && name[n - 1] != '/' && !strstr(name, "//");
}

bool
zone_open(const char *name, Zone **out, Err *err)
{
	char path[sizeof(FOLDER) + NAME_MAX_LEN] = FOLDER;
	Zone *z = zone_fixed(name);
	Buf file;
	bool ok;

	if (z)
	{
		*out = z;
		return true;
	}
	if (!is_name(name))
	{
		(void) err_set(err, ERR_USAGE, 0, "\"%.64s\" is not a time zone", name);
		return err_hint(err,
						"say UTC, an offset such as +05:30, or a name such "
						"as Europe/Berlin");
	}
	memcpy(path + sizeof(FOLDER) - 1, name, strlen(name) + 1);
	buf_init(&file, FILE_MAX);
	ok = fs_read(path, &file, err) && zone_parse(buf_slice(&file), out, err);
	buf_done(&file);
	if (!ok)
	{
		err->kind = ERR_USAGE;
		err_prefix(err, "time zone \"%s\" is not known here", name);
		return err_hint(err, "say UTC, an offset such as +05:30, or a name of "
							 "the time zone database (package tzdata)");
	}
	return true;
}
