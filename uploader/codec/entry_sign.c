/*-------------------------------------------------------------------------
 * entry_sign.c
 *	  How the text of an entry ends: its CRC-32C, and before it the HMAC
 *	  where the entry is signed; and the keys of that.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry.h"
#include "codec/entry_impl.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/hash.h"

/* How a text ends, the HMAC where it is signed; behind them the hex digits. */
#define HMAC_BEGIN ",\n\"hmac\":\""
#define HMAC_SIZE (sizeof(HMAC_BEGIN) - 1 + 2 * SHA256_LEN + 1)
#define CRC_BEGIN ",\n\"crc32c\":\""
#define CRC_END "\"}\n"
#define CRC_DIGITS 8
#define CRC_SIZE (sizeof(CRC_BEGIN) - 1 + CRC_DIGITS + sizeof(CRC_END) - 1)

static bool
add_key(EntryKeys *out, const char *key, size_t n, Err *err)
{
	if (out->n == ENTRY_KEYS_MAX || n < ENTRY_KEY_MIN)
	{
		err_set(err, ERR_USAGE, 0,
				out->n == ENTRY_KEYS_MAX
					? "there are more than two keys of the log"
					: "a key of the log is shorter than 16 characters");
		return err_hint(err, "write one key, or two on a line each: the first "
							 "signs, both verify");
	}
	out->key[out->n] = xmalloc(n + 1);
	memcpy(out->key[out->n], key, n);
	out->key[out->n++][n] = '\0';
	return true;
}

bool
entry_keys_parse(const char *text, EntryKeys *out, Err *err)
{
	static const char space[] = " \t\r\n";

	*out = (EntryKeys){ 0 };
	for (text += strspn(text, space); *text; text += strspn(text, space))
	{
		size_t n = strcspn(text, space);

		if (!add_key(out, text, n, err))
		{
			entry_keys_done(out);
			return false;
		}
		text += n;
	}
	return true;
}

void
entry_keys_done(EntryKeys *k)
{
	for (int i = 0; i < k->n; i++)
	{
		wipe(k->key[i], strlen(k->key[i]));
		free(k->key[i]);
	}
	k->n = 0;
}

void
entry_add_checks(const EntryKeys *keys, size_t from, Buf *out)
{
	uint8_t mac[SHA256_LEN];
	char hex[SHA256_HEX_SIZE];

	if (out->overflow)
		return;
	if (keys && keys->n > 0)
	{
		hmac_sha256(keys->key[0], strlen(keys->key[0]), out->p + from,
					out->n - from, mac);
		hex_encode(mac, sizeof(mac), hex);
		buf_printf(out, HMAC_BEGIN "%s\"", hex);
	}
	buf_printf(out, CRC_BEGIN "%08x" CRC_END,
			   crc32c(0, out->p + from, out->n - from));
}

/* What is left of text before an end of size bytes that begins so. */
static bool
ends_with(Slice text, const char *begin, size_t size, Slice *before)
{
	if (text.n < size ||
		memcmp(text.p + text.n - size, begin, strlen(begin)) != 0)
		return false;
	*before = (Slice){ text.p, text.n - size };
	return true;
}

static bool
crc_is_right(Slice text, Slice *before)
{
	char end[CRC_DIGITS + sizeof(CRC_END)];

	if (!ends_with(text, CRC_BEGIN, CRC_SIZE, before))
		return false;
	(void) snprintf(end, sizeof(end), "%08x" CRC_END,
					crc32c(0, before->p, before->n)); /* fits */
	return memcmp(text.p + text.n - strlen(end), end, strlen(end)) == 0;
}

/* No early end at the first byte that differs. */
static bool
hmac_is_right(Slice text, const char *hex, const char *key)
{
	uint8_t mac[SHA256_LEN];
	char own[SHA256_HEX_SIZE];
	unsigned char differs = 0;

	hmac_sha256(key, strlen(key), text.p, text.n, mac);
	hex_encode(mac, sizeof(mac), own);
	for (size_t i = 0; i < SHA256_HEX_SIZE - 1; i++)
		differs |= (unsigned char) (own[i] ^ hex[i]);
	return differs == 0;
}

/* text ends before its CRC. */
static bool
check_hmac(Slice text, const EntryKeys *keys, bool *is_signed, Err *err)
{
	Slice before;

	*is_signed = ends_with(text, HMAC_BEGIN, HMAC_SIZE, &before);
	if (!keys || keys->n == 0)
		return true;
	for (int i = 0; *is_signed && i < keys->n; i++)
	{
		if (hmac_is_right(before,
						  (const char *) before.p + before.n +
							  sizeof(HMAC_BEGIN) - 1,
						  keys->key[i]))
			return true;
	}
	err_set(err, ERR_DATA, 0,
			*is_signed
				? "its HMAC is not of this content and a key of log.key_file"
				: "it has no HMAC, and log.key_file asks for one");
	return err_hint(err, "somebody without the key wrote it, or the key is "
						 "another one: correct log.key_file, or find who wrote "
						 "to the bucket");
}

bool
entry_check_text(Slice json, const EntryKeys *keys, bool *is_signed, Err *err)
{
	Slice before;
	json_t *doc;
	json_int_t version;

	if (crc_is_right(json, &before))
		return check_hmac(before, keys, is_signed, err);
	doc = json_loadb((const char *) json.p, json.n, 0, NULL);
	version = json_integer_value(json_object_get(doc, "version"));
	json_decref(doc);
	err_set(err, ERR_DATA, 0, "its checksum is not that of its content");
	if (version == 1)
		return err_hint(err, "it was written by a release whose entries had no "
							 "checksum: begin a new lake under another prefix");
	return err_hint(err, "it was damaged or edited: restore it (versioned "
						 "bucket)");
}
