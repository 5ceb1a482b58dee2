/*-------------------------------------------------------------------------
 * upload_note.h
 *	  What is begun is written down before: _cdc/uploads/<name>, one small
 *	  object for each upload in parts that is neither whole nor abandoned.
 *
 * A writer that is killed leaves uploads that take room and that nobody sees.
 * Some servers list uploads only by their exact key, and some policies forbid
 * the listing: the note has the key, and once it is known another one beside
 * it, <name>.id, the upload's id.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#ifndef UPLOAD_NOTE_H
#define UPLOAD_NOTE_H

#include "store/store.h"

#define UPLOAD_NOTES "_cdc/uploads/"

/* Before the upload of key is begun, with id NULL; and once it was. */
bool upload_note_put(Store *s, const char *key, const char *id,
					 Err *err) MUST_CHECK;

/* The upload is over.  What cannot be removed the sweep removes. */
void upload_note_del(Store *s, const char *key);

/* The same, of the note that lies there. */
bool upload_note_del_at(Store *s, const char *at, Err *err) MUST_CHECK;

/*
 * Reads the note at "at": *out_key is "" where it is none of a key; *out_id is
 * "" where the writer died before it knew it.
 */
bool upload_note_get(Store *s, const char *at, Buf *out_key, Buf *out_id,
					 Err *err) MUST_CHECK;

/*
 * Abandons an upload, and again where parts are left of it: one that was on
 * its way may come in behind the first time.
 */
bool upload_abandon(Store *s, const char *key, const char *id,
					Err *err) MUST_CHECK;

/* Abandons all uploads of key, whose id is not known. */
bool upload_abandon_all(Store *s, const char *key, int *out_n,
						Err *err) MUST_CHECK;

#endif
