/*-------------------------------------------------------------------------
 * fuzz_csv.c
 *	  Any bytes as an object of the format csv: it is read or refused.
 *
 * Properties:
 *	(1) What comes out is one JSON object in one line of at most MAX_LINE.
 *	(2) What is refused is ERR_DATA or ERR_LIMIT.
 *	(3) The object through a compression is read likewise.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/csv.h"
#include "codec/jsonline.h"
#include "fuzz_main.h"

#define MAX_LINE ((size_t) 4096)

/* The table of the corpus. */
static Schema *
make_schema(void)
{
	static const struct
	{
		const char *name;
		uint8_t kind;
		uint32_t oid;
	} cols[] = { { "id", CDC_S3_KIND_INT4, 23 },
				 { "t\"x", CDC_S3_KIND_STRING, 25 },
				 { "js", CDC_S3_KIND_JSON, 114 },
				 { "ints", CDC_S3_KIND_TEXT, 1007 },
				 { "by", CDC_S3_KIND_BYTEA, 17 } };
	int n = (int) (sizeof(cols) / sizeof(cols[0]));
	Schema *s = schema_new("public", "t", n);

	for (int i = 0; i < n; i++)
	{
		SchemaColumn *c = &s->cols[i];

		c->name = xstrdup(cols[i].name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup("x");
		c->kind = cols[i].kind;
		c->type_oid = c->base_oid = cols[i].oid;
		c->key = i == 0;
	}
	s->identity = 'd';
	schema_finish(s);
	return s;
}

static void
check_line(Slice line)
{
	JsonCursor c;
	JsonMember m;
	Err err;

	require(line.n <= MAX_LINE, "a line is not too long");
	require(!memchr(line.p, '\n', line.n), "a line has no line feed");
	require(json_open_object(&c, line, &err), "a line is an object");
	do
		require(json_next_member(&c, &m, &err), "its members can be read");
	while (!c.done);
}

/* Its lines, one behind the other; *out_end: all were read. */
static void
read_all(const Schema *s, Slice object, Compression compression, Buf *out,
		 bool *out_end)
{
	FormatSource source = { object, compression, MAX_LINE, s };
	FormatReader *r = csv_format.open(&source);
	Slice line;
	Err err = { .kind = ERR_NONE };

	*out_end = false;
	while (csv_format.next(r, &line, out_end, &err) && !*out_end)
	{
		check_line(line);
		buf_add(out, line.p, line.n);
	}
	require(*out_end || err.kind == ERR_DATA || err.kind == ERR_LIMIT,
			"what is refused is told so");
	csv_format.done(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Schema *schema;
	static Compressor *gzip;
	uint8_t *exact = xmalloc(size + (size == 0)); /* not a byte more */
	bool end;
	bool packed_end;
	Buf lines;
	Buf packed;
	Buf again;
	Err err;

	if (!schema)
	{
		schema = make_schema();
		gzip = compressor_new(COMPRESS_GZIP, 0);
	}
	if (size > 0)
		memcpy(exact, data, size);
	buf_init(&lines, SIZE_MAX);
	buf_init(&packed, SIZE_MAX);
	buf_init(&again, SIZE_MAX);
	read_all(schema, (Slice){ exact, size }, COMPRESS_NONE, &lines, &end);
	if (size > 0)
	{
		require(compressor_run(gzip, (Slice){ exact, size }, &packed, &err),
				"the object is compressed");
		read_all(schema, buf_slice(&packed), COMPRESS_GZIP, &again,
				 &packed_end);
		require(end == packed_end && lines.n == again.n &&
					memcmp(buf_cstr(&lines), buf_cstr(&again), lines.n) == 0,
				"the compressed object reads the same");
	}
	buf_done(&lines);
	buf_done(&packed);
	buf_done(&again);
	free(exact);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

/* Where the field begins that holds this byte, or the one behind its comma. */
static size_t
field_at(const Buf *b, size_t at)
{
	while (at > 0 && b->p[at - 1] != ',' && b->p[at - 1] != '\n')
		at--;
	return at;
}

static size_t
field_length(const Buf *b, size_t at)
{
	size_t n = 0;

	while (at + n < b->n && b->p[at + n] != ',' && b->p[at + n] != '\n')
		n++;
	return n;
}

/* Puts another field in the place of one, or a piece that means something. */
void
fuzz_mutate(Buf *b)
{
	static const char *const pieces[] = { "\"",
										  "\"\"",
										  ",",
										  "\n",
										  "\r\n",
										  "\\N",
										  "\\n",
										  "\\\\",
										  "\"{",
										  "}\"",
										  "[\"\"js\"\"]",
										  "null",
										  "true",
										  "1e9",
										  "\"u\"",
										  "\"d\"",
										  "\"t\"",
										  "{1,NULL}",
										  "\xff",
										  "\\",
										  ",_escaped",
										  "{\"\"t\\\"\"x\"\":null}",
										  "\"[]\"",
										  "0" };
	size_t at = field_at(b, fuzz_random(b->n));
	size_t n = field_length(b, at);
	const Buf *other = fuzz_seed();
	size_t from = field_at(other, fuzz_random(other->n));
	const char *piece = pieces[fuzz_random(sizeof(pieces) / sizeof(pieces[0]))];

	switch (fuzz_random(3))
	{
		case 0:
			(void) fuzz_splice(b, at, n, other->p + from,
							   field_length(other, from));
			break;
		case 1:
			(void) fuzz_splice(b, at, n, (const uint8_t *) piece,
							   strlen(piece));
			break;
		default:
			(void) fuzz_splice(b, fuzz_random(b->n + 1), 0,
							   (const uint8_t *) piece, strlen(piece));
			break;
	}
}

#endif
