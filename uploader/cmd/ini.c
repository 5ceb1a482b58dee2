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
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks at both ends, in place. */
static char *
trimmed(char *s)
{
	size_t n;

	while (is_blank(*s))
		s++;
	n = strlen(s);
	while (n > 0 && is_blank(s[n - 1]))
		s[--n] = '\0';
	return s;
}

static bool
is_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char) *s) && *s != '_' && *s != '.')
			return false;
	return true;
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
	int line;
	Buf section; /* "section." */
	Buf name;
} IniState;

static bool
parse_section(IniState *st, char *s, Err *err)
{
	size_t n = strlen(s);

	if (s[n - 1] != ']')
		return bad_line(st->path, st->line, "section without \"]\"", err);
	s[n - 1] = '\0';
	s = trimmed(s + 1);
	if (!is_name(s))
		return bad_line(st->path, st->line, "section without a name", err);
	buf_reset(&st->section);
	buf_printf(&st->section, "%s.", s);
	return true;
}

/* A value in double quotes stands as it is between them. */
static char *
unquoted(char *s)
{
	size_t n = strlen(s);

	if (n >= 2 && s[0] == '"' && s[n - 1] == '"')
	{
		s[n - 1] = '\0';
		return s + 1;
	}
	return s;
}

static bool
parse_setting(IniState *st, char *s, IniFn fn, void *arg, Err *err)
{
	char *equals = strchr(s, '=');
	char *key;

	if (!equals)
		return bad_line(st->path, st->line, "neither section nor setting", err);
	*equals = '\0';
	key = trimmed(s);
	if (!is_name(key))
		return bad_line(st->path, st->line, "setting without a name", err);
	buf_reset(&st->name);
	buf_str(&st->name, buf_cstr(&st->section));
	buf_str(&st->name, key);
	return fn(buf_cstr(&st->name), unquoted(trimmed(equals + 1)), st->line, arg,
			  err);
}

static bool
parse_line(IniState *st, char *s, IniFn fn, void *arg, Err *err)
{
	s = trimmed(s);
	if (*s == '\0' || *s == '#' || *s == ';')
		return true;
	if (*s == '[')
		return parse_section(st, s, err);
	return parse_setting(st, s, fn, arg, err);
}

bool
ini_parse_text(const char *path, Slice text, IniFn fn, void *arg, Err *err)
{
	IniState st = { .path = path };
	bool ok = true;
	size_t at = 0;

	if (text.n >= 3 && memcmp(text.p, "\xEF\xBB\xBF", 3) == 0)
		at = 3; /* a mark of UTF-8, as some editors write it */
	buf_init(&st.section, INI_MAX_BYTES);
	buf_init(&st.name, 2 * INI_MAX_BYTES);
	while (ok && at < text.n)
	{
		const uint8_t *p = text.p + at;
		const uint8_t *feed = memchr(p, '\n', text.n - at);
		size_t n = feed ? (size_t) (feed - p) : text.n - at;
		char *line = xstrndup((const char *) p, n);

		st.line++;
		if (memchr(p, '\0', n))
			ok = bad_line(path, st.line, "a zero byte", err);
		else
			ok = parse_line(&st, line, fn, arg, err);
		free(line);
		at += n + 1;
	}
	buf_done(&st.section);
	buf_done(&st.name);
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
