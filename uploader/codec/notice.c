/*-------------------------------------------------------------------------
 * notice.c
 *	  The notices of schema changes.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/notice.h"

#include "codec/jsonline.h"

static const char *
reason_of(const JsonValue *v)
{
	static const char *const known[] = { "rewrite", "partition", "filter",
										 "publication" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (v->kind == JSON_STRING &&
			json_equals(json_inner(v), v->escaped, known[i]))
			return known[i];
	}
	return "other";
}

bool
notice_parse(Slice content, Notice *out)
{
	Notice n = { .reason = "other" };
	JsonCursor c;
	JsonMember m;
	int64_t number;
	Err ignored;

	if (!json_open_object(&c, content, &ignored))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, &ignored))
			return false;
		if (c.done)
			break;
		if (json_equals(m.name, m.escaped, "oid") &&
			json_int64(&m.value, &number) && number > 0 && number <= UINT32_MAX)
			n.relation_id = (uint32_t) number;
		else if (json_equals(m.name, m.escaped, "resync"))
			n.resync = m.value.kind == JSON_TRUE;
		else if (json_equals(m.name, m.escaped, "action"))
			n.reason = reason_of(&m.value);
	}
	*out = n;
	return n.relation_id != 0;
}
