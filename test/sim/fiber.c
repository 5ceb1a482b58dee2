/*-------------------------------------------------------------------------
 * fiber.c
 *	  Threads as fibers of one thread, driven by a seed.
 *-------------------------------------------------------------------------
 */
#include "fiber.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "disk.h"

#define STACK_BYTES ((size_t) 512 << 10)
#define STEP_US 1
#define TIMERS_EVERY 64 /* steps, while somebody is ready all the time */
#define FD_BASE 50000
#define FD_MAX 4096
#define STUCK_STEPS INT64_C(40000000)

typedef enum State
{
	READY,
	BLOCKED,
	OVER
} State;

/*
 * A switch of stacks.  swapcontext() asks the kernel for the mask of signals
 * twice, which is most of the time of a step; here it never changes.
 */
#ifdef __x86_64__
typedef void *Context; /* the stack's top, where the registers lie */

void context_switch(Context *from, Context to);
__asm__(".text\n.globl context_switch\n.type context_switch,@function\n"
		"context_switch:\n"
		"\tpush %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n"
		"\tpush %r14\n\tpush %r15\n\tmov %rsp, (%rdi)\n"
		"\tmov %rsi, %rsp\n\tpop %r15\n\tpop %r14\n\tpop %r13\n"
		"\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret\n"
		".size context_switch, .-context_switch\n");

static void
context_make(Context *c, void *stack, size_t n, void (*main)(void))
{
	void **top = (void **) ((char *) stack + n);

	*--top = NULL; /* the stack is aligned as a call leaves it */
	*--top = (void *) main;
	top -= 6;
	*c = top;
}

#define SWITCH(from, to) context_switch(&(from), (to))
#else
typedef ucontext_t Context;

static void
context_make(Context *c, void *stack, size_t n, void (*main)(void))
{
	if (getcontext(c) != 0)
		abort();
	c->uc_stack.ss_sp = stack;
	c->uc_stack.ss_size = n;
	c->uc_link = NULL;
	makecontext(c, main, 0);
}

#define SWITCH(from, to) ((void) swapcontext(&(from), &(to)))
#endif

struct Fiber
{
	Fiber *next; /* of all */
	Proc *proc;
	Context context;
	void *stack;
	void *(*main)(void *);
	void *arg;
	State state;
	const void *on; /* mutex, condition or fiber that it waits for */
	bool polls;
	bool woken;
	int64_t until;
};

struct Proc
{
	Proc *next;
	const char *name;
	void (*main)(void *);
	void *arg;
	bool alive;
	int64_t paused_until;
	int64_t steps;
	int64_t kill_at;
};

typedef struct Timer
{
	struct Timer *next;
	int64_t when;
	void (*fn)(void *);
	void *arg;
} Timer;

const bool sim_repeats = true;
void (*sim_on_kill)(Proc *p);
void (*sim_on_exit)(Proc *p, int code);
bool sim_verbose;

_Noreturn void __real__exit(int code);

static uint64_t state[2];
static uint64_t seed_of;
static uint64_t trace = UINT64_C(1469598103934665603);
static int64_t now_us = 1000 * SIM_SEC;
static int64_t wall_offset;
static Fiber *fibers;
static Proc *procs;
static Timer *timers;
static Fiber *current;
static Context loop;
static void *free_stacks[256];
static int nfree_stacks;

/* ---- chance ---- */

/* xorshift128+ (Vigna), begun by splitmix64. */
static uint64_t
next_random(void)
{
	uint64_t a = state[0];
	uint64_t b = state[1];

	state[0] = b;
	a ^= a << 23;
	state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return state[1] + b;
}

void
sim_seed(uint64_t seed)
{
	uint64_t z = seed;

	seed_of = seed;
	for (int i = 0; i < 2; i++)
	{
		uint64_t x = (z += UINT64_C(0x9e3779b97f4a7c15));

		x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
		state[i] = x ^ (x >> 31);
	}
}

uint64_t
sim_random(uint64_t n)
{
	return next_random() % n;
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

/* ---- time ---- */

int64_t
sim_now(void)
{
	return now_us;
}

int64_t
sim_wall(void)
{
	return now_us + wall_offset;
}

void
sim_wall_set(int64_t offset)
{
	wall_offset = offset;
}

int64_t
sim_wall_offset(void)
{
	return wall_offset;
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
	fprintf(stderr, "[%" PRId64 ".%06" PRId64 " %s] ", now_us / SIM_SEC,
			now_us % SIM_SEC, current ? current->proc->name : "-");
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

/* ---- fibers ---- */

static void *
stack_get(void)
{
	void *p;

	if (nfree_stacks > 0)
		return free_stacks[--nfree_stacks];
	p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		sim_fail("no memory for a stack");
	return p;
}

static void
stack_put(void *p)
{
	if (nfree_stacks < (int) (sizeof(free_stacks) / sizeof(free_stacks[0])))
		free_stacks[nfree_stacks++] = p;
	else
		munmap(p, STACK_BYTES);
}

static void
switch_away(void)
{
	Fiber *me = current;

	SWITCH(me->context, loop);
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

static void
fiber_main(void)
{
	Fiber *me = current;

	me->main(me->arg);
	me->state = OVER;
	wake_all_on(me);
	switch_away();
	abort();
}

static Fiber *
fiber_new(Proc *p, void *(*main)(void *), void *arg)
{
	Fiber *f = calloc(1, sizeof(*f));

	f->proc = p;
	f->main = main;
	f->arg = arg;
	f->stack = stack_get();
	f->until = SIM_NEVER;
	context_make(&f->context, f->stack, STACK_BYTES, fiber_main);
	f->next = fibers;
	fibers = f;
	return f;
}

static void *
proc_main(void *arg)
{
	Proc *p = arg;

	p->main(p->arg);
	p->alive = false;
	return NULL;
}

Proc *
sim_start(const char *name, void (*main)(void *), void *arg)
{
	Proc *p = calloc(1, sizeof(*p));

	p->name = name;
	p->main = main;
	p->arg = arg;
	p->alive = true;
	p->kill_at = SIM_NEVER;
	p->next = procs;
	procs = p;
	fiber_new(p, proc_main, p);
	return p;
}

void
sim_kill(Proc *p)
{
	if (!p->alive)
		return;
	sim_note(UINT64_C(0xdead));
	p->alive = false;
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->proc == p)
			f->state = OVER;
	}
	if (sim_on_kill)
		sim_on_kill(p);
	if (current && current->proc == p)
	{
		switch_away();
		abort();
	}
}

void
sim_kill_at(Proc *p, int64_t steps)
{
	p->kill_at = p->steps + steps;
}

void
sim_pause(Proc *p, int64_t us)
{
	p->paused_until = now_us + us;
}

bool
sim_is_alive(const Proc *p)
{
	return p->alive;
}

bool
sim_is_paused(const Proc *p)
{
	return p->paused_until > now_us;
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
	return f->state != OVER;
}

void
sim_wake(Fiber *f)
{
	if (f->state != BLOCKED)
		return;
	f->state = READY;
	f->woken = true;
	f->on = NULL;
	f->polls = false;
	f->until = SIM_NEVER;
}

/* True where it was woken, and not by the time. */
static bool
block(const void *on, int64_t until)
{
	current->state = BLOCKED;
	current->on = on;
	current->until = until;
	current->woken = false;
	switch_away();
	return current->woken;
}

void
sim_yield(void)
{
	switch_away();
}

bool
sim_wait(int64_t until)
{
	return block(NULL, until);
}

void
sim_sleep(int64_t us)
{
	int64_t until = now_us + us;

	if (us <= 0)
		sim_yield();
	while (now_us < until)
		(void) block(NULL, until);
}

/* ---- the loop ---- */

static void
reap(void)
{
	Fiber **link = &fibers;

	while (*link)
	{
		Fiber *f = *link;

		if (f->state != OVER)
		{
			link = &f->next;
			continue;
		}
		*link = f->next;
		stack_put(f->stack); /* the fiber itself stays: joiners look at it */
	}
}

static void
run_timers(void)
{
	while (timers && timers->when <= now_us)
	{
		Timer *t = timers;

		timers = t->next;
		t->fn(t->arg);
		free(t);
	}
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->until <= now_us)
		{
			sim_wake(f);
			f->woken = false;
		}
	}
}

static bool
can_run(const Fiber *f)
{
	return f->state == READY && f->proc->paused_until <= now_us;
}

/* One of those that can run, each as likely; NULL: nobody can. */
static Fiber *
choose(void)
{
	Fiber *chosen = NULL;
	uint64_t n = 0;

	for (Fiber *f = fibers; f; f = f->next)
	{
		if (can_run(f) && sim_random(++n) == 0)
			chosen = f;
	}
	return chosen;
}

/* Nobody can run: it becomes the time at which somebody could. */
static void
advance(void)
{
	int64_t next = timers ? timers->when : SIM_NEVER;

	for (const Fiber *f = fibers; f; f = f->next)
	{
		int64_t when = f->state == BLOCKED ? f->until : now_us;

		if (f->state != OVER && f->proc->paused_until > when)
			when = f->proc->paused_until;
		if (f->state != OVER && when < next)
			next = when;
	}
	if (next == SIM_NEVER)
		sim_fail("nobody can ever run again: a deadlock");
	if (next > now_us)
		now_us = next;
}

static void
step(Fiber *f)
{
	Proc *p = f->proc;

	if (++p->steps >= p->kill_at)
	{
		sim_kill(p);
		return;
	}
	current = f;
	SWITCH(loop, f->context);
	current = NULL;
}

void
sim_run(Proc *world)
{
	for (int64_t steps = 1; world->alive; steps++)
	{
		Fiber *f = choose();

		if (steps > STUCK_STEPS)
			sim_fail("no end after %lld steps", (long long) steps);
		if (!f)
			advance();
		if (!f || steps % TIMERS_EVERY == 0)
			run_timers();
		if (!f)
			continue;
		now_us += STEP_US;
		step(f);
		if (steps % TIMERS_EVERY == 0 || f->state == OVER)
			reap();
	}
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

static SimFd *
find_fd(int fd)
{
	return fd >= FD_BASE && fd < FD_BASE + FD_MAX &&
				   descriptors[fd - FD_BASE].used
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
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
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
int __wrap_pthread_detach(pthread_t t);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);
ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags);

/* What lies in a pthread_mutex_t, of which zeros are a free one. */
typedef struct SimMutex
{
	Fiber *owner;
	int waiters;
} SimMutex;

_Static_assert(sizeof(SimMutex) <= sizeof(pthread_mutex_t), "it has room");
_Static_assert(sizeof(Fiber *) <= sizeof(pthread_t), "it has room");

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
					  void *(*main)(void *), void *arg)
{
	Fiber *f = fiber_new(current->proc, main, arg);

	(void) attr;
	memcpy(t, &f, sizeof(f));
	if (sim_chance(500))
		sim_yield();
	return 0;
}

int
__wrap_pthread_join(pthread_t t, void **result)
{
	Fiber *f;

	memcpy(&f, &t, sizeof(f));
	while (f->state != OVER)
		(void) block(f, SIM_NEVER);
	if (result)
		*result = NULL;
	return 0;
}

int
__wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
	(void) a;
	memset(m, 0, sizeof(*m));
	return 0;
}

int
__wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
	if (((SimMutex *) m)->owner)
		sim_fail("a mutex is destroyed that somebody holds");
	return 0;
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	SimMutex *s = (SimMutex *) m;

	if (!current) /* before the first process */
		return 0;
	if (s->owner == current)
		sim_fail("a mutex is locked twice by one thread");
	if (sim_chance(60))
		sim_yield();
	while (s->owner)
	{
		s->waiters++;
		(void) block(s, SIM_NEVER);
		s->waiters--;
	}
	s->owner = current;
	return 0;
}

int
__wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	SimMutex *s = (SimMutex *) m;

	if (!current)
		return 0;
	if (s->owner != current)
		sim_fail("a mutex is unlocked by who does not hold it");
	s->owner = NULL;
	if (s->waiters > 0)
		wake_all_on(s);
	if (sim_chance(30))
		sim_yield();
	return 0;
}

int
__wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a)
{
	(void) a;
	memset(c, 0, sizeof(*c));
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
	SimMutex *s = (SimMutex *) m;
	bool woken;

	if (s->owner != current)
		sim_fail("a condition is waited for without its mutex");
	s->owner = NULL;
	if (s->waiters > 0)
		wake_all_on(s);
	woken = block(c, until);
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
	for (Fiber *f = fibers; f; f = f->next)
	{
		if (f->state == BLOCKED && f->on == c && sim_random(++n) == 0)
			chosen = f;
	}
	if (chosen)
		sim_wake(chosen);
	return 0;
}

int
__wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	if (current)
		wake_all_on(c);
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
	int64_t until = timeout < 0 ? SIM_NEVER : now_us + timeout * SIM_MS;
	int ready;

	/* The log's lock is held where it looks for room: all processes here share
	 * it, so nobody else may run. */
	if (n == 1 && !find_fd(fds[0].fd))
		return look_at_fds(fds, n);
	sim_yield();
	while ((ready = look_at_fds(fds, n)) == 0 && now_us < until)
	{
		current->polls = true;
		(void) block(NULL, until);
		current->polls = false;
	}
	return ready;
}

ssize_t
__wrap_read(int fd, void *buf, size_t n)
{
	SimFd *d = find_fd(fd);

	if (!d)
		return disk_fd(fd) ? disk_read(fd, buf, n) : __real_read(fd, buf, n);
	if (d->count == 0)
	{
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, &d->count, sizeof(d->count));
	d->count = 0;
	return sizeof(d->count);
}

ssize_t
__wrap_write(int fd, const void *buf, size_t n)
{
	SimFd *d = find_fd(fd);

	if (fd == STDERR_FILENO && !sim_verbose)
		return (ssize_t) n; /* the log */
	if (!d)
		return disk_fd(fd) ? disk_write(fd, buf, n) : __real_write(fd, buf, n);
	d->count++;
	sim_fd_changed();
	return (ssize_t) n;
}

int
__wrap_pthread_detach(pthread_t t)
{
	(void) t;
	return 0;
}

_Noreturn void
__wrap__exit(int code)
{
	if (!current)
		__real__exit(code);
	if (sim_on_exit)
		sim_on_exit(current->proc, code);
	sim_kill(current->proc);
	abort();
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
	if (current)
		sim_sleep(ts->tv_sec * SIM_SEC + ts->tv_nsec / 1000);
	return 0;
}

ssize_t
__wrap_getrandom(void *buf, size_t n, unsigned flags)
{
	uint8_t *p = buf;

	(void) flags;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t) next_random();
	return (ssize_t) n;
}
