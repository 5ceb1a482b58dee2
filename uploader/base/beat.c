/*-------------------------------------------------------------------------
 * beat.c
 *	  Heartbeats of our own threads.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/beat.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"

#define SLOTS BEAT_THREADS_MAX

#define WAITS INT64_C(-1) /* in the place of a time */

typedef struct Slot
{
	_Atomic(const char *) name; /* NULL: free */
	_Atomic int64_t last_ms;    /* WAITS: it waits */
} Slot;

static Slot slots[SLOTS];
static _Thread_local Slot *mine;

static void
mark(int64_t at_ms)
{
	if (mine)
		atomic_store_explicit(&mine->last_ms, at_ms, memory_order_relaxed);
}

void
beat_begin(const char *name)
{
	if (mine)
		beat_end();
	for (int i = 0; i < SLOTS && !mine; i++)
	{
		const char *none = NULL;

		/* A reader that sees the name sees no time of the one before. */
		if (atomic_load(&slots[i].name))
			continue;
		atomic_store(&slots[i].last_ms, WAITS);
		if (atomic_compare_exchange_strong(&slots[i].name, &none, name))
			mine = &slots[i];
	}
	beat();
}

void
beat_end(void)
{
	if (!mine)
		return;
	mark(WAITS);
	atomic_store(&mine->name, NULL);
	mine = NULL;
}

void
beat(void)
{
	if (mine)
		mark(clock_mono_ms());
}

void
beat_waits(void)
{
	mark(WAITS);
}

void
beat_works(void)
{
	beat();
}

const char *
beat_silent(int64_t limit_ms)
{
	int64_t now_ms = clock_mono_ms();

	for (int i = 0; i < SLOTS; i++)
	{
		const char *name = atomic_load(&slots[i].name);
		int64_t last_ms = atomic_load(&slots[i].last_ms);

		if (name && last_ms != WAITS && now_ms - last_ms >= limit_ms)
			return name;
	}
	return NULL;
}

int
beat_list(BeatThread out[BEAT_THREADS_MAX])
{
	int64_t now_ms = clock_mono_ms();
	int n = 0;

	for (int i = 0; i < SLOTS; i++)
	{
		const char *name = atomic_load(&slots[i].name);
		int64_t last_ms = atomic_load(&slots[i].last_ms);

		if (name)
			out[n++] =
				(BeatThread){ .name = name,
							  .waits = last_ms == WAITS,
							  .silent_ms =
								  last_ms == WAITS ? 0 : now_ms - last_ms };
	}
	return n;
}

int
beat_threads(void)
{
	int n = 0;

	for (int i = 0; i < SLOTS; i++)
		n += atomic_load(&slots[i].name) != NULL;
	return n;
}
