/*-------------------------------------------------------------------------
 * check.h
 *	  What the parts of "check" share: the state and the way of reporting.
 *
 * Each finding says what is so, why it matters, and the exact mend.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CHECK_H
#define CHECK_H

#include "cmd/config.h"
#include "codec/entry.h"
#include "io/source.h"
#include "pipe/pipe.h"
#include "store/store.h"

typedef enum CheckLevel
{
	CHECK_OK,
	CHECK_WARNING,
	CHECK_ERROR,
	CHECK_LEVELS
} CheckLevel;

typedef struct Check
{
	const Config *cfg;
	bool json;
	bool race;
	PGconn *conn; /* NULL where it could not be opened; all below too */
	PGconn *replication;
	Store *store;
	SourceSystem system; /* set with replication */
	Entry *last;         /* of the log; NULL where there is none */
	bool log_known;      /* the log could be read, or there is none */
	bool plugin_refused; /* no slot can be made, and it was said why */
	int count[CHECK_LEVELS];
	Err first; /* the first error, for the exit code */
} Check;

/* A finding less its "what", which is the format of check_report. */
typedef struct Finding
{
	CheckLevel level;
	ErrKind kind; /* of an error: decides the exit code */
	const char *name;
	const char *why;
	const char *mend;
} Finding;

void check_report(Check *c, const Finding *f, const char *what, ...)
	PRINTF(3, 4);
void check_ok(Check *c, const char *name, const char *what, ...) PRINTF(3, 4);

/* A call that failed: its error is the finding. */
void check_failed(Check *c, const char *name, const char *why, const Err *err);

/* True where source.tables, exclude and publication want the table. */
bool check_wants(const Check *c, const char *schema, const char *table);

/* The names of source.publication, as an array literal; "{}" for none. */
void check_publication_names(const Check *c, Buf *out);

/* One text value, or "" and a finding. */
bool check_text(Check *c, const char *name, const char *sql, Buf *out);

/* The parts, in the order in which they run. */
void check_source(Check *c);
void check_store(Check *c);
void check_outputs(Check *c);
void check_lifecycle(Check *c);
void check_file(Check *c);
void check_slot(Check *c);
void check_layout(Check *c);

/* The same of a further output, which the log has as e. */
void check_layout_of(Check *c, const char *name, const OutputOptions *o,
					 const EntryOutput *e);

void check_publications(Check *c);
void check_tables(Check *c);
void check_columns(Check *c);
void check_target(Check *c);

/* Tables that the target lacks rows of; those that were loaded too often. */
void check_resync(Check *c, PGconn *target);
void check_loads(Check *c);

#endif
