/*-------------------------------------------------------------------------
 * line_change.h
 *	  A record line back to the Change that it was written of, so that any
 *	  format can write it anew.
 *
 * What a line does not say is not there: an old row that was left out, the
 * bytes of a withheld value that was too long, and where lines of embedded JSON
 * ended.
 * Ownership: the Change and all it points to are borrowed from the reader and
 * the line, until the next call.
 * Errors: ERR_DATA.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef LINE_CHANGE_H
#define LINE_CHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/change.h"
#include "codec/schema.h"

typedef struct LineChange LineChange;

/* Borrows the schema, by which the line was written. */
LineChange *line_change_new(const Schema *schema);
void line_change_free(LineChange *l);

bool line_change_read(LineChange *l, Slice line, Change *out,
					  Err *err) MUST_CHECK;

#endif
