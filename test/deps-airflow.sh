#!/bin/sh
# Brings Airflow into the cache folder, never into the tree, for the test of
# deploy/airflow.  Prints the path of its folder.  Does nothing where it is
# there already.  Needs the network the first time, and no root.
#
#	test/deps-airflow.sh
#	test/deps-airflow.sh --path	where it lies, or would lie
set -eu

airflow=3.3.2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
folder=$cache/airflow-$airflow

case ${1:-} in
--path)
	echo "$folder"
	exit
	;;
# This file calls itself so, since "set -e" holds in a process of its own.
--install)
	[ ! -e "$folder/whole" ] || exit 0 # another run brought it meanwhile
	rm -rf "$folder"
	python3 -m venv "$folder"
	set -- install -q "apache-airflow==$airflow"
	"$folder/bin/pip" "$@" || "$folder/bin/pip" "$@" # registries have bad moments
	: >"$folder/whole"
	exit 0
	;;
esac

if [ ! -e "$folder/whole" ]; then
	mkdir -p "$cache"
	log=$cache/airflow.log
	echo "bringing Airflow into $cache (some 300 MB)" >&2
	if ! flock "$cache/airflow.lock" sh "$0" --install >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "could not bring Airflow; see $log" >&2
		exit 1
	fi
fi
echo "$folder"
