/*-------------------------------------------------------------------------
 * metrics.c
 *	  /metrics: what is told of run and of merge.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/metrics.h"

#include <math.h>
#include <string.h>

#include "serve/exposition.h"

/* A family that is one counter of base/stats.h. */
typedef struct Plain
{
	const char *name;
	MetricType type;
	const Count *count;
	double scale; /* the counter's unit; 0: a time, told only where it is set */
	const char *help;
} Plain;

#define US 1e-6

static const Plain run_plain[] = {
	{ "cdc_s3_sessions_total", METRIC_COUNTER, &stats.sessions, 1,
	  "Sessions begun with the source." },
	{ "cdc_s3_received_lsn", METRIC_GAUGE, &stats.received_lsn, 1,
	  "Position up to which changes were received, as a number of bytes." },
	{ "cdc_s3_durable_lsn", METRIC_GAUGE, &stats.durable_lsn, 1,
	  "Position up to which all is in the lake and its log." },
	{ "cdc_s3_confirmed_lsn", METRIC_GAUGE, &stats.confirmed_lsn, 1,
	  "Position that was confirmed to the slot." },
	{ "cdc_s3_source_lsn", METRIC_GAUGE, &stats.server_lsn, 1,
	  "End of the source's WAL, as it said last." },
	{ "cdc_s3_transactions_received_total", METRIC_COUNTER, &stats.transactions,
	  1, "Transactions received with changes of tables that are wanted." },
	{ "cdc_s3_rows_received_total", METRIC_COUNTER, &stats.rows_received, 1,
	  "Changes received; those of a session that broke count again." },
	{ "cdc_s3_received_bytes_total", METRIC_COUNTER, &stats.bytes_received, 1,
	  "Bytes of changes received from the source." },
	{ "cdc_s3_rows_waiting", METRIC_GAUGE, &stats.rows_waiting, 1,
	  "Changes received that are not durable yet." },
	{ "cdc_s3_memory_budget_used_bytes", METRIC_GAUGE, &stats.budget_used, 1,
	  "Memory of rows in flight." },
	{ "cdc_s3_memory_budget_limit_bytes", METRIC_GAUGE, &stats.budget_limit, 1,
	  "memory.limit." },
	{ "cdc_s3_queued_bytes", METRIC_GAUGE, &stats.queued_bytes, 1,
	  "Memory of what was received and not yet routed." },
	{ "cdc_s3_receiver_paused", METRIC_GAUGE, &stats.paused, 1,
	  "1 while the receiver waits for room." },
	{ "cdc_s3_entries_total", METRIC_COUNTER, &stats.entries, 1,
	  "Entries of the log written." },
	{ "cdc_s3_last_entry", METRIC_GAUGE, &stats.log_seq, 1,
	  "Number of the log's last entry." },
	{ "cdc_s3_hour_closings_total", METRIC_COUNTER, &stats.hours_closed, 1,
	  "Hours closed." },
	{ "cdc_s3_closed_until_timestamp_seconds", METRIC_GAUGE,
	  &stats.closed_until_us, 0, "All hours before that time are complete." },
	{ "cdc_s3_loads_open", METRIC_GAUGE, &stats.loads_open, 1,
	  "Tables that are still to be loaded." },
	{ "cdc_s3_loads_done_total", METRIC_COUNTER, &stats.loads_done, 1,
	  "Tables loaded." },
	{ "cdc_s3_store_credentials_expiry_timestamp_seconds", METRIC_GAUGE,
	  &stats.credentials_expire_us, 0,
	  "When the store's credentials end, where they do." },
};

static const Plain merge_plain[] = {
	{ "cdc_s3_merge_lsn", METRIC_GAUGE, &stats.merge_lsn, 1,
	  "The target's position." },
	{ "cdc_s3_merge_entry", METRIC_GAUGE, &stats.merge_entry, 1,
	  "The last entry of the log that was merged." },
	{ "cdc_s3_merge_entries_behind", METRIC_GAUGE, &stats.merge_behind, 1,
	  "Entries of the log behind the target's position." },
	{ "cdc_s3_merge_rejected_rows", METRIC_GAUGE, &stats.rejected_rows, 1,
	  "Rows in cdc_s3.rejected." },
	{ "cdc_s3_merge_resync_tables", METRIC_GAUGE, &stats.resync_tables, 1,
	  "Tables in cdc_s3.resync." },
	{ "cdc_s3_merge_entry_timestamp_seconds", METRIC_GAUGE,
	  &stats.merge_entry_us, 0, "When the last entry merged was written." },
	{ "cdc_s3_merge_last_success_timestamp_seconds", METRIC_GAUGE,
	  &stats.merge_at_us, 0, "When the last merge ended well." },
};

static void
gauge(Exposition *x, const char *name, double value, const char *help)
{
	expose_family(x, name, METRIC_GAUGE, help);
	expose_sample(x, NULL, value);
}

static void
add_plain(Exposition *x, const Plain *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		const Plain *p = &list[i];
		int64_t v = count_get(p->count);

		if (p->scale == 0 && v == 0)
			continue;
		expose_family(x, p->name, p->type, p->help);
		expose_sample(x, NULL, (double) v * (p->scale == 0 ? US : p->scale));
	}
}

static void
add_process(Exposition *x, const View *v)
{
	const Label build[] = { { "version", v->version }, { NULL, NULL } };

	expose_family(x, "cdc_s3_build_info", METRIC_GAUGE,
				  "Always 1; the label is the program's version.");
	expose_sample(x, build, 1);
	gauge(x, "cdc_s3_ready", v->unready ? 0 : 1, "1 while /readyz says so.");
	gauge(x, "process_start_time_seconds",
		  (double) count_get(&stats.began_us) * US,
		  "When the process began, in unix time.");
	gauge(x, "process_resident_memory_bytes",
		  (double) v->process.resident_bytes, "Memory that is resident.");
	expose_family(x, "process_cpu_seconds_total", METRIC_COUNTER,
				  "CPU time, of user and system.");
	expose_sample(x, NULL, v->process.cpu_seconds);
	gauge(x, "process_open_fds", (double) v->process.open_files,
		  "File descriptors that are open.");
	gauge(x, "process_threads", (double) v->process.threads,
		  "Threads of the process.");
}

static void
table_labels(const SeenTable *t, int i, Label out[3])
{
	out[0] = (Label){ "schema", i == 0 ? "" : t->schema };
	out[1] = (Label){ "table", i == 0 ? "other" : t->table };
	out[2] = (Label){ NULL, NULL };
}

static void
add_table_rows(Exposition *x, const View *v)
{
	expose_family(x, "cdc_s3_rows_total", METRIC_COUNTER,
				  "Rows made durable, by table and operation; schema \"\" and "
				  "table \"other\": of all that have no line of their own.");
	for (int i = 0; i < v->seen.ntables; i++)
	{
		const SeenTable *t = &v->seen.tables[i];

		for (int op = 0; op < SEEN_OPS; op++)
		{
			Label labels[4];

			table_labels(t, i, labels);
			labels[2] = (Label){ "op", seen_op_name((SeenOp) op) };
			labels[3] = (Label){ NULL, NULL };
			expose_sample(x, labels, (double) t->rows[op]);
		}
	}
}

static void
add_tables(Exposition *x, const View *v)
{
	Label labels[3];

	add_table_rows(x, v);
	expose_family(x, "cdc_s3_written_bytes_total", METRIC_COUNTER,
				  "Bytes of data files, as stored, by table.");
	for (int i = 0; i < v->seen.ntables; i++)
	{
		table_labels(&v->seen.tables[i], i, labels);
		expose_sample(x, labels, (double) v->seen.tables[i].bytes);
	}
	expose_family(x, "cdc_s3_objects_total", METRIC_COUNTER,
				  "Data files written, by table.");
	for (int i = 0; i < v->seen.ntables; i++)
	{
		table_labels(&v->seen.tables[i], i, labels);
		expose_sample(x, labels, (double) v->seen.tables[i].objects);
	}
}

static void
add_row_groups(Exposition *x)
{
	static const char *const ends[STATS_GROUP_ENDS] = { "full", "object",
														"memory", "row" };

	for (int small = 0; small < 2; small++)
	{
		const Count *counts = small ? stats.row_groups_small : stats.row_groups;

		expose_family(x,
					  small ? "cdc_s3_row_groups_small_total"
							: "cdc_s3_row_groups_total",
					  METRIC_COUNTER,
					  small ? "Of these, those of less than 1 MB of values."
							: "Row groups of Parquet written, by what ended "
							  "them: full, the object's end, memory, or a row "
							  "that is one by itself.");
		for (int i = 0; i < STATS_GROUP_ENDS; i++)
		{
			const Label labels[] = { { "end", ends[i] }, { NULL, NULL } };

			expose_sample(x, labels, (double) count_get(&counts[i]));
		}
	}
}

static void
add_failures(Exposition *x, const View *v)
{
	for (int retries = 0; retries < 2; retries++)
	{
		if (retries)
			expose_family(x, "cdc_s3_store_retries_total", METRIC_COUNTER,
						  "Calls of the store that were tried again, by what "
						  "came before: an HTTP status or a kind of error.");
		else
			expose_family(x, "cdc_s3_store_errors_total", METRIC_COUNTER,
						  "Tries of calls of the store that failed.");
		for (int i = 0; i < v->seen.nfailures; i++)
		{
			const SeenFailure *f = &v->seen.failures[i];
			const Label labels[] = { { "call", f->call },
									 { "code", f->code },
									 { NULL, NULL } };

			expose_sample(x, labels,
						  (double) (retries ? f->retries : f->errors));
		}
	}
}

static void
add_store(Exposition *x, const View *v)
{
	expose_family(x, "cdc_s3_store_put_seconds", METRIC_HISTOGRAM,
				  "Time of puts, and of parts, that worked.");
	expose_histogram(x, NULL, &stats.put);
	add_failures(x, v);
}

static void
add_checkpoints(Exposition *x)
{
	static const char *const names[CHECKPOINT_PHASES] = { "gather", "objects",
														  "entry" };

	expose_family(x, "cdc_s3_checkpoint_seconds", METRIC_HISTOGRAM,
				  "Time of checkpoints by phase: gather from the first row on, "
				  "objects until they are durable, entry until the log has "
				  "it.");
	for (int i = 0; i < CHECKPOINT_PHASES; i++)
	{
		const Label labels[] = { { "phase", names[i] }, { NULL, NULL } };

		expose_histogram(x, labels, &stats.checkpoint[i]);
	}
}

static void
add_load_family(Exposition *x, const View *v, const char *name,
				const char *help, double (*value)(const SeenLoad *l))
{
	expose_family(x, name, METRIC_GAUGE, help);
	for (int i = 0; i < v->seen.nloads; i++)
	{
		const SeenLoad *l = &v->seen.loads[i];
		bool all = i == v->seen.nloads - 1;
		const Label labels[] = { { "schema", all ? "" : l->schema },
								 { "table", all ? "all" : l->table },
								 { NULL, NULL } };

		if (!isnan(value(l)))
			expose_sample(x, labels, value(l));
	}
}

static double
load_share(const SeenLoad *l)
{
	return l->share;
}

static double
load_rows(const SeenLoad *l)
{
	return (double) l->rows;
}

static double
load_left(const SeenLoad *l)
{
	return l->left_s < 0 ? NAN : (double) l->left_s;
}

static void
add_loads(Exposition *x, const View *v)
{
	add_load_family(x, v, "cdc_s3_load_progress_ratio",
					"Share of tables being loaded that is read; schema \"\" "
					"and table \"all\": of all.",
					load_share);
	add_load_family(x, v, "cdc_s3_load_rows", "Rows of them that are read.",
					load_rows);
	add_load_family(x, v, "cdc_s3_load_left_seconds",
					"Time that is left, as it looks.", load_left);
}

static void
add_slot(Exposition *x, const View *v)
{
	static const char *const known[] = { "reserved", "extended", "unreserved",
										 "lost" };
	int64_t safe = count_get(&stats.slot_safe_bytes);

	if (count_get(&stats.slot_asked_us) == 0)
		return;
	expose_family(x, "cdc_s3_slot_wal_status", METRIC_GAUGE,
				  "1 for the slot's wal_status: reserved, extended, unreserved "
				  "or lost.");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		const Label labels[] = { { "status", known[i] }, { NULL, NULL } };

		expose_sample(x, labels, strcmp(known[i], v->seen.wal_status) == 0);
	}
	gauge(x, "cdc_s3_slot_safe_wal_size_bytes",
		  safe < 0 ? INFINITY : (double) safe,
		  "WAL that the source may still write before the slot is in danger.");
	gauge(x, "cdc_s3_slot_retained_bytes",
		  (double) count_get(&stats.slot_retained_bytes),
		  "WAL that the source keeps for the slot.");
	gauge(x, "cdc_s3_slot_until_lost_seconds",
		  v->seconds_until_lost < 0 ? INFINITY : v->seconds_until_lost,
		  "Time until the slot is lost at the rate of the last minute.");
	gauge(x, "cdc_s3_slot_asked_timestamp_seconds",
		  (double) count_get(&stats.slot_asked_us) * US,
		  "When the source said so last.");
}

static double
output_objects(const ViewOutput *o)
{
	return (double) o->objects;
}

static double
output_bytes(const ViewOutput *o)
{
	return (double) o->bytes;
}

static double
output_errors(const ViewOutput *o)
{
	return (double) o->errors;
}

static double
output_lag(const ViewOutput *o)
{
	return o->lag_seconds;
}

static void
add_output_states(Exposition *x, const View *v)
{
	static const char *const states[] = { "works", "holds", "fails",
										  "detached" };

	expose_family(x, "cdc_s3_output_state", METRIC_GAUGE,
				  "1 for the output's state: works; holds, where its writes "
				  "fail and the stream waits; fails, where it will be "
				  "detached; detached.");
	for (int i = 0; i < v->noutputs; i++)
		for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++)
		{
			const Label labels[] = { { "output", v->outputs[i].name },
									 { "state", states[k] },
									 { NULL, NULL } };

			expose_sample(x, labels,
						  strcmp(states[k], v->outputs[i].state) == 0);
		}
}

static void
add_outputs(Exposition *x, const View *v)
{
	static const struct
	{
		const char *name;
		MetricType type;
		double (*value)(const ViewOutput *o);
		const char *help;
	} list[] = {
		{ "cdc_s3_output_objects_total", METRIC_COUNTER, output_objects,
		  "Objects that the log lists, by output; \"main\": the lake's own." },
		{ "cdc_s3_output_written_bytes_total", METRIC_COUNTER, output_bytes,
		  "Bytes of these, as stored." },
		{ "cdc_s3_output_errors_total", METRIC_COUNTER, output_errors,
		  "Tries of calls of the output's store that failed." },
		{ "cdc_s3_output_lag_seconds", METRIC_GAUGE, output_lag,
		  "Age of the oldest change that the output lacks." },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
	{
		expose_family(x, list[i].name, list[i].type, list[i].help);
		for (int n = 0; n < v->noutputs; n++)
		{
			const Label labels[] = { { "output", v->outputs[n].name },
									 { NULL, NULL } };

			expose_sample(x, labels, list[i].value(&v->outputs[n]));
		}
	}
	add_output_states(x, v);
}

static void
add_certificates(Exposition *x)
{
	const struct
	{
		const char *of;
		int64_t us;
	} list[] = {
		{ "source_server", count_get(&stats.certificate_expires_us) },
		{ "source_client", count_get(&stats.client_certificate_expires_us) },
	};
	bool begun = false;

	for (int i = 0; i < 2; i++)
	{
		const Label labels[] = { { "of", list[i].of }, { NULL, NULL } };

		if (list[i].us == 0)
			continue;
		if (!begun)
			expose_family(x, "cdc_s3_certificate_expiry_timestamp_seconds",
						  METRIC_GAUGE,
						  "When a certificate of the connection ends.");
		begun = true;
		expose_sample(x, labels, (double) list[i].us * US);
	}
}

static void
add_run(Exposition *x, const View *v)
{
	gauge(x, "cdc_s3_connected", count_get(&stats.link) == LINK_UP,
		  "1 while changes are received from the source.");
	gauge(x, "cdc_s3_lag_bytes", (double) v->lag_bytes,
		  "WAL of the source that is not durable in the lake.");
	gauge(x, "cdc_s3_lag_seconds", v->lag_seconds,
		  "Age of the oldest change received that is not durable.");
	expose_family(x, "cdc_s3_commit_to_durable_seconds", METRIC_HISTOGRAM,
				  "Time of transactions from their commit until they are in "
				  "the log.");
	expose_histogram(x, NULL, &stats.lag);
	add_plain(x, run_plain, sizeof(run_plain) / sizeof(run_plain[0]));
	add_tables(x, v);
	add_row_groups(x);
	add_outputs(x, v);
	add_checkpoints(x);
	add_loads(x, v);
	add_slot(x, v);
	add_certificates(x);
}

static void
add_by(Exposition *x, const char *label, const char *value, double v)
{
	const Label labels[] = { { label, value }, { NULL, NULL } };

	expose_sample(x, labels, v);
}

/* How it stands: told by a merge, and by a run that knows the target. */
static void
add_target(Exposition *x, const View *v)
{
	gauge(x, "cdc_s3_merge_behind_seconds", v->merge_behind_seconds,
		  "Age of the target, where the log has entries behind its position.");
	add_plain(x, merge_plain, sizeof(merge_plain) / sizeof(merge_plain[0]));
}

static void
add_merge(Exposition *x, const View *v)
{
	static const char *const phases[STATS_MERGE_PHASES] = { "plan", "read",
															"stage", "apply",
															"commit" };

	add_target(x, v);
	expose_family(x, "cdc_s3_merge_entries_total", METRIC_COUNTER,
				  "Entries merged.");
	expose_sample(x, NULL, (double) count_get(&stats.merge_entries));
	expose_family(x, "cdc_s3_merges_total", METRIC_COUNTER,
				  "Merges, by how they ended.");
	add_by(x, "result", "done", (double) count_get(&stats.merges));
	add_by(x, "result", "failed", (double) count_get(&stats.merge_failures));
	expose_family(x, "cdc_s3_merge_rows_total", METRIC_COUNTER,
				  "Rows of the target that merges wrote, by operation.");
	add_by(x, "op", "insert", (double) count_get(&stats.merge_inserted));
	add_by(x, "op", "update", (double) count_get(&stats.merge_updated));
	add_by(x, "op", "delete", (double) count_get(&stats.merge_deleted));
	add_by(x, "op", "reject", (double) count_get(&stats.merge_rejected));
	expose_family(x, "cdc_s3_merge_phase_seconds_total", METRIC_COUNTER,
				  "Time of merges by phase.");
	for (int i = 0; i < STATS_MERGE_PHASES; i++)
		add_by(x, "phase", phases[i],
			   (double) count_get(&stats.merge_phase_ms[i]) / 1e3);
}

static void
add_dms(Exposition *x, const View *v)
{
	DmsMetric list[DMS_METRICS_MAX];
	int n = dms_metrics(v, list);

	for (int i = 0; i < n; i++)
		gauge(x, list[i].name, list[i].value, "As AWS DMS names it.");
}

void
metrics_add(const View *v, const MetricsForm *form, Buf *out)
{
	Exposition x = { .out = out, .open_metrics = form->open_metrics };

	add_process(&x, v);
	if (v->role == ROLE_RUN)
		add_run(&x, v);
	if (v->role == ROLE_MERGE)
		add_merge(&x, v);
	if (v->role == ROLE_RUN && count_get(&stats.merge_lsn) > 0)
		add_target(&x, v);
	add_store(&x, v);
	if (form->dms)
		add_dms(&x, v);
	expose_end(&x);
}
