#!/bin/bash
# Runs the fuzz targets: the golden packets, test/fuzz/corpus, and mutations of
# both, under AddressSanitizer and UBSan.  Output is TAP.
#
#	test/fuzz/run.sh [SECONDS [SEED]]
#
# Each target takes as long; without SECONDS it is a moment of so many MUTATIONS
# (20000).  An input that fails stays in build/fuzz/TARGET.input; put it into
# test/fuzz/corpus/ as TARGET-something once it is mended.
set -eu
cd "$(dirname "$0")/../.."

seconds=${1:-}
seed=${2:-$RANDOM$RANDOM}
sanitize=address,undefined
out=build/fuzz
objects=$out/objects
targets=(frame csv)
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
	for c in "${targets[@]}"; do
		# shellcheck disable=SC2046
		${CC:-cc} -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra \
			-fsanitize=$sanitize -fno-sanitize-recover=all \
			-fno-omit-frame-pointer -Iuploader -Iplugin -Itest/fuzz \
			-o "$out/fuzz_$c" "test/fuzz/fuzz_$c.c" test/fuzz/fuzz_main.c \
			"${modules[@]/%.c/.o}" $(make -s -C uploader libs) || return 1
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

# run NUMBER TARGET FILE...
run()
{
	local n=$1 target=$2 rc=0
	shift 2
	rm -f "$out/$target.input"
	echo "# seed $seed"
	timeout $((600 + ${seconds:-0})) "$out/fuzz_$target" "${amount[@]}" \
		-s "$seed" -o "$out/$target.input" "$@" >"$out/$target.log" 2>&1 ||
		rc=$?
	sed 's/^/# /' "$out/$target.log" | head -n 80
	if [ "$rc" = 0 ]; then
		echo "ok $n - fuzz: $target (seed $seed)"
	else
		echo "not ok $n - fuzz: $target (seed $seed, exit code $rc, see $out/$target.input)"
		code=1
	fi
}

code=0
run 1 frame test/golden/*.hex test/fuzz/corpus/frame-*
run 2 csv test/fuzz/corpus/csv-*
exit $code
