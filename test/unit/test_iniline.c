/*-------------------------------------------------------------------------
 * test_iniline.c
 *	  Lines of files that have sections and settings.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/iniline.h"

static void
same(Slice s, const char *want)
{
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.p, want, s.n);
}

/* The next line is of that kind; name and value where it is a setting. */
static IniLine
comes(IniReader *r, IniKind kind, const char *text, const char *name,
	  const char *value)
{
	IniLine l;

	assert_true(ini_next(r, &l));
	assert_int_equal(l.kind, kind);
	assert_int_equal(l.number, r->number);
	same(l.text, text);
	same(l.name, name);
	same(l.value, value);
	return l;
}

static void
test_kinds(void **state)
{
	IniReader r = { slice_cstr("[a]\n"
							   "; c = d\n"
							   "\t # e\n"
							   "\n"
							   "f = g # h ; i\r\n"
							   "  j=\n"
							   "k\n"
							   " = l = m \t\r"),
					0 };
	IniLine l;

	(void) state;
	assert_false(comes(&r, INI_SECTION, "[a]", "", "").indented);
	comes(&r, INI_EMPTY, "; c = d", "", "");
	assert_true(comes(&r, INI_EMPTY, "# e", "", "").indented);
	assert_false(comes(&r, INI_EMPTY, "", "", "").indented);
	l = comes(&r, INI_SETTING, "f = g # h ; i", "f", "g # h ; i");
	assert_false(l.indented);
	assert_true(comes(&r, INI_SETTING, "j=", "j", "").indented);
	comes(&r, INI_NEITHER, "k", "", "");
	l = comes(&r, INI_SETTING, "= l = m", "", "l = m");
	assert_int_equal(l.number, 8);
	assert_false(ini_next(&r, &l));
	assert_false(ini_next(&r, &l));
}

static void
test_begins(void **state)
{
	IniReader none = { { NULL, 0 }, 0 };
	IniReader r = { slice_cstr("\xEF\xBB\xBF[a]\n\xEF\xBB\xBF[b]"), 0 };
	IniReader mark = { slice_cstr("\xEF\xBB\xBF"), 0 };
	IniLine l;

	(void) state;
	assert_false(ini_next(&none, &l));
	assert_false(ini_next(&mark, &l));
	assert_false(comes(&r, INI_SECTION, "[a]", "", "").indented);
	/* elsewhere it is no mark */
	comes(&r, INI_NEITHER, "\xEF\xBB\xBF[b]", "", "");
}

static void
test_zero_byte_is_text(void **state)
{
	IniReader r = { { (const uint8_t *) "a=b\0c\nd=e", 9 }, 0 };
	IniLine l;

	(void) state;
	assert_true(ini_next(&r, &l));
	assert_int_equal(l.value.n, 3);
	assert_memory_equal(l.value.p, "b\0c", 3);
	comes(&r, INI_SETTING, "d=e", "d", "e");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_begins),
		cmocka_unit_test(test_zero_byte_is_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
