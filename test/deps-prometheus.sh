#!/bin/sh
# Brings promtool, which knows what metrics and rules must look like, into the
# cache folder: out of the distribution's package, which is not installed, since
# that would start a server.  Prints its path.  Does nothing where it is there
# already.  Needs the network the first time, and no root.
#
#	test/deps-prometheus.sh
#	test/deps-prometheus.sh --path	where it lies, or would lie
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
tool=$cache/promtool

if [ "${1:-}" = --path ]; then
	command -v promtool || echo "$tool"
	exit
fi
if ! command -v promtool >/dev/null 2>&1 && [ ! -e "$tool" ]; then
	mkdir -p "$cache"
	folder=$(mktemp -d "$cache/prometheus.XXXXXX")
	trap 'rm -rf "$folder"' EXIT
	chmod 755 "$folder"
	(cd "$folder" && apt-get download -q prometheus) >"$folder/log" 2>&1 || {
		cat "$folder/log" >&2
		echo "could not download the package prometheus" >&2
		exit 1
	}
	dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb |
		tar -x -C "$folder" ./usr/bin/promtool
	mv "$folder/usr/bin/promtool" "$tool"
fi
sh "$0" --path
