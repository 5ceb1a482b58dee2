/*-------------------------------------------------------------------------
 * zonefile.h
 *	  A time zone by its name, from the machine's time zone database.
 *
 * Threads: any.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef ZONEFILE_H
#define ZONEFILE_H

#include "codec/zone.h"

/*
 * "UTC", "+05:30" or "Europe/Berlin"; the caller frees it.  ERR_USAGE: there
 * is none of that name, or no database.
 */
bool zone_open(const char *name, Zone **out, Err *err) MUST_CHECK;

#endif
