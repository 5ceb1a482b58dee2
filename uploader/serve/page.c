/*-------------------------------------------------------------------------
 * page.c
 *	  /: the status for people.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lsn.h"
#include "codec/json.h"
#include "serve/status.h"

const char status_css[] =
	":root{color-scheme:light dark;--ink:#1c2330;--dim:#5d6779;--paper:#f6f7f9;"
	"--card:#fff;--line:#dde1e8;--good:#14713d;--bad:#b3261e;--warn:#8a5a00;"
	"--bar:#2f6fd0}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#9aa4b5;"
	"--paper:#12151b;--card:#1b2029;--line:#2e3543;--good:#5fd08a;"
	"--bad:#ff8a80;--warn:#ffc35c;--bar:#6ea8ff}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;padding:1rem;background:var(--paper);color:var(--ink);"
	"font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:0 auto}\n"
	"h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}\n"
	"header{display:flex;flex-wrap:wrap;gap:.3rem 1rem;align-items:baseline;"
	"margin-bottom:1rem}\n"
	"header p{margin:0;color:var(--dim)}\n"
	".state{font-weight:600;padding:.1rem .6rem;border-radius:1rem;"
	"border:1px solid currentColor}\n"
	".good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}\n"
	".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,"
	"1fr));gap:.7rem;margin-bottom:1rem}\n"
	".card,section{background:var(--card);border:1px solid var(--line);"
	"border-radius:.5rem;padding:.7rem .9rem}\n"
	"section{margin-bottom:1rem;overflow-x:auto}\n"
	".card span{display:block;color:var(--dim);font-size:.85rem}\n"
	".card b{font-size:1.15rem;font-variant-numeric:tabular-nums;"
	"overflow-wrap:anywhere}\n"
	"table{border-collapse:collapse;width:100%;font-size:.9rem}\n"
	"th{text-align:left;color:var(--dim);font-weight:500}\n"
	"th,td{padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);"
	"vertical-align:top}\n"
	"tr:last-child td{border-bottom:0}\n"
	"td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;"
	"white-space:nowrap}\n"
	"td.name{overflow-wrap:anywhere;min-width:7rem}\n"
	"@media(max-width:36rem){.wide{display:none}table{font-size:.8rem}"
	"th,td{padding-right:.4rem}section{padding:.6rem}}\n"
	"progress{width:100%;min-width:6rem;accent-color:var(--bar)}\n"
	".none{color:var(--dim);margin:0}\n"
	"footer{color:var(--dim);font-size:.85rem}footer a{color:inherit}\n";

void
status_add_text(Buf *out, const char *s)
{
	bool utf8 = utf8_valid((const uint8_t *) s, strlen(s));

	for (; *s; s++)
	{
		unsigned char c = (unsigned char) *s;

		if (c == '<')
			buf_str(out, "&lt;");
		else if (c == '>')
			buf_str(out, "&gt;");
		else if (c == '&')
			buf_str(out, "&amp;");
		else if (c == '"')
			buf_str(out, "&quot;");
		else if (c == '\'')
			buf_str(out, "&#39;");
		else if (c < 0x20 || c == 0x7f || (!utf8 && c >= 0x80))
			buf_byte(out, '?');
		else
			buf_byte(out, c);
	}
}

/* "1.4 MB" */
static void
bytes_text(double n, char *buf, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	int u = 0;

	while (n >= 1024 && u < 5)
	{
		n /= 1024;
		u++;
	}
	(void) snprintf(buf, size, u > 0 && n < 100 ? "%.1f %s" : "%.0f %s", n,
					units[u]); /* fits */
}

/* "3 s", "4:05 min", "2:10 h", "3 d" */
static void
time_text(double seconds, char *buf, size_t size)
{
	int64_t s = (int64_t) (seconds + 0.5);

	if (seconds < 0)
		(void) snprintf(buf, size, "–");
	else if (s < 60)
		(void) snprintf(buf, size, "%" PRId64 " s", s);
	else if (s < 3600)
		(void) snprintf(buf, size, "%" PRId64 ":%02d min", s / 60,
						(int) (s % 60));
	else if (s < 172800)
		(void) snprintf(buf, size, "%" PRId64 ":%02d h", s / 3600,
						(int) (s / 60 % 60));
	else
		(void) snprintf(buf, size, "%" PRId64 " d", s / 86400);
}

/* "12 345": a narrow space between thousands. */
static void
count_text(int64_t n, char *buf, size_t size)
{
	char digits[32];
	size_t len = (size_t) snprintf(digits, sizeof(digits), "%" PRId64, n);
	size_t at = 0;

	for (size_t i = 0; i < len && at + 4 < size; i++)
	{
		if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			at += (size_t) snprintf(buf + at, size - at, "\xe2\x80\xaf");
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
}

static void
card(Buf *out, const char *title, const char *value, const char *tone)
{
	buf_printf(out, "<div class=\"card\"><span>%s</span><b%s%s%s>", title,
			   tone ? " class=\"" : "", tone ? tone : "", tone ? "\"" : "");
	status_add_text(out, value);
	buf_str(out, "</b></div>\n");
}

static void
card_bytes(Buf *out, const char *title, double n, const char *tone)
{
	char text[64];

	bytes_text(n, text, sizeof(text));
	card(out, title, text, tone);
}

static void
card_count(Buf *out, const char *title, int64_t n, const char *tone)
{
	char text[64];

	count_text(n, text, sizeof(text));
	card(out, title, text, tone);
}

static void
card_time(Buf *out, const char *title, double seconds, const char *tone)
{
	char text[64];

	time_text(seconds, text, sizeof(text));
	card(out, title, text, tone);
}

static void
card_lsn(Buf *out, const char *title, const Count *c)
{
	char text[64];

	(void) snprintf(text, sizeof(text), LSN_FMT,
					LSN_ARGS((Lsn) count_get(c))); /* fits */
	card(out, title, text, NULL);
}

static void
card_date(Buf *out, const char *title, int64_t us)
{
	char text[64] = "–";

	if (us > 0)
		iso_from_unix_us(us, false, text, sizeof(text));
	card(out, title, text, NULL);
}

/* wide: it is left out where there is little room. */
static void
cell_of(Buf *out, const char *text, bool wide)
{
	buf_printf(out, "<td class=\"n%s\">", wide ? " wide" : "");
	status_add_text(out, text);
	buf_str(out, "</td>");
}

static void
cell(Buf *out, const char *text)
{
	cell_of(out, text, false);
}

static void
cell_count_of(Buf *out, int64_t n, bool wide)
{
	char text[64];

	count_text(n, text, sizeof(text));
	cell_of(out, text, wide);
}

static void
cell_count(Buf *out, int64_t n)
{
	cell_count_of(out, n, false);
}

static void
cell_bytes(Buf *out, int64_t n)
{
	char text[64];

	bytes_text((double) n, text, sizeof(text));
	cell_of(out, text, true);
}

/* "18:19:08", and of another day its date too. */
static void
cell_date(Buf *out, const View *v, int64_t us, bool wide)
{
	const int64_t day_us = 24 * US_PER_HOUR;
	char iso[40];
	char text[40] = "–";

	iso_from_unix_us(us, false, iso, sizeof(iso));
	if (us > 0 && us / day_us == v->now_us / day_us)
		(void) snprintf(text, sizeof(text), "%.8s", iso + 11); /* fits */
	else if (us > 0)
		(void) snprintf(text, sizeof(text), "%.10s %.8s", iso, iso + 11);
	cell_of(out, text, wide);
}

static void
cell_name(Buf *out, const char *schema, const char *name)
{
	buf_str(out, "<td class=\"name\">");
	if (schema)
	{
		status_add_text(out, schema);
		buf_byte(out, '.');
	}
	status_add_text(out, name);
	buf_str(out, "</td>");
}

static void
add_slot_cards(const View *v, Buf *out)
{
	const char *status = v->seen.wal_status;
	int64_t safe = count_get(&stats.slot_safe_bytes);
	bool safe_status = strcmp(status, "reserved") == 0;
	bool lost = strcmp(status, "lost") == 0;

	if (count_get(&stats.slot_asked_us) == 0)
	{
		card(out, "Slot", "not asked yet", NULL);
		return;
	}
	card(out, "Slot's WAL", status,
		 safe_status ? "good"
		 : lost      ? "bad"
					 : "warn");
	card_bytes(out, "WAL kept for it",
			   (double) count_get(&stats.slot_retained_bytes), NULL);
	if (safe >= 0)
		card_bytes(out, "WAL until it is lost", (double) safe,
				   safe_status ? NULL : "bad");
	if (v->seconds_until_lost >= 0)
		card_time(out, "Time until it is lost", v->seconds_until_lost,
				  v->seconds_until_lost < 3600 ? "bad" : NULL);
}

static void
add_run_cards(const View *v, Buf *out)
{
	const char *tone = v->unready ? "bad" : NULL;

	buf_str(out, "<div class=\"grid\">\n");
	card_time(out, "Lag", v->lag_seconds, tone);
	card_bytes(out, "Lag in WAL", (double) v->lag_bytes, NULL);
	card_count(out, "Rows a second", (int64_t) v->rates.rows_received, NULL);
	card_bytes(out, "Bytes a second", v->rates.bytes_received, NULL);
	card_count(out, "Rows waiting", count_get(&stats.rows_waiting), NULL);
	card_count(out, "Rows durable", count_get(&stats.rows_durable), NULL);
	add_slot_cards(v, out);
	card_lsn(out, "Received", &stats.received_lsn);
	card_lsn(out, "Durable", &stats.durable_lsn);
	card_date(out, "Hours closed until", count_get(&stats.closed_until_us));
	card_count(out, "Hours closed", count_get(&stats.hours_closed), NULL);
	card_bytes(out, "Memory of rows", (double) count_get(&stats.budget_used),
			   count_get(&stats.paused) ? "warn" : NULL);
	buf_str(out, "</div>\n");
}

static void
add_merge_cards(const View *v, Buf *out)
{
	int64_t rejected = count_get(&stats.rejected_rows);
	int64_t resync = count_get(&stats.resync_tables);

	buf_str(out, "<div class=\"grid\">\n");
	card_count(out, "Merged to entry", count_get(&stats.merge_entry), NULL);
	card_lsn(out, "Target's position", &stats.merge_lsn);
	card_count(out, "Entries behind", count_get(&stats.merge_behind), NULL);
	card_time(out, "Target is behind", v->merge_behind_seconds, NULL);
	card_count(out, "Rejected rows", rejected, rejected ? "bad" : NULL);
	card_count(out, "Tables to be loaded anew", resync, resync ? "warn" : NULL);
	card_date(out, "Last merge", count_get(&stats.merge_at_us));
	buf_str(out, "</div>\n");
}

static void
add_loads(const View *v, Buf *out)
{
	if (v->seen.nloads == 0)
		return;
	buf_str(out, "<section><h2>Loads</h2>\n<table><tr><th>Table</th><th></th>"
				 "<th class=\"n\">%</th><th class=\"n\">Rows</th>"
				 "<th class=\"n wide\">Rows a second</th>"
				 "<th class=\"n\">Left</th>"
				 "</tr>\n");
	for (int i = 0; i < v->seen.nloads; i++)
	{
		const SeenLoad *l = &v->seen.loads[i];
		char left[64];
		char all[64];

		(void) snprintf(all, sizeof(all), "all, %d of %d tables",
						l->tables_done, l->tables); /* fits */
		time_text((double) l->left_s, left, sizeof(left));
		buf_str(out, "<tr>");
		if (i == v->seen.nloads - 1)
			cell_name(out, NULL, all);
		else
			cell_name(out, l->schema, l->table);
		buf_printf(out,
				   "<td><progress max=\"100\" value=\"%d\"></progress></td>",
				   (int) (100 * l->share));
		cell_count(out, (int64_t) (100 * l->share));
		cell_count(out, l->rows);
		cell_count_of(out, l->rows_per_s, true);
		cell(out, left);
		buf_str(out, "</tr>\n");
	}
	buf_str(out, "</table></section>\n");
}

/* The lake alone is what the cards are about. */
static void
add_outputs(const View *v, Buf *out)
{
	if (v->noutputs < 2)
		return;
	buf_str(out, "<section><h2>Outputs</h2>\n<table><tr><th>Output</th>"
				 "<th>State</th><th class=\"n\">Lag</th>"
				 "<th class=\"n\">Objects</th><th class=\"n wide\">Stored</th>"
				 "<th class=\"n\">Errors</th></tr>\n");
	for (int i = 0; i < v->noutputs; i++)
	{
		const ViewOutput *o = &v->outputs[i];
		bool works = strcmp(o->state, "works") == 0;
		char lag[64];

		time_text(o->lag_seconds, lag, sizeof(lag));
		buf_str(out, "<tr>");
		cell_name(out, NULL, o->name);
		buf_printf(out, "<td class=\"%s\">%s</td>", works ? "good" : "bad",
				   o->state);
		cell(out, lag);
		cell_count(out, o->objects);
		cell_bytes(out, o->bytes);
		cell_count(out, o->errors);
		buf_str(out, "</tr>\n");
	}
	buf_str(out, "</table></section>\n");
}

static void
add_table(Buf *out, const View *v, int i)
{
	const SeenTable *t = &v->seen.tables[i];
	const int64_t *r = t->rows;

	buf_str(out, "<tr>");
	if (i == 0)
		cell_name(out, NULL, "all other tables");
	else
		cell_name(out, t->schema, t->table);
	cell_count(out, r[SEEN_LOAD]);
	cell_count(out, r[SEEN_INSERT]);
	cell_count(out, r[SEEN_UPDATE]);
	cell_count(out, r[SEEN_DELETE]);
	cell_bytes(out, t->bytes);
	cell_date(out, v, t->last_us, true);
	buf_str(out, "</tr>\n");
}

static void
add_tables(const View *v, Buf *out)
{
	buf_str(out, "<section><h2>Tables</h2>\n");
	if (v->seen.ntables == 1 && v->seen.tables[0].objects == 0)
	{
		buf_str(out, "<p class=\"none\">Nothing was written yet.</p>"
					 "</section>\n");
		return;
	}
	buf_str(out, "<table><tr><th>Table</th><th class=\"n\">Loaded</th>"
				 "<th class=\"n\">Inserts</th><th class=\"n\">Updates</th>"
				 "<th class=\"n\">Deletes</th><th class=\"n wide\">Stored</th>"
				 "<th class=\"n wide\">Last</th></tr>\n");
	for (int i = 1; i < v->seen.ntables; i++)
		add_table(out, v, i);
	if (v->seen.tables[0].objects > 0)
		add_table(out, v, 0);
	buf_str(out, "</table></section>\n");
}

static void
add_entries(const View *v, Buf *out)
{
	buf_str(out, "<section><h2>Last entries of the log</h2>\n");
	if (v->seen.nentries == 0)
		buf_str(out, "<p class=\"none\">None since the start.</p>");
	else
		buf_str(
			out,
			"<table><tr><th class=\"n\">Entry</th><th class=\"n\">Up to"
			"</th><th class=\"n\">Objects</th><th class=\"n\">Rows</th>"
			"<th class=\"n wide\">Stored</th><th class=\"n\">Time</th></tr>\n");
	for (int i = 0; i < v->seen.nentries; i++)
	{
		const SeenEntry *e = &v->seen.entries[i];
		char end[32];

		(void) snprintf(end, sizeof(end), LSN_FMT, LSN_ARGS(e->end)); /* fits */
		buf_str(out, "<tr>");
		cell_count(out, e->seq);
		cell(out, end);
		cell_count(out, e->objects);
		cell_count(out, e->rows);
		cell_bytes(out, e->bytes);
		cell_date(out, v, e->time_us, false);
		buf_str(out, "</tr>\n");
	}
	buf_str(out, v->seen.nentries ? "</table></section>\n" : "</section>\n");
}

static void
add_errors(const View *v, Buf *out)
{
	buf_str(out, "<section><h2>Last warnings and errors</h2>\n");
	if (v->seen.nerrors == 0)
	{
		buf_str(out, "<p class=\"none\">None since the start.</p></section>\n");
		return;
	}
	buf_str(out, "<table>\n");
	for (int i = 0; i < v->seen.nerrors; i++)
	{
		const SeenError *e = &v->seen.errors[i];

		buf_printf(out, "<tr><td class=\"%s\">%s</td>",
				   e->error ? "bad" : "warn", e->error ? "error" : "warning");
		cell_name(out, NULL, e->event);
		cell(out, e->kind);
		cell_date(out, v, e->time_us, false);
		buf_str(out, "</tr>\n");
	}
	buf_str(out, "</table><p class=\"none\">The log has the rest of each.</p>"
				 "</section>\n");
}

static void
add_head(const View *v, Buf *out)
{
	const char *name = v->role == ROLE_MERGE ? "merge" : v->seen.slot;
	char up[64];

	time_text((double) (v->now_us - count_get(&stats.began_us)) / 1e6, up,
			  sizeof(up));
	buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
				 "<meta charset=\"utf-8\">"
				 "<meta name=\"viewport\" content=\"width=device-width, "
				 "initial-scale=1\"><meta http-equiv=\"refresh\" "
				 "content=\"5\"><title>cdc-s3 ");
	status_add_text(out, name);
	buf_str(out, "</title><link rel=\"stylesheet\" href=\"style.css\">"
				 "</head><body>\n"
				 "<header><h1>cdc-s3 ");
	status_add_text(out, name);
	buf_printf(out, "</h1><span class=\"state %s\">",
			   v->unready || v->silent ? "bad" : "good");
	if (v->silent)
		buf_str(out, "not alive");
	else if (v->unready)
		buf_printf(out, "not ready: %s", v->unready);
	else
		buf_str(out, "ready");
	buf_printf(out, "</span><p>version %s, up %s</p></header>\n", v->version,
			   up);
}

void
status_add_page(const View *v, Buf *out)
{
	bool merges = v->role == ROLE_MERGE || count_get(&stats.merge_lsn) > 0;

	add_head(v, out);
	if (v->role == ROLE_RUN)
		add_run_cards(v, out);
	if (merges)
		add_merge_cards(v, out);
	add_errors(v, out);
	if (v->role == ROLE_RUN)
	{
		add_outputs(v, out);
		add_loads(v, out);
		add_tables(v, out);
		add_entries(v, out);
	}
	buf_str(out, "<footer>Times are UTC. <a href=\"status\">JSON</a>, "
				 "<a href=\"metrics\">metrics</a></footer>\n</body></html>\n");
}
