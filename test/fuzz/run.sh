#!/bin/bash
# Runs the fuzz targets for a moment: the golden packets, test/fuzz/corpus,
# and mutations of both, under AddressSanitizer.  Output is TAP.
#
#	test/fuzz/run.sh [MUTATIONS [SEED]]
#
# An input that fails stays in build/fuzz/frame.input; put it into
# test/fuzz/corpus/ once it is mended.
set -eu
cd "$(dirname "$0")/../.."

mutations=${1:-20000}
seed=${2:-$RANDOM$RANDOM}
sanitize=address,undefined
lib=build/unit-${sanitize//,/-}
out=build/fuzz
mkdir -p "$lib" "$out"

build()
{
	# The same objects as of the unit tests with these sanitizers.
	make -s -j"$(nproc)" -C uploader "../$lib/libcdc.a" O="../$lib" \
		SANITIZE=$sanitize CFLAGS="-O1 -g" || return 1
	# shellcheck disable=SC2046
	${CC:-cc} -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra -fsanitize=$sanitize \
		-fno-sanitize-recover=all -fno-omit-frame-pointer \
		-Iuploader -Iplugin -Itest/fuzz -o "$out/fuzz_frame" \
		test/fuzz/fuzz_frame.c "$lib/libcdc.a" \
		$(pkg-config --libs libpq libcurl openssl libzstd zlib jansson) \
		-lm -pthread
}

if ! build >"$out/build.log" 2>&1; then
	cat "$out/build.log"
	echo "not ok - fuzz: targets build"
	exit 1
fi
export ASAN_OPTIONS=detect_leaks=1
shopt -s nullglob
rc=0
timeout 600 "$out/fuzz_frame" -n "$mutations" -s "$seed" \
	-o "$out/frame.input" test/golden/*.hex test/fuzz/corpus/frame-* \
	>"$out/frame.log" 2>&1 || rc=$?
sed 's/^/# /' "$out/frame.log" | head -n 80
if [ "$rc" = 0 ]; then
	echo "ok 1 - fuzz: frame (seed $seed)"
else
	echo "not ok 1 - fuzz: frame (seed $seed, exit code $rc, see $out/frame.input)"
	exit 1
fi
