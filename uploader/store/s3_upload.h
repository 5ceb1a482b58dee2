/*-------------------------------------------------------------------------
 * s3_upload.h
 *	  Large objects of the S3 store, in parts: members of StoreOps.
 *
 * Private to the S3 store.  Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef S3_UPLOAD_H
#define S3_UPLOAD_H

#include "store/store.h"

bool s3_upload_begin(Store *store, const char *key, char **out_id, Err *err);
bool s3_upload_part(Store *store, const char *key, const char *id, int n,
					Slice body, StorePart *part, Err *err);
bool s3_upload_finish(Store *store, const char *key, const char *id,
					  const StorePart *parts, int nparts, Err *err);
bool s3_upload_abandon(Store *store, const char *key, const char *id, Err *err);
bool s3_upload_count(Store *store, const char *key, const char *id, int *out_n,
					 Err *err);
bool s3_upload_list(Store *store, const char *prefix, Buf *cursor,
					StoreUploadFn fn, void *arg, Err *err);

#endif
