/*-------------------------------------------------------------------------
 * path.h
 *	  The folders of the lake (output.path, doc/lake.md): from a template, a
 *	  table and an instant to a folder, and to the instants it covers.
 *
 *	  {schema}/{table}/year={yyyy}/month={mm}/day={dd}/hour={hh}
 *
 * Placeholders: {schema} {table} {database} {slot}, and of the local time in
 *the template's zone {yyyy} {mm} {dd} {hh} {mi}.  A template names schema and
 * table, and with each time all coarser ones: so a folder is one stretch of
 * local time, and can be complete one day.
 *
 * The mapping from (names, stretch) to folders is injective: names are segments
 * as in key.h, and where one stands in a segment with other placeholders
 * the byte that ends it is encoded too.  Years before 0000 and past 9999 are
 * those: so each time has as many digits as its placeholder.
 *
 * Threads: a template is immutable and shared.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PATH_H
#define PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/zone.h"

#define PATH_DEFAULT                                                           \
	"{schema}/{table}/year={yyyy}/month={mm}/day={dd}/hour={hh}"

typedef struct Path Path;

/* ERR_USAGE with what is wrong and what would be right; takes the zone. */
bool path_parse(const char *text, Zone *zone, Path **out, Err *err) MUST_CHECK;
void path_free(Path *p);

typedef struct PathNames
{
	const char *schema;
	const char *table;
	const char *database;
	const char *slot;
} PathNames;

/*
 * The folder of an instant (unix microseconds).  It has no instant before begin
 * and none at or behind end; INT64_MIN and INT64_MAX: of a template without
 * times, and at the ends of the years.  Where a clock is turned back there
 * may be instants of other folders between, and the folder is not complete
 * before its second pass is over.
 */
typedef struct PathSpan
{
	int64_t id;    /* equal for instants of one folder, and for no others */
	int64_t begin; /* unix microseconds */
	int64_t end;
	int64_t until; /* from the instant to here it is this folder */
} PathSpan;

PathSpan path_span(const Path *p, int64_t unix_us);

/* Appends the folder of the instant, with a slash behind it. */
void path_add(const Path *p, const PathNames *names, int64_t unix_us, Buf *out);

/*
 * Appends a pattern of all folders of the table: "?" for each digit of a time,
 * and a slash behind it.  No name has a byte that patterns have.
 */
void path_add_glob(const Path *p, const PathNames *names, Buf *out);

/*
 * Appends what all folders of the table look like: names as they stand in
 * them, "{yyyy}" to "{mi}" for the times, and a slash behind it.  No name has
 * a brace.
 */
void path_add_form(const Path *p, const PathNames *names, Buf *out);

/*
 * Appends what all folders of the table begin with: the segments before the
 * first one that has a time.  Other tables may have it, too.
 */
void path_add_prefix(const Path *p, const PathNames *names, Buf *out);

#endif
