/*-------------------------------------------------------------------------
 * hash.h
 *	  SHA-256, HMAC-SHA256, CRC-32C, and the spellings of bytes as text.
 *
 * CRC-32C (Castagnoli) is what packets, objects and S3 checksums carry.  The
 * processor's instruction is used where it is there, tables elsewhere.
 * Threads: any.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef HASH_H
#define HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SHA256_LEN 32
#define SHA256_HEX_SIZE (2 * SHA256_LEN + 1)

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX_SIZE]);

/* The same piece by piece; sha256_end() frees. */
typedef struct Sha256 Sha256;
Sha256 *sha256_begin(void);
void sha256_add(Sha256 *s, const void *p, size_t n);
void sha256_end(Sha256 *s, char out[SHA256_HEX_SIZE]);

void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
				 uint8_t out[SHA256_LEN]);

/*
 * The CRC of p behind bytes whose CRC is "crc"; 0 to begin.  So
 * crc32c(crc32c(0, a), b) is the CRC of a and b in one.
 */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same from tables, whatever the processor; for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* Lower case, with a terminator: out holds 2 * n + 1 bytes. */
void hex_encode(const uint8_t *p, size_t n, char *out);

/* Reads 2 * n digits of either case into n bytes; false at another byte. */
bool hex_decode(const char *s, size_t n, uint8_t *out);

/* Standard alphabet, padded. */
void base64_add(Buf *out, const uint8_t *p, size_t n);

/* Appends the bytes; false (and out as it was) where s is not base64. */
bool base64_decode(const char *s, size_t n, Buf *out);

/* A CRC-32C as S3's header has it: base64 of four bytes, big-endian. */
#define CRC32C_BASE64_SIZE 9
void crc32c_base64(uint32_t crc, char out[CRC32C_BASE64_SIZE]);

/* Overwrites a secret, and the compiler may not leave it out. */
void wipe(void *p, size_t n);

#endif
