/*-------------------------------------------------------------------------
 * threads.c
 *	  The same as fiber.c with real threads, for ThreadSanitizer.
 *
 * Each thread of the program is one of the machine, and its mutexes are real,
 * so that ThreadSanitizer sees what orders the accesses of two threads, and
 * what does not.  The world (source, store, oracle, story) is not its business:
 * who calls it holds one lock that the sanitizer does not see, and what happens
 * in there is not recorded.  So a call of the store does not put an order
 * between two threads that the program has not.
 *
 *	(1) The clock moves only where no thread can run: busy is 0.  Who wakes a
 *		thread counts it before that thread knows.  So a machine that is slow,
 *		or stops, takes no time of the story.
 *	(2) A thread of a killed or held process stops where it next locks a mutex
 *		while it holds none, waits, or calls the world.
 *	(3) Whatever lies in this file is touched with the world's lock held, but
 *		for what is atomic.
 *
 * The compiler calls world_enter() and world_leave() around each function of
 * lake.c and pq.c (-finstrument-functions, build.sh).  This file itself is
 * built without the sanitizer.
 *
 * A seed chooses what happens; in which order is the machine's.
 *-------------------------------------------------------------------------
 */
#include "fiber.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STEP_US 1
#define TIMERS_EVERY 64 /* steps of a thread, while somebody can always run */
#define FD_BASE 50000
#define FD_MAX 4096

typedef enum State
{
	READY,
	BLOCKED,
	OVER
} State;

struct Fiber
{
	Fiber *next; /* of all */
	Proc *proc;
	pthread_t thread;
	void *(*main)(void *);
	void *arg;
	State state;
	const void *on; /* mutex, condition or thread that it waits for */
	bool polls;
	bool called; /* woken, and held still */
	bool woken;
	bool joined;
	int64_t until;
	atomic_uint turns; /* the futex it waits on */

	/* Its own. */
	int depth; /* in the world */
	int held;  /* mutexes */
	uint64_t steps;
	uint64_t dice;
};

struct Proc
{
	Proc *next;
	const char *name;
	void (*main)(void *);
	void *arg;
	bool is_world;
	atomic_bool alive;
	atomic_bool killed;
	_Atomic int64_t paused_until;
	_Atomic int64_t steps;
	_Atomic int64_t kill_at;
};

typedef struct Timer
{
	struct Timer *next;
	int64_t when;
	void (*fn)(void *);
	void *arg;
} Timer;

const bool sim_repeats = false;
void (*sim_on_kill)(Proc *p);
void (*sim_on_exit)(Proc *p, int code);
bool sim_verbose;

_Noreturn void __real__exit(int code);

static uint64_t state[2];
static uint64_t seed_of;
static uint64_t trace = UINT64_C(1469598103934665603);
static _Atomic int64_t now_us = 1000 * SIM_SEC;
static _Atomic int64_t wall_offset;
static Fiber *fibers;
static Timer *timers;
static int busy;               /* threads that can run */
static atomic_uint world_lock; /* 0 free, 1 held, 2 held and wanted */
static atomic_uint world_is_over;
static atomic_int mutex_waiters; /* of all mutexes */
static _Thread_local Fiber *current;

/* ---- what the sanitizer does not see ---- */

void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

const char *__tsan_default_options(void);

/* Threads of a killed process are never joined. */
const char *
__tsan_default_options(void)
{
	return "halt_on_error=1:exitcode=66:report_thread_leaks=0";
}

static void
ignore_begin(void)
{
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void
ignore_end(void)
{
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

static void
futex_wait(atomic_uint *word, unsigned value)
{
	(void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake(atomic_uint *word)
{
	(void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void
lock(void)
{
	unsigned free = 0;

	if (atomic_compare_exchange_strong(&world_lock, &free, 1))
		return;
	while (atomic_exchange(&world_lock, 2) != 0)
		futex_wait(&world_lock, 2);
}

static void
unlock(void)
{
	if (atomic_exchange(&world_lock, 0) == 2)
		futex_wake(&world_lock);
}

/* For what this file has, by a thread that may be in the world. */
static void
hold(void)
{
	if (current->depth == 0)
		lock();
}

static void
let_go(void)
{
	if (current->depth == 0)
		unlock();
}

/* ---- chance ---- */

static uint64_t
dice(uint64_t s[2])
{
	uint64_t a = s[0];
	uint64_t b = s[1];

	s[0] = b;
	a ^= a << 23;
	s[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return s[1] + b;
}

void
sim_seed(uint64_t seed)
{
	seed_of = seed;
	state[0] = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	state[1] = ~seed * UINT64_C(0xbf58476d1ce4e5b9) + 1;
	for (int i = 0; i < 20; i++)
		(void) dice(state);
}

uint64_t
sim_random(uint64_t n)
{
	return dice(state) % n;
}

bool
sim_chance(unsigned per_mille)
{
	return sim_random(1000) < per_mille;
}

int64_t
sim_between(int64_t lo, int64_t hi)
{
	return lo + (int64_t) sim_random((uint64_t) (hi - lo + 1));
}

uint64_t
sim_trace(void)
{
	return trace;
}

void
sim_note(uint64_t what)
{
	trace = (trace ^ what) * UINT64_C(1099511628211);
}

/* Now and then somebody else comes first. */
static void
jostle(void)
{
	Fiber *me = current;

	me->dice = me->dice * UINT64_C(6364136223846793005) +
			   UINT64_C(1442695040888963407);
	if ((me->dice >> 33) % 16 == 0)
		(void) sched_yield();
}

/* ---- time ---- */

int64_t
sim_now(void)
{
	return atomic_load_explicit(&now_us, memory_order_relaxed);
}

int64_t
sim_wall(void)
{
	return sim_now() + sim_wall_offset();
}

void
sim_wall_set(int64_t offset)
{
	atomic_store_explicit(&wall_offset, offset, memory_order_relaxed);
}

int64_t
sim_wall_offset(void)
{
	return atomic_load_explicit(&wall_offset, memory_order_relaxed);
}

void
sim_at(int64_t when, void (*fn)(void *), void *arg)
{
	Timer *t = malloc(sizeof(*t));
	Timer **link = &timers;

	*t = (Timer){ NULL, when, fn, arg };
	while (*link && (*link)->when <= when)
		link = &(*link)->next;
	t->next = *link;
	*link = t;
}

/* ---- the end ---- */

void
sim_say(const char *fmt, ...)
{
	va_list ap;

	if (!sim_verbose)
		return;
	fprintf(stderr, "[%" PRId64 ".%06" PRId64 " %s] ", sim_now() / SIM_SEC,
			sim_now() % SIM_SEC, current ? current->proc->name : "-");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

_Noreturn void
sim_exit(int code)
{
	__real__exit(code);
}

_Noreturn void
sim_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "seed %llu failed: ", (unsigned long long) seed_of);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	fflush(NULL);
	sim_exit(3);
}

/* ---- who runs; the lock is held ---- */

static void
make_ready(Fiber *f, bool woken)
{
	f->state = READY;
	f->woken = woken;
	f->called = false;
	f->on = NULL;
	f->polls = false;
	f->until = SIM_NEVER;
	busy++;
	atomic_fetch_add(&f->turns, 1);
	futex_wake(&f->turns);
}

void
sim_wake(Fiber *f)
{
	if (f->state != BLOCKED)
		return;
	if (f->proc->paused_until <= sim_now())
	{
		make_ready(f, true);
		return;
	}
	f->called = true;
	f->on = NULL;
	f->until = f->proc->paused_until;
}

static void
wake_all_on(const void *what)
{
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->on == what)
			sim_wake(f);
	}
}

static int64_t
due(const Fiber *f)
{
	int64_t paused_until = f->proc->paused_until;

	return f->until > paused_until ? f->until : paused_until;
}

static void
run_timers(void)
{
	while (timers && timers->when <= sim_now())
	{
		Timer *t = timers;

		timers = t->next;
		t->fn(t->arg);
		free(t);
	}
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->until != SIM_NEVER && due(f) <= sim_now())
			make_ready(f, f->called);
	}
}

/* (1) Nobody can run: it becomes the time at which somebody can. */
static void
advance(void)
{
	while (busy == 0)
	{
		int64_t next = timers ? timers->when : SIM_NEVER;

		for (const Fiber *f = fibers; f; f = f->next)
		{
			if (f->state == BLOCKED && f->until != SIM_NEVER && due(f) < next)
				next = due(f);
		}
		if (next == SIM_NEVER)
			sim_fail("nobody can ever run again: a deadlock");
		if (next > sim_now())
			atomic_store(&now_us, next);
		run_timers();
	}
}

/* The caller does not count any more; who calls it is in the world. */
static void
not_busy(void)
{
	busy--;
	if (current->depth++ == 0) /* timers call functions of the world */
		ignore_begin();
	advance();
	if (--current->depth == 0)
		ignore_end();
}

/* Of a thread whose process was killed. */
static _Noreturn void
park(void)
{
	current->state = OVER;
	not_busy();
	unlock();
	for (;;)
		futex_wait(&current->turns, atomic_load(&current->turns));
}

static void
block_begin(const void *on, int64_t until)
{
	current->state = BLOCKED;
	current->on = on;
	current->until = until;
	current->woken = current->called = false;
}

/* True where it was woken, and not by the time. */
static bool
block_end(void)
{
	Fiber *me = current;

	not_busy();
	while (me->state != READY)
	{
		unsigned turn = atomic_load(&me->turns);

		unlock();
		futex_wait(&me->turns, turn);
		lock();
	}
	if (me->proc->killed)
		park();
	return me->woken;
}

static bool
block(const void *on, int64_t until)
{
	block_begin(on, until);
	return block_end();
}

void
sim_yield(void)
{
	unlock();
	(void) sched_yield();
	lock();
	if (current->proc->killed)
		park();
}

bool
sim_wait(int64_t until)
{
	return block(NULL, until);
}

void
sim_sleep(int64_t us)
{
	int64_t until = sim_now() + us;

	if (us <= 0)
		sim_yield();
	while (sim_now() < until)
		(void) block(NULL, until);
}

/* ---- in and out of the world ---- */

/* (2) The lock is held. */
static void
stop_here(Proc *p)
{
	if (p->steps >= p->kill_at && !p->killed)
		sim_kill(p);
	if (p->killed)
		park();
	while (p->paused_until > sim_now())
		(void) block(NULL, p->paused_until);
}

/* One more of this thread. */
static void
step(void)
{
	Fiber *me = current;
	Proc *p = me->proc;

	atomic_fetch_add_explicit(&now_us, STEP_US, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->steps, 1, memory_order_relaxed);
	if (me->depth > 0)
		return;
	if (p->killed || p->paused_until > sim_now() || p->steps >= p->kill_at ||
		++me->steps % TIMERS_EVERY == 0)
	{
		ignore_begin();
		lock();
		me->depth = 1;
		run_timers();
		stop_here(p);
		me->depth = 0;
		unlock();
		ignore_end();
	}
	jostle();
}

void world_enter(void);
void world_leave(void);

void
world_enter(void)
{
	if (!current)
		return;
	if (current->depth == 0)
	{
		step();
		ignore_begin();
		lock();
	}
	current->depth++;
}

void
world_leave(void)
{
	if (!current || --current->depth > 0)
		return;
	unlock();
	ignore_end();
}

void __cyg_profile_func_enter(void *fn, void *from);
void __cyg_profile_func_exit(void *fn, void *from);

void
__cyg_profile_func_enter(void *fn, void *from)
{
	(void) fn;
	(void) from;
	world_enter();
}

void
__cyg_profile_func_exit(void *fn, void *from)
{
	(void) fn;
	(void) from;
	world_leave();
}

/* ---- processes ---- */

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr,
						  void *(*main)(void *), void *arg);

static void *
thread_main(void *arg)
{
	Fiber *me = arg;

	current = me;
	if (me->proc->is_world)
		world_enter();
	me->main(me->arg);
	if (me->proc->is_world)
		world_leave();
	ignore_begin();
	lock();
	if (me->proc->killed)
		park();
	me->state = OVER;
	wake_all_on(me);
	if (!world_is_over)
		not_busy();
	unlock();
	ignore_end();
	return NULL;
}

/* The lock is held, or nothing runs yet. */
static Fiber *
fiber_new(Proc *p, const pthread_attr_t *attr, void *(*main)(void *), void *arg)
{
	static uint64_t number;
	Fiber *f = calloc(1, sizeof(*f));

	f->proc = p;
	f->main = main;
	f->arg = arg;
	f->until = SIM_NEVER;
	f->dice = seed_of * 1000 + ++number;
	f->next = fibers;
	fibers = f;
	busy++;
	if (__real_pthread_create(&f->thread, attr, thread_main, f) != 0)
		sim_fail("no thread");
	return f;
}

static void *
proc_main(void *arg)
{
	Proc *p = arg;

	p->main(p->arg);
	p->alive = false;
	if (p->is_world)
	{
		world_is_over = 1;
		futex_wake(&world_is_over);
	}
	return NULL;
}

Proc *
sim_start(const char *name, void (*main)(void *), void *arg)
{
	Proc *p = calloc(1, sizeof(*p));

	p->name = name;
	p->main = main;
	p->arg = arg;
	p->is_world = !current; /* the first one */
	p->alive = true;
	p->kill_at = SIM_NEVER;
	(void) fiber_new(p, NULL, proc_main, p);
	return p;
}

void
sim_kill(Proc *p)
{
	if (!p->alive)
		return;
	sim_note(UINT64_C(0xdead));
	p->alive = false;
	p->killed = true;
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->proc == p && f->state == BLOCKED)
			f->state = OVER; /* others park at their next step */
	}
	if (sim_on_kill)
		sim_on_kill(p);
	if (current && current->proc == p)
		park();
}

void
sim_kill_at(Proc *p, int64_t steps)
{
	p->kill_at = p->steps + steps;
}

void
sim_pause(Proc *p, int64_t us)
{
	p->paused_until = sim_now() + us;
}

bool
sim_is_alive(const Proc *p)
{
	return p->alive;
}

bool
sim_is_paused(const Proc *p)
{
	return p->paused_until > sim_now();
}

int64_t
sim_steps(const Proc *p)
{
	return p->steps;
}

const char *
sim_name(const Proc *p)
{
	return p->name;
}

Proc *
sim_proc(void)
{
	return current ? current->proc : NULL;
}

Fiber *
sim_fiber(void)
{
	return current;
}

bool
sim_fiber_lives(const Fiber *f)
{
	return f->state != OVER && !f->proc->killed;
}

void
sim_run(Proc *world)
{
	(void) world;
	while (!world_is_over)
		futex_wait(&world_is_over, 0);
}

/* ---- descriptors ---- */

typedef struct SimFd
{
	bool used;
	SimEvents events;
	void *arg;
	uint64_t count; /* of an eventfd */
} SimFd;

static SimFd descriptors[FD_MAX];

static bool
is_fd(int fd)
{
	return fd >= FD_BASE && fd < FD_BASE + FD_MAX;
}

static SimFd *
find_fd(int fd)
{
	return is_fd(fd) && descriptors[fd - FD_BASE].used
			   ? &descriptors[fd - FD_BASE]
			   : NULL;
}

int
sim_fd(SimEvents events, void *arg)
{
	for (int i = 0; i < FD_MAX; i++)
	{
		if (descriptors[i].used)
			continue;
		descriptors[i] = (SimFd){ true, events, arg, 0 };
		return FD_BASE + i;
	}
	sim_fail("too many descriptors");
}

void
sim_fd_close(int fd)
{
	SimFd *d = find_fd(fd);

	if (d)
		d->used = false;
}

void
sim_fd_changed(void)
{
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->polls)
			sim_wake(f);
	}
}

static short
eventfd_events(void *arg)
{
	return ((SimFd *) arg)->count > 0 ? POLLIN : 0;
}

int
sim_eventfd(void)
{
	int fd = sim_fd(eventfd_events, NULL);

	descriptors[fd - FD_BASE].arg = &descriptors[fd - FD_BASE];
	return fd;
}

/* ---- in the place of the system's ---- */

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
						  void *(*main)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **result);
int __real_pthread_join(pthread_t t, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
								  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __real_write(int fd, const void *buf, size_t n);
_Noreturn void __wrap__exit(int code);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);
ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags);

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
					  void *(*main)(void *), void *arg)
{
	hold();
	*t = fiber_new(current->proc, attr, main, arg)->thread;
	let_go();
	return 0;
}

/* Threads end in the story's time; only then is the machine's waited for. */
int
__wrap_pthread_join(pthread_t t, void **result)
{
	Fiber *f;

	step();
	hold();
	f = fibers;
	while (f && (f->joined || !pthread_equal(f->thread, t)))
		f = f->next;
	if (!f)
		sim_fail("a thread is joined that is not there");
	while (f->state != OVER)
		(void) block(f, SIM_NEVER);
	f->joined = true;
	let_go();
	return __real_pthread_join(t, result);
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (!current) /* before the first process */
		return __real_pthread_mutex_lock(m);
	if (current->held == 0)
		step();
	if (pthread_mutex_trylock(m) != 0)
	{
		hold();
		atomic_fetch_add(&mutex_waiters, 1);
		while (pthread_mutex_trylock(m) != 0)
			(void) block(m, SIM_NEVER);
		atomic_fetch_sub(&mutex_waiters, 1);
		let_go();
	}
	current->held++;
	return 0;
}

/* Who waits was counted before it tried for the last time. */
int
__wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	(void) __real_pthread_mutex_unlock(m);
	if (!current)
		return 0;
	current->held--;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&mutex_waiters) > 0)
	{
		hold();
		wake_all_on(m);
		let_go();
	}
	return 0;
}

int
__wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a)
{
	(void) c;
	(void) a;
	return 0;
}

int
__wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	(void) c;
	return 0;
}

static int
cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until)
{
	bool woken;

	hold();
	block_begin(c, until);
	(void) __real_pthread_mutex_unlock(m);
	current->held--;
	wake_all_on(m);
	woken = block_end();
	let_go();
	(void) __wrap_pthread_mutex_lock(m);
	return woken ? 0 : ETIMEDOUT;
}

int
__wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return cond_wait_until(c, m, SIM_NEVER);
}

int
__wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
							  const struct timespec *until)
{
	return cond_wait_until(c, m,
						   until->tv_sec * SIM_SEC + until->tv_nsec / 1000);
}

int
__wrap_pthread_cond_signal(pthread_cond_t *c)
{
	Fiber *chosen = NULL;
	uint64_t n = 0;

	if (!current)
		return 0;
	hold();
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->on == c && sim_random(++n) == 0)
			chosen = f;
	}
	if (chosen)
		sim_wake(chosen);
	let_go();
	return 0;
}

int
__wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	if (!current)
		return 0;
	hold();
	wake_all_on(c);
	let_go();
	return 0;
}

static int
look_at_fds(struct pollfd *fds, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++)
	{
		const SimFd *d = find_fd(fds[i].fd);
		/* what is no descriptor of ours is never full */
		short have = d ? d->events(d->arg) : POLLOUT;

		fds[i].revents = (short) (have & (fds[i].events | POLLERR | POLLHUP));
		ready += fds[i].revents != 0;
	}
	return ready;
}

int
__wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int64_t until = timeout < 0 ? SIM_NEVER : sim_now() + timeout * SIM_MS;
	int ready;

	/* The log's lock is held where it looks for room: all processes here share
	 * it, so nobody may be killed there. */
	if (n == 1 && !is_fd(fds[0].fd))
		return look_at_fds(fds, n);
	world_enter();
	while ((ready = look_at_fds(fds, n)) == 0 && sim_now() < until)
	{
		current->polls = true;
		(void) block(NULL, until);
		current->polls = false;
	}
	world_leave();
	return ready;
}

static ssize_t
eventfd_read(int fd, void *buf)
{
	SimFd *d = find_fd(fd);

	if (!d || d->count == 0)
	{
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, &d->count, sizeof(d->count));
	d->count = 0;
	return sizeof(d->count);
}

ssize_t
__wrap_read(int fd, void *buf, size_t n)
{
	ssize_t got;

	if (!is_fd(fd))
		return __real_read(fd, buf, n);
	world_enter();
	got = eventfd_read(fd, buf);
	world_leave();
	return got;
}

ssize_t
__wrap_write(int fd, const void *buf, size_t n)
{
	SimFd *d;

	if (fd == STDERR_FILENO && !sim_verbose)
		return (ssize_t) n; /* the log */
	if (!is_fd(fd))
		return __real_write(fd, buf, n);
	world_enter();
	d = find_fd(fd);
	if (d)
		d->count++;
	sim_fd_changed();
	world_leave();
	return (ssize_t) n;
}

_Noreturn void
__wrap__exit(int code)
{
	if (!current)
		__real__exit(code);
	world_enter();
	if (sim_on_exit)
		sim_on_exit(current->proc, code);
	sim_kill(current->proc);
	park();
}

int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t us = id == CLOCK_REALTIME ? sim_wall() : sim_now();

	ts->tv_sec = us / SIM_SEC;
	ts->tv_nsec = us % SIM_SEC * 1000;
	return 0;
}

int
__wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void) left;
	world_enter();
	if (current)
		sim_sleep(ts->tv_sec * SIM_SEC + ts->tv_nsec / 1000);
	world_leave();
	return 0;
}

ssize_t
__wrap_getrandom(void *buf, size_t n, unsigned flags)
{
	uint8_t *p = buf;

	(void) flags;
	world_enter();
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t) dice(state);
	world_leave();
	return (ssize_t) n;
}
