/*-------------------------------------------------------------------------
 * creds_set.c
 *	  One set of credentials.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/creds_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/hash.h"

static void
wipe_str(char **s)
{
	if (*s)
		wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void
creds_done(Creds *c)
{
	wipe_str(&c->access_key_id);
	wipe_str(&c->secret);
	wipe_str(&c->session_token);
	*c = (Creds){ 0 };
}

void
creds_copy(const Creds *from, Creds *to)
{
	*to = *from;
	to->access_key_id = xstrdup(from->access_key_id);
	to->secret = xstrdup(from->secret);
	if (from->session_token)
		to->session_token = xstrdup(from->session_token);
}
