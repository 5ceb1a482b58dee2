/*-------------------------------------------------------------------------
 * fuzz_main.h
 *	  What a fuzz target is, and what its driver offers it.
 *
 * A target defines the first two functions, and its head says which properties
 * it holds to.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER.  Else:
 *
 *	fuzz_TARGET [-n MUTATIONS | -t SECONDS] [-s SEED] [-o FILE] CORPUS...
 *
 * runs each file of the corpus (*.hex: packets, one a line; others: frames)
 * and so many mutations of them, or as many as the time allows.  What reaches
 * new code (where the objects are built with -fsanitize-coverage=trace-pc) is
 * mutated further.  FILE gets the input that failed, or that ran when 256 of
 * them had taken HANG_SECONDS of the processor's time.
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_MAIN_H
#define FUZZ_MAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

#define FUZZ_MAX_INPUT ((size_t) 1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes an input, which is not empty, along its structure. */
void fuzz_mutate(Buf *b);

/* Changes some bytes of it. */
void fuzz_mutate_bytes(Buf *b);

/* Puts n bytes in the place of old_n bytes at an offset; false: no room. */
bool fuzz_splice(Buf *b, size_t at, size_t old_n, const uint8_t *p, size_t n);

/* A number in [0, below), and an input to take something from. */
uint64_t fuzz_random(uint64_t below);
const Buf *fuzz_seed(void);

static inline void
require(bool ok, const char *what)
{
	if (!ok)
	{
		(void) fprintf(stderr, "property broken: %s\n", what);
		abort();
	}
}

#endif
