/*-------------------------------------------------------------------------
 * entry_impl.h
 *	  What the files of an entry share; for entry*.c only.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef ENTRY_IMPL_H
#define ENTRY_IMPL_H

#include "codec/entry.h"

/* The end of a text that began at from. */
void entry_add_checks(const EntryKeys *keys, size_t from, Buf *out);

/* Checks come before the JSON, so that a text without them is told apart. */
bool entry_check_text(Slice json, const EntryKeys *keys, bool *is_signed,
					  Err *err) MUST_CHECK;

#endif
