/*-------------------------------------------------------------------------
 * dms.c
 *	  The same numbers under the names of AWS DMS, for dashboards that move
 *	  over; and as lines of CloudWatch's embedded metric format.
 *
 * Units are those of DMS: seconds, rows, kilobytes a second, percent.
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "base/clock.h"
#include "codec/json.h"
#include "serve/exposition.h"
#include "serve/metrics.h"

#define KILOBYTE 1024.0

static int
put(DmsMetric *out, int n, const char *name, const char *unit, double value)
{
	out[n] = (DmsMetric){ name, unit, value };
	return n + 1;
}

static int
run_metrics(const View *v, DmsMetric *out)
{
	const Rates *r = &v->rates;
	const SeenLoad *all =
		v->seen.nloads > 0 ? &v->seen.loads[v->seen.nloads - 1] : NULL;
	bool loading = count_get(&stats.loads_open) > 0;
	double waiting = (double) count_get(&stats.rows_waiting);
	int n = 0;

	/*
	 * DMS tells its own delay behind the source's log; ours is that of what
	 * was received, so that both are the age of the oldest change.
	 */
	n = put(out, n, "CDCLatencySource", "Seconds", v->lag_seconds);
	n = put(out, n, "CDCLatencyTarget", "Seconds", v->lag_seconds);
	n = put(out, n, "CDCIncomingChanges", "Count", waiting);
	n = put(out, n, "CDCChangesMemorySource", "Count", waiting);
	n = put(out, n, "CDCChangesMemoryTarget", "Count", 0);
	n = put(out, n, "CDCChangesDiskSource", "Count", 0); /* we use none */
	n = put(out, n, "CDCChangesDiskTarget", "Count", 0);
	n = put(out, n, "CDCThroughputRowsSource", "Count/Second",
			r->rows_received);
	n = put(out, n, "CDCThroughputRowsTarget", "Count/Second", r->rows_durable);
	n = put(out, n, "CDCThroughputBandwidthSource", "Kilobytes/Second",
			r->bytes_received / KILOBYTE);
	n = put(out, n, "CDCThroughputBandwidthTarget", "Kilobytes/Second",
			r->bytes_written / KILOBYTE);
	n = put(out, n, "FullLoadThroughputRowsSource", "Count/Second",
			r->load_rows);
	n = put(out, n, "FullLoadThroughputRowsTarget", "Count/Second",
			r->load_rows);
	n = put(out, n, "FullLoadThroughputBandwidthSource", "Kilobytes/Second",
			all ? (double) all->bytes_per_s / KILOBYTE : 0);
	n = put(out, n, "FullLoadThroughputBandwidthTarget", "Kilobytes/Second",
			loading ? r->bytes_written / KILOBYTE : 0);
	return put(out, n, "FullLoadProgressPercent", "Percent",
			   all       ? 100 * all->share
			   : loading ? 0
						 : 100);
}

int
dms_metrics(const View *v, DmsMetric out[DMS_METRICS_MAX])
{
	int n = v->role == ROLE_RUN ? run_metrics(v, out) : 0;

	if (v->role == ROLE_MERGE)
		n = put(out, n, "CDCLatencyTarget", "Seconds", v->merge_behind_seconds);
	n = put(out, n, "MemoryUsage", "Bytes", (double) v->process.resident_bytes);
	return n;
}

void
emf_add(const View *v, const char *slot, Buf *out)
{
	DmsMetric list[DMS_METRICS_MAX];
	int n = dms_metrics(v, list);

	buf_printf(out,
			   "{\"_aws\":{\"Timestamp\":%lld,\"CloudWatchMetrics\":[{"
			   "\"Namespace\":\"cdc_s3\",\"Dimensions\":[[\"Slot\"]],"
			   "\"Metrics\":[",
			   (long long) (v->now_us / 1000));
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s{\"Name\":\"%s\",\"Unit\":\"%s\"}", i ? "," : "",
				   list[i].name, list[i].unit);
	buf_str(out, "]}]},\"Slot\":\"");
	json_add_escaped(out, (const uint8_t *) slot, strlen(slot));
	buf_byte(out, '"');
	for (int i = 0; i < n; i++)
	{
		buf_printf(out, ",\"%s\":", list[i].name);
		expose_number(out, list[i].value);
	}
	buf_str(out, "}\n");
}
