/*-------------------------------------------------------------------------
 * pgfmt.h
 *	  Stored values of PostgreSQL to text, without a server.
 *
 * Each function writes at most PGFMT_MAX bytes at out (fmt_numeric: see
 * there), no terminator, and returns how many.  Spellings follow the
 * server's output functions (src/backend/utils/adt), dates and times being
 * ISO 8601 with astronomical years: -0043 is 44 BC.
 * Threads: any.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PGFMT_H
#define PGFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PGFMT_MAX 128

size_t fmt_u64(char *out, uint64_t v);
size_t fmt_i64(char *out, int64_t v);

/* Shortest digits that read back as the same value; NaN, Infinity. */
size_t fmt_float4(char *out, float v);
size_t fmt_float8(char *out, double v);

size_t fmt_date(char *out, int32_t days); /* infinity */
size_t fmt_time(char *out, int64_t us);
size_t fmt_timetz(char *out, int64_t us, int32_t west_s);
size_t fmt_timestamp(char *out, int64_t us, bool z); /* z: append 'Z' */
size_t fmt_interval(char *out, int64_t us, int32_t days, int32_t months);
size_t fmt_uuid(char *out, const uint8_t *p);

/* "2026-11-21T08:14:07.123456Z": always six digits. */
size_t fmt_timestamp_us(char *out, int64_t us);

/*
 * The stored form of the wire.  fmt_numeric_size() bounds the length of the
 * text, 0 where the bytes are no numeric; *out_special: NaN or an infinity.
 */
size_t fmt_numeric_size(const uint8_t *p, size_t n);
size_t fmt_numeric(char *out, const uint8_t *p, size_t n, bool *out_special);

#endif
