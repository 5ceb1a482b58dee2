/*-------------------------------------------------------------------------
 * fuzz_parquet.c
 *	  Any bytes as a Parquet object: the reader takes or refuses them with one
 *	  clear error, holds no more than its bound, and never reads where it
 *	  should not.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER.  Else:
 *
 *	fuzz_parquet [-n MUTATIONS | -t SECONDS] [-s SEED] [-o FILE] [CORPUS...]
 *
 * mutates objects that the writer makes here, and the files of the corpus.
 * What reaches new code (where the objects are built with
 * -fsanitize-coverage=trace-pc) is mutated further.  FILE gets the input that
 * failed.
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../unit/parquet_rows.h"
#include "codec/parquet.h"

#define LINE_MAX_BYTES ((size_t) 1 << 20)
/* A page may say that a value comes a billion times. */
#define RECORDS_MAX 2000
#define SEEDS_MAX 4096
#define INPUT_MAX ((size_t) 1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok, const char *what)
{
	if (!ok)
	{
		(void) fprintf(stderr, "property broken: %s\n", what);
		abort();
	}
}

static Schema *
the_schema(void)
{
	static Schema *s;

	if (!s)
		s = rows_schema('d');
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = xmalloc(size ? size : 1); /* not a byte more */
	FormatSource source = { .object = { exact, size },
							.max_line = LINE_MAX_BYTES,
							.schema = the_schema() };
	FormatReader *r;
	bool end = false;
	bool ok = true;
	Slice line;
	Err err;

	if (size > 0)
		memcpy(exact, data, size);
	r = parquet_format.open(&source);
	for (int n = 0; ok && !end && n < RECORDS_MAX; n++)
	{
		ok = parquet_format.next(r, &line, &end, &err);
		if (ok && !end)
			require(line.n > 2 && line.n <= LINE_MAX_BYTES &&
						line.p[0] == '{' && line.p[line.n - 1] == '}' &&
						!memchr(line.p, '\n', line.n),
					"a record is a line");
	}
	require(ok || err.kind == ERR_DATA || err.kind == ERR_LIMIT,
			"what is refused is told so");
	parquet_format.done(r);
	free(exact);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

static Buf seeds[SEEDS_MAX];
static size_t nseeds;
static uint64_t random_state = 1;
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

static void
keep_input(void)
{
	FILE *f = keep && running ? fopen(keep, "w") : NULL;

	if (!f)
		return;
	(void) fwrite(running->p, 1, running->n, f);
	(void) fclose(f);
}

static void
on_signal(int sig)
{
	keep_input();
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

static void
run_one(const Buf *input)
{
	running = input;
	(void) LLVMFuzzerTestOneInput(input->p, input->n);
	running = NULL;
}

/* An object of a few changes, in one row group or some. */
static void
make_seed(Compression compression, int rows, int group)
{
	const FormatOptions options = { .compression = compression,
									.numeric = NUMERIC_AUTO };
	FormatTable *t = parquet_format.table_new(the_schema(), &options);
	FormatWriter *w = parquet_format.begin(t);
	ColView cols[ROWS_COLUMNS];
	RowView row = { ROWS_COLUMNS, cols };
	Buf *out = &seeds[nseeds++];
	Buf bytes;
	Err err;
	bool ok = true;

	buf_init(out, INPUT_MAX);
	buf_init(&bytes, SIZE_MAX);
	for (int i = 0; ok && i < rows; i++)
	{
		Change change = { .op = "iudr"[i % 4],
						  .lsn = 7,
						  .seq = i,
						  .xid = 9,
						  .no_identity = i % 8 == 1,
						  .row = &row };

		rows_pick(&random_state, 3, &bytes, cols);
		if (change.op == 'u')
			cols[20] = (ColView){ .state = COL_UNCHANGED };
		if (i % 3 == 0)
			cols[21] = (ColView){ .state = COL_WITHHELD,
								  .reason = 1,
								  .size = 3,
								  .p = (const uint8_t *) "\xff",
								  .n = (uint32_t) (i & 1) };
		ok = parquet_format.add(w, &change, out, &err);
		if (ok && group > 0 && i % group == group - 1)
			ok = parquet_format.shrink(w, out, &err);
	}
	require(ok && parquet_format.end(w, out, &err), "a seed is written");
	parquet_format.close(w);
	parquet_format.table_free(t);
	buf_done(&bytes);
}

/* Where to change something: as often in the footer as before it. */
static size_t
pick_place(const Buf *b)
{
	size_t footer = b->n < 12 ? 0
							  : (size_t) b->p[b->n - 8] |
									(size_t) b->p[b->n - 7] << 8 |
									(size_t) b->p[b->n - 6] << 16;

	if (footer + 8 < b->n && footer > 0 && rows_random(&random_state, 2))
		return b->n - 8 - rows_random(&random_state, (uint32_t) footer);
	return rows_random(&random_state, (uint32_t) b->n);
}

static void
mutate(Buf *b)
{
	static const uint8_t odd[] = { 0, 1, 2, 0x7f, 0x80, 0xfe, 0xff };
	size_t at = pick_place(b);
	size_t n = 1 + rows_random(&random_state, 8);
	const Buf *other;

	if (n > b->n - at)
		n = b->n - at;
	switch (rows_random(&random_state, 6))
	{
		case 0:
			b->p[at] ^= (uint8_t) (1 << rows_random(&random_state, 8));
			break;
		case 1:
			b->p[at] = odd[rows_random(&random_state, sizeof(odd))];
			break;
		case 2:
			b->p[at] += (uint8_t) (rows_random(&random_state, 3) - 1);
			break;
		case 3: /* a varint, perhaps */
			memset(b->p + at, 0xff, n);
			break;
		case 4:
			other = &seeds[rows_random(&random_state, (uint32_t) nseeds)];
			if (n <= other->n)
				memcpy(b->p + at,
					   other->p + rows_random(&random_state,
											  (uint32_t) (other->n - n + 1)),
					   n);
			break;
		default: /* take out; the footer's length is left as it was */
			if (rows_random(&random_state, 4) != 0)
			{
				b->p[at] = (uint8_t) rows_random(&random_state, 256);
				break;
			}
			memmove(b->p + at, b->p + at + n, b->n - at - n);
			b->n -= n;
			break;
	}
}

static bool
read_seed(const char *path)
{
	Buf *b = &seeds[nseeds];
	FILE *f = fopen(path, "r");
	char piece[4096];
	size_t n;

	if (!f || nseeds == SEEDS_MAX)
		return false;
	buf_init(b, INPUT_MAX);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(b, piece, n);
	(void) fclose(f);
	run_one(b);
	nseeds += b->n > 0;
	return true;
}

static long
run_mutations(long mutations, long seconds)
{
	time_t until = time(NULL) + seconds;
	long done = 0;
	Buf b;

	buf_init(&b, 2 * INPUT_MAX);
	while (seconds > 0 ? time(NULL) < until : done < mutations)
	{
		const Buf *seed = &seeds[rows_random(&random_state, (uint32_t) nseeds)];

		buf_reset(&b);
		buf_add(&b, seed->p, seed->n);
		for (int i = (int) rows_random(&random_state, 4); i >= 0 && b.n > 0;
			 i--)
			mutate(&b);
		passed_new = false;
		run_one(&b);
		done++;
		if (passed_new && nseeds < SEEDS_MAX)
		{
			buf_init(&seeds[nseeds], INPUT_MAX);
			buf_add(&seeds[nseeds], b.p, b.n);
			nseeds += seeds[nseeds].n > 0;
		}
	}
	buf_done(&b);
	return done;
}

int
main(int argc, char **argv)
{
	long mutations = 0;
	long seconds = 0;
	size_t given;
	int opt;

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
	make_seed(COMPRESS_NONE, 12, 0);
	make_seed(COMPRESS_NONE, 40, 13);
	make_seed(COMPRESS_SNAPPY, 40, 0);
	make_seed(COMPRESS_ZSTD, 5, 0);
	make_seed(COMPRESS_GZIP, 5, 0);
	for (size_t i = 0; i < nseeds; i++)
		run_one(&seeds[i]);
	for (; optind < argc; optind++)
	{
		if (!read_seed(argv[optind]))
		{
			(void) fprintf(stderr, "could not read \"%s\"\n", argv[optind]);
			return 2;
		}
	}
	given = nseeds;
	mutations = run_mutations(mutations, seconds);
	(void) printf("%zu seeds, %ld mutations, %zu reached new code\n", given,
				  mutations, nseeds - given);
	for (size_t i = 0; i < nseeds; i++)
		buf_done(&seeds[i]);
	schema_free(the_schema());
	return 0;
}

#endif
