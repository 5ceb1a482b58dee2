/*-------------------------------------------------------------------------
 * published.c
 *	  The publications of source.publication, and which of them the log knows.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/published.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codec/json.h"
#include "io/pgconn.h"
#include "pipe/wanted.h"

#define NAMES_MAX ((size_t) 1 << 20)

/* The rows are those of the list, in its order; of a missing one OID 0. */
static bool
look(PGconn *conn, const char *list, PGresult **out, Err *err)
{
	static const char sql[] =
		"SELECT w.name, coalesce(p.oid, 0), CASE"
		" WHEN pg_catalog.pg_is_in_recovery()"
		"  THEN pg_catalog.pg_last_wal_replay_lsn()"
		" ELSE pg_catalog.pg_current_wal_insert_lsn() END"
		" FROM pg_catalog.unnest($1::pg_catalog.name[]) WITH ORDINALITY"
		"  w (name, n)"
		" LEFT JOIN pg_catalog.pg_publication p ON p.pubname = w.name"
		" ORDER BY w.n";
	const char *value;
	Buf names;
	bool ok;

	buf_init(&names, NAMES_MAX);
	ok = wanted_names(list, &names, err);
	value = buf_cstr(&names);
	ok = ok && pg_exec_params(conn, PG_SOURCE, "look for the publications", sql,
							  1, &value, out, err);
	buf_done(&names);
	return ok;
}

static uint32_t
oid_of(const PGresult *res, int row)
{
	return (uint32_t) strtoul(PQgetvalue(res, row, 1), NULL, 10);
}

/* A log that holds a name that is no UTF-8 could not be read. */
static void
take(const PGresult *res, int row, Entry *out)
{
	const char *name = PQgetvalue(res, row, 0);
	EntryPublication *p;

	if (oid_of(res, row) == 0 || entry_find_publication(out, name) ||
		!utf8_valid((const uint8_t *) name, strlen(name)))
		return;
	p = entry_add_publication(out);
	entry_set(&p->name, name);
	p->oid = oid_of(res, row);
}

static bool
take_all(const PGresult *res, Entry *out, Lsn *out_at, Err *err)
{
	for (int row = 0; row < PQntuples(res); row++)
	{
		if (!lsn_parse(PQgetvalue(res, row, 2), out_at))
			return err_set(err, ERR_SOURCE, 0,
						   "the server told no WAL position");
		take(res, row, out);
	}
	return true;
}

bool
publications_read(PGconn *conn, const char *list, Entry *out, Lsn *out_at,
				  Err *err)
{
	PGresult *res;
	bool ok;

	*out_at = 0;
	if (!list || !list[0])
		return true;
	if (!look(conn, list, &res, err))
		return false;
	ok = take_all(res, out, out_at, err);
	PQclear(res);
	return ok;
}

uint32_t
publication_known(const Entry *log, const char *name, uint32_t oid)
{
	const EntryPublication *p = entry_find_publication(log, name);

	for (int i = 0; oid && i < log->npublications; i++)
	{
		if (log->publications[i].oid == oid)
			return oid;
	}
	return p ? p->oid : 0;
}

/* The log knows it, and there is none of this name. */
static bool
refuse(PGconn *control, const char *name, uint32_t known, Err *err)
{
	char oid[16];
	const char *value = oid;
	PGresult *res;

	(void) snprintf(oid, sizeof(oid), "%" PRIu32, known);
	if (!pg_exec_params(control, PG_SOURCE, "look for the publication",
						"SELECT pubname FROM pg_catalog.pg_publication"
						" WHERE oid = $1::pg_catalog.oid",
						1, &value, &res, err))
		return false;
	if (PQntuples(res) > 0)
	{
		err_set(err, ERR_SOURCE, 0, "publication \"%s\" was renamed to \"%s\"",
				name, PQgetvalue(res, 0, 0));
		err_hint(err, "nothing is lost: correct source.publication");
	}
	else
	{
		err_set(err, ERR_GAP, 0,
				"publication \"%s\", by which the log was written, was dropped",
				name);
		err_hint(err, PUBLICATION_WAYS_OUT);
	}
	PQclear(res);
	return false;
}

/* One of them: what the log knows of it. */
static bool
judge(const Entry *log, PGconn *control, const PGresult *res, int row,
	  Buf *oids, Err *err)
{
	const char *name = PQgetvalue(res, row, 0);
	uint32_t oid = oid_of(res, row);
	uint32_t known = publication_known(log, name, oid);

	buf_printf(oids, "%s%" PRIu32, row ? "," : "", known);
	if (oid == 0 && known != 0)
		return refuse(control, name, known, err);
	if (known != 0 && known != oid)
		log_warn("a publication is not the one that the log knows: where there "
				 "was none between them, its tables are told to lack rows",
				 "publication", name, "hint",
				 "they are loaded anew by themselves where load.resync is "
				 "auto, else by cdc-s3 snapshot",
				 NULL);
	return true;
}

bool
publications_plan(Pipe *p, PGconn *control, Buf *oids, Err *err)
{
	const char *list = p->options->publication;
	PGresult *res;
	bool ok;

	if (!list || !list[0])
		return true;
	if (!look(control, list, &res, err))
		return false;
	ok = take_all(res, p->publications, &p->published_at, err);
	for (int row = 0; ok && row < PQntuples(res); row++)
		ok = judge(p->start, control, res, row, oids, err);
	PQclear(res);
	/* nothing to insist on; a plugin of an earlier release goes on then */
	if (strspn(buf_cstr(oids), "0,") == oids->n)
		buf_reset(oids);
	return ok;
}

void
publications_fill_entry(const Pipe *p, Entry *e, const Entry *before)
{
	bool covered = p->publications && e->end >= p->published_at;

	entry_copy_publications(e, covered ? p->publications : before);
}
