/*-------------------------------------------------------------------------
 * check_lifecycle.c
 *	  "check" of the bucket's lifecycle rules, against the log and what a
 *	  merge still needs.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/check.h"
#include "codec/lifecycle.h"
#include "codec/xml.h"
#include "store/commitlog.h"
#include "store/expiry.h"

#define RULES_MAX_BYTES ((size_t) 1 << 20)
#define US_PER_DAY (24 * US_PER_HOUR)

typedef struct Rules
{
	Check *c;
	const char *lake; /* the prefix of its keys in the bucket */
	int64_t needed;   /* days: age of what a target still needs; -1: none */
	int told;
} Rules;

/* "s3://bucket/prefix/" to "prefix/"; no slash at its end counts. */
static void
lake_prefix(const char *url, Buf *out)
{
	const char *p = strstr(url, "://");

	p = p ? strchr(p + 3, '/') : NULL;
	p = p ? p + strspn(p, "/") : "";
	buf_str(out, p);
	while (out->n > 0 && out->p[out->n - 1] == '/')
		out->p[--out->n] = '\0';
}

static void
tell(Rules *x, const LifecycleRule *r, Finding *f, const char *of)
{
	f->name = "lifecycle";
	x->told++;
	if (r->days > 0)
		check_report(x->c, f, "rule \"%s\" %s %s after %" PRId64 " days", r->id,
					 r->archives ? "archives" : "expires", of, r->days);
	else
		check_report(x->c, f, "rule \"%s\" %s %s on a day", r->id,
					 r->archives ? "archives" : "expires", of);
}

static void
on_rule(const LifecycleRule *r, void *arg)
{
	Rules *x = arg;
	Finding f = { .level = CHECK_ERROR,
				  .kind = ERR_STORE,
				  .mend = "leave the lake's prefix out of it; lake.retention "
						  "removes old objects so that the log knows" };

	/* without tags of ours it is for objects of others */
	if (r->tagged && x->c->cfg->store_tags[0] == '\0')
		return;
	switch (lifecycle_touches(r, x->lake))
	{
		case LIFECYCLE_NOTHING:
			break;
		case LIFECYCLE_LOG:
			f.why = "without its log a lake cannot be read; nothing in _cdc/ "
					"may ever go";
			tell(x, r, &f, "what lies in _cdc/");
			break;
		case LIFECYCLE_DATA:
			f.why = "a target needs objects that old, and the log does not "
					"learn that they are gone";
			if (r->days > x->needed)
			{
				f.level = CHECK_WARNING;
				f.why = "the log does not learn that objects are gone: a merge "
						"or load that needs them fails";
			}
			tell(x, r, &f, "data");
			break;
	}
}

/* In days, of the oldest entry that a target needs. */
static int64_t
needed_days(const Check *c)
{
	TargetNotes notes;
	int64_t oldest = -1;
	Err err;

	if (!c->last || !target_notes(c->store, &notes, &err))
		return -1;
	for (int i = 0; i < notes.n; i++)
	{
		int64_t needs = notes.items[i].needs;
		Entry *e;

		if (needs > c->last->seq || !commitlog_read(c->store, needs, &e, &err))
			continue;
		if ((clock_unix_us() - e->time) / US_PER_DAY > oldest)
			oldest = (clock_unix_us() - e->time) / US_PER_DAY;
		entry_free(e);
	}
	target_notes_done(&notes);
	return oldest;
}

static void
not_known(Check *c, const Err *err)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = "lifecycle",
		.why = "a rule that expires objects breaks the lake in silence",
		.mend = "allow s3:GetLifecycleConfiguration, or look yourself that no "
				"rule touches the lake's prefix",
	};

	check_report(c, &f, "the bucket's rules could not be read: %s", err->msg);
}

void
check_lifecycle(Check *c)
{
	Rules x = { .c = c };
	Buf xml;
	Buf lake;
	Err err;

	if (!c->store || !store_has_rules(c->store))
		return;
	buf_init(&xml, RULES_MAX_BYTES);
	buf_init(&lake, RULES_MAX_BYTES);
	lake_prefix(c->cfg->store_url, &lake);
	x.lake = buf_cstr(&lake);
	if (store_rules(c->store, &xml, &err))
	{
		x.needed = needed_days(c);
		/* some servers answer with a listing: they know no rules */
		if (xml.n > 0 && !xml_has_root(buf_slice(&xml), "ListBucketResult") &&
			!lifecycle_read(buf_slice(&xml), on_rule, &x))
		{
			err_set(&err, ERR_DATA, 0, "the answer is not understood");
			not_known(c, &err);
		}
		else if (x.told == 0)
			check_ok(c, "lifecycle",
					 "no rule of the bucket takes objects of "
					 "the lake away");
	}
	else if (err.code == 501 || err.code == 405 || err.code == 400)
		check_ok(c, "lifecycle", "the server knows no rules");
	else
		not_known(c, &err);
	buf_done(&xml);
	buf_done(&lake);
}
