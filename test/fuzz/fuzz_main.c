/*-------------------------------------------------------------------------
 * fuzz_main.c
 *	  Runs a fuzz target over a corpus and mutations of it.
 *-------------------------------------------------------------------------
 */
#include "fuzz_main.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"

#define MAX_SEEDS 8192
#define MAX_FOUND ((size_t) 1 << 14) /* longer ones are slow to mutate */
#define HANG_SECONDS 30

static Buf seeds[MAX_SEEDS];
static size_t nseeds;
static uint64_t random_state;

/* The input that is being run, and where it goes if it fails. */
static const Buf *running;
static const char *keep;

/* Pairs of places that were passed one after the other. */
static uint8_t passed[1 << 16];
static uintptr_t last_place;
static bool passed_new;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_set_death_callback(void (*callback)(void))
	__attribute__((weak));

void
__sanitizer_cov_trace_pc(void)
{
	/* From the program's own start, so that a seed means the same again. */
	uintptr_t place = (uintptr_t) __builtin_return_address(0) -
					  (uintptr_t) &LLVMFuzzerTestOneInput;
	uintptr_t pair = (place ^ (last_place << 5)) * 0x9e3779b1U;

	last_place = place;
	pair = (pair >> 8) % sizeof(passed);
	if (passed[pair] == 0)
	{
		passed[pair] = 1;
		passed_new = true;
	}
}

uint64_t
fuzz_random(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* Frames of all packets of a .hex file, or the file as it is. */
static bool
read_seed(const char *path, Buf *out)
{
	size_t len = strlen(path);
	bool hex = len > 4 && strcmp(path + len - 4, ".hex") == 0;
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!f)
		return false;
	while ((n = getdelim(&line, &size, hex ? '\n' : EOF, f)) > 0)
	{
		uint8_t *p = (uint8_t *) line;

		if (!hex)
			buf_add(out, p, (size_t) n);
		else if ((size_t) n / 2 > CDC_S3_PACKET_HEADER &&
				 hex_decode(line, (size_t) n / 2, p))
			buf_add(out, p + CDC_S3_PACKET_HEADER,
					(size_t) n / 2 - CDC_S3_PACKET_HEADER);
	}
	free(line);
	(void) fclose(f);
	return true;
}

const Buf *
fuzz_seed(void)
{
	return &seeds[fuzz_random(nseeds)];
}

bool
fuzz_splice(Buf *b, size_t at, size_t old_n, const uint8_t *p, size_t n)
{
	if (n > old_n && !buf_room(b, n - old_n))
		return false;
	memmove(b->p + at + n, b->p + at + old_n, b->n - at - old_n);
	b->n = b->n + n - old_n;
	if (n > 0)
		memcpy(b->p + at, p, n);
	return true;
}

void
fuzz_mutate_bytes(Buf *b)
{
	static const uint32_t odd[] = {
		0,     1,      0x7f,    0x80,       0xfe,       0xff,
		0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff
	};
	size_t at = fuzz_random(b->n);
	size_t n = 1 + fuzz_random(b->n - at < 32 ? b->n - at : 32);
	uint32_t v = odd[fuzz_random(sizeof(odd) / sizeof(odd[0]))];
	uint8_t copy[32];
	const Buf *other;
	size_t from;

	switch (fuzz_random(7))
	{
		case 0:
			b->p[at] ^= (uint8_t) (1 << fuzz_random(8));
			break;
		case 1:
			b->p[at] = (uint8_t) fuzz_random(256);
			break;
		case 2: /* a length, perhaps */
			for (size_t i = 0; i < 4 && at + i < b->n; i++)
				b->p[at + i] = (uint8_t) (v >> (8 * i));
			break;
		case 3: /* take out */
			(void) fuzz_splice(b, at, n, NULL, 0);
			break;
		case 4: /* cut off */
			b->n = at;
			break;
		case 5: /* twice */
			memcpy(copy, b->p + at, n);
			(void) fuzz_splice(b, at, 0, copy, n);
			break;
		default: /* from another seed */
			other = fuzz_seed();
			from = fuzz_random(other->n);
			if (n > other->n - from)
				n = other->n - from;
			memcpy(b->p + at, other->p + from, n);
			break;
	}
}

/* The program ends because of the input: keep it. */
static void
keep_input(void)
{
	FILE *f = keep && running ? fopen(keep, "w") : NULL;

	if (!f)
		return;
	(void) fwrite(running->p, 1, running->n, f);
	(void) fclose(f);
	running = NULL;
}

static void
on_signal(int sig)
{
	keep_input();
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

static void
run_one(const Buf *b)
{
	static unsigned count;
	static const struct itimerval hang = { .it_value.tv_sec = HANG_SECONDS };

	if (count++ % 256 == 0)
		(void) setitimer(ITIMER_VIRTUAL, &hang, NULL);
	running = b;
	last_place = 0;
	passed_new = false;
	(void) LLVMFuzzerTestOneInput(b->p, b->n);
	running = NULL;
}

static time_t
seconds_now(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* So many mutations, or, with seconds, as many as they allow. */
static long
run_mutations(long n, long seconds)
{
	time_t end = seconds_now() + seconds;
	long i;
	Buf b;

	buf_init(&b, FUZZ_MAX_INPUT);
	for (i = 0; seconds > 0 ? i % 256 != 0 || seconds_now() < end : i < n; i++)
	{
		const Buf *seed = fuzz_seed();

		buf_reset(&b);
		buf_add(&b, seed->p, seed->n);
		for (uint64_t k = 1 + fuzz_random(6); k > 0 && b.n > 0; k--)
		{
			if (fuzz_random(3) == 0)
				fuzz_mutate_bytes(&b);
			else
				fuzz_mutate(&b);
		}
		run_one(&b);
		if (passed_new && nseeds < MAX_SEEDS && b.n > 0 && b.n <= MAX_FOUND)
		{
			buf_init(&seeds[nseeds], FUZZ_MAX_INPUT);
			buf_add(&seeds[nseeds++], b.p, b.n);
		}
		if (i % 100000 == 0 && i > 0)
			(void) fprintf(stderr, "%ld mutations, %zu seeds\n", i, nseeds);
	}
	buf_done(&b);
	return i;
}

int
main(int argc, char **argv)
{
	long mutations = 0;
	long seconds = 0;
	size_t given;
	int opt;

	random_state = 1;
	while ((opt = getopt(argc, argv, "n:t:s:o:")) != -1)
	{
		if (opt == 'n')
			mutations = strtol(optarg, NULL, 10);
		else if (opt == 't')
			seconds = strtol(optarg, NULL, 10);
		else if (opt == 's')
			random_state = strtoull(optarg, NULL, 10);
		else if (opt == 'o')
			keep = optarg;
		else
			return 2;
	}
	if (random_state == 0)
		random_state = 1; /* of zero comes nothing but zeros */
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	(void) signal(SIGABRT, on_signal);
	(void) signal(SIGVTALRM, on_signal);
	for (; optind < argc; optind++)
	{
		Buf seed;

		buf_init(&seed, FUZZ_MAX_INPUT);
		if (!read_seed(argv[optind], &seed))
		{
			(void) fprintf(stderr, "could not read \"%s\"\n", argv[optind]);
			return 2;
		}
		run_one(&seed);
		if (seed.n > 0 && nseeds < MAX_SEEDS)
			seeds[nseeds++] = seed;
		else
			buf_done(&seed);
	}
	given = nseeds;
	if (nseeds > 0)
		mutations = run_mutations(mutations, seconds);
	(void) printf("%zu seeds, %ld mutations, %zu reached new code\n", given,
				  mutations, nseeds - given);
	for (size_t i = 0; i < nseeds; i++)
		buf_done(&seeds[i]);
	return 0;
}
