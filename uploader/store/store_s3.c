/*-------------------------------------------------------------------------
 * store_s3.c
 *	  A store in a bucket: s3://bucket/prefix, of AWS or any server alike.
 *
 * s3_url.c knows where the bucket is, s3_call.c sends one signed request,
 * s3_error.c knows what a refusal means, s3_upload.c writes in parts.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "codec/xml.h"
#include "store/creds.h"
#include "store/s3_call.h"
#include "store/s3_upload.h"

static const char *
set_or_null(const char *s)
{
	return s && *s ? s : NULL;
}

/* ---- the operations ---- */

/*
 * S3 names the ETag of what it stored.  An answer without one may come from
 * something on the way that never passed the object on.
 */
static bool
check_stored(S3Store *s, const char *key, const char *full, Slice body,
			 Err *err)
{
	char etag[256];
	int64_t bytes = -1;

	if (http_header(&s->response, "etag", etag, sizeof(etag)))
		return true;
	if (!store_head(&s->base, key, &bytes, err) && err->kind != ERR_NOT_FOUND)
		return false;
	return bytes == (int64_t) body.n ||
		   err_set(err, ERR_BUSY, 0,
				   "could not write object \"%s\" in bucket \"%s\": the "
				   "server said yes, but the object is not there",
				   full, s->place.bucket);
}

static bool
s3_put(Store *store, const char *key, Slice body, bool only_if_absent, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "PUT", "write", "s3:PutObject", key, full);
	S3Refusal refusal;
	SigV4Header h[S3_HEADERS_MAX];
	char hash[SHA256_HEX_SIZE];
	char crc[CRC32C_BASE64_SIZE];
	int n = 0;
	bool ok;

	sha256_hex(body.p, body.n, hash);
	s3_add_header(h, &n, "content-type", "application/octet-stream");
	if (s->checksum)
	{
		crc32c_base64(crc32c(0, body.p, body.n), crc);
		s3_add_header(h, &n, "x-amz-checksum-crc32c", crc);
	}
	if (only_if_absent)
		s3_add_header(h, &n, "if-none-match", "*");
	for (int i = 0; i < s->nput_headers; i++)
		s3_add_header(h, &n, s->put_headers[i].name, s->put_headers[i].value);
	r.headers = h;
	r.nheaders = n;
	r.body = body;
	r.body_hash = hash;
	ok = s3_call(s, &r, &refusal, err) && check_stored(s, key, full, body, err);
	free(full);
	return ok;
}

/* What the server knows of the object's checksum must agree with it. */
static bool
check_crc(const S3Store *s, Slice body, Err *err)
{
	char theirs[64];
	char ours[CRC32C_BASE64_SIZE];

	if (!http_header(&s->response, "x-amz-checksum-crc32c", theirs,
					 sizeof(theirs)) ||
		strlen(theirs) != CRC32C_BASE64_SIZE - 1)
		return true; /* none, or one of parts */
	crc32c_base64(crc32c(0, body.p, body.n), ours);
	if (strcmp(theirs, ours) == 0)
		return true;
	return err_set(err, ERR_NET, 0,
				   "the bytes received do not have the checksum %s that the "
				   "server names",
				   theirs);
}

static bool
s3_get(Store *store, const char *key, Buf *out, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "GET", "read", "s3:GetObject", key, full);
	SigV4Header h = { "x-amz-checksum-mode", "ENABLED" };
	S3Refusal refusal;
	size_t start = out->n;
	bool ok;

	r.headers = &h;
	r.nheaders = s->checksum ? 1 : 0;
	r.out = out;
	ok = s3_call(s, &r, &refusal, err);
	if (ok && !check_crc(s, (Slice){ out->p + start, out->n - start }, err))
	{
		ok = s3_prefix_error(s, &r.asked, err);
		out->n = start;
	}
	free(full);
	return ok;
}

/*
 * A refused HEAD has no body to say why: 404 can be a missing object, bucket
 * or user.  A GET of one byte has, and where it works it knows the size.
 */
static bool
head_by_get(S3Store *s, const char *key, const char *full, int64_t *out_bytes,
			Err *err)
{
	S3Request r =
		s3_object_request(s, "GET", "read", "s3:GetObject", key, full);
	SigV4Header h = { "range", "bytes=0-0" };
	S3Refusal refusal;
	char range[64];
	const char *slash;
	Buf ignored;
	bool ok;

	buf_init(&ignored, HTTP_ERROR_BODY_MAX);
	r.headers = &h;
	r.nheaders = 1;
	r.out = &ignored;
	ok = s3_call(s, &r, &refusal, err);
	if (!ok && refusal.status == 416) /* it is empty */
	{
		*out_bytes = 0;
		ok = true;
	}
	else if (ok)
	{
		ok = http_header(&s->response, "content-range", range, sizeof(range)) &&
			 (slash = strchr(range, '/')) != NULL &&
			 sscanf(slash + 1, "%" SCNd64, out_bytes) == 1;
		if (!ok) /* HEAD said no, and this is no answer to what was asked */
			err_set(err, ERR_BUSY, s->response.status,
					"could not read the size of object \"%s\" in bucket "
					"\"%s\"",
					full, s->place.bucket);
	}
	buf_done(&ignored);
	return ok;
}

static bool
s3_head(Store *store, const char *key, int64_t *out_bytes, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "HEAD", "read", "s3:GetObject", key, full);
	S3Refusal refusal;
	char length[32];
	bool ok = s3_call(s, &r, &refusal, err);

	if (ok &&
		(!http_header(&s->response, "content-length", length, sizeof(length)) ||
		 sscanf(length, "%" SCNd64, out_bytes) != 1))
		ok = head_by_get(s, key, full, out_bytes, err);
	else if (!ok && refusal.status >= 300 && refusal.status < 500)
		ok = head_by_get(s, key, full, out_bytes, err);
	free(full);
	return ok;
}

static bool
s3_del(Store *store, const char *key, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "DELETE", "delete", "s3:DeleteObject", key, full);
	S3Refusal refusal;
	bool ok = s3_call(s, &r, &refusal, err) || err->kind == ERR_NOT_FOUND;

	free(full);
	return ok;
}

/* ---- listing ---- */

/*
 * Goes through the <Contents> of a page; fn NULL only checks that they can
 * be read.  *out_ended: fn ended the listing.
 */
static bool
read_items(const S3Store *s, Slice doc, StoreListFn fn, void *arg,
		   bool *out_ended)
{
	size_t skip = strlen(s->place.prefix);
	Slice contents, raw;
	Buf key;
	bool ok = true;

	buf_init(&key, S3_PATH_MAX);
	if (skip)
		skip++; /* its '/' */
	*out_ended = false;
	while (ok && !*out_ended && xml_next(&doc, "Contents", &contents))
	{
		StoreItem item = { NULL, -1 };
		int64_t bytes;

		buf_reset(&key);
		ok = xml_find(contents, "Key", &raw) && xml_add_text(&key, raw) &&
			 xml_find(contents, "Size", &raw) && raw.n < 20;
		if (!ok || fn == NULL)
			continue;
		/* Not ours, or nothing but the prefix: some make folders of it. */
		if (key.n <= skip || key.overflow ||
			strncmp(buf_cstr(&key), s->place.prefix, skip ? skip - 1 : 0) != 0)
			continue;
		item.key = buf_cstr(&key) + skip;
		if (sscanf((const char *) raw.p, "%" SCNd64, &bytes) == 1)
			item.bytes = bytes;
		*out_ended = !fn(&item, arg);
	}
	buf_done(&key);
	return ok;
}

/* Reads "more to come" and where it goes on. */
static bool
read_cursor(Slice doc, Buf *next)
{
	Slice raw;

	if (!xml_find(doc, "IsTruncated", &raw))
		return true;
	if (raw.n != 4 || memcmp(raw.p, "true", 4) != 0)
		return true;
	return xml_find(doc, "NextContinuationToken", &raw) &&
		   xml_add_text(next, raw) && next->n > 0 && !next->overflow;
}

static bool
read_page(const S3Store *s, Slice doc, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	bool ended;
	bool ok = true;
	Buf next;

	buf_init(&next, cursor->max);
	if (!xml_has_root(doc, "ListBucketResult") || !read_cursor(doc, &next) ||
		!read_items(s, doc, NULL, NULL, &ended))
		ok = err_set(err, ERR_BUSY, s->response.status,
					 "could not list bucket \"%s\": the answer is not a "
					 "whole listing",
					 s->place.bucket);
	else if (next.n > 0 && strcmp(buf_cstr(&next), buf_cstr(cursor)) == 0)
		ok = err_set(err, ERR_STORE, s->response.status,
					 "could not list bucket \"%s\": the server repeats one "
					 "page for ever",
					 s->place.bucket);
	else
	{
		(void) read_items(s, doc, fn, arg, &ended); /* was checked above */
		buf_reset(cursor);
		if (!ended)
			buf_add(cursor, next.p, next.n);
	}
	buf_done(&next);
	return ok;
}

/* after: NULL, or a key; the first page alone is asked for by it. */
static bool
s3_list_after(Store *store, const char *prefix, const char *after, Buf *cursor,
			  StoreListFn fn, void *arg, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, prefix);
	char *full_after = after ? s3_full_key(s, after) : NULL;
	SigV4Param params[] = { { "list-type", "2" },
							{ "prefix", full },
							{ "continuation-token", buf_cstr(cursor) } };
	S3Request r = { .method = "GET",
					.asked = { "list", "s3:ListBucket", s->place.bucket, NULL },
					.params = params,
					.nparams = cursor->n > 0 || after ? 3 : 2,
					.body_hash = SIGV4_EMPTY_HASH };
	S3Refusal refusal;
	Buf page;
	bool ok;

	if (cursor->n == 0 && after)
		params[2] = (SigV4Param){ "start-after", full_after };
	buf_init(&page, S3_PAGE_MAX);
	r.out = &page;
	ok = s3_call(s, &r, &refusal, err) &&
		 read_page(s, buf_slice(&page), cursor, fn, arg, err);
	buf_done(&page);
	free(full_after);
	free(full);
	return ok;
}

static bool
s3_list(Store *store, const char *prefix, Buf *cursor, StoreListFn fn,
		void *arg, Err *err)
{
	return s3_list_after(store, prefix, NULL, cursor, fn, arg, err);
}

static bool
s3_rules(Store *store, Buf *out, Err *err)
{
	S3Store *s = (S3Store *) store;
	SigV4Param params[] = { { "lifecycle", "" } };
	S3Request r = { .method = "GET",
					.asked = { "read the lifecycle rules of",
							   "s3:GetLifecycleConfiguration", s->place.bucket,
							   NULL },
					.params = params,
					.nparams = 1,
					.body_hash = SIGV4_EMPTY_HASH,
					.out = out };
	S3Refusal refusal = { 0 };

	if (s3_call(s, &r, &refusal, err))
		return true;
	if (refusal.status == 404 &&
		strcmp(refusal.code, "NoSuchLifecycleConfiguration") == 0)
		return true;
	if (refusal.status != 0)
		err->code = refusal.status;
	return false;
}

static bool
s3_about(Store *store, StoreAbout *out)
{
	S3Store *s = (S3Store *) store;
	CredsOptions options = { s->place.region, s->ca_file, s->proxy, s->stop,
							 s->profile };
	Creds creds = { 0 };
	Err err;

	if (!creds_get(&options, &creds, &err))
		return false;
	*out = (StoreAbout){ .credentials = creds.source,
						 .expires_us = creds.expires_us };
	out->has_clock = s3_clock_skew(s, &out->skew_us);
	creds_done(&creds);
	return true;
}

/* ---- opening ---- */

static void
s3_close(Store *store)
{
	S3Store *s = (S3Store *) store;

	http_free(s->http);
	http_response_done(&s->response);
	sigv4_key_done(&s->key);
	s3_place_done(&s->place);
	for (int i = 0; i < s->nput_headers; i++)
		free((char *) s->put_headers[i].value);
	for (int i = 0; i < s->nall_headers; i++)
		free((char *) s->all_headers[i].value);
	free(s->ca_file);
	free(s->proxy);
	free(s->profile);
	free(s);
}

static const StoreOps s3_ops = {
	.name = "s3",
	.part_min = STORE_PART_MIN_BYTES,
	.put = s3_put,
	.get = s3_get,
	.head = s3_head,
	.list = s3_list,
	.list_after = s3_list_after,
	.del = s3_del,
	.begin = s3_upload_begin,
	.part = s3_upload_part,
	.finish = s3_upload_finish,
	.abandon = s3_upload_abandon,
	.count_parts = s3_upload_count,
	.notes = true,
	.list_uploads = s3_upload_list,
	.rules = s3_rules,
	.about = s3_about,
	.close = s3_close,
};

/* A header's value is one line of printable bytes. */
static bool
keep_header(SigV4Header *h, int *n, const char *name, const char *value,
			Err *err)
{
	if (value == NULL || *value == '\0')
		return true;
	for (const char *p = value; *p; p++)
		if ((uint8_t) *p < ' ' || *p == 0x7f)
			return err_set(err, ERR_USAGE, 0,
						   "the value for header \"%s\" has a control "
						   "character",
						   name);
	h[(*n)++] = (SigV4Header){ name, xstrdup(value) };
	return true;
}

static bool
keep_options(S3Store *s, const StoreOptions *o, Err *err)
{
	SigV4Header *put = s->put_headers;
	int *n = &s->nput_headers;
	const char *checksum = o->checksum ? o->checksum : "";
	const char *payer = o->requester_pays ? "requester" : NULL;
	const char *bucket_key = o->sse_bucket_key ? "true" : NULL;

	if (*checksum && strcmp(checksum, "crc32c") != 0 &&
		strcmp(checksum, "off") != 0)
	{
		err_set(err, ERR_USAGE, 0, "store.checksum \"%s\" is not valid",
				checksum);
		return err_hint(err, "Write crc32c or off.");
	}
	s->checksum = strcmp(checksum, "off") != 0;
	return keep_header(put, n, "x-amz-server-side-encryption", o->sse, err) &&
		   keep_header(put, n, "x-amz-server-side-encryption-aws-kms-key-id",
					   o->sse_kms_key, err) &&
		   keep_header(put, n,
					   "x-amz-server-side-encryption-bucket-key-enabled",
					   bucket_key, err) &&
		   keep_header(put, n, "x-amz-storage-class", o->storage_class, err) &&
		   keep_header(put, n, "x-amz-tagging", o->tags, err) &&
		   keep_header(put, n, "x-amz-acl", o->acl, err) &&
		   keep_header(s->all_headers, &s->nall_headers,
					   "x-amz-expected-bucket-owner", o->expected_owner, err) &&
		   keep_header(s->all_headers, &s->nall_headers, "x-amz-request-payer",
					   payer, err);
}

static bool
find_place(const StoreOptions *o, const AwsSettings *env, S3Place *out,
		   Err *err)
{
	S3PlaceOptions p = {
		.url = o->url,
		.endpoint = set_or_null(o->endpoint) ? o->endpoint : env->endpoint,
		.region = set_or_null(o->region) ? o->region : env->region,
		.addressing = o->addressing ? o->addressing : "",
	};

	return s3_place_parse(&p, out, err);
}

bool
store_s3_open(const StoreOptions *options, Store **out, Err *err)
{
	S3Store *s = xcalloc(1, sizeof(*s));
	AwsSettings env;
	const char *ca_file;
	bool ok;

	s->base.ops = &s3_ops;
	s->stop = options->stop;
	http_response_init(&s->response);
	sigv4_key_init(&s->key);
	aws_settings_read_of(options->profile, &env);
	ca_file = set_or_null(options->ca_file);
	if (ca_file == NULL)
		ca_file = set_or_null(env.ca_file);
	s->ca_file = ca_file ? xstrdup(ca_file) : NULL;
	if (set_or_null(options->profile))
		s->profile = xstrdup(options->profile);
	if (set_or_null(options->proxy))
		s->proxy = xstrdup(options->proxy);
	ok = find_place(options, &env, &s->place, err) &&
		 keep_options(s, options, err) && !creds_are_missing(s->profile, err);
	aws_settings_done(&env);
	if (!ok)
	{
		s3_close(&s->base);
		return false;
	}
	s->http = http_new(&(HttpOptions){
		.ca_file = s->ca_file, .proxy = s->proxy, .stop = s->stop });
	*out = &s->base;
	return true;
}
