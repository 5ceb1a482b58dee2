/*-------------------------------------------------------------------------
 * creds_remote.h
 *	  Credentials that somebody else has to be asked for: a program, STS, a
 *	  container's agent, the machine.
 *
 * Errors: ERR_NET and ERR_BUSY where asking again may work, else ERR_AUTH.
 * Answers are never repeated in messages, but for STS's code and message.
 * Threads: any; each call has its own connection.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef CREDS_REMOTE_H
#define CREDS_REMOTE_H

#include <stdbool.h>

#include "base/err.h"
#include "store/creds_set.h"

/* Runs the command with the shell and reads its JSON; one minute at most. */
bool creds_from_process(const CredsOptions *options, const char *command,
						Creds *out, Err *err) MUST_CHECK;

typedef struct WebIdentity
{
	const char *sts_endpoint; /* "" = AWS of the region */
	const char *role_arn;
	const char *token_file;   /* read each time: it is renewed */
	const char *session_name; /* "" = one of ours */
} WebIdentity;

bool creds_from_web_identity(const CredsOptions *options,
							 const WebIdentity *identity, Creds *out,
							 Err *err) MUST_CHECK;

/*
 * Plain HTTP only to this machine and to the addresses of the agents: a
 * token goes there.
 */
bool creds_from_container(const CredsOptions *options, const char *url,
						  const char *token_file, const char *token, Creds *out,
						  Err *err) MUST_CHECK;

/* *out_absent: there is no such service here, or no role; not an error. */
bool creds_from_machine(const CredsOptions *options, const char *endpoint,
						Creds *out, bool *out_absent, Err *err) MUST_CHECK;

#endif
