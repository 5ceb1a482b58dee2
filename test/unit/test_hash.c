/*-------------------------------------------------------------------------
 * test_hash.c
 *	  codec/hash: known answers, and the two ways to a CRC agree.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "codec/hash.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_crc32c(void **state)
{
	/* RFC 3720, appendix B.4, and the customary check value */
	static const struct
	{
		const char *name;
		const char *bytes; /* hex; NULL: 32 of "fill" */
		int fill, step;
		uint32_t crc;
	} rows[] = {
		{ "nothing", "", 0, 0, 0 },
		{ "check value", "313233343536373839", 0, 0, 0xe3069283 },
		{ "32 zeros", NULL, 0, 0, 0x8a9136aa },
		{ "32 ones", NULL, 0xff, 0, 0x62a8ab43 },
		{ "32 rising", NULL, 0, 1, 0x46dd794e },
		{ "32 falling", NULL, 31, -1, 0x113fdb5c },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint8_t b[32];
		size_t n = sizeof(b);

		if (rows[i].bytes)
		{
			n = strlen(rows[i].bytes) / 2;
			assert_true(hex_decode(rows[i].bytes, n, b));
		}
		else
			for (int k = 0; k < 32; k++)
				b[k] = (uint8_t) (rows[i].fill + k * rows[i].step);
		if (crc32c(0, b, n) != rows[i].crc)
			fail_msg("%s: %08x", rows[i].name, crc32c(0, b, n));
		assert_int_equal(crc32c_portable(0, b, n), rows[i].crc);
	}
}

/* All offsets, lengths around the lanes' ends, and joined parts. */
static void
test_crc32c_ways_agree(void **state)
{
	size_t max = 3 * 3 * 1024 + 64;
	uint8_t *p = xmalloc(max + 8);

	(void) state;
	for (size_t i = 0; i < max + 8; i++)
		p[i] = (uint8_t) (i * 2654435761u >> 13);
	for (size_t offset = 0; offset < 8; offset++)
	{
		for (size_t n = 0; n < max; n += 1 + n / 37)
		{
			uint32_t whole = crc32c_portable(7, p + offset, n);
			size_t cut = n / 3;

			assert_int_equal(crc32c(7, p + offset, n), whole);
			assert_int_equal(
				crc32c(crc32c(7, p + offset, cut), p + offset + cut, n - cut),
				whole);
		}
	}
	free(p);
}

static void
test_sha256(void **state)
{
	static const struct
	{
		const char *text, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb924"
			  "27ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad" },
	};
	char hex[SHA256_HEX_SIZE];

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		sha256_hex(rows[i].text, strlen(rows[i].text), hex);
		assert_string_equal(hex, rows[i].hex);
	}
}

/* RFC 4231, cases 2 and 6 */
static void
test_hmac(void **state)
{
	uint8_t key[131];
	uint8_t sum[SHA256_LEN];
	char hex[SHA256_HEX_SIZE];
	const char *text = "what do ya want for nothing?";

	(void) state;
	hmac_sha256("Jefe", 4, text, strlen(text), sum);
	hex_encode(sum, sizeof(sum), hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
							 "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	text = "Test Using Larger Than Block-Size Key - Hash Key First";
	hmac_sha256(key, sizeof(key), text, strlen(text), sum);
	hex_encode(sum, sizeof(sum), hex);
	assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f"
							 "8e0bc6213728c5140546040f0ee37f54");
}

static void
test_base64(void **state)
{
	/* RFC 4648, chapter 10 */
	static const struct
	{
		const char *plain, *coded;
	} rows[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	static const char *const bad[] = { "Zg=",  "Z",    "Zg=a", "====",
									   "Zg!=", "=g==", "Zm9v=" };
	char crc[CRC32C_BASE64_SIZE];
	Buf b;

	(void) state;
	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		buf_reset(&b);
		base64_add(&b, (const uint8_t *) rows[i].plain, strlen(rows[i].plain));
		assert_string_equal(buf_cstr(&b), rows[i].coded);
		buf_reset(&b);
		assert_true(base64_decode(rows[i].coded, strlen(rows[i].coded), &b));
		assert_string_equal(buf_cstr(&b), rows[i].plain);
	}
	buf_reset(&b);
	buf_str(&b, "kept");
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		if (base64_decode(bad[i], strlen(bad[i]), &b))
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(buf_cstr(&b), "kept");
	}
	buf_done(&b);
	crc32c_base64(0xe3069283, crc);
	assert_string_equal(crc, "4waSgw==");
}

static void
test_hex(void **state)
{
	uint8_t b[2];
	char hex[5];

	(void) state;
	assert_true(hex_decode("0aFf", 2, b));
	hex_encode(b, 2, hex);
	assert_string_equal(hex, "0aff");
	assert_false(hex_decode("0g", 1, b));
	assert_false(hex_decode("g0", 1, b));
	assert_false(hex_decode("0", 1, b)); /* stops at the end of the string */
}

/* Answers from the algorithm's specification. */
static void
test_fnv(void **state)
{
	(void) state;
	assert_int_equal(fnv1a(FNV1A_EMPTY, ""), FNV1A_EMPTY);
	assert_int_equal(fnv1a(FNV1A_EMPTY, "a"), UINT64_C(0xaf63dc4c8601ec8c));
	assert_int_equal(fnv1a(FNV1A_EMPTY, "foobar"),
					 UINT64_C(0x85944171f73967e8));
	assert_int_equal(fnv1a(fnv1a(FNV1A_EMPTY, "foo"), "bar"),
					 fnv1a(FNV1A_EMPTY, "foobar"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fnv),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_crc32c_ways_agree),
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
