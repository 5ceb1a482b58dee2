/*-------------------------------------------------------------------------
 * ini.h
 *	  The configuration file's form: [section], key = value, and comments.
 *
 * A comment is a line that begins with '#' or ';'; there are none behind a
 * value, since a password may hold such bytes.  A value is the rest of its
 * line without blanks at both ends, and may stand in double quotes to keep
 * them.  Lines may be of any length up to the file's limit of 1 MB.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef INI_H
#define INI_H

#include "base/buf.h"
#include "base/err.h"

#define INI_MAX_BYTES (1024 * 1024)

/* name is "section.key"; both strings are borrowed during the call. */
typedef bool (*IniFn)(const char *name, const char *value, int line, void *arg,
					  Err *err);

/* Calls fn for each setting, in order.  ERR_USAGE names path and line. */
bool ini_parse_text(const char *path, Slice text, IniFn fn, void *arg,
					Err *err) MUST_CHECK;
bool ini_parse_file(const char *path, IniFn fn, void *arg, Err *err) MUST_CHECK;

#endif
