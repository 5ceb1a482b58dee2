/*-------------------------------------------------------------------------
 * value_text.c
 *	  The text of stored values, as every format of text writes it.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/value_text.h"

#include <string.h>

#include "cdc_s3_proto.h"
#include "codec/pgfmt.h"
#include "codec/row.h"

/*
 * What stands in o is a float's text of n bytes; returns how many it has then.
 * Readers take "-0" for an integer, which has no sign: it is to be -0.0.
 */
static size_t
finish_float(char *o, size_t n, bool *out_string)
{
	*out_string = o[n - 1] == 'N' || o[n - 1] == 'y';
	if (n != 2 || memcmp(o, "-0", 2) != 0)
		return n;
	memcpy(o + n, ".0", 2);
	return n + 2;
}

size_t
value_text_fixed(char *o, uint8_t kind, const uint8_t *p, bool *out_string)
{
	uint32_t u32;
	uint64_t u64;
	float f4;
	double f8;

	*out_string = kind >= CDC_S3_KIND_DATE;
	switch (kind)
	{
		case CDC_S3_KIND_BOOL:
			memcpy(o, p[0] ? "true" : "false", 5);
			return p[0] ? 4 : 5;
		case CDC_S3_KIND_INT2:
			return fmt_i64(o, (int16_t) get_u16(p));
		case CDC_S3_KIND_INT4:
			return fmt_i64(o, (int32_t) get_u32(p));
		case CDC_S3_KIND_INT8:
			return fmt_i64(o, (int64_t) get_u64(p));
		case CDC_S3_KIND_OID:
			return fmt_u64(o, get_u32(p));
		case CDC_S3_KIND_FLOAT4:
			u32 = get_u32(p);
			memcpy(&f4, &u32, 4);
			return finish_float(o, fmt_float4(o, f4), out_string);
		case CDC_S3_KIND_FLOAT8:
			u64 = get_u64(p);
			memcpy(&f8, &u64, 8);
			return finish_float(o, fmt_float8(o, f8), out_string);
		case CDC_S3_KIND_DATE:
			return fmt_date(o, (int32_t) get_u32(p));
		case CDC_S3_KIND_TIME:
			return fmt_time(o, (int64_t) get_u64(p));
		case CDC_S3_KIND_TIMETZ:
			return fmt_timetz(o, (int64_t) get_u64(p),
							  (int32_t) get_u32(p + 8));
		case CDC_S3_KIND_TIMESTAMP:
			return fmt_timestamp(o, (int64_t) get_u64(p), false);
		case CDC_S3_KIND_TIMESTAMPTZ:
			return fmt_timestamp(o, (int64_t) get_u64(p), true);
		case CDC_S3_KIND_INTERVAL:
			return fmt_interval(o, (int64_t) get_u64(p),
								(int32_t) get_u32(p + 8),
								(int32_t) get_u32(p + 12));
		default:
			return fmt_uuid(o, p);
	}
}
