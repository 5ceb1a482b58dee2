/*-------------------------------------------------------------------------
 * check_file.c
 *	  "check" of the configuration file: who else may read its secrets.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <sys/stat.h>

#include "cmd/check.h"
#include "cmd/ini.h"
#include "io/pgconn.h"

static bool
see_secret(const char *name, const char *value, int line, void *arg, Err *err)
{
	bool *found = arg;
	const char *dot = strrchr(name, '.');

	(void) line, (void) err;
	*found |=
		dot && strcmp(dot, ".conninfo") == 0 && pg_conninfo_has_password(value);
	*found |= strcmp(name, "log.key") == 0 && value[0];
	return true;
}

void
check_file(Check *c)
{
	static const Finding readable = {
		.level = CHECK_WARNING,
		.kind = ERR_USAGE,
		.name = "configuration file",
		.why = "every user of this machine can read the secrets in it",
		.mend = "chmod o-rwx the file, and let it belong to the user that "
				"runs cdc-s3",
	};
	const char *path = c->cfg->file;
	bool secret = false;
	struct stat st;
	Err err;

	if (!path || !path[0] || stat(path, &st) != 0 ||
		(st.st_mode & (S_IROTH | S_IWOTH)) == 0)
		return;
	if (ini_parse_file(path, see_secret, &secret, &err) && secret)
		check_report(c, &readable, "\"%s\" has mode %03o and holds a secret",
					 path, (unsigned) (st.st_mode & 0777));
}
