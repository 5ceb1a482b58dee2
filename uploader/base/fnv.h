/*-------------------------------------------------------------------------
 * fnv.h
 *	  FNV-1a, 64 bits: for tables in memory, not against who picks the keys
 *	  (RFC 9923).
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef FNV_H
#define FNV_H

#include <stdint.h>

#define FNV1A_EMPTY UINT64_C(14695981039346656037)
#define FNV1A_PRIME UINT64_C(1099511628211)

/* The hash of what h (or FNV1A_EMPTY) is the hash of, and s behind it. */
static inline uint64_t
fnv1a(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t) *s) * FNV1A_PRIME;
	return h;
}

#endif
