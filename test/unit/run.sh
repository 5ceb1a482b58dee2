#!/bin/bash
# Builds and runs the unit tests.
#
#	test/unit/run.sh [sanitizers [name ...]]
#
# With sanitizers ("address,undefined" or "thread") everything is built again
# below build/.  Output is TAP, one line a case.
set -eu
cd "$(dirname "$0")/../.."

sanitize=${1:-}
shift || true
out=build/unit${sanitize:+-${sanitize//,/-}}
mkdir -p "$out"
options=()
if [ -n "$sanitize" ]; then
	options=(SANITIZE="$sanitize" CFLAGS="-O1 -g")
fi
if ! make -s -j"$(nproc)" -C uploader unit O="../$out" "${options[@]}" \
	>"$out/build.log" 2>&1; then
	cat "$out/build.log"
	echo "not ok - unit tests build${sanitize:+ with $sanitize}"
	exit 1
fi

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
# ThreadSanitizer cannot live with much randomness in addresses.
launch=()
if [ "$sanitize" = thread ] && setarch -R true 2>/dev/null; then
	launch=(setarch -R)
fi

if [ $# = 0 ]; then
	set -- test/unit/test_*.c
fi
code=0
for source; do
	name=$(basename "$source" .c)
	log=$out/$name.log
	rc=0
	timeout 300 "${launch[@]}" "$out/unit/$name" >"$log" 2>&1 || rc=$?
	echo "# $name"
	sed "s/^\(not \)\{0,1\}ok \([0-9]* - \)\{0,1\}/&$name: /" "$log"
	if [ "$rc" != 0 ]; then
		code=1
		# A crash or a sanitizer's report ends a program without a verdict.
		grep '^not ok' "$log" | grep -qvi '# *skip' || echo "not ok - $name: exit code $rc"
	elif ! grep -q '^ok' "$log"; then
		code=1
		echo "not ok - $name: ran no test"
	fi
done
exit $code
