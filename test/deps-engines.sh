#!/bin/sh
# Brings what reads the lake in the tests into the cache folder, never into the
# tree: a Python environment with DuckDB, pyarrow, polars, and sqlglot, which parses the
# SQL of engines that do not run here.  Prints the path of its python.  Does
# nothing where it is there already.  Needs the network the first time, what
# "test/deps.sh test" installs, and no root.
#
#	test/deps-engines.sh
#	test/deps-engines.sh --path	where python lies, or would lie
#
# A new version here is all that a new version needs.
set -eu

duckdb=1.4.4 # the long-term release
pyarrow=26.0.1
sqlglot=30.30.0
polars=2.1.0

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
folder=$cache/engines-$duckdb-$pyarrow-$sqlglot-$polars

# Registries have bad moments.
twice()
{
	"$@" && return
	echo "once more: $*"
	sleep 5
	"$@"
}

case ${1:-} in
--path)
	echo "$folder/python"
	exit
	;;
# This file calls itself so, since "set -e" holds in a process of its own.
--install)
	[ ! -e "$folder/python" ] || exit 0 # another run brought it meanwhile
	rm -rf "$folder"
	python3 -m venv "$folder"
	twice "$folder/bin/pip" install -q "duckdb==$duckdb" \
		"pyarrow==$pyarrow" "sqlglot==$sqlglot" "polars==$polars"
	# The environment knows its own place and cannot be moved: what says that
	# it is whole comes last.
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$folder/bin/python3" >"$folder/wrapper"
	chmod +x "$folder/wrapper"
	mv "$folder/wrapper" "$folder/python"
	exit 0
	;;
esac

if [ ! -e "$folder/python" ]; then
	mkdir -p "$cache"
	log=$cache/engines.log
	echo "bringing DuckDB and pyarrow into $cache (some 300 MB)" >&2
	if ! flock "$cache/engines.lock" sh "$0" --install >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "could not bring DuckDB and pyarrow; see $log" >&2
		exit 1
	fi
fi
echo "$folder/python"
