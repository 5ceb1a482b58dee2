/*-------------------------------------------------------------------------
 * merge_name.c
 *	  Names for what the source no longer has and the target keeps.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_name.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

#define IDENT_MAX 63 /* bytes; NAMEDATALEN less the zero */
#define SUFFIX_LEN (sizeof("_dropped_") - 1 + 16)

char *
name_dropped(const char *name, Lsn lsn)
{
	size_t n = strlen(name);

	if (n > IDENT_MAX - SUFFIX_LEN)
	{
		n = IDENT_MAX - SUFFIX_LEN;
		while (n > 0 && ((unsigned char) name[n] & 0xC0) == 0x80)
			n--; /* the middle of a letter */
	}
	return xasprintf("%.*s_dropped_%016" PRIX64, (int) n, name, (uint64_t) lsn);
}
