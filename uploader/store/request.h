/*-------------------------------------------------------------------------
 * request.h
 *	  Requests to load tables: small files that "snapshot" leaves in the lake
 *	  and "run" takes away, since only run writes the log.
 *
 *		_cdc/request/<id>.json
 *		{"version":1,"id":"9f3a1c07","tables":"public.orders",
 *		 "after_entry":42,"time":"2026-11-21T08:14:09.001002Z"}
 *
 * A request asks and decides nothing: run loads what it wants anyway.
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "store/store.h"

#define REQUEST_ID_LEN 8 /* hex digits */

typedef struct Request
{
	char id[REQUEST_ID_LEN + 1];
	char *tables;  /* patterns, as in source.tables; NULL: it is malformed */
	int64_t after; /* the log's last entry when it was made */
	int64_t time;  /* unix us */
} Request;

typedef struct RequestList
{
	int n;
	Request *items;
} RequestList;

/* A new id, and only the writer's fields otherwise. */
void request_new_id(Request *r);
bool request_write(Store *s, const Request *r, Err *err) MUST_CHECK;

/* All that are there; the caller calls request_list_done, also on failure. */
bool request_list(Store *s, RequestList *out, Err *err) MUST_CHECK;
void request_list_done(RequestList *l);
bool request_is_in(const RequestList *l, const char *id);

bool request_remove(Store *s, const char *id, Err *err) MUST_CHECK;

#endif
