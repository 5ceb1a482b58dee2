/*-------------------------------------------------------------------------
 * zone.h
 *	  Time zones: how far local time is from UTC at an instant.
 *
 * A zone is "UTC", a fixed offset ("+05:30", "-08"; east of Greenwich is
 * positive, as in ISO 8601), or the bytes of a file of the time zone database
 * (TZif, RFC 9636, version 2 and later).  Its rule for the time behind its last
 * transition is followed until ZONE_LAST_YEAR.
 * io/zonefile.h finds the file.
 *
 * Threads: a zone is immutable and shared.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ZONE_H
#define ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define ZONE_LAST_YEAR 2200
#define ZONE_OFFSET_MAX (INT64_C(26) * 3600) /* seconds, as RFC 9636 has it */

typedef struct Zone Zone;

/* "UTC" or a fixed offset; NULL where the name is neither. */
Zone *zone_fixed(const char *name);

/* ERR_DATA: the bytes are no TZif file. */
bool zone_parse(Slice file, Zone **out, Err *err) MUST_CHECK;
void zone_free(Zone *z);

/*
 * The offset at an instant (unix seconds), in seconds east of UTC.  *out_until,
 * if not NULL, is the first instant behind it with another offset, INT64_MAX if
 * there is none.
 */
int32_t zone_offset(const Zone *z, int64_t unix_s, int64_t *out_until);

#endif
