/*-------------------------------------------------------------------------
 * test_lifecycle.c
 *	  codec/lifecycle: rules as S3 tells them, and what of a lake each touches.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "codec/lifecycle.h"

#define HEAD                                                                   \
	"<?xml version=\"1.0\"?><LifecycleConfiguration "                          \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define TAIL "</LifecycleConfiguration>"

static void
note(const LifecycleRule *r, void *arg)
{
	buf_printf(arg, "%s:%s:%s%s%lld ", r->id, r->prefix, r->tagged ? "t" : "",
			   r->archives ? "a" : "e", (long long) r->days);
}

static void
assert_rules(const char *rules, const char *expected)
{
	Buf xml;
	Buf got;

	buf_init(&xml, SIZE_MAX);
	buf_init(&got, SIZE_MAX);
	buf_printf(&xml, HEAD "%s" TAIL, rules);
	assert_int_equal(lifecycle_read(buf_slice(&xml), note, &got),
					 expected != NULL);
	if (expected)
		assert_string_equal(buf_cstr(&got), expected);
	buf_done(&xml);
	buf_done(&got);
}

static void
rules(void **state)
{
	(void) state;
	assert_rules("", "");
	assert_rules("<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>x/"
				 "</Prefix></Filter><Expiration><Days>30</Days></Expiration>"
				 "</Rule>",
				 "a:x/:e30 ");
	/* the form of earlier years, and an empty filter */
	assert_rules("<Rule><ID>b</ID><Prefix>y</Prefix><Status>Enabled</Status>"
				 "<Expiration><Date>2027-01-01T00:00:00.000Z</Date>"
				 "</Expiration></Rule><Rule><ID>c</ID><Filter/><Status>Enabled"
				 "</Status><Expiration><Days>1</Days></Expiration></Rule>",
				 "b:y:e0 c::e1 ");
	assert_rules("<Rule><ID>d</ID><Filter><And><Prefix>p&amp;q</Prefix><Tag>"
				 "<Key>k</Key><Value>v</Value></Tag></And></Filter><Status>"
				 "Enabled</Status><Transition><Days>7</Days><StorageClass>"
				 "GLACIER</StorageClass></Transition><Transition><Days>3</Days>"
				 "<StorageClass>STANDARD_IA</StorageClass></Transition></Rule>",
				 "d:p&q:ta7 ");
	assert_rules("<Rule><ID>e</ID><Status>Enabled</Status><Filter/><Expiration>"
				 "<Days>9</Days></Expiration><Transition><Days>2</Days>"
				 "<StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"
				 "</Rule>",
				 "e::e9 e::a2 ");
}

/* What takes nothing away that counts. */
static void
harmless(void **state)
{
	(void) state;
	assert_rules("<Rule><ID>a</ID><Status>Disabled</Status><Filter/>"
				 "<Expiration><Days>1</Days></Expiration></Rule>",
				 "");
	assert_rules("<Rule><ID>a</ID><Status>Enabled</Status><Filter/>"
				 "<NoncurrentVersionExpiration><NoncurrentDays>1"
				 "</NoncurrentDays></NoncurrentVersionExpiration>"
				 "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7"
				 "</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
				 "</Rule>",
				 "");
	assert_rules("<Rule><ID>a</ID><Status>Enabled</Status><Filter/>"
				 "<Expiration><ExpiredObjectDeleteMarker>true"
				 "</ExpiredObjectDeleteMarker></Expiration></Rule>",
				 "");
	assert_rules("<Rule><ID>a</ID><Status>Enabled</Status><Filter/>"
				 "<Transition><Days>1</Days><StorageClass>STANDARD_IA"
				 "</StorageClass></Transition></Rule>",
				 "");
}

/* Nothing is passed over in silence. */
static void
not_understood(void **state)
{
	Buf got;

	(void) state;
	buf_init(&got, SIZE_MAX);
	assert_false(lifecycle_read(slice_cstr(""), note, &got));
	assert_false(lifecycle_read(slice_cstr("<Error/>"), note, &got));
	assert_false(lifecycle_read(slice_cstr(HEAD), note, &got));
	buf_done(&got);
	assert_rules("<Rule><ID>a</ID><Status>Enabled</Status><Filter/><Expiration>"
				 "<Days>soon</Days></Expiration></Rule>",
				 NULL);
	assert_rules("<Rule><ID>&what;</ID><Status>Enabled</Status></Rule>", NULL);
}

static void
touches(void **state)
{
	static const struct
	{
		const char *prefix;
		const char *lake;
		LifecycleTouch touch;
	} cases[] = {
		{ "", "", LIFECYCLE_LOG },
		{ "", "cdc", LIFECYCLE_LOG },
		{ "c", "cdc", LIFECYCLE_LOG },
		{ "cdc/", "cdc", LIFECYCLE_LOG },
		{ "cdc/_", "cdc", LIFECYCLE_LOG },
		{ "cdc/_cdc/log/", "cdc", LIFECYCLE_LOG },
		{ "cdc/public/", "cdc", LIFECYCLE_DATA },
		{ "public/", "", LIFECYCLE_DATA },
		{ "_cdc/", "", LIFECYCLE_LOG },
		{ "_cdc/", "cdc", LIFECYCLE_NOTHING },
		{ "cdc2/", "cdc", LIFECYCLE_NOTHING },
		{ "logs/", "cdc", LIFECYCLE_NOTHING },
		{ "cdc/x/", "cdc/y", LIFECYCLE_NOTHING },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		LifecycleRule r = { .days = 1 };

		(void) snprintf(r.prefix, sizeof(r.prefix), "%s", cases[i].prefix);
		assert_int_equal(lifecycle_touches(&r, cases[i].lake), cases[i].touch);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(harmless),
		cmocka_unit_test(not_understood),
		cmocka_unit_test(touches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
