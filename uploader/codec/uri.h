/*-------------------------------------------------------------------------
 * uri.h
 *	  Percent-encoding by the one rule that SigV4 knows.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef URI_H
#define URI_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Appends s with all bytes but A-Z a-z 0-9 - . _ ~ as %XX (upper case).
 * With keep_slash '/' stays too: for a path.  Nothing is normalized.
 */
void uri_add_encoded(Buf *out, Slice s, bool keep_slash);

/* Appends s with each %XX as its byte; false at a '%' without two digits. */
bool uri_add_decoded(Buf *out, Slice s);

#endif
