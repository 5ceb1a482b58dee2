/*-------------------------------------------------------------------------
 * merge_name.h
 *	  Names for what the source no longer has and the target keeps.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_NAME_H
#define MERGE_NAME_H

#include "base/lsn.h"

/*
 * "<name>_dropped_<LSN>", with so much of the name as an identifier has room
 * for and no letter cut in two; the caller frees.
 */
char *name_dropped(const char *name, Lsn lsn);

/* The name with that behind it, cut where a name may not be so long. */
char *name_with(const char *name, const char *suffix);

#endif
