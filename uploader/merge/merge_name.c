/*-------------------------------------------------------------------------
 * merge_name.c
 *	  Names for what the source no longer has and the target keeps.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define IDENT_MAX 63 /* bytes; NAMEDATALEN less the zero */
#define SUFFIX_SIZE (sizeof("_dropped_") + 16)

char *
name_with(const char *name, const char *suffix)
{
	size_t n = strlen(name);
	size_t max = IDENT_MAX - strlen(suffix);

	if (n > max)
	{
		n = max;
		while (n > 0 && ((unsigned char) name[n] & 0xC0) == 0x80)
			n--; /* the middle of a letter */
	}
	return xasprintf("%.*s%s", (int) n, name, suffix);
}

char *
name_dropped(const char *name, Lsn lsn)
{
	char suffix[SUFFIX_SIZE];

	(void) snprintf(suffix, sizeof(suffix), "_dropped_%016" PRIX64,
					(uint64_t) lsn); /* fits */
	return name_with(name, suffix);
}
