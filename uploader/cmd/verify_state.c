/*-------------------------------------------------------------------------
 * verify_state.c
 *	  How far "verify" came: a file of the user's, so that the next one reads
 *	  only what is new, or goes on where it was interrupted.
 *
 * It is written beside and renamed, so that it is there whole or not at all.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/verify.h"

bool
verify_state_read(Verify *v, Err *err)
{
	json_error_t jerr;
	json_t *doc;
	const char *lsn;
	const char *writer;
	bool ok;

	v->state_seq = -1;
	if (!v->state_file)
		return true;
	errno = 0;
	doc = json_load_file(v->state_file, 0, &jerr);
	if (!doc && errno == ENOENT)
		return true; /* the first time */
	lsn = json_string_value(json_object_get(doc, "end_lsn"));
	writer = json_string_value(json_object_get(doc, "writer"));
	ok = json_integer_value(json_object_get(doc, "version")) == 1 &&
		 json_is_integer(json_object_get(doc, "entry")) && lsn &&
		 lsn_parse(lsn, &v->state_end) && writer &&
		 strlen(writer) < sizeof(v->state_writer);
	if (ok)
	{
		v->state_seq = json_integer_value(json_object_get(doc, "entry"));
		memcpy(v->state_writer, writer, strlen(writer) + 1);
	}
	json_decref(doc);
	if (ok)
		return true;
	err_set(err, ERR_USAGE, 0, "\"%s\" is no state of verify", v->state_file);
	return err_hint(err, "name another file with --state, or remove this one");
}

bool
verify_state_write(const Verify *v, Err *err)
{
	char *beside;
	char why[64];
	FILE *f;
	bool ok;

	if (!v->state_file)
		return true;
	beside = xasprintf("%s.new", v->state_file);
	f = fopen(beside, "we");
	ok = f && fprintf(f,
					  "{\"version\":1,\"entry\":%" PRId64
					  ",\"end_lsn\":\"" LSN_HEX_FMT "\",\"writer\":\"%s\"}\n",
					  v->done, v->done_end, v->done_writer) > 0;
	if (f && fclose(f) != 0)
		ok = false;
	ok = ok && rename(beside, v->state_file) == 0;
	if (!ok)
	{
		err_set(err, ERR_USAGE, errno, "could not write \"%s\": %s",
				v->state_file, err_errno(errno, why, sizeof(why)));
		err_hint(err, "name a file with --state that can be written");
	}
	free(beside);
	return ok;
}
