/*-------------------------------------------------------------------------
 * fiber.h
 *	  Threads as fibers of one thread, driven by a seed.
 *
 * The program is the one that is shipped: the linker puts the functions of
 * this file in the place of those of pthread, poll, the clocks and the random
 * source (run.sh, --wrap).  So a seed decides who runs next at each lock, each
 * wait, each call of the store and of the server, and what time it is; time
 * passes only where nobody can run.
 *
 * A process is a set of fibers that are killed together, at any step.  What a
 * killed process has allocated is leaked: each seed has a process of the
 * machine for itself (sim.c).
 *
 * Where an invariant breaks, sim_fail() prints the seed and ends the process.
 *-------------------------------------------------------------------------
 */
#ifndef FIBER_H
#define FIBER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NEVER INT64_MAX
#define SIM_MS INT64_C(1000)
#define SIM_SEC INT64_C(1000000)

typedef struct Proc Proc;
typedef struct Fiber Fiber;

/* ---- chance ---- */

void sim_seed(uint64_t seed);
uint64_t sim_random(uint64_t n); /* in [0, n) */
bool sim_chance(unsigned per_mille);
int64_t sim_between(int64_t lo, int64_t hi); /* both may come */

/* The hash of all that was decided: equal for equal seeds, if … */
uint64_t sim_trace(void);
void sim_note(uint64_t what);
extern const bool sim_repeats; /* … a seed decides who runs, too */

/* ---- time, in microseconds ---- */

int64_t sim_now(void);             /* monotonic */
int64_t sim_wall(void);            /* of the sidecar's machine */
void sim_wall_set(int64_t offset); /* wall = monotonic + offset */
int64_t sim_wall_offset(void);

/* ---- processes ---- */

/* Runs main(arg) and, while it does, all threads that it begins. */
Proc *sim_start(const char *name, void (*main)(void *), void *arg);
void sim_kill(Proc *p);
void sim_kill_at(Proc *p, int64_t steps); /* once it has made so many more */
void sim_pause(Proc *p, int64_t us);
bool sim_is_alive(const Proc *p); /* main has not returned, and nobody killed
								   * it */
bool sim_is_paused(const Proc *p);
int64_t sim_steps(const Proc *p);
const char *sim_name(const Proc *p);
Proc *sim_proc(void); /* that runs */

/* Called where a process ends itself with _exit(). */
extern void (*sim_on_exit)(Proc *p, int code);

/* Called for what a killed process had under way; may be NULL. */
extern void (*sim_on_kill)(Proc *p);

/* Until no process of these names is left, or the world has returned. */
void sim_run(Proc *world);

/* ---- waiting ---- */

void sim_yield(void);
void sim_sleep(int64_t us);

/* Blocks until sim_wake() of the fiber, or it is time; false then. */
bool sim_wait(int64_t until);
Fiber *sim_fiber(void);
void sim_wake(Fiber *f);
bool sim_fiber_lives(const Fiber *f);

/* Calls fn(arg) at that time, outside of all fibers; fn does not wait. */
void sim_at(int64_t when, void (*fn)(void *), void *arg);

/* ---- descriptors that poll() knows ---- */

typedef short (*SimEvents)(void *arg); /* what is ready */

int sim_fd(SimEvents events, void *arg);
void sim_fd_close(int fd);
void sim_fd_changed(void); /* look again */
int sim_eventfd(void);     /* read() and write() know it */

/* ---- the end ---- */

/* Of the process of the machine. */
_Noreturn void sim_exit(int code);

/* Prints what broke and how to see it again; does not return. */
_Noreturn void sim_fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

/* Lines of the trace, with --verbose. */
void sim_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool sim_verbose;

#endif
