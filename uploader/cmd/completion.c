/*-------------------------------------------------------------------------
 * completion.c
 *	  Completions for bash and zsh.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "cmd/config.h"
#include "cmd/manual.h"

/* The next option that a command's lines of options name; NULL: no more. */
static const char *
next_option(const char *lines, int *out_n)
{
	while (lines && *lines)
	{
		const char *at = lines + strspn(lines, " ");

		if (strncmp(at, "--", 2) == 0)
		{
			*out_n = (int) strcspn(at, " \n|");
			return at;
		}
		lines = strchr(lines, '\n');
		lines = lines ? lines + 1 : NULL;
	}
	return NULL;
}

/* Values by which a setting is completed: "a, b" with blanks between. */
static void
print_values(const CfgDef *def, FILE *out)
{
	for (const char *p = def->values; p && *p; p++)
		if (*p != ',')
			fputc(*p, out);
}

void
completion_print_bash(const Command *commands, int n, FILE *out)
{
	fprintf(out,
			"# Completion of cdc-s3 for bash.\n_cdc_s3()\n{\n"
			"\tlocal cur prev name i command=\n"
			"\tcur=${COMP_WORDS[COMP_CWORD]}\n"
			"\tprev=${COMP_WORDS[COMP_CWORD - 1]}\n"
			"\tif [ \"$cur\" = = ]; then\n\t\tname=$prev cur=\n"
			"\telif [ \"$prev\" = = ]; then\n"
			"\t\tname=${COMP_WORDS[COMP_CWORD - 2]}\n\telse\n"
			"\t\tname=$prev\n\tfi\n"
			"\tcase $name in\n"
			"\t--config | --*_file | --log.file)\n"
			"\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\t\treturn\n\t\t;;\n");
	for (int i = 0; i < config_count(); i++)
	{
		const CfgDef *def = config_def(i);

		if (!def->values)
			continue;
		fprintf(out, "\t--%s)\n\t\tCOMPREPLY=($(compgen -W '", def->name);
		print_values(def, out);
		fprintf(out, "' -- \"$cur\"))\n\t\treturn\n\t\t;;\n");
	}
	fprintf(out, "\tesac\n"
				 "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
				 "\t\tcase ${COMP_WORDS[i]} in\n");
	for (int i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? " | " : "\t\t", commands[i].name);
	fprintf(out, ")\n\t\t\tcommand=${COMP_WORDS[i]}\n\t\t\tbreak\n\t\t\t;;\n"
				 "\t\tesac\n\tdone\n\tlocal words='--config");
	for (int i = 0; i < config_count(); i++)
		fprintf(out, " --%s=", config_def(i)->name);
	fprintf(out, "'\n\tcase $command in\n\t'')\n\t\twords=\"");
	for (int i = 0; i < n; i++)
		fprintf(out, "%s ", commands[i].name);
	fprintf(out, "$words --help --version\"\n\t\t;;\n");
	for (int i = 0; i < n; i++)
	{
		const char *at = commands[i].options;
		int len;

		fprintf(out, "\t%s)\n\t\twords=\"", commands[i].name);
		for (; (at = next_option(at, &len)) != NULL; at += len)
			fprintf(out, "%.*s ", len, at);
		fprintf(out, "$words --help\"\n\t\t;;\n");
	}
	fprintf(out, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
				 "\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n"
				 "}\ncomplete -F _cdc_s3 cdc-s3\n");
}

/* Between brackets or behind a colon, in single quotes. */
static void
zsh_text(FILE *out, const char *s)
{
	for (; *s; s++)
	{
		if (*s == '\'')
			fputs("'\\'", out);
		else if (strchr("[]:\\", *s))
			fputc('\\', out);
		fputc(*s, out);
	}
}

void
completion_print_zsh(const Command *commands, int n, FILE *out)
{
	fprintf(out, "#compdef cdc-s3\n# Completion of cdc-s3 for zsh.\n"
				 "_cdc_s3()\n{\n\tlocal -a commands settings options\n"
				 "\tlocal state line\n\tcommands=(\n");
	for (int i = 0; i < n; i++)
	{
		fprintf(out, "\t\t'%s:", commands[i].name);
		zsh_text(out, commands[i].help);
		fprintf(out, "'\n");
	}
	fprintf(out, "\t)\n\tsettings=(\n"
				 "\t\t'--config[file with settings]:file:_files'\n");
	for (int i = 0; i < config_count(); i++)
	{
		const CfgDef *def = config_def(i);

		fprintf(out, "\t\t'--%s=[", def->name);
		zsh_text(out, def->help);
		fprintf(out, "]:value:");
		if (def->values)
		{
			fprintf(out, "(");
			for (const char *p = def->values; *p; p++)
				if (*p != ',')
					fprintf(out, *p == ':' ? "\\:" : "%c", *p);
			fprintf(out, ")");
		}
		fprintf(out, "'\n");
	}
	fprintf(out, "\t)\n\t_arguments -C $settings '--help[show help]' \\\n"
				 "\t\t'1:command:->command' '*::argument:->argument'\n"
				 "\tif [[ $state == command ]]; then\n"
				 "\t\t_describe command commands\n"
				 "\telif [[ $state == argument ]]; then\n"
				 "\t\tcase ${line[1]} in\n");
	for (int i = 0; i < n; i++)
	{
		const char *at = commands[i].options;
		int len;

		fprintf(out, "\t\t%s) options=(", commands[i].name);
		for (; (at = next_option(at, &len)) != NULL; at += len)
			fprintf(out, " '%.*s'", len, at);
		fprintf(out, " ) ;;\n");
	}
	fprintf(out, "\t\tesac\n\t\t_arguments $options $settings "
				 "'*:argument:'\n\tfi\n}\n_cdc_s3 \"$@\"\n");
}
