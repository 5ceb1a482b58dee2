/*-------------------------------------------------------------------------
 * noisy.c
 *	  For a server that is tested: an output function of text that warns of
 *	  what begins with "bad", and takes as many seconds as "slow 8" says.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(noisy_out);

Datum
noisy_out(PG_FUNCTION_ARGS)
{
	char *s = TextDatumGetCString(PG_GETARG_DATUM(0));

	if (strncmp(s, "bad", 3) == 0)
		ereport(WARNING, (errmsg("noisy_out does not like a value of %zu bytes",
								 strlen(s))));
	if (strncmp(s, "slow ", 5) == 0)
		pg_usleep(atol(s + 5) * 1000000L);
	PG_RETURN_CSTRING(s);
}
