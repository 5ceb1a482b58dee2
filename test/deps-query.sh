#!/bin/sh
# Brings engines that are too heavy for the suite into the cache folder, never
# into the tree: a Python environment with ClickHouse (chdb) and Spark, which
# needs a Java of the machine's.  test/t/150_query_engines.pl runs what "ddl"
# prints in them, where QUERY_ENGINES is set.  Prints the path of its python.
# Does nothing where it is there already.  Needs the network the first time
# (some 1 GB), and no root.
#
#	test/deps-query.sh
#	test/deps-query.sh --path	where python lies, or would lie
#
# A new version here is all that a new version needs.
set -eu

chdb=26.9.0
pyspark=4.1.4

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
folder=$cache/query-$chdb-$pyspark

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
	twice "$folder/bin/pip" install -q "chdb-core==$chdb" "pyspark==$pyspark"
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
	log=$cache/query.log
	echo "bringing ClickHouse and Spark into $cache (some 1 GB)" >&2
	if ! flock "$cache/query.lock" sh "$0" --install >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "could not bring ClickHouse and Spark; see $log" >&2
		exit 1
	fi
fi
echo "$folder/python"
