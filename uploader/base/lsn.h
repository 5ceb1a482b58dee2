/*-------------------------------------------------------------------------
 * lsn.h
 *	  WAL positions in their two spellings: "0/16B374D8" in messages and in
 *	  the protocol, "0000000016B374D8" in the lake, where text order must be
 *	  LSN order.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef LSN_H
#define LSN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t Lsn;

/* For printf: printf("%X/%X", LSN_ARGS(lsn)) */
#define LSN_FMT "%" PRIX32 "/%" PRIX32
#define LSN_ARGS(l) (uint32_t)((l) >> 32), (uint32_t) (l)
#define LSN_HEX_FMT "%016" PRIX64

/* Reads either spelling, all of the string; false where it is neither. */
bool lsn_parse(const char *s, Lsn *out);

#endif
