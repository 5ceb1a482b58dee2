/*-------------------------------------------------------------------------
 * crc.c
 *	  The CRC-32C of packets: in lanes where the processor can, since the
 *	  server's own takes a tenth of the time of rows of many columns.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cdc_s3.h"
#include "cdc_s3_crc32c.h"

#ifdef CRC32C_LANES
static Crc32cShift lane_shift;
static bool has_lanes;
#endif

/* Once in a process, before the first packet. */
void
cdc_s3_crc_init(void)
{
#ifdef CRC32C_LANES
	has_lanes = crc32c_lanes_init(lane_shift);
#endif
}

/* Goes between INIT_CRC32C and FIN_CRC32C. */
pg_crc32c
cdc_s3_crc_add(pg_crc32c crc, const void *data, Size n)
{
#ifdef CRC32C_LANES
	if (likely(has_lanes))
		return crc32c_lanes(lane_shift, crc, data, n);
#endif
	COMP_CRC32C(crc, data, n);
	return crc;
}
