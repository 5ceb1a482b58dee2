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
. "$(dirname "$0")/deps-common.sh"

chdb=26.9.0
pyspark=4.1.4

folder=$cache/query-$chdb-$pyspark

case ${1:-} in
--path) ;;
--install) python_environment "$folder" "chdb-core==$chdb" "pyspark==$pyspark" ;;
*) bring query "$folder/python" "ClickHouse and Spark (some 1 GB)" ;;
esac
echo "$folder/python"
