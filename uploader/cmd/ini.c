/*-------------------------------------------------------------------------
 * ini.c
 *	  The configuration file's form.
 *
 * The common library for this form cuts lines at 200 bytes in the build that
 * distributions ship, and a list of tables is soon longer than that.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/iniline.h"

static bool
is_name(Slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '.')
			return false;
	return s.n > 0;
}

static bool
bad_line(const char *path, int line, const char *what, Err *err)
{
	err_set(err, ERR_USAGE, 0, "configuration file \"%s\", line %d: %s", path,
			line, what);
	return err_hint(err, "write [section], key = value, or # before a comment");
}

typedef struct IniState
{
	const char *path;
	Buf section; /* "section." */
	Buf name;
	Buf value;
	IniFn fn;
	void *arg;
} IniState;

static void
set(Buf *b, Slice s)
{
	buf_reset(b);
	buf_add(b, s.p, s.n);
}

static bool
take_section(IniState *st, const IniLine *l, Err *err)
{
	Slice s = l->text;

	if (s.p[s.n - 1] != ']')
		return bad_line(st->path, l->number, "section without \"]\"", err);
	s = ini_trim((Slice){ s.p + 1, s.n - 2 });
	if (!is_name(s))
		return bad_line(st->path, l->number, "section without a name", err);
	set(&st->section, s);
	buf_str(&st->section, ".");
	return true;
}

/* A value in double quotes stands as it is between them. */
static Slice
unquoted(Slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return (Slice){ s.p + 1, s.n - 2 };
	return s;
}

static bool
take_setting(IniState *st, const IniLine *l, Err *err)
{
	if (!is_name(l->name))
		return bad_line(st->path, l->number, "setting without a name", err);
	set(&st->name, buf_slice(&st->section));
	buf_add(&st->name, l->name.p, l->name.n);
	set(&st->value, unquoted(l->value));
	return st->fn(buf_cstr(&st->name), buf_cstr(&st->value), l->number, st->arg,
				  err);
}

static bool
take_line(IniState *st, const IniLine *l, Err *err)
{
	if (l->text.n > 0 && memchr(l->text.p, '\0', l->text.n))
		return bad_line(st->path, l->number, "a zero byte", err);
	switch (l->kind)
	{
		case INI_EMPTY:
			return true;
		case INI_SECTION:
			return take_section(st, l, err);
		case INI_SETTING:
			return take_setting(st, l, err);
		case INI_NEITHER:
			break;
	}
	return bad_line(st->path, l->number, "neither section nor setting", err);
}

bool
ini_parse_text(const char *path, Slice text, IniFn fn, void *arg, Err *err)
{
	IniState st = { .path = path, .fn = fn, .arg = arg };
	IniReader r = { text, 0 };
	IniLine line;
	bool ok = true;

	buf_init(&st.section, INI_MAX_BYTES);
	buf_init(&st.name, 2 * INI_MAX_BYTES);
	buf_init(&st.value, INI_MAX_BYTES);
	while (ok && ini_next(&r, &line))
		ok = take_line(&st, &line, err);
	buf_done(&st.section);
	buf_done(&st.name);
	buf_done(&st.value);
	return ok;
}

static bool
read_file(const char *path, Buf *out, Err *err)
{
	char why[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0)
		while (buf_room(out, 4096) &&
			   (n = read(fd, out->p + out->n, 4096)) != 0)
		{
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				break;
			out->n += (size_t) n;
			out->p[out->n] = 0;
		}
	if (fd < 0 || n < 0)
	{
		err_set(err, ERR_USAGE, errno,
				"could not read configuration file \"%s\": %s", path,
				err_errno(errno, why, sizeof(why)));
		err_hint(err, "correct the name behind --config, or the file's rights");
	}
	if (fd >= 0)
		(void) close(fd); /* only read */
	if (fd < 0 || n < 0)
		return false;
	if (out->overflow)
		return err_set(err, ERR_USAGE, 0,
					   "configuration file \"%s\" is larger than 1 MB", path);
	return true;
}

bool
ini_parse_file(const char *path, IniFn fn, void *arg, Err *err)
{
	Buf text;
	bool ok;

	buf_init(&text, INI_MAX_BYTES);
	ok = read_file(path, &text, err) &&
		 ini_parse_text(path, buf_slice(&text), fn, arg, err);
	buf_done(&text);
	return ok;
}
