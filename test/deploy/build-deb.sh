#!/bin/bash
# Builds the Debian packages from what git has here: "make deb".
#
#	test/deploy/build-deb.sh	into build/deb
#
# The packages are for this machine's release and the server versions that it
# has.  Nothing outside build/deb is written.
set -eu
cd "$(dirname "$0")/../.."

version=$(sed -n '1s/.*(\(.*\)).*/\1/p' deploy/debian/changelog)
out=$PWD/build/deb
tree=$out/cdc-s3-$version
rm -rf "$out"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
	xargs -0 cp -a --parents -t "$tree"
cp -a deploy/debian "$tree/debian"
cd "$tree"
# The control file names each server version; this writes it.
pg_buildext updatecontrol
log=$out/build.log
if ! dpkg-buildpackage -b -us -uc >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	echo "the packages are not built; see $log" >&2
	exit 1
fi
cd "$out"
rm -rf "$tree"
ls -1 -- *.deb
