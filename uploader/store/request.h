/*-------------------------------------------------------------------------
 * request.h
 *	  Requests to load tables: small files that "snapshot" and "merge" leave in
 *	  the lake and "run" takes away, since only run writes the log.
 *
 *		_cdc/request/<id>.json
 *		{"version":1,"id":"9f3a1c07","tables":"public.orders",
 *		 "after_entry":42,"time":"2026-11-21T08:14:09.001002Z"}
 *		{"version":2,"id":"5d01c2e9","table":"\"public\".\"orders\"",
 *		 "reason":"rewrite","lsn":"0000000016B374D8","after_entry":42,
 *		 "time":"2026-11-21T08:14:09.001002Z"}
 *
 * The first is a person's.  The second is for one table, which lacks what
 * changed at that LSN; its id follows from table, reason and LSN, so that
 * it is one request however often, and by whomever, it is made.
 *
 * A request asks and decides nothing: run loads what it wants anyway.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "base/lsn.h"
#include "store/store.h"

#define REQUEST_ID_LEN 8 /* hex digits */
#define REQUEST_ID_SIZE (REQUEST_ID_LEN + 1)
#define REQUEST_REASON_MAX 31

typedef struct Request
{
	char id[REQUEST_ID_SIZE];
	char *tables;  /* patterns, as in source.tables; NULL: it is malformed */
	char *reason;  /* NULL: a person asks */
	Lsn lsn;       /* with a reason: a load behind it is enough; or 0 */
	int64_t after; /* the log's last entry when it was made, or the target's
					* when a merge did */
	int64_t time;  /* unix us */
	/* run's own: it is not taken away, since its table … */
	bool stays;
	bool too_often; /* … was loaded too often today, or cannot be loaded */
	int64_t judged; /* up to this entry there is no load that is enough */
} Request;

typedef struct RequestList
{
	int n;
	Request *items;
} RequestList;

/* What is asked for without a person. */
typedef struct RequestNeed
{
	const Entry *source; /* any entry of the log: whose table */
	const char *schema;
	const char *table;
	const char *reason;
	Lsn lsn;
	int64_t after;
} RequestNeed;

/* A new id, and only the writer's fields otherwise. */
void request_new_id(Request *r);
bool request_write(Store *s, const Request *r, Err *err) MUST_CHECK;

/* True too where the same one is there. */
bool request_need(Store *s, const RequestNeed *n, Err *err) MUST_CHECK;

/* A pattern that matches this table alone, appended. */
void request_add_table(Buf *out, const char *schema, const char *table);

/* All that are there; the caller calls request_list_done, also on failure. */
bool request_list(Store *s, RequestList *out, Err *err) MUST_CHECK;
void request_list_done(RequestList *l);
void request_done(Request *r); /* one of its items */
bool request_is_in(const RequestList *l, const char *id);

bool request_remove(Store *s, const char *id, Err *err) MUST_CHECK;

#endif
