/*-------------------------------------------------------------------------
 * formats.c
 *	  The formats of the lake: one row each.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/format.h"

#include <string.h>

#include "codec/csv.h"
#include "codec/csv_dms.h"
#include "codec/json.h"
#include "codec/parquet.h"

static const Format *const formats[] = { &json_format, &csv_format,
										 &parquet_format,
										 /* behind csv, whose suffix it has */
										 &csv_dms_format };

#define NFORMATS ((int) (sizeof(formats) / sizeof(formats[0])))

const Format *
format_at(int i)
{
	return i < NFORMATS ? formats[i] : NULL;
}

const Format *
format_find(const char *name)
{
	for (int i = 0; i < NFORMATS; i++)
	{
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

static bool
ends_with(const char *text, size_t n, const char *suffix)
{
	size_t len = strlen(suffix);

	return n >= len && memcmp(text + n - len, suffix, len) == 0;
}

const Format *
format_of_key(const char *key)
{
	size_t n =
		strlen(key) - strlen(compression_suffix(compression_of_key(key)));

	for (int i = 0; i < NFORMATS; i++)
	{
		if (ends_with(key, n, formats[i]->suffix))
			return formats[i];
	}
	return NULL;
}

bool
format_unknown(const char *key, Err *err)
{
	err_set(err, ERR_DATA, 0,
			"object \"%s\" is of a format that this version does not know",
			key);
	return err_hint(err, "it was written by a later version: use that one");
}
