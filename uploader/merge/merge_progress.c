/*-------------------------------------------------------------------------
 * merge_progress.c
 *	  How far a merge is.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"

#define LIVE_MS 500 /* between two drawings, at most */
#define COLUMNS_DEFAULT 80

_Static_assert(PHASES == STATS_MERGE_PHASES, "base/stats.h has as many");

static const char *const phase_names[PHASES] = {
	[PHASE_PLAN] = "plan",   [PHASE_READ] = "read",     [PHASE_STAGE] = "stage",
	[PHASE_APPLY] = "apply", [PHASE_COMMIT] = "commit",
};

static int64_t
step_ms(const Progress *p)
{
	return p->live && p->interval_ms > LIVE_MS ? LIVE_MS : p->interval_ms;
}

void
progress_init(Progress *p, int64_t interval_ms, bool terminal)
{
	*p = (Progress){ .interval_ms = interval_ms, .live = terminal };
	p->next_ms = clock_mono_ms() + step_ms(p);
	progress_begin(p);
}

void
progress_begin(Progress *p)
{
	p->began_ms = p->since_ms = clock_mono_ms();
	p->phase = PHASE_PLAN;
	for (int i = 0; i < PHASES; i++)
		p->spent_ms[i] = 0;
	p->from_entry = 0;
	p->to_entry = -1;
	p->rows = p->read = p->applied = p->group = 0;
	p->schema[0] = p->table[0] = '\0';
}

void
progress_planned(Progress *p, int64_t from_entry, int64_t to_entry,
				 int64_t rows)
{
	p->from_entry = from_entry;
	p->to_entry = to_entry;
	p->rows = rows;
}

void
progress_phase(Progress *p, MergePhase phase)
{
	int64_t now = clock_mono_ms();

	p->spent_ms[p->phase] += now - p->since_ms;
	count_own(&stats.merge_phase_ms[p->phase], now - p->since_ms);
	p->since_ms = now;
	p->phase = phase;
}

void
progress_table(Progress *p, const char *schema, const char *table)
{
	/* a cut is fine */
	(void) snprintf(p->schema, sizeof(p->schema), "%s", schema);
	(void) snprintf(p->table, sizeof(p->table), "%s", table);
}

int64_t
progress_spent(const Progress *p, MergePhase phase)
{
	return p->spent_ms[phase] +
		   (p->phase == phase ? clock_mono_ms() - p->since_ms : 0);
}

const char *
progress_phase_name(MergePhase phase)
{
	return phase_names[phase];
}

static int64_t
applied(const Progress *p)
{
	int64_t n = p->applied + p->group;

	return n < p->rows ? n : p->rows; /* steps of a group are not quite rows */
}

/* Of the group that is applied now; of the phase, where there is none. */
static int64_t
group_ms(const Progress *p)
{
	return p->phase == PHASE_APPLY ? clock_mono_ms() - p->since_ms : 0;
}

static int64_t
read_ms(const Progress *p)
{
	return progress_spent(p, PHASE_READ) + progress_spent(p, PHASE_STAGE);
}

int64_t
progress_rate(const Progress *p)
{
	bool applies = p->phase == PHASE_APPLY;
	int64_t rows = applies ? p->group : p->read;
	int64_t ms = applies ? group_ms(p) : read_ms(p);

	return rows > 0 && ms > 0 && p->phase != PHASE_COMMIT
			   ? (int64_t) ((double) rows * 1000 / (double) ms)
			   : -1;
}

int64_t
progress_left(const Progress *p)
{
	int64_t before = progress_spent(p, PHASE_APPLY) - group_ms(p);
	double per_read;
	double per_apply;
	double left;

	if (p->read == 0 || read_ms(p) == 0)
		return -1;
	per_apply = per_read = (double) read_ms(p) / (double) p->read;
	left = -(double) group_ms(p);
	if (p->group > 0)
	{
		per_apply = (double) group_ms(p) / (double) p->group;
		left = 0;
	}
	else if (p->applied > 0 && p->applied >= p->rows / 10)
		per_apply = (double) before / (double) p->applied;
	left += (double) (p->rows - p->read) * per_read +
			(double) (p->rows - applied(p)) * per_apply;
	return left >= 0 ? (int64_t) (left / 1000) : -1; /* later than thought */
}

static bool
names_table(const Progress *p)
{
	return p->table[0] && p->phase != PHASE_COMMIT;
}

/* What could end or forge a line is replaced. */
static void
add_name(Buf *out, const char *name)
{
	for (; *name; name++)
		buf_byte(out, (unsigned char) *name < 0x20 || *name == 0x7f
						  ? '?'
						  : (uint8_t) *name);
}

void
progress_text(const Progress *p, Buf *out)
{
	int64_t rate = progress_rate(p);
	int64_t left = progress_left(p);
	int64_t entries = p->to_entry - p->from_entry + 1;

	if (p->to_entry < 0)
	{
		buf_printf(out, "merge: %s", phase_names[p->phase]);
		return;
	}
	buf_printf(out, "merge of %lld entr%s, %lld rows: %d %%",
			   (long long) entries, entries == 1 ? "y" : "ies",
			   (long long) p->rows,
			   p->rows > 0 ? (int) ((p->read + applied(p)) * 50 / p->rows) : 0);
	if (left >= 0)
		buf_printf(out, ", %lld:%02d left", (long long) left / 60,
				   (int) (left % 60));
	if (rate >= 0)
		buf_printf(out, ", %lld rows/s", (long long) rate);
	buf_printf(out, ", %s", phase_names[p->phase]);
	if (!names_table(p))
		return;
	buf_byte(out, ' ');
	add_name(out, p->schema);
	buf_byte(out, '.');
	add_name(out, p->table);
}

/* Cut to the terminal's width, between two characters: it must not wrap. */
static void
draw(Progress *p)
{
	struct winsize w = { 0 };
	size_t width = COLUMNS_DEFAULT;
	size_t n = 0;
	Buf line;
	Buf text;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		width = w.ws_col;
	buf_init(&text, PROGRESS_LINE_MAX);
	buf_init(&line, PROGRESS_LINE_MAX + 16);
	progress_text(p, &text);
	while (n < text.n && n < width - 1)
		n++;
	while (n > 0 && n < text.n && (text.p[n] & 0xC0) == 0x80)
		n--;
	buf_byte(&line, '\r');
	buf_add(&line, text.p, n);
	buf_str(&line, "\033[K\r");
	(void) !write(STDERR_FILENO, line.p, line.n); /* nobody else to tell */
	log_over_line(true);
	buf_done(&line);
	buf_done(&text);
	p->drawn = true;
}

static void
log_progress(const Progress *p)
{
	int64_t rate = progress_rate(p);
	int64_t left = progress_left(p);
	bool planned = p->to_entry >= 0;

	log_info("merging", "phase", phase_names[p->phase], "schema",
			 names_table(p) ? p->schema : NULL, "table",
			 names_table(p) ? p->table : NULL, "entries",
			 planned ? log_int(p->to_entry - p->from_entry + 1) : NULL, "entry",
			 planned ? log_int(p->to_entry) : NULL, "rows",
			 planned ? log_int(p->rows) : NULL, "rows_read",
			 planned ? log_int(p->read) : NULL, "rows_applied",
			 planned ? log_int(applied(p)) : NULL, "rows_per_s",
			 rate >= 0 ? log_int(rate) : NULL, "left_s",
			 left >= 0 ? log_int(left) : NULL, "ms",
			 log_int(clock_mono_ms() - p->began_ms), NULL);
}

void
progress_tick(Progress *p)
{
	int64_t now;

	if (p->interval_ms == 0 || !log_enabled(LOG_INFO))
		return;
	now = clock_mono_ms();
	if (now < p->next_ms)
		return;
	p->next_ms = now + step_ms(p);
	if (p->live)
		draw(p);
	else
		log_progress(p);
}

void
progress_end(Progress *p)
{
	if (!p->drawn)
		return;
	(void) !write(STDERR_FILENO, LOG_CLEAR_LINE, strlen(LOG_CLEAR_LINE));
	log_over_line(false);
	p->drawn = false;
}
