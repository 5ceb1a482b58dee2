/*-------------------------------------------------------------------------
 * cli.c
 *	  The command line: which command, its help, and the one error line.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/command.h"
#include "cmd/config_show.h"
#include "cmd/manual.h"
#include "cmd/secrets.h"

#define STORE_RETRY_MS 10000
#define LINE_MAX_BYTES 4096

static const Command commands[] = {
	{ "init", cmd_init, "init [--example]", "create the slot and the lake",
	  "  --example        print a file with all settings, and do nothing "
	  "else\n" },
	{ "run", cmd_run, "run [--standby]",
	  "load tables if asked, then stream until stopped",
	  "  --standby        while another run has the slot, wait; take over when "
	  "it is\n"
	  "                   free\n" },
	{ "merge", cmd_merge,
	  "merge [--every 1h] [--until hour] [--plan | --sequences |"
	  " --retry-rejected | --adopt]",
	  "apply new entries of the lake to the target",
	  "  --every TIME     same as --merge.every: keep going\n"
	  "  --until WHERE    same as --merge.until: hour, now, an LSN or a "
	  "time\n"
	  "  --plan           print what the next merge would do, and change "
	  "nothing\n"
	  "  --sequences      set the target's sequences past the source's, for a "
	  "cut-over\n"
	  "  --retry-rejected try the rows in cdc_s3.rejected again\n"
	  "  --adopt          the source is another server now, or database: its "
	  "tables\n"
	  "                   are those of the same names, and all are loaded "
	  "anew\n" },
	{ "check", cmd_check, "check [--json]",
	  "test every prerequisite and name each mend",
	  "  --json           one JSON object a finding\n"
	  "  --no-race        leave out the race of conditional PUTs\n" },
	{ "snapshot", cmd_snapshot,
	  "snapshot TABLE... [--wait] | --list | --cancel ID",
	  "ask run to load tables anew while it streams",
	  "  TABLE            schema.table, or a pattern such as 'public.*'\n"
	  "  --wait           return when they are loaded\n"
	  "  --list           show the requests that wait\n"
	  "  --cancel ID      take one back that run has not begun\n" },
	{ "ls", cmd_ls,
	  "ls [objects] [--table S.T] [--from LSN] [--to LSN] [--output NAME] "
	  "[--closed-until TIME] [--json]",
	  "list entries of the commit log, or their objects",
	  "  objects          list the objects, not the entries\n"
	  "  --table S.T      only objects of this table (entries that have some)\n"
	  "  --from LSN       only what holds changes that end behind it\n"
	  "  --to LSN         only what holds changes that end at or before it\n"
	  "  --output NAME    objects of that further output\n"
	  "  --closed-until TIME  list nothing; exit 0 once all hours before TIME "
	  "are\n"
	  "                   complete, 75 till then\n"
	  "  --json           one JSON object a line\n" },
	{ "replay", cmd_replay,
	  "replay [--from LSN] [--to LSN] [--table S.T] [--output NAME] |"
	  " --into NAME",
	  "print changes in order as JSON lines",
	  "  --from LSN       changes that end behind it\n"
	  "  --to LSN         changes that end at or before it\n"
	  "  --table S.T      only this table\n"
	  "  --output NAME    from the objects of that further output\n"
	  "  --into NAME      write what the lake had before a further output "
	  "was\n"
	  "                   attached into that output; run enters it\n" },
	{ "status", cmd_status, "status [--json] [--watch]",
	  "show how source, lake and target stand, whether run is up or not",
	  "  --json           one JSON object\n"
	  "  --watch          again every two seconds\n" },
	{ "drop", cmd_drop, "drop --slot NAME [--lake URL [--objects N]]",
	  "drop the slot, and the lake too where that is said twice",
	  "  --slot NAME      the slot, which must be that of source.slot\n"
	  "  --lake URL       the lake, which must be that of store.url\n"
	  "  --objects N      and how many objects it has, as --lake alone "
	  "tells\n" },
	{ "verify", cmd_verify,
	  "verify [--jobs N] [--state FILE] [--sizes] [--repair] [--json] | "
	  "--against source|target [--table PATTERNS] [--keys N] [--wait SECONDS] "
	  "[--json]",
	  "prove that the lake is what its log says, or that a server has its "
	  "rows",
	  "  --jobs N         objects read at the same time, 8 where not said\n"
	  "  --state FILE     write there how far it came, and read only what is "
	  "new\n"
	  "  --sizes          read no object: only whether each is there, with its "
	  "size\n"
	  "  --repair         remove leftovers: objects and uploads that can never "
	  "count\n"
	  "  --against WHAT   compare the rows that the lake tells with those of "
	  "the source or the target\n"
	  "  --table PATTERNS with --against: tables of the source, as in "
	  "source.tables; all where not said\n"
	  "  --keys N         with --against: so many differing rows of a kind are "
	  "named, 10 where not said\n"
	  "  --wait SECONDS   with --against source: how long the log is waited "
	  "for, 600 where not said\n"
	  "  --json           one JSON object a finding, and one at the end\n" },
	{ "expire", cmd_expire,
	  "expire --before TIME [--dry-run] [--wait] | --targets | --forget ID",
	  "have run remove the objects of old entries",
	  "  --before TIME    of entries written before: a time, or as 90d\n"
	  "  --dry-run        only say how many there are\n"
	  "  --wait           return when they are removed\n"
	  "  --targets        show the targets that merge wrote down, and what "
	  "they "
	  "need\n"
	  "  --forget ID      a target that is no more\n" },
	{ "ddl", cmd_ddl,
	  "ddl --engine ENGINE [TABLE...] [--view changes|latest] [--output NAME]",
	  "print SQL by which an engine reads the lake",
	  "  --engine ENGINE  athena, trino, spark, duckdb, clickhouse, snowflake, "
	  "redshift;\n"
	  "                   glue prints the JSON of its create-table\n"
	  "  TABLE            schema.table, or a pattern such as 'public.*'; also "
	  "--table\n"
	  "  --view changes   a view of all changes, each once, too\n"
	  "  --view latest    a view of the rows of now, too\n"
	  "  --keys one|four  partitions of Athena, Glue and Trino: one key by "
	  "date and\n"
	  "                   hour (default), or year, month, day, hour\n"
	  "  --output NAME    of the objects of that further output\n"
	  "  --truncates      read the changes for truncates of single "
	  "partitions, and\n"
	  "                   leave their rows out of the view\n" },
	{ "config", cmd_config, "config [--json]",
	  "show the settings in force and where each comes from",
	  "  --json           one JSON object\n" },
	{ "ping", cmd_ping, "ping",
	  "ask the run that http.listen is of whether it is alive", NULL },
	{ "help", NULL, "help [COMMAND]", "show this, or a command's own page",
	  NULL },
	{ "version", NULL, "version", "show the version", NULL },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char help_end[] =
	"\nEach setting is a flag --section.key=value, a variable "
	"CDC_S3_SECTION_KEY, or a\nline \"key = value\" below [section] in the "
	"file; the first of these wins.\nA password is never taken from a flag.\n";

static const char exit_codes[] =
	"\nExit codes: 0 done, 1 internal, 2 usage or configuration, 3 gap (a "
	"person must\ndecide), 4 source, 5 store, 6 credentials, 7 target, 8 "
	"merged, but\nrejected rows or tables are outstanding, or an output was "
	"detached, 75 temporary.\n";

StoreOptions
config_store_options(const Config *cfg)
{
	return (StoreOptions){
		.url = cfg->store_url,
		.endpoint = cfg->store_endpoint,
		.region = cfg->store_region,
		.addressing = cfg->store_addressing,
		.ca_file = cfg->store_ca_file,
		.retry_ms = STORE_RETRY_MS,
		.checksum = cfg->store_checksum,
		.sse = cfg->store_sse,
		.sse_kms_key = cfg->store_kms_key,
		.sse_bucket_key = strcmp(cfg->store_bucket_key, "on") == 0,
		.storage_class = cfg->store_storage_class,
		.tags = cfg->store_tags,
		.acl = cfg->store_acl,
		.expected_owner = cfg->store_expected_owner,
		.requester_pays = strcmp(cfg->store_requester_pays, "on") == 0,
		.keys = &cfg->log_keys,
	};
}

/* errno of the first write to standard output that failed; main thread only */
static int output_errno;

static bool
output_failed(Err *err)
{
	char why[64];

	if (output_errno == 0)
		output_errno = errno ? errno : EIO;
	if (output_errno == EPIPE)
		return err_set(err, ERR_STOP, EPIPE, "the output was closed");
	err_set(err, ERR_INTERNAL, output_errno, "could not write the output: %s",
			err_errno(output_errno, why, sizeof(why)));
	return err_hint(err, "make room there, or write elsewhere");
}

bool
cli_write(Slice bytes, Err *err)
{
	return fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n || output_failed(err);
}

bool
cli_flush(Err *err)
{
	return (fflush(stdout) == 0 && !ferror(stdout)) || output_failed(err);
}

/* Without control characters: an answer of a server may hold any byte. */
static void
add_printable(Buf *line, const char *s)
{
	for (; *s; s++)
	{
		unsigned char c = (unsigned char) *s;

		buf_byte(line, c < 0x20 || c == 0x7f ? ' ' : c);
	}
}

/* The mend where whoever saw the error knew none. */
static const char *
default_hint(ErrKind kind)
{
	switch (kind)
	{
		case ERR_STORE:
		case ERR_NOT_FOUND:
		case ERR_EXISTS:
			return "correct store.url, or what may be done there";
		case ERR_NET:
		case ERR_BUSY:
			return "see whether store.url and store.endpoint are right and "
				   "the server answers, then try again";
		case ERR_SOURCE:
			return "\"cdc-s3 check\" tests all that is needed of the source";
		case ERR_TARGET:
			return "\"cdc-s3 check\", with target.conninfo set, tests all "
				   "rights that merge needs at the target";
		default:
			return "";
	}
}

void
cli_print_error(const Err *err)
{
	const char *hint = err->hint[0] ? err->hint : default_hint(err->kind);
	Buf line;

	buf_init(&line, LINE_MAX_BYTES);
	buf_str(&line, "cdc-s3: ");
	add_printable(&line, err->msg);
	if (*hint)
	{
		buf_str(&line, "; ");
		add_printable(&line, hint);
	}
	buf_byte(&line, '\n');
	(void) fputs(buf_cstr(&line), stderr); /* nobody else to tell */
	buf_done(&line);
}

static void
print_help(void)
{
	printf("cdc-s3 streams changes of a PostgreSQL database to a lake on S3, "
		   "and merges\nthem into another PostgreSQL database.\n\n"
		   "Usage: cdc-s3 COMMAND [--config FILE] [--section.key=value ...]\n"
		   "\nCommands:\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].help);
	printf("\n\"cdc-s3 help COMMAND\" shows a command's options.\n");
	printf("\nSettings:\n");
	config_print_help(stdout);
	printf("%s%s", help_end, exit_codes);
}

static void
print_command_help(const Command *c)
{
	printf("cdc-s3 %s: %s\n\nUsage: cdc-s3 %s [--config FILE] "
		   "[--section.key=value ...]\n",
		   c->name, c->help, c->usage);
	if (c->options)
		printf("\nOptions:\n%s", c->options);
	printf("\n\"cdc-s3 help\" lists all settings.\n");
}

static const Command *
find_command(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static bool
unknown_command(const char *name, Err *err)
{
	char shown[64];
	char list[128] = "";
	Nearest near;
	size_t n = 0;

	nearest_init(&near, name);
	for (size_t i = 0; i < NCOMMANDS; i++)
	{
		nearest_offer(&near, commands[i].name);
		n += (size_t) snprintf(list + n, sizeof(list) - n, "%s%s",
							   i ? ", " : "", commands[i].name);
	}
	err_set(err, ERR_USAGE, 0, "there is no command \"%s\"",
			args_shown(name, shown, sizeof(shown)));
	if (nearest_get(&near))
		return err_hint(err, "did you mean \"%s\"? commands are %s",
						nearest_get(&near), list);
	return err_hint(err, "commands are %s", list);
}

static bool
no_command(Err *err)
{
	err_set(err, ERR_USAGE, 0, "no command was given");
	return err_hint(err, "\"cdc-s3 help\" lists them");
}

/* The same tables in the forms that others read; false: that is none. */
static bool
print_form(const char *name)
{
	if (strcmp(name, "--markdown") == 0)
		config_print_markdown(stdout);
	else if (strcmp(name, "--man") == 0)
		manual_print(commands, (int) NCOMMANDS, exit_codes, stdout);
	else if (strcmp(name, "--man-conf") == 0)
		manual_print_conf(stdout);
	else if (strcmp(name, "--bash") == 0)
		completion_print_bash(commands, (int) NCOMMANDS, stdout);
	else if (strcmp(name, "--zsh") == 0)
		completion_print_zsh(commands, (int) NCOMMANDS, stdout);
	else
		return false;
	return true;
}

static bool
help(const char *topic, Err *err)
{
	const Command *c;

	if (!topic)
	{
		print_help();
		return true;
	}
	if (print_form(topic))
		return true;
	c = find_command(topic);
	if (!c)
		return unknown_command(topic, err);
	print_command_help(c);
	return true;
}

/* help and version in all their spellings, which need no configuration. */
static bool
answer_here(int argc, char **argv, bool *out_answered, Err *err)
{
	const char *topic = NULL;

	*out_answered = true;
	if (argc > 0 && strcmp(argv[0], "help") == 0)
		return help(argc > 1 ? argv[1] : NULL, err);
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
	{
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help(topic, err);
		if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0 ||
			(i == 0 && strcmp(argv[i], "version") == 0))
		{
			printf("cdc-s3 %s\n", CDC_S3_VERSION);
			return true;
		}
		if (!topic && argv[i][0] != '-' && find_command(argv[i]))
			topic = argv[i];
	}
	*out_answered = false;
	return true;
}

static LogLevel
log_level(const Config *cfg)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
		if (strcmp(names[i], cfg->log_level) == 0)
			return (LogLevel) i;
	return LOG_INFO;
}

bool
config_apply_log(const Config *cfg, Err *err)
{
	const char *form = cfg->log_format;

	if (!log_sink_file(cfg->log_file, err))
		return false;
	log_init(log_level(cfg), strcmp(form, "json") == 0       ? LOG_JSON
							 : strcmp(form, "journald") == 0 ? LOG_JOURNAL
															 : LOG_TEXT);
	return true;
}

/* What says or asks something without a lake. */
static bool
needs_no_lake(const Command *c, int argc, char **argv)
{
	if (c->fn == cmd_config || c->fn == cmd_ping)
		return true;
	return c->fn == cmd_init && argc > 1 && strcmp(argv[1], "--example") == 0;
}

static bool
call(const Config *cfg, int argc, char **argv, Err *err)
{
	const Command *c = find_command(argv[0]);

	if (!c)
		return unknown_command(argv[0], err);
	return (needs_no_lake(c, argc, argv) || config_complete(cfg, err)) &&
		   config_apply_log(cfg, err) && secrets_use(cfg, err) &&
		   c->fn(cfg, argc - 1, argv + 1, err);
}

static bool
dispatch(int argc, char **argv, Err *err)
{
	Config *cfg;
	bool ok;

	/* a wrong command is said before a wrong setting */
	if (argc > 0 && argv[0][0] != '-' && !find_command(argv[0]))
		return unknown_command(argv[0], err);
	if (argc == 0)
		return no_command(err);
	if (!config_load(&argc, argv, &cfg, err))
		return false;
	ok = argc == 0 ? no_command(err) : call(cfg, argc, argv, err);
	secrets_forget();
	config_free(cfg);
	return ok;
}

int
cli_main(int argc, char **argv)
{
	Err err = { 0 };
	bool answered;
	bool ok;

	ok = answer_here(argc - 1, argv + 1, &answered, &err);
	if (ok && !answered)
		ok = dispatch(argc - 1, argv + 1, &err);
	if (ok)
		ok = cli_flush(&err);
	else
		(void) fflush(stdout); /* the first error is the one to tell */
	if (ok)
		return 0;
	if (err.kind != ERR_STOP)
		cli_print_error(&err);
	return err_exit_code(err.kind);
}
