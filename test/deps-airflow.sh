#!/bin/sh
# Brings Airflow into the cache folder, never into the tree, for the test of
# deploy/airflow.  Prints the path of its folder.  Does nothing where it is
# there already.  Needs the network the first time, and no root.
#
#	test/deps-airflow.sh
#	test/deps-airflow.sh --path	where it lies, or would lie
set -eu
. "$(dirname "$0")/deps-common.sh"

airflow=3.3.2

folder=$cache/airflow-$airflow

case ${1:-} in
--path) ;;
--install)
	[ ! -e "$folder/whole" ] || exit 0 # another run brought it meanwhile
	rm -rf "$folder"
	pip_install "$folder" "apache-airflow==$airflow"
	: >"$folder/whole"
	;;
*) bring airflow "$folder/whole" "Airflow (some 300 MB)" ;;
esac
echo "$folder"
