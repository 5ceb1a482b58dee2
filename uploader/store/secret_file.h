/*-------------------------------------------------------------------------
 * secret_file.h
 *	  A file that holds nothing but a password or a key.
 *
 * It is read each time, so that what was rotated is picked up.  The value is
 * never repeated in a message, nor is the path: it may be the value, by a slip.
 * Threads: any.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef SECRET_FILE_H
#define SECRET_FILE_H

#include "base/err.h"

/*
 * The file's text, less one line end at the end; ERR_AUTH, where setting is
 * named.  The caller wipes and frees it.
 */
bool secret_read_file(const char *setting, const char *path, char **out,
					  Err *err) MUST_CHECK;

#endif
