/*-------------------------------------------------------------------------
 * secret.h
 *	  Passwords that AWS Secrets Manager keeps.
 *
 * It is asked each time, so that what was rotated is picked up by the next
 * connection.  A value is never repeated in a message.
 * Errors: ERR_AUTH; ERR_NET and ERR_BUSY where asking again may work.
 * Threads: any.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef SECRET_H
#define SECRET_H

#include "base/err.h"
#include "io/pgconn.h"
#include "store/creds_set.h"

/*
 * What a secret's text means: an object as DMS has it (username, password,
 * host, port), or the password alone.
 */
bool secret_parse(const char *setting, const char *text, PgLogin *out,
				  Err *err) MUST_CHECK;

/*
 * The current version of the secret that arn names.  Its region is the ARN's;
 * a mere name is looked up in options->region.
 */
bool secret_fetch(const CredsOptions *options, const char *setting,
				  const char *arn, PgLogin *out, Err *err) MUST_CHECK;

#endif
