#!/bin/sh
# Builds plugin and sidecar; quiet unless it fails.
set -eu
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! make -j"$(nproc 2>/dev/null || echo 1)" all >"$log" 2>&1; then
	cat "$log" >&2
	echo "build failed" >&2
	exit 1
fi
# Warnings are worth a look even where they are no errors.
grep -E '(warning|error):' "$log" >&2 || true
