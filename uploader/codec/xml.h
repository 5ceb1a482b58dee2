/*-------------------------------------------------------------------------
 * xml.h
 *	  Finds the few elements that an object store's answers hold.
 *
 * Not a parser: elements are found by their local names, a prefix of a name
 * space is passed over, comments and declarations are skipped, and there is
 * no DTD.  Memory and time are bounded by the length of the document.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef XML_H
#define XML_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Finds the next element of that name in *rest, at any depth, and moves
 * *rest behind it.  *out is what stands between its tags, borrowed from the
 * document; it is empty for <Name/>.  False where there is none, or where
 * its end is missing.
 */
bool xml_next(Slice *rest, const char *name, Slice *out);

/* The first one; doc is not moved. */
bool xml_find(Slice doc, const char *name, Slice *out);

/* The name of the outermost element is this one, and its end is there. */
bool xml_has_root(Slice doc, const char *name);

/*
 * Appends the text of an element: the five entities and numbered characters
 * as what they stand for.  False at any other entity, or at an element.
 */
bool xml_add_text(Buf *out, Slice raw);

#endif
