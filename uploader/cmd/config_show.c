/*-------------------------------------------------------------------------
 * config_show.c
 *	  The table of settings for people.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/config_show.h"

#include <string.h>

#include "codec/json.h"
#include "io/pgconn.h"

#define NAME_SIZE 128
#define VALUE_MAX 65536
#define HIDDEN "***"
#define EXAMPLE_WIDTH 78

/* Length of the section in "section.key". */
static int
section_length(const CfgDef *def)
{
	return (int) strcspn(def->name, ".");
}

/* True for the first of its section. */
static bool
begins_section(int i)
{
	return i == 0 || strncmp(config_def(i - 1)->name, config_def(i)->name,
							 (size_t) section_length(config_def(i)) + 1) != 0;
}

void
config_print_help(FILE *out)
{
	for (int i = 0; i < config_count(); i++)
	{
		const CfgDef *def = config_def(i);
		int n = section_length(def);

		if (begins_section(i))
			fprintf(out, "\n[%.*s]\n", n, def->name);
		fprintf(out, "  %-16s %s\n", def->name + n + 1, def->help);
		setting_print_limits(def, out);
	}
	config_outputs_print_help(out);
}

void
config_print_markdown(FILE *out)
{
	char env[NAME_SIZE];

	fprintf(out, "| setting | variable | default | values | what |\n"
				 "|---|---|---|---|---|\n");
	for (int i = 0; i < config_count(); i++)
	{
		const CfgDef *def = config_def(i);
		char values[256];

		setting_values(def, values, sizeof(values));
		fprintf(out, "| `%s` | `%s` | %s%s%s | %s | %s%s |\n", def->name,
				config_env_name(def, env, sizeof(env)), def->def[0] ? "`" : "",
				def->def, def->def[0] ? "`" : "", values, def->help,
				def->flags & CFG_RELOAD ? " (reload)" : "");
	}
	config_outputs_print_markdown(out);
}

/* As comments, no line longer than the width. */
static void
print_comment(FILE *out, const char *text)
{
	int column = 0;

	while (*text)
	{
		int n = (int) strcspn(text, " ");

		if (column == 0 || column + 1 + n > EXAMPLE_WIDTH)
		{
			fprintf(out, "%s# %.*s", column ? "\n" : "", n, text);
			column = 2 + n;
		}
		else
		{
			fprintf(out, " %.*s", n, text);
			column += 1 + n;
		}
		text += n + strspn(text + n, " ");
	}
	fprintf(out, "\n");
}

/* A section that may stand there with any name, or several times, or not. */
static void
print_output_example(FILE *out)
{
	fprintf(out, "\n# A further output: a section for each, of any name.\n"
				 "#\n#   [output.report]\n");
	for (int i = 0; i < config_output_count(); i++)
	{
		const CfgDef *def = config_output_def(i);

		fprintf(out, "#   %s =%s%s\n", strrchr(def->name, '.') + 1,
				def->def[0] ? " " : "", def->def);
	}
}

void
config_print_example(FILE *out)
{
	fprintf(out, "# Settings of cdc-s3.  What is a comment here has its "
				 "default.\n# \"cdc-s3 config --config FILE\" shows what is "
				 "in force.\n");
	for (int i = 0; i < config_count(); i++)
	{
		const CfgDef *def = config_def(i);
		int n = section_length(def);
		char values[256];
		bool required = def->flags & CFG_REQUIRED;

		setting_values(def, values, sizeof(values));
		if (begins_section(i))
			fprintf(out, "\n[%.*s]\n", n, def->name);
		fprintf(out, "\n");
		print_comment(out, def->help);
		if (values[0])
			fprintf(out, "# (%s)\n", values);
		fprintf(out, "%s%s =%s%s\n", required ? "" : "#", def->name + n + 1,
				def->def[0] || required ? " " : "",
				required ? "s3://my-bucket/my-prefix" : def->def);
	}
	print_output_example(out);
}

/* What may be shown of a value: nothing of a secret. */
static void
add_shown(const Config *c, int i, Buf *out)
{
	const CfgDef *def = config_def(i);
	Buf value;
	bool hidden = false;

	buf_init(&value, VALUE_MAX);
	config_value(c, i, &value);
	if (value.n > 0 && (def->flags & CFG_SECRET))
		hidden = def->type != CFG_CONNINFO ||
				 pg_conninfo_has_password(buf_cstr(&value)) ||
				 strcasestr(buf_cstr(&value), "password");
	buf_str(out, hidden ? HIDDEN : buf_cstr(&value));
	buf_done(&value);
}

static void
add_output_text(void *arg, const char *name, const char *value,
				const char *where)
{
	buf_printf(arg, "%s = ", name);
	buf_str(arg, value);
	buf_printf(arg, "  # %s\n", where);
}

void
config_add_text(const Config *c, Buf *out)
{
	for (int i = 0; i < config_count(); i++)
	{
		buf_printf(out, "%s = ", config_def(i)->name);
		add_shown(c, i, out);
		buf_printf(out, "  # %s\n", config_where(c, i));
	}
	config_outputs_each(&c->outputs, add_output_text, out);
}

static void
add_string(Buf *out, const char *s)
{
	buf_byte(out, '"');
	json_add_escaped(out, (const uint8_t *) s, strlen(s));
	buf_byte(out, '"');
}

static void
add_output_json(void *arg, const char *name, const char *value,
				const char *where)
{
	buf_str(arg, ",\n");
	add_string(arg, name);
	buf_str(arg, ":{\"value\":");
	add_string(arg, value);
	buf_str(arg, ",\"from\":");
	add_string(arg, where);
	buf_byte(arg, '}');
}

void
config_add_json(const Config *c, Buf *out)
{
	Buf value;

	buf_init(&value, VALUE_MAX);
	buf_byte(out, '{');
	for (int i = 0; i < config_count(); i++)
	{
		buf_reset(&value);
		add_shown(c, i, &value);
		buf_str(out, i ? ",\n" : "\n");
		add_string(out, config_def(i)->name);
		buf_str(out, ":{\"value\":");
		add_string(out, buf_cstr(&value));
		buf_str(out, ",\"from\":");
		add_string(out, config_where(c, i));
		buf_byte(out, '}');
	}
	config_outputs_each(&c->outputs, add_output_json, out);
	buf_str(out, "\n}\n");
	buf_done(&value);
}
