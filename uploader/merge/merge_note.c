/*-------------------------------------------------------------------------
 * merge_note.c
 *	  What a merge leaves in the lake.
 *
 * A target needs the objects behind its position, and those behind the
 * announcement of a load that its tables wait for.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_note.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/expiry.h"

#define OF_SOURCE                                                              \
	" WHERE system_identifier = $1 AND database = $2 AND slot = $3"

static const char needs_sql[] =
	"SELECT entry, greatest(least(entry + 1, coalesce((SELECT min(since_entry)"
	" FROM cdc_s3.waiting" OF_SOURCE "), entry + 1)), 0),"
	" current_database() || ' at ' ||"
	" coalesce(host(inet_server_addr()), 'a socket') || ':' ||"
	" current_setting('port')"
	" FROM cdc_s3.position" OF_SOURCE;

/* The server's name is a person's, the address only where there is none. */
static char *
name_of(const MergeCx *cx, const char *address)
{
	const char *host = PQhost(cx->conn);

	if (!host || host[0] == '\0' || host[0] == '/')
		return xstrdup(address);
	return xasprintf("%s at %s:%s", PQdb(cx->conn), host, PQport(cx->conn));
}

void
note_target(MergeCx *cx)
{
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PGresult *res;
	Err err;

	if (!sql_params(cx, "read what the target needs", needs_sql, 3, values,
					&res, &err))
	{
		log_err(LOG_WARN, "what the target needs was not left in the lake",
				&err);
		return;
	}
	if (PQntuples(res) > 0)
	{
		TargetNote n = { .name = name_of(cx, PQgetvalue(res, 0, 2)),
						 .entry = strtoll(PQgetvalue(res, 0, 0), NULL, 10),
						 .needs = strtoll(PQgetvalue(res, 0, 1), NULL, 10),
						 .time = clock_unix_us() };

		if (!target_note(cx->store, &n, &err))
			log_event(LOG_WARN,
					  "what the target needs was not left in the lake", "error",
					  err.msg, "hint",
					  "allow merge to write below _cdc/target/, or take care "
					  "yourself that nothing expires that it needs",
					  NULL);
		free(n.name);
	}
	PQclear(res);
}
