#!/bin/bash
# Builds the simulation: build/sim/sim, from the sources as they are.
#
#	test/sim/build.sh [folder]
#
# What the sidecar calls of threads, clocks and sockets, and libpq, is put in
# place by the linker.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-build/sim}
mkdir -p "$out"
make -s -C uploader O="$(realpath "$out")" CFLAGS="-O2 -g -DSCALE=16" "$(realpath "$out")/libcdc.a"

wraps=""
for name in pthread_create pthread_join pthread_mutex_init pthread_mutex_destroy \
	pthread_mutex_lock pthread_mutex_unlock pthread_cond_init pthread_cond_destroy \
	pthread_cond_wait pthread_cond_timedwait pthread_cond_signal pthread_cond_broadcast \
	poll read write shutdown _exit pthread_detach clock_gettime nanosleep getrandom store_open \
	open openat close fsync pwrite fstat stat fstatat link unlink unlinkat mkdir \
	opendir fdopendir readdir closedir dirfd; do
	wraps="$wraps -Wl,--wrap=$name"
done
# shellcheck disable=SC2046,SC2086
cc -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes \
	${WERROR:+-Werror} -Itest/sim -Iuploader -Iplugin \
	$(make -s -C uploader cflags) -o "$out/sim" test/sim/*.c "$out/libcdc.a" \
	$wraps $(make -s -C uploader libs | sed 's/-lpq\b//') -pthread
