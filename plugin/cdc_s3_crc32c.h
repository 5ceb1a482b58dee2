/*-------------------------------------------------------------------------
 * cdc_s3_crc32c.h
 *	  CRC-32C of long input, at the speed of memory, for both sides.
 *
 * The instruction of x86-64 has a latency of three cycles and a throughput of
 * one, so long input is taken in three lanes at once; the lanes' CRCs are then
 * joined by tables that append CRC32C_LANE zero bytes to a CRC, which is
 * linear.  Where there is no such instruction CRC32C_LANES is not defined, or
 * crc32c_lanes_init() says so, and the caller uses what it has.
 *
 * CRCs are the raw state: begun with all bits set, inverted at the end.
 *-------------------------------------------------------------------------
 */
#ifndef CDC_S3_CRC32C_H
#define CDC_S3_CRC32C_H

#if defined(__x86_64__) && defined(__GNUC__)
#define CRC32C_LANES 1

#include <nmmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32C_LANE 1024 /* bytes a lane takes in one round */

/* [k][i]: what the value i in byte k of a CRC becomes behind the zero bytes */
typedef uint32_t Crc32cShift[4][256];

static inline uint64_t
crc32c_load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Fill the tables; false if this processor has no instruction for it. */
__attribute__((target("sse4.2"))) static inline bool
crc32c_lanes_init(Crc32cShift shift)
{
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("sse4.2"))
		return false;
	for (int k = 0; k < 4; k++)
	{
		shift[k][0] = 0;
		for (uint32_t i = 1; i < 256; i++)
		{
			uint64_t crc = i << (8 * k);

			/* Linear: what has several bits is the sum of those. */
			if ((i & (i - 1)) != 0)
				crc = shift[k][i & (i - 1)] ^ shift[k][i & (~i + 1)];
			else
				for (int n = 0; n < CRC32C_LANE; n += 8)
					crc = _mm_crc32_u64(crc, 0);
			shift[k][i] = (uint32_t) crc;
		}
	}
	return true;
}

static inline uint32_t
crc32c_shifted(const Crc32cShift shift, uint32_t c)
{
	return shift[0][c & 0xff] ^ shift[1][c >> 8 & 0xff] ^
		   shift[2][c >> 16 & 0xff] ^ shift[3][c >> 24];
}

__attribute__((target("sse4.2"))) static inline uint32_t
crc32c_lanes(const Crc32cShift shift, uint32_t crc, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t a = crc;

	for (; n >= (size_t) 3 * CRC32C_LANE;
		 p += 3 * CRC32C_LANE, n -= (size_t) 3 * CRC32C_LANE)
	{
		uint64_t b = 0;
		uint64_t c = 0;

		for (size_t i = 0; i < CRC32C_LANE; i += 8)
		{
			a = _mm_crc32_u64(a, crc32c_load(p + i));
			b = _mm_crc32_u64(b, crc32c_load(p + CRC32C_LANE + i));
			c = _mm_crc32_u64(c, crc32c_load(p + 2 * CRC32C_LANE + i));
		}
		b ^= crc32c_shifted(shift, (uint32_t) a);
		a = c ^ crc32c_shifted(shift, (uint32_t) b);
	}
	for (; n >= 8; p += 8, n -= 8)
		a = _mm_crc32_u64(a, crc32c_load(p));
	crc = (uint32_t) a;
	for (; n > 0; p++, n--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

#endif /* x86-64 */

#endif /* CDC_S3_CRC32C_H */
