/*-------------------------------------------------------------------------
 * setting.c
 *	  What one setting is, and whether a text is a good value for it.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/setting.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/lsn.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "codec/entry.h"
#include "io/pgconn.h"

#define SLOT_NAME_MAX 63 /* NAMEDATALEN - 1 of the server */

typedef struct Unit
{
	const char *name;
	int64_t size;
	bool shown; /* used when we print a value */
} Unit;

/* From the largest to the smallest. */
static const Unit time_units[] = {
	{ "d", INT64_C(86400000), true },
	{ "h", 3600000, true },
	{ "min", 60000, true },
	{ "m", 60000, false },
	{ "s", 1000, true },
	{ "ms", 1, true },
	{ NULL, 0, false },
};

static const Unit byte_units[] = {
	{ "TB", INT64_C(1) << 40, true },
	{ "GB", 1 << 30, true },
	{ "MB", 1 << 20, true },
	{ "kB", 1 << 10, true },
	{ "TiB", INT64_C(1) << 40, false },
	{ "GiB", 1 << 30, false },
	{ "MiB", 1 << 20, false },
	{ "KiB", 1 << 10, false },
	{ "T", INT64_C(1) << 40, false },
	{ "G", 1 << 30, false },
	{ "M", 1 << 20, false },
	{ "K", 1 << 10, false },
	{ "B", 1, true },
	{ NULL, 0, false },
};

static const Unit no_units[] = {
	{ NULL, 0, false },
};

static const Unit *
units_of(const CfgDef *def)
{
	if (def->type == CFG_COUNT)
		return no_units;
	return def->type == CFG_MS ? time_units : byte_units;
}

bool
setting_is_number(const CfgDef *def)
{
	return def->type == CFG_MS || def->type == CFG_BYTES ||
		   def->type == CFG_COUNT;
}

/* "60s" to 60000; only a time needs a unit, but for zero. */
static bool
parse_number(const CfgDef *def, const char *s, int64_t *out)
{
	int64_t n = 0;
	int64_t unit = 0;

	if (!isdigit((unsigned char) *s))
		return false;
	for (; isdigit((unsigned char) *s); s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, *s - '0', &n))
			return false;
	while (*s == ' ')
		s++;
	for (const Unit *u = units_of(def); *s && u->name && def->type != CFG_COUNT;
		 u++)
		if (strcasecmp(u->name, s) == 0)
			unit = u->size;
	if (*s == '\0' && (n == 0 || def->type != CFG_MS))
		unit = 1;
	return unit != 0 && !__builtin_mul_overflow(n, unit, out);
}

void
setting_number_text(const CfgDef *def, int64_t n, char *buf, size_t size)
{
	for (const Unit *u = units_of(def);
		 n != 0 && u->name && def->type != CFG_COUNT; u++)
		if (u->shown && n % u->size == 0)
		{
			(void) snprintf(buf, size, "%" PRId64 "%s", n / u->size, u->name);
			return;
		}
	(void) snprintf(buf, size, "%" PRId64, n);
}

void
setting_values(const CfgDef *def, char *buf, size_t size)
{
	char min[32];
	char max[32];

	buf[0] = '\0';
	if (def->type == CFG_ENUM)
		(void) snprintf(buf, size, "%s", def->values);
	else if (setting_is_number(def))
	{
		setting_number_text(def, def->min, min, sizeof(min));
		setting_number_text(def, def->max, max, sizeof(max));
		(void) snprintf(buf, size, "%s to %s", min, max);
	}
}

void
setting_print_limits(const CfgDef *def, FILE *out)
{
	char values[256];

	setting_values(def, values, sizeof(values));
	if (def->flags & CFG_REQUIRED)
		fprintf(out, "%19s(required)\n", "");
	else if (def->def[0] && values[0])
		fprintf(out, "%19s(default %s; %s)\n", "", def->def, values);
	else if (def->def[0])
		fprintf(out, "%19s(default %s)\n", "", def->def);
}

static bool
is_in_values(const char *values, const char *value)
{
	size_t n = strlen(value);

	while (*values)
	{
		size_t len = strcspn(values, ",");

		if (len == n && strncmp(values, value, n) == 0)
			return true;
		values += len;
		values += strspn(values, ", ");
	}
	return false;
}

static bool
is_slot_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && n <= SLOT_NAME_MAX && s[n] == '\0';
}

static bool
is_until(const char *s)
{
	Lsn lsn;
	int64_t us;

	return strcmp(s, "hour") == 0 || strcmp(s, "now") == 0 ||
		   lsn_parse(s, &lsn) || iso_parse(s, &us);
}

static bool
bad_value(const CfgDef *def, const char *value, const char *where,
		  const char *what, Err *err)
{
	char values[256];

	setting_values(def, values, sizeof(values));
	err_set(err, ERR_USAGE, 0,
			"setting \"%s\" has the value \"%.100s\" (%s), "
			"which is not %s",
			def->name, value, where, what);
	if (values[0])
		return err_hint(err, "allowed: %s", values);
	return false;
}

static bool
check_number(const CfgDef *def, const char *value, const char *where,
			 int64_t *out, Err *err)
{
	int64_t n = 0;

	if (!parse_number(def, value, &n))
		return bad_value(def, value, where,
						 def->type == CFG_MS      ? "a time with a unit, as 60s"
						 : def->type == CFG_COUNT ? "a whole number"
												  : "a size, as 64MB",
						 err);
	if (n < def->min || n > def->max)
		return bad_value(def, value, where, "in its range", err);
	*out = n;
	return true;
}

static bool
secret_in_flag(const CfgDef *def, Err *err)
{
	const char *side =
		strncmp(def->name, "source", 6) == 0 ? "SOURCE" : "TARGET";

	err_set(err, ERR_USAGE, 0,
			"flag \"--%s\" holds a password, which every user of the machine "
			"could read",
			def->name);
	return err_hint(err,
					"leave it out and use PGPASSFILE or PGPASSWORD, or give "
					"all of it in CDC_S3_%s_CONNINFO or in the file",
					side);
}

static bool
check_conninfo(const CfgDef *def, const char *value, bool from_argv,
			   const char *where, Err *err)
{
	char *why = NULL;
	PQconninfoOption *options;
	bool secret = false;
	bool valid;

	if (!strchr(value, '=') && !strstr(value, "://"))
		return true; /* the name of a database, or nothing */
	options = PQconninfoParse(value, &why);
	valid = options != NULL;
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		if (o->val && o->val[0] && o->dispchar[0] == '*')
			secret = true;
	if (strcasestr(value, "password="))
		secret = true; /* also where a slip made it a part of the host */
	PQconninfoFree(options);
	if (from_argv && (secret || (!valid && args_looks_secret(value))))
	{
		PQfreemem(why);
		return secret_in_flag(def, err);
	}
	if (!valid)
	{
		size_t n = why ? strcspn(why, "\n") : 0;

		/* the reason repeats a part of the value */
		if (args_looks_secret(value))
			n = 0;
		err_set(err, ERR_USAGE, 0,
				"setting \"%s\" (%s) is not a connection string%s%.*s",
				def->name, where, n ? ": " : "", (int) n, n ? why : "");
		err_hint(err, "write it as \"host=db port=5432 dbname=shop user=cdc\"");
	}
	PQfreemem(why);
	return valid;
}

static bool
check_url(const CfgDef *def, const char *value, const char *where, Err *err)
{
	if (!args_has_userinfo(value))
		return true;
	err_set(err, ERR_USAGE, 0, "setting \"%s\" (%s) holds credentials",
			def->name, where);
	return err_hint(err, "leave them out of the URL and use "
						 "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
						 "AWS_PROFILE");
}

static bool
check_password(const CfgDef *def, bool from_argv, Err *err)
{
	if (!from_argv)
		return true;
	err_set(err, ERR_USAGE, 0,
			"flag \"--%s\" holds a secret, which every user of the machine "
			"could read",
			def->name);
	return err_hint(err,
					"name a file with it in %s_file, or give it in the "
					"variable or the file of --config",
					def->name);
}

static bool
check_key(const CfgDef *def, const char *value, bool from_argv,
		  const char *where, Err *err)
{
	EntryKeys keys;

	if (from_argv)
	{
		err_set(err, ERR_USAGE, 0,
				"flag \"--%s\" holds a key, which every user of the machine "
				"could read",
				def->name);
		return err_hint(err, "name a file with it in log.key_file, or give it "
							 "in the variable CDC_S3_LOG_KEY");
	}
	if (!entry_keys_parse(value, &keys, err))
		return err_prefix(err, "setting \"%s\" (%s)", def->name, where);
	entry_keys_done(&keys);
	return true;
}

bool
setting_check(const CfgDef *def, const char *value, bool from_argv,
			  const char *where, int64_t *out_number, Err *err)
{
	switch (def->type)
	{
		case CFG_STR:
			return true;
		case CFG_CONNINFO:
			return check_conninfo(def, value, from_argv, where, err);
		case CFG_URL:
			return check_url(def, value, where, err);
		case CFG_KEY:
			return check_key(def, value, from_argv, where, err);
		case CFG_PASSWORD:
			return check_password(def, from_argv, err);
		case CFG_ENUM:
			/* the default, which may be none of them: "" */
			return strcmp(value, def->def) == 0 ||
				   is_in_values(def->values, value) ||
				   bad_value(def, value, where, "known", err);
		case CFG_SLOT:
			return is_slot_name(value) ||
				   bad_value(def, value, where,
							 "a slot's name: 1 to 63 of a-z, 0-9 and _", err);
		case CFG_UNTIL:
			return is_until(value) ||
				   bad_value(def, value, where,
							 "hour, now, an LSN, or a time as "
							 "2026-11-21T08:00:00Z",
							 err);
		case CFG_MS:
		case CFG_BYTES:
		case CFG_COUNT:
			return check_number(def, value, where, out_number, err);
	}
	return false; /* not reached */
}

bool
setting_store(void *to, const CfgDef *def, const char *value, bool from_argv,
			  const char *where, Err *err)
{
	char *field = (char *) to + def->offset;
	int64_t number = 0;

	if (!setting_check(def, value, from_argv, where, &number, err))
		return false;
	if (setting_is_number(def))
	{
		*(int64_t *) (void *) field = number;
		return true;
	}
	free(*(char **) (void *) field);
	*(char **) (void *) field = xstrdup(value);
	return true;
}
