/*-------------------------------------------------------------------------
 * profile.h
 *	  Reads the shared files of the AWS tools (~/.aws/credentials, config).
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Appends the value of "name" in the section of that profile to out.  False
 * where the file's text has none.  in_config: sections are named
 * "[profile x]", but for "[default]".
 */
bool profile_value(const char *text, const char *profile, bool in_config,
				   const char *name, Buf *out);

/* True where the text has a section of that profile. */
bool profile_exists(const char *text, const char *profile, bool in_config);

#endif
