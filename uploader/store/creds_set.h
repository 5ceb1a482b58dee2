/*-------------------------------------------------------------------------
 * creds_set.h
 *	  One set of credentials, and what their sources need to know.
 *
 * Ownership: Creds owns its strings; creds_done() wipes them.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef CREDS_SET_H
#define CREDS_SET_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct Creds
{
	char *access_key_id;
	char *secret;
	char *session_token; /* NULL where there is none */
	int64_t expires_us;  /* unix; 0: never */
	const char *source;  /* "environment", "profile", …; static */
} Creds;

/* For the sources that ask a server; strings are borrowed for the call. */
typedef struct CredsOptions
{
	const char *region; /* of STS */
	const char *ca_file;
	const char *proxy;
	const atomic_bool *stop;
	const char *profile; /* "" or NULL: the environment's */
} CredsOptions;

void creds_done(Creds *c);
void creds_copy(const Creds *from, Creds *to);

#endif
