/*-------------------------------------------------------------------------
 * creds.h
 *	  Credentials for S3, from where the AWS tools look, in their order.
 *
 *		1. environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
 *		   (or the file of store.secret_key_file)
 *		2. web identity by environment: AWS_WEB_IDENTITY_TOKEN_FILE
 *		3. profile (AWS_PROFILE) in the shared files: web identity, keys,
 *		   credential_process
 *		4. container endpoint: AWS_CONTAINER_CREDENTIALS_*_URI
 *		5. the machine's role (IMDSv2), unless AWS_EC2_METADATA_DISABLED
 *
 * One set for the process, shared by all stores, and one for each profile that
 * a store names: then from 3. alone.  Those that end are
 * fetched again five minutes before, by one thread, while the others go on
 * with what they have.  The only file that reads environment variables of
 * the store.
 *
 * Threads: any.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef CREDS_H
#define CREDS_H

#include <stdbool.h>

#include "base/err.h"
#include "store/creds_set.h"

/* ERR_AUTH: there are none; ERR_NET, ERR_BUSY: their source did not answer. */
bool creds_get(const CredsOptions *options, Creds *out, Err *err) MUST_CHECK;

/*
 * True where no source could have any: so much is known without a request.
 * err says where was looked.
 */
bool creds_are_missing(const char *profile, Err *err);

/*
 * The server called these expired: forget them, unless others have taken
 * their place already.  False where they came from a source that would only
 * give the same again.
 */
bool creds_refused(const char *access_key_id);

/* Forgets all; the next creds_get() reads environment and files again. */
void creds_reset(void);

/*
 * The secret key comes from this file, not from AWS_SECRET_ACCESS_KEY; whose
 * it is AWS_ACCESS_KEY_ID says.  Borrowed; NULL: there is none.  To be set
 * before the first thread begins.
 */
void creds_set_secret_file(const char *path);

/*
 * The URL that this variable, or AWS_ENDPOINT_URL, has for a service of AWS;
 * "" where neither is set.  Freed by the caller.
 */
char *aws_service_endpoint(const char *variable);

/* What environment and profile say besides; "" where nothing. */
typedef struct AwsSettings
{
	char *region;
	char *endpoint;
	char *ca_file;
} AwsSettings;

void aws_settings_read(AwsSettings *out);

/* Of a profile that a store names, where it says any; "" or NULL: none. */
void aws_settings_read_of(const char *profile, AwsSettings *out);
void aws_settings_done(AwsSettings *s);

#endif
