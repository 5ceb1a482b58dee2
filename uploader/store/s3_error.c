/*-------------------------------------------------------------------------
 * s3_error.c
 *	  What an S3 server's refusal means.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/s3_error.h"

#include <stdio.h>
#include <string.h>

#include "codec/xml.h"

#define HINT_BUCKET "Create the bucket, or correct store.url."
#define HINT_UPLOAD                                                            \
	"What was not in the log is sent again. If this repeats, see whether a "   \
	"lifecycle rule of the bucket abandons uploads early."
#define HINT_KEY                                                               \
	"The server does not know this access key id: check AWS_ACCESS_KEY_ID, "   \
	"AWS_PROFILE and store.endpoint."
#define HINT_SECRET                                                            \
	"The secret does not belong to the access key id, or a proxy changes the " \
	"request: check AWS_SECRET_ACCESS_KEY, store.endpoint and store.region."
#define HINT_EXPIRED "The credentials have ended; renew them."
#define HINT_CLOCK "Set this machine's clock; the server's is far from it."
#define HINT_REGION "Set store.region to the region of the bucket."
#define HINT_SUPPORT                                                           \
	"This server does not support what was asked. If checksums are the "       \
	"reason, set store.checksum=off."

typedef struct CodeRow
{
	const char *code;
	ErrKind kind;
	S3Cure cure;
	const char *hint; /* NULL: none, or by the request */
} CodeRow;

static const CodeRow codes[] = {
	{ "NoSuchKey", ERR_NOT_FOUND, S3_CURE_NONE, NULL },
	{ "NoSuchBucket", ERR_STORE, S3_CURE_NONE, HINT_BUCKET },
	{ "InvalidBucketName", ERR_STORE, S3_CURE_NONE, HINT_BUCKET },
	{ "PreconditionFailed", ERR_EXISTS, S3_CURE_NONE, NULL },

	/* Somebody abandoned the upload, or the server lost parts of it. */
	{ "NoSuchUpload", ERR_GONE, S3_CURE_NONE, HINT_UPLOAD },
	{ "InvalidPart", ERR_GONE, S3_CURE_NONE, HINT_UPLOAD },

	{ "InvalidAccessKeyId", ERR_AUTH, S3_CURE_NONE, HINT_KEY },
	{ "XAdminUserNotFound", ERR_AUTH, S3_CURE_NONE, HINT_KEY },
	{ "SignatureDoesNotMatch", ERR_AUTH, S3_CURE_NONE, HINT_SECRET },
	{ "ExpiredToken", ERR_AUTH, S3_CURE_CREDENTIALS, HINT_EXPIRED },
	{ "ExpiredTokenException", ERR_AUTH, S3_CURE_CREDENTIALS, HINT_EXPIRED },
	{ "InvalidToken", ERR_AUTH, S3_CURE_CREDENTIALS, HINT_EXPIRED },
	{ "TokenRefreshRequired", ERR_AUTH, S3_CURE_CREDENTIALS, HINT_EXPIRED },
	{ "RequestTimeTooSkewed", ERR_AUTH, S3_CURE_CLOCK, HINT_CLOCK },
	{ "RequestExpired", ERR_AUTH, S3_CURE_CLOCK, HINT_CLOCK },

	{ "PermanentRedirect", ERR_STORE, S3_CURE_REGION, HINT_REGION },
	{ "TemporaryRedirect", ERR_STORE, S3_CURE_REGION, HINT_REGION },
	{ "Redirect", ERR_STORE, S3_CURE_REGION, HINT_REGION },
	{ "AuthorizationHeaderMalformed", ERR_STORE, S3_CURE_REGION, HINT_REGION },
	{ "IllegalLocationConstraintException", ERR_STORE, S3_CURE_REGION,
	  HINT_REGION },

	{ "RequestTimeout", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "OperationAborted", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "ConditionalRequestConflict", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "SlowDown", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "Throttling", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "ThrottlingException", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "KMS.ThrottlingException", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "RequestLimitExceeded", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "InternalError", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "ServiceUnavailable", ERR_BUSY, S3_CURE_NONE, NULL },
	/* What we sent was right: it was hurt on its way. */
	{ "IncompleteBody", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "BadDigest", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "XAmzContentChecksumMismatch", ERR_BUSY, S3_CURE_NONE, NULL },
	{ "XAmzContentSHA256Mismatch", ERR_BUSY, S3_CURE_NONE, NULL },

	{ "NotImplemented", ERR_STORE, S3_CURE_NONE, NULL },
};

static const CodeRow *
find_code(const char *code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return &codes[i];
	return NULL;
}

/*
 * Copies the text of an element, cut, without control characters and without
 * a full stop at its end.
 */
static void
copy_text(Slice doc, const char *name, char *out, size_t size)
{
	Slice raw;
	Buf text;
	size_t n;

	buf_init(&text, HTTP_ERROR_BODY_MAX);
	if (xml_find(doc, name, &raw) && xml_add_text(&text, raw))
		(void) snprintf(out, size, "%s", buf_cstr(&text)); /* cut is fine */
	n = strlen(out);
	if (n > 0 && out[n - 1] == '.')
		out[n - 1] = '\0';
	for (; *out; out++)
		if ((uint8_t) *out < ' ' || *out == 0x7f)
			*out = ' ';
	buf_done(&text);
}

void
s3_request_id(const HttpResponse *response, char *out, size_t size)
{
	static const char *const names[] = { "x-amz-request-id", "x-request-id",
										 "x-amz-id-2" };

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (http_header(response, names[i], out, size))
			break;
	for (; *out; out++)
		if ((uint8_t) *out <= ' ' || *out == 0x7f)
			*out = '?';
}

void
s3_refusal_read(const HttpResponse *response, S3Refusal *out)
{
	Slice doc = buf_slice(&response->body);
	char header[sizeof(out->region)];

	*out = (S3Refusal){ .status = response->status,
						.has_body = doc.n > 0,
						.is_whole = xml_has_root(doc, "Error") };
	copy_text(doc, "Code", out->code, sizeof(out->code));
	copy_text(doc, "Message", out->message, sizeof(out->message));
	copy_text(doc, "Region", out->region, sizeof(out->region));
	if (http_header(response, "x-amz-bucket-region", header, sizeof(header)))
		(void) snprintf(out->region, sizeof(out->region), "%s", header);
	s3_request_id(response, out->request_id, sizeof(out->request_id));
}

S3Cure
s3_refusal_cure(const S3Refusal *r)
{
	const CodeRow *row = find_code(r->code);

	if (row && row->cure != S3_CURE_NONE)
		return row->cure;
	if (r->region[0] && (r->status == 301 || r->status == 307 ||
						 r->status == 400 || r->status == 403))
		return S3_CURE_REGION;
	return S3_CURE_NONE;
}

static ErrKind
kind_of_status(const S3Refusal *r, const S3Asked *asked)
{
	switch (r->status)
	{
		case 400:
			/* A body cut short hides a RequestTimeout or worse. */
			return r->has_body && !r->is_whole ? ERR_BUSY : ERR_STORE;
		case 401:
		case 403:
			return ERR_AUTH;
		case 404:
			return asked->key && !r->code[0] ? ERR_NOT_FOUND : ERR_STORE;
		case 408:
		case 409:
		case 429:
			return ERR_BUSY;
		case 412:
			return ERR_EXISTS;
		case 501:
		case 505:
			return ERR_STORE;
		default:
			/* A 200 that holds an error, or half of one, is one as well. */
			return r->status >= 500 || r->status < 300 ? ERR_BUSY : ERR_STORE;
	}
}

static void
add_hint(const S3Refusal *r, const S3Asked *asked, const CodeRow *row, Err *err)
{
	if (row && row->hint)
		err_hint(err, "%s", row->hint);
	else if (r->status == 403 || r->status == 401)
		err_hint(err,
				 "The credentials need %s on bucket \"%s\"%s%s%s; a policy of "
				 "the bucket may also deny it.",
				 asked->permission, asked->bucket, asked->key ? ", key " : "",
				 asked->key ? asked->key : "",
				 strcmp(asked->permission, "s3:GetObject") == 0
					 ? ", and s3:ListBucket on the bucket, or S3 says this of "
					   "each key that is not there"
					 : "");
	else if (r->status == 301 || r->status == 307)
		err_hint(err, HINT_REGION);
	else if (asked->key && /* a listing has no checksum */
			 (r->status == 501 || strcmp(r->code, "NotImplemented") == 0))
		err_hint(err, HINT_SUPPORT);
}

bool
s3_refusal_error(const S3Refusal *r, const S3Asked *asked, Err *err)
{
	const CodeRow *row = find_code(r->code);
	ErrKind kind = row ? row->kind : kind_of_status(r, asked);
	char what[1200];

	if (asked->key)
		(void) snprintf(what, sizeof(what),
						"could not %s object \"%s\" in bucket \"%s\"",
						asked->doing, asked->key, asked->bucket);
	else
		(void) snprintf(what, sizeof(what), "could not %s bucket \"%s\"",
						asked->doing, asked->bucket);
	err_set(err, kind, r->status, "%s: HTTP %d%s%s%s%s%s%s%s", what, r->status,
			r->code[0] ? " " : "", r->code, r->message[0] ? ": " : "",
			r->message, r->request_id[0] ? " (request " : "", r->request_id,
			r->request_id[0] ? ")" : "");
	add_hint(r, asked, row, err);
	return false;
}
