/*-------------------------------------------------------------------------
 * wal_client.c
 *	  A client of a slot of cdc_s3 that behaves badly, for the tests.
 *
 *		wal_client option=value ...
 *
 *	  via		how to connect; several: one of them each time
 *	  admin		for an ordinary connection beside (default: the first via)
 *	  slot		its name
 *	  with		options of START_REPLICATION, such as "exclude 'a.b'"
 *	  options	settings, as PGOPTIONS has them
 *	  from		the LSN to begin at (0/0: where the slot is)
 *	  until		the LSN to end at, or
 *	  end_file	a file that will name it
 *	  out		a file for what came: see wal_check.h
 *	  raw		a file for the packets
 *	  script	what to do behind so many bytes of a stream, in this order:
 *				"wait@1000000 copydone@1000000"
 *	  seed		what to do at random (default: nothing)
 *
 * What came is checked (wal_check.c), and so is the end of each stream: behind
 * CopyDone and behind a cancel the connection must be of use, and it must not
 * be lost without a reason.  Reasons are: the client's own, a server that was
 * started anew, and wal_sender_timeout where the client set one.
 *
 * Exit status: 0 when all up to "until" came, 1 with the reason on stderr.
 *-------------------------------------------------------------------------
 */
#include "wal_client.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"

#define ACTIONS_AT_END 30 /* once the end is known */

static bool
set_option(Options *o, const char *name, const char *value)
{
	static const struct
	{
		const char *name;
		size_t offset;
	} fields[] = {
		{ "admin", offsetof(Options, admin) },
		{ "slot", offsetof(Options, slot) },
		{ "with", offsetof(Options, with) },
		{ "options", offsetof(Options, settings) },
		{ "from", offsetof(Options, from) },
		{ "until", offsetof(Options, until) },
		{ "end_file", offsetof(Options, end_file) },
		{ "out", offsetof(Options, out) },
		{ "raw", offsetof(Options, raw) },
		{ "script", offsetof(Options, script) },
		{ "seed", offsetof(Options, seed) },
	};

	if (strcmp(name, "via") == 0 && o->nvia < VIA_MAX)
	{
		o->via[o->nvia++] = value;
		return true;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		if (strcmp(fields[i].name, name) == 0)
		{
			*(const char **) ((char *) o + fields[i].offset) = value;
			return true;
		}
	}
	return false;
}

static bool
parse_options(int argc, char **argv, Options *o)
{
	for (int i = 1; i < argc; i++)
	{
		char *eq = strchr(argv[i], '=');

		if (eq)
			*eq = '\0';
		if (!eq || !set_option(o, argv[i], eq + 1))
		{
			fprintf(stderr, "no such option \"%s\"\n", argv[i]);
			return false;
		}
	}
	if (!o->admin)
		o->admin = o->via[0];
	if (o->nvia == 0 || !o->slot || !o->out || (!o->until && !o->end_file))
	{
		fprintf(stderr, "via, slot, out, and until or end_file are needed\n");
		return false;
	}
	return true;
}

static bool
parse_positions(Client *c)
{
	if ((c->o->from && !lsn_parse(c->o->from, &c->confirmed)) ||
		(c->o->until && !lsn_parse(c->o->until, &c->end)))
	{
		fprintf(stderr, "from or until is no LSN\n");
		return false;
	}
	c->script = c->o->script;
	c->random = c->o->seed ? strtoull(c->o->seed, NULL, 10) : 0;
	c->left = ACTIONS_AT_END;
	return true;
}

static void
print_counts(const Client *c)
{
	const WalCounts *n = wal_check_counts(c->check);

	printf("%" PRIu64 " streams, %" PRIu64 " packets, %" PRIu64
		   " frames, %" PRIu64 " bytes; %" PRIu64 " units, and %" PRIu64
		   " again; confirmed " LSN_FMT "\n",
		   n->streams, n->packets, n->frames, n->bytes, n->units, n->again,
		   LSN_ARGS(c->confirmed));
	wal_print_actions();
}

int
main(int argc, char **argv)
{
	Options o = { 0 };
	Client c = { .o = &o };
	FILE *out;
	FILE *raw;
	Err err;
	bool ok;

	(void) signal(SIGPIPE, SIG_IGN);
	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	if (!parse_options(argc, argv, &o) || !parse_positions(&c))
		return 2;
	out = fopen(o.out, "w");
	raw = o.raw ? fopen(o.raw, "w") : NULL;
	if (!out || (o.raw && !raw))
	{
		perror(out ? o.raw : o.out);
		return 2;
	}
	c.began_ms = clock_mono_ms();
	c.check = wal_check_new(out, raw, c.confirmed);
	ok = wal_run(&c, &err);
	print_counts(&c);
	if (!ok)
		fprintf(stderr, "%s: %s\n", err_kind_name(err.kind), err.msg);
	wal_check_free(c.check);
	PQfinish(c.admin);
	ok = fclose(out) == 0 && (!raw || fclose(raw) == 0) && ok;
	return ok ? 0 : 1;
}
