/*-------------------------------------------------------------------------
 * metrics.h
 *	  /metrics, and DMS's names for the same numbers (doc/metrics.md).
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdbool.h>

#include "base/buf.h"
#include "serve/view.h"

typedef struct MetricsForm
{
	bool open_metrics;
	bool dms; /* those of DMS too */
} MetricsForm;

/* Bounded: two megabytes at most, whatever the number of tables. */
#define METRICS_MAX_BYTES ((size_t) 2 << 20)

void metrics_add(const View *v, const MetricsForm *form, Buf *out);

/* A number as AWS DMS names it in CloudWatch. */
typedef struct DmsMetric
{
	const char *name;
	const char *unit; /* of CloudWatch */
	double value;
} DmsMetric;

#define DMS_METRICS_MAX 20

/* Fills out; how many there are. */
int dms_metrics(const View *v, DmsMetric out[DMS_METRICS_MAX]);

/* One line of CloudWatch's embedded metric format, with its end. */
void emf_add(const View *v, const char *slot, Buf *out);

#endif
