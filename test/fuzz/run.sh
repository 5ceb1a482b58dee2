#!/bin/bash
# Runs the fuzz targets: the golden packets, test/fuzz/corpus, and mutations of
# both, under AddressSanitizer and UBSan.  Output is TAP.
#
#	test/fuzz/run.sh [SECONDS [SEED]]
#
# Without SECONDS it is a moment of so many MUTATIONS (20000).  An input that
# fails stays in build/fuzz/NAME.input; put it into test/fuzz/corpus/ as NAME-…
# once it is mended.
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
	for c in frame parquet; do
		# shellcheck disable=SC2046
		${CC:-cc} -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra \
			-fsanitize=$sanitize -fno-sanitize-recover=all \
			-fno-omit-frame-pointer -Iuploader -Iplugin -Itest/fuzz \
			-o "$out/fuzz_$c" "test/fuzz/fuzz_$c.c" "${modules[@]/%.c/.o}" \
			$(make -s -C uploader libs) || return 1
	done
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
echo "# seed $seed"
n=0
code=0
# run NAME SEEDS...: one target.
run()
{
	local name=$1 rc=0
	shift
	n=$((n + 1))
	rm -f "$out/$name.input"
	timeout $((600 + ${seconds:-0})) "$out/fuzz_$name" "${amount[@]}" \
		-s "$seed" -o "$out/$name.input" "$@" >"$out/$name.log" 2>&1 || rc=$?
	sed 's/^/# /' "$out/$name.log" | head -n 80
	if [ "$rc" = 0 ]; then
		echo "ok $n - fuzz: $name (seed $seed)"
	else
		echo "not ok $n - fuzz: $name (seed $seed, exit code $rc, see $out/$name.input)"
		code=1
	fi
}

run frame test/golden/*.hex test/fuzz/corpus/frame-*
run parquet test/fuzz/corpus/parquet-*
exit $code
