#!/bin/bash
# Runs the fuzz targets: the golden packets, test/fuzz/corpus, and mutations of
# both, under AddressSanitizer and UBSan.  Output is TAP.
#
#	test/fuzz/run.sh [SECONDS [SEED]]
#
# Without SECONDS it is a moment of so many MUTATIONS (20000).  An input that
# fails stays in build/fuzz/frame.input; put it into test/fuzz/corpus/ once it
# is mended.
set -eu
cd "$(dirname "$0")/../.."

seconds=${1:-}
seed=${2:-$RANDOM$RANDOM}
sanitize=address,undefined
out=build/fuzz
objects=$out/objects
mkdir -p "$out"

build()
{
	local c modules=()
	# The code under test tells which of its places it passes.
	for c in uploader/base/*.c uploader/codec/*.c; do
		modules+=("../$objects/${c#uploader/}")
	done
	make -s -j"$(nproc)" -C uploader "${modules[@]/%.c/.o}" O="../$objects" \
		SANITIZE=$sanitize CFLAGS="-O1 -g -fsanitize-coverage=trace-pc" ||
		return 1
	modules=("${modules[@]#../}")
	# shellcheck disable=SC2046
	${CC:-cc} -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra -fsanitize=$sanitize \
		-fno-sanitize-recover=all -fno-omit-frame-pointer \
		-Iuploader -Iplugin -Itest/fuzz -o "$out/fuzz_frame" \
		test/fuzz/fuzz_frame.c "${modules[@]/%.c/.o}" \
		$(make -s -C uploader libs)
}

if ! build >"$out/build.log" 2>&1; then
	cat "$out/build.log"
	echo "not ok - fuzz: targets build"
	exit 1
fi
if [ -n "$seconds" ]; then
	amount=(-t "$seconds")
else
	amount=(-n "${MUTATIONS:-20000}")
fi
export ASAN_OPTIONS=detect_leaks=1
shopt -s nullglob
rm -f "$out/frame.input"
rc=0
echo "# seed $seed"
timeout $((600 + ${seconds:-0})) "$out/fuzz_frame" "${amount[@]}" -s "$seed" \
	-o "$out/frame.input" test/golden/*.hex test/fuzz/corpus/frame-* \
	>"$out/frame.log" 2>&1 || rc=$?
sed 's/^/# /' "$out/frame.log" | head -n 80
if [ "$rc" = 0 ]; then
	echo "ok 1 - fuzz: frame (seed $seed)"
else
	echo "not ok 1 - fuzz: frame (seed $seed, exit code $rc, see $out/frame.input)"
	exit 1
fi
