/*-------------------------------------------------------------------------
 * s3_url.c
 *	  Where a bucket is: from store.url, endpoint, region and addressing to
 *	  the host and path of a request.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/s3_url.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/uri.h"

#define SCHEME "s3://"
#define REGION_MAX 63
#define BUCKET_MAX 255
#define PREFIX_MAX 512
#define DEFAULT_REGION "us-east-1"
#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool
is_made_of(const char *s, size_t n, const char *set)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\0' || strchr(set, s[i]) == NULL)
			return false;
	return n > 0;
}

static bool
starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s);
	size_t m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static char *
aws_host(const char *region)
{
	return xasprintf("s3.%s.amazonaws.com%s", region,
					 starts_with(region, "cn-") ? ".cn" : "");
}

static bool
bad_url(Err *err, const char *why)
{
	/* Not repeated: it may hold a key and a secret before an '@'. */
	err_set(err, ERR_USAGE, 0, "store.url is not valid: %s", why);
	return err_hint(err, "Write s3://bucket/prefix; credentials come from the "
						 "environment or the shared AWS files.");
}

static bool
check_prefix(const char *prefix, Err *err)
{
	if (strlen(prefix) > PREFIX_MAX)
		return bad_url(err, "the prefix is too long");
	for (const char *p = prefix; *prefix;)
	{
		size_t n = strcspn(p, "/");

		if (n == 0 || (n <= 2 && strncmp(p, "..", n) == 0))
			return bad_url(err, "the prefix has an empty part, \".\" or "
								"\"..\"");
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	return true;
}

static bool
parse_bucket(const char *url, S3Place *p, Err *err)
{
	const char *bucket = url + strlen(SCHEME);
	size_t n = strcspn(bucket, "/");
	const char *prefix = bucket + n + (bucket[n] == '/');
	size_t prefix_len = strlen(prefix);

	if (!starts_with(url, SCHEME) || n == 0)
		return bad_url(err, "it names no bucket");
	if (memchr(bucket, '@', n))
		return bad_url(err, "there is an '@' before the bucket");
	if (n > BUCKET_MAX || bucket[0] == '.' || bucket[0] == '-' ||
		!is_made_of(bucket, n, LOWER_DIGITS UPPER "._-"))
		return bad_url(err, "this cannot be a bucket's name");
	if (prefix_len > 0 && prefix[prefix_len - 1] == '/')
		prefix_len--;
	p->bucket = xstrndup(bucket, n);
	p->prefix = xstrndup(prefix, prefix_len);
	return check_prefix(p->prefix, err);
}

static bool
bad_endpoint(Err *err, const char *why)
{
	err_set(err, ERR_USAGE, 0, "store.endpoint is not valid: %s", why);
	return err_hint(err, "Write https://host:port or http://host:port.");
}

static bool
parse_endpoint(const char *endpoint, S3Place *p, Err *err)
{
	const char *host = strstr(endpoint, "://");
	const char *path;
	size_t n;

	if (!starts_with(endpoint, "http://") && !starts_with(endpoint, "https://"))
		return bad_endpoint(err, "it does not start with http:// or https://");
	p->scheme = xstrndup(endpoint, (size_t) (host - endpoint));
	host += 3;
	n = strcspn(host, "/?#");
	if (memchr(host, '@', n))
		return bad_endpoint(err, "there is an '@' before the host");
	if (!is_made_of(host, n, LOWER_DIGITS UPPER "._-:[]"))
		return bad_endpoint(err, "this cannot be a host's name");
	path = host + n;
	if (*path && !is_made_of(path, strlen(path), LOWER_DIGITS UPPER "._~-/"))
		return bad_endpoint(err, "it has more than a host and a path");
	/* A default port is not sent in the Host header, so not signed either. */
	if (n > 4 && strcmp(p->scheme, "https") == 0 &&
		strncmp(host + n - 4, ":443", 4) == 0)
		n -= 4;
	else if (n > 3 && strcmp(p->scheme, "http") == 0 &&
			 strncmp(host + n - 3, ":80", 3) == 0)
		n -= 3;
	p->host = xstrndup(host, n);
	n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	p->base_path = xstrndup(path, n);
	return true;
}

static bool
is_region(const char *s)
{
	return strlen(s) <= REGION_MAX &&
		   is_made_of(s, strlen(s), LOWER_DIGITS UPPER "_-");
}

/* "eu-west-1" of "s3.eu-west-1.amazonaws.com"; NULL of another host. */
static char *
region_of_host(const char *host)
{
	static const char start[] = "s3.";
	static const char end[] = ".amazonaws.com";
	size_t n = strlen(host);
	char *region;

	if (!starts_with(host, start) || !ends_with(host, end) ||
		n <= strlen(start) + strlen(end))
		return NULL;
	region = xstrndup(host + strlen(start), n - strlen(start) - strlen(end));
	if (is_region(region))
		return region;
	free(region);
	return NULL;
}

static bool
choose_addressing(const char *addressing, S3Place *p, Err *err)
{
	bool is_amazon = ends_with(p->host, ".amazonaws.com") ||
					 ends_with(p->host, ".amazonaws.com.cn");

	if (*addressing == '\0' || strcmp(addressing, "auto") == 0)
		p->is_virtual_host =
			is_amazon &&
			is_made_of(p->bucket, strlen(p->bucket), LOWER_DIGITS "-");
	else if (strcmp(addressing, "virtual") == 0)
		p->is_virtual_host = true;
	else if (strcmp(addressing, "path") != 0)
	{
		err_set(err, ERR_USAGE, 0, "store.addressing \"%s\" is not valid",
				addressing);
		return err_hint(err, "Write auto, path or virtual.");
	}
	return true;
}

static bool
parse(const S3PlaceOptions *o, S3Place *p, Err *err)
{
	if (!parse_bucket(o->url, p, err))
		return false;
	if (*o->region && !is_region(o->region))
		return err_set(err, ERR_USAGE, 0, "store.region \"%s\" is not valid",
					   o->region);
	if (*o->endpoint && !parse_endpoint(o->endpoint, p, err))
		return false;
	if (*o->region)
		p->region = xstrdup(o->region);
	else if (*o->endpoint)
		p->region = region_of_host(p->host);
	if (p->region == NULL)
		p->region = xstrdup(DEFAULT_REGION);
	if (*o->endpoint == '\0')
	{
		p->is_aws = true;
		p->scheme = xstrdup("https");
		p->host = aws_host(p->region);
		p->base_path = xstrdup("");
	}
	return choose_addressing(o->addressing, p, err);
}

bool
s3_place_parse(const S3PlaceOptions *options, S3Place *out, Err *err)
{
	S3Place p = { 0 };

	if (!parse(options, &p, err))
	{
		s3_place_done(&p);
		return false;
	}
	*out = p;
	return true;
}

void
s3_place_done(S3Place *p)
{
	free(p->scheme);
	free(p->host);
	free(p->base_path);
	free(p->region);
	free(p->bucket);
	free(p->prefix);
	*p = (S3Place){ 0 };
}

void
s3_place_add_host(const S3Place *p, Buf *out)
{
	if (p->is_virtual_host)
	{
		buf_str(out, p->bucket);
		buf_byte(out, '.');
	}
	buf_str(out, p->host);
}

void
s3_place_add_path(const S3Place *p, const char *key, Buf *out)
{
	buf_str(out, p->base_path);
	if (!p->is_virtual_host)
	{
		buf_byte(out, '/');
		uri_add_encoded(out, slice_cstr(p->bucket), false);
	}
	if (key)
	{
		buf_byte(out, '/');
		if (*p->prefix)
		{
			uri_add_encoded(out, slice_cstr(p->prefix), true);
			buf_byte(out, '/');
		}
		uri_add_encoded(out, slice_cstr(key), true);
	}
	else if (p->is_virtual_host)
		buf_byte(out, '/');
}

bool
s3_place_learn_region(S3Place *p, const char *region)
{
	if (!is_region(region) || strcmp(region, p->region) == 0)
		return false;
	free(p->region);
	p->region = xstrdup(region);
	if (p->is_aws)
	{
		free(p->host);
		p->host = aws_host(region);
	}
	return true;
}
