#!/bin/bash
# Builds the simulation from the sources as they are: build/sim/sim in fibers, or
# build/sim-threads/sim in threads, with ThreadSanitizer.
#
#	test/sim/build.sh [folder]
#	test/sim/build.sh --threads [folder]
#
# What the sidecar calls of threads, clocks and sockets, and libpq, is put in
# place by the linker.
set -eu
cd "$(dirname "$0")/../.."
kind=fiber
if [ "${1:-}" = --threads ]; then
	kind=threads
	shift
	out=${1:-build/sim-threads}
else
	out=${1:-build/sim}
fi
mkdir -p "$out"

wraps=""
for name in pthread_create pthread_join pthread_mutex_lock pthread_mutex_unlock \
	pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_timedwait \
	pthread_cond_signal pthread_cond_broadcast \
	poll read write shutdown _exit clock_gettime nanosleep getrandom store_open \
	open openat close fsync pwrite fstat stat fstatat link unlink unlinkat mkdir \
	opendir fdopendir readdir closedir dirfd; do
	wraps="$wraps -Wl,--wrap=$name"
done

if [ $kind = fiber ]; then
	optimize=-O2 sanitize=
	for name in pthread_mutex_init pthread_mutex_destroy pthread_detach; do
		wraps="$wraps -Wl,--wrap=$name"
	done
else
	# threads.c says why the world is built without it.
	optimize=-O1 sanitize=thread
fi
make -s -C uploader O="$(realpath "$out")" CFLAGS="$optimize -g -DSCALE=16" SANITIZE=$sanitize \
	"$(realpath "$out")/libcdc.a"

objects=()
for file in test/sim/*.c; do
	name=$(basename "$file" .c)
	case $kind-$name in
	fiber-threads | threads-fiber) continue ;;
	threads-lake | threads-pq) more=-finstrument-functions ;;
	*) more= ;;
	esac
	# shellcheck disable=SC2046
	cc -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes \
		${WERROR:+-Werror} $more -Itest/sim -Iuploader -Iplugin \
		$(make -s -C uploader cflags) -pthread -c -o "$out/$name.o" "$file"
	objects+=("$out/$name.o")
done
# shellcheck disable=SC2046,SC2086
cc -O2 ${sanitize:+-fsanitize=$sanitize} -o "$out/sim" "${objects[@]}" "$out/libcdc.a" \
	$wraps $(make -s -C uploader libs | sed 's/-lpq\b//') -pthread
