/*-------------------------------------------------------------------------
 * exposition.h
 *	  The text forms of metrics: Prometheus's (0.0.4), and OpenMetrics 1.0.
 *
 * A family is opened once, and its samples follow.  Names and help are ours;
 * labels' values are anybody's and are escaped.
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef EXPOSITION_H
#define EXPOSITION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/stats.h"

typedef enum MetricType
{
	METRIC_GAUGE,
	METRIC_COUNTER, /* its name ends with _total */
	METRIC_HISTOGRAM
} MetricType;

typedef struct Exposition
{
	Buf *out;
	bool open_metrics;
	const char *name; /* of the open family */
} Exposition;

/* Pairs of name and value, ended by a NULL name; NULL: no label. */
typedef struct Label
{
	const char *name;
	const char *value;
} Label;

void expose_family(Exposition *x, const char *name, MetricType type,
				   const char *help);
void expose_sample(Exposition *x, const Label *labels, double value);
void expose_histogram(Exposition *x, const Label *labels, const Histogram *h);

/* OpenMetrics ends with a mark. */
void expose_end(Exposition *x);

/* The value of a label as it stands between quotes. */
void expose_escape(Buf *out, const char *value);

/* "12", "0.25", "+Inf" */
void expose_number(Buf *out, double v);

#endif
