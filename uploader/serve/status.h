/*-------------------------------------------------------------------------
 * status.h
 *	  /status (JSON), and the page, which is the same for people.
 *
 * The page is plain HTML, without a script and without anything from outside:
 * it loads itself anew every five seconds.  Whatever comes from a database is
 * escaped here, at the one place where it is written.
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef STATUS_H
#define STATUS_H

#include "base/buf.h"
#include "serve/view.h"

#define STATUS_MAX_BYTES ((size_t) 1 << 20)

void status_add_json(const View *v, Buf *out);
void status_add_page(const View *v, Buf *out);

extern const char status_css[];

/* As the text of an element or of a quoted attribute. */
void status_add_text(Buf *out, const char *s);

#endif
