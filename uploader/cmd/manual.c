/*-------------------------------------------------------------------------
 * manual.c
 *	  Manual pages, in the macros "man" of roff.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/manual.h"

#include <string.h>

#include "cmd/config.h"

#define NAME_SIZE 128

/* No byte of it is a request or an escape of roff; '-' is that of options. */
static void
text(FILE *out, const char *s)
{
	bool begins = true;

	for (; *s; s++)
	{
		if (begins && (*s == '.' || *s == '\''))
			fputs("\\&", out);
		if (*s == '\\')
			fputs("\\e", out);
		else if (*s == '-')
			fputs("\\-", out);
		else
			fputc(*s, out);
		begins = *s == '\n';
	}
}

static void
head(FILE *out, const char *name, const char *section)
{
	fprintf(out, ".TH %s %s \"\" \"cdc\\-s3 %s\" \"cdc\\-s3\"\n", name, section,
			CDC_S3_VERSION);
	fprintf(out, ".nh\n.ad l\n");
}

static void
command(const Command *c, FILE *out)
{
	fprintf(out, ".SS ");
	text(out, c->name);
	fprintf(out, "\n.B cdc\\-s3 ");
	text(out, c->usage);
	fprintf(out, "\n.PP\n");
	text(out, c->help);
	fprintf(out, "\n");
	if (!c->options)
		return;
	fprintf(out, ".PP\n.nf\n");
	text(out, c->options);
	fprintf(out, ".fi\n");
}

void
manual_print(const Command *commands, int n, const char *exit_codes, FILE *out)
{
	head(out, "CDC\\-S3", "1");
	fprintf(out,
			".SH NAME\ncdc\\-s3 \\- stream changes of PostgreSQL to a lake on "
			"S3, and merge them into PostgreSQL\n"
			".SH SYNOPSIS\n.B cdc\\-s3\n.I COMMAND\n[\\fB\\-\\-config\\fR "
			"\\fIFILE\\fR] [\\fB\\-\\-section.key=\\fIvalue\\fR ...]\n"
			".SH DESCRIPTION\nRows of a PostgreSQL database, and all their "
			"changes, go to files on S3 and into a log that says which files "
			"count, each exactly once.  \"merge\" brings them into another "
			"PostgreSQL database.\n.SH COMMANDS\n");
	for (int i = 0; i < n; i++)
		command(&commands[i], out);
	fprintf(out, ".SH EXIT STATUS\n");
	text(out, exit_codes + strspn(exit_codes, "\n"));
	fprintf(out, ".SH SIGNALS\n.TP\nTERM, INT\nEnd in good order: what is "
				 "committed becomes durable, within shutdown.timeout.\n"
				 ".TP\nHUP\nRead the configuration again, and open log.file "
				 "anew.\n.TP\nUSR1\nMake a checkpoint now.\n"
				 ".SH SEE ALSO\n.BR cdc\\-s3.conf (5)\n");
}

static void
setting(const CfgDef *def, FILE *out)
{
	char values[256];

	setting_values(def, values, sizeof(values));
	fprintf(out, ".TP\n.B ");
	text(out, def->name);
	fprintf(out, "\n");
	text(out, def->help);
	fprintf(out, ".\n");
	if (def->def[0])
	{
		fprintf(out, "Default: ");
		text(out, def->def);
		fprintf(out, ".\n");
	}
	if (values[0])
	{
		fprintf(out, "Values: ");
		text(out, values);
		fprintf(out, ".\n");
	}
	if (def->flags & CFG_RELOAD)
		fprintf(out, "HUP brings a new value in.\n");
}

static void
variable(const CfgDef *def, FILE *out)
{
	char env[NAME_SIZE];

	fprintf(out, "Variable: ");
	text(out, config_env_name(def, env, sizeof(env)));
	fprintf(out, ".\n");
}

void
manual_print_conf(FILE *out)
{
	head(out, "CDC\\-S3.CONF", "5");
	fprintf(
		out,
		".SH NAME\ncdc\\-s3.conf \\- settings of cdc\\-s3\n"
		".SH DESCRIPTION\nThe file that \\fB\\-\\-config\\fR or the variable "
		"CDC_S3_CONFIG names.  A line is a [section], \"key = value\", a "
		"comment behind # or ; at its beginning, or empty.  A value may "
		"stand in double quotes.  A flag \\-\\-section.key=value goes before "
		"a variable, and that before the file.\n.PP\n"
		"\"cdc\\-s3 init \\-\\-example\" prints a file with all settings, "
		"\"cdc\\-s3 config\" those in force and where each comes from.\n"
		".SH SETTINGS\n");
	for (int i = 0; i < config_count(); i++)
	{
		setting(config_def(i), out);
		variable(config_def(i), out);
	}
	for (int i = 0; i < config_output_count(); i++)
	{
		setting(config_output_def(i), out);
		variable(config_output_def(i), out);
	}
	fprintf(out, ".SH SEE ALSO\n.BR cdc\\-s3 (1)\n");
}
