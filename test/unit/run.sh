#!/bin/bash
# Builds and runs the unit tests.
#
#	test/unit/run.sh [sanitizers [name ...]]
#
# With sanitizers ("address,undefined" or "thread") everything is built again
# below build/.  Output is TAP, one line a case.  LAUNCH names what starts a
# program that is not for this machine, UNIT_TIMEOUT its seconds (300).
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
code=0
unbuilt=" "
build=(make -s -C uploader O="../$out" "${options[@]}")
if ! "${build[@]}" -k -j"$(nproc)" unit >"$out/build.log" 2>&1; then
	cat "$out/build.log"
	code=1
	# Each by its name, and those that were built are run.
	for target in libcdc.a test/unit/test_*.c; do
		name=$(basename "$target" .c)
		[ "$name" = libcdc.a ] || target=unit/$name
		if ! "${build[@]}" -q "../$out/$target" >/dev/null 2>&1; then
			echo "not ok - $name: does not build${sanitize:+ with $sanitize}"
			[ "$name" != libcdc.a ] || exit 1
			unbuilt="$unbuilt$name "
		fi
	done
fi

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
# ThreadSanitizer cannot live with much randomness in addresses.
launch=(${LAUNCH:+"$LAUNCH"})
if [ "$sanitize" = thread ] && setarch -R true 2>/dev/null; then
	launch=(setarch -R)
fi

# Are there as many verdicts as were planned?
all_ran()
{
	awk '/^1\.\./ { planned += substr($1, 4) }
		/^(not )?ok / { ran++ }
		END { exit ran < planned }' "$1"
}

if [ $# = 0 ]; then
	set -- test/unit/test_*.c
fi
for source; do
	name=$(basename "$source" .c)
	[[ "$unbuilt" != *" $name "* ]] || continue
	log=$out/$name.log
	rc=0
	timeout "${UNIT_TIMEOUT:-300}" "${launch[@]}" "$out/unit/$name" >"$log" 2>&1 || rc=$?
	echo "# $name"
	sed "s/^\(not \)\{0,1\}ok \([0-9]* - \)\{0,1\}/&$name: /" "$log"
	if [ "$rc" != 0 ]; then
		code=1
		# A crash or a sanitizer's report ends a program without a verdict.
		grep '^not ok' "$log" | grep -qvi '# *skip' || echo "not ok - $name: exit code $rc"
	elif ! grep -q '^ok' "$log"; then
		code=1
		echo "not ok - $name: ran no test"
	elif ! all_ran "$log"; then
		code=1
		echo "not ok - $name: ended before its last test"
	fi
done
exit $code
