/*-------------------------------------------------------------------------
 * config_output.c
 *	  The table of settings of further outputs, and their names.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/config_output.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/setting.h"
#include "codec/path.h"
#include "pipe/pipe.h"

#define PREFIX "output."
#define ANY_NAME "output.NAME."
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789"
#define NAME_MAX_LEN 30
#define FULL_SIZE 160
#define VARIABLE_SIZE 160
#define UNSET (-1) /* of a number */

#define FIELD(f, T)                                                            \
	_Generic(((OutputConfig *) 0)->f, T : offsetof(OutputConfig, f))
#define TEXT(f) FIELD(f, char *)
#define NUMBER(f) FIELD(f, int64_t)
#define MB (INT64_C(1024) * 1024)
#define GB (1024 * MB)

/* One of them, and where its value is where it is not set. */
typedef struct OutputDef
{
	CfgDef def;     /* its name is ANY_NAME and the key */
	const char *as; /* NULL: its default */
} OutputDef;

/* clang-format off */
static const OutputDef defs[] = {
	{ { "output.NAME.url", CFG_URL, 0, TEXT(url), "",
		0, 0, NULL, "Further output: s3://bucket/prefix or file:///folder, apart from the lake" }, NULL },
	{ { "output.NAME.tables", CFG_STR, 0, TEXT(tables), "",
		0, 0, NULL, "Its tables, of those that are streamed: patterns as in source.tables; empty for all" }, NULL },
	{ { "output.NAME.exclude", CFG_STR, 0, TEXT(exclude), "",
		0, 0, NULL, "Tables that it has not: patterns as in source.tables" }, NULL },
	{ { "output.NAME.on_failure", CFG_ENUM, 0, TEXT(on_failure), "hold",
		0, 0, "hold, detach", "When it fails: hold waits as for the lake; detach goes on without it, and run exits with 8 at its end" }, NULL },
	{ { "output.NAME.detach_after", CFG_MS, 0, NUMBER(detach_after_ms), "10min",
		0, 24 * 3600 * 1000, NULL, "How long it has to fail before it is detached" }, NULL },
	{ { "output.NAME.format", CFG_ENUM, 0, TEXT(format), "",
		0, 0, "json, csv, parquet", "As output.format, which it is where nothing is said" }, "output.format" },
	{ { "output.NAME.parquet_timestamp", CFG_ENUM, 0, TEXT(parquet_timestamp), "",
		0, 0, "us, ms", "As output.parquet_timestamp, likewise" }, "output.parquet_timestamp" },
	{ { "output.NAME.parquet_types", CFG_ENUM, 0, TEXT(parquet_types), "",
		0, 0, "portable, exact", "As output.parquet_types, likewise" }, "output.parquet_types" },
	{ { "output.NAME.csv_newlines", CFG_ENUM, 0, TEXT(csv_newlines), "",
		0, 0, "keep, escape", "As output.csv_newlines, likewise" }, "output.csv_newlines" },
	{ { "output.NAME.shape", CFG_ENUM, 0, TEXT(shape), "",
		0, 0, "flat, dms", "As output.shape, likewise" }, "output.shape" },
	{ { "output.NAME.dms_header", CFG_ENUM, 0, TEXT(dms_header), "",
		0, 0, "off, on", "As output.dms_header, likewise" }, "output.dms_header" },
	{ { "output.NAME.dms_timestamp", CFG_STR, 0, TEXT(dms_timestamp), "",
		0, 0, NULL, "As output.dms_timestamp, likewise" }, "output.dms_timestamp" },
	{ { "output.NAME.dms_null", CFG_STR, 0, TEXT(dms_null), "",
		0, 0, NULL, "As output.dms_null, likewise" }, "output.dms_null" },
	{ { "output.NAME.dms_delimiter", CFG_STR, 0, TEXT(dms_delimiter), "",
		0, 0, NULL, "As output.dms_delimiter, likewise" }, "output.dms_delimiter" },
	{ { "output.NAME.names", CFG_ENUM, 0, TEXT(names), "",
		0, 0, "part, dms", "As output.names, likewise" }, "output.names" },
	{ { "output.NAME.compression", CFG_ENUM, 0, TEXT(compression), "",
		0, 0, "zstd, gzip, snappy, none", "As output.compression, likewise" }, "output.compression" },
	{ { "output.NAME.partition", CFG_ENUM, 0, TEXT(partition), "",
		0, 0, "hour, day, none", "As output.partition, likewise where its path is not set either" }, NULL },
	{ { "output.NAME.path", CFG_STR, 0, TEXT(path), "",
		0, 0, NULL, "As output.path, likewise where its partition is not set either" }, NULL },
	{ { "output.NAME.timezone", CFG_STR, 0, TEXT(timezone), "",
		0, 0, NULL, "As output.timezone, likewise" }, "output.timezone" },
	{ { "output.NAME.before", CFG_ENUM, 0, TEXT(before), "",
		0, 0, "off, on", "As output.before, likewise" }, "output.before" },
	{ { "output.NAME.numeric", CFG_ENUM, 0, TEXT(numeric), "",
		0, 0, "number, string, auto", "As output.numeric, likewise" }, "output.numeric" },
	{ { "output.NAME.max_bytes", CFG_BYTES, 0, NUMBER(max_bytes), "",
		MB, 4 * GB, NULL, "As output.max_bytes, likewise" }, "output.max_bytes" },
	{ { "output.NAME.max_rows", CFG_COUNT, 0, NUMBER(max_rows), "",
		0, 1000000000, NULL, "As output.max_rows, likewise" }, "output.max_rows" },
	{ { "output.NAME.endpoint", CFG_URL, 0, TEXT(endpoint), "",
		0, 0, NULL, "As store.endpoint, likewise" }, "store.endpoint" },
	{ { "output.NAME.region", CFG_STR, 0, TEXT(region), "",
		0, 0, NULL, "As store.region, likewise" }, "store.region" },
	{ { "output.NAME.profile", CFG_STR, 0, TEXT(profile), "",
		0, 0, NULL, "Profile of the AWS files that has its credentials; empty for those of the lake" }, NULL },
	{ { "output.NAME.addressing", CFG_ENUM, 0, TEXT(addressing), "",
		0, 0, "auto, path, virtual", "As store.addressing, likewise" }, "store.addressing" },
	{ { "output.NAME.ca_file", CFG_STR, 0, TEXT(ca_file), "",
		0, 0, NULL, "As store.ca_file, likewise" }, "store.ca_file" },
	{ { "output.NAME.checksum", CFG_ENUM, 0, TEXT(checksum), "",
		0, 0, "crc32c, off", "As store.checksum, likewise" }, "store.checksum" },
	{ { "output.NAME.sse", CFG_ENUM, 0, TEXT(sse), "",
		0, 0, "AES256, aws:kms", "As store.sse, likewise" }, "store.sse" },
	{ { "output.NAME.kms_key", CFG_STR, 0, TEXT(kms_key), "",
		0, 0, NULL, "As store.kms_key, likewise" }, "store.kms_key" },
	{ { "output.NAME.bucket_key", CFG_ENUM, 0, TEXT(bucket_key), "",
		0, 0, "off, on", "As store.bucket_key, likewise" }, "store.bucket_key" },
	{ { "output.NAME.storage_class", CFG_STR, 0, TEXT(storage_class), "",
		0, 0, NULL, "As store.storage_class, likewise" }, "store.storage_class" },
	{ { "output.NAME.tags", CFG_STR, 0, TEXT(tags), "",
		0, 0, NULL, "As store.tags, likewise" }, "store.tags" },
	{ { "output.NAME.acl", CFG_STR, 0, TEXT(acl), "",
		0, 0, NULL, "As store.acl, likewise" }, "store.acl" },
	{ { "output.NAME.expected_owner", CFG_STR, 0, TEXT(expected_owner), "",
		0, 0, NULL, "As store.expected_owner, likewise" }, "store.expected_owner" },
	{ { "output.NAME.requester_pays", CFG_ENUM, 0, TEXT(requester_pays), "",
		0, 0, "off, on", "As store.requester_pays, likewise" }, "store.requester_pays" },
};
/* clang-format on */

#define NDEFS ((int) (sizeof(defs) / sizeof(defs[0])))

_Static_assert(sizeof(defs) / sizeof(defs[0]) <= OUTPUT_KEYS_MAX, "lines[]");

static const char *
key_of(const OutputDef *d)
{
	return d->def.name + strlen(ANY_NAME);
}

static char **
text_field(const OutputConfig *o, const OutputDef *d)
{
	return (char **) ((char *) o + d->def.offset);
}

static int64_t *
number_field(const OutputConfig *o, const OutputDef *d)
{
	return (int64_t *) ((char *) o + d->def.offset);
}

/*
 * Names
 */
bool
config_is_output(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
		   strchr(name + strlen(PREFIX), '.') != NULL;
}

static bool
unknown_key(const char *name, const char *output, const char *where, Err *err)
{
	char full[OUTPUT_KEYS_MAX][FULL_SIZE];
	Nearest near;

	err_set(err, ERR_USAGE, 0, "there is no setting \"%.100s\" (%s)", name,
			where);
	nearest_init(&near, name);
	for (int i = 0; i < NDEFS; i++)
	{
		(void) snprintf(full[i], FULL_SIZE, PREFIX "%.40s.%s", output,
						key_of(&defs[i])); /* fits */
		nearest_offer(&near, full[i]);
	}
	if (nearest_get(&near))
		return err_hint(err, "did you mean \"%s\"?", nearest_get(&near));
	return err_hint(err, "\"cdc-s3 help\" lists those of outputs");
}

/* Takes "output.NAME.key" apart. */
static bool
split(const OutputConfigs *c, const char *name, char *output,
	  const OutputDef **out, const char *where, Err *err)
{
	const char *at = name + strlen(PREFIX);
	size_t n = strcspn(at, ".");
	char as_key[FULL_SIZE];

	(void) snprintf(output, NAME_MAX_LEN + 1, "%.*s", (int) n, at);
	(void) snprintf(as_key, sizeof(as_key), PREFIX "%.*s", (int) n, at);
	if (n == 0 || n > NAME_MAX_LEN || strspn(at, NAME_CHARS) != n ||
		isdigit((unsigned char) at[0]) || strcmp(output, "main") == 0 ||
		c->parent.has(as_key))
	{
		err_set(err, ERR_USAGE, 0, "\"%.*s\" is no name of an output (%s)",
				n > 60 ? 60 : (int) n, at, where);
		return err_hint(err, "a name has a small letter and then small letters "
							 "and digits, 30 at most, and is neither \"main\" "
							 "nor a setting of [output]");
	}
	for (int i = 0; i < NDEFS; i++)
	{
		if (strcmp(key_of(&defs[i]), at + n + 1) == 0)
		{
			*out = &defs[i];
			return true;
		}
	}
	return unknown_key(name, output, where, err);
}

void
config_output_variable(const char *variable, Buf *out_name)
{
	static const char prefix[] = "OUTPUT_";
	const char *at = variable + strlen(prefix);
	size_t n = strcspn(at, "_");

	buf_reset(out_name);
	if (strncmp(variable, prefix, strlen(prefix)) != 0 || at[n] == '\0')
		return;
	buf_printf(out_name, PREFIX "%.*s.%s", (int) n, at, at + n + 1);
	for (size_t i = 0; i < out_name->n; i++)
		out_name->p[i] = (uint8_t) tolower(out_name->p[i]);
	for (int i = 0; i < NDEFS; i++)
	{
		if (strcmp(key_of(&defs[i]),
				   buf_cstr(out_name) + strlen(PREFIX) + n + 1) == 0)
			return;
	}
	buf_reset(out_name);
}

/*
 * Setting
 */
static void
output_free(OutputConfig *o)
{
	free(o->name);
	for (int i = 0; i < NDEFS; i++)
	{
		if (!setting_is_number(&defs[i].def))
			free(*text_field(o, &defs[i]));
		free(o->where[i]);
	}
	free(o);
}

void
config_outputs_free(OutputConfigs *c)
{
	for (int i = 0; i < c->n; i++)
		output_free(c->all[i]);
	free(c->all);
	c->all = NULL;
	c->n = 0;
}

static OutputConfig *
find(const OutputConfigs *c, const char *name)
{
	for (int i = 0; i < c->n; i++)
	{
		if (strcmp(c->all[i]->name, name) == 0)
			return c->all[i];
	}
	return NULL;
}

/* In the order of their names, wherever they come from. */
static OutputConfig *
add(OutputConfigs *c, const char *name)
{
	OutputConfig *o = xcalloc(1, sizeof(*o));
	int at = c->n;

	o->name = xstrdup(name);
	for (int i = 0; i < NDEFS; i++)
	{
		if (setting_is_number(&defs[i].def))
			*number_field(o, &defs[i]) = UNSET;
		else
			*text_field(o, &defs[i]) = xstrdup("");
	}
	c->all = xrealloc(c->all, ((size_t) at + 1) * sizeof(*c->all));
	c->n++;
	for (; at > 0 && strcmp(c->all[at - 1]->name, name) > 0; at--)
		c->all[at] = c->all[at - 1];
	c->all[at] = o;
	return o;
}

bool
config_output_set(OutputConfigs *c, const char *name, const char *value,
				  bool from_argv, const char *where, int line, Err *err)
{
	char output[NAME_MAX_LEN + 1];
	const OutputDef *d = NULL;
	OutputConfig *o;
	CfgDef def;
	int *seen;

	if (!split(c, name, output, &d, where, err))
		return false;
	o = find(c, output);
	if (!o)
		o = add(c, output);
	seen = &o->lines[d - defs];
	if (line > 0 && *seen > 0)
		return err_set(err, ERR_USAGE, 0,
					   "setting \"%s\" stands twice, in line %d and %d", name,
					   *seen, line);
	*seen = line > 0 ? line : *seen;
	def = d->def;
	def.name = name;
	if (!setting_store(o, &def, value, from_argv, where, err))
		return false;
	free(o->where[d - defs]);
	o->where[d - defs] = xstrdup(where);
	return true;
}

/*
 * The whole
 */
static void
set_text(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

/* A path of its own has no partition, and the other way round. */
static void
fill_folders(const OutputConfigs *c, OutputConfig *o)
{
	bool has_path = o->path[0] != '\0';
	bool has_partition = o->partition[0] != '\0';

	if (!has_path)
		set_text(&o->path, has_partition ? PATH_DEFAULT
										 : c->parent.text(c->parent.config,
														  "output.path"));
	if (!has_partition)
		set_text(&o->partition, has_path ? "hour"
										 : c->parent.text(c->parent.config,
														  "output.partition"));
}

/* Of these no text is a value of its own. */
static bool
says_nothing(const OutputConfig *o, int i)
{
	return o->where[i] && (strcmp(key_of(&defs[i]), "dms_null") == 0 ||
						   strcmp(key_of(&defs[i]), "dms_timestamp") == 0);
}

static void
fill(const OutputConfigs *c, OutputConfig *o)
{
	for (int i = 0; i < NDEFS; i++)
	{
		const OutputDef *d = &defs[i];

		if (!d->as)
			continue;
		if (!setting_is_number(&d->def))
		{
			char **text = text_field(o, d);

			if ((*text)[0] == '\0' && !says_nothing(o, i))
				set_text(text, c->parent.text(c->parent.config, d->as));
		}
		else if (*number_field(o, d) == UNSET)
			*number_field(o, d) = c->parent.number(c->parent.config, d->as);
	}
	fill_folders(c, o);
	if (o->on_failure[0] == '\0')
		set_text(&o->on_failure, "hold");
	if (o->detach_after_ms == UNSET)
		o->detach_after_ms = INT64_C(600000);
}

bool
config_outputs_finish(OutputConfigs *c, Err *err)
{
	if (c->n > OUTPUTS_MAX - 1)
		return err_set(err, ERR_USAGE, 0,
					   "there are %d further outputs; %d are the most", c->n,
					   OUTPUTS_MAX - 1);
	for (int i = 0; i < c->n; i++)
	{
		OutputConfig *o = c->all[i];

		fill(c, o);
		if (o->url[0] == '\0')
		{
			err_set(err, ERR_USAGE, 0,
					"setting \"" PREFIX "%s.url\" is not set", o->name);
			return err_hint(err, "say where the output lies, or leave its "
								 "other settings out");
		}
	}
	return true;
}

static bool
is_equal(const OutputConfig *a, const OutputConfig *b, const OutputDef *d)
{
	if (setting_is_number(&d->def))
		return *number_field(a, d) == *number_field(b, d);
	return strcmp(*text_field(a, d), *text_field(b, d)) == 0;
}

static void
note(Buf *kept, const char *name, const char *key)
{
	buf_printf(kept, "%s" PREFIX "%s.%s", kept->n ? ", " : "", name, key);
}

static void
compare(const OutputConfig *old, const OutputConfig *now, Buf *kept)
{
	for (int i = 0; i < NDEFS; i++)
	{
		if (!is_equal(old, now, &defs[i]))
			note(kept, old->name, key_of(&defs[i]));
	}
}

void
config_outputs_keep(const OutputConfigs *old, OutputConfigs *c, Buf *kept)
{
	for (int i = 0; i < old->n; i++)
	{
		const OutputConfig *now = find(c, old->all[i]->name);

		if (now)
			compare(old->all[i], now, kept);
		else
			note(kept, old->all[i]->name, "url");
	}
	for (int i = 0; i < c->n; i++)
	{
		if (!find(old, c->all[i]->name))
			note(kept, c->all[i]->name, "url");
	}
	config_outputs_free(c);
	for (int i = 0; i < old->n; i++)
	{
		OutputConfig *o = add(c, old->all[i]->name);

		for (int k = 0; k < NDEFS; k++)
		{
			if (setting_is_number(&defs[k].def))
				*number_field(o, &defs[k]) =
					*number_field(old->all[i], &defs[k]);
			else
				set_text(text_field(o, &defs[k]),
						 *text_field(old->all[i], &defs[k]));
		}
	}
}

const OutputConfig *
config_output_find(const OutputConfigs *c, const char *name, Err *err)
{
	const OutputConfig *o = find(c, name);
	Buf names;

	if (o)
		return o;
	buf_init(&names, 1024);
	for (int i = 0; i < c->n; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", c->all[i]->name);
	err_set(err, ERR_USAGE, 0, "there is no output \"%.60s\" in the settings",
			name);
	if (names.n > 0)
		(void) err_hint(err, "there are %s", buf_cstr(&names));
	else
		(void) err_hint(err, "give at least --output.NAME.url");
	buf_done(&names);
	return NULL;
}

void
config_outputs_each(const OutputConfigs *c, OutputSettingFn fn, void *arg)
{
	for (int i = 0; i < c->n * NDEFS; i++)
	{
		const OutputConfig *o = c->all[i / NDEFS];
		const OutputDef *d = &defs[i % NDEFS];
		const char *said = o->where[i % NDEFS];
		char name[FULL_SIZE];
		char number[64] = "";
		char as[FULL_SIZE];

		(void) snprintf(name, sizeof(name), PREFIX "%s.%s", o->name,
						key_of(d)); /* fits */
		(void) snprintf(as, sizeof(as), "%s%s", d->as ? "as " : "default",
						d->as ? d->as : ""); /* fits */
		if (setting_is_number(&d->def))
			setting_number_text(&d->def, *number_field(o, d), number,
								sizeof(number));
		fn(arg, name, setting_is_number(&d->def) ? number : *text_field(o, d),
		   said ? said : as);
	}
}

int
config_output_count(void)
{
	return NDEFS;
}

const CfgDef *
config_output_def(int i)
{
	return &defs[i].def;
}

/*
 * Help
 */
void
config_outputs_print_help(FILE *out)
{
	fprintf(out, "\n[output.NAME], for each further output\n");
	for (int i = 0; i < NDEFS; i++)
	{
		fprintf(out, "  %-16s %s\n", key_of(&defs[i]), defs[i].def.help);
		setting_print_limits(&defs[i].def, out);
	}
}

static const char *
variable_name(const OutputDef *d, char *buf, size_t size)
{
	size_t n = (size_t) snprintf(buf, size, "CDC_S3_OUTPUT_NAME_%s", key_of(d));

	for (size_t i = 0; i < n && i < size; i++)
		buf[i] = (char) toupper((unsigned char) buf[i]);
	return buf;
}

void
config_outputs_print_markdown(FILE *out)
{
	for (int i = 0; i < NDEFS; i++)
	{
		const CfgDef *def = &defs[i].def;
		char variable[VARIABLE_SIZE];
		char values[256];

		setting_values(def, values, sizeof(values));
		fprintf(out, "| `%s` | `%s` | %s%s%s | %s | %s |\n", def->name,
				variable_name(&defs[i], variable, sizeof(variable)),
				def->def[0] ? "`" : "", def->def, def->def[0] ? "`" : "",
				values, def->help);
	}
}
