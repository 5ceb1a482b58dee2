/*-------------------------------------------------------------------------
 * hash.c
 *	  SHA-256 and HMAC (from OpenSSL), CRC-32C, hex and base64.
 *
 * CRC-32C: by the processor's instruction where it has one
 * (cdc_s3_crc32c.h), else with eight tables, eight bytes a step.  The tables
 * are made before main() runs.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "cdc_s3_crc32c.h"

#define POLY UINT32_C(0x82f63b78) /* bits reversed */

static uint32_t step[8][256]; /* step[k]: a byte followed by k zero bytes */
#ifdef CRC32C_LANES
static Crc32cShift lane_shift;
static bool has_lanes;
#endif

__attribute__((constructor)) static void
make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++)
	{
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ (c & 1 ? POLY : 0);
		step[0][i] = c;
	}
	for (int k = 1; k < 8; k++)
		for (uint32_t i = 0; i < 256; i++)
			step[k][i] = (step[k - 1][i] >> 8) ^ step[0][step[k - 1][i] & 0xff];
#ifdef CRC32C_LANES
	has_lanes = crc32c_lanes_init(lane_shift);
#endif
}

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static uint32_t
crc_tables(uint32_t c, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8)
	{
		uint64_t v = load64(p) ^ c;

		c = step[7][v & 0xff] ^ step[6][v >> 8 & 0xff] ^
			step[5][v >> 16 & 0xff] ^ step[4][v >> 24 & 0xff] ^
			step[3][v >> 32 & 0xff] ^ step[2][v >> 40 & 0xff] ^
			step[1][v >> 48 & 0xff] ^ step[0][v >> 56];
	}
	for (; n > 0; p++, n--)
		c = (c >> 8) ^ step[0][(c ^ *p) & 0xff];
	return c;
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
#ifdef CRC32C_LANES
	if (has_lanes)
		return ~crc32c_lanes(lane_shift, ~crc, p, n);
#endif
	return ~crc_tables(~crc, p, n);
}

uint32_t
crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	return ~crc_tables(~crc, p, n);
}

void
sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	if (SHA256(p, n, out) == NULL)
		abort(); /* no memory, or no SHA-256 in this OpenSSL */
}

void
sha256_hex(const void *p, size_t n, char out[SHA256_HEX_SIZE])
{
	uint8_t sum[SHA256_LEN];

	sha256(p, n, sum);
	hex_encode(sum, sizeof(sum), out);
}

Sha256 *
sha256_begin(void)
{
	EVP_MD_CTX *s = EVP_MD_CTX_new();

	if (s == NULL || EVP_DigestInit_ex(s, EVP_sha256(), NULL) != 1)
		abort(); /* as above */
	return (Sha256 *) s;
}

void
sha256_add(Sha256 *s, const void *p, size_t n)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *) s, p, n) != 1)
		abort(); /* as above */
}

void
sha256_end(Sha256 *s, char out[SHA256_HEX_SIZE])
{
	uint8_t md[SHA256_LEN];

	if (EVP_DigestFinal_ex((EVP_MD_CTX *) s, md, NULL) != 1)
		abort(); /* as above */
	EVP_MD_CTX_free((EVP_MD_CTX *) s);
	hex_encode(md, sizeof(md), out);
}

void
hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
			uint8_t out[SHA256_LEN])
{
	unsigned len = SHA256_LEN;

	if (HMAC(EVP_sha256(), key, (int) key_len, p, n, out, &len) == NULL)
		abort(); /* as above */
}

void
hex_encode(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++)
	{
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(const char *s, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++)
	{
		int hi = hex_digit(s[2 * i]);
		int lo = hi < 0 ? -1 : hex_digit(s[2 * i + 1]);

		if (lo < 0)
			return false;
		out[i] = (uint8_t) (hi << 4 | lo);
	}
	return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
									"abcdefghijklmnopqrstuvwxyz"
									"0123456789+/";

void
base64_add(Buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += 3)
	{
		uint32_t v = (uint32_t) p[i] << 16;
		char quad[4];

		if (i + 1 < n)
			v |= (uint32_t) p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		quad[0] = base64_digits[v >> 18];
		quad[1] = base64_digits[v >> 12 & 63];
		quad[2] = i + 1 < n ? base64_digits[v >> 6 & 63] : '=';
		quad[3] = i + 2 < n ? base64_digits[v & 63] : '=';
		buf_add(out, quad, sizeof(quad));
	}
}

static int
base64_digit(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int) (at - base64_digits) : -1;
}

bool
base64_decode(const char *s, size_t n, Buf *out)
{
	size_t start = out->n;
	size_t pad = 0;

	if (n % 4 != 0)
		return false;
	while (pad < 2 && n > pad && s[n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < n; i += 4)
	{
		size_t digits = i + 4 == n ? 4 - pad : 4;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++)
		{
			int d = k < digits ? base64_digit(s[i + k]) : 0;

			if (d < 0)
			{
				out->n = start;
				return false;
			}
			v = v << 6 | (uint32_t) d;
		}
		buf_byte(out, (uint8_t) (v >> 16));
		if (digits > 2)
			buf_byte(out, (uint8_t) (v >> 8));
		if (digits > 3)
			buf_byte(out, (uint8_t) v);
	}
	return true;
}

void
crc32c_base64(uint32_t crc, char out[CRC32C_BASE64_SIZE])
{
	uint8_t raw[4] = { (uint8_t) (crc >> 24), (uint8_t) (crc >> 16),
					   (uint8_t) (crc >> 8), (uint8_t) crc };
	Buf text;

	buf_init(&text, CRC32C_BASE64_SIZE);
	base64_add(&text, raw, sizeof(raw));
	memcpy(out, text.p, CRC32C_BASE64_SIZE);
	buf_done(&text);
}

void
wipe(void *p, size_t n)
{
	if (p)
		OPENSSL_cleanse(p, n);
}
