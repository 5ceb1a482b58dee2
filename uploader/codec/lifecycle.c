/*-------------------------------------------------------------------------
 * lifecycle.c
 *	  The lifecycle rules of a bucket.
 *
 * A filter that is not known (of sizes, say) is taken for one that lets all
 * through: better one warning too many.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/lifecycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/xml.h"

#define TEXT_MAX 2048

/* The text of the first such element, cut; "" where there is none. */
static bool
text_of(Slice doc, const char *name, char *out, size_t size)
{
	Slice raw;
	Buf b;
	bool ok = true;

	out[0] = '\0';
	if (!xml_find(doc, name, &raw))
		return true;
	buf_init(&b, TEXT_MAX);
	ok = xml_add_text(&b, raw) && !b.overflow && b.n < size;
	if (ok)
		memcpy(out, buf_cstr(&b), b.n + 1);
	buf_done(&b);
	return ok;
}

/* *out < 0: it says neither days nor a date. */
static bool
read_age(Slice action, int64_t *out)
{
	char days[32];
	char date[64];
	char *end;

	if (!text_of(action, "Days", days, sizeof(days)) ||
		!text_of(action, "Date", date, sizeof(date)))
		return false;
	*out = -1;
	if (date[0])
		*out = 0;
	if (days[0] == '\0')
		return true;
	*out = strtoll(days, &end, 10);
	return *end == '\0' && *out >= 0;
}

/* From there an object has to be fetched back before it can be read. */
static bool
is_archive(const char *class)
{
	return strcmp(class, "GLACIER") == 0 || strcmp(class, "DEEP_ARCHIVE") == 0;
}

static bool
read_actions(Slice rule, LifecycleRule *r, LifecycleFn fn, void *arg)
{
	Slice rest = rule;
	Slice action;

	if (xml_find(rule, "Expiration", &action))
	{
		if (!read_age(action, &r->days))
			return false;
		if (r->days >= 0)
			fn(r, arg);
	}
	while (xml_next(&rest, "Transition", &action))
	{
		char class[64];

		if (!text_of(action, "StorageClass", class, sizeof(class)) ||
			!read_age(action, &r->days))
			return false;
		r->archives = true;
		if (r->days >= 0 && is_archive(class))
			fn(r, arg);
	}
	return true;
}

static bool
read_rule(Slice rule, LifecycleFn fn, void *arg)
{
	LifecycleRule r = { .days = -1 };
	char status[32];
	Slice tag;

	if (!text_of(rule, "ID", r.id, sizeof(r.id)) ||
		!text_of(rule, "Status", status, sizeof(status)) ||
		!text_of(rule, "Prefix", r.prefix, sizeof(r.prefix)))
		return false;
	r.tagged = xml_find(rule, "Tag", &tag);
	return strcmp(status, "Enabled") != 0 || read_actions(rule, &r, fn, arg);
}

bool
lifecycle_read(Slice xml, LifecycleFn fn, void *arg)
{
	Slice rest = xml;
	Slice rule;

	if (!xml_has_root(xml, "LifecycleConfiguration"))
		return false;
	while (xml_next(&rest, "Rule", &rule))
		if (!read_rule(rule, fn, arg))
			return false;
	return true;
}

/* Has some key both of them at its begin? */
static bool
overlap(const char *a, const char *b)
{
	size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return strncmp(a, b, n) == 0;
}

LifecycleTouch
lifecycle_touches(const LifecycleRule *r, const char *lake)
{
	char data[1100];
	char own[1110];

	(void) snprintf(data, sizeof(data), "%s%s", lake, lake[0] ? "/" : "");
	(void) snprintf(own, sizeof(own), "%s_cdc/", data);
	if (overlap(r->prefix, own))
		return LIFECYCLE_LOG;
	return overlap(r->prefix, data) ? LIFECYCLE_DATA : LIFECYCLE_NOTHING;
}
