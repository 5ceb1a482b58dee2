/*-------------------------------------------------------------------------
 * sim.c
 *	  The stream under any fault in any order: the program that is shipped, in
 *	  one thread, against a source, a store and clocks that a seed drives.
 *
 *	  sim [-v] [-x] [-j JOBS] FIRST COUNT	seeds FIRST … FIRST + COUNT - 1
 *	  sim [-v] [-x] [-j JOBS] -c			each call of the store in a small
 *											story fails in each way
 *	  sim [-v] [-x] [-j JOBS] -k STRIDE		the writer of a small story is
 *											killed at each so manyth step
 *	  sim [-v] [-x] [-j JOBS] -f STRIDE		each so manyth of: each call of the
 *											file system in a small story on a
 *											disk fails in each way it can;
 *											-n CALL: only that call
 *
 * -v tells the way of each, -x ends with the first that fails.
 *
 * Each case is a process of its own.  The last lines are the sums of what
 * happened; exit code 1 where a case failed, and then its name and its last
 * words are printed.  Every hundredth runs twice, and has to take the same way.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "count.h"
#include "fiber.h"
#include "story.h"

#define TWICE_EVERY 100
#define CASE_SECONDS 300 /* of the machine: something hangs */
#define JOBS_MAX 64
#define SMALL_SEED 1

Counts *counts;

typedef struct Run
{
	uint64_t first; /* seeds */
	int64_t n;      /* cases */
	int64_t stride; /* of kills; 0: none */
	bool calls;
	int64_t disk_stride; /* 0: no disk */
	int64_t disk_call;   /* only this one; 0: all */
	int jobs;
	bool ends_early;
} Run;

typedef struct Child
{
	pid_t pid;
	int64_t i; /* of the case */
	int out;   /* where its trace comes */
	uint64_t expected;
	bool again;
} Child;

static bool
is_small(const Run *r)
{
	return r->calls || r->stride || r->disk_stride;
}

typedef struct DiskCase
{
	int32_t call;
	uint8_t op;
	uint8_t fault;
} DiskCase;

static DiskCase *disk_cases;
static uint8_t *call_ops; /* of the story without a fault: its DiskOps */

/* All that can go wrong in a story of so many calls, a stride apart. */
static int64_t
plan_disk(int64_t calls, int64_t stride, int64_t only)
{
	int64_t n = 0;
	int64_t all = 0;

	disk_cases = calloc((size_t) calls * DISK_FAULTS, sizeof(*disk_cases));
	for (int64_t c = 1; disk_cases && c <= calls; c++)
	{
		for (int f = DISK_WELL + 1; f < DISK_FAULTS; f++)
		{
			if (disk_fits((DiskOp) call_ops[c], (DiskFault) f) &&
				(only ? c == only : all++ % stride == 0))
				disk_cases[n++] =
					(DiskCase){ (int32_t) c, call_ops[c], (uint8_t) f };
		}
	}
	return n;
}

/* Case i of the run; its seed. */
static uint64_t
case_of(const Run *r, int64_t i, Small *out)
{
	*out = (Small){ 0 };
	if (r->stride)
		*out = (Small){ .on = true, .kill_step = 1 + i * r->stride };
	else if (r->calls)
		*out = (Small){ .on = true,
						.fault_at = 1 + i / (FAULT_KINDS - 1),
						.fault = (LakeFault) (1 + i % (FAULT_KINDS - 1)) };
	else if (r->disk_stride)
		*out = (Small){ .on = true,
						.disk = true,
						.disk_call = disk_cases[i].call,
						.disk_fault = (DiskFault) disk_cases[i].fault };
	else
		return r->first + (uint64_t) i;
	return SMALL_SEED;
}

static void
print_case(const Run *r, int64_t i)
{
	Small small;
	uint64_t seed = case_of(r, i, &small);

	if (small.kill_step)
		fprintf(stderr, "killed at step %" PRId64 ": ", small.kill_step);
	if (small.fault_at)
		fprintf(stderr, "call %" PRId64 " with fault %d: ", small.fault_at,
				(int) small.fault);
	if (small.disk_call)
		fprintf(stderr, "%s at call %" PRId64 ", %s: ",
				disk_fault_names[small.disk_fault], small.disk_call,
				disk_op_names[disk_cases[i].op]);
	fprintf(stderr, "seed %" PRIu64 " failed: ", seed);
}

static void
child_start(const Run *r, Child *c, int64_t i)
{
	int ends[2];

	c->i = i;
	if (pipe(ends) != 0)
		abort();
	fflush(NULL);
	c->pid = fork();
	if (c->pid < 0)
		abort();
	if (c->pid == 0)
	{
		uint64_t trace;
		uint64_t seed;
		Small small;

		(void) close(ends[0]);
		(void) alarm(CASE_SECONDS);
		if (!sim_verbose && !freopen("/dev/null", "w", stdout))
			sim_exit(2);
		seed = case_of(r, i, &small);
		trace = story_run(seed, &small);
		if (write(ends[1], &trace, sizeof(trace)) != sizeof(trace))
			sim_exit(2);
		sim_exit(0);
	}
	(void) close(ends[1]);
	c->out = ends[0];
}

/* True where it went well. */
static bool
child_end(const Run *r, Child *c, int status, uint64_t *trace)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
			  read(c->out, trace, sizeof(*trace)) == sizeof(*trace);

	(void) close(c->out);
	if (!ok && WIFSIGNALED(status))
	{
		print_case(r, c->i);
		fprintf(stderr, "signal %d\n", WTERMSIG(status));
	}
	else if (!ok && is_small(r))
	{
		print_case(r, c->i);
		fprintf(stderr, "as told above\n");
	}
	if (ok && c->again && *trace != c->expected)
	{
		print_case(r, c->i);
		fprintf(stderr, "it went another way the second time\n");
		return false;
	}
	return ok;
}

static int64_t
run_cases(const Run *r)
{
	Child children[JOBS_MAX] = { 0 };
	int64_t next = 0;
	int64_t end = r->n;
	int64_t failed = 0;
	int running = 0;

	while (next < end || running > 0)
	{
		int status;
		pid_t pid;
		uint64_t trace = 0;
		Child *c = children;

		while (running < r->jobs && next < end)
		{
			c = children;
			while (c->pid)
				c++;
			*c = (Child){ 0 };
			child_start(r, c, next++);
			running++;
		}
		pid = wait(&status);
		if (pid < 0)
			abort();
		c = children;
		while (c->pid != pid)
			c++;
		if (!child_end(r, c, status, &trace))
		{
			failed++;
			if (r->ends_early)
				end = next;
		}
		else if (sim_repeats && c->i % TWICE_EVERY == 0 && !c->again)
		{
			*c = (Child){ .expected = trace, .again = true, .i = c->i };
			child_start(r, c, c->i);
			continue;
		}
		c->pid = 0;
		running--;
	}
	return failed;
}

/* How often each kind of call came in the small story, and how it failed. */
static void
print_disk(const Run *r)
{
	int64_t calls[DISK_OPS] = { 0 };
	int64_t n[DISK_OPS][DISK_FAULTS] = { 0 };

	for (int64_t c = 1; c <= counts->small_calls; c++)
		calls[call_ops[c]]++;
	for (int64_t i = 0; i < r->n; i++)
		n[disk_cases[i].op][disk_cases[i].fault]++;
	printf("%" PRId64 " calls in the story\n", counts->small_calls);
	for (int op = 0; op < DISK_OPS; op++)
	{
		printf("%12" PRId64 "  %s", calls[op], disk_op_names[op]);
		for (int f = 0; f < DISK_FAULTS; f++)
		{
			if (n[op][f])
				printf(", %s %" PRId64, disk_fault_names[f], n[op][f]);
		}
		printf("\n");
	}
}

static void
print_counts(const Run *r, int64_t cases, int64_t failed)
{
	static const struct
	{
		const char *text;
		size_t at;
	} all[] = {
#define X(name, text) { text, offsetof(Counts, name) },
		COUNTS(X) DISK_COUNTS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
	{
		if (all[i].at >= offsetof(Counts, disk_calls) && !r->disk_stride)
			break;
		printf("%12" PRId64 "  %s\n",
			   *(const int64_t *) ((const char *) counts + all[i].at),
			   all[i].text);
	}
	printf("%" PRId64 " cases, %" PRId64 " failed\n", cases, failed);
}

/* Of zeros, and of all processes. */
static void *
shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				   -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* Of a small story: how many calls, or steps, it has. */
static void
measure(Run *r)
{
	const Small none = { .on = true, .disk = r->disk_stride > 0 };
	int status;
	pid_t pid;

	call_ops = shared(DISK_CALLS_MAX);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
	{
		if (!sim_verbose && !freopen("/dev/null", "w", stdout))
			sim_exit(2);
		disk_ops = call_ops;
		(void) story_run(SMALL_SEED, &none);
		sim_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
	{
		fprintf(stderr, "the small story fails without a fault\n");
		exit(1);
	}
	if (r->disk_stride)
		r->n = plan_disk(counts->small_calls, r->disk_stride, r->disk_call);
	else
		r->n = r->calls ? counts->small_calls * (FAULT_KINDS - 1)
						: counts->small_steps / r->stride;
}

static int
usage(void)
{
	fprintf(stderr,
			"usage: sim [-v] [-x] [-j jobs] "
			"{first-seed seeds | -c | -k stride | -f stride [-n call]}\n");
	return 2;
}

int
main(int argc, char **argv)
{
	Run r = { .jobs = 2 };
	int64_t failed;
	int opt;

	while ((opt = getopt(argc, argv, "vxcj:k:f:n:")) != -1)
	{
		if (opt == 'v')
			sim_verbose = true;
		else if (opt == 'x')
			r.ends_early = true;
		else if (opt == 'c')
			r.calls = true;
		else if (opt == 'k')
			r.stride = strtoll(optarg, NULL, 10);
		else if (opt == 'f')
			r.disk_stride = strtoll(optarg, NULL, 10);
		else if (opt == 'n')
			r.disk_call = strtoll(optarg, NULL, 10);
		else if (opt == 'j')
			r.jobs = (int) strtol(optarg, NULL, 10);
		else
			return usage();
	}
	if (r.jobs < 1 || r.jobs > JOBS_MAX || r.stride < 0 || r.disk_stride < 0 ||
		argc - optind != (is_small(&r) ? 0 : 2))
		return usage();
	counts = shared(sizeof(*counts));
	if (is_small(&r))
		measure(&r);
	else
	{
		r.first = strtoull(argv[optind], NULL, 10);
		r.n = strtoll(argv[optind + 1], NULL, 10);
	}
	failed = run_cases(&r);
	if (r.disk_stride)
		print_disk(&r);
	print_counts(&r, r.n, failed);
	return failed > 0;
}
