/*-------------------------------------------------------------------------
 * published.h
 *	  The publications of source.publication, and which of them the log knows.
 *
 * A name says little: behind it there may be another publication than before,
 * and what was changed between the two is in no stream.  So entries remember
 * them by their OIDs, and the plugin is told which ones the log knows: it does
 * not pass over those (plugin/publication.c).
 *
 * Invariants:
 *	(1) An entry names a publication by an OID only if it was there at a
 *position that the entry covers.  So the past at any later position has it, or
 *its DROP is still to come, and to insist on it holds up no slot for good. (2)
 *One that the log knows and the server does not have begins no session.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef PUBLISHED_H
#define PUBLISHED_H

#include <libpq-fe.h>

#include "codec/entry.h"
#include "pipe/pipe.h"

/* Nobody passed anything over. */
#define PUBLICATION_WAYS_OUT                                                   \
	"nothing was passed over: create it again and start run, and its tables "  \
	"are told to lack rows and loaded anew (load.resync=auto, else cdc-s3 "    \
	"snapshot); or take it out of source.publication"

/*
 * Adds those of source.publication that are there to out, in its order.  At
 * *out_at all of them were.
 */
bool publications_read(PGconn *conn, const char *list, Entry *out, Lsn *out_at,
					   Err *err) MUST_CHECK;

/*
 * The OID by which the log knows a publication with this name and OID (0: it
 * is not there), whatever its name was then; 0 where it does not know it.
 */
uint32_t publication_known(const Entry *log, const char *name, uint32_t oid);

/*
 * Fills p->publications for the session that begins, and oids with the value of
 * the plugin's option publication_oids, "" where the log knows none.
 */
bool publications_plan(Pipe *p, PGconn *control, Buf *oids,
					   Err *err) MUST_CHECK;

/* Those that e is to name. */
void publications_fill_entry(const Pipe *p, Entry *e, const Entry *before);

#endif
