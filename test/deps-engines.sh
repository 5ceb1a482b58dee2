#!/bin/sh
# Brings what reads the lake in the tests into the cache folder, never into the
# tree: a Python environment with DuckDB, pyarrow, polars, and sqlglot, which
# parses the SQL of engines that do not run here.  Prints the path of its
# python.  Does nothing where it is there already.  Needs the network the first
# time, what "test/deps.sh test" installs, and no root.
#
#	test/deps-engines.sh
#	test/deps-engines.sh --path	where python lies, or would lie
#
# A new version here is all that a new version needs.
set -eu
. "$(dirname "$0")/deps-common.sh"

duckdb=1.4.4 # the long-term release
pyarrow=26.0.1
sqlglot=30.30.0
polars=2.1.0

folder=$cache/engines-$duckdb-$pyarrow-$sqlglot-$polars

case ${1:-} in
--path) ;;
--install)
	python_environment "$folder" "duckdb==$duckdb" "pyarrow==$pyarrow" \
		"sqlglot==$sqlglot" "polars==$polars"
	;;
*) bring engines "$folder/python" "DuckDB, pyarrow and polars (some 300 MB)" ;;
esac
echo "$folder/python"
