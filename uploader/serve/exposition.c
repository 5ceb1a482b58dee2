/*-------------------------------------------------------------------------
 * exposition.c
 *	  The text forms of metrics.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "codec/pgfmt.h"

#define TOTAL "_total"
#define INTEGERS 9007199254740992.0 /* up to here a double has all of them */

static const char *const type_names[] = { "gauge", "counter", "histogram" };

void
expose_escape(Buf *out, const char *value)
{
	bool utf8 = utf8_valid((const uint8_t *) value, strlen(value));

	for (const char *p = value; *p; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c == '\n')
			buf_str(out, "\\n");
		else if (c < 0x20 || c == 0x7f || (!utf8 && c >= 0x80))
			buf_byte(out, '?');
		else
		{
			if (c == '"' || c == '\\')
				buf_byte(out, '\\');
			buf_byte(out, c);
		}
	}
}

void
expose_number(Buf *out, double v)
{
	char digits[PGFMT_MAX];

	if (isnan(v))
		buf_str(out, "NaN");
	else if (isinf(v))
		buf_str(out, v > 0 ? "+Inf" : "-Inf");
	else if (fabs(v) < INTEGERS && v == floor(v))
		buf_add(out, digits, fmt_i64(digits, (int64_t) v));
	else
		buf_printf(out, "%.9g", v);
}

/* OpenMetrics names the family of a counter without its suffix. */
static int
family_length(const Exposition *x, const char *name, MetricType type)
{
	size_t n = strlen(name);

	if (x->open_metrics && type == METRIC_COUNTER)
		n -= strlen(TOTAL);
	return (int) n;
}

void
expose_family(Exposition *x, const char *name, MetricType type,
			  const char *help)
{
	int n = family_length(x, name, type);

	x->name = name;
	buf_printf(x->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", n, name, help, n,
			   name, type_names[type]);
}

static void
add_label(Exposition *x, bool first, const char *name, const char *value)
{
	buf_byte(x->out, first ? '{' : ',');
	buf_str(x->out, name);
	buf_str(x->out, "=\"");
	expose_escape(x->out, value);
	buf_byte(x->out, '"');
}

static void
add_labels(Exposition *x, const Label *labels, const char *le)
{
	int n = 0;

	for (const Label *l = labels; l && l->name; l++)
		add_label(x, n++ == 0, l->name, l->value);
	if (le)
		add_label(x, n++ == 0, "le", le);
	if (n > 0)
		buf_byte(x->out, '}');
}

/* A line of some hundred: no format is parsed here. */
static void
add_line(Exposition *x, const char *suffix, const Label *labels, const char *le,
		 double value)
{
	buf_str(x->out, x->name);
	buf_str(x->out, suffix);
	add_labels(x, labels, le);
	buf_byte(x->out, ' ');
	expose_number(x->out, value);
	buf_byte(x->out, '\n');
}

void
expose_sample(Exposition *x, const Label *labels, double value)
{
	add_line(x, "", labels, NULL, value);
}

/* OpenMetrics wants a float there. */
static void
bound_text(const Exposition *x, int64_t us, char *buf, size_t size)
{
	double seconds = (double) us / 1e6;

	if (x->open_metrics && seconds == floor(seconds))
		(void) snprintf(buf, size, "%.1f", seconds); /* fits */
	else
		(void) snprintf(buf, size, "%g", seconds);
}

void
expose_histogram(Exposition *x, const Label *labels, const Histogram *h)
{
	int64_t n = 0;
	int i = 0;
	char le[32];

	for (; h->bounds_us[i]; i++)
	{
		n += count_get(&h->buckets[i]);
		bound_text(x, h->bounds_us[i], le, sizeof(le));
		add_line(x, "_bucket", labels, le, (double) n);
	}
	n += count_get(&h->buckets[i]);
	add_line(x, "_bucket", labels, "+Inf", (double) n);
	add_line(x, "_sum", labels, NULL, (double) count_get(&h->sum_us) / 1e6);
	add_line(x, "_count", labels, NULL, (double) n);
}

void
expose_end(Exposition *x)
{
	if (x->open_metrics)
		buf_str(x->out, "# EOF\n");
}
