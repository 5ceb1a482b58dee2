#!/bin/bash
# The tests of whole programs with a sidecar that was built with sanitizers.
# The last line is "N passed, N failed".
#
#	test/sanitized.sh [sanitizers [test ...]]
#
# Sanitizers are "address,undefined" (the default) or "thread".  Without names
# it is all of test/t.  How much memory it takes is not looked at.
set -eu
cd "$(dirname "$0")/.."

sanitize=${1:-address,undefined}
shift || true
out=build/sanitized-${sanitize//,/-}
mkdir -p "$out"
make -s -j"$(nproc)" -C uploader O="../$out" SANITIZE="$sanitize" CFLAGS="-O1 -g"
make -s cdc_s3.so

export CDCS3_TEST_BIN=$PWD/$out/cdc-s3
# ThreadSanitizer cannot live with much randomness in addresses.
if [ "$sanitize" = thread ] && setarch -R true 2>/dev/null; then
	printf '#!/bin/sh\nexec setarch -R %q "$@"\n' "$CDCS3_TEST_BIN" >"$out/run"
	chmod +x "$out/run"
	CDCS3_TEST_BIN=$PWD/$out/run
fi
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1

if [ $# = 0 ]; then
	set -- test/t/*.pl
fi
code=0
prove -v -I test/lib "$@" >"$out/tap.log" 2>&1 || code=$?
grep -E '^not ok|Sanitizer:|runtime error:' "$out/tap.log" || true
awk -f test/count.awk "$out/tap.log" >"$out/count"
read -r passed failed skipped < <(tail -n 1 "$out/count")
echo "skipped: $skipped"
sed -e '$d' -e 's/^/failed: /' "$out/count"
# What broke without saying which test counts as one.
if [ "$code" != 0 ] && [ "$failed" = 0 ]; then
	failed=1
	tail -n 40 "$out/tap.log"
fi
echo "$passed passed, $failed failed"
exit "$code"
