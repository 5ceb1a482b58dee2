/*-------------------------------------------------------------------------
 * test_published.c
 *	  pipe/published: which publications the log knows, and which ones an entry
 *	  may name.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "pipe/published.h"

static void
add(Entry *e, const char *name, uint32_t oid)
{
	EntryPublication *p = entry_add_publication(e);

	entry_set(&p->name, name);
	p->oid = oid;
}

/* By its OID, whatever its name; else by its name, if that is another one. */
static void
test_known(void **state)
{
	Entry *log = entry_new();

	(void) state;
	assert_int_equal(publication_known(log, "a", 7), 0);
	add(log, "a", 7);
	add(log, "b", UINT32_MAX);
	assert_int_equal(publication_known(log, "a", 7), 7);
	assert_int_equal(publication_known(log, "renamed", 7), 7);
	assert_int_equal(publication_known(log, "a", 8), 7); /* made anew */
	assert_int_equal(publication_known(log, "a", 0), 7); /* dropped */
	assert_int_equal(publication_known(log, "b", UINT32_MAX), UINT32_MAX);
	/* two that took each other's names are known both */
	assert_int_equal(publication_known(log, "b", 7), 7);
	assert_int_equal(publication_known(log, "c", 9), 0);
	assert_int_equal(publication_known(log, "c", 0), 0);
	entry_free(log);
}

static void
check_named(const Pipe *p, Lsn end, const Entry *before, uint32_t oid)
{
	Entry *e = entry_new();
	const EntryPublication *found;

	e->end = end;
	publications_fill_entry(p, e, before);
	found = entry_find_publication(e, "a");
	assert_int_equal(found ? found->oid : 0, oid);
	entry_free(e);
}

/* Only what was there at a position that the entry covers. */
static void
test_entry(void **state)
{
	Entry *before = entry_new();
	Pipe *p = calloc(1, sizeof(*p));

	(void) state;
	add(before, "a", 7);
	check_named(p, 1000, before, 7); /* nothing was asked */
	p->publications = entry_new();
	p->published_at = 1000;
	add(p->publications, "a", 8);
	check_named(p, 999, before, 7);
	check_named(p, 1000, before, 8);
	check_named(p, 1001, before, 8);
	entry_free(p->publications);
	p->publications = entry_new(); /* source.publication is empty now */
	check_named(p, 1001, before, 0);
	entry_free(p->publications);
	entry_free(before);
	free(p);
}

/* In an entry, and back; entries of earlier releases have none. */
static void
test_text(void **state)
{
	static const char want[] =
		",\n\"publications\":[{\"name\":\"a\\\"b\",\"oid\":4294967295},"
		"{\"name\":\"c\",\"oid\":1}],\n\"loads\"";
	Entry *e = entry_new();
	Entry *again = NULL;
	Buf b;
	Err err;

	(void) state;
	buf_init(&b, SIZE_MAX);
	entry_encode(e, NULL, &b);
	assert_null(strstr(buf_cstr(&b), "publications"));
	assert_true(entry_parse(buf_slice(&b), NULL, &again, &err));
	assert_int_equal(again->npublications, 0);
	entry_free(again);
	buf_reset(&b);
	add(e, "a\"b", UINT32_MAX);
	add(e, "c", 1);
	entry_encode(e, NULL, &b);
	assert_non_null(strstr(buf_cstr(&b), want));
	assert_true(entry_parse(buf_slice(&b), NULL, &again, &err));
	assert_int_equal(again->npublications, 2);
	assert_string_equal(again->publications[0].name, "a\"b");
	assert_true(again->publications[0].oid == UINT32_MAX);
	entry_free(again);
	e->publications[1].oid = 0;
	buf_reset(&b);
	entry_encode(e, NULL, &b);
	again = NULL;
	assert_false(entry_parse(buf_slice(&b), NULL, &again, &err));
	assert_int_equal(err.kind, ERR_DATA);
	entry_free(e);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
