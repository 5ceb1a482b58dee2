/*-------------------------------------------------------------------------
 * s3_upload.c
 *	  Large objects of the S3 store, in parts.
 *
 * Invariants:
 *	(1) An upload is finished only where the answer says so as a whole; S3
 *		may answer 200 long before it knows.
 *	(2) A finish whose answer was lost is settled by the object's size.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "codec/xml.h"
#include "store/s3_call.h"

#define FINISH_SILENCE_MS 600000 /* it may take minutes */

bool
s3_upload_begin(Store *store, const char *key, char **out_id, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "POST", "begin", "s3:PutObject", key, full);
	SigV4Param param = { "uploads", "" };
	SigV4Header h[S3_HEADERS_MAX];
	S3Refusal refusal;
	Buf answer, id;
	Slice raw;
	int n = 0;
	bool ok;

	buf_init(&answer, HTTP_ERROR_BODY_MAX);
	buf_init(&id, 4096);
	s3_add_header(h, &n, "content-type", "application/octet-stream");
	if (s->checksum)
		s3_add_header(h, &n, "x-amz-checksum-algorithm", "CRC32C");
	for (int i = 0; i < s->nput_headers; i++)
		s3_add_header(h, &n, s->put_headers[i].name, s->put_headers[i].value);
	r.params = &param;
	r.nparams = 1;
	r.headers = h;
	r.nheaders = n;
	r.out = &answer;
	r.once = true; /* each begins an upload */
	ok = s3_call(s, &r, &refusal, err);
	/* Some servers call the answer by another name; this is all it is for. */
	if (ok && (!xml_find(buf_slice(&answer), "UploadId", &raw) ||
			   !xml_add_text(&id, raw) || id.n == 0))
		ok = err_set(err, ERR_BUSY, s->response.status,
					 "could not begin object \"%s\" in bucket \"%s\": the "
					 "answer names no upload",
					 full, s->place.bucket);
	if (ok)
		*out_id = xstrdup(buf_cstr(&id));
	buf_done(&answer);
	buf_done(&id);
	free(full);
	return ok;
}

bool
s3_upload_part(Store *store, const char *key, const char *id, int n, Slice body,
			   StorePart *part, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r = s3_object_request(s, "PUT", "write a part of", "s3:PutObject",
									key, full);
	char number[16];
	SigV4Param params[] = { { "partNumber", number }, { "uploadId", id } };
	char hash[SHA256_HEX_SIZE];
	char crc[CRC32C_BASE64_SIZE];
	char etag[256];
	SigV4Header h[] = { { "content-type", "application/octet-stream" },
						{ "x-amz-checksum-crc32c", crc } };
	S3Refusal refusal;
	bool ok;

	(void) snprintf(number, sizeof(number), "%d", n + 1);
	sha256_hex(body.p, body.n, hash);
	crc32c_base64(part->crc32c, crc);
	r.params = params;
	r.nparams = 2;
	r.headers = h;
	r.nheaders = s->checksum ? 2 : 1;
	r.body = body;
	r.body_hash = hash;
	ok = s3_call(s, &r, &refusal, err);
	if (ok && !http_header(&s->response, "etag", etag, sizeof(etag)))
		ok = err_set(err, ERR_BUSY, s->response.status,
					 "could not write a part of object \"%s\": the answer has "
					 "no ETag",
					 full);
	if (ok)
		part->tag = xstrdup(etag);
	free(full);
	return ok;
}

static void
add_parts(const S3Store *s, const StorePart *parts, int nparts, Buf *out)
{
	char crc[CRC32C_BASE64_SIZE];

	buf_str(out, "<CompleteMultipartUpload>");
	for (int i = 0; i < nparts; i++)
	{
		buf_printf(out, "<Part><PartNumber>%d</PartNumber><ETag>", i + 1);
		for (const char *p = parts[i].tag; *p; p++)
		{
			if (*p == '"')
				buf_str(out, "&quot;");
			else if (*p == '&' || *p == '<' || *p == '>')
				buf_printf(out, "&#%d;", *p);
			else
				buf_byte(out, (uint8_t) *p);
		}
		buf_str(out, "</ETag>");
		crc32c_base64(parts[i].crc32c, crc);
		if (s->checksum)
			buf_printf(out, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc);
		buf_str(out, "</Part>");
	}
	buf_str(out, "</CompleteMultipartUpload>");
}

/*
 * An upload that is gone was finished by an earlier try whose answer was
 * lost, if the object is there with its size.
 */
static bool
is_finished(S3Store *s, const char *key, int64_t bytes, Err *err)
{
	Err first = *err;
	int64_t there = -1;

	if (!store_head(&s->base, key, &there, err))
	{
		if (err->kind == ERR_NOT_FOUND)
			*err = first;
		return false;
	}
	if (there == bytes)
		return true;
	*err = first;
	return false;
}

bool
s3_upload_finish(Store *store, const char *key, const char *id,
				 const StorePart *parts, int nparts, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r =
		s3_object_request(s, "POST", "finish", "s3:PutObject", key, full);
	SigV4Param param = { "uploadId", id };
	SigV4Header h = { "content-type", "application/xml" };
	const StorePart *last = &parts[nparts - 1];
	char hash[SHA256_HEX_SIZE];
	S3Refusal refusal;
	Buf body;
	Slice raw;
	bool ok;

	buf_init(&body, (size_t) 16 * 1024 * 1024);
	add_parts(s, parts, nparts, &body);
	sha256_hex(body.p, body.n, hash);
	r.params = &param;
	r.nparams = 1;
	r.headers = &h;
	r.nheaders = 1;
	r.body = buf_slice(&body);
	r.body_hash = hash;
	r.silence_ms = FINISH_SILENCE_MS;
	ok = s3_call(s, &r, &refusal, err);
	if (ok && (!xml_has_root(buf_slice(&s->response.body),
							 "CompleteMultipartUploadResult") ||
			   !xml_find(buf_slice(&s->response.body), "ETag", &raw)))
		ok = err_set(err, ERR_BUSY, s->response.status,
					 "could not finish object \"%s\" in bucket \"%s\": the "
					 "answer does not say that it is whole",
					 full, s->place.bucket);
	else if (!ok && strcmp(refusal.code, "NoSuchUpload") == 0)
		ok = is_finished(s, key, last->offset + last->bytes, err);
	buf_done(&body);
	free(full);
	return ok;
}

bool
s3_upload_abandon(Store *store, const char *key, const char *id, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r = s3_object_request(s, "DELETE", "abandon",
									"s3:AbortMultipartUpload", key, full);
	SigV4Param param = { "uploadId", id };
	S3Refusal refusal;
	bool ok;

	r.params = &param;
	r.nparams = 1;
	ok = s3_call(s, &r, &refusal, err) || err->kind == ERR_NOT_FOUND ||
		 strcmp(refusal.code, "NoSuchUpload") == 0;
	free(full);
	return ok;
}

bool
s3_upload_count(Store *store, const char *key, const char *id, int *out_n,
				Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, key);
	S3Request r = s3_object_request(s, "GET", "list parts of",
									"s3:ListMultipartUploadParts", key, full);
	SigV4Param param = { "uploadId", id };
	S3Refusal refusal;
	Slice doc;
	Slice part;
	Buf page;
	bool ok;

	buf_init(&page, S3_PAGE_MAX);
	r.params = &param;
	r.nparams = 1;
	r.out = &page;
	ok = s3_call(s, &r, &refusal, err);
	*out_n = 0;
	doc = buf_slice(&page);
	while (ok && xml_next(&doc, "Part", &part))
		++*out_n;
	ok = ok || err->kind == ERR_NOT_FOUND ||
		 strcmp(refusal.code, "NoSuchUpload") == 0;
	buf_done(&page);
	free(full);
	return ok;
}

/* Goes through the <Upload>s of a page, as read_items. */
static bool
read_uploads(const S3Store *s, Slice doc, StoreUploadFn fn, void *arg,
			 bool *out_ended)
{
	size_t skip = strlen(s->place.prefix);
	Slice upload, raw;
	Buf key, id;
	bool ok = true;

	buf_init(&key, S3_PATH_MAX);
	buf_init(&id, S3_PATH_MAX);
	if (skip)
		skip++; /* its '/' */
	*out_ended = false;
	while (ok && !*out_ended && xml_next(&doc, "Upload", &upload))
	{
		buf_reset(&key);
		buf_reset(&id);
		ok = xml_find(upload, "Key", &raw) && xml_add_text(&key, raw) &&
			 xml_find(upload, "UploadId", &raw) && xml_add_text(&id, raw);
		if (ok && fn && key.n > skip &&
			strncmp(buf_cstr(&key), s->place.prefix, skip ? skip - 1 : 0) == 0)
			*out_ended = !fn(
				&(StoreUpload){ buf_cstr(&key) + skip, buf_cstr(&id) }, arg);
	}
	buf_done(&key);
	buf_done(&id);
	return ok;
}

/* The cursor of uploads is two markers, divided by a newline. */
static bool
read_markers(Slice doc, Buf *next)
{
	Slice raw;

	if (!xml_find(doc, "IsTruncated", &raw) || raw.n != 4 ||
		memcmp(raw.p, "true", 4) != 0)
		return true;
	if (!xml_find(doc, "NextKeyMarker", &raw) || !xml_add_text(next, raw))
		return false;
	buf_byte(next, '\n');
	return xml_find(doc, "NextUploadIdMarker", &raw) &&
		   xml_add_text(next, raw) && next->n > 1 && !next->overflow;
}

bool
s3_upload_list(Store *store, const char *prefix, Buf *cursor, StoreUploadFn fn,
			   void *arg, Err *err)
{
	S3Store *s = (S3Store *) store;
	char *full = s3_full_key(s, prefix);
	size_t split = strcspn(buf_cstr(cursor), "\n");
	char *marker = xstrndup(buf_cstr(cursor), split);
	SigV4Param params[] = { { "uploads", "" },
							{ "prefix", full },
							{ "key-marker", marker },
							{ "upload-id-marker",
							  cursor->n ? buf_cstr(cursor) + split + 1 : "" } };
	S3Request r = { .method = "GET",
					.asked = { "list uploads of",
							   "s3:ListBucketMultipartUploads", s->place.bucket,
							   NULL },
					.params = params,
					.nparams = cursor->n > 0 ? 4 : 2,
					.body_hash = SIGV4_EMPTY_HASH };
	S3Refusal refusal;
	Buf page, next;
	bool ended = false;
	bool ok;

	buf_init(&page, S3_PAGE_MAX);
	buf_init(&next, cursor->max);
	r.out = &page;
	ok = s3_call(s, &r, &refusal, err);
	if (ok && (!xml_has_root(buf_slice(&page), "ListMultipartUploadsResult") ||
			   !read_markers(buf_slice(&page), &next) ||
			   !read_uploads(s, buf_slice(&page), NULL, NULL, &ended)))
		ok = err_set(err, ERR_BUSY, s->response.status,
					 "could not list uploads of bucket \"%s\": the answer is "
					 "not a whole listing",
					 s->place.bucket);
	if (ok && next.n > 0 && strcmp(buf_cstr(&next), buf_cstr(cursor)) == 0)
		ok = err_set(err, ERR_STORE, s->response.status,
					 "could not list uploads of bucket \"%s\": the server "
					 "repeats one page for ever",
					 s->place.bucket);
	if (ok)
	{
		(void) read_uploads(s, buf_slice(&page), fn, arg, &ended);
		buf_reset(cursor);
		if (!ended)
			buf_add(cursor, next.p, next.n);
	}
	buf_done(&page);
	buf_done(&next);
	free(marker);
	free(full);
	return ok;
}
